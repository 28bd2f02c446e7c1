package ingest

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-net/weir"
)

// SniffLen is the number of bytes of (decompressed) content that Sniff is
// best given; fewer are enough for most formats.
const SniffLen = 64 << 10

// Errors that callers branch on.
var (
	// ErrUnsupported says that a format is known and cannot be read yet.
	ErrUnsupported = errors.New("not supported yet")
	// ErrFormat says that the format of an input could not be told.
	ErrFormat = errors.New("format not recognised")
)

// readable lists the names that --format takes for files, in the order of the
// reference.
func readable() []string {
	var names []string
	for f := weir.FormatIPFIX; f <= weir.FormatParquet; f++ {
		switch f {
		case weir.FormatNetFlow9, weir.FormatNetFlow5, weir.FormatSFlow:
			continue // datagrams: live, or inside a capture
		}
		names = append(names, f.String())
	}
	return names
}

// Sniff tells the format of a file from the beginning of its decompressed
// content. The name is a last hint, used only where content cannot tell. The
// error wraps ErrFormat and says what was seen and which names --format takes;
// it wraps ErrUnsupported for an encoding or compression that is recognised and
// cannot be read.
func Sniff(head []byte, name string) (weir.Format, error) {
	if f := sniffBinary(head); f != weir.FormatUnknown {
		return f, nil
	}
	if what := foreign(head); what != "" {
		return weir.FormatUnknown, fmt.Errorf("%s: %w: convert it first", what, ErrUnsupported)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) > 0 && isText(text) {
		f, err := sniffText(text)
		if f != weir.FormatUnknown || err != nil {
			return f, err
		}
	}
	if strings.EqualFold(filepath.Ext(name), ".scn") {
		return weir.FormatScenario, nil
	}
	return weir.FormatUnknown, fmt.Errorf("%w: the content begins with %s; name it with --format, one of %s",
		ErrFormat, describe(head), strings.Join(readable(), ", "))
}

// describe shows the first bytes of content in an error.
func describe(head []byte) string {
	if len(head) == 0 {
		return "nothing (it is empty)"
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) > 0 && isText(line) {
		if len(line) > 60 {
			line = line[:60]
		}
		return strconv.Quote(strings.ToValidUTF8(string(line), ""))
	}
	return fmt.Sprintf("the bytes % x", head[:min(len(head), 12)])
}

// isText reports whether b looks like text: no control bytes but white space,
// and valid UTF-8 (a rune cut at the end is forgiven).
func isText(b []byte) bool {
	b = b[:min(len(b), 4096)]
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
		b = b[n:]
	}
	return true
}

// foreign names compressions and containers that are no input.
func foreign(head []byte) string {
	for _, m := range [...]struct{ magic, what string }{
		{"BZh", "bzip2 data"},
		{"\xfd7zXZ\x00", "xz data"},
		{"\x04\x22\x4d\x18", "lz4 data"},
		{"PK\x03\x04", "a zip archive"},
		{"\xff\xfe", "UTF-16 text"},
		{"\xfe\xff", "UTF-16 text"},
		{"SQLite format 3\x00", "an SQLite database"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.what
		}
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return "a tar archive"
	}
	return ""
}

// sniffBinary knows the formats that begin with a number.
func sniffBinary(head []byte) weir.Format {
	if len(head) < 4 {
		return weir.FormatUnknown
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a:
		// Classic pcap with micro- or nanoseconds in either byte order; the
		// last is the section header block of pcapng.
		return weir.FormatPcap
	case 0x50415231: // "PAR1"
		return weir.FormatParquet
	}
	if binary.LittleEndian.Uint16(head) == 0xa50c {
		// nfdump file layout 1 (1.6) and 2 (1.7).
		if v := binary.LittleEndian.Uint16(head[2:]); v == 1 || v == 2 {
			return weir.FormatNfdump
		}
	}
	switch binary.BigEndian.Uint16(head) {
	case 10:
		if plausibleIPFIX(head) {
			return weir.FormatIPFIX
		}
	case 9:
		if plausibleSets(head, netflow9Header) {
			return weir.FormatNetFlow9
		}
	case 5:
		n := int(binary.BigEndian.Uint16(head[2:]))
		if n >= 1 && n <= netflow5MaxRecords && len(head) >= netflow5Header+n*netflow5Record {
			return weir.FormatNetFlow5
		}
	}
	return weir.FormatUnknown
}

// Sizes of headers on the wire: RFC 7011 section 3.1, RFC 3954 section 5.1 and
// the NetFlow version 5 datagram (24 bytes of header, 48 a record, at most 30).
const (
	ipfixHeader        = 16
	netflow9Header     = 20
	netflow5Header     = 24
	netflow5Record     = 48
	netflow5MaxRecords = 30
)

// plausibleIPFIX checks the message length and the first set header.
func plausibleIPFIX(head []byte) bool {
	n := int(binary.BigEndian.Uint16(head[2:]))
	return n == ipfixHeader || n >= ipfixHeader+4 && plausibleSets(head, ipfixHeader)
}

// plausibleSets checks the header of the first set behind a header of n bytes.
// Set ids 4 to 255 are reserved (RFC 7011 section 3.3.2); 0 to 3 are templates
// of either version.
func plausibleSets(head []byte, n int) bool {
	if len(head) < n+4 {
		return false
	}
	id, length := binary.BigEndian.Uint16(head[n:]), binary.BigEndian.Uint16(head[n+2:])
	return (id <= 3 || id >= 256) && length >= 4
}

// sniffText knows the formats made of lines or of JSON. The text begins with a
// byte that is no white space.
func sniffText(text []byte) (weir.Format, error) {
	switch text[0] {
	case '{', '[':
		return sniffJSON(text)
	case '#':
		return sniffZeek(text)
	}
	for range 20 { // a few lines: the first ones may be blank or damaged
		line, rest, more := bytes.Cut(text, []byte("\n"))
		if f := sniffLine(string(bytes.TrimRight(line, "\r"))); f != weir.FormatUnknown {
			return f, nil
		}
		if text = rest; !more {
			break
		}
	}
	return weir.FormatUnknown, nil
}

// sniffZeek reads the header lines of a Zeek TSV log.
func sniffZeek(text []byte) (weir.Format, error) {
	zeek := false
	for len(text) > 0 && text[0] == '#' {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		key, value, _ := strings.Cut(strings.TrimRight(string(line), "\r"), "\t")
		switch {
		case strings.HasPrefix(key, "#separator"), key == "#fields" && strings.Contains(value, "id.orig_h"):
			zeek = true
		case key == "#path" && zeek && value != "conn":
			return weir.FormatUnknown, fmt.Errorf("%w: a Zeek log of path %q; Weir reads the conn log", ErrFormat, value)
		}
	}
	if zeek {
		return weir.FormatZeek, nil
	}
	return weir.FormatUnknown, nil
}

// sniffLine tells a header row or a row of columns.
func sniffLine(line string) weir.Format {
	has := func(fields []string, names ...string) bool {
		for _, n := range names {
			found := false
			for _, f := range fields {
				found = found || strings.EqualFold(strings.TrimSpace(f), n)
			}
			if !found {
				return false
			}
		}
		return true
	}
	if fields := strings.Fields(line); len(fields) > 1 {
		if has(fields, "srcaddr", "dstaddr") || awsDefault(fields) || awsDefault(fields[1:]) {
			return weir.FormatAWSVPC // a CloudWatch export puts a time in front
		}
	}
	if !strings.Contains(line, ",") {
		return weir.FormatUnknown
	}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return weir.FormatUnknown
	}
	switch {
	case has(fields, "StartTime", "SrcAddr", "DstAddr"):
		return weir.FormatArgus
	case has(fields, "src", "dst") && (has(fields, "start") || has(fields, "end")):
		return weir.FormatCSV
	}
	return weir.FormatUnknown
}

// awsDefault reports whether the fields are a row of the default format of AWS
// VPC flow logs: 14 columns, version 2 first, log status last.
func awsDefault(f []string) bool {
	if len(f) != 14 || f[0] != "2" {
		return false
	}
	switch f[13] {
	case "OK", "NODATA", "SKIPDATA":
		return true
	}
	return false
}

// sniffJSON tells the JSON formats by the keys of their first objects.
func sniffJSON(text []byte) (weir.Format, error) {
	top, all := jsonKeys(text)
	switch {
	case all["id.orig_h"]:
		if path := top["_path"]; path != "" && path != "conn" {
			return weir.FormatUnknown, fmt.Errorf("%w: a Zeek log of path %q; Weir reads the conn log", ErrFormat, path)
		}
		return weir.FormatZeek, nil
	case has(top, "event_type"):
		return weir.FormatSuricata, nil
	case all["flowRecords"] || all["flowLogVersion"]:
		return weir.FormatAzureVNet, nil
	case all["flowTuples"] || all["records"] && bytes.Contains(text, []byte(`NetworkSecurityGroupFlowEvent`)):
		return weir.FormatAzureNSG, nil
	case all["jsonPayload"] || all["src_ip"] && all["dest_ip"] && all["connection"]:
		return weir.FormatGCPVPC, nil
	case has(top, "src") && has(top, "dst") && (has(top, "start") || has(top, "end")):
		return weir.FormatNDJSON, nil
	}
	return weir.FormatUnknown, nil
}

func has(m map[string]string, key string) bool {
	_, ok := m[key]
	return ok
}

// jsonKeys returns the keys (with string values) of the first top-level object,
// or of the first one of a top-level array, and the set of all keys seen at any
// depth. It stops at the first error, so that a cut head is no problem.
func jsonKeys(text []byte) (top map[string]string, all map[string]bool) {
	top, all = map[string]string{}, map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		object, value bool // value: the next token is a value
		key           string
	}
	var stack []level
	base := 1 // depth of the object that counts as top
	done := false
	for range 20000 {
		tok, err := dec.Token()
		if err != nil {
			return top, all
		}
		n := len(stack)
		delim, isDelim := tok.(json.Delim)
		if n > 0 && stack[n-1].object && !stack[n-1].value && !isDelim {
			key, _ := tok.(string)
			stack[n-1].key, stack[n-1].value = key, true
			all[key] = true
			if n == base && !done {
				top[key] = ""
			}
			continue
		}
		switch {
		case isDelim && (delim == '{' || delim == '['):
			if n == 0 && delim == '[' {
				base = 2
			}
			if len(stack) > 64 {
				return top, all
			}
			if n > 0 {
				stack[n-1].value = false
			}
			stack = append(stack, level{object: delim == '{'})
		case isDelim:
			if n == base {
				done = true
			}
			stack = stack[:n-1]
		default:
			if n > 0 && stack[n-1].object {
				if s, ok := tok.(string); ok && n == base && !done {
					top[stack[n-1].key] = s
				}
				stack[n-1].value = false
			}
		}
	}
	return top, all
}

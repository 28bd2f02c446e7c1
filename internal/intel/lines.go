package intel

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	weir "github.com/weir-net/weir"
)

// lines reads the forms that are one entry per line: plain lists, ipset and netset,
// Spamhaus DROP, CSV with a header and Zeek intelligence.
func (c *collector) lines(data []byte) {
	var header *columns
	var comment string // the last comment before the first entry may be a header
	first := true
	for line := 1; len(data) > 0; line++ {
		text, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		if len(text) > maxLine {
			c.bad(place{line, 1}, "the line is longer than %d KiB", maxLine>>10)
			continue
		}
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\ufffd"))
		}
		entry := strings.TrimRight(string(text), "\r \t")
		trimmed := strings.TrimLeft(entry, " \t")
		if trimmed == "" {
			continue
		}
		if h := zeekHeader(trimmed); h != nil {
			header, first = h, false
			c.form("zeek")
			continue
		}
		if isComment(trimmed) && (header == nil || header.separator != trimmed[0]) {
			comment = strings.TrimLeft(trimmed, "#; \t")
			continue
		}
		if first {
			first = false
			if header = csvHeader(trimmed); header != nil {
				c.form(header.form)
				continue
			}
			if header = csvHeader(comment); header != nil {
				c.form(header.form)
			}
		}
		if header != nil {
			c.row(header, line, entry)
			continue
		}
		c.item(line, entry)
	}
	c.form("list")
}

func isComment(text string) bool {
	return text[0] == '#' || text[0] == ';' || strings.HasPrefix(text, "//")
}

// item reads one line of a plain list.
func (c *collector) item(line int, entry string) {
	for _, mark := range []string{"#", ";", " //", "\t//"} {
		if i := strings.Index(entry, mark); i > 0 {
			entry = entry[:i]
		}
	}
	at := place{line, 1 + len(entry) - len(strings.TrimLeft(entry, " \t"))}
	r := raw{confidence: -1, at: at}
	fields := strings.Fields(entry)
	switch {
	case len(fields) == 0:
		return
	case fields[0] == "create" || fields[0] == "flush" || fields[0] == "COMMIT" || fields[0] == "destroy" || fields[0] == "swap":
		return // ipset save
	case len(fields) >= 3 && (fields[0] == "add" || fields[0] == "-A"):
		r.value = ipsetEntry(fields[2], &r)
	case len(fields) >= 3 && blockTriple(fields) != "":
		r.value = blockTriple(fields)
	default:
		r.value = fields[0]
		if len(fields) == 3 && fields[1] == "-" {
			r.value = fields[0] + "-" + fields[2]
		}
		if value, _, ok := strings.Cut(r.value, ","); ok {
			r.value = value
		}
		r.value = strings.Trim(r.value, `"'`)
	}
	// DROP is the form with the number of a block after a semicolon; nothing else
	// tells it from a list, so the category has to come from elsewhere.
	c.add(r)
}

// ipsetEntry reads ADDRESS[,PROTO:PORT] of an ipset.
func ipsetEntry(text string, r *raw) string {
	value, rest, ok := strings.Cut(text, ",")
	if !ok {
		return value
	}
	proto, port, ok := strings.Cut(rest, ":")
	if !ok {
		return value
	}
	switch proto {
	case "tcp":
		r.proto = weir.ProtoTCP
	case "udp":
		r.proto = weir.ProtoUDP
	}
	if p, err := strconv.ParseUint(port, 10, 16); err == nil {
		r.port = uint16(p)
	}
	return value
}

// blockTriple reads FIRST LAST LENGTH, the form of the block list of DShield.
func blockTriple(fields []string) string {
	first, err1 := netip.ParseAddr(fields[0])
	last, err2 := netip.ParseAddr(fields[1])
	bits, err3 := strconv.Atoi(fields[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return ""
	}
	p, err := first.Prefix(bits)
	if err != nil || p.Addr() != first || lastOf(p) != last {
		return ""
	}
	return p.String()
}

// columns says where a table keeps what; -1 for nowhere.
type columns struct {
	form      string
	separator byte
	implied   weir.Category
	value     int
	at        [numColumns]int
}

// Columns beside the indicator.
const (
	colCategory = iota
	colFamily
	colFirst
	colLast
	colUntil
	colConfidence
	colSource
	colPort
	colProto
	colType
	numColumns
)

// columnNames are the names of columns that feeds use, in lower case without
// quotes. The first of each row is that of the contract.
func columnNames() (value []string, others [numColumns][]string) {
	value = []string{"indicator", "ip", "ip_address", "ipaddress", "dst_ip", "dstip", "src_ip", "address", "ioc_value", "ioc", "cidr", "network", "prefix", "value"}
	others = [numColumns][]string{
		colCategory:   {"category"},
		colFamily:     {"family", "malware", "malware_printable", "malware_family"},
		colFirst:      {"first_seen", "first_seen_utc", "firstseen", "first_seen(utc)"},
		colLast:       {"last_seen", "last_seen_utc", "last_online", "lastseen"},
		colUntil:      {"expiry", "expires", "valid_until", "expiration"},
		colConfidence: {"confidence", "confidence_level"},
		colSource:     {"source"},
		colPort:       {"port", "dst_port", "dstport"},
		colProto:      {"proto", "protocol"},
		colType:       {"type", "ioc_type", "indicator_type"},
	}
	return value, others
}

// csvHeader reads the names of columns, nil when the line is no header. A header
// of one column must be named as in the contract, for any word may stand in a list.
func csvHeader(text string) *columns {
	for _, separator := range []byte{',', '\t', ';', '|'} {
		names := splitRow(text, separator)
		if len(names) < 2 && (separator != ',' || !strings.EqualFold(strings.TrimSpace(text), "indicator")) {
			continue
		}
		for i := range names {
			names[i] = strings.ToLower(strings.TrimSpace(names[i]))
		}
		value, others := columnNames()
		h := &columns{form: "csv", separator: separator, value: find(names, value)}
		if h.value < 0 {
			continue
		}
		for i, wanted := range others {
			h.at[i] = find(names, wanted)
		}
		switch {
		case find(names, []string{"c2_status"}) >= 0:
			h.form, h.implied = "feodo", weir.CategoryC2
		case find(names, []string{"ioc_id"}) >= 0:
			h.form = "threatfox"
			h.at[colCategory] = find(names, []string{"threat_type"})
		}
		return h
	}
	return nil
}

// zeekHeader reads the #fields line of a Zeek intelligence file.
func zeekHeader(text string) *columns {
	names := strings.Split(text, "\t")
	if names[0] != "#fields" {
		return nil
	}
	names = names[1:]
	h := &columns{form: "zeek", separator: '\t', value: find(names, []string{"indicator"})}
	if h.value < 0 {
		return nil
	}
	for i := range h.at {
		h.at[i] = -1
	}
	h.at[colType] = find(names, []string{"indicator_type"})
	h.at[colSource] = find(names, []string{"meta.source"})
	h.at[colCategory] = find(names, []string{"meta.category"})
	h.at[colConfidence] = find(names, []string{"meta.confidence"})
	h.at[colFirst] = find(names, []string{"meta.first_seen", "meta.firstseen"})
	h.at[colLast] = find(names, []string{"meta.last_seen", "meta.lastseen"})
	return h
}

func find(names, wanted []string) int {
	for _, w := range wanted {
		for i, n := range names {
			if n == w {
				return i
			}
		}
	}
	return -1
}

// splitRow cuts a line into fields; quoted fields may hold the separator, and a
// quote is written twice (RFC 4180). Quotes after blanks count too: abuse.ch
// writes them so.
func splitRow(text string, separator byte) []string {
	if strings.IndexByte(text, '"') < 0 {
		return strings.Split(text, string(rune(separator)))
	}
	var fields []string
	var b strings.Builder
	quoted, wasQuoted := false, false
	for i := 0; i < len(text); i++ {
		ch := text[i]
		switch {
		case quoted && ch == '"' && i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		case ch == '"' && (quoted || strings.TrimSpace(b.String()) == ""):
			if !quoted {
				b.Reset()
			}
			quoted = !quoted
			wasQuoted = true
		case ch == separator && !quoted:
			fields = append(fields, b.String())
			b.Reset()
			wasQuoted = false
		case wasQuoted && !quoted: // blanks after the closing quote
		default:
			b.WriteByte(ch)
		}
	}
	return append(fields, b.String())
}

// row reads one line of a table.
func (c *collector) row(h *columns, line int, entry string) {
	fields := splitRow(entry, h.separator)
	if h.value >= len(fields) {
		c.bad(place{line, 1}, "the line has %d fields, expected the indicator in field %d", len(fields), h.value+1)
		return
	}
	cell := func(col int) string {
		if i := h.at[col]; i >= 0 && i < len(fields) {
			if v := strings.TrimSpace(fields[i]); v != "-" {
				return v
			}
		}
		return ""
	}
	column := 1
	for _, f := range fields[:h.value] {
		column += len(f) + 1
	}
	r := raw{
		value: strings.TrimSpace(fields[h.value]), category: cell(colCategory), implied: h.implied, family: cell(colFamily),
		source: cell(colSource), confidence: -1, at: place{line, column},
	}
	c.complete(&r, rowCells{
		first: cell(colFirst), last: cell(colLast), until: cell(colUntil), confidence: cell(colConfidence),
		port: cell(colPort), proto: cell(colProto), typ: cell(colType),
	}, h.form)
}

// rowCells are the fields of a table that need reading.
type rowCells struct{ first, last, until, confidence, port, proto, typ string }

// complete reads the fields and judges the entry. What a table says wrongly makes
// the entry malformed: half of it must not count.
func (c *collector) complete(r *raw, cells rowCells, form string) {
	for _, t := range []struct {
		text string
		into *int64
		name string
	}{{cells.first, &r.first, "first_seen"}, {cells.last, &r.last, "last_seen"}, {cells.until, &r.until, "expiry"}} {
		v, ok := parseTime(t.text)
		if !ok {
			c.bad(r.at, "%s is %s, expected a time in RFC 3339", t.name, quote(t.text))
			return
		}
		*t.into = v
	}
	if cells.confidence != "" {
		v, err := strconv.ParseFloat(cells.confidence, 64)
		if err != nil || v < 0 || v > 100 {
			c.bad(r.at, "the confidence is %s, expected 0 to 100", quote(cells.confidence))
			return
		}
		r.confidence = v
	}
	if cells.port != "" {
		v, err := strconv.ParseUint(cells.port, 10, 16)
		if err != nil {
			c.bad(r.at, "the port is %s, expected 0 to 65535", quote(cells.port))
			return
		}
		r.port = uint16(v)
	}
	switch strings.ToLower(cells.proto) {
	case "tcp", "6":
		r.proto = weir.ProtoTCP
	case "udp", "17":
		r.proto = weir.ProtoUDP
	}
	switch form {
	case "threatfox":
		r.category = threatfoxCategory(r.category)
	case "zeek":
		if cells.typ != "" && cells.typ != "Intel::ADDR" && cells.typ != "Intel::SUBNET" && cells.typ != "Intel::URL" && cells.typ != "Intel::DOMAIN" {
			c.rep.Skipped.Others++
			return
		}
	}
	c.add(*r)
}

// threatfoxCategory reads the threat type of ThreatFox: botnet_cc is a controller,
// what delivers payloads is malicious.
func threatfoxCategory(text string) string {
	switch strings.ToLower(text) {
	case "botnet_cc", "cc_skimming":
		return string(weir.CategoryC2)
	case "":
		return ""
	}
	return string(weir.CategoryMalicious)
}

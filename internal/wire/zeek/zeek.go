// Package zeek reads the connection logs of Zeek: conn.log as tab-separated
// text, whose header decides, or as JSON objects, one a line. Columns that
// others append, such as labels, are ignored, also when they are glued to the
// last column with blanks.
//
// Zeek logs connections in both directions and every one of them, so flows are
// bidirectional and 1-in-1. The originator is the initiator, unless Zeek saw
// TCP from the middle. TCP flags of each direction are taken from the history,
// and from the state where a log has none.
package zeek

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Options configure a Reader. There are none yet.
type Options struct{}

// Fields of a connection.
const (
	fieldTS = iota
	fieldOrigH
	fieldOrigP
	fieldRespH
	fieldRespP
	fieldProto
	fieldIPProto
	fieldDuration
	fieldState
	fieldHistory
	fieldOrigPkts
	fieldOrigIPBytes
	fieldRespPkts
	fieldRespIPBytes
	fieldVLAN
	fieldCount
)

// fieldOf returns the field of a column, -1 for those that are not needed.
func fieldOf(name string) int {
	switch name {
	case "ts":
		return fieldTS
	case "id.orig_h":
		return fieldOrigH
	case "id.orig_p":
		return fieldOrigP
	case "id.resp_h":
		return fieldRespH
	case "id.resp_p":
		return fieldRespP
	case "proto":
		return fieldProto
	case "ip_proto":
		return fieldIPProto
	case "duration":
		return fieldDuration
	case "conn_state":
		return fieldState
	case "history":
		return fieldHistory
	case "orig_pkts":
		return fieldOrigPkts
	case "orig_ip_bytes":
		return fieldOrigIPBytes
	case "resp_pkts":
		return fieldRespPkts
	case "resp_ip_bytes":
		return fieldRespIPBytes
	case "vlan":
		return fieldVLAN
	}
	return -1
}

// Reader reads the flows of a conn.log.
type Reader struct {
	*text.Lines
	separator []byte
	unset     []byte
	columns   []int // field of each column; nil before #fields
	need      int   // columns that a row must have
	row       row
}

// row holds the values of one connection, nil where the log has none.
type row [fieldCount][]byte

// NewReader returns a reader of r, which is not touched before the first Read.
// Its Read, Skipped and Line are those of [text.Lines].
func NewReader(r io.Reader, _ Options) *Reader {
	rd := &Reader{separator: []byte{'\t'}, unset: []byte{'-'}}
	rd.Lines = text.NewLines(r, "zeek", rd.parse)
	return rd
}

func (r *Reader) parse(line []byte, f *weir.Flow) (bool, error) {
	switch line[0] {
	case '#':
		return false, r.header(line)
	case '{':
		if err := r.fromJSON(line); err != nil {
			return false, err
		}
	default:
		if r.columns == nil {
			return false, fmt.Errorf("%w: no #fields line before the first row", text.ErrFormat)
		}
		if err := r.fromColumns(line); err != nil {
			return false, err
		}
	}
	return true, r.row.flow(f)
}

// header takes a line that begins with #. Lines that matter not are ignored.
func (r *Reader) header(line []byte) error {
	if v, ok := bytes.CutPrefix(line, []byte("#separator ")); ok {
		// A blank and an escaped character, \x09.
		s, err := strconv.Unquote(`"` + string(v[:min(len(v), 16)]) + `"`)
		if err != nil || s == "" {
			return fmt.Errorf("%w: separator %q", text.ErrFormat, v[:min(len(v), 16)])
		}
		r.separator = []byte(s)
		return nil
	}
	key, value, _ := bytes.Cut(line, r.separator)
	switch string(key) {
	case "#unset_field":
		r.unset = bytes.Clone(value)
	case "#fields":
		return r.fields(value)
	}
	return nil
}

func (r *Reader) fields(line []byte) error {
	names := bytes.Split(line, r.separator)
	if len(names) > 1000 {
		return fmt.Errorf("%w: %d columns", text.ErrFormat, len(names))
	}
	seen := [fieldCount]bool{}
	r.columns, r.need = make([]int, len(names)), 0
	for i, name := range names {
		// Labels may be glued to the last name with blanks.
		first, _, _ := strings.Cut(string(name), " ")
		c := fieldOf(first)
		if c >= 0 && seen[c] {
			c = -1
		}
		if c >= 0 {
			seen[c] = true
			r.need = i + 1
		}
		r.columns[i] = c
	}
	if !seen[fieldTS] || !seen[fieldOrigH] || !seen[fieldRespH] || !seen[fieldProto] || !seen[fieldState] && !seen[fieldOrigPkts] {
		return fmt.Errorf("%w: the columns are not those of a conn.log", text.ErrFormat)
	}
	return nil
}

func (r *Reader) fromColumns(line []byte) error {
	r.row = row{}
	n := 0
	for rest, more := line, true; more; n++ {
		var v []byte
		v, rest, more = bytes.Cut(rest, r.separator)
		if n >= len(r.columns) || r.columns[n] < 0 {
			continue
		}
		if !bytes.Equal(v, r.unset) {
			r.row[r.columns[n]] = v
		}
	}
	if n < r.need {
		return fmt.Errorf("%d columns where the header has %d", n, len(r.columns))
	}
	return nil
}

// object is a connection as JSON. Some shippers spell the ends with an
// underscore.
type object struct {
	TS          text.Value `json:"ts"`
	OrigH       text.Value `json:"id.orig_h"`
	OrigP       text.Value `json:"id.orig_p"`
	RespH       text.Value `json:"id.resp_h"`
	RespP       text.Value `json:"id.resp_p"`
	OrigH2      text.Value `json:"id_orig_h"`
	OrigP2      text.Value `json:"id_orig_p"`
	RespH2      text.Value `json:"id_resp_h"`
	RespP2      text.Value `json:"id_resp_p"`
	Proto       text.Value `json:"proto"`
	IPProto     text.Value `json:"ip_proto"`
	Duration    text.Value `json:"duration"`
	State       text.Value `json:"conn_state"`
	History     text.Value `json:"history"`
	OrigPkts    text.Value `json:"orig_pkts"`
	OrigIPBytes text.Value `json:"orig_ip_bytes"`
	RespPkts    text.Value `json:"resp_pkts"`
	RespIPBytes text.Value `json:"resp_ip_bytes"`
	VLAN        text.Value `json:"vlan"`
}

func (r *Reader) fromJSON(line []byte) error {
	var o object
	if err := text.Unmarshal(line, &o); err != nil {
		return err
	}
	either := func(a, b text.Value) []byte {
		if a != nil {
			return a
		}
		return b
	}
	r.row = row{
		fieldTS: o.TS, fieldOrigH: either(o.OrigH, o.OrigH2), fieldOrigP: either(o.OrigP, o.OrigP2),
		fieldRespH: either(o.RespH, o.RespH2), fieldRespP: either(o.RespP, o.RespP2), fieldProto: o.Proto, fieldIPProto: o.IPProto,
		fieldDuration: o.Duration, fieldState: o.State, fieldHistory: o.History, fieldOrigPkts: o.OrigPkts, fieldOrigIPBytes: o.OrigIPBytes,
		fieldRespPkts: o.RespPkts, fieldRespIPBytes: o.RespIPBytes, fieldVLAN: o.VLAN,
	}
	return nil
}

// errMissing says that a field that a flow needs is not there.
var errMissing = errors.New("is missing")

// flow fills f from the row.
func (r *row) flow(f *weir.Flow) error {
	if err := r.times(f); err != nil {
		return err
	}
	if err := r.ends(f); err != nil {
		return err
	}
	if err := r.counters(f); err != nil {
		return err
	}
	f.Sampling, f.SamplingSource, f.Format = 1, weir.SamplingFormat, weir.FormatZeek
	f.Initiator = weir.InitiatorSrc
	if f.Proto == weir.ProtoTCP {
		r.tcp(f)
	}
	return nil
}

func (r *row) times(f *weir.Flow) error {
	ts := r[fieldTS]
	if len(ts) == 0 {
		return text.Bad("ts", ts, errMissing)
	}
	var err error
	if bytes.IndexByte(ts, 'T') > 0 { // JSON with ISO 8601 times
		f.Start, err = text.Time("ts", ts)
	} else {
		f.Start, err = text.Seconds("ts", ts)
	}
	if err != nil {
		return err
	}
	f.End = f.Start
	if d := r[fieldDuration]; len(d) > 0 {
		n, err := text.Seconds("duration", d)
		if err != nil {
			return err
		}
		if n > 0 && f.Start+n > f.Start { // neither negative nor beyond the range
			f.End += n
		}
	}
	return nil
}

func (r *row) ends(f *weir.Flow) error {
	orig, err := text.Addr("id.orig_h", r[fieldOrigH])
	if err != nil {
		return err
	}
	resp, err := text.Addr("id.resp_h", r[fieldRespH])
	if err != nil {
		return err
	}
	f.Proto, _ = text.Proto(r[fieldProto])
	if v := r[fieldIPProto]; len(v) > 0 {
		n, err := text.Uint("ip_proto", v, 8)
		if err != nil {
			return err
		}
		f.Proto = uint8(n) //nolint:gosec // 8 bits
	}
	if f.Proto == weir.ProtoICMP && orig.Is6() { // Zeek has one name for both
		f.Proto = weir.ProtoICMPv6
	}
	var sp, dp uint16
	hasPorts := len(r[fieldOrigP]) > 0 && len(r[fieldRespP]) > 0
	if hasPorts {
		if sp, err = text.Port("id.orig_p", r[fieldOrigP]); err != nil {
			return err
		}
		if dp, err = text.Port("id.resp_p", r[fieldRespP]); err != nil {
			return err
		}
	}
	f.Src, f.Dst = netip.AddrPortFrom(orig, 0), netip.AddrPortFrom(resp, 0)
	switch {
	case !hasPorts:
	case text.IsICMP(f.Proto):
		if sp > 255 || dp > 255 {
			break
		}
		// The ports are type and code, but for messages that have an answer
		// the second is the type of the answer.
		if answered(f.Proto, sp) {
			dp = 0
		}
		text.SetICMP(f, uint8(sp), uint8(dp))
	case text.HasPorts(f.Proto):
		f.Src, f.Dst = netip.AddrPortFrom(orig, sp), netip.AddrPortFrom(resp, dp)
		f.Known |= weir.HasPorts
	}
	return nil
}

// answered tells the ICMP types for which Zeek logs the type of the answer in
// place of the code: echo, timestamp, information, address mask and router
// discovery, and of ICMPv6 echo, multicast listener, router and neighbour
// discovery, node information, home agent and mobile prefix discovery.
func answered(proto uint8, kind uint16) bool {
	if proto == weir.ProtoICMP {
		switch kind {
		case 0, 8, 9, 10, 13, 14, 15, 16, 17, 18:
			return true
		}
		return false
	}
	switch kind {
	case 128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145, 146, 147:
		return true
	}
	return false
}

func (r *row) counters(f *weir.Flow) error {
	f.Known |= weir.HasReverse
	both := func(bit weir.Fields, out, in int, outName, inName string) (a, b uint64, err error) {
		if len(r[out]) == 0 || len(r[in]) == 0 {
			return 0, 0, nil
		}
		if a, err = text.Uint(outName, r[out], 64); err != nil {
			return 0, 0, err
		}
		if b, err = text.Uint(inName, r[in], 64); err != nil {
			return 0, 0, err
		}
		f.Known |= bit
		return a, b, nil
	}
	var err error
	if f.Packets, f.RevPackets, err = both(weir.HasPackets, fieldOrigPkts, fieldRespPkts, "orig_pkts", "resp_pkts"); err != nil {
		return err
	}
	if f.Bytes, f.RevBytes, err = both(weir.HasBytes, fieldOrigIPBytes, fieldRespIPBytes, "orig_ip_bytes", "resp_ip_bytes"); err != nil {
		return err
	}
	if v := r[fieldVLAN]; len(v) > 0 {
		n, err := text.Uint("vlan", v, 12)
		if err != nil {
			return err
		}
		f.VLAN = uint16(n) //nolint:gosec // 12 bits
	}
	return nil
}

// tcp derives the flags of both directions, and takes back the claim about the
// initiator where Zeek saw no beginning.
func (r *row) tcp(f *weir.Flow) {
	const both = weir.HasFlags | weir.HasRevFlags
	if h := r[fieldHistory]; len(h) > 0 && !bytes.Equal(h, []byte("(empty)")) {
		f.TCPFlags, f.RevTCPFlags = historyFlags(h)
		f.Known |= both
		if !bytes.ContainsAny(h, "SsHh^") {
			f.Initiator = weir.InitiatorUnknown
		}
		return
	}
	var known bool
	if f.TCPFlags, f.RevTCPFlags, known = stateFlags(string(r[fieldState])); known {
		f.Known |= both
	}
	if string(r[fieldState]) == "OTH" {
		f.Initiator = weir.InitiatorUnknown
	}
}

// historyFlags maps the letters of a history to the control bits that they
// prove, capitals for the originator. Source: Zeek documentation, conn.log,
// field history.
func historyFlags(h []byte) (orig, resp uint16) {
	for _, c := range h {
		to := &orig
		if c >= 'a' && c <= 'z' {
			to = &resp
			c -= 'a' - 'A'
		}
		switch c {
		case 'S':
			*to |= weir.SYN
		case 'H':
			*to |= weir.SYN | weir.ACK
		case 'A', 'D', 'W', 'T': // data and zero windows come with ACK
			*to |= weir.ACK
		case 'F':
			*to |= weir.FIN
		case 'R':
			*to |= weir.RST
		case 'I': // FIN and RST in one
			*to |= weir.FIN | weir.RST
		case 'Q': // SYN with FIN or RST
			*to |= weir.SYN
		}
	}
	return orig, resp
}

// stateFlags gives the control bits that a connection state implies. Source:
// Zeek documentation, conn.log, field conn_state.
func stateFlags(state string) (orig, resp uint16, known bool) {
	const open = weir.SYN | weir.ACK
	switch state {
	case "S0":
		return weir.SYN, 0, true
	case "S1":
		return open, open, true
	case "SF":
		return open | weir.FIN, open | weir.FIN, true
	case "S2":
		return open | weir.FIN, open, true
	case "S3":
		return open, open | weir.FIN, true
	case "REJ":
		return weir.SYN, weir.RST, true
	case "RSTO":
		return open | weir.RST, open, true
	case "RSTR":
		return open, open | weir.RST, true
	case "RSTOS0":
		return weir.SYN | weir.RST, 0, true
	case "RSTRH":
		return 0, open | weir.RST, true
	case "SH":
		return weir.SYN | weir.FIN, 0, true
	case "SHR":
		return 0, open | weir.FIN, true
	}
	return 0, 0, false
}

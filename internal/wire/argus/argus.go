// Package argus reads flows of Argus as comma-separated text with a header
// line, the binetflow files of the CTU data sets and the output of ra.
//
// Argus logs every flow, so flows are 1-in-1 and bidirectional. Times without
// offset are UTC. The arrow says who opened the flow, unless it carries a
// question mark. States like FSPA_FSPA are the TCP flags of source and
// destination. Byte counts of Argus include the link layer and stay as they are.
//
// Some files have only the total of packets or bytes of both directions. A
// total is the count of the source when the destination sent nothing, and says
// nothing about either direction otherwise: the count is then not known.
package argus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Options configure a Reader. There are none yet.
type Options struct{}

// Columns of a flow.
const (
	fieldStart = iota
	fieldLast
	fieldDur
	fieldProto
	fieldSrc
	fieldSport
	fieldDir
	fieldDst
	fieldDport
	fieldState
	fieldPkts
	fieldBytes
	fieldSrcPkts
	fieldDstPkts
	fieldSrcBytes
	fieldDstBytes
	fieldCount
)

// fieldOf returns the field of a column, in the spelling of the CTU files or of
// ra, -1 for those that are not needed.
func fieldOf(name string) int {
	switch strings.ToLower(name) {
	case "starttime", "stime":
		return fieldStart
	case "lasttime", "ltime":
		return fieldLast
	case "dur":
		return fieldDur
	case "proto":
		return fieldProto
	case "srcaddr", "saddr":
		return fieldSrc
	case "sport":
		return fieldSport
	case "dir":
		return fieldDir
	case "dstaddr", "daddr":
		return fieldDst
	case "dport":
		return fieldDport
	case "state":
		return fieldState
	case "totpkts", "pkts":
		return fieldPkts
	case "totbytes", "bytes":
		return fieldBytes
	case "srcpkts", "spkts":
		return fieldSrcPkts
	case "dstpkts", "dpkts":
		return fieldDstPkts
	case "srcbytes", "sbytes":
		return fieldSrcBytes
	case "dstbytes", "dbytes":
		return fieldDstBytes
	}
	return -1
}

// Reader reads the flows of a file.
type Reader struct {
	*text.Lines
	columns []int
	need    int
	other   int64
	row     row
}

type row [fieldCount][]byte

// NewReader returns a reader of r, which is not touched before the first Read.
// Its Read, Skipped and Line are those of [text.Lines].
func NewReader(r io.Reader, _ Options) *Reader {
	rd := &Reader{}
	rd.Lines = text.NewLines(r, "argus", rd.parse)
	return rd
}

// Other returns how many rows have no IP addresses, such as those of link
// layer protocols and management records. They are no flows and no faults.
func (r *Reader) Other() int64 { return r.other }

func (r *Reader) parse(line []byte, f *weir.Flow) (bool, error) {
	if r.columns == nil {
		return false, r.header(line)
	}
	r.row = row{}
	n := 0
	for rest, more := line, true; more; n++ {
		var v []byte
		v, rest, more = bytes.Cut(rest, []byte{','})
		if n < len(r.columns) && r.columns[n] >= 0 {
			r.row[r.columns[n]] = bytes.TrimSpace(v)
		}
	}
	if n < r.need {
		return false, fmt.Errorf("%d columns where the header has %d", n, len(r.columns))
	}
	if !isIP(r.row[fieldSrc]) && !isIP(r.row[fieldDst]) {
		r.other++
		return false, nil
	}
	return true, r.row.flow(f)
}

// isIP tells addresses from what Argus prints for other layers, such as MAC
// addresses and nothing.
func isIP(b []byte) bool {
	if len(b) == 0 || len(b) > 45 {
		return false
	}
	_, err := netip.ParseAddr(string(b))
	return err == nil
}

func (r *Reader) header(line []byte) error {
	names := bytes.Split(line, []byte{','})
	if len(names) > 1000 {
		return fmt.Errorf("%w: %d columns", text.ErrFormat, len(names))
	}
	seen := [fieldCount]bool{}
	columns, need := make([]int, len(names)), 0
	for i, name := range names {
		c := fieldOf(string(bytes.TrimSpace(name)))
		if c >= 0 && seen[c] {
			c = -1
		}
		if c >= 0 {
			seen[c] = true
			need = i + 1
		}
		columns[i] = c
	}
	if !seen[fieldStart] || !seen[fieldSrc] || !seen[fieldDst] || !seen[fieldProto] {
		return fmt.Errorf("%w: the header names no StartTime, Proto, SrcAddr and DstAddr", text.ErrFormat)
	}
	r.columns, r.need = columns, need
	return nil
}

// flow fills f from the row.
func (r *row) flow(f *weir.Flow) error {
	f.Sampling, f.SamplingSource, f.Format = 1, weir.SamplingFormat, weir.FormatArgus
	if err := r.times(f); err != nil {
		return err
	}
	src, err := text.Addr("SrcAddr", r[fieldSrc])
	if err != nil {
		return err
	}
	dst, err := text.Addr("DstAddr", r[fieldDst])
	if err != nil {
		return err
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	f.Proto, _ = text.Proto(r[fieldProto]) // names of other layers stay NoProto
	if err := r.ports(f); err != nil {
		return err
	}
	f.Initiator = initiator(r[fieldDir])
	if f.Proto == weir.ProtoTCP {
		var known bool
		if f.TCPFlags, f.RevTCPFlags, known = stateFlags(r[fieldState]); known {
			f.Known |= weir.HasFlags | weir.HasRevFlags
		}
	}
	return r.counters(f)
}

func (r *row) times(f *weir.Flow) error {
	var err error
	if f.Start, err = stamp("StartTime", r[fieldStart]); err != nil {
		return err
	}
	f.End = f.Start
	if v := r[fieldDur]; len(v) > 0 {
		n, err := text.Seconds("Dur", v)
		if err != nil {
			return err
		}
		if n > 0 && f.Start+n > f.Start {
			f.End += n
		}
		return nil
	}
	if v := r[fieldLast]; len(v) > 0 {
		end, err := stamp("LastTime", v)
		if err != nil {
			return err
		}
		f.End = max(f.Start, end)
	}
	return nil
}

// stamp reads 2013/10/21 13:22:59.340835, seconds since 1970, or RFC 3339.
func stamp(field string, b []byte) (int64, error) {
	if len(b) >= 19 && len(b) <= 40 && b[4] == '/' && b[7] == '/' && b[10] == ' ' {
		var buf [41]byte
		s := append(buf[:0], b...)
		s[4], s[7], s[10] = '-', '-', 'T'
		return text.Time(field, append(s, 'Z'))
	}
	if t, err := time.Parse(time.RFC3339Nano, string(b[:min(len(b), 40)])); err == nil && t.Year() > 1678 && t.Year() < 2261 {
		return t.UnixNano(), nil
	}
	return text.Seconds(field, b)
}

var errPort = errors.New("is not a port")

// ports reads ports in decimal or hexadecimal. For ICMP the source port holds
// type in its low and code in its high byte.
func (r *row) ports(f *weir.Flow) error {
	s, d := r[fieldSport], r[fieldDport]
	port := func(field string, b []byte) (uint16, error) {
		n, err := strconv.ParseUint(string(b[:min(len(b), 20)]), 0, 16)
		if err != nil {
			return 0, text.Bad(field, b, errPort)
		}
		return uint16(n), nil
	}
	switch {
	case len(s) == 0:
	case text.IsICMP(f.Proto):
		n, err := port("Sport", s)
		if err != nil {
			return err
		}
		text.SetICMP(f, uint8(n&0xff), uint8(n>>8))
	case text.HasPorts(f.Proto) && len(d) > 0:
		sp, err := port("Sport", s)
		if err != nil {
			return err
		}
		dp, err := port("Dport", d)
		if err != nil {
			return err
		}
		f.Src, f.Dst = netip.AddrPortFrom(f.Src.Addr(), sp), netip.AddrPortFrom(f.Dst.Addr(), dp)
		f.Known |= weir.HasPorts
	}
	return nil
}

// initiator reads the arrow, which may follow other words. A question mark
// says that Argus does not know.
func initiator(dir []byte) weir.Initiator {
	if i := bytes.LastIndexByte(dir, ' '); i >= 0 {
		dir = dir[i+1:]
	}
	switch string(dir) {
	case "->", "<->", "<|>", "<o>", "|>", "o>":
		return weir.InitiatorSrc
	case "<-", "<|", "<o":
		return weir.InitiatorDst
	}
	return weir.InitiatorUnknown
}

// stateFlags reads a state of the form FSPA_FSRA: the TCP flags of source and
// destination. Other states say nothing about flags.
func stateFlags(state []byte) (src, dst uint16, known bool) {
	a, b, ok := bytes.Cut(state, []byte{'_'})
	if !ok {
		return 0, 0, false
	}
	src, okSrc := letters(a)
	dst, okDst := letters(b)
	if !okSrc || !okDst {
		return 0, 0, false
	}
	return src, dst, true
}

func letters(s []byte) (flags uint16, ok bool) {
	for _, c := range s {
		switch c {
		case 'F':
			flags |= weir.FIN
		case 'S':
			flags |= weir.SYN
		case 'R':
			flags |= weir.RST
		case 'P':
			flags |= weir.PSH
		case 'A':
			flags |= weir.ACK
		case 'U':
			flags |= 0x20
		case 'E':
			flags |= 0x40
		case 'C':
			flags |= 0x80
		default:
			return 0, false
		}
	}
	return flags, true
}

// oneWay tells that the destination sent nothing: a TCP state without flags of
// the destination, or the one-headed arrow of other protocols.
func (r *row) oneWay(f *weir.Flow) bool {
	if f.Proto == weir.ProtoTCP {
		return len(r[fieldState]) > 1 && bytes.HasSuffix(r[fieldState], []byte{'_'})
	}
	return bytes.HasSuffix(r[fieldDir], []byte("->")) && !bytes.HasSuffix(r[fieldDir], []byte("<->"))
}

// counters splits packets and bytes by direction as far as the file can.
func (r *row) counters(f *weir.Flow) error {
	f.Known |= weir.HasReverse
	oneWay := r.oneWay(f)
	split := func(bit weir.Fields, total, src, dst int, name string) (out, in uint64, err error) {
		var n [3]uint64
		var has [3]bool
		for i, field := range []int{total, src, dst} {
			v := r[field]
			if len(v) == 0 {
				continue
			}
			if n[i], err = text.Uint(name, v, 64); err != nil {
				return 0, 0, err
			}
			has[i] = true
		}
		switch {
		case has[1] && has[2]:
			out, in = n[1], n[2]
		case has[0] && has[1] && n[1] <= n[0]:
			out, in = n[1], n[0]-n[1]
		case has[0] && has[2] && n[2] <= n[0]:
			out, in = n[0]-n[2], n[2]
		case has[0] && !has[1] && !has[2] && oneWay:
			out = n[0]
		default:
			return 0, 0, nil
		}
		f.Known |= bit
		return out, in, nil
	}
	var err error
	if f.Packets, f.RevPackets, err = split(weir.HasPackets, fieldPkts, fieldSrcPkts, fieldDstPkts, "packets"); err != nil {
		return err
	}
	f.Bytes, f.RevBytes, err = split(weir.HasBytes, fieldBytes, fieldSrcBytes, fieldDstBytes, "bytes")
	return err
}

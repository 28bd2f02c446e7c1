package cloudlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Fields of an AWS record that matter here.
const (
	awsVersion = iota
	awsSrc
	awsDst
	awsSrcPort
	awsDstPort
	awsProto
	awsPackets
	awsBytes
	awsStart
	awsEnd
	awsAction
	awsStatus
	awsFlags
	awsPktSrc
	awsPktDst
	awsCount
)

// awsField returns the field of a column by the name of the documentation, also
// with underscores, -1 for those that are not needed and those that later
// versions may add.
func awsField(name []byte) int {
	switch string(bytes.ReplaceAll(name, []byte{'_'}, []byte{'-'})) {
	case "version":
		return awsVersion
	case "srcaddr":
		return awsSrc
	case "dstaddr":
		return awsDst
	case "srcport":
		return awsSrcPort
	case "dstport":
		return awsDstPort
	case "protocol":
		return awsProto
	case "packets":
		return awsPackets
	case "bytes":
		return awsBytes
	case "start":
		return awsStart
	case "end":
		return awsEnd
	case "action":
		return awsAction
	case "log-status":
		return awsStatus
	case "tcp-flags":
		return awsFlags
	case "pkt-srcaddr":
		return awsPktSrc
	case "pkt-dstaddr":
		return awsPktDst
	}
	return -1
}

// aws reads AWS VPC flow logs as text: a header that names the fields, or the
// default order of version 2. Source: Amazon VPC user guide, "Flow log records".
type aws struct {
	*text.Lines
	columns          []int
	header           bool
	row              [awsCount][]byte
	noData, skipData int64
}

func newAWS(r io.Reader) *aws {
	a := &aws{columns: []int{awsVersion, -1, -1, awsSrc, awsDst, awsSrcPort, awsDstPort, awsProto, awsPackets, awsBytes, awsStart, awsEnd, awsAction, awsStatus}}
	a.Lines = text.NewLines(r, weir.FormatAWSVPC.String(), a.parse)
	return a
}

func (a *aws) parse(line []byte, f *weir.Flow) (bool, error) {
	if isAWSHeader(line) {
		return false, a.setHeader(line)
	}
	if !a.header { // logs copied out of CloudWatch begin with the time of the event
		if stamp, rest, ok := bytes.Cut(line, []byte{' '}); ok && len(stamp) > 19 && stamp[10] == 'T' {
			line = rest
		}
	}
	a.row = [awsCount][]byte{}
	n := 0
	for rest := line; len(rest) > 0; n++ {
		var v []byte
		v, rest, _ = bytes.Cut(rest, []byte{' '})
		if n < len(a.columns) && a.columns[n] >= 0 && !bytes.Equal(v, []byte{'-'}) {
			a.row[a.columns[n]] = v
		}
	}
	if n != len(a.columns) {
		if !a.header {
			return false, fmt.Errorf("%d fields, and no header that names them; the default order has %d", n, len(a.columns))
		}
		return false, fmt.Errorf("%d fields where the header has %d", n, len(a.columns))
	}
	if v := a.row[awsVersion]; !a.header && string(v) != "2" {
		return false, text.Bad("version", v, errors.New("needs a header that names the fields"))
	}
	switch string(a.row[awsStatus]) {
	case "NODATA":
		a.noData++
		return false, nil
	case "SKIPDATA":
		a.skipData++
		return false, nil
	}
	return true, a.flow(f)
}

// isAWSHeader tells a header from a record: no value is ever one of these
// words.
func isAWSHeader(line []byte) bool {
	for rest := line; len(rest) > 0; {
		var v []byte
		v, rest, _ = bytes.Cut(rest, []byte{' '})
		switch string(v) {
		case "srcaddr", "dstaddr", "pkt-srcaddr", "pkt_srcaddr", "pkt-dstaddr", "pkt_dstaddr":
			return true
		}
	}
	return false
}

func (a *aws) setHeader(line []byte) error {
	names := bytes.Fields(line)
	if len(names) > 1000 {
		return fmt.Errorf("%w: %d columns", text.ErrFormat, len(names))
	}
	seen := [awsCount]bool{}
	columns := make([]int, len(names))
	for i, name := range names {
		c := awsField(name)
		if c >= 0 && seen[c] {
			c = -1
		}
		if c >= 0 {
			seen[c] = true
		}
		columns[i] = c
	}
	if !seen[awsSrc] && !seen[awsPktSrc] || !seen[awsDst] && !seen[awsPktDst] || !seen[awsStart] && !seen[awsEnd] {
		return fmt.Errorf("%w: the header names no source, no destination or no time", text.ErrFormat)
	}
	a.columns, a.header = columns, true
	return nil
}

// flow fills f from the record.
func (a *aws) flow(f *weir.Flow) error {
	f.Sampling, f.SamplingSource, f.Format = 1, weir.SamplingFormat, weir.FormatAWSVPC
	either := func(first, second int) []byte {
		if a.row[first] != nil {
			return a.row[first]
		}
		return a.row[second]
	}
	var err error
	if f.Start, err = text.Epoch("start", either(awsStart, awsEnd)); err != nil {
		return err
	}
	if f.End, err = text.Epoch("end", either(awsEnd, awsStart)); err != nil {
		return err
	}
	f.End = max(f.Start, f.End)
	src, err := text.Addr("srcaddr", either(awsPktSrc, awsSrc))
	if err != nil {
		return err
	}
	dst, err := text.Addr("dstaddr", either(awsPktDst, awsDst))
	if err != nil {
		return err
	}
	f.Proto = text.NoProto
	if v := a.row[awsProto]; v != nil {
		n, err := text.Uint("protocol", v, 8)
		if err != nil {
			return err
		}
		f.Proto = uint8(n) //nolint:gosec // 8 bits
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if text.HasPorts(f.Proto) && a.row[awsSrcPort] != nil && a.row[awsDstPort] != nil {
		sp, err := text.Port("srcport", a.row[awsSrcPort])
		if err != nil {
			return err
		}
		dp, err := text.Port("dstport", a.row[awsDstPort])
		if err != nil {
			return err
		}
		f.Src, f.Dst = netip.AddrPortFrom(src, sp), netip.AddrPortFrom(dst, dp)
		f.Known |= weir.HasPorts
	}
	if v := a.row[awsPackets]; v != nil {
		if f.Packets, err = text.Uint("packets", v, 64); err != nil {
			return err
		}
		f.Known |= weir.HasPackets
	}
	if v := a.row[awsBytes]; v != nil {
		if f.Bytes, err = text.Uint("bytes", v, 64); err != nil {
			return err
		}
		f.Known |= weir.HasBytes
	}
	switch string(a.row[awsAction]) {
	case "ACCEPT":
		f.Action = weir.ActionAllow
	case "REJECT":
		f.Action = weir.ActionDeny
	}
	return a.flags(f)
}

// synLength is the most bytes of a SYN without data: 40 of IPv6 and 60 of TCP
// with all options.
const synLength = 100

// flags reads tcp-flags. AWS reports FIN, SYN, RST and SYN-ACK, so zero tells
// nothing. A record of packets that carried data, or that closed the
// connection, had ACK although it is not reported.
func (a *aws) flags(f *weir.Flow) error {
	v := a.row[awsFlags]
	if v == nil || f.Proto != weir.ProtoTCP {
		return nil
	}
	n, err := text.Uint("tcp-flags", v, 16)
	if err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	flags := uint16(n) //nolint:gosec // 16 bits
	if flags&weir.SYN != 0 {
		f.Initiator = weir.InitiatorSrc
		if flags&weir.ACK != 0 {
			f.Initiator = weir.InitiatorDst
		}
	}
	if flags&weir.FIN != 0 || f.Known.Has(weir.HasPackets|weir.HasBytes) && f.Bytes/synLength > f.Packets {
		flags |= weir.ACK
	}
	f.TCPFlags = flags
	f.Known |= weir.HasFlags
	return nil
}

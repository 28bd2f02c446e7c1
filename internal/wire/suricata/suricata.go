// Package suricata reads the flow events of Suricata's EVE log, one JSON object
// a line. Events of other types are counted and passed over.
//
// Suricata logs every flow in both directions, so flows are bidirectional and
// 1-in-1. The client of a flow is its source and the initiator. Byte counts of
// Suricata include the link layer and stay as they are.
package suricata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Options configure a Reader. There are none yet.
type Options struct{}

// Reader reads the flow events of an EVE log.
type Reader struct {
	*text.Lines
	other int64
}

// NewReader returns a reader of r, which is not touched before the first Read.
// Its Read, Skipped and Line are those of [text.Lines].
func NewReader(r io.Reader, _ Options) *Reader {
	rd := &Reader{}
	rd.Lines = text.NewLines(r, "suricata", rd.parse)
	return rd
}

// Other returns how many events are of other types than flow.
func (r *Reader) Other() int64 { return r.other }

// event is a flow event.
type event struct {
	Type     text.Value      `json:"event_type"`
	Src      text.Value      `json:"src_ip"`
	SrcPort  text.Value      `json:"src_port"`
	Dst      text.Value      `json:"dest_ip"`
	DstPort  text.Value      `json:"dest_port"`
	Proto    text.Value      `json:"proto"`
	ICMPType text.Value      `json:"icmp_type"`
	ICMPCode text.Value      `json:"icmp_code"`
	VLAN     json.RawMessage `json:"vlan"`
	Flow     json.RawMessage `json:"flow"`
	TCP      json.RawMessage `json:"tcp"`
}

type counters struct {
	PktsToServer  text.Value `json:"pkts_toserver"`
	PktsToClient  text.Value `json:"pkts_toclient"`
	BytesToServer text.Value `json:"bytes_toserver"`
	BytesToClient text.Value `json:"bytes_toclient"`
	Start         text.Value `json:"start"`
	End           text.Value `json:"end"`
	Action        text.Value `json:"action"`
}

type tcp struct {
	ToServer text.Value `json:"tcp_flags_ts"`
	ToClient text.Value `json:"tcp_flags_tc"`
}

// errMissing says that a field that a flow needs is not there.
var errMissing = errors.New("is missing")

func (r *Reader) parse(line []byte, f *weir.Flow) (bool, error) {
	var e event
	if err := text.Unmarshal(line, &e); err != nil {
		return false, err
	}
	if len(e.Type) == 0 {
		return false, text.Bad("event_type", nil, errMissing)
	}
	if string(e.Type) != "flow" {
		r.other++
		return false, nil
	}
	return true, e.flow(f)
}

// flow fills f from the event.
func (e *event) flow(f *weir.Flow) error {
	f.Sampling, f.SamplingSource, f.Format = 1, weir.SamplingFormat, weir.FormatSuricata
	f.Initiator = weir.InitiatorSrc
	f.Known = weir.HasReverse
	src, err := text.Addr("src_ip", e.Src)
	if err != nil {
		return err
	}
	dst, err := text.Addr("dest_ip", e.Dst)
	if err != nil {
		return err
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	f.Proto, _ = text.Proto(e.Proto)
	if err := e.ports(f); err != nil {
		return err
	}
	if err := e.counts(f); err != nil {
		return err
	}
	if f.Proto == weir.ProtoTCP && len(e.TCP) > 0 {
		return e.flags(f)
	}
	return nil
}

func (e *event) ports(f *weir.Flow) error {
	switch {
	case text.IsICMP(f.Proto) && len(e.ICMPType) > 0 && len(e.ICMPCode) > 0:
		kind, err := text.Uint("icmp_type", e.ICMPType, 8)
		if err != nil {
			return err
		}
		code, err := text.Uint("icmp_code", e.ICMPCode, 8)
		if err != nil {
			return err
		}
		text.SetICMP(f, uint8(kind), uint8(code)) //nolint:gosec // 8 bits
	case text.HasPorts(f.Proto) && len(e.SrcPort) > 0 && len(e.DstPort) > 0:
		sp, err := text.Port("src_port", e.SrcPort)
		if err != nil {
			return err
		}
		dp, err := text.Port("dest_port", e.DstPort)
		if err != nil {
			return err
		}
		f.Src, f.Dst = netip.AddrPortFrom(f.Src.Addr(), sp), netip.AddrPortFrom(f.Dst.Addr(), dp)
		f.Known |= weir.HasPorts
	}
	return nil
}

func (e *event) counts(f *weir.Flow) error {
	var c counters
	if len(e.Flow) == 0 {
		return text.Bad("flow", nil, errMissing)
	}
	if err := json.Unmarshal(e.Flow, &c); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	var err error
	if f.Start, err = text.Time("flow.start", c.Start); err != nil {
		return err
	}
	f.End = f.Start
	if len(c.End) > 0 {
		end, err := text.Time("flow.end", c.End)
		if err != nil {
			return err
		}
		f.End = max(f.Start, end)
	}
	both := func(bit weir.Fields, name string, out, in text.Value) (a, b uint64, err error) {
		if len(out) == 0 || len(in) == 0 {
			return 0, 0, nil
		}
		if a, err = text.Uint(name+"_toserver", out, 64); err != nil {
			return 0, 0, err
		}
		if b, err = text.Uint(name+"_toclient", in, 64); err != nil {
			return 0, 0, err
		}
		f.Known |= bit
		return a, b, nil
	}
	if f.Packets, f.RevPackets, err = both(weir.HasPackets, "pkts", c.PktsToServer, c.PktsToClient); err != nil {
		return err
	}
	if f.Bytes, f.RevBytes, err = both(weir.HasBytes, "bytes", c.BytesToServer, c.BytesToClient); err != nil {
		return err
	}
	switch string(c.Action) {
	case "drop", "reject":
		f.Action = weir.ActionDeny
	case "accept", "pass":
		f.Action = weir.ActionAllow
	}
	f.VLAN = e.vlan()
	return nil
}

// vlan returns the outermost VLAN; Suricata writes a list of tags or a number.
func (e *event) vlan() uint16 {
	v := bytes.Trim(e.VLAN, "[ ]")
	v, _, _ = bytes.Cut(v, []byte{','})
	n, err := text.Uint("vlan", bytes.TrimSpace(v), 12)
	if err != nil {
		return 0
	}
	return uint16(n) //nolint:gosec // 12 bits
}

func (e *event) flags(f *weir.Flow) error {
	var t tcp
	if err := json.Unmarshal(e.TCP, &t); err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	if len(t.ToServer) == 0 || len(t.ToClient) == 0 {
		return nil
	}
	hex := func(field string, v text.Value) (uint16, error) {
		n, err := strconv.ParseUint(string(v[:min(len(v), 8)]), 16, 8)
		if err != nil {
			return 0, text.Bad(field, v, errors.New("is not a hexadecimal byte"))
		}
		return uint16(n), nil
	}
	var err error
	if f.TCPFlags, err = hex("tcp_flags_ts", t.ToServer); err != nil {
		return err
	}
	if f.RevTCPFlags, err = hex("tcp_flags_tc", t.ToClient); err != nil {
		return err
	}
	f.Known |= weir.HasFlags | weir.HasRevFlags
	return nil
}

package netflow

import (
	"encoding/binary"
	"math"
	"net/netip"

	weir "github.com/weir-net/weir"
)

// message is what the header of a datagram says, for the records in it.
type message struct {
	version    uint16
	domain     uint32
	exportTime int64 // Unix ns; that of receipt when the header says none
	uptime     uint32
	received   int64

	header     uint32  // sampling rate in the header, 0 none
	configured uint32  // that of the operator, where the exporter says nothing
	forced     uint32  // that of the operator, whatever the exporter says
	whole      *domain // what the exporter said of itself as a whole, or nil
}

// load reads an unsigned integer of 1 to 8 bytes; of longer ones the last 8.
func load(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// exec runs the operations of t over the records in data, which are stride
// bytes apart, into out, one flow for each. The caller sees to it that data
// holds len(out) records.
func (s *domain) exec(t *template, m *message, data []byte, stride int, out []weir.Flow) {
	base := t.base
	base.Exporter, base.Domain, base.Format = s.key.exporter, s.key.domain, formatOf(m.version)
	r := s.rateFor(m, t.has[slotSelector])
	base.Sampling, base.SamplingSource = r.n, r.source
	ops, at, ordered := t.ops, t.samplingAt, false
	if k := t.plain; k != nil {
		k.fill(m, data, stride, &base, out)
		ops, at, ordered = k.rest, k.samplingAt, k.ordered
	} else {
		for i := range out {
			out[i] = base
		}
	}
	switch {
	case m.forced != 0:
		// The operator's word stands: what the records say of sampling is not
		// read. The operations before and after run as ever.
		s.run(ops[:at], m, data, stride, out)
		ops = ops[at+t.samplingOps:]
	case len(s.sampling.interfaces) > 0:
		s.run(ops[:at], m, data, stride, out)
		s.byInterface(out)
		ops = ops[at:]
	}
	s.run(ops, m, data, stride, out)
	if !ordered {
		finish(t, m, out)
	}
}

// run is the decoder's inner loop: op by op, record by record. Each loop walks
// the column of one field; the slice expression keeps the bounds check to one.
//
//nolint:gocyclo,cyclop,funlen,gocognit // one flat loop per field
func (s *domain) run(ops []op, m *message, data []byte, stride int, out []weir.Flow) {
	for k := range ops {
		o := &ops[k]
		at := int(o.off)
		switch o.code {
		case codeSrc4:
			for i := range out {
				out[i].Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[at:at+4])), 0)
				at += stride
			}
		case codeDst4:
			for i := range out {
				out[i].Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[at:at+4])), 0)
				at += stride
			}
		case codeSrc6:
			for i := range out {
				a := netip.AddrFrom16([16]byte(data[at : at+16])).Unmap()
				at += stride
				if o.onlyIfZero && (a.IsUnspecified() || !out[i].Src.Addr().IsUnspecified()) {
					continue
				}
				out[i].Src = netip.AddrPortFrom(a, 0)
			}
		case codeDst6:
			for i := range out {
				a := netip.AddrFrom16([16]byte(data[at : at+16])).Unmap()
				at += stride
				if o.onlyIfZero && (a.IsUnspecified() || !out[i].Dst.Addr().IsUnspecified()) {
					continue
				}
				out[i].Dst = netip.AddrPortFrom(a, 0)
			}
		case codeSrcPort2:
			for i := range out {
				out[i].Src = netip.AddrPortFrom(out[i].Src.Addr(), binary.BigEndian.Uint16(data[at:]))
				at += stride
			}
		case codeDstPort2:
			for i := range out {
				out[i].Dst = netip.AddrPortFrom(out[i].Dst.Addr(), binary.BigEndian.Uint16(data[at:]))
				at += stride
			}
		case codeProto1:
			for i := range out {
				out[i].Proto = data[at]
				at += stride
			}
		case codeFlags1:
			for i := range out {
				out[i].TCPFlags = uint16(data[at])
				at += stride
			}
		case codePackets4:
			for i := range out {
				out[i].Packets = uint64(binary.BigEndian.Uint32(data[at:]))
				at += stride
			}
		case codePackets8:
			for i := range out {
				out[i].Packets = binary.BigEndian.Uint64(data[at:])
				at += stride
			}
		case codeBytes4:
			for i := range out {
				out[i].Bytes = uint64(binary.BigEndian.Uint32(data[at:]))
				at += stride
			}
		case codeBytes8:
			for i := range out {
				out[i].Bytes = binary.BigEndian.Uint64(data[at:])
				at += stride
			}
		case codeInput4:
			for i := range out {
				out[i].InputIf = binary.BigEndian.Uint32(data[at:])
				at += stride
			}
		case codeInput2:
			for i := range out {
				out[i].InputIf = uint32(binary.BigEndian.Uint16(data[at:]))
				at += stride
			}
		case codeOutput4:
			for i := range out {
				out[i].OutputIf = binary.BigEndian.Uint32(data[at:])
				at += stride
			}
		case codeOutput2:
			for i := range out {
				out[i].OutputIf = uint32(binary.BigEndian.Uint16(data[at:]))
				at += stride
			}
		case codeStartMillis8:
			for i := range out {
				if v := binary.BigEndian.Uint64(data[at:]); v <= maxMillis {
					out[i].Start = int64(v) * millisecond
				}
				at += stride
			}
		case codeEndMillis8:
			for i := range out {
				if v := binary.BigEndian.Uint64(data[at:]); v <= maxMillis {
					out[i].End = int64(v) * millisecond
				}
				at += stride
			}
		case codeStartUptime4:
			for i := range out {
				out[i].Start = m.switched(binary.BigEndian.Uint32(data[at:]))
				at += stride
			}
		case codeEndUptime4:
			for i := range out {
				out[i].End = m.switched(binary.BigEndian.Uint32(data[at:]))
				at += stride
			}
		case codeInterval4:
			for i := range out {
				if v := binary.BigEndian.Uint32(data[at:]); v != 0 {
					out[i].Sampling, out[i].SamplingSource = v, weir.SamplingRecord
				}
				at += stride
			}
		case codeUint:
			for i := range out {
				assign(&out[i], o, load(data[at:at+int(o.len)]))
				at += stride
			}
		case codeForwarding1:
			for i := range out {
				if data[at]>>6 == forwardingDropped {
					out[i].Action = weir.ActionDeny
				}
				at += stride
			}
		case codeSelector:
			s.bySelector(o, m, data, stride, out)
		default:
			for i := range out {
				special(&out[i], o, m, s, data[i*stride:])
			}
		}
	}
}

// forwardingDropped is the status of a packet that was dropped: the two high
// bits of the octet, RFC 7270, section 4.12. Forwarded says nothing of a
// firewall.
const forwardingDropped = 2

// maxMillis and maxSeconds are the last times that fit in Unix ns (year 2262).
const (
	maxMillis  = math.MaxInt64 / millisecond
	maxSeconds = math.MaxInt64 / second
)

// sinceBoot turns the uptime at which something happened into Unix ns. The
// difference to the uptime in the header is taken modulo 2^32 ms and signed, so
// that neither a wrap of the counter (every 49.7 days) nor a record a little
// ahead of its header makes a jump.
func (m *message) sinceBoot(uptime uint32) int64 {
	return m.exportTime - int64(int32(m.uptime-uptime))*millisecond //nolint:gosec // the wrap is meant
}

// switched is sinceBoot for the fields first and last switched. Zero is what
// exporters send that do not know: 0.
func (m *message) switched(uptime uint32) int64 {
	if uptime == 0 {
		return 0
	}
	return m.sinceBoot(uptime)
}

// assign puts an integer where its slot says.
//
//nolint:gosec // values are cut to the width of their field, as exported
func assign(f *weir.Flow, o *op, v uint64) {
	switch o.slot {
	case slotProto:
		f.Proto = uint8(v)
	case slotSrcPort:
		f.Src = netip.AddrPortFrom(f.Src.Addr(), uint16(v))
	case slotDstPort:
		f.Dst = netip.AddrPortFrom(f.Dst.Addr(), uint16(v))
	case slotFlags, slotFlagsInitial, slotFlagsUnion:
		f.TCPFlags |= uint16(v)
	case slotRevFlags, slotRevFlagsInitial, slotRevFlagsUnion:
		f.RevTCPFlags |= uint16(v)
	case slotPackets:
		f.Packets = v
	case slotBytes:
		f.Bytes = v
	case slotRevPackets:
		f.RevPackets = v
	case slotRevBytes:
		f.RevBytes = v
	case slotInput:
		if !o.onlyIfZero || f.InputIf == 0 {
			f.InputIf = uint32(v)
		}
	case slotOutput:
		if !o.onlyIfZero || f.OutputIf == 0 {
			f.OutputIf = uint32(v)
		}
	case slotVLAN:
		if !o.onlyIfZero || f.VLAN == 0 {
			f.VLAN = uint16(v) & 0x0fff
		}
	case slotInterval, slotRandomInterval:
		if n := clampRate(v); n != 0 {
			f.Sampling, f.SamplingSource = n, weir.SamplingRecord
		}
	case slotFragment:
		if v != 0 {
			f.Known = f.Known&^(weir.HasPorts|weir.HasFlags|weir.HasRevFlags) | weir.IsFragment
			f.TCPFlags, f.RevTCPFlags = 0, 0
		}
	case slotEvent: // firewallEvent: 1 created, 2 deleted, 3 denied, 5 update
		switch v {
		case 1, 2, 5:
			f.Action = weir.ActionAllow
		case 3:
			f.Action = weir.ActionDeny
		}
	case slotBiflow: // RFC 5103, section 6.3
		switch v {
		case 1:
			f.Initiator = weir.InitiatorSrc
		case 2:
			f.Initiator = weir.InitiatorDst
		default:
			f.Initiator = weir.InitiatorUnknown
		}
	}
}

// special runs the operations that are rare or read more than one field. b
// starts at the record.
func special(f *weir.Flow, o *op, m *message, s *domain, b []byte) {
	v := load(b[o.off : int(o.off)+int(o.len)])
	switch o.code {
	case codeTime:
		t := toTime(o.form, v, int(o.len), m)
		switch {
		case o.slot == slotStart:
			f.Start = t
		case o.slot == slotEnd:
			f.End = t
		case f.Start == 0 && f.End == 0:
			f.Start, f.End = t, t
		case f.End == 0:
			f.End = t
		}
	case codeUptime:
		o.uptimes(f, m, s, b)
	case codeDuration:
		d := int64(min(v, math.MaxUint32)) * microsecond
		if o.form == formMillis {
			d *= 1000
		}
		switch {
		case f.Start == 0 && f.End == 0:
			f.End = m.exportTime
			f.Start = f.End - d
		case f.Start == 0:
			f.Start = f.End - d
		case f.End == 0:
			f.End = f.Start + d
		}
	case codeRatio:
		if n := ratio(o.slot, v, load(b[o.off2:int(o.off2)+int(o.len2)])); n != 0 {
			f.Sampling, f.SamplingSource = n, weir.SamplingRecord
		}
	case codeProbability:
		if n := fromProbability(v, int(o.len)); n != 0 {
			f.Sampling, f.SamplingSource = n, weir.SamplingRecord
		}
	case codeICMP:
		o.icmp(f, v, b)
	case codeForwarding:
		if v>>6&3 == forwardingDropped {
			f.Action = weir.ActionDeny
		}
	}
}

// icmp sets the destination port to type*256+code, on records of its protocol.
func (o *op) icmp(f *weir.Flow, v uint64, b []byte) {
	proto := uint8(weir.ProtoICMP)
	if o.slot == slotICMP6 || o.slot == slotICMP6Type {
		proto = weir.ProtoICMPv6
	}
	if f.Proto != proto {
		return
	}
	if o.slot == slotICMP4Type || o.slot == slotICMP6Type {
		v = v & 0xff << 8
		if o.len2 != 0 {
			v |= load(b[o.off2:int(o.off2)+int(o.len2)]) & 0xff
		}
	}
	f.Src = netip.AddrPortFrom(f.Src.Addr(), 0)
	f.Dst = netip.AddrPortFrom(f.Dst.Addr(), uint16(v))
	f.Known |= weir.HasPorts
}

// uptimes resolves first and last switched where the header tells no uptime:
// from the time of init in the record, or told by an options record. Without
// one only their distance is known, and the flow ends at the time of export.
func (o *op) uptimes(f *weir.Flow, m *message, s *domain, b []byte) {
	var first, last uint32
	if o.len != 0 {
		first = uint32(load(b[o.off : int(o.off)+int(o.len)])) //nolint:gosec // 32 bits
	}
	if o.len2 != 0 {
		last = uint32(load(b[o.off2 : int(o.off2)+int(o.len2)])) //nolint:gosec // 32 bits
	}
	var boot int64
	if o.len3 != 0 {
		boot = fromMillis(load(b[o.off3 : int(o.off3)+int(o.len3)]))
	}
	if boot == 0 {
		boot = s.systemInit
	}
	if boot == 0 {
		if o.len2 != 0 {
			f.End = m.exportTime
			if d := int32(last - first); o.len != 0 && d > 0 {
				f.Start = f.End - int64(d)*millisecond
			}
		}
		return
	}
	// Which wrap of the counter is meant: the one nearest to the export.
	now := message{exportTime: m.exportTime, uptime: uint32((m.exportTime - boot) / millisecond)} //nolint:gosec // the wrap is meant
	if o.len != 0 {
		f.Start = now.sinceBoot(first)
	}
	if o.len2 != 0 {
		f.End = now.sinceBoot(last)
	}
}

// toTime reads an absolute or relative time, 0 for one that cannot be.
func toTime(form form, v uint64, length int, m *message) int64 {
	switch form {
	case formSeconds:
		if v <= maxSeconds {
			return int64(v) * second
		}
	case formMillis:
		return fromMillis(v)
	case formMicros:
		// The low 11 bits of the fraction are noise, RFC 7011, section 6.1.9.
		return fromNTP(v&^0x7ff, length)
	case formNanos:
		return fromNTP(v, length)
	case formDelta:
		if v <= math.MaxUint32 {
			return m.exportTime - int64(v)*microsecond
		}
	case formUptime:
		return m.switched(uint32(v)) //nolint:gosec // 32 bits
	case formPlain, formEther, formIP:
	}
	return 0
}

func fromMillis(v uint64) int64 {
	if v > maxMillis {
		return 0
	}
	return int64(v) * millisecond
}

// fromNTP reads a 64-bit NTP timestamp: seconds since 1900 and a fraction. The
// seconds wrap in 2036; those with the high bit clear belong to the next era
// (RFC 4330, section 3).
func fromNTP(v uint64, length int) int64 {
	if v == 0 || length != 8 {
		return 0
	}
	const epoch = 2208988800 // from 1900 to 1970, in seconds
	sec := int64(v >> 32)
	if sec&0x80000000 == 0 {
		sec += 1 << 32
	}
	return (sec-epoch)*second + int64((v&0xffffffff)*second>>32)
}

// finish puts in order what depends on more than one field.
func finish(t *template, m *message, out []weir.Flow) {
	proto := t.has[slotProto]
	for i := range out {
		order(&out[i], m, proto)
	}
}

// order mends the times of a flow, and the ports by its protocol, if that is
// known.
func order(f *weir.Flow, m *message, proto bool) {
	if f.Start <= 0 || f.End <= 0 || f.Start > f.End {
		mendTimes(f, m)
	}
	if f.Known&weir.HasPorts != 0 {
		switch f.Proto {
		case weir.ProtoTCP, weir.ProtoUDP, protoDCCP, protoSCTP, protoUDPLite:
			// Exporters that do not tell fragments apart give them ports of
			// zero, as do those that count without ports.
			if f.Src.Port()|f.Dst.Port() == 0 {
				f.Known &^= weir.HasPorts
			}
			return
		case weir.ProtoICMP, weir.ProtoICMPv6:
			f.Src = netip.AddrPortFrom(f.Src.Addr(), 0)
			return
		}
		if !proto {
			return
		}
		f.Known &^= weir.HasPorts
	}
	f.Src = netip.AddrPortFrom(f.Src.Addr(), 0)
	f.Dst = netip.AddrPortFrom(f.Dst.Addr(), 0)
}

// Protocols with ports besides TCP and UDP, IANA.
const (
	protoDCCP    = 33
	protoSCTP    = 132
	protoUDPLite = 136
)

// mendTimes gives a flow both times: one stands for the other, and the time of
// export for both. A start after the end is an error of the exporter; the end
// is what windows go by, and stands.
func mendTimes(f *weir.Flow, m *message) {
	if f.End <= 0 {
		f.End = f.Start
	}
	if f.End <= 0 {
		f.End = m.exportTime
	}
	if f.Start <= 0 || f.Start > f.End {
		f.Start = f.End
	}
}

package netflow

import (
	"encoding/binary"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
)

// plain is the part of a template that nearly all templates have in common:
// both ends, protocol and ports in their full lengths, and counters, interfaces
// and times in their usual ones. It is read in one loop that writes every field
// of a flow once; the operations for what else the template holds run after it.
type plain struct {
	six              bool
	srcPort, dstPort int // offsets
	src, dst, proto  int
	flags            column // 1 byte
	packets, bytes   column // 4 or 8 bytes
	input, output    column // 2 or 4 bytes
	start, end       column // 8 bytes: Unix ms; 4 bytes: ms of uptime
	ordered          bool   // nothing that runs later changes times, protocol or ports
	last             int    // where the field ends that stands last
	rest             []op
	samplingAt       int // as in template, for rest
}

// column is a field that may be missing: it then has no bytes.
type column struct{ off, len int }

// take makes an operation a part of k and reports whether it is of the kind that
// can be: it writes fields that no operation before it in the order of emit
// writes.
func (k *plain) take(o *op) bool {
	off := int(o.off)
	c := column{off, int(o.len)}
	switch o.code {
	case codeSrc4:
		k.src = off
	case codeDst4:
		k.dst = off
	case codeSrc6:
		k.src, k.six = off, true
	case codeDst6:
		k.dst, k.six = off, true
	case codeProto1:
		k.proto = off
	case codeSrcPort2:
		k.srcPort = off
	case codeDstPort2:
		k.dstPort = off
	case codeFlags1:
		k.flags = c
	case codePackets4, codePackets8:
		k.packets = c
	case codeBytes4, codeBytes8:
		k.bytes = c
	case codeInput2, codeInput4:
		k.input = c
	case codeOutput2, codeOutput4:
		k.output = c
	case codeStartMillis8, codeStartUptime4:
		k.start = c
	case codeEndMillis8, codeEndUptime4:
		k.end = c
	default:
		return false
	}
	k.last = max(k.last, off+int(o.len))
	return true
}

// hasOp reports whether a template has an operation.
func (t *template) hasOp(c code) bool {
	return slices.ContainsFunc(t.ops, func(o op) bool { return o.code == c })
}

// simplify finds the plain part of a template, if it has one.
func (t *template) simplify() {
	four := t.hasOp(codeSrc4) && t.hasOp(codeDst4)
	six := t.hasOp(codeSrc6) && t.hasOp(codeDst6)
	if four == six || !t.hasOp(codeProto1) || !t.hasOp(codeSrcPort2) || !t.hasOp(codeDstPort2) ||
		four && (t.hasOp(codeSrc6) || t.hasOp(codeDst6)) || six && (t.hasOp(codeSrc4) || t.hasOp(codeDst4)) {
		return
	}
	k := &plain{ordered: true}
	for i := range t.ops {
		o := &t.ops[i]
		if i == t.samplingAt {
			k.samplingAt = len(k.rest)
		}
		if k.take(o) {
			continue
		}
		k.rest = append(k.rest, *o)
		k.ordered = k.ordered && o.leavesOrder()
	}
	if t.samplingAt >= len(t.ops) {
		k.samplingAt = len(k.rest)
	}
	t.plain = k
}

// leavesOrder reports whether an operation leaves alone what order looks at:
// times, protocol, ports and what is known.
func (o *op) leavesOrder() bool {
	switch o.code {
	case codeInterval4, codeRatio, codeProbability, codeSelector, codeForwarding, codeForwarding1:
		return true
	case codeUint:
		switch o.slot {
		case slotFlags, slotFlagsInitial, slotFlagsUnion, slotRevFlags, slotRevFlagsInitial, slotRevFlagsUnion,
			slotPackets, slotBytes, slotRevPackets, slotRevBytes, slotInput, slotOutput, slotVLAN,
			slotInterval, slotRandomInterval, slotEvent, slotBiflow:
			return true
		}
	}
	return false
}

// fill reads the plain part of the records in data, which are stride bytes
// apart, into out: every field of each flow, those of base where the records
// say nothing.
func (k *plain) fill(m *message, data []byte, stride int, base *weir.Flow, out []weir.Flow) {
	for i := range out {
		b := data[i*stride:]
		b = b[:k.last]
		f := &out[i]
		sport, dport := binary.BigEndian.Uint16(b[k.srcPort:]), binary.BigEndian.Uint16(b[k.dstPort:])
		if k.six {
			f.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[k.src:])).Unmap(), sport)
			f.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[k.dst:])).Unmap(), dport)
		} else {
			f.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[k.src:])), sport)
			f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[k.dst:])), dport)
		}
		f.Packets, f.Bytes = k.packets.counter(b), k.bytes.counter(b)
		f.RevPackets, f.RevBytes = 0, 0
		f.Sampling = base.Sampling
		f.InputIf, f.OutputIf = k.input.index(b), k.output.index(b)
		f.Domain = base.Domain
		f.Exporter = base.Exporter
		f.VLAN = 0
		flags := uint16(0)
		if k.flags.len != 0 {
			flags = uint16(b[k.flags.off])
		}
		f.TCPFlags, f.RevTCPFlags = flags, 0
		f.Proto = b[k.proto]
		f.Known = base.Known
		f.SamplingSource = base.SamplingSource
		f.Action, f.Initiator = base.Action, base.Initiator
		f.Format = base.Format
		f.Start, f.End = k.start.time(m, b), k.end.time(m, b)
		if k.ordered {
			order(f, m, true)
		}
	}
}

// counter reads a counter, 0 if it is missing.
func (c column) counter(b []byte) uint64 {
	switch c.len {
	case 4:
		return uint64(binary.BigEndian.Uint32(b[c.off:]))
	case 8:
		return binary.BigEndian.Uint64(b[c.off:])
	}
	return 0
}

// index reads an interface, 0 if it is missing.
func (c column) index(b []byte) uint32 {
	switch c.len {
	case 4:
		return binary.BigEndian.Uint32(b[c.off:])
	case 2:
		return uint32(binary.BigEndian.Uint16(b[c.off:]))
	}
	return 0
}

// time reads a time, 0 if it is missing or cannot be.
func (c column) time(m *message, b []byte) int64 {
	switch c.len {
	case 8:
		return fromMillis(binary.BigEndian.Uint64(b[c.off:]))
	case 4:
		return m.switched(binary.BigEndian.Uint32(b[c.off:]))
	}
	return 0
}

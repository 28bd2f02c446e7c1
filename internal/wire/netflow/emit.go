package netflow

import (
	weir "github.com/weir-net/weir"
)

// op moves one field of a record, or a pair of them, into the flow.
type op struct {
	code       code
	slot       slot
	form       form
	len, len2  uint8  // bytes, at most 16; 0: there is no such field
	off, off2  uint16 // offsets in the record
	len3       uint8
	off3       uint16
	onlyIfZero bool // the value is a second choice
}

// code is the operation. The common fields in their common lengths have a code
// of their own, so that their loop holds no decision.
type code uint8

const (
	codeUint code = iota // any integer slot in any length
	codeSrc4
	codeDst4
	codeSrc6
	codeDst6
	codeSrcPort2
	codeDstPort2
	codeProto1
	codeFlags1
	codePackets4
	codePackets8
	codeBytes4
	codeBytes8
	codeInput4
	codeOutput4
	codeInput2
	codeOutput2
	codeStartMillis8
	codeEndMillis8
	codeStartUptime4
	codeEndUptime4
	codeInterval4
	codeTime     // slotStart, slotEnd or slotObserved in any form
	codeUptime   // first, last and the time of init, where the header tells no uptime
	codeDuration // the end that is missing
	codeRatio    // sampling as a pair of numbers
	codeProbability
	codeSelector
	codeICMP
	codeForwarding
	codeForwarding1
)

// known sets what the template says about all its records, and drops reverse
// counters that come without their forward twin's kind: a flow cannot say that
// it knows the bytes of both directions but the packets of one.
func (t *template) known(win *[slots]field) {
	var k weir.Fields
	if t.has[slotPackets] {
		k |= weir.HasPackets
	}
	if t.has[slotBytes] {
		k |= weir.HasBytes
	}
	if t.has[slotFlags] || t.has[slotFlagsInitial] || t.has[slotFlagsUnion] {
		k |= weir.HasFlags
	}
	if t.has[slotSrcPort] && t.has[slotDstPort] {
		k |= weir.HasPorts
	} else {
		t.has[slotSrcPort], t.has[slotDstPort] = false, false
	}
	if t.has[slotRevPackets] || t.has[slotRevBytes] {
		if t.has[slotPackets] == t.has[slotRevPackets] && t.has[slotBytes] == t.has[slotRevBytes] {
			k |= weir.HasReverse
		} else {
			t.has[slotRevPackets], t.has[slotRevBytes] = false, false
		}
	}
	if t.has[slotRevFlags] || t.has[slotRevFlagsInitial] || t.has[slotRevFlagsUnion] {
		k |= weir.HasRevFlags
	}
	t.base.Known = k
	// Elements 231, 232, 298 and 299 are named after the initiator, which is
	// the source of the record; element 239 says so, or else, per record.
	for _, s := range [...]slot{slotPackets, slotBytes, slotRevPackets, slotRevBytes} {
		if t.has[s] && win[s].rank == 1 {
			t.base.Initiator = weir.InitiatorSrc
		}
	}
}

// emit writes the operations in the order in which they must run.
func (t *template) emit(version uint16, win *[slots]field) {
	if t.kind == kindOptions {
		t.emitOptions(win)
		return
	}
	if t.kind == kindOther {
		return
	}
	add := func(o op) { t.ops = append(t.ops, o) }
	plain := func(s slot, c code) {
		if t.has[s] {
			add(makeOp(c, win[s]))
		}
	}
	// sized uses the code of a length where there is one.
	sized := func(s slot) {
		if t.has[s] {
			add(makeOp(sizedCode(s, win[s].length), win[s]))
		}
	}
	second := func(s slot, into slot) {
		if t.has[s] {
			o := makeOp(codeUint, win[s])
			o.slot, o.onlyIfZero = into, t.has[into]
			add(o)
			t.has[into] = true
		}
	}
	plain(slotSrc4, codeSrc4)
	plain(slotDst4, codeDst4)
	if t.has[slotSrc6] {
		o := makeOp(codeSrc6, win[slotSrc6])
		o.onlyIfZero = t.has[slotSrc4]
		add(o)
	}
	if t.has[slotDst6] {
		o := makeOp(codeDst6, win[slotDst6])
		o.onlyIfZero = t.has[slotDst4]
		add(o)
	}
	sized(slotProto)
	sized(slotSrcPort)
	sized(slotDstPort)
	sized(slotFlags)
	for _, s := range [...]slot{slotFlagsInitial, slotFlagsUnion, slotRevFlags, slotRevFlagsInitial, slotRevFlagsUnion, slotRevPackets, slotRevBytes} {
		plain(s, codeUint)
	}
	sized(slotPackets)
	sized(slotBytes)
	sized(slotInput)
	second(slotInputPhysical, slotInput)
	sized(slotOutput)
	second(slotOutputPhysical, slotOutput)
	plain(slotVLAN, codeUint)
	second(slotDot1q, slotVLAN)
	second(slotPostDot1q, slotVLAN)
	t.emitTimes(version, win, add)
	t.emitSampling(win, add)
	t.emitICMP(win, add)
	if t.has[slotForwarding] {
		o := makeOp(codeForwarding, win[slotForwarding])
		if o.len == 1 {
			o.code = codeForwarding1
		}
		add(o)
	}
	plain(slotEvent, codeUint)
	plain(slotBiflow, codeUint)
	plain(slotFragment, codeUint) // last: it takes ports and flags away
}

// sizedCode is the operation that reads a slot in its most common lengths, or
// that which reads any.
func sizedCode(s slot, length uint16) code {
	switch {
	case s == slotProto && length == 1:
		return codeProto1
	case s == slotSrcPort && length == 2:
		return codeSrcPort2
	case s == slotDstPort && length == 2:
		return codeDstPort2
	case s == slotFlags && length == 1:
		return codeFlags1
	case s == slotPackets && length == 4:
		return codePackets4
	case s == slotPackets && length == 8:
		return codePackets8
	case s == slotBytes && length == 4:
		return codeBytes4
	case s == slotBytes && length == 8:
		return codeBytes8
	case s == slotInput && length == 2:
		return codeInput2
	case s == slotInput && length == 4:
		return codeInput4
	case s == slotOutput && length == 2:
		return codeOutput2
	case s == slotOutput && length == 4:
		return codeOutput4
	}
	return codeUint
}

func makeOp(c code, f field) op {
	return op{code: c, slot: f.slot, form: f.form, len: uint8(f.length), off: uint16(f.off)} //nolint:gosec // both bounded by compile
}

// emitTimes writes the operations for start and end.
func (t *template) emitTimes(version uint16, win *[slots]field, add func(op)) {
	start, end := win[slotStart], win[slotEnd]
	upStart := t.has[slotStart] && start.form == formUptime
	upEnd := t.has[slotEnd] && end.form == formUptime
	// The header of version 9 tells the uptime, that of IPFIX does not. A time
	// of init in the record itself is better than both.
	relative := (upStart || upEnd) && (version != Version9 || t.has[slotSystemInit])
	if t.has[slotStart] && (!upStart || !relative) {
		o := makeOp(codeTime, start)
		switch {
		case start.form == formMillis && start.length == 8:
			o.code = codeStartMillis8
		case start.form == formUptime && start.length == 4:
			o.code = codeStartUptime4
		}
		add(o)
	}
	if t.has[slotEnd] && (!upEnd || !relative) {
		o := makeOp(codeTime, end)
		switch {
		case end.form == formMillis && end.length == 8:
			o.code = codeEndMillis8
		case end.form == formUptime && end.length == 4:
			o.code = codeEndUptime4
		}
		add(o)
	}
	if relative {
		o := op{code: codeUptime}
		if upStart {
			o.off, o.len = uint16(start.off), uint8(start.length) //nolint:gosec // bounded by compile
		}
		if upEnd {
			o.off2, o.len2 = uint16(end.off), uint8(end.length) //nolint:gosec // bounded by compile
		}
		if t.has[slotSystemInit] {
			o.off3, o.len3 = uint16(win[slotSystemInit].off), uint8(win[slotSystemInit].length) //nolint:gosec // bounded by compile
		}
		add(o)
	}
	if t.has[slotObserved] {
		add(makeOp(codeTime, win[slotObserved]))
	}
	if t.has[slotDuration] {
		add(makeOp(codeDuration, win[slotDuration]))
	}
}

// emitSampling writes the operations for the rate, the weakest first: each
// overwrites what stands when it has something to say.
func (t *template) emitSampling(win *[slots]field, add func(op)) {
	n := len(t.ops)
	if t.has[slotSelector] {
		add(makeOp(codeSelector, win[slotSelector]))
	}
	rateOps(t, win, add)
	for i := range t.ops[n:] {
		if o := &t.ops[n+i]; o.code == codeUint && o.slot == slotInterval && o.len == 4 {
			o.code = codeInterval4
		}
	}
	t.samplingOps = len(t.ops) - n
	t.samplingAt = n
}

// rateOps writes the operations for a rate that is spelled out. Both pairs
// need both of their halves (RFC 5477, sections 8.2.2 to 8.2.7).
func rateOps(t *template, win *[slots]field, add func(op)) {
	if t.has[slotProbability] {
		add(makeOp(codeProbability, win[slotProbability]))
	}
	pair := func(a, b slot) {
		if t.has[a] && t.has[b] {
			o := makeOp(codeRatio, win[a])
			o.off2, o.len2 = uint16(win[b].off), uint8(win[b].length) //nolint:gosec // bounded by compile
			add(o)
		}
	}
	pair(slotSampleSize, slotPopulation)
	pair(slotCountInterval, slotCountSpace)
	if t.has[slotInterval] {
		add(makeOp(codeUint, win[slotInterval]))
	}
	if t.has[slotRandomInterval] {
		add(makeOp(codeUint, win[slotRandomInterval]))
	}
}

// emitICMP writes the operations for type and code, for either protocol.
func (t *template) emitICMP(win *[slots]field, add func(op)) {
	one := func(both, typ, cod slot) {
		o := op{code: codeICMP, slot: both}
		switch {
		case t.has[both]:
			o.off, o.len = uint16(win[both].off), uint8(win[both].length) //nolint:gosec // bounded by compile
		case t.has[typ]:
			o.slot = typ
			o.off, o.len = uint16(win[typ].off), uint8(win[typ].length) //nolint:gosec // bounded by compile
			if t.has[cod] {
				o.off2, o.len2 = uint16(win[cod].off), uint8(win[cod].length) //nolint:gosec // bounded by compile
			}
		default:
			return
		}
		add(o)
	}
	one(slotICMP4, slotICMP4Type, slotICMP4Code)
	one(slotICMP6, slotICMP6Type, slotICMP6Code)
}

// emitOptions writes the operations for options records: what is told, and
// about whom.
func (t *template) emitOptions(win *[slots]field) {
	add := func(o op) { t.ops = append(t.ops, o) }
	for _, s := range [...]slot{slotSelector, slotInterface, slotDomain, slotSystemInit} {
		if t.has[s] {
			add(makeOp(codeUint, win[s]))
		}
	}
	rateOps(t, win, add)
}

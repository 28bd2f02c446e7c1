package workload

import (
	"encoding/binary"
	"io"
)

// encoder spells flows. Flush writes what is left.
type encoder interface {
	add(f *Flow)
	flush()
}

// sink writes datagrams or the bytes of a capture and keeps the totals. The
// first error of the writer stays.
type sink struct {
	w       io.Writer
	capture bool
	totals  Totals
	err     error
}

// send writes one datagram, or one piece of a capture.
func (s *sink) send(b []byte) {
	if s.err != nil {
		return
	}
	s.totals.Payload += int64(len(b))
	if !s.capture {
		s.totals.Datagrams++
		var n [4]byte
		put32(n[:], uint32(len(b))) //nolint:gosec // a datagram
		if _, s.err = s.w.Write(n[:]); s.err != nil {
			return
		}
	}
	_, s.err = s.w.Write(b)
}

// count adds a flow to the checksum as the format tells it.
func (s *sink) count(bytes uint64, start int64, f *Flow) {
	s.totals.Checksum.Add(bytes, start, f.DstPort, f.Src)
}

func put32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, v) }

func app16[T int | uint16 | uint32](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint16(b, uint16(v))
}

func app32[T int | int64 | uint32](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(v))
}

// Identifiers of the templates.
const (
	template4 = 256
	template6 = 257
)

// fields returns the field specifiers of a template: element and length.
func fields(six, nine bool) [][2]int {
	out := [][2]int{{8, 4}, {12, 4}}
	if six {
		out = [][2]int{{27, 16}, {28, 16}}
	}
	out = append(out, [][2]int{{7, 2}, {11, 2}, {4, 1}, {5, 1}, {6, 1}, {10, 4}, {14, 4}, {2, 4}, {1, 4}}...)
	if nine {
		out = append(out, [][2]int{{22, 4}, {21, 4}}...)
	} else {
		out = append(out, [][2]int{{152, 8}, {153, 8}}...)
	}
	out = append(out, [2]int{34, 4})
	if six {
		out = append(out, [][2]int{{29, 1}, {30, 1}}...)
	} else {
		out = append(out, [][2]int{{9, 1}, {13, 1}}...)
	}
	last := 136
	if nine {
		last = 89
	}
	return append(out, [][2]int{{last, 1}, {61, 1}}...)
}

// queue holds the records of one template that wait to be sent.
type queue struct {
	id, full, n int
	body        []byte
}

// templated spells IPFIX, and with nine NetFlow version 9.
type templated struct {
	out       *sink
	nine      bool
	four, six queue
	now       int64
	records   int // sent
}

func newIPFIX(s *sink) encoder { return newTemplated(s, false) }

func newNetFlow9(s *sink) encoder { return newTemplated(s, true) }

func newTemplated(s *sink, nine bool) encoder {
	e := &templated{out: s, nine: nine, now: base, four: queue{id: template4, full: 24}, six: queue{id: template6, full: 18}}
	e.templates()
	return e
}

// message sends one set in one message.
func (e *templated) message(set, records int, body []byte) {
	if e.nine {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	var b []byte
	if e.nine {
		b = app16(app16(b, 9), records)
		b = app32(b, e.now-boot)
		b = app32(b, e.now/1000)
		b = app32(b, e.out.totals.Datagrams)
	} else {
		b = app16(app16(b, 10), 16+4+len(body))
		b = app32(b, e.now/1000)
		b = app32(b, e.records)
	}
	b = app32(b, 1) // domain or source id
	b = app16(app16(b, set), 4+len(body))
	e.out.send(append(b, body...))
}

// templates sends both templates.
func (e *templated) templates() {
	var body []byte
	for id := template4; id <= template6; id++ {
		spec := fields(id == template6, e.nine)
		body = app16(app16(body, id), len(spec))
		for _, f := range spec {
			body = app16(app16(body, f[0]), f[1])
		}
	}
	set := 2
	if e.nine {
		set = 0
	}
	e.message(set, 2, body)
	e.out.totals.Templates++
}

func (e *templated) add(f *Flow) {
	e.now = f.End
	e.out.count(uint64(f.Bytes), f.Start, f)
	q := &e.four
	if f.Six {
		q = &e.six
		q.body = append(append(q.body, f.Src[:]...), f.Dst[:]...)
	} else {
		q.body = append(append(q.body, f.Src[12:]...), f.Dst[12:]...)
	}
	b := app16(app16(q.body, f.SrcPort), f.DstPort)
	b = append(b, f.Proto, 0, f.Flags)
	b = app32(app32(app32(app32(b, f.Input), f.Output), f.Packets), f.Bytes)
	if e.nine {
		b = app32(app32(b, f.Start-boot), f.End-boot)
	} else {
		b = binary.BigEndian.AppendUint64(b, uint64(f.Start)) //nolint:gosec // after 1970
		b = binary.BigEndian.AppendUint64(b, uint64(f.End))   //nolint:gosec // after 1970
	}
	b = app32(b, Sampling)
	prefix, last := byte(24), byte(1)
	if f.Six {
		prefix = 64
	}
	if e.nine {
		last = 0x40 // forwarded
	}
	q.body = append(b, prefix, prefix, last, 0)
	if q.n++; q.n == q.full {
		e.data(q)
	}
}

// data sends the records of a queue.
func (e *templated) data(q *queue) {
	e.message(q.id, q.n, q.body)
	if e.nine {
		// Uptimes count from the time of export less the uptime, and the time of
		// export is in whole seconds: all starts are told too early by the rest.
		e.out.totals.Checksum -= Sum(int64(q.n) * (e.now % 1000)) //nolint:gosec // not negative
	}
	e.records += q.n
	q.n, q.body = 0, q.body[:0]
	if e.out.totals.Datagrams%2000 == 0 {
		e.templates()
	}
}

func (e *templated) flush() {
	for _, q := range []*queue{&e.four, &e.six} {
		if q.n > 0 {
			e.data(q)
		}
	}
}

// netflow5 spells NetFlow version 5.
type netflow5 struct {
	out     *sink
	body    []byte
	n, sent int
	now     int64
}

func newNetFlow5(s *sink) encoder { return &netflow5{out: s, now: base} }

func (e *netflow5) add(f *Flow) {
	e.now = f.End
	e.out.count(uint64(f.Bytes), f.Start, f)
	b := append(append(e.body, f.Src[12:]...), f.Dst[12:]...)
	b = app32(b, 0) // next hop
	b = app16(app16(b, f.Input), f.Output)
	b = app32(app32(b, f.Packets), f.Bytes)
	b = app32(app32(b, f.Start-boot), f.End-boot)
	b = app16(app16(b, f.SrcPort), f.DstPort)
	b = append(b, 0, f.Flags, f.Proto, 0) // padding, flags, protocol, type of service
	b = app32(b, 0)                       // AS numbers
	e.body = append(b, 24, 24, 0, 0)      // masks, padding
	if e.n++; e.n == 30 {
		e.flush()
	}
}

func (e *netflow5) flush() {
	if e.n == 0 {
		return
	}
	b := app16(app16(nil, 5), e.n)
	b = app32(b, e.now-boot)
	b = app32(app32(b, e.now/1000), e.now%1000*1_000_000)
	b = app32(b, e.sent)
	b = app16(app16(b, 0), 1<<14|Sampling) // engine, sampling
	e.out.send(append(b, e.body...))
	e.sent += e.n
	e.n, e.body = 0, e.body[:0]
}

// sflow spells sFlow version 5.
type sflow struct {
	out  *sink
	body []byte
	n, i int
	now  int64
}

func newSFlow(s *sink) encoder { return &sflow{out: s, now: base} }

func (e *sflow) add(f *Flow) {
	const header = 128
	e.now = f.End
	// IPv4 and IPv6 packets have the same length here; samples carry no time.
	e.out.count(1040, 0, f)
	b := app32(app32(e.body, 1), 32+8+16+header+8+16)
	b = app32(app32(b, e.i), f.Input)
	b = app32(app32(b, Sampling), e.i*Sampling)
	b = app32(b, 0) // drops
	b = app32(app32(app32(b, f.Input), f.Output), 2)
	b = app32(app32(b, 1), 16+header)
	b = app32(app32(app32(app32(b, 1), 1054), 4), header)
	at := len(b)
	b = packet(b, f, 1040, 1000, 1012)
	for len(b)-at < header {
		b = append(b, byte(len(b)-at)) //nolint:gosec // below the length of the header
	}
	b = app32(app32(b, 1001), 16)
	e.body = app32(app32(app32(app32(b, 10), 0), 20), 0)
	e.i++
	if e.n++; e.n == 6 {
		e.flush()
	}
}

func (e *sflow) flush() {
	if e.n == 0 {
		return
	}
	b := app32(app32(nil, 5), 1)
	b = append(b, 10, 9, 9, 1)
	b = app32(app32(b, 0), e.out.totals.Datagrams)
	b = app32(app32(b, e.now-boot), e.n)
	e.out.send(append(b, e.body...))
	e.n, e.body = 0, e.body[:0]
}

// packet appends the Ethernet, IP and transport headers of a flow, with the
// lengths given: of the IPv4 packet, of the IPv6 payload, of the UDP datagram.
func packet(b []byte, f *Flow, total4, payload6, udp int) []byte {
	b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	if f.Six {
		b = app16(b, 0x86dd)
		b = app16(app32(b, 0x60000000), payload6)
		b = append(b, f.Proto, 60)
		b = append(append(b, f.Src[:]...), f.Dst[:]...)
	} else {
		b = app16(b, 0x0800)
		b = app16(append(b, 0x45, 0), total4)
		b = app16(app16(b, 1), 0)
		b = app16(append(b, 64, f.Proto), 0)
		b = append(append(b, f.Src[12:]...), f.Dst[12:]...)
	}
	b = app16(app16(b, f.SrcPort), f.DstPort)
	if f.Proto == 17 {
		return app16(app16(b, udp), 0)
	}
	b = app32(app32(b, 1), 2)
	b = append(b, 5<<4, f.Flags)
	return app16(app16(app16(b, 0x0101), 0), 0)
}

// capture spells a classic capture of one packet for each flow.
type capture struct {
	out *sink
	buf []byte
}

func newCapture(s *sink) encoder {
	e := &capture{out: s}
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...) // zone, accuracy
	b = binary.LittleEndian.AppendUint32(b, 65535)
	s.send(binary.LittleEndian.AppendUint32(b, 1))
	return e
}

func (e *capture) add(f *Flow) {
	payload := int(f.Bytes % 400)
	upper := 20 + payload
	if f.Proto == 17 {
		upper = 8 + payload
	}
	const head = 16
	b := packet(append(e.buf[:0], make([]byte, head)...), f, 20+upper, upper, upper)
	b = append(b, make([]byte, payload)...)
	binary.LittleEndian.PutUint32(b, uint32(f.End/1000))          //nolint:gosec // before 2106
	binary.LittleEndian.PutUint32(b[4:], uint32(f.End%1000*1000)) //nolint:gosec // below a million
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-head))     //nolint:gosec // below 64 KiB
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-head))    //nolint:gosec // below 64 KiB
	length := 20
	if f.Six {
		length = 40
	}
	e.out.count(uint64(length+upper), f.End, f)
	e.out.totals.Datagrams++
	e.out.send(b)
	e.buf = b
}

func (e *capture) flush() {}

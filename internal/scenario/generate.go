package scenario

import (
	"context"
	"io"
	"math"
	"net/netip"

	"github.com/weir-net/weir"
)

// Generator makes the flows of a scenario in order of their end. It implements
// weir.Source. What is in memory at a time are the records of the connections
// that are under way. It is not safe for concurrent use.
type Generator struct {
	s       *Scenario
	lines   []*line
	turns   schedule // of lines that are not done, by the start of what is next
	pending records
}

// Flows returns a generator of the flows of the scenario. Every generator of a
// scenario makes the same flows.
func (s *Scenario) Flows() *Generator {
	g := &Generator{s: s}
	var counter *uint64
	if s.Counted {
		// Where the counter stands when the scenario begins is up to the seed.
		start := newRandom(s.Name, s.Seed, -1, 0).Uint64()
		counter = &start
	}
	for i := range s.traffic {
		t := &s.traffic[i]
		n := t.sampling
		if n == 0 {
			n = s.Sampling
		}
		l := &line{
			s: s, g: g, t: t, rate: n, days: t.days(s),
			random: newRandom(s.Name, s.Seed, i, 1),
			thin:   newThinner(newRandom(s.Name, s.Seed, i, 2), n, counter),
		}
		l.meter.l, l.c.t = l, t
		if len(l.days) > 0 {
			l.begin()
			g.turns.push(place{l.next, uint64(i), len(g.lines)})
			g.lines = append(g.lines, l)
		}
	}
	return g
}

// generatorBatch is the number of flows of a Read and of a batch.
const generatorBatch = 1000

// Read appends up to about 1,000 flows to dst and returns io.EOF after the last
// one. It may return no flows and no error.
func (g *Generator) Read(dst []weir.Flow) ([]weir.Flow, error) {
	n := 0
	// Connections that give nothing must end, too.
	for budget := 100 * generatorBatch; budget > 0; {
		limit := g.frontier()
		for len(g.pending.schedule) > 0 && g.pending.schedule[0].time <= limit && n < generatorBatch {
			dst = g.pending.take(dst)
			n++
		}
		if n >= generatorBatch {
			return dst, nil
		}
		if len(g.turns) == 0 {
			return dst, io.EOF
		}
		turn := g.turns[0]
		l := g.lines[turn.at]
		budget -= l.step(budget)
		if l.done() {
			g.turns.pop()
		} else {
			turn.time = l.next
			g.turns.replace(turn)
		}
	}
	return dst, nil
}

// frontier is the time before which no packet is still to be made.
func (g *Generator) frontier() int64 {
	if len(g.turns) == 0 {
		return math.MaxInt64
	}
	return g.turns[0].time
}

// Run emits all flows; the watermark of a batch is exact.
func (g *Generator) Run(ctx context.Context, emit func(weir.Batch) error) error {
	var flows []weir.Flow
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var end error
		flows, end = g.Read(flows[:0])
		mark := g.frontier()
		if p := g.pending.schedule; len(p) > 0 {
			mark = min(mark, p[0].time)
		}
		if mark == math.MaxInt64 {
			mark = 0
		}
		if len(flows) > 0 {
			if err := emit(weir.Batch{Flows: flows, Watermark: mark}); err != nil {
				return err
			}
		}
		if end != nil {
			return nil // io.EOF is its only error
		}
	}
}

// line makes the connections of one line of traffic.
type line struct {
	random

	s     *Scenario
	g     *Generator
	t     *traffic
	rate  uint32
	thin  thinner
	c     connection // the one that is being made
	meter meter

	days  []int
	day   int    // index in days
	round uint64 // in the day
	sub   uint64 // connection in the round
	start int64  // of the round
	gap   int64  // to the next round
	next  int64  // start of the next connection
	made  uint64 // connections, for choosing in turn
}

func (l *line) done() bool { return l.day >= len(l.days) }

// begin sets the clock to the first round of a day. Days are 24 hours: a
// scenario runs in UTC.
func (l *line) begin() {
	l.start = l.s.Start.UnixNano() + int64(l.days[l.day])*int64(day) + int64(l.t.at)
	l.gap = l.drawGap()
	l.next = l.start
}

// drawGap returns the time to the next round.
func (l *line) drawGap() int64 {
	every := uint64(l.t.every) //nolint:gosec // positive
	switch {
	case l.t.shape.plan == planFlood: // its rounds are slices of one second
	case l.t.random:
		every = l.exponential(every)
	case l.t.jitter > 0:
		spread := mulDiv(every, l.t.jitter, 100)
		every = every - spread + l.below(2*spread+1)
	}
	return int64(every) //nolint:gosec // at most 64 times maxDays
}

// step makes one connection, or one second of a flood, that leaves something
// after sampling, and passes at most most of them. It returns how many it went
// through.
func (l *line) step(most int) int {
	if l.thin.all() {
		l.make(0)
		l.advance()
		return 1
	}
	if l.thin.counter != nil {
		most = 1 // the others count as well, in their turn
	}
	for i := range most {
		first, ok := l.thin.next(l.draw())
		if ok {
			l.make(first)
		}
		l.advance()
		if ok || l.done() {
			return i + 1
		}
	}
	return most
}

// draw returns the number of packets of the next connection or slice.
func (l *line) draw() uint64 {
	if l.t.shape.plan == planFlood {
		return l.sliced()
	}
	l.c.draw(l.random)
	return l.c.total()
}

// make makes what is next, of which the first packet taken is that with this
// number.
func (l *line) make(first uint64) {
	if l.t.shape.plan == planFlood {
		l.flood(first)
	} else {
		l.connect(first)
	}
}

// advance moves on to the next connection or slice.
func (l *line) advance() {
	l.made++
	n := l.t.connections()
	if l.sub++; l.sub < n {
		l.next = l.start + int64(mulDiv(uint64(l.gap), l.sub, n)) //nolint:gosec // below gap
		return
	}
	l.sub = 0
	l.start += l.gap
	if l.round++; l.round < l.t.count {
		l.gap = l.drawGap()
		l.next = l.start
		return
	}
	l.round = 0
	if l.day++; !l.done() {
		// A day that runs into the next one must not turn the clock back.
		before := l.next
		l.begin()
		l.next = max(l.next, before)
		l.start = l.next
	}
}

// choose returns the address for the i-th choice; sub is the place in the round
// for a side that takes all its addresses each time.
func (l *line) choose(h *hosts, i, sub uint64) netip.Addr {
	switch {
	case h.n == 1:
		return h.first
	case h.pick == randomly:
		return h.at(l.below(h.n))
	case h.pick == eachOne:
		return h.at(sub % h.n)
	}
	return h.at(i % h.n)
}

// ephemeral ports are those of Linux.
const (
	ephemeralFirst = 32768
	ephemeralCount = 28232
)

func (l *line) sport() uint16 {
	if l.t.p.sport != 0 {
		return l.t.p.sport
	}
	return uint16(ephemeralFirst + l.below(ephemeralCount)) //nolint:gosec // below 65536
}

// connect meters what the sampling leaves of one connection. Its packets are
// counted already unless all are taken.
func (l *line) connect(first uint64) {
	t := l.t
	fromSub, toSub := l.sub, l.sub
	if t.from.pick == eachOne && t.to.pick == eachOne {
		fromSub, toSub = l.sub/t.to.n, l.sub%t.to.n
	}
	turn := l.made
	if t.from.pick == eachOne || t.to.pick == eachOne {
		turn = l.made / t.connections() // the other side takes turns by round
	}
	client := netip.AddrPortFrom(l.choose(&t.from, turn, fromSub), l.sport())
	server := netip.AddrPortFrom(l.choose(&t.to, turn, toSub), t.port(turn))
	if t.to.n > 1 && t.to.pick == inTurn { // all hosts of a port, then the next port
		server = netip.AddrPortFrom(server.Addr(), t.port(turn/t.to.n))
	}
	c, m := &l.c, &l.meter
	if l.thin.all() {
		c.draw(l.random)
	}
	c.start, m.client, m.server = l.next, client, server
	total := c.total()
	for i, ok := first, true; ok; {
		if p := c.packet(i, l.thin.random); !p.replies || !t.oneWay {
			m.add(p)
		}
		i, ok = l.following(i, total)
	}
	m.flush(0)
	m.flush(1)
}

// following returns the number of the packet that is taken after packet i of so
// many; not ok: there is none.
func (l *line) following(i, total uint64) (uint64, bool) {
	passed, ok := l.thin.next(total - i - 1)
	return i + 1 + passed, ok
}

// sliced is the number of packets in a slice of a flood.
func (l *line) sliced() uint64 {
	n := mulDiv(l.t.p.pps, uint64(l.t.every), 1e9) //nolint:gosec // positive
	if l.t.p.pps < maxFloodPPS && n == 0 {
		n = 1
	}
	return n
}

// flood makes a slice of a flood: packets evenly over it, each between hosts and
// ports of its own choice. Packets of the same ends become one record.
func (l *line) flood(first uint64) {
	t := l.t
	slice, n := uint64(t.every), l.sliced() //nolint:gosec // positive
	if n == 0 {
		return
	}
	at := func(i uint64) int64 { return l.next + int64(mulDiv(slice, i, n)) } //nolint:gosec // below slice
	ends := func(i uint64) weir.Flow {
		turn := l.made*n + i
		client := netip.AddrPortFrom(l.choose(&t.from, turn, turn), l.sport())
		server := netip.AddrPortFrom(l.choose(&t.to, turn, turn), t.port(turn))
		f := l.record(client, server, at(i))
		f.Packets, f.Bytes, f.TCPFlags = 1, t.p.size, t.p.flags
		return f
	}
	if !t.sameEnds() {
		for i, ok := first, true; ok; i, ok = l.following(i, n) {
			f := ends(i)
			l.emit(&f)
		}
		return
	}
	merged, last := ends(first), first
	if l.thin.all() {
		last, merged.Packets = n-1, n
	} else {
		for i, ok := l.following(first, n); ok; i, ok = l.following(i, n) {
			last = i
			merged.Packets++
		}
	}
	merged.Bytes, merged.End = merged.Packets*t.p.size, at(last)
	l.emit(&merged)
}

// record returns an empty record from client to server.
func (l *line) record(client, server netip.AddrPort, at int64) weir.Flow {
	f := weir.Flow{
		Start: at, End: at, Src: client, Dst: server, Proto: l.t.proto,
		Sampling: l.rate, SamplingSource: weir.SamplingRecord, Exporter: l.s.Exporter,
		Known: weir.HasPackets | weir.HasBytes | weir.HasPorts, Format: weir.FormatScenario,
	}
	if l.t.hidden {
		f.Sampling, f.SamplingSource = 0, weir.SamplingUnknown
	}
	switch l.t.proto {
	case weir.ProtoTCP:
		f.Known |= weir.HasFlags
		if l.s.Bidirectional {
			f.Known |= weir.HasRevFlags
		}
	case weir.ProtoICMP:
		if client.Addr().Is6() {
			f.Proto = weir.ProtoICMPv6
		}
		f.Src, f.Dst = netip.AddrPortFrom(client.Addr(), 0), netip.AddrPortFrom(server.Addr(), echoRequest(f.Proto))
	}
	if l.s.Bidirectional {
		f.Known |= weir.HasReverse
		f.Initiator = weir.InitiatorSrc
	}
	return f
}

// emit keeps a record until nothing that ends before it can come any more.
func (l *line) emit(f *weir.Flow) { l.g.pending.add(f) }

package scenario

import (
	"container/heap"
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
	lines   lines
	pending records
	seq     uint64
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
			s: s, g: g, t: t, index: i, rate: n, days: t.days(s),
			random: newRandom(s.Name, s.Seed, i, 1),
			thin:   newThinner(newRandom(s.Name, s.Seed, i, 2), n, counter),
		}
		if len(l.days) > 0 {
			l.begin()
			g.lines = append(g.lines, l)
		}
	}
	heap.Init(&g.lines)
	return g
}

// generatorBatch is the number of flows of a Read and of a batch.
const generatorBatch = 1000

// Read appends up to about 1,000 flows to dst and returns io.EOF after the last
// one. It may return no flows and no error.
func (g *Generator) Read(dst []weir.Flow) ([]weir.Flow, error) {
	n := 0
	for range 100 * generatorBatch { // steps that give nothing must end, too
		limit := g.frontier()
		for len(g.pending) > 0 && g.pending[0].End <= limit && n < generatorBatch {
			r, _ := heap.Pop(&g.pending).(record)
			dst = append(dst, r.Flow)
			n++
		}
		if n >= generatorBatch {
			return dst, nil
		}
		if len(g.lines) == 0 {
			return dst, io.EOF
		}
		l := g.lines[0]
		l.step()
		if l.done() {
			heap.Pop(&g.lines)
		} else {
			heap.Fix(&g.lines, 0)
		}
	}
	return dst, nil
}

// frontier is the time before which no packet is still to be made.
func (g *Generator) frontier() int64 {
	if len(g.lines) == 0 {
		return math.MaxInt64
	}
	return g.lines[0].next
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
		if len(g.pending) > 0 {
			mark = min(mark, g.pending[0].End)
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
	index int
	rate  uint32
	thin  thinner

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

// step makes one connection, or one second of a flood, and moves on.
func (l *line) step() {
	if l.t.shape.plan == planFlood {
		l.flood()
	} else {
		l.connect()
	}
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

// connect makes one connection and meters what the sampling leaves of it.
func (l *line) connect() {
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
	c := newConnection(t, l.next, client, server, l.random)
	m := meter{g: l, c: &c}
	for i := range c.total() {
		if !l.thin.takes() {
			continue
		}
		if p := c.packet(i, l.thin.random); !p.replies || !t.oneWay {
			m.add(p)
		}
	}
	m.flush(0)
	m.flush(1)
}

// flood makes a slice of a flood: packets evenly over it, each between hosts and
// ports of its own choice. Packets of the same ends become one record.
func (l *line) flood() {
	t := l.t
	slice := uint64(t.every) //nolint:gosec // positive
	n := mulDiv(t.p.pps, slice, 1e9)
	if t.p.pps < maxFloodPPS && n == 0 {
		n = 1
	}
	same := t.sameEnds()
	var merged weir.Flow
	for i := range n {
		if !l.thin.takes() {
			continue
		}
		at := l.next + int64(mulDiv(slice, i, n)) //nolint:gosec // below slice
		if same && merged.Packets > 0 {
			merged.Packets++
			merged.Bytes += t.p.size
			merged.End = at
			continue
		}
		turn := l.made*n + i
		client := netip.AddrPortFrom(l.choose(&t.from, turn, turn), l.sport())
		server := netip.AddrPortFrom(l.choose(&t.to, turn, turn), t.port(turn))
		f := l.record(client, server, at)
		f.Packets, f.Bytes, f.TCPFlags = 1, t.p.size, t.p.flags
		if same {
			merged = f
			continue
		}
		l.emit(f)
	}
	if merged.Packets > 0 {
		l.emit(merged)
	}
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
func (l *line) emit(f weir.Flow) {
	heap.Push(&l.g.pending, record{f, l.g.seq})
	l.g.seq++
}

// lines is a heap by the start of the next connection.
type lines []*line

func (h lines) Len() int { return len(h) }
func (h lines) Less(i, j int) bool {
	if h[i].next != h[j].next {
		return h[i].next < h[j].next
	}
	return h[i].index < h[j].index
}
func (h lines) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *lines) Push(x any) {
	l, _ := x.(*line)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *lines) Pop() any {
	n := len(*h) - 1
	l := (*h)[n]
	*h = (*h)[:n]
	return l
}

// record is a flow with its number, which settles the order of equal ends.
type record struct {
	weir.Flow
	seq uint64
}

// records is a heap by the end of the flow.
type records []record

func (h records) Len() int { return len(h) }
func (h records) Less(i, j int) bool {
	if h[i].End != h[j].End {
		return h[i].End < h[j].End
	}
	return h[i].seq < h[j].seq
}
func (h records) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *records) Push(x any) {
	r, _ := x.(record)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *records) Pop() any {
	n := len(*h) - 1
	r := (*h)[n]
	*h = (*h)[:n]
	return r
}

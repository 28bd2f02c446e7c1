package detect

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// conn is one connection on the wire, before anything is sampled.
type conn struct {
	res          *weir.Resource
	at, length   time.Duration
	peer         netip.Addr
	port, client uint16
	s            shape
	out          bool // the machine opens it
	intel        *weir.Verdict
}

// site is one machine with its traffic before sampling.
type site struct {
	res   *weir.Resource
	rng   *rand.Rand
	conns []conn
}

func newSite(i int, seed uint64) *site {
	return &site{
		res: &weir.Resource{
			ID: fmt.Sprintf("vm-%d", i), Name: fmt.Sprintf("vm-%d", i), Kind: weir.VirtualMachine,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)})},
		},
		rng: rand.New(rand.NewPCG(seed, uint64(i))),
	}
}

// many adds n connections of one pair, at random moments of a stretch of time.
func (s *site) many(from, length time.Duration, n int, peer netip.Addr, port uint16, sh shape, out bool) {
	for range n {
		s.one(from+time.Duration(s.rng.Int64N(int64(length))), 2*time.Second, peer, port, sh, out)
	}
}

func (s *site) one(at, length time.Duration, peer netip.Addr, port uint16, sh shape, out bool) *conn {
	s.conns = append(s.conns, conn{
		res: s.res, at: at, length: length, peer: peer, port: port, client: uint16(32768 + s.rng.IntN(28000)), s: sh, out: out,
	})
	return &s.conns[len(s.conns)-1]
}

func peerAt(net, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, byte(net), byte(i >> 8), byte(i)})
}

// router samples packets 1-in-n, each by itself, by drawing the gaps between
// the packets that it takes.
type router struct {
	n    uint32
	rng  *rand.Rand
	skip uint64
}

func newRouter(n uint32, seed uint64) *router {
	r := &router{n: n, rng: rand.New(rand.NewPCG(seed, uint64(n)))}
	r.skip = r.gap()
	return r
}

func (r *router) gap() uint64 {
	if r.n == 1 {
		return 0
	}
	return uint64(r.rng.ExpFloat64() * float64(r.n))
}

// pick returns which of k packets are taken.
func (r *router) pick(k uint64) []uint64 {
	var out []uint64
	at := uint64(0)
	for r.skip < k-at {
		at += r.skip
		out = append(out, at)
		at++
		r.skip = r.gap()
	}
	r.skip -= k - at
	return out
}

const allFields = weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts

// observe returns the contacts that a router sees of connections: the whole of
// them in both directions at n = 1, as a log of connections has them, and
// otherwise one record for each direction of which a packet was taken. Records
// of connections that last longer than a minute hold a single packet.
func observe(conns []conn, n uint32, seed uint64) []weir.Contact {
	r := newRouter(n, seed)
	var out []weir.Contact
	for i := range conns {
		c := &conns[i]
		if n == 1 {
			fwd := weir.Counters{Packets: c.s.fwd, Bytes: c.s.fwd * c.s.fwdLen, Flags: c.s.fwdFlags}
			rev := weir.Counters{Packets: c.s.rev, Bytes: c.s.rev * c.s.revLen, Flags: c.s.revFlags}
			out = append(out, c.record(1, 0, c.length, fwd, rev, true, true))
			continue
		}
		out = c.half(out, r, true)
		out = c.half(out, r, false)
	}
	return out
}

func (c *conn) half(out []weir.Contact, r *router, forward bool) []weir.Contact {
	k, size, flags := c.s.fwd, c.s.fwdLen, c.s.fwdFlags
	if !forward {
		k, size, flags = c.s.rev, c.s.revLen, c.s.revFlags
	}
	var sum weir.Counters
	var first, last time.Duration
	for _, i := range r.pick(k) {
		at := c.length * time.Duration(i) / time.Duration(k)
		one := weir.Counters{Packets: 1, Bytes: size, Flags: packetFlags(i, k, flags, forward)}
		if c.length > time.Minute {
			out = append(out, c.record(r.n, at, at, one, one, forward, false))
			continue
		}
		if sum.Packets == 0 {
			first = at
		}
		sum.Packets, sum.Bytes, sum.Flags, last = sum.Packets+1, sum.Bytes+size, sum.Flags|one.Flags, at
	}
	if sum.Packets > 0 {
		out = append(out, c.record(r.n, first, last, sum, sum, forward, false))
	}
	return out
}

// packetFlags are the control bits of packet i of k of a direction whose
// packets together have the flags all.
func packetFlags(i, k uint64, all uint16, forward bool) uint16 {
	switch {
	case all&weir.ACK == 0 || all&weir.RST != 0:
		return all // nothing but SYNs, or refusals
	case i == 0 && forward:
		return weir.SYN
	case i == 0:
		return weir.SYN | weir.ACK
	case i == k-1:
		return weir.FIN | weir.ACK
	case i == 1:
		return weir.ACK
	}
	return weir.PSH | weir.ACK
}

// record makes the contact of one record. A record of one direction has its
// counts in fwd and rev alike.
func (c *conn) record(n uint32, first, last time.Duration, fwd, rev weir.Counters, forward, both bool) weir.Contact {
	own := c.res.Addresses[0]
	x := weir.Contact{
		Resource: c.res, Start: t0 + int64(c.at+first), End: t0 + int64(c.at+last), Proto: weir.ProtoTCP,
		Sampling: n, SamplingSource: weir.SamplingConfig, Format: weir.FormatScenario, Known: allFields,
		FromOwn: c.out == forward, PeerIntel: c.intel,
	}
	odds := float32(2.5)
	if fwd.Flags&weir.SYN != 0 {
		odds = 5.5
	}
	if both {
		x.Known |= weir.HasReverse | weir.HasRevFlags
	} else if forward {
		rev = weir.Counters{}
	} else {
		fwd = weir.Counters{}
	}
	if c.out {
		x.Own, x.Peer, x.Out, x.In, x.LogOdds = netip.AddrPortFrom(own, c.client), netip.AddrPortFrom(c.peer, c.port), fwd, rev, odds
	} else {
		x.Own, x.Peer, x.Out, x.In, x.LogOdds = netip.AddrPortFrom(own, c.port), netip.AddrPortFrom(c.peer, c.client), rev, fwd, -odds
	}
	return x
}

// verdictOf is an indicator of one category that is listed now.
func verdictOf(c weir.Category) *weir.Verdict {
	return &weir.Verdict{Indicators: []*weir.Indicator{{Category: c, Family: string(c), Source: "list", Confidence: 80}}}
}

// busySites are machines whose traffic raises alerts of most kinds at every
// rate up to about 1 in 500.
func busySites(seed uint64) []*site {
	var all []*site
	for i := range 6 {
		s := newSite(i, seed)
		switch i {
		case 0:
			s.many(5*time.Minute, 30*time.Minute, 4000, peerAt(1, 7), 22, login, false)
		case 1:
			for b := range 250 {
				s.many(5*time.Minute, 40*time.Minute, 40, peerAt(2, b), 3389, rdpLogin, false)
			}
		case 2:
			for pane := range 4 {
				for range 60 {
					s.one(time.Duration(pane)*time.Minute+time.Duration(s.rng.IntN(58))*time.Second, time.Second, peerAt(3, 1), 80, shape{2500, 0, 40, 0, weir.SYN, 0}, true)
				}
			}
		case 3:
			for range 4000 {
				s.one(time.Duration(s.rng.IntN(3000))*time.Second, 2*time.Second, peerAt(4, 1), 443, heartbeat, true).intel = verdictOf(weir.CategoryC2)
			}
		case 4:
			for range 4000 {
				s.one(time.Duration(s.rng.IntN(3000))*time.Second, 2*time.Second, peerAt(4, 2), 443, webVisit, false).intel = verdictOf(weir.CategoryMalicious)
			}
		case 5:
			for d := range 18000 {
				s.one(time.Duration(s.rng.IntN(3000))*time.Second, 0, peerAt(5, d), 23, deadSYN, true)
			}
		}
		for range 1500 {
			s.one(time.Duration(s.rng.IntN(3600))*time.Second, time.Second, peerAt(9, s.rng.IntN(300)), 443, webVisit, s.rng.IntN(2) == 0)
		}
		all = append(all, s)
	}
	return all
}

func connsOf(sites []*site) []conn {
	var all []conn
	for _, s := range sites {
		all = append(all, s.conns...)
	}
	return all
}

// play runs contacts through one detector in one gulp.
func play(t testing.TB, cfg Config, cs []weir.Contact) ([]weir.Finding, Stats) {
	t.Helper()
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Observe(cs)
	var out []weir.Finding
	d.Flush(func(f weir.Finding) { out = append(out, f) })
	return out, d.Stats()
}

// track names one episode of one resource.
type track struct {
	res string
	typ weir.AlertType
	key string
}

func trackOf(f *weir.Finding) track { return track{f.Resource.ID, f.Type, f.Key} }

// tracks returns the episodes of findings with the newest finding of each.
func tracks(fs []weir.Finding) map[track]*weir.Finding {
	m := make(map[track]*weir.Finding)
	for i := range fs {
		m[trackOf(&fs[i])] = &fs[i]
	}
	return m
}

// essence writes down what a finding says, but for the sample records, whose
// choice is a hash of addresses and times, with times relative to zero and
// addresses through name.
func essence(f *weir.Finding, zero int64, name func(netip.Addr) netip.Addr) string {
	key := f.Key
	if i := strings.LastIndex(key, "|"); i >= 0 {
		if a, err := netip.ParseAddr(key[i+1:]); err == nil {
			key = key[:i+1] + name(a).String()
		}
	}
	if f.Type == weir.TrafficFromUnrecommended {
		key = "day"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s own=%s dir=%v %s/%d/%d at=%d first=%d last=%d quiet=%v window=%v", f.Type, f.Resource.ID, key, name(f.Own), f.Direction,
		f.Service, f.Port, f.Proto, f.At-zero, f.First-zero, f.Last-zero, f.Quiet, f.Window)
	fmt.Fprintf(&b, " n=%d %s obs=%.9g exp=%.9g thr=%.9g floor=%.9g S=%.9g conf=%.9g limits=%v ports=%v facts=%v records=%d", f.Count, f.Unit, f.Observed, f.Expected,
		f.Threshold, f.Floor, f.Surprise, f.Confidence, f.Limits, f.Ports, f.Facts, len(f.Records))
	fmt.Fprintf(&b, " sampling=%d", f.Sampling.Rate)
	for _, p := range []*float64{f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95} {
		if p != nil {
			fmt.Fprintf(&b, "/%.9g", *p)
		}
	}
	if f.Baseline != nil {
		fmt.Fprintf(&b, " baseline=%d/%.6g/%.9g/%.9g", f.Baseline.Phase, f.Baseline.AgeDays, f.Baseline.Mean, f.Baseline.Dispersion)
	}
	var peers []string
	for _, p := range f.Peers {
		peers = append(peers, fmt.Sprintf("%s:%d/%d/%d/%.9g/%d/%d/%s", name(p.Address), p.Packets, p.Bytes, p.Connections, p.Lower, p.First-zero, p.Last-zero, p.Path))
	}
	slices.Sort(peers)
	fmt.Fprintf(&b, " peers=%v series=", peers)
	for _, p := range f.Series {
		fmt.Fprintf(&b, "%d:%.9g/%.9g ", p.Time-zero, p.Observed, p.Expected)
	}
	return b.String()
}

func same(a netip.Addr) netip.Addr { return a }

func essences(fs []weir.Finding, zero int64, name func(netip.Addr) netip.Addr) []string {
	out := make([]string, len(fs))
	for i := range fs {
		out[i] = essence(&fs[i], zero, name)
	}
	slices.Sort(out)
	return out
}

// differ reports the first few lines that only one side has.
func differ(t *testing.T, what string, want, got []string) {
	t.Helper()
	n := 0
	show := func(side, line string) {
		if n++; n <= 4 {
			t.Errorf("%s: %s %.900s", what, side, line)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			show("lost", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			show("new ", g)
		}
	}
	if n == 0 && len(want) != len(got) {
		t.Errorf("%s: %d findings, want %d", what, len(got), len(want))
	}
}

// mustRaise guards a property against holding because nothing happens.
func mustRaise(t *testing.T, fs []weir.Finding, want ...weir.AlertType) {
	t.Helper()
	have := types(fs)
	for _, w := range want {
		if !slices.Contains(have, w) {
			t.Fatalf("the traffic raises no %s, so the test would prove too little: %v", w, have)
		}
	}
}

func byEnd(a, b weir.Contact) int { return cmp.Compare(a.End, b.End) }

// TestDayIsToldAtOnce: what the window of a day alone can see is told within ten
// minutes of the login that suffices, not at the end of a slot of four hours.
func TestDayIsToldAtOnce(t *testing.T) {
	s := newSite(1, 3)
	const logins, gap = 110, 11 * time.Minute // six an hour: below the floor of the hour
	for i := range logins {
		s.one(5*time.Minute+time.Duration(i)*gap+time.Duration(s.rng.IntN(300))*time.Second, 2*time.Second, peerAt(1, 1), 22, login, false)
	}
	enough := t0 + int64(s.conns[99].at+s.conns[99].length) // the hundredth: the floor of the day
	fs, _ := play(t, DefaultConfig(), observe(s.conns, 1, 1))
	if len(fs) == 0 || fs[0].Type != weir.SSHIncomingOneToOne {
		t.Fatalf("%d findings", len(fs))
	}
	if after := time.Duration(fs[0].At - enough); after < 0 || after > 10*time.Minute {
		t.Errorf("told %v after the login that suffices", after)
	}
	if n := len(fs[0].Series); n == 0 || fs[0].Series[n-1].Time >= fs[0].At {
		t.Errorf("the series has %d points and goes beyond the moment of the alert", n)
	}
}

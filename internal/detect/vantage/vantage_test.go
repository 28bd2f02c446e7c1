package vantage

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-net/weir"
)

// router is an exporter of these tests: its interval, and which peers pass it.
type router struct {
	n      uint32
	domain uint32
	sees   func(peer int) bool
}

func everyone(int) bool { return true }

// stream plays panes of traffic past some routers.
type stream struct {
	t       *testing.T
	rng     *rand.Rand
	p       Points
	end     int64
	routers []router
	packets func(peer int) float64 // true packets of a peer in a pane
	peers   int
}

func newStream(t *testing.T, seed uint64, routers ...router) *stream {
	t.Helper()
	return &stream{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), end: int64(500_000 * time.Hour), routers: routers,
		packets: func(int) float64 { return 4000 }, peers: 20,
	}
}

func addr(peer int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, byte(113 + peer/250), byte(peer % 250)})
}

// pane closes one pane and returns its contacts with their effective intervals,
// by router.
func (s *stream) pane(up ...int) [][]weir.Contact {
	s.end += int64(time.Minute)
	var all []weir.Contact
	for i, r := range s.routers {
		if len(up) > 0 && !slices.Contains(up, i) {
			continue
		}
		for peer := range s.peers {
			if !r.sees(peer) {
				continue
			}
			for range s.poisson(s.packets(peer) / float64(r.n)) {
				all = append(all, contact(r.n, uint8(i), r.domain, peer, s.end-1))
			}
		}
	}
	s.p.Pane(all, s.end)
	out := make([][]weir.Contact, len(s.routers))
	for _, c := range all {
		i := c.Exporter.As4()[3]
		out[i] = append(out[i], c)
	}
	return out
}

func contact(n uint32, exporter uint8, domain uint32, peer int, end int64) weir.Contact {
	return weir.Contact{
		Own: netip.MustParseAddrPort("198.51.100.10:443"), Peer: netip.AddrPortFrom(addr(peer), 40000), End: end, Start: end,
		In: weir.Counters{Packets: 1, Bytes: 100}, Sampling: n, Proto: weir.ProtoTCP, Known: weir.HasPackets,
		Exporter: netip.AddrFrom4([4]byte{192, 0, 2, exporter}), Domain: domain,
	}
}

func (s *stream) poisson(mean float64) int {
	n, p := 0, math.Exp(-mean)
	for u := s.rng.Float64(); u > p; n++ {
		u *= s.rng.Float64()
	}
	return n
}

// interval returns the effective interval of contacts, which must be one.
func (s *stream) interval(cs []weir.Contact) uint32 {
	s.t.Helper()
	if len(cs) == 0 {
		s.t.Fatal("no contact of a router")
	}
	for _, c := range cs {
		if c.Sampling != cs[0].Sampling {
			s.t.Fatalf("one router has intervals %d and %d in one pane", c.Sampling, cs[0].Sampling)
		}
	}
	return cs[0].Sampling
}

func TestSamePackets(t *testing.T) {
	half := func(peer int) bool { return peer%2 == 0 }
	other := func(peer int) bool { return peer%2 == 1 }
	fifth := func(peer int) bool { return peer%5 == 0 }
	for _, v := range []struct {
		name    string
		routers []router
		peers   int
		want    []uint32 // after an hour
	}{
		{"one router", []router{{1000, 0, everyone}}, 20, []uint32{1000}},
		{"two that see the same", []router{{1000, 0, everyone}, {1000, 0, everyone}}, 20, []uint32{500, 500}},
		{"rates that differ", []router{{100, 0, everyone}, {1000, 0, everyone}}, 20, []uint32{91, 91}},
		{"three", []router{{900, 0, everyone}, {900, 0, everyone}, {900, 0, everyone}}, 20, []uint32{300, 300, 300}},
		{"two domains of one kind", []router{{512, 0, everyone}, {512, 7, everyone}}, 20, []uint32{256, 256}},
		{"border routers", []router{{1000, 0, half}, {1000, 0, other}}, 20, []uint32{1000, 1000}},
		{"border routers of other rates", []router{{100, 0, half}, {1000, 0, other}}, 30, []uint32{100, 1000}},
		{"a border router with little", []router{{1000, 0, func(p int) bool { return p >= 4 }}, {1000, 0, func(p int) bool { return p < 4 }}}, 40, []uint32{1000, 1000}},
		{"part in common", []router{{1000, 0, everyone}, {1000, 0, fifth}}, 20, []uint32{500, 500}},
		{"two peers only", []router{{1000, 0, half}, {1000, 0, other}}, 2, []uint32{500, 500}},
		{"two of the same and a third apart", []router{{1000, 0, half}, {1000, 0, half}, {1000, 0, other}}, 24, []uint32{500, 500, 1000}},
		{"every second packet", []router{{2, 0, everyone}, {2, 0, everyone}}, 1, []uint32{2, 2}},
	} {
		t.Run(v.name, func(t *testing.T) {
			for seed := range uint64(8) {
				s := newStream(t, seed, v.routers...)
				s.peers = v.peers
				if v.routers[0].n == 2 {
					s.packets = func(int) float64 { return 40 }
				}
				var got [][]weir.Contact
				for range 60 {
					got = s.pane()
				}
				for i := range v.routers {
					if n := s.interval(got[i]); n != v.want[i] {
						t.Errorf("seed %d: router %d counts 1:%d, want 1:%d", seed, i, n, v.want[i])
					}
				}
			}
		})
	}
}

// TestNothingIsSummedWithoutEvidence: border routers begin as if they saw the
// same packets, and what is decided holds while traffic is thin.
func TestNothingIsSummedWithoutEvidence(t *testing.T) {
	s := newStream(t, 1, router{1000, 0, func(p int) bool { return p%2 == 0 }}, router{1000, 0, func(p int) bool { return p%2 == 1 }})
	if got := s.pane(); s.interval(got[0]) != 500 || s.interval(got[1]) != 500 {
		t.Error("the first pane is summed")
	}
	for range 30 {
		s.pane()
	}
	if got := s.pane(); s.interval(got[0]) != 1000 {
		t.Error("border routers are not told apart after half an hour")
	}
	s.peers = 2 // a night
	for i := range 20 * 60 {
		if got := s.pane(); len(got[0]) > 0 && s.interval(got[0]) != 1000 {
			t.Fatalf("forgotten after %d minutes of little traffic", i)
		}
	}
	// Routing changes: from now on both see everyone.
	s.peers = 20
	s.routers[0].sees, s.routers[1].sees = everyone, everyone
	for range 3 * 60 {
		s.pane()
	}
	if got := s.pane(); s.interval(got[0]) != 500 || s.interval(got[1]) != 500 {
		t.Error("what was decided holds against the evidence")
	}
}

// TestSilentRouterNoLongerCounts: when one of two is down the other is not taken
// for half of what it is, and its peers in the meantime prove nothing.
func TestSilentRouterNoLongerCounts(t *testing.T) {
	for seed := range uint64(5) {
		s := newStream(t, seed, router{1000, 0, everyone}, router{1000, 0, everyone})
		for range 60 {
			s.pane()
		}
		s.pane(0)
		if got := s.pane(0); s.interval(got[0]) != 1000 {
			t.Errorf("seed %d: a router that is down still counts", seed)
		}
		for range 60 {
			s.pane(0)
		}
		for i := range 60 {
			if got := s.pane(); s.interval(got[0]) != 500 || s.interval(got[1]) != 500 {
				t.Fatalf("seed %d: %d minutes after its return samples are summed", seed, i)
			}
		}
		for range 25 * 60 {
			s.pane(1)
		}
		if s.p.Ways[0].Many != nil || s.p.Ways[0].First.Key != (Key{netip.MustParseAddr("192.0.2.1"), 0}) {
			t.Errorf("seed %d: after a day alone there are still two", seed)
		}
	}
}

// TestLeftAlone: records that tell of every packet, those of unknown rate and
// those behind a balancer keep their interval and are no evidence; packets to
// and from the resource are apart.
func TestLeftAlone(t *testing.T) {
	make2 := func(change func(*weir.Contact)) []weir.Contact {
		cs := []weir.Contact{contact(1000, 0, 0, 1, 5), contact(1000, 1, 0, 1, 5)}
		change(&cs[1])
		return cs
	}
	for name, change := range map[string]func(*weir.Contact){
		"unsampled":     func(c *weir.Contact) { c.Sampling = 1 },
		"unknown":       func(c *weir.Contact) { c.Sampling = 0 },
		"back leg":      func(c *weir.Contact) { c.Leg = weir.BackLeg },
		"other way":     func(c *weir.Contact) { c.FromOwn = true },
		"same exporter": func(c *weir.Contact) { c.Exporter = netip.MustParseAddr("192.0.2.0") },
	} {
		var p Points
		cs := make2(change)
		want := slices.Clone(cs)
		p.Pane(cs, int64(time.Minute))
		if cs[0].Sampling != want[0].Sampling || cs[1].Sampling != want[1].Sampling || p.Ways[0].Many != nil || p.Ways[1].Many != nil {
			t.Errorf("%s: %d and %d became %d and %d", name, want[0].Sampling, want[1].Sampling, cs[0].Sampling, cs[1].Sampling)
		}
	}
}

// TestTooManyExporters: those that are not told apart are never summed.
func TestTooManyExporters(t *testing.T) {
	var p Points
	for range 3 {
		var cs []weir.Contact
		for e := range 40 {
			cs = append(cs, contact(1000, uint8(e), 0, e, 5))
		}
		p.Pane(cs, int64(time.Minute))
		for _, c := range cs {
			if c.Sampling > 1000/maxSources+1 {
				t.Fatalf("one of 40 exporters counts 1:%d", c.Sampling)
			}
		}
	}
	if n := len(p.Ways[0].Many.Sources); n != maxSources {
		t.Errorf("%d exporters kept, want %d", n, maxSources)
	}
}

// TestPeersAreBounded: the heaviest peers are kept, whatever else there is.
func TestPeersAreBounded(t *testing.T) {
	s := newStream(t, 3, router{1000, 0, func(p int) bool { return p%2 == 0 }}, router{1000, 0, func(p int) bool { return p%2 == 1 }})
	s.peers = 5000
	s.packets = func(p int) float64 {
		if p < 12 {
			return 5000
		}
		return 100
	}
	var got [][]weir.Contact
	for range 30 {
		got = s.pane()
	}
	if n := len(s.p.Ways[0].Many.Peers); n != maxPeers {
		t.Errorf("%d peers kept, want %d", n, maxPeers)
	}
	if n := s.interval(got[0]); n != 1000 {
		t.Errorf("12 heavy peers among 5,000: 1:%d, want 1:1000", n)
	}
}

// TestKept: what is kept survives a snapshot at any pane.
func TestKept(t *testing.T) {
	run := func(stop int) string {
		s := newStream(t, 5, router{1000, 0, func(p int) bool { return p%3 > 0 }}, router{500, 2, func(p int) bool { return p%3 == 0 }})
		said := ""
		for i := range 200 {
			if i == stop {
				var b bytes.Buffer
				if err := gob.NewEncoder(&b).Encode(&s.p); err != nil {
					t.Fatal(err)
				}
				var p Points
				if err := gob.NewDecoder(&b).Decode(&p); err != nil {
					t.Fatal(err)
				}
				opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}
				if d := cmp.Diff(s.p, p, opts); d != "" {
					t.Fatalf("pane %d: kept is not what was (-was +kept):\n%s", i, d)
				}
				s.p = p
			}
			for _, cs := range s.pane() {
				for _, c := range cs {
					said += fmt.Sprint(c.Sampling, " ")
				}
			}
		}
		return said
	}
	want := run(-1)
	for _, stop := range []int{0, 1, 7, 90, 150} {
		if run(stop) != want {
			t.Errorf("a restart at pane %d changes the intervals", stop)
		}
	}
}

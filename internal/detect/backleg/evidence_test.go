package backleg

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

func balancer(members int) *weir.Resource {
	lb := &weir.Resource{ID: "lb-1", Kind: weir.LoadBalancer, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.20")}}
	for i := range members {
		lb.Backends = append(lb.Backends, weir.Backend{Resource: fmt.Sprintf("m-%d", i)})
	}
	return lb
}

// arrival is a connection of a client that member m-i sees with its address.
func arrival(lb *weir.Resource, at time.Duration, client netip.Addr, i int, port uint16) *weir.Contact {
	return &weir.Contact{
		Resource: lb, Leg: weir.BackLeg, Member: fmt.Sprintf("m-%d", i), Start: int64(at), End: int64(at), LogOdds: -6, Proto: weir.ProtoTCP, Sampling: 1,
		Own: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), port), Peer: netip.AddrPortFrom(client, 40000),
		Known: weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts, In: weir.Counters{Packets: 10, Bytes: 1000, Flags: weir.SYN | weir.ACK},
	}
}

// TestBounds floods the back leg with peers and ports for longer than is kept: the
// state stays within its bounds and the heavy peer is not lost.
func TestBounds(t *testing.T) {
	lb, heavy := balancer(2), netip.MustParseAddr("203.0.113.7")
	var e Evidence
	for hours := range 30 {
		for i := range 4 * maxSlotPeers {
			at := time.Duration(hours)*time.Hour + time.Duration(i)*time.Millisecond
			var a [16]byte
			a[0], a[1] = 0x20, 0x01
			binary.BigEndian.PutUint32(a[2:], uint32(i))
			e.Add(lb, arrival(lb, at, netip.AddrFrom16(a), 0, uint16(i)), true)
			if i%100 == 0 {
				e.Add(lb, arrival(lb, at, heavy, 1, 22), true)
			}
		}
	}
	peers, series := 0, 0
	for i := range e.Slots {
		s := &e.Slots[i]
		if len(s.Peers) > maxSlotPeers || len(s.Members) > maxSlotSeries {
			t.Errorf("slot %d: %d peers, %d series", i, len(s.Peers), len(s.Members))
		}
		peers, series = peers+len(s.Peers), series+len(s.Members)
	}
	if len(e.Slots) > maxSlots || peers > maxPeers || series > maxSeries || peers == 0 {
		t.Errorf("%d slots, %d peers, %d series", len(e.Slots), peers, series)
	}
	last := e.Slots[len(e.Slots)-1]
	if v := last.Peers[Peer{Addr: heavy, Member: "m-1", Port: 22}]; v == nil || v.Connections < 80 {
		t.Errorf("the heavy peer: %+v", v)
	}
	// Without room peers are left out and the members' own counts go on.
	var full Evidence
	full.Add(lb, arrival(lb, 0, heavy, 1, 22), false)
	if len(full.Slots) != 1 || len(full.Slots[0].Peers) != 0 || full.Slots[0].Members[Key{"m-1", 22}] == nil {
		t.Errorf("at the ceiling: %+v", full.Slots)
	}
}

// TestRankIsADistribution: whatever was seen, the likelihoods are in order, none is
// negligible, and they sum to 1.
func TestRankIsADistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "members")
		lb := balancer(n)
		for i := range lb.Backends {
			lb.Backends[i].FrontendPort = rapid.SampledFrom([]uint16{0, 22, 2222}).Draw(t, "front")
		}
		var e Evidence
		at := time.Duration(0)
		f := weir.Finding{Resource: lb, Direction: weir.Incoming, Port: 22, Last: int64(time.Hour), Unit: weir.UnitConnections, Sampling: weir.Sampling{Rate: 1}}
		client := netip.MustParseAddr("198.51.100.7")
		f.Peers = []weir.PeerEvidence{{Address: client}}
		for m := range 60 {
			f.Series = append(f.Series, weir.Point{Time: int64(m) * int64(time.Minute), Observed: float64(rapid.IntRange(0, 5).Draw(t, "attack"))})
		}
		for range rapid.IntRange(0, 40).Draw(t, "contacts") {
			at += time.Duration(rapid.IntRange(0, 120).Draw(t, "gap")) * time.Second
			c := arrival(lb, at, client, rapid.IntRange(0, n-1).Draw(t, "member"), rapid.SampledFrom([]uint16{22, 2222}).Draw(t, "port"))
			if rapid.Bool().Draw(t, "other") {
				c.Peer = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 40000)
			}
			e.Add(lb, c, true)
			e.Front(lb, c, 22, c.In, true)
		}
		e.Attribute(&f, rapid.Int64Range(0, int64(time.Hour)).Draw(t, "first"))
		sum := 0.0
		for i, l := range f.Backends {
			sum += l.Likelihood
			if l.Likelihood < least-1e-9 || i > 0 && l.Likelihood > f.Backends[i-1].Likelihood {
				t.Fatalf("%v", f.Backends)
			}
		}
		named := false
		for _, b := range lb.Backends {
			named = named || b.FrontendPort != 2222
		}
		if named != (len(f.Backends) > 0) || named && (sum < 1-1e-9 || sum > 1+1e-9) || len(f.Backends) > maxShown {
			t.Fatalf("sum %v, named %v: %v", sum, named, f.Backends)
		}
	})
}

// TestFitMember: the weight of an attack is found among other traffic, and none
// where there is none.
func TestFitMember(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var part, rest, attack, others []float64
	for i := range 120 {
		o, a := float64(rng.IntN(40)), 0.0
		if i >= 90 {
			a = float64(5 + rng.IntN(10))
		}
		attack, others = append(attack, a), append(others, o)
		noise := float64(rng.IntN(5))
		part, rest = append(part, o/4+noise+a/2), append(rest, o/4+noise)
	}
	if w, gain := fitMember(part, attack, others, 1.5); w < 0.4 || w > 0.6 || gain < 10 {
		t.Errorf("half of the attack: weight %v, gain %v", w, gain)
	}
	if w, gain := fitMember(rest, attack, others, 1.5); w > 0.1 || gain > 3 {
		t.Errorf("nothing of the attack: weight %v, gain %v", w, gain)
	}
	if w, gain := fitMember(make([]float64, 120), attack, others, 1.5); w != 0 || gain != 0 {
		t.Errorf("an idle member: weight %v, gain %v", w, gain)
	}
}

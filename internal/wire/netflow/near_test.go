package netflow

import (
	"math/rand/v2"
	"testing"
)

// TestNearSaysWhatTheMapSays: the places beside the map of ports that meter on
// ingress never disagree with it, whatever is learnt, renewed and forgotten.
func TestNearSaysWhatTheMapSays(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d := New(DefaultConfig())
	s := d.domainFor(domainKey{})
	now := int64(1_760_000_000 * second)
	used := 0
	for range 60_000 {
		if r.IntN(50) == 0 {
			now += r.Int64N(20*60*second) - 60*second
		}
		p := port(2 + r.IntN(2*maxInterfaces))
		if r.IntN(3) > 0 {
			p = port(2 + r.IntN(96))
		}
		d.meters(s, p, now)
		if s.near[p.nearPlace()].port == p {
			used++
		}
		if r.IntN(20) > 0 {
			continue
		}
		for _, n := range s.near {
			if seen, ok := s.ingress[n.port]; n.port != 0 && (!ok || seen != n.seen) {
				t.Fatalf("port %d is near with %d, the map says %d, %v", n.port, n.seen, seen, ok)
			}
		}
	}
	if used < 10_000 || len(s.ingress) < ownInterfaces {
		t.Errorf("%d ports were found near, %d are known", used, len(s.ingress))
	}
	d.dropPorts(s)
	if s.near != nil {
		t.Error("near outlives the ports")
	}
}

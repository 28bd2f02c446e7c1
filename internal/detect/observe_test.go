package detect

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
)

// TestObserve looks at the surprises that calibration gets: those at which
// episodes begin, none while they run, and no finding differs for it.
func TestObserve(t *testing.T) {
	b := newBench()
	for i := range 3 { // one attack, told at three ends of a slot
		b.guess(time.Duration(i)*10*time.Minute, 9*time.Minute, "203.1.0.1", 22, 40, login, false)
	}
	type value struct {
		typ      weir.AlertType
		resource uint64
		surprise float64
	}
	diff := func(a, b []weir.Finding) string {
		return cmp.Diff(a, b, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
	}
	play := func(cs []weir.Contact) (plain, watched []weir.Finding, seen []value) {
		cfg := DefaultConfig()
		plain = run(t, cfg, cs)
		cfg.Observe = func(typ weir.AlertType, resource uint64, s float64) { seen = append(seen, value{typ, resource, s}) }
		return plain, run(t, cfg, cs), seen
	}
	plain, watched, seen := play(b.cs)
	if d := diff(plain, watched); d != "" || len(plain) == 0 {
		t.Errorf("%d findings; observed:\n%s", len(plain), d)
	}
	first := plain[0]
	if len(seen) != 1 || seen[0] != (value{first.Type, first.Resource.Key(), first.Surprise}) {
		t.Errorf("observed %v, want the surprise of the first finding alone: %v", seen, first.Surprise)
	}

	plain, watched, seen = play(mixture())
	if d := diff(plain, watched); d != "" {
		t.Error(d)
	}
	for _, f := range plain {
		if f.Surprise != 0 && f.Type != weir.DDoS && !slices.ContainsFunc(seen, func(v value) bool { return v.typ == f.Type }) {
			t.Errorf("nothing observed of %s", f.Type)
		}
	}
}

package engine

import (
	"net/netip"
	"testing"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
)

// mixed is n flows to protected resources and n of nobody's.
func mixed(n int) []weir.Flow {
	var out []weir.Flow
	for i := range n {
		f := logins(1, 0, 0)[0]
		f.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 40000)
		f.Dst = netip.AddrPortFrom(own(i%12), 22)
		g := f
		g.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 22)
		out = append(out, f, g)
	}
	return out
}

// TestFeedAllocations holds that the way of flows to the detectors allocates
// nothing, whether they are protected or not, once its buffers are there.
func TestFeedAllocations(t *testing.T) {
	rules := detect.DefaultConfig()
	rules.Memory = 1 << 20 // open panes are full at once: detectors keep nothing
	for _, shards := range []int{1, 3} {
		p, err := newPipeline(rules, shards, world(t), func(change) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		flows := mixed(2000)
		for range 40 { // every buffer of the shards has been in use
			p.feed(weir.Batch{Flows: flows})
		}
		if n := testing.AllocsPerRun(20, func() { p.feed(weir.Batch{Flows: flows}) }); n > 1 {
			t.Errorf("%d shards: %v allocations for %d flows", shards, n, len(flows))
		}
		c := &p.counts
		if c.flows.Load() != 2*c.contacts.Load() || c.unprotected.Load() != c.contacts.Load() {
			t.Errorf("%d shards: %d flows, %d contacts, %d unprotected", shards, c.flows.Load(), c.contacts.Load(), c.unprotected.Load())
		}
	}
}

// TestDroppedIsTold holds that contacts for which there was no room show in the
// summary of a run.
func TestDroppedIsTold(t *testing.T) {
	rules := detect.DefaultConfig()
	rules.Memory = 1 << 20
	for _, shards := range []int{1, 3} {
		p, err := newPipeline(rules, shards, world(t), func(change) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		p.feed(weir.Batch{Flows: mixed(20_000)})
		p.finish()
		d := &Detection{pipe: p}
		if s := d.Summary(); s.Dropped == 0 || s.Dropped >= s.Contacts || s.Contacts != 20_000 {
			t.Errorf("%d shards: %d of %d contacts dropped", shards, s.Dropped, s.Contacts)
		}
	}
}

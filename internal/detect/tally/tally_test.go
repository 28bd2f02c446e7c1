package tally

import (
	"testing"

	"github.com/weir-net/weir"
)

func seen(xf uint64, rate uint32, first int64, ports ...uint16) *Tally {
	t := &Tally{Xf: xf, Nw: xf, Nx: xf * uint64(rate), First: first, Last: first + 1, Thin: rate > 1, NoRate: rate == 0, Seen: true}
	for _, p := range ports {
		t.Ports.Add(p)
	}
	return t
}

func TestMerge(t *testing.T) {
	var sum Tally
	sum.Merge(seen(10, 100, 50, 1, 2, 3))
	sum.Merge(seen(30, 200, 20, 3, 4))
	if sum.Xf != 40 || sum.First != 20 || sum.Last != 51 || sum.Distinct() != 4 || sum.Rate() != 175 {
		t.Errorf("%d packets from %d to %d, %d ports, 1:%d", sum.Xf, sum.First, sum.Last, sum.Distinct(), sum.Rate())
	}
	// The other way round is the same.
	var turned Tally
	turned.Merge(seen(30, 200, 20, 3, 4))
	turned.Merge(seen(10, 100, 50, 1, 2, 3))
	if turned.Rate() != sum.Rate() || turned.Distinct() != sum.Distinct() || turned.First != sum.First {
		t.Errorf("the order matters: %+v, %+v", turned, sum)
	}
}

func TestRate(t *testing.T) {
	var exact, unknown, none Tally
	exact.Merge(seen(5, 1, 0))
	unknown.Merge(seen(5, 100, 0))
	unknown.Merge(seen(5, 0, 0))
	if exact.Rate() != 1 || unknown.Rate() != 0 || none.Rate() != 0 {
		t.Errorf("rates %d, %d, %d, want 1, 0, 0", exact.Rate(), unknown.Rate(), none.Rate())
	}
}

func TestConnections(t *testing.T) {
	c := seen(9, 1, 0, 7, 8)
	if c.Connections() != 2 {
		t.Errorf("%d connections on 2 ports without a SYN", c.Connections())
	}
	c.Starts, c.Lacks = 5, weir.HasBytes
	if c.Connections() != 5 || c.Has(weir.HasBytes) || !c.Has(weir.HasPackets) {
		t.Errorf("%d connections with 5 SYNs; bytes known: %v", c.Connections(), c.Has(weir.HasBytes))
	}
}

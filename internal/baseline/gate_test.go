package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// gateRuns is the number of simulated windows for one cell.
const gateRuns = 4000

// gate simulates windows of conns connections of k packets, the first two being
// control marks, sampled 1:n, and returns the share for which the rule with
// floor m fires.
func gate(n uint32, conns, k int, m float64) float64 {
	rng := rand.New(rand.NewPCG(1, uint64(n)<<32|uint64(conns*k)))
	lp := math.Log1p(-1 / float64(n))
	limit := 0.6 * RhoExpected(n, 13)
	fired := 0
	for range gateRuns {
		var x, d, control uint64
		last := -1
		for i := int(math.Log(1-rng.Float64()) / lp); i < conns*k; i += 1 + int(math.Log(1-rng.Float64())/lp) {
			x++
			if i%k < 2 {
				control++
			}
			if i/k != last {
				d, last = d+1, i/k
			}
		}
		if d >= 4 && float64(d) >= limit*float64(x) && LowerConnections(n, x, d, 13) >= m &&
			(SessionBound(d, x) >= 30 || ControlLLR(control, x-control) >= 2) {
			fired++
		}
	}
	return float64(fired) / gateRuns
}

func TestGateReach(t *testing.T) {
	rates := []uint32{256, 1000, 2048, 4096}
	for _, c := range []struct {
		conns, k int
		want     []float64
	}{
		{200, 15, []float64{0.528, 0.049, 0.008, 0.000}}, {600, 15, []float64{1, 0.377, 0.099, 0.022}},
		{1000, 15, []float64{1, 0.818, 0.263, 0.081}}, {1400, 15, []float64{1, 0.982, 0.480, 0.141}},
		{2000, 15, []float64{1, 1, 0.814, 0.262}}, {2700, 15, []float64{1, 1, 0.969, 0.460}},
		{3000, 15, []float64{1, 1, 0.990, 0.555}}, {5000, 15, []float64{1, 1, 1, 0.950}}, {5200, 15, []float64{1, 1, 1, 0.960}},
		{10, 3000, []float64{0, 0, 0, 0}}, {20, 1000, []float64{0, 0.001, 0.002, 0}}, {50, 600, []float64{0, 0.624, 0.120, 0.007}},
	} {
		for i, n := range rates {
			absNear(t, fmt.Sprintf("%d x %d, N=%d", c.conns, c.k, n), gate(n, c.conns, c.k, 30), c.want[i], 0.03)
		}
	}
	for n, want := range map[uint32]float64{16: 0.999, 32: 0.980, 64: 0.819, 100: 0.649, 128: 0.478, 192: 0.321, 256: 0.172} {
		absNear(t, fmt.Sprintf("slow and low, N=%d", n), gate(n, 144, 15, 100), want, 0.03)
	}
}

package detect

import (
	"math"
	"testing"

	"github.com/weir-net/weir/internal/baseline"
)

// TestReachOfTheFloodRule computes what row G3 of the detection reference states:
// the probability that two of three panes reach the floor for SYN floods.
func TestReachOfTheFloodRule(t *testing.T) {
	for _, c := range []struct {
		n          uint32
		rate, want float64
	}{{4096, 2000, 0.986}, {4096, 2050, 0.992}, {1000, 2000, 1}, {1000, 1000, 0.005}} {
		mean := c.rate * 60 / float64(c.n)
		miss := 0.0
		for x := uint64(0); baseline.RateLower(c.n, x, 60) < floodSynRate; x++ {
			lg, _ := math.Lgamma(float64(x) + 1)
			miss += math.Exp(float64(x)*math.Log(mean) - mean - lg)
		}
		p := 1 - miss
		if got := p * p * (3 - 2*p); math.Abs(got-c.want) > 0.0025 {
			t.Errorf("%v packets a second at 1:%d: %.4f, want %v", c.rate, c.n, got, c.want)
		}
	}
}

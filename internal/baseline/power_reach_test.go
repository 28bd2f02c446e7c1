package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestPairPower throws packets for the published number of connections, and asks
// what the rule asks of them.
func TestPairPower(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range []PairPower{
		{N: 16, K: 13, Floor: 30}, {N: 64, K: 13, Floor: 30, Surprise: 5, Prior: 2}, {N: 64, K: 30, Floor: 30}, {N: 64, K: 13, Floor: 300},
		{N: 256, K: 30, Floor: 30}, {N: 1000, K: 13, Floor: 30}, {N: 4096, K: 8, Floor: 30}, {N: 1000, K: 5, Floor: 30, Replies: 3},
	} {
		smallest, gate := p.Smallest()
		for _, f := range []float64{1. / 3, 1, 1.5} {
			const runs = 400
			found := 0
			for range runs {
				if p.thrown(rng, int(math.Ceil(smallest*f))) {
					found++
				}
			}
			// With a probability of 0.95, 400 runs hold fewer than 368 once in 150.
			if share := float64(found) / runs; f == 1 && (share < 0.92 || share > 0.985) || f > 1 && share < 0.93 || f < 1 && share > 0.5 {
				t.Errorf("%+v: %.2f of %.0f (%s) found with %.3f", p, f, smallest, gate, share)
			}
		}
	}
}

// thrown reports whether one sample of c connections passes.
func (p PairPower) thrown(rng *rand.Rand, c int) bool {
	in, k := 1/float64(p.N), int(p.K)
	var d, x, marks, replies uint64
	for range c {
		seen := uint64(0)
		for j := range k {
			if rng.Float64() < in {
				seen++
				if j < loginMarks {
					marks++
				}
			}
			if j > 0 && rng.Float64() < in {
				replies++
			}
		}
		x += seen
		if seen > 0 {
			d++
		}
	}
	if d < powerPorts || float64(d) < stormShare*RhoExpected(p.N, p.K)*float64(x) || replies < p.Replies {
		return false
	}
	if p.Surprise > 0 && Surprise(d, 1/PriorPhi, p.Prior*Inclusion(p.N, 1, p.K)) < p.Surprise {
		return false
	}
	if LowerConnections(p.N, x, d, p.K) < p.Floor || BetaUCB95(marks, x) < markShare*loginMarks/p.K {
		return false
	}
	return SessionBound(d, x) >= stormSessions || ControlLLR(marks, x-marks) >= stormOdds
}

// TestCrowdPower does the same for bots, with the noise of the hour.
func TestCrowdPower(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []uint32{64, 256, 1000, 4096} {
		p := CrowdPower{N: n, K: 13, Connections: 10, MinPeers: 5, Surprise: 4, Prior: 5, Windows: 121, Noise: 10, NoisePackets: 20}
		smallest, gate := p.Smallest()
		for _, f := range []float64{1. / 3, 1, 1.5} {
			const runs = 400
			found := 0
			for range runs {
				if p.thrown(rng, int(math.Ceil(smallest*f))) {
					found++
				}
			}
			if share := float64(found) / runs; f == 1 && (share < 0.92 || share > 0.985) || f > 1 && share < 0.93 || f < 1 && share > 0.5 {
				t.Errorf("N=%d: %.2f of %.0f (%s) found with %.3f", n, f, smallest, gate, share)
			}
		}
	}
}

func (p CrowdPower) thrown(rng *rand.Rand, bots int) bool {
	in := 1 / float64(p.N)
	var u, d, x, marks uint64
	for range bots {
		var ports, packets, controls, syns uint64
		for range int(p.Connections) {
			before := packets
			for j := range int(p.K) {
				if rng.Float64() >= in {
					continue
				}
				packets++
				if j < loginMarks {
					controls++
				}
				if j == 0 {
					syns++
				}
			}
			if packets > before {
				ports++
			}
		}
		if packets > syns {
			u, d, x, marks = u+1, d+ports, x+packets, marks+controls
		}
	}
	noise := p.Noise * Inclusion(p.N, 1, p.NoisePackets-1)
	w := Inclusion(p.N, 1, p.K)
	for v := rng.ExpFloat64(); v < noise; v += rng.ExpFloat64() {
		u++
	}
	s := Surprise(u, 1/Dispersion(p.Windows*noise, 0), (p.Windows*noise+24*w*p.Prior)/(p.Windows+24))
	if u < p.MinPeers || s < p.Surprise || d < powerPorts || float64(d) < stormShare*RhoExpected(p.N, p.K)*float64(x) || BetaUCB95(marks, x) < markShare*loginMarks/p.K {
		return false
	}
	surplus := math.Min(s-p.Surprise, stormOdds)
	return float64(SessionBound(d, x)) >= stormSessions*(1-surplus/(2*stormOdds)) || ControlLLR(marks, x-marks) >= stormOdds-surplus
}

func TestPowerPublished(t *testing.T) {
	for _, c := range []struct {
		what           string
		got, low, high float64
	}{
		// Section 7.1: the rule never fires below its floor, and at it without sampling.
		{"pair at 1", first(PairPower{N: 1, K: 13, Floor: 30, Surprise: 5, Prior: 2}.Smallest()), 30, 30},
		{"pair at 1, prior of 20", first(PairPower{N: 1, K: 13, Floor: 30, Surprise: 5, Prior: 20}.Smallest()), 100, 300},
		// Section 3.3, interpolated between cells of 400 runs.
		{"pair at 1000", first(PairPower{N: 1000, K: 15, Floor: 30}.Smallest()), 1200, 1500},
		{"pair at 4096", first(PairPower{N: 4096, K: 15, Floor: 30}.Smallest()), 4600, 5600},
		{"pair, long", first(PairPower{N: 8, K: 3000, Floor: 1e6}.Smallest()), math.Inf(1), math.Inf(1)},
		{"pair, many", first(PairPower{N: 64, K: 13, Floor: 5000}.Smallest()), 5200, 5700},
		{"pair, unknown rate", first(PairPower{K: 13, Floor: 30}.Smallest()), 0, 0},
		{"crowd, unknown rate", first(CrowdPower{K: 13, Connections: 10}.Smallest()), 0, 0},
		// Section 8.10: medians of 13, 623 and 5,648 probes of 2.4 SYNs.
		{"sweep at 1", first(ScanPower{N: 1, SYNs: 2, Exact: 25, Sampled: 10}.Smallest()), 25, 25},
		{"sweep at 100", first(ScanPower{N: 100, SYNs: 2.4, Exact: 25, Sampled: 10}.Smallest()), 623, 1246},
		{"sweep at 1000", first(ScanPower{N: 1000, SYNs: 2.4, Exact: 25, Sampled: 10}.Smallest()), 5648, 11296},
		{"sweep, unknown rate", first(ScanPower{SYNs: 2, Exact: 25}.Smallest()), 0, 0},
		// Section 15, G3: 2 of 3 panes at 2,000 packets/s and N = 4096 with 0.986.
		{"flood at 1", FloodPower(1, 1000, 60), 1000, 1010},
		{"flood at 4096", FloodPower(4096, 1000, 60), 1700, 2000},
		{"flood, unknown rate", FloodPower(0, 1000, 60), 0, 0},
		{"contact at 1", ContactPower(1, 5, 1), 1, 1},
		{"contact at 1000", ContactPower(1000, 5, 1), 599, 600},
		{"two packets at 1000", ContactPower(1000, 40, 2), 118, 120},
		{"contact, unknown rate", ContactPower(0, 5, 1), 0, 0},
	} {
		if !(c.got >= c.low && c.got <= c.high) {
			t.Errorf("%s = %g, want %g to %g", c.what, c.got, c.low, c.high)
		}
	}
	// A higher floor, more that is asked for and thinner samples never make an
	// attack smaller, where the floor or the surprise decides.
	for _, n := range []uint32{1, 2, 16, 64, 1000} {
		last := 0.0
		for _, floor := range []float64{30, 60, 90, 100, 300, 1000, 5000} {
			v, gate := PairPower{N: n, K: 13, Floor: floor, Surprise: 5, Prior: 2}.Smallest()
			if v < last || v < floor {
				t.Errorf("N=%d, floor %g: %g (%s) after %g", n, floor, v, gate, last)
			}
			last = v
		}
		last = 0
		for _, s := range []float64{3, 4, 6, 10} {
			v, gate := CrowdPower{N: n, K: 13, Connections: 10, MinPeers: 5, Surprise: s, Prior: 5, Windows: 121, Noise: 10, NoisePackets: 20}.Smallest()
			if v < last {
				t.Errorf("N=%d, surprise %g: %g bots (%s) after %g", n, s, v, gate, last)
			}
			last = v
		}
	}
}

func first(v float64, _ Gate) float64 { return v }

func ExamplePairPower() {
	for _, n := range []uint32{1, 64, 1000} {
		c, gate := PairPower{N: n, K: 13, Floor: 60, Surprise: 5, Prior: 2}.Smallest()
		fmt.Printf("1:%d %.0f connections, decided by the %s\n", n, c, gate)
	}
	// Output:
	// 1:1 60 connections, decided by the floor
	// 1:64 137 connections, decided by the floor
	// 1:1000 1425 connections, decided by the shape
}

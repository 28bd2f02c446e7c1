package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// The measurements behind the readings of the detection reference, section 15,
// that are arithmetic. The decision record 0007 has their numbers; -v prints
// them.

// TestReadingRescale is R1: of the pairs (D, X) beyond 60 packets that the
// reference checks, how many have a bound above the exact one when D*60/X is
// rounded down, and when it is rounded up.
func TestReadingRescale(t *testing.T) {
	t.Parallel()
	xs := []uint64{150, 200, 240}
	for x := uint64(61); x <= 130; x++ {
		xs = append(xs, x)
	}
	cells, down, up, rounding, missed, worst := 0, 0, 0, 0, 0, 1.0
	for _, x := range xs {
		for d := uint64(4); d <= x; d++ {
			cells++
			// A bound b is above the exact one when fewer sessions explain d.
			above := func(b uint64) bool { return b > d && OccupancyTail(d, x, b-1) >= 0.05 }
			low, high := SessionBound(d, x), SessionBound((60*d+x-1)/x, 60)
			if above(low) {
				down++
			}
			if above(high) {
				up++
				worst = math.Max(worst, float64(high)/float64(sessionBoundSlow(d, x)))
			}
			exact := d >= 30 || OccupancyTail(d, x, 29) < 0.05
			if low < 30 && exact {
				missed++
			}
			if above(high) && (high >= 30) != exact {
				rounding++
			}
		}
	}
	t.Logf("%d cells: above the exact bound %d rounded down, %d rounded up (by up to %.2f), of which %d change L_b >= 30; %d with an exact bound of 30 or more have a lower one",
		cells, down, up, worst, rounding, missed)
	if cells != 7056 || down != 0 || up != 74 || math.Abs(worst-1.54) > 0.005 || rounding != 0 || missed != 1369 {
		t.Error("not what the record says")
	}
}

// TestReadingPrior is R2: the uniform prior is the one under which a lower bound
// of 95 % holds for 95 % of all shares, and what that means for the worst share.
func TestReadingPrior(t *testing.T) {
	t.Parallel()
	const steps = 4000
	for _, n := range []uint64{4, 10, 20, 60} {
		sum, worst := 0.0, 1.0
		for i := range steps {
			p := (float64(i) + 0.5) / steps
			held := 0.0
			for k := range n + 1 {
				if BetaLCB95(k, n) <= p {
					held += binomial(float64(n), p, float64(k))
				}
			}
			sum += held / steps
			if p >= 0.3 {
				worst = math.Min(worst, held)
			}
		}
		t.Logf("%d packets: the lower bound holds for %.4f of all shares, %.3f for the worst above 0.3", n, sum, worst)
		absNear(t, fmt.Sprintf("%d packets", n), sum, 0.95, 0.002)
	}
	for _, c := range []struct {
		k, n uint64
		is   bool
	}{{3, 3, false}, {4, 4, true}} {
		if got := BetaLCB95(c.k, c.n) > 0.5; got != c.is {
			t.Errorf("%d SYNs of %d packets: scanlike %v", c.k, c.n, got)
		}
	}
	for n, want := range map[uint64]bool{57: false, 58: true} {
		if got := BetaUCB95(0, n) < 0.05; got != want {
			t.Errorf("no reply to %d packets: scanlike %v", n, got)
		}
	}
}

// TestReadingSizes is R8: the bytes of a baseline and of a season.
func TestReadingSizes(t *testing.T) {
	t.Parallel()
	rate, season := unsafe.Sizeof(Rate{}), unsafe.Sizeof(Season{})
	t.Logf("baseline %d bytes, season %d", rate, season)
	if rate != 64 || season != 216 {
		t.Error("not what the record says")
	}
	// Four baselines of a service and direction share one season.
	if each := (4*rate + season) / 4; each > 264 {
		t.Errorf("%d bytes a key", each)
	}
}

// TestReadingWeekOfBeacons is R9: how many points without jitter are a beacon in
// a day, and in a week.
func TestReadingWeekOfBeacons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		days      float64
		grid      int
		threshold float64
		least     int
	}{{1, 3793, 15.149, 16}, {7, 26545, 17.094, 18}} {
		window := c.days * dayS
		if g := BeaconGrid(window); g != c.grid {
			t.Errorf("%g days: %d frequencies", c.days, g)
		}
		absNear(t, fmt.Sprintf("threshold of %g days", c.days), BeaconThreshold(window), c.threshold, 5e-4)
		for n := c.least - 2; n < c.least+2; n++ {
			times := make([]float64, n)
			for i := range times {
				times[i] = math.Floor(float64(i)*window/float64(n)/60) * 60
			}
			if _, _, sig := BeaconR(times, window); sig != (n >= c.least) {
				t.Errorf("%d points in %g days: %v", n, c.days, sig)
			}
		}
	}
}

// TestReadingFloors is R10 and R12: the smallest counts that are surprising
// enough by the prior alone, where nothing is sampled.
func TestReadingFloors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		mean float64
		need float64
		want uint64
	}{
		{"connections of a new peer, phase 0", 2, 7, 33}, {"phase 1", 2, 6, 28}, {"phase 2", 2, 5, 24},
		{"peers in an hour, phase 0", 5, 6, 60}, {"phase 1", 5, 5, 51}, {"phase 2", 5, 4, 42},
		{"new destinations of SSH in a day, phase 0", 0.01, 6, 3},
	} {
		got := leastSurprising(c.need, 1/PriorPhi, c.mean)
		t.Logf("%s: %d", c.what, got)
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// beacons are n sampled points of a beacon of a period in one day, each off by up
// to jitter periods.
func beacons(rng *rand.Rand, n int, period, jitter float64) []float64 {
	seen := map[int]bool{}
	times := make([]float64, 0, n)
	for len(times) < n {
		i := rng.IntN(int(dayS / period))
		if seen[i] {
			continue
		}
		seen[i] = true
		times = append(times, math.Floor(math.Max(0, (float64(i)+jitter*(2*rng.Float64()-1))*period)))
	}
	slices.Sort(times)
	return times
}

// TestReadingBeaconsOfSixteen is G4: what share of beacons of 60 s with 16 sampled
// points is found, what the area under the curve against random arrivals is, and
// what share is found with more points.
func TestReadingBeaconsOfSixteen(t *testing.T) {
	t.Parallel()
	const runs = 200
	rng := rand.New(rand.NewPCG(44, 4))
	random := make([]float64, runs)
	for i := range random {
		times := make([]float64, 16)
		for j := range times {
			times[j] = math.Floor(rng.Float64() * dayS)
		}
		random[i], _, _ = BeaconR(times, dayS)
	}
	for _, c := range []struct {
		jitter     float64
		n          int
		found, auc float64
	}{{0, 16, 1, 1}, {0.1, 16, 0, 1}, {0.1, 18, 0.95, 1}, {0.1, 20, 1, 1}, {0.3, 16, 0, 0.56}, {0.3, 28, 0, 0.8}, {0.3, 57, 0.5, 1}, {0.3, 80, 0.95, 1}} {
		found, area := 0, 0
		for range runs {
			r, _, sig := BeaconR(beacons(rng, c.n, 60, c.jitter), dayS)
			if sig {
				found++
			}
			for _, o := range random {
				if r > o {
					area++
				}
			}
		}
		share, auc := float64(found)/runs, float64(area)/runs/runs
		t.Logf("jitter %g, %d points: %.3f found, area %.3f", c.jitter, c.n, share, auc)
		absNear(t, "found", share, c.found, 0.06)
		absNear(t, "area", auc, c.auc, 0.06)
	}
}

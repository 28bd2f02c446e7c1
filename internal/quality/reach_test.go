package quality

import (
	"math"
	"testing"

	"github.com/weir-net/weir/internal/baseline"
)

// The reach of a rule is the intensity that it finds with a probability of about
// 0.95, as the detection reference publishes it or as follows from its numbers.

// loginPackets is the number of sampled client packets that a login storm must
// show. Source: detection reference, section 3.3: 1,400 / 2,700 / 5,200
// connections of 15 packets at N = 1000 / 2048 / 4096 are 21 / 19.8 / 19
// sampled packets.
const loginPackets = 21

// pairReach is the number of connections of k client packets in one window of
// the hour (floor 30, on the first day three times that under sampling) or the
// day (floor 100; sections 6.7 and 7.1). Besides the packets of a storm, the
// lower bound N*GQ05(X)/k must come to the floor with a probability of 0.95.
func pairReach(n uint32, k, floor float64) float64 {
	if n == 1 {
		return floor
	}
	need := uint64(1)
	for float64(n)*baseline.GQ05(need)/k < floor {
		need++
	}
	return math.Max(loginPackets, poisson95(need)) * float64(n) / k
}

// pairFloor is the floor of a pair within the hour.
func pairFloor(n uint32, cold bool) float64 {
	if cold && n > 1 {
		return 90
	}
	return 30
}

// poisson95 is the mean at which a Poisson number is at least need with a
// probability of 0.95.
func poisson95(need uint64) float64 {
	low, high := float64(need), 4*float64(need)+40
	for high-low > 1e-6*low {
		mid := (low + high) / 2
		if baseline.PoissonTail(need, mid) < 0.95 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// crowdReach is the number of bots of ten logins each within the hour, among a
// hundred noisy sources. Source: section 7.2, where 75 lies between 50 bots
// (0.87) and 100 (1.0) at N = 1000, and 400 between 200 (0.77) and 500 (1.0) at
// 4096.
func crowdReach(n uint32) float64 {
	switch {
	case n <= 1000:
		return 75
	case n <= 4096:
		return 400
	}
	return 1600
}

// crowdTarget is the number of bots that section 11.4 asks to find with a
// recall of 0.9.
func crowdTarget(n uint32) float64 {
	switch {
	case n <= 1000:
		return 100
	case n <= 4096:
		return 200
	}
	return 800
}

// scanReach is the number of probed targets, of so many SYNs each. Source:
// section 8.10: the alarm level ln(1e6) takes 13 sampled SYNs at t0 = 0.2, and
// 10 targets sampled (25 without sampling); 20 sampled SYNs are at least 13
// with a probability of 0.96.
func scanReach(n uint32, syns float64, exact float64) float64 {
	if n == 1 {
		return exact
	}
	return math.Max(exact, 20*float64(n)/syns)
}

// floodReach is the number of packets a second at which the lower bound reaches
// the floor in one pane of a minute with a probability of 0.95 (section 8.5).
func floodReach(n uint32, floor float64) float64 {
	const seconds = 60
	need := uint64(1)
	for baseline.RateLower(n, need, seconds) < floor {
		need += 1 + need/1000
	}
	return poisson95(need) * float64(n) / seconds
}

// contactReach is the number of connections of k packets of which one packet is
// sampled with a probability of 0.95 (sections 8.1 and 8.15).
func contactReach(n uint32, k float64) float64 {
	if n == 1 {
		return 1
	}
	return math.Ceil(-math.Log(0.05) * float64(n) / k)
}

// enough is the intensity from which an attack counts for the recall.
const enough = 1.5

// target is the intensity of attacks of the size that section 11.4 names.
const target = 0

// factors are the intensities of the corpus, relative to the reach.
func factors() []float64 { return []float64{0.5, 1, 1.5, 2} }

func TestReach(t *testing.T) {
	near := func(what string, got, want, within float64) {
		if math.Abs(got-want) > within*want {
			t.Errorf("%s = %.0f, want about %.0f", what, got, want)
		}
	}
	near("pair at 1000", pairReach(1000, 15, 30), 1400, 0.01)
	near("pair at 2048", pairReach(2048, 15, 30), 2700, 0.07)
	near("pair at 4096", pairReach(4096, 15, 30), 5200, 0.11)
	// Section 8.5: 2,000 packets a second are found with 0.92 in one pane at
	// N = 4096 and with 1.0 at N = 1000.
	near("flood at 4096", floodReach(4096, 1000), 2080, 0.05)
	if r := floodReach(1000, 1000); r < 1200 || r > 1900 {
		t.Errorf("flood at 1000 = %.0f", r)
	}
	// Section 15, G1: of 144 connections in a day, k = 15, 0.98 are found at
	// N = 32 and 0.82 at N = 64.
	// The rule counts 13 packets a connection.
	if r := pairReach(32, 13, 100) * 13 / 15; r > 144 || r < 120 {
		t.Errorf("pair in a day at 32 = %.0f", r)
	}
	if r := pairReach(64, 13, 100) * 13 / 15; r < 150 {
		t.Errorf("pair in a day at 64 = %.0f", r)
	}
}

package quality

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
)

// The reach of a rule is the intensity that it finds with a probability of 0.95,
// the number that `weir power` prints.

// pairReach is the number of connections of a service in one window of an hour
// or a day. In the first week connections to SSH may be those of automation, and
// their shortness must be shown; on the first day more sessions and more of them
// are asked for under sampling (sections 6.7 and 7.1, and `weir power`).
func pairReach(n uint32, svc service, window time.Duration, w when) float64 {
	q := baseline.PairPower{N: n, K: svc.k, Floor: 30, Surprise: 5, Prior: 2}
	if window > time.Hour {
		q.Floor = 100
	}
	if svc.in == weir.SQLIncomingOneToOne {
		q.Replies = 8
	}
	if w != later {
		q.Surprise++
		if svc.port == 22 && n > 1 {
			q.Floor, q.Proof = 2*q.Floor, 20
		}
	}
	if w == firstDay {
		q.Surprise++
		if n > 1 {
			q.Floor, q.Sessions = 3*q.Floor, 60
		}
	}
	return smallest(q, q.Smallest)
}

// crowdReach is the number of bots of ten logins each within the hour, among a
// hundred noisy sources of which a tenth log in (section 7.2): after the days of
// history that the corpus gives, or before anything is learnt.
func crowdReach(n uint32, svc service, w when) float64 {
	q := baseline.CrowdPower{
		N: n, K: svc.k, Connections: 10, MinPeers: 5, Surprise: 4, Prior: 5, Windows: 121, Noise: 10, NoisePackets: 20,
	}
	switch w {
	case firstWeek:
		q.Surprise, q.Windows, q.Hours, q.Proof = 5, 72, 72, 20
	case firstDay:
		q.Surprise, q.Windows, q.Hours, q.Proof = 6, 0, 24, 20
		if svc.port == 22 {
			q.Proof = 2
		}
	}
	return smallest(q, q.Smallest)
}

// spreadReach is the number of destinations of ten logins each within the hour
// (section 8.11).
func spreadReach(n uint32, svc service, w when) float64 {
	q := baseline.CrowdPower{N: n, K: svc.k, Connections: 10, MinPeers: 5, Surprise: 4, Prior: 0.01 / 24}
	if w != later {
		q.Surprise, q.Proof = 6, 20
		if svc.port == 22 {
			q.Proof = 2
		}
	}
	return smallest(q, q.Smallest)
}

// known are reaches that were worked out, by question: all seeds ask the same.
var known sync.Map

func smallest(question any, answer func() (float64, baseline.Gate)) float64 {
	if v, ok := known.Load(question); ok {
		return v.(float64)
	}
	v, _ := answer()
	known.Store(question, v)
	return v
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

// scanReach is the number of probed targets, of so many SYNs each (section
// 8.10): exact is how many are asked for where nothing is sampled. One in twenty
// of the targets answers.
func scanReach(n uint32, syns float64, exact float64) float64 {
	// Under sampling 10 of the 25 targets of a sweep are asked for, and 8 of the 15
	// ports of one host; on the first day twice as many.
	sampled := map[float64]uint64{25: 10, 50: 20, 15: 8, 30: 16}[exact]
	c, _ := baseline.ScanPower{N: n, SYNs: syns, Exact: uint64(exact), Sampled: sampled}.Smallest()
	return c
}

// floodReach is the number of packets a second at which two of three panes of a
// minute reach the floor by their lower bound (section 8.5).
func floodReach(n uint32, floor float64) float64 { return baseline.FloodPower(n, floor, 60) }

// contactReach is the number of connections of k packets of which one packet is
// sampled with a probability of 0.95 (sections 8.1 and 8.15).
func contactReach(n uint32, k float64) float64 { return baseline.ContactPower(n, k, 1) }

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
	// Section 3.3, between cells of 400 runs each.
	long := service{k: 15}
	near("pair at 1000", pairReach(1000, long, time.Hour, later), 1400, 0.12)
	near("pair at 2048", pairReach(2048, long, time.Hour, later), 2700, 0.12)
	near("pair at 4096", pairReach(4096, long, time.Hour, later), 5200, 0.12)
	// Section 7.2: 100 bots are found at N = 1000 with 1.0, 50 with 0.87.
	if r := crowdReach(1000, ssh(), later); r < 50 || r > 120 {
		t.Errorf("bots at 1000 = %.0f", r)
	}
	// Section 8.5: 2,000 packets a second are found with 0.92 in one pane at
	// N = 4096, with 0.98 in two of three, and with 1.0 at N = 1000.
	if r := floodReach(4096, 1000); r < 1700 || r > 2000 {
		t.Errorf("flood at 4096 = %.0f", r)
	}
	if r := floodReach(1000, 1000); r < 1200 || r > 1900 {
		t.Errorf("flood at 1000 = %.0f", r)
	}
	// Section 15, G1: of 144 connections in a day, k = 15, 0.98 are found at
	// N = 32 and 0.82 at N = 64.
	// The rule counts 13 packets a connection.
	if r := pairReach(32, ssh(), 24*time.Hour, later) * 13 / 15; r > 144 || r < 120 {
		t.Errorf("pair in a day at 32 = %.0f", r)
	}
	if r := pairReach(64, ssh(), 24*time.Hour, later) * 13 / 15; r < 150 {
		t.Errorf("pair in a day at 64 = %.0f", r)
	}
}

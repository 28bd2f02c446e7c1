package marks

import (
	"math/rand/v2"
	"testing"
)

// play samples 1:n packets of connections of k client packets, two of which are
// control packets, from ports drawn at random.
func play(rng *rand.Rand, connections, k int, n uint32) (d, x, ctl, syn uint64) {
	ports := map[int]bool{}
	for range connections {
		port := 32768 + rng.IntN(28232)
		for i := range k {
			if rng.IntN(int(n)) != 0 {
				continue
			}
			x++
			ports[port] = true
			if i == 0 {
				syn++
			}
			if i == 0 || i == k-1 {
				ctl++
			}
		}
	}
	return uint64(len(ports)), x, ctl, syn
}

// TestShapes checks how often logins are taken for long sessions and sessions for
// logins, at the intensity of 1.5 times the reach (31 packets).
func TestShapes(t *testing.T) {
	const runs = 400
	for _, c := range []struct {
		name        string
		connections int
		k           int
		n           uint32
		low, high   float64 // share of runs judged to be long
	}{
		{"SSH logins at 1000", 2100, 15, 1000, 0, 0.08},
		{"SSH logins at 64", 134, 15, 64, 0, 0.08},
		{"logins of 22 packets, many", 20000, 22, 1000, 0, 0.05},
		{"an office of 600 packets a session, a day", 450, 600, 4096, 0.8, 1},
		{"an office of 600 packets a session, an hour at 512", 50, 600, 512, 0.95, 1},
		{"interactive sessions", 10, 3000, 256, 0.99, 1},
	} {
		rng := rand.New(rand.NewPCG(uint64(c.k), uint64(c.n)))
		long := 0
		for range runs {
			d, x, ctl, _ := play(rng, c.connections, c.k, c.n)
			if Sessions(d, x) < 300 && (Repeats(d, x, float64(x)*float64(x)/2, c.n, 13) || Missing(ctl, x, 13)) {
				long++
			}
		}
		if share := float64(long) / runs; share < c.low || share > c.high {
			t.Errorf("%s: %.3f are judged to be long, want %.2f to %.2f", c.name, share, c.low, c.high)
		}
	}
}

// TestSessionsIsALowerBound: at most one run in ten claims more sessions than
// there were.
func TestSessionsIsALowerBound(t *testing.T) {
	const runs = 400
	for _, c := range []struct {
		sessions, k int
		n           uint32
	}{{2400, 75, 256}, {500, 600, 1000}, {50, 600, 512}, {3000, 15, 1000}} {
		rng := rand.New(rand.NewPCG(3, uint64(c.n)))
		over, sum := 0, 0.0
		for range runs {
			d, x, _, _ := play(rng, c.sessions, c.k, c.n)
			s := Sessions(d, x)
			sum += s
			if s > float64(c.sessions) {
				over++
			}
		}
		if over > runs/10 {
			t.Errorf("%d sessions of %d packets at 1:%d: more are claimed in %d of %d runs", c.sessions, c.k, c.n, over, runs)
		}
		if mean := sum / runs; c.k >= 75 && mean < 0.3*float64(c.sessions) {
			t.Errorf("%d sessions of %d packets at 1:%d: %.0f claimed on the average, far too few", c.sessions, c.k, c.n, mean)
		}
	}
	if Sessions(0, 0) != 0 || Sessions(4, 4) < 4 {
		t.Errorf("small evidence: %v, %v", Sessions(0, 0), Sessions(4, 4))
	}
}

// TestReused tells one long session from many connections of one port.
func TestReused(t *testing.T) {
	for _, c := range []struct {
		d, x, syn uint64
		want      bool
	}{
		{1, 400, 28, true},    // logins that share a port
		{1, 400, 1, false},    // one long session
		{3, 60, 0, false},     // a few sessions
		{350, 400, 28, false}, // ports as usual
		{1, 15, 2, false},     // too little to tell
	} {
		if got := Reused(c.d, c.x, c.syn); got != c.want {
			t.Errorf("%d ports, %d packets, %d SYNs: %v", c.d, c.x, c.syn, got)
		}
	}
}

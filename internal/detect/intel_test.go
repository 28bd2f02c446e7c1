package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// calls is a day of a machine that calls a controller every minute, or at random
// times of the same rate.
func calls(n uint32, count int, random bool, roles ...string) []weir.Contact {
	s := newSite(1, 3)
	s.res.Roles = roles
	for i := range count {
		at := time.Duration(i) * time.Minute
		if random {
			at = time.Duration(s.rng.Int64N(int64(count) * int64(time.Minute)))
		}
		s.one(at, 2*time.Second, peerAt(4, 1), 443, heartbeat, true).intel = verdictOf(weir.CategoryC2)
	}
	return observe(s.conns, n, 7)
}

// lastC2 returns the newest finding on a controller.
func lastC2(fs []weir.Finding) *weir.Finding {
	for _, f := range slices.Backward(fs) {
		if f.Type == weir.CommunicationWithC2 {
			return &f
		}
	}
	return nil
}

func TestBeaconsMakeConfident(t *testing.T) {
	const base, raised = 0.8, 0.84 // 1-(1-0.8)(1-0.2)
	for _, c := range []struct {
		name   string
		n      uint32
		count  int
		random bool
		method string
		want   float64
	}{
		{"beacon", 1, 1440, false, "rita", raised},
		{"beacon, sampled", 256, 1440, false, "phase", raised},
		{"random", 1, 1440, true, "rita", base},
		{"random, sampled", 256, 1440, true, "phase", base},
		{"15 calls", 1, 15, false, "", base},
	} {
		fs, _ := play(t, DefaultConfig(), calls(c.n, c.count, c.random))
		f := lastC2(fs)
		if f == nil {
			t.Errorf("%s: no finding", c.name)
			continue
		}
		if math.Abs(f.Confidence-c.want) > 1e-9 || f.Facts["beaconMethod"] != c.method {
			t.Errorf("%s: confidence %v by %v, want %v by %q", c.name, f.Confidence, f.Facts, c.want, c.method)
		}
	}
}

// TestRolesThatMeetEverybodyNeedABeacon is the guard on roles of section 8.1.
func TestRolesThatMeetEverybodyNeedABeacon(t *testing.T) {
	for _, role := range []string{"resolver", "mail", "crawler", "proxy", "threat-intel"} {
		for _, random := range []bool{false, true} {
			fs, _ := play(t, DefaultConfig(), calls(1, 200, random, role))
			if got := lastC2(fs) != nil; got == random {
				t.Errorf("%s, random calls %v: alert %v", role, random, got)
			}
		}
	}
}

// TestBeaconsInAnyOrder shuffles what a beacon shows.
func TestBeaconsInAnyOrder(t *testing.T) {
	cs := calls(64, 1440, false)
	want, _ := play(t, DefaultConfig(), cs)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		shuffled := slices.Clone(cs)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got, _ := play(t, DefaultConfig(), shuffled)
		differ(t, "shuffled", essences(want, t0, same), essences(got, t0, same))
	}
}

// TestSnapshotKeepsTheBeat stops a detector in the middle of a beacon.
func TestSnapshotKeepsTheBeat(t *testing.T) {
	cs := calls(1, 40, false)
	want, _ := play(t, DefaultConfig(), cs)
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var got []weir.Finding
	take := func(f weir.Finding) { got = append(got, f) }
	d.Observe(cs)
	d.Close(t0+int64(12*time.Minute), take)
	b, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	next, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Restore(b); err != nil {
		t.Fatal(err)
	}
	next.Flush(take)
	differ(t, "restored", essences(want, t0, same), essences(got, t0, same))
	if f := lastC2(got); f == nil || f.Facts["beaconEvents"] == "" {
		t.Errorf("no beacon after the restart: %v", f)
	}
}

// TestSecondControllerOfAFamily counts those of the last day only.
func TestSecondControllerOfAFamily(t *testing.T) {
	for _, c := range []struct {
		at   []time.Duration // of the first machine, then of the second
		want float64
	}{
		{[]time.Duration{0, time.Hour}, 0.84},
		{[]time.Duration{0, 23 * time.Hour}, 0.84},
		{[]time.Duration{0, 30 * time.Hour}, 0.8},
		{[]time.Duration{0, 20 * time.Hour, 40 * time.Hour}, 0.8}, // one episode all the same
	} {
		s := newSite(1, 3)
		for i, at := range c.at {
			s.one(at, time.Second, peerAt(4, min(i, 1)), 443, heartbeat, true).intel = verdictOf(weir.CategoryC2)
		}
		fs, _ := play(t, DefaultConfig(), observe(s.conns, 1, 1))
		if f := lastC2(fs); f == nil || math.Abs(f.Confidence-c.want) > 1e-9 {
			t.Errorf("after %v: %+v, want confidence %v", c.at, f, c.want)
		}
	}
}

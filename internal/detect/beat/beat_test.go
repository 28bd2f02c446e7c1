package beat

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// call is one contact with ten packets of which one in n is sampled.
func call(rng *rand.Rand, tr *Train, at float64, n uint32) {
	for range 10 {
		if n == 1 || rng.Uint32N(n) == 0 {
			tr.Add(int64(at*1e9), 700, n)
		}
	}
}

// beacon calls every period with uniform jitter for a day, and returns the
// verdict at its end.
func beacon(seed uint64, period, jitter float64, n uint32, length time.Duration) Verdict {
	rng := rand.New(rand.NewPCG(seed, 9))
	var tr Train
	for i := range int(length.Seconds() / period) {
		call(rng, &tr, 1e9+float64(i)*period+jitter*period*(2*rng.Float64()-1), n)
	}
	return tr.Verdict(int64(1e18) + int64(length))
}

// poisson calls at random times at the same mean rate.
func poisson(seed uint64, period float64, n uint32, length time.Duration) Verdict {
	rng := rand.New(rand.NewPCG(seed, 9))
	var tr Train
	for at := 0.0; at < length.Seconds(); at += period * rng.ExpFloat64() {
		call(rng, &tr, 1e9+at, n)
	}
	return tr.Verdict(int64(1e18) + int64(length))
}

// TestBeacons repeats cells of the table of section 3.5.
func TestBeacons(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name         string
		period, jit  float64
		n            uint32
		length       time.Duration
		least, most  int // of 20
		method       string
		againPoisson int
	}{
		{"unsampled", 60, 0, 1, day, 20, 20, Rita, 0},
		{"unsampled, jitter", 60, 0.3, 1, day, 20, 20, Rita, 0},
		{"unsampled, an hour", 60, 0.1, 1, time.Hour, 20, 20, Rita, 0},
		{"unsampled, five minutes", 300, 0.1, 1, day, 20, 20, Rita, 0},
		{"1:256", 60, 0, 256, day, 20, 20, Phase, 1},
		{"1:256, jitter", 60, 0.1, 256, day, 20, 20, Phase, 1},
		{"1:1000", 60, 0.1, 1000, day, 0, 12, Phase, 1},
		{"1:4096", 60, 0, 4096, day, 0, 1, "", 1},
		{"1:100, five minutes", 300, 0.1, 100, day, 18, 20, Phase, 1},
	} {
		found, noise := 0, 0
		for seed := range uint64(20) {
			v := beacon(seed, c.period, c.jit, c.n, c.length)
			if v.Beacon {
				found++
				if v.Method != c.method || v.Events < 16 {
					t.Errorf("%s: %+v", c.name, v)
				}
			}
			if v := poisson(seed, c.period, c.n, c.length); v.Beacon {
				noise++
			}
		}
		if found < c.least || found > c.most {
			t.Errorf("%s: %d of 20 beacons found, want %d to %d", c.name, found, c.least, c.most)
		}
		if noise > c.againPoisson {
			t.Errorf("%s: %d of 20 random trains taken for beacons", c.name, noise)
		}
	}
}

// A few long talks, each sampled often, have one phase but no period.
func TestBurstsAreNoBeacons(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var tr Train
		for range 2 {
			from := rng.Float64() * 80000
			for range 20 {
				tr.Add(int64(1e18+(from+rng.Float64()*300)*1e9), 100, 1000)
			}
		}
		if v := tr.Verdict(1e18 + int64(24*time.Hour)); v.Beacon {
			t.Errorf("seed %d: %+v", seed, v)
		}
	}
}

func TestFifteenEventsAreTooFew(t *testing.T) {
	for _, n := range []uint32{1, 256} {
		var tr Train
		for i := range 15 {
			tr.Add(int64(1e18)+int64(i)*int64(time.Minute), 500, n)
		}
		if v := tr.Verdict(1e18 + int64(time.Hour)); v != (Verdict{}) {
			t.Errorf("at 1:%d: %+v", n, v)
		}
		tr.Add(int64(1e18)+15*int64(time.Minute), 500, n)
		if v := tr.Verdict(1e18 + int64(time.Hour)); v.Events != 16 {
			t.Errorf("at 1:%d with 16: %+v", n, v)
		}
	}
}

// TestOrderDoesNotMatter adds the same talks in several orders, more than are
// kept.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	type talk struct {
		at    int64
		bytes uint64
	}
	var talks []talk
	for range 900 {
		talks = append(talks, talk{int64(1e18) + rng.Int64N(int64(2*time.Hour)), rng.Uint64N(900)})
	}
	var want Train
	for round := range 5 {
		var tr Train
		for _, x := range talks {
			tr.Add(x.at, x.bytes, 1)
		}
		if len(tr.Events) > most {
			t.Fatalf("%d events", len(tr.Events))
		}
		if !slices.IsSortedFunc(tr.Events, func(a, b Event) int { return sign(a.Second - b.Second) }) {
			t.Fatal("events are out of order")
		}
		if round == 0 {
			want = tr
		} else if d := cmp.Diff(want, tr); d != "" {
			t.Fatalf("round %d: %s", round, d)
		}
		rng.Shuffle(len(talks), func(i, j int) { talks[i], talks[j] = talks[j], talks[i] })
	}
}

func TestOldEventsGo(t *testing.T) {
	var tr Train
	if !tr.Idle(0) {
		t.Error("an empty train is not idle")
	}
	for i := range 40 {
		tr.Add(int64(1e18)+int64(i)*int64(time.Minute), 500, 1)
	}
	later := int64(1e18) + 8*int64(24*time.Hour)
	if !tr.Idle(later) || tr.Idle(int64(1e18)+int64(24*time.Hour)) {
		t.Error("a train is idle a week after its last event, not before")
	}
	if v := tr.Verdict(later); v != (Verdict{}) || len(tr.Events) != 0 {
		t.Errorf("%d events are left, verdict %+v", len(tr.Events), v)
	}
}

// A verdict is renewed as events come, but not with each.
func TestVerdictIsRenewed(t *testing.T) {
	var tr Train
	at := int64(1e18)
	seen := map[int]bool{}
	for range 60 {
		at += int64(time.Minute)
		tr.Add(at, 500, 1)
		seen[tr.Verdict(at).Events] = true
	}
	if !seen[16] || !seen[20] || seen[17] || len(seen) > 9 {
		t.Errorf("verdicts over %v events", seen)
	}
}

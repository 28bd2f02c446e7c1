package scenario

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The digits of a gap multiply to the geometric probabilities.
func TestGapDigits(t *testing.T) {
	for _, n := range []uint64{2, 3, 64, 1000, 16384, 1 << 32} {
		digits := gapDigits(n)
		one := func(i int) float64 { return float64(digits[i]) / (1 << 64) }
		for _, g := range []uint64{0, 1, 2, 3, n - 1, n, 2*n + 1, 10 * n} {
			log := 0.0
			for i := range digits {
				if p := one(i); g>>i&1 == 1 {
					log += math.Log(p)
				} else {
					log += math.Log1p(-p)
				}
			}
			p := 1 / float64(n)
			want := math.Log(p) + float64(g)*math.Log1p(-p)
			if math.Abs(log-want) > 1e-7*(1+float64(g)/float64(n)) {
				t.Errorf("1/%d: the logarithm of P(%d) is %v, want %v", n, g, log, want)
			}
		}
		// What lies above the last digit never happens.
		if p := one(len(digits) - 1); p*p > 1e-18 {
			t.Errorf("1/%d: %d digits leave out %v", n, len(digits), p*p)
		}
	}
}

// However the packets come in portions, each is taken with 1/n by itself: the
// number taken, the number of neighbours both taken and the number taken at the
// borders of portions are binomial.
func TestThinnerPortions(t *testing.T) {
	const n, packets = 7, 700000
	for _, portion := range []uint64{1, 3, 1000} {
		th := newThinner(newRandom("portions", 1, 0, 2), n, nil)
		taken := make([]bool, packets)
		for start := uint64(0); start < packets; start += portion {
			left := min(portion, packets-start)
			for i := uint64(0); ; i++ {
				passed, ok := th.next(left - i)
				if i += passed; !ok {
					if i != left {
						t.Fatalf("%d of %d packets were passed", i, left)
					}
					break
				}
				taken[start+i] = true
			}
		}
		var all, pairs, first, firsts float64
		for i := range taken {
			border := uint64(i)%portion == 0
			if border {
				firsts++
			}
			if !taken[i] {
				continue
			}
			all++
			if border {
				first++
			}
			if i > 0 && taken[i-1] {
				pairs++
			}
		}
		for _, c := range []struct {
			what     string
			got, n   float64
			p, sigma float64
		}{
			{"taken", all, packets, 1.0 / n, 5},
			{"neighbours", pairs, packets, 1.0 / n / n, 6}, // pairs overlap a little
			{"first of a portion", first, firsts, 1.0 / n, 5},
		} {
			if sd := math.Sqrt(c.n * c.p * (1 - c.p)); math.Abs(c.got-c.n*c.p) > c.sigma*sd {
				t.Errorf("portions of %d, %s: %.0f of %.0f, want %.0f ± %.0f", portion, c.what, c.got, c.n, c.n*c.p, sd)
			}
		}
	}
}

func TestThinnerByCounter(t *testing.T) {
	counter := uint64(2)
	a, b := newThinner(newRandom("x", 1, 0, 2), 5, &counter), newThinner(newRandom("x", 1, 1, 2), 5, &counter)
	type answer struct {
		Passed uint64
		OK     bool
	}
	var got []answer
	for _, ask := range []struct {
		th   *thinner
		left uint64
	}{{&a, 1}, {&b, 1}, {&a, 1}, {&a, 0}, {&b, 4}, {&a, 9}, {&a, 8}, {&a, 3}} {
		passed, ok := ask.th.next(ask.left)
		got = append(got, answer{passed, ok})
	}
	// 3, 4, [5], none, 6 to 9, [10], 11 to 14 and [15], 16 to 18.
	want := []answer{{1, false}, {1, false}, {0, true}, {0, false}, {4, false}, {0, true}, {4, true}, {3, false}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	every := newThinner(newRandom("x", 1, 0, 2), 1, &counter)
	if passed, ok := every.next(3); passed != 0 || !ok || !every.all() {
		t.Error("1/1 does not take every packet")
	}
}

func TestSchedule(t *testing.T) {
	r := newRandom("schedule", 1, 0, 0)
	var s schedule
	for i := range 500 {
		s.push(place{int64(r.below(100)), uint64(i), i})
	}
	for range 300 { // the first one again and again later
		p := s[0]
		p.time += int64(r.below(50))
		s.replace(p)
	}
	last := place{time: -1}
	for len(s) > 0 {
		if s[0].before(last) {
			t.Fatalf("%v after %v", s[0], last)
		}
		last = s[0]
		s.pop()
	}
}

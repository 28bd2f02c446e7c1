package baseline

import (
	"testing"

	"pgregory.net/rapid"
)

// sessionBoundSlow is the definition of L_b by search.
func sessionBoundSlow(d, x uint64) uint64 {
	lo, hi := d, d
	for OccupancyTail(d, x, hi) < 0.05 {
		lo, hi = hi+1, hi*2
	}
	for lo < hi {
		if m := (lo + hi) / 2; OccupancyTail(d, x, m) >= 0.05 {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func TestSessionTable(t *testing.T) {
	for x := uint64(1); x <= sessionMax; x++ {
		for d := uint64(1); d <= x; d++ {
			got := SessionBound(d, x)
			// The tail grows with n, so two values prove the smallest.
			if OccupancyTail(d, x, got) < 0.05 || got > d && OccupancyTail(d, x, got-1) >= 0.05 {
				t.Errorf("L_b(%d,%d) = %d is not the smallest", d, x, got)
			}
		}
	}
	if len(sessionBounds) != sessionMax*(sessionMax+1) {
		t.Errorf("table of %d bytes", len(sessionBounds))
	}
}

func TestSessionBoundReference(t *testing.T) {
	check := func(d, x, want uint64) {
		t.Helper()
		if got := SessionBound(d, x); got != want {
			t.Errorf("L_b(%d,%d) = %d, want %d", d, x, got, want)
		}
	}
	for x, want := range map[uint64]uint64{
		1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 10, 8: 13, 9: 16, 10: 19, 11: 23, 12: 27, 13: 31,
		14: 36, 15: 41, 16: 46, 17: 52, 18: 58, 19: 64, 20: 71, 25: 109, 30: 156, 40: 274, 50: 426, 60: 612,
	} {
		check(x, x, want)
	}
	for x, want := range map[uint64]uint64{
		4: 3, 5: 4, 6: 5, 7: 6, 8: 8, 10: 12, 12: 17, 14: 23, 15: 26, 16: 29, 18: 36, 20: 45, 25: 69, 30: 98, 40: 173, 50: 268, 60: 385,
	} {
		check(x-1, x, want)
	}
	for _, c := range [][3]uint64{
		{8, 10, 9}, {12, 15, 15}, {16, 20, 22}, {24, 30, 37}, {32, 40, 53}, {40, 50, 69}, {48, 60, 86}, {10, 20, 10}, {20, 40, 21}, {30, 60, 32},
		{61, 61, 612}, {100, 100, 612}, {80, 100, 86}, {50, 100, 32}, {70, 80, 121}, {64, 70, 149}, {390, 400, 289}, {200, 400, 32}, {300, 1000, 18}, {40, 1000, 2},
		{0, 0, 0}, {0, 10, 0}, {5, 0, 0}, {9, 4, 4}, {1 << 63, 1 << 63, 612}, {1<<64 - 1, 1<<64 - 1, 612}, {1, 1 << 60, 0},
	} {
		check(c[0], c[1], c[2])
	}
	for _, c := range [][3]uint64{{61, 61, 632}, {100, 100, 1686}, {80, 100, 157}, {50, 100, 55}, {70, 80, 181}, {64, 70, 204}} {
		if got := sessionBoundSlow(c[0], c[1]); got != c[2] {
			t.Errorf("exact L_b(%d,%d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestOccupancyTail(t *testing.T) {
	for _, c := range []struct {
		d, x, n  uint64
		at, less float64
	}{
		{4, 4, 4, 0.0937500000, 0}, {7, 7, 10, 0.0604800000, 0.0379345967}, {10, 10, 19, 0.0546758545, 0.0444728996},
		{13, 13, 31, 0.0525991503, 0.0467751564}, {15, 15, 41, 0.0533398816, 0.0489891066}, {20, 20, 71, 0.0517429710, 0.0493593422},
		{30, 30, 156, 0.0506405065, 0.0496056327}, {12, 15, 15, 0.0601018989, 0.0324407859}, {16, 20, 22, 0.0603972298, 0.0403730031},
		{24, 30, 37, 0.0586581079, 0.0457069037},
	} {
		absNear(t, "P(n)", OccupancyTail(c.d, c.x, c.n), c.at, 1e-9)
		absNear(t, "P(n-1)", OccupancyTail(c.d, c.x, c.n-1), c.less, 1e-9)
	}
	absNear(t, "d = 0", OccupancyTail(0, 0, 0), 1, 0)
	absNear(t, "no sessions", OccupancyTail(1, 5, 0), 0, 0)
}

// Non-decreasing in D for fixed X; non-increasing in X for fixed D up to 60;
// never above the exact bound after scaling (R1).
func TestSessionBoundMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64Range(1, 100000).Draw(t, "x")
		d := rapid.Uint64Range(0, x).Draw(t, "d")
		b := SessionBound(d, x)
		if d < x && SessionBound(d+1, x) < b {
			t.Fatalf("decreases in D at (%d,%d)", d, x)
		}
		if x < sessionMax && SessionBound(d, x+1) > b {
			t.Fatalf("increases in X at (%d,%d)", d, x)
		}
	})
	for _, x := range []uint64{61, 75, 97, 130} {
		for d := uint64(4); d <= x; d += 5 {
			if b := SessionBound(d, x); b > d && OccupancyTail(d, x, b-1) >= 0.05 {
				t.Errorf("L_b(%d,%d) = %d exceeds the exact bound", d, x, b)
			}
		}
	}
}

func BenchmarkSessionBound(b *testing.B) {
	var s uint64
	for i := range uint64(b.N) {
		s += SessionBound(i%61, 60+i%7)
	}
	if s == 0 && b.N > 1 {
		b.Fatal("no result")
	}
}

package baseline

import (
	"fmt"
	"math"
	"testing"
)

func TestPowerC95(t *testing.T) {
	absNear(t, "P at lambda*", PoissonTail(4, lambdaD4), 0.95, 1e-12)
	for _, c := range []struct {
		k        float64
		n        uint32
		h        float64
		c95, bin uint64
		hr, day  float64
	}{
		{15, 64, 0.21039729, 37, 35, 0.0102, 0.00043}, {15, 256, 0.05701838, 136, 134, 0.0378, 0.00157},
		{15, 512, 0.02889970, 269, 266, 0.0745, 0.00311}, {15, 1000, 0.01489545, 521, 519, 0.1446, 0.00602},
		{15, 2048, 0.00729924, 1063, 1060, 0.2951, 0.01229}, {15, 4096, 0.00365586, 2121, 2119, 0.5891, 0.02455},
		{15, 8192, 0.00182949, 4239, 4236, 1.1773, 0.04905},
		{13, 64, 0.18513159, 42, 40, 0.0116, 0.00048}, {13, 256, 0.04960795, 157, 154, 0.0434, 0.00181},
		{13, 512, 0.02509520, 309, 307, 0.0858, 0.00358}, {13, 1000, 0.01292229, 601, 598, 0.1667, 0.00694},
		{13, 2048, 0.00632909, 1226, 1223, 0.3403, 0.01418}, {13, 4096, 0.00316918, 2447, 2445, 0.6796, 0.02832},
		{13, 8192, 0.00158575, 4890, 4888, 1.3582, 0.05659},
	} {
		what := fmt.Sprintf("k=%g N=%d", c.k, c.n)
		absNear(t, what+" h", Inclusion(c.n, 1, c.k), c.h, 5.1e-9)
		if got := PowerC95(c.n, c.k); got != c.c95 {
			t.Errorf("%s: C95 = %d, want %d", what, got, c.c95)
		}
		if got := PowerC95Binomial(c.n, c.k); got != c.bin {
			t.Errorf("%s: binomial C95 = %d, want %d", what, got, c.bin)
		}
		exact := lambdaD4 / Inclusion(c.n, 1, c.k)
		absNear(t, what+" conn/s, 1 h", exact/3600, c.hr, 5.1e-5)
		absNear(t, what+" conn/s, 24 h", exact/86400, c.day, 5.1e-6)
	}
	for n, want := range map[uint32][4]uint64{
		64: {103, 96, 66, 21}, 256: {401, 371, 252, 70}, 512: {798, 739, 500, 137}, 1000: {1554, 1440, 973, 263},
		2048: {3180, 2944, 1989, 534}, 4096: {6355, 5885, 3974, 1063}, 8192: {12707, 11766, 7944, 2122},
	} {
		for i, k := range []float64{5, 5.4, 8, 30} {
			if got := PowerC95(n, k); got != want[i] {
				t.Errorf("N=%d k=%g: C95 = %d, want %d", n, k, got, want[i])
			}
		}
	}
	for _, c := range []struct {
		n    uint32
		k    float64
		want uint64
	}{{1, 15, 4}, {0, 15, 0}, {10, 0, 0}} {
		if got := PowerC95(c.n, c.k); got != c.want {
			t.Errorf("PowerC95(%d,%g) = %d", c.n, c.k, got)
		}
	}
}

func TestContactProbability(t *testing.T) {
	for n, want := range map[uint32][]float64{
		256: {0.9964, 1, 1, 1, 1, 1}, 1000: {0.3481, 0.9778, 0.9998, 1, 1, 1},
		2048: {0.0607, 0.6370, 0.9326, 0.9997, 1, 1}, 4096: {0.0067, 0.1794, 0.4966, 0.9331, 0.9950, 1},
	} {
		for i, c := range []float64{200, 600, 1000, 2000, 3000, 5000} {
			absNear(t, fmt.Sprintf("N=%d C=%g", n, c), ContactProbability(n, 15, c), want[i], 5.1e-5)
		}
	}
}

func TestPoissonTail(t *testing.T) {
	for _, mean := range []float64{1e-9, 0.3, 4, 31, 300} {
		sum, pmf := 0.0, math.Exp(-mean)
		for x := range uint64(40) {
			if sum < 0.999 {
				relNear(t, fmt.Sprintf("P(Y>=%d), mean %g", x, mean), PoissonTail(x, mean), 1-sum, 1e-9)
			}
			sum += pmf
			pmf *= mean / float64(x+1)
		}
	}
	absNear(t, "mean 0", PoissonTail(1, 0), 0, 0)
	absNear(t, "NaN", PoissonTail(1, math.NaN()), 0, 0)
	absNear(t, "huge", PoissonTail(1e12, 1e12), 0.5, 1e-6)
	absNear(t, "far below", PoissonTail(10, 1e12), 1, 0)
	absNear(t, "far above", PoissonTail(1e12, 10), 0, 0)
}

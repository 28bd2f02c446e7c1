package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestInclusion(t *testing.T) {
	for _, c := range []struct {
		n      uint32
		rec, k float64
		want   float64
	}{
		{1, 1, 15, 1}, {10, 1, 15, 0.794108867905}, {64, 1, 15, 0.210397286661},
		{1000, 1, 15, 0.014895453638}, {1000, 0.9, 15, 0.013405908274}, {1000, 0.5, 1, 0.0005},
		{4096, 1, 15, 0.003655857504}, {4096, 1, 13, 0.003169183122},
		{0, 1, 15, 0}, {10, 1, 0, 0}, {10, 1, math.NaN(), 0},
	} {
		absNear(t, fmt.Sprintf("Inclusion(%d,%g,%g)", c.n, c.rec, c.k), Inclusion(c.n, c.rec, c.k), c.want, 5e-13)
	}
}

func TestCombineRates(t *testing.T) {
	absNear(t, "1000,1000", CombineRates(1./1000, 1./1000), 0.001999, 1e-12)
	absNear(t, "1000,4096", CombineRates(1./1000, 1./4096), 0.001243896484, 5e-13)
	absNear(t, "1,1000", CombineRates(1, 1./1000), 1, 1e-12)
}

func TestEstimatorsFixed(t *testing.T) {
	absNear(t, "CSyn", CSyn(1000, 3), 3000, 0)
	absNear(t, "C2", C2(10, 80, 4), 116, 0)
	absNear(t, "CPkt", CPkt(1000, 8, 13), 615.384615, 1e-6)
	absNear(t, "CPkt", CPkt(256, 40, 13), 787.692308, 1e-6)
	for _, v := range []float64{CSyn(0, 3), C2(0, 80, 4), CPkt(0, 8, 13), CPkt(10, 8, 0)} {
		absNear(t, "estimate without rate", v, 0, 0)
	}
	lo, hi := CPktInterval95(1000, 8, 13)
	// The exact interval of a Poisson mean after 8 events is [3.4538, 15.7632].
	relNear(t, "lower end of C_pkt", lo, 3.4538*1000/13, 0.005)
	relNear(t, "upper end of C_pkt", hi, 15.7632*1000/13, 0.005)
	if lo, hi := CPktInterval95(0, 8, 13); lo != 0 || hi != 0 {
		t.Errorf("interval without a rate: [%g,%g]", lo, hi)
	}
	absNear(t, "rate of no pane", RateLower(10, 5, 0), 0, 0)
	absNear(t, "prediction of nothing", Rarefy(0, 0, 0.5), 0, 0)
	for _, c := range []struct {
		n              uint32
		flows, synOnly uint64
		lo, hi         float64
	}{{0, 9, 1, 0, 0}, {1, 9, 1, 9, 9}, {10, 9, 0, 9, 9 + 36.8}} {
		lo, hi := C2Interval95(c.n, c.flows, c.synOnly)
		absNear(t, fmt.Sprint("lower end of C_2 ", c), lo, c.lo, 0)
		absNear(t, fmt.Sprint("upper end of C_2 ", c), hi, c.hi, 1)
	}
	absNear(t, "L without rate", LowerConnections(0, 8, 3, 13), 3, 0)
}

// The means and standard deviations of the estimators over simulated
// connections agree with their theory.
func TestEstimatorsMonteCarlo(t *testing.T) {
	const conns, k, runs = 1000, 15, 400
	for _, c := range []struct {
		n                uint32
		syn, two, pkt, d float64
	}{
		{10, 0.094868, 0.045375, 0.024495, 0.794109},
		{64, 0.250998, 0.224799, 0.064807, 0.210397},
		{1000, 0.999500, 0.992524, 0.258070, 0.014895},
	} {
		rng := rand.New(rand.NewPCG(1, uint64(c.n)))
		var sum, sq [3]float64
		var dSum float64
		inside := 0
		for range runs {
			var flows, synOnly, syn, x uint64
			// One sampled packet after another by geometric gaps.
			last, lastSyn, count := -1, false, 0
			closeFlow := func() {
				if last >= 0 {
					flows++
					if lastSyn && count == 1 {
						synOnly++
					}
				}
			}
			lp := math.Log1p(-1 / float64(c.n))
			for i := int(math.Log(1-rng.Float64()) / lp); i < conns*k; i += 1 + int(math.Log(1-rng.Float64())/lp) {
				if i/k != last {
					closeFlow()
					last, lastSyn, count = i/k, i%k == 0, 0
				}
				count++
				x++
				if i%k == 0 {
					syn++
				}
			}
			closeFlow()
			dSum += float64(flows) / conns
			if lo, hi := C2Interval95(c.n, flows, synOnly); lo <= conns && conns <= hi {
				inside++
			}
			for j, e := range []float64{CSyn(c.n, syn), C2(c.n, flows, synOnly), CPkt(c.n, x, k)} {
				sum[j] += e / conns
				sq[j] += e / conns * e / conns
			}
		}
		// 95 % nominal, a little more where the sampled share is not small.
		absNear(t, fmt.Sprintf("N=%d coverage of C_2", c.n), float64(inside)/runs, 0.955, 0.035)
		absNear(t, fmt.Sprintf("N=%d mean D/C", c.n), dSum/runs, c.d, 0.03*c.d)
		for j, sd := range []float64{c.syn, c.two, c.pkt} {
			m := sum[j] / runs
			absNear(t, fmt.Sprintf("N=%d mean of estimator %d", c.n, j), m, 1, 4*sd/math.Sqrt(runs))
			relNear(t, fmt.Sprintf("N=%d s.d. of estimator %d", c.n, j), math.Sqrt(sq[j]/runs-m*m), sd, 0.2)
		}
	}
}

func TestGQ05(t *testing.T) {
	for x, want := range map[uint64]float64{
		0: 0, 1: 0.039497, 2: 0.345086, 3: 0.810196, 4: 1.360598, 5: 1.965585, 7: 3.282116,
		10: 5.423217, 15: 9.244867, 16: 10.034575, 20: 13.253497, 28: 19.899684, 30: 21.593048,
		50: 38.963828, 61: 48.745431, 100: 84.138092, 200: 177.318730, 500: 463.794204,
		1000: 948.555490, 10000: 9836.070676,
	} {
		absNear(t, fmt.Sprintf("GQ05(%d)", x), GQ05(x), want, 1e-6)
	}
	// The exact bound l solves P(Poisson(l) >= x) = 0.05; the form stays below it.
	for x, exact := range map[uint64]float64{4: 1.366318, 20: 13.254652, 100: 84.139277, 1000: 948.559849} {
		absNear(t, fmt.Sprintf("tail at the exact bound of %d", x), PoissonTail(x, exact), 0.05, 1e-6)
		if g := GQ05(x); g > exact || g < exact*0.99 {
			t.Errorf("GQ05(%d) = %g is not just below the exact %g", x, g, exact)
		}
	}
	// The upper form is the mirror: P(Poisson(u) <= x) = 0.05 about.
	for _, x := range []uint64{0, 1, 4, 20, 100, 1000} {
		absNear(t, fmt.Sprintf("P(Y<=%d) at GQ95", x), 1-PoissonTail(x+1, GQ95(x)), 0.05, 0.002)
	}
}

func TestLowerConnections(t *testing.T) {
	for _, c := range []struct {
		n    uint32
		k    float64
		x, d uint64
		l, e float64
	}{
		{1000, 13, 8, 8, 306.003788, 615.384615}, {1000, 13, 15, 15, 711.143604, 1153.846154},
		{4096, 13, 20, 20, 4175.871014, 6301.538462}, {256, 13, 40, 35, 594.606323, 787.692308},
		{256, 13, 60, 10, 942.303929, 1181.538462}, {1000, 30, 30, 30, 719.768271, 1000},
		{1000, 5.4, 12, 12, 1281.925561, 2222.222222}, {10, 13, 3, 3, 3, 2.307692},
	} {
		absNear(t, fmt.Sprintf("L %v", c), LowerConnections(c.n, c.x, c.d, c.k), c.l, 1e-6)
		absNear(t, fmt.Sprintf("C_pkt %v", c), CPkt(c.n, c.x, c.k), c.e, 1e-6)
	}
}

func smallestX(ok func(x uint64) bool) uint64 {
	hi := uint64(1)
	for !ok(hi) {
		hi *= 2
	}
	lo := hi / 2
	for lo < hi {
		if m := (lo + hi) / 2; ok(m) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func TestSmallestXForFloors(t *testing.T) {
	floors := []float64{30, 100, 300, 1000}
	for n, want := range map[uint32][]uint64{
		64: {11, 29, 75, 228}, 256: {5, 10, 23, 64}, 512: {3, 6, 13, 35}, 1000: {3, 4, 8, 20},
		2048: {2, 3, 5, 12}, 4096: {2, 2, 4, 7}, 8192: {2, 2, 3, 5},
	} {
		for i, m := range floors {
			if got := smallestX(func(x uint64) bool { return LowerConnections(n, x, 0, 13) >= m }); got != want[i] {
				t.Errorf("N=%d M=%g: X = %d, want %d", n, m, got, want[i])
			}
		}
	}
}

func TestSmallestXForRates(t *testing.T) {
	rates := []uint32{1, 64, 512, 1000, 4096, 16384}
	for floor, want := range map[float64][]uint64{
		100: {6129, 111, 19, 11, 5, 3}, 1000: {60404, 989, 136, 74, 22, 8},
		2000: {120571, 1948, 261, 139, 39, 13}, 20000: {1201803, 18977, 2425, 1258, 322, 89},
	} {
		for i, n := range rates {
			if got := smallestX(func(x uint64) bool { return RateLower(n, x, 60) >= floor }); got != want[i] {
				t.Errorf("N=%d floor %g: X = %d, want %d", n, floor, got, want[i])
			}
		}
	}
}

func TestPaneProbability(t *testing.T) {
	for _, c := range []struct {
		n         uint32
		x         uint64
		pps       float64
		one, twoP float64
	}{
		{512, 136, 1000, 0.0479, 0.0067}, {512, 136, 1500, 0.9992, 1}, {512, 136, 2000, 1, 1}, {512, 136, 2050, 1, 1}, {512, 136, 5000, 1, 1},
		{1000, 74, 1000, 0.0442, 0.0057}, {1000, 74, 1500, 0.9624, 0.9959}, {1000, 74, 2000, 1, 1}, {1000, 74, 2050, 1, 1}, {1000, 74, 5000, 1, 1},
		{4096, 22, 1000, 0.0433, 0.0055}, {4096, 22, 1500, 0.5260, 0.5390}, {4096, 22, 2000, 0.9306, 0.9862}, {4096, 22, 2050, 0.9461, 0.9916}, {4096, 22, 5000, 1, 1},
		{16384, 8, 1000, 0.0335, 0.0033}, {16384, 8, 1500, 0.1897, 0.0943}, {16384, 8, 2000, 0.4495, 0.4245}, {16384, 8, 2050, 0.4764, 0.4647}, {16384, 8, 5000, 0.9976, 1},
	} {
		if r := RateLower(c.n, c.x, 60); r < 1000 {
			t.Errorf("N=%d X=%d: r = %g below the floor", c.n, c.x, r)
		}
		p := PoissonTail(c.x, c.pps*60/float64(c.n))
		absNear(t, fmt.Sprintf("%v one pane", c), p, c.one, 1e-4)
		absNear(t, fmt.Sprintf("%v two of three", c), 3*p*p-2*p*p*p, c.twoP, 1e-4)
	}
}

func TestControlLLR(t *testing.T) {
	absNear(t, "control", ControlLLR(1, 0), 1.301029995664, 5e-13)
	absNear(t, "other", ControlLLR(0, 1), -0.052903712247, 5e-13)
	for _, c := range []struct {
		control, other uint64
		want           float64
		pass           bool
	}{
		{0, 4, -0.211614849, false}, {1, 3, 1.142318859, false}, {2, 2, 2.496252567, true},
		{2, 11, 2.020119157, true}, {2, 12, 1.967215444, false}, {3, 20, 2.845015742, true}, {2, 100, -2.688311233, false},
	} {
		got := ControlLLR(c.control, c.other)
		absNear(t, fmt.Sprint(c), got, c.want, 1e-9)
		if (got >= 2) != c.pass {
			t.Errorf("%v: verdict %v", c, got >= 2)
		}
	}
}

func TestRhoExpected(t *testing.T) {
	rates := []uint32{1, 10, 64, 100, 256, 1000, 4096}
	for k, want := range map[float64][]float64{
		5.4: {0.185185, 0.803479, 0.966228, 0.978248, 0.991444, 0.997802, 0.999463},
		8:   {0.125000, 0.711916, 0.946989, 0.965691, 0.986434, 0.996507, 0.999146},
		13:  {0.076923, 0.573703, 0.911417, 0.942146, 0.976895, 0.994022, 0.998536},
		15:  {0.066667, 0.529406, 0.897695, 0.932944, 0.973114, 0.993030, 0.998293},
		30:  {0.033333, 0.319203, 0.803259, 0.867665, 0.945371, 0.985634, 0.996468},
		// Traffic of section 3.4: k packets of one connection each.
		60000: {1. / 60000, 0, 0, 0.0017, 0, 0.0167, 0.0683},
	} {
		for i, n := range rates {
			if want[i] == 0 {
				continue
			}
			tol := 5.1e-7
			if k == 60000 {
				tol = 5.1e-5
			}
			absNear(t, fmt.Sprintf("rho_e(N=%d,k=%g)", n, k), RhoExpected(n, k), want[i], tol)
		}
	}
	for _, c := range []struct {
		k    float64
		want [3]float64 // N = 100, 1000, 4096
	}{{24, [3]float64{0.8930, 0.9886, 0.9972}}, {3000, [3]float64{0.0333, 0.3168, 0.7090}}, {15, [3]float64{0.9329, 0.9930, 0.9983}}} {
		for i, n := range []uint32{100, 1000, 4096} {
			absNear(t, fmt.Sprintf("E[D]/E[X] k=%g N=%d", c.k, n), RhoExpected(n, c.k), c.want[i], 5.1e-5)
		}
	}
	for k, want := range map[float64]float64{5.4: 0.185185, 8: 0.125, 13: 0.076923, 15: 0.066667, 24: 0.041667, 30: 0.033333} {
		absNear(t, "SYN share", RhoExpected(1, k), want, 5.1e-7)
	}
	absNear(t, "unknown rate", RhoExpected(0, 13), 1, 0)
}

// The parts of the storm rule that live here give its fixed verdicts.
func TestStormPieces(t *testing.T) {
	for _, c := range []struct {
		n             uint32
		x, d, control uint64
		limit, ratio  float64
		lb            uint64
		llr           float64
		storm         bool
	}{
		{1000, 13, 13, 0, 0.596413, 1, 31, -0.6877, true}, {1000, 12, 12, 0, 0.596413, 1, 27, -0.6348, false},
		{1000, 12, 12, 2, 0.596413, 1, 27, 2.0730, true}, {1000, 4, 4, 2, 0.596413, 1, 4, 2.4963, true},
		{1000, 3, 3, 3, 0.596413, 1, 3, 3.9031, false}, {1000, 30, 9, 0, 0.596413, 0.3, 9, -1.5871, false},
		{256, 40, 35, 3, 0.586137, 0.875, 75, 1.9457, true}, {4096, 7, 7, 0, 0.599122, 1, 10, -0.3703, false},
		{4096, 7, 7, 2, 0.599122, 1, 10, 2.3375, true},
	} {
		limit, lb, llr := 0.6*RhoExpected(c.n, 13), SessionBound(c.d, c.x), ControlLLR(c.control, c.x-c.control)
		ratio := float64(c.d) / float64(c.x)
		absNear(t, "0.6*rho_e", limit, c.limit, 5.1e-7)
		absNear(t, "LLR", llr, c.llr, 5.1e-5)
		absNear(t, "D/Xf", ratio, c.ratio, 1e-12)
		if lb != c.lb {
			t.Errorf("%v: L_b = %d", c, lb)
		}
		if storm := c.d >= 4 && ratio >= limit && (lb >= 30 || llr >= 2); storm != c.storm {
			t.Errorf("%v: storm = %v", c, storm)
		}
	}
}

func TestChao1(t *testing.T) {
	for _, c := range []struct {
		d, f1, f2 uint64
		want      float64
		usable    bool
	}{
		{50, 30, 10, 89.545454545, true}, {20, 20, 0, 210, false}, {100, 0, 0, 100, false},
		{25, 10, 3, 36.25, true}, {8, 5, 1, 13, false}, {500, 400, 80, 1485.185185185, true},
	} {
		got, usable := Chao1(c.d, c.f1, c.f2)
		absNear(t, fmt.Sprint(c), got, c.want, 1e-9)
		if usable != c.usable {
			t.Errorf("%v: usable = %v", c, usable)
		}
	}
}

func TestConcentration(t *testing.T) {
	rep := func(v uint64, n int) []uint64 {
		out := make([]uint64, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	for _, c := range []struct {
		counts         []uint64
		g, inv, share  float64
		spread         bool
		effectiveCheck bool
	}{
		{[]uint64{80, 10, 10}, 0.656565657, 1.523076923, 0.8, false, true},
		{[]uint64{1, 1}, 0, math.Inf(1), 0.5, true, false},
		{rep(2, 5), 0.111111111, 9, 0.2, true, true},
		{rep(5, 10), 0.081632653, 12.25, 0.1, true, true},
		{[]uint64{100}, 1, 1, 1, false, true},
		{[]uint64{3, 1, 1}, 0.3, 3.333333333, 0.6, false, true},
	} {
		g, share := Concentration(c.counts), MaxShare(c.counts)
		absNear(t, fmt.Sprint("G ", c.counts), g, c.g, 1e-9)
		absNear(t, fmt.Sprint("share ", c.counts), share, c.share, 1e-9)
		inv := InverseSimpson(g)
		if c.effectiveCheck {
			absNear(t, fmt.Sprint("1/G ", c.counts), inv, c.inv, 1e-9)
		} else if !math.IsInf(inv, 1) {
			t.Errorf("1/G of %v = %g, want +Inf", c.counts, inv)
		}
		if spread := inv >= 5 && share <= 0.5; spread != c.spread {
			t.Errorf("%v: spread = %v", c.counts, spread)
		}
	}
	absNear(t, "G of nothing", Concentration(nil), 0, 0)
	absNear(t, "share of nothing", MaxShare(nil), 0, 0)
}

func TestLinearCount(t *testing.T) {
	for z, want := range map[int]float64{
		256: 0, 255: 1.001958, 192: 73.646611, 128: 177.445678, 64: 354.891356,
		16: 709.782713, 5: 1007.549320, 1: 1419.565426, 0: 1419.565426,
	} {
		absNear(t, fmt.Sprintf("zero bits %d", z), LinearCount(z, 256), want, 5.1e-7)
	}
	absNear(t, "no bits", LinearCount(0, 0), 0, 0)
}

func TestRarefy(t *testing.T) {
	for _, c := range [][4]float64{
		{200, 100, 0.5, 141.421356}, {200, 200, 0.5, 100}, {200, 0, 0.5, 200}, {50, 40, 0.25, 16.493849}, {50, 40, 4, 151.571657},
	} {
		absNear(t, fmt.Sprint(c), Rarefy(c[0], c[1], c[2]), c[3], 1e-6)
	}
}

func TestRarefyPopulations(t *testing.T) {
	type group struct{ sources, packets float64 }
	expect := func(gs []group, n float64) (d, f1 float64) {
		p := 1 / n
		for _, g := range gs {
			d += g.sources * (1 - math.Pow(1-p, g.packets))
			f1 += g.sources * g.packets * p * math.Pow(1-p, g.packets-1)
		}
		return d, f1
	}
	a, b := []group{{2000, 20}}, []group{{50, 5000}, {500, 30}}
	for _, c := range []struct {
		pop                   []group
		n                     float64
		d, f1, eta, pred, got float64
	}{
		{a, 10, 1756.846691, 540.340687, 0.307563, 1419.541968, 1283.028155},
		{a, 100, 364.186125, 330.467450, 0.907414, 194.162197, 190.779039},
		{a, 500, 78.498086, 77.014105, 0.981095, 39.766736, 39.622270},
		{a, 1000, 39.622270, 39.246801, 0.990524, 19.941691, 19.905284},
		{a, 4096, 9.743008, 9.720425, 0.997682, 4.879337, 4.877154},
		{b, 10, 528.804421, 70.651930, 0.133607, 482.031463, 442.680618},
		{b, 100, 180.149813, 112.075814, 0.622126, 117.045668, 119.807904},
		{b, 500, 79.143776, 28.330373, 0.357961, 61.753249, 64.448461},
		{b, 1000, 64.448461, 16.252995, 0.252186, 54.112428, 53.344193},
		{b, 4096, 38.900240, 21.644737, 0.556417, 26.451738, 24.670835},
	} {
		d, f1 := expect(c.pop, c.n)
		absNear(t, "E[D]", d, c.d, 1e-6)
		absNear(t, "E[f1]", f1, c.f1, 1e-6)
		absNear(t, "eta", f1/d, c.eta, 1e-6)
		absNear(t, fmt.Sprintf("prediction at N=%g", c.n), Rarefy(d, f1, 0.5), c.pred, 1e-6)
		truth, _ := expect(c.pop, 2*c.n)
		absNear(t, "true value", truth, c.got, 1e-6)
	}
}

func TestDistinctExposure(t *testing.T) {
	for _, c := range [][3]float64{{0.5, 1, 1800}, {0.5, 0.5, 2545.584412}, {0.25, 0.8, 1187.557120}} {
		absNear(t, fmt.Sprint(c), DistinctExposure(3600, c[0], 1, c[1]), c[2], 1e-6)
	}
	absNear(t, "unknown rate", DistinctExposure(3600, 0, 1, 1), 0, 0)
}

// Estimates scale with the declared rate and the rest does not move (P3).
func TestRateLie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Range(2, 1<<15).Draw(t, "n")
		x := rapid.Uint64Range(0, 1e6).Draw(t, "x")
		if got, want := CPkt(2*n, x, 13), 2*CPkt(n, x, 13); got != want {
			t.Fatalf("CPkt %g, want %g", got, want)
		}
		if l := LowerConnections(n, x, 0, 13); math.Abs(LowerConnections(2*n, x, 0, 13)-2*l) > 1e-9*l {
			t.Fatal("L does not scale")
		}
	})
}

// More packets and more ports never lower L (P11); GQ05 brackets x with GQ95.
func TestBoundsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Range(1, 1<<15).Draw(t, "n")
		x := rapid.Uint64Range(0, 1e9).Draw(t, "x")
		d := rapid.Uint64Range(0, x).Draw(t, "d")
		l := LowerConnections(n, x, d, 13)
		if LowerConnections(n, x+1, d, 13) < l || LowerConnections(n, x, d+1, 13) < l {
			t.Fatal("L decreases")
		}
		if lo, hi := GQ05(x), GQ95(x); !(lo <= float64(x) && float64(x) < hi && GQ05(x+1) > lo && GQ95(x+1) > hi) {
			t.Fatalf("interval of %d: [%g,%g]", x, lo, hi)
		}
		lo, hi := PoissonInterval95(x)
		if lo > GQ05(x) || hi < GQ95(x) {
			t.Fatalf("two-sided interval [%g,%g] is inside the one-sided one", lo, hi)
		}
	})
}

// The two-sided interval covers a Poisson mean in 93 to 98 % (P19).
func TestIntervalCoverage(t *testing.T) {
	for _, mean := range []float64{8, 20, 55, 200, 1000} {
		var inside float64
		for x := range uint64(4000) {
			lo, hi := PoissonInterval95(x)
			if lo <= mean && mean <= hi {
				inside += PoissonTail(x, mean) - PoissonTail(x+1, mean)
			}
		}
		if inside < 0.93 || inside > 0.98 {
			t.Errorf("mean %g: coverage %.4f", mean, inside)
		}
	}
}

// G is unbiased under thinning: its mean over samples is the sum of squares.
func TestConcentrationUnbiased(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	shares := []float64{0.5, 0.25, 0.125, 0.125}
	var want float64
	for _, s := range shares {
		want += s * s
	}
	for _, x := range []int{2, 5, 50} {
		const runs = 20000
		var sum, sq float64
		for range runs {
			counts := make([]uint64, len(shares))
			for range x {
				u := rng.Float64()
				i := 0
				for u >= shares[i] && i < len(shares)-1 {
					u -= shares[i]
					i++
				}
				counts[i]++
			}
			g := Concentration(counts)
			sum += g
			sq += g * g
		}
		m := sum / runs
		absNear(t, fmt.Sprintf("mean G at X=%d", x), m, want, 4*math.Sqrt((sq/runs-m*m)/runs))
	}
}

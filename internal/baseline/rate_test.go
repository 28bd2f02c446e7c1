package baseline

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

const t0 = int64(1_735_689_600_000_000_000) // Wednesday 2025-01-01 00:00 UTC

func TestDiscount(t *testing.T) {
	absNear(t, "1 h", Discount(time.Hour), 0.995882623658, 5e-13)
	absNear(t, "24 h", Discount(24*time.Hour), 0.905723664264, 5e-13)
	absNear(t, "1-g, 1 h", 1-Discount(time.Hour), 0.004117376, 5e-10)
	absNear(t, "1-g, 24 h", 1-Discount(24*time.Hour), 0.094276336, 5e-10)
	absNear(t, "none", Discount(0), 1, 0)
}

func TestRateParameters(t *testing.T) {
	p := Prior{A0: 0.5, B0: 24}
	for _, c := range []struct{ a, b, phiHat, phi, shape, mean float64 }{
		{0, 0, 0, 0.7, 1.428571429, 0.020833333}, {5, 168, 0, 0.636363636, 1.571428571, 0.028645833},
		{50, 168, 0.3, 0.5, 2, 0.263020833}, {950, 168, 0.02, 0.1, 10, 4.950520833}, {950, 168, 1.5, 1.46, 0.684931507, 4.950520833},
	} {
		phi := Dispersion(c.a, c.phiHat)
		absNear(t, fmt.Sprint("phi of ", c), phi, c.phi, 1e-9)
		absNear(t, fmt.Sprint("shape of ", c), 1/phi, c.shape, 1e-9)
		r := Rate{A: c.a, B: c.b}
		absNear(t, fmt.Sprint("m_b of ", c), r.Mean(p), c.mean, 1e-9)
	}
	absNear(t, "phi_hat", DispersionMoment(4, 4), 0, 1e-12)
	absNear(t, "phi_hat", DispersionMoment(4, 12), 0.5, 1e-12)
	absNear(t, "phi_hat", DispersionMoment(4, 2), 0, 1e-12)
	absNear(t, "phi_hat of nothing", DispersionMoment(0, 2), 0, 0)
}

// The moments of the state give the estimate of the plain formula when
// exposures are equal.
func TestPhiHat(t *testing.T) {
	var r Rate
	ys := []float64{0, 1, 9, 4, 14, 2, 2, 0}
	var mean, sq float64
	for _, y := range ys {
		mean += y / float64(len(ys))
		r.A += y
		r.B += 0.5
		r.YY += y * y
		r.YE += y * 0.5
		r.EE += 0.25
	}
	for _, y := range ys {
		sq += (y - mean) * (y - mean) / float64(len(ys))
	}
	absNear(t, "phi_hat", r.PhiHat(), DispersionMoment(mean, sq), 1e-12)
	absNear(t, "phi", r.Phi(), Dispersion(r.A, DispersionMoment(mean, sq)), 1e-12)
	absNear(t, "shape", r.Shape()*r.Phi(), 1, 1e-12)
	absNear(t, "phi_hat of nothing", new(Rate).PhiHat(), 0, 0)
}

// The winsorised update of the reference: A=10, y=50, Q99=12.
func TestUpdateWinsor(t *testing.T) {
	absNear(t, "reference", Discount(time.Hour)*10+math.Min(50, 12), 21.958826237, 1e-9)
	p := Prior{A0: 1, B0: 1}
	r := Rate{A: 10, B: 10, YY: 20, YE: 10, EE: 10, Windows: 10, First: t0}
	q := float64(NBQuantile(0.99, r.Shape(), r.Mean(p)))
	if q >= 50 {
		t.Fatalf("Q99 = %g does not cut 50", q)
	}
	want := Discount(time.Hour)*10 + q
	r.Update(50, 1, time.Hour, t0, p)
	absNear(t, "A", r.A, want, 1e-12)
	absNear(t, "B", r.B, Discount(time.Hour)*10+1, 1e-12)
	if r.Windows != 11 || r.First != t0 {
		t.Errorf("windows %d, first %d", r.Windows, r.First)
	}
}

func TestUpdateIgnores(t *testing.T) {
	for _, c := range []struct {
		y, e float64
		w    time.Duration
	}{{-1, 1, time.Hour}, {math.NaN(), 1, time.Hour}, {math.Inf(1), 1, time.Hour}, {1, 0, time.Hour}, {1, math.NaN(), time.Hour}, {1, math.Inf(1), time.Hour}, {1, 1, 0}, {1, 1, -1}} {
		var r Rate
		r.Update(c.y, c.e, c.w, t0, Prior{1, 1})
		var s Season
		s.Update(c.y, c.e, c.w, t0)
		if r != (Rate{}) || s != (Season{}) {
			t.Errorf("%v was learnt", c)
		}
	}
}

func TestUpdateEach(t *testing.T) {
	p := Prior{A0: 48, B0: 24}
	var r Rate
	r.UpdateEach([]float64{1, 3, 2}, 1, time.Hour, t0, p)
	absNear(t, "A", r.A, 6, 0)
	absNear(t, "B", r.B, 3, 0)
	r.UpdateEach(nil, 1, time.Hour, t0, p)
	absNear(t, "A discounted", r.A, 6*Discount(time.Hour), 1e-12)
	if r.Windows != 2 {
		t.Errorf("windows = %d", r.Windows)
	}
	// Without any prior the first count is taken as it is; later ones are cut.
	var s Rate
	s.Update(1000, 1, time.Hour, t0, Prior{})
	absNear(t, "A without prior", s.A, 1000, 0)
	s.Update(1e9, 1, time.Hour, t0, Prior{})
	if s.A > 1e5 {
		t.Errorf("A = %g was not cut", s.A)
	}
}

// One poisoned window raises the mean at most by (1-g)*max(1, Q99)/e in the steady state
// (P16), whatever the count.
func TestPoisonBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.SampledFrom([]time.Duration{time.Hour, 24 * time.Hour}).Draw(t, "w")
		m := math.Exp(rapid.Float64Range(-5, 6).Draw(t, "log mean"))
		e := rapid.Float64Range(0.01, 100).Draw(t, "e")
		g := Discount(w)
		b := e / (1 - g)
		r := Rate{A: m * b / e, B: b, Windows: 1000, First: 1}
		r.YE, r.EE = r.A*e, b*e
		r.YY = r.A * m / e * e * (1 + rapid.Float64Range(0.2, 2).Draw(t, "excess"))
		q := max(1, float64(NBQuantile(0.99, r.Shape(), r.Mean(Prior{})*e)))
		before := r.Mean(Prior{})
		r.Update(rapid.Float64Range(0, 1e12).Draw(t, "y"), e, w, t0, Prior{})
		if rise := (r.Mean(Prior{}) - before) * e; rise > (1-g)*q*(1+1e-9)+1e-12 {
			t.Fatalf("mean rises by %g, allowed %g", rise, (1-g)*q)
		}
	})
}

func TestRateLearns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	p := Prior{A0: 120, B0: 24}
	var r Rate
	for i := range 24 * 40 {
		r.Update(poisson(rng, 20), 1, time.Hour, t0+int64(i+1)*int64(time.Hour), p)
	}
	absNear(t, "mean", r.Mean(p), 20, 1.5)
	absNear(t, "phi", r.Phi(), MinPhi, 0.02)
	if s := r.Surprise(25, 1, p); s > 2 {
		t.Errorf("ordinary window: S = %g", s)
	}
	if s := r.Surprise(200, 1, p); s < 6 {
		t.Errorf("tenfold window: S = %g", s)
	}
	absNear(t, "no exposure", r.Surprise(200, 0, p), 0, 0)
	absNear(t, "no prior, nothing learnt", new(Rate).Surprise(5, 1, Prior{}), 0, 0)
	// A service prior of 0.01 a day and five new destinations (section 8.11).
	absNear(t, "zero baseline", new(Rate).Surprise(5, 24, Prior{0.01, 24}), 10.413605, 1e-6)
}

// The false-alarm rate of the predictive on overdispersed benign traffic stays
// near its nominal value at every sampling rate.
func TestFalseAlarmRate(t *testing.T) {
	for _, n := range []float64{1, 10, 100, 1000} {
		rng := rand.New(rand.NewPCG(11, uint64(n)))
		p := Prior{} // the level is learnt from the first window on
		var over2, over4, tests float64
		for range 60 {
			mean := 200 * math.Exp(rng.NormFloat64()) / n
			draw := func() float64 { return poisson(rng, mean*gammaTwo(rng)/2) }
			var r Rate
			for i := range 168 {
				r.Update(draw(), 1, time.Hour, t0+int64(i+1)*int64(time.Hour), p)
			}
			for range 300 {
				s := r.Surprise(uint64(draw()), 1, p)
				tests++
				if s >= 2 {
					over2++
				}
				if s >= 4 {
					over4++
				}
			}
		}
		if f := over2 / tests; f > 0.02 {
			t.Errorf("N=%g: S >= 2 in %.4f of the windows", n, f)
		}
		if f := over4 / tests; f > 0.001 {
			t.Errorf("N=%g: S >= 4 in %.5f of the windows", n, f)
		}
	}
}

// poisson draws by exponential gaps, or by the normal limit above 500.
func poisson(rng *rand.Rand, mean float64) float64 {
	if mean > 500 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
	}
	y, sum := 0.0, rng.ExpFloat64()
	for sum < mean {
		y++
		sum += rng.ExpFloat64()
	}
	return y
}

// gammaTwo draws from the gamma distribution of shape 2 and scale 1.
func gammaTwo(rng *rand.Rand) float64 { return rng.ExpFloat64() + rng.ExpFloat64() }

func TestPhase(t *testing.T) {
	const cold, warm = 24 * time.Hour, 7 * 24 * time.Hour
	at := func(d time.Duration) int64 { return t0 + int64(d) }
	for _, c := range []struct {
		windows uint32
		age     time.Duration
		want    int
	}{
		{0, 0, PhaseCold}, {11, 30 * cold, PhaseCold}, {12, cold - 1, PhaseCold}, {12, cold, PhaseWarm},
		{500, warm - 1, PhaseWarm}, {500, warm, PhaseNormal}, {500, -cold, PhaseCold},
	} {
		r := Rate{First: t0, Windows: c.windows}
		if got := r.Phase(at(c.age), cold, warm); got != c.want {
			t.Errorf("%v: phase %d", c, got)
		}
	}
	var r Rate
	r.Update(1, 1, time.Hour, at(time.Hour), Prior{1, 1})
	if r.First != t0 || r.Age(at(2*time.Hour)) != 2*time.Hour {
		t.Errorf("first %d, age %v", r.First, r.Age(at(2*time.Hour)))
	}
}

func TestElasticity(t *testing.T) {
	var r Rate
	absNear(t, "before any", r.Elasticity(), 1, 0)
	r.UpdateElasticity(0, 0, time.Hour)
	absNear(t, "empty window", r.Elasticity(), 1, 0)
	r.UpdateElasticity(10, 4, time.Hour)
	r.UpdateElasticity(10, 8, time.Hour)
	absNear(t, "plain mean", r.Elasticity(), 0.6, 1e-6)
	for range 5000 {
		r.UpdateElasticity(10, 1, time.Hour)
	}
	absNear(t, "follows", r.Elasticity(), 0.1, 1e-3)
	r.UpdateElasticity(5, 900, time.Hour)
	if e := r.Elasticity(); e > 1 {
		t.Errorf("elasticity %g", e)
	}
}

// State survives gob and JSON unchanged and stays small.
func TestStateSerialises(t *testing.T) {
	var r Rate
	var s Season
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 100 {
		at := t0 + int64(i+1)*int64(time.Hour)
		y := poisson(rng, 3)
		r.Update(y, 0.7, time.Hour, at, Prior{1, 24})
		r.UpdateElasticity(7, 3, time.Hour)
		s.Update(y, 0.7, time.Hour, at)
	}
	k := NewKMV(8)
	for i := range uint64(20) {
		k.Add(i*0x9e3779b97f4a7c15, fmt.Sprint(i), i)
	}
	type state struct {
		Rate   Rate
		Season Season
		Cusum  Cusum
		PM     PMCusum
		KMV    KMV
	}
	in := state{r, s, Cusum{1.25, t0}, PMCusum{0.1}, *k}
	text := fmt.Sprint(in)
	var buf bytes.Buffer
	var viaGob, viaJSON state
	if err := gob.NewEncoder(&buf).Encode(in); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&buf).Decode(&viaGob); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &viaJSON); err != nil {
		t.Fatal(err)
	}
	if viaGob.Rate != r || viaGob.Season != s || fmt.Sprint(viaGob) != text {
		t.Error("gob changes the state")
	}
	if viaJSON.Rate != r || viaJSON.Season != s || fmt.Sprint(viaJSON) != text {
		t.Error("JSON changes the state")
	}
	if got := unsafe.Sizeof(r) + unsafe.Sizeof(s); got > 280 {
		t.Errorf("%d bytes for one key", got)
	}
}

func BenchmarkRateUpdate(b *testing.B) {
	p := Prior{A0: 120, B0: 24}
	var r Rate
	for i := range b.N {
		r.Update(float64(i%9), 1, time.Hour, t0+int64(i), p)
	}
}

package baseline

import (
	"math"
	"time"
)

// Constants of the baseline model.
const (
	// HalfLife is the time after which a closed window weighs half.
	HalfLife = 7 * 24 * time.Hour
	// PriorPhi is the dispersion phi_0 before anything is learnt.
	PriorPhi = 0.7
	// MinPhi is the floor of the dispersion.
	MinPhi = 0.1
	// phiWeight is the discounted count at which the own dispersion weighs half.
	phiWeight = 50
	// winsorQ is the quantile of the predictive at which a count is cut before it
	// is learnt.
	winsorQ = 0.99
	// MinWindows is the number of exposed windows below which a baseline stays in
	// phase 0 whatever its age.
	MinWindows = 12
)

// Phases of a baseline.
const (
	PhaseCold   = 0 // the service prior decides; threshold +2
	PhaseWarm   = 1 // threshold +1
	PhaseNormal = 2 // threshold as configured
)

// Prior is the service prior of a rate: A0 events over the pseudo-exposure B0.
// The unit of B0 is that of the exposures given to Rate (the caller's choice:
// packets-visible hours, windows). The prior rate is A0/B0.
type Prior struct {
	A0 float64 `json:"a0"`
	B0 float64 `json:"b0"`
}

// Rate is the baseline of one key (resource, service, direction, statistic): a
// discounted count over a discounted exposure, with the moments of the
// dispersion. The zero value is an empty baseline ready for use. It is 64 bytes,
// comparable, and has exported fields only for serialisation: change it through
// its methods.
type Rate struct {
	// A and B are the discounted sums of the winsorised counts and exposures.
	A float64 `json:"a"`
	B float64 `json:"b"`
	// YY, YE and EE are the discounted sums of y*y, y*e and e*e.
	YY float64 `json:"yy"`
	YE float64 `json:"ye"`
	EE float64 `json:"ee"`
	// First is the start of the first window learnt, Unix nanoseconds, 0 while
	// there is none.
	First int64 `json:"first"`
	// Windows is the number of exposed windows learnt, without discount.
	Windows uint32 `json:"windows"`
	// Eta is the moving average of f1/D for distinct counts; see Elasticity.
	Eta float32 `json:"eta"`
	// EtaWindows is the number of windows behind Eta.
	EtaWindows uint32 `json:"etaWindows"`
}

// Discount returns g = 0.5^(w/7d), the factor that one closed window of length w
// applies to what was learnt before. It is 1 for w <= 0.
func Discount(w time.Duration) float64 {
	if w <= 0 {
		return 1
	}
	return math.Exp2(-float64(w) / float64(HalfLife))
}

// Update learns one closed window that ended at the time at, with count y over
// exposure e > 0:
//
//	A <- g*A + min(y, max(1, Q99 of the predictive)),  B <- g*B + e,  g = 0.5^(window/7d)
//
// so that one window cannot teach more than the 99 % quantile of what the
// baseline expects. Without a prior (A0 = 0) the first non-zero count is taken
// as it is, because nothing is expected yet. A window with e or window not above
// 0, or with y that is negative or not finite, is ignored.
//
// The cut is as strict as it reads: while the predictive expects so little that
// its Q99 is 0, no count is learnt at all, and from a prior far too low a
// baseline climbs by powers of the exposure, not at once.
//
// The caller leaves out windows with an open alert episode of the key, partial
// panes and an unknown sampling rate.
func (r *Rate) Update(y float64, e float64, window time.Duration, at int64, p Prior) {
	r.UpdateEach([]float64{y}, e, window, at, p)
}

// UpdateEach learns one closed window with several units of observation, each
// of exposure e: for the connections of new peers, one count for every new peer
// of the window. What was learnt before is discounted once, and every count is
// cut at the same quantile, that of the state before the window. An empty ys
// discounts and counts the window and adds nothing else. Conditions and ignored
// values are those of Update.
func (r *Rate) UpdateEach(ys []float64, e float64, window time.Duration, at int64, p Prior) {
	if !(e > 0) || math.IsInf(e, 1) || window <= 0 {
		return
	}
	for _, y := range ys {
		if !(y >= 0) || math.IsInf(y, 1) {
			return
		}
	}
	limit := math.Inf(1)
	if m := r.Mean(p) * e; m > 0 {
		// A limit of 0 would learn nothing, ever: one event may always be learnt.
		limit = math.Max(1, float64(NBQuantile(winsorQ, r.Shape(), m)))
	}
	g := Discount(window)
	r.A *= g
	r.B *= g
	r.YY *= g
	r.YE *= g
	r.EE *= g
	for _, y := range ys {
		y = math.Min(y, limit)
		r.A += y
		r.B += e
		r.YY += y * y
		r.YE += y * e
		r.EE += e * e
	}
	if r.Windows == 0 {
		r.First = at - int64(window)
	}
	if r.Windows < math.MaxUint32 {
		r.Windows++
	}
}

// UpdateElasticity moves the average of eta = f1/D by one closed window in which
// d distinct items were seen, f1 of them once. The average is plain until the
// discount of window takes over. A window with d = 0 is ignored.
func (r *Rate) UpdateElasticity(d, f1 uint64, window time.Duration) {
	if d == 0 || window <= 0 {
		return
	}
	eta := unit(float64(f1) / float64(d))
	if r.EtaWindows < math.MaxUint32 {
		r.EtaWindows++
	}
	alpha := math.Max(1/float64(r.EtaWindows), 1-Discount(window))
	r.Eta += float32(alpha * (eta - float64(r.Eta)))
}

// Elasticity returns eta for DistinctExposure, in [0,1]: the moving average of
// f1/D, and 1 (distinct counts proportional to the rate, the limit of thin
// sampling) before any window.
func (r *Rate) Elasticity() float64 {
	if r.EtaWindows == 0 {
		return 1
	}
	return unit(float64(r.Eta))
}

// PhiHat returns the moment estimate of the dispersion, at least 0. It is
// max(0, (Var-mean)/mean^2) with unequal exposures allowed for:
// (sum (y-m*e)^2 - m*sum e) / (m^2 * sum e^2) with m = A/B. It is 0 while the
// count is 0.
func (r *Rate) PhiHat() float64 {
	if !(r.A > 0) || !(r.B > 0) || !(r.EE > 0) {
		return 0
	}
	m := r.A / r.B
	sq := r.YY - 2*m*r.YE + m*m*r.EE
	v := (sq - r.A) / (m * m * r.EE)
	if !(v > 0) {
		return 0
	}
	return v
}

// Phi returns the dispersion in force; see Dispersion.
func (r *Rate) Phi() float64 { return Dispersion(r.A, r.PhiHat()) }

// Shape returns the negative binomial shape a = 1/phi.
func (r *Rate) Shape() float64 { return 1 / r.Phi() }

// Dispersion shrinks a moment estimate of the dispersion to the prior 0.7 by the
// discounted count a behind it: w*phiHat + (1-w)*0.7 with w = a/(a+50), floor
// 0.1.
func Dispersion(a, phiHat float64) float64 {
	w := 0.0
	if a > 0 {
		w = a / (a + phiWeight)
	}
	return math.Max(MinPhi, w*math.Max(0, phiHat)+(1-w)*PriorPhi)
}

// DispersionMoment returns max(0, (variance-mean)/mean^2), and 0 for a mean that
// is not above 0.
func DispersionMoment(mean, variance float64) float64 {
	if !(mean > 0) {
		return 0
	}
	return math.Max(0, (variance-mean)/(mean*mean))
}

// Mean returns the rate m_b = (A+A0)/(B+B0) in events per unit of exposure, 0
// when there is neither a prior nor an exposure.
func (r *Rate) Mean(p Prior) float64 {
	if !(r.B+p.B0 > 0) {
		return 0
	}
	return math.Max(0, (r.A+p.A0)/(r.B+p.B0))
}

// Surprise returns S = -log10 P(Y >= y) of a window with exposure e under the
// predictive of this baseline. It is 0 (no statement) for e not above 0 or when
// the expected rate is 0, which only a missing prior causes.
func (r *Rate) Surprise(y uint64, e float64, p Prior) float64 {
	m := r.Mean(p) * e
	if !(m > 0) {
		return 0
	}
	return Surprise(y, r.Shape(), m)
}

// Phase returns the phase of the baseline at the time now: PhaseCold while it is
// younger than cold (24 h by default) or has fewer than 12 exposed windows,
// PhaseWarm while it is younger than warm (7 d by default), else PhaseNormal.
func (r *Rate) Phase(now int64, cold, warm time.Duration) int {
	age := r.Age(now)
	switch {
	case r.Windows < MinWindows || age < cold:
		return PhaseCold
	case age < warm:
		return PhaseWarm
	default:
		return PhaseNormal
	}
}

// Age returns the time since the start of the first window learnt, 0 while there
// is none or when now lies before it.
func (r *Rate) Age(now int64) time.Duration {
	if r.Windows == 0 || now <= r.First {
		return 0
	}
	return time.Duration(now - r.First)
}

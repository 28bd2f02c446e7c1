// Package score says what indicators are worth at the time of an event: scores
// fall from their base to zero over a lifetime, after the polynomial of MISP
// (detection reference, sections 8.1 and 8.2).
package score

import (
	"math"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
)

// Lifetimes in days and the exponent of the decay.
const (
	tauAddress  = 30 // a bare address
	tauPort     = 60 // address and port
	tauInfected = 14 // an infected own address
	decayDelta  = 2
)

// Bad returns the decayed, combined score of the malicious categories of a
// verdict at time t (Unix ns), 0 to 100 (sections 7.1 and 8.15 path A).
func Bad(v *weir.Verdict, t int64) float64 {
	return Of(v, t, 0, func(i *weir.Indicator) bool {
		switch i.Category {
		case weir.CategoryMalicious, weir.CategoryBruteForce, weir.CategoryScanner, weir.CategoryC2, weir.CategoryInfected:
			return true
		case weir.CategorySinkhole, weir.CategoryBenign:
		}
		return false
	})
}

// Of combines the decayed scores of the indicators of some categories, one for
// each source. port leaves out indicators that name another; 0 takes all.
func Of(v *weir.Verdict, t int64, port uint16, want func(*weir.Indicator) bool) float64 {
	if v == nil {
		return 0
	}
	var scores []float64
	var origins []string
	for _, i := range v.Indicators {
		if !want(i) || i.Expiry > 0 && i.Expiry < t || port != 0 && i.Port != 0 && i.Port != port {
			continue
		}
		scores = append(scores, Decayed(i, t))
		origins = append(origins, i.Source)
	}
	return baseline.CombineSources(scores, origins)
}

// Decayed is the score of one indicator at time t. An indicator without a last
// sighting is listed now, so it has not aged.
func Decayed(i *weir.Indicator, t int64) float64 {
	tau := float64(tauAddress)
	switch {
	case i.Category == weir.CategoryInfected:
		tau = tauInfected
	case i.Port != 0:
		tau = tauPort
	}
	return baseline.Decay(i.Confidence, AgeDays(i, t), tau, decayDelta)
}

// AgeDays returns the days since the last sighting, at least 0, and 0 where the
// source tells none.
func AgeDays(i *weir.Indicator, t int64) float64 {
	if i.LastSeen == 0 {
		return 0
	}
	return math.Max(0, time.Duration(t-i.LastSeen).Hours()/24)
}

// Honeypot reports whether an indicator calls the address a honeypot.
func Honeypot(v *weir.Verdict) bool {
	if v == nil {
		return false
	}
	for _, i := range v.Indicators {
		if strings.EqualFold(i.Family, "honeypot") {
			return true
		}
	}
	return false
}

// Evidence returns the first indicators of a verdict with their scores at t, at
// most weir.MaxIntel.
func Evidence(v *weir.Verdict, t int64) []weir.IntelEvidence {
	if v == nil {
		return nil
	}
	var out []weir.IntelEvidence
	for _, i := range v.Indicators[:min(len(v.Indicators), weir.MaxIntel)] {
		out = append(out, weir.IntelEvidence{Indicator: *i, Score: Decayed(i, t), AgeDays: AgeDays(i, t)})
	}
	return out
}

// Narrow reports whether an indicator names few enough addresses to accuse one of
// them: a block of at most 256 IPv4 addresses (section 15, R5), or one IPv6 site.
func Narrow(i *weir.Indicator) bool {
	if !i.Prefix.IsValid() {
		return true // no block at all
	}
	if i.Prefix.Addr().Unmap().Is4() {
		bits := i.Prefix.Bits()
		if i.Prefix.Addr().Is4In6() {
			bits -= 96
		}
		return bits >= 24
	}
	return i.Prefix.Bits() >= 64
}

// Controller reports whether an indicator accuses an address of being a controller.
func Controller(i *weir.Indicator) bool {
	return (i.Category == weir.CategoryC2 || i.Category == weir.CategorySinkhole) && Narrow(i)
}

// Flood returns the confidence of a flood of so many times the floor, whose surprise
// counts once the first day is over.
func Flood(ratio, surprise float64, phase int) float64 {
	parts := []float64{math.Min(0.5+0.1*math.Log2(math.Max(ratio, 1)), 0.9)}
	if phase > baseline.PhaseCold {
		parts = append(parts, baseline.SurpriseConfidence(surprise))
	}
	return baseline.CombineConfidence(parts...)
}

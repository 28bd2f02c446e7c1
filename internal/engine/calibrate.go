package engine

import (
	"cmp"
	"slices"
	"sync"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/detect/service"
)

// Numbers of the calibration report. Source: detection reference, section 6.5.
const (
	// CalibrationBudget is what a rule may spend: false alerts per 1,000 resources
	// and day.
	CalibrationBudget = 0.2
	// CalibrationLeast surprises are needed for a proposal.
	CalibrationLeast = 1000
	// calibrationTail is the part of the surprises that the tail is fitted to. A
	// budget beyond it gets the level where the tail begins: nothing is known of
	// what lies below.
	calibrationTail = 0.02
	// calibrationMost bounds the surprises kept of a rule.
	calibrationMost = 1 << 18
)

// Surprises are the surprises of one rule in windows without an episode. Of more
// than calibrationMost a part is kept that depends on nothing but the surprises
// of each resource, in their order: neither on shards nor on the mixture of
// resources. The zero value is empty. It is not safe for concurrent use.
type Surprises struct {
	// Tests is the number of surprises seen, ResourceDays the resources times days
	// in which they were seen.
	Tests        uint64
	ResourceDays float64

	kept []keptSurprise
	mask uint64 // what is kept has none of these bits in its hash
}

type keptSurprise struct {
	hash  uint64
	value float64
}

// take adds the surprise with the number of a resource.
func (s *Surprises) take(resource, number uint64, value float64, most int) {
	s.Tests++
	if h := scramble(resource ^ scramble(number+1)); h&s.mask == 0 {
		s.kept = append(s.kept, keptSurprise{h, value})
		s.shrink(most)
	}
}

// shrink keeps half of the hashes until there are few enough.
func (s *Surprises) shrink(most int) {
	for len(s.kept) > most && s.mask != ^uint64(0) {
		s.mask = s.mask<<1 | 1
		s.kept = slices.DeleteFunc(s.kept, func(k keptSurprise) bool { return k.hash&s.mask != 0 })
	}
}

// scramble is a 64-bit finaliser (splitmix64, Steele et al., OOPSLA 2014).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Add returns the surprises of both, of one rule in two cases.
func (s Surprises) Add(o Surprises) Surprises {
	out := Surprises{Tests: s.Tests + o.Tests, ResourceDays: s.ResourceDays + o.ResourceDays, mask: s.mask | o.mask, kept: slices.Concat(s.kept, o.kept)}
	out.kept = slices.DeleteFunc(out.kept, func(k keptSurprise) bool { return k.hash&out.mask != 0 })
	out.shrink(calibrationMost)
	return out
}

// PerResourceDay is the number of tests of one resource on one day; 0 where
// nothing was watched.
func (s Surprises) PerResourceDay() float64 {
	if s.ResourceDays <= 0 {
		return 0
	}
	return float64(s.Tests) / s.ResourceDays
}

// Propose returns the threshold that spends CalibrationBudget: the level that a
// surprise exceeds with the probability of the budget by the tests of a day, by
// the tail of those seen. ok is false with fewer than CalibrationLeast, or where
// they have no tail.
func (s Surprises) Propose() (threshold float64, ok bool) {
	values := make([]float64, len(s.kept))
	for i, k := range s.kept {
		values[i] = k.value
	}
	q := baseline.BudgetQuantile(CalibrationBudget, s.PerResourceDay())
	if len(values) < CalibrationLeast || q <= 0 {
		return 0, false
	}
	return baseline.FitSPOT(values, min(q, calibrationTail))
}

// Calibration is what the surprises of a rule propose. It changes no alert.
type Calibration struct {
	Rule weir.AlertType `json:"rule"`
	// Setting is the key of the threshold. A family has one for all its rules.
	Setting string `json:"setting"`
	// Threshold is the surprise needed once a baseline is learnt, Proposed the one
	// that spends the budget, absent where too little is known.
	Threshold           float64  `json:"threshold"`
	Proposed            *float64 `json:"proposed,omitempty"`
	Tests               uint64   `json:"tests"`
	TestsPerResourceDay float64  `json:"testsPerResourceDay"`
}

// Calibrate turns surprises into proposals, by rule.
func Calibrate(rules Rules, by map[weir.AlertType]Surprises) []Calibration {
	var out []Calibration
	for t, s := range by {
		if s.Tests == 0 {
			continue
		}
		c := Calibration{Rule: t, Tests: s.Tests, TestsPerResourceDay: s.PerResourceDay()}
		c.Setting, c.Threshold = thresholdOf(rules, t)
		if z, ok := s.Propose(); ok {
			c.Proposed = &z
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Calibration) int { return cmp.Compare(a.Rule, b.Rule) })
	return out
}

// thresholdOf returns the surprise that a rule needs by default settings of
// phase, and the key of the setting.
func thresholdOf(rules detect.Config, t weir.AlertType) (key string, threshold float64) {
	family, usual := t.Family(), 5.0
	switch t {
	case weir.PortScanning:
		// Its surprises are those of outgoing guessing at other services.
		family = service.Families()[service.Generic]
	case weir.DDoS, weir.SSHIncomingManyToOne, weir.SSHOutgoingOneToMany, weir.RDPIncomingManyToOne, weir.RDPOutgoingOneToMany:
		usual = 4
	case weir.CommunicationWithC2, weir.ResourceIPMalicious, weir.TrafficFromUnrecommended, weir.GenericIncomingOneToOne, weir.SQLIncomingOneToOne,
		weir.SSHIncomingOneToOne, weir.SSHOutgoingOneToOne, weir.RDPIncomingOneToOne, weir.RDPOutgoingOneToOne:
	}
	p := &powers{cfg: &rules}
	p.family(service.Family(max(slices.Index(service.Families(), family), 0))) //nolint:gosec // an index of a short list
	return "detect." + family + ".threshold", p.threshold(usual, 0)
}

// observer collects the surprises of a run. It is safe for concurrent use, and
// what it collects does not depend on the order of resources.
type observer struct {
	mu      sync.Mutex
	by      map[weir.AlertType]*Surprises
	numbers map[observed]uint64
	most    int
}

type observed struct {
	rule     weir.AlertType
	resource uint64
}

func newObserver() *observer {
	return &observer{by: map[weir.AlertType]*Surprises{}, numbers: map[observed]uint64{}, most: calibrationMost}
}

// observe takes one surprise; see detect.Config.Observe.
func (o *observer) observe(t weir.AlertType, resource uint64, surprise float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.by[t]
	if s == nil {
		s = &Surprises{}
		o.by[t] = s
	}
	k := observed{t, resource}
	s.take(resource, o.numbers[k], surprise, o.most)
	o.numbers[k]++
}

// surprises returns what was seen in so many resource-days.
func (o *observer) surprises(resourceDays float64) map[weir.AlertType]Surprises {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[weir.AlertType]Surprises{}
	for t, s := range o.by {
		s.ResourceDays = resourceDays
		out[t] = *s
	}
	return out
}

package quality

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// level is one column of a power curve: attacks of one kind at one intensity.
type level struct {
	rule   weir.AlertType
	kind   string
	n      uint32
	factor float64 // target for that of section 11.4
	when   when
}

// hits counts attacks and what became of them.
type hits struct {
	all, found int
	// delay is the event time from the beginning of the attack to the alert, lag
	// that from the moment when the reach of the rule was passed.
	delay, lag []time.Duration
	// after is that from the moment when the records sufficed (see evidence).
	after []time.Duration
}

func (h *hits) recall() float64 {
	if h.all == 0 {
		return math.NaN()
	}
	return float64(h.found) / float64(h.all)
}

func (h *hits) add(o *hits) {
	h.all, h.found = h.all+o.all, h.found+o.found
	h.delay, h.lag, h.after = append(h.delay, o.delay...), append(h.lag, o.lag...), append(h.after, o.after...)
}

// when tells the phases of a baseline apart: the first day of a resource, the rest
// of its first week, and the time after it.
type when uint8

const (
	firstDay when = iota
	firstWeek
	later
)

func (w when) String() string {
	return [...]string{"first day", "first week", "later"}[w]
}

// weekDays is the length of the first week.
const weekDays = 7

// phaseAt is the phase of a resource that begins with its scenario.
func phaseAt(t int64) when {
	switch {
	case t <= at(2, 0):
		return firstDay
	case t <= at(weekDays+1, 0):
		return firstWeek
	}
	return later
}

// falseKey tells false alerts apart.
type falseKey struct {
	n         uint32
	rule      weir.AlertType
	role      string
	lookalike bool
	when      when
}

// cover counts intervals of the estimate that hold the truth.
type cover struct {
	all, in, above, below int
	ratio                 []float64 // estimate by truth
}

type coverKey struct {
	rule weir.AlertType
	n    uint32
}

// tally sums the outcomes of all runs.
type tally struct {
	seeds map[uint64]bool
	power map[level]*hits
	wrong map[falseKey]int
	// watched are resource-days of benign roles.
	watched map[falseKey]float64
	// stray counts false alerts in scenarios of attacks.
	stray map[falseKey]int
	cover map[coverKey]*cover
	// lower counts lower bounds of numbers of peers that are below the truth.
	lower map[coverKey]*cover
	flows map[uint32]int64
	runs  map[uint32]int
	peers map[peerKey]*peerScores
}

type peerKey struct {
	rule string
	n    uint32
}

// peerScores are the scores of a rule of others on all attacks of its task that
// count for the recall, and on everything else.
type peerScores struct {
	hit   []float64
	wrong map[float64]int
}

func newTally() *tally {
	return &tally{
		seeds: map[uint64]bool{}, power: map[level]*hits{}, wrong: map[falseKey]int{}, watched: map[falseKey]float64{}, stray: map[falseKey]int{},
		cover: map[coverKey]*cover{}, lower: map[coverKey]*cover{}, flows: map[uint32]int64{}, runs: map[uint32]int{}, peers: map[peerKey]*peerScores{},
	}
}

func (t *tally) take(o outcome) {
	c := o.cell
	t.seeds[c.seed] = true
	t.flows[c.n] += o.flows
	t.runs[c.n]++
	for i := range c.attacks {
		a := &c.attacks[i]
		h := at2(t.power, level{a.rule, a.kind, c.n, a.factor, a.when})
		h.all++
		if o.found[i] < 0 {
			continue
		}
		h.found++
		al := &o.alerts[o.found[i]]
		h.delay = append(h.delay, time.Duration(al.Generated-a.start))
		if a.counted && a.factor >= 1 {
			passed := a.start + int64(float64(a.end-a.start)/a.factor)
			h.lag = append(h.lag, time.Duration(al.Generated-passed))
		}
		if o.enough[i] != 0 {
			h.after = append(h.after, time.Duration(al.Generated-o.enough[i]))
		}
		t.interval(c, a, al)
	}
	for _, i := range o.wrong {
		k := falseKey{c.n, o.alerts[i].Type, c.role, c.lookalike, phaseAt(o.alerts[i].Generated)}
		if len(c.attacks) > 0 {
			t.stray[k]++
		} else {
			t.wrong[k]++
		}
	}
	if len(c.attacks) == 0 {
		k := falseKey{n: c.n, role: c.role, lookalike: c.lookalike, when: firstDay}
		t.watched[k] += float64(c.resources)
		k.when = firstWeek
		t.watched[k] += float64(c.resources * (min(c.days, weekDays) - 1))
		k.when = later
		t.watched[k] += float64(c.resources * max(c.days-weekDays, 0))
	}
	t.others(o)
}

// at2 returns the value of a key, making it when it is new.
func at2[K comparable, V any](m map[K]*V, k K) *V {
	if m[k] == nil {
		m[k] = new(V)
	}
	return m[k]
}

// interval compares the estimate of an alert with the truth of the window that
// its numbers are of.
func (t *tally) interval(c *cell, a *attack, al *weir.Alert) {
	s := al.Sampling
	if a.truth == nil || al.Type != a.rule || s.Estimate == nil || s.Low95 == nil {
		return
	}
	from, to := al.First, al.Last+1
	if len(al.Series) > 0 {
		// The newest slot of a day's window may have begun only.
		from = al.Series[0].Time
		to = al.Series[len(al.Series)-1].Time + al.Series[1].Time - from
	}
	truth := a.truth(from, to)
	if truth == 0 {
		return
	}
	k := coverKey{a.rule, c.n}
	v := at2(t.cover, k)
	if s.High95 == nil {
		v = at2(t.lower, k)
	}
	v.all++
	// A connection at the edge of a window belongs to either side.
	slack := 0.0
	if c.n == 1 {
		slack = math.Max(2, 0.01*truth)
	}
	switch {
	case *s.Low95 > truth+slack:
		v.above++
	case s.High95 != nil && *s.High95 < truth-slack:
		v.below++
	default:
		v.in++
	}
	v.ratio = append(v.ratio, *s.Estimate/truth)
}

// taskOf returns the task of others that a rule of Weir corresponds to.
func taskOf(t weir.AlertType) task {
	switch t {
	case weir.SSHIncomingOneToOne, weir.SSHOutgoingOneToOne, weir.RDPIncomingOneToOne, weir.RDPOutgoingOneToOne:
		return guessing
	case weir.PortScanning:
		return scanning
	case weir.DDoS:
		return flooding
	}
	return ""
}

// compared reports whether an attack is part of the comparison with others.
func compared(a *attack) bool { return taskOf(a.rule) != "" && a.factor >= enough }

func (t *tally) others(o outcome) {
	for _, p := range peerRules() {
		cl := o.peers[p.key()]
		if cl == nil {
			continue
		}
		s := at2(t.peers, peerKey{p.key(), o.cell.n})
		if s.wrong == nil {
			s.wrong = map[float64]int{}
		}
		for i := range o.cell.attacks {
			if a := &o.cell.attacks[i]; compared(a) && taskOf(a.rule) == p.task {
				s.hit = append(s.hit, cl.hit[i])
			}
		}
		if o.cell.lookalike {
			continue
		}
		for score, n := range cl.wrong {
			s.wrong[score] += n
		}
	}
}

// at returns recall, hits and false accusations of a rule of others at a
// threshold.
func (s *peerScores) at(threshold float64) (recall float64, found, wrong int) {
	for _, h := range s.hit {
		if h >= threshold {
			found++
		}
	}
	for score, n := range s.wrong {
		if score >= coarse(threshold) {
			wrong += n
		}
	}
	return float64(found) / float64(max(len(s.hit), 1)), found, wrong
}

// reaching returns the highest threshold at which the recall is at least that,
// 0 when none is.
func (s *peerScores) reaching(recall float64) float64 {
	scores := slices.Sorted(slices.Values(s.hit))
	need := int(math.Ceil(recall*float64(len(scores)) - 1e-9))
	if need <= 0 || need > len(scores) {
		return 0
	}
	return scores[len(scores)-need]
}

// own returns what Weir makes of a task: recall, hits and false alerts.
func (t *tally) own(k task, n uint32) (recall float64, found, wrong int) {
	var h hits
	for l, x := range t.power {
		if l.n == n && l.factor >= enough && taskOf(l.rule) == k {
			h.add(x)
		}
	}
	for _, m := range []map[falseKey]int{t.wrong, t.stray} {
		for f, x := range m {
			if f.n == n && taskOf(f.rule) == k && !f.lookalike {
				wrong += x
			}
		}
	}
	return h.recall(), h.found, wrong
}

// sum adds up the false alerts that a filter takes, and the resource-days.
func (t *tally) sum(keep func(falseKey) bool) (n int) {
	for k, v := range t.wrong {
		if keep(k) {
			n += v
		}
	}
	return n
}

func (t *tally) days(keep func(falseKey) bool) (d float64) {
	for k, v := range t.watched {
		if keep(k) {
			d += v
		}
	}
	return d
}

// pool adds up the hits of all levels that a filter takes.
func (t *tally) pool(keep func(level) bool) *hits {
	var h hits
	for _, l := range slices.SortedFunc(maps.Keys(t.power), compareLevels) {
		if keep(l) {
			h.add(t.power[l])
		}
	}
	return &h
}

func compareLevels(a, b level) int {
	return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.kind, b.kind), cmp.Compare(a.n, b.n), cmp.Compare(a.factor, b.factor), cmp.Compare(a.when, b.when))
}

// quantile returns a quantile of durations, 0 for none.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return s[int(q*float64(len(s)-1)+0.5)]
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// Promises of the acceptance table. Source: detection reference, section 11.4,
// and the targets for users (time to alert).
const (
	wantRecall    = 0.95
	wantCrowd     = 0.9
	wantPrecision = 0.98
	wantFalse     = 0.2 // for 1,000 resources and day
	wantFactor    = 2.0 // of false alerts at 1:4096 against those at 1:1
	wantQuick     = time.Minute
	wantPair      = 11 * time.Minute
	// judgedTo is the thinnest sampling that is promised; what is thinner is shown
	// for information.
	judgedTo = 4096
)

// verdict is a measured value of a promise at one rate.
type verdict struct {
	text  string
	holds bool
	// silent: there is nothing to judge.
	silent bool
}

func nothing() verdict { return verdict{text: "–", silent: true} }

// promise is one line of the acceptance table.
type promise struct {
	what, target string
	at           func(n uint32) verdict
}

// accept writes the section that says what is kept of what is promised.
func (p *page) accept() {
	p.say("## 0. In short\n")
	var rows [][]string
	kept, judged := 0, 0
	for _, pr := range p.promises() {
		row := []string{pr.what, pr.target}
		for _, n := range p.rate {
			v := pr.at(n)
			if !v.silent && n <= judgedTo {
				judged++
				word := " does not hold"
				if v.holds {
					kept++
					word = " holds"
				}
				v.text += word
			}
			row = append(row, v.text)
		}
		rows = append(rows, row)
	}
	p.say("Of %d measured promises %d hold. Each line is a promise, its value at each sampling rate and whether it holds; 1:16384 is for information.\n", judged, kept)
	head := []string{"promise", "target"}
	for _, n := range p.rate {
		head = append(head, fmt.Sprintf("1:%d", n))
	}
	p.say("| %s |", strings.Join(head, " | "))
	p.say("|%s", strings.Repeat("---|", len(head)))
	for _, r := range rows {
		p.say("| %s |", strings.Join(r, " | "))
	}
	days := p.sum.days(func(k falseKey) bool { return k.n == p.rate[0] && !k.lookalike })
	p.say("\nHow to read it:\n")
	p.say("- **Recall** is of attacks of at least 1.5 times the reach (section 1), with the Wilson 95 %% interval; it is judged by the value, not by the interval.")
	p.say("- **Precision** is attacks found by all alerts, in the mix of this corpus: attacks of at least 1.5 times the reach, all benign roles, and what was raised beside the attacks in their scenarios. Look-alikes are left out (section 3). Other mixes are in section 4.")
	p.say("- **False alerts** are for 1,000 resources and day, on benign roles. `below` is the one-sided 95 %% bound of a Poisson number: none in %.0f days is not none. It is judged by the value; with these days a true rate of %s cannot be told from 0, which would take %.0f days without a false alert.",
		days, number(wantFalse), math.Ceil(1000*poissonUpper(0)/wantFalse))
	p.say("- **Time to detect** is event time from the moment when the records suffice to the alert: the longest and, in brackets, the share within the target. What suffices is told from the records, without the rule: of an indicator the first record of the accused side; of a flood the packet with which, for the second time in three panes of a minute, the lower bound of its rate reaches the floor; of a pair without sampling the login with which there are as many as the reach; of many peers without sampling the second answered connection of the last of as many peers as the reach. Below zero the rule was sure before.")
	p.say("- **Rules of others** are compared at equal recall (section 8): the promise holds where none has a higher precision than Weir; those that have are named.\n")
}

func (p *page) promises() []promise {
	history := func(l level) bool { return l.factor >= enough && l.when == later }
	week := func(l level) bool { return l.factor >= enough && l.when == firstWeek }
	first := func(l level) bool { return l.factor >= enough && l.when == firstDay }
	out := []promise{
		{"recall, all rules", fmt.Sprintf("≥ %g", wantRecall), p.pooled(history, wantRecall)},
		{"recall, worst rule", fmt.Sprintf("≥ %g", wantRecall), p.worst(history, wantRecall)},
		{"recall in the first week, all rules", fmt.Sprintf("≥ %g", wantRecall), p.pooled(week, wantRecall)},
		{"recall in the first week, worst rule", fmt.Sprintf("≥ %g", wantRecall), p.worst(week, wantRecall)},
		{"recall on the first day, all rules", fmt.Sprintf("≥ %g", wantRecall), p.pooled(first, wantRecall)},
		{"recall on the first day, worst rule", fmt.Sprintf("≥ %g", wantRecall), p.worst(first, wantRecall)},
		{"recall of bots, " + targetList(p.rate) + " of them", fmt.Sprintf("≥ %g", wantCrowd), p.pooled(func(l level) bool { return l.factor == target }, wantCrowd)},
		{"precision after the first week", fmt.Sprintf("≥ %g", wantPrecision), p.mixed(history, func(w when) bool { return w == later })},
		{"precision, all days", fmt.Sprintf("≥ %g", wantPrecision), p.mixed(func(l level) bool { return l.factor >= enough }, func(when) bool { return true })},
		{"false alerts after the first week, worst rule", fmt.Sprintf("≤ %g", wantFalse), p.worstFalse(func(w when) bool { return w == later })},
		{"false alerts on all days, worst rule", fmt.Sprintf("≤ %g", wantFalse), p.worstFalse(func(when) bool { return true })},
		{"false alerts after the first week, all rules, against 1:1", fmt.Sprintf("≤ %g times at 1:%d", wantFactor, judgedTo), p.growth},
		{"time to detect floods", "≤ 60 s", p.quick(wantQuick, func(l level) bool { return l.rule == weir.DDoS })},
		{"time to detect indicators", "≤ 60 s", p.quick(wantQuick, indicated)},
		{"time to detect pairs", "≤ 11 min at 1:1", p.quick(wantPair, func(l level) bool { return isPair(l.rule) && l.n == 1 })},
		{"time to detect many peers", "≤ 11 min at 1:1", p.quick(wantPair, func(l level) bool { return isAggregate(l.rule) && l.n == 1 })},
	}
	for _, k := range []struct {
		task task
		what string
	}{{guessing, "guessing"}, {scanning, "scans"}, {flooding, "floods"}} {
		out = append(out, promise{"precision at equal recall, " + k.what + ": rules of others ahead of Weir", "none at 1:64 and thinner", p.overtaken(k.task)})
	}
	return out
}

func indicated(l level) bool {
	return l.rule == weir.CommunicationWithC2 || l.rule == weir.ResourceIPMalicious || l.rule == weir.TrafficFromUnrecommended && l.kind != "stranger"
}

func isPair(t weir.AlertType) bool { return strings.HasSuffix(string(t), "_OneToOne") }

func isAggregate(t weir.AlertType) bool {
	return strings.HasSuffix(string(t), "_ManyToOne") || strings.HasSuffix(string(t), "_OneToMany")
}

// recallVerdict judges a recall; name is what it is of, or empty.
func recallVerdict(h *hits, want float64, name string) verdict {
	if h.all == 0 {
		return nothing()
	}
	return verdict{text: withInterval(h) + name, holds: h.recall() >= want}
}

// withInterval is a recall with its Wilson 95 % interval.
func withInterval(h *hits) string {
	if h.all == 0 {
		return "–"
	}
	low, high := wilson(h.found, h.all)
	return fmt.Sprintf("%.3f [%.2f, %.2f]", h.recall(), low, high)
}

func (p *page) pooled(keep func(level) bool, want float64) func(uint32) verdict {
	return func(n uint32) verdict {
		return recallVerdict(p.sum.pool(func(l level) bool { return l.n == n && keep(l) }), want, "")
	}
}

func (p *page) worst(keep func(level) bool, want float64) func(uint32) verdict {
	return func(n uint32) verdict {
		least, name := &hits{}, ""
		for _, rule := range weir.AlertTypes() {
			h := p.sum.pool(func(l level) bool { return l.n == n && l.rule == rule && keep(l) })
			if h.all > 0 && (least.all == 0 || h.recall() < least.recall()) {
				least, name = h, " ("+shortName(rule)+")"
			}
		}
		if least.all > 0 && least.found == least.all {
			name = ""
		}
		return recallVerdict(least, want, name)
	}
}

// mixed is the precision in the mix of the corpus.
func (p *page) mixed(keep func(level) bool, days func(when) bool) func(uint32) verdict {
	return func(n uint32) verdict {
		found := p.sum.pool(func(l level) bool { return l.n == n && keep(l) }).found
		wrong := 0
		for _, m := range []map[falseKey]int{p.sum.wrong, p.sum.stray} {
			for k, v := range m {
				if k.n == n && !k.lookalike && days(k.when) {
					wrong += v
				}
			}
		}
		v := ratio(found, wrong)
		if math.IsNaN(v) {
			return nothing()
		}
		return verdict{text: fmt.Sprintf("%.3f (%d of %d)", v, found, found+wrong), holds: v >= wantPrecision}
	}
}

// falseRate returns the false alerts of a rule (all rules: empty) on benign
// roles, and the days watched.
func (p *page) falseRate(n uint32, rule weir.AlertType, days func(when) bool) (wrong int, watched float64) {
	keep := func(k falseKey) bool { return k.n == n && !k.lookalike && days(k.when) }
	return p.sum.sum(func(k falseKey) bool { return keep(k) && (rule == "" || k.rule == rule) }), p.sum.days(keep)
}

func (p *page) worstFalse(days func(when) bool) func(uint32) verdict {
	return func(n uint32) verdict {
		most, name := 0, ""
		var watched float64
		for _, rule := range weir.AlertTypes() {
			wrong, d := p.falseRate(n, rule, days)
			if watched = d; wrong > most {
				most, name = wrong, " ("+shortName(rule)+")"
			}
		}
		if watched == 0 {
			return nothing()
		}
		v := 1000 * float64(most) / watched
		return verdict{text: fmt.Sprintf("%s, below %s%s", number(v), number(1000*poissonUpper(most)/watched), name), holds: v <= wantFalse}
	}
}

// growth compares the false alerts with those without sampling.
func (p *page) growth(n uint32) verdict {
	after := func(w when) bool { return w == later }
	wrong, days := p.falseRate(n, "", after)
	base, baseDays := p.falseRate(1, "", after)
	if days == 0 || baseDays == 0 {
		return nothing()
	}
	here, there := 1000*float64(wrong)/days, 1000*float64(base)/baseDays
	v := verdict{text: fmt.Sprintf("%s against %s", number(here), number(there)), holds: here <= wantFactor*there, silent: n != judgedTo}
	if there > 0 {
		v.text = fmt.Sprintf("%s times: %s", number(here/there), v.text)
	}
	if n == 1 {
		v.text = number(here)
	}
	return v
}

// quick judges the time from the moment when the records sufficed.
func (p *page) quick(want time.Duration, keep func(level) bool) func(uint32) verdict {
	return func(n uint32) verdict {
		h := p.sum.pool(func(l level) bool { return l.n == n && l.factor >= enough && l.when == later && keep(l) })
		if len(h.after) == 0 {
			return nothing()
		}
		in := 0
		for _, d := range h.after {
			if d <= want {
				in++
			}
		}
		longest := slices.Max(h.after)
		text := fmt.Sprintf("%.0f s", longest.Seconds())
		if want > time.Minute {
			text = fmt.Sprintf("%.1f min", longest.Minutes())
		}
		return verdict{text: fmt.Sprintf("%s (%.2f of %d)", text, float64(in)/float64(len(h.after)), len(h.after)), holds: longest <= want}
	}
}

// overtaken names the rules of others that are ahead of Weir.
func (p *page) overtaken(k task) func(uint32) verdict {
	return func(n uint32) verdict {
		var names []string
		for _, r := range peerRules() {
			if r.task == k && p.ahead(k, &r, n) {
				names = append(names, r.name)
			}
		}
		v := verdict{text: "none", holds: len(names) == 0, silent: n == 1}
		if len(names) > 0 {
			v.text = strings.Join(names, ", ")
		}
		return v
	}
}

// wilson is the 95 % interval of a share (Wilson, JASA 22, 1927).
func wilson(found, all int) (low, high float64) {
	const z = 1.959964
	n := float64(all)
	share := float64(found) / n
	middle := share + z*z/(2*n)
	half := z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return max(0, (middle-half)/(1+z*z/n)), min(1, (middle+half)/(1+z*z/n))
}

// poissonUpper is the one-sided 95 % upper bound of the mean of a Poisson number
// of which so many were seen: the mean at which so few or fewer come with a
// probability of 0.05 (Garwood, Biometrika 28, 1936).
func poissonUpper(seen int) float64 {
	low, high := float64(seen), 2*float64(seen)+20
	for high-low > 1e-9*high {
		mid := (low + high) / 2
		term, sum := math.Exp(-mid), 0.0
		if term == 0 { // far out: the normal approximation of Wilson and Hilferty
			k := float64(seen + 1)
			return k * math.Pow(1-1/(9*k)+1.644854/(3*math.Sqrt(k)), 3)
		}
		for i := 0; i <= seen; i++ {
			sum += term
			term *= mid / float64(i+1)
		}
		if sum > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

func TestIntervals(t *testing.T) {
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-3*cmp.Or(math.Abs(want), 1) {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	// Wilson: 8 of 10 (Newcombe 1998), and all of 20.
	low, high := wilson(8, 10)
	near("low of 8/10", low, 0.4902)
	near("high of 8/10", high, 0.9433)
	low, high = wilson(20, 20)
	near("low of 20/20", low, 0.8389)
	near("high of 20/20", high, 1)
	// Garwood's table.
	near("none seen", poissonUpper(0), 2.9957)
	near("three seen", poissonUpper(3), 7.7537)
	near("ten seen", poissonUpper(10), 16.9622)
	near("1000 seen", poissonUpper(1000), 1053.6)
}

package backleg

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
)

// Bounds of a fit in time.
const (
	maxBefore = 180 // bins before the attack
	maxFit    = 256 // members, the busiest first
)

// byTime shares the likelihood by the times at which members got connections.
// Every connection of the attackers at the front went to one member, so that the
// connections y of member m in minute t are taken for a Poisson mixture,
//
//	y_mt ~ Poisson(beta_m + gamma_m*o_t + w_m*a_t),  0 <= w_m <= 1.5*rho
//
// of what always comes (probes, other ways in), of a share of the connections o
// of all other clients at the front, and of a share w of the a connections of the
// attackers. rho is the ratio of the probabilities that the sampling on either side
// shows a connection: a member cannot have got more of the attack than there was.
// a is the series of the finding; before its peers were first seen it is zero. The
// gain g_m in log-likelihood over w_m = 0, divided by the dispersion of what is left
// (at least 1), becomes the probability that the member took part,
//
//	pi_m = 1 / (1 + exp(-(g_m - ln(1+T)/2 - ln(M-1))))
//
// with T the minutes of the attack (Schwarz, Annals of Statistics 6(2), 1978) and M
// the members. z is the probability that none of them stands out, the product of
// all (1-pi_m), and at least 1 - 4*(sum of pi*w)/rho: members that account for
// little of the attack met it by chance, and it went where nobody looks. The factor
// leaves room for series that are blurred by sampling, which flattens w. With q the
// shares of the rules,
//
//	L_m = (1-z) * pi_m*w_m / (sum of pi*w) + z*q_m
//
// It returns nil where z is more than one half, and where the finding has no
// series.
func (e *Evidence) byTime(f *weir.Finding, prior shares, first int64) shares {
	if f.Direction != weir.Incoming || len(f.Series) < 2 || len(e.Slots) == 0 || len(prior) < 2 {
		return nil
	}
	bins := e.bins(f, first)
	y := e.memberSeries(f, bins, prior)
	if bins == nil || len(y) == 0 {
		return nil
	}
	attacked := 0
	for _, v := range bins.attack {
		if v > 0 {
			attacked++
		}
	}
	if attacked == 0 {
		return nil
	}
	rho := e.ratio(f, bins)
	penalty := math.Log1p(float64(attacked))/2 + math.Log(float64(len(prior)-1))
	s, none, explained := make(shares, len(prior)), 1.0, 0.0
	for _, id := range slices.Sorted(maps.Keys(y)) {
		w, gain := fitMember(y[id], bins.attack, bins.others, 1.5*rho)
		p := 1 / (1 + math.Exp(penalty-gain))
		s[id] = p * w
		none, explained = none*(1-p), explained+p*w
	}
	if !math.IsInf(rho, 1) {
		none = max(none, 1-4*explained/rho)
	}
	if none > 0.5 || !s.normal() {
		return nil
	}
	for id := range s {
		s[id] *= 1 - none
	}
	for id, q := range prior {
		s[id] += none * q
	}
	s.normal()
	return s
}

// timeBins is the time of a fit, cut into bins of equal width.
type timeBins struct {
	from, step     int64
	attack, others []float64
}

// index returns the bin of a time, negative before the first.
func (b *timeBins) index(t int64) int {
	if t < b.from {
		return -1
	}
	return int((t - b.from) / b.step)
}

// bins prepares the bins of a finding: those of its series, and before them
// as many as are known to hold nothing of its peers.
func (e *Evidence) bins(f *weir.Finding, first int64) *timeBins {
	step := f.Series[1].Time - f.Series[0].Time
	if step < int64(time.Minute) || step%int64(time.Minute) != 0 {
		return nil
	}
	seen := e.Slots[0].N * slotLength
	before := (f.Series[0].Time - max(seen, f.Series[0].Time-maxBefore*step)) / step
	if first < f.Series[0].Time {
		before = 0 // they may have been there earlier
	}
	b := &timeBins{from: f.Series[0].Time - max(before, 0)*step, step: step}
	for range before {
		b.attack = append(b.attack, 0)
	}
	for _, p := range f.Series {
		if p.Time < seen {
			b.from = p.Time + step // not watched yet
			continue
		}
		b.attack = append(b.attack, p.Observed)
	}
	if len(b.attack) == 0 {
		return nil
	}
	b.others = make([]float64, len(b.attack))
	for i := range e.Slots {
		if m := e.Slots[i].Front[f.Port]; m != nil {
			b.spread(b.others, e.Slots[i].N, m)
		}
	}
	for i := range b.others {
		b.others[i] = max(b.others[i]-b.attack[i], 0)
	}
	return b
}

// spread adds the minutes of one slot to the bins.
func (b *timeBins) spread(to []float64, slot int64, minutes *[10]uint32) {
	for i, n := range minutes {
		if j := b.index(slot*slotLength + int64(i)*int64(time.Minute)); j >= 0 && j < len(to) {
			to[j] += float64(n)
		}
	}
}

// memberSeries returns the connections by bin of each member that the rules name
// for the finding and that was seen at all; at most those of the busiest members.
func (e *Evidence) memberSeries(f *weir.Finding, b *timeBins, prior shares) map[string][]float64 {
	if b == nil {
		return nil
	}
	fits := backPorts(f)
	y, sum := make(map[string][]float64), make(shares)
	for i := range e.Slots {
		s := &e.Slots[i]
		for k, m := range s.Members {
			id := memberID(k.Member)
			if _, ok := prior[id]; !ok || !fits(id, k.Port) {
				continue
			}
			if y[id] == nil {
				y[id] = make([]float64, len(b.attack))
			}
			b.spread(y[id], s.N, m)
		}
	}
	if len(y) > maxFit {
		for id := range y {
			for i, v := range y[id] {
				sum[id] += v * b.attack[i]
			}
		}
		ids := slices.SortedFunc(maps.Keys(y), func(a, b string) int { return cmp.Or(cmp.Compare(sum[b], sum[a]), cmp.Compare(a, b)) })
		for _, id := range ids[maxFit:] {
			delete(y, id)
		}
	}
	return y
}

// ratio returns rho of [Evidence.byTime]; without known rates on both sides
// it bounds nothing.
func (e *Evidence) ratio(f *weir.Finding, b *timeBins) float64 {
	var nx, nw uint64
	for i := range e.Slots {
		if s := &e.Slots[i]; s.N*slotLength >= b.from {
			nx, nw = nx+s.Nx, nw+s.Nw
		}
	}
	const k = 10 // packets of a connection, the middle of the service table
	front := baseline.Inclusion(f.Sampling.Rate, 1, k)
	if nx == 0 || nw == 0 || front == 0 {
		return math.Inf(1)
	}
	back := baseline.Inclusion(uint32(min(max((nx+nw/2)/nw, 1), math.MaxUint32)), 1, k)
	return back / front
}

// fitMember fits the mixture of [Evidence.byTime] to one member by expectation
// and maximisation (Dempster, Laird and Rubin, JRSS B 39(1), 1977), with and
// without the attack, and returns w and the gain in log-likelihood.
func fitMember(y, attack, others []float64, limit float64) (w, gain float64) {
	full := memberFit{start: 1, limit: limit}
	none := memberFit{}
	full.fit(y, attack, others)
	none.fit(y, attack, others)
	if full.w == 0 {
		return 0, 0
	}
	return full.w, max(full.likelihood(y, attack, others)-none.likelihood(y, attack, others), 0) / full.dispersion(y, attack, others)
}

// memberFit is one fit of [Evidence.byTime].
type memberFit struct {
	start, limit   float64 // of w
	beta, gamma, w float64
}

func (m *memberFit) rate(i int, attack, others []float64) float64 {
	return m.beta + m.gamma*others[i] + m.w*attack[i]
}

// fitRounds is enough for the weights to settle to some thousandths.
const fitRounds = 100

func (m *memberFit) fit(y, attack, others []float64) {
	var sy, sa, so float64
	for i := range y {
		sy, sa, so = sy+y[i], sa+attack[i], so+others[i]
	}
	if sy == 0 {
		return
	}
	n := float64(len(y))
	m.beta = sy / n / 3
	if so > 0 {
		m.gamma = sy / so / 3
	}
	if sa > 0 {
		m.w = min(m.start*sy/sa/3, m.limit)
	}
	for range fitRounds {
		var b, g, w float64
		for i := range y {
			if y[i] == 0 {
				continue
			}
			e := y[i] / m.rate(i, attack, others)
			b, g, w = b+e, g+e*others[i], w+e*attack[i]
		}
		m.beta *= b / n
		if so > 0 {
			m.gamma *= g / so
		}
		if sa > 0 {
			m.w = min(m.w*w/sa, m.limit)
		}
	}
}

// likelihood is the log-likelihood but for what does not depend on the fit.
func (m *memberFit) likelihood(y, attack, others []float64) (sum float64) {
	for i := range y {
		l := m.rate(i, attack, others)
		sum -= l
		if y[i] > 0 {
			sum += y[i] * math.Log(l)
		}
	}
	return sum
}

// dispersion is Pearson's chi-square of the fit per degree of freedom, at least 1:
// real traffic comes in bursts, and its surprises count for less. As bursts last, it
// is also taken over stretches of several bins, and the larger value counts.
func (m *memberFit) dispersion(y, attack, others []float64) float64 {
	const parameters, stretch = 3, 5
	worst := 1.0
	for _, width := range []int{1, stretch} {
		var chi, n float64
		for i := 0; i < len(y); i += width {
			var seen, want float64
			for j := i; j < min(i+width, len(y)); j++ {
				seen, want = seen+y[j], want+m.rate(j, attack, others)
			}
			n++
			if want > 0 {
				chi += (seen - want) * (seen - want) / want
			}
		}
		if n > parameters {
			worst = max(worst, chi/(n-parameters))
		}
	}
	return worst
}

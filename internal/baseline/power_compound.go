package baseline

import "math"

// Bounds of the exact sums.
const (
	// compoundMax is the number of sampled packets above which a pair is taken as
	// normal, and compoundUnits the mean number of seen units up to which a
	// reach is looked for.
	compoundMax   = 600
	compoundUnits = 4000
	// compoundTail is the probability that is left out of distributions.
	compoundTail = 1e-10
)

// compound is a number of units (connections, peers), each of which is seen with
// probability h, and a seen one shows j packets with probability size[j-1].
type compound struct {
	h    float64
	size []float64
	rows []packets // by the number of seen units
}

// packets is the distribution of a number of packets, of which the first entry
// is the probability of from.
type packets struct {
	from uint64
	p    []float64
}

func newCompound(h float64, size []float64) *compound {
	return &compound{h: h, size: size, rows: []packets{{0, []float64{1}}}}
}

// seen returns the distribution of the packets of d seen units.
func (c *compound) seen(d int) packets {
	for len(c.rows) <= d {
		last := c.rows[len(c.rows)-1]
		next := packets{last.from + 1, make([]float64, len(last.p)+len(c.size)-1)}
		for i, p := range last.p {
			for j, q := range c.size {
				next.p[i+j] += p * q
			}
		}
		for len(next.p) > 1 && next.p[0] < compoundTail {
			next.p, next.from = next.p[1:], next.from+1
		}
		for len(next.p) > 1 && next.p[len(next.p)-1] < compoundTail {
			next.p = next.p[:len(next.p)-1]
		}
		c.rows = append(c.rows, next)
	}
	return c.rows[d]
}

// reach returns the smallest number of units of which, by what is seen of them,
// pass holds with the probability powerLevel, together with what besides holds
// with the probability other of the number of units; pass gives the probability
// for d seen units with x packets in all. It is +Inf where there is none.
//
// More units are not always found with a higher probability in one look: some
// ten packets more without a mark of a beginning or an end speak for long
// sessions. An attack that is larger is seen smaller by the windows that hold
// its beginning only, so the first number counts.
func (c *compound) reach(pass func(d, x uint64) float64, other func(units float64) float64) float64 {
	var g []float64 // by seen units
	found := func(units float64) bool {
		mean := units * c.h
		spread := 7*math.Sqrt(mean*(1-c.h)) + 12
		first, last := math.Max(0, math.Floor(mean-spread)), math.Min(units, math.Ceil(mean+spread))
		for d := len(g); float64(d) <= last; d++ {
			r := c.seen(d)
			sum := 0.0
			for i, p := range r.p {
				sum += p * pass(uint64(d), r.from+uint64(i))
			}
			g = append(g, sum)
		}
		sum := 0.0
		for d := first; d <= last; d++ {
			sum += binomial(units, c.h, d) * g[int(d)]
		}
		return sum*other(units) >= powerLevel
	}
	const step = 1.02
	lo, hi := 0.0, 1.0
	for !found(hi) {
		if hi*c.h > compoundUnits {
			return math.Inf(1)
		}
		lo, hi = hi, math.Max(hi+1, math.Floor(hi*step))
	}
	for hi-lo > 1 {
		m := math.Floor((lo + hi) / 2)
		if found(m) {
			hi = m
		} else {
			lo = m
		}
	}
	return hi
}

// binomial is the probability that of n trials of probability h d succeed.
func binomial(n, h, d float64) float64 {
	switch {
	case d > n:
		return 0
	case h >= 1:
		return certain(d == n)
	}
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(d + 1)
	c, _ := math.Lgamma(n - d + 1)
	return math.Exp(a - b - c + d*math.Log(h) + (n-d)*math.Log1p(-h))
}

// truncated is the distribution of the sampled packets of a connection of k
// packets of which at least one is sampled. A k between two whole numbers is a
// mixture of both.
func truncated(n uint32, k float64) []float64 {
	out := truncatedSum(n, k)
	sum := 0.0
	for _, p := range out {
		sum += p
	}
	for j := range out {
		out[j] /= sum
	}
	return out
}

// truncatedSum is the distribution of the sampled packets among k from 1 on: its
// sum is the probability that any is sampled.
func truncatedSum(n uint32, k float64) []float64 {
	whole := math.Floor(k)
	in := 1 / float64(n)
	out := make([]float64, 0, 16)
	for j := 1.0; j <= whole+1; j++ {
		p := (1-(k-whole))*binomial(whole, in, j) + (k-whole)*binomial(whole+1, in, j)
		if p < compoundTail && j > k*in {
			break
		}
		out = append(out, p)
	}
	return out
}

// shapeOf are the conditions that tell many short connections from few long
// ones, section 3.3 and storm of section 7.1.
type shapeOf struct {
	rho      float64 // least D/X
	marks    float64 // share of control marks among sampled packets
	sessions float64 // least bound on sessions
	share    float64 // least share of marks that is not ruled out
	n        uint32
	k        float64
	crowd    bool
	syns     float64               // share of SYNs among the packets of a crowd
	proof    float64               // connections so many times as long must be ruled out by the evidence itself
	least    map[uint64]uint64     // unmarked, by packets
	tails    map[[2]uint64]float64 // by packets and fewest marks
	proofs   map[[2]uint64]float64 // by ports and packets
}

func newShape(n uint32, k, marks float64, crowd bool) *shapeOf {
	perLogin := float64(loginMarks)
	if crowd {
		perLogin = 1 // peers that show nothing but a SYN do not count
	}
	return &shapeOf{
		rho: stormShare * RhoExpected(n, k), marks: marks, sessions: stormSessions, share: math.Min(1, markShare*perLogin/k),
		n: n, k: k, crowd: crowd, least: make(map[uint64]uint64), tails: make(map[[2]uint64]float64), proofs: make(map[[2]uint64]float64),
	}
}

// shapeMax is the number of packets to which more are scaled down.
const shapeMax = 400

// pass returns the probability that d distinct ports among x packets have the
// shape, where the surprise is surplus above what is needed.
func (s *shapeOf) pass(d, x uint64, surplus float64) float64 {
	if d < powerPorts || float64(d) < s.rho*float64(x) {
		return 0
	}
	proven := 1.0
	if s.proof > 0 {
		proven = s.proven(d, x)
	}
	if x > shapeMax {
		d, x = d*shapeMax/x, shapeMax
	}
	least := s.unmarked(x)
	if float64(SessionBound(d, x)) < s.sessions*(1-surplus/(2*stormOdds)) {
		least = max(least, leastMarks(x, stormOdds-surplus))
	}
	key := [2]uint64{x, least}
	v, ok := s.tails[key]
	if !ok {
		for c := least; c <= x; c++ {
			v += binomial(float64(x), s.marks, float64(c))
		}
		s.tails[key] = v
	}
	// Both ask for marks: the stricter one decides.
	return math.Min(v, proven)
}

// proven returns the probability that d distinct ports among x packets and their
// marks show connections shorter than proof times the mean login.
func (s *shapeOf) proven(d, x uint64) float64 {
	key := [2]uint64{d, x}
	if v, ok := s.proofs[key]; ok {
		return v
	}
	e := Connections{N: s.n, Packets: x, Ports: d, Of: x, PerConnection: loginMarks}
	share := s.marks
	if s.crowd { // marks but SYNs, among packets but SYNs
		e.Of -= uint64(s.syns * float64(x))
		e.PerConnection--
		share = e.PerConnection / (s.k - 1)
	}
	v := 1.0
	for ; e.Marks < e.Of && e.Odds(s.k, s.proof) < stormOdds; e.Marks++ {
		v -= binomial(float64(e.Of), share, float64(e.Marks))
	}
	s.proofs[key] = v
	return v
}

// unmarked returns the fewest marks among x packets that do not speak for long
// sessions: the upper bound of their share is not below 0.8 times that of logins
// of the mean length.
func (s *shapeOf) unmarked(x uint64) uint64 {
	c, ok := s.least[x]
	if !ok {
		for c < x && BetaUCB95(c, x) < s.share {
			c++
		}
		s.least[x] = c
	}
	return c
}

// leastMarks returns the fewest marks among x packets whose odds are at limit.
func leastMarks(x uint64, limit float64) uint64 {
	base, one := ControlLLR(0, x), ControlLLR(1, 0)-ControlLLR(0, 1)
	return uint64(math.Max(0, math.Ceil((limit-base)/one)))
}

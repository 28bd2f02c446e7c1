package baseline

import "math"

// powerLevel is the probability with which an attack of the smallest intensity
// is found.
const powerLevel = 0.95

// Gate names the condition of a rule that decides how small an attack may be.
type Gate string

// Gates of the rules.
const (
	// GateFloor is the absolute floor M(W) on the lower bound of connections, or
	// that of a packet rate.
	GateFloor Gate = "floor"
	// GateShape is the shape of short connections: distinct ports, the bound on
	// sessions, control marks (section 3.3).
	GateShape Gate = "shape"
	// GateReplies is the length of the server's answers, of which some must be
	// sampled.
	GateReplies Gate = "replies"
	// GateSurprise is the surprise against what is normal.
	GateSurprise Gate = "surprise"
	// GatePeers is the fewest peers, or targets, that must be seen.
	GatePeers Gate = "peers"
	// GateMarks is the alarm level of the packet-mark CUSUM of scans.
	GateMarks Gate = "marks"
	// GateContact is a sampled packet or two: nothing else is asked.
	GateContact Gate = "contact"
)

// Conditions of the rules as section 7.1 and 8.10 of the detection reference
// give them. They repeat what the detectors hold, and the simulation of the
// engine's tests compares both.
const (
	stormShare    = 0.6 // D/X, of rho_e
	stormSessions = 30  // L_b
	stormOdds     = 2   // LLR
	markShare     = 0.8 // of the share of marks of logins, at least
	loginMarks    = 2   // control packets of a connection: SYN and FIN
	scanAliveOdds = 19  // silent targets for one that answers: 95 % are silent
	scanAlive     = 5   // client packets of a target that answers
)

// PairPower is guessing by one source at one service within one window, of
// connections of equal length (section 7.1).
type PairPower struct {
	// N is the sampling interval.
	N uint32
	// K is the mean number of client packets of a connection.
	K float64
	// Floor is M(W) in connections, with the factor of the first day worked in.
	Floor float64
	// Surprise is what the anomaly asks for, S* of section 6.5, and Prior the
	// connections of a new peer in a window that are expected. With a Surprise of
	// 0 nothing is asked.
	Surprise, Prior float64
	// Sessions is the bound on sessions that stands for a storm, 0 for the 30 of
	// section 3.3.
	Sessions float64
	// Proof is how many times as long the connections are that the evidence itself
	// must rule out, 0 for none.
	Proof float64
	// Replies is the fewest sampled packets of the server that must show how long
	// its answers are; 0 where the rule does not ask. A connection has one less
	// than packets of the client.
	Replies uint64
}

// Smallest returns the smallest number of connections that are found with a
// probability of 0.95, and the condition that decides it. It is +Inf where no
// number is: where connections are so long that they cannot be told from
// sessions. It is 0 for an unknown rate or K not above 0.
//
// Client packets are sampled independently with probability 1/N. Of C
// connections D are seen, binomial, and a seen one shows so many packets as a
// binomial number above 0; the marks among them are binomial. Which (D, X) pass
// the conditions is summed up exactly; above some hundred packets, where the
// shape is certain, the packets are taken as normal.
func (p PairPower) Smallest() (connections float64, gate Gate) {
	if p.N == 0 || !(p.K > 0) {
		return 0, GateFloor
	}
	h := Inclusion(p.N, 1, p.K)
	least := p.surprising(h)
	if p.N == 1 {
		c := math.Max(math.Ceil(p.Floor), powerPorts)
		if float64(least) > c {
			return float64(least), GateSurprise
		}
		return c, GateFloor
	}
	need := p.packets()
	if need > compoundMax {
		return p.many(need), GateFloor
	}
	c := newCompound(h, truncated(p.N, p.K))
	shape := p.shape()
	floor := func(d, x uint64) float64 { return certain(LowerConnections(p.N, x, d, p.K) >= p.Floor) }
	short := func(d, x uint64) float64 { return shape.pass(d, x, 0) }
	odd := func(d, _ uint64) float64 { return certain(d >= least) }
	replies := func(units float64) float64 { return PoissonTail(p.Replies, units*(p.K-1)/float64(p.N)) }
	all := c.reach(func(d, x uint64) float64 {
		if d < least || LowerConnections(p.N, x, d, p.K) < p.Floor {
			return 0
		}
		return shape.pass(d, x, 0)
	}, replies)
	gate = GateFloor
	top := c.reach(floor, always)
	if v := c.reach(short, always); v > top {
		gate, top = GateShape, v
	}
	if v := c.reach(func(uint64, uint64) float64 { return 1 }, replies); v > top {
		gate, top = GateReplies, v
	}
	if v := c.reach(odd, always); v > top {
		gate = GateSurprise
	}
	return all, gate
}

// shape returns the shape that is asked for.
func (p PairPower) shape() *shapeOf {
	s := newShape(p.N, p.K, loginMarks/p.K, false)
	if p.Sessions > 0 {
		s.sessions = p.Sessions
	}
	s.proof = p.Proof
	return s
}

// surprising returns the smallest count whose surprise is enough, with nothing
// learnt yet but the prior.
func (p PairPower) surprising(h float64) uint64 {
	if !(p.Surprise > 0) || !(p.Prior > 0) {
		return 1
	}
	return leastSurprising(p.Surprise, 1/Dispersion(0, 0), p.Prior*h)
}

// packets returns the smallest number of sampled packets at which the lower
// bound is at the floor.
func (p PairPower) packets() uint64 {
	lo, hi := uint64(0), uint64(1)
	for float64(p.N)*GQ05(hi)/p.K < p.Floor && hi < 1<<40 {
		lo, hi = hi, 2*hi
	}
	for lo+1 < hi {
		m := lo + (hi-lo)/2
		if float64(p.N)*GQ05(m)/p.K < p.Floor {
			lo = m
		} else {
			hi = m
		}
	}
	return hi
}

// many is Smallest where the floor takes so many packets that the shape is
// certain, or certainly not there.
func (p PairPower) many(need uint64) float64 {
	d := uint64(RhoExpected(p.N, p.K) * float64(need))
	if p.shape().pass(d, need, 0) < powerLevel {
		return math.Inf(1)
	}
	// mean - 1.645*sqrt(mean*(1-p)) = need
	s := z95 * math.Sqrt(1-1/float64(p.N))
	r := (s + math.Sqrt(s*s+4*float64(need))) / 2
	return math.Ceil(r * r * float64(p.N) / p.K)
}

// CrowdPower is guessing by many sources at one resource, or by one resource at
// many destinations, within an hour (sections 7.2 and 8.11).
type CrowdPower struct {
	// N and K are as in PairPower; Connections is what each peer makes.
	N              uint32
	K, Connections float64
	// MinPeers is the fewest peers, Surprise what is asked of their number.
	MinPeers uint64
	Surprise float64
	// Prior is the number of peers an hour that is expected before anything is
	// learnt, and Windows the weight of what was learnt in hours, of which Noise
	// sources an hour of one connection of NoisePackets client packets each are
	// part of, in the attack's hour as well. Under sampling they look like
	// guessing, where nothing is sampled one connection is none. Without Windows
	// nothing was learnt.
	Prior, Windows, Noise, NoisePackets float64
	// Proof is as in PairPower.
	Proof float64
	// Hours is the number of hours with the busiest of which, rather than the mean,
	// the number of peers is compared; 0 for none.
	Hours float64
}

// Smallest returns the smallest number of peers that are found with a
// probability of 0.95, and the condition that decides it; +Inf where no number
// is, 0 for an unknown rate, K or Connections not above 0.
func (p CrowdPower) Smallest() (peers float64, gate Gate) {
	if p.N == 0 || !(p.K > 1) || !(p.Connections > 0) {
		return 0, GatePeers
	}
	in := 1 / float64(p.N)
	w := Inclusion(p.N, 1, p.K)
	noise := 0.0 // sources an hour that look like guessing: with more than a SYN
	if p.N > 1 {
		noise = p.Noise * Inclusion(p.N, 1, p.NoisePackets-1)
	}
	// The baseline of section 6.3, after Windows hours of the noise.
	learnt := p.Windows * noise
	expected := (learnt + 24*w*p.Prior) / ((p.Windows + 24) * w) * w
	expected = math.Max(expected, busiest(noise, p.Hours))
	least := leastSurprising(p.Surprise, 1/Dispersion(learnt, 0), expected)
	surprise := func(u uint64) float64 { return Surprise(u, 1/Dispersion(learnt, 0), expected) }
	if p.N == 1 {
		if least > p.MinPeers {
			return float64(least), GateSurprise
		}
		return float64(p.MinPeers), GatePeers
	}
	// A peer that shows nothing but SYNs has no login-like evidence: of j sampled
	// packets all are SYNs with the hypergeometric probability, which takes marks
	// away from those that count.
	size := truncatedSum(p.N, p.K*p.Connections)
	none := math.Exp(p.Connections * (p.K - 1) * math.Log1p(-in)) // no packet but SYNs
	h, syns := 0.0, 0.0
	onlySyn := none * math.Exp(p.Connections*math.Log1p(-in))
	for j := range size {
		onlySyn *= math.Max(0, p.Connections-float64(j)) / float64(j+1) * in / (1 - in)
		size[j] = math.Max(0, size[j]-onlySyn)
		h += size[j]
		syns += float64(j+1) * onlySyn
	}
	for j := range size {
		size[j] /= h
	}
	packets := p.Connections * p.K * in
	marks := (p.Connections*loginMarks*in - syns) / (packets - syns)
	shape := newShape(p.N, p.K, marks, true)
	shape.proof, shape.syns = p.Proof, (p.Connections*in-syns)/(packets-syns)
	c := newCompound(h, size)
	rho := RhoExpected(p.N, p.K)
	crowd := func(shaped bool) func(u, x uint64) float64 {
		return func(u, x uint64) float64 {
			sum, weight := 0.0, math.Exp(-noise)
			for more := range uint64(400) {
				if all := u + more; all >= p.MinPeers && all >= least {
					if !shaped {
						return sum + PoissonTail(more, noise)
					}
					surplus := 0.0
					if p.Windows > 0 { // against the bare prior anything is a surprise
						surplus = math.Min(math.Max(surprise(all)-p.Surprise, 0), stormOdds)
					}
					v := shape.pass(uint64(rho*float64(x)+0.5), x, surplus)
					if surplus == stormOdds || weight < 1e-9 {
						return sum + PoissonTail(more, noise)*v
					}
					sum += weight * v
				}
				weight *= noise / float64(more+1)
			}
			return sum
		}
	}
	peers = c.reach(crowd(true), always)
	switch few := c.reach(crowd(false), always); {
	case peers > 1.02*few:
		gate = GateShape
	case least > p.MinPeers:
		gate = GateSurprise
	default:
		gate = GatePeers
	}
	return peers, gate
}

// busiest is the 90 % quantile of the largest of so many Poisson numbers.
func busiest(mean, hours float64) float64 {
	m := uint64(0)
	for hours > 0 && hours*PoissonTail(m+1, mean) > 0.1 {
		m++
	}
	return float64(m)
}

// ScanPower is a scan of targets that stay silent, one in twenty of its targets
// answering (section 8.10).
type ScanPower struct {
	// N is the sampling interval, SYNs the mean number of SYNs to a silent target.
	N    uint32
	SYNs float64
	// Exact and Sampled are the targets that must be seen without and with
	// sampling.
	Exact, Sampled uint64
}

// Smallest returns the smallest number of silent targets that are found with a
// probability of 0.95, and the condition that decides it; 0 for an unknown rate
// or no SYNs. The own SYN share of the resource is taken to be at most 0.2.
func (p ScanPower) Smallest() (targets float64, gate Gate) {
	if p.N == 0 || !(p.SYNs > 0) {
		return 0, GatePeers
	}
	t0, t1, _, _ := PMParams(0)
	up, down := PMIncrement(1, t0, t1), -PMIncrement(0, t0, t1)
	marks := uint64(PMAlarm/up) + 1
	if p.N == 1 {
		return float64(max(p.Exact, marks)), GatePeers
	}
	in := 1 / float64(p.N)
	// A target that answers looks silent when its SYN is what was sampled.
	seen := Inclusion(p.N, 1, p.SYNs) + in/scanAliveOdds
	alive := (Inclusion(p.N, 1, scanAlive) - in) / scanAliveOdds
	found := func(t float64, marked bool) float64 {
		sum, weight := 0.0, math.Exp(-t*alive)
		for b := range 200 {
			need := p.Sampled
			if marked {
				need = max(need, uint64((PMAlarm+float64(b)*down)/up)+1)
			}
			sum += weight * PoissonTail(need, t*seen)
			weight *= t * alive / float64(b+1)
		}
		return sum
	}
	targets = math.Ceil(smallestReal(func(t float64) bool { return found(t, true) >= powerLevel }))
	if p.Sampled > marks || targets <= math.Ceil(smallestReal(func(t float64) bool { return found(t, false) >= powerLevel })) {
		return targets, GatePeers
	}
	return targets, GateMarks
}

// FloodPower returns the smallest rate in packets a second that is found with a
// probability of 0.95 in three whole panes of so many seconds, two of which must
// reach the floor by their lower bound (section 8.5). It is 0 for an unknown
// rate, a floor or a pane not above 0.
func FloodPower(n uint32, floor, seconds float64) float64 {
	if n == 0 || !(floor > 0) || !(seconds > 0) {
		return 0
	}
	lo, hi := uint64(0), uint64(1)
	for RateLower(n, hi, seconds) < floor {
		lo, hi = hi, 2*hi
	}
	for lo+1 < hi {
		m := lo + (hi-lo)/2
		if RateLower(n, m, seconds) < floor {
			lo = m
		} else {
			hi = m
		}
	}
	if n == 1 {
		return float64(hi) / seconds // nothing is left to chance
	}
	mean := smallestReal(func(mean float64) bool {
		q := PoissonTail(hi, mean)
		return q*q*(3-2*q) >= powerLevel
	})
	return mean * float64(n) / seconds
}

// ContactPower returns the smallest number of connections of k packets each, of
// which at least need packets are sampled with a probability of 0.95 (sections
// 8.1 and 8.15). It is 0 for an unknown rate, and k or need not above 0.
func ContactPower(n uint32, k float64, need uint64) float64 {
	if n == 0 || !(k > 0) || need == 0 {
		return 0
	}
	if n == 1 {
		return math.Ceil(float64(need) / k)
	}
	if need == 1 {
		return math.Ceil(math.Log(1-powerLevel) / math.Log1p(-1/float64(n)) / k)
	}
	mean := smallestReal(func(mean float64) bool { return PoissonTail(need, mean) >= powerLevel })
	return math.Ceil(mean * float64(n) / k)
}

// leastSurprising returns the smallest count whose surprise is at least need.
func leastSurprising(need, shape, mean float64) uint64 {
	hi := uint64(1)
	for Surprise(hi, shape, mean) < need && hi < 1<<40 {
		hi *= 2
	}
	lo := hi / 2
	for lo+1 < hi {
		m := lo + (hi-lo)/2
		if Surprise(m, shape, mean) < need {
			lo = m
		} else {
			hi = m
		}
	}
	return hi
}

// smallestReal returns the smallest value above 0 from which on ok holds.
func smallestReal(ok func(float64) bool) float64 {
	lo, hi := 0.0, 1.0
	for !ok(hi) {
		lo, hi = hi, 2*hi
	}
	for hi-lo > 1e-9*hi {
		m := (lo + hi) / 2
		if ok(m) {
			hi = m
		} else {
			lo = m
		}
	}
	return hi
}

func always(float64) float64 { return 1 }

func certain(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

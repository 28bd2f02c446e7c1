package detect

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/marks"
	"github.com/weir-net/weir/internal/detect/score"
	"github.com/weir-net/weir/internal/detect/service"
)

// Constants of the pair rule (section 7.1), and of its variants in section 8.
const (
	stormPorts       = 4   // D >= 4
	stormShare       = 0.6 // of rho_e, and of connections inside the range
	gateSessions     = 30  // L_b
	gateOdds         = 2   // LLR
	scanShare        = 0.5
	scanShareSQL     = 0.55
	replyNone        = 0.05
	replyRDP         = 0.2
	sqlServerLen     = 140 // bytes, mean server packet of failing logins
	genericServerLen = 140 // bytes, outgoing guessing at other services
	sshServerLen     = 350 // bytes; failing logins answer with 124 to 216, and a key exchange may add 1.5 kB
	fewReplies       = 8
	manyReplies      = 32   // whose mean a few long answers do not make
	paddedAdd        = 2    // to the surprise needed of logins with long packets
	sqlBlindS        = 6    // surprise needed when server lengths are not seen
	pairThreshold    = 5    // S_a
	signatureFactor  = 10   // M_sig = 10*M
	coldFactor       = 3    // floors in phase 0 under sampling
	gitFactor        = 3    // floors of git servers
	gitRegulars      = 20   // regular peers that make an SSH server a git server
	intelScore       = 50   // TI(peer)
	coldDays         = 3    // windows of a day from which a day is known
	burstShare       = 0.8  // of connections, within one second
	checkLength      = 0.95 // of the mean login
	proof            = 2    // decimal odds that a resource in its first week must show, see shown
	automation       = 2    // connections of automation in packets, in logins of SSH (section 5: 24 to 13)
	sessions         = 20   // likewise of sessions (section 3.3: 2 marks in more than 300 packets)
	pairQuiet        = 30 * time.Minute
)

// phaseAdd is what the cold-start phases add to the surprise needed (6.7).
func phaseAdd(phase int) float64 {
	switch phase {
	case baseline.PhaseCold:
		return 2
	case baseline.PhaseWarm:
		return 1
	}
	return 0
}

// habitAfter is how long what was reported is no habit (P15).
const habitAfter = 14 * 24 * time.Hour

// habit reports whether what a regular peer does may be its habit. What was
// reported is none for two weeks; what was reported in the first week of a
// service, when nothing was known yet, until that week is over.
func (a *activity) habit(d *Detector, reported, t int64) bool {
	if reported == 0 || t-reported >= int64(habitAfter) {
		return true
	}
	return a.ofFirstWeek(d, reported) && t >= a.First+nanos(d.cfg.LearnWarm)
}

// ofFirstWeek reports whether something was first reported in the first week of
// the service.
func (a *activity) ofFirstWeek(d *Detector, reported int64) bool {
	return reported > 0 && reported < a.First+nanos(d.cfg.LearnWarm)
}

// younger reports whether the resource was first met less than age before t. That
// nobody used a service of a resource for a week is knowledge as well.
func (r *resource) younger(t int64, age time.Duration) bool { return t < r.First+nanos(age) }

func bitsActive(days uint32) int { return bits.OnesCount32(days) }

// priorWindows is the number of windows that a service prior weighs as much as.
const priorWindows = 24

// phase returns the cold-start phase of a baseline. What the own end opens is
// known from the first contact of the resource on: that it never used a service
// is knowledge as well.
func (a *activity) phase(d *Detector, r *resource, rate *baseline.Rate, t int64) int {
	if !a.Key.Out {
		return rate.Phase(t, d.cfg.LearnCold, d.cfg.LearnWarm)
	}
	switch age := time.Duration(t - r.First); {
	case age < d.cfg.LearnCold:
		return baseline.PhaseCold
	case age < d.cfg.LearnWarm:
		return baseline.PhaseWarm
	}
	return baseline.PhaseNormal
}

// days is the number of days that are known of a service. What the own end opens
// is known from the first contact of the resource on; see phase.
func (a *activity) days(r *resource, t int64) int64 {
	if a.Key.Out {
		return (t - r.First) / int64(day.window())
	}
	return int64(a.NewPeer[day].Windows)
}

// pairPrior is the service prior of connections of a new peer in one window.
// Its weight is that of a number of windows at the sampling at hand, so that
// what is learnt outgrows it as fast when little of it is seen.
func (a *activity) pairPrior(f *settings, n uint32) baseline.Prior {
	w := priorWindows * a.expose(n)
	return baseline.Prior{A0: w * f.PriorConnections, B0: w}
}

// ownPrior is the prior of a known peer's own history: what new peers do here,
// with the weight of a single window.
func (a *activity) ownPrior(h horizon, p baseline.Prior) baseline.Prior {
	w := p.B0 / priorWindows
	return baseline.Prior{A0: w * a.NewPeer[h].Mean(p), B0: w}
}

// verdict is a pair that the rule alerts on, with the numbers of the decision.
type verdict struct {
	s          seen
	surprise   float64
	expected   float64
	threshold  float64
	floor      float64
	phase      int
	info       baseline.Rate
	prior      baseline.Prior
	signature  bool
	intel      float64
	confidence float64
}

// judgePair applies the pair decision of section 7.1.
func (a *activity) judgePair(d *Detector, r *resource, s seen, h horizon, t int64) (v verdict, ok bool) {
	fam := &d.fam[a.svc.Family]
	m := fam.floor(h)
	if a.svc.Family == service.SSH && !a.Key.Out && (r.Res.HasRole("git") || a.Regulars >= gitRegulars) {
		m *= gitFactor
	}
	if a.Key.Out && score.Honeypot(s.p.Intel) {
		m = math.Max(m/3, 1)
	}
	if s.n == 0 || s.p.Allowed || !a.Key.Out && s.p.IsOwn || s.lower < m {
		return v, false
	}
	if !a.guessing(r, s, m) || a.guarded(r, s) {
		return v, false
	}
	prior := a.pairPrior(fam, s.n)
	rate, regular := a.NewPeer[h], s.p.regular(t)
	if regular && a.habit(d, s.p.Reported, t) {
		switch {
		case s.p.Own[h].Windows > 0:
			rate, prior = s.p.Own[h], a.ownPrior(h, prior)
		case s.lower < signatureFactor*m:
			// A habit that has just been recognised: its own history begins here.
			return v, false
		}
	}
	e := a.expose(s.n)
	v = verdict{
		s: s, info: rate, prior: prior, floor: m,
		surprise: rate.Surprise(s.y, e, prior), expected: rate.Mean(prior) * e,
		phase: a.phase(d, r, &a.NewPeer[hour], t),
		intel: score.Bad(s.p.Intel, t),
	}
	r.observe(d, a.pairKey(s.p), t-int64(h.window()), v.surprise)
	base := fam.Threshold
	if base == 0 {
		base = pairThreshold
	}
	need := d.jitter(base+fam.add+phaseAdd(v.phase), r, a.svc.Family)
	if a.svc.Family == service.SQL && (s.c.Xr == 0 || !s.c.Has(weir.HasPackets|weir.HasBytes)) {
		// Without server lengths a login storm and an application without a
		// connection pool look alike.
		if regular || s.p.IsOwn || r.View.ok() {
			return v, false
		}
		need = math.Max(need, sqlBlindS)
	}
	padded := !a.sizeFits(s)
	if padded {
		need += paddedAdd
	}
	anomalyFloor, certain := m, true
	if young := r.younger(t, d.cfg.LearnWarm); young && a.check(&s, t) {
		return v, false
	} else if young && !s.exact && a.svc.Family == service.SSH {
		// Nobody's habits are known yet, and connections may be those of automation.
		certain, m, v.floor = a.shown(s, sessions), automation*m, automation*m
	}
	switch dark := h == day && a.days(r, t) < coldDays; {
	case s.exact || v.phase != baseline.PhaseCold && !dark:
		anomalyFloor = m
	case !a.storm(s, m, coldGate()):
		certain = false
	case dark:
		// What is slow is told from automation by its days, of which there are none.
		anomalyFloor = signatureFactor * m
	default:
		anomalyFloor = coldFactor * m
	}
	if a.Key.Out && a.svc.Family == service.Generic && v.phase != baseline.PhaseNormal {
		// Clients of mail and data stores are many, and new with the resource.
		anomalyFloor = signatureFactor * m
		certain = certain && (s.exact || s.c.Xr >= manyReplies)
	}
	anomaly := certain && v.surprise >= need && s.lower >= anomalyFloor
	// An application calls its data store as often as it likes: outward, numbers
	// alone say nothing of services that everybody uses.
	v.signature = certain && !padded && s.lower >= signatureFactor*m && !regular && (!a.Key.Out || a.svc.Family != service.Generic)
	if !anomaly && !v.signature && v.intel < intelScore {
		return v, false
	}
	switch {
	case anomaly:
		v.threshold = a.thresholdCount(&v, need, e)
	case v.signature:
		v.threshold = signatureFactor * m
	default:
		v.threshold = m
	}
	v.confidence = a.pairConfidence(&v, h, t)
	return v, true
}

// thresholdCount turns the surprise needed into the smallest count that would
// have reached it, so that the alert can say what would have been too few.
func (a *activity) thresholdCount(v *verdict, need, e float64) float64 {
	mean := v.info.Mean(v.prior) * e
	if !(mean > 0) {
		return v.floor
	}
	lo := baseline.SmallestCount(v.s.y+1, need, func(y uint64) float64 { return v.info.Surprise(y, e, v.prior) })
	if v.s.exact {
		return math.Max(float64(lo), v.floor)
	}
	return float64(lo)
}

// guessing reports whether the evidence has the shape of failing logins: many
// short connections that are no scan and no transfer.
func (a *activity) guessing(r *resource, s seen, m float64) bool {
	return a.storm(s, m, gate{gateSessions, gateOdds}) && !a.scanlike(r, s) && (a.sizeFits(s) || a.padded(s, m))
}

// gate is what thin samples must prove of a storm (section 3.3): so many sessions
// whatever their length, or odds of control marks.
type gate struct{ sessions, odds float64 }

// coldGate is that of a new service: an office behind one address has opened as
// many sessions as the other asks for before its habits are known.
func coldGate() gate { return gate{2 * gateSessions, gateOdds} }

// easedGate takes what the surprise of a crowd has above its threshold, at most
// gateOdds, for odds: by so many orders of magnitude control marks, and in
// proportion the bound on sessions, may be less certain.
func easedGate(surplus float64) gate {
	surplus = math.Min(math.Max(surplus, 0), gateOdds)
	return gate{gateSessions * (1 - surplus/(2*gateOdds)), gateOdds - surplus}
}

// storm tells many short connections from few long ones. Where nothing is
// sampled every connection shows its own length, so beyond the signature floor,
// which is signatureFactor times m, their mean length is not asked for: guessing
// with many tries per connection is as long as automation, and only automation
// of a known peer is that busy.
func (a *activity) storm(s seen, m float64, g gate) bool {
	d := s.distinct()
	if s.exact {
		d = max(d, s.connections())
	}
	packets, flags := s.c.Has(weir.HasPackets) && s.c.Xf > 0, s.c.Has(weir.HasFlags)
	if !s.exact && packets && flags && marks.Reused(d, s.c.Xf, s.c.Syn) {
		return baseline.ControlLLR(s.c.Ctl, s.c.Xf-min(s.c.Ctl, s.c.Xf)) >= gateOdds
	}
	if d < stormPorts {
		return false
	}
	if packets && float64(d)/float64(s.c.Xf) < stormShare*baseline.RhoExpected(s.n, a.svc.K) &&
		(!s.exact || s.lower < signatureFactor*m) {
		return false
	}
	if s.exact {
		n := s.connections()
		return n > 0 && float64(s.c.Within) >= stormShare*float64(n)
	}
	if !packets {
		return true
	}
	bound, k := marks.Sessions(d, s.c.Xf), a.svc.K
	if s.squares > 0 {
		k *= 2 // peers of a crowd that show nothing but a SYN do not count
	}
	if bound < signatureFactor*m && (marks.Repeats(d, s.c.Xf, s.reuse(), s.n, a.svc.K) || flags && marks.Missing(s.c.Ctl, s.c.Xf, k)) {
		return false
	}
	if bound >= g.sessions {
		return true
	}
	return flags && baseline.ControlLLR(s.c.Ctl, s.c.Xf-min(s.c.Ctl, s.c.Xf)) >= g.odds
}

// check reports whether a peer looks like a health check: it comes at a constant
// period (guard of section 8.3) and, where nothing is sampled, its connections are
// too short for logins. Many guessers keep a schedule as well, so the period alone
// says nothing.
func (a *activity) check(s *seen, t int64) bool {
	short := stormShare * a.svc.K
	if a.svc.Family == service.SQL {
		short = checkLength * a.svc.K // few packets make a login, and all logins are alike
	}
	return (!s.exact || float64(s.c.Xf) < short*float64(s.connections())) && s.p.Clock.Scheduled(t)
}

// shown reports whether thin samples themselves tell logins from connections
// factor times as long. In the first week of a resource that must be: what
// automation and offices behind one address do there is not known, and what merely
// does not look long is theirs more often than a guesser's.
func (a *activity) shown(s seen, factor float64) bool {
	e := baseline.Connections{N: s.n, Packets: s.c.Xf, Ports: s.distinct(), Chance: marks.ByChance(s.reuse()), PerConnection: marks.PerLogin}
	if s.c.Has(weir.HasFlags) {
		e.Marks, e.Of = s.c.Ctl, s.c.Xf
	}
	if s.c.Joined || marks.Reused(e.Ports, e.Packets, s.c.Syn) {
		// One port for all connections says nothing of their length, nor do ports that
		// several exporters sampled, as much as of each is not known.
		e.Ports = 0
	}
	if s.squares > 0 && e.Of > 0 { // of a crowd, peers that show nothing but a SYN are left out
		e.Marks, e.Of, e.PerConnection = e.Marks-s.c.Syn, e.Of-s.c.Syn, marks.PerLogin-1
	}
	return e.Odds(a.svc.K, factor) >= proof
}

// scanlike tells a scan, whose packets are SYNs that nobody answers.
func (a *activity) scanlike(r *resource, s seen) bool {
	if !s.c.Has(weir.HasPackets) {
		return false
	}
	limit := scanShare
	if a.svc.Family == service.SQL {
		limit = scanShareSQL
	}
	q := float64(s.c.Xr) / math.Max(float64(s.c.Xf+s.c.Xr), 1)
	if s.c.Has(weir.HasFlags) && baseline.BetaLCB95(s.c.Syn, s.c.Xf) > limit {
		// Short refused logins to RDP answer every packet: keep them in.
		if a.svc.Family != service.RDP || s.exact || q < replyRDP {
			return true
		}
	}
	return r.View.ok() && baseline.BetaUCB95(s.c.Xr, s.c.Xf+s.c.Xr) < replyNone
}

// sizeFits tells logins from transfers by the mean client packet.
func (a *activity) sizeFits(s seen) bool {
	if !s.c.Has(weir.HasPackets|weir.HasBytes) || s.c.Xf == 0 {
		return true
	}
	return float64(s.c.Bf)/float64(s.c.Xf) <= a.svc.LenMax && a.answersFit(s)
}

// padded reports whether packets are too long for logins, but connections so short
// and so many that no transfer partner makes them: padding hides nothing where
// every connection is seen (section 13).
func (a *activity) padded(s seen, m float64) bool {
	return s.exact && s.lower >= signatureFactor*m && !a.sizeFits(s) && a.answersFit(s)
}

// answersFit tells failed logins from others by the mean packet of the server.
func (a *activity) answersFit(s seen) bool {
	limit := 0.0
	switch {
	case a.svc.Family == service.SQL:
		limit = sqlServerLen
	case a.svc.Family == service.SSH:
		limit = sshServerLen
	case a.svc.Family == service.Generic && a.Key.Out:
		limit = genericServerLen
	}
	if limit == 0 || s.c.Xr == 0 || !s.c.Has(weir.HasPackets|weir.HasBytes) {
		return true
	}
	if !s.exact && s.c.Xr < fewReplies {
		// A few sampled replies have no mean to speak of. Where it must tell logins
		// from clients, nothing is said without it.
		return a.svc.Family == service.SSH
	}
	return float64(s.c.Br)/float64(s.c.Xr) <= limit
}

// guarded holds the guards that need the pair alone: connections that all began
// within one second, which no login survives (section 8.3 for the others), mail
// servers that talk both ways, and clients of file services under sampling.
func (a *activity) guarded(r *resource, s seen) bool {
	if s.exact && float64(s.c.Burst) >= burstShare*float64(s.connections()) {
		return true // a probe that opens everything within one second
	}
	if a.svc.Name == "SMTP" && a.Key.Out && a.Key.Port.Port == 25 {
		return true // a relay delivers mail; nobody logs in
	}
	if a.svc.Name == "SMTP" && !a.Key.Out {
		back := r.Acts[actKey{true, service.Port{Proto: weir.ProtoTCP, Port: 25}}]
		if back != nil && back.Pairs[s.p.Key] != nil {
			return true
		}
	}
	return a.svc.Storage && !s.exact && s.c.Has(weir.HasPackets) &&
		float64(s.c.Distinct()) < 0.3*float64(s.c.Xf)
}

func (a *activity) pairConfidence(v *verdict, h horizon, t int64) float64 {
	c := []float64{baseline.SurpriseConfidence(v.surprise)}
	if v.intel >= intelScore {
		c = append(c, 0.5)
	}
	if v.s.c.Distinct() >= 20 || v.s.exact && v.s.c.Connections() >= 20 {
		c = append(c, 0.5)
	}
	if other := 1 - h; v.s.p.Fired > 0 && t-v.s.p.Fired < int64(other.window()) && h == day {
		c = append(c, 0.3)
	}
	conf := baseline.CombineConfidence(c...)
	// Every kind of field that is missing costs a tenth (section 7.5).
	for _, f := range []weir.Fields{weir.HasPackets, weir.HasBytes, weir.HasFlags} {
		if !v.s.c.Has(f) {
			conf -= 0.1
		}
	}
	return math.Max(conf, 0)
}

// pairType returns the alert type of a pair rule.
func (a *activity) pairType() weir.AlertType {
	switch {
	case a.svc.Family == service.SSH && a.Key.Out:
		return weir.SSHOutgoingOneToOne
	case a.svc.Family == service.SSH:
		return weir.SSHIncomingOneToOne
	case a.svc.Family == service.RDP && a.Key.Out:
		return weir.RDPOutgoingOneToOne
	case a.svc.Family == service.RDP:
		return weir.RDPIncomingOneToOne
	case a.Key.Out:
		// Outgoing guessing on any other service is part of this alert.
		return weir.PortScanning
	case a.svc.Family == service.SQL:
		return weir.SQLIncomingOneToOne
	}
	return weir.GenericIncomingOneToOne
}

func (a *activity) pairKey(p *pair) episodeKey {
	k := episodeKey{a.pairType(), fmt.Sprintf("%d|%s", a.Key.Port.Port, p.Key.addr())}
	if k.Typ == weir.PortScanning {
		k.Key = "login|" + k.Key
	}
	return k
}

func (a *activity) pairFinding(r *resource, v *verdict, h horizon, t int64) weir.Finding {
	s := &v.s
	k := a.pairKey(s.p)
	f := a.finding(r, k.Typ, h, t)
	f.Key = k.Key
	if f.Type == weir.PortScanning {
		f.Facts = map[string]string{"shape": "logins"}
	}
	f.First, f.Last = s.c.First, s.c.Last
	f.Count = s.y
	if s.exact {
		f.Count = s.c.Connections()
	}
	f.Unit, f.Observed, f.Expected, f.Threshold, f.Floor = weir.UnitConnections, float64(s.y), v.expected, v.threshold, v.floor
	f.Surprise, f.Confidence = v.surprise, v.confidence
	f.Sampling = a.samplingOf(s)
	f.Baseline = baselineInfo(&v.info, v.prior, v.phase, t)
	f.Peers = []weir.PeerEvidence{a.peerEvidence(s)}
	f.Ports = []weir.PortCount{{Port: a.Key.Port.Port, Protocol: service.ProtoName(a.Key.Port.Proto), Service: a.svc.Name, Count: f.Count}}
	f.Series = s.p.seriesOf(h, t, v.expected)
	for i := range s.p.Records {
		f.Records = append(f.Records, s.p.Records[i].RecordEvidence)
	}
	f.Quiet = a.quiet(s, pairQuiet)
	f.Limits = a.limits(r, &s.c, v.phase)
	f.Intel = score.Evidence(s.p.Intel, t)
	a.hintSuccess(&f, s)
	return f
}

// hintSuccess notes a long session after the storm, which may be a login that
// succeeded (section 8.9; SSHCure's idea, CCR 44(5), 2014).
func (a *activity) hintSuccess(f *weir.Finding, s *seen) {
	if a.svc.Family != service.SSH || !s.exact || !s.c.Has(weir.HasPackets) {
		return
	}
	if long := s.c.Done - min(s.c.Within, s.c.Done); long > 0 {
		f.Facts = map[string]string{"possibleSuccess": "true", "longSessions": strconv.FormatUint(long, 10)}
	}
}

func (a *activity) peerEvidence(s *seen) weir.PeerEvidence {
	e := weir.PeerEvidence{
		Address: s.p.Example.addr(), Packets: s.c.Xf, Bytes: s.c.Bf, Connections: s.y,
		Lower: s.lower, First: s.c.First, Last: s.c.Last,
	}
	if s.exact {
		e.Connections = s.c.Connections()
	}
	if est := a.samplingOf(s).Estimate; est != nil {
		e.Estimate = est
	}
	return e
}

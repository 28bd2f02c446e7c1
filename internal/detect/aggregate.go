package detect

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/portset"
	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/detect/tally"
)

// Constants of the aggregate rule (sections 7.2 and 8.11).
const (
	aggregateThreshold = 4   // S_a
	spreadMin          = 5   // 1/G
	spreadShare        = 0.5 // largest share of one peer
	contactPeers       = 25  // new destinations on contact evidence alone, N = 1
	aggregateQuiet     = 2 * time.Hour
	controllerPeers    = 10 // new destinations of a day,
	controllerDays     = 5  // on so many
	controllerSpan     = 14 // of the last days
)

// peerPrior is the service prior of the number of peers, in events per hour of
// full visibility (section 5): new peers an hour of an exposed service, or new
// destinations. It weighs as much as a day at the sampling at hand; see
// pairPrior.
func (a *activity) peerPrior(f *settings, n uint32) baseline.Prior {
	w := a.expose(n)
	if a.Key.Out {
		return baseline.Prior{A0: w * f.PriorDestinations, B0: 24 * w}
	}
	return baseline.Prior{A0: 24 * w * f.PriorPeers, B0: 24 * w}
}

// peerExposure is the exposure of the window that ends at t for the number of
// peers, in hours of full visibility: a peer of one login is seen with the
// probability that one of its packets is sampled. When the sampling changes,
// numbers of peers change by its power eta (section 3.6); hours and days are not
// alike (section 6.2).
func (a *activity) peerExposure(h horizon, n uint32, t int64) float64 {
	ref := n
	if a.Ref != 0 {
		ref = a.Ref
	}
	e := h.hours() * a.expose(ref) * a.season(h, t)
	if n == ref {
		return e
	}
	return baseline.DistinctExposure(e, 1/float64(max(n, 1)), 1/float64(max(ref, 1)), a.Uniq[h].Elasticity())
}

// season is the seasonal factor of the number of peers in the window that ends
// at t, 1 in the first two weeks.
func (a *activity) season(h horizon, t int64) float64 { return a.Season.FactorOver(t, h.window()) }

// countsForPeers reports whether a peer is part of U: login-like evidence, and
// for outgoing traffic a destination first contacted inside the window
// (section 8.11).
func (a *activity) countsForPeers(s seen, from int64) bool {
	return s.auth && (!a.Key.Out || s.p.First >= from)
}

func (a *activity) aggregateType() weir.AlertType {
	switch {
	case a.svc.Family == service.SSH && a.Key.Out:
		return weir.SSHOutgoingOneToMany
	case a.svc.Family == service.SSH:
		return weir.SSHIncomingManyToOne
	case a.svc.Family == service.RDP && a.Key.Out:
		return weir.RDPOutgoingOneToMany
	case a.svc.Family == service.RDP:
		return weir.RDPIncomingManyToOne
	}
	return ""
}

func (a *activity) aggregateKey() episodeKey {
	return episodeKey{a.aggregateType(), strconv.Itoa(int(a.Key.Port.Port))}
}

// crowd is the peers of one window taken together.
type crowd struct {
	all    []seen // every peer that may count, by key
	auth   []seen // of these, the ones with login-like evidence
	pooled tally.Tally
	// answers are those to all peers, whether client packets of theirs were sampled
	// or not.
	answers, bytes uint64
	n              uint32
	exact          bool
}

// ordinary reports whether a peer is no part of a crowd: a regular peer is only
// tested against itself (section 7.1), unless it became one in an alert.
func (a *activity) ordinary(d *Detector, p *pair, t int64) bool {
	return !a.Key.Out && p.regular(t) && a.habit(d, p.Crowd, t)
}

// gather collects the peers of the window that ends at t.
func (a *activity) gather(d *Detector, h horizon, t int64) (c crowd, ok bool) {
	last, from := floorDiv(t-1, h.slot()), t-int64(h.window())
	c.n, c.exact = 1, true
	for _, k := range a.active(h, last) {
		p := a.Pairs[k]
		if p.Allowed || !a.Key.Out && (p.IsOwn || a.ordinary(d, p, t)) {
			continue
		}
		w, active := p.window(h, last)
		if !a.Key.Out || p.First >= from {
			c.answers, c.bytes = c.answers+w.Xr, c.bytes+w.Br
		}
		if !active || w.Recs == 0 {
			continue
		}
		s := a.look(p, w, h)
		if s.n == 0 {
			return c, false // without a rate there is no anomaly (P23)
		}
		if a.Key.Out && p.First < from {
			continue
		}
		c.n, c.exact = max(c.n, s.n), c.exact && s.exact
		c.all = append(c.all, s)
		if s.auth {
			c.auth = append(c.auth, s)
			c.pooled.Merge(&s.c)
		}
	}
	return c, len(c.all) > 0
}

// aggregateRule runs ManyToOne (incoming) and OneToMany (outgoing). It returns
// a test for the pairs that the aggregate absorbs, nil when it did not fire.
func (a *activity) aggregateRule(d *Detector, r *resource, h horizon, t int64, emit func(weir.Finding)) func(seen) bool {
	typ := a.aggregateType()
	if typ == "" || d.disabled[typ] || !d.fam[a.svc.Family].Enabled {
		return nil
	}
	c, ok := a.gather(d, h, t)
	if !ok {
		return nil
	}
	fam := &d.fam[a.svc.Family]
	members, contact := c.auth, false
	if len(members) < fam.MinPeers {
		if !a.Key.Out || !c.exact || len(c.all) < contactPeers {
			return nil
		}
		members, contact = c.all, true
	}
	dir := 0
	if a.Key.Out {
		dir = 1
	}
	u := uint64(len(members)) << min(r.Level[dir], 32)
	prior, e := a.peerPrior(fam, c.n), a.peerExposure(h, c.n, t)
	phase := a.phase(d, r, &a.Uniq[hour], t)
	base := fam.Threshold
	if base == 0 {
		base = aggregateThreshold
	}
	need := d.jitter(base+fam.add+phaseAdd(phase), r, a.svc.Family)
	expected, shape := a.Uniq[h].Mean(prior)*e, a.Uniq[h].Shape()
	if h == day && !a.Key.Out && a.Uniq[day].Windows < baseline.MinWindows {
		// The day's own baseline needs days to learn what hours have shown: no
		// more peers a day than in its hours taken one by one.
		expected = math.Max(expected, day.hours()*a.Uniq[hour].Mean(prior)*a.peerExposure(hour, c.n, t))
	}
	if !a.Key.Out && !c.exact && r.younger(t, d.cfg.LearnWarm) {
		// The course of a day is not known yet: no hour is compared with less than the
		// busiest one.
		expected = math.Max(expected, float64(a.Peak[h]))
	}
	surprise := func(y uint64) float64 { return baseline.Surprise(y, shape, expected) }
	s := surprise(u)
	r.observe(d, a.aggregateKey(), t-int64(h.window()), s)
	// Before the day's course is known, every Monday morning is a change.
	slow := h == hour && !a.Key.Out && a.Cusum.Alarm() && a.Season.Active(t)
	if s < need && !slow || !spread(members) {
		return nil
	}
	if !contact {
		pool := a.pool(&c)
		g := gate{gateSessions, gateOdds}
		if phase != baseline.PhaseCold { // against the bare prior anything is a surprise
			g = easedGate(s - need)
		}
		if !a.storm(pool, fam.floor(h), g) || a.scanlike(r, pool) || !a.sizeFits(pool) {
			return nil
		}
		if !c.exact && (r.younger(t, d.cfg.LearnWarm) || a.controller()) {
			pool.c.Xr, pool.c.Br = c.answers, c.bytes
			if !a.shown(pool, a.longer(r.younger(t, d.cfg.LearnCold))) || !a.answersFit(pool) {
				return nil
			}
		}
	}
	m := fam.floor(h)
	if medianLower(members) >= signatureFactor*m {
		return nil // every one of them is an attack of its own
	}
	f := a.aggregateFinding(r, typ, h, t, members, &c, m)
	f.Count, f.Observed = u, float64(u)
	f.Expected = expected
	f.Threshold = float64(baseline.SmallestCount(u, need, surprise))
	f.Floor = float64(fam.MinPeers)
	f.Surprise = s
	f.Confidence = a.crowdConfidence(&c, s, contact)
	f.Baseline = baselineInfo(&a.Uniq[h], prior, phase, t)
	f.Limits = append(f.Limits, a.limits(r, &c.pooled, phase)...)
	if slow {
		f.Facts["cusum"] = strconv.FormatFloat(a.Cusum.Level, 'f', 2, 64)
	}
	if contact {
		f.Facts["evidence"] = "contacts"
	}
	r.fire(d, f, emit)
	in := make(map[peerKey]bool, len(members))
	for i := range members {
		p := members[i].p
		in[p.Key] = true
		if p.Crowd == 0 {
			p.Crowd = t
		}
	}
	return func(s seen) bool { return in[s.p.Key] && s.lower < signatureFactor*m }
}

// longer is how many times as long as a login the connections are from which a
// crowd must be told: those of sessions; those of automation where its habits are
// not known at all, on the first day of a resource, and of a machine that logs in
// to many.
func (a *activity) longer(cold bool) float64 {
	if a.svc.Family == service.SSH && (cold || a.Key.Out) {
		return automation
	}
	return sessions
}

// controller reports whether a machine logs in to many new destinations as a
// habit: on five of the last 14 days to ten of them (section 8.11).
func (a *activity) controller() bool {
	return a.Key.Out && bits.OnesCount32(a.Many&(1<<controllerSpan-1)) >= controllerDays
}

// pool judges all members together, as if they were one peer.
func (a *activity) pool(c *crowd) seen {
	s := seen{p: &pair{}, c: c.pooled, n: c.n, exact: c.exact}
	for i := range c.auth {
		s.y += c.auth[i].y
	}
	// Client ports of different peers are different connections: the pooled
	// set of ports would merge them.
	s.c.Ports = portset.Set{}
	return s.withDistinct(c.auth)
}

// withDistinct replaces the distinct ports of a pooled view by the sum over its
// members.
func (s seen) withDistinct(members []seen) seen {
	var d, conns, squares uint64
	for i := range members {
		c := &members[i].c
		d += c.Distinct()
		conns += c.Connections()
		squares += c.Xf * c.Xf
	}
	s.d, s.conns, s.squares = d, conns, squares
	return s
}

func spread(members []seen) bool {
	n := make([]uint64, len(members))
	for i := range members {
		n[i] = max(members[i].c.Xf, members[i].c.Recs)
	}
	if !allHavePackets(members) {
		for i := range members {
			n[i] = members[i].c.Connections()
		}
	}
	return baseline.InverseSimpson(baseline.Concentration(n)) >= spreadMin && baseline.MaxShare(n) <= spreadShare
}

func allHavePackets(members []seen) bool {
	for i := range members {
		if !members[i].c.Has(weir.HasPackets) {
			return false
		}
	}
	return true
}

func medianLower(members []seen) float64 {
	l := make([]float64, len(members))
	for i := range members {
		l[i] = members[i].lower
	}
	slices.Sort(l)
	return l[len(l)/2]
}

func (a *activity) crowdConfidence(c *crowd, s float64, contact bool) float64 {
	parts := []float64{baseline.SurpriseConfidence(s)}
	if len(c.auth) >= 20 {
		parts = append(parts, 0.5)
	}
	conf := baseline.CombineConfidence(parts...)
	if contact {
		conf *= 0.8
	}
	return conf
}

func (a *activity) aggregateFinding(r *resource, typ weir.AlertType, h horizon, t int64, members []seen, c *crowd, floor float64) weir.Finding {
	f := a.finding(r, typ, h, t)
	f.Key = a.aggregateKey().Key
	f.Unit = weir.UnitSources
	if a.Key.Out {
		f.Unit = weir.UnitDestinations
	}
	// Those that reached a floor of their own must be named; of the others rather
	// those that came with the attack than those that are always there.
	from := t - int64(h.window())
	rank := func(s *seen) int {
		switch {
		case s.lower >= floor:
			return 0
		case s.p.First >= from:
			return 1
		}
		return 2
	}
	slices.SortFunc(members, func(x, y seen) int {
		return cmp.Or(cmp.Compare(rank(&x), rank(&y)), cmp.Compare(y.lower, x.lower), cmp.Compare(y.y, x.y), x.p.Key.compare(y.p.Key))
	})
	f.First, f.Last = math.MaxInt64, math.MinInt64
	var conns, once, twice uint64
	for i := range members {
		s := &members[i]
		f.First, f.Last = min(f.First, s.c.First), max(f.Last, s.c.Last)
		conns += max(s.c.Connections(), s.y)
		switch s.c.Xf {
		case 1:
			once++
		case 2:
			twice++
		}
		if i < weir.MaxPeers {
			f.Peers = append(f.Peers, a.peerEvidence(s))
		}
	}
	f.Ports = []weir.PortCount{{Port: a.Key.Port.Port, Protocol: service.ProtoName(a.Key.Port.Proto), Service: a.svc.Name, Count: conns}}
	f.Series = crowdSeries(members, h, t)
	f.Records = crowdRecords(members)
	f.Sampling = weir.Sampling{Rate: c.n, Source: c.pooled.Source}
	if c.exact {
		n := float64(len(members))
		f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = &n, &n, &n
	} else if est, usable := baseline.Chao1(uint64(len(members)), once, twice); usable {
		lo := float64(len(members))
		f.Sampling.Estimate, f.Sampling.Low95 = &est, &lo
	}
	f.Facts = map[string]string{"connections": strconv.FormatUint(conns, 10)}
	if extra := len(members) - weir.MaxPeers; extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(extra)})
	}
	f.Quiet = aggregateQuiet
	return f
}

package detect

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/beat"
	"github.com/weir-net/weir/internal/detect/sample"
	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/detect/tally"
)

// activity is the state of one service in one direction of one resource.
type activity struct {
	Key   actKey
	svc   *service.Service
	Pairs map[peerKey]*pair
	Last  int64
	// own counts contacts by own address: the alert names the busiest.
	Own map[netip.Addr]uint64
	// touched lists, by horizon, the peers seen in each slot of the window that
	// ends with the newest one, so that rules look at active peers only.
	Touched [2][]touchedSlot

	NewPeer  [2]baseline.Rate // connections of a new peer in a window
	Uniq     [2]baseline.Rate // peers with login-like evidence in a window
	Cusum    baseline.Cusum
	Regulars int      // regular peers at the end of the newest day
	Learnt   [2]int64 // end of the newest window that was learnt
	Rate     uint32   // sampling of the newest contact
	Ref      uint32   // sampling at which Uniq is kept
	Season   baseline.Season
	First    int64
	// Peak is the largest number of peers of a window that was learnt, but for the
	// newest, which is Recent: an attack that goes on is not compared with itself.
	Peak   [2]uint64
	Recent [2]uint64
	Many   uint32 // bit i: many new destinations i days before the newest that was learnt
}

// ownRate is the history of a known peer: what it did in windows in which it
// was active.
type ownRate = baseline.Rate

func newActivity(key actKey, svc *service.Service) *activity {
	return &activity{Key: key, svc: svc, Pairs: make(map[peerKey]*pair), Own: make(map[netip.Addr]uint64)}
}

// touchedSlot is the peers that were seen in one slot.
type touchedSlot struct {
	N     int64
	Peers []peerKey
}

// touch notes that a peer was first seen in slot n.
func (a *activity) touch(h horizon, n int64, k peerKey) {
	t := a.Touched[h]
	if len(t) == 0 || t[len(t)-1].N != n {
		for len(t) > 0 && t[0].N <= n-slotsPerWindow {
			t = t[1:]
		}
		t = append(t, touchedSlot{N: n})
	}
	t[len(t)-1].Peers = append(t[len(t)-1].Peers, k)
	a.Touched[h] = t
}

// newest returns the peers seen in slot last, in order; none when the newest
// slot is another.
func (a *activity) newest(h horizon, last int64) []peerKey {
	t := a.Touched[h]
	if len(t) == 0 || t[len(t)-1].N != last {
		return nil
	}
	ks := slices.Clone(t[len(t)-1].Peers)
	slices.SortFunc(ks, peerKey.compare)
	return ks
}

// active returns the peers that are kept and were seen in the window that ends
// with slot last, in order.
func (a *activity) active(h horizon, last int64) []peerKey {
	var ks []peerKey
	for _, t := range a.Touched[h] {
		if t.N <= last && t.N > last-slotsPerWindow {
			ks = append(ks, t.Peers...)
		}
	}
	slices.SortFunc(ks, peerKey.compare)
	ks = slices.Compact(ks)
	return slices.DeleteFunc(ks, func(k peerKey) bool { return a.Pairs[k] == nil })
}

// busyRecords is the number of records of a slot from which a pair keeps
// sample records: below it no rule can fire.
const busyRecords = 4

// maxOwn bounds the own addresses that are counted for the name on the alert.
const maxOwn = 16

// add counts one session of the service.
func (a *activity) add(d *Detector, r *resource, s *session) {
	c := s.c
	k := peerOf(c.Peer.Addr())
	p := a.Pairs[k]
	if p == nil {
		if !r.admit(d, s.out, k) {
			return
		}
		p = &pair{Key: k, Example: addrKey(c.Peer.Addr()), First: c.Start, Last: c.End}
		a.Pairs[k] = p
	}
	if full := addrKey(c.Peer.Addr()); full.compare(p.Example) < 0 {
		p.Example = full
	}
	p.Last, p.Allowed, p.IsOwn, p.Intel = max(p.Last, c.End), c.Allowed, c.PeerIsOwn, c.PeerIntel
	p.First = min(p.First, c.Start)
	p.markDay(c.End)
	if a.First == 0 {
		a.First = c.End
	}
	if r.younger(c.End, d.cfg.LearnWarm) {
		p.Clock.Add(c.Start)
	}
	a.Last = max(a.Last, c.End)
	if c.Sampling > 0 {
		a.Rate = c.Sampling
	}
	if _, ok := a.Own[c.Own.Addr()]; ok || len(a.Own) < maxOwn {
		a.Own[c.Own.Addr()]++
	}
	for h := hour; h <= day; h++ {
		n := floorDiv(c.End, h.slot())
		sc, fresh := p.at(h, n)
		if fresh {
			a.touch(h, n, k)
			sc.First, sc.Last = c.Start, c.End
		}
		before := sc.Connections()
		sc.record(s, a.svc)
		sc.Joined = sc.Joined || r.Points.Joined(c)
		if grown := sc.Connections() - before; grown > 0 {
			i := (c.End - n*h.slot()) * int64(len(sc.Series)) / h.slot()
			sc.Series[i] += uint32(min(grown, 1<<31))
		}
		if h == hour && sc.Recs > busyRecords {
			rec := sample.Of(c)
			p.keepRecord(rec, recordHash(&rec))
		}
	}
}

// record adds one session to a slot.
func (c *slotCounts) record(s *session, svc *service.Service) {
	k := s.c.Known
	c.First, c.Last = min(c.First, s.c.Start), max(c.Last, s.c.End)
	c.Xr, c.Br = c.Xr+s.rev.Packets, c.Br+s.rev.Bytes
	c.Lacks |= (weir.HasPackets | weir.HasBytes) &^ k
	if s.c.Proto == weir.ProtoTCP {
		c.Lacks |= weir.HasFlags &^ k
	}
	if !s.hasFwd {
		return
	}
	c.Recs++
	c.Xf, c.Bf = c.Xf+s.fwd.Packets, c.Bf+s.fwd.Bytes
	weight := max(s.fwd.Packets, 1)
	c.Nw += weight
	c.Nx += weight * uint64(s.c.Sampling)
	c.NoRate = c.NoRate || s.c.Sampling == 0
	c.Thin = c.Thin || s.c.Sampling > 1
	c.Source = max(c.Source, s.c.SamplingSource)
	syn, ctl := s.marks()
	c.Syn, c.Ctl = c.Syn+syn, c.Ctl+ctl
	if syn == 1 && s.fwd.Packets == 1 {
		c.SynRec++
	}
	begins := false
	switch {
	case k.Has(weir.HasFlags) && s.c.Proto == weir.ProtoTCP:
		f := s.fwd.Flags
		if !s.flagsApart {
			f |= s.rev.Flags
		}
		begins = f&weir.SYN != 0
	case s.client == 0:
		begins = true
	default:
		before := c.Loose.Len()
		c.Loose.Add(s.client)
		begins = c.Loose.Len() > before
	}
	if begins {
		c.Starts++
		// Contacts come in the order of their ends.
		if sec := floorDiv(s.c.End, int64(time.Second)); sec != c.Second || c.InIt == 0 {
			c.Second, c.InIt = sec, 0
		}
		c.InIt++
		c.Burst = max(c.Burst, c.InIt)
	}
	if s.client != 0 {
		c.Ports.Add(s.client)
	}
	if !begins || !s.completed() {
		return
	}
	c.Done++
	if !k.Has(weir.HasPackets) || svc.InRange(s.fwd.Packets) {
		c.Within++
	}
}

// recordHash orders records for the choice of samples: a function of the
// record alone.
func recordHash(e *weir.RecordEvidence) uint64 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(e.Start)) //nolint:gosec // the bits matter, not the sign
	binary.BigEndian.PutUint64(b[8:], uint64(e.End))   //nolint:gosec // as above
	h := mix(binary.BigEndian.Uint64(b[:8]) ^ mix(binary.BigEndian.Uint64(b[8:])))
	s, t := peerKey(e.Src.Addr().As16()), peerKey(e.Dst.Addr().As16())
	h = mix(h ^ s.hash() ^ uint64(e.Src.Port())<<16 ^ uint64(e.Dst.Port()))
	return mix(h ^ t.hash()*3 ^ e.Packets<<32 ^ e.Bytes)
}

// ownAddr returns the own address that carried most of the activity, the
// lowest on ties.
func (a *activity) ownAddr() netip.Addr {
	var best netip.Addr
	var n uint64
	for _, addr := range slices.SortedFunc(maps.Keys(a.Own), netip.Addr.Compare) {
		if a.Own[addr] > n {
			best, n = addr, a.Own[addr]
		}
	}
	return best
}

// seen is one peer of a window with what the rules derive from it.
type seen struct {
	p     *pair
	c     tally.Tally
	n     uint32  // sampling interval, 0 unknown
	exact bool    // nothing was sampled
	y     uint64  // connections at the sampled scale
	lower float64 // L, the lower bound on the true number of connections
	auth  bool    // login-like evidence
	// d and conns replace the distinct ports and connections of c where several
	// peers are pooled.
	d, conns uint64
	// squares is the sum of squared packets of the peers pooled.
	squares uint64
}

// reuse returns the number of pairs of packets that may share a client port by
// chance: pairs of the same peer.
func (s *seen) reuse() float64 {
	if s.squares > 0 {
		return float64(s.squares) / 2
	}
	return float64(s.c.Xf) * float64(s.c.Xf) / 2
}

// distinct returns D of the evidence.
func (s *seen) distinct() uint64 {
	if s.d > 0 {
		return s.d
	}
	return s.c.Distinct()
}

// connections returns the connections seen.
func (s *seen) connections() uint64 {
	if s.conns > 0 {
		return s.conns
	}
	return s.c.Connections()
}

// look derives the evidence of one peer in one window.
func (a *activity) look(p *pair, c tally.Tally, h horizon) seen {
	s := seen{p: p, c: c, n: c.Rate()}
	s.exact = s.n == 1
	switch {
	case s.exact:
		// Where packets are counted, connections that fit the service's range
		// count (section 7.1); otherwise all that completed, as far as known.
		s.y = c.Within
		s.lower = float64(s.y)
		// In a day one login is enough, where its length shows that it is more than a
		// look at the banner (section 13, one login a bot).
		s.auth = c.Done >= 2 || h == day && c.Within >= 1 && c.Has(weir.HasPackets) && 2*float64(c.Xf) >= a.svc.K
	case s.n == 0:
		s.y, s.lower = c.Distinct(), float64(c.Distinct())
		s.auth = c.Xf > c.Syn
	default:
		// Connections that share a client port still have a SYN each.
		s.y = max(c.Distinct(), c.Syn)
		s.lower = baseline.LowerConnections(s.n, c.Xf, s.y, a.svc.K)
		s.auth = c.Xf > c.Syn
	}
	return s
}

// evaluate runs pair and aggregate rules for the windows that end at t. The window
// of a day is looked at every ten minutes as well, with what its newest slot holds
// so far, which is never more than it will hold: what suffices is told at once. It
// is for peers that are not reported yet; the rest waits for the end of the slot.
func (a *activity) evaluate(d *Detector, r *resource, t int64, emit func(weir.Finding)) {
	recent := a.newest(hour, floorDiv(t-1, hour.slot()))
	for h := hour; h <= day; h++ {
		last, whole := floorDiv(t-1, h.slot()), t%h.slot() == 0
		newest := recent
		if whole && h == day {
			newest = a.newest(h, last)
		}
		if len(newest) == 0 {
			continue
		}
		var firing []verdict
		for _, k := range newest {
			p := a.Pairs[k]
			if p == nil || !whole && p.Fired > t-h.slot() {
				continue
			}
			c, _ := p.window(h, last)
			if v, ok := a.judgePair(d, r, a.look(p, c, h), h, t); ok {
				firing = append(firing, v)
			}
		}
		if !whole && len(firing) == 0 {
			continue
		}
		// The strongest first: the number of open episodes is bounded.
		slices.SortStableFunc(firing, func(x, y verdict) int { return cmp.Compare(y.s.lower, x.s.lower) })
		absorbed := a.aggregateRule(d, r, h, t, emit)
		for _, v := range firing {
			v.s.p.Fired = t
			if v.s.p.Reported == 0 {
				v.s.p.Reported = t
			}
			if absorbed != nil && absorbed(v.s) {
				continue
			}
			r.fire(d, a.pairFinding(r, &v, h, t), emit)
		}
	}
}

// expose is the exposure of one new peer in one window: the probability that a
// connection of the service's mean length is seen at all (R12).
func (a *activity) expose(n uint32) float64 { return baseline.Inclusion(max(n, 1), 1, a.svc.K) }

// learn lets the baselines learn the windows that close at t. Windows in which
// a rule fired teach nothing of the peers that fired, so that an attacker cannot
// become normal.
func (a *activity) learn(d *Detector, r *resource, t int64) {
	for h := hour; h <= day; h++ {
		w := int64(h.window())
		if t%w != 0 {
			continue
		}
		if a.Learnt[h] == 0 {
			a.Learnt[h] = floorDiv(a.First, w) * w
		}
		if idle := (t-a.Learnt[h])/w - 1; idle > 0 {
			a.NewPeer[h].UpdateIdle(idle, 0, h.window(), t-w)
			a.Uniq[h].UpdateIdle(idle, a.peerExposure(h, a.Rate, t-w), h.window(), t-w)
			if h == hour {
				a.Cusum = baseline.Cusum{}
			} else {
				a.Many <<= min(idle, controllerSpan)
			}
		}
		a.Learnt[h] = t
		a.learnWindow(d, r, h, t)
	}
}

func (a *activity) learnWindow(d *Detector, r *resource, h horizon, t int64) {
	fam := &d.fam[a.svc.Family]
	var ys []float64
	var n uint32 = 1
	u, once, seen := uint64(0), uint64(0), false
	rateKnown := true
	for _, k := range a.active(h, t/h.slot()-1) {
		p := a.Pairs[k]
		c, ok := p.window(h, t/h.slot()-1)
		if !ok || c.Recs == 0 {
			continue
		}
		s := a.look(p, c, h)
		if s.n == 0 {
			rateKnown = false
			continue
		}
		n, seen = max(n, s.n), true
		if a.countsForPeers(s, t-int64(h.window())) && !a.ordinary(d, p, t) {
			u++
			if s.c.Xf == 1 {
				once++
			}
		}
		if h == day && !p.usual(s.y, a.expose(s.n)) {
			p.skipDay(t - int64(h.window()))
		}
		if p.Fired > t-int64(h.window()) {
			// What is reported teaches nothing, but for what the first week is
			// compared with when it is over.
			if a.ofFirstWeek(d, p.Reported) && t <= a.First+nanos(d.cfg.LearnWarm) {
				p.learnOwn(h, s.y, a.expose(s.n), t)
			}
			continue
		}
		if p.regular(t) || p.Own[h].Windows > 0 {
			p.learnOwn(h, s.y, a.expose(s.n), t)
		}
		if !p.regular(t) {
			if (h == hour || s.lower >= fam.floor(h)) && a.guessing(r, s, fam.floor(h)) {
				// What looks like guessing is never what is normal, but for what
				// stays below the floor all day long.
				continue
			}
			if bitsActive(p.Days) >= 2 && p.Own[h].Windows == 0 {
				p.learnOwn(h, s.y, a.expose(s.n), t)
			}
			ys = append(ys, float64(s.y))
		}
	}
	if !rateKnown {
		return
	}
	if !seen {
		n = a.Rate // an empty window is sampled like the last contact was
	}
	a.NewPeer[h].UpdateEach(ys, a.expose(n), h.window(), t, a.pairPrior(fam, n))
	if a.Ref == 0 {
		a.Ref = n
	}
	up, e := a.peerPrior(fam, n), a.peerExposure(h, n, t)
	if h == hour && !a.Key.Out && a.Season.Active(t) {
		// Compared with the hour of the day as it was, not as far as it is certain: a
		// change of level is looked for, not the morning.
		course := math.Max(1, a.Season.CourseOver(t, h.window())/a.season(h, t))
		a.Cusum.Add(u, a.Uniq[h].Shape(), a.Uniq[h].Mean(up)*e*course, t-int64(h.window()))
		// What has alarmed for long must be able to end.
		a.Cusum.Level = math.Min(a.Cusum.Level, 2*baseline.CusumAlarm)
	}
	if h == day {
		a.Many <<= 1
	}
	if r.teaches(a.aggregateKey(), t) {
		a.Peak[h], a.Recent[h] = max(a.Peak[h], a.Recent[h]), u
		if h == day && u >= controllerPeers {
			a.Many |= 1
		}
		a.Uniq[h].Update(float64(u), e, h.window(), t, up)
		a.Uniq[h].UpdateElasticity(u, once, h.window())
		if h == hour {
			most := float64(baseline.NBQuantile(0.99, a.Uniq[h].Shape(), a.Uniq[h].Mean(up)*e))
			a.Season.Update(math.Min(float64(u), math.Max(1, most)), e/a.season(h, t), h.window(), t)
		}
	}
}

// learnOwn adds a window to the history of a peer. The first one is taken as it
// is: it raised no alert, and the pool of new peers says nothing about how much a
// known one does.
func (p *pair) learnOwn(h horizon, y uint64, e float64, t int64) {
	p.Own[h].Update(float64(y), e, h.window(), t, baseline.Prior{})
}

// absorbAfter is how long an aggregate episode runs before its level is learnt
// (property P15 asks for at least 14 days).
const absorbAfter = 14 * 24 * time.Hour

// prune forgets peers that neither a window nor the regular set needs.
func (a *activity) prune(r *resource, d *Detector, t int64) {
	dir := 0
	if a.Key.Out {
		dir = 1
	}
	const keep = int64(30 * 24 * time.Hour)
	a.Regulars = 0
	for k, p := range a.Pairs {
		if p.regular(t) {
			a.Regulars++
		}
		if !r.younger(t, d.cfg.LearnWarm) {
			p.Clock = beat.Clock{}
		}
		idle := t - p.Last
		once := bitsActive(p.Days) < 2 && !a.Key.Out && idle > int64(48*time.Hour)
		if idle > keep || once {
			delete(a.Pairs, k)
			r.PairCount[dir]--
			d.pairs--
		}
	}
}

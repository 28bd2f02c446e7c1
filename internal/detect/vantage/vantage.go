// Package vantage decides how the samples of several exporters that watch one
// resource add up.
//
// Two routers that sample the same packets give two independent samples of one
// stream. Their packets may be counted together, but then they are those of one
// sampler with p = 1-(1-p1)(1-p2), and scaling each by its own interval would
// count everything twice. Two border routers with different neighbours see
// different packets, and there each sample keeps its own interval. Nothing in a
// record says which of the two it is; the peers do: at routers with different
// neighbours most peers show at one of them only.
//
// [Points] is kept by resource, apart for packets to and from it. It gives every
// sampled contact of a pane its effective interval, in place, before any rule
// sees it. As long as the evidence is thin exporters are taken to see the same
// packets, so that an estimate is never inflated for lack of knowledge.
//
// Everything is a function of the multiset of contacts of each pane and of the
// order of panes. Section numbers are those of the detection reference.
package vantage

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// Bounds of what is kept of one resource and direction, and the constants of the
// decision. None is from a source; docs/decisions/0006-counting-points.md has
// the reasons and what was measured.
const (
	// maxSources bounds the exporters that are told apart.
	maxSources = 16
	// maxPeers bounds the peers that are kept, the heaviest.
	maxPeers = 64
	// chance is the probability, under equal sight, below which a peer that shows
	// at one exporter only counts as exclusive to it.
	chance = 0.01
	// minPeers is the number of peers with enough packets below which nothing is
	// decided, and minEach the number that must be exclusive to either exporter:
	// while one of two was down all peers are exclusive to the other.
	minPeers = 5
	minEach  = 2
	// share of the peers with enough packets that must be exclusive.
	share = 0.8
	// shows is the decayed number of packets from which a peer shows at an
	// exporter: a packet shows for two hours.
	shows = 0.25
	// gone is the number of packets that an exporter ought to have sampled since
	// its last one, from which it no longer counts: exp(-10) is 1 in 22,000.
	gone = 10
	// memory is how long an exporter, and what was decided of a pair, is kept
	// without news.
	memory = 24 * time.Hour
	// halving is the time in which counts of packets lose half of their weight.
	halving = time.Hour
)

// Key names a counting point: an exporter and its observation domain.
type Key struct {
	Exporter netip.Addr
	Domain   uint32
}

func (k Key) compare(o Key) int {
	return cmp.Or(k.Exporter.Compare(o.Exporter), cmp.Compare(k.Domain, o.Domain))
}

// Source is what is known of one exporter of a resource and direction.
type Source struct {
	Key
	// N is its sampling interval in the newest pane that it was seen in, the mean
	// by packets; 0 for no source.
	N float64
	// Last is the newest event time of a sample of it.
	Last int64
	// Missed is the number of packets that it ought to have sampled since, had it
	// seen what the others saw.
	Missed float64
	// Joined tells that in the newest pane its samples counted together with those
	// of another source.
	Joined bool
}

// alive reports whether silence of the source is within chance.
func (s *Source) alive() bool { return s.Missed < gone }

// Peer is a peer with its sampled packets at every source, by the index of the
// source, decayed.
type Peer struct {
	Addr    netip.Addr
	Packets []float64
}

func (p *Peer) total() float64 {
	sum := 0.0
	for _, x := range p.Packets {
		sum += x
	}
	return sum
}

// Verdict is what was decided of two sources.
type Verdict struct {
	A, B  Key
	Apart bool  // they see different packets
	At    int64 // end of the newest pane with enough evidence
}

// Set is the sources of one direction of a resource that has several. Its
// fields are exported for encoding alone.
type Set struct {
	Hour     int64
	Sources  []Source // in the order in which they came
	Peers    []Peer   // by address
	Verdicts []Verdict
}

// Points are the counting points of a resource, by direction: 0 for packets to
// the resource, 1 for packets from it. The zero value is ready. Fields are
// exported for encoding alone. It is not safe for concurrent use.
type Points struct {
	Ways [2]Way
}

// Way is the counting points of one direction: the only source, or the set of
// several.
type Way struct {
	First Source
	Many  *Set
}

func directionOf(c *weir.Contact) int {
	if c.FromOwn {
		return 1
	}
	return 0
}

func keyOf(c *weir.Contact) Key { return Key{c.Exporter, c.Domain} }

// counts reports whether a contact is a sample in front of the resource. Records
// that tell of every packet, and those of unknown rate, are left alone.
func counts(c *weir.Contact) bool { return c.Sampling > 1 && c.Leg == weir.FrontLeg }

func packets(c *weir.Contact) float64 { return max(float64(c.Out.Packets)+float64(c.In.Packets), 1) }

// Pane takes the contacts of one pane that ends at end (Unix ns), in canonical
// order, and sets the sampling interval of each sampled one to the effective
// one: rounded to the nearest integer, at least 2, for a sample is never exact.
func (p *Points) Pane(cs []weir.Contact, end int64) {
	for i := range cs {
		if c := &cs[i]; counts(c) {
			p.meet(c)
		}
	}
	for dir := range p.Ways {
		w := &p.Ways[dir]
		s := w.Many
		if s == nil {
			continue
		}
		s.take(cs, dir, end)
		s.judge(end)
		s.apply(cs, dir)
		if len(s.Sources) == 1 {
			*w = Way{First: s.Sources[0]}
			w.First.Joined = false
		}
	}
}

// Joined reports whether a contact of the newest pane counts together with those
// of another exporter that sees the same packets. One connection may then be in
// records of both, so that numbers of records say nothing of connections.
func (p *Points) Joined(c *weir.Contact) bool {
	s := p.Ways[directionOf(c)].Many
	if s == nil || !counts(c) {
		return false
	}
	i := s.index(keyOf(c))
	return i < 0 || s.Sources[i].Joined
}

// meet makes a set once a direction has two sources.
func (p *Points) meet(c *weir.Contact) {
	w := &p.Ways[directionOf(c)]
	switch k := keyOf(c); {
	case w.Many != nil:
	case w.First.N == 0 || w.First.Key == k || c.End-w.First.Last > int64(memory):
		w.First = Source{Key: k, N: float64(c.Sampling), Last: max(w.First.Last, c.End)}
	default:
		w.Many = &Set{Sources: []Source{w.First}}
	}
}

// tally is what one source sampled in one pane.
type tally struct {
	packets, interval float64
	last              int64
}

// take counts the contacts of a pane.
func (s *Set) take(cs []weir.Contact, dir int, end int64) {
	s.age(end)
	pane := make(map[Key]*tally)
	for i := range cs {
		c := &cs[i]
		if !counts(c) || directionOf(c) != dir {
			continue
		}
		t := pane[keyOf(c)]
		if t == nil {
			t = &tally{}
			pane[keyOf(c)] = t
		}
		n := packets(c)
		t.packets, t.interval, t.last = t.packets+n, t.interval+n*float64(c.Sampling), max(t.last, c.End)
	}
	s.meet(pane)
	most := 0.0 // the packets there were, by the source that tells of most
	for i := range s.Sources {
		x := &s.Sources[i]
		if t := pane[x.Key]; t != nil {
			x.N, x.Last, x.Missed = t.interval/t.packets, max(x.Last, t.last), 0
			most = max(most, t.interval)
		}
	}
	for i := range s.Sources {
		if x := &s.Sources[i]; pane[x.Key] == nil {
			x.Missed += most / x.N
		}
	}
	s.count(cs, dir)
}

// meet adds the sources that are new, in the order of their keys.
func (s *Set) meet(pane map[Key]*tally) {
	var fresh []Key
	for k := range pane {
		if s.index(k) < 0 {
			fresh = append(fresh, k)
		}
	}
	slices.SortFunc(fresh, Key.compare)
	for _, k := range fresh {
		if len(s.Sources) == maxSources {
			return
		}
		s.Sources = append(s.Sources, Source{Key: k, Last: pane[k].last})
		for i := range s.Peers {
			s.Peers[i].Packets = append(s.Peers[i].Packets, 0)
		}
	}
}

func (s *Set) index(k Key) int {
	return slices.IndexFunc(s.Sources, func(x Source) bool { return x.Key == k })
}

// count adds the packets of a pane to the peers, and keeps the heaviest.
func (s *Set) count(cs []weir.Contact, dir int) {
	at := make(map[Key]int, len(s.Sources))
	for i := range s.Sources {
		at[s.Sources[i].Key] = i
	}
	of := make(map[netip.Addr]int, len(s.Peers))
	for i := range s.Peers {
		of[s.Peers[i].Addr] = i
	}
	for i := range cs {
		c := &cs[i]
		if !counts(c) || directionOf(c) != dir {
			continue
		}
		source, known := at[keyOf(c)]
		if !known {
			continue
		}
		j, known := of[c.Peer.Addr()]
		if !known {
			j = len(s.Peers)
			of[c.Peer.Addr()] = j
			s.Peers = append(s.Peers, Peer{Addr: c.Peer.Addr(), Packets: make([]float64, len(s.Sources))})
		}
		s.Peers[j].Packets[source] += packets(c)
	}
	if len(s.Peers) > maxPeers {
		slices.SortFunc(s.Peers, func(a, b Peer) int { return cmp.Or(cmp.Compare(b.total(), a.total()), a.Addr.Compare(b.Addr)) })
		s.Peers = slices.Clone(s.Peers[:maxPeers]) // the rest may be many
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return a.Addr.Compare(b.Addr) })
}

// age lets counts decay, and drops what has had no news for long.
func (s *Set) age(end int64) {
	hour := end / int64(halving)
	if past := hour - s.Hour; s.Hour != 0 && past > 0 {
		for i := range s.Peers {
			for j := range s.Peers[i].Packets {
				s.Peers[i].Packets[j] *= math.Exp2(-float64(past))
			}
		}
		s.Peers = slices.DeleteFunc(s.Peers, func(p Peer) bool { return p.total() < shows })
	}
	s.Hour = hour
	for i, x := range slices.Backward(s.Sources) {
		if end-x.Last <= int64(memory) {
			continue
		}
		s.Sources = slices.Delete(s.Sources, i, i+1)
		for j := range s.Peers {
			s.Peers[j].Packets = slices.Delete(s.Peers[j].Packets, i, i+1)
		}
	}
	s.Verdicts = slices.DeleteFunc(s.Verdicts, func(v Verdict) bool { return end-v.At > int64(memory) })
}

// judge decides, for every two sources of which enough is known, whether they
// see different packets.
func (s *Set) judge(end int64) {
	for i := range s.Sources {
		for j := range i {
			apart, ok := s.compare(j, i)
			if !ok {
				continue
			}
			v := Verdict{A: s.Sources[j].Key, B: s.Sources[i].Key, Apart: apart, At: end}
			if k := slices.IndexFunc(s.Verdicts, func(w Verdict) bool { return w.A == v.A && w.B == v.B }); k >= 0 {
				s.Verdicts[k] = v
			} else {
				s.Verdicts = append(s.Verdicts, v)
			}
		}
	}
}

// compare looks at the peers of two sources; ok is false when too few of them
// have enough packets.
func (s *Set) compare(a, b int) (apart, ok bool) {
	pa, pb := 1/s.Sources[a].N, 1/s.Sources[b].N
	qa, qb := pa/(pa+pb), pb/(pa+pb)
	judged, onlyA, onlyB := 0, 0, 0
	for i := range s.Peers {
		xa, xb := s.Peers[i].Packets[a], s.Peers[i].Packets[b]
		// The probability that all packets of a peer fall to one of two samplers of
		// the same packets.
		if n := xa + xb; math.Pow(qa, n)+math.Pow(qb, n) >= chance {
			continue
		}
		judged++
		switch {
		case xb < shows:
			onlyA++
		case xa < shows:
			onlyB++
		}
	}
	if judged < minPeers {
		return false, false
	}
	return onlyA >= minEach && onlyB >= minEach && float64(onlyA+onlyB) >= share*float64(judged), true
}

func (s *Set) apart(a, b Key) bool {
	return slices.ContainsFunc(s.Verdicts, func(v Verdict) bool { return v.Apart && (v.A == a && v.B == b || v.A == b && v.B == a) })
}

// apply gives the contacts of a direction their effective interval.
func (s *Set) apply(cs []weir.Contact, dir int) {
	// missed is, by source, the probability that none of the others takes a packet
	// that it could have taken.
	missed := make(map[Key]float64, len(s.Sources))
	all := 1.0
	for i := range s.Sources {
		x := &s.Sources[i]
		q := 1.0
		for j := range s.Sources {
			if o := &s.Sources[j]; j != i && o.alive() && !s.apart(x.Key, o.Key) {
				q *= 1 - 1/o.N
			}
		}
		missed[x.Key], x.Joined = q, q < 1
		if x.alive() {
			all *= 1 - 1/x.N
		}
	}
	for i := range cs {
		c := &cs[i]
		if !counts(c) || directionOf(c) != dir {
			continue
		}
		q, known := missed[keyOf(c)]
		if !known {
			q = all // one of too many: as if it saw what everyone sees
		}
		if q == 1 {
			continue
		}
		n := math.Round(1 / (1 - q*(1-1/float64(c.Sampling))))
		c.Sampling = uint32(min(max(n, 2), float64(c.Sampling)))
	}
}

// Duplicate reports whether an unsampled record repeats the one before it in
// canonical order: the same connection, times and counts, whichever exporter
// told it. Two samples of one connection are no duplicates but more information
// (section 4.4).
func Duplicate(c, before *weir.Contact) bool {
	const full = weir.HasPorts | weir.HasPackets | weir.HasBytes
	return c.Sampling == 1 && before.Sampling == 1 && c.Known.Has(full) && before.Known.Has(full) &&
		c.End == before.End && c.Start == before.Start && c.Peer == before.Peer && c.Own == before.Own && c.Proto == before.Proto &&
		c.Out == before.Out && c.In == before.In && c.FromOwn == before.FromOwn
}

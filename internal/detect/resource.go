package detect

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/listen"
	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/detect/vantage"
)

// actKey names an activity of a resource: who plays the server, and the port.
type actKey struct {
	Out  bool // the own end is the client
	Port service.Port
}

// resource is the state of one protected resource.
type resource struct {
	Key   uint64
	Res   *weir.Resource
	First int64 // oldest event time
	Last  int64 // newest event time

	Acts   map[actKey]*activity
	keys   []actKey // of Acts, in order, or not as many
	Listen listen.Set
	View   visibility
	Intel  intelState
	Scan   scanState
	Flood  floodState
	Block  blockState
	Back   backState
	Points vantage.Points

	// pairCount and level are, by direction (0 in, 1 out), the number of peers
	// kept and the level of adaptive hash sampling.
	PairCount [2]int
	Level     [2]uint8
	Degraded  bool
	Episodes  map[episodeKey]*episode
	Limited   int64 // episodes that did not fit
}

func newResource(key uint64) *resource {
	return &resource{
		Key: key, Acts: make(map[actKey]*activity), Listen: listen.Set{},
		Episodes: make(map[episodeKey]*episode),
		Scan:     newScanState(), Flood: newFloodState(), Block: newBlockState(), Intel: newIntelState(),
	}
}

// Odds of orientation (section 4.1): what a learnt listener adds, and from which
// a client is told.
const (
	learnedOdds = 2.5
	decideOdds  = 1.5
)

// visibility is the long-run reply share of a resource's TCP (section 4.2).
type visibility struct{ Xf, Xr float64 }

// ok reports whether replies can be seen, so that their absence says something.
func (v visibility) ok() bool {
	return v.Xr > 0 && v.share() >= 0.05
}

// oneWay reports whether enough was seen to say that replies cannot be seen.
func (v visibility) oneWay() bool { return v.Xf+v.Xr >= 200 && v.share() < 0.05 }

func (v visibility) share() float64 {
	if v.Xf+v.Xr == 0 {
		return 0
	}
	return v.Xr / (v.Xf + v.Xr)
}

func addrKey(a netip.Addr) peerKey { return peerKey(a.As16()) }

// peerOf returns the key of a peer: its address, or its /64 for IPv6.
func peerOf(a netip.Addr) peerKey {
	k := peerKey(a.As16())
	if !a.Is4() && !a.Is4In6() {
		clear(k[8:])
	}
	return k
}

func (k peerKey) addr() netip.Addr { return netip.AddrFrom16(k).Unmap() }

func (k peerKey) hash() uint64 {
	return mix(binary.BigEndian.Uint64(k[:8])*0x9e3779b97f4a7c15 ^ mix(binary.BigEndian.Uint64(k[8:])))
}

// session is a contact with its client told apart: f is client to server.
type session struct {
	c          *weir.Contact
	out        bool // the own end is the client
	fwd, rev   weir.Counters
	client     uint16 // client port
	server     uint16 // server port
	hasFwd     bool   // the record covers client packets
	hasRev     bool   // the record covers server packets
	flagsApart bool   // flags are by direction
}

// orient decides who the client of a contact is; ok is false when the evidence
// does not suffice (section 4.1).
func (r *resource) orient(c *weir.Contact) (s session, ok bool) {
	odds := float64(c.LogOdds)
	if c.Known.Has(weir.HasPorts) {
		if r.Listen.Has(service.Port{Proto: c.Proto, Port: c.Own.Port()}) {
			odds -= learnedOdds
		}
	}
	s = session{c: c, out: odds > 0}
	if odds < decideOdds && odds > -decideOdds {
		return s, false
	}
	both := c.Known.Has(weir.HasReverse)
	s.flagsApart = !both || c.Known.Has(weir.HasRevFlags)
	if s.out {
		s.fwd, s.rev, s.client, s.server = c.Out, c.In, c.Own.Port(), c.Peer.Port()
		s.hasFwd, s.hasRev = both || c.FromOwn, both || !c.FromOwn
	} else {
		s.fwd, s.rev, s.client, s.server = c.In, c.Out, c.Peer.Port(), c.Own.Port()
		s.hasFwd, s.hasRev = both || !c.FromOwn, both || c.FromOwn
	}
	return s, true
}

// refused reports whether the server turned the connection away: nothing but
// the client's SYN and a reset. With flags of both directions in one word only
// short records without data can be told.
func (s *session) refused() bool {
	if !s.c.Known.Has(weir.HasFlags) || s.c.Proto != weir.ProtoTCP {
		return false
	}
	if s.flagsApart {
		return s.hasRev && s.rev.Flags&weir.RST != 0 && s.rev.Flags&weir.SYN == 0 && s.fwd.Flags&weir.PSH == 0 && s.fwd.Packets <= 3
	}
	f := s.fwd.Flags | s.rev.Flags
	return f&weir.RST != 0 && f&(weir.PSH|weir.FIN) == 0 && s.fwd.Packets <= 3 && s.rev.Packets <= s.fwd.Packets
}

// marks returns the client packets that are bare SYNs, and those with SYN, FIN
// or RST. A record that ORs flags over several packets holds one of each.
func (s *session) marks() (syn, ctl uint64) {
	n, f := s.fwd.Packets, s.fwd.Flags
	if !s.c.Known.Has(weir.HasFlags) || s.c.Proto != weir.ProtoTCP || n == 0 {
		return 0, 0
	}
	if !s.flagsApart {
		f |= s.rev.Flags
	}
	ends := f & (weir.SYN | weir.FIN | weir.RST)
	switch {
	case ends == weir.SYN && f&weir.ACK == 0:
		return n, n
	case s.refused():
		return n, n
	case n == 1:
		if f&weir.SYN != 0 && f&weir.ACK == 0 {
			syn = 1
		}
		if syn == 1 || f&(weir.FIN|weir.RST) != 0 {
			ctl = 1
		}
		return syn, ctl
	}
	if f&weir.SYN != 0 {
		syn, ctl = 1, 1
	}
	if f&weir.FIN != 0 {
		ctl++
	}
	if f&weir.RST != 0 && s.flagsApart {
		ctl++
	}
	return syn, min(ctl, n)
}

// completed reports whether the handshake was completed, as far as the record
// tells; what it does not tell is taken for granted (section 7.5).
func (s *session) completed() bool {
	k := s.c.Known
	if s.c.Action == weir.ActionDeny || s.refused() {
		return false
	}
	if k.Has(weir.HasPackets) {
		if s.fwd.Packets < 2 {
			return false
		}
		if k.Has(weir.HasReverse) && s.rev.Packets == 0 {
			return false
		}
	}
	if k.Has(weir.HasFlags) && s.c.Proto == weir.ProtoTCP {
		f := s.fwd.Flags
		if !s.flagsApart {
			f |= s.rev.Flags
		}
		return f&weir.ACK != 0
	}
	return true
}

// pane takes the contacts of one pane, in canonical order.
func (r *resource) pane(d *Detector, cs []weir.Contact, start, end int64) {
	r.Res = cs[len(cs)-1].Resource
	if r.Last == 0 {
		r.First = cs[0].End
	}
	r.Last = max(r.Last, cs[len(cs)-1].End)
	r.Intel.begin()
	r.Scan.begin()
	r.Points.Pane(cs, end)
	for i := range cs {
		c := &cs[i]
		if c.Leg == weir.BackLeg {
			r.Back.add(d, r, c)
			continue
		}
		if i > 0 && vantage.Duplicate(c, &cs[i-1]) {
			continue
		}
		if attemptLog(c) {
			c.Known &^= weir.HasPackets
			c.Out.Packets, c.In.Packets = 0, 0
		}
		if c.Sampling == 0 {
			d.stats.NoRate++
		}
		r.Flood.add(d, r, c)
		s, ok := r.orient(c)
		if !ok {
			d.stats.Ambiguous++
			r.Intel.add(c, nil)
			r.Scan.unsure(c)
			continue
		}
		r.Intel.add(c, &s)
		if c.Proto == weir.ProtoTCP && c.Known.Has(weir.HasPackets) {
			r.View.Xf += float64(s.fwd.Packets)
			r.View.Xr += float64(s.rev.Packets)
		}
		if c.Known.Has(weir.HasPorts) && (c.Proto == weir.ProtoTCP || c.Proto == weir.ProtoUDP) {
			r.session(d, &s, start)
		}
	}
	r.View.Xf, r.View.Xr = decayView(r.View)
	r.learnListeners(cs, end)
}

// attemptLog reports whether a record comes from a log of attempts rather than
// from a flow meter: it knows neither bytes nor flags nor answers, and counts one
// packet. Its packet count says nothing about the length of the connection.
func attemptLog(c *weir.Contact) bool {
	return c.Sampling == 1 && c.Known&(weir.HasBytes|weir.HasFlags|weir.HasReverse) == 0 && c.Out.Packets+c.In.Packets <= 1
}

// decayView bounds the memory of the reply share, so that a change of routing
// shows within some millions of packets.
func decayView(v visibility) (xf, xr float64) {
	if v.Xf+v.Xr > 1e7 {
		return v.Xf / 2, v.Xr / 2
	}
	return v.Xf, v.Xr
}

// session counts one oriented contact for the rules of its service.
func (r *resource) session(d *Detector, s *session, start int64) {
	svc := d.table.Find(r.Res, !s.out, s.c.Proto, s.server)
	if s.out {
		r.Scan.add(s)
	} else {
		r.Block.add(s, start)
	}
	if svc == nil {
		return
	}
	key := actKey{s.out, service.StatePort(svc, s.c.Proto, s.server)}
	a := r.Acts[key]
	if a == nil {
		if len(r.Acts) >= maxActivities {
			return
		}
		a = newActivity(key, svc)
		r.Acts[key] = a
	}
	a.svc = svc
	a.add(d, r, s)
	r.Back.front(r, s)
}

// maxActivities bounds the services of a resource that are followed; the
// service table has fewer rows for either direction.
const maxActivities = 256

// learnListeners notes which own ports act as services. It runs when the pane
// has been worked off, so that a pane is oriented by what earlier ones taught.
// Contacts that the own end opened beyond doubt teach nothing: a scanner with
// a fixed source port is no service.
func (r *resource) learnListeners(cs []weir.Contact, end int64) {
	for i := range cs {
		c := &cs[i]
		if c.Leg == weir.BackLeg || !c.Known.Has(weir.HasPorts) || c.LogOdds >= decideOdds || c.Own.Port() == 0 ||
			c.Proto != weir.ProtoTCP && c.Proto != weir.ProtoUDP {
			continue
		}
		r.Listen.See(service.Port{Proto: c.Proto, Port: c.Own.Port()}, peerOf(c.Peer.Addr()), c.Peer.Port(), end)
	}
	r.Listen.Prune()
}

// boundary runs the rules of the windows that end at time t, a multiple of ten
// minutes, and lets baselines learn the windows that close there.
func (r *resource) boundary(d *Detector, t int64, emit func(weir.Finding)) {
	if t-r.Last > int64(day.window())+day.slot() {
		return
	}
	if len(r.keys) != len(r.Acts) {
		r.keys = slices.SortedFunc(maps.Keys(r.Acts), compareActKeys)
	}
	// Without a contact in the newest ten minutes nothing ends but hours and days.
	keys := slices.Clone(r.keys)
	if t%int64(time.Hour) != 0 && r.Last < t-hour.slot() {
		keys = nil
	}
	for _, k := range keys {
		a := r.Acts[k]
		a.evaluate(d, r, t, emit)
		a.learn(d, r, t)
		if t%int64(day.window()) == 0 {
			a.prune(r, d, t)
			if len(a.Pairs) == 0 && t-a.Last > int64(30*24*time.Hour) {
				delete(r.Acts, k)
				r.keys = nil
			}
		}
	}
	r.scanRule(d, t, true, emit)
	r.blockRule(d, t, emit)
	r.pruneEpisodes(t)
}

func compareActKeys(a, b actKey) int {
	if a.Out != b.Out {
		if b.Out {
			return -1
		}
		return 1
	}
	return int(a.Port.Proto)<<16 + int(a.Port.Port) - int(b.Port.Proto)<<16 - int(b.Port.Port)
}

// shed enforces the cap on peers by adaptive hash sampling: the level depends
// on the set of peers of this resource alone, never on the order of arrival
// (section 3.7, R15).
func (r *resource) shed(d *Detector) {
	for dir, n := range r.PairCount {
		if n <= d.cfg.PeersPerResource {
			continue
		}
		var hashes []uint64
		for k, a := range r.Acts {
			if k.Out == (dir == 1) {
				for p := range a.Pairs {
					hashes = append(hashes, p.hash())
				}
			}
		}
		j, _ := baseline.AHSLevelOf(hashes, uint64(d.cfg.PeersPerResource)) //nolint:gosec // validated to be positive
		r.Level[dir] = uint8(max(int(r.Level[dir]), j))                     //nolint:gosec // at most 64
		for k, a := range r.Acts {
			if k.Out != (dir == 1) {
				continue
			}
			for p := range a.Pairs {
				if !baseline.AHSKeep(p.hash(), int(r.Level[dir])) {
					delete(a.Pairs, p)
					r.PairCount[dir]--
					d.pairs--
				}
			}
		}
	}
}

// pairBytes is about what a tracked peer costs, for the memory ceiling.
const pairBytes = 640

// admit reports whether a new peer may be tracked.
func (r *resource) admit(d *Detector, out bool, k peerKey) bool {
	dir := 0
	if out {
		dir = 1
	}
	if !baseline.AHSKeep(k.hash(), int(r.Level[dir])) {
		return false
	}
	if int64(d.pairs)*pairBytes > d.cfg.Memory {
		d.stats.Refused++
		r.Degraded = true
		return false
	}
	d.pairs++
	r.PairCount[dir]++
	return true
}

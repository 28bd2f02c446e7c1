package detect

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
)

// Constants of the rule on addresses recommended for blocking (section 8.15).
const (
	blockPeers    = 100
	blockMature   = 14 * 24 * time.Hour
	blockPackets  = 2
	blockRegulars = 3 // regular peers of one /24 that vouch for a newcomer
	allowMax      = 1024
	blockQuiet    = 24 * time.Hour
)

// blockPort reports whether a port is one of management or data, for which an
// allow set makes sense; never web, mail or DNS.
func blockPort(p uint16) bool {
	switch p {
	case 22, 3389, 5985, 5986, 1433, 3306, 5432, 1521, 445, 135, 139, 23, 161, 389, 636, 2049, 5900, 6379, 9200, 11211, 27017, 2222:
		return true
	}
	return false
}

// regularPeer is one member of an allow set.
type regularPeer struct {
	days    uint32 // distinct days, saturating
	lastDay int64
}

// allowSet is what usually connects to one own port.
type allowSet struct {
	first int64
	peers map[peerKey]*regularPeer
	today map[peerKey]*weir.PeerEvidence // non-members seen in the current hour
}

// blockState keeps allow sets by own port, and the alert of the day.
type blockState struct {
	sets  map[portKey]*allowSet
	day   int64
	peers map[peerKey]*weir.PeerEvidence
	ports map[portKey]uint64
	// verdicts holds what intelligence says of the peers of path A.
	verdicts map[peerKey]*weir.Verdict
	own      netip.Addr
	rate     uint32
	src      weir.SamplingSource
	fired    int64 // event time of the newest report
	fresh    bool  // peers came since then
	extra    int
}

func newBlockState() blockState {
	return blockState{sets: make(map[portKey]*allowSet)}
}

// roll begins the alert of a new day.
func (b *blockState) roll(t int64) {
	if d := floorDiv(t, int64(day.window())); d != b.day || b.peers == nil {
		b.day, b.peers, b.ports = d, make(map[peerKey]*weir.PeerEvidence), make(map[portKey]uint64)
		b.verdicts, b.fired, b.fresh, b.extra = make(map[peerKey]*weir.Verdict), 0, false, 0
	}
}

// add notes an incoming session for the allow set of its port.
func (b *blockState) add(s *session, start int64) {
	if !blockPort(s.server) || !s.hasFwd {
		return
	}
	k := portKey{s.c.Proto, s.server}
	set := b.sets[k]
	if set == nil {
		set = &allowSet{first: start, peers: make(map[peerKey]*regularPeer), today: make(map[peerKey]*weir.PeerEvidence)}
		b.sets[k] = set
	}
	p := peerOf(s.c.Peer.Addr())
	today := floorDiv(s.c.End, int64(day.window()))
	if r := set.peers[p]; r != nil {
		if r.lastDay != today {
			r.days, r.lastDay = r.days+1, today
		}
		return
	}
	e := set.today[p]
	if e == nil {
		if len(set.today) >= maxSightings {
			return
		}
		e = &weir.PeerEvidence{Address: s.c.Peer.Addr(), First: s.c.Start, Path: "B"}
		set.today[p] = e
	}
	e.Packets += s.fwd.Packets
	e.Bytes += s.fwd.Bytes
	e.First, e.Last = min(e.First, s.c.Start), max(e.Last, s.c.End)
	if s.completed() && !s.c.Allowed {
		e.Connections++
	}
}

// addIntel notes a peer that intelligence calls bad (path A).
func (b *blockState) addIntel(r *resource, p *sighting, t int64) {
	if !p.incoming || p.packets == 0 || p.verdict.Benign() || badScore(p.verdict, t) < scoreThreshold {
		return
	}
	b.roll(t - 1)
	k := peerOf(p.peer)
	e := b.peers[k]
	if e == nil {
		if r.alerted(k, t) {
			return // another alert names this peer already (section 7.4)
		}
		if len(b.peers) >= blockPeers {
			b.extra++
			return
		}
		e = &weir.PeerEvidence{Address: p.peer, First: p.first, Path: "A"}
		b.peers[k], b.fresh = e, true
		b.verdicts[k] = p.verdict
	}
	e.Packets, e.Bytes, e.Connections = e.Packets+p.packets, e.Bytes+p.bytes, e.Connections+p.connections
	e.First, e.Last, e.Lower = min(e.First, p.first), max(e.Last, p.last), float64(e.Packets)
	for port, n := range p.ports {
		b.ports[port] += n
	}
	b.own, b.rate, b.src = p.own, max(b.rate, p.rate), max(b.src, p.source)
}

// alerted reports whether a pair alert or one on a controller names the peer at
// present.
func (r *resource) alerted(k peerKey, t int64) bool {
	for _, g := range r.intel.groups {
		if g.peers[k] != nil && t-g.last < int64(c2Quiet) {
			return true
		}
	}
	for key, a := range r.acts {
		if p := a.pairs[k]; !key.out && p != nil && p.fired > t-int64(hour.window()) {
			return true
		}
	}
	return false
}

// blockPane reports the first bad peer of the day at once and later ones with
// the hourly update.
func (r *resource) blockPane(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.block
	if b.fresh && (b.fired == 0 || t-b.fired >= int64(time.Hour)) {
		r.reportBlock(d, t, emit)
	}
}

// blockRule runs at ten-minute boundaries: the hourly update, and at the end of
// an hour the comparison with the allow sets (path B).
func (r *resource) blockRule(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.block
	if t%int64(time.Hour) == 0 {
		b.roll(t - 1)
		for _, k := range slices.SortedFunc(maps.Keys(b.sets), comparePorts) {
			r.closeHour(b.sets[k], k, t)
		}
	}
	if b.fresh && (b.fired == 0 || t-b.fired >= int64(time.Hour)) {
		r.reportBlock(d, t, emit)
	}
}

func comparePorts(a, b portKey) int {
	return int(a.proto)<<16 + int(a.port) - int(b.proto)<<16 - int(b.port)
}

// closeHour judges the newcomers of one hour, then takes them into the set.
func (r *resource) closeHour(set *allowSet, k portKey, t int64) {
	once, n := uint64(0), uint64(0)
	for _, p := range set.peers {
		n += uint64(p.days)
		if p.days == 1 {
			once++
		}
	}
	coverage, _ := baseline.Coverage(once, n)
	mature := t-set.first >= int64(blockMature) && coverage >= 0.98
	b := &r.block
	today := floorDiv(t-1, int64(day.window()))
	for _, p := range slices.SortedFunc(maps.Keys(set.today), peerKey.compare) {
		e := set.today[p]
		if mature && (e.Packets >= blockPackets || e.Connections > 0) && !set.vouched(p) && !r.alerted(p, t) && b.peers[p] == nil {
			if len(b.peers) < blockPeers {
				c := *e
				c.Lower = float64(c.Packets)
				b.peers[p], b.fresh = &c, true
				b.ports[k]++
			} else {
				b.extra++
			}
		}
		if len(set.peers) < allowMax {
			set.peers[p] = &regularPeer{days: 1, lastDay: today}
		}
	}
	clear(set.today)
	const forget = 30
	for p, m := range set.peers {
		if today-m.lastDay > forget {
			delete(set.peers, p)
		}
	}
}

// vouched reports whether regular peers of the same /24 (IPv6: /48) make a
// newcomer unsuspicious: a new office address, a mobile user.
func (s *allowSet) vouched(p peerKey) bool {
	n, cut := 0, 15
	if !p.addr().Is4() {
		cut = 6
	}
	for q, m := range s.peers {
		if m.days >= 3 && slices.Equal(q[:cut], p[:cut]) {
			n++
		}
	}
	return n >= blockRegulars
}

func (r *resource) reportBlock(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.block
	if len(b.peers) == 0 {
		return
	}
	f := weir.Finding{
		Type: weir.TrafficFromUnrecommended, Resource: r.res, Own: b.own, Direction: weir.Incoming,
		Key: strconv.FormatInt(b.day, 10), At: t, First: math.MaxInt64, Last: math.MinInt64, Quiet: blockQuiet, Window: day.window(),
		Unit: weir.UnitSources, Observed: float64(len(b.peers)), Threshold: 1, Count: uint64(len(b.peers)),
		Sampling: weir.Sampling{Rate: b.rate, Source: b.src},
		Peers:    topPeers(b.peers, blockPeers), Ports: portCounts(d, b.ports),
		Facts: map[string]string{},
	}
	if !f.Own.IsValid() && len(r.res.Addresses) > 0 {
		f.Own = r.res.Addresses[0]
	}
	best := 0.0
	paths := map[string]int{}
	for i := range f.Peers {
		p := &f.Peers[i]
		f.First, f.Last = min(f.First, p.First), max(f.Last, p.Last)
		paths[p.Path]++
		if v := b.verdicts[peerOf(p.Address)]; v != nil {
			best = math.Max(best, badScore(v, t)/100)
			if len(f.Intel) < weir.MaxIntel {
				f.Intel = append(f.Intel, intelEvidence(v, t)[0])
			}
		} else {
			best = math.Max(best, 0.5)
		}
	}
	f.Facts["byIntelligence"], f.Facts["byAllowSet"] = strconv.Itoa(paths["A"]), strconv.Itoa(paths["B"])
	f.Confidence = best
	if len(f.Ports) > 0 {
		f.Port, f.Service = f.Ports[0].Port, f.Ports[0].Service
	}
	if b.extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(b.extra)})
	}
	if paths["B"] == 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitLearning})
	}
	b.fired, b.fresh = t, false
	r.fire(d, f, emit)
}

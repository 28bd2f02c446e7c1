package detect

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/cover"
	"github.com/weir-net/weir/internal/detect/score"
	"github.com/weir-net/weir/internal/detect/service"
)

// Constants of the rule on addresses recommended for blocking (section 8.15).
const (
	blockPeers    = 100
	blockMature   = 14 * 24 * time.Hour
	blockPackets  = 2
	blockRegulars = 3 // regular peers of one /24 that vouch for a newcomer
	blockRegular  = 3 // days on which a regular peer was seen
	blockForget   = 30
	allowMax      = 1024
	blockQuiet    = 24 * time.Hour
)

// regularPeer is one member of an allow set.
type regularPeer struct {
	Days    uint32 // distinct days, saturating
	LastDay int64
}

// allowSet is what usually connects to one own port.
type allowSet struct {
	First int64
	Peers map[peerKey]*regularPeer
	Today map[peerKey]*weir.PeerEvidence // non-members seen in the current hour
}

// blockState keeps allow sets by own port, and the alert of the day.
type blockState struct {
	Sets  map[service.Port]*allowSet
	Day   int64
	Peers map[peerKey]*weir.PeerEvidence
	Ports map[service.Port]uint64
	// verdicts holds what intelligence says of the peers of path A.
	Verdicts map[peerKey]*weir.Verdict
	Own      netip.Addr
	Rate     uint32
	Src      weir.SamplingSource
	Fired    int64 // event time of the newest report
	Fresh    bool  // peers came since then
	Extra    int
	// Listed are prefixes of indicators on peers, with the day of the newest visit:
	// no recommendation covers them. Advice is the recommendation by port.
	Listed cover.List
	Advice map[service.Port][]netip.Prefix
}

func newBlockState() blockState {
	return blockState{Sets: make(map[service.Port]*allowSet)}
}

// roll begins the alert of a new day.
func (b *blockState) roll(t int64) {
	if d := floorDiv(t, int64(day.window())); d != b.Day || b.Peers == nil {
		b.Day, b.Peers, b.Ports = d, make(map[peerKey]*weir.PeerEvidence), make(map[service.Port]uint64)
		b.Verdicts, b.Fired, b.Fresh, b.Extra = make(map[peerKey]*weir.Verdict), 0, false, 0
	}
}

// add notes an incoming session for the allow set of its port.
func (b *blockState) add(s *session, start int64) {
	if !service.Managed(s.server) || !s.hasFwd {
		return
	}
	k := service.Port{Proto: s.c.Proto, Port: s.server}
	set := b.Sets[k]
	if set == nil {
		set = &allowSet{First: start, Peers: make(map[peerKey]*regularPeer), Today: make(map[peerKey]*weir.PeerEvidence)}
		b.Sets[k] = set
	}
	p := peerOf(s.c.Peer.Addr())
	today := floorDiv(s.c.End, int64(day.window()))
	if v := s.c.PeerIntel; v != nil && !v.Benign() && score.Bad(v, s.c.End) >= scoreThreshold {
		b.Listed.Add(v, s.c.Peer.Addr(), today)
		return // what intelligence calls bad never becomes regular
	}
	if r := set.Peers[p]; r != nil {
		if r.LastDay != today {
			r.Days, r.LastDay = r.Days+1, today
		}
		return
	}
	e := set.Today[p]
	if e == nil {
		if len(set.Today) >= maxSightings {
			return
		}
		e = &weir.PeerEvidence{Address: s.c.Peer.Addr(), First: s.c.Start, Path: "B"}
		set.Today[p] = e
	}
	e.Packets += s.fwd.Packets
	e.Bytes += s.fwd.Bytes
	e.First, e.Last = min(e.First, s.c.Start), max(e.Last, s.c.End)
	if s.completed() && !s.c.Allowed {
		e.Connections++
	}
}

// advise returns the recommendation for a set: prefixes that hold its regular
// peers; none where that takes too many, or nobody is regular.
func (b *blockState) advise(set *allowSet) []netip.Prefix {
	var peers []netip.Addr
	for p, m := range set.Peers {
		if m.Days >= blockRegular {
			peers = append(peers, p.addr())
		}
	}
	return cover.Of(peers, b.Listed.Prefixes())
}

// addIntel notes a peer that intelligence calls bad (path A).
func (b *blockState) addIntel(r *resource, p *sighting, t int64) {
	if !p.incoming || p.packets == 0 || p.verdict.Benign() || score.Bad(p.verdict, t) < scoreThreshold {
		return
	}
	b.roll(t - 1)
	k := peerOf(p.peer)
	e := b.Peers[k]
	if e == nil {
		if r.alerted(k, t) {
			return // another alert names this peer already (section 7.4)
		}
		if len(b.Peers) >= blockPeers {
			b.Extra++
			return
		}
		e = &weir.PeerEvidence{Address: p.peer, First: p.first, Path: "A"}
		b.Peers[k], b.Fresh = e, true
		b.Verdicts[k] = p.verdict
	}
	e.Packets, e.Bytes, e.Connections = e.Packets+p.packets, e.Bytes+p.bytes, e.Connections+p.connections
	e.First, e.Last, e.Lower = min(e.First, p.first), max(e.Last, p.last), float64(e.Packets)
	for port, n := range p.ports {
		b.Ports[port] += n
	}
	b.Own, b.Rate, b.Src = p.own, max(b.Rate, p.rate), max(b.Src, p.source)
}

// alerted reports whether a pair alert or one on a controller names the peer at
// present.
func (r *resource) alerted(k peerKey, t int64) bool {
	for _, g := range r.Intel.Groups {
		if g.Peers[k] != nil && t-g.Last < int64(c2Quiet) {
			return true
		}
	}
	for key, a := range r.Acts {
		p := a.Pairs[k]
		if key.Out || p == nil {
			continue
		}
		if p.Fired > t-int64(hour.window()) || a.aggregateType() != "" && r.isOpen(a.aggregateKey(), t) && p.Last > t-int64(hour.window()) {
			return true
		}
	}
	return false
}

// blockPane reports the first bad peer of the day at once and later ones with
// the hourly update.
func (r *resource) blockPane(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.Block
	if b.Fresh && (b.Fired == 0 || t-b.Fired >= int64(time.Hour)) {
		r.reportBlock(d, t, emit)
	}
}

// blockRule runs at ten-minute boundaries: the hourly update, and at the end of
// an hour the comparison with the allow sets (path B).
func (r *resource) blockRule(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.Block
	if t%int64(time.Hour) == 0 {
		b.roll(t - 1)
		for _, k := range slices.SortedFunc(maps.Keys(b.Sets), service.Port.Compare) {
			r.closeHour(b.Sets[k], k, t)
		}
	}
	if b.Fresh && (b.Fired == 0 || t-b.Fired >= int64(time.Hour)) {
		r.reportBlock(d, t, emit)
	}
}

// closeHour judges the newcomers of one hour, then takes them into the set.
func (r *resource) closeHour(set *allowSet, k service.Port, t int64) {
	once, n := uint64(0), uint64(0)
	for _, p := range set.Peers {
		n += uint64(p.Days)
		if p.Days == 1 {
			once++
		}
	}
	coverage, _ := baseline.Coverage(once, n)
	// A full set no longer tells who is a stranger.
	mature := t-set.First >= int64(blockMature) && coverage >= 0.98 && len(set.Peers) < allowMax
	b := &r.Block
	today := floorDiv(t-1, int64(day.window()))
	inTime := func(a, b peerKey) int {
		return cmp.Or(cmp.Compare(set.Today[a].First, set.Today[b].First), cmp.Compare(set.Today[a].Last, set.Today[b].Last), a.compare(b))
	}
	var advice []netip.Prefix
	if mature && len(set.Today) > 0 {
		advice = b.advise(set)
		if b.Advice == nil {
			b.Advice = make(map[service.Port][]netip.Prefix)
		}
		b.Advice[k] = advice
	}
	for _, p := range slices.SortedFunc(maps.Keys(set.Today), inTime) {
		e := set.Today[p]
		if mature && (e.Packets >= blockPackets || e.Connections > 0) && !cover.Holds(advice, p.addr()) && !set.vouched(p) && !r.alerted(p, t) && b.Peers[p] == nil {
			if len(b.Peers) < blockPeers {
				c := *e
				c.Lower = float64(c.Packets)
				b.Peers[p], b.Fresh = &c, true
				b.Ports[k]++
			} else {
				b.Extra++
			}
		}
		if len(set.Peers) < allowMax {
			set.Peers[p] = &regularPeer{Days: 1, LastDay: today}
		}
	}
	clear(set.Today)
	maps.DeleteFunc(set.Peers, func(_ peerKey, m *regularPeer) bool { return today-m.LastDay > blockForget })
	b.Listed.Forget(today - blockForget)
}

// vouched reports whether regular peers of the same /24 (IPv6: /48) make a
// newcomer unsuspicious: a new office address, a mobile user.
func (s *allowSet) vouched(p peerKey) bool {
	n, cut := 0, 15
	if !p.addr().Is4() {
		cut = 6
	}
	for q, m := range s.Peers {
		if m.Days >= blockRegular && slices.Equal(q[:cut], p[:cut]) {
			n++
		}
	}
	return n >= blockRegulars
}

// recommendation writes the advice for the ports of the alert.
func (b *blockState) recommendation() string {
	var words []string
	for _, k := range slices.SortedFunc(maps.Keys(b.Advice), service.Port.Compare) {
		if b.Ports[k] > 0 && len(b.Advice[k]) > 0 {
			words = append(words, service.ProtoName(k.Proto)+"/"+strconv.Itoa(int(k.Port))+" from "+cover.Text(b.Advice[k]))
		}
	}
	return strings.Join(words, "; ")
}

func (r *resource) reportBlock(d *Detector, t int64, emit func(weir.Finding)) {
	b := &r.Block
	if len(b.Peers) == 0 {
		return
	}
	f := weir.Finding{
		Type: weir.TrafficFromUnrecommended, Resource: r.Res, Own: b.Own, Direction: weir.Incoming,
		Key: strconv.FormatInt(b.Day, 10), At: t, First: math.MaxInt64, Last: math.MinInt64, Quiet: blockQuiet, Window: day.window(),
		Unit: weir.UnitSources, Observed: float64(len(b.Peers)), Threshold: 1, Count: uint64(len(b.Peers)),
		Sampling: weir.Sampling{Rate: b.Rate, Source: b.Src},
		Peers:    topPeers(b.Peers, blockPeers), Ports: portCounts(d, b.Ports),
		Facts: map[string]string{},
	}
	if !f.Own.IsValid() && len(r.Res.Addresses) > 0 {
		f.Own = r.Res.Addresses[0]
	}
	best := 0.0
	paths := map[string]int{}
	for i := range f.Peers {
		p := &f.Peers[i]
		f.First, f.Last = min(f.First, p.First), max(f.Last, p.Last)
		paths[p.Path]++
		if v := b.Verdicts[peerOf(p.Address)]; v != nil {
			best = math.Max(best, score.Bad(v, t)/100)
			if len(f.Intel) < weir.MaxIntel {
				f.Intel = append(f.Intel, score.Evidence(v, t)[0])
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
	if b.Extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(b.Extra)})
	}
	if text := b.recommendation(); paths["B"] > 0 && text != "" {
		f.Facts["recommendation"] = text
	}
	if paths["B"] == 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitLearning})
	}
	b.Fired, b.Fresh = t, false
	r.fire(d, f, emit)
}

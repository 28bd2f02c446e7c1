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
	"github.com/weir-net/weir/internal/detect/beat"
	"github.com/weir-net/weir/internal/detect/sample"
	"github.com/weir-net/weir/internal/detect/score"
	"github.com/weir-net/weir/internal/detect/service"
)

// Constants of the intelligence rules (sections 8.1, 8.2, 8.15).
const (
	scoreThreshold  = 50
	infectedFresh   = 7 * 24 * time.Hour
	c2Quiet         = 24 * time.Hour
	infectedQuiet   = 7 * 24 * time.Hour
	talkLength      = 60 // bytes; more than a bare acknowledgement
	unreachable     = 3  // ICMP type destination unreachable, RFC 792
	unreachable6    = 1  // ICMPv6 type destination unreachable, RFC 4443
	conficker       = "conficker"
	singleUDPMax    = 2 // packets of one query and its answer
	serviceDNS      = 53
	serviceNTP      = 123
	c2RepeatBonus   = 0.2
	c2PortBonus     = 0.2
	c2BeaconBonus   = 0.2
	maxTrains       = 256 // services of listed peers whose rhythm is followed
	familyUnlabeled = "unlabeled"
)

// sighting is one peer with an indicator as one pane shows it.
type sighting struct {
	peer        netip.Addr
	verdict     *weir.Verdict
	own         netip.Addr
	opened      uint64 // own packets of sessions that the own end opened
	answered    uint64 // own packets that say something to a peer that opened
	out, in     uint64 // packets either way of contacts without a direction
	long        bool   // some own packet is longer than an acknowledgement
	packets     uint64
	bytes       uint64
	connections uint64
	ports       map[service.Port]uint64
	first, last int64
	rate        uint32
	source      weir.SamplingSource
	incoming    bool // the peer is the client, or nobody knows
	udpOnly     bool // nothing but single exchanges of DNS or NTP
	allowed     bool
	records     []hashedRecord
}

// intelState follows indicators on peers and on the own addresses.
type intelState struct {
	pane   map[peerKey]*sighting
	own    map[netip.Addr]*ownSighting
	Groups map[string]*c2Group
	// Trains are the talks with controllers, by service.
	Trains map[beatKey]*beat.Train
}

// beatKey is one service of one address.
type beatKey struct {
	Peer peerKey
	Port service.Port
}

// c2Group is an alert in the making: one family, or one feed without families.
type c2Group struct {
	Peers map[peerKey]*weir.PeerEvidence
	First int64
	Last  int64
	Ports map[service.Port]uint64
}

type ownSighting struct {
	verdict     *weir.Verdict
	first, last int64
	rate        uint32
	source      weir.SamplingSource
}

func newIntelState() intelState {
	return intelState{pane: make(map[peerKey]*sighting), own: make(map[netip.Addr]*ownSighting), Groups: make(map[string]*c2Group), Trains: make(map[beatKey]*beat.Train)}
}

func (s *intelState) begin() {
	clear(s.pane)
	clear(s.own)
}

// maxSightings bounds the peers with indicators that one pane follows.
const maxSightings = 65536

// add notes a contact with an indicator on either end; ses is nil when the
// client could not be told.
func (s *intelState) add(c *weir.Contact, ses *session) {
	if c.OwnIntel != nil {
		o := s.own[c.Own.Addr()]
		if o == nil {
			o = &ownSighting{verdict: c.OwnIntel, first: c.Start}
			s.own[c.Own.Addr()] = o
		}
		o.first, o.last = min(o.first, c.Start), max(o.last, c.End)
		o.rate, o.source = max(o.rate, c.Sampling), max(o.source, c.SamplingSource)
	}
	if c.PeerIntel == nil {
		return
	}
	k := peerKey(c.Peer.Addr().As16())
	p := s.pane[k]
	if p == nil {
		if len(s.pane) >= maxSightings {
			return
		}
		p = &sighting{
			peer: c.Peer.Addr(), verdict: c.PeerIntel, own: c.Own.Addr(), first: c.Start,
			ports: make(map[service.Port]uint64), udpOnly: true,
		}
		s.pane[k] = p
	}
	p.note(c, ses)
	s.beat(k, c, ses)
}

// beat notes when the own end talks to a controller. Where nothing is sampled a
// record of its own packets is one talk; under sampling a packet either way is.
func (s *intelState) beat(k peerKey, c *weir.Contact, ses *session) {
	if ses != nil && !ses.out || c.Allowed || !slices.ContainsFunc(c.PeerIntel.Indicators, score.Controller) {
		return
	}
	if c.Sampling == 1 && !c.FromOwn && !c.Known.Has(weir.HasReverse) {
		return
	}
	key := beatKey{k, service.Port{Proto: c.Proto, Port: c.Peer.Port()}}
	t := s.Trains[key]
	if t == nil {
		if len(s.Trains) >= maxTrains {
			return
		}
		if s.Trains == nil {
			s.Trains = make(map[beatKey]*beat.Train)
		}
		t = &beat.Train{}
		s.Trains[key] = t
	}
	t.Add(c.Start, c.Out.Bytes, c.Sampling)
}

// rhythm returns the strongest verdict on the services of a peer that a pane
// shows.
func (s *intelState) rhythm(k peerKey, p *sighting, t int64) beat.Verdict {
	var best beat.Verdict
	for _, port := range slices.SortedFunc(maps.Keys(p.ports), service.Port.Compare) {
		if tr := s.Trains[beatKey{k, port}]; tr != nil {
			if v := tr.Verdict(t); v.Beacon && !best.Beacon || best.Method == "" {
				best = v
			}
		}
	}
	return best
}

func (p *sighting) note(c *weir.Contact, ses *session) {
	p.first, p.last = min(p.first, c.Start), max(p.last, c.End)
	p.rate, p.source, p.allowed = max(p.rate, c.Sampling), max(p.source, c.SamplingSource), c.Allowed
	out, in := c.Out.Packets, c.In.Packets
	if !c.Known.Has(weir.HasPackets) {
		// A record without counts is at least one packet each way it covers.
		both := c.Known.Has(weir.HasReverse)
		if c.FromOwn || both {
			out = 1
		}
		if !c.FromOwn || both {
			in = 1
		}
	}
	p.packets, p.bytes, p.connections = p.packets+out+in, p.bytes+c.Out.Bytes+c.In.Bytes, p.connections+1
	if c.Known.Has(weir.HasBytes) && out > 0 && c.Out.Bytes > talkLength*out {
		p.long = true
	}
	server := c.Peer.Port()
	if ses != nil {
		server = ses.server
	}
	p.ports[service.Port{Proto: c.Proto, Port: server}]++
	exchange := c.Proto == weir.ProtoUDP && (server == serviceDNS || server == serviceNTP) && out <= singleUDPMax
	p.udpOnly = p.udpOnly && exchange
	switch {
	case ses == nil:
		p.out, p.in = p.out+out, p.in+in
		// Whoever opened it, an own packet that is no refusal is talk.
		if c.Action != weir.ActionDeny && talks(c) {
			p.answered += out
		}
		// What leans toward an own client is rather an answer than a visit.
		p.incoming = p.incoming || c.LogOdds <= 0
	case ses.out:
		if c.Action != weir.ActionDeny {
			p.opened += out
		}
	default:
		p.incoming = true
		if says(c, ses) {
			p.answered += out
		}
	}
	rec := sample.Of(c)
	p.records = sample.Keep(p.records, rec, recordHash(&rec))
}

// says reports whether own packets of a session that the peer opened say more
// than no: neither SYN-ACK alone, nor reset, nor ICMP unreachable.
func says(c *weir.Contact, ses *session) bool {
	if c.Proto == weir.ProtoICMP || c.Proto == weir.ProtoICMPv6 {
		t := uint8(c.Peer.Port() >> 8) // the high byte
		return t != unreachable && t != unreachable6
	}
	if c.Proto != weir.ProtoTCP {
		return true
	}
	if !c.Known.Has(weir.HasFlags) {
		return false
	}
	f := c.Out.Flags
	if !ses.flagsApart {
		return f&weir.PSH != 0 && !ses.refused()
	}
	return f&weir.RST == 0 && f&weir.SYN == 0 && f != 0 || f&weir.PSH != 0
}

// talks reports whether own packets of a contact without a direction say more
// than no: for TCP neither SYN-ACK nor reset, where flags tell, or data besides; never ICMP
// unreachable. Other protocols of an unknown client need packets both ways and
// some length (clause c).
func talks(c *weir.Contact) bool {
	f := c.Out.Flags
	return c.Proto == weir.ProtoTCP && c.Known.Has(weir.HasFlags) && c.Out.Packets > 0 && (f != 0 && f&(weir.RST|weir.SYN) == 0 || f&weir.PSH != 0) &&
		(!c.Known.Has(weir.HasReverse) || c.Known.Has(weir.HasRevFlags))
}

// intelRules runs the two intelligence rules at the end of a pane.
func (r *resource) intelRules(d *Detector, t int64, emit func(weir.Finding)) {
	s := &r.Intel
	for _, k := range slices.SortedFunc(maps.Keys(s.pane), peerKey.compare) {
		p := s.pane[k]
		if p.allowed {
			continue
		}
		r.c2(d, k, p, t, emit)
		r.Block.addIntel(r, p, t)
	}
	for _, a := range slices.SortedFunc(maps.Keys(s.own), netip.Addr.Compare) {
		r.infected(d, a, s.own[a], t, emit)
	}
	if t%int64(time.Hour) == 0 {
		maps.DeleteFunc(s.Trains, func(_ beatKey, tr *beat.Train) bool { return tr.Idle(t) })
	}
	r.blockPane(d, t, emit)
}

// c2Path tells which clause of section 8.1 a sighting meets.
func (p *sighting) c2Path() string {
	switch {
	case p.opened > 0:
		return "a"
	case p.answered > 0:
		return "b"
	case p.out > 0 && p.in > 0 && p.long:
		return "c"
	}
	return ""
}

func (r *resource) c2(d *Detector, k peerKey, p *sighting, t int64, emit func(weir.Finding)) {
	path := p.c2Path()
	if path == "" {
		return
	}
	worth, portMatch := 0.0, false
	var ports []uint16
	for key := range p.ports {
		ports = append(ports, key.Port)
	}
	slices.Sort(ports)
	for _, port := range ports {
		worth = math.Max(worth, score.Of(p.verdict, t, max(port, 1), score.Controller))
	}
	var best *weir.Indicator
	sinkhole := false
	for _, i := range p.verdict.Indicators {
		if !score.Controller(i) || i.Port != 0 && !slices.Contains(ports, i.Port) {
			continue
		}
		portMatch = portMatch || i.Port != 0
		sinkhole = sinkhole || i.Category == weir.CategorySinkhole
		if best == nil || best.Family == "" && i.Family != "" {
			best = i
		}
	}
	if best == nil || worth < scoreThreshold {
		return
	}
	// A warning list, and a role that meets everybody, ask for more than the
	// bare address (section 8.1, reducers and guards).
	if p.verdict.Benign() && !portMatch || p.udpOnly && !portMatch {
		return
	}
	rhythm := r.Intel.rhythm(k, p, t)
	if r.Res.HasRole("resolver", "dns", "mail", "crawler", "proxy", "threat-intel") && (path != "a" || !portMatch) && !rhythm.Beacon {
		return
	}
	name := strings.ToLower(best.Family)
	if name == "" {
		name = familyUnlabeled + "|" + best.Source
	}
	g := r.Intel.Groups[name]
	if g == nil || t-g.Last > int64(c2Quiet) {
		g = &c2Group{Peers: make(map[peerKey]*weir.PeerEvidence), Ports: make(map[service.Port]uint64), First: p.first}
		r.Intel.Groups[name] = g
	}
	g.merge(k, p)
	f := weir.Finding{
		Type: weir.CommunicationWithC2, Resource: r.Res, Own: p.own, Direction: weir.Outgoing, Key: name,
		At: t, First: g.First, Last: g.Last, Quiet: c2Quiet, Window: d.cfg.Pane,
		Unit: weir.UnitScore, Observed: worth, Threshold: scoreThreshold, Count: uint64(len(g.Peers)),
		Sampling: weir.Sampling{Rate: p.rate, Source: p.source},
		Intel:    score.Evidence(p.verdict, t),
		Facts:    map[string]string{"path": path, "portMatch": strconv.FormatBool(portMatch)},
	}
	if path == "b" {
		f.Direction = weir.Incoming
	}
	conf := []float64{worth / 100}
	if portMatch {
		conf = append(conf, c2PortBonus)
	}
	if g.others(k, t) {
		conf = append(conf, c2RepeatBonus)
	}
	if rhythm.Method != "" {
		f.Facts["beaconScore"] = strconv.FormatFloat(rhythm.Score, 'f', 3, 64)
		f.Facts["beaconEvents"], f.Facts["beaconMethod"] = strconv.Itoa(rhythm.Events), rhythm.Method
	}
	if rhythm.Beacon {
		conf = append(conf, c2BeaconBonus)
	}
	f.Confidence = baseline.CombineConfidence(conf...)
	if sinkhole {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitSinkhole})
	}
	if p.verdict.Benign() {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitWarningList})
	}
	g.fill(d, &f)
	for i := range p.records {
		f.Records = append(f.Records, p.records[i].RecordEvidence)
	}
	r.fire(d, f, emit)
}

// maxGroupPeers bounds the peers of one alert in the making.
const maxGroupPeers = 1024

func (g *c2Group) merge(k peerKey, p *sighting) {
	e := g.Peers[k]
	if e == nil {
		if len(g.Peers) >= maxGroupPeers {
			return
		}
		e = &weir.PeerEvidence{Address: p.peer, First: p.first}
		g.Peers[k] = e
	}
	e.Packets, e.Bytes, e.Connections = e.Packets+p.packets, e.Bytes+p.bytes, e.Connections+p.connections
	e.First, e.Last = min(e.First, p.first), max(e.Last, p.last)
	e.Lower = float64(e.Connections)
	g.First, g.Last = min(g.First, p.first), max(g.Last, p.last)
	for port, n := range p.ports {
		g.Ports[port] += n
	}
}

// others reports whether a second controller of the family was met within a day.
func (g *c2Group) others(k peerKey, t int64) bool {
	for peer, e := range g.Peers {
		if peer != k && t-e.Last < int64(day.window()) {
			return true
		}
	}
	return false
}

// fill puts peers and ports of a group into a finding.
func (g *c2Group) fill(d *Detector, f *weir.Finding) {
	f.Peers = topPeers(g.Peers, weir.MaxPeers)
	f.Ports = portCounts(d, g.Ports)
	if len(f.Ports) > 0 {
		f.Port, f.Service = f.Ports[0].Port, f.Ports[0].Service
	}
}

func topPeers(m map[peerKey]*weir.PeerEvidence, most int) []weir.PeerEvidence {
	out := make([]weir.PeerEvidence, 0, len(m))
	for _, k := range slices.SortedFunc(maps.Keys(m), peerKey.compare) {
		out = append(out, *m[k])
	}
	slices.SortStableFunc(out, func(a, b weir.PeerEvidence) int { return cmp.Compare(b.Lower, a.Lower) })
	return out[:min(len(out), most)]
}

func portCounts(d *Detector, m map[service.Port]uint64) []weir.PortCount {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b service.Port) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
	})
	var out []weir.PortCount
	for _, k := range keys[:min(len(keys), weir.MaxPorts)] {
		out = append(out, weir.PortCount{Port: k.Port, Protocol: service.ProtoName(k.Proto), Service: d.table.Name(k.Proto, k.Port), Count: m[k]})
	}
	return out
}

// infected raises the alert on an own address that intelligence calls infected
// (section 8.2): reported within 7 days, and not before the resource held it.
func (r *resource) infected(d *Detector, own netip.Addr, o *ownSighting, t int64, emit func(weir.Finding)) {
	fam := &d.fam[service.Infected]
	for _, i := range o.verdict.Indicators {
		name := strings.ToLower(i.Family)
		if i.Category != weir.CategoryInfected || i.Prefix.Bits() != i.Prefix.Addr().BitLen() {
			continue
		}
		if !strings.Contains(name, conficker) && !slices.ContainsFunc(fam.Families, func(f string) bool { return strings.EqualFold(f, name) }) {
			continue
		}
		worth := score.Decayed(i, t)
		seen := i.LastSeen
		if seen == 0 {
			seen = o.last
		}
		if t-seen > int64(infectedFresh) || worth < scoreThreshold || seen < r.Res.Since {
			continue
		}
		if r.Res.SinceUnknown && !r.conficker() {
			continue // the report may be about an earlier holder of the address
		}
		f := weir.Finding{
			Type: weir.ResourceIPMalicious, Resource: r.Res, Own: own, Direction: weir.Outgoing,
			Key: own.String() + "|" + name, At: t, First: o.first, Last: o.last, Quiet: infectedQuiet, Window: day.window(),
			Unit: weir.UnitScore, Observed: worth, Threshold: scoreThreshold, Count: 1,
			Sampling:   weir.Sampling{Rate: o.rate, Source: o.source},
			Confidence: worth / 100,
			Intel:      score.Evidence(o.verdict, t),
			Facts:      map[string]string{"family": name, "corroborated": strconv.FormatBool(r.conficker())},
		}
		if r.conficker() {
			f.Confidence = baseline.CombineConfidence(f.Confidence, 0.5)
		}
		if r.Res.SinceUnknown {
			f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitLeaseUnknown})
		}
		r.fireHourly(d, f, t, emit)
		return
	}
}

// conficker reports the behaviour that corroborates a report: a sweep of
// tcp/445 with at least 8 targets (section 8.2 (i)).
func (r *resource) conficker() bool {
	e := r.Scan.Sweeps[service.Port{Proto: weir.ProtoTCP, Port: 445}]
	return e != nil && e.Cusum.Alarm() && len(e.Targets) >= 8
}

// fireHourly reports a finding whose evidence is renewed by any traffic at most
// once an hour.
func (r *resource) fireHourly(d *Detector, f weir.Finding, t int64, emit func(weir.Finding)) {
	if e := r.Episodes[episodeKey{f.Type, f.Key}]; e != nil && t-e.Last < int64(time.Hour) {
		return
	}
	r.fire(d, f, emit)
}

package detect

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/carpet"
	"github.com/weir-net/weir/internal/detect/habit"
	"github.com/weir-net/weir/internal/detect/service"
)

// Constants of the scan rule (section 8.10).
const (
	sweepExact      = 25 // destinations, nothing sampled
	sweepSampled    = 10
	verticalExact   = 15 // ports of one destination
	verticalSampled = 8
	mixedPairs      = 20
	portShare       = 0.8
	replyShareMax   = 0.3
	replyShareWeb   = 0.1
	resetShare      = 0.5
	webSurprise     = 6 // of new web destinations
	deadSurprise    = 4 // of unanswered destinations of other ports
	scanIdle        = 24 * time.Hour
	scanQuiet       = 2 * time.Hour
	knownLife       = 7 * 24 * time.Hour
	knownMax        = 65536
	maxExcursions   = 1024
	maxTargets      = 4096
	deadShare       = 0.5 // of a first contact's packets that are bare SYNs
)

// targetKey is one service of one destination.
type targetKey struct {
	peer peerKey
	port service.Port
}

func (k targetKey) compare(o targetKey) int {
	return cmp.Or(k.peer.compare(o.peer), cmp.Compare(k.port.Proto, o.port.Proto), cmp.Compare(k.port.Port, o.port.Port))
}

func (k targetKey) hash() uint64 {
	return mix(k.peer.hash() ^ uint64(k.port.Proto)<<16 ^ uint64(k.port.Port))
}

// probe is what one pane shows of first contacts to one target.
type probe struct {
	key              targetKey
	xf, syn, xr, rst uint64
	n                uint32 // sampling interval
	source           weir.SamplingSource
	first, last      int64
	own              netip.Addr
	peerIsOwn        bool
	rec              weir.RecordEvidence
}

// target is one destination of an excursion.
type target struct {
	Xf         uint64
	Ports      map[uint16]bool
	First      int64
	Last       int64
	Unanswered bool
}

// excursion is a run of the CUSUM above zero with the targets that it met.
type excursion struct {
	Cusum            baseline.PMCusum
	First, Last      int64
	Targets          map[peerKey]*target
	Dead             int // targets that nobody has seen answer
	Pairs            int // distinct (destination, port)
	Ports            map[uint16]uint64
	Xf, Syn, Xr, Rst uint64
	N                uint32
	NoRate           bool
	Source           weir.SamplingSource
	Own              netip.Addr
	Records          []hashedRecord
	Overflow         int
	Proto            uint8
	Pane             burst
	// Flood tells that it once came at the rate of a flood, with many packets for
	// each target: it is held back for the flood rule.
	Flood bool
}

// burst is what one pane adds to an excursion.
type burst struct {
	At, First, Last int64
	Xf              uint64
}

// scanState follows first contacts that a resource makes.
type scanState struct {
	pending  map[targetKey]*probe
	sweeps   []service.Port // excursions that grew in this pane
	verts    []peerKey
	Known    [2]map[uint64]bool
	KnownGen int64
	Sweeps   map[service.Port]*excursion
	Verts    map[peerKey]*excursion
	Mixed    *excursion
	Own      habit.Share
	New      habit.Ports // new web destinations, unanswered ones of other ports
	DayOf    int64
	First    int64
	Swept    int64 // hour in which idle excursions were last dropped
}

func newScanState() scanState {
	return scanState{
		pending: make(map[targetKey]*probe), Sweeps: make(map[service.Port]*excursion), Verts: make(map[peerKey]*excursion),
		Known: [2]map[uint64]bool{make(map[uint64]bool), make(map[uint64]bool)},
	}
}

func (s *scanState) begin() {
	clear(s.pending)
	s.sweeps, s.verts = s.sweeps[:0], s.verts[:0]
}

// scanUDP are the UDP services whose sweeps are worth an alert. High random
// ports are those of peers of peer-to-peer networks, never judged.
func scanUDP(port uint16) bool {
	switch port {
	case 19, 69, 111, 123, 137, 161, 389, 500, 623, 1434, 1900, 3389, 3702, 5060, 5353, 11211:
		return true
	}
	return false
}

func isWeb(port uint16) bool { return port == 80 || port == 443 || port == 8080 || port == 8443 }

// add notes one outgoing session.
func (s *scanState) add(ses *session) {
	c := ses.c
	if c.Allowed || ses.server == 0 || c.Proto == weir.ProtoUDP && !scanUDP(ses.server) {
		return
	}
	if s.First == 0 {
		s.First = c.Start
	}
	p := s.probe(c, ses.server)
	if ses.rev.Packets > 0 && (ses.refused() || ses.flagsApart && ses.rev.Flags&weir.RST != 0 && ses.rev.Flags&weir.SYN == 0) {
		p.rst += ses.rev.Packets
	}
	p.xr += ses.rev.Packets
	if !ses.hasFwd || !c.Known.Has(weir.HasPackets) {
		return
	}
	p.xf += ses.fwd.Packets
	if c.Proto == weir.ProtoTCP {
		syn, _ := ses.marks()
		if !c.Known.Has(weir.HasFlags) && c.Known.Has(weir.HasReverse) && ses.rev.Packets == 0 {
			syn = ses.fwd.Packets // nobody answered, whatever the flags were
		}
		p.syn += syn
		s.Own.Add(syn, ses.fwd.Packets)
	}
}

// probe returns what the pane shows of the target of a contact, with the contact
// noted.
func (s *scanState) probe(c *weir.Contact, port uint16) *probe {
	k := targetKey{peerOf(c.Peer.Addr()), service.Port{Proto: c.Proto, Port: port}}
	p := s.pending[k]
	if p == nil {
		p = &probe{key: k, first: c.Start, own: c.Own.Addr(), n: c.Sampling, source: c.SamplingSource, rec: evidenceOf(c), peerIsOwn: c.PeerIsOwn}
		s.pending[k] = p
	}
	p.first, p.last = min(p.first, c.Start), max(p.last, c.End)
	if c.Sampling == 0 || p.n == 0 {
		p.n = 0
	} else {
		p.n = max(p.n, c.Sampling)
	}
	return p
}

// unsure notes a TCP contact whose client could not be told but is rather the
// own end. Of a service on a high port only the SYNs tell who calls: without the
// other packets every sampled connection to it would look like a probe.
func (s *scanState) unsure(c *weir.Contact) {
	const need = weir.HasPorts | weir.HasPackets | weir.HasFlags
	if c.Allowed || c.Proto != weir.ProtoTCP || c.LogOdds <= 0 || c.Peer.Port() == 0 || !c.Known.Has(need) {
		return
	}
	if f := c.Out.Flags; c.Out.Packets == 0 || f&(weir.SYN|weir.RST) != 0 || f == 0 {
		return
	}
	p := s.probe(c, c.Peer.Port())
	p.xf, p.xr = p.xf+c.Out.Packets, p.xr+c.In.Packets
}

// isKnown reports whether the target was contacted in the last 7 to 14 days.
func (s *scanState) isKnown(h uint64) bool {
	if _, ok := s.Known[0][h]; ok {
		return true
	}
	_, ok := s.Known[1][h]
	return ok
}

// remember adds a target to the known set, in two generations of 7 days; a full
// generation is retired early.
func (s *scanState) remember(h uint64, t int64) {
	gen := floorDiv(t, int64(knownLife))
	if gen != s.KnownGen || len(s.Known[0]) >= knownMax {
		if gen > s.KnownGen+1 {
			clear(s.Known[0])
		}
		s.Known[1], s.Known[0], s.KnownGen = s.Known[0], make(map[uint64]bool), gen
	}
	s.Known[0][h] = true
}

// scanRule works off the first contacts of a pane (late false), and reports
// running excursions. Sweeps of SSH and RDP ports wait for the boundary (late
// true), where the OneToMany rules have precedence (section 7.4).
func (r *resource) scanRule(d *Detector, t int64, late bool, emit func(weir.Finding)) {
	s := &r.Scan
	if r.Res == nil || r.Res.HasRole("scanner", "monitoring") {
		return
	}
	cold := t-s.First < nanos(d.cfg.LearnCold)
	q := 0.0
	if !cold {
		q = s.Own.Upper()
	}
	t0, t1, double, off := baseline.PMParams(q)
	if late {
		r.scanDay(t)
		r.scanHour(t)
	} else {
		r.takeProbes(t, t0, t1, off)
	}
	if off {
		return
	}
	factor := 1
	if cold {
		factor *= 2
	}
	if double {
		factor *= 2
	}
	r.reportScans(d, t, late, factor, cold, t0, t1, emit)
}

// takeProbes feeds the CUSUMs with the first contacts of the pane, in order.
func (r *resource) takeProbes(t int64, t0, t1 float64, off bool) {
	s := &r.Scan
	for _, p := range s.inOrder() {
		k, h := p.key, p.key.hash()
		if known := s.isKnown(h); known || p.xf == 0 {
			if known && p.answered() {
				s.Sweeps[k.port].answered(k.peer)
			}
			continue
		}
		s.remember(h, t)
		f := float64(p.syn) / float64(p.xf)
		if k.port.Proto == weir.ProtoUDP {
			f = 0
			if p.xr == 0 {
				f = 1
			}
		}
		if isWeb(k.port.Port) || f >= deadShare {
			s.New.Add(k.port)
		}
		if off {
			continue
		}
		if e := s.Sweeps[k.port].take(k, p, f, t0, t1, t); e != nil {
			s.Sweeps[k.port], s.sweeps = e, append(s.sweeps, k.port)
		} else {
			delete(s.Sweeps, k.port)
		}
		if e := s.Verts[k.peer].take(k, p, f, t0, t1, t); e != nil {
			s.Verts[k.peer], s.verts = e, append(s.verts, k.peer)
		} else {
			delete(s.Verts, k.peer)
		}
		if k.port.Port < 1024 && !isWeb(k.port.Port) {
			s.Mixed = s.Mixed.take(k, p, f, t0, t1, t)
		}
	}
	clear(s.pending)
	if hourNo := floorDiv(t, int64(time.Hour)); hourNo != s.Swept || len(s.Sweeps) > 2*maxExcursions || len(s.Verts) > 2*maxExcursions {
		s.Swept = hourNo
		dropIdle(s.Sweeps, t, service.Port.Compare)
		dropIdle(s.Verts, t, peerKey.compare)
	}
}

// answered reports whether somebody answered: a reply other than a reset, or for
// TCP an own packet that is no bare SYN.
func (p *probe) answered() bool {
	return p.xr > p.rst || p.key.port.Proto == weir.ProtoTCP && p.xf > p.syn
}

// answered notes that a target is alive after all: under sampling the first
// packet seen of an ordinary connection may be its SYN.
func (e *excursion) answered(peer peerKey) {
	if e == nil {
		return
	}
	if tg := e.Targets[peer]; tg != nil && tg.Unanswered {
		tg.Unanswered = false
		e.Dead--
	}
}

// inOrder returns the probes of the pane in the order of time, so that which
// addresses take part does not matter (property P9); the address decides ties
// only.
func (s *scanState) inOrder() []*probe {
	return slices.SortedFunc(maps.Values(s.pending), func(p, q *probe) int {
		return cmp.Or(sign(p.first-q.first), sign(p.last-q.last), cmp.Compare(p.xf, q.xf), cmp.Compare(p.syn, q.syn), p.key.compare(q.key))
	})
}

// dropIdle forgets excursions without a first contact for a day, and beyond the
// bound those with the fewest targets.
func dropIdle[K comparable](m map[K]*excursion, t int64, compare func(a, b K) int) {
	for k, e := range m {
		if t-e.Last > int64(scanIdle) {
			delete(m, k)
		}
	}
	if len(m) <= maxExcursions {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[a].Pairs, m[b].Pairs), compare(a, b))
	})
	for _, k := range keys[:len(keys)-maxExcursions] {
		delete(m, k)
	}
}

// take adds one first contact; it returns nil when the level is back at zero.
func (e *excursion) take(k targetKey, p *probe, f, t0, t1 float64, t int64) *excursion {
	if e == nil || t-e.Last > int64(scanIdle) {
		if baseline.PMIncrement(f, t0, t1) <= 0 {
			return nil
		}
		e = &excursion{First: p.first, N: 1, Targets: make(map[peerKey]*target), Ports: make(map[uint16]uint64), Proto: k.port.Proto}
	}
	e.Cusum.Add(f, t0, t1)
	// An excursion that has long alarmed must be able to end.
	e.Cusum.Level = math.Min(e.Cusum.Level, 4*baseline.PMAlarm)
	if e.Cusum.Level == 0 {
		return nil
	}
	e.First, e.Last, e.Own = min(e.First, p.first), max(e.Last, p.last), p.own
	e.Xf, e.Syn, e.Xr, e.Rst = e.Xf+p.xf, e.Syn+p.syn, e.Xr+p.xr, e.Rst+p.rst
	e.N, e.NoRate, e.Source = max(e.N, p.n), e.NoRate || p.n == 0, max(e.Source, p.source)
	if f < deadShare {
		return e
	}
	if e.Pane.At != t {
		e.Pane = burst{At: t, First: p.first}
	}
	e.Pane.First, e.Pane.Last, e.Pane.Xf = min(e.Pane.First, p.first), max(e.Pane.Last, p.last), e.Pane.Xf+p.xf
	tg := e.Targets[k.peer]
	if tg == nil {
		if len(e.Targets) >= maxTargets {
			e.Overflow++
			return e
		}
		tg = &target{Ports: make(map[uint16]bool), First: p.first, Unanswered: true}
		e.Targets[k.peer] = tg
		e.Dead++
	}
	if !tg.Ports[k.port.Port] && e.Pairs < 16*maxTargets {
		tg.Ports[k.port.Port] = true
		e.Pairs++
		e.Ports[k.port.Port]++
	}
	tg.Xf += p.xf
	tg.First, tg.Last = min(tg.First, p.first), max(tg.Last, p.last)
	if p.xr > p.rst {
		e.answered(k.peer)
	}
	e.keep(hashedRecord{recordHash(&p.rec), p.rec})
	return e
}

func (e *excursion) keep(r hashedRecord) {
	p := pair{Records: e.Records}
	p.keepRecord(r.RecordEvidence, r.Hash)
	e.Records = p.Records
}

// unanswered reports whether replies are as rare as after a scan: few replies
// where they can be seen, or resets in their place.
func (e *excursion) unanswered(r *resource, limit float64) bool {
	if !r.View.ok() || float64(e.Rst) >= resetShare*float64(max(e.Xr, 1)) {
		return true
	}
	replies := e.Xr - min(e.Rst, e.Xr)
	return baseline.BetaUCB95(replies, replies+e.Xf) < limit
}

// need returns a number of targets under the sampling of the excursion.
func (e *excursion) need(exact, sampled, factor int) int {
	if e.N > 1 {
		return sampled * factor
	}
	return exact * factor
}

func (r *resource) reportScans(d *Detector, t int64, late bool, factor int, cold bool, t0, t1 float64, emit func(weir.Finding)) {
	s := &r.Scan
	// Only what the closing pane (or, late, the closing ten minutes) brought is
	// news; older excursions were judged when they grew.
	since := t - nanos(d.cfg.Pane)
	if late {
		since = t - hour.slot()
	}
	total := -1
	sweeps, verts := s.grown(late)
	for _, port := range sweeps {
		e := s.Sweeps[port]
		if e == nil || !e.Cusum.Alarm() || e.NoRate || e.Last < since {
			continue
		}
		login := r.loginSweep(d, port)
		if login != nil && (!late || login.open(r, t)) {
			continue
		}
		if total < 0 {
			total = s.targets()
		}
		need, limit := e.need(sweepExact, sweepSampled, factor), replyShareMax
		if isWeb(port.Port) {
			if r.Res.HasRole("crawler", "proxy", "nat") {
				continue
			}
			limit = replyShareWeb
			if cold {
				need *= 2
			}
		}
		if r.Res.HasRole("dns", "p2p") && port.Proto == weir.ProtoUDP {
			continue
		}
		if e.Dead < need || float64(len(e.Targets)) < portShare*float64(total) || !e.unanswered(r, limit) ||
			!r.surprising(port, e, t) || e.held() {
			continue
		}
		r.fire(d, r.scanFinding(d, e, "sweep", strconv.Itoa(int(port.Port)), need, t, t0, t1), emit)
	}
	for _, peer := range verts {
		e := s.Verts[peer]
		if e == nil {
			continue
		}
		need := e.need(verticalExact, verticalSampled, factor)
		if e.Cusum.Alarm() && !e.NoRate && e.Last >= since && e.Pairs >= need && e.unanswered(r, replyShareMax) && !r.flooding(t) && !e.flooded() {
			r.fire(d, r.scanFinding(d, e, "vertical", "vertical", need, t, t0, t1), emit)
		}
	}
	if e := s.Mixed; e != nil && e.Cusum.Alarm() && !e.NoRate && e.Last >= since && len(e.Targets) >= 3 && len(e.Ports) >= 3 {
		need := e.need(mixedPairs, mixedPairs, factor)
		if e.Pairs >= need && e.unanswered(r, replyShareMax) && !r.flooding(t) && !e.flooded() && !e.dominated() && e.Own.IsValid() {
			r.fire(d, r.scanFinding(d, e, "mixed", "mixed", need, t, t0, t1), emit)
		}
	}
}

// grown returns the excursions to report on, in order: those that grew in this
// pane or, late, all.
func (s *scanState) grown(late bool) ([]service.Port, []peerKey) {
	if late {
		return slices.SortedFunc(maps.Keys(s.Sweeps), service.Port.Compare), slices.SortedFunc(maps.Keys(s.Verts), peerKey.compare)
	}
	slices.SortFunc(s.sweeps, service.Port.Compare)
	slices.SortFunc(s.verts, peerKey.compare)
	return slices.Compact(s.sweeps), slices.Compact(s.verts)
}

// targets returns the number of targets of all sweeps.
func (s *scanState) targets() int {
	n := 0
	for _, e := range s.Sweeps {
		n += len(e.Targets)
	}
	return n
}

// held reports whether a sweep is left to the flood rule: it comes, or came, at
// the rate of a flood, and its targets get many packets each, as in a carpet
// bombing. A scan sends few packets to each target, however fast it is.
func (e *excursion) held() bool {
	floor := float64(floodSynRate)
	if e.Proto == weir.ProtoUDP {
		floor = floodRate
	}
	seconds := math.Max(time.Duration(e.Pane.Last-e.Pane.First).Seconds(), 1)
	if !e.Flood && baseline.RateLower(max(e.N, 1), e.Pane.Xf, seconds) < floor {
		return false
	}
	dests := make([]carpet.Dest, 0, len(e.Targets))
	for k, tg := range e.Targets {
		dests = append(dests, carpet.Dest{Addr: k.addr(), Packets: tg.Xf})
	}
	e.Flood = carpet.Packed(max(e.N, 1), dests)
	return e.Flood
}

// scanning reports whether a sweep that is no flood was going on since a time:
// its packets are one to each target, which the flood rule leaves alone unless
// its destinations get many each.
func (r *resource) scanning(since int64) bool {
	for _, e := range r.Scan.Sweeps {
		if e.Cusum.Alarm() && !e.Flood && e.Last >= since && len(e.Targets) >= e.need(sweepExact, sweepSampled, 1) {
			return true
		}
	}
	return false
}

// floodPackets is the mean number of packets of a target service from which an
// excursion is a flood of many ports: a scanner sends a few to each.
const floodPackets = 20

// flooded reports whether an excursion is a flood of few hosts at many ports,
// which the flood rule judges (section 7.4).
func (e *excursion) flooded() bool { return e.Xf >= floodPackets*uint64(max(e.Pairs, 1)) }

// dominated reports whether one port or one destination makes the excursion a
// sweep or a vertical scan.
func (e *excursion) dominated() bool {
	for _, n := range e.Ports {
		if float64(n) >= portShare*float64(e.Pairs) {
			return true
		}
	}
	for _, tg := range e.Targets {
		if float64(len(tg.Ports)) >= portShare*float64(e.Pairs) {
			return true
		}
	}
	return false
}

// loginSweep returns the activity whose own rules have precedence for a port:
// outgoing SSH and RDP.
func (r *resource) loginSweep(d *Detector, port service.Port) *activity {
	svc := d.table.Find(r.Res, false, port.Proto, port.Port)
	if svc == nil || svc.Family != service.SSH && svc.Family != service.RDP {
		return nil
	}
	if a := r.Acts[actKey{true, service.StatePort(svc, port.Proto, port.Port)}]; a != nil {
		return a
	}
	return newActivity(actKey{true, port}, svc)
}

// open reports whether an outgoing alert of the activity is running.
func (a *activity) open(r *resource, t int64) bool {
	if r.isOpen(a.aggregateKey(), t) {
		return true
	}
	for k, e := range r.Episodes {
		if k.Typ == a.pairType() && e.Until > t {
			return true
		}
	}
	return false
}

// surprising asks whether the destinations of a sweep are more than usual. A
// mail server always has servers to call that are gone, a crawler pages, a
// cluster node pods: of mail and other ports the unanswered destinations count,
// of web ports new ones.
func (r *resource) surprising(port service.Port, e *excursion, t int64) bool {
	if isWeb(port.Port) {
		return r.Scan.New.Surprise(port, e.Dead, time.Duration(t-e.First).Hours()) >= webSurprise
	}
	for h := hour; h <= day; h++ {
		n := 0
		for _, tg := range e.Targets {
			if tg.Unanswered && tg.First >= t-int64(h.window()) {
				n++
			}
		}
		if r.Scan.New.Surprise(port, n, h.hours()) >= deadSurprise {
			return true
		}
	}
	return false
}

// scanHour closes an hour of new destinations. Ports of which a sweep is being
// reported learn nothing.
func (r *resource) scanHour(t int64) {
	if t%int64(time.Hour) == 0 {
		r.Scan.New.Close(t, func(p service.Port) bool {
			return r.isOpen(episodeKey{weir.PortScanning, strconv.Itoa(int(p.Port))}, t)
		})
	}
}

// scanDay closes a day of the own SYN share, unless a scan was reported in it.
func (r *resource) scanDay(t int64) {
	s := &r.Scan
	dayNo := floorDiv(t-1, int64(day.window()))
	if dayNo == s.DayOf {
		return
	}
	scanned := false
	for k, e := range r.Episodes {
		scanned = scanned || k.Typ == weir.PortScanning && e.Until > t-int64(day.window())
	}
	s.Own.Close(!scanned)
	s.DayOf = dayNo
}

func (r *resource) scanFinding(d *Detector, e *excursion, shape, key string, need int, t int64, t0, t1 float64) weir.Finding {
	f := weir.Finding{
		Type: weir.PortScanning, Resource: r.Res, Own: e.Own, Direction: weir.Outgoing, Key: key,
		At: t, First: e.First, Last: e.Last, Quiet: scanQuiet, Window: time.Hour,
		Unit: weir.UnitDestinations, Observed: float64(len(e.Targets)), Threshold: float64(need),
		Count: uint64(len(e.Targets)), Proto: e.Proto,
		Sampling:   weir.Sampling{Rate: e.N, Source: e.Source},
		Confidence: baseline.CombineConfidence(math.Min(e.Cusum.Level/(4*baseline.PMAlarm), 0.9), math.Min(float64(len(e.Targets)+e.Pairs)/200, 0.8)),
	}
	if shape == "vertical" {
		f.Unit, f.Observed, f.Count = weir.UnitPorts, float64(e.Pairs), uint64(e.Pairs) //nolint:gosec // counts
	}
	if e.N == 1 {
		n := f.Observed
		f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = &n, &n, &n
	} else {
		lo := f.Observed // more targets than were sampled, by an unknown factor
		f.Sampling.Low95 = &lo
	}
	ports := slices.SortedFunc(maps.Keys(e.Ports), func(a, b uint16) int {
		return cmp.Or(cmp.Compare(e.Ports[b], e.Ports[a]), cmp.Compare(a, b))
	})
	for _, p := range ports[:min(len(ports), weir.MaxPorts)] {
		f.Ports = append(f.Ports, weir.PortCount{Port: p, Protocol: service.ProtoName(e.Proto), Service: d.serviceName(e.Proto, p), Count: e.Ports[p]})
	}
	if len(ports) > 0 {
		f.Port, f.Service = ports[0], d.serviceName(e.Proto, ports[0])
	}
	peers := slices.SortedFunc(maps.Keys(e.Targets), func(a, b peerKey) int {
		return cmp.Or(cmp.Compare(len(e.Targets[b].Ports), len(e.Targets[a].Ports)), cmp.Compare(e.Targets[b].Xf, e.Targets[a].Xf), a.compare(b))
	})
	for _, p := range peers[:min(len(peers), weir.MaxPeers)] {
		tg := e.Targets[p]
		f.Peers = append(f.Peers, weir.PeerEvidence{
			Address: p.addr(), Packets: tg.Xf, Connections: uint64(len(tg.Ports)), Lower: float64(len(tg.Ports)),
			First: tg.First, Last: tg.Last,
		})
	}
	if extra := len(peers) - weir.MaxPeers + e.Overflow; extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(extra)})
	}
	for i := range e.Records {
		f.Records = append(f.Records, e.Records[i].RecordEvidence)
	}
	f.Facts = map[string]string{
		"shape": shape, "cusum": strconv.FormatFloat(e.Cusum.Level, 'f', 2, 64),
		"t0": strconv.FormatFloat(t0, 'f', 3, 64), "t1": strconv.FormatFloat(t1, 'f', 3, 64),
		"packets": strconv.FormatUint(e.Xf, 10), "synShare": strconv.FormatFloat(float64(e.Syn)/math.Max(float64(e.Xf), 1), 'f', 3, 64),
	}
	if r.View.oneWay() {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitOneWay})
	}
	f.Limits = append(f.Limits, r.limits(true)...)
	return f
}

// serviceName names a port for people.
func (d *Detector) serviceName(proto uint8, port uint16) string {
	if s := d.table.At(proto, port); s != nil {
		return s.Name
	}
	switch port {
	case 80, 8080:
		return "HTTP"
	case 443, 8443:
		return "HTTPS"
	case 53:
		return "DNS"
	}
	if proto == weir.ProtoUDP {
		return "UDP " + strconv.Itoa(int(port))
	}
	return "TCP " + strconv.Itoa(int(port))
}

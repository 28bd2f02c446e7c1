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
	webSurprise     = 6
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
	port portKey
}

func (k targetKey) compare(o targetKey) int {
	return cmp.Or(k.peer.compare(o.peer), cmp.Compare(k.port.proto, o.port.proto), cmp.Compare(k.port.port, o.port.port))
}

func (k targetKey) hash() uint64 {
	return mix(k.peer.hash() ^ uint64(k.port.proto)<<16 ^ uint64(k.port.port))
}

// probe is what one pane shows of first contacts to one target.
type probe struct {
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
	xf         uint64
	ports      map[uint16]bool
	first      int64
	last       int64
	unanswered bool
}

// excursion is a run of the CUSUM above zero with the targets that it met.
type excursion struct {
	cusum            baseline.PMCusum
	first, last      int64
	targets          map[peerKey]*target
	pairs            int // distinct (destination, port)
	ports            map[uint16]uint64
	xf, syn, xr, rst uint64
	n                uint32
	noRate           bool
	source           weir.SamplingSource
	own              netip.Addr
	records          []hashedRecord
	overflow         int
	proto            uint8
}

// scanState follows first contacts that a resource makes.
type scanState struct {
	pending  map[targetKey]*probe
	known    [2]map[uint64]struct{}
	knownGen int64
	sweeps   map[portKey]*excursion
	verts    map[peerKey]*excursion
	mixed    *excursion
	webNew   baseline.Rate // new web destinations an hour
	webCount uint64
	webLearn int64
	// Own SYN share: totals of closed days without a scan alert, and of today.
	synPast, xfPast   float64
	synToday, xfToday uint64
	dayOf             int64
	first             int64
}

func newScanState() scanState {
	return scanState{
		pending: make(map[targetKey]*probe), sweeps: make(map[portKey]*excursion), verts: make(map[peerKey]*excursion),
		known: [2]map[uint64]struct{}{make(map[uint64]struct{}), make(map[uint64]struct{})},
	}
}

func (s *scanState) begin() { clear(s.pending) }

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
	if s.first == 0 {
		s.first = c.Start
	}
	k := targetKey{peerOf(c.Peer.Addr()), portKey{c.Proto, ses.server}}
	p := s.pending[k]
	if p == nil {
		p = &probe{first: c.Start, own: c.Own.Addr(), n: c.Sampling, source: c.SamplingSource, rec: evidenceOf(c), peerIsOwn: c.PeerIsOwn}
		s.pending[k] = p
	}
	p.first, p.last = min(p.first, c.Start), max(p.last, c.End)
	if c.Sampling == 0 || p.n == 0 {
		p.n = 0
	} else {
		p.n = max(p.n, c.Sampling)
	}
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
		s.synToday, s.xfToday = s.synToday+syn, s.xfToday+ses.fwd.Packets
	}
}

// isKnown reports whether the target was contacted in the last 7 to 14 days.
func (s *scanState) isKnown(h uint64) bool {
	if _, ok := s.known[0][h]; ok {
		return true
	}
	_, ok := s.known[1][h]
	return ok
}

// remember adds a target to the known set, in two generations of 7 days; a full
// generation is retired early.
func (s *scanState) remember(h uint64, t int64) {
	gen := floorDiv(t, int64(knownLife))
	if gen != s.knownGen || len(s.known[0]) >= knownMax {
		if gen > s.knownGen+1 {
			clear(s.known[0])
		}
		s.known[1], s.known[0], s.knownGen = s.known[0], make(map[uint64]struct{}), gen
	}
	s.known[0][h] = struct{}{}
}

// scanRule works off the first contacts of a pane (late false), and reports
// running excursions. Sweeps of SSH and RDP ports wait for the boundary (late
// true), where the OneToMany rules have precedence (section 7.4).
func (r *resource) scanRule(d *Detector, t int64, late bool, emit func(weir.Finding)) {
	s := &r.scan
	if r.res == nil || r.res.HasRole("scanner", "monitoring") {
		return
	}
	cold := t-s.first < nanos(d.cfg.LearnCold)
	past := uint64(s.xfPast)
	q := 0.0
	if !cold && past > 0 {
		q = baseline.BetaUCB95(min(uint64(s.synPast), past), past)
	}
	t0, t1, double, off := baseline.PMParams(q)
	if late {
		r.scanDay(t)
		s.learnWeb(t)
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
	s := &r.scan
	for _, k := range slices.SortedFunc(maps.Keys(s.pending), targetKey.compare) {
		p, h := s.pending[k], k.hash()
		if p.xf == 0 || s.isKnown(h) {
			continue
		}
		s.remember(h, t)
		f := float64(p.syn) / float64(p.xf)
		if k.port.proto == weir.ProtoUDP {
			f = 0
			if p.xr == 0 {
				f = 1
			}
		}
		if isWeb(k.port.port) {
			s.webCount++
		}
		if off {
			continue
		}
		s.sweeps[k.port] = s.sweeps[k.port].take(k, p, f, t0, t1, t)
		if s.sweeps[k.port] == nil {
			delete(s.sweeps, k.port)
		}
		s.verts[k.peer] = s.verts[k.peer].take(k, p, f, t0, t1, t)
		if s.verts[k.peer] == nil {
			delete(s.verts, k.peer)
		}
		if k.port.port < 1024 && !isWeb(k.port.port) {
			s.mixed = s.mixed.take(k, p, f, t0, t1, t)
		}
	}
	clear(s.pending)
	dropIdle(s.sweeps, t, func(a, b portKey) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	})
	dropIdle(s.verts, t, peerKey.compare)
}

// dropIdle forgets excursions without a first contact for a day, and beyond the
// bound those with the fewest targets.
func dropIdle[K comparable](m map[K]*excursion, t int64, compare func(a, b K) int) {
	for k, e := range m {
		if t-e.last > int64(scanIdle) {
			delete(m, k)
		}
	}
	if len(m) <= maxExcursions {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[a].pairs, m[b].pairs), compare(a, b))
	})
	for _, k := range keys[:len(keys)-maxExcursions] {
		delete(m, k)
	}
}

// take adds one first contact; it returns nil when the level is back at zero.
func (e *excursion) take(k targetKey, p *probe, f, t0, t1 float64, t int64) *excursion {
	if e == nil || t-e.last > int64(scanIdle) {
		if baseline.PMIncrement(f, t0, t1) <= 0 {
			return nil
		}
		e = &excursion{first: p.first, n: 1, targets: make(map[peerKey]*target), ports: make(map[uint16]uint64), proto: k.port.proto}
	}
	e.cusum.Add(f, t0, t1)
	// An excursion that has long alarmed must be able to end.
	e.cusum.Level = math.Min(e.cusum.Level, 4*baseline.PMAlarm)
	if e.cusum.Level == 0 {
		return nil
	}
	e.first, e.last, e.own = min(e.first, p.first), max(e.last, p.last), p.own
	e.xf, e.syn, e.xr, e.rst = e.xf+p.xf, e.syn+p.syn, e.xr+p.xr, e.rst+p.rst
	e.n, e.noRate, e.source = max(e.n, p.n), e.noRate || p.n == 0, max(e.source, p.source)
	if f < deadShare {
		return e
	}
	tg := e.targets[k.peer]
	if tg == nil {
		if len(e.targets) >= maxTargets {
			e.overflow++
			return e
		}
		tg = &target{ports: make(map[uint16]bool), first: p.first, unanswered: true}
		e.targets[k.peer] = tg
	}
	if !tg.ports[k.port.port] && e.pairs < 16*maxTargets {
		tg.ports[k.port.port] = true
		e.pairs++
		e.ports[k.port.port]++
	}
	tg.xf += p.xf
	tg.first, tg.last = min(tg.first, p.first), max(tg.last, p.last)
	tg.unanswered = tg.unanswered && p.xr == p.rst
	e.keep(hashedRecord{recordHash(&p.rec), p.rec})
	return e
}

func (e *excursion) keep(r hashedRecord) {
	p := pair{records: e.records}
	p.keepRecord(r.RecordEvidence, r.hash)
	e.records = p.records
}

// unanswered reports whether replies are as rare as after a scan: few replies
// where they can be seen, or resets in their place.
func (e *excursion) unanswered(r *resource, limit float64) bool {
	if !r.view.ok() || float64(e.rst) >= resetShare*float64(max(e.xr, 1)) {
		return true
	}
	real := e.xr - min(e.rst, e.xr)
	return baseline.BetaUCB95(real, real+e.xf) < limit
}

// need returns a number of targets under the sampling of the excursion.
func (e *excursion) need(exact, sampled, factor int) int {
	if e.n > 1 {
		return sampled * factor
	}
	return exact * factor
}

func (r *resource) reportScans(d *Detector, t int64, late bool, factor int, cold bool, t0, t1 float64, emit func(weir.Finding)) {
	s := &r.scan
	// Only what the closing pane (or, late, the closing ten minutes) brought is
	// news; older excursions were judged when they grew.
	since := t - nanos(d.cfg.Pane)
	if late {
		since = t - hour.slot()
	}
	total := 0
	for _, e := range s.sweeps {
		total += len(e.targets)
	}
	for _, port := range slices.SortedFunc(maps.Keys(s.sweeps), func(a, b portKey) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	}) {
		e := s.sweeps[port]
		login := r.loginSweep(d, port)
		if !e.cusum.Alarm() || e.noRate || e.last < since || login != nil && (!late || login.open(r, t)) {
			continue
		}
		need, limit := e.need(sweepExact, sweepSampled, factor), replyShareMax
		if isWeb(port.port) {
			if r.res.HasRole("crawler", "proxy", "nat") || !r.webSurprising(e, t, cold) {
				continue
			}
			limit = replyShareWeb
			if cold {
				need *= 2
			}
		}
		if r.res.HasRole("dns", "p2p") && port.proto == weir.ProtoUDP {
			continue
		}
		if len(e.targets) < need || float64(len(e.targets)) < portShare*float64(total) || !e.unanswered(r, limit) {
			continue
		}
		r.fire(d, r.scanFinding(d, e, "sweep", strconv.Itoa(int(port.port)), need, t, t0, t1), emit)
	}
	for _, peer := range slices.SortedFunc(maps.Keys(s.verts), peerKey.compare) {
		e := s.verts[peer]
		need := e.need(verticalExact, verticalSampled, factor)
		if e.cusum.Alarm() && !e.noRate && e.last >= since && e.pairs >= need && e.unanswered(r, replyShareMax) && !r.flooding(t) {
			r.fire(d, r.scanFinding(d, e, "vertical", "vertical", need, t, t0, t1), emit)
		}
	}
	if e := s.mixed; e != nil && e.cusum.Alarm() && !e.noRate && e.last >= since && len(e.targets) >= 3 && len(e.ports) >= 3 {
		need := e.need(mixedPairs, mixedPairs, factor)
		if e.pairs >= need && e.unanswered(r, replyShareMax) && !r.flooding(t) && !e.dominated() && e.own.IsValid() {
			r.fire(d, r.scanFinding(d, e, "mixed", "mixed", need, t, t0, t1), emit)
		}
	}
}

// dominated reports whether one port or one destination makes the excursion a
// sweep or a vertical scan.
func (e *excursion) dominated() bool {
	for _, n := range e.ports {
		if float64(n) >= portShare*float64(e.pairs) {
			return true
		}
	}
	for _, tg := range e.targets {
		if float64(len(tg.ports)) >= portShare*float64(e.pairs) {
			return true
		}
	}
	return false
}

// loginSweep returns the activity whose own rules have precedence for a port:
// outgoing SSH and RDP.
func (r *resource) loginSweep(d *Detector, port portKey) *activity {
	svc := d.table.find(r.res, false, port.proto, port.port)
	if svc == nil || svc.family != famSSH && svc.family != famRDP {
		return nil
	}
	if a := r.acts[actKey{true, serviceProtoPort(svc, port.proto, port.port)}]; a != nil {
		return a
	}
	return newActivity(actKey{true, port}, svc)
}

// open reports whether an outgoing alert of the activity is running.
func (a *activity) open(r *resource, t int64) bool {
	if r.isOpen(a.aggregateKey(), t) {
		return true
	}
	for k, e := range r.episodes {
		if k.typ == a.pairType() && e.until > t {
			return true
		}
	}
	return false
}

// webSurprising asks more of sweeps of web ports, which crawlers and clients
// without an uplink look like: a surprising number of new destinations.
func (r *resource) webSurprising(e *excursion, t int64, cold bool) bool {
	if cold {
		return true // the number needed is doubled instead
	}
	prior := baseline.Prior{A0: 2, B0: 24}
	hours := math.Max(1, time.Duration(t-e.first).Hours())
	return r.scan.webNew.Surprise(uint64(len(e.targets)), hours, prior) >= webSurprise
}

func (s *scanState) learnWeb(t int64) {
	if t%int64(time.Hour) != 0 {
		return
	}
	prior := baseline.Prior{A0: 2, B0: 24}
	if s.webLearn > 0 {
		if idle := (t-s.webLearn)/int64(time.Hour) - 1; idle > 0 {
			s.webNew.UpdateIdle(idle, 1, time.Hour, t-int64(time.Hour))
		}
	}
	s.webNew.Update(float64(s.webCount), 1, time.Hour, t, prior)
	s.webCount, s.webLearn = 0, t
}

// scanDay closes a day of the own SYN share, unless a scan was reported in it.
func (r *resource) scanDay(t int64) {
	s := &r.scan
	dayNo := floorDiv(t-1, int64(day.window()))
	if dayNo == s.dayOf {
		return
	}
	scanned := false
	for k, e := range r.episodes {
		scanned = scanned || k.typ == weir.PortScanning && e.until > t-int64(day.window())
	}
	if !scanned {
		s.synPast, s.xfPast = s.synPast*0.9+float64(s.synToday), s.xfPast*0.9+float64(s.xfToday)
	}
	s.synToday, s.xfToday, s.dayOf = 0, 0, dayNo
}

func (r *resource) scanFinding(d *Detector, e *excursion, shape, key string, need int, t int64, t0, t1 float64) weir.Finding {
	f := weir.Finding{
		Type: weir.PortScanning, Resource: r.res, Own: e.own, Direction: weir.Outgoing, Key: key,
		At: t, First: e.first, Last: e.last, Quiet: scanQuiet, Window: time.Hour,
		Unit: weir.UnitDestinations, Observed: float64(len(e.targets)), Threshold: float64(need),
		Count: uint64(len(e.targets)), Proto: e.proto,
		Sampling:   weir.Sampling{Rate: e.n, Source: e.source},
		Confidence: baseline.CombineConfidence(math.Min(e.cusum.Level/(4*baseline.PMAlarm), 0.9), math.Min(float64(len(e.targets)+e.pairs)/200, 0.8)),
	}
	if shape == "vertical" {
		f.Unit, f.Observed, f.Count = weir.UnitPorts, float64(e.pairs), uint64(e.pairs) //nolint:gosec // counts
	}
	if e.n == 1 {
		n := f.Observed
		f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = &n, &n, &n
	} else {
		lo := f.Observed // more targets than were sampled, by an unknown factor
		f.Sampling.Low95 = &lo
	}
	ports := slices.SortedFunc(maps.Keys(e.ports), func(a, b uint16) int {
		return cmp.Or(cmp.Compare(e.ports[b], e.ports[a]), cmp.Compare(a, b))
	})
	for _, p := range ports[:min(len(ports), weir.MaxPorts)] {
		f.Ports = append(f.Ports, weir.PortCount{Port: p, Protocol: protoName(e.proto), Service: d.serviceName(e.proto, p), Count: e.ports[p]})
	}
	if len(ports) > 0 {
		f.Port, f.Service = ports[0], d.serviceName(e.proto, ports[0])
	}
	peers := slices.SortedFunc(maps.Keys(e.targets), func(a, b peerKey) int {
		return cmp.Or(cmp.Compare(len(e.targets[b].ports), len(e.targets[a].ports)), cmp.Compare(e.targets[b].xf, e.targets[a].xf), a.compare(b))
	})
	for _, p := range peers[:min(len(peers), weir.MaxPeers)] {
		tg := e.targets[p]
		f.Peers = append(f.Peers, weir.PeerEvidence{
			Address: p.addr(), Packets: tg.xf, Connections: uint64(len(tg.ports)), Lower: float64(len(tg.ports)),
			First: tg.first, Last: tg.last,
		})
	}
	if extra := len(peers) - weir.MaxPeers + e.overflow; extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(extra)})
	}
	for i := range e.records {
		f.Records = append(f.Records, e.records[i].RecordEvidence)
	}
	f.Facts = map[string]string{
		"shape": shape, "cusum": strconv.FormatFloat(e.cusum.Level, 'f', 2, 64),
		"t0": strconv.FormatFloat(t0, 'f', 3, 64), "t1": strconv.FormatFloat(t1, 'f', 3, 64),
		"packets": strconv.FormatUint(e.xf, 10), "synShare": strconv.FormatFloat(float64(e.syn)/math.Max(float64(e.xf), 1), 'f', 3, 64),
	}
	if r.view.oneWay() {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitOneWay})
	}
	f.Limits = append(f.Limits, r.limits(true)...)
	return f
}

// serviceName names a port for people.
func (d *Detector) serviceName(proto uint8, port uint16) string {
	if s := d.table.byPort[portKey{proto, port}]; s != nil {
		return s.name
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

package detect

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/habit"
	"github.com/weir-net/weir/internal/detect/sample"
	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/detect/sweep"
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
	webSurprise     = 6 // of new web destinations
	deadSurprise    = 4 // of unanswered destinations of other ports
	scanQuiet       = 2 * time.Hour
)

// targetKey is one service of one destination.
type targetKey struct {
	peer peerKey
	port service.Port
}

func (k targetKey) hash() uint64 {
	return mix(k.peer.hash() ^ uint64(k.port.Proto)<<16 ^ uint64(k.port.Port))
}

// scanState follows first contacts that a resource makes.
type scanState struct {
	pending map[targetKey]*sweep.Probe
	sweeps  []service.Port // excursions that grew in this pane
	verts   []peerKey
	newest  int64 // event time of the newest first contact that a run took
	Known   habit.Known
	Sweeps  map[service.Port]*sweep.Run
	Verts   map[peerKey]*sweep.Run
	Mixed   *sweep.Run
	Own     habit.Share
	New     habit.Ports // new web destinations, unanswered ones of other ports
	DayOf   int64
	First   int64
	Swept   int64 // hour in which idle excursions were last dropped
}

func newScanState() scanState {
	return scanState{
		pending: make(map[targetKey]*sweep.Probe), Sweeps: make(map[service.Port]*sweep.Run), Verts: make(map[peerKey]*sweep.Run),
	}
}

func (s *scanState) begin() {
	clear(s.pending)
	s.sweeps, s.verts = s.sweeps[:0], s.verts[:0]
}

// add notes one outgoing session.
func (s *scanState) add(ses *session) {
	c := ses.c
	if c.Allowed || ses.server == 0 || c.Proto == weir.ProtoUDP && !sweep.UDP(ses.server) {
		return
	}
	if s.First == 0 {
		s.First = c.Start
	}
	p := s.probe(c, ses.server)
	if ses.rev.Packets > 0 && (ses.refused() || ses.flagsApart && ses.rev.Flags&weir.RST != 0 && ses.rev.Flags&weir.SYN == 0) {
		p.Rst += ses.rev.Packets
	}
	p.Xr += ses.rev.Packets
	if !ses.hasFwd || !c.Known.Has(weir.HasPackets) {
		return
	}
	p.Xf += ses.fwd.Packets
	if c.Proto == weir.ProtoTCP {
		syn, _ := ses.marks()
		if !c.Known.Has(weir.HasFlags) && c.Known.Has(weir.HasReverse) && ses.rev.Packets == 0 {
			syn = ses.fwd.Packets // nobody answered, whatever the flags were
		}
		p.Syn += syn
		s.Own.Add(syn, ses.fwd.Packets)
	}
}

// probe returns what the pane shows of the target of a contact, with the contact
// noted.
func (s *scanState) probe(c *weir.Contact, port uint16) *sweep.Probe {
	k := targetKey{peerOf(c.Peer.Addr()), service.Port{Proto: c.Proto, Port: port}}
	p := s.pending[k]
	if p == nil {
		p = &sweep.Probe{
			Peer: sweep.Peer(k.peer), Port: k.port, First: c.Start, Last: c.End, Own: c.Own.Addr(),
			N: c.Sampling, Source: c.SamplingSource, Record: sample.Of(c),
		}
		p.Hash = recordHash(&p.Record)
		s.pending[k] = p
	}
	p.First, p.Last = min(p.First, c.Start), max(p.Last, c.End)
	if c.Sampling == 0 || p.N == 0 {
		p.N = 0
	} else {
		p.N = max(p.N, c.Sampling)
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
	p.Xf, p.Xr = p.Xf+c.Out.Packets, p.Xr+c.In.Packets
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
	for _, p := range slices.SortedFunc(maps.Values(s.pending), (*sweep.Probe).Compare) {
		peer := peerKey(p.Peer)
		h := targetKey{peer, p.Port}.hash()
		if known := s.Known.Has(h); known || p.Xf == 0 {
			if known && p.Answered() {
				s.Sweeps[p.Port].Answer(p.Peer)
			}
			continue
		}
		s.Known.Add(h, t)
		s.newest = max(s.newest, p.Last)
		if sweep.Web(p.Port.Port) || p.Share() >= sweep.DeadShare {
			s.New.Add(p.Port)
		}
		if off {
			continue
		}
		if e := s.Sweeps[p.Port].Take(p, t0, t1, t); e != nil {
			s.Sweeps[p.Port], s.sweeps = e, append(s.sweeps, p.Port)
		} else {
			delete(s.Sweeps, p.Port)
		}
		if e := s.Verts[peer].Take(p, t0, t1, t); e != nil {
			s.Verts[peer], s.verts = e, append(s.verts, peer)
		} else {
			delete(s.Verts, peer)
		}
		if p.Port.Port < 1024 && !sweep.Web(p.Port.Port) {
			s.Mixed = s.Mixed.Take(p, t0, t1, t)
		}
	}
	clear(s.pending)
	if hourNo := floorDiv(t, int64(time.Hour)); hourNo != s.Swept || len(s.Sweeps) > 2*sweep.MaxRuns || len(s.Verts) > 2*sweep.MaxRuns {
		s.Swept = hourNo
		sweep.Prune(s.Sweeps, t, service.Port.Compare)
		sweep.Prune(s.Verts, t, peerKey.compare)
	}
}

// unanswered reports whether replies are as rare as after a scan: few replies
// where they can be seen, or resets in their place.
func (r *resource) unanswered(e *sweep.Run, limit float64) bool {
	return !r.View.ok() || e.Quiet(limit)
}

func (r *resource) reportScans(d *Detector, t int64, late bool, factor int, cold bool, t0, t1 float64, emit func(weir.Finding)) {
	s := &r.Scan
	// Only what the closing pane (or, late, the closing ten minutes) brought is
	// news; older excursions were judged when they grew.
	since := t - nanos(d.cfg.Pane)
	if late {
		since = t - hour.slot()
	}
	if late && s.newest < since {
		return // nothing grew
	}
	total := -1
	sweeps, verts := s.grown(late)
	for _, port := range sweeps {
		e := s.Sweeps[port]
		if !e.Alarm() || e.Last < since {
			continue
		}
		login := r.loginSweep(d, port)
		if login != nil && (!late || login.open(r, t)) {
			continue
		}
		if total < 0 {
			total = s.targets()
		}
		need, limit := e.Need(sweepExact, sweepSampled, factor), replyShareMax
		if sweep.Web(port.Port) {
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
		if e.Dead < need || float64(len(e.Targets)) < portShare*float64(total) || !r.unanswered(e, limit) ||
			!r.surprising(port, e, t) || e.Held(floodFloorOf(port.Proto)) {
			continue
		}
		r.fire(d, r.scanFinding(d, e, "sweep", strconv.Itoa(int(port.Port)), need, t, t0, t1), emit)
	}
	for _, peer := range verts {
		e := s.Verts[peer]
		if !e.Alarm() || e.Last < since {
			continue
		}
		if need := e.Need(verticalExact, verticalSampled, factor); e.Pairs >= need && r.scanOfPorts(e, t) {
			r.fire(d, r.scanFinding(d, e, "vertical", "vertical", need, t, t0, t1), emit)
		}
	}
	if e := s.Mixed; e.Alarm() && e.Last >= since && len(e.Targets) >= 3 && len(e.Ports) >= 3 {
		need := e.Need(mixedPairs, mixedPairs, factor)
		if e.Pairs >= need && r.scanOfPorts(e, t) && !e.Dominated() && e.Own.IsValid() {
			r.fire(d, r.scanFinding(d, e, "mixed", "mixed", need, t, t0, t1), emit)
		}
	}
}

// scanOfPorts reports whether a run of many ports is a scan: nobody answers, and
// no flood of many ports is going on, which the flood rule judges (section 7.4).
func (r *resource) scanOfPorts(e *sweep.Run, t int64) bool {
	return r.unanswered(e, replyShareMax) && !r.flooding(t) && !e.Flooded()
}

// floodFloorOf is the rate in packets a second from which probes of a protocol
// may be a flood.
func floodFloorOf(proto uint8) float64 {
	if proto == weir.ProtoUDP {
		return floodRate
	}
	return floodSynRate
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

// scanning reports whether a sweep that is no flood was going on since a time:
// its packets are one to each target, which the flood rule leaves alone unless
// its destinations get many each.
func (r *resource) scanning(since int64) bool {
	for _, e := range r.Scan.Sweeps {
		if e.Alarm() && !e.Flood && e.Last >= since && len(e.Targets) >= e.Need(sweepExact, sweepSampled, 1) {
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
func (r *resource) surprising(port service.Port, e *sweep.Run, t int64) bool {
	if sweep.Web(port.Port) {
		return r.Scan.New.Surprise(port, e.Dead, time.Duration(t-e.First).Hours()) >= webSurprise
	}
	for h := hour; h <= day; h++ {
		if r.Scan.New.Surprise(port, e.DeadSince(t-int64(h.window())), h.hours()) >= deadSurprise {
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

func (r *resource) scanFinding(d *Detector, e *sweep.Run, shape, key string, need int, t int64, t0, t1 float64) weir.Finding {
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
	e.Evidence(&f, d.table.Name)
	if extra := e.Left(); extra > 0 {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(extra)})
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

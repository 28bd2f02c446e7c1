package detect

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/carpet"
	"github.com/weir-net/weir/internal/detect/score"
	"github.com/weir-net/weir/internal/detect/service"
)

// floodClass is a class of outgoing volume (section 8.5).
type floodClass uint8

const (
	floodSYN floodClass = iota
	floodUDP
	floodICMP
	floodFragments
	floodReflector
	floodClasses
)

var floodNames = [floodClasses]string{"syn", "udp", "icmp", "fragments", "reflector"}

// Constants of the flood rule (section 8.5).
const (
	floodSynRate   = 1000   // packets/s
	floodRate      = 20000  // packets/s
	floodBits      = 1000e6 // bits/s
	floodReflRate  = 1000
	floodReflBits  = 50e6
	floodReflLen   = 400 // bytes, mean
	floodReflRatio = 5   // bytes out per byte in
	floodReflShare = 0.2 // of one destination
	floodTopShare  = 0.5 // of three destinations
	floodSynShare  = 0.8
	floodReply     = 0.2
	floodSurprise  = 4
	floodLowTier   = 0.1
	floodLowS      = 10
	floodQuiet     = 15 * time.Minute
	// floodPriorPanes is the pseudo-exposure of one sampled packet: what never was
	// is expected less than once a day, or its first pane would be no surprise.
	floodPriorPanes = 1440
	floodDsts       = 4096
	floodVictims    = 10
	victimShare     = 0.05
	victimCover     = 0.9
	carpetShare     = 0.5
)

// volume is what one destination got and gave in one pane.
type volume struct {
	Out, Bytes, TCP, In, InBytes uint64
}

// floodSum is one class of one pane of event time.
type floodSum struct {
	Dst         map[peerKey]*volume
	First, Last int64
	Nx, Nw      uint64
	NoRate      bool
	Source      weir.SamplingSource
	Own         netip.Addr
	Other       uint64 // packets of destinations that were folded away
}

type floodPane [floodClasses]floodSum

// floodState follows the outgoing volume of a resource.
type floodState struct {
	Panes  map[int64]*floodPane
	Rates  [floodClasses]baseline.Rate
	Learnt [floodClasses]int64 // number of the newest pane that was learnt
	Passed [floodClasses][2]int64
	Tiers  [floodClasses]float64
	Known  map[peerKey]int64 // destination → day of first volume
}

func newFloodState() floodState {
	return floodState{Panes: make(map[int64]*floodPane), Known: make(map[peerKey]int64)}
}

// add takes the volume of one contact. A record longer than a pane is spread
// evenly over the panes it covers, as far back as panes are still open.
func (s *floodState) add(d *Detector, r *resource, c *weir.Contact) {
	if !c.Known.Has(weir.HasPackets) || c.Allowed {
		return
	}
	class, n := floodClassOf(c)
	pane := int64(d.cfg.Pane)
	last := floorDiv(c.End, pane)
	if class == floodClasses {
		// Replies, and other TCP to a destination that is being flooded.
		if fp := s.Panes[last]; fp != nil {
			fp.reply(c)
		}
		return
	}
	if n == 0 {
		return
	}
	first := max(floorDiv(c.Start, pane), last-d.lag)
	if first == last || n < 16 {
		s.put(d, r, class, c, last, n, n, c.Out.Bytes)
		return
	}
	length := float64(max(c.End-c.Start, 1))
	for p := first; p <= last; p++ {
		from, to := max(p*pane, c.Start), min((p+1)*pane, c.End)
		share := float64(to-from) / length
		s.put(d, r, class, c, p, n, uint64(share*float64(n)+0.5), uint64(share*float64(c.Out.Bytes)+0.5))
	}
}

// floodClassOf returns the class of a contact's outgoing packets and their
// number; floodClasses when they are none of a flood.
func floodClassOf(c *weir.Contact) (floodClass, uint64) {
	n := c.Out.Packets
	switch {
	case n == 0:
		return floodClasses, 0
	case c.Known.Has(weir.IsFragment):
		return floodFragments, n
	case c.Proto == weir.ProtoTCP:
		s := session{c: c, out: true, fwd: c.Out, rev: c.In, hasFwd: true,
			flagsApart: !c.Known.Has(weir.HasReverse) || c.Known.Has(weir.HasRevFlags)}
		f := c.Out.Flags
		if !c.Known.Has(weir.HasFlags) || f&weir.SYN == 0 {
			return floodClasses, 0
		}
		if s.flagsApart && n == 1 && f&weir.ACK != 0 {
			return floodClasses, 0 // a SYN-ACK: this end answers
		}
		if c.LogOdds < 0 && f&weir.ACK != 0 {
			return floodClasses, 0
		}
		syn, _ := s.marks()
		return floodSYN, syn
	case c.Proto == weir.ProtoUDP && service.Reflector(c.Own.Port()) && c.Peer.Port() != c.Own.Port():
		return floodReflector, n
	case c.Proto == weir.ProtoUDP:
		return floodUDP, n
	case c.Proto == weir.ProtoICMP, c.Proto == weir.ProtoICMPv6:
		return floodICMP, n
	}
	return floodClasses, 0
}

func (s *floodState) put(d *Detector, r *resource, class floodClass, c *weir.Contact, pane int64, syn, n, bytes uint64) {
	fp := s.Panes[pane]
	if fp == nil {
		fp = &floodPane{}
		s.Panes[pane] = fp
		if d.floodDue[pane] == nil {
			d.floodDue[pane] = make(map[uint64]bool)
		}
		d.floodDue[pane][r.Key] = true
	}
	sum := &fp[class]
	if sum.Dst == nil {
		*sum = floodSum{Dst: make(map[peerKey]*volume), First: c.Start}
	}
	start := max(c.Start, pane*int64(d.cfg.Pane))
	sum.First, sum.Last = min(max(sum.First, pane*int64(d.cfg.Pane)), start), max(sum.Last, min(c.End, (pane+1)*int64(d.cfg.Pane)))
	sum.Nw, sum.Nx = sum.Nw+n, sum.Nx+n*uint64(c.Sampling)
	sum.NoRate, sum.Source, sum.Own = sum.NoRate || c.Sampling == 0, max(sum.Source, c.SamplingSource), c.Own.Addr()
	k := peerOf(c.Peer.Addr())
	v := sum.Dst[k]
	if v == nil {
		if len(sum.Dst) >= floodDsts {
			sum.fold()
		}
		v = &volume{}
		sum.Dst[k] = v
	}
	v.Out, v.Bytes = v.Out+n, v.Bytes+bytes
	// What was no part of the class, and what came back, counts where the
	// record ends.
	if pane == floorDiv(c.End, int64(d.cfg.Pane)) {
		v.In, v.InBytes = v.In+c.In.Packets, v.InBytes+c.In.Bytes
		if class == floodSYN {
			v.TCP += c.Out.Packets - min(syn, c.Out.Packets)
		}
	}
	if class == floodSYN {
		v.TCP += n
	}
}

// fold makes room by giving up the destinations with the least volume.
func (f *floodSum) fold() {
	keys := slices.SortedFunc(maps.Keys(f.Dst), func(a, b peerKey) int {
		return cmp.Or(cmp.Compare(f.Dst[a].Out, f.Dst[b].Out), a.compare(b))
	})
	for _, k := range keys[:len(keys)/2] {
		f.Other += f.Dst[k].Out
		delete(f.Dst, k)
	}
}

// reply counts what a flooded destination answers, and other TCP towards it.
func (fp *floodPane) reply(c *weir.Contact) {
	k := peerOf(c.Peer.Addr())
	for class := range floodClasses {
		v := fp[class].Dst[k]
		if v == nil {
			continue
		}
		switch {
		case class == floodSYN && c.Proto == weir.ProtoTCP:
			v.TCP += c.Out.Packets
			v.In += c.In.Packets
		case (class == floodUDP || class == floodReflector) && c.Proto == weir.ProtoUDP,
			class == floodICMP && (c.Proto == weir.ProtoICMP || c.Proto == weir.ProtoICMPv6):
			v.In += c.In.Packets
			v.InBytes += c.In.Bytes
		}
	}
}

// floodRule judges the volume of one pane, once all records that may reach back
// into it have come.
func (r *resource) floodRule(d *Detector, pane int64, emit func(weir.Finding)) {
	s := &r.Flood
	fp := s.Panes[pane]
	delete(s.Panes, pane)
	if fp == nil || r.Res == nil {
		return
	}
	end := (pane + 1) * int64(d.cfg.Pane)
	for class := range floodClasses {
		sum := &fp[class]
		if sum.Nw == 0 {
			continue
		}
		if sum.NoRate {
			continue // no rate, no rate of packets (P23)
		}
		r.judgeFlood(d, class, sum, pane, end, emit)
	}
	s.learnDestinations(fp, end)
}

// flood is the evidence of a flood: the destinations that look flooded.
type flood struct {
	keys                       []peerKey // by packets, falling
	x, tcp, in, bytes, inBytes uint64
	all                        uint64
	top                        [3]uint64 // packets of the first 1, 2, 3 destinations
	dests                      []carpet.Dest
	nets                       []carpet.Net // where no destination stands out
}

func (r *resource) judgeFlood(d *Detector, class floodClass, sum *floodSum, pane, end int64, emit func(weir.Finding)) {
	s := &r.Flood
	fam := &d.fam[service.DDoS]
	n := uint32(max((sum.Nx+sum.Nw/2)/sum.Nw, 1)) //nolint:gosec // a mean of 32-bit values
	ev := sum.collect(class)
	seconds := d.cfg.Pane.Seconds()
	rate := baseline.RateLower(n, ev.x, seconds)
	bits := 0.0
	if ev.x > 0 {
		bits = rate * 8 * float64(ev.bytes) / float64(ev.x)
	}
	exposure := 1 / float64(n)
	prior := baseline.Prior{A0: 1, B0: floodPriorPanes * exposure}
	s.catchUp(class, pane, d.cfg.Pane)
	base := &s.Rates[class]
	phase := base.Phase(end, d.cfg.LearnCold, d.cfg.LearnWarm)
	surprise := base.Surprise(ev.x, exposure, prior)
	need := fam.Threshold
	if need == 0 {
		need = floodSurprise
	}
	need = d.jitter(need+fam.add, r, service.DDoS)
	scale := 1.0
	if fam.add > 0 {
		scale = 2 // low sensitivity doubles the floors
	}
	floor, unit, hit := floodFloor(class, rate, bits, scale)
	tier := 1.0
	if !hit && phase > baseline.PhaseCold && surprise >= floodLowS && s.novel(ev.keys, end) {
		if floor, unit, hit = floodFloor(class, rate, bits, scale*floodLowTier); hit {
			tier = floodLowTier
		}
	}
	pass := hit && (phase == baseline.PhaseCold || surprise >= need) && ev.fits(class, r) && !r.sweeping(class, n, &ev, pane*int64(d.cfg.Pane))
	prev := s.Passed[class]
	if pass {
		s.Passed[class] = [2]int64{pane + 1, prev[0]}
	}
	key := episodeKey{weir.DDoS, "flood"}
	r.observe(d, key, end-int64(d.cfg.Pane), surprise)
	if !r.isOpen(key, end) && !pass {
		base.Update(float64(ev.x), exposure, d.cfg.Pane, end, prior)
		s.Learnt[class] = pane
	}
	// Two of three consecutive panes.
	if !pass || prev[0] == 0 || pane+1-prev[0] > 2 {
		return
	}
	f := r.floodFinding(d, class, sum, &ev, n, rate, end)
	f.Threshold, f.Floor = floor, floor
	f.Expected = base.Mean(prior) / seconds
	if unit == weir.UnitBitsPerS {
		toBits(&f, 8*float64(ev.bytes)/float64(ev.x))
	}
	f.Surprise = surprise
	f.Confidence = score.Flood(rate/floor, surprise, phase)
	f.Baseline = baselineInfo(base, prior, phase, end)
	if tier < 1 {
		f.Facts["tier"] = "low"
	}
	if phase == baseline.PhaseCold {
		f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitColdStart})
	}
	r.fire(d, f, emit)
}

// toBits turns the numbers of a finding from packets into bits a second, but
// for its floor, which is in bits already.
func toBits(f *weir.Finding, perPacket float64) {
	f.Unit, f.Observed, f.Expected = weir.UnitBitsPerS, f.Observed*perPacket, f.Expected*perPacket
	for _, p := range []*float64{f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95} {
		*p *= perPacket
	}
}

// floodFloor returns the floor of a class that the rates reach, and its unit:
// packets a second where that floor is reached, bits a second otherwise.
func floodFloor(class floodClass, rate, bits, scale float64) (float64, weir.Unit, bool) {
	pps, bps := floodRate*scale, floodBits*scale
	switch class {
	case floodSYN:
		return floodSynRate * scale, weir.UnitPacketsPerS, rate >= floodSynRate*scale
	case floodReflector:
		pps, bps = floodReflRate*scale, floodReflBits*scale
	case floodUDP, floodICMP, floodFragments, floodClasses:
	}
	if rate < pps && bits >= bps {
		return bps, weir.UnitBitsPerS, true
	}
	return pps, weir.UnitPacketsPerS, rate >= pps
}

// collect sums the destinations that take part.
func (f *floodSum) collect(class floodClass) flood {
	var ev flood
	for _, k := range slices.SortedFunc(maps.Keys(f.Dst), peerKey.compare) {
		v := f.Dst[k]
		ev.all += v.Out
		if class == floodSYN && float64(v.Out) < 0.5*float64(v.TCP) {
			continue // connections that go on
		}
		ev.keys = append(ev.keys, k)
		ev.x, ev.tcp, ev.in = ev.x+v.Out, ev.tcp+max(v.TCP, v.Out), ev.in+v.In
		ev.bytes, ev.inBytes = ev.bytes+v.Bytes, ev.inBytes+v.InBytes
	}
	ev.all += f.Other
	slices.SortStableFunc(ev.keys, func(a, b peerKey) int { return cmp.Compare(f.Dst[b].Out, f.Dst[a].Out) })
	sum := uint64(0)
	for i := range ev.top {
		if i < len(ev.keys) {
			sum += f.Dst[ev.keys[i]].Out
		}
		ev.top[i] = sum
	}
	for _, k := range ev.keys {
		ev.dests = append(ev.dests, carpet.Dest{Addr: k.addr(), Packets: f.Dst[k].Out})
	}
	if len(ev.keys) > 0 && float64(f.Dst[ev.keys[0]].Out) < victimShare*float64(ev.all) {
		ev.nets = carpet.Nets(ev.dests)
	}
	return ev
}

// carpet returns the /24 that holds most of the volume while no address does
// (section 8.5).
func (ev *flood) carpet() (netip.Prefix, bool) {
	if len(ev.nets) == 0 || float64(ev.nets[0].Packets) < carpetShare*float64(ev.all) {
		return netip.Prefix{}, false
	}
	return ev.nets[0].Prefix, true
}

// sweeping reports whether the SYNs of a pane are those of a fast scan, which
// has its own alert (property P17): a sweep is going on, and nothing says that
// destinations get more than a few each.
func (r *resource) sweeping(class floodClass, n uint32, ev *flood, start int64) bool {
	return class == floodSYN && r.scanning(start) && !carpet.Packed(n, ev.dests)
}

// fits applies the conditions of a class besides its rate.
func (ev *flood) fits(class floodClass, r *resource) bool {
	reply := baseline.BetaUCB95(ev.in, ev.in+ev.tcp) <= floodReply
	if class != floodSYN {
		reply = float64(ev.in) <= floodReply*float64(ev.in+ev.x)
	}
	switch class {
	case floodSYN:
		return baseline.BetaLCB95(ev.x, ev.tcp) >= floodSynShare && (!r.View.ok() || reply)
	case floodReflector:
		return float64(ev.bytes) >= floodReflLen*float64(ev.x) &&
			float64(ev.bytes) >= floodReflRatio*float64(ev.inBytes) && ev.share(1) >= floodReflShare
	case floodUDP, floodICMP, floodFragments, floodClasses:
	}
	_, carpeted := ev.carpet()
	return (carpeted || ev.share(3) >= floodTopShare) && reply
}

// share is the share of the n largest destinations.
func (ev *flood) share(n int) float64 {
	if ev.all == 0 || len(ev.keys) == 0 {
		return 0
	}
	return float64(ev.top[min(n, len(ev.keys), len(ev.top))-1]) / float64(ev.all)
}

// novel reports whether the largest destination was never seen before today.
func (s *floodState) novel(keys []peerKey, t int64) bool {
	if len(keys) == 0 {
		return false
	}
	first, ok := s.Known[keys[0]]
	return !ok || first == floorDiv(t, int64(day.window()))
}

// learnDestinations notes the main destinations of a pane; the set is bounded.
func (s *floodState) learnDestinations(fp *floodPane, t int64) {
	today := floorDiv(t, int64(day.window()))
	for i := range fp {
		if len(fp[i].Dst) == 0 {
			continue
		}
		ev := fp[i].collect(floodUDP)
		for _, k := range ev.keys[:min(len(ev.keys), floodVictims)] {
			if _, ok := s.Known[k]; !ok && len(s.Known) < floodDsts {
				s.Known[k] = today
			}
		}
	}
	for k, first := range s.Known {
		if today-first > 14 {
			delete(s.Known, k)
		}
	}
}

// catchUp learns the panes without volume since the last one learnt.
func (s *floodState) catchUp(class floodClass, pane int64, width time.Duration) {
	if last := s.Learnt[class]; last > 0 && pane > last+1 {
		s.Rates[class].UpdateIdle(pane-last-1, 1, width, pane*int64(width))
		s.Learnt[class] = pane - 1
	}
}

// flooding reports whether a flood alert is running.
func (r *resource) flooding(t int64) bool { return r.isOpen(episodeKey{weir.DDoS, "flood"}, t) }

func (r *resource) floodFinding(d *Detector, class floodClass, sum *floodSum, ev *flood, n uint32, rate float64, end int64) weir.Finding {
	f := weir.Finding{
		Type: weir.DDoS, Resource: r.Res, Own: sum.Own, Direction: weir.Outgoing, Key: "flood",
		At: end, First: sum.First, Last: sum.Last, Quiet: floodQuiet, Window: 3 * d.cfg.Pane,
		Unit: weir.UnitPacketsPerS, Observed: rate, Count: ev.x,
		Sampling: weir.Sampling{Rate: n, Source: sum.Source},
		Facts:    map[string]string{"class": floodNames[class], "destinations": strconv.Itoa(len(ev.keys))},
	}
	switch class {
	case floodICMP:
		f.Proto = weir.ProtoICMP
	case floodUDP, floodReflector:
		f.Proto = weir.ProtoUDP
	case floodSYN, floodFragments, floodClasses:
		f.Proto = weir.ProtoTCP
	}
	lo, hi := baseline.PoissonInterval95(ev.x)
	perSecond := float64(n) / d.cfg.Pane.Seconds()
	est, low, high := float64(ev.x)*perSecond, lo*perSecond, hi*perSecond
	if n == 1 {
		low, high = est, est
	}
	f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = &est, &low, &high
	counts := make([]uint64, len(ev.keys))
	for i, k := range ev.keys {
		counts[i] = sum.Dst[k].Out
	}
	f.Facts["concentration"] = strconv.FormatFloat(baseline.Concentration(counts), 'f', 4, 64)
	covered := uint64(0)
	for i, k := range ev.keys {
		v := sum.Dst[k]
		big := float64(v.Out) >= victimShare*float64(ev.all)
		if !big && i >= 3 || i >= floodVictims || float64(covered) >= victimCover*float64(ev.all) {
			break
		}
		if !big {
			f.Facts["spread"] = "true"
		}
		covered += v.Out
		f.Peers = append(f.Peers, weir.PeerEvidence{
			Address: k.addr(), Packets: v.Out, Bytes: v.Bytes, Lower: baseline.RateLower(n, v.Out, d.cfg.Pane.Seconds()),
			First: sum.First, Last: sum.Last,
		})
	}
	if p, ok := ev.carpet(); ok {
		f.Facts["carpet"] = p.String()
	}
	f.Limits = append(f.Limits, weir.Limit{Code: weir.LimitMayBeLegitimate})
	f.Limits = append(f.Limits, r.limits(true)...)
	return f
}

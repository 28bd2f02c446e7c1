// Package sweep follows first contacts that look like probes: runs of the
// packet-mark CUSUM with the targets that they met (detection reference, section
// 8.10).
package sweep

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
	"github.com/weir-net/weir/internal/detect/carpet"
	"github.com/weir-net/weir/internal/detect/sample"
	"github.com/weir-net/weir/internal/detect/service"
)

const (
	// MaxRuns bounds the runs that Prune leaves.
	MaxRuns    = 1024
	maxTargets = 4096
	idle       = 24 * time.Hour // without a first contact, after which a run ends
	resetShare = 0.5
	dominance  = 0.8 // share of one port or destination of a run of many
	// DeadShare is the share of bare SYNs among the packets of a first contact from
	// which its destination is a target.
	DeadShare = 0.5
	// floodPackets is the mean number of packets of a target service from which a
	// run is a flood of many ports: a scanner sends a few to each.
	floodPackets = 20
)

// Peer is a destination: an address, or the /64 of one.
type Peer [16]byte

func (p Peer) compare(o Peer) int {
	if a, b := binary.BigEndian.Uint64(p[:8]), binary.BigEndian.Uint64(o[:8]); a != b {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(binary.BigEndian.Uint64(p[8:]), binary.BigEndian.Uint64(o[8:]))
}

func (p Peer) addr() netip.Addr { return netip.AddrFrom16(p).Unmap() }

// Probe is what one pane shows of contacts to one service of one destination.
type Probe struct {
	Peer             Peer
	Port             service.Port
	Xf, Syn, Xr, Rst uint64 // own packets, bare SYNs of them, replies, resets of them
	N                uint32 // sampling interval, 0 unknown
	Source           weir.SamplingSource
	First, Last      int64 // Unix ns
	Own              netip.Addr
	Record           weir.RecordEvidence
	Hash             uint64 // of the record
}

// Compare orders probes by time, so that which addresses take part does not
// matter (property P9); the address decides ties only.
func (p *Probe) Compare(q *Probe) int {
	if p.First != q.First {
		return cmp.Compare(p.First, q.First)
	}
	return cmp.Or(cmp.Compare(p.Last, q.Last), cmp.Compare(p.Xf, q.Xf), cmp.Compare(p.Syn, q.Syn),
		p.Peer.compare(q.Peer), p.Port.Compare(q.Port))
}

// Share returns the share of own packets that are bare SYNs; of UDP 1 when nobody
// answered, 0 otherwise.
func (p *Probe) Share() float64 {
	if p.Port.Proto != weir.ProtoUDP {
		return float64(p.Syn) / math.Max(float64(p.Xf), 1)
	}
	if p.Xr == 0 {
		return 1
	}
	return 0
}

// Answered reports whether somebody answered: a reply other than a reset, or for
// TCP an own packet that is no bare SYN.
func (p *Probe) Answered() bool {
	return p.Xr > p.Rst || p.Port.Proto == weir.ProtoTCP && p.Xf > p.Syn
}

// Target is one destination of a run.
type Target struct {
	Xf         uint64
	Ports      map[uint16]bool
	First      int64
	Last       int64
	Unanswered bool
}

// Run is the CUSUM above zero with the targets that it met. Fields are exported
// for encoding and for the rules that judge it.
type Run struct {
	Cusum            baseline.PMCusum
	First, Last      int64 // Unix ns
	Targets          map[Peer]*Target
	Dead             int // targets that nobody has seen answer
	Pairs            int // distinct (destination, port)
	Ports            map[uint16]uint64
	Xf, Syn, Xr, Rst uint64
	N                uint32
	NoRate           bool
	Source           weir.SamplingSource
	Own              netip.Addr
	Records          []sample.Record
	Overflow         int
	Proto            uint8
	Pane             Burst
	// Flood tells that it once came at the rate of a flood, with many packets for
	// each target.
	Flood bool
}

// Burst is what one pane adds to a run.
type Burst struct {
	At, First, Last int64
	Xf              uint64
}

// Take adds a first contact of the pane that ends at t (Unix ns) to a run, which
// may be nil, under the parameters t0 and t1 of the CUSUM. It returns the run,
// nil when its level is back at zero.
func (e *Run) Take(p *Probe, t0, t1 float64, t int64) *Run {
	f := p.Share()
	if e == nil || t-e.Last > int64(idle) {
		if baseline.PMIncrement(f, t0, t1) <= 0 {
			return nil
		}
		e = &Run{First: p.First, N: 1, Targets: make(map[Peer]*Target), Ports: make(map[uint16]uint64), Proto: p.Port.Proto}
	}
	e.Cusum.Add(f, t0, t1)
	// A run that has long alarmed must be able to end.
	e.Cusum.Level = math.Min(e.Cusum.Level, 4*baseline.PMAlarm)
	if e.Cusum.Level == 0 {
		return nil
	}
	e.First, e.Last, e.Own = min(e.First, p.First), max(e.Last, p.Last), p.Own
	e.Xf, e.Syn, e.Xr, e.Rst = e.Xf+p.Xf, e.Syn+p.Syn, e.Xr+p.Xr, e.Rst+p.Rst
	e.N, e.NoRate, e.Source = max(e.N, p.N), e.NoRate || p.N == 0, max(e.Source, p.Source)
	if f >= DeadShare {
		e.target(p, t)
	}
	return e
}

// target notes a first contact that looks like a probe.
func (e *Run) target(p *Probe, t int64) {
	if e.Pane.At != t {
		e.Pane = Burst{At: t, First: p.First}
	}
	e.Pane.First, e.Pane.Last, e.Pane.Xf = min(e.Pane.First, p.First), max(e.Pane.Last, p.Last), e.Pane.Xf+p.Xf
	tg := e.Targets[p.Peer]
	if tg == nil {
		if len(e.Targets) >= maxTargets {
			e.Overflow++
			return
		}
		tg = &Target{Ports: make(map[uint16]bool), First: p.First, Unanswered: true}
		e.Targets[p.Peer] = tg
		e.Dead++
	}
	if !tg.Ports[p.Port.Port] && e.Pairs < 16*maxTargets {
		tg.Ports[p.Port.Port] = true
		e.Pairs++
		e.Ports[p.Port.Port]++
	}
	tg.Xf += p.Xf
	tg.First, tg.Last = min(tg.First, p.First), max(tg.Last, p.Last)
	if p.Xr > p.Rst {
		e.Answer(p.Peer)
	}
	e.Records = sample.Keep(e.Records, p.Record, p.Hash)
}

// Answer notes that a target is alive after all: under sampling the first packet
// seen of an ordinary connection may be its SYN. A nil run has no targets.
func (e *Run) Answer(peer Peer) {
	if e == nil {
		return
	}
	if tg := e.Targets[peer]; tg != nil && tg.Unanswered {
		tg.Unanswered = false
		e.Dead--
	}
}

// Alarm reports whether the run has alarmed, at a known sampling rate.
func (e *Run) Alarm() bool { return e != nil && e.Cusum.Alarm() && !e.NoRate }

// DeadSince returns the number of targets without an answer that were first
// contacted at a time (Unix ns) or later.
func (e *Run) DeadSince(from int64) int {
	n := 0
	for _, tg := range e.Targets {
		if tg.Unanswered && tg.First >= from {
			n++
		}
	}
	return n
}

// Quiet reports whether replies are rarer than a limit, or mostly resets.
func (e *Run) Quiet(limit float64) bool {
	if float64(e.Rst) >= resetShare*float64(max(e.Xr, 1)) {
		return true
	}
	replies := e.Xr - min(e.Rst, e.Xr)
	return baseline.BetaUCB95(replies, replies+e.Xf) < limit
}

// Need returns the number of targets asked for: exact where nothing is sampled,
// sampled otherwise, both times a factor.
func (e *Run) Need(exact, sampled, factor int) int {
	if e.N > 1 {
		return sampled * factor
	}
	return exact * factor
}

// Held reports whether a run is left to the flood rule: it comes, or came, at
// the rate of a flood, floor packets a second, and its targets get many packets
// each, as in a carpet bombing. A scan sends few packets to each target, however
// fast it is.
func (e *Run) Held(floor float64) bool {
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

// Flooded reports whether the run is a flood of few hosts at many ports.
func (e *Run) Flooded() bool { return e.Xf >= floodPackets*uint64(max(e.Pairs, 1)) }

// Dominated reports whether one port or one destination makes the run a sweep or
// a vertical scan.
func (e *Run) Dominated() bool {
	for _, n := range e.Ports {
		if float64(n) >= dominance*float64(e.Pairs) {
			return true
		}
	}
	for _, tg := range e.Targets {
		if float64(len(tg.Ports)) >= dominance*float64(e.Pairs) {
			return true
		}
	}
	return false
}

// Evidence puts ports, targets, records and marks of the run into a finding;
// name names a port for people.
func (e *Run) Evidence(f *weir.Finding, name func(proto uint8, port uint16) string) {
	ports := slices.SortedFunc(maps.Keys(e.Ports), func(a, b uint16) int {
		return cmp.Or(cmp.Compare(e.Ports[b], e.Ports[a]), cmp.Compare(a, b))
	})
	for _, p := range ports[:min(len(ports), weir.MaxPorts)] {
		f.Ports = append(f.Ports, weir.PortCount{Port: p, Protocol: service.ProtoName(e.Proto), Service: name(e.Proto, p), Count: e.Ports[p]})
	}
	if len(ports) > 0 {
		f.Port, f.Service = ports[0], name(e.Proto, ports[0])
	}
	peers := slices.SortedFunc(maps.Keys(e.Targets), func(a, b Peer) int {
		return cmp.Or(cmp.Compare(len(e.Targets[b].Ports), len(e.Targets[a].Ports)), cmp.Compare(e.Targets[b].Xf, e.Targets[a].Xf), a.compare(b))
	})
	for _, p := range peers[:min(len(peers), weir.MaxPeers)] {
		tg := e.Targets[p]
		f.Peers = append(f.Peers, weir.PeerEvidence{
			Address: p.addr(), Packets: tg.Xf, Connections: uint64(len(tg.Ports)), Lower: float64(len(tg.Ports)),
			First: tg.First, Last: tg.Last,
		})
	}
	for i := range e.Records {
		f.Records = append(f.Records, e.Records[i].RecordEvidence)
	}
}

// Left returns the number of targets that Evidence leaves out.
func (e *Run) Left() int { return max(len(e.Targets)-weir.MaxPeers+e.Overflow, 0) }

// Prune forgets the runs without a first contact for a day at time t (Unix ns),
// and beyond MaxRuns those with the fewest targets.
func Prune[K comparable](m map[K]*Run, t int64, compare func(a, b K) int) {
	for k, e := range m {
		if t-e.Last > int64(idle) {
			delete(m, k)
		}
	}
	if len(m) <= MaxRuns {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[a].Pairs, m[b].Pairs), compare(a, b))
	})
	for _, k := range keys[:len(keys)-MaxRuns] {
		delete(m, k)
	}
}

// UDP reports whether sweeps of a UDP port are worth an alert: those of services.
// High random ports are those of peers of peer-to-peer networks, never judged.
func UDP(port uint16) bool {
	switch port {
	case 19, 69, 111, 123, 137, 161, 389, 500, 623, 1434, 1900, 3389, 3702, 5060, 5353, 11211:
		return true
	}
	return false
}

// Web reports whether a port is one of the web, which crawlers visit.
func Web(port uint16) bool { return port == 80 || port == 443 || port == 8080 || port == 8443 }

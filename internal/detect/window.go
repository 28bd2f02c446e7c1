package detect

import (
	"math/bits"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/portset"
	"github.com/weir-net/weir/internal/detect/sample"
)

// horizon is one of the two windows of every pair and aggregate rule
// (section 3.3): a fast one for what is loud and a slow one for what is low.
type horizon uint8

const (
	hour horizon = iota // 1 h, sliding by 10 min
	day                 // 24 h, sliding by 4 h
)

// slotsPerWindow is the number of slots of a window at either horizon.
const slotsPerWindow = 6

func (h horizon) slot() int64 {
	if h == day {
		return int64(4 * time.Hour)
	}
	return int64(10 * time.Minute)
}

func (h horizon) window() time.Duration { return time.Duration(slotsPerWindow * h.slot()) }

// hours is the length of the window in hours, the unit of exposure of rates.
func (h horizon) hours() float64 { return h.window().Hours() }

// floorDiv divides and rounds toward minus infinity, so that slots before 1970
// are as wide as the others.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// peerKey is a peer as state is keyed: its address in 16 bytes, IPv6 cut to the
// /64 that one site controls (section 13, rotation inside a /64).
type peerKey [16]byte

func (k peerKey) compare(o peerKey) int { return slices.Compare(k[:], o[:]) }

// Tally is what was seen of one key in one slot, in the direction of the
// session: f is client to server, r server to client.
type Tally struct {
	Xf, Xr uint64 // sampled packets
	Bf, Br uint64 // bytes
	Syn    uint64 // sampled client packets with SYN and no ACK
	Ctl    uint64 // sampled client packets with SYN, FIN or RST
	Recs   uint64 // records with client packets
	SynRec uint64 // of these, records of nothing but one SYN
	Starts uint64 // records that begin a connection
	Done   uint64 // connections whose handshake completed, as far as is known
	Within uint64 // connections whose packets fit the service range
	Nx     uint64 // sum of sampling interval over client packets or records
	Nw     uint64 // its weight
	Ports  portset.Set
	First  int64
	Last   int64
	NoRate bool // some record has no known rate
	Thin   bool // some record is sampled
	Joined bool // some connections may be in records of several exporters
	Lacks  weir.Fields
	Source weir.SamplingSource
	Seen   bool // something was merged into it
	// burst is the largest number of connections that began within one second.
	Burst uint64
}

func (c *Tally) merge(o *Tally) {
	if !c.Seen {
		c.First, c.Last, c.Seen = o.First, o.Last, true
	}
	c.First, c.Last = min(c.First, o.First), max(c.Last, o.Last)
	c.Xf, c.Xr, c.Bf, c.Br = c.Xf+o.Xf, c.Xr+o.Xr, c.Bf+o.Bf, c.Br+o.Br
	c.Syn, c.Ctl, c.Recs, c.SynRec = c.Syn+o.Syn, c.Ctl+o.Ctl, c.Recs+o.Recs, c.SynRec+o.SynRec
	c.Starts, c.Done, c.Within = c.Starts+o.Starts, c.Done+o.Done, c.Within+o.Within
	c.Nx, c.Nw = c.Nx+o.Nx, c.Nw+o.Nw
	c.Ports.Union(&o.Ports)
	c.NoRate, c.Thin, c.Lacks = c.NoRate || o.NoRate, c.Thin || o.Thin, c.Lacks|o.Lacks
	c.Joined = c.Joined || o.Joined
	c.Source, c.Burst = max(c.Source, o.Source), max(c.Burst, o.Burst)
}

// rate returns the effective sampling interval of the evidence, the mean
// weighted by packets; 0 when it is not known, 1 when nothing was sampled.
func (c *Tally) rate() uint32 {
	switch {
	case c.NoRate || c.Nw == 0:
		return 0
	case !c.Thin:
		return 1
	}
	return uint32(min(max((c.Nx+c.Nw/2)/c.Nw, 1), 1<<31))
}

// distinct returns D, the number of distinct client ports, a lower bound on
// the connections seen.
func (c *Tally) distinct() uint64 { return c.Ports.Len() }

// connections returns the number of connections seen. Where flags tell, a
// record that holds the SYN begins one; other records count once per client
// port and slot. It never falls below D.
func (c *Tally) connections() uint64 { return max(c.Starts, c.distinct()) }

func (c *Tally) has(f weir.Fields) bool { return c.Lacks&f == 0 }

// slotCounts is a tally with the number of its slot and a finer series: ten
// parts of equal length.
type slotCounts struct {
	N      int64
	Series [10]uint32
	Loose  portset.Set // client ports of records without flags
	Second int64       // the second of the newest connection, and how many it has
	InIt   uint64
	Tally
}

// pair is all that is kept of one peer of an activity.
type pair struct {
	Key     peerKey
	Example peerKey // the lowest full address seen
	V4      bool
	Slots   [2][]slotCounts // by horizon, rising slot number
	First   int64
	Last    int64
	Days    uint32 // bit i: active i days before dayBase
	DayBase int64
	Own     [2]ownRate
	Records []hashedRecord
	Fired   int64 // end of the newest window that raised an alert
	// Reported is the end of the first window that did, Crowd that of the first in
	// which the peer was one of the many of an alert.
	Reported int64
	Crowd    int64
	Allowed  bool
	IsOwn    bool
	Intel    *weir.Verdict
}

type hashedRecord = sample.Record

// at returns the slot of a number, making it when it is new. Slots come in
// rising order because panes do.
func (p *pair) at(h horizon, n int64) (slot *slotCounts, fresh bool) {
	s := p.Slots[h]
	if len(s) > 0 && s[len(s)-1].N == n {
		return &s[len(s)-1], false
	}
	// Drop what no window can reach any more before growing.
	keep := 0
	for keep < len(s) && s[keep].N <= n-slotsPerWindow {
		keep++
	}
	if keep > 0 {
		s = slices.Delete(s, 0, keep)
	}
	p.Slots[h] = append(s, slotCounts{N: n})
	return &p.Slots[h][len(p.Slots[h])-1], true
}

// window merges the slots of the window that ends with slot last (inclusive).
// ok is false when the pair was silent in all of it.
func (p *pair) window(h horizon, last int64) (c Tally, ok bool) {
	for i := range p.Slots[h] {
		s := &p.Slots[h][i]
		if s.N > last-slotsPerWindow && s.N <= last {
			c.merge(&s.Tally)
			ok = true
		}
	}
	return c, ok
}

// markDay notes activity on the day of t for the regular set.
func (p *pair) markDay(t int64) {
	d := floorDiv(t, int64(24*time.Hour))
	if p.Days == 0 {
		p.DayBase = d
	}
	if d > p.DayBase {
		if shift := d - p.DayBase; shift < 32 {
			p.Days <<= shift
		} else {
			p.Days = 0
		}
		p.DayBase = d
	}
	if back := p.DayBase - d; back < 32 {
		p.Days |= 1 << back
	}
}

// usual reports whether a day with y connections lies within the quantiles 1 % and
// 99 % of the peer's own days, as far as there are three of them (section 7.1).
func (p *pair) usual(y uint64, e float64) bool {
	own := &p.Own[day]
	if own.Windows < 3 {
		return true
	}
	mean := own.Mean(baseline.Prior{}) * e
	return y >= baseline.NBQuantile(0.01, own.Shape(), mean) && y <= baseline.NBQuantile(0.99, own.Shape(), mean)
}

// skipDay takes the day of t out of the days that make a peer regular.
func (p *pair) skipDay(t int64) {
	if back := p.DayBase - floorDiv(t, int64(24*time.Hour)); back >= 0 && back < 32 {
		p.Days &^= 1 << back
	}
}

// regular reports whether the peer belongs to the regular set at time t: active
// on at least 3 distinct days of the last 30, not idle for 30 (section 7.1).
func (p *pair) regular(t int64) bool {
	d := floorDiv(t, int64(24*time.Hour)) - p.DayBase
	if d < 0 || d >= 30 {
		return false
	}
	return bits.OnesCount32(p.Days&(1<<uint(30-d)-1)) >= 3
}

// keepRecord keeps the 20 records with the lowest hash, so that the choice does
// not depend on the order of arrival.
func (p *pair) keepRecord(r weir.RecordEvidence, hash uint64) {
	p.Records = sample.Keep(p.Records, r, hash)
}

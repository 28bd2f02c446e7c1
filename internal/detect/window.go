package detect

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/weir-net/weir"
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

// portSet counts distinct ports exactly: a sorted list while small, a bitmap
// of all 65,536 afterwards.
type portSet struct {
	small []uint16
	big   *[1024]uint64
}

const portSetSmall = 256

func (s *portSet) add(p uint16) {
	if s.big != nil {
		s.big[p>>6] |= 1 << (p & 63)
		return
	}
	i, found := slices.BinarySearch(s.small, p)
	if found {
		return
	}
	if len(s.small) < portSetSmall {
		s.small = slices.Insert(s.small, i, p)
		return
	}
	s.grow()
	s.add(p)
}

func (s *portSet) grow() {
	s.big = new([1024]uint64)
	for _, p := range s.small {
		s.big[p>>6] |= 1 << (p & 63)
	}
	s.small = nil
}

func (s *portSet) union(o *portSet) {
	if o.big != nil {
		if s.big == nil {
			s.grow()
		}
		for i, w := range o.big {
			s.big[i] |= w
		}
		return
	}
	for _, p := range o.small {
		s.add(p)
	}
}

func (s *portSet) len() uint64 {
	if s.big == nil {
		return uint64(len(s.small))
	}
	n := 0
	for _, w := range s.big {
		n += bits.OnesCount64(w)
	}
	return uint64(n) //nolint:gosec // at most 65,536
}

// counts is what was seen of one key in one slot, in the direction of the
// session: f is client to server, r server to client.
type counts struct {
	xf, xr uint64 // sampled packets
	bf, br uint64 // bytes
	syn    uint64 // sampled client packets with SYN and no ACK
	ctl    uint64 // sampled client packets with SYN, FIN or RST
	recs   uint64 // records with client packets
	synRec uint64 // of these, records of nothing but one SYN
	starts uint64 // records that begin a connection
	done   uint64 // connections whose handshake completed, as far as is known
	within uint64 // connections whose packets fit the service range
	nx     uint64 // sum of sampling interval over client packets or records
	nw     uint64 // its weight
	ports  portSet
	first  int64
	last   int64
	noRate bool // some record has no known rate
	thin   bool // some record is sampled
	lacks  weir.Fields
	source weir.SamplingSource
	seen   bool // something was merged into it
	// burst is the largest number of connections that began within one second.
	burst uint64
}

func (c *counts) merge(o *counts) {
	if !c.seen {
		c.first, c.last, c.seen = o.first, o.last, true
	}
	c.first, c.last = min(c.first, o.first), max(c.last, o.last)
	c.xf, c.xr, c.bf, c.br = c.xf+o.xf, c.xr+o.xr, c.bf+o.bf, c.br+o.br
	c.syn, c.ctl, c.recs, c.synRec = c.syn+o.syn, c.ctl+o.ctl, c.recs+o.recs, c.synRec+o.synRec
	c.starts, c.done, c.within = c.starts+o.starts, c.done+o.done, c.within+o.within
	c.nx, c.nw = c.nx+o.nx, c.nw+o.nw
	c.ports.union(&o.ports)
	c.noRate, c.thin, c.lacks = c.noRate || o.noRate, c.thin || o.thin, c.lacks|o.lacks
	c.source, c.burst = max(c.source, o.source), max(c.burst, o.burst)
}

// rate returns the effective sampling interval of the evidence, the mean
// weighted by packets; 0 when it is not known, 1 when nothing was sampled.
func (c *counts) rate() uint32 {
	switch {
	case c.noRate || c.nw == 0:
		return 0
	case !c.thin:
		return 1
	}
	return uint32(min(max((c.nx+c.nw/2)/c.nw, 1), 1<<31)) //nolint:gosec // bounded
}

// distinct returns D, the number of distinct client ports, a lower bound on
// the connections seen.
func (c *counts) distinct() uint64 { return c.ports.len() }

// connections returns the number of connections seen. Where flags tell, a
// record that holds the SYN begins one; other records count once per client
// port and slot. It never falls below D.
func (c *counts) connections() uint64 { return max(c.starts, c.distinct()) }

func (c *counts) has(f weir.Fields) bool { return c.lacks&f == 0 }

// slotCounts is counts with the number of its slot and a finer series: ten
// parts of equal length.
type slotCounts struct {
	n      int64
	series [10]uint32
	loose  portSet // client ports of records without flags
	second int64   // the second of the newest connection, and how many it has
	inIt   uint64
	counts
}

// pair is all that is kept of one peer of an activity.
type pair struct {
	key     peerKey
	example peerKey // the lowest full address seen
	v4      bool
	slots   [2][]slotCounts // by horizon, rising slot number
	first   int64
	last    int64
	days    uint32 // bit i: active i days before dayBase
	dayBase int64
	own     [2]ownRate
	records []hashedRecord
	fired   int64 // end of the newest window that raised an alert
	allowed bool
	isOwn   bool
	intel   *weir.Verdict
}

type hashedRecord struct {
	hash uint64
	weir.RecordEvidence
}

// at returns the slot of a number, making it when it is new. Slots come in
// rising order because panes do.
func (p *pair) at(h horizon, n int64) (slot *slotCounts, fresh bool) {
	s := p.slots[h]
	if len(s) > 0 && s[len(s)-1].n == n {
		return &s[len(s)-1], false
	}
	// Drop what no window can reach any more before growing.
	keep := 0
	for keep < len(s) && s[keep].n <= n-slotsPerWindow {
		keep++
	}
	if keep > 0 {
		s = slices.Delete(s, 0, keep)
	}
	p.slots[h] = append(s, slotCounts{n: n})
	return &p.slots[h][len(p.slots[h])-1], true
}

// window merges the slots of the window that ends with slot last (inclusive).
// ok is false when the pair was silent in all of it.
func (p *pair) window(h horizon, last int64) (c counts, ok bool) {
	for i := range p.slots[h] {
		s := &p.slots[h][i]
		if s.n > last-slotsPerWindow && s.n <= last {
			c.merge(&s.counts)
			ok = true
		}
	}
	return c, ok
}

// markDay notes activity on the day of t for the regular set.
func (p *pair) markDay(t int64) {
	d := floorDiv(t, int64(24*time.Hour))
	if p.days == 0 {
		p.dayBase = d
	}
	if d > p.dayBase {
		if shift := d - p.dayBase; shift < 32 {
			p.days <<= uint(shift)
		} else {
			p.days = 0
		}
		p.dayBase = d
	}
	if back := p.dayBase - d; back < 32 {
		p.days |= 1 << uint(back)
	}
}

// regular reports whether the peer belongs to the regular set at time t: active
// on at least 3 distinct days of the last 30, not idle for 30 (section 7.1).
func (p *pair) regular(t int64) bool {
	d := floorDiv(t, int64(24*time.Hour)) - p.dayBase
	if d < 0 || d >= 30 {
		return false
	}
	return bits.OnesCount32(p.days&(1<<uint(30-d)-1)) >= 3
}

// keepRecord keeps the 20 records with the lowest hash, so that the choice does
// not depend on the order of arrival.
func (p *pair) keepRecord(r weir.RecordEvidence, hash uint64) {
	if len(p.records) == weir.MaxRecords {
		if hash >= p.records[len(p.records)-1].hash {
			return
		}
		p.records = p.records[:len(p.records)-1]
	}
	i, _ := slices.BinarySearchFunc(p.records, hash, func(a hashedRecord, h uint64) int { return cmp.Compare(a.hash, h) })
	p.records = slices.Insert(p.records, i, hashedRecord{hash, r})
}

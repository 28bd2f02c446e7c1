package detect

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/beat"
	"github.com/weir-net/weir/internal/detect/portset"
	"github.com/weir-net/weir/internal/detect/sample"
	"github.com/weir-net/weir/internal/detect/tally"
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

func (k peerKey) compare(o peerKey) int {
	if a, b := binary.BigEndian.Uint64(k[:8]), binary.BigEndian.Uint64(o[:8]); a != b {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(binary.BigEndian.Uint64(k[8:]), binary.BigEndian.Uint64(o[8:]))
}

// slotCounts is a tally with the number of its slot and a finer series: ten
// parts of equal length.
type slotCounts struct {
	N      int64
	Series [10]uint32
	Loose  portset.Set // client ports of records without flags
	Second int64       // the second of the newest connection, and how many it has
	InIt   uint64
	tally.Tally
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
	Clock    beat.Clock
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
func (p *pair) window(h horizon, last int64) (c tally.Tally, ok bool) {
	if s := p.Slots[h]; len(s) == 1 && s[0].N > last-slotsPerWindow && s[0].N <= last {
		c = s[0].Tally // nothing is added to it
		c.Seen = true
		return c, true
	}
	for i := range p.Slots[h] {
		s := &p.Slots[h][i]
		if s.N > last-slotsPerWindow && s.N <= last {
			c.Merge(&s.Tally)
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

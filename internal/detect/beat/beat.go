// Package beat tells whether a machine talks to an address like clockwork, as
// malware does that asks its controller for orders (detection reference, section
// 3.5). It keeps when it talked, in bounded space.
package beat

import (
	"math"
	"slices"
	"time"

	"github.com/weir-net/weir/internal/baseline"
)

const (
	most     = 512                // events of one train
	keep     = 7 * 24 * time.Hour // how long an event counts
	day      = 24 * time.Hour
	regular  = 0.9              // score of the published formula that is a beacon
	shortest = 30 * time.Minute // window of the published formula, at least
	again    = time.Hour        // a verdict is renewed after this time,
	growth   = 4                // or when the events have grown by one in so many
)

// The methods of a verdict.
const (
	Rita  = "rita"  // the published formula, where nothing is sampled
	Phase = "phase" // the phase test, which survives sampling
)

// Event is one connection, or one second of it.
type Event struct {
	Second int64  // Unix time
	Bytes  uint64 // at most, of the records of that second
}

// Verdict is what a train of events looks like.
type Verdict struct {
	Score  float64 // of the published formula in [0,1], or R* of the phase test
	Events int     // that it rests on
	Method string  // "" below the least number of events
	Beacon bool
}

// Train is the talks of a machine with one port of an address, one for each
// second. The zero value is empty. What it holds depends on the set of what was
// added between two verdicts, never on the order. Fields are exported for
// encoding alone.
type Train struct {
	Events  []Event // by time
	Sampled bool    // some record is sampled, or nobody knows
	Newest  Verdict
	At      int64 // time of the newest verdict, Unix ns
}

// Add notes a talk at time t (Unix ns), with the sampling interval of its record;
// 0 where it is not known.
func (t *Train) Add(at int64, bytes uint64, rate uint32) {
	t.Sampled = t.Sampled || rate != 1
	second := at / int64(time.Second)
	i, found := slices.BinarySearchFunc(t.Events, second, func(e Event, s int64) int { return sign(e.Second - s) })
	if found {
		t.Events[i].Bytes = max(t.Events[i].Bytes, bytes)
		return
	}
	if len(t.Events) == most {
		if i == 0 {
			return
		}
		// The oldest goes.
		copy(t.Events, t.Events[1:i])
		t.Events[i-1] = Event{second, bytes}
		return
	}
	t.Events = slices.Insert(t.Events, i, Event{second, bytes})
}

func sign(v int64) int {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return 0
}

// Idle reports whether everything that the train holds is too old at time t
// (Unix ns).
func (t *Train) Idle(now int64) bool {
	return len(t.Events) == 0 || t.Events[len(t.Events)-1].Second < (now-int64(keep))/int64(time.Second)
}

// Verdict returns what the train looks like at time now (Unix ns). It is computed
// anew when enough has come since the newest one.
func (t *Train) Verdict(now int64) Verdict {
	n := len(t.Events)
	if n < baseline.BeaconMin || now-t.At < int64(again) && n-t.Newest.Events < max(t.Newest.Events/growth, 1) {
		return t.Newest
	}
	old := (now - int64(keep)) / int64(time.Second)
	t.Events = slices.DeleteFunc(t.Events, func(e Event) bool { return e.Second < old })
	t.At = now
	if t.Sampled {
		t.Newest = phase(t.Events, now)
	} else {
		t.Newest = published(t.Events)
	}
	return t.Newest
}

// published is the formula for unsampled traffic, over the time from the first
// event to the last.
func published(events []Event) Verdict {
	if len(events) < baseline.BeaconMin {
		return Verdict{}
	}
	times, sizes := make([]float64, len(events)), make([]float64, len(events))
	for i, e := range events {
		times[i], sizes[i] = float64(e.Second-events[0].Second), float64(e.Bytes)
	}
	score, _, ok := baseline.BeaconScore(times, sizes, 0, math.Max(times[len(times)-1], shortest.Seconds()))
	if !ok {
		return Verdict{}
	}
	return Verdict{score, len(events), Rita, score >= regular}
}

// phase is the test for sampled traffic: over a day, and where that does not
// tell over a week.
func phase(events []Event, now int64) Verdict {
	var v Verdict
	for _, window := range []time.Duration{day, keep} {
		from := (now - int64(window)) / int64(time.Second)
		i, _ := slices.BinarySearchFunc(events, from, func(e Event, s int64) int { return sign(e.Second - s) })
		recent := events[i:]
		if len(recent) < baseline.BeaconMin || window == keep && len(recent) == v.Events {
			continue
		}
		if v = phaseOver(recent, window.Seconds()); v.Beacon {
			break
		}
	}
	return v
}

func phaseOver(events []Event, window float64) Verdict {
	times := make([]float64, len(events))
	for i, e := range events {
		times[i] = float64(e.Second - events[0].Second)
	}
	r, index, significant := baseline.BeaconR(times, window)
	v := Verdict{r, len(events), Phase, false}
	if !significant {
		return v
	}
	// A burst has one phase as well: of every period only the first event counts,
	// and there must still be enough.
	f := baseline.BeaconFrequency(index, window)
	var re, im float64
	n, last := 0, -1.0
	for _, t := range times {
		if cycle := math.Floor(t*f + 0.5); cycle > last {
			s, c := math.Sincos(2 * math.Pi * f * t)
			re, im, n, last = re+c, im+s, n+1, cycle
		}
	}
	v.Beacon = n >= baseline.BeaconMin && (re*re+im*im)/float64(n) > baseline.BeaconThreshold(window)
	return v
}

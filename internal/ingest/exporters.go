package ingest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// exporter is what is remembered of one sender of datagrams.
type exporter struct {
	newest int64 // newest event time, Unix ns; 0 before the first flow
	heard  int64 // receive time of the newest datagram

	flows, datagrams, bytes uint64
	// dropped are datagrams that found the queue full.
	dropped uint64
	// replaced are flows whose times could not be used: the time of receipt
	// took their place.
	replaced uint64
	skew     skew
	// noRate are flows without a known sampling rate, the newest received at
	// noRateAt.
	noRate   uint64
	noRateAt int64
	// late is how far flows ended before the newest of earlier datagrams, length
	// their duration.
	late, length spread
}

// exporters keeps the watermark of live input: the minimum, over the exporters
// heard lately, of the newest event time less the lateness. It is not safe for
// concurrent use; its owner locks. All clocks are arguments.
type exporters struct {
	lateness, idle, pane time.Duration
	max                  int

	m         map[netip.Addr]*exporter
	evicted   uint64
	watermark int64 // never falls
	computed  int64 // wall time of the last look over all
	newest    int64 // newest event time of anyone
	heard     int64 // newest receive time of anyone
	silent    bool  // the silence has been reported
}

// watermarkEvery is the wall time between two looks over all exporters: panes
// are a minute, so a quarter of a second delays nothing.
const watermarkEvery = int64(250 * time.Millisecond)

func newExporters(lateness, idle, pane time.Duration, most int) *exporters {
	return &exporters{lateness: lateness, idle: idle, pane: pane, max: most, m: map[netip.Addr]*exporter{}}
}

// get returns the entry of an exporter, making room for a new one.
func (e *exporters) get(a netip.Addr) *exporter {
	x := e.m[a]
	if x != nil {
		return x
	}
	if len(e.m) >= e.max {
		e.makeRoom()
	}
	x = &exporter{}
	e.m[a] = x
	return x
}

// lost counts a datagram that nobody decoded. It makes no exporter known: it may
// be none.
func (e *exporters) lost(a netip.Addr) {
	if x := e.m[a]; x != nil {
		x.dropped++
	}
}

// makeRoom forgets the exporters silent for longest: a sixteenth of all at a
// time, so that a flood of forged senders does not cost a search each.
func (e *exporters) makeRoom() {
	heard := make([]int64, 0, len(e.m))
	for _, x := range e.m {
		heard = append(heard, x.heard)
	}
	slices.Sort(heard)
	limit := heard[len(heard)/16]
	n := len(heard)/16 + 1
	for a, x := range e.m {
		if n > 0 && x.heard <= limit {
			delete(e.m, a)
			e.evicted++
			n--
		}
	}
}

// saw notes a datagram with its flows: it sets their event times by the clock
// and moves the exporter's newest time. exported is the time of sending in the
// header, 0 where there is none.
func (e *exporters) saw(c Clock, from netip.Addr, received, exported int64, size int, flows []weir.Flow) {
	x := e.get(from)
	x.heard = max(x.heard, received)
	e.heard = max(e.heard, received)
	x.datagrams++
	x.bytes += uint64(size) //nolint:gosec // a length
	x.flows += uint64(len(flows))
	if exported != 0 {
		x.skew.observe(exported, received)
	}
	x.replaced += uint64(retime(c, &x.skew, received, flows)) //nolint:gosec // a count
	x.observe(received, flows)
	e.newest = max(e.newest, x.newest)
	e.silent = e.silent && len(flows) == 0
}

// observe moves the newest time and counts what the flows of one datagram tell.
// It looks at every flow, so that what is common to them is done once.
func (x *exporter) observe(received int64, flows []weir.Flow) {
	if len(flows) == 0 {
		return
	}
	before, newest := x.newest, x.newest
	late, length := x.late.at(received), x.length.at(received)
	inOrder, noRate := uint32(0), uint64(0)
	for i := range flows {
		f := &flows[i]
		newest = max(newest, f.End)
		if before-f.End <= 0 {
			inOrder++
		} else if before != 0 {
			late.add(time.Duration(before-f.End), 1)
		}
		length.add(time.Duration(duration(f)), 1)
		if f.Sampling == 0 {
			noRate++
		}
	}
	if before != 0 && inOrder > 0 {
		late.add(0, inOrder)
	}
	x.newest = newest
	if noRate > 0 {
		x.noRate += noRate
		x.noRateAt = max(x.noRateAt, received)
	}
}

// advance returns the watermark at wall time now. An exporter that was silent
// for longer than idle is not waited for; one that comes back is again, but the
// watermark never falls for it.
func (e *exporters) advance(now int64) int64 {
	if e.watermark != 0 && now >= e.computed && now-e.computed < watermarkEvery {
		return e.watermark
	}
	e.computed = now
	low, some := int64(0), false
	for _, x := range e.m {
		if x.newest == 0 || now-x.heard > int64(e.idle) {
			continue
		}
		if !some || x.newest < low {
			low, some = x.newest, true
		}
	}
	if some {
		e.watermark = max(e.watermark, low-int64(e.lateness))
	}
	return e.watermark
}

// silence reports, once a silence, the watermark that closes all open panes:
// when every exporter has been silent for idle, the newest event time and one
// pane. Only wall time can say so.
func (e *exporters) silence(now int64) (watermark int64, ok bool) {
	if e.silent || e.newest == 0 || now-e.heard < int64(e.idle) {
		return 0, false
	}
	e.silent = true
	w := e.newest + int64(e.pane)
	if w <= e.watermark {
		return 0, false
	}
	e.watermark = w
	return w, true
}

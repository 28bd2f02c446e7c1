package ingest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

// TestAdvisedLateness plays exporters of different habits for the formula of
// section 4.3 of the detection reference.
func TestAdvisedLateness(t *testing.T) {
	const n = 10_000
	for _, c := range []struct {
		name string
		// rare is how late, and how long, one record in rareness is; the others
		// come at once.
		late, length time.Duration
		rareness     int
		after        time.Duration // from the last record to the look
		least, most  time.Duration
	}{
		{"in order", 0, 0, 1, 0, time.Minute, time.Minute},
		{"a little late", 40 * time.Second, 0, 10, 0, time.Minute, time.Minute},
		{"late", 4 * time.Minute, 0, 100, 0, 4 * time.Minute, 4*time.Minute + 30*time.Second},
		{"late once in a while", 4 * time.Minute, 0, 5000, 0, time.Minute, time.Minute},
		{"active timeout of two minutes", 0, 2 * time.Minute, 50, 0, 150 * time.Second, 160 * time.Second},
		{"active timeout of half an hour", 0, 30 * time.Minute, 50, 0, 15 * time.Minute, 15 * time.Minute},
		{"an hour late", time.Hour, 0, 50, 0, 15 * time.Minute, 15 * time.Minute},
		{"late more than an hour ago", 4 * time.Minute, 0, 100, 61 * time.Minute, time.Minute, time.Minute},
	} {
		e := newExporters(time.Minute, time.Minute, time.Minute, 4)
		now := time.Duration(0)
		for i := range n {
			now += 10 * time.Millisecond
			f := flowAt(now, 0)
			if i%c.rareness == c.rareness-1 {
				f = flowAt(now-c.late, c.length)
			}
			e.saw(ClockExporter, exporterA, at(now), 0, 1, []weir.Flow{f})
		}
		got := e.snapshot(at(now + c.after))[0].AdvisedLateness
		if got < c.least || got > c.most {
			t.Errorf("%s: %v, want %v to %v", c.name, got, c.least, c.most)
		}
	}

	e := newExporters(time.Minute, time.Minute, time.Minute, 4)
	e.saw(ClockExporter, exporterA, at(0), 0, 1, []weir.Flow{flowAt(0, 0)})
	e.saw(ClockExporter, exporterA, at(0), 0, 1, []weir.Flow{flowAt(-10*time.Minute, 0)})
	if got := e.snapshot(at(0))[0].AdvisedLateness; got != time.Minute {
		t.Errorf("two records make an advice of %v", got)
	}
}

// TestSpread holds the buckets against the durations in them: none is below its
// duration, or more than an eighth and a step above it.
func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1<<spreadUnit, int64(latenessMost)).Draw(t, "duration"))
		edge := spreadEdge(spreadBucket(d))
		if edge < d || edge > d+d/8+1<<spreadUnit {
			t.Fatalf("%v counts as %v", d, edge)
		}
	})
	for _, d := range []time.Duration{-1 << 63, -1, 0, 1<<63 - 1} {
		if b := spreadBucket(d); b < 0 || b >= spreadBuckets {
			t.Errorf("%d is in bucket %d", d, b)
		}
	}
}

// TestUnknownRates counts the flows that say no rate, by exporter.
func TestUnknownRates(t *testing.T) {
	e := newExporters(time.Minute, time.Minute, time.Minute, 4)
	with := flowAt(0, 0)
	with.Sampling = 1000
	e.saw(ClockExporter, exporterA, at(0), 0, 1, []weir.Flow{with, flowAt(0, 0), flowAt(0, 0)})
	e.saw(ClockExporter, exporterA, at(time.Minute), 0, 1, []weir.Flow{with})
	e.saw(ClockExporter, exporterB, at(0), 0, 1, []weir.Flow{with})
	s := e.snapshot(at(time.Minute))
	if s[0].NoRate != 2 || s[0].NoRateAt != at(0) || s[1].NoRate != 0 || s[1].NoRateAt != 0 {
		t.Errorf("%+v", s)
	}
}

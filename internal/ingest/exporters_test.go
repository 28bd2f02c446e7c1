package ingest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"pgregory.net/rapid"
)

const t0 = int64(1_700_000_000_000_000_000) // some moment, Unix ns

func at(d time.Duration) int64 { return t0 + int64(d) }

func flowAt(end time.Duration, length time.Duration) weir.Flow {
	return weir.Flow{Start: at(end - length), End: at(end)}
}

var exporterA, exporterB = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

func TestSkewMedian(t *testing.T) {
	var s skew
	// One delayed datagram among five does not count; nor do the old ones.
	for i, d := range []time.Duration{10, 10, -90, 11, 9} {
		s.observe(at(time.Duration(i)*time.Second+d*time.Second), at(time.Duration(i)*time.Second))
	}
	if s.median != 10*time.Second {
		t.Fatalf("median = %v, want 10s", s.median)
	}
	for i := range 200 { // ten minutes later the clock was set right
		now := 10*time.Minute + time.Duration(i)*3*time.Second
		s.observe(at(now), at(now))
	}
	if s.median != 0 {
		t.Fatalf("median = %v after the clock was set, want 0", s.median)
	}
	if s.n > skewSamples {
		t.Fatalf("%d samples kept", s.n)
	}
}

func TestRetime(t *testing.T) {
	const rx = time.Hour
	for _, c := range []struct {
		name     string
		clock    Clock
		skew     time.Duration
		in       weir.Flow
		want     weir.Flow
		replaced int
	}{
		{"small skew stands", ClockAuto, 5 * time.Second, flowAt(rx, time.Second), flowAt(rx, time.Second), 0},
		{"an hour ahead is taken out", ClockAuto, time.Hour, flowAt(rx+time.Hour, time.Second), flowAt(rx, time.Second), 0},
		{"behind is taken out", ClockAuto, -10 * time.Minute, flowAt(rx-10*time.Minute, 2*time.Second), flowAt(rx, 2*time.Second), 0},
		{"beyond an hour the receipt counts", ClockAuto, -time.Hour - 1, flowAt(-time.Hour, 3*time.Second), flowAt(rx, 3*time.Second), 1},
		{"a record from the future", ClockAuto, 0, flowAt(rx+2*time.Minute, 0), flowAt(rx, 0), 1},
		{"a duration of 49 days is not believed", ClockAuto, 0, flowAt(rx+1193*time.Hour, 1193*time.Hour), flowAt(rx, 0), 1},
		{"old records stand", ClockAuto, 0, flowAt(rx-30*time.Minute, 0), flowAt(rx-30*time.Minute, 0), 0},
		{"exporter is believed", ClockExporter, 9 * time.Hour, flowAt(rx+9*time.Hour, 0), flowAt(rx+9*time.Hour, 0), 0},
		{"receive", ClockReceive, 0, flowAt(0, time.Minute), flowAt(rx, time.Minute), 0},
	} {
		s := skew{median: c.skew}
		flows := []weir.Flow{c.in}
		n := retime(c.clock, &s, at(rx), flows)
		if n != c.replaced || flows[0] != c.want {
			t.Errorf("%s: got %d..%d, replaced %d; want %d..%d, %d", c.name,
				flows[0].Start-t0, flows[0].End-t0, n, c.want.Start-t0, c.want.End-t0, c.replaced)
		}
	}
}

func TestWatermarkIsTheMinimumOfTheExportersHeard(t *testing.T) {
	e := newExporters(2*time.Minute, 5*time.Minute, time.Minute, 10)
	say := func(a netip.Addr, received, event time.Duration) {
		e.saw(ClockExporter, a, at(received), 0, 100, []weir.Flow{flowAt(event, 0)})
	}
	say(exporterA, 0, 0)
	say(exporterB, 0, -time.Minute)
	if got := e.advance(at(0)); got != at(-3*time.Minute) {
		t.Fatalf("watermark = %v, want that of the later exporter", time.Duration(got-t0))
	}
	for m := time.Minute; m <= 4*time.Minute; m += time.Minute {
		say(exporterA, m, m)
	}
	if got := e.advance(at(4 * time.Minute)); got != at(-3*time.Minute) {
		t.Fatalf("watermark = %v, want to wait for the silent exporter", time.Duration(got-t0))
	}
	say(exporterA, 6*time.Minute, 6*time.Minute)
	if got := e.advance(at(6 * time.Minute)); got != at(4*time.Minute) {
		t.Fatalf("watermark = %v, want the idle exporter to drop out", time.Duration(got-t0))
	}
	say(exporterB, 7*time.Minute, 0) // comes back with old records
	if got := e.advance(at(7 * time.Minute)); got != at(4*time.Minute) {
		t.Fatalf("watermark = %v, must never fall", time.Duration(got-t0))
	}
}

func TestSilenceClosesOnce(t *testing.T) {
	e := newExporters(2*time.Minute, 5*time.Minute, time.Minute, 10)
	if _, ok := e.silence(at(time.Hour)); ok {
		t.Fatal("silence before anything was heard")
	}
	e.saw(ClockExporter, exporterA, at(0), 0, 1, []weir.Flow{flowAt(0, 0)})
	e.advance(at(0))
	if _, ok := e.silence(at(5*time.Minute - 1)); ok {
		t.Fatal("silence before idle has passed")
	}
	w, ok := e.silence(at(5 * time.Minute))
	if !ok || w != at(time.Minute) {
		t.Fatalf("silence = %v, %v; want the newest event and one pane", time.Duration(w-t0), ok)
	}
	if _, ok := e.silence(at(9 * time.Minute)); ok {
		t.Fatal("silence told twice")
	}
	e.saw(ClockExporter, exporterA, at(10*time.Minute), 0, 1, []weir.Flow{flowAt(10*time.Minute, 0)})
	if w, ok := e.silence(at(15 * time.Minute)); !ok || w != at(11*time.Minute) {
		t.Fatalf("second silence = %v, %v", time.Duration(w-t0), ok)
	}
}

func TestExportersAreBounded(t *testing.T) {
	e := newExporters(time.Minute, time.Minute, time.Minute, 64)
	for i := range 10_000 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		e.saw(ClockExporter, a, at(time.Duration(i)), 0, 1, nil)
		e.saw(ClockExporter, exporterA, at(time.Duration(i)), 0, 1, nil)
	}
	if len(e.m) > 64 {
		t.Fatalf("%d exporters remembered", len(e.m))
	}
	if e.m[exporterA] == nil {
		t.Fatal("the one heard all the time was forgotten")
	}
	if got := e.evicted + uint64(len(e.m)); got != 10_001 {
		t.Fatalf("%d exporters accounted for, want 10001", got)
	}
}

// The watermark never falls, and never passes an exporter that is heard.
func TestWatermarkProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newExporters(time.Minute, 3*time.Minute, time.Minute, 8)
		now, last := t0, int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, int64(time.Minute)).Draw(t, "pause")
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 5).Draw(t, "exporter"))})
			end := now + rapid.Int64Range(-int64(10*time.Minute), int64(time.Minute)).Draw(t, "event")
			e.saw(ClockExporter, a, now, 0, 1, []weir.Flow{{Start: end, End: end}})
			w := e.advance(now)
			if rapid.Bool().Draw(t, "quiet") {
				now += rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "silence")
				if s, ok := e.silence(now); ok {
					w = s
				}
			}
			if w < last {
				t.Fatalf("watermark fell from %d to %d", last, w)
			}
			last = w
		}
	})
}

func TestPosition(t *testing.T) {
	p := newPosition()
	see := func(want time.Duration, starts ...time.Duration) {
		t.Helper()
		for _, s := range starts {
			p.observe([]weir.Flow{{Start: at(s)}})
		}
		if p.newest != at(want) {
			t.Errorf("after %v: %v, want %v", starts, time.Duration(p.newest-t0), want)
		}
	}
	see(0, 0, 0)
	see(20*time.Minute, 5*time.Minute, 20*time.Minute, 10*time.Minute)
	see(21*time.Minute, 100_000*time.Hour, 21*time.Minute)    // one broken record
	see(20*time.Hour, 20*time.Hour, 20*time.Hour+time.Minute) // a real gap
	p = newPosition()
	see(time.Minute, 100_000*time.Hour, time.Minute, 2*time.Minute) // the broken one comes first
}

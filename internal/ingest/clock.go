package ingest

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// Clock says which time of a flow from the network is its event time.
type Clock string

// Clocks, as in listen.clock.
const (
	// ClockAuto takes an exporter's skew out as long as it is at most an hour;
	// beyond that the time of receipt counts.
	ClockAuto Clock = "auto"
	// ClockExporter believes the times as they are exported.
	ClockExporter Clock = "exporter"
	// ClockReceive takes the time of receipt.
	ClockReceive Clock = "receive"
)

// ParseClock reads the value of listen.clock; empty means ClockAuto.
func ParseClock(s string) (Clock, error) {
	switch c := Clock(s); c {
	case "":
		return ClockAuto, nil
	case ClockAuto, ClockExporter, ClockReceive:
		return c, nil
	}
	return "", fmt.Errorf("clock %q: must be auto, exporter or receive", s)
}

// Limits of the skew estimate. Source: detection reference, section 4.3.
const (
	skewWindow  = 5 * time.Minute // the median is taken over this receive time
	skewIgnored = 5 * time.Second // at most this much is noise of the network
	skewMax     = time.Hour       // more than this cannot be a clock that is merely off
)

const (
	// skewSamples bounds the memory of an exporter's estimate; with
	// skewSpacing between two samples they cover skewWindow.
	skewSamples = 64
	skewSpacing = 5 * time.Second
	// skewFirst samples are taken without spacing, so that the first estimate
	// does not hang on one delayed datagram.
	skewFirst = 5
	// futureSlack is how far behind its receipt a flow may end in auto mode once
	// the skew is out; what ends later has a broken time stamp (a wrapped
	// sysUptime, say) and would push the watermark over everybody else's flows.
	futureSlack = time.Minute
)

// skew estimates how far the clock of one exporter is off, as the median of
// export time minus receive time over the last five minutes.
type skew struct {
	at, diff [skewSamples]int64 // ring, in order of receipt
	head, n  int
	last     int64
	median   time.Duration
}

// observe takes one pair of times, in Unix ns.
func (s *skew) observe(exported, received int64) {
	if s.n >= skewFirst && received-s.last < int64(skewSpacing) && received >= s.last {
		return
	}
	s.last = received
	s.at[(s.head+s.n)%skewSamples] = received
	s.diff[(s.head+s.n)%skewSamples] = exported - received
	if s.n < skewSamples {
		s.n++
	} else {
		s.head = (s.head + 1) % skewSamples
	}
	for s.n > 1 && received-s.at[s.head] > int64(skewWindow) {
		s.head, s.n = (s.head+1)%skewSamples, s.n-1
	}
	var sorted [skewSamples]int64
	for i := range s.n {
		sorted[i] = s.diff[(s.head+i)%skewSamples]
	}
	slices.Sort(sorted[:s.n])
	// Of an even number the mean of the middle two, without overflow.
	lo, hi := sorted[(s.n-1)/2], sorted[s.n/2]
	s.median = time.Duration(lo + (hi-lo)/2)
}

// verdict of a skew.
type verdict uint8

const (
	skewNone    verdict = iota // at most five seconds: the times stand
	skewShifted                // at most an hour: taken out
	skewBeyond                 // more: the time of receipt counts
)

func (s *skew) verdict() verdict {
	switch a := max(s.median, -s.median); {
	case a <= skewIgnored:
		return skewNone
	case a <= skewMax:
		return skewShifted
	}
	return skewBeyond
}

// retime sets the event times of the flows of one datagram and returns how many
// of them had a time that could not be used and took the time of receipt.
func retime(c Clock, s *skew, received int64, flows []weir.Flow) (replaced int) {
	if c == ClockExporter {
		return 0
	}
	v := s.verdict()
	for i := range flows {
		f := &flows[i]
		switch {
		case c == ClockReceive:
			f.Start, f.End = received-duration(f), received
			continue
		case v == skewBeyond:
			f.Start, f.End = received-duration(f), received
			replaced++
			continue
		case v == skewShifted:
			f.Start -= int64(s.median)
			f.End -= int64(s.median)
		}
		if f.End > received+int64(futureSlack) {
			f.Start, f.End = received-duration(f), received
			replaced++
		}
	}
	return replaced
}

// maxDuration bounds the duration that is believed when the end is replaced:
// the longest active timeout in use is an hour, and a wrapped counter of
// milliseconds shows as 49 days.
const maxDuration = time.Hour

func duration(f *weir.Flow) int64 {
	if d := f.End - f.Start; d >= 0 && d <= int64(maxDuration) {
		return d
	}
	return 0
}

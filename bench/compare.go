package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// sample is what one side cost in one round.
type sample struct {
	// Cost is CPU time, user and system, of the process and its children: in
	// seconds for a million records.
	Cost float64 `json:"cost"`
	// Wall is the time that passed, in seconds for a million records. It is
	// told, not judged.
	Wall float64 `json:"wall"`
	// Allocs and Bytes are heap allocations of one record.
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
	// Records is how many records were read in the time measured, over and over
	// where the stream is short.
	Records int `json:"records"`
	// RSS is the highest resident memory of the process in bytes, with the
	// stream that it holds.
	RSS int64 `json:"rss"`
}

// side measures one side once. With checksum it also holds the records to
// their checksum, outside of what is measured.
type side func(ctx context.Context, checksum bool) (sample, error)

// comparison is one line of the table: Weir against a peer.
type comparison struct {
	Goal   string // as the goals name it
	What   string // the work
	Peer   string // who else does it, and how
	Module string // Go module of the peer, for its version
	// Version is that of a peer that is no Go module.
	Version string
	Stream  string // of the workload
	Must    float64
	Aim     float64
	// NoAllocs says that Weir must not allocate for a record.
	NoAllocs bool
	// Missing says why the peer cannot be had. Such a line is printed as not
	// measured.
	Missing string
	weir    side
	peer    side
}

func (c comparison) name() string { return c.Goal + " " + c.What + " / " + c.Peer }

// comparisons are all lines of the table, in its order. What needs sockets or
// other programs joins here.
func comparisons(o *options) []comparison {
	return slices.Concat(decoding(o), receiving(o))
}

// streamsOf returns the names of the streams that comparisons read.
func streamsOf(all []comparison) []string {
	var out []string
	for _, c := range all {
		if c.Stream != "" && !slices.Contains(out, c.Stream) {
			out = append(out, c.Stream)
		}
	}
	return out
}

// Verdicts.
const (
	missed      = "missed"
	reached     = "must reached"
	ambitious   = "aim reached"
	notMeasured = "not measured"
)

// spread is the least, the middle and the greatest of some values.
type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	v := slices.Clone(values)
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return spread{}
	}
	return spread{Min: v[0], Median: (v[(n-1)/2] + v[n/2]) / 2, Max: v[n-1]}
}

// line is one result.
type line struct {
	Goal    string  `json:"goal"`
	What    string  `json:"what"`
	Peer    string  `json:"peer"`
	Version string  `json:"version"`
	Stream  string  `json:"stream,omitempty"`
	Must    float64 `json:"must"`
	Aim     float64 `json:"aim"`
	Verdict string  `json:"verdict"`
	// Note says what else is to be known: which goal lies within the spread, or
	// why nothing was measured.
	Note   string    `json:"note,omitempty"`
	Weir   []sample  `json:"weir,omitempty"`
	Others []sample  `json:"others,omitempty"`
	Ratios []float64 `json:"ratios,omitempty"`
	// Costs and ratio over the rounds.
	WeirCost  spread `json:"weirCost"`
	OtherCost spread `json:"otherCost"`
	Ratio     spread `json:"ratio"`
}

// measure runs both sides of a comparison in turn, the order reversed from
// round to round. No round is dropped.
func measure(ctx context.Context, c comparison, rounds int) (line, error) {
	l := line{Goal: c.Goal, What: c.What, Peer: c.Peer, Version: c.Version, Stream: c.Stream, Must: c.Must, Aim: c.Aim}
	if c.Module != "" {
		l.Version = moduleVersion(c.Module)
	}
	if c.Missing != "" {
		l.Verdict, l.Note = notMeasured, c.Missing
		return l, nil
	}
	for i := range rounds {
		var w, p sample
		order := []func() error{
			func() (err error) { w, err = c.weir(ctx, i == 0); return err },
			func() (err error) { p, err = c.peer(ctx, i == 0); return err },
		}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, f := range order {
			if err := f(); err != nil {
				return l, err
			}
		}
		l.Weir, l.Others = append(l.Weir, w), append(l.Others, p)
		l.Ratios = append(l.Ratios, p.Cost/w.Cost)
	}
	cost := func(s []sample) spread {
		var v []float64
		for _, x := range s {
			v = append(v, x.Cost)
		}
		return spreadOf(v)
	}
	l.WeirCost, l.OtherCost, l.Ratio = cost(l.Weir), cost(l.Others), spreadOf(l.Ratios)
	l.judge(c.NoAllocs)
	return l, nil
}

// noAllocs is the number of allocations for a record that counts as none: what
// a decoder and its first batch take, spread over the stream.
const noAllocs = 0.0005

// judge compares the median of the ratio with the goal.
func (l *line) judge(none bool) {
	var notes []string
	switch {
	case l.Ratio.Median < l.Must:
		l.Verdict = missed
	case l.Ratio.Median < l.Aim:
		l.Verdict = reached
	default:
		l.Verdict = ambitious
	}
	for _, g := range []struct {
		name string
		goal float64
	}{{"must", l.Must}, {"aim", l.Aim}} {
		if l.Ratio.Min < g.goal && g.goal < l.Ratio.Max {
			notes = append(notes, "the "+g.name+" lies within the spread")
		}
	}
	if none {
		most := 0.0
		for _, s := range l.Weir {
			most = max(most, s.Allocs)
		}
		if most > noAllocs {
			l.Verdict = missed
			notes = append(notes, fmt.Sprintf("%.3f allocations a record, must be none", most))
		}
	}
	l.Note = strings.Join(notes, "; ")
}

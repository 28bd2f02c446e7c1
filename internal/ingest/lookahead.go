package ingest

import (
	"context"
	"io"
	"math"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// watermark follows the newest start of a flow in files.
type watermark struct {
	slack  time.Duration
	newest int64
	// doubt is a start far ahead of newest, believed when a second flow says
	// so: one record with a broken time must not make all others late.
	doubt   int64
	doubted bool
	last    int64
}

// farAhead is the step from which a start is doubted.
const farAhead = int64(time.Hour)

// never is before every time, with room for a subtraction.
const never = math.MinInt64 / 2

func newWatermark(slack time.Duration) watermark { return watermark{slack: slack, newest: never} }

func (w *watermark) observe(flows []weir.Flow) {
	for i := range flows {
		s := flows[i].Start
		switch {
		case s <= w.newest:
		case s-w.newest <= farAhead:
			w.newest = s
		case w.doubted && s >= w.doubt-farAhead:
			w.newest, w.doubted = min(s, w.doubt), false
		case !w.doubted || s < w.doubt:
			w.doubt, w.doubted = s, true
		}
	}
}

// get returns the watermark, given the first flow of the files still to be
// read; 0 promises nothing. It never falls.
func (w *watermark) get(ahead int64) int64 {
	if m := min(w.newest, ahead); m > never {
		w.last = max(w.last, m-int64(w.slack))
	}
	return w.last
}

// lookAheadBytes is how much of a file is read to find its first flow.
const lookAheadBytes = 1 << 20

// lookAhead finds, for every file, the earliest first flow of the files behind
// it, so that the watermark does not run over them. A stream cannot be looked
// into: while one is to come, nothing is promised.
func (f *Files) lookAhead(ctx context.Context) {
	earliest := int64(math.MaxInt64)
	for i := len(f.files) - 1; i >= 0; i-- {
		x := f.files[i]
		x.ahead = earliest
		if i > 0 && ctx.Err() == nil {
			earliest = min(earliest, x.first())
		}
	}
}

// first returns the earliest end of the first flows of a file: a later one may
// be earlier, by the slack. MaxInt64 means that it shows none.
func (x *file) first() int64 {
	if x.stream {
		return never
	}
	earliest := int64(math.MaxInt64)
	in, err := open(x.path, nil, nil)
	if err != nil {
		return earliest // the run reports it
	}
	defer in.Close()
	if x.format == weir.FormatUnknown {
		return earliest
	}
	// Decoders of its own: what is looked at now must not count or stay.
	d, err := newDecoders(netflow.DefaultConfig())
	if err != nil {
		return earliest
	}
	r, err := newReader(x.format, io.LimitReader(in, lookAheadBytes), d)
	if err != nil {
		return earliest
	}
	var flows []weir.Flow
	for earliest == math.MaxInt64 {
		flows, err = r.Read(flows[:0])
		for i := range flows {
			earliest = min(earliest, flows[i].End)
		}
		if err != nil {
			break
		}
	}
	return earliest
}

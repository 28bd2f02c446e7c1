package ingest

import (
	"context"
	"io"
	"math"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// position follows the newest start of a flow in one file that is in order of
// time, nearly.
type position struct {
	newest int64
	// doubt is a start far ahead of newest, believed when a second flow says
	// so: one record with a broken time must not make all others late.
	doubt   int64
	doubted bool
}

// farAhead is the step from which a start is doubted.
const farAhead = int64(time.Hour)

// never is before every time, with room for a subtraction.
const never = math.MinInt64 / 2

func newPosition() position { return position{newest: never} }

func (p *position) observe(flows []weir.Flow) {
	for i := range flows {
		s := flows[i].Start
		switch {
		case s <= p.newest:
		case s-p.newest <= farAhead:
			p.newest = s
		case p.doubted && s >= p.doubt-farAhead:
			p.newest, p.doubted = min(s, p.doubt), false
		case !p.doubted || s < p.doubt:
			p.doubt, p.doubted = s, true
		}
	}
}

// blockFlows is the number of flows that share one entry of an order.
const blockFlows = 512

// order is the earliest end from every block of a file to its end. Logs are
// written when a flow ends, when it times out, when a buffer is flushed, or
// sorted by something else: no slack is wide enough for all of them, so they
// are read twice.
type order struct {
	blocks []int64
	flows  int64
}

// from returns the earliest end of the n-th flow and those behind it, MaxInt64
// behind the last one. ok is false for a file that was not read before, or has
// grown since.
func (o *order) from(n int64) (end int64, ok bool) {
	switch {
	case o == nil || n > o.flows:
		return 0, false
	case n == o.flows:
		return math.MaxInt64, true
	}
	return o.blocks[n/blockFlows], true
}

// add notes a flow.
func (o *order) add(end int64) {
	if o.flows%blockFlows == 0 {
		o.blocks = append(o.blocks, math.MaxInt64)
	}
	last := len(o.blocks) - 1
	o.blocks[last] = min(o.blocks[last], end)
	o.flows++
}

// finish makes every entry that of its block and all behind it.
func (o *order) finish() {
	for i := len(o.blocks) - 2; i >= 0; i-- {
		o.blocks[i] = min(o.blocks[i], o.blocks[i+1])
	}
}

// textual reports whether a format is a log of lines, whose flows may come in
// any order. Flow export and captures come in the order of time.
func textual(f weir.Format) bool {
	switch f {
	case weir.FormatZeek, weir.FormatArgus, weir.FormatSuricata, weir.FormatAzureVNet, weir.FormatAzureNSG,
		weir.FormatAWSVPC, weir.FormatGCPVPC, weir.FormatCSV, weir.FormatNDJSON:
		return true
	}
	return false
}

// lookAheadBytes is how much of a capture or an IPFIX file is read to find its
// first flow.
const lookAheadBytes = 1 << 20

// lookAhead finds the order of every log and, for every file, the earliest flow
// of the files behind it, so that the watermark does not run over them. A
// stream cannot be looked into: while one is to come, nothing is promised.
func (f *Files) lookAhead(ctx context.Context) error {
	earliest := int64(math.MaxInt64)
	for i, x := range slices.Backward(f.files) {

		x.ahead = earliest
		switch {
		case x.stream:
			earliest = never
		case textual(x.format):
			if err := f.sort(ctx, x); err != nil {
				return err
			}
			if first, ok := x.order.from(0); ok {
				earliest = min(earliest, first)
			}
		case i > 0 && x.format != weir.FormatUnknown:
			earliest = min(earliest, f.first(x)-int64(f.slack()))
		}
	}
	return nil
}

func (f *Files) slack() time.Duration { return max(f.c.Lateness, FileSlack) }

// sort reads a log for its order. Faults are left to the second reading.
func (f *Files) sort(ctx context.Context, x *file) error {
	in, err := open(x.path, nil, &f.read)
	if err != nil {
		return nil //nolint:nilerr // the second reading reports it
	}
	defer in.Close()
	r, err := newReader(x.format, in, nil)
	if err != nil {
		return nil //nolint:nilerr // the second reading reports it
	}
	x.order = &order{}
	var flows []weir.Flow
	for err == nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		flows, err = r.Read(flows[:0])
		for i := range flows {
			x.order.add(flows[i].End)
		}
	}
	x.order.finish()
	return nil
}

// first returns the earliest end of the first flows of a file: a later one may
// be earlier, by the slack. MaxInt64 means that it shows none.
func (f *Files) first(x *file) int64 {
	earliest := int64(math.MaxInt64)
	in, err := open(x.path, nil, nil)
	if err != nil {
		return earliest // the second reading reports it
	}
	defer in.Close()
	// Decoders of its own: what is looked at now must not count or stay.
	nc := netflow.DefaultConfig()
	nc.KeepEgress = true // no record is earlier than the earliest of all
	d, err := newDecoders(nc)
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

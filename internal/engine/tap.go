package engine

import (
	"context"

	"github.com/weir-net/weir"
)

// Tap has see look at all flows that Run reads, in order, before they are
// processed. It is called before Run; the flows are valid during the call of see
// and must not be changed.
func (d *Detection) Tap(see func([]weir.Flow)) { d.source = tapped{d.source, see} }

// tapped is a source with somebody who looks on.
type tapped struct {
	weir.Source
	see func([]weir.Flow)
}

// Run implements weir.Source.
func (t tapped) Run(ctx context.Context, emit func(weir.Batch) error) error {
	return t.Source.Run(ctx, func(b weir.Batch) error {
		t.see(b.Flows)
		return emit(b)
	})
}

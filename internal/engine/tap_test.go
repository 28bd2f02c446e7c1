package engine

import (
	"slices"
	"testing"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/scenario"
)

// Who looks on sees the flows that the run reads, and changes nothing.
func TestTap(t *testing.T) {
	const path = "../../scenarios/SSH_Incoming_BF_OneToOne.scn"
	s, err := scenario.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []weir.Flow
	if err := s.Flows().Run(t.Context(), func(b weir.Batch) error { want = append(want, b.Flows...); return nil }); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	r, err := RunCase(t.Context(), path, Offline{Config: &c}, 2, 78, func(d *Detection) {
		d.Tap(func(flows []weir.Flow) { got = append(got, flows...) })
	})
	if err != nil || r.Failed() || r.Flows != int64(len(want)) || !slices.Equal(got, want) {
		t.Errorf("%d flows were seen of %d, %d counted: %v", len(got), len(want), r.Flows, err)
	}
}

package weir

import "context"

// Alert is a finding with identity and life. The finding inside is the largest one
// of the episode; times, peers and what rules noted are those of all of them.
type Alert struct {
	// ID is deterministic: the same input gives the same id. Its form is
	// {3155378975999999999 - ticks of the start}_{UUIDv5}, so ids sort newest
	// first.
	ID string `json:"id"`
	Finding
	// Generated is the nominal end of the pane that opened the episode.
	Generated int64 `json:"generated"`
	// Updated is the nominal end of the pane of the newest change.
	Updated int64 `json:"updated"`
	// Sequence counts the changes of the episode from 1; Reopened counts how
	// often it came back within 24 hours.
	Sequence int    `json:"sequence"`
	Reopened int    `json:"reopened,omitempty"`
	Closed   bool   `json:"closed,omitempty"`
	Status   Status `json:"status"`
	// StatusBy, StatusReason and StatusAt say who set the status, why and when
	// (wall time, Unix ns).
	StatusBy     string `json:"statusBy,omitempty"`
	StatusReason string `json:"statusReason,omitempty"`
	StatusAt     int64  `json:"statusAt,omitempty"`
	// Version is the version in the store, from 1; 0 before it was stored.
	Version int64 `json:"version,omitempty"`
	Sample  bool  `json:"sample,omitempty"`
}

// Source is where flows come from. Run blocks until the input ends (nil), ctx
// is done (its error) or the input fails. A blocked emit is back-pressure; the
// batch and its slices belong to the receiver only until emit returns. An error
// from emit ends the run with that error.
type Source interface {
	Run(ctx context.Context, emit func(Batch) error) error
}

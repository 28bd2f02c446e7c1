package detect

import (
	"slices"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
)

// episodeKey names an episode within a resource.
type episodeKey struct {
	Typ weir.AlertType
	Key string
}

// episode is what the rules need to know of a running alert: whether it is
// open, so that its traffic teaches nothing, and what was already reported.
type episode struct {
	First int64 // when it opened
	// Cold tells that it opened while the baseline was still learning.
	Cold  bool
	Last  int64 // newest evidence reported
	Until int64 // end of the quiet time
}

// maxEpisodes bounds the open episodes of a resource (section 9). A crowd of weak
// ones must not hide a strong one, so there is room for those beyond it.
const (
	maxEpisodes = 64
	maxStrong   = 256
)

// strong reports whether a finding of one peer is beyond the signature floor.
func strong(f *weir.Finding) bool {
	return len(f.Peers) == 1 && f.Floor > 0 && f.Peers[0].Lower >= signatureFactor*f.Floor
}

// isOpen reports whether an episode is running at time t.
func (r *resource) isOpen(k episodeKey, t int64) bool {
	e := r.Episodes[k]
	return e != nil && e.Until > t
}

// observe shows the surprise of a window that begins at from to who calibrates,
// unless an episode ran in it.
func (r *resource) observe(d *Detector, k episodeKey, from int64, surprise float64) {
	if d.cfg.Observe != nil && !r.isOpen(k, from) {
		d.cfg.Observe(k.Typ, r.Key, surprise)
	}
}

// teaches reports whether what happens at time t may be learnt although an
// episode of the key may be running. One that opened in phase 0 or 1 compared
// with the prior more than with this resource: the noise of the first days must
// be learnt all the same. And what goes on for two weeks is no episode but the
// new normal.
func (r *resource) teaches(k episodeKey, t int64) bool {
	e := r.Episodes[k]
	return e == nil || e.Until <= t || e.Cold || t-e.First >= int64(absorbAfter)
}

// fire reports a finding unless it brings no evidence that was not reported
// before, or too many episodes are open.
func (r *resource) fire(d *Detector, f weir.Finding, emit func(weir.Finding)) {
	if d.disabled[f.Type] || !d.familyOf(f.Type).Enabled {
		return
	}
	k := episodeKey{f.Type, f.Key}
	e := r.Episodes[k]
	if e != nil && f.Last <= e.Last {
		return
	}
	if e == nil {
		if n := r.openCount(f.At); n >= maxEpisodes && (!strong(&f) || n >= maxStrong) {
			r.Limited++
			return
		}
		e = &episode{}
		r.Episodes[k] = e
	}
	if e.Until <= f.First {
		e.First, e.Cold = f.At, f.Baseline != nil && f.Baseline.Phase < baseline.PhaseNormal
	}
	e.Last, e.Until = f.Last, f.Last+nanos(f.Quiet)
	// Cloud flow logs show private addresses; people know the front-end one.
	if slices.Contains(f.Resource.PrivateAddresses, f.Own) && len(f.Resource.Addresses) > 0 {
		if f.Facts == nil {
			f.Facts = make(map[string]string)
		}
		f.Facts["privateAddress"], f.Own = f.Own.String(), f.Resource.Addresses[0]
	}
	r.attribute(&f)
	if len(f.Limits) == 0 {
		f.Limits = nil
	}
	emit(f)
}

func (r *resource) openCount(t int64) int {
	n := 0
	for _, e := range r.Episodes {
		if e.Until > t {
			n++
		}
	}
	return n
}

// pruneEpisodes forgets episodes that can neither run on nor reopen.
func (r *resource) pruneEpisodes(t int64) {
	for k, e := range r.Episodes {
		if t-e.Until > int64(day.window())+day.slot() {
			delete(r.Episodes, k)
		}
	}
}

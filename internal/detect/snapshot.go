package detect

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/weir-net/weir"
)

// stateVersion is the version of the form of a snapshot.
const stateVersion = 1

// ErrState says that a snapshot cannot be restored: it is damaged, or written by
// another version. What it held must be learnt anew.
var ErrState = errors.New("detector state is not usable")

// state is a detector at rest. Fields of the types in it are exported for
// encoding alone.
type state struct {
	Version  int
	Next     int64
	Started  bool
	Panes    map[int64][]weir.Contact
	FloodDue map[int64]map[uint64]bool
	Res      map[uint64]*resource
	Stats    Stats
}

// Snapshot returns everything that the detector knows, between two panes, in a
// form that [Detector.Restore] reads: open panes, windows, baselines, learnt
// listeners and running episodes. A detector that is restored from it goes on
// as if it had never stopped.
func (d *Detector) Snapshot() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(state{
		Version: stateVersion, Next: d.next, Started: d.started, Panes: d.panes, FloodDue: d.floodDue, Res: d.res, Stats: d.stats,
	})
	if err != nil {
		return nil, fmt.Errorf("writing detector state: %w", err)
	}
	return b.Bytes(), nil
}

// Restore replaces what the detector knows by a snapshot. The configuration is
// not part of it: a service that is no longer configured loses its state. An
// error leaves the detector as it was and wraps [ErrState].
func (d *Detector) Restore(snapshot []byte) error {
	var s state
	if err := gob.NewDecoder(bytes.NewReader(snapshot)).Decode(&s); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%w: version %d, this program reads %d", ErrState, s.Version, stateVersion)
	}
	buffered, pairs := 0, 0
	for _, cs := range s.Panes {
		buffered += len(cs)
	}
	for k, r := range s.Res {
		fresh := newResource(k)
		r.complete(fresh)
		for key, a := range r.Acts {
			if r.Res != nil {
				a.svc = d.table.find(r.Res, !key.Out, key.Port.Proto, key.Port.Port)
			}
			if a.svc == nil {
				delete(r.Acts, key)
				continue
			}
			pairs += len(a.Pairs)
		}
	}
	d.next, d.started, d.panes, d.floodDue, d.res, d.stats = s.Next, s.Started, s.Panes, s.FloodDue, s.Res, s.Stats
	if d.panes == nil {
		d.panes = make(map[int64][]weir.Contact)
	}
	if d.floodDue == nil {
		d.floodDue = make(map[int64]map[uint64]bool)
	}
	if d.res == nil {
		d.res = make(map[uint64]*resource)
	}
	d.buffered, d.pairs = buffered, pairs
	return nil
}

// complete gives a decoded resource the parts that are not kept, and maps where
// none were encoded.
func (r *resource) complete(fresh *resource) {
	r.Intel.pane, r.Intel.own, r.Scan.pending = fresh.Intel.pane, fresh.Intel.own, fresh.Scan.pending
	for i := range r.Scan.Known {
		if r.Scan.Known[i] == nil {
			r.Scan.Known[i] = fresh.Scan.Known[i]
		}
	}
	if r.Block.Sets == nil {
		r.Block.Sets = fresh.Block.Sets
	}
}

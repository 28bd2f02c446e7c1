package detect

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/pending"
)

// stateVersion is the version of the form of a snapshot.
const stateVersion = 2

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
		Version: stateVersion, Next: d.next, Started: d.started, Panes: d.open(), FloodDue: d.floodDue, Res: d.res, Stats: d.stats,
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
	s, err := d.decode(snapshot)
	if err != nil {
		return err
	}
	d.adopt(s)
	return nil
}

// RestoreAll replaces what the detectors of a process know by the snapshots of
// those of another, however many there are on either side: owner tells, by the
// key of a resource, which detector has it now, as an index into to. All
// snapshots must have been taken after the same [Detector.Close]. Counters start
// anew. An error leaves the detectors as they were and wraps [ErrState].
func RestoreAll(snapshots [][]byte, to []*Detector, owner func(key uint64) int) error {
	parts := make([]*state, len(to))
	for i := range parts {
		parts[i] = &state{Panes: make(map[int64][]weir.Contact), FloodDue: make(map[int64]map[uint64]bool), Res: make(map[uint64]*resource)}
	}
	next, started := int64(0), false
	for _, b := range snapshots {
		s, err := to[0].decode(b)
		if err != nil {
			return err
		}
		if s.Started {
			if started && s.Next != next {
				return fmt.Errorf("%w: its parts end at different times", ErrState)
			}
			next, started = s.Next, true
		}
		for n, cs := range s.Panes {
			for i := range cs {
				p := parts[owner(cs[i].Resource.Key())]
				p.Panes[n] = append(p.Panes[n], cs[i])
			}
		}
		for n, due := range s.FloodDue {
			for key := range due {
				p := parts[owner(key)]
				if p.FloodDue[n] == nil {
					p.FloodDue[n] = make(map[uint64]bool)
				}
				p.FloodDue[n][key] = true
			}
		}
		for key, r := range s.Res {
			p := parts[owner(key)]
			if p.Res[key] != nil {
				return fmt.Errorf("%w: a resource is in two of its parts", ErrState)
			}
			p.Res[key] = r
		}
	}
	for i, p := range parts {
		p.Next, p.Started = next, started
		to[i].adopt(p)
	}
	return nil
}

// ClosedTo is the end of the newest pane that was closed (Unix ns, event time):
// older contacts are late. ok is false before the first.
func (d *Detector) ClosedTo() (end int64, ok bool) { return d.next * int64(d.cfg.Pane), d.started }

// decode reads a snapshot and checks what the rules take for granted.
func (d *Detector) decode(snapshot []byte) (*state, error) {
	var s state
	if err := gob.NewDecoder(bytes.NewReader(snapshot)).Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", ErrState, s.Version, stateVersion)
	}
	if most := int64(1<<62) / int64(d.cfg.Pane); s.Next < -most || s.Next > most {
		return nil, fmt.Errorf("%w: it ends at no time that exists", ErrState)
	}
	for n, cs := range s.Panes {
		if s.Started && n < s.Next {
			return nil, fmt.Errorf("%w: a closed pane holds contacts", ErrState)
		}
		for i := range cs {
			if cs[i].Resource == nil {
				return nil, fmt.Errorf("%w: a contact has no resource", ErrState)
			}
		}
	}
	for k, r := range s.Res {
		if r == nil || r.Res == nil || r.Key != k || r.Res.Key() != k {
			return nil, fmt.Errorf("%w: a resource has no name, or that of another", ErrState)
		}
		r.complete(newResource(k))
	}
	for n, due := range s.FloodDue {
		if due == nil {
			delete(s.FloodDue, n)
		}
		for key := range due {
			if s.Res[key] == nil {
				return nil, fmt.Errorf("%w: a resource is due that it does not know", ErrState)
			}
		}
	}
	return &s, nil
}

// open returns the contacts of the open panes.
func (d *Detector) open() map[int64][]weir.Contact {
	out := make(map[int64][]weir.Contact, len(d.panes))
	for n, p := range d.panes {
		out[n] = p.All()
	}
	return out
}

// adopt makes a state that was decoded that of the detector.
func (d *Detector) adopt(s *state) {
	d.next, d.started, d.floodDue, d.res, d.stats = s.Next, s.Started, s.FloodDue, s.Res, s.Stats
	d.panes = make(map[int64]*pending.Pane)
	if d.floodDue == nil {
		d.floodDue = make(map[int64]map[uint64]bool)
	}
	if d.res == nil {
		d.res = make(map[uint64]*resource)
	}
	d.buffered = 0
	for n, cs := range s.Panes {
		if len(cs) > 0 {
			d.panes[n] = pending.Of(cs)
			d.buffered += len(cs)
		}
	}
	d.findServices()
}

// findServices finds the services of all activities anew: what is no longer a service
// is forgotten.
func (d *Detector) findServices() {
	d.pairs = 0
	for _, r := range d.res {
		maps.DeleteFunc(r.Acts, func(key actKey, a *activity) bool {
			a.svc = d.table.Find(r.Res, !key.Out, key.Port.Proto, key.Port.Port)
			return a.svc == nil
		})
		r.PairCount, r.keys = [2]int{}, nil
		for key, a := range r.Acts {
			if d.pairs += len(a.Pairs); key.Out {
				r.PairCount[1] += len(a.Pairs)
			} else {
				r.PairCount[0] += len(a.Pairs)
			}
		}
	}
}

// complete gives a decoded resource the parts that are not kept, and maps where
// none were encoded.
func (r *resource) complete(fresh *resource) {
	r.Intel.pane, r.Intel.own, r.Scan.pending = fresh.Intel.pane, fresh.Intel.own, fresh.Scan.pending
	r.Scan.newest = math.MaxInt64 // until the first contact tells
	if r.Block.Sets == nil {
		r.Block.Sets = fresh.Block.Sets
	}
	if r.Acts == nil {
		r.Acts = fresh.Acts
	}
	if r.Listen == nil {
		r.Listen = fresh.Listen
	}
	if r.Episodes == nil {
		r.Episodes = fresh.Episodes
	}
	if r.Flood.Panes == nil {
		r.Flood.Panes = fresh.Flood.Panes
	}
	if r.Flood.Known == nil {
		r.Flood.Known = fresh.Flood.Known
	}
	for _, a := range r.Acts {
		if a.Pairs == nil {
			a.Pairs = make(map[peerKey]*pair)
		}
		if a.Own == nil {
			a.Own = make(map[netip.Addr]uint64)
		}
	}
}

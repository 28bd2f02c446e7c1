package detect

import (
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/backleg"
)

// backState is what is known of the traffic behind a load balancer.
type backState struct {
	Seen backleg.Evidence
}

// front notes an incoming connection of a service.
func (b *backState) front(r *resource, s *session) {
	if !s.out {
		b.Seen.Front(r.Res, s.c, s.server, s.fwd, s.hasFwd)
	}
}

// add notes a contact on the back leg.
func (b *backState) add(d *Detector, r *resource, c *weir.Contact) {
	b.Seen.Add(r.Res, c, int64(d.pairs)*pairBytes <= d.cfg.Memory)
}

// attribute ranks the members of the pool of a balancer behind a finding.
func (r *resource) attribute(f *weir.Finding) {
	if len(f.Resource.Backends) > 0 {
		r.Back.Seen.Attribute(f, r.firstOf(f))
	}
}

// firstOf returns when the first of the peers of a finding was first seen.
func (r *resource) firstOf(f *weir.Finding) int64 {
	first := f.First
	for key, a := range r.Acts {
		if key.Out || key.Port.Port != f.Port {
			continue
		}
		for i := range f.Peers {
			if p := a.Pairs[peerOf(f.Peers[i].Address)]; p != nil {
				first = min(first, p.First)
			}
		}
	}
	return first
}

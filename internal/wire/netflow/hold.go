package netflow

import (
	"bytes"
	"container/list"
	"unsafe"

	weir "github.com/weir-net/weir"
)

// heldSet is a data set that waits for its template.
type heldSet struct {
	domain *domain
	id     uint16
	m      message
	body   []byte
	elem   *list.Element
}

// heldOverhead is about what a held set costs besides its body.
const heldOverhead = int(unsafe.Sizeof(heldSet{})) + 64

// heldShare is the part of the room that one domain may take: one in heldShare.
const heldShare = 4

// hold keeps the body of a data set until its template comes.
func (d *Decoder) hold(s *domain, id uint16, m *message, body []byte) {
	size := len(body) + heldOverhead
	if s.heldBytes+size > d.cfg.HoldBytes/heldShare {
		if d.cfg.HoldBytes > 0 {
			d.stats.HeldDropped++
		}
		return
	}
	for d.heldBytes+size > d.cfg.HoldBytes {
		d.unhold(d.waiting.Front())
		d.stats.HeldDropped++
	}
	h := &heldSet{domain: s, id: id, m: *m, body: bytes.Clone(body)}
	h.elem = d.waiting.PushBack(h)
	if s.held == nil {
		s.held = make(map[uint16][]*heldSet)
	}
	s.held[id] = append(s.held[id], h)
	s.heldBytes += size
	d.heldBytes += size
	d.stats.Held++
}

func element2held(e *list.Element) *heldSet { return e.Value.(*heldSet) } //nolint:errcheck // only held sets are put in

// unhold takes out the set at e, which must be the first of its template: sets
// come in and go out in the order of arrival.
func (d *Decoder) unhold(e *list.Element) {
	h := element2held(e)
	d.waiting.Remove(e)
	s := h.domain
	queue := s.held[h.id]
	queue[0] = nil
	if len(queue) == 1 {
		delete(s.held, h.id)
	} else {
		s.held[h.id] = queue[1:]
	}
	size := len(h.body) + heldOverhead
	s.heldBytes -= size
	d.heldBytes -= size
}

// expire drops the sets that have waited for too long.
func (d *Decoder) expire(now int64) {
	for e := d.waiting.Front(); e != nil; e = d.waiting.Front() {
		if now-element2held(e).m.received <= int64(d.cfg.HoldFor) {
			return
		}
		d.unhold(e)
		d.stats.HeldExpired++
	}
}

// dropHeld drops all sets of a domain.
func (d *Decoder) dropHeld(s *domain) {
	for _, queue := range s.held {
		for _, h := range queue {
			d.waiting.Remove(h.elem)
			d.heldBytes -= len(h.body) + heldOverhead
			d.stats.HeldDropped++
		}
	}
	s.held, s.heldBytes = nil, 0
}

// release decodes the sets that waited for a template, in the order in which
// they came.
func (d *Decoder) release(s *domain, t *template, m *message, dst []weir.Flow) []weir.Flow {
	for len(s.held[t.id]) > 0 {
		h := s.held[t.id][0]
		d.unhold(h.elem)
		// What the operator and the exporter say of sampling is taken as of
		// now: the options often come with the template.
		h.m.configured, h.m.forced, h.m.whole = m.configured, m.forced, m.whole
		var reason Reason
		dst, _, reason = d.dataSet(s, t, &h.m, h.body, dst)
		if reason != "" {
			d.fail(&h.m, s.key.exporter, t.id, 0, reason)
		}
		d.stats.HeldDecoded++
	}
	return dst
}

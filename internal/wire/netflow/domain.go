package netflow

import (
	"bytes"
	"container/list"
	"net/netip"
)

// domainKey names what has its own templates and its own sequence.
type domainKey struct {
	exporter netip.Addr
	domain   uint32
	version  uint16
}

// domain is what is known of one exporter and observation domain.
type domain struct {
	key    domainKey
	elem   *list.Element // in Decoder.fresh or Decoder.proven
	proven bool          // it gave a flow

	templates  map[uint16]*template
	order      list.List // of *template, the most recently used first
	last       *template // the one used last
	sampling   samplers
	systemInit int64 // when the exporter came up, from an options record
	seq        sequence
	dropped    int64 // when templates were dropped after a restart

	// ingress is when the newest ingress record of a port was exported.
	ingress        map[port]int64
	recent         *recentPorts
	near           *nearPorts
	portsForgotten int64 // when stale ports were searched
	egressRepeated uint64

	held      map[uint16][]*heldSet
	heldBytes int

	datagrams, flows, missing uint64
	missingSince              int64
	lastTemplate              int64
	lastSeen                  int64
	exportTime                int64
	lastRate                  rate
}

// domainFor returns the domain of key, made if need be, and marks it as used.
func (d *Decoder) domainFor(key domainKey) *domain {
	if d.lastDomain != nil && d.lastDomain.key == key {
		return d.lastDomain
	}
	s := d.domains[key]
	if s == nil {
		for len(d.domains) >= d.cfg.MaxExporters {
			d.forget(d.oldestDomain(key.exporter))
			d.stats.DomainsDropped++
		}
		s = &domain{key: key}
		s.order.Init()
		s.elem = d.fresh.PushFront(s)
		d.domains[key] = s
		d.perExporter[key.exporter]++
	} else if s.proven {
		d.proven.MoveToFront(s.elem)
	} else {
		d.fresh.MoveToFront(s.elem)
	}
	d.lastDomain = s
	return s
}

// maxShare is the part of the domains that one exporter may hold when room is
// needed: one in maxShare.
const maxShare = 4

// oldestDomain is the domain to forget so that one of exporter has room. An
// exporter with more than its share loses its own; else the one that was silent
// for longest goes, those that never gave a flow first, so that a flood of
// senders that say nothing does not displace those that do.
func (d *Decoder) oldestDomain(exporter netip.Addr) *domain {
	if d.perExporter[exporter] > d.cfg.MaxExporters/maxShare {
		for _, l := range [...]*list.List{&d.fresh, &d.proven} {
			for e := l.Back(); e != nil; e = e.Prev() {
				if s := element2domain(e); s.key.exporter == exporter {
					return s
				}
			}
		}
	}
	if e := d.fresh.Back(); e != nil {
		return element2domain(e)
	}
	return element2domain(d.proven.Back())
}

func element2domain(e *list.Element) *domain { return e.Value.(*domain) } //nolint:errcheck // only domains are put in

// forget drops a domain with all that belongs to it.
func (d *Decoder) forget(s *domain) {
	d.dropTemplates(s)
	d.dropHeld(s)
	d.dropPorts(s)
	d.samplers -= s.extraSamplers()
	if s.proven {
		d.proven.Remove(s.elem)
	} else {
		d.fresh.Remove(s.elem)
	}
	delete(d.domains, s.key)
	if d.perExporter[s.key.exporter]--; d.perExporter[s.key.exporter] == 0 {
		delete(d.perExporter, s.key.exporter)
	}
	if d.lastDomain == s {
		d.lastDomain = nil
	}
}

// prove marks a domain as one that gives flows.
func (d *Decoder) prove(s *domain) {
	d.fresh.Remove(s.elem)
	s.elem = d.proven.PushFront(s)
	s.proven = true
}

func (s *domain) extraSamplers() int { return max(s.sampling.count()-maxOwnSamplers, 0) }

// templateFor returns the template of a data set, nil if there is none, and
// marks it as used.
func (d *Decoder) templateFor(s *domain, id uint16) *template {
	if s.last != nil && s.last.id == id {
		return s.last
	}
	t := s.templates[id]
	if t == nil {
		return nil
	}
	s.order.MoveToFront(t.inDomain)
	if t.proven {
		d.used.MoveToFront(t.global)
	} else {
		d.unused.Remove(t.global)
		t.global = d.used.PushFront(t)
		t.proven = true
	}
	s.last = t
	return t
}

// learn puts a template in its place. It reports whether the template is new
// or changed.
func (d *Decoder) learn(s *domain, t *template, received int64) bool {
	s.lastTemplate = received
	if old := s.templates[t.id]; old != nil {
		if (old.kind == kindOptions) == (t.kind == kindOptions) && bytes.Equal(old.raw, t.raw) {
			return false
		}
		d.remove(old)
	}
	if s.templates == nil {
		s.templates = make(map[uint16]*template)
	}
	for len(s.templates) >= d.cfg.MaxTemplates {
		d.remove(element2template(s.order.Back()))
		d.stats.TemplatesDropped++
	}
	for d.templateBytes+t.size > d.cfg.MaxTemplateMemory && d.templates > 0 {
		e := d.unused.Back()
		if e == nil {
			e = d.used.Back()
		}
		d.remove(element2template(e))
		d.stats.TemplatesDropped++
	}
	t.domain = s
	t.inDomain = s.order.PushFront(t)
	t.global = d.unused.PushFront(t)
	s.templates[t.id] = t
	d.templates++
	d.templateBytes += t.size
	d.stats.TemplatesReceived++
	return true
}

func element2template(e *list.Element) *template { return e.Value.(*template) } //nolint:errcheck // only templates are put in

// remove takes a template out of its place.
func (d *Decoder) remove(t *template) {
	s := t.domain
	delete(s.templates, t.id)
	s.order.Remove(t.inDomain)
	if t.proven {
		d.used.Remove(t.global)
	} else {
		d.unused.Remove(t.global)
	}
	if s.last == t {
		s.last = nil
	}
	d.templates--
	d.templateBytes -= t.size
}

// dropTemplates takes out all templates of a domain.
func (d *Decoder) dropTemplates(s *domain) {
	for s.order.Len() > 0 {
		d.remove(element2template(s.order.Back()))
		d.stats.TemplatesDropped++
	}
}

// withdraw handles a withdrawal (RFC 7011, section 8.1): of one template, or
// with the id of a set of all templates of its kind. Over UDP exporters should
// send none; one that does means it.
func (d *Decoder) withdraw(s *domain, id uint16, scoped bool) bool {
	all := uint16(2)
	if scoped {
		all = 3
	}
	if id < 256 && id != all {
		return false
	}
	if id >= 256 {
		if t := s.templates[id]; t != nil && (t.kind == kindOptions) == scoped {
			d.remove(t)
			d.stats.TemplatesWithdrawn++
		}
		return true
	}
	for e := s.order.Back(); e != nil; {
		t, prev := element2template(e), e.Prev()
		if (t.kind == kindOptions) == scoped {
			d.remove(t)
			d.stats.TemplatesWithdrawn++
		}
		e = prev
	}
	return true
}

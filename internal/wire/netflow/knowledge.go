package netflow

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Knowledge is what one exporter and observation domain told about itself and
// will not tell again for a while. It is plain data, to be kept across restarts
// or shared with other collectors.
type Knowledge struct {
	Exporter netip.Addr `json:"exporter,omitzero"`
	Domain   uint32     `json:"domain"`
	Version  uint16     `json:"version"` // 9 or 10
	// Templates and Options are template records as they were received.
	Templates [][]byte `json:"templates,omitempty"`
	Options   [][]byte `json:"options,omitempty"`
	// Sampling is the rate of the whole domain, 0 unknown; Selectors and
	// Interfaces are the rates by selector (sampler) and by interface.
	Sampling   uint32            `json:"sampling,omitempty"`
	Selectors  map[uint64]uint32 `json:"selectors,omitempty"`
	Interfaces map[uint32]uint32 `json:"interfaces,omitempty"`
	// SystemInit is when the exporter came up (Unix ns), 0 unknown.
	SystemInit int64 `json:"systemInit,omitempty"`
}

// Knowledge returns a copy of what is known of all exporters and domains,
// ordered by address, domain and version; templates are ordered by id. Domains
// of which nothing is known are left out.
func (d *Decoder) Knowledge() []Knowledge {
	var out []Knowledge
	for _, s := range d.domains {
		if len(s.templates) == 0 && s.sampling.count() == 0 && s.sampling.wide == 0 && s.systemInit == 0 {
			continue
		}
		k := Knowledge{
			Exporter: s.key.exporter, Domain: s.key.domain, Version: s.key.version, SystemInit: s.systemInit,
			Sampling: s.sampling.wide, Selectors: maps.Clone(s.sampling.selectors), Interfaces: maps.Clone(s.sampling.interfaces),
		}
		for _, id := range slices.Sorted(maps.Keys(s.templates)) {
			t := s.templates[id]
			if t.kind == kindOptions {
				k.Options = append(k.Options, slices.Clone(t.raw))
			} else {
				k.Templates = append(k.Templates, slices.Clone(t.raw))
			}
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Knowledge) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// Learn takes over what is known of one exporter and domain, under the bounds
// of the decoder. What the decoder knows already stays: it is newer. Data sets
// that wait are decoded when the exporter repeats the template. received is now,
// in Unix ns. An error says that a record is no template; the others are taken.
func (d *Decoder) Learn(k Knowledge, received int64) error {
	if k.Version != Version9 && k.Version != VersionIX {
		return fmt.Errorf("netflow: knowledge of version %d, which has no templates", k.Version)
	}
	s := d.domainFor(domainKey{k.Exporter.Unmap(), k.Domain, k.Version})
	var first error
	take := func(records [][]byte, scoped bool) {
		for _, raw := range records {
			t, n, reason := parseTemplate(k.Version, raw, scoped)
			switch {
			case reason == "" && (n != len(raw) || t.raw == nil):
				reason = ReasonTemplateCut
			case reason == "" && s.templates[t.id] == nil:
				d.learn(s, t, received)
			}
			if reason != "" {
				d.stats.TemplatesRejected++
				if first == nil {
					first = fmt.Errorf("netflow: knowledge of exporter %v, domain %d: %s", k.Exporter, k.Domain, reason)
				}
			}
		}
	}
	take(k.Templates, false)
	take(k.Options, true)
	if s.systemInit == 0 {
		s.systemInit = max(k.SystemInit, 0)
	}
	if s.sampling.wide == 0 {
		s.sampling.wide = k.Sampling
	}
	for _, id := range slices.Sorted(maps.Keys(k.Selectors)) {
		if _, known := s.sampling.selectors[id]; !known && k.Selectors[id] != 0 {
			d.sample(s, func() { s.sampling.setSelector(id, k.Selectors[id]) })
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.Interfaces)) {
		if _, known := s.sampling.interfaces[id]; !known && k.Interfaces[id] != 0 {
			d.sample(s, func() { s.sampling.setInterface(id, k.Interfaces[id]) })
		}
	}
	return first
}

// sample lets set remember a rate in s if there is room for one more.
func (d *Decoder) sample(s *domain, set func()) {
	extra := s.extraSamplers()
	if extra > 0 && d.samplers >= maxSamplers {
		d.stats.SamplersDropped++
		return
	}
	set()
	d.samplers += s.extraSamplers() - extra
}

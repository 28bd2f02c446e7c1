package intel

import (
	"encoding/json"
	"strings"

	weir "github.com/weir-net/weir"
)

// stixObject has the members of the objects that matter here. Source: STIX 2.1,
// sections 4.7 (indicator), 4.8 (infrastructure), 4.11 (malware), 5.1
// (relationship), 5.2 (sighting), 6.8 and 6.9 (addresses).
type stixObject struct {
	Type           string   `json:"type"`
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Pattern        string   `json:"pattern"`
	PatternType    string   `json:"pattern_type"`
	IndicatorTypes []string `json:"indicator_types"`
	Infrastructure []string `json:"infrastructure_types"`
	Labels         []string `json:"labels"`
	Phases         []struct {
		Name string `json:"phase_name"`
	} `json:"kill_chain_phases"`
	ValidFrom    string   `json:"valid_from"`
	ValidUntil   string   `json:"valid_until"`
	Confidence   *float64 `json:"confidence"`
	Revoked      bool     `json:"revoked"`
	Value        string   `json:"value"`
	Relationship string   `json:"relationship_type"`
	SourceRef    string   `json:"source_ref"`
	TargetRef    string   `json:"target_ref"`
	SightingOf   string   `json:"sighting_of_ref"`
	LastSeen     string   `json:"last_seen"`
}

// stix reads the objects of a bundle, envelope or list.
func (c *collector) stix(list []json.RawMessage, at place) {
	c.form("stix")
	objects := make([]stixObject, 0, len(list))
	for i, v := range list {
		var o stixObject
		if json.Unmarshal(v, &o) != nil {
			c.bad(at, "object %d does not follow STIX 2.1", i)
			continue
		}
		objects = append(objects, o)
	}
	ctx := stixLinks(objects)
	for i := range objects {
		o := &objects[i]
		switch o.Type {
		case "indicator":
			c.stixIndicator(o, ctx, at)
		case "ipv4-addr", "ipv6-addr":
			if c.opts.Category == "" {
				c.rep.Skipped.Observations++
				continue
			}
			c.add(raw{value: o.Value, confidence: -1, at: at})
		case "domain-name":
			c.rep.Skipped.Domains++
		case "url":
			c.rep.Skipped.URLs++
		}
	}
}

// stixContext is what other objects say of indicators, by id.
type stixContext struct {
	family   map[string]string
	category map[string]weir.Category
	last     map[string]int64
}

func stixLinks(objects []stixObject) stixContext {
	ctx := stixContext{family: map[string]string{}, category: map[string]weir.Category{}, last: map[string]int64{}}
	byID := make(map[string]*stixObject, len(objects))
	for i := range objects {
		byID[objects[i].ID] = &objects[i]
	}
	for i := range objects {
		o := &objects[i]
		switch o.Type {
		case "relationship":
			target := byID[o.TargetRef]
			if o.Relationship != "indicates" || target == nil || o.Revoked {
				continue
			}
			switch target.Type {
			case "malware":
				if ctx.family[o.SourceRef] == "" || target.Name < ctx.family[o.SourceRef] {
					ctx.family[o.SourceRef] = target.Name
				}
			case "infrastructure":
				for _, t := range target.Infrastructure {
					if k := wordCategory(t); k != "" {
						ctx.category[o.SourceRef] = k
					}
				}
			}
		case "sighting":
			if t := bestTime(o.LastSeen); t > ctx.last[o.SightingOf] {
				ctx.last[o.SightingOf] = t
			}
		}
	}
	return ctx
}

func (c *collector) stixIndicator(o *stixObject, ctx stixContext, at place) {
	s := &c.rep.Skipped
	switch {
	case o.Revoked:
		s.Inactive++
		return
	case o.PatternType != "" && o.PatternType != "stix":
		s.Others++ // rules of Snort, YARA and the like
		return
	}
	matches, err := parsePattern(o.Pattern)
	if err != nil {
		c.bad(at, "indicator %s: %v", quote(o.ID), err)
		return
	}
	r := raw{
		confidence: -1, family: ctx.family[o.ID], first: bestTime(o.ValidFrom), until: bestTime(o.ValidUntil),
		last: ctx.last[o.ID], at: at,
	}
	if o.Confidence != nil {
		r.confidence = *o.Confidence
	}
	category := stixCategory(o)
	if category == "" {
		category = ctx.category[o.ID]
	}
	r.category = string(category)
	if category == "" {
		for _, t := range append(append([]string(nil), o.IndicatorTypes...), o.Labels...) {
			if strings.EqualFold(t, "malicious-activity") {
				r.implied = weir.CategoryMalicious
			}
		}
	}
	for _, m := range matches {
		switch m.kind {
		case kindDomain:
			s.Domains++
		case kindURL:
			r.value, r.port, r.proto = m.value, m.port, m.proto
			c.add(r)
		case kindAddress:
			r.value, r.port, r.proto = m.value, m.port, m.proto
			c.add(r)
		default:
			s.Others++
		}
	}
}

// stixCategory reads the category from phases, types and labels.
func stixCategory(o *stixObject) weir.Category {
	for _, p := range o.Phases {
		if k := wordCategory(p.Name); k != "" {
			return k
		}
	}
	for _, list := range [][]string{o.IndicatorTypes, o.Labels} {
		for _, t := range list {
			if k := wordCategory(t); k != "" {
				return k
			}
		}
	}
	return ""
}

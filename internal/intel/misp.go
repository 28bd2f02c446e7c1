package intel

import (
	"encoding/json"
	"slices"
	"strings"

	weir "github.com/weir-net/weir"
)

// mispContext is what an event says of all its attributes.
type mispContext struct {
	category weir.Category
	family   string
}

type mispTag struct {
	Name string `json:"name"`
}

type mispAttribute struct {
	Type      string            `json:"type"`
	Category  string            `json:"category"`
	Value     string            `json:"value"`
	Comment   string            `json:"comment"`
	ToIDs     any               `json:"to_ids"`
	Deleted   any               `json:"deleted"`
	FirstSeen any               `json:"first_seen"`
	LastSeen  any               `json:"last_seen"`
	Tag       []mispTag         `json:"Tag"`
	Attribute []json.RawMessage `json:"Attribute"`
}

// mispEvent reads an event with its attributes and those of its objects. Source:
// MISP core format, Internet-Draft draft-dulaunoy-misp-core-format.
func (c *collector) mispEvent(v json.RawMessage, at place) {
	c.form("misp")
	var e struct {
		Attribute []json.RawMessage `json:"Attribute"`
		Object    []struct {
			Deleted   any               `json:"deleted"`
			Attribute []json.RawMessage `json:"Attribute"`
		} `json:"Object"`
		Tag []mispTag `json:"Tag"`
	}
	if json.Unmarshal(v, &e) != nil {
		c.bad(at, "an event that does not follow the MISP core format")
		return
	}
	ctx := mispContext{}
	ctx.category, ctx.family = mispTags(e.Tag)
	c.mispAttributes(e.Attribute, ctx, at)
	for _, o := range e.Object {
		if truth(o.Deleted) {
			c.rep.Skipped.Inactive += len(o.Attribute)
			continue
		}
		c.mispAttributes(o.Attribute, ctx, at)
	}
}

func (c *collector) mispAttributes(list []json.RawMessage, ctx mispContext, at place) {
	c.form("misp")
	for i, v := range list {
		var a mispAttribute
		if json.Unmarshal(v, &a) != nil {
			c.bad(at, "attribute %d does not follow the MISP core format", i)
			continue
		}
		c.mispAttribute(&a, ctx, at)
	}
}

func (c *collector) mispAttribute(a *mispAttribute, ctx mispContext, at place) {
	value := a.Value
	switch a.Type {
	case "ip-src", "ip-dst":
	case "ip-src|port", "ip-dst|port":
		host, port, _ := strings.Cut(value, "|")
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		value = host + ":" + port
	case "domain|ip":
		_, value, _ = strings.Cut(value, "|")
	case "url", "uri", "link":
	case "domain", "hostname", "hostname|port":
		c.rep.Skipped.Domains++
		return
	default:
		c.rep.Skipped.Others++
		return
	}
	if !truth(a.ToIDs) || truth(a.Deleted) {
		c.rep.Skipped.Inactive++
		return
	}
	category, family := mispTags(a.Tag)
	if category == "" {
		category = ctx.category
	}
	if family == "" {
		family = ctx.family
	}
	r := raw{value: value, category: string(category), family: family, confidence: -1, at: at}
	r.first, r.last = mispTime(a.FirstSeen), mispTime(a.LastSeen)
	c.add(r)
}

// mispTime reads a time: RFC 3339, or microseconds since 1970 as a number.
func mispTime(v any) int64 {
	switch t := v.(type) {
	case string:
		return bestTime(t)
	case float64:
		if t > 1e14 && t < 9e15 {
			return int64(t) * 1000
		}
	}
	return 0
}

// truth reads a boolean, which MISP also writes as number or text.
func truth(v any) bool {
	switch t := v.(type) {
	case bool:
		return t
	case float64:
		return t != 0
	case string:
		return t == "1" || t == "true"
	}
	return false
}

// mispTags reads what tags say of category and family.
func mispTags(tags []mispTag) (category weir.Category, family string) {
	for _, t := range tags {
		name := strings.ToLower(t.Name)
		galaxy, cluster, _ := strings.Cut(t.Name, "=")
		if galaxy = strings.ToLower(galaxy); family == "" && strings.HasPrefix(galaxy, "misp-galaxy:") {
			if strings.Contains(galaxy, "malware") || strings.HasSuffix(galaxy, ":botnet") || strings.HasSuffix(galaxy, ":rat") {
				family = strings.Trim(cluster, `"`)
			}
		}
		if category == "" {
			category = wordCategory(name)
		}
	}
	return category, family
}

// wordCategory looks for the words by which labels and tags name a category that is
// more than malicious.
func wordCategory(text string) weir.Category {
	text = strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(text))
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(`:="/,.`, r) })
	for _, group := range []struct {
		category weir.Category
		parts    []string
	}{
		{weir.CategorySinkhole, []string{"sinkhole"}},
		{weir.CategoryC2, []string{"command-and-control", "c2", "c&c", "cnc", "c2-server", "botnet-cc"}},
		{weir.CategoryBruteForce, []string{"brute-force", "bruteforce", "bruteforcer"}},
		{weir.CategoryScanner, []string{"scanner", "scanning", "port-scan"}},
		{weir.CategoryInfected, []string{"compromised", "infected-host", "infected"}},
		{weir.CategoryBenign, []string{"benign"}},
	} {
		for _, w := range words {
			if slices.Contains(group.parts, w) {
				return group.category
			}
		}
	}
	return ""
}

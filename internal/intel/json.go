package intel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	weir "github.com/weir-net/weir"
)

// Documents that are well-formed and hold no indicators by nature.
var (
	errManifest  = errors.New("this is the manifest of a MISP feed, which names events and no addresses, expected its events (the other JSON files of the feed)")
	errCatalogue = errors.New("this is a catalogue of MISP feeds, which names feeds and no addresses, expected the content of a feed")
)

// json reads one or more JSON values: documents of STIX, TAXII, MISP, abuse.ch,
// or one object per line as Spamhaus and others write.
func (c *collector) json(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	at := position{data: data, line: 1}
	for n := 0; ; n++ {
		start := dec.InputOffset()
		var v json.RawMessage
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			offset := int64(len(data)) // the end came too soon
			var syn *json.SyntaxError
			if errors.As(err, &syn) && syn.Offset > 0 {
				offset = syn.Offset - 1
			}
			p := at.of(offset)
			c.bad(p, "%s", strings.TrimPrefix(err.Error(), "json: "))
			if len(c.out) == 0 {
				return &Error{c.file, p.line, p.col, c.fault + ", expected valid JSON"}
			}
			return nil // what came before counts, the fault is in the report
		}
		for start < int64(len(data)) && strings.IndexByte(" \t\r\n", data[start]) >= 0 {
			start++
		}
		p := at.of(start)
		if err := c.document(v, p); err != nil {
			return &Error{c.file, p.line, p.col, err.Error()}
		}
	}
}

// position turns growing offsets into places.
type position struct {
	data         []byte
	offset, from int64
	line         int
}

func (p *position) of(offset int64) place {
	offset = min(max(offset, p.offset), int64(len(p.data)))
	for ; p.offset < offset; p.offset++ {
		if p.data[p.offset] == '\n' {
			p.line++
			p.from = p.offset + 1
		}
	}
	return place{p.line, int(offset-p.from) + 1}
}

// document reads one JSON value at the top of a file.
func (c *collector) document(v json.RawMessage, at place) error {
	switch v[0] {
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(v, &list); err != nil {
			return fmt.Errorf("%w, expected a list", err)
		}
		return c.array(list, at)
	case '{':
		var o map[string]json.RawMessage
		if err := json.Unmarshal(v, &o); err != nil {
			return fmt.Errorf("%w, expected an object", err)
		}
		return c.object(v, o, at)
	}
	return errors.New("a value that is neither object nor list, expected STIX, TAXII, MISP, or another form of intelligence")
}

func (c *collector) array(list []json.RawMessage, at place) error {
	if len(list) == 0 {
		return nil
	}
	if list[0][0] == '"' {
		c.form("list")
		for i, v := range list {
			var text string
			if json.Unmarshal(v, &text) != nil {
				c.bad(at, "entry %d is no text", i)
				continue
			}
			c.add(raw{value: text, confidence: -1, at: at})
		}
		return nil
	}
	first := probe(list[0])
	switch {
	case first.Feed != nil:
		return errCatalogue
	case first.isSTIX():
		c.stix(list, at)
		return nil
	case first.Event != nil:
		for _, v := range list {
			c.mispEvent(probe(v).Event, at)
		}
		return nil
	case first.Attribute != nil || first.isMISPAttribute():
		c.mispAttributes(list, mispContext{}, at)
		return nil
	}
	for i, v := range list {
		c.plainObject(v, i, at)
	}
	return nil
}

func (c *collector) object(v json.RawMessage, o map[string]json.RawMessage, at place) error {
	p := probe(v)
	switch {
	case p.Type == "bundle" || p.Objects != nil || o["more"] != nil: // STIX bundle, TAXII envelope
		c.form("stix")
		c.stix(p.Objects, at)
	case p.isSTIX():
		c.stix([]json.RawMessage{v}, at)
	case p.Event != nil:
		c.mispEvent(p.Event, at)
	case o["response"] != nil:
		return c.response(o["response"], at)
	case p.Feed != nil:
		return errCatalogue
	case p.List != nil && (p.Name != "" || p.Description != ""):
		c.warningList(p)
	case isManifest(o):
		return errManifest
	case isThreatfox(o):
		for _, key := range sortedKeys(o) {
			var list []json.RawMessage
			if json.Unmarshal(o[key], &list) == nil {
				for i, e := range list {
					c.plainObject(e, i, at)
				}
			}
		}
	default:
		c.plainObject(v, 0, at)
	}
	return nil
}

// response reads the answer of a MISP server: events, or attributes.
func (c *collector) response(v json.RawMessage, at place) error {
	if v[0] == '[' {
		return c.document(v, at)
	}
	c.mispAttributes(probe(v).Attributes(), mispContext{}, at)
	return nil
}

// probed are the members that tell forms apart.
type probed struct {
	Type        string            `json:"type"`
	SpecVersion string            `json:"spec_version"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Objects     []json.RawMessage `json:"objects"`
	List        []json.RawMessage `json:"list"`
	Event       json.RawMessage   `json:"Event"`
	Feed        json.RawMessage   `json:"Feed"`
	Attribute   json.RawMessage   `json:"Attribute"`
	ToIDs       json.RawMessage   `json:"to_ids"`
}

// probe reads the members; what does not fit is left out.
func probe(v json.RawMessage) probed {
	var m map[string]json.RawMessage
	var p probed
	if json.Unmarshal(v, &m) != nil {
		return p
	}
	text := func(key string) (s string) {
		_ = json.Unmarshal(m[key], &s)
		return s
	}
	p = probed{
		Type: text("type"), SpecVersion: text("spec_version"), ID: text("id"), Name: text("name"), Description: text("description"),
		Event: m["Event"], Feed: m["Feed"], Attribute: m["Attribute"], ToIDs: m["to_ids"],
	}
	_ = json.Unmarshal(m["objects"], &p.Objects)
	_ = json.Unmarshal(m["list"], &p.List)
	return p
}

// isSTIX reports an object of STIX: its id repeats the type.
func (p *probed) isSTIX() bool {
	return p.Type != "" && strings.HasPrefix(p.ID, p.Type+"--")
}

func (p *probed) isMISPAttribute() bool { return p.ToIDs != nil && p.Type != "" }

// Attributes returns the list of attributes.
func (p probed) Attributes() (list []json.RawMessage) {
	_ = json.Unmarshal(p.Attribute, &list)
	return list
}

// isManifest reports the manifest of a MISP feed: a map from event to its
// description, with the organisation that made it.
func isManifest(o map[string]json.RawMessage) bool {
	for _, v := range o {
		var e map[string]json.RawMessage
		if json.Unmarshal(v, &e) != nil || e["Orgc"] == nil || e["info"] == nil {
			return false
		}
	}
	return len(o) > 0
}

// isThreatfox reports the export of ThreatFox: a map from number to a list.
func isThreatfox(o map[string]json.RawMessage) bool {
	for _, v := range o {
		var list []map[string]json.RawMessage
		if json.Unmarshal(v, &list) != nil || len(list) == 0 || list[0]["ioc_value"] == nil {
			return false
		}
	}
	return len(o) > 0
}

// warningList reads a MISP warning list.
func (c *collector) warningList(p probed) {
	c.form("warninglist")
	for i, v := range p.List {
		var text string
		if json.Unmarshal(v, &text) != nil {
			c.bad(place{1, 1}, "entry %d of the list is no text", i)
			continue
		}
		if _, _, _, k := classify(text); k == kindBad {
			c.rep.Skipped.Others++ // regular expressions, AS numbers, names
			continue
		}
		c.add(raw{value: text, implied: weir.CategoryBenign, confidence: -1, at: place{1, 1}})
	}
}

// plainObject reads an object with the members of a table: Spamhaus DROP, Feodo
// Tracker, ThreatFox, and lists of one's own.
func (c *collector) plainObject(v json.RawMessage, index int, at place) {
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	if dec.Decode(&m) != nil {
		c.bad(at, "entry %d is no object", index)
		return
	}
	cell := func(names []string) string {
		for _, n := range names {
			switch x := m[n].(type) {
			case string:
				return strings.TrimSpace(x)
			case json.Number:
				return x.String()
			}
		}
		return ""
	}
	value, others := columnNames()
	r := raw{
		value: cell(value), category: cell(others[colCategory]), family: cell(others[colFamily]), source: cell(others[colSource]),
		confidence: -1, at: at,
	}
	form := "json"
	switch {
	case m["type"] == "metadata": // the last line of DROP
		return
	case m["sblid"] != nil && r.value != "":
		form, r.implied = "drop", weir.CategoryMalicious
	case m["asn"] != nil && r.value == "":
		c.rep.Skipped.Others++ // the DROP list of AS numbers
		return
	case m["ip_address"] != nil && m["last_online"] != nil:
		form, r.implied = "feodo", weir.CategoryC2
	case m["ioc_value"] != nil:
		form, r.category = "threatfox", cell([]string{"threat_type"})
	}
	if r.value == "" {
		c.bad(at, "entry %d has no indicator, expected one of %s", index, strings.Join(value, ", "))
		return
	}
	c.form(form)
	c.complete(&r, rowCells{
		first: cell(others[colFirst]), last: cell(others[colLast]), until: cell(others[colUntil]),
		confidence: cell(others[colConfidence]), port: cell(others[colPort]), proto: cell(others[colProto]),
	}, form)
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
)

// familyDocs describes the keys of a family of rules.
func familyDocs() map[string]string {
	return map[string]string{
		"enabled":              "Whether the rules of the family run.",
		"sensitivity":          "Sensitivity of the family; inherited where it is empty.",
		"floor1h":              "Never alert below this many connections in 1 h.",
		"floor24h":             "Never alert below this many connections in 24 h.",
		"minPeers":             "Fewest peers of a ManyToOne or OneToMany alert.",
		"threshold":            "Surprise needed, in decimal orders; 0 means that of the rule.",
		"priorConnections":     "Connections in a window of a new peer, before anything is learnt.",
		"priorPeers":           "New peers an hour of an exposed service, before anything is learnt.",
		"priorDestinations":    "New destinations a day, before anything is learnt.",
		"packetsPerConnection": "Client packets of a failed login; 0 means that of the service table.",
		"behavioral":           "Alert on behaviour alone (family infected).",
		"families":             "Further malware families to alert on (family infected).",
	}
}

// Schema returns the JSON Schema (draft 2020-12) of the configuration file.
func Schema() ([]byte, error) {
	c := Default()
	c.Store.Dir = ""
	s := object(reflect.ValueOf(&c).Elem())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Configuration of Weir"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

func object(v reflect.Value) map[string]any {
	props, required := map[string]any{}, []string{}
	for _, f := range fields(v.Type()) {
		name := f.Tag.Get("yaml")
		p := property(f.Type, v.FieldByIndex(f.Index))
		constrain(p, f)
		props[name] = p
		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": props}
	if len(required) > 0 {
		s["type"], s["required"] = "object", required
	}
	return s
}

// constrain adds what the tags of a field say.
func constrain(p map[string]any, f reflect.StructField) {
	doc := f.Tag.Get("doc")
	if doc == "" {
		doc = familyDocs()[f.Tag.Get("yaml")]
	}
	if f.Tag.Get("reload") == "true" {
		doc += " Reloaded by SIGHUP."
	}
	if doc != "" {
		p["description"] = doc
	}
	if list := f.Tag.Get("enum"); list != "" {
		p["enum"] = append(anys(strings.Split(list, ",")), nil)
	}
	if f.Type == reflect.TypeFor[detect.Sensitivity]() {
		p["enum"] = []any{"", "low", "medium", "high", nil}
	}
	for tag, word := range map[string]string{"min": "minimum", "max": "maximum"} {
		if n, err := strconv.ParseFloat(f.Tag.Get(tag), 64); err == nil {
			p[word] = n
		}
	}
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// property describes a type; v holds its default, or is invalid for none.
func property(t reflect.Type, v reflect.Value) map[string]any {
	if x, ok := reflect.TypeAssert[text](reflect.New(t)); ok {
		f := x.form()
		p := map[string]any{"type": []string{"string", "null"}, "pattern": f.pattern}
		if f.number {
			p["type"] = []string{"string", "integer", "null"}
		}
		if v.IsValid() && !v.IsZero() {
			p["default"] = fmt.Sprint(v.Interface())
		}
		return p
	}
	switch t.Kind() {
	case reflect.Pointer:
		e := reflect.New(t.Elem())
		if t.Elem().Kind() == reflect.Struct {
			return object(e.Elem())
		}
		return property(t.Elem(), reflect.Value{})
	case reflect.Struct:
		if !v.IsValid() {
			e := reflect.New(t)
			if d, ok := reflect.TypeAssert[defaulter](e); ok {
				d.setDefaults()
			}
			v = e.Elem()
		}
		return object(v)
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": property(t.Elem(), reflect.Value{})}
	case reflect.Slice:
		items := property(t.Elem(), reflect.Value{})
		if t.Elem() == reflect.TypeFor[weir.AlertType]() {
			items["enum"] = anys(typeNames())
		}
		p := map[string]any{"type": []string{"array", "null"}, "items": items}
		if v.IsValid() && v.Len() > 0 {
			p["default"] = plain(v)
		}
		return p
	}
	p := map[string]any{"type": []string{jsonType(t.Kind()), "null"}}
	if t.Kind() == reflect.String {
		// YAML spells many texts like numbers.
		p["type"] = []string{"string", "number", "boolean", "null"}
	}
	if v.IsValid() && (!v.IsZero() || t.Kind() == reflect.Bool) {
		p["default"] = v.Interface()
	}
	return p
}

func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	case reflect.Float64:
		return "number"
	}
	return "string"
}

// plain turns a value of the tree into maps, lists and scalars that JSON and
// YAML encoders write in the forms of the reference.
func plain(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	if t, ok := reflect.TypeAssert[text](p); ok {
		if v.IsZero() && v.Kind() == reflect.String {
			return nil
		}
		return t.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for _, f := range fields(v.Type()) {
			out[f.Tag.Get("yaml")] = plain(v.FieldByIndex(f.Index))
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = plain(it.Value())
		}
		return out
	case reflect.Slice:
		out := make([]any, 0, v.Len())
		for i := range v.Len() {
			out = append(out, plain(v.Index(i)))
		}
		return out
	}
	return v.Interface()
}

package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Plain returns the effective values as maps, lists and scalars, in the forms
// of the configuration reference. Secrets are references and stay so.
func (l *Loaded) Plain() map[string]any {
	m, _ := plain(reflect.ValueOf(l.Config)).(map[string]any)
	return m
}

// Setting is one effective value.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

// Settings returns every effective value with its origin, in the order of the
// tree. Lists are told element by element, an empty one as a whole.
func (l *Loaded) Settings() []Setting {
	var out []Setting
	var walk func(n *yaml.Node, key string)
	walk = func(n *yaml.Node, key string) {
		switch {
		case n.Kind == yaml.MappingNode && len(n.Content) > 0:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], join(key, n.Content[i].Value))
			}
		case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
			for i, c := range n.Content {
				walk(c, key+"["+strconv.Itoa(i)+"]")
			}
		default:
			var v any
			if err := n.Decode(&v); err != nil {
				v = n.Value
			}
			out = append(out, Setting{Key: key, Value: v, Origin: l.Origin(key)})
		}
	}
	walk(l.node(), "")
	return out
}

// node returns the tree as YAML nodes in the order of the structs.
func (l *Loaded) node() *yaml.Node { return toNode(reflect.ValueOf(l.Config)) }

// YAML returns the effective configuration; with origins each value carries a
// comment that tells where it came from.
func (l *Loaded) YAML(origins bool) ([]byte, error) {
	n := l.node()
	if origins {
		l.comment(n, "")
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return buf.Bytes(), nil
}

func (l *Loaded) comment(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := join(key, k.Value)
		if v.Kind == yaml.ScalarNode || len(v.Content) == 0 {
			v.LineComment = l.Origin(name)
			continue
		}
		if v.Kind == yaml.SequenceNode {
			k.LineComment = l.Origin(name)
			for j, c := range v.Content {
				l.comment(c, name+"["+strconv.Itoa(j)+"]")
			}
			continue
		}
		l.comment(v, name)
	}
}

func toNode(v reflect.Value) *yaml.Node {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	if _, isText := reflect.TypeAssert[text](p); !isText {
		switch v.Kind() {
		case reflect.Struct:
			n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			for _, f := range fields(v.Type()) {
				e := v.FieldByIndex(f.Index)
				// What is not said where nothing is the default stays unsaid: an empty
				// word would be none of those that the key takes.
				if (f.Tag.Get("sinks") != "" || f.Tag.Get("enum") != "") && e.IsZero() || e.Kind() == reflect.Pointer && e.IsNil() {
					continue
				}
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.Tag.Get("yaml")}, toNode(e))
			}
			return n
		case reflect.Slice:
			n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
			for i := range v.Len() {
				n.Content = append(n.Content, toNode(v.Index(i)))
			}
			return n
		case reflect.Map:
			n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			m := toMap(v)
			for _, k := range slices.Sorted(maps.Keys(m)) {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: k}, toNode(m[k]))
			}
			return n
		}
	}
	n := &yaml.Node{}
	if err := n.Encode(plain(v)); err != nil {
		n.SetString(fmt.Sprint(plain(v)))
	}
	return n
}

// First returns a first file to begin with: every section with its defaults as
// comments, so that the file says nothing until it is edited.
func First() []byte {
	return []byte(`# yaml-language-server: $schema=weir.schema.json
# Configuration of Weir. Every key has a default; "weir config schema" prints all
# of them (save it as weir.schema.json for completion in your editor), and
# "weir config check" reads this file without starting anything.

# What is protected.
inventory:
  files: []                # [inventory.yaml]

# Indicators of addresses; paths or URLs.
intel:
  feeds: []
  #  - {name: feodo, source: feeds/feodo.csv, category: c2, interval: 1h}

# UDP sockets that receive flow export.
listen:
  netflow: [":2055", ":4739"]   # IPFIX, NetFlow v9 and v5
  sflow: [":6343"]              # sFlow v5
  exporters: []                 # who may send; empty means anyone

inputs:
  sampling: []             # [{exporter: 192.0.2.1/32, rate: 1/1000}] where the export does not say

detect:
  sensitivity: medium      # low, medium, high

store:
  retention: 90d           # of alerts

api:
  listen: 127.0.0.1:8780   # other addresses need tokens
  tokens: []               # [{name: console, role: admin, token: "file:/etc/weir/token"}]

log:
  level: info
`)
}

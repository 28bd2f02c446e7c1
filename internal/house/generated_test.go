package house

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir/internal/engine/config"
)

// Marks around the generated part of a page.
const (
	beginMark = "<!-- begin generated: go test ./internal/house -update -->\n"
	endMark   = "<!-- end generated -->"
)

// generated holds the generated part of a page, or rewrites it with -update.
func generated(t *testing.T, page, want string) {
	t.Helper()
	text := string(read(t, page))
	head, rest, ok := strings.Cut(text, beginMark)
	if !ok {
		t.Fatalf("%s has no mark %q", page, strings.TrimSpace(beginMark))
	}
	have, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		t.Fatalf("%s has no mark %q", page, endMark)
	}
	if *update {
		name := filepath.Join(root(t), filepath.FromSlash(page))
		if err := os.WriteFile(name, []byte(head+beginMark+want+endMark+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s is out of date (make docs): -want +have\n%s", page, diff)
	}
}

// node is the part of a JSON Schema that the reference shows.
type node struct {
	Type        any              `json:"type"`
	Description string           `json:"description"`
	Default     any              `json:"default"`
	Enum        []any            `json:"enum"`
	Properties  map[string]*node `json:"properties"`
	Required    []string         `json:"required"`
	Items       *node            `json:"items"`
	Additional  json.RawMessage  `json:"additionalProperties"`
}

// kind names the type of a value in one or two words.
func (n *node) kind(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(n.Enum) > 0 {
		var words []string
		for _, e := range n.Enum {
			if s, ok := e.(string); ok && s != "" {
				words = append(words, "`"+s+"`")
			}
		}
		if len(words) > 5 {
			return "one of " + strings.Join(words, ", ")
		}
		return strings.Join(words, ` \| `)
	}
	switch t.Kind() {
	case reflect.Slice:
		if n.Items != nil && n.Items.Properties != nil {
			return "list"
		}
		one := n.Items.kind(t.Elem())
		if strings.HasPrefix(one, "`") || strings.HasPrefix(one, "one of") {
			return "list of " + one
		}
		return "list of " + map[string]string{"address": "addresses", "prefix": "prefixes", "text": "texts", "path": "paths", "alert type": "alert types"}[one]
	case reflect.Map:
		return "map"
	case reflect.Struct:
		if n.Properties != nil {
			return "map"
		}
	case reflect.Bool:
		return "bool"
	}
	switch name := t.Name(); name {
	case "Address", "Prefix", "Duration", "Size", "Rate", "Path", "Secret", "Location", "Time", "URL", "Filter":
		return strings.ToLower(name)
	case "int", "float64":
		return map[string]string{"int": "int", "float64": "number"}[name]
	case "AlertType":
		return "alert type"
	}
	return "text"
}

// value shows a default.
func value(v any, kind string) string {
	if v == nil {
		if kind == "int" || kind == "number" { // the schema leaves out a default of zero
			return "`0`"
		}
		return "–"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return "`" + strings.Trim(strings.ReplaceAll(string(b), ",", ", "), `"`) + "`"
}

// keys appends the rows of a section, in the order of the struct.
func keys(b *strings.Builder, prefix string, t reflect.Type, n *node) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	for f := range t.Fields() {
		if f.Anonymous {
			keys(b, prefix, f.Type, n)
			continue
		}
		name := f.Tag.Get("yaml")
		p := n.Properties[name]
		if p == nil {
			continue
		}
		full := prefix + "." + name
		sub := p
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice && p.Items != nil {
				sub = p.Items
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice || sub != p && sub.Properties != nil {
			full += "[]"
		}
		doc := strings.ReplaceAll(p.Description, "|", `\|`)
		doc = strings.ReplaceAll(doc, " Reloaded by SIGHUP.", " (R)")
		if slices.Contains(n.Required, name) {
			doc = strings.TrimSpace("Required. " + doc)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", full, p.kind(f.Type), value(p.Default, p.kind(f.Type)), doc)
		if sub.Properties != nil {
			keys(b, full, inner, sub)
		}
	}
}

// TestConfigurationReference holds the page of all keys.
func TestConfigurationReference(t *testing.T) {
	raw, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var top node
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	tree := reflect.TypeFor[config.Config]()
	for f := range tree.Fields() {
		name := f.Tag.Get("yaml")
		n := top.Properties[name]
		if n == nil {
			t.Fatalf("the schema has no section %s", name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", name, n.Description)
		prefix := name
		if n.Items != nil {
			n, prefix = n.Items, prefix+"[]"
		}
		keys(&b, prefix, f.Type, n)
	}
	b.WriteString("\n")
	if rows := strings.Count(b.String(), "\n| `"); rows < 80 {
		t.Fatalf("only %d keys found: the walk misses part of the tree", rows)
	}
	generated(t, "docs/reference/configuration.md", b.String())
}

// metric finds one entry of the table of metrics in the engine.
var metric = regexp.MustCompile(`(?m)^\s*"([a-z_]+)":\s*\{"([^"]+)", (?:nil|\[\]string\{([^}]*)\})\},?$`)

// TestMetricsReference holds the page of metrics against the engine's table.
func TestMetricsReference(t *testing.T) {
	found := metric.FindAllStringSubmatch(string(read(t, "internal/engine/metrics.go")), -1)
	if len(found) < 9 {
		t.Fatalf("only %d metrics found in internal/engine/metrics.go: has its table moved?", len(found))
	}
	var b strings.Builder
	b.WriteString("\n| metric | labels | meaning |\n|---|---|---|\n")
	slices.SortFunc(found, func(x, y []string) int { return strings.Compare(x[1], y[1]) })
	for _, m := range found {
		labels := strings.ReplaceAll(m[3], `"`, "`")
		if labels == "" {
			labels = "–"
		}
		fmt.Fprintf(&b, "| `weir_%s` | %s | %s |\n", m[1], labels, m[2])
	}
	b.WriteString("\n")
	generated(t, "docs/reference/metrics.md", b.String())
}

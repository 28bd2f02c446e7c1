package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// defaulter is an element of a list whose keys have defaults.
type defaulter interface{ setDefaults() }

// decoder writes YAML nodes into the tree and keeps where each value came from.
type decoder struct {
	base     string                  // directory that relative paths start from
	where    func(*yaml.Node) string // place of a node, for messages
	fold     bool                    // keys without regard to case (environment)
	origins  map[string]string
	problems Problems
	budget   int // nodes that may still be visited: aliases could explode
}

// maxNodes bounds the nodes of a configuration, aliases counted each time.
const maxNodes = 200000

func (d *decoder) fail(n *yaml.Node, key, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Where: d.where(n), Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

// value decodes n into v. A null leaves the default in place.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	for range 16 {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	if d.budget--; d.budget < 0 || n.Kind == yaml.AliasNode {
		if d.budget == -1 {
			d.fail(n, key, "the file is too large, expected at most %d values", maxNodes)
		}
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" && (n.Value != "" || v.Kind() != reflect.Pointer) {
		return
	}
	d.origins[key] = d.where(n)
	if t, ok := reflect.TypeAssert[text](v.Addr()); ok {
		d.text(n, t, key)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if e, ok := reflect.TypeAssert[defaulter](p); ok {
			e.setDefaults()
		}
		d.value(n, p.Elem(), key)
		v.Set(p)
	case reflect.Struct:
		d.mapping(n, v, key)
	case reflect.Map:
		d.dictionary(n, v, key)
	case reflect.Slice:
		d.list(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

func (d *decoder) text(n *yaml.Node, t text, key string) {
	f := t.form()
	if n.Kind != yaml.ScalarNode || !f.number && (n.Tag == "!!bool") {
		d.fail(n, key, "%s is wrong here, expected %s", kindName(n), f.want)
		return
	}
	if err := t.parse(n.Value, d.base); err != nil {
		d.fail(n, key, "%v", err)
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

// fields returns the names and values of the keys of a struct, in order.
func fields(t reflect.Type) []reflect.StructField {
	out := make([]reflect.StructField, 0, t.NumField())
	for f := range t.Fields() {
		if f.Tag.Get("yaml") != "" {
			out = append(out, f)
		}
	}
	return out
}

func names(fs []reflect.StructField) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.Tag.Get("yaml")
	}
	return out
}

func find(fs []reflect.StructField, name string, fold bool) (reflect.StructField, bool) {
	for _, f := range fs {
		if y := f.Tag.Get("yaml"); y == name || fold && strings.EqualFold(y, name) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, "%s is wrong here, expected a map of keys", kindName(n))
		return
	}
	fs := fields(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		f, ok := find(fs, k.Value, d.fold)
		if !ok {
			d.fail(k, join(key, k.Value), "unknown key%s", unknown(k.Value, key, fs))
			continue
		}
		name := f.Tag.Get("yaml")
		if seen[name] {
			d.fail(k, join(key, name), "the key stands twice, expected once")
			continue
		}
		seen[name] = true
		d.field(n.Content[i+1], v.FieldByIndex(f.Index), join(key, name), f)
	}
	for _, f := range fs {
		if name := f.Tag.Get("yaml"); f.Tag.Get("required") == "true" && !seen[name] {
			d.fail(n, join(key, name), "the key is missing, expected %s", wants(f.Type))
		}
	}
}

func unknown(name, key string, fs []reflect.StructField) string {
	if s := suggest(name, names(fs)); s != "" {
		return s
	}
	if len(fs) <= 14 {
		return ", expected one of " + strings.Join(names(fs), ", ")
	}
	return fmt.Sprintf("; weir config schema lists the keys of %s", strings.TrimPrefix(key, "."))
}

// field decodes a key with the checks that its tags ask for.
func (d *decoder) field(n *yaml.Node, v reflect.Value, key string, f reflect.StructField) {
	before := len(d.problems)
	d.value(n, v, key)
	if len(d.problems) != before {
		return
	}
	if list := f.Tag.Get("enum"); list != "" && v.Kind() == reflect.String && !null(n) {
		if all := strings.Split(list, ","); !slices.Contains(all, v.String()) {
			d.fail(n, key, "%q is wrong here, expected one of %s%s", v.String(), strings.Join(all, ", "), suggest(v.String(), all))
		}
	}
	var x float64
	switch {
	case v.CanInt():
		x = float64(v.Int())
	case v.CanFloat():
		x = v.Float()
	default:
		return
	}
	if low, err := strconv.ParseFloat(f.Tag.Get("min"), 64); err == nil && x < low {
		d.fail(n, key, "%v is too small, expected at least %v", x, low)
	}
	if high, err := strconv.ParseFloat(f.Tag.Get("max"), 64); err == nil && x > high {
		d.fail(n, key, "%v is too large, expected at most %v", x, high)
	}
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, "%s is wrong here, expected a map", kindName(n))
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], e, join(key, k.Value))
		name := reflect.ValueOf(k.Value).Convert(v.Type().Key())
		if out.MapIndex(name).IsValid() {
			d.fail(k, join(key, k.Value), "the key stands twice, expected once")
		}
		out.SetMapIndex(name, e)
	}
	v.Set(out)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, key, "%s is wrong here, expected a list", kindName(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, c := range n.Content {
		p := reflect.New(v.Type().Elem())
		if e, ok := reflect.TypeAssert[defaulter](p); ok {
			e.setDefaults()
		}
		if null(c) {
			d.fail(c, key+"["+strconv.Itoa(i)+"]", "the element is empty, expected %s", wants(p.Elem().Type()))
			continue
		}
		d.value(c, p.Elem(), key+"["+strconv.Itoa(i)+"]")
		out = reflect.Append(out, p.Elem())
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string) {
	bad := func() { d.fail(n, key, "%s is wrong here, expected %s", kindName(n), wants(v.Type())) }
	if n.Kind != yaml.ScalarNode {
		bad()
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		var b bool
		if n.Tag != "!!bool" || n.Decode(&b) != nil {
			bad()
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil {
			bad()
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			bad()
			return
		}
		v.SetFloat(f)
	default:
		bad()
	}
}

// wants describes what a key of type t takes.
func wants(t reflect.Type) string {
	if v, ok := reflect.TypeAssert[text](reflect.New(t)); ok {
		return v.form().want
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Pointer:
		return wants(t.Elem())
	}
	return "a map"
}

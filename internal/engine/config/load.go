package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Input is what a configuration is made of.
type Input struct {
	// File is the path of the file; empty for none.
	File string
	// Environ is the environment as NAME=VALUE; only names that begin with
	// WEIR_ count.
	Environ []string
	// Set are the texts KEY=VALUE of --set, later ones win.
	Set []string
}

// Loaded is a configuration with the origin of its values.
type Loaded struct {
	Config
	// File is the path of the file; empty for none.
	File string
	// origins maps the paths of keys that are not default to their places.
	origins map[string]string
	// changed are the keys that were given, in any layer.
	changed map[string]bool
}

// Origin returns where the value of a key came from: FILE:LINE:COL, the name of
// an environment variable, the text of a flag, or "default".
func (l *Loaded) Origin(key string) string {
	if o, ok := l.origins[key]; ok {
		return o
	}
	return "default"
}

// place returns the origin of the key or of the nearest key above it, empty
// where everything is default.
func (l *Loaded) place(key string) string {
	for key != "" {
		if o, ok := l.origins[key]; ok {
			return o
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			break
		}
		key = key[:i]
	}
	return ""
}

// Given reports whether the key, or one below it, was given in any layer.
func (l *Loaded) Given(key string) bool {
	if l.changed[key] {
		return true
	}
	for k := range l.changed {
		if strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"[") {
			return true
		}
	}
	return false
}

// Load reads the layers in the order of rising precedence: defaults, file,
// environment, flags. An error is of type [Problems], but for a file that
// cannot be read.
func Load(in Input) (*Loaded, error) {
	l := &Loaded{Config: Default(), File: in.File, origins: map[string]string{}, changed: map[string]bool{}}
	d := &decoder{origins: l.origins, budget: maxNodes}
	if in.File != "" {
		if err := d.file(in.File, &l.Config); err != nil {
			return nil, err
		}
	}
	for _, kv := range in.Environ {
		d.environment(kv, &l.Config)
	}
	for _, kv := range in.Set {
		d.flag(kv, &l.Config)
	}
	for k := range l.origins {
		l.changed[k] = true
	}
	if len(d.problems) == 0 {
		d.problems = l.check()
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return l, nil
}

func (d *decoder) file(name string, c *Config) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	d.base = filepath.Dir(abs)
	d.where = func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", name, max(n.Line, 1), max(n.Column, 1)) }
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		d.problems = append(d.problems, syntax(name, err))
		return nil
	}
	if len(doc.Content) == 1 && !null(doc.Content[0]) {
		d.value(doc.Content[0], reflect.ValueOf(c).Elem(), "")
		delete(d.origins, "")
	}
	return nil
}

var yamlLine = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)

// syntax turns an error of the YAML parser into a problem with a place.
func syntax(name string, err error) Problem {
	line, text := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = m[2]
	}
	return Problem{Where: fmt.Sprintf("%s:%d:1", name, line), Text: "no YAML: " + text + ", expected a map of keys"}
}

// environment applies one variable; an empty one says nothing. A name counts as a key when its first
// level is a section, or when it has several levels, so that a slip in the
// first one is told and other variables of the same beginning are let be.
func (d *decoder) environment(kv string, c *Config) {
	name, value, ok := strings.Cut(kv, "=")
	rest, mine := strings.CutPrefix(name, "WEIR_")
	if !ok || !mine || value == "" {
		return
	}
	path := strings.Split(rest, "__")
	top := fields(reflect.TypeFor[Config]())
	if _, known := find(top, path[0], true); !known && len(path) == 1 {
		return
	}
	d.base = ""
	d.where = func(*yaml.Node) string { return name }
	d.fold = true
	d.layer(path, value, c)
	d.fold = false
}

func (d *decoder) flag(kv string, c *Config) {
	key, value, ok := strings.Cut(kv, "=")
	d.base = ""
	d.where = func(*yaml.Node) string { return "--set " + kv }
	if !ok || key == "" {
		d.fail(nil, "", "no value, expected --set KEY=VALUE")
		return
	}
	d.layer(strings.Split(key, "."), value, c)
}

// layer writes one value, read as YAML, at a path of keys.
func (d *decoder) layer(path []string, value string, c *Config) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil {
		d.fail(nil, strings.Join(path, "."), "%q is no YAML value: %v", value, err)
		return
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	if len(doc.Content) == 1 {
		node = doc.Content[0]
	}
	d.descend(path, node, reflect.ValueOf(c).Elem(), "")
}

func (d *decoder) descend(path []string, n *yaml.Node, v reflect.Value, key string) {
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct && !isText(v):
		fs := fields(v.Type())
		f, ok := find(fs, path[0], d.fold)
		if !ok {
			d.fail(n, join(key, path[0]), "unknown key%s", unknown(path[0], key, fs))
			return
		}
		name := join(key, f.Tag.Get("yaml"))
		if len(path) == 1 {
			d.field(n, v.FieldByIndex(f.Index), name, f)
			return
		}
		d.descend(path[1:], n, v.FieldByIndex(f.Index), name)
	case v.Kind() == reflect.Map && len(path) == 1:
		e := reflect.New(v.Type().Elem()).Elem()
		name := path[0]
		if d.fold {
			name = strings.ToLower(name)
		}
		d.value(n, e, join(key, name))
		m := maps.Clone(toMap(v))
		m[name] = e
		fromMap(v, m)
	default:
		d.fail(n, key, "has no key %q below it, expected %s", path[0], wants(v.Type()))
	}
}

func isText(v reflect.Value) bool {
	_, ok := reflect.TypeAssert[text](v.Addr())
	return ok
}

func toMap(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for it := v.MapRange(); it.Next(); {
		out[it.Key().String()] = it.Value()
	}
	return out
}

func fromMap(v reflect.Value, m map[string]reflect.Value) {
	out := reflect.MakeMap(v.Type())
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), m[k])
	}
	v.Set(out)
}

// AsProblems returns the problems in err, nil if it holds none.
func AsProblems(err error) Problems {
	if p, ok := errors.AsType[Problems](err); ok {
		return p
	}
	return nil
}

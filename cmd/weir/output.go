package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func formats() []string { return []string{"table", "wide", "json", "ndjson", "csv", "yaml"} }

// checkOutput fills in the default of --output.
func (a *app) checkOutput() error {
	if a.output == "" {
		a.output = "ndjson"
		if a.outTTY {
			a.output = "table"
		}
	}
	if !slices.Contains(formats(), a.output) {
		return fmt.Errorf("--output %q: expected one of %s", a.output, strings.Join(formats(), ", "))
	}
	return nil
}

// human reports whether the output is for people.
func (a *app) human() bool { return a.output == "table" || a.output == "wide" }

func (a *app) colors() bool { return a.outTTY && !a.noColor && a.getenv("NO_COLOR") == "" && a.human() }

// column is one column of a list. Wide ones show with -o wide and csv only.
type column[T any] struct {
	name string
	wide bool
	// min is the least width in a table that grows row by row.
	min  int
	text func(T) string
	// color gives the SGR code of a cell, empty for none.
	color func(T) string
}

// list writes rows of one kind in the chosen format. The order of columns is a
// contract; new ones come last.
type list[T any] struct {
	a     *app
	w     *bufio.Writer
	cols  []column[T]
	csv   *csv.Writer
	rows  []T
	nodes []json.RawMessage
	n     int
	live  bool // rows are shown at once, with the widths of the first
	width []int
}

// newList prepares a list. Objects are rows as JSON encodes them.
func newList[T any](a *app, cols []column[T]) (*list[T], error) {
	l := &list[T]{a: a, w: bufio.NewWriter(a.out)}
	if len(a.columns) > 0 && (a.human() || a.output == "csv") {
		for _, name := range a.columns {
			i := slices.IndexFunc(cols, func(c column[T]) bool { return strings.EqualFold(c.name, name) })
			if i < 0 {
				all := make([]string, len(cols))
				for j := range cols {
					all[j] = cols[j].name
				}
				return nil, exit(exitUsage, "--columns: no column %q, expected some of %s", name, strings.Join(all, ", "))
			}
			l.cols = append(l.cols, cols[i])
		}
	} else {
		for _, c := range cols {
			if !c.wide || a.output != "table" {
				l.cols = append(l.cols, c)
			}
		}
	}
	if a.output == "csv" {
		l.csv = csv.NewWriter(l.w)
		head := make([]string, len(l.cols))
		for i, c := range l.cols {
			head[i] = c.name
		}
		if err := l.csv.Write(head); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// add writes a row, or keeps it where the format needs all of them.
func (l *list[T]) add(row T) error {
	l.n++
	switch l.a.output {
	case "csv":
		cells := make([]string, len(l.cols))
		for i, c := range l.cols {
			cells[i] = c.text(row)
		}
		return l.csv.Write(cells)
	case "table", "wide":
		if l.live {
			l.table([]T{row})
			return l.w.Flush()
		}
		l.rows = append(l.rows, row)
		return nil
	}
	raw, err := l.object(row)
	if err != nil {
		return err
	}
	if l.a.output != "ndjson" {
		l.nodes = append(l.nodes, raw)
		return nil
	}
	if _, err := l.w.Write(append(raw, '\n')); err != nil {
		return err
	}
	if l.live {
		return l.w.Flush()
	}
	return nil
}

// object encodes a row, cut to the chosen fields.
func (l *list[T]) object(row T) (json.RawMessage, error) {
	raw, err := marshal(row)
	if err != nil || len(l.a.columns) == 0 {
		return raw, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return raw, nil //nolint:nilerr // not an object: nothing to choose from
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, name := range l.a.columns {
		v, ok := all[name]
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal encodes without the escapes for HTML.
func marshal(v any) (json.RawMessage, error) {
	if r, ok := v.(json.RawMessage); ok {
		return r, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// close writes what is left.
func (l *list[T]) close() error {
	switch l.a.output {
	case "csv":
		l.csv.Flush()
		if err := l.csv.Error(); err != nil {
			return err
		}
	case "table", "wide":
		if len(l.rows) > 0 {
			l.table(l.rows)
		}
	case "json", "yaml":
		if l.nodes == nil {
			l.nodes = []json.RawMessage{}
		}
		if err := writeDocument(l.w, l.a.output, l.nodes); err != nil {
			return err
		}
	}
	return l.w.Flush()
}

// table writes rows in columns; the first call writes the head.
func (l *list[T]) table(rows []T) {
	cells := make([][]string, len(rows))
	first := l.width == nil
	if first {
		l.width = make([]int, len(l.cols))
		for j, c := range l.cols {
			l.width[j] = len(c.name)
			if l.live {
				l.width[j] = max(l.width[j], c.min)
			}
		}
	}
	for i, r := range rows {
		cells[i] = make([]string, len(l.cols))
		for j, c := range l.cols {
			cells[i][j] = clean(c.text(r), false)
			l.width[j] = max(l.width[j], runewidth.StringWidth(cells[i][j]))
		}
	}
	line := func(row []string, paint func(j int) string) {
		var b strings.Builder
		for j, s := range row {
			pad := ""
			if j < len(row)-1 {
				pad = strings.Repeat(" ", max(l.width[j]-runewidth.StringWidth(s), 0)+2)
			}
			if code := paint(j); code != "" {
				s = "\x1b[" + code + "m" + s + "\x1b[0m"
			}
			b.WriteString(s + pad)
		}
		printf(l.w, "%s\n", strings.TrimRight(b.String(), " "))
	}
	colors := l.a.colors()
	if first {
		head := make([]string, len(l.cols))
		for j, c := range l.cols {
			head[j] = strings.ToUpper(c.name)
		}
		line(head, func(int) string {
			if colors {
				return "1"
			}
			return ""
		})
	}
	for i, row := range cells {
		line(row, func(j int) string {
			if !colors || l.cols[j].color == nil {
				return ""
			}
			return l.cols[j].color(rows[i])
		})
	}
}

// writeDocument writes one value as indented JSON or as YAML.
func writeDocument(w io.Writer, format string, v any) error {
	raw, err := marshal(v)
	if err != nil {
		return err
	}
	if format != "yaml" {
		var b bytes.Buffer
		if format == "ndjson" {
			b.Write(raw)
		} else if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err = w.Write(b.Bytes())
		return err
	}
	// JSON is YAML; reading it as nodes keeps the order of the fields.
	var n yaml.Node
	if err := yaml.Unmarshal(raw, &n); err != nil {
		return err
	}
	block(&n)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return err
	}
	return enc.Close()
}

func block(n *yaml.Node) {
	if len(n.Content) > 0 {
		n.Style = 0
	} else if n.Kind == yaml.ScalarNode {
		n.Style &^= yaml.DoubleQuotedStyle
		if n.Tag == "!!str" {
			var plain yaml.Node
			plain.SetString(n.Value)
			n.Style = plain.Style
			var probe any
			if yaml.Unmarshal([]byte(n.Value), &probe) != nil {
				n.Style = yaml.DoubleQuotedStyle
			} else if _, text := probe.(string); !text {
				n.Style = yaml.DoubleQuotedStyle
			}
		}
	}
	for _, c := range n.Content {
		block(c)
	}
}

// document writes one value: as text by human for table and wide, else as data.
func (a *app) document(v any, human func(io.Writer) error) error {
	if a.human() {
		return human(a.out)
	}
	format := a.output
	if format == "csv" {
		format = "json"
	}
	return writeDocument(a.out, format, v)
}

// noFiles completes nothing.
func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

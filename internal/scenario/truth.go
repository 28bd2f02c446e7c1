package scenario

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// VerdictKind is what a row of a truth file asks for.
type VerdictKind string

// Verdicts of rows.
const (
	Must    VerdictKind = "must"     // missing it is a miss
	Should  VerdictKind = "should"   // reported apart
	May     VerdictKind = "may"      // neither asked for nor held against anyone
	MustNot VerdictKind = "must_not" // an alert here is false, unless it meets another row
)

// Perspective tells which side of a row is protected.
type Perspective string

// Perspectives.
const (
	VictimSide   Perspective = "victim"
	AttackerSide Perspective = "attacker"
	AnySide      Perspective = "any"
)

// Side is one side of a row: prefixes, or anyone when empty.
type Side []netip.Prefix

// Any reports whether the side names nobody.
func (s Side) Any() bool { return len(s) == 0 }

// Contains reports whether the address is on the side.
func (s Side) Contains(a netip.Addr) bool {
	if s.Any() {
		return true
	}
	return slices.ContainsFunc(s, func(p netip.Prefix) bool { return p.Contains(a) })
}

// overlaps reports whether the side names an address of the prefixes.
func (s Side) overlaps(list []netip.Prefix) bool {
	return slices.ContainsFunc(s, func(p netip.Prefix) bool {
		return slices.ContainsFunc(list, p.Overlaps)
	})
}

// String returns the side as a truth file spells it.
func (s Side) String() string {
	if s.Any() {
		return "*"
	}
	words := make([]string, len(s))
	for i, p := range s {
		if words[i] = p.String(); p.IsSingleIP() {
			words[i] = p.Addr().String()
		}
	}
	return strings.Join(words, " ")
}

// Row is one row of a truth file, or one expectation of a scenario.
type Row struct {
	Line        int
	Verdict     VerdictKind
	Alerts      []string // ids or globs
	Perspective Perspective
	Attacker    Side
	Victim      Side
	Proto       uint8  // 0 none told
	Port        uint16 // 0 none told
	// First and Last bound the time, Unix ns; nil is open.
	First, Last       *int64
	Flows, MaxPerHour int64 // 0 none told
	Basis, Note       string

	// StrictPort makes the port a condition. Truth files tell it for people,
	// scenarios mean it.
	StrictPort bool
	// Count is the exact number of alerts that must meet the row, 0 for at
	// least one.
	Count int
}

// Matches reports whether the row names the alert type.
func (r *Row) Matches(t weir.AlertType) bool {
	return slices.ContainsFunc(r.Alerts, func(g string) bool {
		ok, _ := path.Match(g, string(t)) // the patterns were checked when read
		return ok
	})
}

// Type returns the first alert type that the row names, in the order of the
// catalogue: the one it counts for.
func (r *Row) Type() weir.AlertType {
	for _, g := range r.Alerts {
		for _, t := range weir.AlertTypes() {
			if ok, _ := path.Match(g, string(t)); ok {
				return t
			}
		}
	}
	return ""
}

// truthColumns are the columns of a truth file, as in the contract.
func truthColumns() []string {
	return []string{"verdict", "alert", "perspective", "attacker", "victim", "proto", "port", "first", "last", "flows",
		"max_per_hour", "basis", "note"}
}

// ReadTruth reads a truth file; name is for errors, which are *Error. All
// faults of the file are reported together, at most 20.
func ReadTruth(r io.Reader, name string) ([]Row, error) {
	cr := csv.NewReader(r)
	cr.FieldsPerRecord = -1
	header, err := cr.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{name, 1, 1, "the truth file is empty; expected a header row"}
		}
		return nil, csvError(name, err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	column := map[string]int{}
	for i, h := range header {
		line, col := cr.FieldPos(i)
		if !slices.Contains(truthColumns(), h) {
			return nil, &Error{name, line, col, fmt.Sprintf("unknown column %q%s", h, suggest(h, truthColumns()))}
		}
		if _, ok := column[h]; ok {
			return nil, &Error{name, line, col, fmt.Sprintf("the column %s is there twice", h)}
		}
		column[h] = i
	}
	for _, need := range []string{"verdict", "alert"} {
		if _, ok := column[need]; !ok {
			return nil, &Error{name, 1, 1, fmt.Sprintf("the column %s is missing", need)}
		}
	}
	var rows []Row
	var errs []error
	for len(errs) < 20 {
		record, err := cr.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, csvError(name, err))
			break
		}
		if len(record) != len(header) {
			line, _ := cr.FieldPos(0)
			errs = append(errs, &Error{name, line, 1, fmt.Sprintf("%d fields; expected %d as in the header", len(record), len(header))})
			continue
		}
		t := &truthRow{reader: cr, file: name, column: column, record: record}
		row := t.read()
		errs = append(errs, t.errs...)
		rows = append(rows, row)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rows, nil
}

func csvError(name string, err error) error {
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		return &Error{name, pe.Line, pe.Column, "no valid CSV: " + pe.Err.Error()}
	}
	return fmt.Errorf("read %s: %w", name, err)
}

// truthRow reads the fields of one record.
type truthRow struct {
	reader *csv.Reader
	file   string
	column map[string]int
	record []string
	errs   []error
}

func (t *truthRow) get(name string) string {
	if i, ok := t.column[name]; ok {
		return strings.TrimSpace(t.record[i])
	}
	return ""
}

func (t *truthRow) fault(name, format string, args ...any) {
	line, col := t.reader.FieldPos(t.column[name])
	t.errs = append(t.errs, &Error{t.file, line, col, fmt.Sprintf(format, args...)})
}

func (t *truthRow) read() Row {
	line, _ := t.reader.FieldPos(0)
	r := Row{Line: line, Basis: t.get("basis"), Note: t.get("note")}
	switch r.Verdict = VerdictKind(t.get("verdict")); r.Verdict {
	case Must, Should, May, MustNot:
	default:
		t.fault("verdict", "verdict %q: expected must, should, may or must_not", r.Verdict)
	}
	for g := range strings.SplitSeq(t.get("alert"), ",") {
		if g = strings.TrimSpace(g); g == "" {
			continue
		}
		if msg := checkAlert(g); msg != "" {
			t.fault("alert", "%s", msg)
		}
		r.Alerts = append(r.Alerts, g)
	}
	if len(r.Alerts) == 0 {
		t.fault("alert", "no alert named; expected an alert type, a glob such as SSH_*, or *")
	}
	switch r.Perspective = Perspective(t.get("perspective")); r.Perspective {
	case "":
		r.Perspective = AnySide
	case VictimSide, AttackerSide, AnySide:
	default:
		t.fault("perspective", "perspective %q: expected victim, attacker or any", r.Perspective)
	}
	r.Attacker, r.Victim = t.side("attacker"), t.side("victim")
	r.Proto = t.proto()
	if s := t.get("port"); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			t.fault("port", "port %q: expected a number from 0 to 65535", s)
		}
		r.Port = uint16(n)
	}
	r.First, r.Last = t.time("first", 0), t.time("last", 24*time.Hour-1)
	if r.First != nil && r.Last != nil && *r.Last < *r.First {
		t.fault("last", "last is before first")
	}
	r.Flows, r.MaxPerHour = t.number("flows"), t.number("max_per_hour")
	return r
}

// checkAlert says what is wrong with an alert type or a glob of them.
func checkAlert(g string) string {
	if _, err := path.Match(g, ""); err != nil {
		return fmt.Sprintf("bad pattern %q", g)
	}
	names := make([]string, 0, 15)
	for _, t := range weir.AlertTypes() {
		if ok, _ := path.Match(g, string(t)); ok {
			return ""
		}
		names = append(names, string(t))
	}
	return fmt.Sprintf("%q is no alert type%s", g, suggest(g, names))
}

func (t *truthRow) side(name string) Side {
	s, err := parseSide(t.get(name))
	if err != nil {
		t.fault(name, "%s %v", name, err)
	}
	return s
}

// parseSide reads addresses and prefixes separated by spaces, or *.
func parseSide(text string) (Side, error) {
	var s Side
	for w := range strings.FieldsSeq(text) {
		if w == "*" {
			return nil, nil
		}
		p, err := parsePrefix(w)
		if err != nil {
			return nil, err
		}
		s = append(s, p)
	}
	return s, nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(w string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(w); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(w); err == nil {
		return p.Masked(), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q: expected an address, a prefix or *", w)
}

func (t *truthRow) proto() uint8 {
	switch s := t.get("proto"); s {
	case "":
		return 0
	case "tcp":
		return weir.ProtoTCP
	case "udp":
		return weir.ProtoUDP
	case "icmp":
		return weir.ProtoICMP
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			t.fault("proto", "proto %q: expected tcp, udp, icmp or a number", s)
		}
		return uint8(n)
	}
}

// time reads a time, or a date, which stands for its first moment and, with
// rest, for its last.
func (t *truthRow) time(name string, rest time.Duration) *int64 {
	s := t.get(name)
	if s == "" {
		return nil
	}
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		d, derr := time.Parse(time.DateOnly, s)
		if derr != nil {
			t.fault(name, "%s %q: expected a time as 2026-01-01T00:00:00Z or a date as 2026-01-01", name, s)
			return nil
		}
		v = d.Add(rest)
	}
	ns := v.UnixNano()
	return &ns
}

func (t *truthRow) number(name string) int64 {
	s := t.get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		t.fault(name, "%s %q: expected a whole number", name, s)
	}
	return n
}

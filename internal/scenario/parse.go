package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// Limits of a scenario. They keep a mistyped number from running for hours.
const (
	maxDays        = 400
	maxFaults      = 20
	maxConnections = 50_000_000    // of one line, all days together
	maxFloodPPS    = 100_000_000   // packets a second
	maxPackets     = 1_000_000_000 // of a flood
	maxLength      = 10_000_000    // packets of one side of a connection
	maxResent      = 1000          // SYNs of one connection
)

// parser reads one file.
type parser struct {
	s     *Scenario
	path  string
	line  int
	words []word
	i     int

	hosts     map[string]hosts
	resources map[string]*weir.Resource
	nothing   bool // expect nothing
	backends  []backendUse
}

// backendUse is a resource named as a backend, checked at the end.
type backendUse struct {
	line, col int
	name      string
}

// Parse reads the text of a scenario; path is for its name and for errors,
// which are *Error. All faults of the file are reported together, at most 20.
func Parse(path, text string) (*Scenario, error) {
	p := &parser{
		path: path,
		s: &Scenario{
			Name: nameOf(path), Title: nameOf(path), path: path, Start: DefaultStart(), Days: 1, Seed: 1, Sampling: 1,
			Exporter: netip.AddrFrom4([4]byte{192, 0, 2, 254}),
		},
		hosts: map[string]hosts{}, resources: map[string]*weir.Resource{},
	}
	var errs []error
	for line := range strings.Lines(text) {
		p.line++
		if len(errs) >= maxFaults {
			break
		}
		line = strings.TrimRight(line, "\n")
		if p.line == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		words, col, msg := split(line)
		if msg != "" {
			errs = append(errs, &Error{p.path, p.line, col, msg})
			continue
		}
		if len(words) == 0 {
			continue
		}
		p.words, p.i = words, 0
		if err := p.statement(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = p.finish()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p.s, nil
}

// finish checks what needs the whole file.
func (p *parser) finish() []error {
	var errs []error
	for _, b := range p.backends {
		if p.resources[b.name] == nil {
			errs = append(errs, &Error{p.path, b.line, b.col, fmt.Sprintf("backend %q is no resource of this file", b.name)})
		}
	}
	for i := range p.s.traffic {
		t := &p.s.traffic[i]
		days := uint64(len(t.days(p.s)))
		if t.repeat == once && t.day >= p.s.Days {
			errs = append(errs, &Error{p.path, t.line, t.col, fmt.Sprintf("day %d is behind the last; expected at most days %d", t.day+1, p.s.Days)})
			continue
		}
		if n := t.connections(); days > 0 && t.count > maxConnections/days/n {
			errs = append(errs, &Error{p.path, t.line, t.col, fmt.Sprintf("more than %d connections in one line", maxConnections)})
		}
	}
	return errs
}

// next returns the next word; it is empty at the end of the line.
func (p *parser) next() word {
	if p.i < len(p.words) {
		p.i++
		return p.words[p.i-1]
	}
	last := p.words[len(p.words)-1]
	return word{col: last.col + len(last.text) + 1}
}

func (p *parser) peek() string {
	if p.i < len(p.words) && !p.words[p.i].quoted {
		return p.words[p.i].text
	}
	return ""
}

func (p *parser) more() bool { return p.i < len(p.words) }

func (p *parser) fault(w word, format string, args ...any) error {
	return &Error{p.path, p.line, w.col, fmt.Sprintf(format, args...)}
}

// want returns the next word or an error that says what is expected.
func (p *parser) want(what string) (word, error) {
	w := p.next()
	if w.text == "" && !w.quoted {
		return w, p.fault(w, "the line ends; expected %s", what)
	}
	return w, nil
}

// end checks that the line holds no more.
func (p *parser) end() error {
	if p.more() {
		w := p.next()
		return p.fault(w, "%q is too much; expected the end of the line", w.text)
	}
	return nil
}

// statement reads one line.
func (p *parser) statement() error {
	w := p.next()
	var err error
	switch {
	case w.quoted:
		return p.fault(w, "expected a statement, not a text")
	case w.text == "expect":
		return p.expect()
	case w.text == "resource":
		return p.resource()
	case w.text == "network":
		return p.network()
	case w.text == "allow":
		return p.allow()
	case w.text == "intel":
		return p.intel()
	case w.text == "host":
		return p.host()
	case w.text == "title":
		var v word
		if v, err = p.want(`a title in quotes`); err == nil {
			p.s.Title = v.text
		}
	case w.text == "start":
		p.s.Start, err = p.moment()
	case w.text == "days":
		var n uint64
		if n, err = p.number("a number of days", 1, maxDays); err == nil {
			p.s.Days = int(n) //nolint:gosec // at most maxDays
		}
	case w.text == "seed":
		p.s.Seed, err = p.number("a number", 0, 1<<63)
	case w.text == "sampling":
		p.s.Sampling, err = p.rate()
		if err == nil && p.peek() == "counted" {
			p.next()
			p.s.Counted = true
		}
	case w.text == "exporter":
		p.s.Exporter, err = p.address()
	case w.text == "learn":
		p.s.Learn, err = p.duration("a time")
	case w.text == "records":
		var v word
		if v, err = p.want("bidirectional or unidirectional"); err != nil {
			break
		}
		switch v.text {
		case "bidirectional", "unidirectional":
			p.s.Bidirectional = v.text == "bidirectional"
		default:
			err = p.fault(v, "records %q: expected bidirectional or unidirectional", v.text)
		}
	default:
		p.i--
		return p.trafficLine()
	}
	if err != nil {
		return err
	}
	return p.end()
}

func (p *parser) number(what string, low, high uint64) (uint64, error) {
	w, err := p.want(what)
	if err != nil {
		return 0, err
	}
	return p.parseNumber(w, w.text, what, low, high)
}

func (p *parser) parseNumber(w word, text, what string, low, high uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < low || n > high {
		return 0, p.fault(w, "%q: expected %s from %d to %d", text, what, low, high)
	}
	return n, nil
}

// rate reads 1/N or N.
func (p *parser) rate() (uint32, error) {
	w, err := p.want("a sampling rate such as 1/1000")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(w.text, "1/"), 10, 32)
	if err != nil || n == 0 {
		return 0, p.fault(w, "%q: expected a sampling rate such as 1/1000", w.text)
	}
	return uint32(n), nil
}

func (p *parser) address() (netip.Addr, error) {
	w, err := p.want("an address")
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(w.text)
	if err != nil {
		return a, p.fault(w, "%q: expected an address", w.text)
	}
	return a.Unmap().WithZone(""), nil
}

// prefix reads an address or a prefix, or a name of one.
func (p *parser) prefix() (netip.Prefix, error) {
	w, err := p.want("an address or a prefix")
	if err != nil {
		return netip.Prefix{}, err
	}
	if h, ok := p.named(w.text); ok && h.n == 1 {
		return netip.PrefixFrom(h.first, h.first.BitLen()), nil
	}
	x, err := parsePrefix(w.text)
	if err != nil {
		return x, p.fault(w, "%q: expected an address or a prefix", w.text)
	}
	return x, nil
}

// moment reads a time or a date.
func (p *parser) moment() (time.Time, error) {
	w, err := p.want("a time such as 2026-01-01T00:00:00Z")
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		// Years far away do not fit in nanoseconds of an int64.
		if t, err := time.Parse(layout, w.text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, p.fault(w, "%q: expected a time such as 2026-01-01T00:00:00Z, or a date", w.text)
}

func (p *parser) duration(what string) (time.Duration, error) {
	w, err := p.want(what + " such as 90s, 10m, 1h30m or 7d")
	if err != nil {
		return 0, err
	}
	d, ok := parseDuration(w.text)
	if !ok {
		return 0, p.fault(w, "%q: expected %s such as 90s, 10m, 1h30m or 7d", w.text, what)
	}
	return d, nil
}

// parseDuration reads a duration of Go, with days before the hours.
func parseDuration(text string) (time.Duration, bool) {
	var total time.Duration
	if n, rest, ok := strings.Cut(text, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err != nil || days > maxDays {
			return 0, false
		}
		if total = time.Duration(days) * day; rest == "" {
			return total, true
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxDays*day {
		return 0, false
	}
	return total + d, true
}

// clock reads an offset into the day: 09:30, 09:30:15 or a duration.
func (p *parser) clock() (time.Duration, error) {
	w, err := p.want("a time of day such as 09:30, or an offset such as 20m")
	if err != nil {
		return 0, err
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, w.text); err == nil {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, nil
		}
	}
	if d, ok := parseDuration(w.text); ok {
		return d, nil
	}
	return 0, p.fault(w, "%q: expected a time of day such as 09:30, or an offset such as 20m", w.text)
}

// named finds a host or a resource by its name.
func (p *parser) named(name string) (hosts, bool) {
	if h, ok := p.hosts[name]; ok {
		return h, true
	}
	if r := p.resources[name]; r != nil {
		for _, list := range [][]netip.Addr{r.Addresses, r.PrivateAddresses} {
			if len(list) > 0 {
				return hosts{first: list[0], n: 1}, true
			}
		}
	}
	return hosts{}, false
}

// parseHosts reads a name, an address, a prefix or a range of addresses.
func (p *parser) parseHosts(w word, text string) (hosts, error) {
	if h, ok := p.named(text); ok {
		return h, nil
	}
	if a, b, ok := strings.Cut(text, "-"); ok {
		first, err1 := netip.ParseAddr(a)
		last, err2 := netip.ParseAddr(b)
		if err1 == nil && err2 == nil && first.BitLen() == last.BitLen() && first.Compare(last) <= 0 {
			first, last = first.WithZone(""), last.WithZone("")
			if n, ok := countRange(first, last); ok {
				return hosts{first: first, n: n}, nil
			}
			return hosts{}, p.fault(w, "%q: more than 65536 addresses", text)
		}
	}
	x, err := parsePrefix(text)
	if err != nil {
		names := make([]string, 0, len(p.hosts)+len(p.resources))
		for n := range p.hosts {
			names = append(names, n)
		}
		for n := range p.resources {
			names = append(names, n)
		}
		slices.Sort(names)
		return hosts{}, p.fault(w, "%q: expected an address, a prefix, a range A-B, or the name of a host or resource declared above%s",
			text, suggest(text, names))
	}
	bits := x.Addr().BitLen() - x.Bits()
	if bits > 16 {
		return hosts{}, p.fault(w, "%q: more than 65536 addresses", text)
	}
	return hosts{first: x.Addr(), n: 1 << bits}, nil
}

// countRange counts the addresses of a range, at most 65536.
func countRange(first, last netip.Addr) (uint64, bool) {
	a, b := first.As16(), last.As16()
	if !slices.Equal(a[:12], b[:12]) {
		return 0, false
	}
	low, high := uint64(0), uint64(0)
	for i := 12; i < 16; i++ {
		low, high = low<<8|uint64(a[i]), high<<8|uint64(b[i])
	}
	n := high - low + 1
	return n, n <= 1<<16
}

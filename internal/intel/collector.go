package intel

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	weir "github.com/weir-net/weir"
)

type place struct{ line, col int }

// identity tells indicators of one source apart; equal ones are merged.
type identity struct {
	prefix         netip.Prefix
	category       weir.Category
	family, source string
	port           uint16
	proto          uint8
}

// raw is one entry of a feed before it is judged. Times are Unix ns, 0 unknown.
type raw struct {
	value              string
	category           string        // as told, empty for none
	implied            weir.Category // what the form implies, when nothing tells
	family, source     string
	first, last, until int64
	confidence         float64 // less than 0: not told
	port               uint16
	proto              uint8
	at                 place
}

// collector gathers the indicators of one file.
type collector struct {
	file string
	opts File
	now  int64
	rep  *FileReport
	out  []weir.Indicator
	seen map[identity]int

	fault                    string
	malformed, uncategorised place
}

func (c *collector) form(name string) {
	if c.rep.Form == "" {
		c.rep.Form = name
	}
}

// bad counts a malformed entry and keeps the words of the first.
func (c *collector) bad(at place, format string, args ...any) {
	c.rep.Skipped.Malformed++
	if c.fault == "" {
		c.fault, c.malformed = fmt.Sprintf(format, args...), at
		c.rep.Fault = fmt.Sprintf("%s:%d:%d: %s", c.file, at.line, at.col, c.fault)
	}
}

// add judges one entry.
func (c *collector) add(r raw) {
	s := &c.rep.Skipped
	prefixes, port, proto, kind := classify(r.value)
	switch kind {
	case kindDomain:
		s.Domains++
		return
	case kindURL:
		s.URLs++
		return
	case kindOther:
		s.Others++
		return
	case kindBad:
		c.bad(r.at, "%s is no address, prefix, range, domain or URL", quote(r.value))
		return
	case kindAddress:
	}
	category := r.implied
	if c.opts.Category != "" {
		category = c.opts.Category
	}
	if r.category != "" {
		told, ok := parseCategory(r.category)
		if !ok {
			c.bad(r.at, "unknown category %s, expected %s", quote(r.category), categoryList)
			return
		}
		category = told
	}
	if category == "" {
		if s.Uncategorised == 0 {
			c.uncategorised = r.at
		}
		s.Uncategorised++
		return
	}
	if r.confidence > 100 || math.IsNaN(r.confidence) {
		c.bad(r.at, "the confidence is %v, expected 0 to 100", r.confidence)
		return
	}
	if r.port != 0 {
		port = r.port
	}
	if r.proto != 0 {
		proto = r.proto
	}
	for _, p := range prefixes {
		switch judge(p, category) {
		case tooWide:
			s.TooWide++
		case special:
			s.Special++
		case fine:
			c.keep(p, port, proto, category, &r)
		}
	}
}

func (c *collector) keep(p netip.Prefix, port uint16, proto uint8, category weir.Category, r *raw) {
	ind := weir.Indicator{
		Prefix: p, Port: port, Proto: proto, Category: category, Family: r.family, Source: r.source,
		Confidence: r.confidence, FirstSeen: r.first, LastSeen: r.last, Expiry: r.until,
	}
	if ind.Source == "" {
		ind.Source = c.opts.Source
	}
	if r.confidence < 0 {
		ind.Confidence = c.opts.Confidence
	}
	if ind.Expiry == 0 && c.opts.Expiry > 0 {
		from := c.now
		if ind.LastSeen != 0 {
			from = ind.LastSeen
		}
		if from != 0 {
			ind.Expiry = from + int64(c.opts.Expiry)
		}
	}
	id := identity{p, category, ind.Family, ind.Source, port, proto}
	if i, ok := c.seen[id]; ok {
		c.rep.Skipped.Duplicates++
		merge(&c.out[i], &ind)
		return
	}
	c.seen[id] = len(c.out)
	c.out = append(c.out, ind)
}

// merge joins two statements of one source about one thing.
func merge(into, from *weir.Indicator) {
	if into.FirstSeen == 0 || from.FirstSeen != 0 && from.FirstSeen < into.FirstSeen {
		into.FirstSeen = from.FirstSeen
	}
	into.LastSeen = max(into.LastSeen, from.LastSeen)
	into.Expiry = max(into.Expiry, from.Expiry)
	into.Confidence = max(into.Confidence, from.Confidence)
}

// finish fills in the numbers of the report.
func (c *collector) finish() {
	r := c.rep
	r.Indicators = len(c.out)
	for i := range c.out {
		ind := &c.out[i]
		r.Categories[ind.Category]++
		if ind.Expiry != 0 && ind.Expiry < c.now {
			r.Expired++
		}
		if ind.LastSeen == 0 {
			continue
		}
		if r.Oldest == 0 || ind.LastSeen < r.Oldest {
			r.Oldest = ind.LastSeen
		}
		r.Newest = max(r.Newest, ind.LastSeen)
	}
}

// quote shortens hostile text for a message.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strconv.Quote(s)
}

type judgement uint8

const (
	fine judgement = iota
	tooWide
	special
)

// judge decides whether a prefix may be an indicator.
func judge(p netip.Prefix, category weir.Category) judgement {
	a := p.Addr()
	if p.Bits() == 0 {
		return tooWide
	}
	if category != weir.CategoryBenign && p.Bits() < 8 && a.Is4() || category != weir.CategoryBenign && p.Bits() < 16 && a.Is6() {
		return tooWide
	}
	if a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified() && p.Bits() > 1 {
		return special
	}
	for _, block := range blocks() {
		if category != weir.CategoryBenign && p.Bits() <= block.Bits() && p.Overlaps(block) {
			return special
		}
	}
	return fine
}

// blocks are the special-purpose blocks that, as a whole, are nobody's address
// (IANA special-purpose address registries; RFC 6890). Documentation blocks are
// not among them.
func blocks() [7]netip.Prefix {
	v4 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b}), bits)
	}
	return [7]netip.Prefix{
		v4(10, 0, 8), v4(100, 64, 10), v4(127, 0, 8), v4(172, 16, 12), v4(192, 168, 16), v4(240, 0, 4),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfc}), 7),
	}
}

// parseTime reads the spellings of time that feeds use; 0 for none.
func parseTime(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if text == "" || text == "-" || strings.EqualFold(text, "null") || strings.EqualFold(text, "none") {
		return 0, true
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST", "2006-01-02T15:04:05", "2006-01-02T15:04:05.999999", "2006-01-02",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return nanos(t)
		}
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= 0 && s < 9e9 {
		return int64(s * 1e9), true // Unix seconds
	}
	return 0, false
}

func nanos(t time.Time) (int64, bool) {
	if t.Year() < 1970 || t.Year() > 2261 {
		return 0, false
	}
	return t.UnixNano(), true
}

// bestTime reads a time of a form that is written by machines; what cannot be read
// is not known.
func bestTime(text string) int64 {
	t, _ := parseTime(text)
	return t
}

package scenario

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// statements are the words that begin a line, for suggestions.
func statements() []string {
	return []string{"title", "start", "days", "seed", "sampling", "records", "exporter", "learn", "host", "resource",
		"network", "allow", "intel", "expect", "daily", "weekdays", "day", "at", "every", "for", "count", "jitter", "randomly", "from"}
}

// timing is what a line says about when, before it is put together.
type timing struct {
	every, length time.Duration
	count         uint64
}

// trafficLine reads
//
//	[daily | weekdays | day N] [at TIME] [every DURATION [jitter P% | randomly]]
//	[for DURATION | count N] [from] HOSTS [each | any] -> HOSTS[:PORTS] [each | any]
//	PROTO SHAPE [PARAMETER=VALUE]... [sampled 1/N [hidden]] [oneway]
func (p *parser) trafficLine() error {
	t := traffic{line: p.line, col: p.words[p.i].col}
	var when timing
	first := p.words[p.i]
	if err := p.when(&t, &when); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.words[p.i:], func(w word) bool { return w.text == "->" && !w.quoted }) {
		return p.fault(first, "expected a statement, or traffic as in: every 2s for 10m 198.51.100.7 -> web-1:22 tcp login%s",
			suggest(first.text, statements()))
	}
	if err := p.ends(&t); err != nil {
		return err
	}
	if err := p.what(&t); err != nil {
		return err
	}
	for p.more() {
		switch w := p.next(); w.text {
		case "sampled":
			n, err := p.rate()
			if err != nil {
				return err
			}
			if t.sampling = n; p.peek() == "hidden" {
				p.next()
				t.hidden = true
			}
		case "oneway":
			t.oneWay = true
		default:
			return p.fault(w, "%q: expected sampled 1/N, oneway or a parameter of the shape (%s)", w.text, strings.Join(t.shape.takes, ", "))
		}
	}
	if err := p.rounds(&t, when); err != nil {
		return err
	}
	p.s.traffic = append(p.s.traffic, t)
	return nil
}

// when reads the words about time, in any order.
func (p *parser) when(t *traffic, when *timing) (err error) {
	for err == nil {
		switch p.peek() {
		case "daily":
			p.next()
			t.repeat = daily
		case "weekdays":
			p.next()
			t.repeat = weekdays
		case "day":
			p.next()
			var n uint64
			n, err = p.number("a day", 1, maxDays)
			t.day = int(n) - 1 //nolint:gosec // at most maxDays
		case "at":
			p.next()
			t.at, err = p.clock()
		case "every":
			p.next()
			if when.every, err = p.duration("the time between two rounds"); err == nil && when.every <= 0 {
				err = p.fault(p.words[p.i-1], "every must be more than nothing")
			}
		case "for":
			p.next()
			if when.length, err = p.duration("a length"); err == nil && when.length <= 0 {
				err = p.fault(p.words[p.i-1], "for must be more than nothing")
			}
		case "count":
			p.next()
			when.count, err = p.number("a number of rounds", 1, maxConnections)
		case "jitter":
			p.next()
			var w word
			if w, err = p.want("a percentage such as 10%"); err == nil {
				t.jitter, err = p.parseNumber(w, strings.TrimSuffix(w.text, "%"), "a percentage", 0, 100)
			}
		case "randomly":
			p.next()
			t.random = true
		default:
			return nil
		}
	}
	return err
}

// rounds works out how many rounds there are and how far apart.
func (p *parser) rounds(t *traffic, when timing) error {
	here := word{col: t.col}
	switch {
	case when.length > 0 && when.count > 0 && when.every > 0:
		return p.fault(here, "every, for and count together; expected two of them")
	case when.length > 0 && when.count > 0:
		t.count, t.every = when.count, max(when.length/time.Duration(when.count), 1) //nolint:gosec // at most maxConnections
	case when.length > 0 && when.every > 0:
		t.every, t.count = when.every, uint64((when.length+when.every-1)/when.every) //nolint:gosec // positive
	case when.length > 0:
		// A single round; what has a length of its own takes it.
		t.every, t.count = when.length, 1
		if slices.Contains(t.shape.takes, "lasts") || t.shape.plan == planFlood {
			t.p.lasts = when.length
		}
	default:
		t.every, t.count = when.every, max(when.count, 1)
		if t.every == 0 {
			t.every = time.Second
		}
	}
	if t.count > maxConnections || t.count > 1 && t.every > maxDays*day/time.Duration(t.count) {
		return p.fault(here, "too many rounds, or too long: at most %d rounds and %d days", maxConnections, maxDays)
	}
	if t.shape.plan == planFlood {
		if t.p.lasts = time.Duration(t.count) * t.every; t.count > 1 && when.length == 0 {
			return p.fault(here, "a flood has a length; expected for DURATION")
		}
		// Rounds of a flood are slices of a second, or of less: a slice is in
		// memory as a whole.
		t.every = min(time.Second, t.p.lasts)
		if !t.sameEnds() {
			const most = 10_000                                                      // records of a slice
			t.every = min(t.every, time.Second/time.Duration((t.p.pps+most-1)/most)) //nolint:gosec // at most maxFloodPPS
		}
		t.count = uint64(max(t.p.lasts/t.every, 1))
		if n := float64(t.p.pps) * t.p.lasts.Seconds(); n > maxPackets {
			return p.fault(here, "a flood of more than %d packets", maxPackets)
		}
	}
	return nil
}

// ends reads the two sides of the arrow.
func (p *parser) ends(t *traffic) error {
	if p.peek() == "from" {
		p.next()
	}
	w, err := p.want("the hosts the traffic comes from")
	if err != nil {
		return err
	}
	if t.from, err = p.parseHosts(w, w.text); err != nil {
		return err
	}
	p.pick(&t.from)
	if w, err = p.want("->"); err != nil {
		return err
	}
	if w.text != "->" {
		return p.fault(w, "%q: expected each, any or ->", w.text)
	}
	if w, err = p.want("HOST:PORT"); err != nil {
		return err
	}
	host, ports := splitPort(w.text)
	if t.to, err = p.parseHosts(w, host); err != nil {
		return err
	}
	if t.from.first.BitLen() != t.to.first.BitLen() {
		return p.fault(w, "IPv4 and IPv6 on the two sides of the arrow")
	}
	if ports != "" {
		if err := p.ports(t, w, ports); err != nil {
			return err
		}
	}
	p.pick(&t.to)
	return nil
}

func (p *parser) pick(h *hosts) {
	switch p.peek() {
	case "each":
		p.next()
		h.pick = eachOne
	case "any":
		p.next()
		h.pick = randomly
	}
}

// splitPort cuts the ports off: HOST:PORTS or [IPv6]:PORTS.
func splitPort(text string) (host, ports string) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if host, ports, ok := strings.Cut(rest, "]"); ok {
			return host, strings.TrimPrefix(ports, ":")
		}
		return text, ""
	}
	if _, err := netip.ParsePrefix(text); err == nil || strings.Count(text, ":") > 1 {
		return text, ""
	}
	host, ports, _ = strings.Cut(text, ":")
	return host, ports
}

// ports reads 22 or 22,2222 or 1-1024.
func (p *parser) ports(t *traffic, w word, text string) error {
	for item := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(item, "-")
		a, err := p.parseNumber(w, low, "a port", 1, 65535)
		if err != nil {
			return err
		}
		b := a
		if ranged {
			if b, err = p.parseNumber(w, high, "a port", a, 65535); err != nil {
				return err
			}
		}
		t.ports = append(t.ports, numbers{a, b})
		t.portN += b - a + 1
	}
	return nil
}

// what reads protocol, shape and parameters.
func (p *parser) what(t *traffic) error {
	w, err := p.want("tcp, udp or icmp")
	if err != nil {
		return err
	}
	if t.proto, err = p.proto(w); err != nil {
		return err
	}
	if t.proto == weir.ProtoICMP && t.portN > 0 {
		return p.fault(w, "ICMP has no ports; expected a host without one")
	}
	if t.proto != weir.ProtoICMP && t.portN == 0 {
		return p.fault(w, "the port is missing; expected HOST:PORT behind the arrow")
	}
	protoName := w.text
	if w, err = p.want("a shape of traffic such as login"); err != nil {
		return err
	}
	var names []string
	for _, s := range shapes() {
		if slices.Contains(s.protos, t.proto) {
			if names = append(names, s.name); s.name == w.text {
				t.shape, t.p = &s, s.p
			}
		}
	}
	if t.shape == nil {
		return p.fault(w, "%q is no shape of %s%s; expected %s", w.text, protoName, suggest(w.text, names), strings.Join(names, ", "))
	}
	if t.shape.name == "login" {
		t.p.packets, t.p.size = login(t.port(0))
		t.p.replies = numbers{max(t.p.packets.low-1, 3), max(t.p.packets.high-1, 3)}
	}
	if t.shape.plan == planFlood {
		if err := p.flood(t); err != nil {
			return err
		}
	}
	for p.more() && strings.Contains(p.peek(), "=") {
		if err := p.param(t, p.next()); err != nil {
			return err
		}
	}
	if t.shape.plan == planSession && (t.p.packets.low < 2 || t.p.replies.low < 2) {
		return p.fault(w, "a %s has at least 2 packets each way: a SYN and a FIN", t.shape.name)
	}
	return nil
}

// flood reads the rate, as in flood 5000pps, and sets what floods of the
// protocol are made of.
func (p *parser) flood(t *traffic) error {
	w, err := p.want("a rate such as 5000pps")
	if err != nil {
		return err
	}
	text, ok := strings.CutSuffix(w.text, "pps")
	if !ok {
		return p.fault(w, "%q: expected a rate such as 5000pps", w.text)
	}
	if t.p.pps, err = p.parseNumber(w, text, "a rate", 1, maxFloodPPS); err != nil {
		return err
	}
	switch t.proto {
	case weir.ProtoTCP:
		t.p.flags = weir.SYN
	case weir.ProtoUDP:
		t.p.size = 500
	}
	return nil
}

// param reads one PARAMETER=VALUE of a shape.
func (p *parser) param(t *traffic, w word) (err error) {
	key, value, _ := strings.Cut(w.text, "=")
	if !slices.Contains(t.shape.takes, key) {
		return p.fault(w, "a %s has no %q%s; expected %s", t.shape.name, key, suggest(key, t.shape.takes), strings.Join(t.shape.takes, ", "))
	}
	switch key {
	case "packets":
		if t.p.packets, err = p.span(w, value, 1); err == nil && t.shape.plan == planSYN && t.p.packets.high > maxResent {
			err = p.fault(w, "%q: expected at most %d packets", value, maxResent)
		}
	case "replies":
		t.p.replies, err = p.span(w, value, 0)
	case "size":
		t.p.size, err = p.parseNumber(w, value, "a length in bytes", 20, 65535)
	case "reply-size":
		t.p.replySize, err = p.parseNumber(w, value, "a length in bytes", 20, 65535)
	case "lasts":
		d, ok := parseDuration(value)
		if t.p.lasts = d; !ok {
			err = p.fault(w, "%q: expected a length such as 2s", value)
		}
	case "sport":
		var n uint64
		n, err = p.parseNumber(w, value, "a port", 1, 65535)
		t.p.sport = uint16(n) //nolint:gosec // checked
	case "flags":
		t.p.flags, err = p.flags(t, w, value)
	}
	return err
}

// span reads N or N-M.
func (p *parser) span(w word, text string, low uint64) (numbers, error) {
	a, b, ranged := strings.Cut(text, "-")
	x, err := p.parseNumber(w, a, "a number of packets", low, maxLength)
	if err != nil || !ranged {
		return numbers{x, x}, err
	}
	y, err := p.parseNumber(w, b, "a number of packets", x, maxLength)
	return numbers{x, y}, err
}

// flags reads TCP control bits joined by +, or none.
func (p *parser) flags(t *traffic, w word, text string) (uint16, error) {
	if t.proto != weir.ProtoTCP {
		return 0, p.fault(w, "only TCP has flags")
	}
	var f uint16
	for name := range strings.SplitSeq(text, "+") {
		switch name {
		case "syn":
			f |= weir.SYN
		case "ack":
			f |= weir.ACK
		case "rst":
			f |= weir.RST
		case "fin":
			f |= weir.FIN
		case "psh":
			f |= weir.PSH
		case "none":
		default:
			return 0, p.fault(w, "flag %s: expected syn, ack, rst, fin, psh or none, joined by +", strconv.Quote(name))
		}
	}
	return f, nil
}

package scenario

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
)

// name reads the name of a new host or resource.
func (p *parser) name() (word, error) {
	w, err := p.want("a name")
	if err != nil {
		return w, err
	}
	if strings.ContainsAny(w.text, ":,=>") || w.text == "" {
		return w, p.fault(w, "%q: a name has no blank, colon, comma, = or >", w.text)
	}
	if _, err := parsePrefix(w.text); err == nil {
		return w, p.fault(w, "%q is an address; expected a name", w.text)
	}
	if _, ok := p.hosts[w.text]; ok || p.resources[w.text] != nil {
		return w, p.fault(w, "%q is declared already", w.text)
	}
	return w, nil
}

// host NAME ADDRESS|PREFIX|RANGE names somebody outside.
func (p *parser) host() error {
	name, err := p.name()
	if err != nil {
		return err
	}
	w, err := p.want("an address, a prefix or a range")
	if err != nil {
		return err
	}
	h, err := p.parseHosts(w, w.text)
	if err != nil {
		return err
	}
	p.hosts[name.text] = h
	return p.end()
}

// resourceWords are the words behind a resource.
func resourceWords() []string {
	return []string{"private", "kind", "listen", "role", "tag", "tenant", "since", "backend"}
}

// resource NAME ADDRESS… [word value]… declares a protected resource.
func (p *parser) resource() error {
	name, err := p.name()
	if err != nil {
		return err
	}
	r := &weir.Resource{ID: name.text, Name: name.text, Kind: weir.VirtualMachine}
	addresses := &r.Addresses
	for p.more() {
		w := p.next()
		if a, err := netip.ParseAddr(w.text); err == nil {
			*addresses = append(*addresses, a.Unmap().WithZone(""))
			continue
		}
		if w.text == "private" {
			addresses = &r.PrivateAddresses
			continue
		}
		if err := p.resourceWord(r, w); err != nil {
			return err
		}
	}
	if len(r.Addresses)+len(r.PrivateAddresses) == 0 {
		return p.fault(p.next(), "the resource has no address; expected one behind its name")
	}
	p.s.Resources = append(p.s.Resources, r)
	p.resources[r.ID] = r
	return nil
}

func (p *parser) resourceWord(r *weir.Resource, w word) (err error) {
	v, err := p.want("a value for " + w.text)
	if err != nil {
		return err
	}
	switch w.text {
	case "kind":
		r.Kind, err = p.kind(v)
	case "listen":
		for item := range strings.SplitSeq(v.text, ",") {
			port, service, _ := strings.Cut(item, "/")
			n, err := p.parseNumber(v, port, "a port", 1, 65535)
			if err != nil {
				return err
			}
			r.Listeners = append(r.Listeners, weir.Listener{Port: uint16(n), Service: service}) //nolint:gosec // checked
		}
	case "role":
		r.Roles = append(r.Roles, strings.Split(v.text, ",")...)
	case "tag":
		key, value, ok := strings.Cut(v.text, "=")
		if !ok {
			return p.fault(v, "tag %q: expected KEY=VALUE", v.text)
		}
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		r.Tags[key] = value
	case "tenant":
		r.Tenant = v.text
	case "since":
		p.i--
		t, err := p.moment()
		if err != nil {
			return err
		}
		r.Since = t.UnixNano()
	case "backend":
		return p.backend(r, v)
	default:
		return p.fault(w, "unknown word %q%s; expected an address, %s", w.text, suggest(w.text, resourceWords()),
			strings.Join(resourceWords(), ", "))
	}
	return err
}

// backend reads NAME or NAME:FRONT or NAME:FRONT:BACK.
func (p *parser) backend(r *weir.Resource, v word) error {
	parts := strings.Split(v.text, ":")
	b := weir.Backend{Resource: parts[0]}
	if len(parts) > 3 {
		return p.fault(v, "backend %q: expected NAME, NAME:PORT or NAME:PORT:PORT", v.text)
	}
	for i, text := range parts[1:] {
		n, err := p.parseNumber(v, text, "a port", 1, 65535)
		if err != nil {
			return err
		}
		if i == 0 {
			b.FrontendPort = uint16(n) //nolint:gosec // checked
		}
		b.BackendPort = uint16(n) //nolint:gosec // checked
	}
	r.Backends = append(r.Backends, b)
	p.backends = append(p.backends, backendUse{p.line, v.col, b.Resource})
	return nil
}

func (p *parser) kind(v word) (weir.Kind, error) {
	switch k := weir.Kind(v.text); k {
	case weir.VirtualMachine, weir.LoadBalancer, weir.ApplicationGateway:
		return k, nil
	}
	return "", p.fault(v, "kind %q: expected virtual-machine, load-balancer or application-gateway", v.text)
}

// network PREFIX [kind K] [tenant T].
func (p *parser) network() error {
	x, err := p.prefix()
	if err != nil {
		return err
	}
	n := Network{Prefix: x, Kind: weir.VirtualMachine}
	for p.more() {
		w := p.next()
		v, err := p.want("a value for " + w.text)
		if err != nil {
			return err
		}
		switch w.text {
		case "kind":
			n.Kind, err = p.kind(v)
		case "tenant":
			n.Tenant = v.text
		default:
			err = p.fault(w, "unknown word %q; expected kind or tenant", w.text)
		}
		if err != nil {
			return err
		}
	}
	p.s.Networks = append(p.s.Networks, n)
	return nil
}

// allow PREFIX ["reason"] [until TIME].
func (p *parser) allow() error {
	x, err := p.prefix()
	if err != nil {
		return err
	}
	a := Allow{Prefix: x, Reason: "scenario"}
	if p.more() && p.words[p.i].quoted {
		a.Reason = p.next().text
	}
	if p.peek() == "until" {
		p.next()
		t, err := p.moment()
		if err != nil {
			return err
		}
		a.Until = t.UnixNano()
	}
	p.s.Allows = append(p.s.Allows, a)
	return p.end()
}

// intelWords are the words behind an indicator.
func intelWords() []string {
	return []string{"port", "proto", "family", "confidence", "source", "first", "seen", "expires"}
}

// intel CATEGORY PREFIX [word value]… declares an indicator.
func (p *parser) intel() error {
	c, err := p.want("a category")
	if err != nil {
		return err
	}
	in := weir.Indicator{Category: weir.Category(c.text), Source: "scenario", Confidence: 80}
	if !in.Category.Valid() {
		return p.fault(c, "category %q: expected c2, infected, sinkhole, scanner, bruteforce, malicious or benign", c.text)
	}
	if in.Prefix, err = p.prefix(); err != nil {
		return err
	}
	for p.more() {
		w := p.next()
		v, err := p.want("a value for " + w.text)
		if err != nil {
			return err
		}
		switch w.text {
		case "port":
			var n uint64
			n, err = p.parseNumber(v, v.text, "a port", 1, 65535)
			in.Port = uint16(n) //nolint:gosec // checked
		case "proto":
			in.Proto, err = p.proto(v)
		case "family":
			in.Family = v.text
		case "source":
			in.Source = v.text
		case "confidence":
			if in.Confidence, err = strconv.ParseFloat(v.text, 64); err != nil || !(in.Confidence >= 0 && in.Confidence <= 100) {
				err = p.fault(v, "confidence %q: expected a number from 0 to 100", v.text)
			}
		case "first", "seen", "expires":
			p.i--
			t, terr := p.moment()
			if err = terr; err != nil {
				break
			}
			switch w.text {
			case "first":
				in.FirstSeen = t.UnixNano()
			case "seen":
				in.LastSeen = t.UnixNano()
			default:
				in.Expiry = t.UnixNano()
			}
		default:
			err = p.fault(w, "unknown word %q%s; expected %s", w.text, suggest(w.text, intelWords()), strings.Join(intelWords(), ", "))
		}
		if err != nil {
			return err
		}
	}
	p.s.Intel = append(p.s.Intel, in)
	return nil
}

func (p *parser) proto(v word) (uint8, error) {
	switch v.text {
	case "tcp":
		return weir.ProtoTCP, nil
	case "udp":
		return weir.ProtoUDP, nil
	case "icmp":
		return weir.ProtoICMP, nil
	}
	return 0, p.fault(v, "%q: expected tcp, udp or icmp", v.text)
}

// expect TYPE [attacker=…] [victim=…] [port=N] [count=N], expect no TYPE …,
// expect nothing, expect nothing else.
func (p *parser) expect() error {
	w, err := p.want("an alert type, no, or nothing")
	if err != nil {
		return err
	}
	if w.text == "nothing" {
		if p.peek() == "else" {
			p.next()
		} else {
			p.nothing = true
		}
		p.s.Complete = true
		if p.nothing && len(p.s.Expect) > 0 {
			return p.fault(w, "an alert is expected above; expected nothing else")
		}
		return p.end()
	}
	if p.nothing {
		return p.fault(w, "nothing is expected above; expected nothing else there")
	}
	row := Row{Line: p.line, Verdict: Must, Perspective: AnySide}
	if w.text == "no" {
		row.Verdict = MustNot
		if w, err = p.want("an alert type, a glob such as SSH_*, or *"); err != nil {
			return err
		}
	}
	if row.Verdict == Must && !weir.AlertType(w.text).Valid() {
		names := make([]string, 0, 15)
		for _, t := range weir.AlertTypes() {
			names = append(names, string(t))
		}
		return p.fault(w, "%q is no alert type%s", w.text, suggest(w.text, names))
	}
	if msg := checkAlert(w.text); msg != "" {
		return p.fault(w, "%s", msg)
	}
	row.Alerts = []string{w.text}
	for p.more() {
		if err := p.expectation(&row, p.next()); err != nil {
			return err
		}
	}
	if !row.Attacker.Any() || !row.Victim.Any() {
		row.Perspective = protectedSide(row.Type())
	}
	p.s.Expect = append(p.s.Expect, row)
	return nil
}

func (p *parser) expectation(row *Row, w word) (err error) {
	key, value, ok := strings.Cut(w.text, "=")
	if !ok || w.quoted || value == "" {
		return p.fault(w, "%q: expected attacker=, victim=, port= or count=", w.text)
	}
	switch key {
	case "attacker":
		row.Attacker, err = p.expectSide(w, value)
	case "victim":
		row.Victim, err = p.expectSide(w, value)
	case "port":
		var n uint64
		n, err = p.parseNumber(w, value, "a port", 0, 65535)
		row.Port, row.StrictPort = uint16(n), true //nolint:gosec // checked
	case "count":
		var n uint64
		n, err = p.parseNumber(w, value, "a number of alerts", 1, 1_000_000)
		row.Count = int(n) //nolint:gosec // checked
		if row.Verdict == MustNot {
			err = p.fault(w, "count makes no sense with expect no")
		}
	default:
		err = p.fault(w, "unknown word %q%s; expected attacker=, victim=, port= or count=", key,
			suggest(key, []string{"attacker", "victim", "port", "count"}))
	}
	return err
}

// expectSide reads names, addresses and prefixes separated by commas, or *.
func (p *parser) expectSide(w word, text string) (Side, error) {
	if text == "*" {
		return nil, nil
	}
	var s Side
	for item := range strings.SplitSeq(text, ",") {
		if r := p.resources[item]; r != nil {
			for _, a := range append(append([]netip.Addr(nil), r.Addresses...), r.PrivateAddresses...) {
				s = append(s, netip.PrefixFrom(a, a.BitLen()))
			}
			continue
		}
		if x, err := parsePrefix(item); err == nil {
			s = append(s, x)
			continue
		}
		h, err := p.parseHosts(w, item)
		if err != nil {
			return nil, err
		}
		for i := range h.n {
			a := h.at(i)
			s = append(s, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return s, nil
}

// protectedSide tells on which side of an alert type the resource is. Source:
// detection reference, section 8.0.
func protectedSide(t weir.AlertType) Perspective {
	switch t {
	case weir.CommunicationWithC2, weir.DDoS, weir.PortScanning, weir.RDPOutgoingOneToMany, weir.RDPOutgoingOneToOne,
		weir.SSHOutgoingOneToMany, weir.SSHOutgoingOneToOne:
		return AttackerSide
	}
	return VictimSide
}

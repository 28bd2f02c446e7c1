package intel

import (
	"net/netip"
	"strconv"
	"strings"

	weir "github.com/weir-net/weir"
)

// kind is what the text of an indicator is.
type kind uint8

const (
	kindBad kind = iota
	kindAddress
	kindDomain
	kindURL
	kindOther
)

// maxRangePrefixes bounds the prefixes that a range is cut into: a range of IPv6
// addresses may need up to 254.
const maxRangePrefixes = 256

// classify tells what text names. For addresses, address and port, prefixes,
// ranges and URLs with an address as host it returns the prefixes, the port and the
// protocol, 0 where there is none.
func classify(text string) (prefixes []netip.Prefix, port uint16, proto uint8, k kind) {
	text = refang(strings.Trim(strings.TrimSpace(text), `"'`))
	if text == "" || len(text) > 2048 {
		return nil, 0, 0, kindBad
	}
	if p, port, ok := host(text); ok {
		return []netip.Prefix{p}, port, 0, kindAddress
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return nil, 0, 0, kindBad
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return []netip.Prefix{p.Masked()}, 0, 0, kindAddress
	}
	if lo, hi, ok := strings.Cut(text, "-"); ok {
		if ps := ranges(strings.TrimSpace(lo), strings.TrimSpace(hi)); ps != nil {
			return ps, 0, 0, kindAddress
		}
	}
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		scheme, rest = "", text
	}
	h, tail, path := strings.Cut(rest, "/")
	if _, err := strconv.ParseUint(tail, 10, 64); err == nil && !isURL {
		return nil, 0, 0, kindBad // a prefix with an impossible length
	}
	if at := strings.LastIndexByte(h, '@'); at >= 0 && isURL {
		h = h[at+1:] // user and password
	}
	if h, _, _ = strings.Cut(h, "?"); isURL || path {
		if p, port, ok := host(h); ok && p.IsSingleIP() {
			switch scheme {
			case "tcp":
				proto = weir.ProtoTCP
			case "udp":
				proto = weir.ProtoUDP
			}
			return []netip.Prefix{p}, port, proto, kindAddress
		}
	}
	switch {
	case isURL, path:
		return nil, 0, 0, kindURL
	case strings.Contains(text, "@"):
		return nil, 0, 0, kindOther
	case isDomain(text):
		return nil, 0, 0, kindDomain
	case isHash(text):
		return nil, 0, 0, kindOther
	}
	return nil, 0, 0, kindBad
}

// refang undoes the spellings that keep text from being a link.
func refang(text string) string {
	if strings.IndexByte(text, '[') >= 0 {
		text = strings.NewReplacer("[.]", ".", "[:]", ":").Replace(text)
	}
	if strings.HasPrefix(text, "hxxp") {
		text = "http" + text[len("hxxp"):]
	}
	return text
}

// host reads an address, alone or with a port.
func host(text string) (netip.Prefix, uint16, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return single(a, 0)
	}
	if strings.IndexByte(text, ':') < 0 {
		return netip.Prefix{}, 0, false
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return single(ap.Addr(), ap.Port())
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		if a, err := netip.ParseAddr(text[1 : len(text)-1]); err == nil {
			return single(a, 0)
		}
	}
	return netip.Prefix{}, 0, false
}

func single(a netip.Addr, port uint16) (netip.Prefix, uint16, bool) {
	a = a.WithZone("").Unmap()
	return netip.PrefixFrom(a, a.BitLen()), port, true
}

// ranges cuts a range of addresses into prefixes, nil when it is none.
func ranges(lo, hi string) []netip.Prefix {
	first, err1 := netip.ParseAddr(lo)
	last, err2 := netip.ParseAddr(hi)
	if err1 != nil || err2 != nil {
		return nil
	}
	first, last = first.WithZone("").Unmap(), last.WithZone("").Unmap()
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return nil
	}
	var all []netip.Prefix
	for len(all) < maxRangePrefixes {
		bits := first.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(first, bits-1)
			if wider.Masked().Addr() != first || last.Less(lastOf(wider)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(first, bits)
		all = append(all, p)
		end := lastOf(p)
		if end == last {
			return all
		}
		first = end.Next()
	}
	return nil
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	from := p.Bits()
	if p.Addr().Is4() {
		from += 96
	}
	for i := from; i < 128; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

// isDomain reports whether text is a host name, also with a port, a leading dot or
// a wildcard, as lists write them.
func isDomain(text string) bool {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "*"), ".")
	if name, port, ok := strings.Cut(text, ":"); ok {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		text = name
	}
	text = strings.TrimSuffix(text, ".")
	dot, letter := false, false
	for _, r := range text {
		switch {
		case r == '.':
			dot = true
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r > 0x7f:
			letter = true
		case r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return dot && letter && text != ""
}

// isHash reports whether text is a digest in hexadecimal.
func isHash(text string) bool {
	switch len(text) {
	case 32, 40, 56, 64, 96, 128:
	default:
		return false
	}
	for _, r := range text {
		if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}

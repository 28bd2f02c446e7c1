package text

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/weir-net/weir"
)

// Errors of values. Callers add which field it was.
var (
	errNumber  = errors.New("is not a number that fits")
	errTime    = errors.New("is not a time")
	errAddress = errors.New("is not an IP address")
)

// maxQuote bounds the input that is repeated in an error.
const maxQuote = 64

// Bad describes a field whose value cannot be read.
func Bad(field string, value []byte, err error) error {
	if len(value) > maxQuote {
		value = value[:maxQuote]
	}
	return fmt.Errorf("%s: %q %w", field, value, err)
}

// Uint reads a decimal number of at most bits bits.
func Uint(field string, b []byte, bits int) (uint64, error) {
	if len(b) == 0 || len(b) > 20 {
		return 0, Bad(field, b, errNumber)
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, Bad(field, b, errNumber)
		}
		n = n*10 + d
	}
	if bits < 64 && n>>bits != 0 {
		return 0, Bad(field, b, errNumber)
	}
	return n, nil
}

// Port reads a port in decimal.
func Port(field string, b []byte) (uint16, error) {
	n, err := Uint(field, b, 16)
	return uint16(n), err //nolint:gosec // checked for 16 bits
}

// Seconds reads a decimal number of seconds with an optional fraction and sign
// as nanoseconds; digits below a nanosecond are dropped. Numbers in scientific
// notation are read too, as some JSON writers emit them for tiny durations.
func Seconds(field string, b []byte) (int64, error) {
	s, neg := b, false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		neg, s = s[0] == '-', s[1:]
	}
	var n int64
	digits, i := 0, 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if n > math.MaxInt64/1_000_000_000/10 {
			return 0, Bad(field, b, errNumber)
		}
		n = n*10 + int64(s[i]-'0')
		digits++
	}
	if n >= math.MaxInt64/1_000_000_000 {
		return 0, Bad(field, b, errNumber)
	}
	n *= 1e9
	if i < len(s) && s[i] == '.' {
		unit := int64(1e8)
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			n += int64(s[i]-'0') * unit
			unit /= 10
			digits++
		}
	}
	if digits == 0 || i < len(s) && s[i] != 'e' && s[i] != 'E' {
		return 0, Bad(field, b, errNumber)
	}
	if i < len(s) {
		f, err := strconv.ParseFloat(string(b[:min(len(b), maxQuote)]), 64)
		if err != nil || len(b) > maxQuote || math.Abs(f) >= math.MaxInt64/1_000_000_000 {
			return 0, Bad(field, b, errNumber)
		}
		return int64(math.Round(f * 1e9)), nil
	}
	if neg {
		n = -n
	}
	return n, nil
}

// Epoch reads a Unix time in seconds, milliseconds, microseconds or
// nanoseconds, told from its size: each unit reaches to the year 2262, where
// nanoseconds end, and the next one takes over above that number.
func Epoch(field string, b []byte) (int64, error) {
	n, err := Uint(field, b, 63)
	if err != nil {
		return 0, err
	}
	v := int64(n) //nolint:gosec // 63 bits
	for unit := int64(1_000_000_000); unit > 1; unit /= 1000 {
		if v <= math.MaxInt64/unit {
			return v * unit, nil
		}
	}
	return v, nil
}

// Time reads a time of RFC 3339 with any number of fractional digits, with Z,
// an offset with or without colon, or nothing, which means UTC.
func Time(field string, b []byte) (int64, error) {
	if len(b) < len("2006-01-02T15:04:05") || len(b) > 40 {
		return 0, Bad(field, b, errTime)
	}
	if t, ok := utcTime(b); ok {
		return t, nil
	}
	s := string(b)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return unixNano(field, b, t)
		}
	}
	return 0, Bad(field, b, errTime)
}

// Range of times whose nanoseconds fit int64.
const (
	minYear = 1678
	maxYear = 2261
)

func unixNano(field string, b []byte, t time.Time) (int64, error) {
	if y := t.UTC().Year(); y < minYear || y > maxYear {
		return 0, Bad(field, b, errTime)
	}
	return t.UnixNano(), nil
}

// utcTime reads the usual form, 2006-01-02T15:04:05[.fraction]Z, without
// allocating.
func utcTime(b []byte) (int64, bool) {
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return 0, false
	}
	num := func(i, j int) int {
		n := 0
		for _, c := range b[i:j] {
			if c < '0' || c > '9' {
				return -1 << 20
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	y, mo, d := num(0, 4), num(5, 7), num(8, 10)
	h, mi, s := num(11, 13), num(14, 16), num(17, 19)
	if y < minYear || y > maxYear || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 59 {
		return 0, false
	}
	frac := b[19 : len(b)-1]
	nsec, unit := 0, int(1e8)
	if len(frac) > 0 {
		if frac[0] != '.' || len(frac) == 1 {
			return 0, false
		}
		for _, c := range frac[1:] {
			if c < '0' || c > '9' {
				return 0, false
			}
			nsec += int(c-'0') * unit
			unit /= 10
		}
	}
	t := time.Date(y, time.Month(mo), d, h, mi, s, nsec, time.UTC)
	if t.Day() != d { // 30 February
		return 0, false
	}
	return t.UnixNano(), true
}

// Addr reads an IP address. A zone is dropped, a v4-mapped address becomes
// IPv4.
func Addr(field string, b []byte) (netip.Addr, error) {
	if len(b) == 0 || len(b) > 80 {
		return netip.Addr{}, Bad(field, b, errAddress)
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil {
		return netip.Addr{}, Bad(field, b, errAddress)
	}
	return a.WithZone("").Unmap(), nil
}

// NoProto is the protocol of records whose protocol has no number, or none that
// the log tells, such as ARP in logs of other layers: the number that IANA
// reserves.
const NoProto = 255

// Proto returns the IANA number of a protocol that is given as a name, in any
// case, or as a number. Unknown names give NoProto and false. The names are
// those of IANA and of the tools whose logs are read; media and transport
// protocols that argus names by what runs over UDP are UDP.
func Proto(name []byte) (uint8, bool) {
	if len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
		n, err := Uint("", name, 8)
		if err != nil {
			return NoProto, false
		}
		return uint8(n), true //nolint:gosec // checked for 8 bits
	}
	var buf [16]byte
	if len(name) > len(buf) {
		return NoProto, false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	switch string(buf[:len(name)]) {
	case "tcp":
		return weir.ProtoTCP, true
	case "udp", "rtp", "rtcp", "udt":
		return weir.ProtoUDP, true
	case "icmp":
		return weir.ProtoICMP, true
	case "icmp6", "icmpv6", "ipv6-icmp":
		return weir.ProtoICMPv6, true
	case "igmp":
		return 2, true
	case "ipip", "ipencap", "ipnip", "ipv4":
		return 4, true
	case "egp":
		return 8, true
	case "dccp":
		return 33, true
	case "ipv6":
		return 41, true
	case "rsvp":
		return 46, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	case "eigrp":
		return 88, true
	case "ospf", "ospfigp":
		return 89, true
	case "pim":
		return 103, true
	case "vrrp":
		return 112, true
	case "l2tp":
		return 115, true
	case "sctp":
		return 132, true
	case "udplite":
		return 136, true
	case "mpls-in-ip":
		return 137, true
	}
	return NoProto, false
}

// HasPorts tells whether a protocol has ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
func HasPorts(proto uint8) bool {
	switch proto {
	case weir.ProtoTCP, weir.ProtoUDP, 33, 132, 136:
		return true
	}
	return false
}

// IsICMP tells whether a protocol is ICMP or ICMPv6.
func IsICMP(proto uint8) bool { return proto == weir.ProtoICMP || proto == weir.ProtoICMPv6 }

// SetICMP gives a flow of ICMP the ports of the convention: source 0,
// destination type*256+code.
func SetICMP(f *weir.Flow, kind, code uint8) {
	f.Src = netip.AddrPortFrom(f.Src.Addr(), 0)
	f.Dst = netip.AddrPortFrom(f.Dst.Addr(), uint16(kind)<<8|uint16(code))
	f.Known |= weir.HasPorts
}

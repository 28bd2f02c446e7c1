package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// text is a value that is written as one YAML scalar in a form of its own.
type text interface {
	parse(s string, base string) error
	form() form
	fmt.Stringer
}

// form describes a text value to people and to JSON Schema.
type form struct {
	want    string // continues "expected "
	pattern string
	number  bool // a plain number is accepted too
}

// Duration is a length of time such as 90s, 10m, 24h or 30d.
type Duration time.Duration

var durationPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)`)

// ParseDuration reads a duration; d is a day of 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	rest, total := s, time.Duration(0)
	for rest != "" {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is no duration, expected a form such as 90s, 10m, 24h or 30d", s)
		}
		times, unit := time.Duration(1), m[2]
		if unit == "d" {
			times, unit = 24, "h"
		}
		part, err := time.ParseDuration(m[1] + unit)
		if err != nil || part > (1<<63-1-total)/times {
			return 0, fmt.Errorf("%q is no duration of less than 292 years", s)
		}
		total += part * times
		rest = rest[len(m[0]):]
	}
	if s == "" {
		return 0, errors.New("the duration is empty, expected a form such as 90s, 10m, 24h or 30d")
	}
	return total, nil
}

func (d *Duration) parse(s, _ string) error {
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

func (*Duration) form() form {
	return form{want: "a duration such as 90s, 10m, 24h or 30d", pattern: `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$`}
}

// std returns the duration as the standard library knows it.
func (d Duration) std() time.Duration { return time.Duration(d) }

// String returns the shortest form: 30d, 24h, 1h30m, 500ms.
func (d Duration) String() string {
	v := time.Duration(d)
	switch {
	case v == 0:
		return "0s"
	case v%(24*time.Hour) == 0 && v >= 48*time.Hour:
		return strconv.Itoa(int(v/(24*time.Hour))) + "d"
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Size is a number of bytes.
type Size int64

var sizePattern = regexp.MustCompile(`^([0-9]+)\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?$`)

func (z *Size) parse(s, _ string) error {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("%q is no size, expected a form such as 64MiB, 1GiB or a number of bytes", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[m[2]]
	if err != nil || n > (1<<63-1)/unit {
		return fmt.Errorf("%q is too large", s)
	}
	*z = Size(n * unit)
	return nil
}

func (*Size) form() form {
	return form{want: "a size such as 64MiB, 1GiB or a number of bytes", pattern: `^[0-9]+\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?$`, number: true}
}

// String returns the size in the largest binary unit that divides it.
func (z Size) String() string {
	for i, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if unit := Size(1) << (40 - 10*i); z != 0 && z%unit == 0 {
			return strconv.FormatInt(int64(z/unit), 10) + u
		}
	}
	return strconv.FormatInt(int64(z), 10)
}

// Rate is N of 1-in-N packet sampling.
type Rate uint32

func (r *Rate) parse(s, _ string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "1/"), 10, 32)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no sampling rate, expected a form such as 1/1000 or 1000", s)
	}
	*r = Rate(n)
	return nil
}

func (*Rate) form() form {
	return form{want: "a sampling rate such as 1/1000 or 1000", pattern: `^(1/)?[1-9][0-9]*$`, number: true}
}

// String returns 1/N.
func (r Rate) String() string { return "1/" + strconv.FormatUint(uint64(r), 10) }

// Address is a host and a port; an empty host means all interfaces.
type Address string

func (a *Address) parse(s, _ string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address, expected host:port, [2001:db8::1]:port or :port", s)
	}
	*a = Address(s)
	return nil
}

func (*Address) form() form {
	return form{want: "an address: host:port, [2001:db8::1]:port or :port", pattern: `:[0-9]+$`}
}

// String returns the address as written.
func (a Address) String() string { return string(a) }

// Loopback reports whether the host part is localhost or a loopback address.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Prefix is a network; a bare address means the address alone.
type Prefix netip.Prefix

func (p *Prefix) parse(s, _ string) error {
	if v, err := netip.ParsePrefix(s); err == nil {
		*p = Prefix(v.Masked())
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("%q is no prefix, expected a form such as 192.0.2.0/24 or 2001:db8::/32", s)
	}
	*p = Prefix(netip.PrefixFrom(a, a.BitLen()))
	return nil
}

func (*Prefix) form() form {
	return form{want: "a prefix such as 192.0.2.0/24 or 2001:db8::/32", pattern: `^[0-9a-fA-F:.]+(/[0-9]+)?$`}
}

// String returns the prefix in CIDR form.
func (p Prefix) String() string { return netip.Prefix(p).String() }

// Path is a path of the file system; a relative one in the file is taken from
// the directory of the file.
type Path string

func (p *Path) parse(s, base string) error {
	if s == "" {
		return errors.New("the path is empty")
	}
	*p = Path(rebase(s, base))
	return nil
}

func rebase(s, base string) string {
	if base == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(base, s)
}

func (*Path) form() form { return form{want: "a path", pattern: `.`} }

// String returns the path.
func (p Path) String() string { return string(p) }

// Location is a path or a URL.
type Location string

func (l *Location) parse(s, base string) error {
	switch {
	case s == "":
		return errors.New("the path or URL is empty")
	case strings.Contains(s, "://"):
		if u, err := url.Parse(s); err != nil || u.Host == "" {
			return fmt.Errorf("%q is no URL", s)
		}
		*l = Location(s)
	default:
		*l = Location(rebase(s, base))
	}
	return nil
}

func (*Location) form() form { return form{want: "a path or a URL", pattern: `.`} }

// String returns the path or URL.
func (l Location) String() string { return string(l) }

// Remote reports whether the location is a URL.
func (l Location) Remote() bool { return strings.Contains(string(l), "://") }

// URL is an absolute http or https URL.
type URL string

func (u *URL) parse(s, _ string) error {
	v, err := url.Parse(s)
	if err != nil || v.Host == "" || v.Scheme != "http" && v.Scheme != "https" {
		return fmt.Errorf("%q is no URL, expected https://HOST/… or http://HOST/…", s)
	}
	*u = URL(s)
	return nil
}

func (*URL) form() form { return form{want: "a URL: https://HOST/…", pattern: `^https?://`} }

// String returns the URL.
func (u URL) String() string { return string(u) }

// insecure reports whether the URL is plain http to a host other than loopback.
func (u URL) insecure() bool {
	v, err := url.Parse(string(u))
	return err == nil && v.Scheme == "http" && !loopbackHost(v.Hostname())
}

// Secret is a reference to a secret: file:PATH or env:NAME.
type Secret string

func (s *Secret) parse(v, base string) error {
	kind, name, ok := strings.Cut(v, ":")
	switch {
	case ok && kind == "file" && name != "":
		*s = Secret("file:" + rebase(name, base))
	case ok && kind == "env" && name != "":
		*s = Secret(v)
	default:
		// The value is not repeated: it may be the secret itself.
		return errors.New("a secret is given by reference only, expected file:PATH or env:NAME")
	}
	return nil
}

func (*Secret) form() form {
	return form{want: "a secret by reference: file:PATH or env:NAME", pattern: `^(file|env):.`}
}

// String returns the reference, never the secret.
func (s Secret) String() string { return string(s) }

// Reveal reads the secret; a trailing newline of a file is cut off.
func (s Secret) Reveal() (string, error) {
	kind, name, _ := strings.Cut(string(s), ":")
	switch kind {
	case "file":
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read a secret: %w", err)
		}
		v := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		if v == "" {
			return "", fmt.Errorf("read a secret: %s is empty", name)
		}
		return v, nil
	case "env":
		if v := os.Getenv(name); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("read a secret: the environment variable %s is not set", name)
	}
	return "", errors.New("read a secret: no reference")
}

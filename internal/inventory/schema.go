package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	weir "github.com/weir-net/weir"
	"go.yaml.in/yaml/v3"
)

// place is where something stands in a file.
type place struct {
	file      string
	line, col int
}

func (p place) fault(msg string) *Error { return &Error{p.file, p.line, p.col, msg} }

// entry is a resource as read, with places for later complaints.
type entry struct {
	res       *weir.Resource
	at        place
	addresses map[netip.Addr]place
	backends  place           // of the key
	set       map[string]bool // keys given, for completing an imported resource
}

type netEntry struct {
	net Network
	at  place
}

// draft is what files said, before it is joined.
type draft struct {
	entries  []*entry
	networks []netEntry
	allow    []Allow
	cloud    *cloud
	errs     []error
}

func (d *draft) add(err error) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, err)
	}
}

// reader reads the contract's own form of one file.
type reader struct {
	d    *draft
	file string
}

func (r *reader) at(n *yaml.Node) place {
	return place{r.file, max(n.Line, 1), max(n.Column, 1)}
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.d.add(r.at(n).fault(fmt.Sprintf(format, args...)))
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

// mapping calls visit for every key of a map; keys that are not known are faults.
func (r *reader) mapping(n *yaml.Node, what string, known []string, visit func(key string, k, v *yaml.Node)) bool {
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s is %s, expected a map with %s", what, kindName(n), strings.Join(known, ", "))
		return false
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], deref(n.Content[i+1])
		switch {
		case !slices.Contains(known, k.Value):
			hint := nearest(k.Value, known)
			if hint == "" {
				hint = ", expected " + strings.Join(known, ", ")
			}
			r.fail(k, "unknown key %q in %s%s", k.Value, what, hint)
		case seen[k.Value]:
			r.fail(k, "the key %q is given twice in %s, expected it once", k.Value, what)
		default:
			seen[k.Value] = true
			if !isNull(v) {
				visit(k.Value, k, v)
			}
		}
	}
	return true
}

func (r *reader) list(n *yaml.Node, what string, visit func(v *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s is %s, expected a list", what, kindName(n))
		return
	}
	for _, v := range n.Content {
		visit(deref(v))
	}
}

func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fail(n, "%s is %s, expected text", what, kindName(n))
		return ""
	}
	return n.Value
}

func (r *reader) port(n *yaml.Node, what string) uint16 {
	v, err := strconv.ParseUint(n.Value, 10, 16)
	if n.Kind != yaml.ScalarNode || err != nil || v == 0 {
		r.fail(n, "%s is %s, expected a port from 1 to 65535", what, kindName(n))
		return 0
	}
	return uint16(v)
}

func (r *reader) time(n *yaml.Node, what string) int64 {
	t, err := time.Parse(time.RFC3339Nano, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.fail(n, "%s is %s, expected a time in RFC 3339, for example 2026-01-01T00:00:00Z", what, kindName(n))
		return 0
	}
	if t.Year() < 1970 || t.Year() > 2261 {
		r.fail(n, "%s is %s, expected a year from 1970 to 2261", what, kindName(n))
		return 0
	}
	return t.UnixNano()
}

func (r *reader) addr(n *yaml.Node, what string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		hint := ""
		if strings.Contains(n.Value, "/") {
			hint = "; a prefix belongs under networks"
		}
		r.fail(n, "%s is %s, expected an IPv4 or IPv6 address%s", what, kindName(n), hint)
		return a, false
	}
	a = a.Unmap()
	if why := badAddr(a); why != "" {
		r.fail(n, "%s %s %s, expected the address of one machine", what, a, why)
		return a, false
	}
	return a, true
}

func (r *reader) prefix(n *yaml.Node, what string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(n.Value)
	if err != nil {
		if a, aerr := netip.ParseAddr(n.Value); aerr == nil && a.Zone() == "" {
			a = a.Unmap()
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
	}
	if n.Kind != yaml.ScalarNode || err != nil || p.Addr().Is4In6() {
		r.fail(n, "%s is %s, expected a prefix, for example 198.51.100.0/24", what, kindName(n))
		return p, false
	}
	if p != p.Masked() {
		r.fail(n, "%s %s has bits set beyond its length, expected %s", what, p, p.Masked())
		return p, false
	}
	return p, true
}

func (r *reader) kind(n *yaml.Node) weir.Kind {
	k := weir.Kind(r.text(n, "kind"))
	if !validKind(k) && n.Kind == yaml.ScalarNode {
		r.fail(n, "unknown kind %q, expected %s%s", n.Value, kindList, nearest(n.Value, []string{
			string(weir.VirtualMachine), string(weir.LoadBalancer), string(weir.ApplicationGateway),
		}))
	}
	return k
}

func (r *reader) proto(n *yaml.Node) uint8 {
	switch strings.ToLower(n.Value) {
	case "tcp", "6":
		return weir.ProtoTCP
	case "udp", "17":
		return weir.ProtoUDP
	}
	r.fail(n, "proto is %s, expected tcp or udp", kindName(n))
	return 0
}

func (r *reader) words(n *yaml.Node, what string) (all []string) {
	r.list(n, what, func(v *yaml.Node) {
		if w := r.text(v, "an entry of "+what); w != "" && !slices.Contains(all, w) {
			all = append(all, w)
		}
	})
	return all
}

func (r *reader) tags(n *yaml.Node) map[string]string {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "tags is %s, expected a map of text, for example {env: prod}", kindName(n))
		return nil
	}
	tags := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], deref(n.Content[i+1])
		if _, ok := tags[k.Value]; ok {
			r.fail(k, "the tag %q is given twice, expected it once", k.Value)
		}
		tags[k.Value] = ""
		if !isNull(v) {
			tags[k.Value] = r.text(v, "the tag "+k.Value)
		}
	}
	return tags
}

// document reads the top of the contract's own form.
func (r *reader) document(root *yaml.Node) {
	r.mapping(root, "the inventory", []string{"resources", "networks", "allow"}, func(key string, _, v *yaml.Node) {
		r.list(v, key, func(item *yaml.Node) {
			switch key {
			case "resources":
				r.resource(item)
			case "networks":
				r.network(item)
			case "allow":
				r.allow(item)
			}
		})
	})
}

func (r *reader) resource(n *yaml.Node) {
	e := &entry{res: &weir.Resource{}, at: r.at(n), addresses: make(map[netip.Addr]place), set: make(map[string]bool)}
	res := e.res
	known := []string{
		"id", "name", "kind", "addresses", "privateAddresses", "listeners", "backends", "roles", "tags", "since", "tenant",
	}
	ok := r.mapping(n, "a resource", known, func(key string, k, v *yaml.Node) {
		e.set[key] = true
		switch key {
		case "id":
			res.ID = r.text(v, "id")
			e.at = r.at(v)
		case "name":
			res.Name = r.text(v, "name")
		case "kind":
			res.Kind = r.kind(v)
		case "addresses":
			res.Addresses = r.addrs(v, key, e.addresses)
		case "privateAddresses":
			res.PrivateAddresses = r.addrs(v, key, e.addresses)
		case "listeners":
			res.Listeners = r.listeners(v)
		case "backends":
			res.Backends = r.backends(v)
			e.backends = r.at(k)
		case "roles":
			res.Roles = r.words(v, key)
		case "tags":
			res.Tags = r.tags(v)
		case "since":
			res.Since = r.time(v, key)
		case "tenant":
			res.Tenant = r.text(v, key)
		}
	})
	if !ok {
		return
	}
	if res.ID == "" {
		r.fail(n, "a resource has no id, expected id: TEXT that is unique")
		return
	}
	if res.Name == "" {
		res.Name = res.ID
	}
	r.d.entries = append(r.d.entries, e)
}

func (r *reader) addrs(n *yaml.Node, what string, places map[netip.Addr]place) (all []netip.Addr) {
	r.list(n, what, func(v *yaml.Node) {
		a, ok := r.addr(v, "an entry of "+what)
		if _, twice := places[a]; !ok || twice {
			return
		}
		all = append(all, a)
		places[a] = r.at(v)
	})
	return all
}

func (r *reader) listeners(n *yaml.Node) (all []weir.Listener) {
	r.list(n, "listeners", func(v *yaml.Node) {
		var l weir.Listener
		given := false
		ok := r.mapping(v, "a listener", []string{"port", "proto", "service"}, func(key string, _, v *yaml.Node) {
			switch key {
			case "port":
				given = true
				l.Port = r.port(v, key)
			case "proto":
				l.Proto = r.proto(v)
			case "service":
				l.Service = r.text(v, key)
			}
		})
		switch {
		case !ok:
		case !given:
			r.fail(v, "a listener has no port, expected for example {port: 22, service: ssh}")
		default:
			all = append(all, l)
		}
	})
	return all
}

func (r *reader) backends(n *yaml.Node) (all []weir.Backend) {
	r.list(n, "backends", func(v *yaml.Node) {
		var b weir.Backend
		ok := r.mapping(v, "a backend", []string{"resource", "frontendPort", "backendPort"}, func(key string, _, v *yaml.Node) {
			switch key {
			case "resource":
				b.Resource = r.text(v, key)
			case "frontendPort":
				b.FrontendPort = r.port(v, key)
			case "backendPort":
				b.BackendPort = r.port(v, key)
			}
		})
		switch {
		case !ok:
		case b.Resource == "":
			r.fail(v, "a backend names no resource, expected for example {resource: web-1, frontendPort: 22, backendPort: 22}")
		default:
			all = append(all, b)
		}
	})
	return all
}

func (r *reader) network(n *yaml.Node) {
	e := netEntry{at: r.at(n), net: Network{Kind: weir.VirtualMachine}}
	known := []string{"prefix", "kind", "tenant", "listeners", "roles", "tags", "since"}
	given, good := false, false
	ok := r.mapping(n, "a network", known, func(key string, _, v *yaml.Node) {
		switch key {
		case "prefix":
			given = true
			e.net.Prefix, good = r.prefix(v, key)
			e.at = r.at(v)
		case "kind":
			e.net.Kind = r.kind(v)
		case "tenant":
			e.net.Tenant = r.text(v, key)
		case "listeners":
			e.net.Listeners = r.listeners(v)
		case "roles":
			e.net.Roles = r.words(v, key)
		case "tags":
			e.net.Tags = r.tags(v)
		case "since":
			e.net.Since = r.time(v, key)
		}
	})
	if ok && !given {
		r.fail(n, "a network has no prefix, expected for example prefix: 198.51.100.0/24")
	}
	if good {
		r.d.networks = append(r.d.networks, e)
	}
}

func (r *reader) allow(n *yaml.Node) {
	var a Allow
	given, good := false, false
	ok := r.mapping(n, "an allow entry", []string{"prefix", "reason", "until"}, func(key string, _, v *yaml.Node) {
		switch key {
		case "prefix":
			given = true
			a.Prefix, good = r.prefix(v, key)
		case "reason":
			a.Reason = strings.TrimSpace(r.text(v, key))
		case "until":
			a.Until = r.time(v, key)
		}
	})
	switch {
	case !ok:
	case !given:
		r.fail(n, "an allow entry has no prefix, expected for example prefix: 192.0.2.7/32")
	case a.Reason == "":
		r.fail(n, "the allow entry %s has no reason, expected for example reason: our vulnerability scanner", a.Prefix)
	case good:
		r.d.allow = append(r.d.allow, a)
	}
}

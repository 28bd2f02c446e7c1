package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	weir "github.com/weir-net/weir"
)

// cloud collects facts of imported forms, which come in pieces: an address may be
// told by one file, the network interface that holds it by a second, the machine
// behind it by a third.
type cloud struct {
	nodes    map[string]*node
	pools    map[string]*pool
	health   []func() // target lists, added once all pools are known
	warnings []string
}

// node is a machine, interface, public address or load balancer. Interfaces and
// addresses fold into what holds them.
type node struct {
	id, name string
	kind     weir.Kind // empty for what is no resource by itself
	parent   string    // key of the holder
	public   []netip.Addr
	private  []netip.Addr
	roles    []string
	tags     map[string]string
	rules    []rule
}

// rule is a forwarding rule of a load balancer.
type rule struct {
	proto       uint8
	front, back uint16
	pool        string // key of the pool
	member      string // or key of one member
}

// pool is the members of a back-end pool.
type pool struct {
	lb      string // key of the load balancer, where known
	port    uint16 // of its members, 0 for that of the rule
	members []poolMember
}

type poolMember struct {
	key  string     // key of a node
	id   string     // as told
	addr netip.Addr // or an address
	port uint16     // of this member, 0 for that of the rule
}

func newCloud() *cloud {
	return &cloud{nodes: make(map[string]*node), pools: make(map[string]*pool)}
}

// key folds case: the ids of Azure have none, those of others are not harmed.
func key(id string) string { return strings.ToLower(id) }

func (c *cloud) warn(format string, args ...any) {
	if len(c.warnings) < maxErrors {
		c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
	}
}

// node returns the node of that id, made on first use.
func (c *cloud) node(id string) *node {
	n := c.nodes[key(id)]
	if n == nil {
		n = &node{id: id}
		c.nodes[key(id)] = n
	}
	return n
}

// resource notes that the id is a resource of that kind.
func (c *cloud) resource(id, name string, kind weir.Kind, tags map[string]string) *node {
	n := c.node(id)
	n.id, n.kind = id, kind
	if name != "" {
		n.name = name
	}
	if len(tags) > 0 {
		n.tags = tags
	}
	return n
}

func (c *cloud) pool(id string) *pool {
	p := c.pools[key(id)]
	if p == nil {
		p = &pool{}
		c.pools[key(id)] = p
	}
	return p
}

func (p *pool) add(m poolMember) {
	if !slices.Contains(p.members, m) {
		p.members = append(p.members, m)
	}
}

// holds notes an address of a node. What is no address of one machine is ignored.
func (n *node) holds(text string, private bool) {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "/")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap()
	if badAddr(a) != "" || a.IsLinkLocalUnicast() || a.IsLoopback() {
		return
	}
	list := &n.public
	if private {
		list = &n.private
	}
	if !slices.Contains(*list, a) {
		*list = append(*list, a)
	}
}

// forwards notes a rule; a rule without a front-end port is none.
func (n *node) forwards(r rule) {
	if (r.front != 0 || r.pool != "" || r.member != "") && !slices.Contains(n.rules, r) {
		n.rules = append(n.rules, r)
	}
}

// holder follows parents to the resource that holds a node, nil for none.
func (c *cloud) holder(n *node) *node {
	for range 8 { // public address, interface, machine: deeper is a cycle
		if n.kind != "" {
			return n
		}
		next := c.nodes[n.parent]
		if n.parent == "" || next == nil {
			return nil
		}
		n = next
	}
	return nil
}

// resolve joins the facts into resources, in order of id. Entries written by hand
// help to name pool members by address.
func (c *cloud) resolve(entries []*entry) []*weir.Resource {
	for _, add := range c.health {
		add()
	}
	c.health = nil
	keys := sortedKeys(c.nodes)
	for _, k := range keys {
		n := c.nodes[k]
		if n.kind != "" || len(n.public)+len(n.private) == 0 {
			continue
		}
		if h := c.holder(n); h != nil {
			n.foldInto(h)
		} else if top := c.top(n); top != n {
			n.foldInto(top)
		}
	}
	for _, k := range keys { // an interface whose machine no file describes stands for it
		n := c.nodes[k]
		if n.kind == "" && len(n.public)+len(n.private) > 0 && c.holder(n) == nil && c.top(n) == n {
			n.kind = azureKind(n.id)
		}
	}
	byAddr := make(map[netip.Addr]string)
	for _, e := range entries {
		for _, a := range append(slices.Clone(e.res.Addresses), e.res.PrivateAddresses...) {
			byAddr[a] = e.res.ID
		}
	}
	var kept []*node
	for _, k := range keys {
		n := c.nodes[k]
		if n.kind == "" {
			continue
		}
		if len(n.public)+len(n.private) == 0 {
			c.warn("imported resource %q has no address and is left out", n.id)
			continue
		}
		kept = append(kept, n)
		for _, a := range append(slices.Clone(n.public), n.private...) {
			if _, ok := byAddr[a]; !ok {
				byAddr[a] = n.id
			}
		}
	}
	all := make([]*weir.Resource, 0, len(kept))
	taken := make(map[netip.Addr]string)
	for _, n := range kept {
		all = append(all, c.finish(n, byAddr, taken))
	}
	return all
}

// top follows parents as far as files know them.
func (c *cloud) top(n *node) *node {
	for range 8 {
		next := c.nodes[n.parent]
		if n.parent == "" || next == nil {
			return n
		}
		n = next
	}
	return n
}

func (n *node) foldInto(h *node) {
	for _, a := range n.public {
		h.holds(a.String(), false)
	}
	for _, a := range n.private {
		h.holds(a.String(), true)
	}
	n.public, n.private = nil, nil
}

// finish makes the resource of a node. A public address that an earlier resource
// holds is left to that one.
func (c *cloud) finish(n *node, byAddr map[netip.Addr]string, taken map[netip.Addr]string) *weir.Resource {
	r := &weir.Resource{
		ID: n.id, Name: n.name, Kind: n.kind, Roles: n.roles, Tags: n.tags, SinceUnknown: true,
		PrivateAddresses: n.private,
	}
	if r.Name == "" {
		trimmed := strings.TrimRight(n.id, "/")
		if r.Name = trimmed[strings.LastIndexByte(trimmed, '/')+1:]; r.Name == "" {
			r.Name = n.id
		}
	}
	for _, a := range n.public {
		if have, ok := taken[a]; ok {
			c.warn("imported address %s of %q already belongs to %q and is left to it", a, n.id, have)
			continue
		}
		taken[a] = n.id
		r.Addresses = append(r.Addresses, a)
	}
	slices.SortFunc(r.Addresses, netip.Addr.Compare)
	slices.SortFunc(r.PrivateAddresses, netip.Addr.Compare)
	if n.kind != weir.VirtualMachine {
		c.backends(n, r, byAddr)
	}
	return r
}

// backends turns the rules of a load balancer into listeners and backends.
func (c *cloud) backends(n *node, r *weir.Resource, byAddr map[netip.Addr]string) {
	seen := make(map[weir.Backend]bool)
	add := func(m poolMember, front, back uint16) {
		if m.port != 0 {
			back = m.port
		}
		id := m.id
		if m.addr.IsValid() {
			id = m.addr.String()
			if known, ok := byAddr[m.addr]; ok {
				id = known
			}
		} else if mn := c.nodes[m.key]; mn != nil {
			id = mn.id
			if h := c.holder(mn); h != nil {
				id = h.id
			}
		}
		b := weir.Backend{Resource: id, FrontendPort: front, BackendPort: back}
		if id != "" && !strings.EqualFold(id, r.ID) && !seen[b] {
			seen[b] = true
			r.Backends = append(r.Backends, b)
		}
	}
	for _, ru := range n.rules {
		if ru.front != 0 {
			l := weir.Listener{Port: ru.front, Proto: ru.proto}
			if !slices.Contains(r.Listeners, l) {
				r.Listeners = append(r.Listeners, l)
			}
		}
		if ru.member != "" {
			add(poolMember{key: ru.member, id: ru.member}, ru.front, ru.back)
		}
		if p := c.pools[ru.pool]; p != nil {
			back := cmp.Or(ru.back, p.port)
			for _, m := range p.members {
				add(m, ru.front, back)
			}
		}
	}
	if len(n.rules) == 0 { // the rules are not told: every port may be forwarded
		for _, k := range sortedKeys(c.pools) {
			if p := c.pools[k]; p.lb != "" && c.nodes[p.lb] == n {
				for _, m := range p.members {
					add(m, 0, 0)
				}
			}
		}
	}
	slices.SortFunc(r.Listeners, func(a, b weir.Listener) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
	})
	slices.SortFunc(r.Backends, func(a, b weir.Backend) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.FrontendPort, b.FrontendPort), cmp.Compare(a.BackendPort, b.BackendPort))
	})
}

// portOf reads a port; 0 for none and for anything else.
func portOf(text string) uint16 {
	v, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(v)
}

// protoOf reads a protocol name of a rule; 0 for both and for anything else.
func protoOf(text string) uint8 {
	switch strings.ToLower(text) {
	case "tcp", "tls", "http", "https":
		return weir.ProtoTCP
	case "udp":
		return weir.ProtoUDP
	}
	return 0
}

// tagsOf reads a map of tags.
func tagsOf(o object) map[string]string {
	if len(o) == 0 {
		return nil
	}
	tags := make(map[string]string, len(o))
	for k, v := range o {
		s, _ := v.(string)
		tags[k] = s
	}
	return tags
}

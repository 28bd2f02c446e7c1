package netflow

import (
	"net/netip"

	weir "github.com/weir-net/weir"
)

// Values of flowDirection, element 61 of IPFIX and field 61 of version 9
// (RFC 5102, section 5.11.6; RFC 3954, section 8). Others say nothing.
const (
	directionIngress = 0
	directionEgress  = 1
)

// Bounds of what is remembered of interfaces that meter on ingress. Each domain
// has ownInterfaces for sure and maxInterfaces at most; all domains share
// sharedInterfaces beyond their own. Beyond, nothing is learnt, and the second
// record of a packet stays.
const (
	ownInterfaces    = 64
	maxInterfaces    = 4096
	sharedInterfaces = 1 << 16
)

// ingressFor is how long an ingress record proves that its interface meters on
// ingress: the longest active timeout that is common (the default of Cisco IOS,
// 30 minutes), as an interface in use gives a record at least that often.
// ingressStep is the age from which the proof is renewed. Both are in the time
// of export, in ns.
const (
	ingressFor  = 30 * 60 * second
	ingressStep = 60 * second
)

// port is an interface and an address family. Families are metered one by one:
// an interface with IPv4 on ingress may have IPv6 on egress only.
type port uint64

func inputPort(f *weir.Flow) port {
	p := port(f.InputIf) << 1
	if f.Src.Addr().Is6() || f.Dst.Addr().Is6() {
		p |= 1
	}
	return p
}

// repeats sets the direction of one flow, from its record in row, and reports
// whether the same exporter has told of its packets already: it left through
// an interface that meters on egress, and came in through one that meters on
// ingress. That is known of an interface, in one observation domain, from
// ingress records of the last 30 minutes in the time of export. What is not
// known is kept:
//
//   - records without a direction, which teach nothing either;
//   - egress records whose input interface is not told (0, which is never
//     learnt), or meters nothing on ingress, as on an exporter that meters its
//     uplink in both directions;
//   - egress records with one interface for both ways: a probe on a mirror port
//     names it so, whatever it saw;
//   - records of both directions of a connection, whose reverse half may be
//     told nowhere else;
//   - egress records before the first ingress record of their input. Records
//     are judged in the order in which they come, so that the same input gives
//     the same flows.
func (d *Decoder) repeats(s *domain, t *template, m *message, row []byte, f *weir.Flow) bool {
	switch load(row[t.directionOff : t.directionOff+t.directionLen]) {
	case directionIngress:
		if f.InputIf != 0 {
			d.meters(s, inputPort(f), m.exportTime)
		}
	case directionEgress:
		f.Known |= weir.IsEgress
		if d.cfg.KeepEgress || f.InputIf == f.OutputIf || f.Known.Has(weir.HasReverse) {
			return false
		}
		seen, ok := s.ingress[inputPort(f)]
		if !ok || stale(seen, m.exportTime) {
			return false
		}
		s.egressRepeated++
		d.stats.EgressRepeated++
		return true
	}
	return false
}

// dropRepeated takes the flows out of out that repeat others and returns how
// many are left. The records are stride bytes apart in data.
func (d *Decoder) dropRepeated(s *domain, t *template, m *message, data []byte, stride int, out []weir.Flow) int {
	recent := s.recentPorts(m.exportTime)
	n, at, size := 0, t.directionOff, t.directionLen
	for i := range out {
		// Nearly all records are of this kind, and cost no search.
		var direction uint64
		if size == 1 {
			direction = uint64(data[at])
		} else {
			direction = load(data[at : at+size])
		}
		known := direction == directionIngress && recent.has(inputPort(&out[i]))
		at += stride
		if !known && d.repeats(s, t, m, data[i*stride:], &out[i]) {
			continue
		}
		if n != i {
			out[n] = out[i]
		}
		n++
	}
	return n
}

// meters notes that a port meters on ingress.
func (d *Decoder) meters(s *domain, p port, now int64) {
	recent := s.recentPorts(now)
	if recent.has(p) {
		return
	}
	near := &s.near[p.nearPlace()]
	seen, ok := near.seen, near.port == p
	if !ok {
		if seen, ok = s.ingress[p]; ok {
			*near = nearPort{p, seen}
		}
	}
	if ok && now-seen >= 0 && now-seen < ingressStep {
		recent.add(p)
		return
	}
	if !ok {
		if !d.roomForPort(s) {
			d.forgetPorts(s, now)
			if !d.roomForPort(s) {
				d.stats.InterfacesDropped++
				return
			}
		}
		if s.ingress == nil {
			s.ingress = make(map[port]int64)
		}
		if len(s.ingress) >= ownInterfaces {
			d.ports++
		}
	}
	s.ingress[p] = now
	*near = nearPort{p, now}
	recent.add(p)
}

// nearPort is an entry of the map of a domain, held where it is found without a
// search. Port 0, which the map never holds, marks an empty place.
type nearPort struct {
	port port
	seen int64
}

const nearBits = 8

// nearPorts are copies of entries of the map of a domain: each port has one
// place, and what is there is what the map says.
type nearPorts [1 << nearBits]nearPort

func (p port) nearPlace() uint64 { return p.spread() >> (64 - nearBits) }

// recentPorts are the ports whose proof was renewed in one step of time: a
// small cache before the map of a domain, where each port has one place.
type recentPorts struct {
	step  int64
	ports [1 << recentBits]port
}

const recentBits = 6

// recentPorts returns the cache of a domain at a time.
func (s *domain) recentPorts(now int64) *recentPorts {
	step := now / ingressStep
	switch {
	case s.recent == nil:
		s.recent, s.near = &recentPorts{step: step}, new(nearPorts)
	case s.recent.step != step:
		*s.recent = recentPorts{step: step}
	}
	return s.recent
}

// spread spreads the interfaces over the high bits of a product with the golden
// ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
func (p port) spread() uint64 { return uint64(p) * 0x9e3779b97f4a7c15 }

func (p port) place() uint64 { return p.spread() >> (64 - recentBits) }

// has and add hold no interface 0, which is that of an empty place.
func (r *recentPorts) has(p port) bool { return r.ports[p.place()] == p && p > 1 }
func (r *recentPorts) add(p port)      { r.ports[p.place()] = p }

func (d *Decoder) roomForPort(s *domain) bool {
	n := len(s.ingress)
	return n < ownInterfaces || n < maxInterfaces && d.ports < sharedInterfaces
}

// stale reports whether an ingress record of that time proves nothing any more.
// A clock that was set back makes it stale too, after a while.
func stale(seen, now int64) bool {
	age := now - seen
	return age > ingressFor || age < -ingressFor
}

// forgetPorts makes room by forgetting what is stale, with one search a step at
// most: now is the same for all records of a datagram.
func (d *Decoder) forgetPorts(s *domain, now int64) {
	if age := now - s.portsForgotten; age >= 0 && age < ingressStep {
		return
	}
	s.portsForgotten = now
	d.ports -= s.extraPorts()
	for p, seen := range s.ingress {
		if stale(seen, now) {
			delete(s.ingress, p)
		}
	}
	*s.near = nearPorts{}
	d.ports += s.extraPorts()
}

// dropPorts forgets all ports of a domain.
func (d *Decoder) dropPorts(s *domain) {
	d.ports -= s.extraPorts()
	s.ingress, s.recent, s.near, s.portsForgotten = nil, nil, nil, 0
}

// ForgetInterfaces forgets which interfaces of an exporter meter on ingress. It
// is for files, which name no exporter: the next one may be of another.
func (d *Decoder) ForgetInterfaces(exporter netip.Addr) {
	exporter = exporter.Unmap()
	for _, s := range d.domains {
		if s.key.exporter == exporter {
			d.dropPorts(s)
		}
	}
}

// extraPorts is how many of the shared ports the domain takes.
func (s *domain) extraPorts() int { return max(len(s.ingress)-ownInterfaces, 0) }

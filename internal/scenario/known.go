package scenario

import (
	"net/netip"
	"slices"

	"github.com/weir-net/weir"
)

// Began returns when the traffic began (Unix ns) that an alert is about: lines
// between its own side and its peers, with one of its ports, that were under way
// between first, its oldest evidence, and generated, when it was raised. Lines
// that happen once are preferred to what a host does every day. ok is false when
// no line fits.
func (s *Scenario) Began(a *Alert, first, generated int64) (start int64, ok bool) {
	for _, rare := range []bool{true, false} {
		for i := range s.traffic {
			t := &s.traffic[i]
			if rare != (t.repeat == once) || !t.between(a) {
				continue
			}
			for _, d := range t.days(s) {
				from := s.at(t, d)
				to := from + int64(t.span()) + int64(t.p.lasts)
				if from <= generated && to >= first && (!ok || from < start) {
					start, ok = from, true
				}
			}
		}
		if ok {
			return start, true
		}
	}
	return 0, false
}

// at returns when the line begins on a day, Unix ns.
func (s *Scenario) at(t *traffic, d int) int64 {
	return s.Start.UnixNano() + int64(d)*int64(day) + int64(t.at)
}

// True returns the true number behind an alert in the time from from to to
// (Unix ns): connections with its peers at its ports, or packets or bits a
// second of floods. ok is false where the lines do not say it to within a
// connection or two: for other units, and where hosts or times are drawn at
// random.
func (s *Scenario) True(a *Alert, unit weir.Unit, from, to int64) (n float64, ok bool) {
	flood := unit == weir.UnitPacketsPerS || unit == weir.UnitBitsPerS
	if to <= from || !flood && unit != weir.UnitConnections {
		return 0, false
	}
	for i := range s.traffic {
		t := &s.traffic[i]
		if !t.between(a) || flood != (t.shape.plan == planFlood) {
			continue
		}
		if !flood && !t.exact() {
			return 0, false
		}
		for _, d := range t.days(s) {
			began := s.at(t, d)
			if !flood {
				n += float64(t.begun(from-began-int64(t.p.lasts), to-began-int64(t.p.lasts))) * t.share()
				ok = true
				continue
			}
			if both := min(to, began+int64(t.span())) - max(from, began); both > 0 {
				v := float64(t.p.pps) * float64(both) / float64(to-from)
				if unit == weir.UnitBitsPerS {
					v *= 8 * float64(t.p.size)
				}
				n, ok = n+v, true
			}
		}
	}
	return n, ok
}

// exact reports whether the line says how many connections each pair of hosts
// makes in a stretch of time.
func (t *traffic) exact() bool {
	return !t.random && t.from.pick != randomly && t.to.pick != randomly && t.portN <= 1
}

// share is the part of the rounds in which a given pair of hosts takes part.
func (t *traffic) share() float64 {
	n := 1.0
	for _, h := range []*hosts{&t.from, &t.to} {
		if h.pick == inTurn {
			n = max(n, float64(h.n))
		}
	}
	return 1 / n
}

// begun counts the rounds that begin from from to before to, in ns after the
// line began.
func (t *traffic) begun(from, to int64) uint64 {
	before := func(x int64) uint64 {
		if x <= 0 {
			return 0
		}
		return min((uint64(x)+uint64(t.every)-1)/uint64(t.every), t.count) //nolint:gosec // positive
	}
	return before(to) - before(from)
}

// between reports whether the line is traffic of the own side of an alert with
// one of its peers, at one of its ports.
func (t *traffic) between(a *Alert) bool {
	own := func(h *hosts) bool { return h.holds(a.Own) || slices.ContainsFunc(a.Resource, h.holds) }
	peer := func(h *hosts) bool {
		peers := a.peers()
		return len(peers) == 0 || slices.ContainsFunc(peers, h.holds)
	}
	if (!own(&t.to) || !peer(&t.from)) && (!own(&t.from) || !peer(&t.to)) {
		return false
	}
	if t.shape.plan == planFlood || t.portN == 0 || len(a.Ports) == 0 {
		return true
	}
	return slices.ContainsFunc(t.ports, func(r numbers) bool {
		return slices.ContainsFunc(a.Ports, func(p uint16) bool { return uint64(p) >= r.low && uint64(p) <= r.high })
	})
}

// holds reports whether the address is one of the hosts.
func (h *hosts) holds(a netip.Addr) bool {
	return a.IsValid() && a.Is4() == h.first.Is4() && h.first.Compare(a) <= 0 && a.Compare(h.at(h.n-1)) <= 0
}

// Package habit remembers how a machine calls others when nothing is wrong: the
// share of bare SYNs among its packets, and how many new destinations of a port
// it meets in an hour (detection reference, section 8.10).
package habit

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/service"
)

const (
	// shareEvidence is the number of sampled packets below which the own SYN
	// share is not known: the upper bound of a few packets is high whatever the
	// share is.
	shareEvidence = 100
	shareMemory   = 0.9 // what is kept of the days before at the end of a day
	// maxPorts bounds the ports whose hours are remembered.
	maxPorts = 64
)

// Share is the share of bare SYNs among the packets of the connections that a
// machine opens: of closed days, and of today. The zero value knows nothing.
// Fields are exported for encoding alone.
type Share struct {
	SynPast, XfPast float64
	Syn, Xf         uint64
}

// Add counts packets of today, and the bare SYNs among them.
func (s *Share) Add(syn, packets uint64) { s.Syn, s.Xf = s.Syn+syn, s.Xf+packets }

// Close ends a day, which is learnt or forgotten.
func (s *Share) Close(learn bool) {
	if learn {
		s.SynPast, s.XfPast = shareMemory*s.SynPast+float64(s.Syn), shareMemory*s.XfPast+float64(s.Xf)
	}
	s.Syn, s.Xf = 0, 0
}

// Upper returns the 95 % upper bound of the share on closed days, 0 while the
// evidence does not suffice.
func (s *Share) Upper() float64 {
	n := uint64(s.XfPast)
	if n < shareEvidence {
		return 0
	}
	return baseline.BetaUCB95(min(uint64(s.SynPast), n), n)
}

// Ports counts new destinations by port and hour. The zero value is ready to
// use. Fields are exported for encoding alone.
type Ports struct {
	Now    map[service.Port]uint64
	Past   map[service.Port]*baseline.Rate
	Closed int64 // end of the newest hour that was learnt, Unix ns
}

// Mail is the port of mail between servers, of which many are always gone.
const Mail = 25

// Prior is what is expected of a port before anything is learnt: two
// destinations a day, and for mail five an hour.
func Prior(p service.Port) baseline.Prior {
	if p.Port == Mail {
		return baseline.Prior{A0: 5, B0: 1}
	}
	return baseline.Prior{A0: 2, B0: 24}
}

// Add counts one new destination of a port.
func (p *Ports) Add(port service.Port) {
	if p.Now == nil {
		p.Now = make(map[service.Port]uint64)
	}
	if _, ok := p.Now[port]; ok || len(p.Now) < 16*maxPorts {
		p.Now[port]++
	}
}

// Close ends an hour at time t (Unix ns). Ports for which skip is true, since
// an alert runs, learn nothing. Of too many ports those with the fewest
// destinations are forgotten.
func (p *Ports) Close(t int64, skip func(service.Port) bool) {
	idle := int64(0)
	if p.Closed > 0 {
		idle = (t-p.Closed)/int64(time.Hour) - 1
	}
	p.Closed = t
	if len(p.Now) > 0 && p.Past == nil {
		p.Past = make(map[service.Port]*baseline.Rate)
	}
	for port := range p.Now {
		if p.Past[port] == nil {
			p.Past[port] = &baseline.Rate{}
		}
	}
	for port, r := range p.Past {
		if skip(port) {
			continue
		}
		if idle > 0 {
			r.UpdateIdle(idle, 1, time.Hour, t-int64(time.Hour))
		}
		r.Update(float64(p.Now[port]), 1, time.Hour, t, Prior(port))
	}
	defer clear(p.Now)
	if len(p.Past) <= maxPorts {
		return
	}
	ports := slices.SortedFunc(maps.Keys(p.Past), func(a, b service.Port) int {
		return cmp.Or(cmp.Compare(p.Past[a].A, p.Past[b].A), cmp.Compare(p.Now[a], p.Now[b]), a.Compare(b))
	})
	for _, port := range ports[:len(ports)-maxPorts] {
		delete(p.Past, port)
	}
}

// Surprise returns how surprising so many new destinations of a port within
// some hours are, as the negative decimal logarithm of their probability.
func (p *Ports) Surprise(port service.Port, destinations int, hours float64) float64 {
	r := p.Past[port]
	if r == nil {
		r = &baseline.Rate{}
	}
	return r.Surprise(uint64(max(destinations, 0)), math.Max(hours, 1), Prior(port))
}

const (
	knownLife = 7 * 24 * time.Hour
	knownMax  = 65536
)

// Known is the targets, by hash, that were contacted in the last 7 to 14 days:
// two generations of 7 days, of which a full one is retired early. The zero value
// is empty. Fields are exported for encoding alone.
type Known struct {
	Sets [2]map[uint64]bool
	Gen  int64
}

// Has reports whether a target is known.
func (k *Known) Has(h uint64) bool { return k.Sets[0][h] || k.Sets[1][h] }

// Add makes a target known at time t (Unix ns).
func (k *Known) Add(h uint64, t int64) {
	gen := t / int64(knownLife)
	if k.Sets[0] == nil || gen != k.Gen || len(k.Sets[0]) >= knownMax {
		if gen > k.Gen+1 {
			clear(k.Sets[0])
		}
		k.Sets[1], k.Sets[0], k.Gen = k.Sets[0], make(map[uint64]bool), gen
	}
	k.Sets[0][h] = true
}

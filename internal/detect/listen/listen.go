// Package listen learns which own ports act as services (detection reference,
// section 4.1).
package listen

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weir-net/weir/internal/detect/service"
)

// A port is a service once seen with 8 distinct peer ports, or with 3 of them
// from 2 peers, in 7 days.
const (
	manyPorts = 8
	somePorts = 3
	somePeers = 2
	life      = 7 * 24 * time.Hour
	// most bounds the ports that are followed.
	most = 2048
)

// Port is what is known of an own port that may be a service. Fields are exported
// for encoding alone.
type Port struct {
	Ports   []uint16   // distinct peer ports, at most 8
	Peers   [][16]byte // distinct peers, at most 2
	Last    int64
	Learned bool
}

// Set holds the ports of one resource.
type Set map[service.Port]*Port

// Has reports whether a port has been learnt to be a service.
func (s Set) Has(k service.Port) bool { return s[k] != nil && s[k].Learned }

// See notes that a peer talked to port k from a port of its own in the pane that
// ends at t (Unix ns). Panes come in rising order.
func (s Set) See(k service.Port, peer [16]byte, port uint16, t int64) {
	l := s[k]
	if l == nil {
		l = &Port{}
		s[k] = l
	}
	if t-l.Last > int64(life) {
		*l = Port{}
	}
	l.Last = t
	if l.Learned {
		return
	}
	if len(l.Ports) < manyPorts && !slices.Contains(l.Ports, port) {
		l.Ports = append(l.Ports, port)
	}
	if len(l.Peers) < somePeers && !slices.Contains(l.Peers, peer) {
		l.Peers = append(l.Peers, peer)
	}
	if len(l.Ports) >= manyPorts || len(l.Ports) >= somePorts && len(l.Peers) >= somePeers {
		*l = Port{Last: t, Learned: true}
	}
}

// Prune keeps the set bounded: it drops the candidates silent for longest, learnt
// ports last.
func (s Set) Prune() {
	if len(s) <= most {
		return
	}
	rank := func(p *Port) int {
		if p.Learned {
			return 1
		}
		return 0
	}
	keys := slices.SortedFunc(maps.Keys(s), func(a, b service.Port) int {
		x, y := s[a], s[b]
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Last, y.Last), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
	})
	for _, k := range keys[:len(keys)-most/2] {
		delete(s, k)
	}
}

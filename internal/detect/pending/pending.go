// Package pending keeps the contacts of a pane until it is closed, and gives them back
// by resource in one canonical order, whatever the order in which they came.
package pending

import (
	"cmp"
	"slices"

	"github.com/weir-net/weir"
)

// Pieces hold from leastPiece to mostPiece contacts, each twice as many as the one
// before: contacts do not move, and a pane of few takes little room.
const (
	leastPiece = 8
	mostPiece  = 1024
)

// Pane is the contacts of an open pane. The zero value is empty. It is not safe for
// concurrent use.
type Pane struct {
	pieces [][]weir.Contact
	n      int
}

// Of returns a pane with the contacts, which belong to it from then on.
func Of(cs []weir.Contact) *Pane { return &Pane{pieces: [][]weir.Contact{cs}, n: len(cs)} }

// Add adds a copy of a contact.
func (p *Pane) Add(c *weir.Contact) {
	last := len(p.pieces) - 1
	if last < 0 || len(p.pieces[last]) == cap(p.pieces[last]) {
		size := leastPiece
		if last >= 0 {
			size = min(2*cap(p.pieces[last]), mostPiece)
		}
		p.pieces = append(p.pieces, make([]weir.Contact, 0, max(size, leastPiece)))
		last++
	}
	p.pieces[last] = append(p.pieces[last], *c)
	p.n++
}

// Len returns the number of contacts.
func (p *Pane) Len() int { return p.n }

// All returns copies of the contacts, in the order in which they came.
func (p *Pane) All() []weir.Contact { return slices.Concat(p.pieces...) }

// Group is the contacts of one resource.
type Group struct {
	// Key is that of the resource.
	Key     uint64
	entries []entry
	n       int
}

// entry is a contact with what nearly always tells its place.
type entry struct {
	end int64
	c   *weir.Contact
}

func compareEntries(a, b entry) int {
	if a.end != b.end {
		return cmp.Compare(a.end, b.end)
	}
	return Compare(a.c, b.c)
}

// Order sorts panes, one after another. It keeps the room that it needs for that.
type Order struct {
	entries []entry
	at      map[uint64]int
	sorted  []weir.Contact
}

// Take returns the contacts of a pane by resource, in order of key. They are valid
// until the next call.
func (o *Order) Take(p *Pane) []Group {
	if o.at == nil {
		o.at = make(map[uint64]int)
	}
	clear(o.at)
	var groups []Group
	for _, piece := range p.pieces {
		for i := range piece {
			k := keyOf(&piece[i])
			g, ok := o.at[k]
			if !ok {
				g = len(groups)
				o.at[k] = g
				groups = append(groups, Group{Key: k})
			}
			groups[g].n++
		}
	}
	clear(o.entries) // of the pane before, which may go
	o.entries = slices.Grow(o.entries[:0], p.n)[:p.n]
	from := 0
	for i := range groups {
		g := &groups[i]
		g.entries = o.entries[from : from : from+g.n]
		from += g.n
	}
	for _, piece := range p.pieces {
		for i := range piece {
			c := &piece[i]
			g := &groups[o.at[keyOf(c)]]
			g.entries = append(g.entries, entry{c.End, c})
		}
	}
	for i := range groups {
		slices.SortFunc(groups[i].entries, compareEntries)
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Key, b.Key) })
	return groups
}

// Contacts returns copies of the contacts of a group in canonical order. They are
// valid until the next call.
func (o *Order) Contacts(g Group) []weir.Contact {
	o.sorted = o.sorted[:0]
	for _, e := range g.entries {
		o.sorted = append(o.sorted, *e.c)
	}
	return o.sorted
}

// keyOf returns the key of the resource of a contact.
func keyOf(c *weir.Contact) uint64 {
	if c.Key != 0 {
		return c.Key
	}
	return c.Resource.Key()
}

// Compare orders the contacts of one resource. It is a total order up to equality of
// everything a rule looks at, so equal contacts may swap.
func Compare(a, b *weir.Contact) int {
	// Nearly all are told apart by these.
	if c := cmp.Compare(a.End, b.End); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Start, b.Start); c != 0 {
		return c
	}
	if c := a.Peer.Compare(b.Peer); c != 0 {
		return c
	}
	return cmp.Or(
		a.Own.Compare(b.Own), cmp.Compare(a.Proto, b.Proto),
		cmp.Compare(a.Out.Packets, b.Out.Packets), cmp.Compare(a.In.Packets, b.In.Packets),
		cmp.Compare(a.Out.Bytes, b.Out.Bytes), cmp.Compare(a.In.Bytes, b.In.Bytes),
		cmp.Compare(a.Out.Flags, b.Out.Flags), cmp.Compare(a.In.Flags, b.In.Flags),
		cmp.Compare(a.Sampling, b.Sampling), cmp.Compare(a.SamplingSource, b.SamplingSource),
		cmp.Compare(a.Known, b.Known), cmp.Compare(a.LogOdds, b.LogOdds), cmp.Compare(a.Action, b.Action),
		a.Exporter.Compare(b.Exporter), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Interface, b.Interface),
		cmp.Compare(a.Leg, b.Leg), compareBool(a.FromOwn, b.FromOwn), compareBool(a.Allowed, b.Allowed),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

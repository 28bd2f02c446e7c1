// Package tally sums up what was seen of one peer, or of many, in a stretch of
// time.
package tally

import (
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/portset"
)

// Tally is what was seen of one key in one slot, in the direction of the
// session: f is client to server, r server to client.
type Tally struct {
	Xf, Xr uint64 // sampled packets
	Bf, Br uint64 // bytes
	Syn    uint64 // sampled client packets with SYN and no ACK
	Ctl    uint64 // sampled client packets with SYN, FIN or RST
	Recs   uint64 // records with client packets
	SynRec uint64 // of these, records of nothing but one SYN
	Starts uint64 // records that begin a connection
	Done   uint64 // connections whose handshake completed, as far as is known
	Within uint64 // connections whose packets fit the service range
	Nx     uint64 // sum of sampling interval over client packets or records
	Nw     uint64 // its weight
	Ports  portset.Set
	First  int64
	Last   int64
	NoRate bool // some record has no known rate
	Thin   bool // some record is sampled
	Joined bool // some connections may be in records of several exporters
	Lacks  weir.Fields
	Source weir.SamplingSource
	Seen   bool // something was merged into it
	// Burst is the largest number of connections that began within one second.
	Burst uint64
}

// Merge adds what another slot or peer showed.
func (c *Tally) Merge(o *Tally) {
	if !c.Seen {
		c.First, c.Last, c.Seen = o.First, o.Last, true
	}
	c.First, c.Last = min(c.First, o.First), max(c.Last, o.Last)
	c.Xf, c.Xr, c.Bf, c.Br = c.Xf+o.Xf, c.Xr+o.Xr, c.Bf+o.Bf, c.Br+o.Br
	c.Syn, c.Ctl, c.Recs, c.SynRec = c.Syn+o.Syn, c.Ctl+o.Ctl, c.Recs+o.Recs, c.SynRec+o.SynRec
	c.Starts, c.Done, c.Within = c.Starts+o.Starts, c.Done+o.Done, c.Within+o.Within
	c.Nx, c.Nw = c.Nx+o.Nx, c.Nw+o.Nw
	c.Ports.Union(&o.Ports)
	c.NoRate, c.Thin, c.Lacks = c.NoRate || o.NoRate, c.Thin || o.Thin, c.Lacks|o.Lacks
	c.Joined = c.Joined || o.Joined
	c.Source, c.Burst = max(c.Source, o.Source), max(c.Burst, o.Burst)
}

// Rate returns the effective sampling interval of the evidence, the mean
// weighted by packets; 0 when it is not known, 1 when nothing was sampled.
func (c *Tally) Rate() uint32 {
	switch {
	case c.NoRate || c.Nw == 0:
		return 0
	case !c.Thin:
		return 1
	}
	return uint32(min(max((c.Nx+c.Nw/2)/c.Nw, 1), 1<<31))
}

// Distinct returns D, the number of distinct client ports, a lower bound on
// the connections seen.
func (c *Tally) Distinct() uint64 { return c.Ports.Len() }

// Connections returns the number of connections seen. Where flags tell, a
// record that holds the SYN begins one; other records count once per client
// port and slot. It never falls below D.
func (c *Tally) Connections() uint64 { return max(c.Starts, c.Distinct()) }

// Has reports whether no record lacked the fields.
func (c *Tally) Has(f weir.Fields) bool { return c.Lacks&f == 0 }

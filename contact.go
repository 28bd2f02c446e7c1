package weir

import "net/netip"

// Counters are the sampled counts of one direction, as observed.
type Counters struct {
	Packets, Bytes uint64
	Flags          uint16 // OR of the TCP control bits
}

// Leg tells on which side of a load balancer a contact was seen.
type Leg uint8

// Legs.
const (
	// FrontLeg is traffic on an own address of the resource; rules count it.
	FrontLeg Leg = iota
	// BackLeg is traffic between a load balancer and a member of its pool; it
	// is evidence for backend attribution only.
	BackLeg
)

// Contact is one flow seen from one protected resource; traffic between two
// resources makes two.
type Contact struct {
	Resource *Resource
	// Key is the key of the resource, 0 where it was not worked out.
	Key  uint64
	Own  netip.AddrPort
	Peer netip.AddrPort
	// Start and End are event times.
	Start, End int64
	// Out counts own to peer, In counts peer to own.
	Out, In Counters
	// LogOdds is log10 of the odds that the own end is the client, without the
	// term of learnt listeners, which the detectors add. Source: detection
	// reference, front of the pipeline.
	LogOdds        float32
	Sampling       uint32 // 1-in-N; 0 unknown
	SamplingSource SamplingSource
	Proto          uint8
	Known          Fields
	Action         Action
	Leg            Leg
	Format         Format
	// Member is the id of the pool member on a back leg of its balancer; empty
	// elsewhere. The member is the own end where it is reached, or speaks, by its
	// own address, and the peer where the balancer speaks to it.
	Member string
	// FromOwn tells that the record as exported runs from own to peer. On a
	// unidirectional record the other direction was not part of it.
	FromOwn bool
	// PeerIsOwn tells that the peer is a protected resource too.
	PeerIsOwn bool
	// Allowed tells that the peer is on the allow list: it counts for what is
	// normal and is never reported.
	Allowed bool
	// Exporter and Interface identify the counting point.
	Exporter  netip.Addr
	Domain    uint32
	Interface uint32
	// PeerIntel and OwnIntel are the indicators that match the ends, nil for
	// none; shared and immutable.
	PeerIntel, OwnIntel *Verdict
}

// Category is what an indicator says of an address.
type Category string

// Categories of indicators.
const (
	CategoryC2         Category = "c2"
	CategoryInfected   Category = "infected"
	CategorySinkhole   Category = "sinkhole"
	CategoryScanner    Category = "scanner"
	CategoryBruteForce Category = "bruteforce"
	CategoryMalicious  Category = "malicious"
	CategoryBenign     Category = "benign"
)

// Valid reports whether c is one of the seven categories.
func (c Category) Valid() bool {
	switch c {
	case CategoryC2, CategoryInfected, CategorySinkhole, CategoryScanner, CategoryBruteForce, CategoryMalicious, CategoryBenign:
		return true
	}
	return false
}

// Indicator is one statement of one source about an address or prefix.
type Indicator struct {
	Prefix     netip.Prefix `json:"indicator"`
	Port       uint16       `json:"port,omitempty"`  // 0 any
	Proto      uint8        `json:"proto,omitempty"` // 0 any
	Category   Category     `json:"category"`
	Family     string       `json:"family,omitempty"`
	Source     string       `json:"source"`
	Confidence float64      `json:"confidence"` // base score, 0 to 100
	FirstSeen  int64        `json:"firstSeen,omitempty"`
	LastSeen   int64        `json:"lastSeen,omitempty"` // 0: the source tells none
	Expiry     int64        `json:"expiry,omitempty"`   // 0: none
}

// Verdict is all that the loaded sources say about one address, in a stable
// order (category, source, family, prefix, port).
type Verdict struct {
	Indicators []*Indicator
}

// Benign reports whether a warning list names the address.
func (v *Verdict) Benign() bool {
	if v == nil {
		return false
	}
	for _, i := range v.Indicators {
		if i.Category == CategoryBenign {
			return true
		}
	}
	return false
}

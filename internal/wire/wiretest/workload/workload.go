// Package workload rebuilds the reference workload, on which Weir and other
// programs are measured: flows of 4,000 protected resources and 600,000 peers,
// from a seed, spelled as IPFIX, NetFlow version 9 and 5, sFlow version 5 and
// as a packet capture. The same seed gives the same bytes, held by the digests
// of [Streams].
//
// A stream of datagrams has the length of each datagram in front of it, as 32
// bits, big-endian. A capture is a file as it is.
package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand" //nolint:depguard // the streams are defined by the numbers of this generator
)

// The shape of the population.
const (
	pairs     = 1_000_000
	resources = 4_000
	peers     = 600_000
	seed      = 42
)

// Times in Unix ms: the end of the first flow, and when the exporter came up.
const (
	base = 1_760_000_000_000
	boot = base - 3_600_000
	span = 300_000 // from the first end to the last
)

// Sampling is N of the 1-in-N packet sampling that every record tells.
const Sampling = 1000

// Flow is one flow of the workload. IPv4 addresses are mapped to IPv6.
type Flow struct {
	Src, Dst         [16]byte
	Six              bool
	SrcPort, DstPort uint16
	Proto, Flags     uint8
	Packets, Bytes   uint32
	Start, End       int64 // Unix ms
	Input, Output    uint32
}

// pair is one slot of the population.
type pair struct {
	resource, peer [16]byte
	service        uint16
	six            bool
}

// Generator gives the flows of one stream in their order.
type Generator struct {
	r          *rand.Rand
	popularity *rand.Zipf
	population []pair
	i, n       int64
}

// NewGenerator returns a generator of n flows, at least 1. Fewer flows are not
// the beginning of more: their times are spread over the same 300 seconds.
func NewGenerator(n int) *Generator {
	r := rand.New(rand.NewSource(seed)) //nolint:gosec // the streams are defined by the numbers of this generator
	g := &Generator{r: r, population: make([]pair, pairs), n: int64(max(n, 1))}
	resource := rand.NewZipf(r, 1.1, 20, resources-1)
	for i := range g.population {
		res := uint32(resource.Uint64()) //nolint:gosec // below resources
		peer := uint32(r.Intn(peers))    //nolint:gosec // below peers
		g.population[i] = newPair(res, peer, r.Intn(100) < 15)
	}
	g.popularity = rand.NewZipf(r, 1.02, 20_000, pairs-1)
	return g
}

// mix is the 32-bit mixer of the workload.
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// newPair returns the slot of a resource and a peer.
func newPair(resource, peer uint32, six bool) pair {
	services := [...]uint16{443, 80, 53, 22, 3389, 1433, 3306, 5432, 25, 123, 8080, 445}
	p := pair{six: six, service: services[mix(resource*31+peer)%uint32(len(services))]}
	if six {
		put32(p.resource[:], 0x26031030)
		put32(p.resource[12:], resource)
		put32(p.peer[:], 0x2a000000)
		put32(p.peer[4:], mix(peer))
		put32(p.peer[12:], peer)
		return p
	}
	a := mix(peer)
	if first := a >> 24; first == 20 || first == 0 {
		a ^= 0x40000000
	}
	for _, b := range []*[16]byte{&p.resource, &p.peer} {
		b[10], b[11] = 0xff, 0xff
	}
	put32(p.resource[12:], 20<<24+resource)
	put32(p.peer[12:], a)
	return p
}

// Next returns the next flow; false after the last one.
func (g *Generator) Next() (Flow, bool) {
	if g.i == g.n {
		return Flow{}, false
	}
	r := g.r
	p := &g.population[g.popularity.Uint64()]
	ephemeral := uint16(32768 + r.Intn(28_000)) //nolint:gosec // below 2^16
	f := Flow{Six: p.six}
	switch r.Intn(4) {
	case 0: // incoming
		f.Src, f.SrcPort, f.Dst, f.DstPort = p.peer, ephemeral, p.resource, p.service
	case 1: // its reply
		f.Src, f.SrcPort, f.Dst, f.DstPort = p.resource, p.service, p.peer, ephemeral
	case 2: // outgoing
		f.Src, f.SrcPort, f.Dst, f.DstPort = p.resource, ephemeral, p.peer, p.service
	default: // its reply
		f.Src, f.SrcPort, f.Dst, f.DstPort = p.peer, p.service, p.resource, ephemeral
	}
	f.Proto = 17
	if p.service != 53 && p.service != 123 {
		f.Proto = 6
		f.Flags = [...]uint8{0x02, 0x12, 0x18, 0x1b, 0x10}[r.Intn(5)]
	}
	f.Packets = uint32(1 + r.Intn(3)) //nolint:gosec // small
	if r.Intn(10) == 0 {
		f.Packets += uint32(r.Intn(1000)) //nolint:gosec // small
	}
	f.Bytes = f.Packets * uint32(64+r.Intn(1400)) //nolint:gosec // small
	f.End = base + g.i*span/g.n
	f.Start = f.End - int64(r.Intn(20_000))
	f.Input, f.Output = uint32(1+r.Intn(48)), uint32(1+r.Intn(48)) //nolint:gosec // small
	g.i++
	return f, true
}

// Sum is the checksum of records, modulo 2^64: of each its bytes, its start in
// Unix ms, its destination port and byte 12 of its source address as 16 bytes.
type Sum uint64

// Add adds one record.
func (s *Sum) Add(bytes uint64, startMillis int64, dstPort uint16, src [16]byte) {
	*s += Sum(bytes + uint64(startMillis) + uint64(dstPort) + uint64(src[12])) //nolint:gosec // modulo 2^64
}

// Totals say what a stream holds.
type Totals struct {
	Records   int    // flows
	Six       int    // IPv6 flows among them
	Datagrams int    // packets of a capture
	Templates int    // datagrams among them that hold templates
	Payload   int64  // bytes, without the lengths in front of the datagrams
	Checksum  Sum    // of the records as the format tells them
	SHA256    string // of the stored stream
}

// Stream is one spelling of the workload.
type Stream struct {
	Name    string
	Capture bool   // a capture, not datagrams
	Full    int    // flows of the full stream
	Want    Totals // of the full stream
	encoder func(*sink) encoder
}

// Streams are the spellings of the workload with their digests.
func Streams() []Stream {
	six := 754_549
	return []Stream{
		{
			Name: "ipfix", Full: 5_000_000, encoder: newIPFIX,
			Want: Totals{Records: 5_000_000, Six: six, Datagrams: 218_924, Templates: 110, Payload: 297_504_376, Checksum: 8_800_001_020_688_356_555, SHA256: "b2095d4dd59334bf992e111ba7b619b1ad8280125a93b20258de9cb269ec2a7d"},
		},
		{
			Name: "netflow-v9", Full: 5_000_000, encoder: newNetFlow9,
			Want: Totals{Records: 5_000_000, Six: six, Datagrams: 218_924, Templates: 110, Payload: 258_463_916, Checksum: 8_800_001_018_190_495_919, SHA256: "181b94fed3d85e4238c223ff530954471c91354dc42a72522abfe547e3cf83a1"},
		},
		{
			Name: "netflow-v5", Full: 5_000_000, encoder: newNetFlow5,
			Want: Totals{Records: 5_000_000, Six: six, Datagrams: 166_667, Payload: 244_000_008, Checksum: 8_800_001_020_688_356_555, SHA256: "546d2f970088ee9ef4f3451650765008e3cbefa7f87518d955e514637ab9fb47"},
		},
		{
			Name: "sflow-v5", Full: 2_000_000, encoder: newSFlow,
			Want: Totals{Records: 2_000_000, Six: 301_766, Datagrams: 333_334, Payload: 441_333_352, Checksum: 50_860_181_876, SHA256: "9c81cf932d2cc58ec23a8300a3c36d74aba92acfb5021d9e48933cb2f02a7dbb"},
		},
		{
			Name: "pcap", Capture: true, Full: 3_000_000, encoder: newCapture,
			Want: Totals{Records: 3_000_000, Six: 453_088, Datagrams: 3_000_000, Payload: 809_429_346, Checksum: 5_280_000_523_921_357_766, SHA256: "41dd92bf39c7ebe74a6c7c2c74744f7fe4e4c079b3e0ee7200b1e12a63b00851"},
		},
	}
}

// Lookup returns the stream of that name; false for none.
func Lookup(name string) (Stream, bool) {
	for _, s := range Streams() {
		if s.Name == name {
			return s, true
		}
	}
	return Stream{}, false
}

// Write writes the stream with that many flows to w and returns what it holds.
// Memory does not grow with the number of flows.
func (s Stream) Write(w io.Writer, flows int) (Totals, error) {
	digest := sha256.New()
	out := &sink{w: io.MultiWriter(w, digest), capture: s.Capture}
	e := s.encoder(out)
	g := NewGenerator(flows)
	for f, ok := g.Next(); ok; f, ok = g.Next() {
		out.totals.Records++
		if f.Six {
			out.totals.Six++
		}
		e.add(&f)
		if out.err != nil {
			break
		}
	}
	e.flush()
	out.totals.SHA256 = hex.EncodeToString(digest.Sum(nil))
	if out.err != nil {
		return out.totals, fmt.Errorf("write the stream %s: %w", s.Name, out.err)
	}
	return out.totals, nil
}

// Check compares the totals of the full stream with what they must be.
func (s Stream) Check(got Totals) error {
	if got != s.Want {
		return fmt.Errorf("the stream %s is not the reference workload: it holds %+v, want %+v", s.Name, got, s.Want)
	}
	return nil
}

// Survey are counts of the flows of a stream.
type Survey struct {
	Pairs      int // unordered pairs of addresses
	Directed   int // ordered pairs
	MostOfOne  int // the most flows of an unordered pair
	PairsOfOne int // unordered pairs with one flow
	Four, Six  int // flows by family
}

// Reference is the survey of 5,000,000 flows.
func Reference() Survey {
	return Survey{Pairs: 886_977, Directed: 1_440_552, MostOfOne: 95, PairsOfOne: 191_531, Four: 4_245_451, Six: 754_549}
}

// Count surveys that many flows.
func Count(flows int) Survey {
	type ends struct{ a, b [16]byte }
	both, one := map[ends]int{}, map[ends]struct{}{}
	var s Survey
	g := NewGenerator(flows)
	for f, ok := g.Next(); ok; f, ok = g.Next() {
		if f.Six {
			s.Six++
		} else {
			s.Four++
		}
		one[ends{f.Src, f.Dst}] = struct{}{}
		a, b := f.Src, f.Dst
		if string(a[:]) > string(b[:]) {
			a, b = b, a
		}
		both[ends{a, b}]++
	}
	s.Pairs, s.Directed = len(both), len(one)
	for _, n := range both {
		s.MostOfOne = max(s.MostOfOne, n)
		if n == 1 {
			s.PairsOfOne++
		}
	}
	return s
}

package engine

import (
	"math"
	"math/rand/v2"

	"github.com/weir-net/weir"
)

// thinner thins the packets of flows 1-in-n at random, reproducibly: the same
// input, n and seed give the same flows. It shows what would be seen at that
// sampling rate; random 1-in-n sampling of packets is a binomial thinning of
// the packets of each flow (RFC 5475, section 5.2.2.3).
type thinner struct {
	n   uint32
	rng *rand.Rand
}

func newThinner(n uint32, seed uint64) *thinner {
	return &thinner{n: n, rng: rand.New(rand.NewPCG(seed, 0x77656972))} //nolint:gosec // a simulation, not a secret
}

// batch thins flows in place and returns those of which something is left.
func (t *thinner) batch(flows []weir.Flow) []weir.Flow {
	kept := flows[:0]
	for i := range flows {
		if f := flows[i]; t.flow(&f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// flow thins one flow in place and reports whether anything of it is left. A
// flow without a count of packets counts as one packet.
func (t *thinner) flow(f *weir.Flow) bool {
	if f.Sampling > 0 {
		f.Sampling = uint32(min(uint64(f.Sampling)*uint64(t.n), math.MaxUint32))
	}
	if !f.Known.Has(weir.HasPackets) {
		return t.rng.Uint32N(t.n) == 0
	}
	fwd, rev := f.Packets, f.RevPackets
	f.Packets, f.TCPFlags, f.Bytes = t.direction(fwd, f.TCPFlags, f.Bytes)
	if f.Known.Has(weir.HasReverse) {
		f.RevPackets, f.RevTCPFlags, f.RevBytes = t.direction(rev, f.RevTCPFlags, f.RevBytes)
	}
	kept := f.Packets + f.RevPackets
	if kept == 0 {
		return false
	}
	if kept < fwd+rev && f.End > f.Start {
		t.times(f, kept)
	}
	return true
}

// direction thins the packets of one direction. SYN belongs to the first
// packet, FIN and RST to the last, the other bits to all but the first.
func (t *thinner) direction(packets uint64, flags uint16, bytes uint64) (kept uint64, keptFlags uint16, keptBytes uint64) {
	if packets == 0 {
		return 0, 0, 0
	}
	if t.n == 1 {
		return packets, flags, bytes
	}
	const ends = weir.FIN | weir.RST
	if packets == 1 {
		if t.rng.Uint32N(t.n) != 0 {
			return 0, 0, 0
		}
		return 1, flags, bytes
	}
	first, last := t.rng.Uint32N(t.n) == 0, t.rng.Uint32N(t.n) == 0
	middle := t.binomial(packets - 2)
	if first {
		kept++
		keptFlags |= flags & weir.SYN
		if flags&weir.SYN == 0 {
			keptFlags |= flags &^ ends
		}
	}
	if middle > 0 {
		keptFlags |= flags &^ (weir.SYN | ends)
	}
	if last {
		kept++
		keptFlags |= flags &^ weir.SYN
	}
	kept += middle
	keptBytes = uint64(math.Round(float64(bytes) * float64(kept) / float64(packets)))
	return kept, keptFlags, keptBytes
}

// binomial draws from Binomial(k, 1/n): by the gaps between kept packets, whose
// lengths are geometric, as long as few are expected, else by the normal
// approximation.
func (t *thinner) binomial(k uint64) uint64 {
	if k == 0 {
		return 0
	}
	p := 1 / float64(t.n)
	mean := float64(k) * p
	if mean > 1000 {
		x := math.Round(mean + t.rng.NormFloat64()*math.Sqrt(mean*(1-p)))
		return uint64(min(max(x, 0), float64(k)))
	}
	var kept uint64
	at := 0.0
	for {
		at += 1 + math.Floor(math.Log(1-t.rng.Float64())/math.Log1p(-p))
		if at > float64(k) {
			return kept
		}
		kept++
	}
}

// times draws the times of the first and last kept packet: the extremes of kept
// uniform times.
func (t *thinner) times(f *weir.Flow, kept uint64) {
	span := float64(f.End - f.Start)
	// The largest of m uniform numbers is u^(1/m); given it, the smallest is the
	// complement of the largest of the other m-1.
	m := float64(kept)
	high := math.Pow(t.rng.Float64(), 1/m)
	low := high
	if kept > 1 {
		low = high * (1 - math.Pow(t.rng.Float64(), 1/(m-1)))
	}
	start := f.Start
	f.Start, f.End = start+int64(low*span), start+int64(high*span)
}

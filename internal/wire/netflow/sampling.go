package netflow

import (
	"math"

	weir "github.com/weir-net/weir"
)

// rate is N of 1-in-N packet sampling and who said so.
type rate struct {
	n      uint32
	source weir.SamplingSource
}

// samplers is what options records told about sampling in one domain.
type samplers struct {
	wide       uint32            // of the whole domain, 0 unknown
	selectors  map[uint64]uint32 // by selector or sampler id
	interfaces map[uint32]uint32 // by interface
	// rates counts the selectors of each rate: where there is but one rate, it
	// is that of every record, whichever selector took it.
	rates map[uint32]int
}

// Bounds of the samplers that are remembered: each domain has maxOwnSamplers
// for sure, and all domains share maxSamplers beyond.
const (
	maxOwnSamplers = 16
	maxSamplers    = 1 << 16
)

func (s *samplers) count() int { return len(s.selectors) + len(s.interfaces) }

// setSelector remembers the rate of a selector.
func (s *samplers) setSelector(id uint64, n uint32) {
	if s.selectors == nil {
		s.selectors, s.rates = make(map[uint64]uint32), make(map[uint32]int)
	}
	if old, ok := s.selectors[id]; ok {
		if old == n {
			return
		}
		if s.rates[old]--; s.rates[old] == 0 {
			delete(s.rates, old)
		}
	}
	s.selectors[id] = n
	s.rates[n]++
}

// setInterface remembers the rate of an interface.
func (s *samplers) setInterface(id, n uint32) {
	if s.interfaces == nil {
		s.interfaces = make(map[uint32]uint32)
	}
	s.interfaces[id] = n
}

// forDomain is the rate of records that name no selector, or, with named, of
// those that name one of which nothing is known.
func (s *samplers) forDomain(named bool) uint32 {
	if s.wide == 0 && !named && len(s.rates) == 1 {
		for n := range s.rates {
			return n
		}
	}
	return s.wide
}

// rateFor resolves the rate of records that tell none, from the strongest word
// to the weakest: the operator's order, options of the domain, options that the
// exporter gave for itself as a whole (domain 0, RFC 7011, section 3.1), the
// header, the operator's default.
func (s *domain) rateFor(m *message, named bool) rate {
	if m.forced != 0 {
		return rate{n: m.forced, source: weir.SamplingConfig}
	}
	if n := s.sampling.forDomain(named); n != 0 {
		return rate{n: n, source: weir.SamplingOptions}
	}
	if m.whole != nil {
		if n := m.whole.sampling.forDomain(named); n != 0 {
			return rate{n: n, source: weir.SamplingOptions}
		}
	}
	if m.header != 0 {
		return rate{n: m.header, source: weir.SamplingHeader}
	}
	if m.configured != 0 {
		return rate{n: m.configured, source: weir.SamplingConfig}
	}
	return rate{}
}

// bySelector gives each record the rate of the selector that it names, where
// options records told it.
func (s *domain) bySelector(o *op, m *message, data []byte, stride int, out []weir.Flow) {
	at := int(o.off)
	var last uint64
	var n uint32
	for i := range out {
		id := load(data[at : at+int(o.len)])
		at += stride
		if i == 0 || id != last {
			last, n = id, s.sampling.selectors[id]
			if n == 0 && m.whole != nil {
				n = m.whole.sampling.selectors[id]
			}
		}
		if n != 0 {
			out[i].Sampling, out[i].SamplingSource = n, weir.SamplingOptions
		}
	}
}

// byInterface gives records the rate of their interface, where options records
// told it: that of the input, else of the output.
func (s *domain) byInterface(out []weir.Flow) {
	for i := range out {
		n := s.sampling.interfaces[out[i].InputIf]
		if n == 0 {
			n = s.sampling.interfaces[out[i].OutputIf]
		}
		if n != 0 {
			out[i].Sampling, out[i].SamplingSource = n, weir.SamplingOptions
		}
	}
}

// ratio turns a pair of numbers into N of 1-in-N, rounded to the nearest; 0
// when they make no sense. RFC 5477, section 8.2: n-out-of-N, and so many
// packets taken after so many skipped.
func ratio(s slot, a, b uint64) uint32 {
	if a == 0 || a > math.MaxUint32 || b > math.MaxUint32 {
		return 0
	}
	if s == slotCountInterval {
		b += a
	}
	if b < a {
		return 0
	}
	return clampRate((b + a/2) / a)
}

// fromProbability turns a float64 or float32 probability into N of 1-in-N; 0
// when it is none.
func fromProbability(bits uint64, length int) uint32 {
	p := math.Float64frombits(bits)
	if length == 4 {
		p = float64(math.Float32frombits(uint32(bits))) //nolint:gosec // 32 bits
	}
	if !(p > 0 && p <= 1) { // not a number is no probability either
		return 0
	}
	return clampRate(uint64(min(1/p+0.5, math.MaxUint32)))
}

// clampRate fits a rate in 32 bits. A rate beyond is no rate.
func clampRate(n uint64) uint32 {
	if n > math.MaxUint32 {
		return 0
	}
	return uint32(n)
}

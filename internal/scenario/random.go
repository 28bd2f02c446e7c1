package scenario

import (
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
)

// random draws whole numbers only, so that a scenario gives the same flows on
// every machine: no rounding of a floating-point unit takes part.
type random struct{ *rand.PCG }

// newRandom returns the stream of numbers of a name, a seed, a line and a
// purpose.
func newRandom(name string, seed uint64, line, purpose int) random {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))                                                           // never fails
	const golden = 0x9e3779b97f4a7c15                                                      // the golden ratio in 64 bits spreads small numbers
	return random{rand.NewPCG(h.Sum64()^seed*golden, uint64(line)*golden+uint64(purpose))} //nolint:gosec // any bits do
}

// below returns a number from 0 to n-1, n being at least 1. The bias is below
// n/2^64.
func (r random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.Uint64(), n)
	return hi
}

// in returns a number of a range.
func (r random) in(n numbers) uint64 { return n.low + r.below(n.high-n.low+1) }

// exponential returns an exponentially distributed number of the mean, by von
// Neumann's method of comparing uniform numbers (J. von Neumann, Various
// techniques used in connection with random digits, 1951).
func (r random) exponential(mean uint64) uint64 {
	for whole := range uint64(64) {
		first := r.Uint64()
		last, n := first, 1
		for {
			next := r.Uint64()
			if next >= last {
				break
			}
			last = next
			n++
		}
		if n%2 == 1 {
			fraction, _ := bits.Mul64(first, mean)
			return whole*mean + fraction
		}
	}
	return 64 * mean
}

// mulDiv returns a*b/c without overflow of the product; c is at least 1 and the
// result fits, which b <= c ensures.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

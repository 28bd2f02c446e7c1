package scenario

import "math/bits"

// thinner decides which packets are taken: every one by itself with probability
// 1/n, which is random 1-in-n packet sampling; or, with a counter, each n-th of
// all that it is asked about (RFC 5475, section 5.1.1). It goes from one packet
// that is taken to the next: what is not sampled costs nothing.
type thinner struct {
	random
	n       uint64   // 0 and 1 take every packet
	counter *uint64  // nil samples at random
	digits  []uint64 // see gapDigits
	gap     uint64   // packets before the next one that is taken, at random
}

func newThinner(r random, n uint32, counter *uint64) thinner {
	t := thinner{random: r, n: uint64(n), counter: counter}
	if t.n > 1 && counter == nil {
		t.digits = gapDigits(t.n)
		t.gap = t.draw()
	}
	return t
}

// all reports whether every packet is taken.
func (t *thinner) all() bool { return t.n <= 1 }

// next goes on to the next packet that is taken, when that is one of the next
// left packets, and returns how many it passed before that one. If none of them
// is taken, ok is false and all of them are passed.
func (t *thinner) next(left uint64) (passed uint64, ok bool) {
	switch {
	case t.n <= 1:
		return 0, left > 0
	case t.counter != nil:
		if passed = t.n - 1 - *t.counter%t.n; passed >= left {
			*t.counter += left
			return left, false
		}
		*t.counter += passed + 1
		return passed, true
	case t.gap >= left:
		t.gap -= left
		return left, false
	}
	passed = t.gap
	t.gap = t.draw()
	return passed, true
}

// draw returns the number of packets before the next one that is taken: the
// failures before a success of probability 1/n.
func (t *thinner) draw() (gap uint64) {
	for i, d := range t.digits {
		if t.Uint64() < d {
			gap |= 1 << i
		}
	}
	return gap
}

// gapDigits returns the probability, in units of 2^-64, that a binary digit of a
// geometric number is one, from the lowest digit on. With q = 1-1/n, P(g) is
// proportional to q^g, which is a product over the digits of g: so they are
// independent, and digit i is one with q^(2^i)/(1+q^(2^i)). Digits above the
// last one would be ones with less than 2^-64.
func gapDigits(n uint64) []uint64 {
	one, _ := bits.Div64(1, 0, n) // 2^64/n
	var out []uint64
	for q := -one; q > 0; q, _ = bits.Mul64(q, q) {
		d, _ := bits.Div64(q>>1, q<<63, 1<<63+q>>1) // q/2^64 / (1+q/2^64) in 2^-64
		out = append(out, d)
	}
	return out
}

package baseline

// coverageMature is the coverage from which an allow-set may be used.
const coverageMature = 0.98

// Coverage returns the Good-Turing coverage 1-f1/n of a set of peers learnt from
// n peer-days of which f1 belong to peers seen once, and whether it reaches 0.98
// (the set must be 14 days old besides). It is 0 and not mature for n = 0.
func Coverage(f1, n uint64) (c float64, mature bool) {
	if n == 0 {
		return 0, false
	}
	c = float64(n-min(f1, n)) / float64(n)
	return c, c >= coverageMature
}

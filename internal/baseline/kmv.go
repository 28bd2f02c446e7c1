package baseline

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// KMVEntry is one key kept by a KMV sketch.
type KMVEntry struct {
	Hash  uint64 `json:"hash"`
	Count uint64 `json:"count"`
	Key   string `json:"key,omitempty"`
}

// KMV is a bottom-k sketch with a counter for every kept key: the k keys with
// the smallest hashes. It depends only on the multiset of what was added, never
// on the order, and the counter of a kept key is exact, because a key among the
// k smallest at the end was among them all the time. Hashes must be uniform over
// uint64 and, against an adversary, keyed.
type KMV struct {
	// K is the capacity, at least 3; 0 is read as 256.
	K int `json:"k"`
	// Entries are the kept keys by ascending hash.
	Entries []KMVEntry `json:"entries"`
	// Full tells that a key was left out: the sketch estimates.
	Full bool `json:"full"`
}

// kmvDefault is the capacity of the zero value; 6.3 % relative error.
const kmvDefault = 256

// NewKMV returns an empty sketch that keeps k keys.
func NewKMV(k int) *KMV { return &KMV{K: max(k, 3)} }

func (s *KMV) capacity() int {
	if s.K <= 0 {
		return kmvDefault
	}
	return max(s.K, 3)
}

// Add counts a key with the given hash count more times. Two keys of one hash
// are one key; the smaller name stays.
func (s *KMV) Add(hash uint64, key string, count uint64) {
	k := s.capacity()
	if len(s.Entries) >= k && hash > s.Entries[len(s.Entries)-1].Hash {
		s.Full = true
		return
	}
	i, found := slices.BinarySearchFunc(s.Entries, hash, func(e KMVEntry, h uint64) int { return cmp.Compare(e.Hash, h) })
	if found {
		e := &s.Entries[i]
		e.Count = addSat(e.Count, count)
		e.Key = firstKey(e.Key, key)
		return
	}
	if len(s.Entries) >= k {
		s.Entries = s.Entries[:len(s.Entries)-1]
		s.Full = true
	}
	s.Entries = slices.Insert(s.Entries, i, KMVEntry{Hash: hash, Count: count, Key: key})
}

// Merge makes s the sketch of the union of two views of the same stream: the
// counter of a key is the larger of the two. It is associative, commutative and
// idempotent. The capacity becomes the smaller of the two.
func (s *KMV) Merge(o *KMV) { s.join(o, func(a, b uint64) uint64 { return max(a, b) }) }

// Sum makes s the sketch of two disjoint streams one after the other: counters
// add up. It is associative and commutative, and the set of keys is idempotent.
// The capacity becomes the smaller of the two.
func (s *KMV) Sum(o *KMV) { s.join(o, addSat) }

func (s *KMV) join(o *KMV, add func(a, b uint64) uint64) {
	k := min(s.capacity(), o.capacity())
	out := make([]KMVEntry, 0, min(k, len(s.Entries)+len(o.Entries)))
	full := s.Full || o.Full
	i, j := 0, 0
	for i < len(s.Entries) || j < len(o.Entries) {
		if len(out) == k {
			full = true
			break
		}
		switch {
		case j == len(o.Entries) || i < len(s.Entries) && s.Entries[i].Hash < o.Entries[j].Hash:
			out = append(out, s.Entries[i])
			i++
		case i == len(s.Entries) || o.Entries[j].Hash < s.Entries[i].Hash:
			out = append(out, o.Entries[j])
			j++
		default:
			a, b := s.Entries[i], o.Entries[j]
			out = append(out, KMVEntry{Hash: a.Hash, Count: add(a.Count, b.Count), Key: firstKey(a.Key, b.Key)})
			i++
			j++
		}
	}
	s.K, s.Entries, s.Full = k, out, full
}

// Estimate returns the number of distinct keys: (k-1)/u_k with u_k the largest
// kept hash as a fraction of the range, or the exact number while nothing was
// left out. The relative standard error is about 1/sqrt(k-2).
func (s *KMV) Estimate() float64 {
	n := len(s.Entries)
	if !s.Full || n == 0 {
		return float64(n)
	}
	// The +1 makes the fraction lie in (0,1].
	u := (float64(s.Entries[n-1].Hash) + 1) / (1 << 64)
	return math.Max(float64(n), float64(n-1)/u)
}

// Singles returns how many kept keys were counted exactly once and exactly
// twice, and the number of kept keys. Kept keys are a uniform sample of all, so
// once/kept estimates f1/D.
func (s *KMV) Singles() (once, twice, kept uint64) {
	for _, e := range s.Entries {
		switch e.Count {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	return once, twice, uint64(len(s.Entries))
}

// Concentration estimates G over all keys from the kept counters and the total
// count of the stream, in [0,1]; exact while nothing was left out. It is 0 for a
// total below 2.
func (s *KMV) Concentration(total uint64) float64 {
	if total < 2 || len(s.Entries) == 0 {
		return 0
	}
	var sum float64
	for _, e := range s.Entries {
		sum += float64(e.Count) * (float64(e.Count) - 1)
	}
	t := float64(total)
	return unit(sum * s.Estimate() / float64(len(s.Entries)) / (t * (t - 1)))
}

// Top returns up to n kept keys by descending count, ties by ascending hash.
func (s *KMV) Top(n int) []KMVEntry {
	out := slices.Clone(s.Entries)
	slices.SortFunc(out, func(a, b KMVEntry) int {
		if c := cmp.Compare(b.Count, a.Count); c != 0 {
			return c
		}
		return cmp.Compare(a.Hash, b.Hash)
	})
	return out[:max(0, min(n, len(out)))]
}

// firstKey returns the smaller of two names that is not empty.
func firstKey(a, b string) string {
	if a == "" || b == "" {
		return max(a, b)
	}
	return min(a, b)
}

func addSat(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return s
}

// AHSMax is the largest level of adaptive hash sampling.
const AHSMax = 64

// AHSDepth returns the largest level at which a key with this hash is kept, 0 to
// AHSMax: the number of leading zero bits. A key is kept at level j if its hash,
// as a fraction of the range, is below 2^-j.
func AHSDepth(hash uint64) int { return bits.LeadingZeros64(hash) }

// AHSKeep tells whether a key with this hash is kept at level j. Multiply counts
// of kept keys by 2^j to estimate all of them.
func AHSKeep(hash uint64, j int) bool { return AHSDepth(hash) >= j }

// AHSLevel returns the smallest level j at which at most limit keys are kept,
// and how many those are. depths[d] is the number of keys with AHSDepth d; the
// level depends on that set only. It is AHSMax if even that level keeps more.
func AHSLevel(depths *[AHSMax + 1]uint64, limit uint64) (j int, kept uint64) {
	j, kept = AHSMax, depths[AHSMax]
	for j > 0 {
		next := addSat(kept, depths[j-1])
		if next > limit {
			break
		}
		j, kept = j-1, next
	}
	return j, kept
}

// AHSLevelOf is AHSLevel over the hashes themselves, each counted as one key.
func AHSLevelOf(hashes []uint64, limit uint64) (j int, kept uint64) {
	var depths [AHSMax + 1]uint64
	for _, h := range hashes {
		depths[AHSDepth(h)]++
	}
	return AHSLevel(&depths, limit)
}

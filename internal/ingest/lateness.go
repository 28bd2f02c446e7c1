package ingest

import (
	"math"
	"math/bits"
	"time"
)

// Numbers of the advised lateness. Source: detection reference, section 4.3.
const (
	latenessLeast  = 60 * time.Second
	latenessMost   = 900 * time.Second
	latenessSpare  = 30 * time.Second // beyond the active timeout
	latenessWindow = time.Hour
	latenessShare  = 1000 // one record in so many may be later: p99.9
)

const (
	// spreadSlots parts of the window begin anew one after another.
	spreadSlots = 3
	spreadSlot  = int64(latenessWindow) / spreadSlots
	// spreadUnit is the width of the finest bucket as a power of two: 0.27 s.
	spreadUnit = 28
	// spreadFine buckets, as a power of two, share an octave: a bucket is an
	// eighth wider than the times in it at most.
	spreadFine = 3
	// spreadBuckets reach beyond latenessMost; the last takes everything above.
	spreadBuckets = 84
	// spreadLeast records are needed before a share of one in latenessShare means
	// anything.
	spreadLeast = latenessShare
)

// spread counts durations of the last hour in buckets of logarithmic width. Its
// size is fixed. All clocks are arguments.
type spread struct {
	counts [spreadSlots]buckets
	slot   [spreadSlots]int64 // number of the slot that the counts are of
}

// buckets are the counts of one slot. They stop at their maximum.
type buckets [spreadBuckets]uint32

// at returns the counts that records received at a time are added to.
func (s *spread) at(received int64) *buckets {
	n := received / spreadSlot
	i := ((n % spreadSlots) + spreadSlots) % spreadSlots
	if s.slot[i] != n {
		s.slot[i], s.counts[i] = n, buckets{}
	}
	return &s.counts[i]
}

// add counts the duration of n records.
func (b *buckets) add(d time.Duration, n uint32) {
	c := &b[spreadBucket(d)]
	*c += min(n, math.MaxUint32-*c)
}

// high returns the duration that at most one record in latenessShare exceeds, as
// the upper edge of its bucket; 0 while there are too few records.
func (s *spread) high(now int64) time.Duration {
	var sum [spreadBuckets]uint64
	var total uint64
	for i := range s.counts {
		if age := now/spreadSlot - s.slot[i]; age < 0 || age >= spreadSlots {
			continue
		}
		for b, c := range s.counts[i] {
			sum[b] += uint64(c)
			total += uint64(c)
		}
	}
	if total < spreadLeast {
		return 0
	}
	above := uint64(0)
	for b := spreadBuckets - 1; b > 0; b-- {
		if above += sum[b]; above > total/latenessShare {
			return spreadEdge(b)
		}
	}
	return 0
}

// spreadBucket returns the index of the bucket of a duration: its leading bits.
func spreadBucket(d time.Duration) int {
	v := uint64(max(d, 0)) >> spreadUnit
	shift := max(bits.Len64(v)-spreadFine-1, 0)
	return min(shift<<spreadFine+int(v>>shift), spreadBuckets-1) //nolint:gosec // at most 2*8-1 after the shift
}

// spreadEdge is the upper edge of a bucket; that of bucket 0, in which nearly all
// that comes in order lies, is 0.
func spreadEdge(b int) time.Duration {
	switch b {
	case 0:
		return 0
	case spreadBuckets - 1:
		return latenessMost
	}
	shift := max(b>>spreadFine-1, 0)
	return time.Duration((b - shift<<spreadFine + 1) << shift << spreadUnit)
}

// advised is the lateness that would lose one record of an exporter in a
// thousand. Exporters do not say their active timeout, but cut long flows at it:
// the length of their longest records stands for it. It is in whole seconds.
func (x *exporter) advised(now int64) time.Duration {
	d := max(latenessLeast, x.late.high(now))
	if length := x.length.high(now); length > 0 {
		d = max(d, length+latenessSpare)
	}
	return min((d + time.Second - 1).Truncate(time.Second), latenessMost)
}

package detect

import (
	"testing"
	"time"
)

// TestGuesserIsNoHabitForTwoWeeks: what is reported every night does not become
// a habit in less than 14 days (P15).
func TestGuesserIsNoHabitForTwoWeeks(t *testing.T) {
	s := newSite(1, 3)
	for d := range 20 {
		s.many(time.Duration(d)*oneDay+2*time.Hour, 40*time.Minute, 100, peerAt(1, 1), 22, login, false)
	}
	nights := make(map[int64]bool)
	fs := feed(t, observe(s.conns, 1, 1))
	for i := range fs {
		nights[(fs[i].Last-t0)/int64(oneDay)] = true
	}
	for d := range int64(13) {
		if !nights[d] {
			t.Errorf("night %d is not reported", d+1)
		}
	}
}

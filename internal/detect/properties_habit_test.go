package detect

import (
	"testing"
	"time"
)

// TestGuesserIsNoHabitForTwoWeeks: what is reported every night does not become
// a habit in less than 14 days (P15), once the first week has shown what is
// ordinary.
func TestGuesserIsNoHabitForTwoWeeks(t *testing.T) {
	const week = 8 // days
	s := newSite(1, 3)
	for d := range week + 20 {
		s.many(time.Duration(d)*oneDay+9*time.Hour, 8*time.Hour, 6, peerAt(2, 1), 22, login, false)
		if d >= week {
			s.many(time.Duration(d)*oneDay+2*time.Hour, 40*time.Minute, 100, peerAt(1, 1), 22, login, false)
		}
	}
	nights := make(map[int64]bool)
	fs := feed(t, observe(s.conns, 1, 1))
	for i := range fs {
		nights[(fs[i].Last-t0)/int64(oneDay)] = true
	}
	for d := range int64(13) {
		if !nights[week+d] {
			t.Errorf("night %d is not reported", d+1)
		}
	}
}

// TestGuesserOfTheFirstDayIsReportedForAWeek: what has been there since the first
// day is reported until the week that shows what is ordinary is over.
func TestGuesserOfTheFirstDayIsReportedForAWeek(t *testing.T) {
	s := newSite(1, 3)
	for d := range 20 {
		s.many(time.Duration(d)*oneDay+2*time.Hour, 40*time.Minute, 100, peerAt(1, 1), 22, login, false)
	}
	nights := make(map[int64]bool)
	fs := feed(t, observe(s.conns, 1, 1))
	for i := range fs {
		nights[(fs[i].Last-t0)/int64(oneDay)] = true
	}
	for d := range int64(20) {
		if nights[d] != (d < 7) {
			t.Errorf("night %d is reported: %v", d+1, nights[d])
		}
	}
}

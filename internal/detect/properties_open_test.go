package detect

import (
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// TestHarmlessTrafficIsQuietAtEveryRate is a small form of P2; the full one is
// the quality measurement.
func TestHarmlessTrafficIsQuietAtEveryRate(t *testing.T) {
	const seeds = 20
	for n, busy := range map[uint32]int{1: 1, 64: 4, 512: 8, 1000: 16, 4096: 32, 16384: 64} {
		for _, l := range labels() {
			if l.attack {
				continue
			}
			kinds := map[weir.AlertType]int{}
			sum := 0
			for seed := range uint64(seeds) {
				sum += l.judge(t, n, 1000+seed, busy, kinds)
			}
			if sum > 0 {
				t.Errorf("%s at 1:%d: %d alerts in %d runs: %v", l.name, n, sum, seeds, kinds)
			}
		}
	}
}

// TestFullAllowSetIsSilent: a port with more regular peers than the allow set
// holds is not judged by it.
func TestFullAllowSetIsSilent(t *testing.T) {
	s := newSite(1, 3)
	for d := range 35 {
		for p := range 200 {
			s.many(time.Duration(d)*oneDay, 24*time.Hour, 1, peerAt(1, 200*(d%7)+p), 22, login, false)
		}
	}
	fs := feed(t, observe(s.conns, 1, 1))
	for i := range fs {
		if f := &fs[i]; f.Type == weir.TrafficFromUnrecommended {
			t.Fatalf("%v: %d regular peers", trackOf(f), f.Count)
		}
	}
}

// TestCrowdAbsorbsStrangers: the sources of a ManyToOne alert are not reported
// a second time as strangers to the allow set.
func TestCrowdAbsorbsStrangers(t *testing.T) {
	s := weeks(3, 30)
	for h := range 24 {
		for p := range 36 {
			s.many(30*oneDay+time.Duration(h)*time.Hour+time.Minute, 50*time.Minute, 2, peerAt(4, 36*h+p), 22, login, false)
		}
	}
	fs := feed(t, observe(s.conns, 1, 1))
	mustRaise(t, fs, weir.SSHIncomingManyToOne)
	for i := range fs {
		if f := &fs[i]; f.Type == weir.TrafficFromUnrecommended && f.Last > t0+int64(30*oneDay) {
			t.Fatalf("%v of %d besides", trackOf(f), f.Count)
		}
	}
}

// TestNightlyJobBecomesHabit: the same job every night, above the floor from the
// first one, is no news in the fifth week.
func TestNightlyJobBecomesHabit(t *testing.T) {
	s := newSite(1, 3)
	for d := range 35 {
		s.many(time.Duration(d)*oneDay+2*time.Hour, 40*time.Minute, 40, peerAt(1, 1), 22, login, false)
	}
	fs := feed(t, observe(s.conns, 1, 1))
	for i := range fs {
		if f := &fs[i]; f.Last > t0+int64(28*oneDay) {
			t.Fatalf("%v in the fifth week, %d seen, expected %v", trackOf(f), f.Count, f.Expected)
		}
	}
}

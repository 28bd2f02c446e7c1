package detect

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/service"
)

// Properties of what the rules learn, over weeks of traffic.
//
// Each can fail: the change of the code on the right was tried against it.
//
//	P15 no alert        closeHour: coverage >= 0.98 -> 0; judgePair: the history
//	                    of a regular peer not asked
//	P15 step, absorbed  learnWindow: peers that fired are learnt, UpdateEach:
//	                    without the cut (either alone keeps the promise)
//	P16 winsorising     Rate.UpdateEach: the cut + 3
//	P24 snapshot        Restore: without Listen; without Block.Sets

const oneDay = 24 * time.Hour

// habits adds a day of what a machine does every day: a nightly job and two
// administrators whose logins look like failed ones, a help desk on RDP, and
// strangers that try a password or two.
func habits(s *site, at time.Duration, strangers int) {
	s.many(at+2*time.Hour, 40*time.Minute, 24, peerAt(1, 1), 22, login, false)
	s.many(at+9*time.Hour, 8*time.Hour, 30, peerAt(1, 2), 22, login, false)
	s.many(at+9*time.Hour, 8*time.Hour, 20, peerAt(1, 3), 22, ansible, false)
	for p := range 20 {
		s.many(at+8*time.Hour, 10*time.Hour, 4, peerAt(2, p), 3389, rdpLogin, false)
	}
	for h := range 24 {
		for range strangers {
			s.many(at+time.Duration(h)*time.Hour+time.Minute, 50*time.Minute, 2, peerAt(3, s.rng.IntN(60000)), 22, login, false)
		}
	}
	for range 100 {
		s.one(at+time.Duration(s.rng.Int64N(int64(oneDay))), time.Second, peerAt(9, s.rng.IntN(300)), 443, webVisit, s.rng.IntN(2) == 0)
	}
}

// weeks repeats one week of habits exactly.
func weeks(seed uint64, days int) *site {
	s := newSite(1, seed)
	for d := range 7 {
		habits(s, time.Duration(d)*oneDay, 4)
	}
	first := slices.Clone(s.conns)
	for w := 1; w*7 < days; w++ {
		for _, c := range first {
			c.at += time.Duration(w) * 7 * oneDay
			s.conns = append(s.conns, c)
		}
	}
	s.conns = slices.DeleteFunc(s.conns, func(c conn) bool { return c.at >= time.Duration(days)*oneDay })
	return s
}

// feed runs contacts through one detector in the order of their ends, an hour at
// a time, as a live feed comes.
func feed(t *testing.T, cs []weir.Contact) []weir.Finding {
	t.Helper()
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(cs, byEnd)
	var out []weir.Finding
	report := func(f weir.Finding) { out = append(out, f) }
	for len(cs) > 0 {
		end := cs[0].End - cs[0].End%int64(time.Hour) + int64(time.Hour)
		n, _ := slices.BinarySearchFunc(cs, end, func(c weir.Contact, end int64) int { return cmp.Compare(c.End, end) })
		d.Observe(cs[:n])
		d.Close(end, report)
		cs = cs[n:]
	}
	d.Flush(report)
	return out
}

// TestFourSameWeeksTeachTheFifth is the first half of P15.
func TestFourSameWeeksTeachTheFifth(t *testing.T) {
	for seed := range uint64(5) {
		for _, n := range []uint32{1, 64} {
			fs := feed(t, observe(weeks(seed, 35).conns, n, seed))
			for i := range fs {
				if f := &fs[i]; f.At > t0+int64(28*oneDay) {
					t.Errorf("seed %d, 1:%d: %v in the fifth week, %d seen, expected %v", seed, n, trackOf(f), f.Count, f.Expected)
				}
			}
		}
	}
}

// TestGrownHabitIsNotReported: a job that has grown past the floor over the weeks
// is judged by its own history, and reported when it leaves that.
func TestGrownHabitIsNotReported(t *testing.T) {
	s := newSite(1, 5)
	const days = 30
	for d := range days {
		n := min(18+3*d, 75)
		s.many(time.Duration(d)*oneDay+2*time.Hour, 40*time.Minute, n, peerAt(1, 1), 22, login, false)
	}
	s.many(days*oneDay+2*time.Hour, 40*time.Minute, 600, peerAt(1, 1), 22, login, false)
	fs := feed(t, observe(s.conns, 1, 1))
	mustRaise(t, fs, weir.SSHIncomingOneToOne)
	for i := range fs {
		if f := &fs[i]; f.Last < t0+int64(days*oneDay) {
			t.Errorf("%v on day %d, %d seen, expected %v", trackOf(f), (f.Last-t0)/int64(oneDay), f.Count, f.Expected)
		}
	}
}

// TestStepIsReportedOnceAndNotAbsorbed is the second half of P15: what grows
// tenfold over its habit is reported, under one name, and for two weeks it does
// not become the habit.
func TestStepIsReportedOnceAndNotAbsorbed(t *testing.T) {
	const quietDays, stepDays = 30, 15
	steps := []struct {
		name string
		want track
		fill func(s *site, at time.Duration)
	}{
		{"nightly job", track{"vm-1", weir.SSHIncomingOneToOne, "22|203.1.0.1"}, func(s *site, at time.Duration) {
			s.many(at+2*time.Hour, 40*time.Minute, 9*24, peerAt(1, 1), 22, login, false)
		}},
		{"strangers", track{"vm-1", weir.SSHIncomingManyToOne, "22"}, func(s *site, at time.Duration) {
			for h := range 24 {
				for range 9 * 4 {
					s.many(at+time.Duration(h)*time.Hour+time.Minute, 50*time.Minute, 2, peerAt(4, s.rng.IntN(60000)), 22, login, false)
				}
			}
		}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			s := weeks(3, quietDays+stepDays)
			for d := range stepDays {
				step.fill(s, time.Duration(quietDays+d)*oneDay)
			}
			fs := feed(t, observe(s.conns, 1, 1))
			begin := t0 + int64(quietDays*oneDay)
			days := make(map[int64]bool)
			for i := range fs {
				f := &fs[i]
				if f.Last < begin {
					continue
				}
				if f.Type == weir.TrafficFromUnrecommended && step.want.typ == weir.SSHIncomingManyToOne {
					continue // strangers are that besides, to an allow set that is mature
				}
				if trackOf(f) != step.want {
					t.Errorf("%v besides, on day %d", trackOf(f), (f.At-begin)/int64(oneDay)+1)
				}
				days[(f.Last-begin)/int64(oneDay)+1] = true
			}
			for day := range int64(14) {
				if !days[day+1] {
					t.Errorf("day %d of the step is not reported: it has become a habit", day+1)
				}
			}
		})
	}
}

// TestPoisoningIsCut is P16 as contacts reach the baseline: sources that look
// like no attack, as many as an attacker likes, teach the number of sources at
// most the 99 % quantile of what was expected each hour.
func TestPoisoningIsCut(t *testing.T) {
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(1, 2)
	const hours = 72
	for h := range hours {
		n := 5
		if h >= 24 {
			n = 1500
		}
		for i := range n {
			s.many(time.Duration(h)*time.Hour+time.Minute, 50*time.Minute, 2, peerAt(1, i), 22, ansible, false)
		}
	}
	cs := observe(s.conns, 1, 1)
	slices.SortFunc(cs, byEnd)
	fam := DefaultConfig().Families["ssh"]
	prior := baseline.Prior{A0: 24 * fam.PriorPeers, B0: 24}
	key := actKey{Out: false, Port: service.Port{Proto: weir.ProtoTCP, Port: 22}}
	cut := 0
	for h := range hours {
		end := t0 + int64(time.Duration(h+1)*time.Hour)
		var before baseline.Rate
		r := d.res[s.res.Key()]
		if r != nil && r.Acts[key] != nil {
			before = r.Acts[key].Uniq[hour]
		}
		i := 0
		for i < len(cs) && cs[i].End < end {
			i++
		}
		d.Observe(cs[:i])
		cs = cs[i:]
		d.Close(end, func(f weir.Finding) { t.Errorf("hour %d: %v", h, trackOf(&f)) })
		a := d.res[s.res.Key()].Acts[key]
		after := a.Uniq[hour]
		if after.Windows != before.Windows+1 {
			t.Fatalf("hour %d: %d windows learnt, before %d", h, after.Windows, before.Windows)
		}
		mean := before.Mean(prior) * a.peerExposure(hour, 1, 0)
		q99 := float64(baseline.NBQuantile(0.99, before.Shape(), mean))
		g := baseline.Discount(time.Hour)
		if after.A > g*before.A+q99+1e-9 {
			t.Errorf("hour %d: count learnt %v from %v, more than %v allows", h, after.A, before.A, q99)
		}
		if after.A >= g*before.A+q99-1e-9 {
			cut++
		}
	}
	if cut < 20 {
		t.Errorf("only %d hours were cut: the test proves too little", cut)
	}
}

// TestRestartWhileLearningChangesNothing is P24 where history matters.
func TestRestartWhileLearningChangesNothing(t *testing.T) {
	s := weeks(6, 16)
	at := 15 * oneDay
	s.many(at+2*time.Hour, 40*time.Minute, 240, peerAt(1, 1), 22, login, false)
	for p := range 300 {
		s.many(at+5*time.Hour, 50*time.Minute, 2, peerAt(4, p), 22, login, false)
	}
	s.one(at+7*time.Hour, time.Second, peerAt(5, 1), 3389, rdpLogin, false)
	for i := range 70 {
		s.one(at+8*time.Hour+time.Duration(i)*time.Second, 0, peerAt(6, i), 23, deadSYN, true)
	}
	cs := observe(s.conns, 1, 1)
	for i := range cs {
		// The direction of these is known by the listeners learnt alone.
		if cs[i].Own.Port() == 22 {
			cs[i].LogOdds = 0
		}
	}
	slices.SortFunc(cs, byEnd)
	run := func(stops map[int]bool) []weir.Finding {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		var out []weir.Finding
		report := func(f weir.Finding) { out = append(out, f) }
		for i := range cs {
			if stops[i] {
				b, err := d.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				if d, err = New(DefaultConfig()); err != nil {
					t.Fatal(err)
				}
				if err := d.Restore(b); err != nil {
					t.Fatal(err)
				}
			}
			d.Observe(cs[i : i+1])
			d.Close(cs[i].End-int64(DefaultConfig().Lateness), report)
		}
		d.Flush(report)
		return out
	}
	want := run(nil)
	mustRaise(t, want, weir.SSHIncomingOneToOne, weir.SSHIncomingManyToOne, weir.PortScanning)
	rng := rand.New(rand.NewPCG(7, 8))
	opts := gocmp.Options{gocmp.Comparer(func(a, b netip.Addr) bool { return a == b }), gocmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.EquateEmpty()}
	for range 3 {
		stops := make(map[int]bool)
		for range 6 {
			stops[rng.IntN(len(cs))] = true
		}
		if diff := gocmp.Diff(want, run(stops), opts); diff != "" {
			t.Fatalf("restarted %d times (-want +got):\n%.2000s", len(stops), diff)
		}
	}
}

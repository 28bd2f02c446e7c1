package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// P6: a second exporter that samples the same packets adds knowledge, not
// traffic. Border routers that see different packets add up.
//
// Each can fail: internal/house/mutations_table_test.go has the faults.

// from says which router told of contacts.
func from(exporter byte, cs []weir.Contact) []weir.Contact {
	for i := range cs {
		cs[i].Exporter = netip.AddrFrom4([4]byte{192, 0, 2, exporter})
	}
	return cs
}

// twice is connections seen by two routers that sample each packet apart.
func twice(conns []conn, n uint32, seed uint64) []weir.Contact {
	return append(from(1, observe(conns, n, seed)), from(2, observe(conns, n, seed+1_000_000))...)
}

// TestSecondRouterRaisesNoEstimate is P6 for numbers.
func TestSecondRouterRaisesNoEstimate(t *testing.T) {
	t.Parallel()
	const seeds = 150
	for _, v := range []struct {
		n    uint32
		name string
		want weir.AlertType
		fill func(s *site) (truth float64)
	}{
		{64, "logins", weir.SSHIncomingOneToOne, func(s *site) float64 {
			s.many(time.Minute, 8*time.Minute, 800, peerAt(1, 1), 22, login, false)
			return 800
		}},
		{1000, "logins", weir.SSHIncomingOneToOne, func(s *site) float64 {
			s.many(time.Minute, 8*time.Minute, 5000, peerAt(1, 1), 22, login, false)
			return 5000
		}},
		{1000, "flood", weir.DDoS, func(s *site) float64 {
			for pane := range 3 {
				for range 40 {
					s.one(time.Duration(pane)*time.Minute+time.Duration(s.rng.IntN(50))*time.Second, 2*time.Second, peerAt(1, 1), 80, shape{6000, 0, 60, 0, weir.SYN, 0}, true)
				}
			}
			return 4000
		}},
	} {
		above, covered, sum := 0, 0, 0.0
		for seed := range uint64(seeds) {
			s := newSite(1, seed+9000)
			truth := v.fill(s)
			sample := func(cs []weir.Contact) weir.Sampling {
				fs, _ := play(t, grown(), cs)
				i := slices.IndexFunc(fs, func(f weir.Finding) bool { return f.Type == v.want })
				if i < 0 || fs[i].Sampling.Estimate == nil {
					t.Fatalf("%s at 1:%d, seed %d: no estimate", v.name, v.n, seed)
				}
				return fs[i].Sampling
			}
			one, two := sample(from(1, observe(s.conns, v.n, seed))), sample(twice(s.conns, v.n, seed))
			if *two.Estimate > *one.High95 {
				above++
			}
			if *two.Low95 <= truth && truth <= *two.High95 {
				covered++
			}
			sum += *two.Estimate / truth
		}
		// The two share half of their packets: the newer estimate lies above the
		// upper end of the older, by chance, in P(Z > 1.96*sqrt(2)) = 0.3 % of runs.
		if above > seeds*2/100 {
			t.Errorf("%s at 1:%d: the second router raises the estimate beyond the interval in %d of %d runs", v.name, v.n, above, seeds)
		}
		if p := float64(covered) / seeds; p < 0.93-0.042 {
			t.Errorf("%s at 1:%d: the interval of two covers the truth in %.3f of the runs", v.name, v.n, p)
		}
		if mean := sum / seeds; math.Abs(mean-1) > 0.03 {
			t.Errorf("%s at 1:%d: the mean estimate of two is %.3f of the truth", v.name, v.n, mean)
		}
	}
}

// TestSecondRouterRaisesNoAlert is P6 for alerts: harmless machines do not alert
// more often, and attacks are found as often at least.
func TestSecondRouterRaisesNoAlert(t *testing.T) {
	t.Parallel()
	const seeds = 20
	// The scanner of P1 is mostly too small for 1:1000.
	all := slices.DeleteFunc(labels(), func(l label) bool { return l.name == "scanner" })
	all = append(all, label{"sweep", true, func(rng *rand.Rand, s *site, _ int) {
		from := time.Duration(rng.IntN(60)) * time.Minute
		for d := range 15_000 + rng.IntN(30_000) {
			s.one(from+time.Duration(rng.IntN(3600))*time.Second, 0, peerAt(22, d), 445, deadSYN, true)
		}
	}}, label{"flood", true, func(_ *rand.Rand, s *site, _ int) {
		pps := 1200 + 300*s.rng.IntN(10)
		for pane := range 4 {
			for range 60 {
				s.one(time.Duration(pane)*time.Minute+time.Duration(s.rng.IntN(58))*time.Second, time.Second, peerAt(3, 1), 80, shape{uint64(pps), 0, 40, 0, weir.SYN, 0}, true)
			}
		}
	}})
	for _, n := range []uint32{64, 1000} {
		for _, l := range all {
			one, two := 0, 0
			kinds := map[weir.AlertType]int{}
			for seed := range uint64(seeds) {
				s := newSite(1, seed)
				l.make(rand.New(rand.NewPCG(seed, 56)), s, int(n/32))
				fs, _ := play(t, DefaultConfig(), from(1, observe(s.conns, n, seed)))
				one += min(len(fs), 1)
				fs, _ = play(t, DefaultConfig(), twice(s.conns, n, seed))
				two += min(len(fs), 1)
				for k := range tracks(fs) {
					kinds[k.typ]++
				}
			}
			switch {
			case !l.attack && fisher(one, two, seeds) <= 0.01:
				t.Errorf("%s at 1:%d alerts in %d of %d runs with one router, in %d with two: %v", l.name, n, one, seeds, two, kinds)
			case l.attack && one < seeds/10:
				t.Errorf("%s at 1:%d is raised in %d of %d runs only: the test proves too little", l.name, n, one, seeds)
			case l.attack && fisher(two, one, seeds) <= 0.05:
				t.Errorf("%s at 1:%d is raised in %d of %d runs with one router, in %d with two", l.name, n, one, seeds, two)
			}
		}
	}
}

// TestBorderRoutersAddUp: routers with different neighbours, each with its part
// of the packets, find what one router with all of them finds, with the same
// numbers, once they have been told apart.
func TestBorderRoutersAddUp(t *testing.T) {
	for _, n := range []uint32{100, 400} {
		for seed := range uint64(4) {
			var conns []conn
			for _, s := range busySites(seed) {
				// Ten neighbours that are always there, and the hour of the attacks
				// after half an hour of them alone.
				for i := range s.conns {
					s.conns[i].at += 30 * time.Minute
				}
				for i := range 900 {
					s.one(time.Duration(i)*6*time.Second, time.Second, peerAt(8, i%10), 443, shape{400, 400, 900, 900, login.fwdFlags, login.revFlags}, i%20 < 10)
				}
				conns = append(conns, s.conns...)
			}
			one := observe(conns, n, seed)
			border := slices.Clone(one)
			for i := range border {
				p := border[i].Peer.Addr().As4()
				border[i].Exporter = netip.AddrFrom4([4]byte{192, 0, 2, 1 + p[3]&1})
			}
			want, _ := play(t, DefaultConfig(), one)
			mustRaise(t, want, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.DDoS, weir.CommunicationWithC2, weir.TrafficFromUnrecommended)
			got, _ := play(t, DefaultConfig(), border)
			differ(t, fmt.Sprintf("border routers at 1:%d, seed %d", n, seed), numbers(want), numbers(got))
		}
	}
}

// numbers are what findings say of what was seen and estimated.
func numbers(fs []weir.Finding) []string {
	var out []string
	for i := range fs {
		f := &fs[i]
		line := fmt.Sprintf("%v at=%d n=%d rate=%d", trackOf(f), f.At-t0, f.Count, f.Sampling.Rate)
		for _, p := range []*float64{f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95} {
			if p != nil {
				line += fmt.Sprintf("/%.6g", *p)
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// TestExporterThatGoesAndComesKeepsOneAlert: of two routers that see the same
// one restarts in the middle of an attack. The alert is one and the estimate is
// never beyond its interval for long.
func TestExporterThatGoesAndComesKeepsOneAlert(t *testing.T) {
	const n = 256
	for seed := range uint64(20) {
		s := newSite(1, seed+70)
		s.many(time.Minute, 58*time.Minute, 12000, peerAt(1, 1), 22, login, false)
		cs := twice(s.conns, n, seed)
		cs = slices.DeleteFunc(cs, func(c weir.Contact) bool {
			at := time.Duration(c.End - t0)
			return c.Exporter.As4()[3] == 2 && at > 20*time.Minute && at < 35*time.Minute
		})
		fs, _ := play(t, DefaultConfig(), cs)
		if len(tracks(fs)) != 1 {
			t.Fatalf("seed %d: %d alerts of one attack", seed, len(tracks(fs)))
		}
		f := &fs[len(fs)-1]
		if r := *f.Sampling.Estimate / 12000; r < 0.85 || r > 1.15 {
			t.Errorf("seed %d: the estimate is %.2f of the truth", seed, r)
		}
	}
}

// TestRestartKeepsWhatExportersSee is P24 for what is known of exporters: border
// routers that have been told apart still are after a restart.
func TestRestartKeepsWhatExportersSee(t *testing.T) {
	s := newSite(1, 11)
	for i := range 500 {
		s.one(time.Duration(i)*6*time.Second, time.Second, peerAt(8, i%10), 443, shape{150, 150, 900, 900, login.fwdFlags, login.revFlags}, false)
	}
	s.many(31*time.Minute, 8*time.Minute, 2000, peerAt(1, 1), 22, login, false)
	cs := observe(s.conns, 64, 1)
	slices.SortFunc(cs, byEnd)
	for i := range cs {
		cs[i].Exporter = netip.AddrFrom4([4]byte{192, 0, 2, 1 + cs[i].Peer.Addr().As4()[3]&1})
	}
	run := func(restart bool) []string {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		var out []weir.Finding
		report := func(f weir.Finding) { out = append(out, f) }
		for i := range cs {
			if restart && i > 0 && cs[i].End/int64(time.Minute) != cs[i-1].End/int64(time.Minute) {
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
		mustRaise(t, out, weir.SSHIncomingOneToOne)
		return numbers(out)
	}
	differ(t, "restarted every minute", run(false), run(true))
}

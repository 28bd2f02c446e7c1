package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

// Metamorphic properties of the rules: traffic is changed in a way whose effect
// on the findings is known. P-numbers are those of the detection reference.
//
// Each can fail: the change of the code on the right was tried against it.
//
//	P3  rate-lie           samplingOf: N*X/k_s -> 1000*X/k_s
//	P5  late               Observe: late contacts into the pane that is open
//	P8  time shift         horizon.slot: 4 h -> 5 h
//	P9  relabelling        gather: peers whose address ends in 7 left out
//	P10 additivity         judgePair: surprise needed + pairs of the detector/20
//	P13 direction flip     pairType: RDP outgoing -> RDP incoming
//	P17 precedence         absorbed(v.s) -> absorbed(v.s) && v.s.n > 1
//	P23 rate unknown       Tally.rate: unknown -> 1
//	P7  exact duplicates   resource.pane: duplicates not dropped

func TestRateLieDoublesEstimatesOnly(t *testing.T) {
	for _, n := range []uint32{100, 400} {
		cs := observe(connsOf(busySites(3)), n, 4)
		truth, _ := play(t, DefaultConfig(), cs)
		mustRaise(t, truth, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.DDoS, weir.CommunicationWithC2, weir.TrafficFromUnrecommended)
		for i := range cs {
			cs[i].Sampling *= 2
		}
		lie, _ := play(t, DefaultConfig(), cs)
		for k, a := range tracks(truth) {
			b := tracks(lie)[k]
			intel := k.typ == weir.CommunicationWithC2 || k.typ == weir.TrafficFromUnrecommended
			if b == nil {
				if intel {
					t.Errorf("1:%d: %v is gone under another rate", n, k)
				}
				continue
			}
			if a.Count != b.Count || a.First != b.First || a.Last != b.Last || a.Facts["concentration"] != b.Facts["concentration"] {
				t.Errorf("1:%d: %v observed %d, %s from %d to %d, and under another rate %d, %s from %d to %d", n, k,
					a.Count, a.Facts["concentration"], a.First, a.Last, b.Count, b.Facts["concentration"], b.First, b.Last)
			}
			for i := range a.Peers {
				p, q := a.Peers[i], b.Peers[i]
				if p.Address != q.Address || p.Packets != q.Packets || p.Connections != q.Connections {
					t.Errorf("1:%d: %v peer %d was %+v, is %+v", n, k, i, p, q)
				}
			}
			switch {
			case intel && a.Confidence != b.Confidence:
				t.Errorf("1:%d: %v confidence %v, then %v", n, k, a.Confidence, b.Confidence)
			case k.typ == weir.SSHIncomingOneToOne || k.typ == weir.DDoS:
				for j, p := range []*float64{a.Sampling.Estimate, a.Sampling.Low95, a.Sampling.High95} {
					q := []*float64{b.Sampling.Estimate, b.Sampling.Low95, b.Sampling.High95}[j]
					if p == nil || q == nil || math.Abs(*q/(2**p)-1) > 1e-9 {
						t.Errorf("1:%d: %v estimate %v, twice the rate %v", n, k, p, q)
					}
				}
			case !intel && a.Sampling.Estimate != nil && *a.Sampling.Estimate != *b.Sampling.Estimate:
				// Estimates of numbers of peers do not use the rate.
				t.Errorf("1:%d: %v estimate %v of peers became %v", n, k, *a.Sampling.Estimate, *b.Sampling.Estimate)
			}
		}
		for k := range tracks(lie) {
			if k.typ == weir.CommunicationWithC2 || k.typ == weir.TrafficFromUnrecommended {
				if tracks(truth)[k] == nil {
					t.Errorf("1:%d: %v appears under another rate", n, k)
				}
			}
		}
	}
}

// blend is the mixture of the other tests and a machine that scans.
func blend() []weir.Contact {
	cs := mixture()
	s := newSite(90, 1)
	for d := range 90 {
		s.one(10*time.Minute+time.Duration(d)*3*time.Second, 0, peerAt(5, d), 445, deadSYN, true)
		s.one(20*time.Minute+time.Duration(d)*3*time.Second, time.Second, peerAt(6, 1), uint16(100+d), refusal, true)
	}
	return append(cs, observe(s.conns, 1, 1)...)
}

func TestLateContactsChangeOnlyTheirCounter(t *testing.T) {
	cs := blend()
	slices.SortFunc(cs, byEnd)
	late := uint64(0)
	feed := func(seed uint64) ([]weir.Finding, Stats) {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		late = 0
		var out []weir.Finding
		report := func(f weir.Finding) { out = append(out, f) }
		for i := range cs {
			d.Observe(cs[i : i+1])
			mark := cs[i].End - int64(DefaultConfig().Lateness)
			d.Close(mark, report)
			if seed == 0 || rng.IntN(5) > 0 || mark < t0+int64(time.Minute) {
				continue
			}
			// Anything of a pane that is closed: an attack of its own, or a copy of
			// what was there, up to an hour back.
			c := cs[rng.IntN(i+1)]
			limit := floorDiv(mark, int64(time.Minute)) * int64(time.Minute)
			for c.End >= limit {
				c.Start, c.End = c.Start-int64(10*time.Minute), c.End-int64(10*time.Minute)
			}
			if d.started && c.End < d.next*int64(time.Minute) {
				late++
				d.Observe([]weir.Contact{c})
			}
		}
		d.Flush(report)
		return out, d.Stats()
	}
	want, wantStats := feed(0)
	mustRaise(t, want, weir.SSHIncomingOneToOne, weir.PortScanning, weir.DDoS)
	for seed := range uint64(3) {
		got, stats := feed(seed + 1)
		if late < 100 {
			t.Fatalf("only %d late contacts", late)
		}
		differ(t, "late contacts", essences(want, 0, same), essences(got, 0, same))
		if stats.Late != late || stats.Contacts != wantStats.Contacts+late {
			t.Errorf("%d late contacts, counted %d of %d", late, stats.Late, stats.Contacts)
		}
		stats.Late, stats.Contacts = wantStats.Late, wantStats.Contacts
		if stats != wantStats {
			t.Errorf("late contacts changed other counters: %+v, want %+v", stats, wantStats)
		}
	}
}

// weekly is some days of machines with habits and with incidents on the last of
// them: everything that is learnt takes part.
func weekly(days int) []weir.Contact {
	s := newSite(1, 8)
	for day := range days {
		at := time.Duration(day) * 24 * time.Hour
		s.many(at+2*time.Hour, time.Hour, 20, peerAt(1, 1), 22, login, false)
		s.many(at+9*time.Hour, 8*time.Hour, 40, peerAt(1, 2), 22, ansible, false)
		for p := range 30 {
			s.many(at+8*time.Hour, 10*time.Hour, 3, peerAt(2, p), 3389, rdpLogin, false)
		}
		for range 150 {
			s.one(at+time.Duration(s.rng.Int64N(int64(24*time.Hour))), time.Second, peerAt(9, s.rng.IntN(300)), 443, webVisit, s.rng.IntN(2) == 0)
		}
	}
	at := time.Duration(days-1) * 24 * time.Hour
	s.many(at+2*time.Hour, time.Hour, 300, peerAt(1, 1), 22, login, false)
	s.many(at+13*time.Hour, time.Hour, 70, peerAt(3, 1), 22, login, false)
	for p := range 95 {
		s.many(at+14*time.Hour, time.Hour, 4, peerAt(4, p), 3389, rdpLogin, false)
	}
	for d := range 80 {
		s.one(at+15*time.Hour+time.Duration(d)*time.Second, 0, peerAt(5, d), 23, deadSYN, true)
	}
	s.one(at+12*time.Hour, time.Second, peerAt(6, 1), 22, login, false)
	return observe(s.conns, 1, 1)
}

func moved(cs []weir.Contact, by time.Duration) []weir.Contact {
	out := slices.Clone(cs)
	for i := range out {
		out[i].Start, out[i].End = out[i].Start+int64(by), out[i].End+int64(by)
	}
	return out
}

func TestTimeShift(t *testing.T) {
	const week = 7 * 24 * time.Hour
	learnt := weekly(17)
	one, _ := play(t, DefaultConfig(), learnt)
	mustRaise(t, one, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.PortScanning, weir.TrafficFromUnrecommended)
	for _, by := range []time.Duration{week, 13 * week, -5 * week} {
		got, _ := play(t, DefaultConfig(), moved(learnt, by))
		differ(t, fmt.Sprintf("moved by %v", by), essences(one, 0, same), essences(got, int64(by), same))
	}
	// What needs no history is the same at any multiple of the longest slot.
	cs := blend()
	for i := range cs {
		if i%40 == 0 {
			cs[i].PeerIntel = verdictOf(weir.CategoryC2)
		}
	}
	slow := newSite(91, 1) // for the day's window alone
	slow.many(time.Hour, 11*time.Hour, 200, peerAt(1, 1), 22, login, false)
	cs = append(cs, observe(slow.conns, 1, 1)...)
	one, _ = play(t, DefaultConfig(), cs)
	mustRaise(t, one, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.PortScanning, weir.DDoS, weir.CommunicationWithC2)
	// What is expected is learnt day by day, and days begin at midnight.
	absolute := func(fs []weir.Finding) {
		for i := range fs {
			f := &fs[i]
			f.Baseline, f.Expected, f.Surprise, f.Threshold, f.Confidence = nil, 0, 0, 0, 0
			f.Series = slices.Clone(f.Series)
			for j := range f.Series {
				f.Series[j].Expected = 0
			}
		}
	}
	absolute(one)
	for _, by := range []time.Duration{4 * time.Hour, 8 * time.Hour, 20 * time.Hour, 52 * time.Hour, -16 * time.Hour} {
		got, _ := play(t, DefaultConfig(), moved(cs, by))
		absolute(got)
		differ(t, fmt.Sprintf("moved by %v", by), essences(one, 0, same), essences(got, int64(by), same))
	}
}

// relabelling is a bijection of IPv4 addresses that keeps every /24 together,
// and its inverse.
func relabelling(seed uint64) (there, back func(netip.Addr) netip.Addr) {
	rng := rand.New(rand.NewPCG(seed, 77))
	hosts, nets := rng.Perm(256), rng.Perm(256)
	var hostsBack, netsBack [256]int
	for i := range 256 {
		hostsBack[hosts[i]], netsBack[nets[i]] = i, i
	}
	apply := func(h, n []int) func(netip.Addr) netip.Addr {
		return func(a netip.Addr) netip.Addr {
			b := a.As4()
			return netip.AddrFrom4([4]byte{byte(n[b[0]]), byte(n[b[1]]), byte(n[b[2]]), byte(h[b[3]])})
		}
	}
	return apply(hosts, nets), apply(hostsBack[:], netsBack[:])
}

func relabelled(cs []weir.Contact, name func(netip.Addr) netip.Addr) []weir.Contact {
	out := slices.Clone(cs)
	res := make(map[string]*weir.Resource)
	for i := range out {
		c := &out[i]
		r := res[c.Resource.ID]
		if r == nil {
			copied := *c.Resource
			copied.Addresses = nil
			for _, a := range c.Resource.Addresses {
				copied.Addresses = append(copied.Addresses, name(a))
			}
			r = &copied
			res[r.ID] = r
		}
		c.Resource = r
		c.Own = netip.AddrPortFrom(name(c.Own.Addr()), c.Own.Port())
		c.Peer = netip.AddrPortFrom(name(c.Peer.Addr()), c.Peer.Port())
	}
	return out
}

func TestRelabellingAddressesRelabelsFindings(t *testing.T) {
	for what, cs := range map[string][]weir.Contact{
		"logs": blend(), "history": weekly(17), "1:100": observe(connsOf(busySites(5)), 100, 6),
	} {
		want, _ := play(t, DefaultConfig(), cs)
		mustRaise(t, want, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.PortScanning)
		for seed := range uint64(2) {
			there, back := relabelling(seed)
			got, _ := play(t, DefaultConfig(), relabelled(cs, there))
			// The prefixes of a recommendation are those of the new addresses.
			for _, fs := range [][]weir.Finding{want, got} {
				for i := range fs {
					delete(fs[i].Facts, "recommendation")
				}
			}
			differ(t, what, essences(want, 0, same), essences(got, 0, back))
		}
	}
}

func TestDisjointResourcesAddUp(t *testing.T) {
	cs := append(blend(), observe(connsOf(busySites(7)), 100, 8)...)
	for i := range cs {
		if cs[i].Sampling > 1 {
			r := *cs[i].Resource
			r.ID = "sampled-" + r.ID
			cs[i].Resource = &r
		}
	}
	for seed := range uint64(3) {
		var parts [2][]weir.Contact
		for _, c := range cs {
			i := mix(c.Resource.Key()+seed) & 1
			parts[i] = append(parts[i], c)
		}
		if len(parts[0]) == 0 || len(parts[1]) == 0 {
			t.Fatal("one part is empty")
		}
		a, _ := play(t, DefaultConfig(), parts[0])
		b, _ := play(t, DefaultConfig(), parts[1])
		whole, _ := play(t, DefaultConfig(), append(slices.Clone(parts[1]), parts[0]...))
		union := essences(append(a, b...), 0, same)
		differ(t, "union", union, essences(whole, 0, same))
	}
}

// flipped is the capture with the two ends of every contact in each other's
// role.
func flipped(cs []weir.Contact) []weir.Contact {
	out := slices.Clone(cs)
	for i := range out {
		c := &out[i]
		own, peer := c.Own.Addr(), c.Peer.Addr()
		c.Own, c.Peer = netip.AddrPortFrom(own, c.Peer.Port()), netip.AddrPortFrom(peer, c.Own.Port())
		c.Out, c.In, c.LogOdds, c.FromOwn = c.In, c.Out, -c.LogOdds, !c.FromOwn
	}
	return out
}

func TestDirectionFlipSwapsInAndOut(t *testing.T) {
	mirror := map[weir.AlertType]weir.AlertType{
		weir.SSHIncomingOneToOne: weir.SSHOutgoingOneToOne, weir.RDPIncomingOneToOne: weir.RDPOutgoingOneToOne,
		weir.SSHIncomingManyToOne: weir.SSHOutgoingOneToMany, weir.RDPIncomingManyToOne: weir.RDPOutgoingOneToMany,
	}
	var sites []*site
	for i, port := range []uint16{22, 3389} {
		sh := login
		if port == 3389 {
			sh = rdpLogin
		}
		pair := newSite(2*i, 3)
		pair.many(5*time.Minute, 30*time.Minute, 3000, peerAt(1, 7), port, sh, false)
		pair.many(15*time.Minute, 30*time.Minute, 2000, peerAt(1, 9), port, sh, false)
		crowd := newSite(2*i+1, 3)
		for b := range 400 {
			crowd.many(5*time.Minute, 40*time.Minute, 20, peerAt(2, b), port, sh, false)
		}
		sites = append(sites, pair, crowd)
	}
	for _, n := range []uint32{1, 64, 512} {
		cs := observe(connsOf(sites), n, 9)
		in, _ := play(t, DefaultConfig(), cs)
		out, _ := play(t, DefaultConfig(), flipped(cs))
		mustRaise(t, in, weir.SSHIncomingOneToOne, weir.RDPIncomingOneToOne, weir.SSHIncomingManyToOne, weir.RDPIncomingManyToOne)
		want := make(map[track]*weir.Finding)
		for k, f := range tracks(in) {
			k.typ = mirror[k.typ]
			want[k] = f
		}
		got := tracks(out)
		for k, f := range want {
			g := got[k]
			if g == nil {
				t.Errorf("1:%d: no %v after the flip", n, k)
				continue
			}
			if f.Direction == g.Direction || f.Count != g.Count || f.First != g.First || f.Last != g.Last {
				t.Errorf("1:%d: %v: %v %d from %d to %d, after the flip %v %d from %d to %d", n, k, f.Direction, f.Count, f.First, f.Last, g.Direction, g.Count, g.First, g.Last)
			}
		}
		for k := range got {
			if want[k] == nil {
				t.Errorf("1:%d: %v after the flip, nothing before", n, k)
			}
		}
	}
}

// TestOneAlertPerEvidence is precedence: one body of evidence raises one kind of
// alert, whichever rules it resembles besides.
func TestOneAlertPerEvidence(t *testing.T) {
	kinds := []struct {
		name string
		want weir.AlertType
		fill func(s *site, n int)
	}{
		{"one guesser", weir.SSHIncomingOneToOne, func(s *site, n int) {
			s.many(time.Minute, 40*time.Minute, 40+20*n, peerAt(1, 1), 22, login, false)
		}},
		{"many guessers, each of them past the floor", weir.SSHIncomingManyToOne, func(s *site, n int) {
			for b := range 70 + n {
				s.many(time.Minute, 7*time.Minute, 34+n, peerAt(1, b), 22, login, false)
			}
		}},
		{"outward guessing at many", weir.SSHOutgoingOneToMany, func(s *site, n int) {
			for b := range 8 + n {
				s.many(time.Minute, 7*time.Minute, 40+n, peerAt(1, b), 22, login, true)
			}
		}},
		{"outward guessing at one", weir.RDPOutgoingOneToOne, func(s *site, n int) {
			s.many(time.Minute, 40*time.Minute, 60+20*n, peerAt(1, 1), 3389, rdpLogin, true)
		}},
		{"sweep of SSH ports", weir.SSHOutgoingOneToMany, func(s *site, n int) {
			for b := range 30 + 20*n {
				s.one(time.Minute+time.Duration(s.rng.IntN(500))*time.Second, 0, peerAt(b/250, b%250), 22, deadSYN, true)
			}
		}},
		{"sweep of a port", weir.PortScanning, func(s *site, n int) {
			for b := range 60 + 40*n {
				s.one(time.Minute+time.Duration(s.rng.IntN(500))*time.Second, 0, peerAt(b/250, b%250), 445, deadSYN, true)
			}
		}},
		{"scan of one host", weir.PortScanning, func(s *site, n int) {
			for p := range 60 + 50*n {
				s.one(time.Minute+time.Duration(s.rng.IntN(500))*time.Second, 0, peerAt(1, 1), uint16(1+p), refusal, true)
			}
		}},
		{"flood of one port", weir.DDoS, func(s *site, n int) {
			for pane := range 4 + n {
				for range 40 {
					s.one(time.Duration(pane)*time.Minute+time.Duration(s.rng.IntN(55))*time.Second, 4*time.Second, peerAt(1, 1), 80, shape{4000, 0, 40, 0, weir.SYN, 0}, true)
				}
			}
		}},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := newSite(1, rapid.Uint64Range(1, 1000).Draw(t, "seed"))
				k.fill(s, rapid.IntRange(0, 10).Draw(t, "size"))
				d, err := New(DefaultConfig())
				if err != nil {
					t.Fatal(err)
				}
				d.Observe(observe(s.conns, 1, 1))
				got := make(map[weir.AlertType]int)
				d.Flush(func(f weir.Finding) { got[f.Type]++ })
				if len(got) != 1 || got[k.want] == 0 {
					t.Fatalf("raised %v, want %s alone", got, k.want)
				}
			})
		})
	}
}

func TestUnknownRateEstimatesNothing(t *testing.T) {
	cs := append(blend(), observe(connsOf(busySites(9)), 100, 10)...)
	known, _ := play(t, DefaultConfig(), cs)
	mustRaise(t, known, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.DDoS, weir.PortScanning, weir.CommunicationWithC2)
	for i := range cs {
		cs[i].Sampling, cs[i].SamplingSource = 0, weir.SamplingUnknown
	}
	fs, stats := play(t, DefaultConfig(), cs)
	mustRaise(t, fs, weir.CommunicationWithC2, weir.TrafficFromUnrecommended)
	for i := range fs {
		f := &fs[i]
		if f.Type != weir.CommunicationWithC2 && f.Type != weir.TrafficFromUnrecommended {
			t.Errorf("%v without a rate", trackOf(f))
		}
		if f.Sampling.Estimate != nil || f.Sampling.Low95 != nil || f.Sampling.High95 != nil || f.Sampling.Rate != 0 {
			t.Errorf("%v estimates without a rate: %+v", trackOf(f), f.Sampling)
		}
		for _, p := range f.Peers {
			if p.Estimate != nil {
				t.Errorf("%v estimates peer %s without a rate", trackOf(f), p.Address)
			}
		}
	}
	if stats.NoRate != uint64(len(cs)) {
		t.Errorf("%d of %d contacts counted as without a rate", stats.NoRate, len(cs))
	}
}

// TestExactDuplicatesChangeNothing holds for records that tell of every packet:
// seen twice they are one.
func TestExactDuplicatesChangeNothing(t *testing.T) {
	cs := blend()
	want, _ := play(t, DefaultConfig(), cs)
	mustRaise(t, want, weir.SSHIncomingOneToOne, weir.RDPIncomingManyToOne, weir.PortScanning, weir.DDoS)
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 2))
		twice := slices.Clone(cs)
		for _, c := range cs {
			if seed == 0 || rng.IntN(3) == 0 {
				twice = append(twice, c)
			}
		}
		got, _ := play(t, DefaultConfig(), twice)
		differ(t, "twice", essences(want, 0, same), essences(got, 0, same))
	}
}

// TestCutPeersAreSaid: an alert names at most 256 peers, and says so when there
// are more.
func TestCutPeersAreSaid(t *testing.T) {
	s := newSite(1, 1)
	for b := range 300 {
		s.many(time.Minute, 40*time.Minute, 5, peerAt(1, b), 3389, rdpLogin, false)
	}
	fs, _ := play(t, DefaultConfig(), observe(s.conns, 1, 1))
	f := fs[len(fs)-1]
	if f.Type != weir.RDPIncomingManyToOne || f.Count != 300 || len(f.Peers) != weir.MaxPeers {
		t.Fatalf("%s of %d peers names %d, want 300 and %d", f.Type, f.Count, len(f.Peers), weir.MaxPeers)
	}
	if want := (weir.Limit{Code: weir.LimitPeersCut, Arg: "44"}); !slices.Contains(f.Limits, want) {
		t.Errorf("limits %v, want %v among them", f.Limits, want)
	}
}

// TestFloodOfManyPortsIsNoScan is P17 for a flood whose target ports change.
func TestFloodOfManyPortsIsNoScan(t *testing.T) {
	for n := range 3 {
		s := newSite(1, uint64(n))
		for pane := range 4 + n {
			for range 400 {
				s.one(time.Duration(pane)*time.Minute+time.Duration(s.rng.IntN(55))*time.Second, 4*time.Second, peerAt(1, s.rng.IntN(1+n)), uint16(1+s.rng.IntN(60000)), shape{400, 0, 40, 0, weir.SYN, 0}, true)
			}
		}
		fs, _ := play(t, DefaultConfig(), observe(s.conns, 1, 1))
		if got := types(fs); !slices.Equal(got, []weir.AlertType{weir.DDoS}) {
			t.Errorf("a flood of %d hosts raises %v, want DDOS alone", 1+n, got)
		}
	}
}

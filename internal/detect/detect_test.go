package detect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-net/weir"
)

// t0 is a Monday 00:00 UTC, so that windows of both horizons begin with it.
var t0 = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).UnixNano()

// bench is a protected machine with traffic to be judged.
type bench struct {
	res *weir.Resource
	own netip.Addr
	cs  []weir.Contact
}

func newBench() *bench {
	own := netip.MustParseAddr("198.51.100.10")
	return &bench{own: own, res: &weir.Resource{ID: "web-1", Name: "web-1", Kind: weir.VirtualMachine, Addresses: []netip.Addr{own}}}
}

// shape is what one connection looks like, unsampled and bidirectional.
type shape struct {
	fwd, rev, fwdLen, revLen uint64
	fwdFlags, revFlags       uint16
}

var (
	login     = shape{13, 14, 150, 180, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	rdpLogin  = shape{25, 25, 110, 300, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	sqlLogin  = shape{6, 6, 75, 85, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	sqlQuery  = shape{7, 9, 80, 700, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	ftpLogin  = shape{13, 13, 57, 70, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	ansible   = shape{24, 26, 210, 240, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	transfer  = shape{20, 10, 1200, 60, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.FIN}
	deadSYN   = shape{1, 0, 60, 0, weir.SYN, 0}
	refusal   = shape{1, 1, 60, 40, weir.SYN, weir.RST | weir.ACK}
	webVisit  = shape{12, 20, 120, 900, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
	heartbeat = shape{6, 5, 90, 200, weir.SYN | weir.ACK | weir.PSH | weir.FIN, weir.SYN | weir.ACK | weir.PSH | weir.FIN}
)

// in adds a connection that a peer opens, out one that the machine opens.
func (b *bench) in(at time.Duration, peer string, port, client uint16, s shape) *weir.Contact {
	return b.add(at, peer, port, client, s, false)
}

func (b *bench) out(at time.Duration, peer string, port, client uint16, s shape) *weir.Contact {
	return b.add(at, peer, port, client, s, true)
}

func (b *bench) add(at time.Duration, peer string, port, client uint16, s shape, out bool) *weir.Contact {
	p := netip.MustParseAddr(peer)
	fwd := weir.Counters{Packets: s.fwd, Bytes: s.fwd * s.fwdLen, Flags: s.fwdFlags}
	rev := weir.Counters{Packets: s.rev, Bytes: s.rev * s.revLen, Flags: s.revFlags}
	start := t0 + int64(at)
	c := weir.Contact{
		Resource: b.res, Start: start, End: start + int64(2*time.Second), Proto: weir.ProtoTCP,
		Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatScenario,
		Known: weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts | weir.HasReverse | weir.HasRevFlags,
	}
	if out {
		c.Own, c.Peer, c.Out, c.In, c.LogOdds, c.FromOwn = netip.AddrPortFrom(b.own, client), netip.AddrPortFrom(p, port), fwd, rev, 6, true
	} else {
		c.Own, c.Peer, c.Out, c.In, c.LogOdds = netip.AddrPortFrom(b.own, port), netip.AddrPortFrom(p, client), rev, fwd, -6
	}
	b.cs = append(b.cs, c)
	return &b.cs[len(b.cs)-1]
}

// guess adds n logins of a peer, spread over a time.
func (b *bench) guess(from, length time.Duration, peer string, port uint16, n int, s shape, out bool) {
	for i := range n {
		b.add(from+length*time.Duration(i)/time.Duration(n), peer, port, uint16(20000+i%40000), s, out)
	}
}

func run(t *testing.T, cfg Config, cs []weir.Contact) []weir.Finding {
	t.Helper()
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Observe(cs)
	var out []weir.Finding
	d.Flush(func(f weir.Finding) { out = append(out, f) })
	return out
}

func types(fs []weir.Finding) []weir.AlertType {
	var out []weir.AlertType
	for _, f := range fs {
		if !slices.Contains(out, f.Type) {
			out = append(out, f.Type)
		}
	}
	slices.Sort(out)
	return out
}

func TestRules(t *testing.T) {
	c2 := &weir.Verdict{Indicators: []*weir.Indicator{{Category: weir.CategoryC2, Family: "mirai", Source: "list", Confidence: 80}}}
	bad := &weir.Verdict{Indicators: []*weir.Indicator{{Category: weir.CategoryMalicious, Source: "list", Confidence: 80}}}
	ill := func(seen time.Duration) *weir.Verdict {
		return &weir.Verdict{Indicators: []*weir.Indicator{{
			Prefix: netip.MustParsePrefix("198.51.100.10/32"), Category: weir.CategoryInfected, Family: "conficker",
			Source: "list", Confidence: 80, LastSeen: t0 + int64(seen),
		}}}
	}
	peer := func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }
	tests := []struct {
		name string
		fill func(b *bench)
		want []weir.AlertType
	}{
		{"33 SSH logins of one peer", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 22, 33, login, false) }, []weir.AlertType{weir.SSHIncomingOneToOne}},
		{"32 are one below what phase 0 asks", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 22, 32, login, false) }, nil},
		{"automation has longer connections", func(b *bench) { b.guess(0, 50*time.Minute, peer(7), 22, 200, ansible, false) }, nil},
		{"a transfer partner sends big packets", func(b *bench) { b.guess(0, 50*time.Minute, peer(7), 22, 200, transfer, false) }, nil},
		{"SYNs that nobody answers are no logins", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 22, 500, deadSYN, false) }, nil},
		{"a closed port refuses", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 3306, 500, refusal, false) }, nil},
		{"an allowed peer is never reported", func(b *bench) {
			b.guess(0, 9*time.Minute, peer(7), 22, 300, login, false)
			for i := range b.cs {
				b.cs[i].Allowed = true
			}
		}, nil},
		{"slow guessing reaches the day's floor", func(b *bench) { b.guess(0, 11*time.Hour, peer(7), 22, 130, login, false) }, []weir.AlertType{weir.SSHIncomingOneToOne}},
		{"slower guessing does not", func(b *bench) { b.guess(0, 11*time.Hour, peer(7), 22, 95, login, false) }, nil},
		{"RDP logins of one peer", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 3389, 60, rdpLogin, false) }, []weir.AlertType{weir.RDPIncomingOneToOne}},
		{"SQL logins of one peer", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 3306, 60, sqlLogin, false) }, []weir.AlertType{weir.SQLIncomingOneToOne}},
		{"an application without a pool gets long answers", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 3306, 600, sqlQuery, false) }, nil},
		{"FTP logins of one peer", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 21, 60, ftpLogin, false) }, []weir.AlertType{weir.GenericIncomingOneToOne}},
		{"web visits are never judged", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 443, 2000, webVisit, false) }, nil},
		{"61 sources on SSH", func(b *bench) {
			for i := range 61 {
				b.guess(time.Duration(i)*5*time.Second, time.Minute, peer(i+1), 22, 3, login, false)
			}
		}, []weir.AlertType{weir.SSHIncomingManyToOne}},
		{"59 sources are below what phase 0 asks", func(b *bench) {
			for i := range 59 {
				b.guess(time.Duration(i)*5*time.Second, time.Minute, peer(i+1), 22, 3, login, false)
			}
		}, nil},
		{"many sources that scan", func(b *bench) {
			for i := range 200 {
				b.guess(time.Duration(i)*time.Second, time.Minute, peer(i+1), 22, 3, deadSYN, false)
			}
		}, nil},
		{"many sources on RDP", func(b *bench) {
			for i := range 80 {
				b.guess(time.Duration(i)*5*time.Second, time.Minute, peer(i+1), 3389, 3, rdpLogin, false)
			}
		}, []weir.AlertType{weir.RDPIncomingManyToOne}},
		{"SSH guessing outward", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 22, 60, login, true) }, []weir.AlertType{weir.SSHOutgoingOneToOne}},
		{"RDP guessing outward", func(b *bench) { b.guess(0, 9*time.Minute, peer(7), 3389, 60, rdpLogin, true) }, []weir.AlertType{weir.RDPOutgoingOneToOne}},
		{"SSH guessing at 5 destinations", func(b *bench) {
			for i := range 5 {
				b.guess(0, 5*time.Minute, peer(i+1), 22, 4, login, true)
			}
		}, []weir.AlertType{weir.SSHOutgoingOneToMany}},
		{"SSH guessing at 4 destinations", func(b *bench) {
			for i := range 4 {
				b.guess(0, 5*time.Minute, peer(i+1), 22, 4, login, true)
			}
		}, nil},
		{"RDP sweep on contact evidence", func(b *bench) {
			for i := range 40 {
				b.out(time.Duration(i)*time.Second, peer(i+1), 3389, uint16(30000+i), deadSYN)
			}
		}, []weir.AlertType{weir.RDPOutgoingOneToMany}},
		{"telnet sweep", func(b *bench) {
			for i := range 60 {
				b.out(time.Duration(i)*time.Second, peer(i+1), 23, uint16(30000+i), deadSYN)
			}
		}, []weir.AlertType{weir.PortScanning}},
		{"telnet sweep below the doubled number of the first day", func(b *bench) {
			for i := range 40 {
				b.out(time.Duration(i)*time.Second, peer(i+1), 23, uint16(30000+i), deadSYN)
			}
		}, nil},
		{"vertical scan", func(b *bench) {
			for i := range 60 {
				b.out(time.Duration(i)*time.Second, peer(1), uint16(100+i), 40000, refusal)
			}
		}, []weir.AlertType{weir.PortScanning}},
		{"a crawler with some dead hosts", func(b *bench) {
			for i := range 240 {
				s := webVisit
				if i%10 == 0 {
					s = deadSYN
				}
				b.out(time.Duration(i)*time.Second, fmt.Sprintf("203.0.%d.%d", 100+i/200, i%200), 443, uint16(30000+i), s)
			}
		}, nil},
		{"SYN flood", func(b *bench) {
			for i := range 4 {
				c := b.out(time.Duration(i)*time.Minute, peer(9), 80, 5555, shape{120000, 0, 40, 0, weir.SYN, 0})
				c.End = c.Start + int64(59*time.Second)
			}
		}, []weir.AlertType{weir.DDoS}},
		{"SYN flood below the floor", func(b *bench) {
			for i := range 4 {
				c := b.out(time.Duration(i)*time.Minute, peer(9), 80, 5555, shape{57000, 0, 40, 0, weir.SYN, 0})
				c.End = c.Start + int64(59*time.Second)
			}
		}, nil},
		{"SYN flood of a single pane", func(b *bench) {
			c := b.out(0, peer(9), 80, 5555, shape{120000, 0, 40, 0, weir.SYN, 0})
			c.End = c.Start + int64(59*time.Second)
		}, nil},
		{"an upload is no flood", func(b *bench) {
			for i := range 4 {
				c := b.out(time.Duration(i)*time.Minute, peer(9), 443, 5555, shape{2400000, 1200000, 1400, 60, weir.SYN | weir.ACK | weir.PSH, weir.SYN | weir.ACK})
				c.End = c.Start + int64(59*time.Second)
			}
		}, nil},
		{"a flood victim that answers", func(b *bench) {
			for i := range 4 {
				c := b.in(time.Duration(i)*time.Minute, peer(9), 80, 5555, shape{240000, 240000, 40, 40, weir.SYN, weir.SYN | weir.ACK})
				c.End = c.Start + int64(59*time.Second)
			}
		}, nil},
		{"talk to a controller", func(b *bench) { b.out(0, peer(5), 80, 40000, heartbeat).PeerIntel = c2 }, []weir.AlertType{weir.CommunicationWithC2}},
		{"a controller that knocks is no talk", func(b *bench) { b.in(0, peer(5), 22, 40000, deadSYN).PeerIntel = c2 }, []weir.AlertType{weir.TrafficFromUnrecommended}},
		{"a listed visitor", func(b *bench) { b.in(0, peer(5), 443, 40000, webVisit).PeerIntel = bad }, []weir.AlertType{weir.TrafficFromUnrecommended}},
		{"a listed server is no visitor", func(b *bench) { b.out(0, peer(5), 443, 40000, webVisit).PeerIntel = bad }, nil},
		{"own address reported yesterday", func(b *bench) { b.in(0, peer(5), 443, 40000, webVisit).OwnIntel = ill(-20 * time.Hour) }, []weir.AlertType{weir.ResourceIPMalicious}},
		{"own address reported last month", func(b *bench) { b.in(0, peer(5), 443, 40000, webVisit).OwnIntel = ill(-30 * 24 * time.Hour) }, nil},
		{"own address reported before the lease", func(b *bench) {
			b.res.Since = t0 - int64(time.Hour)
			b.in(0, peer(5), 443, 40000, webVisit).OwnIntel = ill(-20 * time.Hour)
		}, nil},
		{"unknown sampling rate raises no anomaly", func(b *bench) {
			b.guess(0, 9*time.Minute, peer(7), 22, 400, login, false)
			for i := range b.cs {
				b.cs[i].Sampling, b.cs[i].SamplingSource = 0, weir.SamplingUnknown
			}
		}, nil},
		{"a source without packet counts counts connections", func(b *bench) {
			b.guess(0, 9*time.Minute, peer(7), 22, 40, login, false)
			for i := range b.cs {
				c := &b.cs[i]
				c.Known, c.Out, c.In = weir.HasPorts|weir.HasReverse, weir.Counters{}, weir.Counters{}
			}
		}, []weir.AlertType{weir.SSHIncomingOneToOne}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench()
			tt.fill(b)
			fs := run(t, DefaultConfig(), b.cs)
			if diff := cmp.Diff(tt.want, types(fs), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("alert types (-want +got):\n%s\nfindings: %+v", diff, fs)
			}
			for _, f := range fs {
				checkFinding(t, &f)
			}
		})
	}
}

// checkFinding holds what is true of every finding.
func checkFinding(t *testing.T, f *weir.Finding) {
	t.Helper()
	if f.First > f.Last || f.Last > f.At+int64(2*time.Minute) {
		t.Errorf("%s: first %d, last %d, at %d", f.Type, f.First, f.Last, f.At)
	}
	if !f.Own.IsValid() || f.Resource == nil || f.Unit == "" || f.Quiet <= 0 || f.Count == 0 {
		t.Errorf("%s lacks own address, resource, unit, quiet time or count: %+v", f.Type, f)
	}
	if f.Confidence < 0 || f.Confidence > 1 {
		t.Errorf("%s: confidence %v", f.Type, f.Confidence)
	}
	if f.Observed < f.Threshold && f.Type != weir.DDoS {
		t.Errorf("%s: observed %v is below the threshold %v it reports", f.Type, f.Observed, f.Threshold)
	}
	if len(f.Peers) > weir.MaxPeers || len(f.Records) > weir.MaxRecords || len(f.Series) > weir.MaxSeries {
		t.Errorf("%s: evidence is not bounded", f.Type)
	}
}

// mixture is traffic of several machines that raises several alerts.
func mixture() []weir.Contact {
	var all []weir.Contact
	rng := rand.New(rand.NewPCG(1, 2))
	for m := range 6 {
		b := newBench()
		b.own = netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + m)})
		b.res = &weir.Resource{ID: fmt.Sprintf("vm-%d", m), Name: fmt.Sprintf("vm-%d", m), Addresses: []netip.Addr{b.own}}
		b.guess(time.Duration(m)*time.Minute, 30*time.Minute, "203.0.113.7", 22, 80, login, false)
		for i := range 90 {
			b.guess(time.Duration(i)*7*time.Second, 2*time.Minute, fmt.Sprintf("192.0.2.%d", i+1), 3389, 2, rdpLogin, m%2 == 0)
		}
		for i := range 300 {
			b.out(time.Duration(rng.IntN(3600))*time.Second, fmt.Sprintf("203.0.113.%d", rng.IntN(250)), uint16([]int{23, 443, 80, 25}[rng.IntN(4)]), uint16(30000+i), []shape{deadSYN, webVisit, refusal}[rng.IntN(3)])
		}
		for i := range 4 {
			c := b.out(time.Duration(i)*time.Minute, "203.0.113.99", 80, 5555, shape{120000, 0, 40, 0, weir.SYN, 0})
			c.End = c.Start + int64(90*time.Second)
		}
		all = append(all, b.cs...)
	}
	return all
}

func TestOrderBatchesAndShardsDoNotMatter(t *testing.T) {
	cs := mixture()
	want := run(t, DefaultConfig(), cs)
	if len(types(want)) < 4 {
		t.Fatalf("the mixture raises too little to prove anything: %v", types(want))
	}
	opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 9))
		shuffled := slices.Clone(cs)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		shards := []int{1, 2, 7}[seed%3]
		ds := make([]*Detector, shards)
		for i := range ds {
			ds[i], _ = New(DefaultConfig())
		}
		for len(shuffled) > 0 {
			n := min(1+rng.IntN(500), len(shuffled))
			for i := range shuffled[:n] {
				ds[shuffled[i].Resource.Key()%uint64(shards)].Observe(shuffled[i : i+1])
			}
			shuffled = shuffled[n:]
		}
		var got []weir.Finding
		for _, d := range ds {
			d.Flush(func(f weir.Finding) { got = append(got, f) })
		}
		slices.SortStableFunc(got, CompareFindings)
		slices.SortStableFunc(want, CompareFindings)
		if diff := cmp.Diff(want, got, opts); diff != "" {
			t.Fatalf("seed %d, %d shards (-want +got):\n%s", seed, shards, diff)
		}
	}
}

func TestSteadyFeedEqualsOneGulp(t *testing.T) {
	cs := mixture()
	slices.SortFunc(cs, byEnd)
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var got []weir.Finding
	report := func(f weir.Finding) { got = append(got, f) }
	for i := range cs {
		d.Observe(cs[i : i+1])
		d.Close(cs[i].End-int64(DefaultConfig().Lateness), report)
	}
	d.Flush(report)
	if n := d.Stats().Late; n != 0 {
		t.Errorf("%d contacts were late in a feed in order", n)
	}
	want := run(t, DefaultConfig(), cs)
	slices.SortStableFunc(got, CompareFindings)
	slices.SortStableFunc(want, CompareFindings)
	if len(got) != len(want) {
		t.Fatalf("fed bit by bit: %d findings, in one gulp: %d", len(got), len(want))
	}
	for i := range got {
		if CompareFindings(got[i], want[i]) != 0 {
			t.Errorf("finding %d: %s %s at %d, want %s %s at %d", i, got[i].Type, got[i].Key, got[i].At, want[i].Type, want[i].Key, want[i].At)
		}
	}
}

// TestRestartChangesNothing is property P24: stopped at any pane and restored
// into a new detector, the run goes on as if uninterrupted.
func TestRestartChangesNothing(t *testing.T) {
	cs := mixture()
	for i := range cs {
		if i%50 == 0 {
			cs[i].PeerIntel = &weir.Verdict{Indicators: []*weir.Indicator{{Category: weir.CategoryC2, Source: "list", Confidence: 80}}}
		}
	}
	slices.SortFunc(cs, byEnd)
	play := func(restartAt map[int]bool) []weir.Finding {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		var out []weir.Finding
		report := func(f weir.Finding) { out = append(out, f) }
		for i := range cs {
			if restartAt[i] {
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
	want := play(nil)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5 {
		at := map[int]bool{}
		for range 4 {
			at[rng.IntN(len(cs))] = true
		}
		opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(want, play(at), opts); diff != "" {
			t.Fatalf("restarted before contacts %v (-want +got):\n%s", at, diff)
		}
	}
}

func TestRestoreRefusesWhatItCannotRead(t *testing.T) {
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	good, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, []byte("no state"), good[:len(good)/2]} {
		if err := d.Restore(b); !errors.Is(err, ErrState) {
			t.Errorf("restoring %d bytes: %v, want ErrState", len(b), err)
		}
	}
}

// TestFirstContactsMayComeOutOfOrder is P4 for the beginning: what is not before
// the watermark is never late, though a later contact came first.
func TestFirstContactsMayComeOutOfOrder(t *testing.T) {
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(1, 1)
	s.one(40*time.Second, 0, peerAt(1, 1), 22, login, false)
	s.one(70*time.Second, 0, peerAt(1, 2), 22, login, false)
	cs := observe(s.conns, 1, 1)
	none := func(weir.Finding) {}
	d.Observe(cs[1:])
	d.Close(cs[1].End-int64(2*time.Minute), none) // nothing is closed by this
	d.Observe(cs[:1])
	if n := d.Stats().Late; n != 0 {
		t.Errorf("%d contacts are late, none is before the watermark", n)
	}
}

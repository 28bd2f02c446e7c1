package engine

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/engine/config"
)

// The adversarial set of the detection reference, section 13. What a scenario
// can say is in testdata/adversarial, one file or more for every row of its
// table, named after the evasion; rows about records are tests below.
//
// Each can fail: the scenarios on the left do with the change on the right.
//
//	slow-and-low.*           horizon.slot: 4 h -> 4 min
//	slow-and-low.intel, beacon-jitter  intelRules: no sightings
//	distributed, probing     aggregateRule: surprise never reached
//	source-port              Tally.connections: distinct ports only
//	keep-alive.logs, idle    stormShare: 0.6 -> 1.2
//	spoofed.sampled          seen.auth -> true and pooled scanlike -> false
//	decoys                   judgePair: nothing where 100 peers are active
//	poisoning                judgePair: a prior of 1,000 for the own history
//	rotation                 peerOf: whole addresses
//	odd-port                 serviceTable.find: listeners not asked
//	carpet.*, fragments      judgeFlood: never
//	carpet.syn, carpet.syn.late  Run.Held: never
//	carpet.udp               flood.carpet: never
//	sweep.fast.*             resource.sweeping: never
//	restart and skew         pairFinding: key with the time
//	systematic sampling      gate: 30 sessions -> 900, odds 2 -> 900
func TestAdversarialSet(t *testing.T) {
	files, err := filepath.Glob("testdata/adversarial/*.scn")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := config.Default()
			r, err := RunCase(context.Background(), file, Offline{Config: &c}, 2, 78, func(*Detection) {})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Failed() && r.Fault == nil {
				return
			}
			t.Errorf("%s: missed %v, %d false alerts, fault %v", r.Title, r.Judgement.Missed(), len(r.Judgement.False), r.Fault)
			for i := range r.Alerts {
				a := &r.Alerts[i]
				t.Logf("%s of %s, %d peers, %v to %v, false: %v", a.Type, a.Resource.ID, len(a.Peers),
					time.Unix(0, a.First).UTC().Format(time.RFC3339), time.Unix(0, a.Last).UTC().Format(time.RFC3339), slices.Contains(r.Judgement.False, i))
			}
		})
	}
}

// alertsOf plays flows through a pipeline of one shard and returns the newest
// state of every alert by id.
func alertsOf(t *testing.T, flows []weir.Flow) map[string]weir.Alert {
	t.Helper()
	out := map[string]weir.Alert{}
	p, err := newPipeline(detect.DefaultConfig(), 1, world(t), func(c change) { out[c.alert.ID] = c.alert })
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	p.feed(weir.Batch{Flows: flows})
	p.finish()
	return out
}

// logins are n connections of one attacker, both directions in one record.
func logins(n int, from, length time.Duration) []weir.Flow {
	rng := rand.New(rand.NewPCG(4, 4))
	const flags = weir.SYN | weir.ACK | weir.PSH | weir.FIN
	var out []weir.Flow
	for i := range n {
		at := start + int64(from) + int64(length)*int64(i)/int64(n)
		out = append(out, weir.Flow{
			Start: at, End: at + int64(2*time.Second), Proto: weir.ProtoTCP,
			Src:     netip.AddrPortFrom(netip.MustParseAddr("203.0.113.77"), uint16(32768+rng.IntN(28000))),
			Dst:     netip.AddrPortFrom(own(0), 22),
			Packets: 14, RevPackets: 13, Bytes: 2100, RevBytes: 1900, TCPFlags: flags, RevTCPFlags: flags, Sampling: 1, SamplingSource: weir.SamplingFormat,
			Known:     weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts | weir.HasReverse | weir.HasRevFlags,
			Initiator: weir.InitiatorSrc, Exporter: netip.MustParseAddr("192.0.2.1"),
		})
	}
	return out
}

// TestRestartAndSkewKeepTheEpisode is P14 as the detectors see it: the second
// half of an attack comes from a restarted exporter, of another domain, with
// its clock half a minute off.
func TestRestartAndSkewKeepTheEpisode(t *testing.T) {
	want := alertsOf(t, logins(400, 20*time.Minute, 30*time.Minute))
	if len(want) != 1 {
		t.Fatalf("%d alerts of one attack", len(want))
	}
	for _, skew := range []time.Duration{0, 30 * time.Second, -30 * time.Second} {
		flows := logins(400, 20*time.Minute, 30*time.Minute)
		for i := len(flows) / 2; i < len(flows); i++ {
			f := &flows[i]
			f.Start, f.End, f.Domain, f.Exporter = f.Start+int64(skew), f.End+int64(skew), 7, netip.MustParseAddr("192.0.2.2")
		}
		got := alertsOf(t, flows)
		if len(got) != 1 {
			t.Errorf("skew %v: %d alerts", skew, len(got))
		}
		for id := range want {
			if _, ok := got[id]; !ok {
				t.Errorf("skew %v: another id", skew)
			}
		}
	}
}

// TestSystematicSampling is the row on aliasing: a router that takes every n-th
// packet, instead of each by itself, still sees an attack whose connections have
// a period that divides n, because other traffic breaks the rhythm. A link with
// nothing but the attack would be the blind spot that the reference names.
func TestSystematicSampling(t *testing.T) {
	const n = 256
	rng := rand.New(rand.NewPCG(6, 6))
	for _, k := range []uint64{14, 16} { // 16 divides 256
		type packet struct {
			at   int64
			flow int
			i    uint64
		}
		base := logins(6000, 20*time.Minute, 30*time.Minute)
		for i := range 6000 { // background of web traffic
			f := base[i]
			f.Start = start + int64(20*time.Minute) + rng.Int64N(int64(30*time.Minute))
			f.Src, f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 116, byte(i)}), uint16(32768+i%28000)), netip.AddrPortFrom(own(1), 443)
			base = append(base, f)
		}
		var all []packet
		for i := range base {
			for j := range k {
				all = append(all, packet{base[i].Start + int64(j)*int64(120*time.Millisecond), i, j})
			}
		}
		slices.SortFunc(all, func(a, b packet) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.flow, b.flow)) })
		var flows []weir.Flow
		for i := n / 2; i < len(all); i += n {
			f := base[all[i].flow]
			f.Start, f.End, f.Packets, f.Bytes, f.RevPackets, f.RevBytes, f.RevTCPFlags = all[i].at, all[i].at, 1, 150, 0, 0, 0
			f.Known &^= weir.HasReverse | weir.HasRevFlags
			f.Sampling, f.SamplingSource, f.Initiator = n, weir.SamplingConfig, weir.InitiatorUnknown
			switch all[i].i {
			case 0:
				f.TCPFlags = weir.SYN
			case k - 1:
				f.TCPFlags = weir.FIN | weir.ACK
			default:
				f.TCPFlags = weir.PSH | weir.ACK
			}
			flows = append(flows, f)
		}
		got := alertsOf(t, flows)
		if len(got) != 1 {
			t.Errorf("%d packets a connection: %d alerts of %d samples, want one", k, len(got), len(flows))
		}
		for _, a := range got {
			if a.Type != weir.SSHIncomingOneToOne {
				t.Errorf("%d packets a connection: %s", k, a.Type)
			}
		}
	}
}

// TestFragmentsAreVolumeOnly is the row on fragments: without ports they are no
// logins, and many of them are a flood.
func TestFragmentsAreVolumeOnly(t *testing.T) {
	fragments := func(src, dst netip.Addr, each uint64) []weir.Flow {
		var out []weir.Flow
		for i := range 400 {
			at := start + int64(20*time.Minute) + int64(i)*int64(time.Second)
			out = append(out, weir.Flow{
				Start: at, End: at + int64(time.Second)/2, Proto: weir.ProtoUDP, Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(dst, 0),
				Packets: each, Bytes: 1400 * each, Sampling: 1, SamplingSource: weir.SamplingFormat,
				Known: weir.HasPackets | weir.HasBytes | weir.IsFragment, Exporter: netip.MustParseAddr("192.0.2.1"),
			})
		}
		return out
	}
	peer := netip.MustParseAddr("203.0.113.77")
	if got := alertsOf(t, fragments(peer, own(0), 40)); len(got) != 0 {
		t.Errorf("fragments of a peer raise %d alerts", len(got))
	}
	if got := alertsOf(t, fragments(own(0), peer, 15000)); len(got) != 0 {
		t.Errorf("15,000 fragments a second raise %d alerts", len(got))
	}
	got := alertsOf(t, fragments(own(0), peer, 25000))
	if len(got) != 1 {
		t.Fatalf("25,000 fragments a second raise %d alerts", len(got))
	}
	for _, a := range got {
		if a.Type != weir.DDoS || a.Facts["class"] != "fragments" {
			t.Errorf("%s of class %q", a.Type, a.Facts["class"])
		}
	}
}

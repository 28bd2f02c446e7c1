package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/inventory"
)

// start is 2026-03-01T08:00:00Z, a multiple of four hours.
const start = int64(1772352000) * int64(time.Second)

// world is what the flows of these tests are about.
func world(t *testing.T) *knowledge {
	t.Helper()
	var resources []*weir.Resource
	for i := range 12 {
		resources = append(resources, &weir.Resource{
			ID: fmt.Sprintf("vm-%02d", i), Name: fmt.Sprintf("vm-%02d", i), Kind: weir.VirtualMachine,
			Addresses: []netip.Addr{own(i)}, Listeners: []weir.Listener{{Port: 22, Service: "ssh"}},
		})
	}
	inv, err := inventory.New(resources, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := netip.MustParseAddr("203.0.113.66")
	table := intel.NewTable([]weir.Indicator{{Prefix: netip.PrefixFrom(bad, 32), Category: weir.CategoryC2, Source: "test", Confidence: 90, LastSeen: start}})
	return &knowledge{inventory: inv, orienter: inventory.NewOrienter(inv, inventory.DefaultServicePorts()), intel: table}
}

func own(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}) }

// traffic is three hours of brute force, scans, a flood, indicators and
// harmless traffic against and from the resources of world.
func traffic() []weir.Flow {
	rng := rand.New(rand.NewPCG(1, 2))
	var out []weir.Flow
	add := func(at time.Duration, src, dst netip.AddrPort, packets, rev, bytes uint64, flags uint16) {
		out = append(out, weir.Flow{
			Start: start + int64(at), End: start + int64(at) + int64(2*time.Second), Src: src, Dst: dst, Packets: packets, RevPackets: rev,
			Bytes: bytes, RevBytes: rev * 120, TCPFlags: flags, RevTCPFlags: flags, Sampling: 1, SamplingSource: weir.SamplingFormat,
			Proto: weir.ProtoTCP, Known: weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts | weir.HasReverse | weir.HasRevFlags,
			Initiator: weir.InitiatorSrc, Exporter: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + len(out)%3)}),
		})
	}
	port := func() uint16 { return uint16(32768 + rng.IntN(28000)) }
	peer := func(net byte, i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, net, byte(i)}) }
	const login = weir.SYN | weir.ACK | weir.PSH | weir.FIN
	for r := range 4 { // one to one
		for i := range 400 {
			add(20*time.Minute+time.Duration(i)*8*time.Second, netip.AddrPortFrom(peer(113, 10+r), port()), netip.AddrPortFrom(own(r), 22), 14, 12, 2100, login)
		}
	}
	for bot := range 60 { // many to one
		for range 6 {
			add(30*time.Minute+time.Duration(rng.IntN(3000))*time.Second, netip.AddrPortFrom(peer(114, bot), port()), netip.AddrPortFrom(own(5), 22), 13, 11, 2000, login)
		}
	}
	for i := range 600 { // a sweep
		add(70*time.Minute+time.Duration(i)*400*time.Millisecond, netip.AddrPortFrom(own(6), port()), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i / 200), byte(i % 200)}), 23), 1, 0, 44, weir.SYN)
	}
	for i := range 200 { // a flood
		add(100*time.Minute+time.Duration(i)*time.Second, netip.AddrPortFrom(own(7), port()), netip.AddrPortFrom(peer(115, 1), 80), 400000, 0, 16000000, weir.SYN)
	}
	for i := range 60 { // command and control
		add(10*time.Minute+time.Duration(i)*2*time.Minute, netip.AddrPortFrom(own(8), port()), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.66"), 443), 10, 9, 900, login)
	}
	for range 3000 { // harmless
		add(time.Duration(rng.IntN(3*3600))*time.Second, netip.AddrPortFrom(peer(116, rng.IntN(250)), port()), netip.AddrPortFrom(own(rng.IntN(12)), 443), 20, 30, 4000, login)
	}
	slices.SortStableFunc(out, func(a, b weir.Flow) int { return int(a.End - b.End) })
	return out
}

// play runs flows in batches and returns every change, as JSON.
func play(t *testing.T, shards int, flows []weir.Flow, size func() int) (string, []string) {
	t.Helper()
	var told []string
	var ids []string
	p, err := newPipeline(detect.DefaultConfig(), shards, world(t), func(c change) {
		b, err := json.Marshal(c.alert)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, c.what.String()+" "+string(b))
		ids = append(ids, string(c.alert.Type))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	const slack = int64(10 * time.Minute)
	for len(flows) > 0 {
		n := min(size(), len(flows))
		batch := slices.Clone(flows[:n])
		flows = flows[n:]
		// The promise of the batch: no later one holds an end before it.
		mark := int64(0)
		if len(flows) > 0 {
			mark = flows[0].End - slack
			for i := range min(len(flows), 500) {
				mark = min(mark, flows[i].End-1)
			}
		}
		p.feed(weir.Batch{Flows: batch, Watermark: mark})
		clear(batch) // a batch belongs to its sender after feed
	}
	p.finish()
	if n := p.counts.late.Load(); n != 0 {
		t.Fatalf("%d flows were late: the test breaks its promise", n)
	}
	if len(told) == 0 {
		t.Fatal("no alert")
	}
	out, _ := json.MarshalIndent(told, "", " ")
	return string(out), ids
}

// shuffled moves flows within stretches of time shorter than the slack of the
// watermark.
func shuffled(flows []weir.Flow, seed uint64) []weir.Flow {
	out := slices.Clone(flows)
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := 0; i < len(out); i += 100 {
		part := out[i:min(i+100, len(out))]
		rng.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
	}
	return out
}

func TestAlertsDoNotDependOnShardsBatchesOrOrder(t *testing.T) {
	flows := traffic()
	whole := func() int { return 1 << 20 }
	want, types := play(t, 1, flows, whole)
	kinds := map[string]bool{}
	for _, k := range types {
		kinds[k] = true
	}
	for _, k := range []weir.AlertType{weir.SSHIncomingOneToOne, weir.SSHIncomingManyToOne, weir.PortScanning, weir.DDoS, weir.CommunicationWithC2} {
		if !kinds[string(k)] {
			t.Errorf("the traffic raises no %s: the test proves less than it should", k)
		}
	}
	for _, shards := range []int{1, 2, 7} {
		for _, size := range []int{37, 1000, 1 << 20} {
			for _, seed := range []uint64{0, 1} {
				if testing.Short() && (size == 37 || seed == 1) {
					continue
				}
				name := fmt.Sprintf("%d shards, batches of %d, order %d", shards, size, seed)
				in := flows
				if seed > 0 {
					in = shuffled(flows, seed)
				}
				got, _ := play(t, shards, in, func() int { return size })
				if got != want {
					d := cmp.Diff(want, got)
					t.Fatalf("%s: other alerts\n%s", name, d[:min(len(d), 3000)])
				}
			}
		}
	}
}

func TestLateFlowsAreCountedAndChangeNothing(t *testing.T) {
	flows := traffic()
	var want, got []string
	run := func(late bool, told *[]string) *pipeline {
		p, err := newPipeline(detect.DefaultConfig(), 2, world(t), func(c change) { *told = append(*told, c.alert.ID+c.what.String()) })
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		half := len(flows) / 2
		p.feed(weir.Batch{Flows: slices.Clone(flows[:half]), Watermark: flows[half].End - 1})
		if late {
			p.feed(weir.Batch{Flows: slices.Clone(flows[:100])})
		}
		p.feed(weir.Batch{Flows: slices.Clone(flows[half:])})
		p.finish()
		return p
	}
	run(false, &want)
	p := run(true, &got)
	if n := p.counts.late.Load(); n != 100 {
		t.Errorf("%d late flows counted, want 100", n)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("late flows changed the alerts: %s", d)
	}
}

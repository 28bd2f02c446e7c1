package inventory

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	weir "github.com/weir-net/weir"
	"pgregory.net/rapid"
)

// twin maps 10.a.b.c to 2001:db8:a:b::c, one to one, so that prefixes of 8, 16, 24
// and 32 bits become those of 32, 48, 64 and 128.
func twin(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, b[1], 0, b[2], 15: b[3]})
}

func twinPort(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(twin(ap.Addr()), ap.Port())
}

func twinPrefix(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(twin(p.Addr()), map[int]int{8: 32, 16: 48, 24: 64, 32: 128}[p.Bits()])
}

// genAddr draws from a space small enough for hits.
func genAddr(t *rapid.T, label string) netip.Addr {
	return netip.AddrFrom4([4]byte{
		10, rapid.ByteMax(2).Draw(t, label+"1"), rapid.ByteMax(2).Draw(t, label+"2"), rapid.ByteMax(5).Draw(t, label+"3"),
	})
}

type spec struct {
	resources []*weir.Resource
	networks  []Network
	allow     []Allow
}

func genSpec(t *rapid.T) spec {
	var s spec
	used := map[netip.Addr]bool{}
	for i := range rapid.IntRange(0, 6).Draw(t, "resources") {
		r := &weir.Resource{ID: fmt.Sprint("r", i), Name: "n", Kind: weir.VirtualMachine}
		for range rapid.IntRange(1, 2).Draw(t, "addresses") {
			a := genAddr(t, "own")
			if used[a] {
				continue
			}
			used[a] = true
			if rapid.Bool().Draw(t, "private") {
				r.PrivateAddresses = append(r.PrivateAddresses, a)
			} else {
				r.Addresses = append(r.Addresses, a)
			}
		}
		if rapid.Bool().Draw(t, "listens") {
			r.Listeners = []weir.Listener{{Port: 5000}}
		}
		if i > 0 && rapid.IntRange(0, 2).Draw(t, "pool") == 0 {
			r.Kind = weir.LoadBalancer
			r.Backends = []weir.Backend{{Resource: "r0", FrontendPort: 80, BackendPort: rapid.SampledFrom([]uint16{0, 22}).Draw(t, "port")}}
		}
		s.resources = append(s.resources, r)
	}
	nets := map[netip.Prefix]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "networks") {
		p := netip.PrefixFrom(genAddr(t, "net"), rapid.SampledFrom([]int{16, 24, 32}).Draw(t, "bits")).Masked()
		if !nets[p] {
			nets[p] = true
			s.networks = append(s.networks, Network{Prefix: p, Kind: weir.VirtualMachine})
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "allow") {
		p := netip.PrefixFrom(genAddr(t, "peer"), rapid.SampledFrom([]int{8, 16, 24, 32}).Draw(t, "bits")).Masked()
		s.allow = append(s.allow, Allow{p, "x", rapid.Int64Range(0, 3).Draw(t, "until")})
	}
	return s
}

func (s spec) inventory(t *rapid.T) *Inventory {
	inv, err := New(s.resources, s.networks, s.allow)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// twin returns the same inventory in IPv6.
func (s spec) twin() spec {
	var out spec
	for _, r := range s.resources {
		c := *r
		c.Addresses, c.PrivateAddresses = nil, nil
		for _, a := range r.Addresses {
			c.Addresses = append(c.Addresses, twin(a))
		}
		for _, a := range r.PrivateAddresses {
			c.PrivateAddresses = append(c.PrivateAddresses, twin(a))
		}
		out.resources = append(out.resources, &c)
	}
	for _, n := range s.networks {
		n.Prefix = twinPrefix(n.Prefix)
		out.networks = append(out.networks, n)
	}
	for _, a := range s.allow {
		a.Prefix = twinPrefix(a.Prefix)
		out.allow = append(out.allow, a)
	}
	return out
}

func genFlow(t *rapid.T) weir.Flow {
	ports := rapid.SampledFrom([]uint16{0, 22, 80, 443, 5000, 20000, 40000, 50000})
	f := weir.Flow{
		Start: 1, End: rapid.Int64Range(0, 4).Draw(t, "end"),
		Src: netip.AddrPortFrom(genAddr(t, "src"), ports.Draw(t, "sport")), Dst: netip.AddrPortFrom(genAddr(t, "dst"), ports.Draw(t, "dport")),
		Packets: rapid.Uint64Range(0, 3).Draw(t, "packets"), Bytes: 100,
		RevPackets: rapid.Uint64Range(0, 3).Draw(t, "rev"), RevBytes: 50,
		TCPFlags: rapid.Uint16Range(0, 31).Draw(t, "flags"), RevTCPFlags: rapid.Uint16Range(0, 31).Draw(t, "revflags"),
		Proto: rapid.SampledFrom([]uint8{1, 6, 17, 132}).Draw(t, "proto"), Known: weir.Fields(rapid.Uint8Range(0, 127).Draw(t, "known")),
		Initiator: weir.Initiator(rapid.Uint8Range(0, 2).Draw(t, "initiator")), InputIf: 1, OutputIf: 2,
	}
	if rapid.IntRange(0, 4).Draw(t, "azure") == 0 {
		f.Format = weir.FormatAzureVNet
	}
	return f
}

var compareAddrs = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.IgnoreFields(weir.Contact{}, "LogOdds"),
}

// TestFlipSymmetry turns a record round: the same ends are protected, in and out
// counters stay, and what points at the client points at it still. (Property P13 of
// the detection reference.)
func TestFlipSymmetry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := NewOrienter(genSpec(t).inventory(t), DefaultServicePorts())
		f := genFlow(t)
		// Both directions must be known in full, for a record that is turned round
		// tells the reverse direction first.
		f.Known |= weir.HasReverse | weir.HasRevFlags
		g := f
		g.Src, g.Dst, g.InputIf, g.OutputIf = f.Dst, f.Src, f.OutputIf, f.InputIf
		g.Packets, g.Bytes, g.TCPFlags, g.RevPackets, g.RevBytes, g.RevTCPFlags = f.RevPackets, f.RevBytes, f.RevTCPFlags, f.Packets, f.Bytes, f.TCPFlags
		switch f.Initiator {
		case weir.InitiatorSrc:
			g.Initiator = weir.InitiatorDst
		case weir.InitiatorDst:
			g.Initiator = weir.InitiatorSrc
		}
		there, back := o.Contacts(&f, nil), o.Contacts(&g, nil)
		for i := range back {
			back[i].FromOwn = !back[i].FromOwn
			back[i].Interface = 0 // that of the record as exported, which is the other one
		}
		for i := range there {
			there[i].Interface = 0
		}
		odds := func(cs []weir.Contact) (sum float32) {
			for _, c := range cs {
				sum += c.LogOdds * float32(c.Own.Port()+1)
			}
			return sum
		}
		less := func(a, b weir.Contact) bool {
			return a.Resource.ID+a.Own.String()+fmt.Sprint(a.Leg) < b.Resource.ID+b.Own.String()+fmt.Sprint(b.Leg)
		}
		if diff := cmp.Diff(there, back, compareAddrs, cmpopts.SortSlices(less)); diff != "" {
			t.Fatal(diff)
		}
		if a, b := odds(there), odds(back); a-b > 0.5 || b-a > 0.5 {
			t.Fatalf("log-odds %v, flipped %v", a, b)
		}
	})
}

// TestOddsAgree: the two ends of one flow see opposite odds.
func TestOddsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFlow(t)
		var src, dst *weir.Contact
		for _, c := range NewOrienter(genSpec(t).inventory(t), DefaultServicePorts()).Contacts(&f, nil) {
			if c.FromOwn {
				src = &c
			} else {
				dst = &c
			}
			if c.Peer == c.Own && f.Src != f.Dst {
				t.Fatalf("own is peer: %+v", c)
			}
		}
		if src != nil && dst != nil && src.LogOdds != -dst.LogOdds {
			t.Fatalf("%v and %v", src.LogOdds, dst.LogOdds)
		}
	})
}

// TestLookupNaive compares with a scan: exact addresses first, then the longest
// network.
func TestLookupNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSpec(t)
		inv, a := s.inventory(t), genAddr(t, "addr")
		var want string
		bits := -1
		for _, n := range s.networks {
			if n.Prefix.Contains(a) && n.Prefix.Bits() > bits {
				want, bits = a.String(), n.Prefix.Bits()
			}
		}
		for _, r := range s.resources {
			for _, own := range append(append([]netip.Addr(nil), r.Addresses...), r.PrivateAddresses...) {
				if own == a {
					want = r.ID
				}
			}
		}
		got := ""
		if r, _ := inv.Lookup(a); r != nil {
			got = r.ID
			again, _ := inv.Lookup(a)
			if again.Key() != r.Key() {
				t.Fatalf("the key of %s changed", a)
			}
		}
		if got != want {
			t.Fatalf("Lookup(%s) = %q, want %q", a, got, want)
		}
		at := rapid.Int64Range(0, 4).Draw(t, "at")
		allowed := false
		for _, e := range s.allow {
			allowed = allowed || e.Prefix.Contains(a) && (e.Until == 0 || at < e.Until)
		}
		_, by := inv.AllowedBy(a, at)
		if inv.Allowed(a, at) != allowed || by != allowed {
			t.Fatalf("Allowed(%s, %d) = %v, want %v", a, at, !allowed, allowed)
		}
	})
}

// TestTwins: the same inventory and flow in IPv6 make the same contacts.
func TestTwins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, f := genSpec(t), genFlow(t)
		g := f
		g.Src, g.Dst = twinPort(f.Src), twinPort(f.Dst)
		four := NewOrienter(s.inventory(t), DefaultServicePorts()).Contacts(&f, nil)
		six := NewOrienter(s.twin().inventory(t), DefaultServicePorts()).Contacts(&g, nil)
		if len(four) != len(six) {
			t.Fatalf("%d contacts in IPv4, %d in IPv6", len(four), len(six))
		}
		for i := range four {
			if twinPort(four[i].Own) != six[i].Own || four[i].LogOdds != six[i].LogOdds || four[i].Resource.Kind != six[i].Resource.Kind {
				t.Fatalf("%+v\n%+v", four[i], six[i])
			}
			four[i].Own, four[i].Peer, four[i].Resource, four[i].Key = six[i].Own, six[i].Peer, six[i].Resource, six[i].Key
		}
		if diff := cmp.Diff(four, six, compareAddrs); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestBatch: flows that are matched together make the same contacts as one by one,
// whatever stood before where they are put, and each carries the key of its
// resource.
func TestBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := NewOrienter(genSpec(t).inventory(t), DefaultServicePorts())
		flows := rapid.SliceOfN(rapid.Custom(genFlow), 0, 8).Draw(t, "flows")
		var one, batch []weir.Contact
		for i := range flows {
			one = o.Contacts(&flows[i], one)
		}
		stale := weir.Counters{Packets: 99, Bytes: 99, Flags: 99}
		dirty := make([]weir.Contact, 32)
		for i := range dirty {
			dirty[i] = weir.Contact{
				Own: netip.MustParseAddrPort("192.0.2.9:9"), Out: stale, In: stale, LogOdds: 9, Sampling: 9, Known: 0xff, Action: weir.ActionDeny,
				Leg: weir.BackLeg, Member: "stale", FromOwn: true, PeerIsOwn: true, Allowed: true, PeerIntel: &weir.Verdict{}, OwnIntel: &weir.Verdict{},
			}
		}
		batch = dirty[:0]
		for _, m := range o.Match(flows, nil) {
			batch = o.Matched(&flows[m.Flow], m, batch)
		}
		if diff := cmp.Diff(one, batch, compareAddrs, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		for i := range batch {
			if c := &batch[i]; c.LogOdds != one[i].LogOdds || c.Key != c.Resource.Key() {
				t.Fatalf("log-odds %v, want %v; key %d of %q", c.LogOdds, one[i].LogOdds, c.Key, c.Resource.ID)
			}
		}
	})
}

// TestExact compares the hash tables of addresses with maps, with addresses close to
// each other and far apart.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var four exact4
		var six exact6
		want4, want6 := map[uint32]uint32{}, map[[2]uint64]uint32{}
		addr := rapid.OneOf(rapid.Uint32Range(0, 40), rapid.Uint32())
		for range rapid.IntRange(0, 100).Draw(t, "entries") {
			a, n := addr.Draw(t, "addr"), rapid.Uint32Range(1, 9).Draw(t, "number")
			four.insert(a, n)
			want4[a] = n
			k := [2]uint64{uint64(a) << 30, uint64(addr.Draw(t, "low"))}
			six.insert(k, n)
			want6[k] = n
		}
		for a := range uint32(64) {
			if got := four.find(a); got != want4[a] {
				t.Fatalf("%d is %d, want %d", a, got, want4[a])
			}
		}
		for k, n := range want6 {
			if got, other := six.find(k), six.find([2]uint64{k[0] + 1, k[1]}); got != n || other != want6[[2]uint64{k[0] + 1, k[1]}] {
				t.Fatalf("%d is %d, want %d; its neighbour is %d", k, got, n, other)
			}
		}
	})
}

// TestCacheBounded makes more resources than the cache holds and gets each right.
func TestCacheBounded(t *testing.T) {
	inv := mustParse(t, `networks: [{prefix: "2001:db8::/48", tenant: t, roles: [mail]}]`)
	if n := len(inv.cache.slots); n != maxCacheSlots {
		t.Fatalf("%d slots", n)
	}
	a := netip.MustParseAddr("2001:db8::1")
	first, _ := inv.Lookup(a)
	key := first.Key()
	for range 3 * maxCacheSlots {
		a = a.Next()
		if r, _ := inv.Lookup(a); r == nil || r.Addresses[0] != a || !r.HasRole("mail") {
			t.Fatalf("Lookup(%s) = %+v", a, r)
		}
	}
	again, _ := inv.Lookup(netip.MustParseAddr("2001:db8::1"))
	if diff := cmp.Diff(first, again, compareAddrs); diff != "" || again.Key() != key {
		t.Error(diff)
	}
}

// TestConcurrent uses one orienter from several goroutines, over a cache that is
// too small for the network; the race detector watches.
func TestConcurrent(t *testing.T) {
	inv := mustParse(t, `networks: [{prefix: 10.0.0.0/8}]`)
	o := NewOrienter(inv, DefaultServicePorts())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var dst []weir.Contact
			for i := range 2000 {
				f := flow("198.51.100.1:50000", "203.0.113.1:22", weir.SYN, 1)
				f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), byte(g & 1)}), 22)
				dst = o.Contacts(&f, dst[:0])
				if len(dst) != 1 || dst[0].Resource.Addresses[0] != f.Dst.Addr() {
					t.Errorf("%+v", dst)
					return
				}
			}
		})
	}
	wg.Wait()
}

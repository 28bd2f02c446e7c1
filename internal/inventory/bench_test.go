package inventory

import (
	"fmt"
	"net/netip"
	"testing"

	weir "github.com/weir-net/weir"
)

// benchInventory has 10,000 machines in 203.0.0.0/16 and a network.
func benchInventory(b *testing.B) *Inventory {
	var resources []*weir.Resource
	for i := range 10_000 {
		resources = append(resources, &weir.Resource{
			ID: fmt.Sprint(i), Kind: weir.VirtualMachine, Listeners: []weir.Listener{{Port: 22}},
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})},
		})
	}
	inv, err := New(resources, []Network{{Prefix: netip.MustParsePrefix("198.51.0.0/16"), Kind: weir.VirtualMachine}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return inv
}

func BenchmarkLookup(b *testing.B) {
	inv := benchInventory(b)
	for _, tt := range []struct {
		name string
		net  [2]byte
	}{{"exact", [2]byte{203, 0}}, {"network", [2]byte{198, 51}}, {"foreign", [2]byte{8, 8}}, {"near", [2]byte{203, 1}}} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				inv.Lookup(netip.AddrFrom4([4]byte{tt.net[0], tt.net[1], byte(i>>8) & 31, byte(i)}))
				i += 2654435761
			}
		})
	}
}

func BenchmarkContacts(b *testing.B) {
	o := NewOrienter(benchInventory(b), DefaultServicePorts())
	for _, tt := range []struct{ name, src, dst string }{
		{"incoming", "192.0.2.1:50000", "203.0.3.4:22"},
		{"network", "192.0.2.1:50000", "198.51.3.4:22"},
		{"foreign", "192.0.2.1:50000", "8.8.8.8:53"},
		{"both", "203.0.1.1:50000", "203.0.3.4:22"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			f := flow(tt.src, tt.dst, weir.SYN, 1)
			dst := make([]weir.Contact, 0, 4)
			for b.Loop() {
				dst = o.Contacts(&f, dst[:0])
			}
		})
	}
}

// BenchmarkBatch makes the contacts of 256 flows that come and go, in one operation.
func BenchmarkBatch(b *testing.B) {
	o := NewOrienter(benchInventory(b), DefaultServicePorts())
	flows := make([]weir.Flow, 256)
	for i := range flows {
		flows[i] = flow("192.0.2.1:50000", "203.0.0.0:22", weir.SYN, 1)
		f := &flows[i]
		f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i * 151 >> 8 & 31), byte(i * 151)}), 22)
		if i*7%11 < 5 {
			f.Src, f.Dst, f.TCPFlags = f.Dst, f.Src, weir.SYN|weir.ACK
		}
	}
	var matches []Match
	var dst []weir.Contact
	b.ReportAllocs()
	for b.Loop() {
		matches, dst = o.Match(flows, matches[:0]), dst[:0]
		for _, m := range matches {
			dst = o.Matched(&flows[m.Flow], m, dst)
		}
	}
	if len(dst) != len(flows) {
		b.Fatal(len(dst))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(flows)), "ns/flow")
}

// TestContactsAllocations holds that orientation does not allocate once the
// resources of networks are there.
func TestContactsAllocations(t *testing.T) {
	inv := mustParse(t, "resources: [{id: a, addresses: [203.0.113.1]}]\nnetworks: [{prefix: 198.51.100.0/24}]")
	o := NewOrienter(inv, DefaultServicePorts())
	f := flow("203.0.113.1:50000", "198.51.100.7:22", weir.SYN, 1)
	dst := make([]weir.Contact, 0, 4)
	if n := testing.AllocsPerRun(100, func() { dst = o.Contacts(&f, dst[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	flows, matches := []weir.Flow{f, flow("192.0.2.1:1", "192.0.2.2:1", 0, 1)}, make([]Match, 0, 2)
	if n := testing.AllocsPerRun(100, func() {
		if matches = o.Match(flows, matches[:0]); len(matches) == 1 {
			dst = o.Matched(&flows[0], matches[0], dst[:0])
		}
	}); n != 0 || len(dst) == 0 {
		t.Errorf("%v allocations of a batch, %d contacts", n, len(dst))
	}
}

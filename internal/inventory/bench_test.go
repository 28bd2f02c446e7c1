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
}

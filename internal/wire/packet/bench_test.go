package packet

import "testing"

// BenchmarkParse reads the headers of the packets that are most common, and of
// one that takes the general way.
func BenchmarkParse(b *testing.B) {
	for _, p := range []struct{ name, hex string }{
		{"tcp4", eth + "0800" + ip4 + tcp},
		{"udp6", eth + "86dd 6000 0000 000a 11 3f" + addrs6 + udp},
		{"vlan", eth + "8100 2064 0800" + ip4 + tcp},
	} {
		b.Run(p.name, func(b *testing.B) {
			in := unhex(b, p.hex)
			var h Header
			b.ReportAllocs()
			for b.Loop() {
				if err := Parse(Ethernet, in, &h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

//go:build integration

package integration

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestReplayedCapture gives the export of softflowd, made from a capture whose
// packets the test itself counted, to nfcapd and to Weir, and compares all three
// record by record: nfdump, weir flows over the export, and the truth. The
// server must count as many flows as there are.
func TestReplayedCapture(t *testing.T) {
	softflowd := need(t, "softflowd", "softflowd")
	need(t, "nfcapd", "nfdump")
	weir := weirBinary(t)
	v4 := func(r record) bool { return r.Src.Is4() }
	all := func(record) bool { return true }
	versions := []struct {
		name  string
		args  []string
		keep  func(record) bool // what the version can carry
		biflo bool
		times bool // softflowd 1.1.0 swaps first and last in IPFIX without -A
	}{
		{"NetFlow v5", []string{"-v", "5"}, v4, false, true},
		{"NetFlow v9", []string{"-v", "9"}, all, false, true},
		{"IPFIX", []string{"-v", "10", "-A", "milli"}, all, false, true},
		{"IPFIX with uptime", []string{"-v", "10"}, all, false, false},
		{"IPFIX with biflows", []string{"-v", "10", "-b", "-A", "milli"}, all, true, true},
	}
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			begin := time.Now().Add(-time.Minute).Truncate(time.Second)
			c := newCapture(t, begin)
			for i := range 120 {
				client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i%5)}), uint16(40000+i))
				c.tcp(client, netip.MustParseAddrPort("203.0.113.10:22"), 1+i%7, 40+i, 300+i)
				c.udp(client, netip.MustParseAddrPort("203.0.113.53:53"), 30+i%20, 400)
				client6 := netip.AddrPortFrom(netip.MustParseAddr("2001:db8:2::7"), uint16(50000+i))
				c.tcp(client6, netip.MustParseAddrPort("[2001:db8:1::10]:443"), 1+i%3, 200, 1000)
			}
			c.ping(netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("203.0.113.10"), 5)
			truth := c.records(v.keep)

			relay := startRelay(t, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
			run(t, softflowd, append([]string{"-r", c.file, "-d", "-a", "-n", relay.addr()}, v.args...)...)
			datagrams := relay.datagrams(t)

			nfcapd := startCollector(t, nil, loopback(t, "udp"))
			server := startServer(t, nil, loopback(t, "udp"), loopback(t, "tcp"), nil, "")
			dial := func(to netip.AddrPort) (net.Conn, error) { return net.Dial("udp", to.String()) }
			send(t, dial, nfcapd.addr, datagrams)
			send(t, dial, server.netflow, datagrams)

			ours, span := weirRecords(t, run(t, weir, "flows", "-o", "ndjson", exportFile(t, datagrams)))
			server.counts(t, "weir_flows_received_total", float64(len(ours)))
			theirs := nfcapd.flows(t)

			same(t, "nfdump", theirs, "weir", ours)
			if !v.biflo {
				same(t, "the capture", truth, "weir", ours)
			}
			packets, bytes := totals(ours)
			wantPackets, wantBytes := totals(truth)
			if packets != wantPackets || bytes != wantBytes {
				t.Errorf("weir has %d packets and %d bytes, the capture %d and %d", packets, bytes, wantPackets, wantBytes)
			}
			if v.times {
				first := slices.MinFunc(span, func(a, b times) int { return int(a.first - b.first) }).first
				last := slices.MaxFunc(span, func(a, b times) int { return int(a.last - b.last) }).last
				// NetFlow v9 tells the boot time in whole seconds only.
				if d := first - begin.UnixMilli(); d < -1100 || d > 1100 {
					t.Errorf("the first flow begins %d ms from the first packet", d)
				}
				if d := last - c.now.UnixMilli(); d < -1100 || d > 1100 {
					t.Errorf("the last flow ends %d ms from the last packet", d)
				}
			}
			if dropped, err := server.metric("weir_flows_dropped_total"); err == nil && dropped != 0 {
				t.Errorf("the server dropped %v flows", dropped)
			}
			t.Logf("%d datagrams, %d records, %d packets, %d bytes: the same to nfdump, to weir and in the capture", len(datagrams), len(ours), packets, bytes)
		})
	}
}

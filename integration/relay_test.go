//go:build integration

package integration

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// relay stands between exporter and collectors: it keeps every datagram that
// the exporter sends, so that one and the same export can be given to several
// readers, and be written to a file.
type relay struct {
	conn net.PacketConn
	mu   sync.Mutex
	got  [][]byte
	done chan struct{}
}

// startRelay receives on a socket that listen opens.
func startRelay(t *testing.T, listen func() (net.PacketConn, error)) *relay {
	t.Helper()
	conn, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := conn.(*net.UDPConn); ok {
		if err := u.SetReadBuffer(8 << 20); err != nil {
			t.Fatal(err)
		}
	}
	r := &relay{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		b := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.got = append(r.got, append([]byte(nil), b[:n]...))
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-r.done })
	return r
}

// addr is the address that the exporter sends to.
func (r *relay) addr() string { return r.conn.LocalAddr().String() }

// datagrams waits until no datagram came for a while and returns all of them.
func (r *relay) datagrams(t *testing.T) [][]byte {
	t.Helper()
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got)
	}
	for n := -1; n != count(); {
		n = count()
		time.Sleep(300 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) == 0 {
		t.Fatal("the exporter sent nothing")
	}
	return r.got
}

// send gives the datagrams to the target from one socket, slowly enough that no
// receive buffer overflows.
func send(t *testing.T, dial func(netip.AddrPort) (net.Conn, error), to netip.AddrPort, datagrams [][]byte) {
	t.Helper()
	conn, err := dial(to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, d := range datagrams {
		if _, err := conn.Write(d); err != nil {
			t.Fatalf("send to %v: %v", to, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// exportFile writes the datagrams to a capture, as tcpdump would have seen them
// on the way from an exporter to port 2055.
func exportFile(t *testing.T, datagrams [][]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "export.pcap")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, d := range datagrams {
		eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 3}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 4}, EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(127, 0, 0, 1), DstIP: net.IPv4(127, 0, 0, 1)}
		udp := &layers.UDP{SrcPort: 40000, DstPort: 2055}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, opts, eth, ip, udp, gopacket.Payload(d)); err != nil {
			t.Fatal(err)
		}
		b := buf.Bytes()
		info := gopacket.CaptureInfo{Timestamp: now.Add(time.Duration(i) * time.Millisecond), CaptureLength: len(b), Length: len(b)}
		if err := w.WritePacket(info, b); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

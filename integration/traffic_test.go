//go:build integration

package integration

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// capture writes packets to a pcap file and keeps count of them by direction of
// each conversation: the truth that every reading must reproduce.
type capture struct {
	t     *testing.T
	w     *pcapgo.Writer
	now   time.Time
	file  string
	truth map[record]*record
}

func newCapture(t *testing.T, begin time.Time) *capture {
	t.Helper()
	c := &capture{t: t, now: begin, file: filepath.Join(t.TempDir(), "traffic.pcap"), truth: map[record]*record{}}
	f, err := os.Create(c.file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c.w = pcapgo.NewWriter(f)
	if err := c.w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return c
}

// packet adds one packet of a transport layer with a payload of n bytes.
func (c *capture) packet(src, dst netip.Addr, proto layers.IPProtocol, l4 gopacket.SerializableLayer, n int) {
	c.t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	var ip gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	if src.Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		ip, network = v4, v4
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		v6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		ip, network = v6, v6
	}
	key := record{Src: src, Dst: dst, Proto: uint8(proto)}
	var err error
	switch l := l4.(type) {
	case *layers.TCP:
		key.SPort, key.DPort = uint16(l.SrcPort), uint16(l.DstPort)
		err = l.SetNetworkLayerForChecksum(network)
	case *layers.UDP:
		key.SPort, key.DPort = uint16(l.SrcPort), uint16(l.DstPort)
		err = l.SetNetworkLayerForChecksum(network)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, eth, ip, l4, gopacket.Payload(make([]byte, n))); err != nil {
		c.t.Fatal(err)
	}
	c.now = c.now.Add(3 * time.Millisecond)
	b := buf.Bytes()
	if err := c.w.WritePacket(gopacket.CaptureInfo{Timestamp: c.now, CaptureLength: len(b), Length: len(b)}, b); err != nil {
		c.t.Fatal(err)
	}
	r := c.truth[key]
	if r == nil {
		r = &record{Src: key.Src, Dst: key.Dst, SPort: key.SPort, DPort: key.DPort, Proto: key.Proto}
		c.truth[key] = r
	}
	r.Packets++
	r.Bytes += uint64(len(b) - 14)
}

// records returns the truth, one record for each direction of a conversation.
func (c *capture) records(keep func(record) bool) []record {
	var out []record
	for _, r := range c.truth {
		if keep(*r) {
			out = append(out, r.plain())
		}
	}
	return out
}

// tcp adds a connection with a handshake, exchanges of the given sizes and an
// orderly end.
func (c *capture) tcp(client, server netip.AddrPort, exchanges int, ask, answer int) {
	seq, ack := uint32(1000), uint32(2000)
	send := func(out bool, l layers.TCP, n int) {
		from, to := client, server
		if !out {
			from, to = server, client
		}
		l.SrcPort, l.DstPort, l.Window = layers.TCPPort(from.Port()), layers.TCPPort(to.Port()), 64240
		l.Seq, l.Ack = seq, ack
		c.packet(from.Addr(), to.Addr(), layers.IPProtocolTCP, &l, n)
	}
	send(true, layers.TCP{SYN: true}, 0)
	send(false, layers.TCP{SYN: true, ACK: true}, 0)
	send(true, layers.TCP{ACK: true}, 0)
	for range exchanges {
		send(true, layers.TCP{ACK: true, PSH: true}, ask)
		send(false, layers.TCP{ACK: true, PSH: true}, answer)
	}
	send(true, layers.TCP{FIN: true, ACK: true}, 0)
	send(false, layers.TCP{FIN: true, ACK: true}, 0)
	send(true, layers.TCP{ACK: true}, 0)
}

// udp adds one question and its answer.
func (c *capture) udp(client, server netip.AddrPort, ask, answer int) {
	one := func(from, to netip.AddrPort, n int) {
		c.packet(from.Addr(), to.Addr(), layers.IPProtocolUDP,
			&layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}, n)
	}
	one(client, server, ask)
	one(server, client, answer)
}

// ping adds echo requests and replies.
func (c *capture) ping(src, dst netip.Addr, times int) {
	for i := range times {
		for _, reply := range []bool{false, true} {
			from, to, kind := src, dst, uint8(layers.ICMPv4TypeEchoRequest)
			if reply {
				from, to, kind = dst, src, layers.ICMPv4TypeEchoReply
			}
			c.packet(from, to, layers.IPProtocolICMPv4,
				&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0), Id: 7, Seq: uint16(i)}, 56)
		}
	}
}

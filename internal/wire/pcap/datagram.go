package pcap

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
)

// Datagram is a flow export datagram found in a capture.
type Datagram struct {
	// Time is the capture time in Unix nanoseconds.
	Time int64
	// Source is the exporter, Dest the collector.
	Source, Dest netip.AddrPort
	// Payload is the UDP payload as far as it was captured. It is overwritten
	// by the next packet.
	Payload []byte
}

// exportPort tells whether flow export is expected on a UDP port: 2055, 9995
// and 9996 NetFlow by habit, 4739 IPFIX and 6343 sFlow by registration, 9555
// NetFlow of some vendors.
func exportPort(port uint16) bool {
	switch port {
	case 2055, 4739, 6343, 9555, 9995, 9996:
		return true
	}
	return false
}

// ExportDatagram reports whether a packet is flow export: UDP to one of the
// known ports, or one of the further ports given, with a payload that begins
// like NetFlow v5 or v9, IPFIX or sFlow v5.
func ExportDatagram(h *packet.Header, ports ...uint16) bool {
	if h.Proto != weir.ProtoUDP || !h.HasPorts {
		return false
	}
	port := h.Dst.Port()
	return (exportPort(port) || slices.Contains(ports, port)) && looksLikeExport(h.Payload)
}

// looksLikeExport checks the first eight bytes of the datagram. It is lenient
// about the rest, so that malformed datagrams reach the decoder that counts
// them.
func looksLikeExport(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	count := binary.BigEndian.Uint16(b[2:])
	switch binary.BigEndian.Uint16(b) {
	case 5: // 1 to 30 records
		return count >= 1 && count <= 30
	case 9: // a count of records
		return count > 0
	case 10: // the length of the message, 16 bytes of header included
		return count >= 16
	case 0: // sFlow: version 5 in 32 bits, address type IPv4 or IPv6
		kind := binary.BigEndian.Uint32(b[4:])
		return count == 5 && (kind == 1 || kind == 2)
	}
	return false
}

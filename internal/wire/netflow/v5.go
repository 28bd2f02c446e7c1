package netflow

import (
	"encoding/binary"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
)

// decode5 decodes a datagram of version 5. All records have one layout: source,
// destination, next hop, input and output interface (2 bytes each), packets,
// bytes, first and last in ms since boot, ports, padding, TCP flags, protocol.
// Source: Cisco, NetFlow Export Datagram Formats, tables of version 5.
func (d *Decoder) decode5(exporter netip.Addr, received int64, b []byte, dst []weir.Flow) []weir.Flow {
	m := message{version: Version5, received: received}
	if len(b) < v5Header {
		d.fail(&m, exporter, 0, 0, ReasonShort)
		return dst
	}
	count := int(binary.BigEndian.Uint16(b[2:]))
	m.uptime = binary.BigEndian.Uint32(b[4:])
	m.exportTime, _ = ExportTime(b)
	m.domain = uint32(binary.BigEndian.Uint16(b[20:])) // engine type and id
	// The two high bits are the mode; some exporters set the interval alone.
	m.header = uint32(binary.BigEndian.Uint16(b[22:]) & 0x3fff)
	stated := count
	if fit := (len(b) - v5Header) / v5Record; count > fit {
		d.fail(&m, exporter, 0, 2, ReasonCount)
		count = fit
	}
	s, p := d.open(exporter, &m, binary.BigEndian.Uint32(b[16:]), m.exportTime-int64(m.uptime)*millisecond)
	n := len(dst)
	dst = slices.Grow(dst, count)[:n+count]
	s.exec5(&m, b[v5Header:v5Header+count*v5Record], dst[n:])
	d.closeMessage(s, p, stated, true, dst[n:])
	return dst
}

// exec5 decodes the records in data, one for each flow of out. Every field is
// set by itself: a literal would be built apart and copied.
func (s *domain) exec5(m *message, data []byte, out []weir.Flow) {
	r := s.rateFor(m, false)
	for i := range out {
		b := (*[v5Record]byte)(data[i*v5Record:])
		f := &out[i]
		f.Start = m.switched(binary.BigEndian.Uint32(b[24:28]))
		f.End = m.switched(binary.BigEndian.Uint32(b[28:32]))
		f.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[0:4])), binary.BigEndian.Uint16(b[32:34]))
		f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[34:36]))
		f.Packets = uint64(binary.BigEndian.Uint32(b[16:20]))
		f.Bytes = uint64(binary.BigEndian.Uint32(b[20:24]))
		f.RevPackets, f.RevBytes = 0, 0
		f.Sampling = r.n
		f.InputIf = uint32(binary.BigEndian.Uint16(b[12:14]))
		f.OutputIf = uint32(binary.BigEndian.Uint16(b[14:16]))
		f.Domain = m.domain
		f.Exporter = s.key.exporter
		f.VLAN = 0
		f.TCPFlags, f.RevTCPFlags = uint16(b[37]), 0
		f.Proto = b[38]
		f.Known = weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts
		f.SamplingSource = r.source
		f.Action, f.Initiator = weir.ActionUnknown, weir.InitiatorUnknown
		f.Format = weir.FormatNetFlow5
		order(f, m, true)
	}
}

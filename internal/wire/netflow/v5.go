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

// exec5 decodes the records in data, one for each flow of out.
func (s *domain) exec5(m *message, data []byte, out []weir.Flow) {
	r := s.rateFor(m, false)
	for i := range out {
		b := data[i*v5Record : (i+1)*v5Record : (i+1)*v5Record]
		f := &out[i]
		*f = weir.Flow{
			Src:      netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[0:4])), binary.BigEndian.Uint16(b[32:34])),
			Dst:      netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[34:36])),
			InputIf:  uint32(binary.BigEndian.Uint16(b[12:14])),
			OutputIf: uint32(binary.BigEndian.Uint16(b[14:16])),
			Packets:  uint64(binary.BigEndian.Uint32(b[16:20])),
			Bytes:    uint64(binary.BigEndian.Uint32(b[20:24])),
			Start:    m.sinceBoot(binary.BigEndian.Uint32(b[24:28])),
			End:      m.sinceBoot(binary.BigEndian.Uint32(b[28:32])),
			TCPFlags: uint16(b[37]),
			Proto:    b[38],

			Sampling:       r.n,
			SamplingSource: r.source,
			Domain:         m.domain,
			Exporter:       s.key.exporter,
			Known:          weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts,
			Format:         weir.FormatNetFlow5,
		}
		order(f, m, true)
	}
}

package pcap

import (
	"errors"
	"fmt"
	"io"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
)

// Probe is the number of packets from which a Reader learns whether a capture
// is one of flow export.
const Probe = 1000

// batch is about how many flows one Read appends at most, and readPackets how
// many packets it reads at most before it returns, with or without flows.
const (
	batch       = 1000
	readPackets = 10000
)

// Options configure a Reader.
type Options struct {
	// Export decodes one flow export datagram and appends its flows to dst.
	// When it is nil, every capture is metered.
	Export func(d *Datagram, dst []weir.Flow) []weir.Flow
	// Ports are UDP destination ports on which flow export is expected besides
	// the known ones.
	Ports []uint16
	// Meter are the limits of the meter.
	Meter MeterOptions
}

// Reader reads the flows of a capture file.
type Reader struct {
	packets *PacketReader
	meter   *Meter
	export  func(d *Datagram, dst []weir.Flow) []weir.Flow
	ports   []uint16
	mode    mode
	seen    int         // packets read while probing
	held    []weir.Flow // flows ready to be handed out
	handed  int         // how many of held were handed out
	err     error       // what Read returns once held is empty

	notIP, malformed, late int64
	skipped                int64
	first                  error
}

type mode uint8

const (
	probing mode = iota
	metering
	decoding
)

// NewReader returns a reader of r, which is not touched before the first Read.
func NewReader(r io.Reader, o Options) *Reader {
	rd := &Reader{packets: NewPacketReader(r), meter: NewMeter(o.Meter), export: o.Export, ports: o.Ports}
	if o.Export == nil {
		rd.mode = metering
	}
	return rd
}

// Read appends up to about 1,000 flows to dst, or more where one datagram holds
// more. It returns io.EOF at the clean end, an error that wraps
// io.ErrUnexpectedEOF after the last flows of a capture that is cut, and one
// that wraps ErrFormat when the capture is damaged. It may return no flows and
// no error.
func (r *Reader) Read(dst []weir.Flow) ([]weir.Flow, error) {
	for n := 0; r.err == nil && n < readPackets && (r.mode == probing || len(r.held)-r.handed < batch); n++ {
		var p Packet
		err := r.packets.Next(&p)
		if err != nil {
			r.end(err)
			break
		}
		r.add(&p)
	}
	if r.mode == probing && r.err == nil {
		return dst, nil
	}
	n := min(batch, len(r.held)-r.handed)
	dst = append(dst, r.held[r.handed:r.handed+n]...)
	if r.handed += n; r.handed < len(r.held) {
		return dst, nil
	}
	r.held, r.handed = r.held[:0], 0
	return dst, r.err
}

// end takes the end of the packets, whatever its reason.
func (r *Reader) end(err error) {
	r.err = err
	if r.mode != decoding {
		r.held = r.meter.Flush(r.held)
	}
}

// add takes one packet.
func (r *Reader) add(p *Packet) {
	if r.mode == probing {
		if r.seen++; r.seen > Probe {
			r.mode = metering
		}
	}
	if !p.LinkOK {
		r.skipped++
		if r.first == nil {
			r.first = fmt.Errorf("pcap: packets of link type %d cannot be read", p.LinkType)
		}
		return
	}
	var h packet.Header
	if err := packet.Parse(p.Link, p.Data, &h); err != nil {
		if errors.Is(err, packet.ErrNotIP) {
			r.notIP++
		} else {
			r.malformed++
		}
		return
	}
	if r.export != nil && ExportDatagram(&h, r.ports...) {
		if r.mode == probing {
			r.mode = decoding
			r.held = r.held[:0]
			r.meter = nil
		}
		if r.mode == decoding {
			r.held = r.export(&Datagram{Time: p.Time, Source: h.Src, Dest: h.Dst, Payload: h.Payload}, r.held)
			return
		}
		r.late++
	}
	if r.mode != decoding {
		r.held = r.meter.Add(p.Time, &h, r.held)
	}
}

// Skipped returns how many packets have a link type that cannot be read, and
// the first of them.
func (r *Reader) Skipped() (n int64, first error) { return r.skipped, r.first }

// NotIP returns how many packets hold no IP header, such as ARP.
func (r *Reader) NotIP() int64 { return r.notIP }

// Malformed returns how many packets have an IP header that is cut short or
// contradicts itself. That is what was on the wire, not a fault of the file.
func (r *Reader) Malformed() int64 { return r.malformed }

// LateDatagrams returns how many export datagrams came after the capture had
// been judged to be one of packets, and were metered.
func (r *Reader) LateDatagrams() int64 { return r.late }

// Decoding reports whether the capture is read as one of flow export.
func (r *Reader) Decoding() bool { return r.mode == decoding }

// Evicted returns how many flows ended early because the flow table was full.
func (r *Reader) Evicted() int64 {
	if r.meter == nil {
		return 0
	}
	return r.meter.Evicted()
}

// Watermark returns a time before which no flow ends that Read still has to
// return, see [Meter.Watermark]; zero promises nothing, as for export
// datagrams, whose times are the business of their decoder.
func (r *Reader) Watermark() int64 {
	if r.meter == nil || r.mode != metering || len(r.held) > 0 {
		return 0
	}
	return r.meter.Watermark()
}

package workload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
	packets "github.com/weir-net/weir/internal/wire/packet"
	"github.com/weir-net/weir/internal/wire/pcap"
	flowsamples "github.com/weir-net/weir/internal/wire/sflow"
)

// Bounds of a batch, as the sockets of a server fill it: it ends with the flow
// or the datagram that reaches one of them.
const (
	batchFlows     = 1024
	batchDatagrams = 64
)

// Received is the time of receipt of all datagrams, in Unix ns.
const Received = (base + span) * 1_000_000

// ErrCut says that a stream of datagrams ends within one.
var ErrCut = errors.New("workload: the stream ends within a datagram")

// Datagrams cuts the datagram at the start of a stream off: it returns it and
// the rest.
func Datagrams(stream []byte) (datagram, rest []byte, err error) {
	if len(stream) < 4 {
		return nil, nil, ErrCut
	}
	n := binary.BigEndian.Uint32(stream)
	if uint64(n) > uint64(len(stream)-4) { //nolint:gosec // at least 4 bytes are there
		return nil, nil, ErrCut
	}
	return stream[4 : 4+n], stream[4+n:], nil
}

// Work is what a pass over a stream has read.
type Work struct {
	Records  int
	Checksum Sum // zero where it was not asked for
}

// Check compares work with what the stream holds. A pass without a checksum is
// held to the count only.
func (w Work) Check(want Totals, checksum bool) error {
	if w.Records != want.Records {
		return fmt.Errorf("read %d records of a stream of %d", w.Records, want.Records)
	}
	if checksum && w.Checksum != want.Checksum {
		return fmt.Errorf("the checksum of %d records is %d, want %d", w.Records, w.Checksum, want.Checksum)
	}
	return nil
}

// flows takes a batch into account.
func (w *Work) flows(batch []weir.Flow, checksum, timed bool) {
	w.Records += len(batch)
	if !checksum {
		return
	}
	for i := range batch {
		f := &batch[i]
		start := f.Start / 1_000_000
		if !timed {
			start = 0
		}
		w.Checksum.Add(f.Bytes, start, f.Dst.Port(), f.Src.Addr().As16())
	}
}

// Decode reads the stream with the decoders of Weir, as a server does: new
// decoders, and batches of its size, reused. A capture is read up to the
// headers of its packets. With checksum the records are summed up too.
func (s Stream) Decode(stream []byte, checksum bool) (Work, error) {
	if s.Capture {
		return decodeCapture(stream, checksum)
	}
	exporter := netip.AddrFrom4([4]byte{198, 51, 100, 1})
	nf, sf := netflow.New(netflow.DefaultConfig()), flowsamples.New(flowsamples.DefaultConfig())
	decode := nf.Decode
	timed := true
	if s.Name == "sflow-v5" {
		decode, timed = sf.Decode, false
	}
	var w Work
	batch := make([]weir.Flow, 0, 2*batchFlows)
	n := 0
	for len(stream) > 0 {
		datagram, rest, err := Datagrams(stream)
		if err != nil {
			return w, err
		}
		stream = rest
		if batch, err = decode(exporter, Received, datagram, batch); err != nil {
			return w, err
		}
		if n++; len(batch) >= batchFlows || n == batchDatagrams || len(stream) == 0 {
			w.flows(batch, checksum, timed)
			batch, n = batch[:0], 0
		}
	}
	return w, nil
}

// decodeCapture reads the packets of a capture.
func decodeCapture(stream []byte, checksum bool) (Work, error) {
	r := pcap.NewPacketReaderBytes(stream)
	var w Work
	var p pcap.Packet
	var h packets.Header
	for {
		if err := r.Next(&p); err != nil {
			if errors.Is(err, io.EOF) {
				return w, nil
			}
			return w, err
		}
		if err := packets.Parse(p.Link, p.Data, &h); err != nil {
			return w, err
		}
		w.Records++
		if checksum {
			w.Checksum.Add(uint64(h.Length), p.Time/1_000_000, h.Dst.Port(), h.Src.Addr().As16()) //nolint:gosec // not negative
		}
	}
}

package engine

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/weir-net/weir/internal/wire/packet"
	"github.com/weir-net/weir/internal/wire/pcap"
)

// recording is a capture of NetFlow v9 datagrams in the order of sending.
type recording struct {
	datagrams [][]byte
	// first and last are the sending times in the headers.
	first, last time.Time
}

// Offsets in the header of NetFlow v9 (RFC 3954, section 5.1).
const (
	v9Version    = 9
	v9HeaderLen  = 20
	v9UnixSecsAt = 8
)

// maxRecording bounds the bytes of a recording.
const maxRecording = 256 << 20

// readRecording reads a capture, compressed with gzip, of NetFlow v9 datagrams.
func readRecording(r io.Reader) (*recording, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	packets := pcap.NewPacketReader(io.LimitReader(z, maxRecording))
	rec := &recording{}
	var p pcap.Packet
	var h packet.Header
	for {
		err := packets.Next(&p)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the recording: %w", err)
		}
		if !p.LinkOK || packet.Parse(p.Link, p.Data, &h) != nil || !pcap.ExportDatagram(&h) ||
			len(h.Payload) < v9HeaderLen || binary.BigEndian.Uint16(h.Payload) != v9Version {
			continue
		}
		d := append([]byte(nil), h.Payload...)
		at := time.Unix(int64(binary.BigEndian.Uint32(d[v9UnixSecsAt:])), 0)
		if len(rec.datagrams) == 0 {
			rec.first = at
		}
		rec.last = at
		rec.datagrams = append(rec.datagrams, d)
	}
	if len(rec.datagrams) == 0 {
		return nil, errors.New("read the recording: no NetFlow v9 datagrams in it")
	}
	return rec, nil
}

// shift moves all times of the recording: those of the flows are relative to
// the Unix seconds of the header.
func (r *recording) shift(by time.Duration) {
	for _, d := range r.datagrams {
		at := binary.BigEndian.Uint32(d[v9UnixSecsAt:])
		binary.BigEndian.PutUint32(d[v9UnixSecsAt:], uint32(int64(at)+int64(by/time.Second))) //nolint:gosec // until 2106
	}
	r.first, r.last = r.first.Add(by), r.last.Add(by)
}

// quiet appends harmless traffic for some time after the recording, one flow a
// minute, so that event time goes on and the windows of the attacks close.
func (r *recording) quiet(span time.Duration) {
	const source = 0xffffff01
	for i := range int(span / time.Minute) {
		at := r.last.Add(time.Duration(i+1) * time.Minute)
		r.datagrams = append(r.datagrams, quietDatagram(at, source, uint32(i)))
	}
}

// quietDatagram is a template and one flow of two hosts of the outside (RFC
// 3954, sections 5.2 and 5.3; field types of section 8).
func quietDatagram(at time.Time, source, sequence uint32) []byte {
	const uptime, template = 3600000, 300
	fields := [][2]uint16{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {6, 1}, {2, 4}, {1, 4}, {22, 4}, {21, 4}}
	b := binary.BigEndian.AppendUint16(nil, v9Version)
	b = binary.BigEndian.AppendUint16(b, 2)
	b = binary.BigEndian.AppendUint32(b, uptime)
	b = binary.BigEndian.AppendUint32(b, uint32(at.Unix())) //nolint:gosec // until 2106
	b = binary.BigEndian.AppendUint32(b, sequence)
	b = binary.BigEndian.AppendUint32(b, source)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(8+4*len(fields))) //nolint:gosec // 48
	b = binary.BigEndian.AppendUint16(b, template)
	b = binary.BigEndian.AppendUint16(b, uint16(len(fields))) //nolint:gosec // 10
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(b, f[0])
		b = binary.BigEndian.AppendUint16(b, f[1])
	}
	record := []byte{192, 0, 2, 240, 203, 0, 113, 240} // documentation addresses (RFC 5737)
	record = binary.BigEndian.AppendUint16(record, 40000)
	record = binary.BigEndian.AppendUint16(record, 443)
	record = append(record, 6, 0x1b)
	record = binary.BigEndian.AppendUint32(record, 12)
	record = binary.BigEndian.AppendUint32(record, 3400)
	record = binary.BigEndian.AppendUint32(record, uptime-2000)
	record = binary.BigEndian.AppendUint32(record, uptime-1000)
	for len(record)%4 != 0 {
		record = append(record, 0)
	}
	b = binary.BigEndian.AppendUint16(b, template)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(record))) //nolint:gosec // small
	return append(b, record...)
}

// inFlight is the number of datagrams that may be on their way to the server.
// The watermark of live input moves a few times a second, so the last datagrams
// are sent lastPause apart: without them it would stay behind until the next.
const (
	inFlight  = 64
	lastOnes  = 3
	lastPause = 400 * time.Millisecond
)

// play sends the recording to a collector, no faster than it receives, so that
// none is lost. received is the number of datagrams that have arrived. With a
// speed above 0 what was recorded passes that many times as fast as it was
// sent; the quiet time after it does not wait.
func (r *recording) play(ctx context.Context, to string, speed float64, received func() uint64) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to)
	if err != nil {
		return fmt.Errorf("play the recording: %w", err)
	}
	defer func() { _ = conn.Close() }()
	before, began := received(), time.Now()
	for i, d := range r.datagrams {
		at := time.Unix(int64(binary.BigEndian.Uint32(d[v9UnixSecsAt:])), 0)
		if due := time.Duration(float64(at.Sub(r.first)) / speed); speed > 0 && !at.After(r.last) && due > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(began.Add(due))):
			}
		}
		if i >= len(r.datagrams)-lastOnes {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(lastPause):
			}
		}
		for wait := time.Now(); uint64(i) > received()-before+inFlight; {
			if time.Since(wait) > 5*time.Second {
				return fmt.Errorf("play the recording: %d datagrams were sent and %d arrived", i, received()-before)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		if _, err := conn.Write(d); err != nil {
			return fmt.Errorf("play the recording: %w", err)
		}
	}
	return nil
}

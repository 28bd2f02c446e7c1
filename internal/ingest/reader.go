package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/argus"
	"github.com/weir-net/weir/internal/wire/cloudlog"
	"github.com/weir-net/weir/internal/wire/netflow"
	"github.com/weir-net/weir/internal/wire/pcap"
	"github.com/weir-net/weir/internal/wire/sflow"
	"github.com/weir-net/weir/internal/wire/suricata"
	"github.com/weir-net/weir/internal/wire/table"
	"github.com/weir-net/weir/internal/wire/zeek"
)

// flowReader is what the readers of file formats have in common. Read appends
// some flows and returns io.EOF at the clean end.
type flowReader interface {
	Read(dst []weir.Flow) ([]weir.Flow, error)
	Skipped() (n int64, first error)
}

// note adds to a report what the reader has to say beyond flows and skipped rows.
func note(reader flowReader, r *FileReport) {
	switch x := reader.(type) {
	case *messages:
		r.Datagrams = x.n
	case *capture:
		r.Datagrams, r.LateDatagrams = x.datagrams, x.LateDatagrams()
		r.NotIP, r.MalformedPackets, r.Evicted = x.NotIP(), x.Malformed(), x.Evicted()
	case *cloudlog.Reader:
		s := x.Stats()
		r.NoData, r.SkipData, r.Other = s.NoData, s.SkipData, s.Other
	case *argus.Reader:
		r.Other = x.Other()
	case *suricata.Reader:
		r.Other = x.Other()
	}
}

// decoders are the decoders of datagrams that the files of a run share.
type decoders struct {
	netflow *netflow.Decoder
	sflow   *sflow.Decoder
}

func newDecoders(c netflow.Config) (*decoders, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	sc := sflow.DefaultConfig()
	sc.MaxAgents, sc.Sampling = c.MaxExporters, c.Sampling
	if err := sc.Validate(); err != nil {
		return nil, err
	}
	return &decoders{netflow: netflow.New(c), sflow: sflow.New(sc)}, nil
}

// messages reads export messages that follow one another in a file: IPFIX (RFC
// 5655) and, framed by their record count, NetFlow v5. A NetFlow v9 datagram
// does not tell its length, so a file of it holds a single one.
type messages struct {
	in      io.Reader
	format  weir.Format
	decoder *netflow.Decoder
	buf     []byte
	at      int64
	n       int64
	skipped int64
	first   error
	done    error
}

func newMessages(format weir.Format, in io.Reader, d *netflow.Decoder) *messages {
	d.ForgetInterfaces(netip.Addr{})
	return &messages{in: in, format: format, decoder: d, buf: make([]byte, maxUDP+1)}
}

// Read decodes one message. Where the length of a message makes no sense there
// is no way to find the next one: the rest of the file is lost.
func (m *messages) Read(dst []weir.Flow) ([]weir.Flow, error) {
	if m.done != nil {
		return dst, m.done
	}
	b, err := m.next()
	if err != nil {
		m.done = err
		return dst, err
	}
	m.n++
	// A file names no exporter and no time of receipt: the zero address and the
	// time of sending stand for them.
	sent, _ := netflow.ExportTime(b)
	dst, err = m.decoder.Decode(netip.Addr{}, sent, b, dst)
	if err != nil {
		m.skipped++
		if m.first == nil {
			m.first = fmt.Errorf("message at byte %d: %w", m.at, err)
		}
	}
	m.at += int64(len(b))
	return dst, nil
}

// Skipped returns how many messages had a fault.
func (m *messages) Skipped() (n int64, first error) { return m.skipped, m.first }

func (m *messages) next() ([]byte, error) {
	if m.format == weir.FormatNetFlow9 {
		return m.whole()
	}
	const head = 4
	if n, err := io.ReadFull(m.in, m.buf[:head]); err != nil {
		if n > 0 {
			err = fmt.Errorf("message at byte %d: header cut short after %d bytes: %w", m.at, n, io.ErrUnexpectedEOF)
		}
		return nil, err
	}
	n, err := m.length()
	if err != nil {
		return nil, fmt.Errorf("message at byte %d: %w; the rest of the file cannot be read", m.at, err)
	}
	if got, err := io.ReadFull(m.in, m.buf[head:n]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("message at byte %d: %d of %d bytes: %w", m.at, head+got, n, err)
	}
	return m.buf[:n], nil
}

// length returns the length of the message whose first bytes are in the buffer.
func (m *messages) length() (int, error) {
	if m.format == weir.FormatIPFIX {
		return netflow.MessageLength(m.buf)
	}
	version, count := binary.BigEndian.Uint16(m.buf), int(binary.BigEndian.Uint16(m.buf[2:]))
	if version != netflow.Version5 {
		return 0, fmt.Errorf("version %d where NetFlow v5 is expected", version)
	}
	if count < 1 || count > netflow5MaxRecords {
		return 0, fmt.Errorf("%d records; a NetFlow v5 datagram has 1 to %d", count, netflow5MaxRecords)
	}
	return netflow5Header + count*netflow5Record, nil
}

// whole reads the single datagram of a file.
func (m *messages) whole() ([]byte, error) {
	n, err := io.ReadFull(m.in, m.buf)
	switch {
	case err == nil:
		return nil, fmt.Errorf("more than %d bytes: a NetFlow v9 file holds one datagram, as these tell no length; capture them as pcap", maxUDP)
	case n == 0 || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, err
	}
	return m.buf[:n], nil
}

// capture reads a packet capture: the export datagrams in it, or its packets.
type capture struct {
	*pcap.Reader
	d         *decoders
	datagrams int64
	bad       int64
	first     error
}

func newCapture(in io.Reader, d *decoders) *capture {
	c := &capture{d: d}
	c.Reader = pcap.NewReader(in, pcap.Options{Export: c.export})
	return c
}

// export decodes one datagram by its version: sFlow begins with a 32-bit
// version, so its first 16 bits are zero.
func (c *capture) export(g *pcap.Datagram, dst []weir.Flow) []weir.Flow {
	c.datagrams++
	var err error
	from := g.Source.Addr()
	if len(g.Payload) >= 2 && binary.BigEndian.Uint16(g.Payload) == 0 {
		dst, err = c.d.sflow.Decode(from, g.Time, g.Payload, dst)
	} else {
		dst, err = c.d.netflow.Decode(from, g.Time, g.Payload, dst)
	}
	if err != nil {
		c.bad++
		if c.first == nil {
			c.first = fmt.Errorf("datagram %d: %w", c.datagrams, err)
		}
	}
	return dst
}

// Skipped returns how many packets of an unreadable link type or datagrams with
// a fault there were.
func (c *capture) Skipped() (n int64, first error) {
	n, first = c.Reader.Skipped()
	if first == nil {
		first = c.first
	}
	return n + c.bad, first
}

// newReader returns the reader of a format.
func newReader(format weir.Format, in io.Reader, d *decoders) (flowReader, error) {
	switch format {
	case weir.FormatIPFIX, weir.FormatNetFlow9, weir.FormatNetFlow5:
		return newMessages(format, in, d.netflow), nil
	case weir.FormatPcap:
		return newCapture(in, d), nil
	case weir.FormatZeek:
		return zeek.NewReader(in, zeek.Options{}), nil
	case weir.FormatArgus:
		return argus.NewReader(in, argus.Options{}), nil
	case weir.FormatSuricata:
		return suricata.NewReader(in, suricata.Options{}), nil
	case weir.FormatAzureVNet, weir.FormatAzureNSG, weir.FormatAWSVPC, weir.FormatGCPVPC:
		return cloudlog.NewReader(in, cloudlog.Options{Format: format}), nil
	case weir.FormatCSV, weir.FormatNDJSON:
		return table.NewReader(in, table.Options{Format: format}), nil
	}
	return nil, fmt.Errorf("the format %s is %w", format, ErrUnsupported)
}

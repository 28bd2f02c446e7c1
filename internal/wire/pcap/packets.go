package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/weir-net/weir/internal/wire/packet"
)

// Bounds of what is accepted from a file.
const (
	// maxPacket is the most bytes of one packet. Captures are limited to
	// 262,144 by their writers; offload makes at most 64 KiB.
	maxPacket = 1 << 20
	// maxBlock bounds a pcapng block that is read into memory: a packet and
	// its options.
	maxBlock = maxPacket + 1<<16
	// maxInterfaces bounds the interfaces of one pcapng section.
	maxInterfaces = 4096
)

// ErrFormat says that the input is no capture, or a damaged one.
var ErrFormat = errors.New("pcap: malformed capture")

// Packet is one captured packet.
type Packet struct {
	// Time is the capture time in Unix nanoseconds. A pcapng simple packet has
	// none and takes that of the packet before it.
	Time int64
	// Data is what was captured. It is overwritten by the next call.
	Data []byte
	// LinkType is the link type as the file has it, Link what it maps to when
	// LinkOK.
	LinkType uint32
	Link     packet.Link
	LinkOK   bool
}

// PacketReader reads the packets of a capture one after another.
type PacketReader struct {
	r       *bufio.Reader
	started bool
	next    func(*PacketReader, *Packet) error
	err     error
	order   binary.ByteOrder
	buf     []byte
	last    int64

	// Classic pcap.
	linkType uint32
	nano     bool
	extra    int // further bytes in each record header

	// pcapng.
	interfaces []iface
}

// iface is one interface description of a pcapng section.
type iface struct {
	linkType uint32
	snapLen  uint32
	res      byte  // if_tsresol
	offset   int64 // if_tsoffset in seconds
}

// NewPacketReader returns a reader of r, which is not touched before the first
// call of Next.
func NewPacketReader(r io.Reader) *PacketReader {
	return &PacketReader{r: bufio.NewReaderSize(r, 1<<16)}
}

// Next reads the next packet into p. It returns io.EOF at the clean end, an
// error that wraps io.ErrUnexpectedEOF when the file is cut, and one that wraps
// ErrFormat when it is damaged. An error stays.
func (pr *PacketReader) Next(p *Packet) error {
	if pr.err != nil {
		return pr.err
	}
	if !pr.started {
		pr.started = true
		if pr.err = pr.start(); pr.err != nil {
			return pr.err
		}
	}
	pr.err = pr.next(pr, p)
	if pr.err != nil {
		return pr.err
	}
	pr.last = p.Time
	p.Link, p.LinkOK = packet.LinkFromPcap(p.LinkType)
	return nil
}

// Magic numbers, draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // record headers of 24 bytes, old Linux
	blockSection  = 0x0a0d0d0a
	blockIface    = 1
	blockOldPkt   = 2
	blockSimple   = 3
	blockEnhanced = 6
	magicSection  = 0x1a2b3c4d
)

func (pr *PacketReader) start() error {
	magic, err := pr.r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(magic) == 0 {
			return fmt.Errorf("%w: the file is empty", ErrFormat)
		}
		return cut("the magic number", err)
	}
	if binary.BigEndian.Uint32(magic) == blockSection {
		pr.next = (*PacketReader).nextBlock
		return nil
	}
	pr.next = (*PacketReader).nextRecord
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(magic) {
		case magicMicro:
			pr.order = order
		case magicNano:
			pr.order, pr.nano = order, true
		case magicModified:
			pr.order, pr.extra = order, 8
		}
	}
	if pr.order == nil {
		return fmt.Errorf("%w: magic number %#x is neither pcap nor pcapng", ErrFormat, magic)
	}
	head, err := pr.bytes(24)
	if err != nil {
		return cut("the file header", err)
	}
	pr.linkType = pr.order.Uint32(head[20:]) & 0xffff // above are bits about checksums
	return nil
}

// nextRecord reads a record of a classic capture.
func (pr *PacketReader) nextRecord(p *Packet) error {
	head, err := pr.bytes(16 + pr.extra)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return cut("a packet header", err)
	}
	frac := int64(pr.order.Uint32(head[4:]))
	if !pr.nano {
		frac *= 1000
	}
	p.Time = int64(pr.order.Uint32(head))*1e9 + frac
	n := pr.order.Uint32(head[8:])
	if n > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes", ErrFormat, n)
	}
	p.LinkType = pr.linkType
	if p.Data, err = pr.bytes(int(n)); err != nil {
		return cut("a packet", err)
	}
	return nil
}

// nextBlock reads pcapng blocks up to the next packet.
func (pr *PacketReader) nextBlock(p *Packet) error {
	for {
		head, err := pr.r.Peek(8)
		if err != nil {
			if errors.Is(err, io.EOF) && len(head) == 0 {
				return io.EOF
			}
			return cut("a block header", err)
		}
		if binary.BigEndian.Uint32(head) == blockSection {
			if err := pr.section(); err != nil {
				return err
			}
			continue
		}
		kind, length := pr.order.Uint32(head), pr.order.Uint32(head[4:])
		if length < 12 || length%4 != 0 {
			return fmt.Errorf("%w: a block of %d bytes", ErrFormat, length)
		}
		switch kind {
		case blockIface, blockOldPkt, blockSimple, blockEnhanced:
		default: // names, statistics, comments, secrets
			if _, err := pr.r.Discard(int(length)); err != nil {
				return cut("a block", err)
			}
			continue
		}
		if length > maxBlock {
			return fmt.Errorf("%w: a block of %d bytes", ErrFormat, length)
		}
		b, err := pr.bytes(int(length))
		if err != nil {
			return cut("a block", err)
		}
		b = b[8 : length-4]
		if kind == blockIface {
			if err := pr.addInterface(b); err != nil {
				return err
			}
			continue
		}
		return pr.blockPacket(kind, b, p)
	}
}

// section reads a section header block. It sets the byte order and forgets the
// interfaces of the section before.
func (pr *PacketReader) section() error {
	head, err := pr.r.Peek(12)
	if err != nil {
		return cut("a section header", err)
	}
	switch uint32(magicSection) {
	case binary.LittleEndian.Uint32(head[8:]):
		pr.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[8:]):
		pr.order = binary.BigEndian
	default:
		return fmt.Errorf("%w: byte order magic %#x", ErrFormat, head[8:12])
	}
	length := pr.order.Uint32(head[4:])
	if length < 28 || length%4 != 0 || length > maxBlock {
		return fmt.Errorf("%w: a section header of %d bytes", ErrFormat, length)
	}
	if _, err := pr.r.Discard(int(length)); err != nil {
		return cut("a section header", err)
	}
	pr.interfaces = pr.interfaces[:0]
	return nil
}

// Options of an interface description block.
const (
	optEnd      = 0
	optTSResol  = 9
	optTSOffset = 14
)

func (pr *PacketReader) addInterface(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("%w: an interface description of %d bytes", ErrFormat, len(b))
	}
	if len(pr.interfaces) == maxInterfaces {
		return fmt.Errorf("%w: more than %d interfaces", ErrFormat, maxInterfaces)
	}
	i := iface{linkType: uint32(pr.order.Uint16(b)), snapLen: pr.order.Uint32(b[4:]), res: 6}
	for b = b[8:]; len(b) >= 4; {
		code, n := pr.order.Uint16(b), int(pr.order.Uint16(b[2:]))
		b = b[4:]
		if code == optEnd || n > len(b) {
			break
		}
		switch {
		case code == optTSResol && n >= 1:
			i.res = b[0]
		case code == optTSOffset && n >= 8:
			i.offset = int64(pr.order.Uint64(b)) //nolint:gosec // a signed number on the wire
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	pr.interfaces = append(pr.interfaces, i)
	return nil
}

// blockPacket reads the packet of a block whose body is b.
func (pr *PacketReader) blockPacket(kind uint32, b []byte, p *Packet) error {
	head, id := 20, uint32(0)
	if kind == blockSimple {
		head = 4
	}
	if len(b) < head {
		return fmt.Errorf("%w: a packet block of %d bytes", ErrFormat, len(b))
	}
	switch kind {
	case blockEnhanced:
		id = pr.order.Uint32(b)
	case blockOldPkt:
		id = uint32(pr.order.Uint16(b))
	}
	if int64(id) >= int64(len(pr.interfaces)) {
		return fmt.Errorf("%w: a packet of interface %d of %d", ErrFormat, id, len(pr.interfaces))
	}
	i := pr.interfaces[id]
	n := uint32(0)
	if kind == blockSimple {
		p.Time = pr.last
		n = pr.order.Uint32(b) // the original length, cut by the snap length
		if i.snapLen > 0 {
			n = min(n, i.snapLen)
		}
		n = uint32(min(int64(n), int64(len(b)-head))) //nolint:gosec // not negative, below maxBlock
	} else {
		p.Time = i.time(uint64(pr.order.Uint32(b[4:]))<<32 | uint64(pr.order.Uint32(b[8:])))
		n = pr.order.Uint32(b[12:])
	}
	b = b[head:]
	if int64(n) > int64(len(b)) || n > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes in a block of %d", ErrFormat, n, len(b))
	}
	p.LinkType = i.linkType
	p.Data = b[:n]
	return nil
}

// time converts a timestamp of the interface to Unix nanoseconds. The high bit
// of the resolution selects powers of two, otherwise it is a power of ten.
// Values outside the range of int64 nanoseconds are clamped to it.
func (i *iface) time(ts uint64) int64 {
	var sec, nsec uint64
	exp := uint(i.res & 0x7f)
	switch {
	case i.res&0x80 != 0 && exp < 64:
		sec = ts >> exp
		hi, lo := bits.Mul64(ts-sec<<exp, 1e9)
		nsec = lo >> exp
		if exp > 0 {
			nsec |= hi << (64 - exp)
		}
	case i.res&0x80 == 0 && exp < 20:
		unit := uint64(1)
		for range exp {
			unit *= 10
		}
		sec = ts / unit
		hi, lo := bits.Mul64(ts%unit, 1e9)
		nsec, _ = bits.Div64(hi, lo, unit)
	}
	const limit = math.MaxInt64 / 1_000_000_000
	if sec >= limit {
		return math.MaxInt64
	}
	s := int64(sec)
	if i.offset > limit-s-1 {
		return math.MaxInt64
	}
	if i.offset < -limit {
		return math.MinInt64
	}
	return (s+i.offset)*1e9 + int64(nsec)
}

// bytes reads n bytes into the buffer of the reader. A clean end before the
// first byte is io.EOF, a later one io.ErrUnexpectedEOF.
func (pr *PacketReader) bytes(n int) ([]byte, error) {
	if cap(pr.buf) < n {
		pr.buf = make([]byte, max(n, 2048))
	}
	b := pr.buf[:n]
	_, err := io.ReadFull(pr.r, b)
	return b, err
}

// cut describes an input that ends, or fails, in the middle of something.
func cut(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("pcap: reading %s: %w", what, err)
}

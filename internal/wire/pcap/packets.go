package pcap

import (
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
	in      window
	started bool
	classic bool // not pcapng, and no error yet
	big     bool // numbers are big-endian
	err     error
	last    int64

	// Classic pcap.
	iface iface
	nano  bool
	extra int // further bytes in each record header

	// pcapng.
	interfaces []iface
}

// iface is what the packets of a classic capture, or of one interface
// description of a pcapng section, have in common.
type iface struct {
	linkType uint32
	link     packet.Link
	linkOK   bool
	snapLen  uint32
	res      byte  // if_tsresol
	offset   int64 // if_tsoffset in seconds
}

func newInterface(linkType uint32) iface {
	i := iface{linkType: linkType, res: 6}
	i.link, i.linkOK = packet.LinkFromPcap(linkType)
	return i
}

// NewPacketReader returns a reader of r, which is not touched before the first
// call of Next.
func NewPacketReader(r io.Reader) *PacketReader { return &PacketReader{in: window{r: r}} }

// NewPacketReaderBytes returns a reader of a capture that lies in memory. It
// copies nothing: the data of packets are parts of b, which must not change
// while they are in use.
func NewPacketReaderBytes(b []byte) *PacketReader { return &PacketReader{in: window{b: b}} }

// Next reads the next packet into p. It returns io.EOF at the clean end, an
// error that wraps io.ErrUnexpectedEOF when the file is cut, and one that wraps
// ErrFormat when it is damaged. An error stays.
func (pr *PacketReader) Next(p *Packet) error {
	// Nearly always it is the next record of a classic capture, and lies in the
	// window as a whole.
	if b := pr.in.rest(); pr.classic && len(b) >= recordHeader+longestExtra {
		if size, n := recordHeader+pr.extra, int(pr.uint32(b[8:])); n <= maxPacket && n <= len(b)-size {
			pr.in.at += size + n
			pr.record(p, b)
			p.Data = b[size : size+n]
			return nil
		}
	}
	return pr.slow(p)
}

// slow is Next for everything else.
func (pr *PacketReader) slow(p *Packet) error {
	if pr.err == nil && !pr.started {
		pr.started = true
		pr.err = pr.start()
	}
	if pr.err != nil {
		pr.classic = false
		return pr.err
	}
	if pr.classic {
		pr.err = pr.nextRecord(p)
	} else {
		pr.err = pr.nextBlock(p)
	}
	if pr.err != nil {
		pr.classic = false
	}
	return pr.err
}

// uint32 reads a number in the byte order of the capture.
func (pr *PacketReader) uint32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if pr.big {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (pr *PacketReader) uint16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if pr.big {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (pr *PacketReader) uint64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if pr.big {
		v = bits.ReverseBytes64(v)
	}
	return v
}

// recordHeader is the length of the header of a packet in a classic capture,
// longestExtra what old systems put behind it.
const (
	recordHeader = 16
	longestExtra = 8
)

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
	magic, err := pr.in.peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(magic) == 0 {
			return fmt.Errorf("%w: the file is empty", ErrFormat)
		}
		return cut("the magic number", err)
	}
	if binary.BigEndian.Uint32(magic) == blockSection {
		return nil
	}
	known := false
	for _, big := range []bool{false, true} {
		if known {
			break
		}
		pr.big = big
		switch pr.uint32(magic) {
		case magicMicro:
			known = true
		case magicNano:
			known, pr.nano = true, true
		case magicModified:
			known, pr.extra = true, longestExtra
		}
	}
	if !known {
		return fmt.Errorf("%w: magic number %#x is neither pcap nor pcapng", ErrFormat, magic)
	}
	head, err := pr.in.next(24)
	if err != nil {
		return cut("the file header", err)
	}
	pr.classic = true
	pr.iface = newInterface(pr.uint32(head[20:]) & 0xffff) // above are bits about checksums
	return nil
}

// nextRecord reads a record of a classic capture.
func (pr *PacketReader) nextRecord(p *Packet) error {
	head, err := pr.in.next(recordHeader + pr.extra)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return io.EOF
		}
		return cut("a packet header", err)
	}
	n := pr.uint32(head[8:])
	pr.record(p, head)
	if n > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes", ErrFormat, n)
	}
	if p.Data, err = pr.in.next(int(n)); err != nil {
		return cut("a packet", err)
	}
	return nil
}

// record sets what the header of a record and of the file tell of a packet.
func (pr *PacketReader) record(p *Packet, head []byte) {
	frac := int64(pr.uint32(head[4:]))
	if !pr.nano {
		frac *= 1000
	}
	p.Time = int64(pr.uint32(head))*1e9 + frac
	p.LinkType, p.Link, p.LinkOK = pr.iface.linkType, pr.iface.link, pr.iface.linkOK
}

// nextBlock reads pcapng blocks up to the next packet.
func (pr *PacketReader) nextBlock(p *Packet) error {
	for {
		head, err := pr.in.peek(8)
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
		kind, length := pr.uint32(head), pr.uint32(head[4:])
		if length < 12 || length%4 != 0 {
			return fmt.Errorf("%w: a block of %d bytes", ErrFormat, length)
		}
		switch kind {
		case blockIface, blockOldPkt, blockSimple, blockEnhanced:
		default: // names, statistics, comments, secrets
			if err := pr.in.discard(int(length)); err != nil {
				return cut("a block", err)
			}
			continue
		}
		if length > maxBlock {
			return fmt.Errorf("%w: a block of %d bytes", ErrFormat, length)
		}
		b, err := pr.in.next(int(length))
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
	head, err := pr.in.peek(12)
	if err != nil {
		return cut("a section header", err)
	}
	switch uint32(magicSection) {
	case binary.LittleEndian.Uint32(head[8:]):
		pr.big = false
	case binary.BigEndian.Uint32(head[8:]):
		pr.big = true
	default:
		return fmt.Errorf("%w: byte order magic %#x", ErrFormat, head[8:12])
	}
	length := pr.uint32(head[4:])
	if length < 28 || length%4 != 0 || length > maxBlock {
		return fmt.Errorf("%w: a section header of %d bytes", ErrFormat, length)
	}
	if err := pr.in.discard(int(length)); err != nil {
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
	i := newInterface(uint32(pr.uint16(b)))
	i.snapLen = pr.uint32(b[4:])
	for b = b[8:]; len(b) >= 4; {
		code, n := pr.uint16(b), int(pr.uint16(b[2:]))
		b = b[4:]
		if code == optEnd || n > len(b) {
			break
		}
		switch {
		case code == optTSResol && n >= 1:
			i.res = b[0]
		case code == optTSOffset && n >= 8:
			i.offset = int64(pr.uint64(b)) //nolint:gosec // a signed number on the wire
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
		id = pr.uint32(b)
	case blockOldPkt:
		id = uint32(pr.uint16(b))
	}
	if int64(id) >= int64(len(pr.interfaces)) {
		return fmt.Errorf("%w: a packet of interface %d of %d", ErrFormat, id, len(pr.interfaces))
	}
	i := &pr.interfaces[id]
	n := uint32(0)
	if kind == blockSimple {
		p.Time = pr.last
		n = pr.uint32(b) // the original length, cut by the snap length
		if i.snapLen > 0 {
			n = min(n, i.snapLen)
		}
		n = uint32(min(int64(n), int64(len(b)-head))) //nolint:gosec // not negative, below maxBlock
	} else {
		p.Time = i.time(uint64(pr.uint32(b[4:]))<<32 | uint64(pr.uint32(b[8:])))
		n = pr.uint32(b[12:])
	}
	b = b[head:]
	if int64(n) > int64(len(b)) || n > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes in a block of %d", ErrFormat, n, len(b))
	}
	p.LinkType, p.Link, p.LinkOK = i.linkType, i.link, i.linkOK
	p.Data = b[:n]
	pr.last = p.Time
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

// cut describes an input that ends, or fails, in the middle of something.
func cut(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("pcap: reading %s: %w", what, err)
}

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
	"github.com/weir-net/weir/internal/wire/wiretest"
	"pgregory.net/rapid"
)

// seg describes a packet of a test.
type seg struct {
	at       time.Duration // since the epoch below
	src, dst string
	proto    uint8
	flags    byte
	size     int    // of the IP packet
	kind     uint16 // ICMP type and code
	offset   uint16 // of a fragment
	payload  []byte // UDP
}

// epoch is the time from which tests count, in Unix seconds.
const epoch = 1_700_000_000

// bytes builds the raw IP packet, cut after the transport header and payload.
func (s *seg) bytes() []byte {
	src, dst := netip.MustParseAddrPort(s.src), netip.MustParseAddrPort(s.dst)
	be := binary.BigEndian
	var l4 []byte
	switch s.proto {
	case 6:
		l4 = make([]byte, 20)
		l4[12], l4[13] = 0x50, s.flags
	case 1, 58:
		l4 = be.AppendUint16(nil, s.kind)
		l4 = append(l4, 0, 0, 0, 0, 0, 0)
	default:
		l4 = make([]byte, 8)
		be.PutUint16(l4[4:], uint16(8+len(s.payload)))
		l4 = append(l4, s.payload...)
	}
	if s.proto != 1 && s.proto != 58 {
		be.PutUint16(l4, src.Port())
		be.PutUint16(l4[2:], dst.Port())
	}
	if src.Addr().Is6() {
		b := make([]byte, 40, 80)
		b[0], b[6], b[7] = 0x60, s.proto, 64
		be.PutUint16(b[4:], uint16(max(s.size-40, len(l4))))
		a, z := src.Addr().As16(), dst.Addr().As16()
		copy(b[8:], a[:])
		copy(b[24:], z[:])
		return append(b, l4...)
	}
	b := make([]byte, 20, 60)
	b[0], b[8], b[9] = 0x45, 64, s.proto
	be.PutUint16(b[2:], uint16(max(s.size, 20+len(l4))))
	be.PutUint16(b[6:], s.offset)
	a, z := src.Addr().As4(), dst.Addr().As4()
	copy(b[12:], a[:])
	copy(b[16:], z[:])
	return append(b, l4...)
}

// header parses the packet, which cannot fail.
func (s *seg) header() *packet.Header {
	var h packet.Header
	if err := packet.Parse(packet.RawIP, s.bytes(), &h); err != nil {
		panic(err)
	}
	return &h
}

func (s *seg) time() int64 { return epoch*1e9 + int64(s.at) }

// classic writes a capture of raw IP packets.
func classic(order binary.AppendByteOrder, nano bool, segs ...seg) []byte {
	magic, unit := uint32(magicMicro), int64(1000)
	if nano {
		magic, unit = magicNano, 1
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 262144)
	b = order.AppendUint32(b, 101)
	for _, s := range segs {
		data, t := s.bytes(), s.time()
		b = order.AppendUint32(b, uint32(t/1e9))
		b = order.AppendUint32(b, uint32(t%1e9/unit))
		b = order.AppendUint32(b, uint32(len(data)))
		b = order.AppendUint32(b, uint32(len(data)+100))
		b = append(b, data...)
	}
	return b
}

// block writes a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body ...byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, n)
	b = append(b, body...)
	return order.AppendUint32(b, n)
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, magicSection)
	b = order.AppendUint32(b, 1)
	return block(order, blockSection, append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)...)
}

func ifaceBlock(order binary.AppendByteOrder, link uint16, options ...byte) []byte {
	b := order.AppendUint16(nil, link)
	b = append(b, 0, 0)
	b = order.AppendUint32(b, 0)
	return block(order, blockIface, append(b, options...)...)
}

func enhanced(order binary.AppendByteOrder, id uint32, ts uint64, data []byte) []byte {
	b := order.AppendUint32(nil, id)
	b = order.AppendUint32(b, uint32(ts>>32))
	b = order.AppendUint32(b, uint32(ts))
	b = order.AppendUint32(b, uint32(len(data)))
	b = order.AppendUint32(b, uint32(len(data)))
	return block(order, blockEnhanced, append(b, data...)...)
}

// packets reads all packets of a capture.
func packets(b []byte) (times []int64, data [][]byte, err error) {
	r := NewPacketReader(bytes.NewReader(b))
	for {
		var p Packet
		if err := r.Next(&p); err != nil {
			return times, data, err
		}
		times, data = append(times, p.Time), append(data, bytes.Clone(p.Data))
	}
}

func orders() map[string]binary.AppendByteOrder {
	return map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian}
}

func TestClassic(t *testing.T) {
	segs := []seg{
		{at: 1234567891, src: "192.0.2.1:40000", dst: "198.51.100.1:22", proto: 6, flags: 2},
		{at: 2 * time.Second, src: "[2001:db8::1]:5", dst: "[2001:db8::2]:53", proto: 17},
	}
	for name, order := range orders() {
		for _, nano := range []bool{false, true} {
			b := classic(order, nano, segs...)
			times, data, err := packets(b)
			if !errors.Is(err, io.EOF) || len(data) != 2 || !bytes.Equal(data[0], segs[0].bytes()) || !bytes.Equal(data[1], segs[1].bytes()) {
				t.Fatalf("%s, nano %v: %d packets, %v", name, nano, len(data), err)
			}
			want := segs[0].time()
			if !nano {
				want -= want % 1000
			}
			if times[0] != want || times[1] != segs[1].time() {
				t.Errorf("%s, nano %v: times %d, want %d", name, nano, times, want)
			}
			// Cut anywhere, it is told from the clean end.
			for i := 1; i < len(b); i++ {
				_, data, err := packets(b[:i])
				clean := i == 24 || i == 24+16+len(segs[0].bytes())
				if clean != errors.Is(err, io.EOF) || !clean && !errors.Is(err, io.ErrUnexpectedEOF) || len(data) > 1 {
					t.Fatalf("%s cut at %d: %d packets, %v", name, i, len(data), err)
				}
			}
		}
	}
}

func TestPcapNG(t *testing.T) {
	s := seg{src: "192.0.2.1:40000", dst: "198.51.100.1:22", proto: 6, flags: 2}
	data := s.bytes()
	frame := append(make([]byte, 12), append([]byte{8, 0}, data...)...)
	for name, order := range orders() {
		offset := order.AppendUint16(nil, optTSOffset)
		offset = order.AppendUint16(offset, 8)
		offset = order.AppendUint64(offset, epoch)
		resol := func(v byte) []byte {
			b := order.AppendUint16(nil, optTSResol)
			return append(order.AppendUint16(b, 1), v, 0, 0, 0)
		}
		old := order.AppendUint32(nil, 0) // interface and drops
		old = order.AppendUint32(old, 0)  // high part of the time
		old = order.AppendUint32(old, 7_000_000)
		old = order.AppendUint32(old, uint32(len(data)))
		old = order.AppendUint32(old, uint32(len(data)))
		simple := order.AppendUint32(nil, uint32(len(data)))
		b := slices.Concat(
			section(order),
			ifaceBlock(order, 101),
			ifaceBlock(order, 1, resol(9)...),
			block(order, 5, make([]byte, 100)...), // statistics
			ifaceBlock(order, 101, append(resol(0x80|10), offset...)...),
			enhanced(order, 0, 1_700_000_000_000_001, data),
			enhanced(order, 1, 1_700_000_000_000_000_003, frame),
			enhanced(order, 2, 5<<10|512, data),
			block(order, blockOldPkt, append(old, data...)...),
			block(order, blockSimple, append(simple, data...)...),
			section(binary.BigEndian), // a new section knows no interface
			ifaceBlock(binary.BigEndian, 228),
			enhanced(binary.BigEndian, 0, 9_000_000, data),
		)
		times, got, err := packets(b)
		if !errors.Is(err, io.EOF) {
			t.Fatal(name, err)
		}
		want := []int64{1_700_000_000_000_001_000, 1_700_000_000_000_000_003, (epoch+5)*1e9 + 5e8, 7e9, 7e9, 9e9}
		if d := cmp.Diff(want, times); d != "" {
			t.Errorf("%s: times (-want +got):\n%s", name, d)
		}
		for i, g := range got {
			if w := data; i != 1 && !bytes.Equal(g, w) || i == 1 && !bytes.Equal(g, frame) {
				t.Errorf("%s: packet %d is %x", name, i, g)
			}
		}
		for i := 1; i < len(b); i++ {
			if _, _, err := packets(b[:i]); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d: %v", name, i, err)
			}
		}
	}
}

func TestDamaged(t *testing.T) {
	le := binary.LittleEndian
	giant := classic(le, false)
	giant = le.AppendUint32(append(giant, make([]byte, 8)...), 1<<30)
	giant = append(giant, make([]byte, 100)...)
	short := le.AppendUint32(le.AppendUint32(nil, blockEnhanced), 8)
	for name, b := range map[string][]byte{
		"empty":                {},
		"text":                 []byte("start,end,src,dst,srcPort\n"),
		"giant packet":         giant,
		"block of eight bytes": append(section(le), short...),
		"giant block":          append(section(le), append(le.AppendUint32(le.AppendUint32(nil, blockEnhanced), 1<<30), 0)...),
		"no such interface":    append(section(le), enhanced(le, 0, 0, nil)...),
		"packet beyond block":  slices.Concat(section(le), ifaceBlock(le, 1), block(le, blockEnhanced, append(make([]byte, 12), 99, 0, 0, 0, 0, 0, 0, 0)...)),
		"byte order":           block(le, blockSection, make([]byte, 16)...),
	} {
		_, _, err := packets(b)
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterfaceTime(t *testing.T) {
	for _, tt := range []struct {
		i    iface
		ts   uint64
		want int64
	}{
		{iface{res: 6}, 1_500_000, 1_500_000_000},
		{iface{res: 0}, 3, 3e9},
		{iface{res: 12}, 1_000_000_000_999, 1_000_000_000},
		{iface{res: 19}, 10_000_000_000_000_000_000, 1e9},
		{iface{res: 20}, 7, 0},
		{iface{res: 0x80}, 3, 3e9},
		{iface{res: 0x80 | 32}, 1<<32 | 1<<31, 1_500_000_000},
		{iface{res: 0x80 | 63}, 1 << 62, 500_000_000},
		{iface{res: 0xff}, 7, 0},
		{iface{res: 6, offset: -2}, 1_000_000, -1e9},
		{iface{res: 0}, math.MaxUint64, math.MaxInt64},
		{iface{res: 6, offset: math.MaxInt64}, 1, math.MaxInt64},
		{iface{res: 6, offset: math.MinInt64}, 1, math.MinInt64},
	} {
		if got := tt.i.time(tt.ts); got != tt.want {
			t.Errorf("%+v %d: %d, want %d", tt.i, tt.ts, got, tt.want)
		}
	}
}

func TestExport(t *testing.T) {
	v5 := append([]byte{0, 5, 0, 1}, make([]byte, 68)...)
	export := seg{src: "203.0.113.1:1024", dst: "203.0.113.2:2055", proto: 17, payload: v5}
	plain := seg{src: "192.0.2.1:40000", dst: "198.51.100.1:22", proto: 6, flags: 2}
	other := export
	other.dst = "203.0.113.2:12055"
	repeat := func(s seg, n int) []seg { return slices.Repeat([]seg{s}, n) }
	for _, tt := range []struct {
		name         string
		segs         []seg
		ports        []uint16
		found, flows int
		late         int64
	}{
		{name: "first packet", segs: []seg{export, plain}, found: 1},
		{name: "last packet of the probe", segs: append(repeat(plain, Probe-1), export, export), found: 2},
		{name: "after the probe", segs: append(repeat(plain, Probe), export), flows: 2, late: 1},
		{name: "none", segs: []seg{plain}, flows: 1},
		{name: "another port", segs: []seg{other}, flows: 1},
		{name: "another port, configured", segs: []seg{other}, ports: []uint16{12055}, found: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Datagram
			r := NewReader(bytes.NewReader(classic(binary.LittleEndian, true, tt.segs...)), Options{Ports: tt.ports, Export: func(d *Datagram, dst []weir.Flow) []weir.Flow {
				c := *d
				c.Payload = bytes.Clone(d.Payload)
				got = append(got, c)
				return dst
			}})
			flows, err := wiretest.ReadAll(r)
			if err != nil || len(got) != tt.found || len(flows) != tt.flows || r.LateDatagrams() != tt.late || r.Decoding() != (tt.found > 0) {
				t.Fatalf("%d datagrams, %d flows, %d late, %v", len(got), len(flows), r.LateDatagrams(), err)
			}
			for _, d := range got {
				if d.Time != epoch*1e9 || d.Source.String() != "203.0.113.1:1024" || !bytes.Equal(d.Payload, v5) {
					t.Errorf("datagram %+v", d)
				}
			}
		})
	}
}

// TestReaderCounts: packets that are no flows are counted, a cut capture gives
// its flows first.
func TestReaderCounts(t *testing.T) {
	le := binary.LittleEndian
	good := seg{src: "192.0.2.1:40000", dst: "198.51.100.1:22", proto: 6, flags: 2}
	arp := append(make([]byte, 12), 8, 6)
	b := slices.Concat(
		section(le), ifaceBlock(le, 101), ifaceBlock(le, 1), ifaceBlock(le, 127),
		enhanced(le, 0, 1, good.bytes()), enhanced(le, 1, 2, arp), enhanced(le, 2, 3, arp), enhanced(le, 0, 4, good.bytes()[:10]),
		[]byte{1, 2, 3},
	)
	r := NewReader(bytes.NewReader(b), Options{})
	flows, err := wiretest.ReadAll(r)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(flows) != 1 {
		t.Errorf("%d flows, %v", len(flows), err)
	}
	if n, first := r.Skipped(); n != 1 || first == nil || r.NotIP() != 1 || r.Malformed() != 1 || r.Evicted() != 0 {
		t.Errorf("%d skipped (%v), %d not IP, %d malformed", n, first, r.NotIP(), r.Malformed())
	}
}

// TestManyFlows: one Read appends a bounded number of flows.
func TestManyFlows(t *testing.T) {
	segs := make([]seg, 3500)
	for i := range segs {
		segs[i] = seg{at: time.Duration(i), src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i+1)).String(), dst: "198.51.100.1:22", proto: 6, flags: 2}
	}
	r := NewReader(bytes.NewReader(classic(binary.LittleEndian, true, segs...)), Options{})
	total := 0
	for {
		flows, err := r.Read(nil)
		if total += len(flows); len(flows) > batch {
			t.Fatalf("%d flows at once", len(flows))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total != len(segs) {
		t.Errorf("%d flows, want %d", total, len(segs))
	}
}

// TestReaderConserves: whatever the packets, their counts come out again,
// through the file and the meter.
func TestReaderConserves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segGen(t)
		b := classic(binary.BigEndian, true, segs...)
		r := NewReader(bytes.NewReader(b), Options{Meter: MeterOptions{MaxFlows: rapid.IntRange(1, 8).Draw(t, "max")}})
		flows, err := wiretest.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		var pkts, octets, wantOctets uint64
		for i := range flows {
			pkts += flows[i].Packets + flows[i].RevPackets
			octets += flows[i].Bytes + flows[i].RevBytes
		}
		for i := range segs {
			wantOctets += uint64(segs[i].header().Length)
		}
		if pkts != uint64(len(segs)) || octets != wantOctets {
			t.Errorf("%d packets of %d bytes, want %d of %d", pkts, octets, len(segs), wantOctets)
		}
	})
}

func FuzzReader(f *testing.F) {
	le := binary.LittleEndian
	s := seg{src: "192.0.2.1:40000", dst: "198.51.100.1:22", proto: 6, flags: 2}
	f.Add(classic(le, false, s, s))
	f.Add(classic(binary.BigEndian, true, s))
	f.Add(classic(le, false, seg{src: "203.0.113.1:1024", dst: "203.0.113.2:2055", proto: 17, payload: append([]byte{0, 5, 0, 1}, make([]byte, 68)...)}))
	f.Add(slices.Concat(section(le), ifaceBlock(le, 101, 9, 0, 1, 0, 9, 0, 0, 0), enhanced(le, 0, 5, s.bytes())))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), Options{
			Export: func(d *Datagram, dst []weir.Flow) []weir.Flow {
				if !d.Source.IsValid() || len(d.Payload) == 0 {
					t.Error("an empty datagram")
				}
				return dst
			},
			Meter: MeterOptions{MaxFlows: 16},
		})
		flows, _ := wiretest.ReadAll(r)
		wiretest.Check(t, flows)
		sameHoweverRead(t, b)
	})
}

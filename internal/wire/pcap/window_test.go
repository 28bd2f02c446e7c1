package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// collected is all that a reader of packets gives.
type collected struct {
	Times []int64
	Links []uint32
	OK    []bool
	Data  [][]byte
	Err   string
}

func collect(r *PacketReader) collected {
	var c collected
	for {
		var p Packet
		if err := r.Next(&p); err != nil {
			c.Err = err.Error()
			if again := r.Next(&p); !errors.Is(again, err) {
				c.Err = "an error that does not stay"
			}
			return c
		}
		c.Times, c.Links, c.OK = append(c.Times, p.Time), append(c.Links, p.LinkType), append(c.OK, p.LinkOK)
		c.Data = append(c.Data, bytes.Clone(p.Data))
	}
}

// sameHoweverRead holds that a capture gives the same packets and the same
// error from memory and from readers that give it in pieces.
func sameHoweverRead(t interface{ Fatalf(string, ...any) }, b []byte) {
	want := collect(NewPacketReaderBytes(b))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at once":             func(r io.Reader) io.Reader { return r },
		"byte by byte":        iotest.OneByteReader,
		"by halves":           iotest.HalfReader,
		"with the last error": iotest.DataErrReader,
	} {
		if d := cmp.Diff(want, collect(NewPacketReader(wrap(bytes.NewReader(b))))); d != "" {
			t.Fatalf("read %s (-memory +reader):\n%s", name, d)
		}
	}
}

// manyBlocks is a pcapng capture with everything that is read or skipped.
func manyBlocks(order binary.AppendByteOrder, data []byte) []byte {
	return slices.Concat(
		section(order), ifaceBlock(order, 101, 9, 0, 1, 0, 9, 0, 0, 0), block(order, 5, make([]byte, 40)...),
		enhanced(order, 0, 5, data), block(order, 3, append(order.AppendUint32(nil, 3), 1, 2, 3, 0)...), enhanced(order, 0, 6, nil),
	)
}

func TestSameHoweverRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var order binary.AppendByteOrder = binary.LittleEndian
		if rapid.Bool().Draw(t, "big") {
			order = binary.BigEndian
		}
		b := classic(order, rapid.Bool().Draw(t, "nano"), segGen(t)...)
		if rapid.Bool().Draw(t, "ng") {
			b = manyBlocks(order, rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "data"))
		}
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		}
		if len(b) > 0 && rapid.Bool().Draw(t, "change") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		sameHoweverRead(t, b)
	})
}

// TestLongPackets: packets longer than any window so far, between short ones.
func TestLongPackets(t *testing.T) {
	le := binary.LittleEndian
	b := classic(le, false)
	want := []int{10, smallWindow - 16, smallWindow, 3, maxPacket, 0, 3 * smallWindow, 7}
	for _, n := range want {
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 1), 2), uint32(n)), uint32(n))
		b = append(b, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	for name, r := range map[string]*PacketReader{"memory": NewPacketReaderBytes(b), "reader": NewPacketReader(bytes.NewReader(b)), "halves": NewPacketReader(iotest.HalfReader(bytes.NewReader(b)))} {
		for i, n := range want {
			var p Packet
			if err := r.Next(&p); err != nil || len(p.Data) != n || n > 0 && (p.Data[0] != byte(n) || p.Data[n-1] != byte(n)) {
				t.Fatalf("%s: packet %d of %d bytes: %d bytes, %v", name, i, n, len(p.Data), err)
			}
		}
		if err := r.Next(&Packet{}); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v after the end", name, err)
		}
		if c := cap(r.in.b); name != "memory" && c > maxPacket+64 {
			t.Errorf("%s: a window of %d bytes", name, c)
		}
	}
}

// TestReaderFails: the failure of a reader is told as it is, and a reader that
// gives nothing does not hang.
func TestReaderFails(t *testing.T) {
	b := classic(binary.LittleEndian, false, seg{src: "192.0.2.1:1", dst: "198.51.100.1:2", proto: 17})
	broken := errors.New("broken")
	for n := range len(b) {
		r := NewPacketReader(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken)))
		if err := r.Next(&Packet{}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if err := NewPacketReader(nothing{}).Next(&Packet{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// TestNextAllocatesNothing: packets are parts of the window.
func TestNextAllocatesNothing(t *testing.T) {
	s := seg{src: "192.0.2.1:1", dst: "198.51.100.1:2", proto: 17, payload: make([]byte, 400)}
	b := classic(binary.LittleEndian, false, slices.Repeat([]seg{s}, 5000)...)
	r := NewPacketReader(bytes.NewReader(b))
	var p Packet
	for range 3000 { // the window has grown
		if err := r.Next(&p); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := r.Next(&p); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// BenchmarkPackets reads packets of 400 bytes through a reader and from memory.
func BenchmarkPackets(b *testing.B) {
	s := seg{src: "192.0.2.1:1", dst: "198.51.100.1:2", proto: 17, payload: make([]byte, 400)}
	const n = 20_000
	in := classic(binary.LittleEndian, false, slices.Repeat([]seg{s}, n)...)
	for name, open := range map[string]func() *PacketReader{
		"reader": func() *PacketReader { return NewPacketReader(bytes.NewReader(in)) },
		"memory": func() *PacketReader { return NewPacketReaderBytes(in) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := open()
				var p Packet
				for range n {
					if err := r.Next(&p); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/rec")
		})
	}
}

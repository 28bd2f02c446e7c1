package table

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
	"github.com/weir-net/weir/internal/wire/wiretest"
	"pgregory.net/rapid"
)

func sample() []weir.Flow {
	return []weir.Flow{
		{
			Start: 1700000000000000001, End: 1700000001500000000,
			Src: netip.MustParseAddrPort("198.51.100.7:50000"), Dst: netip.MustParseAddrPort("192.0.2.10:22"), Proto: 6,
			TCPFlags: 0x02, RevTCPFlags: 0x12, Packets: 10, Bytes: 1000, RevPackets: 8, RevBytes: 2000,
			Known:     weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasRevFlags | weir.HasReverse | weir.HasPorts,
			Initiator: weir.InitiatorSrc, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatZeek,
		},
		{
			Start: -1, End: 0,
			Src: netip.MustParseAddrPort("[2001:db8::1]:0"), Dst: netip.MustParseAddrPort("[2001:db8::2]:32768"), Proto: 58,
			Packets: 1, Known: weir.HasPackets | weir.HasPorts, Sampling: 1000, SamplingSource: weir.SamplingHeader,
			Action: weir.ActionDeny, Exporter: netip.MustParseAddr("203.0.113.1"), InputIf: 1, OutputIf: 4294967295, VLAN: 7, Format: weir.FormatIPFIX,
		},
		{Src: netip.MustParseAddrPort("192.0.2.1:0"), Dst: netip.MustParseAddrPort("192.0.2.2:0"), Proto: 47},
	}
}

func TestWriteNDJSON(t *testing.T) {
	want := `{"start":"2023-11-14T22:13:20.000000001Z","end":"2023-11-14T22:13:21.500000000Z","src":"198.51.100.7","dst":"192.0.2.10","srcPort":50000,"dstPort":22,"proto":6,"tcpFlags":18,"packets":10,"bytes":1000,"revPackets":8,"revBytes":2000,"initiator":"src","sampling":1,"samplingSource":"format","format":"zeek"}
{"start":"1969-12-31T23:59:59.999999999Z","end":"1970-01-01T00:00:00.000000000Z","src":"2001:db8::1","dst":"2001:db8::2","srcPort":0,"dstPort":32768,"proto":58,"packets":1,"sampling":1000,"samplingSource":"header","action":"deny","exporter":"203.0.113.1","inputIf":1,"outputIf":4294967295,"vlan":7,"format":"ipfix"}
{"start":"1970-01-01T00:00:00.000000000Z","end":"1970-01-01T00:00:00.000000000Z","src":"192.0.2.1","dst":"192.0.2.2","proto":47,"sampling":0,"samplingSource":"unknown"}
`
	var b bytes.Buffer
	w, err := NewWriter(&b, WriterOptions{Format: weir.FormatNDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(sample()), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWriteCSV(t *testing.T) {
	want := `start,end,src,dst,srcPort,dstPort,proto,tcpFlags,packets,bytes,revPackets,revBytes,initiator,sampling,samplingSource,action,exporter,inputIf,outputIf,vlan,format
2023-11-14T22:13:20.000000001Z,2023-11-14T22:13:21.500000000Z,198.51.100.7,192.0.2.10,50000,22,6,18,10,1000,8,2000,src,1,format,,,,,,zeek
1969-12-31T23:59:59.999999999Z,1970-01-01T00:00:00.000000000Z,2001:db8::1,2001:db8::2,0,32768,58,,1,,,,,1000,header,deny,203.0.113.1,1,4294967295,7,ipfix
1970-01-01T00:00:00.000000000Z,1970-01-01T00:00:00.000000000Z,192.0.2.1,192.0.2.2,,,47,,,,,,,0,unknown,,,,,,
`
	var b bytes.Buffer
	w, err := NewWriter(&b, WriterOptions{Format: weir.FormatCSV})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(sample()), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var empty bytes.Buffer
	if w, err = NewWriter(&empty, WriterOptions{Format: weir.FormatCSV}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Flush(), w.Flush()); err != nil || !strings.HasPrefix(want, empty.String()) || empty.Len() == 0 {
		t.Errorf("an empty table is %q, %v", empty.String(), err)
	}
	if _, err := NewWriter(&b, WriterOptions{Format: weir.FormatZeek}); err == nil {
		t.Error("zeek cannot be written")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterReportsErrors(t *testing.T) {
	w, err := NewWriter(brokenWriter{}, WriterOptions{Format: weir.FormatCSV})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(sample()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v, want %v", err, io.ErrClosedPipe)
		}
	}
}

// flowGen draws flows that the form can express.
func flowGen(t *rapid.T, n int) []weir.Flow {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "a")))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a"))).Unmap()
	})
	flows := make([]weir.Flow, n)
	for i := range flows {
		f := &flows[i]
		known := weir.Fields(0)
		pick := func(bit weir.Fields, fill func()) {
			if rapid.Bool().Draw(t, "known") {
				known |= bit
				fill()
			}
		}
		u64, u16 := rapid.Uint64(), rapid.Uint16()
		*f = weir.Flow{
			Start: rapid.Int64Range(-9e18, 9e18).Draw(t, "start"), End: rapid.Int64Range(-9e18, 9e18).Draw(t, "end"),
			Proto: rapid.Byte().Draw(t, "proto"), VLAN: rapid.Uint16Range(0, 4095).Draw(t, "vlan"),
			InputIf: rapid.Uint32().Draw(t, "in"), OutputIf: rapid.Uint32().Draw(t, "out"),
			Action:    weir.Action(rapid.IntRange(0, 2).Draw(t, "action")),
			Initiator: weir.Initiator(rapid.IntRange(0, 2).Draw(t, "initiator")),
			Format:    weir.Format(rapid.IntRange(1, 16).Draw(t, "format")),
		}
		f.End = max(f.Start, f.End)
		src, dst := addr.Draw(t, "src"), addr.Draw(t, "dst")
		sp, dp := uint16(0), uint16(0)
		pick(weir.HasPorts, func() { sp, dp = u16.Draw(t, "sp"), u16.Draw(t, "dp") })
		f.Src, f.Dst = netip.AddrPortFrom(src, sp), netip.AddrPortFrom(dst, dp)
		pick(weir.HasPackets, func() { f.Packets = u64.Draw(t, "packets") })
		pick(weir.HasBytes, func() { f.Bytes = u64.Draw(t, "bytes") })
		pick(weir.HasFlags, func() { f.TCPFlags = u16.Draw(t, "flags") })
		if known&(weir.HasPackets|weir.HasBytes) != 0 {
			pick(weir.HasReverse, func() {
				if known.Has(weir.HasPackets) {
					f.RevPackets = u64.Draw(t, "revPackets")
				}
				if known.Has(weir.HasBytes) {
					f.RevBytes = u64.Draw(t, "revBytes")
				}
			})
		}
		if known.Has(weir.HasReverse | weir.HasFlags) {
			pick(weir.HasRevFlags, func() { f.RevTCPFlags = u16.Draw(t, "revFlags") })
		}
		pick(0, func() { f.Exporter = addr.Draw(t, "exporter") })
		if f.SamplingSource = weir.SamplingSource(rapid.IntRange(0, 6).Draw(t, "source")); f.SamplingSource != weir.SamplingUnknown {
			f.Sampling = rapid.Uint32Range(1, 1<<32-1).Draw(t, "sampling")
		}
		f.Known = known
	}
	return flows
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []weir.Format{weir.FormatCSV, weir.FormatNDJSON} {
		t.Run(format.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := flowGen(t, 3)
				var b bytes.Buffer
				w, err := NewWriter(&b, WriterOptions{Format: format, RevTCPFlags: true})
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(w.Write(want), w.Flush()); err != nil {
					t.Fatal(err)
				}
				out := b.String()
				r := NewReader(&b, Options{Format: format})
				got, err := wiretest.ReadAll(r)
				if _, bad := r.Skipped(); err != nil || bad != nil {
					t.Fatal(err, bad, out)
				}
				if d := cmp.Diff(want, got, wiretest.Compare()); d != "" {
					t.Errorf("(-want +got):\n%s\n%s", d, out)
				}
			})
		})
	}
}

// TestOrOfFlags: without revTcpFlags the flags are the OR of both directions,
// and are read as such.
func TestOrOfFlags(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, WriterOptions{Format: weir.FormatNDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(sample()[:1]), w.Flush()); err != nil {
		t.Fatal(err)
	}
	got, err := wiretest.ReadAll(NewReader(&b, Options{Format: weir.FormatNDJSON}))
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if got[0].TCPFlags != 0x12 || got[0].Known.Has(weir.HasRevFlags) || !got[0].Known.Has(weir.HasFlags|weir.HasReverse) {
		t.Errorf("flags %#x, known %b", got[0].TCPFlags, got[0].Known)
	}
}

func TestReadCSV(t *testing.T) {
	in := "\xef\xbb\xbfstart,label,src,dst,proto,srcPort,dstPort,packets,bytes,revPackets,initiator\r\n" +
		"2024-01-02T03:04:05Z,x,192.0.2.1,198.51.100.1,6,1,2,3,4,,src\r\n" +
		"2024-01-02T04:04:05.5+01:00,\"a,\"\"b\",::ffff:192.0.2.1,198.51.100.1,TCP,1,,3,4,5,\r\n" +
		"\n" +
		"2024-01-02T03:04:05Z,x,192.0.2.300,198.51.100.1,6,1,2,3,4,,src\n" +
		"2024-01-02T03:04:05Z,x,192.0.2.3,198.51.100.1,6,1,2,3,4,,client\n" +
		"2024-01-02T03:04:05Z,x,192.0.2.3\n" +
		",x,192.0.2.3,198.51.100.1,6,1,2,3,4,,\n" +
		"2024-01-02T03:04:05Z,x,,,6,1,2,3,4,,\n" +
		"2024-01-02T03:04:05Z,x,,2001:db8::1,17,,,,,,\n" +
		"2024-01-02T03:04:05Z,x,192.0.2.1,198.51.100.1,17,,,,,,"
	r := NewReader(strings.NewReader(in), Options{Format: weir.FormatCSV})
	got, err := wiretest.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	const at = 1704164645000000000
	base := weir.Flow{Start: at, End: at, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatCSV}
	want := []weir.Flow{base, base, base, base}
	want[0].Src, want[0].Dst, want[0].Proto = netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("198.51.100.1:2"), 6
	want[0].Packets, want[0].Bytes, want[0].Initiator = 3, 4, weir.InitiatorSrc
	want[0].Known = weir.HasPorts | weir.HasPackets | weir.HasBytes
	// Bytes are known in one direction only, ports on one end only.
	want[1].Start += 5e8
	want[1].End = want[1].Start
	want[1].Src, want[1].Dst, want[1].Proto = netip.MustParseAddrPort("192.0.2.1:0"), netip.MustParseAddrPort("198.51.100.1:0"), 6
	want[1].Packets, want[1].RevPackets, want[1].Known = 3, 5, weir.HasPackets|weir.HasReverse
	want[2].Src, want[2].Dst, want[2].Proto = netip.MustParseAddrPort("[::]:0"), netip.MustParseAddrPort("[2001:db8::1]:0"), 17
	want[3].Src, want[3].Dst, want[3].Proto = netip.MustParseAddrPort("192.0.2.1:0"), netip.MustParseAddrPort("198.51.100.1:0"), 17
	if d := cmp.Diff(want, got, wiretest.Compare()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	n, first := r.Skipped()
	if n != 5 || first == nil || first.Error() != `csv: line 5: column 24: src: "192.0.2.300" is not an IP address` {
		t.Errorf("skipped %d, first %v", n, first)
	}
}

func TestReadNDJSON(t *testing.T) {
	in := `{"start":"2024-01-02T03:04:05.000000001Z","src":"192.0.2.1","dst":"198.51.100.1","proto":6,"packets":18446744073709551615,"sampling":100,"new":{"a":1}}
{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","dst":"198.51.100.1","proto":"17","sampling":0,"samplingSource":"header"}
{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","dst":"198.51.100.1","proto":6,"sampling":9,"samplingSource":"guessed","packets":null}
{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","dst":"198.51.100.1","proto":6,"sampling":9,"samplingSource":"flag","format":"zeek"}
{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","dst":7,"proto":6}
{"start":"2024-01-02T03:04:05Z"
{"src":[1]}
[]
{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","ds`
	r := NewReader(strings.NewReader(in), Options{Format: weir.FormatNDJSON})
	got, err := wiretest.ReadAll(r)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if len(got) != 4 {
		t.Fatalf("%d flows, want 4", len(got))
	}
	if f := got[0]; f.Packets != 1<<64-1 || f.Sampling != 100 || f.SamplingSource != weir.SamplingRecord || f.Start%1e9 != 1 || f.Format != weir.FormatNDJSON {
		t.Errorf("first: %+v", f)
	}
	if f := got[1]; f.Sampling != 0 || f.SamplingSource != weir.SamplingUnknown || f.Proto != 17 {
		t.Errorf("second: %+v", f)
	}
	if f := got[2]; f.Sampling != 0 || f.SamplingSource != weir.SamplingUnknown || f.Known != 0 {
		t.Errorf("third: %+v", f)
	}
	if f := got[3]; f.Sampling != 9 || f.SamplingSource != weir.SamplingFlag || f.Format != weir.FormatZeek {
		t.Errorf("fourth: %+v", f)
	}
	n, first := r.Skipped()
	if n != 4 || first == nil || first.Error() != `ndjson: line 5: column 51: dst: "7" is not an IP address` {
		t.Errorf("skipped %d, first %v", n, first)
	}
}

func TestFatal(t *testing.T) {
	for name, tt := range map[string]struct {
		in     string
		format weir.Format
		want   error
	}{
		"no header":       {"2024-01-02T03:04:05Z,192.0.2.1,198.51.100.1,6\n", weir.FormatCSV, text.ErrFormat},
		"column twice":    {"start,src,dst,proto,src\n", weir.FormatCSV, text.ErrFormat},
		"other format":    {"x\n", weir.FormatZeek, text.ErrFormat},
		"cut row":         {"start,src,dst,proto\n2024-01-02T03:04:05Z,192.0.2.1,19", weir.FormatCSV, io.ErrUnexpectedEOF},
		"cut by the pipe": {"", weir.FormatCSV, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			var in io.Reader = strings.NewReader(tt.in)
			if tt.in == "" {
				in = io.MultiReader(strings.NewReader("start,src,dst,proto\n"), errReader{io.ErrUnexpectedEOF})
			}
			r := NewReader(in, Options{Format: tt.format})
			for range 2 {
				if got, err := wiretest.ReadAll(r); !errors.Is(err, tt.want) || len(got) > 0 {
					t.Errorf("%d flows, error %v, want %v", len(got), err, tt.want)
				}
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestLongLine: a giant line costs no memory and no other line.
func TestLongLine(t *testing.T) {
	row := "2024-01-02T03:04:05Z,192.0.2.1,198.51.100.1,6\n"
	in := io.MultiReader(strings.NewReader("start,src,dst,proto\n"+row), strings.NewReader(strings.Repeat("x", 3<<20)+"\n"+row))
	r := NewReader(in, Options{Format: weir.FormatCSV})
	got, err := wiretest.ReadAll(r)
	n, first := r.Skipped()
	if len(got) != 2 || err != nil || n != 1 || first == nil || !strings.Contains(first.Error(), "line 3: longer than") {
		t.Errorf("%d flows, %v; skipped %d, %v", len(got), err, n, first)
	}
}

// TestCases reads the labelled data sets in this form.
func TestCases(t *testing.T) {
	wiretest.Cases(t, weir.FormatCSV, 3, func(r io.Reader) wiretest.Reader { return NewReader(r, Options{Format: weir.FormatCSV}) })
}

func FuzzReader(f *testing.F) {
	f.Add(true, []byte("start,src,dst,proto,packets,sampling\n2024-01-02T03:04:05Z,192.0.2.1,198.51.100.1,6,1,0\n"))
	f.Add(true, []byte("start,src,dst,proto\n\"2024-01-02T03:04:05Z\",192.0.2.1,198.51.100.1,6"))
	f.Add(false, []byte(`{"start":"2024-01-02T03:04:05Z","src":"192.0.2.1","dst":"198.51.100.1","proto":6,"tcpFlags":2,"initiator":"dst"}`))
	f.Fuzz(func(t *testing.T, isCSV bool, b []byte) {
		format := weir.FormatNDJSON
		if isCSV {
			format = weir.FormatCSV
		}
		r := NewReader(bytes.NewReader(b), Options{Format: format})
		flows, _ := wiretest.ReadAll(r)
		wiretest.Check(t, flows)
		// What was read can be written and read again without change.
		var out bytes.Buffer
		w, err := NewWriter(&out, WriterOptions{Format: format, RevTCPFlags: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Write(flows), w.Flush()); err != nil {
			t.Fatal(err)
		}
		again, err := wiretest.ReadAll(NewReader(&out, Options{Format: format}))
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != len(flows) {
			t.Fatalf("%d flows, then %d", len(flows), len(again))
		}
		for i := range flows {
			// A reverse direction without counts cannot be written.
			if !flows[i].Known.Has(weir.HasPackets) && !flows[i].Known.Has(weir.HasBytes) {
				flows[i].Known &^= weir.HasReverse
				again[i].Known &^= weir.HasReverse
			}
		}
		if d := cmp.Diff(flows, again, wiretest.Compare()); len(flows) > 0 && d != "" {
			t.Errorf("(-first +again):\n%s", d)
		}
	})
}

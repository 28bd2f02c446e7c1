package netflow_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// pack spells datagrams as the input of FuzzDecode: each with its length and
// its exporter in front.
func pack(datagrams ...[]byte) []byte {
	var b []byte
	for i, d := range datagrams {
		b = cat(b, be(2, uint64(len(d))), []byte{byte(i % 2)}, d)
	}
	return b
}

// FuzzDecode decodes a sequence of datagrams with one state, small bounds, from
// two exporters.
func FuzzDecode(f *testing.F) {
	for _, version := range []uint16{v9, ipx} {
		all := head(version, 1).template(256, small(spec{id: 1, n: 4}, spec{id: 2, n: 8}, spec{id: 152, n: 8}, spec{id: 153, n: 8}, spec{id: 10, n: 4}, spec{id: 34, n: 4}, spec{id: 302, n: 2}, spec{id: 88, n: 2})...).
			set(256, smallRecord(be(4, 1), be(8, 1), be(8, 1000), be(8, 2000), be(4, 3), be(4, 100), be(2, 5), be(2, 0)), []byte{0, 0}).
			options(300, 1, spec{id: 149, n: 4}, spec{id: 302, n: 2}, spec{id: 305, n: 4}, spec{id: 306, n: 4}).
			set(300, be(4, 7), be(2, 5), be(4, 1), be(4, 99))
		early := head(version, 0).set(257, smallRecord(long([]byte("eth0"), false), long([]byte("x"), true)))
		late := head(version, 2).template(257, small(spec{id: 82, n: anyN}, spec{id: 83, n: anyN})...)
		frame := head(version, 3).template(258, spec{id: 315, n: anyN}, spec{id: 313, n: 20}).set(258, long(be(14, 0x0800), false), be(20, 0))
		mixed := head(version, 4).template(259, spec{id: 8, n: 4}, spec{id: 27, n: 16}, spec{id: 12, n: 4}, spec{id: 28, n: 16}, spec{id: 6, n: 2}, spec{id: 1, n: 4, pen: 29305}).set(259, make([]byte, 100))
		f.Add(pack(hops(version, 1, exportTime, hop{in: 1, out: 2}, hop{in: 1, out: 2, way: egress}, hop{in: 1, out: 2, probe: true, way: egress}), hops(version, 1, exportTime, hop{in: 2, out: 1, way: egress, six: true})))
		f.Add(pack(all.bytes(), early.bytes(), all.bytes(), late.bytes()))
		f.Add(pack(early.bytes(), early.bytes(), late.bytes(), frame.bytes()))
		f.Add(pack(mixed.bytes(), head(version, 5).set(2, be(2, 256), be(2, 0)).bytes(), mixed.bytes()))
	}
	f.Add(pack(message5(1000, exportTime, 5, 0x0102, 1<<14|100, record5("198.51.100.7", "203.0.113.9", 40000, 22, 6, 0x12, 3, 180, 1, 900))))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := netflow.DefaultConfig()
		c.MaxExporters, c.MaxTemplates, c.MaxTemplateMemory, c.HoldBytes, c.HoldFor = 3, 4, 1<<16, 8192, 10
		d := netflow.New(c)
		exporters := [...]netip.Addr{exporter, netip.MustParseAddr("2001:db8::1")}
		var total uint64
		for i := int64(1); len(b) >= 3; i++ {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-3)
			from, datagram := exporters[b[2]%2], b[3:3+n]
			b = b[3+n:]
			held := d.Stats().HeldBytes
			flows, err := d.Decode(from, i, datagram, nil)
			var e *netflow.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("error of type %T", err)
			}
			// A record with an address has at least four bytes, one with a
			// frame at least one and 20 in the frame.
			if len(flows) > (len(datagram)+held)/4 {
				t.Fatalf("%d flows of %d bytes", len(flows), len(datagram))
			}
			for k := range flows {
				checkFlow(t, &flows[k], from)
			}
			total += uint64(len(flows))
			s := d.Stats()
			if s.Domains > 3 || s.TemplateBytes > 1<<16 || s.HeldBytes > 8192 || s.Templates > 12 || s.Templates < 0 || s.HeldBytes < 0 || s.TemplateBytes < 0 {
				t.Fatalf("%+v", s)
			}
			if s.Flows != total || s.Held > s.SetsWithoutTemplate || s.HeldDecoded+s.HeldExpired > s.Held {
				t.Fatalf("%+v", s)
			}
		}
		if n := len(d.Exporters()); n != d.Stats().Domains {
			t.Fatalf("%d exporters", n)
		}
	})
}

func checkFlow(t *testing.T, f *weir.Flow, from netip.Addr) {
	t.Helper()
	switch {
	case !f.Src.Addr().IsValid() && !f.Dst.Addr().IsValid(),
		f.Src.Addr().Is4In6(), f.Dst.Addr().Is4In6(),
		f.Exporter != from,
		f.Start > f.End,
		!f.Known.Has(weir.HasPorts) && (f.Src.Port() != 0 || f.Dst.Port() != 0),
		!f.Known.Has(weir.HasPackets) && f.Packets != 0,
		!f.Known.Has(weir.HasBytes) && f.Bytes != 0,
		!f.Known.Has(weir.HasFlags) && f.TCPFlags != 0,
		!f.Known.Has(weir.HasReverse) && (f.RevPackets != 0 || f.RevBytes != 0),
		!f.Known.Has(weir.HasRevFlags) && f.RevTCPFlags != 0,
		(f.Sampling == 0) != (f.SamplingSource == weir.SamplingUnknown),
		f.Known.Has(weir.IsFragment) && f.Known.Has(weir.HasPorts),
		f.Format != weir.FormatIPFIX && f.Format != weir.FormatNetFlow9 && f.Format != weir.FormatNetFlow5:
		t.Fatalf("flow %+v", *f)
	}
}

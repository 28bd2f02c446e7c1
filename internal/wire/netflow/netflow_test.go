package netflow_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

const exportTime = 1760000000 // Unix s of the messages of these tests

func head(version uint16, seq uint32) *spelling {
	return &spelling{version: version, domain: 7, seq: seq, export: exportTime, uptime: 3600000, count: 1}
}

// small is the template of most tests, with room for more fields.
func small(more ...spec) []spec {
	return append([]spec{{id: 8, n: 4}, {id: 12, n: 4}, {id: 7, n: 2}, {id: 11, n: 2}, {id: 4, n: 1}}, more...)
}

func smallRecord(more ...[]byte) []byte {
	return cat(ip("198.51.100.7"), ip("203.0.113.9"), be(2, 40000), be(2, 22), []byte{6}, cat(more...))
}

// smallFlow is what small and smallRecord give.
func smallFlow(version uint16, change func(*weir.Flow)) weir.Flow {
	f := weir.Flow{
		Start: exportTime * 1e9, End: exportTime * 1e9,
		Src: netip.MustParseAddrPort("198.51.100.7:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:22"),
		Domain: 7, Exporter: exporter, Proto: 6, Known: weir.HasPorts, Format: weir.FormatIPFIX,
	}
	if version == v9 {
		f.Format = weir.FormatNetFlow9
	}
	change(&f)
	return f
}

func mustDecode(t *testing.T, d *netflow.Decoder, m *spelling) []weir.Flow {
	t.Helper()
	flows, err := d.Decode(exporter, 1, m.bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

// TestElements decodes one record of small and some more fields.
func TestElements(t *testing.T) {
	reverse := uint32(29305)
	tests := map[string]struct {
		version uint16 // 0: both
		fields  []spec
		values  [][]byte
		want    func(*weir.Flow)
	}{
		"counters of delta before total": {
			fields: []spec{{id: 85, n: 8}, {id: 86, n: 8}, {id: 1, n: 3}, {id: 2, n: 5}},
			values: [][]byte{be(8, 900), be(8, 90), be(3, 70000), be(5, 1<<33)},
			want:   func(f *weir.Flow) { f.Bytes, f.Packets = 70000, 1<<33; f.Known |= weir.HasBytes | weir.HasPackets },
		},
		"counters that left, where nothing else counts": {
			fields: []spec{{id: 23, n: 4}, {id: 24, n: 4}}, values: [][]byte{be(4, 80), be(4, 2)},
			want: func(f *weir.Flow) { f.Bytes, f.Packets = 80, 2; f.Known |= weir.HasBytes | weir.HasPackets },
		},
		"flags of two bytes": {
			fields: []spec{{id: 6, n: 2}}, values: [][]byte{be(2, 0x112)},
			want: func(f *weir.Flow) { f.TCPFlags = 0x112; f.Known |= weir.HasFlags },
		},
		"biflow, RFC 5103": {
			version: ipx,
			fields:  []spec{{id: 1, n: 4}, {id: 2, n: 4}, {id: 6, n: 1}, {id: 1, n: 4, pen: reverse}, {id: 2, n: 4, pen: reverse}, {id: 6, n: 1, pen: reverse}},
			values:  [][]byte{be(4, 400), be(4, 4), be(1, 2), be(4, 300), be(4, 3), be(1, 0x12)},
			want: func(f *weir.Flow) {
				f.Bytes, f.Packets, f.TCPFlags, f.RevBytes, f.RevPackets, f.RevTCPFlags = 400, 4, 2, 300, 3, 0x12
				f.Known |= weir.HasBytes | weir.HasPackets | weir.HasFlags | weir.HasReverse | weir.HasRevFlags
			},
		},
		"biflow of the initiator": {
			version: ipx, fields: []spec{{id: 239, n: 1}}, values: [][]byte{{1}},
			want: func(f *weir.Flow) { f.Initiator = weir.InitiatorSrc },
		},
		"biflow against the initiator": {
			version: ipx, fields: []spec{{id: 239, n: 1}}, values: [][]byte{{2}},
			want: func(f *weir.Flow) { f.Initiator = weir.InitiatorDst },
		},
		"biflow, arbitrary direction, overrides the elements of the initiator": {
			fields: []spec{{id: 231, n: 4}, {id: 232, n: 4}, {id: 239, n: 1}}, values: [][]byte{be(4, 1), be(4, 2), {0}},
			want: func(f *weir.Flow) { f.Bytes, f.RevBytes = 1, 2; f.Known |= weir.HasBytes | weir.HasReverse },
		},
		"initiator and responder": {
			fields: []spec{{id: 231, n: 4}, {id: 232, n: 4}, {id: 298, n: 8}, {id: 299, n: 8}},
			values: [][]byte{be(4, 500), be(4, 600), be(8, 5), be(8, 6)},
			want: func(f *weir.Flow) {
				f.Bytes, f.RevBytes, f.Packets, f.RevPackets, f.Initiator = 500, 600, 5, 6, weir.InitiatorSrc
				f.Known |= weir.HasBytes | weir.HasPackets | weir.HasReverse
			},
		},
		"reverse bytes without reverse packets say nothing": {
			version: ipx,
			fields:  []spec{{id: 1, n: 4}, {id: 2, n: 4}, {id: 1, n: 4, pen: reverse}}, values: [][]byte{be(4, 400), be(4, 4), be(4, 300)},
			want: func(f *weir.Flow) { f.Bytes, f.Packets = 400, 4; f.Known |= weir.HasBytes | weir.HasPackets },
		},
		"flags of YAF": {
			version: ipx,
			fields:  []spec{{id: 14, n: 1, pen: 6871}, {id: 15, n: 1, pen: 6871}, {id: 14 | 0x4000, n: 1, pen: 6871}},
			values:  [][]byte{{2}, {0x18}, {0x12}},
			want: func(f *weir.Flow) {
				f.TCPFlags, f.RevTCPFlags = 0x1a, 0x12
				f.Known |= weir.HasFlags | weir.HasRevFlags
			},
		},
		"elements of other enterprises": {
			version: ipx, fields: []spec{{id: 1, n: 4, pen: 9}, {id: 34, n: 4, pen: 9}}, values: [][]byte{be(4, 1), be(4, 2)},
			want: func(*weir.Flow) {},
		},
		"post-NAT ends are not the ends": {
			fields: []spec{{id: 225, n: 4}, {id: 226, n: 4}, {id: 227, n: 2}, {id: 228, n: 2}},
			values: [][]byte{ip("192.0.2.8"), ip("192.0.2.9"), be(2, 1), be(2, 2)},
			want:   func(*weir.Flow) {},
		},
		"repeated elements: the first": {
			fields: []spec{{id: 8, n: 4}, {id: 2, n: 4}, {id: 2, n: 4}}, values: [][]byte{ip("192.0.2.8"), be(4, 1), be(4, 2)},
			want: func(f *weir.Flow) { f.Packets = 1; f.Known |= weir.HasPackets },
		},
		"interfaces": {
			fields: []spec{{id: 10, n: 2}, {id: 14, n: 4}}, values: [][]byte{be(2, 3), be(4, 70000)},
			want: func(f *weir.Flow) { f.InputIf, f.OutputIf = 3, 70000 },
		},
		"physical interfaces where there are no others": {
			fields: []spec{{id: 252, n: 4}, {id: 253, n: 4}, {id: 10, n: 4}}, values: [][]byte{be(4, 3), be(4, 4), be(4, 0)},
			want: func(f *weir.Flow) { f.InputIf, f.OutputIf = 3, 4 },
		},
		"vlan":       {fields: []spec{{id: 58, n: 2}, {id: 243, n: 2}}, values: [][]byte{be(2, 100), be(2, 200)}, want: func(f *weir.Flow) { f.VLAN = 100 }},
		"dot1q":      {fields: []spec{{id: 58, n: 2}, {id: 243, n: 2}}, values: [][]byte{be(2, 0), be(2, 200)}, want: func(f *weir.Flow) { f.VLAN = 200 }},
		"post dot1q": {fields: []spec{{id: 254, n: 2}}, values: [][]byte{be(2, 300)}, want: func(f *weir.Flow) { f.VLAN = 300 }},
		"fragment": {
			fields: []spec{{id: 88, n: 2}, {id: 6, n: 1}}, values: [][]byte{be(2, 185), {2}},
			want: func(f *weir.Flow) {
				f.Src, f.Dst = netip.AddrPortFrom(f.Src.Addr(), 0), netip.AddrPortFrom(f.Dst.Addr(), 0)
				f.Known = weir.IsFragment
			},
		},
		"forwarded":           {fields: []spec{{id: 89, n: 1}}, values: [][]byte{{0x40}}, want: func(*weir.Flow) {}},
		"dropped":             {fields: []spec{{id: 89, n: 1}}, values: [][]byte{{0x82}}, want: func(f *weir.Flow) { f.Action = weir.ActionDeny }},
		"dropped, four bytes": {fields: []spec{{id: 89, n: 4}}, values: [][]byte{be(4, 0x82)}, want: func(f *weir.Flow) { f.Action = weir.ActionDeny }},
		"event: created":      {fields: []spec{{id: 233, n: 1}}, values: [][]byte{{1}}, want: func(f *weir.Flow) { f.Action = weir.ActionAllow }},
		"event: denied":       {fields: []spec{{id: 233, n: 1}}, values: [][]byte{{3}}, want: func(f *weir.Flow) { f.Action = weir.ActionDeny }},
		"event of old appliances": {
			version: v9, fields: []spec{{id: 40005, n: 1}}, values: [][]byte{{3}}, want: func(f *weir.Flow) { f.Action = weir.ActionDeny },
		},

		"seconds": {
			fields: []spec{{id: 150, n: 4}, {id: 151, n: 4}}, values: [][]byte{be(4, 1000), be(4, 1001)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000e9, 1001e9 },
		},
		"milliseconds": {
			fields: []spec{{id: 152, n: 8}, {id: 153, n: 8}}, values: [][]byte{be(8, 1000001), be(8, 1001002)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000_001e6, 1001_002e6 },
		},
		"microseconds, with the noise of the low bits": {
			fields: []spec{{id: 154, n: 8}, {id: 155, n: 8}}, values: [][]byte{ntp(1000, 0x800007ff), ntp(1001, 0x40000000)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000.5e9, 1001.25e9 },
		},
		"nanoseconds before all others": {
			fields: []spec{{id: 150, n: 4}, {id: 156, n: 8}, {id: 157, n: 8}}, values: [][]byte{be(4, 5), ntp(1000, 0x80000000), ntp(2100000000, 0)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000.5e9, 2100000000e9 }, // the second era
		},
		"before the export": {
			fields: []spec{{id: 158, n: 4}, {id: 159, n: 4}}, values: [][]byte{be(4, 2500000), be(4, 1000)},
			want: func(f *weir.Flow) { f.Start -= 2.5e9; f.End -= 1e6 },
		},
		"uptime": {
			version: v9, fields: []spec{{id: 22, n: 4}, {id: 21, n: 4}}, values: [][]byte{be(4, 3590000), be(4, 3599000)},
			want: func(f *weir.Flow) { f.Start -= 10e9; f.End -= 1e9 },
		},
		"uptime a little ahead of the header": {
			version: v9, fields: []spec{{id: 22, n: 4}, {id: 21, n: 4}}, values: [][]byte{be(4, 3600000), be(4, 3600250)},
			want: func(f *weir.Flow) { f.End += 250e6 },
		},
		"uptime of a flow from before the wrap": { // 2^32 ms minus one hour ago
			version: v9, fields: []spec{{id: 22, n: 4}, {id: 21, n: 4}}, values: [][]byte{be(4, 1<<32-1000), be(4, 5000)},
			want: func(f *weir.Flow) { f.Start -= 3601e9; f.End -= 3595e9 },
		},
		"uptime and the time of init": {
			version: ipx, fields: []spec{{id: 160, n: 8}, {id: 22, n: 4}, {id: 21, n: 4}},
			values: [][]byte{be(8, exportTime*1000-3600000), be(4, 3590000), be(4, 3599000)},
			want:   func(f *weir.Flow) { f.Start -= 10e9; f.End -= 1e9 },
		},
		"uptime that wrapped since the time of init": {
			version: ipx, fields: []spec{{id: 160, n: 8}, {id: 22, n: 4}, {id: 21, n: 4}},
			values: [][]byte{be(8, exportTime*1000-100*24*3600000), be(4, (100*24*3600000-10000)&0xffffffff), be(4, 100*24*3600000&0xffffffff)},
			want:   func(f *weir.Flow) { f.Start -= 10e9 },
		},
		"uptime without a time of init": {
			version: ipx, fields: []spec{{id: 22, n: 4}, {id: 21, n: 4}}, values: [][]byte{be(4, 1<<32-500), be(4, 500)},
			want: func(f *weir.Flow) { f.Start -= 1e9 },
		},
		"start and duration": {
			fields: []spec{{id: 152, n: 8}, {id: 161, n: 4}}, values: [][]byte{be(8, 1000000), be(4, 1500)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000e9, 1001.5e9 },
		},
		"end and duration in microseconds": {
			fields: []spec{{id: 153, n: 8}, {id: 162, n: 4}}, values: [][]byte{be(8, 1000000), be(4, 1500)},
			want: func(f *weir.Flow) { f.Start, f.End = 1000e9-1.5e6, 1000e9 },
		},
		"duration alone": {
			fields: []spec{{id: 161, n: 4}}, values: [][]byte{be(4, 1500)}, want: func(f *weir.Flow) { f.Start -= 1.5e9 },
		},
		"time of an event": {
			fields: []spec{{id: 323, n: 8}}, values: [][]byte{be(8, 1000001)}, want: func(f *weir.Flow) { f.Start, f.End = 1000_001e6, 1000_001e6 },
		},
		"time of an event as the end": {
			fields: []spec{{id: 323, n: 8}, {id: 152, n: 8}}, values: [][]byte{be(8, 1000001), be(8, 999000)},
			want: func(f *weir.Flow) { f.Start, f.End = 999e9, 1000_001e6 },
		},
		"start after the end": {
			fields: []spec{{id: 152, n: 8}, {id: 153, n: 8}}, values: [][]byte{be(8, 5000), be(8, 4000)},
			want: func(f *weir.Flow) { f.Start, f.End = 4e9, 4e9 },
		},
		"times that cannot be": {
			fields: []spec{{id: 152, n: 8}, {id: 153, n: 8}}, values: [][]byte{be(8, 1<<63), be(8, 1<<64-1)}, want: func(*weir.Flow) {},
		},

		"sampling interval": {
			fields: []spec{{id: 34, n: 4}}, values: [][]byte{be(4, 1000)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 1000, weir.SamplingRecord },
		},
		"sampling interval, short": {
			fields: []spec{{id: 34, n: 2}}, values: [][]byte{be(2, 1000)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 1000, weir.SamplingRecord },
		},
		"sampling interval of zero is none": {fields: []spec{{id: 34, n: 4}}, values: [][]byte{be(4, 0)}, want: func(*weir.Flow) {}},
		"sampling interval beyond 32 bits":  {fields: []spec{{id: 34, n: 8}}, values: [][]byte{be(8, 1<<40)}, want: func(*weir.Flow) {}},
		"random interval": {
			fields: []spec{{id: 50, n: 4}}, values: [][]byte{be(4, 512)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 512, weir.SamplingRecord },
		},
		"packets taken and skipped": {
			fields: []spec{{id: 305, n: 4}, {id: 306, n: 4}}, values: [][]byte{be(4, 1), be(4, 999)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 1000, weir.SamplingRecord },
		},
		"packets taken, skipped unknown": {fields: []spec{{id: 305, n: 4}}, values: [][]byte{be(4, 1)}, want: func(*weir.Flow) {}},
		"n out of N": {
			fields: []spec{{id: 309, n: 4}, {id: 310, n: 4}}, values: [][]byte{be(4, 2), be(4, 1001)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 501, weir.SamplingRecord },
		},
		"more than N out of N": {fields: []spec{{id: 309, n: 4}, {id: 310, n: 4}}, values: [][]byte{be(4, 2), be(4, 1)}, want: func(*weir.Flow) {}},
		"probability": {
			fields: []spec{{id: 311, n: 8}}, values: [][]byte{float64Bytes(0.001)},
			want: func(f *weir.Flow) { f.Sampling, f.SamplingSource = 1000, weir.SamplingRecord },
		},
		"probability above one": {fields: []spec{{id: 311, n: 8}}, values: [][]byte{float64Bytes(1.5)}, want: func(*weir.Flow) {}},
		"lengths that cannot be": {
			fields: []spec{{id: 1, n: 9}, {id: 12, n: 3}, {id: 27, n: 8}}, values: [][]byte{be(9, 5), be(3, 5), be(8, 5)}, want: func(*weir.Flow) {},
		},
	}
	for name, tt := range tests {
		for _, version := range []uint16{v9, ipx} {
			if tt.version != 0 && tt.version != version {
				continue
			}
			t.Run(name, func(t *testing.T) {
				d := netflow.New(netflow.DefaultConfig())
				got := mustDecode(t, d, head(version, 1).template(256, small(tt.fields...)...).set(256, smallRecord(tt.values...), smallRecord(tt.values...)))
				want := smallFlow(version, tt.want)
				if diff := cmp.Diff([]weir.Flow{want, want}, got, sameFlow); diff != "" {
					t.Error(diff)
				}
				if version != ipx {
					return
				}
				// The same with a field of variable length in front takes the
				// other path through the decoder.
				d = netflow.New(netflow.DefaultConfig())
				fields := append([]spec{{id: 82, n: anyN}}, small(tt.fields...)...)
				got = mustDecode(t, d, head(version, 1).template(256, fields...).
					set(256, long([]byte("eth0"), false), smallRecord(tt.values...), long(make([]byte, 300), true), smallRecord(tt.values...), []byte{0, 0, 0}))
				if diff := cmp.Diff([]weir.Flow{want, want}, got, sameFlow); diff != "" {
					t.Errorf("with a field of variable length:\n%s", diff)
				}
			})
		}
	}
}

// TestVariableIntegers checks that fields in use may be of variable length too.
func TestVariableIntegers(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	fields := []spec{{id: 2, n: anyN}, {id: 8, n: anyN}, {id: 12, n: anyN}, {id: 4, n: anyN}}
	one := func(packets, src []byte) []byte {
		return cat(long(packets, false), long(src, false), long(ip("203.0.113.9"), true), long([]byte{47}, false))
	}
	got := mustDecode(t, d, head(ipx, 1).template(256, fields...).set(256,
		one(be(2, 500), ip("198.51.100.7")), one(be(2, 500), ip("2001:db8::1")), one(nil, ip("198.51.100.7")), one(be(8, 1<<40), ip("198.51.100.7"))))
	if len(got) != 3 || got[0].Packets != 500 || got[1].Packets != 0 || got[2].Packets != 1<<40 || got[0].Src.Addr().String() != "198.51.100.7" || got[0].Proto != 47 {
		t.Errorf("%+v", got)
	}
	if s := d.Stats(); s.RecordsRejected != 1 {
		t.Errorf("an address of a wrong length: %d rejected", s.RecordsRejected)
	}
}

// TestMixedFamilies: templates with fields for both families.
func TestMixedFamilies(t *testing.T) {
	fields := []spec{{id: 8, n: 4}, {id: 12, n: 4}, {id: 27, n: 16}, {id: 28, n: 16}}
	for _, tt := range []struct{ s4, d4, s6, d6, src, dst string }{
		{"198.51.100.7", "203.0.113.9", "::", "::", "198.51.100.7", "203.0.113.9"},
		{"0.0.0.0", "0.0.0.0", "2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::2"},
		{"0.0.0.0", "0.0.0.0", "::", "::", "0.0.0.0", "0.0.0.0"},
		{"0.0.0.0", "0.0.0.0", "::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1", "192.0.2.2"},
		{"198.51.100.7", "203.0.113.9", "2001:db8::1", "2001:db8::2", "198.51.100.7", "203.0.113.9"},
	} {
		d := netflow.New(netflow.DefaultConfig())
		got := mustDecode(t, d, head(ipx, 1).template(256, fields...).set(256, ip(tt.s4), ip(tt.d4), netip.MustParseAddr(tt.s6).AsSlice(), netip.MustParseAddr(tt.d6).AsSlice()))
		if len(got) != 1 || got[0].Src.Addr().String() != tt.src || got[0].Dst.Addr().String() != tt.dst {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// TestICMP: type and code in their elements, or in the destination port.
func TestICMP(t *testing.T) {
	ends := cat(ip("198.51.100.7"), ip("203.0.113.9"))
	base := []spec{{id: 8, n: 4}, {id: 12, n: 4}, {id: 4, n: 1}}
	ports := append(base, spec{id: 7, n: 2}, spec{id: 11, n: 2})
	for name, tt := range map[string]struct {
		fields []spec
		values []byte
		port   uint16
		known  bool
	}{
		"element 32":                 {append(base, spec{id: 32, n: 2}), cat([]byte{1}, be(2, 0x0303)), 0x0303, true},
		"element 32 of UDP":          {append(base, spec{id: 32, n: 2}), cat([]byte{17}, be(2, 0x0303)), 0, false},
		"elements 176 and 177":       {append(base, spec{id: 176, n: 1}, spec{id: 177, n: 1}), []byte{1, 8, 2}, 0x0802, true},
		"element 176 alone":          {append(base, spec{id: 176, n: 1}), []byte{1, 8}, 0x0800, true},
		"element 139":                {append(base, spec{id: 139, n: 2}), cat([]byte{58}, be(2, 0x8000)), 0x8000, true},
		"elements 178 and 179":       {append(base, spec{id: 178, n: 1}, spec{id: 179, n: 1}), []byte{58, 135, 0}, 0x8700, true},
		"ports":                      {ports, cat([]byte{1}, be(2, 99), be(2, 0x0800)), 0x0800, true},
		"ports of echo reply":        {ports, cat([]byte{1}, be(2, 0), be(2, 0)), 0, true},
		"element 32 before ports":    {append(ports, spec{id: 32, n: 2}), cat([]byte{1}, be(2, 99), be(2, 77), be(2, 0x0800)), 0x0800, true},
		"element 32, ports of TCP":   {append(ports, spec{id: 32, n: 2}), cat([]byte{6}, be(2, 99), be(2, 77), be(2, 0)), 77, true},
		"no ports and no elements":   {base, []byte{1}, 0, false},
		"a protocol without ports":   {ports, cat([]byte{47}, be(2, 99), be(2, 77)), 0, false},
		"TCP without ports":          {ports, cat([]byte{6}, be(2, 0), be(2, 0)), 0, false},
		"one of both ports":          {append(base, spec{id: 11, n: 2}), cat([]byte{6}, be(2, 22)), 0, false},
		"ports of UDP (IE 180, 181)": {append(base, spec{id: 180, n: 2}, spec{id: 181, n: 2}), cat([]byte{17}, be(2, 99), be(2, 53)), 53, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			got := mustDecode(t, d, head(v9, 1).template(256, tt.fields...).set(256, ends, tt.values))
			if len(got) != 1 || got[0].Dst.Port() != tt.port || got[0].Known.Has(weir.HasPorts) != tt.known {
				t.Fatalf("%+v", got)
			}
			if got[0].Proto == 1 && got[0].Src.Port() != 0 {
				t.Errorf("source port %d of ICMP", got[0].Src.Port())
			}
		})
	}
}

// TestFrames: records that carry a piece of the packet.
func TestFrames(t *testing.T) {
	header := cat([]byte{0x45, 0}, be(2, 1040), be(4, 0), []byte{64, 6, 0, 0}, ip("198.51.100.7"), ip("203.0.113.9"),
		be(2, 40000), be(2, 22), be(8, 0), []byte{0x50, 2}, be(6, 0))
	frame := cat(be(12, 0), be(2, 0x8100), be(2, 5), be(2, 0x0800), header)
	arp := cat(be(12, 0), be(2, 0x0806), make([]byte, len(frame)-14))
	known := weir.HasPorts | weir.HasFlags | weir.HasPackets | weir.HasBytes
	want := smallFlow(ipx, func(f *weir.Flow) {
		f.Known, f.TCPFlags, f.Packets, f.Bytes, f.VLAN, f.InputIf = known, 2, 1, 1040, 5, 3
	})
	for name, tt := range map[string]struct {
		fields []spec
		body   []byte
		want   weir.Flow
	}{
		"variable": {
			[]spec{{id: 10, n: 4}, {id: 315, n: anyN}},
			cat(be(4, 3), long(frame, false), be(4, 3), long(arp, true), be(4, 3), long(frame, true)), want,
		},
		"fixed": {
			[]spec{{id: 315, n: uint16(len(frame))}, {id: 10, n: 4}}, cat(frame, be(4, 3), arp, be(4, 3), frame, be(4, 3)), want,
		},
		"with counters": {
			[]spec{{id: 10, n: 4}, {id: 1, n: 4}, {id: 2, n: 4}, {id: 104, n: uint16(len(frame))}},
			cat(be(4, 3), be(4, 900), be(4, 9), frame, be(4, 3), be(4, 900), be(4, 9), arp, be(4, 3), be(4, 900), be(4, 9), frame),
			smallFlow(ipx, func(f *weir.Flow) { *f = want; f.Packets, f.Bytes = 9, 900 }),
		},
		"from the IP header on": {
			[]spec{{id: 10, n: 4}, {id: 58, n: 2}, {id: 313, n: anyN}},
			cat(be(4, 3), be(2, 5), long(header, false), be(4, 3), be(2, 5), long(nil, false), be(4, 3), be(2, 5), long(header, false)), want,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			got := mustDecode(t, d, head(ipx, 1).template(256, tt.fields...).set(256, tt.body))
			if diff := cmp.Diff([]weir.Flow{tt.want, tt.want}, got, sameFlow); diff != "" {
				t.Error(diff)
			}
			if s := d.Stats(); s.RecordsWithoutAddresses != 1 {
				t.Errorf("%d records without addresses", s.RecordsWithoutAddresses)
			}
		})
	}
	// Fields for addresses win over the frame.
	d := netflow.New(netflow.DefaultConfig())
	got := mustDecode(t, d, head(ipx, 1).template(256, small(spec{id: 315, n: anyN})...).set(256, smallRecord(long(arp, false))))
	if diff := cmp.Diff([]weir.Flow{smallFlow(ipx, func(*weir.Flow) {})}, got, sameFlow); diff != "" {
		t.Error(diff)
	}
}

func TestVersion5(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	b := message5(1000, exportTime, 5, 0x0102, 1<<14|100,
		record5("198.51.100.7", "203.0.113.9", 40000, 22, 6, 0x12, 3, 180, 1<<32-500, 900),
		record5("198.51.100.7", "203.0.113.9", 7, 0x0800, 1, 0, 1, 84, 0, 0))
	got, err := d.Decode(netip.MustParseAddr("::ffff:192.0.2.1"), 1, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	known := weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts
	one := smallFlow(v9, func(f *weir.Flow) {
		f.Format, f.Domain, f.Known, f.InputIf, f.OutputIf = weir.FormatNetFlow5, 0x0102, known, 3, 4
		f.Sampling, f.SamplingSource = 100, weir.SamplingHeader
		f.Packets, f.Bytes, f.TCPFlags = 3, 180, 0x12
		f.Start -= 1.5e9
		f.End -= 0.1e9
	})
	two := one
	two.Packets, two.Bytes, two.TCPFlags, two.Proto = 1, 84, 0, 1
	two.Start, two.End = exportTime*1e9, exportTime*1e9
	two.Src, two.Dst = netip.AddrPortFrom(two.Src.Addr(), 0), netip.AddrPortFrom(two.Dst.Addr(), 0x0800)
	if diff := cmp.Diff([]weir.Flow{one, two}, got, sameFlow); diff != "" {
		t.Error(diff)
	}
}

func TestNoTimeInHeader(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	m := head(ipx, 1)
	m.export = 0
	got, err := d.Decode(exporter, 12345, m.template(256, small()...).set(256, smallRecord()).bytes(), nil)
	if err != nil || len(got) != 1 || got[0].Start != 12345 || got[0].End != 12345 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMessageLength(t *testing.T) {
	m := head(ipx, 1).template(256, small()...).bytes()
	if n, err := netflow.MessageLength(append(m, 1, 2, 3)); err != nil || n != len(m) {
		t.Errorf("%d, %v; want %d", n, err, len(m))
	}
	for _, b := range [][]byte{nil, {0, 10, 0}, {0, 9, 0, 20}, {0, 10, 0, 15}} {
		if n, err := netflow.MessageLength(b); err == nil {
			t.Errorf("% x: %d", b, n)
		}
	}
}

func TestExportTime(t *testing.T) {
	five := message5(1, exportTime, 0, 0, 0)
	copy(five[12:], be(4, 500))
	for _, tt := range []struct {
		b    []byte
		want int64
	}{
		{five, exportTime*1e9 + 500}, {head(v9, 1).bytes(), exportTime * 1e9}, {head(ipx, 1).bytes(), exportTime * 1e9},
		{nil, 0}, {five[:20], 0}, {head(v9, 1).bytes()[:19], 0}, {head(ipx, 1).bytes()[:15], 0}, {[]byte{0, 1}, 0},
	} {
		got, ok := netflow.ExportTime(tt.b)
		if got != tt.want || ok != (tt.want != 0) {
			t.Errorf("% x: %d, %v; want %d", tt.b, got, ok, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := netflow.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*netflow.Config){
		func(c *netflow.Config) { c.MaxExporters = 0 },
		func(c *netflow.Config) { c.MaxTemplates = 0 },
		func(c *netflow.Config) { c.MaxTemplateMemory = 100 },
		func(c *netflow.Config) { c.HoldBytes = -1 },
		func(c *netflow.Config) { c.HoldFor = -time.Second },
	} {
		c := netflow.DefaultConfig()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}

// TestMalformed checks that what stands before and beside a fault is kept, and
// that the fault is named.
func TestMalformed(t *testing.T) {
	good := head(ipx, 1).template(256, small()...).set(256, smallRecord())
	raw := func(version uint16, sets ...[]byte) []byte {
		m := head(version, 1)
		m.body = cat(sets...)
		return m.bytes()
	}
	nine := head(v9, 1).template(256, small()...).set(256, smallRecord())
	manyFields := func(n int, length uint16) []spec {
		out := small()
		for range n {
			out = append(out, spec{id: 400, n: length})
		}
		return out
	}
	cutLength := cat(good.bytes(), be(4, 0))
	cutLength[3] += 9
	trailing := cat(good.bytes(), []byte{1})
	tests := map[string]struct {
		b      []byte
		flows  int
		reason netflow.Reason
	}{
		"empty":                       {nil, 0, netflow.ReasonShort},
		"version 7":                   {be(20, 7<<56), 0, netflow.ReasonVersion},
		"cut header of version 9":     {nine.bytes()[:19], 0, netflow.ReasonShort},
		"cut header of IPFIX":         {good.bytes()[:15], 0, netflow.ReasonShort},
		"cut header of version 5":     {message5(0, 1, 0, 0, 0)[:23], 0, netflow.ReasonShort},
		"cut message":                 {cutLength, 1, netflow.ReasonLength},
		"message length of nothing":   {cat(be(2, 10), be(2, 3), be(12, 0)), 0, netflow.ReasonLength},
		"bytes after the message":     {trailing, 1, netflow.ReasonTrailing},
		"zeros after the message":     {cat(good.bytes(), be(8, 0)), 1, ""},
		"zeros after the sets":        {raw(v9, nine.body, be(40, 0)), 1, ""},
		"set length of zero":          {raw(v9, nine.body, be(2, 256), be(2, 0), be(8, 1)), 1, netflow.ReasonSetLength},
		"set length beyond the end":   {raw(ipx, good.body, be(2, 256), be(2, 100), be(8, 1)), 1, netflow.ReasonSetLength},
		"three bytes after the sets":  {raw(ipx, good.body, []byte{1, 2, 3}), 1, netflow.ReasonSetLength},
		"reserved set id":             {raw(ipx, be(2, 5), be(2, 8), be(4, 0), good.body), 1, netflow.ReasonSetID},
		"set id of version 9 (IPFIX)": {raw(ipx, be(2, 0), be(2, 8), be(4, 1), good.body), 1, netflow.ReasonSetID},
		"template id below 256":       {head(ipx, 1).template(255, small()...).template(256, small()...).set(256, smallRecord()).bytes(), 1, netflow.ReasonTemplateID},
		"template cut":                {raw(ipx, good.body, be(2, 2), be(2, 12), be(2, 257), be(2, 9), be(2, 8), be(2, 4)), 1, netflow.ReasonTemplateCut},
		"template cut in the pen":     {raw(ipx, good.body, be(2, 2), be(2, 12), be(2, 257), be(2, 1), be(2, 0x8001), be(2, 4)), 1, netflow.ReasonTemplateCut},
		"template cut (version 9)":    {raw(v9, nine.body, be(2, 0), be(2, 12), be(2, 257), be(2, 65535), be(2, 8), be(2, 4)), 1, netflow.ReasonTemplateCut},
		"template of nothing":         {raw(v9, nine.body, be(2, 0), be(2, 8), be(2, 257), be(2, 0)), 1, netflow.ReasonTemplateEmpty},
		"template of zero length":     {head(ipx, 1).template(257, spec{id: 8, n: 0}, spec{id: 12, n: 0}).template(256, small()...).set(256, smallRecord()).bytes(), 1, netflow.ReasonTemplateEmpty},
		"template longer than a set":  {head(ipx, 1).template(257, manyFields(2, 60000)...).template(256, small()...).set(256, smallRecord()).bytes(), 1, netflow.ReasonTemplateLength},
		"options without scope":       {head(ipx, 1).options(257, 0, spec{id: 34, n: 4}).template(256, small()...).set(256, smallRecord()).bytes(), 1, netflow.ReasonTemplateScope},
		"more scopes than fields":     {head(ipx, 1).options(257, 3, spec{id: 34, n: 4}).template(256, small()...).set(256, smallRecord()).bytes(), 1, netflow.ReasonTemplateScope},
		"withdrawal of a reserved id": {raw(ipx, good.body, be(2, 2), be(2, 8), be(2, 9), be(2, 0)), 1, netflow.ReasonTemplateID},
		"record cut":                  {raw(ipx, good.body, be(2, 256), be(2, 8), be(4, 1)), 1, netflow.ReasonField},
		"variable field beyond the set": {
			head(ipx, 1).template(256, small(spec{id: 82, n: anyN})...).set(256, smallRecord(long([]byte("a"), false)), smallRecord([]byte{200, 1})).bytes(), 1, netflow.ReasonField,
		},
		"variable field, length cut": {
			head(ipx, 1).template(256, small(spec{id: 82, n: anyN})...).set(256, smallRecord([]byte{255, 1})).bytes(), 0, netflow.ReasonField,
		},
		"variable field, fixed one beyond the set": {
			head(ipx, 1).template(256, append([]spec{{id: 82, n: anyN}}, small()...)...).set(256, long(make([]byte, 10), false), make([]byte, 12)).bytes(), 0, netflow.ReasonField,
		},
		"version 5, count beyond the datagram": {
			cat(be(2, 5), be(2, 30), be(20, 0), record5("198.51.100.7", "203.0.113.9", 1, 2, 6, 0, 1, 1, 1, 1), make([]byte, 47)), 1, netflow.ReasonCount,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			got, err := d.Decode(exporter, 1, tt.b, nil)
			if len(got) != tt.flows {
				t.Errorf("%d flows, want %d", len(got), tt.flows)
			}
			s := d.Stats()
			if tt.reason == "" {
				if err != nil || s.Malformed != 0 {
					t.Errorf("%v, %d malformed", err, s.Malformed)
				}
				return
			}
			var e *netflow.Error
			if !errors.As(err, &e) || e.Reason != tt.reason || e.Exporter != exporter {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
			if s.Malformed+s.UnknownVersion != 1 {
				t.Errorf("%d malformed, %d unknown", s.Malformed, s.UnknownVersion)
			}
		})
	}
}

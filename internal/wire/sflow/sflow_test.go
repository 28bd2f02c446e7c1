package sflow_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/sflow"
)

// The encoder of the tests.

func u32(vs ...uint32) []byte {
	var b []byte
	for _, v := range vs {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func u16(vs ...uint16) []byte {
	var b []byte
	for _, v := range vs {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// opaque spells a length and padded bytes after it.
func opaque(b []byte) []byte {
	out := cat(u32(uint32(len(b))), b)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

func part(format uint32, body ...[]byte) []byte {
	b := cat(body...)
	return cat(u32(format, uint32(len(b))), b)
}

func message(agent string, sub, seq, uptime uint32, samples ...[]byte) []byte {
	a := ip(agent)
	kind := uint32(1)
	if len(a) == 16 {
		kind = 2
	}
	return cat(u32(5, kind), a, u32(sub, seq, uptime, uint32(len(samples))), cat(samples...))
}

func flowSample(rate, drops, in, out uint32, records ...[]byte) []byte {
	return part(1, u32(1, 3, rate, 1000, drops, in, out, uint32(len(records))), cat(records...))
}

func rawHeader(protocol, frame, stripped uint32, header []byte) []byte {
	return part(1, u32(protocol, frame, stripped), opaque(header))
}

// tcp4 spells the headers of a TCP segment.
func tcp4(length uint16, flags byte) []byte {
	return cat([]byte{0x45, 0}, u16(length, 1, 0), []byte{64, 6, 0, 0}, ip("198.51.100.7"), ip("203.0.113.9"),
		u16(40000, 22), u32(1, 2), []byte{0x50, flags}, u16(100, 0, 0))
}

func ethernet(etherType uint16, body []byte) []byte {
	return cat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, u16(etherType), body)
}

var base = weir.Flow{
	Start: 7, End: 7,
	Src: netip.MustParseAddrPort("198.51.100.7:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:22"),
	Packets: 1, Bytes: 1040, Sampling: 1000, SamplingSource: weir.SamplingRecord,
	InputIf: 3, OutputIf: 4, Domain: 9, Exporter: netip.MustParseAddr("192.0.2.7"), Proto: 6, TCPFlags: 0x12,
	Known:  weir.HasPackets | weir.HasBytes | weir.HasPorts | weir.HasFlags,
	Format: weir.FormatSFlow,
}

func with(change func(*weir.Flow)) []weir.Flow {
	f := base
	change(&f)
	return []weir.Flow{f}
}

func TestSamples(t *testing.T) {
	frame := ethernet(0x0800, tcp4(1040, 0x12))
	ipv4 := func(proto, sport, dport, flags uint32) []byte {
		return part(3, u32(1040, proto), ip("198.51.100.7"), ip("203.0.113.9"), u32(sport, dport, flags, 0))
	}
	tests := map[string]struct {
		sample []byte
		want   []weir.Flow
	}{
		"raw header": {flowSample(1000, 0, 3, 4, rawHeader(1, 1058, 4, frame)), []weir.Flow{base}},
		"expanded": {
			part(3, u32(1, 0, 3, 1000, 1, 0, 0, 3, 0, 4, 1), rawHeader(1, 1058, 4, frame)),
			[]weir.Flow{base},
		},
		"expanded, dropped by an access list": {
			part(3, u32(1, 0, 3, 1000, 1, 0, 0, 3, 1, 258, 1), rawHeader(1, 1058, 4, frame)),
			with(func(f *weir.Flow) { f.OutputIf, f.Action = 0, weir.ActionDeny }),
		},
		"dropped for lack of room": {
			flowSample(1000, 0, 3, 1<<30|259, rawHeader(1, 1058, 4, frame)),
			with(func(f *weir.Flow) { f.OutputIf = 0 }),
		},
		"several outputs, from the agent itself": {
			flowSample(1000, 0, 0x3fffffff, 2<<30|5, rawHeader(1, 1058, 4, frame)),
			with(func(f *weir.Flow) { f.InputIf, f.OutputIf = 0, 0 }),
		},
		"rate unknown": {
			flowSample(0, 0, 3, 4, rawHeader(1, 1058, 4, frame)),
			with(func(f *weir.Flow) { f.Sampling, f.SamplingSource = 0, weir.SamplingUnknown }),
		},
		"vlan in the frame wins": {
			flowSample(1000, 0, 3, 4, part(1001, u32(10, 0, 20, 0)),
				rawHeader(1, 1062, 4, ethernet(0x8100, cat(u16(5, 0x0800), tcp4(1040, 0x12))))),
			with(func(f *weir.Flow) { f.VLAN = 5 }),
		},
		"vlan of the switch": {
			flowSample(1000, 0, 3, 4, rawHeader(1, 1058, 4, frame), part(1001, u32(10, 0, 20, 0))),
			with(func(f *weir.Flow) { f.VLAN = 10 }),
		},
		"no length in the header": {
			flowSample(1000, 0, 3, 4, rawHeader(1, 9018, 4, ethernet(0x0800, tcp4(0, 0x12)))),
			with(func(f *weir.Flow) { f.Bytes = 9000 }),
		},
		"ipv4 without link layer": {flowSample(1000, 0, 3, 4, rawHeader(11, 1040, 0, tcp4(1040, 0x12))), []weir.Flow{base}},
		"ppp":                     {flowSample(1000, 0, 3, 4, rawHeader(7, 1044, 0, cat([]byte{0xff, 3, 0, 0x21}, tcp4(1040, 0x12)))), []weir.Flow{base}},
		"mpls":                    {flowSample(1000, 0, 3, 4, rawHeader(13, 1044, 0, cat(u32(16<<12|1<<8|64), tcp4(1040, 0x12)))), []weir.Flow{base}},
		"sampled ipv4":            {flowSample(1000, 0, 3, 4, ipv4(6, 40000, 22, 0x12)), []weir.Flow{base}},
		"sampled ipv4, then the header": {
			flowSample(1000, 0, 3, 4, ipv4(6, 1, 2, 0), rawHeader(1, 1058, 4, frame)), []weir.Flow{base},
		},
		"header, then sampled ipv4": {
			flowSample(1000, 0, 3, 4, rawHeader(1, 1058, 4, frame), ipv4(6, 1, 2, 0)), []weir.Flow{base},
		},
		"unreadable header, sampled ipv4": {
			flowSample(1000, 0, 3, 4, rawHeader(4, 1058, 4, frame), ipv4(6, 40000, 22, 0x12)), []weir.Flow{base},
		},
		"sampled ipv4 fragment": {
			flowSample(1000, 0, 3, 4, ipv4(17, 0, 0, 0)),
			with(func(f *weir.Flow) {
				f.Src, f.Dst = netip.AddrPortFrom(f.Src.Addr(), 0), netip.AddrPortFrom(f.Dst.Addr(), 0)
				f.Proto, f.TCPFlags, f.Known = 17, 0, weir.HasPackets|weir.HasBytes
			}),
		},
		"sampled ipv6": {
			flowSample(1000, 0, 3, 4, part(4, u32(1040, 17), ip("2001:db8::1"), ip("2001:db8::2"), u32(5353, 53, 0, 0))),
			with(func(f *weir.Flow) {
				f.Src, f.Dst = netip.MustParseAddrPort("[2001:db8::1]:5353"), netip.MustParseAddrPort("[2001:db8::2]:53")
				f.Proto, f.TCPFlags, f.Known = 17, 0, weir.HasPackets|weir.HasBytes|weir.HasPorts
			}),
		},
		"not ip":       {flowSample(1000, 0, 3, 4, rawHeader(1, 64, 4, ethernet(0x0806, make([]byte, 46)))), nil},
		"no record":    {flowSample(1000, 0, 3, 4), nil},
		"ethernet":     {flowSample(1000, 0, 3, 4, part(2, make([]byte, 24))), nil},
		"counters":     {part(2, make([]byte, 12)), nil},
		"of a vendor":  {part(4413<<12|1, make([]byte, 12)), nil},
		"unknown kind": {part(5, make([]byte, 12)), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := sflow.New(sflow.DefaultConfig())
			dirty := []weir.Flow{{RevPackets: 1, RevBytes: 2, RevTCPFlags: 3, Initiator: 1, Action: 1, VLAN: 9, TCPFlags: 9, Known: 255, Sampling: 9, SamplingSource: 2}}
			got, err := d.Decode(sender, 7, message("192.0.2.7", 9, 1, 1000, tt.sample), dirty[:0])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			s := d.Stats()
			if n := s.CounterSamples + s.OtherSamples + s.SamplesWithoutAddresses + s.Flows; n != 1 {
				t.Errorf("the sample is counted %d times: %+v", n, s)
			}
		})
	}
}

func TestSampling(t *testing.T) {
	sample := func(rate uint32) []byte {
		return message("192.0.2.7", 0, 1, 1, flowSample(rate, 0, 3, 4, rawHeader(11, 40, 0, tcp4(40, 2))))
	}
	for _, tt := range []struct {
		rate, configured uint32
		force            bool
		want             uint32
		source           weir.SamplingSource
	}{
		{1000, 0, false, 1000, weir.SamplingRecord},
		{1000, 5, false, 1000, weir.SamplingRecord},
		{1000, 5, true, 5, weir.SamplingConfig},
		{0, 5, false, 5, weir.SamplingConfig},
		{0, 0, true, 0, weir.SamplingUnknown},
		{1000, 0, true, 1000, weir.SamplingRecord},
	} {
		c := sflow.DefaultConfig()
		c.Sampling = func(a netip.Addr) (uint32, bool) {
			if a != netip.MustParseAddr("192.0.2.7") {
				t.Errorf("asked for %v", a)
			}
			return tt.configured, tt.force
		}
		got, err := sflow.New(c).Decode(sender, 7, sample(tt.rate), nil)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d flows, %v", len(got), err)
		}
		if got[0].Sampling != tt.want || got[0].SamplingSource != tt.source {
			t.Errorf("%+v: got %d from %v", tt, got[0].Sampling, got[0].SamplingSource)
		}
	}
}

func TestAgentAddress(t *testing.T) {
	s := flowSample(1, 0, 3, 4, rawHeader(11, 40, 0, tcp4(40, 2)))
	for agent, want := range map[string]netip.Addr{
		"192.0.2.7":        netip.MustParseAddr("192.0.2.7"),
		"2001:db8::7":      netip.MustParseAddr("2001:db8::7"),
		"::ffff:192.0.2.7": netip.MustParseAddr("192.0.2.7"),
		"0.0.0.0":          sender,
		"::":               sender,
	} {
		got, err := sflow.New(sflow.DefaultConfig()).Decode(sender, 7, message(agent, 0, 1, 1, s), nil)
		if err != nil || len(got) != 1 || got[0].Exporter != want {
			t.Errorf("agent %s: %v, %v", agent, got, err)
		}
	}
	got, err := sflow.New(sflow.DefaultConfig()).Decode(sender, 7, cat(u32(5, 0, 0, 1, 1, 1), s), nil)
	if err != nil || len(got) != 1 || got[0].Exporter != sender {
		t.Errorf("no agent: %v, %v", got, err)
	}
}

// TestMalformed checks that what stands before a fault is kept, and the fault
// is named.
func TestMalformed(t *testing.T) {
	good := flowSample(1, 0, 3, 4, rawHeader(11, 40, 0, tcp4(40, 2)))
	head := func(n uint32) []byte { return cat(u32(5, 1), ip("192.0.2.7"), u32(0, 1, 1, n)) }
	cut := good[:len(good)-4]
	for name, tt := range map[string]struct {
		b      []byte
		flows  int
		reason sflow.Reason
	}{
		"empty":                 {nil, 0, sflow.ReasonShort},
		"version 4":             {u32(4, 1, 0, 0, 0, 0, 0), 0, sflow.ReasonVersion},
		"address type":          {u32(5, 3, 0, 0, 0, 0, 0), 0, sflow.ReasonAddress},
		"cut in the header":     {head(0)[:20], 0, sflow.ReasonShort},
		"fewer samples":         {cat(head(2), good), 1, sflow.ReasonCount},
		"huge count":            {cat(head(0xffffffff), good), 1, sflow.ReasonCount},
		"cut sample":            {cat(head(2), good, cut), 1, sflow.ReasonSample},
		"huge sample":           {cat(head(2), good, u32(1, 0xffffffff)), 1, sflow.ReasonSample},
		"sample without header": {cat(head(2), part(1, make([]byte, 31)), good), 1, sflow.ReasonSample},
		"huge number of records": {
			cat(head(2), part(1, u32(1, 3, 1, 1, 0, 0, 0, 0xffffffff), rawHeader(11, 40, 0, tcp4(40, 2))), good), 2, sflow.ReasonRecord,
		},
		"huge record":         {cat(head(2), flowSample(1, 0, 3, 4, u32(1, 0xfffffff0)), good), 1, sflow.ReasonRecord},
		"huge header":         {cat(head(2), flowSample(1, 0, 3, 4, part(1, u32(11, 40, 0, 0xfffffff0))), good), 1, sflow.ReasonRecord},
		"short sampled ipv4":  {cat(head(2), flowSample(1, 0, 3, 4, part(3, u32(1, 2, 3))), good), 1, sflow.ReasonRecord},
		"short sampled ipv6":  {cat(head(2), flowSample(1, 0, 3, 4, part(4, u32(1, 2, 3))), good), 1, sflow.ReasonRecord},
		"short header record": {cat(head(2), flowSample(1, 0, 3, 4, part(1, u32(11))), good), 1, sflow.ReasonRecord},
	} {
		t.Run(name, func(t *testing.T) {
			d := sflow.New(sflow.DefaultConfig())
			got, err := d.Decode(sender, 7, tt.b, nil)
			var e *sflow.Error
			if !errors.As(err, &e) || e.Reason != tt.reason {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
			if len(got) != tt.flows {
				t.Errorf("%d flows, want %d", len(got), tt.flows)
			}
			if s := d.Stats(); s.Malformed+s.UnknownVersion != 1 {
				t.Errorf("counted %d and %d", s.Malformed, s.UnknownVersion)
			}
		})
	}
}

func TestSequence(t *testing.T) {
	for name, tt := range map[string]struct {
		seqs                 [][2]uint32 // number and uptime
		lost, late, restarts uint64
	}{
		"in order":       {[][2]uint32{{5, 1}, {6, 2}, {7, 3}}, 0, 0, 0},
		"wrap":           {[][2]uint32{{0xffffffff, 1}, {0, 2}}, 0, 0, 0},
		"lost":           {[][2]uint32{{5, 1}, {9, 2}}, 3, 0, 0},
		"reordered":      {[][2]uint32{{5, 1}, {7, 3}, {6, 2}, {8, 4}}, 0, 1, 0},
		"restart":        {[][2]uint32{{5000, 9000}, {1, 1}, {2, 2}}, 0, 0, 1},
		"early restart":  {[][2]uint32{{5, 9000}, {1, 1}, {2, 2}}, 0, 0, 1},
		"far ahead":      {[][2]uint32{{5, 1}, {1 << 20, 2}}, 0, 0, 1},
		"uptime wrapped": {[][2]uint32{{5, 0xfffffff0}, {6, 10}, {7, 20}}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := sflow.New(sflow.DefaultConfig())
			for _, s := range tt.seqs {
				if _, err := d.Decode(sender, 7, message("192.0.2.7", 9, s[0], s[1]), nil); err != nil {
					t.Fatal(err)
				}
			}
			s := d.Stats()
			if s.SequenceLost != tt.lost || s.SequenceLate != tt.late || s.Restarts != tt.restarts {
				t.Errorf("lost %d, late %d, restarts %d; want %d, %d, %d", s.SequenceLost, s.SequenceLate, s.Restarts, tt.lost, tt.late, tt.restarts)
			}
			e := d.Exporters()
			if len(e) != 1 || e[0].SequenceLost != tt.lost || e[0].Restarts != tt.restarts || e[0].Domain != 9 || e[0].LastSeen != 7 {
				t.Errorf("exporters %+v", e)
			}
		})
	}
}

func TestDropsAndBounds(t *testing.T) {
	c := sflow.DefaultConfig()
	c.MaxAgents, c.MaxSources = 2, 1
	d := sflow.New(c)
	decode := func(agent string, seq, drops uint32) {
		t.Helper()
		if _, err := d.Decode(sender, 7, message(agent, 0, seq, seq, flowSample(1, drops, 3, 4)), nil); err != nil {
			t.Fatal(err)
		}
	}
	decode("192.0.2.7", 1, 100)
	decode("192.0.2.7", 2, 100)
	decode("192.0.2.7", 3, 130)
	decode("192.0.2.7", 4, 5) // the counter started again
	decode("192.0.2.7", 5, 6)
	if s := d.Stats(); s.Dropped != 31 {
		t.Errorf("dropped %d, want 31", s.Dropped)
	}
	decode("192.0.2.8", 1, 1) // no room for another source
	decode("192.0.2.8", 2, 9)
	if s := d.Stats(); s.Dropped != 31 || s.Agents != 2 {
		t.Errorf("%+v", s)
	}
	decode("192.0.2.9", 1, 1) // the oldest agent goes, and its source
	decode("192.0.2.9", 2, 3)
	if s := d.Stats(); s.Dropped != 33 || s.Agents != 2 || s.AgentsDropped != 1 {
		t.Errorf("%+v", s)
	}
}

func TestConfig(t *testing.T) {
	if err := sflow.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []sflow.Config{{MaxAgents: 0, MaxSources: 1}, {MaxAgents: 1, MaxSources: 0}} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}

func FuzzSFlow(f *testing.F) {
	frame := ethernet(0x0800, tcp4(1040, 0x12))
	f.Add(message("192.0.2.7", 9, 1, 1000, flowSample(1000, 1, 3, 4, rawHeader(1, 1058, 4, frame), part(1001, u32(10, 0, 20, 0)))))
	f.Add(message("2001:db8::7", 9, 1, 1000, part(3, u32(1, 0, 3, 1000, 1, 0, 0, 3, 1, 258, 1), rawHeader(1, 1058, 4, frame)), part(2, make([]byte, 8))))
	f.Add(message("192.0.2.7", 9, 1, 1000, flowSample(1, 0, 0, 0, part(3, u32(40, 6, 1, 2, 3, 4, 5, 6)), part(4, make([]byte, 56)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := sflow.DefaultConfig()
		c.MaxAgents, c.MaxSources = 2, 2
		d := sflow.New(c)
		var before []weir.Flow
		for round := range 2 {
			// The second time into flows in which everything must be overwritten.
			dirty := make([]weir.Flow, round*8)
			for i := range dirty {
				p := netip.MustParseAddrPort("[2001:db8::9]:9")
				dirty[i] = weir.Flow{
					Start: 9, End: 9, Src: p, Dst: p, Packets: 9, Bytes: 9, RevPackets: 9, RevBytes: 9, Sampling: 9, InputIf: 9, OutputIf: 9, Domain: 9,
					Exporter: p.Addr(), VLAN: 9, TCPFlags: 9, RevTCPFlags: 9, Proto: 9, Known: 255, SamplingSource: 5, Action: 2, Initiator: 2, Format: 9,
				}
			}
			flows, err := d.Decode(sender, 7, b, dirty[:0])
			if round == 1 && !slices.Equal(before, flows) {
				t.Fatalf("%+v, before %+v", flows, before)
			}
			before = flows
			var e *sflow.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("error of type %T", err)
			}
			if len(flows) > len(b)/32 {
				t.Fatalf("%d flows in %d bytes", len(flows), len(b))
			}
			for i := range flows {
				fl := &flows[i]
				if !fl.Src.Addr().IsValid() || !fl.Dst.Addr().IsValid() || fl.Src.Addr().Is4In6() || fl.Packets != 1 || fl.Start != 7 || !fl.Exporter.IsValid() {
					t.Fatalf("flow %+v", *fl)
				}
				if !fl.Known.Has(weir.HasPorts) && (fl.Src.Port() != 0 || fl.Dst.Port() != 0) {
					t.Fatalf("ports that are not known: %+v", *fl)
				}
			}
			if s := d.Stats(); s.Agents > 2 {
				t.Fatalf("%d agents", s.Agents)
			}
		}
	})
}

// BenchmarkSFlow decodes datagrams of six samples as the reference workload has
// them: a raw header of 128 bytes and an extended switch record.
func BenchmarkSFlow(b *testing.B) {
	var samples [][]byte
	for i := range 6 {
		header := ethernet(0x0800, tcp4(1040, 0x18))
		for len(header) < 128 {
			header = append(header, byte(len(header)))
		}
		samples = append(samples, flowSample(1000, 0, uint32(1+i), 4, rawHeader(1, 1054, 4, header), part(1001, u32(10, 0, 20, 0))))
	}
	var stream [][]byte
	for i := range 256 {
		stream = append(stream, message("10.9.9.1", 0, uint32(i), uint32(i), samples...))
	}
	d := sflow.New(sflow.DefaultConfig())
	var flows []weir.Flow
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		var err error
		flows, err = d.Decode(sender, 7, stream[n%len(stream)], flows[:0])
		if err != nil || len(flows) != 6 {
			b.Fatalf("%d flows, %v", len(flows), err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*6), "ns/rec")
}

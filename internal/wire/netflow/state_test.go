package netflow_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// decodeFrom decodes a message of another exporter or time.
func decodeFrom(t *testing.T, d *netflow.Decoder, from netip.Addr, received int64, m *spelling) []weir.Flow {
	t.Helper()
	flows, err := d.Decode(from, received, m.bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

func TestWithdrawal(t *testing.T) {
	data := func(seq uint32, id uint16) *spelling { return head(ipx, seq).set(id, smallRecord()) }
	templates := func() *spelling {
		return head(ipx, 0).template(256, small()...).template(257, small()...).options(258, 1, spec{id: 149, n: 4}, spec{id: 34, n: 4})
	}
	withdrawal := func(set, id uint16) *spelling { return head(ipx, 0).set(set, be(2, uint64(id)), be(2, 0)) }
	for name, tt := range map[string]struct {
		withdraw *spelling
		left     int
		decodes  bool // template 256 is still there
	}{
		"one":              {withdrawal(2, 256), 2, false},
		"all templates":    {withdrawal(2, 2), 1, false},
		"all options":      {withdrawal(3, 3), 2, true},
		"of another kind":  {withdrawal(3, 256), 3, true},
		"unknown template": {withdrawal(2, 300), 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			mustDecode(t, d, templates())
			mustDecode(t, d, tt.withdraw)
			if s := d.Stats(); s.Templates != tt.left || int(s.TemplatesWithdrawn) != 3-tt.left {
				t.Errorf("%+v", s)
			}
			if n := len(mustDecode(t, d, data(0, 256))); (n == 1) != tt.decodes {
				t.Errorf("%d flows", n)
			}
		})
	}
}

// TestTemplateChange: the same id with another content replaces the template, a
// repetition does not.
func TestTemplateChange(t *testing.T) {
	for _, version := range []uint16{v9, ipx} {
		d := netflow.New(netflow.DefaultConfig())
		mustDecode(t, d, head(version, 1).template(256, small()...))
		mustDecode(t, d, head(version, 2).template(256, small()...))
		if s := d.Stats(); s.TemplatesReceived != 1 || s.Templates != 1 {
			t.Errorf("%+v", s)
		}
		got := mustDecode(t, d, head(version, 3).template(256, small(spec{id: 2, n: 4})...).set(256, smallRecord(be(4, 9))))
		if len(got) != 1 || got[0].Packets != 9 {
			t.Errorf("%+v", got)
		}
		if s := d.Stats(); s.TemplatesReceived != 2 || s.Templates != 1 {
			t.Errorf("%+v", s)
		}
		// An options template takes the place of a template.
		mustDecode(t, d, head(version, 4).options(256, 1, spec{id: 149, n: 4}, spec{id: 34, n: 4}).set(256, be(4, 7), be(4, 9)))
		if s := d.Stats(); s.OptionRecords != 1 || s.Templates != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// TestDomains: exporters, domains and versions have their own templates.
func TestDomains(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	mustDecode(t, d, head(ipx, 0).template(256, small()...))
	other := head(ipx, 0).set(256, smallRecord())
	other.domain = 8
	if n := len(mustDecode(t, d, other)); n != 0 {
		t.Errorf("another domain: %d flows", n)
	}
	if n := len(mustDecode(t, d, head(v9, 0).set(256, smallRecord()))); n != 0 {
		t.Errorf("another version: %d flows", n)
	}
	if n := len(decodeFrom(t, d, netip.MustParseAddr("192.0.2.2"), 1, head(ipx, 0).set(256, smallRecord()))); n != 0 {
		t.Errorf("another exporter: %d flows", n)
	}
	if n := len(mustDecode(t, d, head(ipx, 0).set(256, smallRecord()))); n != 1 {
		t.Errorf("the same: %d flows", n)
	}
	if s := d.Stats(); s.SetsWithoutTemplate != 3 || s.Domains != 4 {
		t.Errorf("%+v", s)
	}
	e := d.Exporters()
	if len(e) != 4 || e[0].Domain != 7 || e[0].Format != weir.FormatIPFIX || e[1].Format != weir.FormatNetFlow9 || e[2].Domain != 8 || e[3].Exporter != netip.MustParseAddr("192.0.2.2") {
		t.Fatalf("%+v", e)
	}
	if e[0].Flows != 1 || e[0].Templates != 1 || e[0].LastTemplate != 1 || e[0].ExportTime != exportTime*1e9 || e[1].MissingSince != 1 || e[1].SetsWithoutTemplate != 1 {
		t.Errorf("%+v", e[:2])
	}
}

// TestHold: sets that come before their template are decoded when it comes, in
// order, with the header that they came with.
func TestHold(t *testing.T) {
	for _, version := range []uint16{v9, ipx} {
		d := netflow.New(netflow.DefaultConfig())
		fields := small(spec{id: 2, n: 4})
		for i := range 3 {
			m := head(version, uint32(i))
			m.export += uint32(i)
			if n := len(mustDecode(t, d, m.set(256, smallRecord(be(4, uint64(i)))).set(257, smallRecord(be(4, 99))))); n != 0 {
				t.Fatalf("%d flows without a template", n)
			}
		}
		m := head(version, 3).set(258, smallRecord()).template(256, fields...).set(256, smallRecord(be(4, 3)))
		m.export += 3
		got := mustDecode(t, d, m)
		var want []weir.Flow
		for i := range 4 {
			want = append(want, smallFlow(version, func(f *weir.Flow) {
				f.Packets = uint64(i)
				f.Known |= weir.HasPackets
				f.Start += int64(i) * 1e9
				f.End = f.Start
			}))
		}
		if diff := cmp.Diff(want, got, sameFlow); diff != "" {
			t.Error(diff)
		}
		if s := d.Stats(); s.Held != 7 || s.HeldDecoded != 3 || s.SetsWithoutTemplate != 7 || s.HeldBytes == 0 {
			t.Errorf("%+v", s)
		}
		got = mustDecode(t, d, head(version, 4).template(257, fields...).template(258, small()...))
		if s := d.Stats(); len(got) != 4 || s.HeldDecoded != 7 || s.HeldBytes != 0 {
			t.Errorf("%d flows, %+v", len(got), s)
		}
	}
}

func TestHoldBounds(t *testing.T) {
	t.Run("time", func(t *testing.T) {
		d := netflow.New(netflow.DefaultConfig())
		decodeFrom(t, d, exporter, 0, head(ipx, 0).set(256, smallRecord()))
		decodeFrom(t, d, exporter, int64(9*time.Minute), head(ipx, 0).set(256, smallRecord()))
		got := decodeFrom(t, d, exporter, int64(11*time.Minute), head(ipx, 0).template(256, small()...))
		if s := d.Stats(); len(got) != 1 || s.HeldExpired != 1 || s.HeldDecoded != 1 || s.HeldBytes != 0 {
			t.Errorf("%d flows, %+v", len(got), s)
		}
	})
	t.Run("none", func(t *testing.T) {
		c := netflow.DefaultConfig()
		c.HoldBytes = 0
		d := netflow.New(c)
		mustDecode(t, d, head(ipx, 0).set(256, smallRecord()))
		if s := d.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.SetsWithoutTemplate != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		c := netflow.DefaultConfig()
		c.HoldBytes = 20000
		d := netflow.New(c)
		body := make([]byte, 500)
		for i := range 1000 { // one domain takes a quarter at most
			mustDecode(t, d, head(ipx, uint32(i)).set(256, body))
			if s := d.Stats(); s.HeldBytes > 5000 {
				t.Fatalf("%d bytes held", s.HeldBytes)
			}
		}
		for i := range 1000 { // many domains: the oldest sets go
			m := head(ipx, 0).set(256, body)
			m.domain = 1000 + uint32(i)
			mustDecode(t, d, m)
			if s := d.Stats(); s.HeldBytes > 20000 {
				t.Fatalf("%d bytes held", s.HeldBytes)
			}
		}
		s := d.Stats()
		if s.Held-uint64(s.HeldBytes/500) > s.HeldDropped || s.HeldDropped == 0 {
			t.Errorf("%+v", s)
		}
		m := head(ipx, 1).template(256, small()...)
		m.domain = 1999
		if n := len(mustDecode(t, d, m)); n != 500/13 {
			t.Errorf("the newest set gave %d flows", n)
		}
	})
}

// TestTemplateFlood: neither a flood of templates nor one of domains or
// exporters keeps others out or takes more than its room.
func TestTemplateFlood(t *testing.T) {
	good := netip.MustParseAddr("192.0.2.77")
	for name, flood := range map[string]func(i int) (netip.Addr, *spelling){
		"templates of one domain": func(i int) (netip.Addr, *spelling) {
			return exporter, head(ipx, 0).template(uint16(256+i%60000), small(spec{id: uint16(1000 + i%20000), n: 4})...)
		},
		"domains of one exporter": func(i int) (netip.Addr, *spelling) {
			m := head(ipx, 0).template(256, small(spec{id: uint16(1000 + i%20000), n: 4})...)
			m.domain = uint32(i)
			return exporter, m
		},
		"exporters": func(i int) (netip.Addr, *spelling) {
			return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), head(ipx, 0).template(256, small(spec{id: 400, n: 4})...)
		},
		"long templates": func(i int) (netip.Addr, *spelling) {
			fields := small()
			for j := range 300 {
				fields = append(fields, spec{id: uint16(1000 + i + j), n: 1})
			}
			return exporter, head(ipx, 0).template(uint16(256+i), fields...)
		},
		"data without templates": func(i int) (netip.Addr, *spelling) {
			return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), head(ipx, 0).set(300, smallRecord())
		},
		"samplers": func(i int) (netip.Addr, *spelling) {
			return exporter, head(ipx, 0).options(256, 1, spec{id: 302, n: 8}, spec{id: 34, n: 4}).set(256, be(8, uint64(i)), be(4, 9))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := netflow.DefaultConfig()
			c.MaxExporters, c.MaxTemplates, c.MaxTemplateMemory, c.HoldBytes = 100, 50, 1<<17, 1<<16
			d := netflow.New(c)
			decodeFrom(t, d, good, 1, head(ipx, 0).template(256, small()...).set(256, smallRecord()))
			for i := range 5000 {
				from, m := flood(i)
				decodeFrom(t, d, from, 1, m)
				s := d.Stats()
				if s.Domains > 100 || s.TemplateBytes > 1<<17 || s.HeldBytes > 1<<16 {
					t.Fatalf("%+v", s)
				}
			}
			for _, e := range d.Exporters() {
				if e.Templates > 50 {
					t.Errorf("%d templates of %v", e.Templates, e.Exporter)
				}
			}
			// The exporter that gave flows before is still known, and a new one
			// is heard.
			if n := len(decodeFrom(t, d, good, 2, head(ipx, 1).set(256, smallRecord()))); n != 1 {
				t.Errorf("the old exporter: %d flows", n)
			}
			if n := len(decodeFrom(t, d, netip.MustParseAddr("192.0.2.78"), 2, head(ipx, 0).template(256, small()...).set(256, smallRecord()))); n != 1 {
				t.Errorf("a new exporter: %d flows", n)
			}
		})
	}
}

func TestLeastRecentlyUsedTemplate(t *testing.T) {
	c := netflow.DefaultConfig()
	c.MaxTemplates = 2
	d := netflow.New(c)
	mustDecode(t, d, head(v9, 1).template(256, small()...).template(257, small()...))
	mustDecode(t, d, head(v9, 2).set(257, smallRecord()).set(256, smallRecord()))
	mustDecode(t, d, head(v9, 3).template(258, small()...))
	if n := len(mustDecode(t, d, head(v9, 4).set(256, smallRecord()).set(257, smallRecord()).set(258, smallRecord()))); n != 2 {
		t.Errorf("%d flows, want those of 256 and 258", n)
	}
	if s := d.Stats(); s.TemplatesDropped != 1 || s.Templates != 2 {
		t.Errorf("%+v", s)
	}
}

// step is a datagram of a test of sequence numbers: an IPFIX message of n
// records, a version 9 datagram, or a version 5 datagram of n records.
type step struct {
	seq, export, uptime uint32
	n                   int
}

func TestSequence(t *testing.T) {
	const e = exportTime
	for name, tt := range map[string]struct {
		version              uint16
		steps                []step
		lost, late, restarts uint64
	}{
		"v9 in order":             {v9, []step{{5, e, 1, 1}, {6, e, 2, 3}, {7, e, 3, 1}}, 0, 0, 0},
		"v9 wrap":                 {v9, []step{{1<<32 - 1, e, 1, 1}, {0, e, 2, 1}}, 0, 0, 0},
		"v9 lost":                 {v9, []step{{5, e, 1, 1}, {9, e, 2, 1}}, 3, 0, 0},
		"v9 late":                 {v9, []step{{5, e, 1, 1}, {7, e, 2, 1}, {6, e, 1, 1}, {8, e, 3, 1}}, 0, 1, 0},
		"v9 twice":                {v9, []step{{5, e, 1, 1}, {5, e, 1, 1}, {6, e, 2, 1}}, 0, 0, 0},
		"v9 restart":              {v9, []step{{500000, e, 900000, 1}, {0, e + 100, 1000, 1}, {1, e + 101, 2000, 1}}, 0, 0, 1},
		"v9 restart, early":       {v9, []step{{5, e, 900000, 1}, {0, e + 100, 1000, 1}, {1, e + 101, 2000, 1}}, 0, 0, 1},
		"v9 far ahead":            {v9, []step{{5, e, 1, 1}, {1 << 30, e, 2, 1}}, 0, 0, 1},
		"IPFIX in order":          {ipx, []step{{5, e, 0, 3}, {8, e, 0, 2}, {10, e, 0, 1}}, 0, 0, 0},
		"IPFIX wrap":              {ipx, []step{{1<<32 - 2, e, 0, 3}, {1, e, 0, 1}}, 0, 0, 0},
		"IPFIX lost":              {ipx, []step{{5, e, 0, 3}, {20, e, 0, 1}}, 12, 0, 0},
		"IPFIX late":              {ipx, []step{{5, e, 0, 3}, {12, e, 0, 1}, {8, e, 0, 4}, {13, e, 0, 1}}, 0, 1, 0},
		"IPFIX restart":           {ipx, []step{{500000, e, 0, 3}, {0, e + 100, 0, 1}, {1, e + 100, 0, 1}}, 0, 0, 1},
		"IPFIX that counts not":   {ipx, []step{{0, e, 0, 3}, {0, e + 1, 0, 3}, {0, e + 9, 0, 3}}, 0, 0, 0},
		"version 5 in order":      {5, []step{{5, e, 1, 30}, {35, e, 2, 1}, {36, e, 2, 1}}, 0, 0, 0},
		"version 5 lost":          {5, []step{{5, e, 1, 30}, {65, e, 2, 1}}, 30, 0, 0},
		"version 5 restart":       {5, []step{{500000, e, 900000, 30}, {0, e + 100, 1000, 1}, {1, e + 101, 2000, 1}}, 0, 0, 1},
		"uptime wrap, no restart": {v9, []step{{5, e, 1<<32 - 1000, 1}, {6, e + 2, 1000, 1}, {7, e + 3, 2000, 1}}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			for _, st := range tt.steps {
				var b []byte
				if tt.version == 5 {
					var records [][]byte
					for range st.n {
						records = append(records, record5("198.51.100.7", "203.0.113.9", 1, 2, 6, 0, 1, 1, 1, 1))
					}
					b = message5(st.uptime, st.export, st.seq, 0, 0, records...)
				} else {
					m := head(tt.version, st.seq)
					m.export, m.uptime = st.export, st.uptime
					m.template(256, small()...)
					for range st.n {
						m.set(256, smallRecord())
					}
					b = m.bytes()
				}
				if got, err := d.Decode(exporter, 1, b, nil); err != nil || len(got) != st.n {
					t.Fatalf("%d flows, %v", len(got), err)
				}
			}
			s := d.Stats()
			if s.SequenceLost != tt.lost || s.SequenceLate != tt.late || s.Restarts != tt.restarts {
				t.Errorf("lost %d, late %d, restarts %d; want %d, %d, %d", s.SequenceLost, s.SequenceLate, s.Restarts, tt.lost, tt.late, tt.restarts)
			}
			if e := d.Exporters(); len(e) != 1 || e[0].SequenceLost != tt.lost || e[0].SequenceLate != tt.late || e[0].Restarts != tt.restarts {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestSequenceUnknown: a message with a set that cannot be counted says nothing
// about the number of the next one.
func TestSequenceUnknown(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	mustDecode(t, d, head(ipx, 5).set(256, smallRecord(), smallRecord()))
	mustDecode(t, d, head(ipx, 7).template(256, small()...).set(256, smallRecord()))
	mustDecode(t, d, head(ipx, 9).set(256, smallRecord()))
	if s := d.Stats(); s.SequenceLost != 1 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}

// TestRestart: the templates of an exporter that came up again are dropped, but
// not for two exporters behind one address, again and again.
func TestRestart(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	at := func(seq, export, uptime uint32, m *spelling) *spelling {
		m.seq, m.export, m.uptime = seq, export, uptime
		return m
	}
	mustDecode(t, d, at(5000, exportTime, 9000000, head(v9, 0).template(256, small()...)))
	if n := len(mustDecode(t, d, at(5001, exportTime+1, 9001000, head(v9, 0).set(256, smallRecord())))); n != 1 {
		t.Fatalf("%d flows", n)
	}
	if n := len(mustDecode(t, d, at(0, exportTime+60, 1000, head(v9, 0).set(256, smallRecord())))); n != 0 {
		t.Errorf("%d flows with the template of before the restart", n)
	}
	if n := len(mustDecode(t, d, at(1, exportTime+61, 2000, head(v9, 0).template(256, small()...)))); n != 1 {
		t.Errorf("%d flows were held", n)
	}
	if s := d.Stats(); s.Restarts != 1 || s.TemplatesDropped != 1 {
		t.Errorf("%+v", s)
	}
	for i := range uint32(10) { // a second exporter with the same address
		mustDecode(t, d, at(5002+i, exportTime+62+i, 9062000+1000*i, head(v9, 0).set(256, smallRecord())))
		mustDecode(t, d, at(2+i, exportTime+62+i, 3000+1000*i, head(v9, 0).set(256, smallRecord())))
	}
	if s := d.Stats(); s.TemplatesDropped != 1 || s.Flows != 22 {
		t.Errorf("%+v", s)
	}
}

// TestSamplingChain goes from the weakest word to the strongest.
func TestSamplingChain(t *testing.T) {
	type word struct {
		n      uint32
		source weir.SamplingSource
	}
	domainOptions := func(m *spelling, n uint64) *spelling {
		if m.version == ipx {
			return m.options(300, 1, spec{id: 149, n: 4}, spec{id: 34, n: 4}).set(300, be(4, uint64(m.domain)), be(4, n))
		}
		return m.options(300, 1, spec{id: 1, n: 4}, spec{id: 34, n: 4}).set(300, be(4, 0), be(4, n)) // scope: system
	}
	selector := func(m *spelling, id uint16, values ...uint64) *spelling {
		m.options(301, 1, spec{id: 1, n: 4}, spec{id: id, n: 2}, spec{id: 50, n: 4}, spec{id: 34, n: 4})
		if m.version == ipx {
			m.options(301, 1, spec{id: id, n: 4}, spec{id: id, n: 2}, spec{id: 50, n: 4}, spec{id: 34, n: 4})
		}
		var body []byte
		for i := 0; i < len(values); i += 2 {
			scope := be(4, 0)
			if m.version == ipx {
				scope = be(4, values[i])
			}
			body = cat(body, scope, be(2, values[i]), be(4, values[i+1]), be(4, 0))
		}
		return m.set(301, body)
	}
	iface := func(m *spelling, values ...uint64) *spelling {
		scope := uint16(2) // version 9: interface
		if m.version == ipx {
			scope = 10
		}
		m.options(302, 1, spec{id: scope, n: 4}, spec{id: 34, n: 4})
		var body []byte
		for _, v := range values {
			body = cat(body, be(4, v))
		}
		return m.set(302, body)
	}
	plain := func(m *spelling) *spelling { return m.template(256, small()...).set(256, smallRecord()) }
	named := func(m *spelling, id uint64) *spelling {
		return m.template(256, small(spec{id: 48, n: 1})...).set(256, smallRecord(be(1, id)))
	}
	withInterface := func(m *spelling, in, out uint64) *spelling {
		return m.template(256, small(spec{id: 10, n: 4}, spec{id: 14, n: 4})...).set(256, smallRecord(be(4, in), be(4, out)))
	}
	inRecord := func(m *spelling, n uint64) *spelling {
		return m.template(256, small(spec{id: 48, n: 1}, spec{id: 34, n: 4})...).set(256, smallRecord(be(1, 3), be(4, n)))
	}
	whole := func(m *spelling) *spelling { m.domain = 0; return m }
	for _, version := range []uint16{v9, ipx} {
		h := func() *spelling { return head(version, 0) }
		for name, tt := range map[string]struct {
			configured uint32
			force      bool
			messages   []*spelling
			want       word
		}{
			"nothing known":                         {0, false, []*spelling{plain(h())}, word{}},
			"configured":                            {9, false, []*spelling{plain(h())}, word{9, weir.SamplingConfig}},
			"options of the exporter":               {9, false, []*spelling{domainOptions(whole(h()), 20), plain(h())}, word{20, weir.SamplingOptions}},
			"options of the domain":                 {9, false, []*spelling{domainOptions(whole(h()), 20), domainOptions(h(), 30), plain(h())}, word{30, weir.SamplingOptions}},
			"options in the same datagram":          {0, false, []*spelling{plain(domainOptions(h(), 30))}, word{30, weir.SamplingOptions}},
			"one sampler, record names none":        {9, false, []*spelling{selector(h(), 48, 3, 40), plain(h())}, word{40, weir.SamplingOptions}},
			"samplers agree, record names none":     {9, false, []*spelling{selector(h(), 48, 3, 40, 4, 40), plain(h())}, word{40, weir.SamplingOptions}},
			"samplers differ, record names none":    {9, false, []*spelling{selector(h(), 48, 3, 40, 4, 50), plain(h())}, word{9, weir.SamplingConfig}},
			"sampler changed":                       {9, false, []*spelling{selector(h(), 48, 3, 40, 4, 50), selector(h(), 48, 3, 50), plain(h())}, word{50, weir.SamplingOptions}},
			"record names a sampler":                {9, false, []*spelling{selector(h(), 48, 3, 40, 4, 50), named(h(), 3)}, word{40, weir.SamplingOptions}},
			"record names a selector":               {9, false, []*spelling{selector(h(), 302, 3, 40, 4, 50), named(h(), 4)}, word{50, weir.SamplingOptions}},
			"sampler of the exporter":               {9, false, []*spelling{selector(whole(h()), 48, 3, 40), named(h(), 3)}, word{40, weir.SamplingOptions}},
			"record names an unknown sampler":       {9, false, []*spelling{selector(h(), 48, 3, 40), named(h(), 5)}, word{9, weir.SamplingConfig}},
			"unknown sampler, rate of the domain":   {9, false, []*spelling{selector(h(), 48, 3, 40), domainOptions(h(), 30), named(h(), 5)}, word{30, weir.SamplingOptions}},
			"known sampler, rate of the domain":     {9, false, []*spelling{selector(h(), 48, 3, 40), domainOptions(h(), 30), named(h(), 3)}, word{40, weir.SamplingOptions}},
			"rate of the input interface":           {9, false, []*spelling{iface(h(), 5, 60, 6, 70), withInterface(h(), 5, 6)}, word{60, weir.SamplingOptions}},
			"rate of the output interface":          {9, false, []*spelling{iface(h(), 6, 70), withInterface(h(), 5, 6)}, word{70, weir.SamplingOptions}},
			"rate of another interface":             {9, false, []*spelling{iface(h(), 8, 70), withInterface(h(), 5, 6)}, word{9, weir.SamplingConfig}},
			"record":                                {9, false, []*spelling{selector(h(), 48, 3, 40), domainOptions(h(), 30), inRecord(h(), 80)}, word{80, weir.SamplingRecord}},
			"record says zero":                      {9, false, []*spelling{selector(h(), 48, 3, 40), domainOptions(h(), 30), inRecord(h(), 0)}, word{40, weir.SamplingOptions}},
			"forced":                                {9, true, []*spelling{selector(h(), 48, 3, 40), domainOptions(h(), 30), inRecord(h(), 80)}, word{9, weir.SamplingConfig}},
			"forced to nothing":                     {0, true, []*spelling{inRecord(h(), 80)}, word{80, weir.SamplingRecord}},
			"forced, per interface":                 {9, true, []*spelling{iface(h(), 5, 60), withInterface(h(), 5, 6)}, word{9, weir.SamplingConfig}},
			"held set takes options that came late": {9, false, []*spelling{h().set(256, smallRecord()), domainOptions(h(), 30), h().template(256, small()...)}, word{30, weir.SamplingOptions}},
		} {
			t.Run(fmt.Sprintf("v%d/%s", version, name), func(t *testing.T) {
				c := netflow.DefaultConfig()
				if tt.configured != 0 || tt.force {
					c.Sampling = func(a netip.Addr) (uint32, bool) {
						if a != exporter {
							t.Errorf("asked for %v", a)
						}
						return tt.configured, tt.force
					}
				}
				d := netflow.New(c)
				var got []weir.Flow
				for _, m := range tt.messages {
					got = append(got, mustDecode(t, d, m)...)
				}
				if len(got) != 1 || (word{got[0].Sampling, got[0].SamplingSource}) != tt.want {
					t.Fatalf("%+v, want %+v", got, tt.want)
				}
				for _, e := range d.Exporters() {
					if e.Domain == 7 && (word{e.Sampling, e.SamplingSource}) != tt.want {
						t.Errorf("%+v", e)
					}
				}
			})
		}
	}
	t.Run("v5", func(t *testing.T) {
		r := record5("198.51.100.7", "203.0.113.9", 1, 2, 6, 0, 1, 1, 1, 1)
		for _, tt := range []struct {
			field      uint16
			configured uint32
			force      bool
			want       word
		}{
			{1<<14 | 100, 9, false, word{100, weir.SamplingHeader}},
			{100, 9, false, word{100, weir.SamplingHeader}}, // mode not set
			{1<<14 | 1, 0, false, word{1, weir.SamplingHeader}},
			{0, 0, false, word{}}, // never silently 1
			{1 << 14, 9, false, word{9, weir.SamplingConfig}},
			{100, 9, true, word{9, weir.SamplingConfig}},
		} {
			c := netflow.DefaultConfig()
			c.Sampling = func(netip.Addr) (uint32, bool) { return tt.configured, tt.force }
			got, err := netflow.New(c).Decode(exporter, 1, message5(1, exportTime, 0, 0, tt.field, r), nil)
			if err != nil || len(got) != 1 || (word{got[0].Sampling, got[0].SamplingSource}) != tt.want {
				t.Errorf("%+v: %+v, %v", tt, got, err)
			}
		}
	})
}

// TestOptionsScope: the scope of an option may name another domain.
func TestOptionsScope(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	mustDecode(t, d, head(ipx, 0).template(256, small()...))
	other := head(ipx, 0).options(300, 1, spec{id: 149, n: 4}, spec{id: 34, n: 4}, spec{id: 160, n: 8}).set(300, be(4, 7), be(4, 20), be(8, 5000), be(4, 99), be(4, 30), be(8, 6000))
	other.domain = 8
	mustDecode(t, d, other)
	m := head(ipx, 0).template(257, small(spec{id: 22, n: 4}, spec{id: 21, n: 4})...).set(257, smallRecord(be(4, 1000), be(4, 2000)))
	m.export = 100
	got := mustDecode(t, d, m)
	if len(got) != 1 || got[0].Sampling != 20 || got[0].Start != 6e9 || got[0].End != 7e9 {
		t.Errorf("%+v", got)
	}
}

// TestSecurityEvents: events of a firewall (Cisco NSEL), with octets of both
// sides and the time of the event.
func TestSecurityEvents(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	fields := small(spec{id: 233, n: 1}, spec{id: 33002, n: 2}, spec{id: 323, n: 8})
	mustDecode(t, d, head(v9, 0).template(256, fields...).template(257, append(fields, spec{id: 152, n: 8}, spec{id: 231, n: 4}, spec{id: 232, n: 4})...))
	at := be(8, 1000)
	got := mustDecode(t, d, head(v9, 1).
		set(256, smallRecord([]byte{1}, be(2, 0), at), smallRecord([]byte{3}, be(2, 1001), at)).
		set(257, smallRecord([]byte{2}, be(2, 0), at, be(8, 400), be(4, 700), be(4, 800))))
	want := []weir.Flow{
		smallFlow(v9, func(f *weir.Flow) { f.Start, f.End, f.Action = 1e9, 1e9, weir.ActionAllow }),
		smallFlow(v9, func(f *weir.Flow) { f.Start, f.End, f.Action = 1e9, 1e9, weir.ActionDeny }),
		smallFlow(v9, func(f *weir.Flow) {
			f.Start, f.End, f.Action, f.Initiator = 0.4e9, 1e9, weir.ActionAllow, weir.InitiatorSrc
			f.Bytes, f.RevBytes = 700, 800
			f.Known |= weir.HasBytes | weir.HasReverse
		}),
	}
	if diff := cmp.Diff(want, got, sameFlow); diff != "" {
		t.Error(diff)
	}
}

// TestNoAllocations: decoding with known templates allocates nothing.
func TestNoAllocations(t *testing.T) {
	for name, m := range map[string]*spelling{
		"fixed":    head(ipx, 0).set(256, smallRecord(), smallRecord()),
		"variable": head(ipx, 0).set(257, smallRecord(long([]byte("eth0"), false))),
		"frames":   head(ipx, 0).set(258, long(cat([]byte{0x45, 0}, be(2, 40), be(16, 6<<56)), false)),
		"version9": head(v9, 0).set(256, smallRecord()),
		"selector": head(ipx, 0).set(259, smallRecord([]byte{3})),
	} {
		t.Run(name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			for _, v := range []uint16{v9, ipx} {
				mustDecode(t, d, head(v, 0).template(256, small()...))
			}
			mustDecode(t, d, head(ipx, 0).template(257, small(spec{id: 82, n: anyN})...).template(258, spec{id: 313, n: anyN}).template(259, small(spec{id: 302, n: 1})...))
			b := m.bytes()
			dst := make([]weir.Flow, 0, 64)
			n := testing.AllocsPerRun(100, func() {
				var err error
				if dst, err = d.Decode(exporter, 1, b, dst[:0]); err != nil || len(dst) == 0 {
					t.Fatalf("%d flows, %v", len(dst), err)
				}
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

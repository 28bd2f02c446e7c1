package netflow_test

import (
	"math/rand/v2"
	"testing"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// The templates of the reference workload: 18 fields, with times as the version
// has them.
func benchTemplate(version uint16, six bool) []spec {
	out := []spec{{id: 8, n: 4}, {id: 12, n: 4}}
	if six {
		out = []spec{{id: 27, n: 16}, {id: 28, n: 16}}
	}
	out = append(out, spec{id: 7, n: 2}, spec{id: 11, n: 2}, spec{id: 4, n: 1}, spec{id: 5, n: 1}, spec{id: 6, n: 1},
		spec{id: 10, n: 4}, spec{id: 14, n: 4}, spec{id: 2, n: 4}, spec{id: 1, n: 4})
	if version == ipx {
		out = append(out, spec{id: 152, n: 8}, spec{id: 153, n: 8})
	} else {
		out = append(out, spec{id: 22, n: 4}, spec{id: 21, n: 4})
	}
	out = append(out, spec{id: 34, n: 4})
	if six {
		out = append(out, spec{id: 29, n: 1}, spec{id: 30, n: 1})
	} else {
		out = append(out, spec{id: 9, n: 1}, spec{id: 13, n: 1})
	}
	if version == ipx {
		return append(out, spec{id: 136, n: 1}, spec{id: 61, n: 1})
	}
	return append(out, spec{id: 89, n: 1}, spec{id: 61, n: 1})
}

// benchRecord spells one record of benchTemplate.
func benchRecord(r *rand.Rand, version uint16, six bool) []byte {
	src, dst, mask := be(4, uint64(r.Uint32())), be(4, uint64(20<<24|r.Uint32()&0xfff)), byte(24)
	if six {
		src = cat(ip("2a00::")[:12], be(4, uint64(r.Uint32())))
		dst = cat(ip("2603:1030::")[:12], be(4, uint64(r.Uint32()&0xfff)))
		mask = 64
	}
	packets := uint64(1 + r.IntN(3))
	b := cat(src, dst, be(2, uint64(32768+r.IntN(28000))), be(2, 443), []byte{6, 0, 0x1b},
		be(4, uint64(1+r.IntN(48))), be(4, uint64(1+r.IntN(48))), be(4, packets), be(4, packets*100))
	if version == ipx {
		b = cat(b, be(8, 1760000000000), be(8, 1760000005000))
	} else {
		b = cat(b, be(4, 3500000), be(4, 3505000))
	}
	return cat(b, be(4, 1000), []byte{mask, mask, 1, 0})
}

func benchDecode(b *testing.B, per int, template []byte, stream [][]byte) {
	b.Helper()
	d := netflow.New(netflow.DefaultConfig())
	if template != nil {
		if _, err := d.Decode(exporter, 1, template, nil); err != nil {
			b.Fatal(err)
		}
	}
	var flows []weir.Flow
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		var err error
		flows, err = d.Decode(exporter, 1, stream[n%len(stream)], flows[:0])
		if err != nil || len(flows) != per {
			b.Fatalf("%d flows, %v", len(flows), err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*per), "ns/rec")
}

func templated(version uint16, per int, fields []spec, record func(*rand.Rand) []byte) (template []byte, stream [][]byte) {
	r := rand.New(rand.NewPCG(42, 42))
	head := spelling{version: version, domain: 1, export: 1760000000, uptime: 3600000}
	t := head
	template = t.template(256, fields...).bytes()
	for i := range 256 {
		m := head
		m.seq = uint32(i)
		var body []byte
		for range per {
			body = append(body, record(r)...)
		}
		stream = append(stream, m.set(256, body).bytes())
	}
	return template, stream
}

func BenchmarkIPFIX(b *testing.B) {
	for _, six := range []bool{false, true} {
		name, per := "v4", 24
		if six {
			name, per = "v6", 18
		}
		b.Run(name, func(b *testing.B) {
			t, s := templated(ipx, per, benchTemplate(ipx, six), func(r *rand.Rand) []byte { return benchRecord(r, ipx, six) })
			benchDecode(b, per, t, s)
		})
	}
}

func BenchmarkIPFIXVariable(b *testing.B) {
	fields := append(benchTemplate(ipx, false), spec{id: 82, n: anyN})
	t, s := templated(ipx, 20, fields, func(r *rand.Rand) []byte {
		return cat(benchRecord(r, ipx, false), long([]byte("xe-0/0/1"), false))
	})
	benchDecode(b, 20, t, s)
}

func BenchmarkNetFlow9(b *testing.B) {
	for _, six := range []bool{false, true} {
		name, per := "v4", 24
		if six {
			name, per = "v6", 18
		}
		b.Run(name, func(b *testing.B) {
			t, s := templated(v9, per, benchTemplate(v9, six), func(r *rand.Rand) []byte { return benchRecord(r, v9, six) })
			benchDecode(b, per, t, s)
		})
	}
}

func BenchmarkNetFlow5(b *testing.B) {
	var stream [][]byte
	for i := range 256 {
		var records [][]byte
		for j := range 30 {
			records = append(records, record5("198.51.100.7", "20.0.0.1", uint16(32768+i*30+j), 443, 6, 0x1b, 3, 300, 3500000, 3505000))
		}
		stream = append(stream, message5(3600000, 1760000000, uint32(i*30), 0, 1<<14|1000, records...))
	}
	benchDecode(b, 30, nil, stream)
}

package netflow_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// keepAll is the configuration that gives every record.
func keepAll() netflow.Config {
	c := netflow.DefaultConfig()
	c.KeepEgress = true
	return c
}

// hop is a record of the tests: where a packet came in and left, and where it
// was metered. way -1 leaves element 61 out of its template.
type hop struct {
	in, out uint32
	way     int
	six     bool // IPv6
	both    bool // with a reverse direction
	probe   bool // with the packet instead of its fields
}

// Directions of hop.
const (
	ingress = 0
	egress  = 1
	noWay   = -1
	oddWay  = 7
)

// hopTemplate returns the id of the template of a hop and its fields.
func hopTemplate(h hop) (uint16, []spec) {
	id, fields := uint16(256), []spec{{id: 8, n: 4}, {id: 12, n: 4}}
	switch {
	case h.probe:
		id, fields = 300, []spec{{id: 313, n: 20}}
	case h.six:
		id, fields = 264, []spec{{id: 27, n: 16}, {id: 28, n: 16}}
	}
	fields = append(fields, spec{id: 2, n: 4}, spec{id: 1, n: 4}, spec{id: 10, n: 4}, spec{id: 14, n: 2})
	if h.both {
		id++
		fields = append(fields, spec{id: 299, n: 4}, spec{id: 232, n: 4})
	}
	if h.way != noWay {
		id += 2
		fields = append(fields, spec{id: 61, n: 1})
	}
	return id, fields
}

// hopRecord spells a hop.
func hopRecord(h hop) []byte {
	b := cat(ip("198.51.100.7"), ip("203.0.113.9"))
	switch {
	case h.probe:
		b = cat([]byte{0x45, 0}, be(2, 20), be(4, 0), []byte{64, 6, 0, 0}, b)
	case h.six:
		b = cat(ip("2001:db8::7"), ip("2001:db8:1::9"))
	}
	b = cat(b, be(4, 3), be(4, 180), be(4, uint64(h.in)), be(2, uint64(h.out)))
	if h.both {
		b = cat(b, be(4, 2), be(4, 90))
	}
	if h.way != noWay {
		b = append(b, byte(h.way))
	}
	return b
}

// hops spells hops as one datagram with their templates, each record in a set
// of its own.
func hops(version uint16, domain, export uint32, all ...hop) []byte {
	m := head(version, 0)
	m.domain, m.export = domain, export
	for _, h := range all {
		id, fields := hopTemplate(h)
		m = m.template(id, fields...).set(id, hopRecord(h))
	}
	return m.bytes()
}

// kept decodes and returns the interfaces and directions of what is kept.
func kept(t *testing.T, d *netflow.Decoder, from netip.Addr, datagram []byte) []hop {
	t.Helper()
	flows, err := d.Decode(from, 1, datagram, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []hop
	for i := range flows {
		f := &flows[i]
		h := hop{in: f.InputIf, out: f.OutputIf, six: f.Src.Addr().Is6(), both: f.Known.Has(weir.HasReverse)}
		if f.Known.Has(weir.IsEgress) {
			h.way = egress
		}
		out = append(out, h)
	}
	return out
}

func TestEgressIsCountedOnce(t *testing.T) {
	tests := []struct {
		name string
		hops []hop
		drop []int // indices of hops
	}{
		{"both interfaces meter both ways: each packet once", []hop{
			{in: 1, out: 2}, {in: 2, out: 1}, {in: 1, out: 2, way: egress}, {in: 2, out: 1, way: egress},
		}, []int{2, 3}},
		{"the uplink meters both ways, nothing else does", []hop{
			{in: 1, out: 2}, {in: 2, out: 1, way: egress}, {in: 3, out: 1, way: egress}, {in: 1, out: 3}, {in: 2, out: 1, way: egress},
		}, nil},
		{"egress before the first ingress is kept", []hop{
			{in: 1, out: 2, way: egress}, {in: 1, out: 2}, {in: 1, out: 2, way: egress},
		}, []int{2}},
		{"unknown input", []hop{{in: 0, out: 2}, {in: 0, out: 2, way: egress}}, nil},
		{"no direction teaches nothing", []hop{{in: 1, out: 2, way: noWay}, {in: 1, out: 2, way: egress}}, nil},
		{"no direction is kept", []hop{{in: 1, out: 2}, {in: 1, out: 2, way: noWay}}, nil},
		{"a direction that is none", []hop{{in: 1, out: 2, way: oddWay}, {in: 1, out: 2, way: egress}, {in: 1, out: 2}, {in: 1, out: 2, way: oddWay}}, nil},
		{"output not told", []hop{{in: 1}, {in: 1, way: egress}}, []int{1}},
		{"one interface for both ways", []hop{{in: 1, out: 1}, {in: 1, out: 1, way: egress}}, nil},
		{"families meter apart", []hop{{in: 1, out: 2}, {in: 1, out: 2, six: true, way: egress}, {in: 1, out: 2, way: egress}, {in: 1, out: 2, six: true}, {in: 1, out: 2, six: true, way: egress}}, []int{2, 4}},
		{"the reverse half is kept", []hop{{in: 1, out: 2}, {in: 1, out: 2, both: true, way: egress}}, nil},
		{"pieces of packets", []hop{{in: 1, out: 2, probe: true}, {in: 1, out: 2, probe: true, way: egress}, {in: 2, out: 1, probe: true, way: egress}}, []int{1}},
	}
	for _, tt := range tests {
		for _, version := range []uint16{v9, ipx} {
			t.Run(tt.name, func(t *testing.T) {
				var want, all []hop
				for i, h := range tt.hops {
					h.probe = false
					if h.way != egress {
						h.way = ingress
					}
					all = append(all, h)
					if !slices.Contains(tt.drop, i) {
						want = append(want, h)
					}
				}
				d := netflow.New(netflow.DefaultConfig())
				got := kept(t, d, exporter, hops(version, 1, exportTime, tt.hops...))
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(hop{})); diff != "" {
					t.Errorf("kept (-want +got):\n%s", diff)
				}
				s, e := d.Stats(), d.Exporters()[0]
				if n := uint64(len(tt.drop)); s.EgressRepeated != n || e.EgressRepeated != n || s.Flows != uint64(len(want)) || e.Flows != s.Flows {
					t.Errorf("%d and %d repeated of %d and %d, want %d of %d", s.EgressRepeated, e.EgressRepeated, s.Flows, e.Flows, n, len(want))
				}
				got = kept(t, netflow.New(keepAll()), exporter, hops(version, 1, exportTime, tt.hops...))
				if diff := cmp.Diff(all, got, cmp.AllowUnexported(hop{})); diff != "" {
					t.Errorf("with KeepEgress (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What was learnt holds for half an hour of export time, for its exporter and
// domain, and not over a restart; templates may change meanwhile.
func TestIngressIsForgotten(t *testing.T) {
	const at = uint32(exportTime)
	in, out := hop{in: 1, out: 2}, hop{in: 1, out: 2, way: egress}
	other := netip.MustParseAddr("192.0.2.77")
	tests := []struct {
		name   string
		from   netip.Addr
		domain uint32
		later  time.Duration
		again  time.Duration // another ingress record, 0 none
		forget netip.Addr
		drop   bool
	}{
		{"at once", exporter, 1, 0, 0, netip.Addr{}, true},
		{"after 30 minutes", exporter, 1, 30 * time.Minute, 0, netip.Addr{}, true},
		{"after more", exporter, 1, 31 * time.Minute, 0, netip.Addr{}, false},
		{"renewed", exporter, 1, 31 * time.Minute, 2 * time.Minute, netip.Addr{}, true},
		{"a clock set back", exporter, 1, -time.Hour, 0, netip.Addr{}, false},
		{"another domain", exporter, 2, 0, 0, netip.Addr{}, false},
		{"forgotten", exporter, 1, 0, 0, exporter, false},
		{"another is forgotten", exporter, 1, 0, 0, other, true},
		{"another exporter", other, 1, 0, 0, netip.Addr{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := netflow.New(netflow.DefaultConfig())
			kept(t, d, exporter, hops(ipx, 1, at, in))
			if tt.again != 0 {
				kept(t, d, exporter, hops(ipx, 1, at+uint32(tt.again.Seconds()), in))
			}
			d.ForgetInterfaces(tt.forget)
			got := kept(t, d, tt.from, hops(ipx, tt.domain, uint32(int64(at)+int64(tt.later.Seconds())), out))
			if dropped := len(got) == 0; dropped != tt.drop {
				t.Errorf("dropped: %v, want %v", dropped, tt.drop)
			}
		})
	}
	t.Run("template change", func(t *testing.T) {
		d := netflow.New(netflow.DefaultConfig())
		one := head(ipx, 0).template(256, small(spec{id: 10, n: 4}, spec{id: 14, n: 4}, spec{id: 61, n: 1})...).
			set(256, smallRecord(be(4, 1), be(4, 2), []byte{ingress}), smallRecord(be(4, 1), be(4, 2), []byte{egress}))
		// The same id: the direction moves, then it goes, then it is of variable length.
		two := head(ipx, 0).template(256, small(spec{id: 61, n: 2}, spec{id: 10, n: 2})...).
			set(256, smallRecord(be(2, egress), be(2, 1)), smallRecord(be(2, egress), be(2, 9)))
		three := head(ipx, 0).template(256, small(spec{id: 5, n: 1}, spec{id: 10, n: 2})...).
			set(256, smallRecord([]byte{egress}, be(2, 1)))
		four := head(ipx, 0).template(256, small(spec{id: 61, n: anyN}, spec{id: 10, n: 2}, spec{id: 82, n: anyN})...).
			set(256, smallRecord(long([]byte{egress}, false), be(2, 1), long([]byte("eth0"), false)), smallRecord(long(be(4, ingress), true), be(2, 9), long(nil, false)))
		for i, m := range []struct {
			m    *spelling
			want int
		}{{one, 1}, {two, 1}, {three, 1}, {four, 1}} {
			if n := len(kept(t, d, exporter, m.m.bytes())); n != m.want {
				t.Errorf("message %d: %d flows, want %d", i+1, n, m.want)
			}
		}
		if n := d.Stats().EgressRepeated; n != 3 {
			t.Errorf("%d repeated, want 3", n)
		}
	})
	t.Run("restart", func(t *testing.T) {
		d := netflow.New(netflow.DefaultConfig())
		m := head(v9, 5)
		id, fields := hopTemplate(in)
		kept(t, d, exporter, m.template(id, fields...).set(id, hopRecord(in)).bytes())
		again := head(v9, 0)
		again.export, again.uptime = at+60, 1000
		if n := len(kept(t, d, exporter, again.template(id, fields...).set(id, hopRecord(out)).bytes())); n != 1 || d.Stats().Restarts != 1 {
			t.Errorf("%d flows after %d restarts, want 1 after 1", n, d.Stats().Restarts)
		}
	})
}

// A domain that names ever new interfaces learns no more than its bound, and
// makes room when what it knows is stale.
func TestInterfacesAreBounded(t *testing.T) {
	const bound = 4096
	d := netflow.New(netflow.DefaultConfig())
	id, fields := hopTemplate(hop{})
	datagram := func(export uint32, way int, first, n uint32) []byte {
		m := head(ipx, 0)
		m.export = export
		m = m.template(id, fields...)
		var b []byte
		for i := range n {
			b = append(b, hopRecord(hop{in: first + i, way: way})...)
		}
		return m.set(id, b).bytes()
	}
	count := func(export uint32, way int, first, n uint32) (flows int) {
		for n > 0 {
			k := min(n, 1024)
			flows += len(kept(t, d, exporter, datagram(export, way, first, k)))
			first, n = first+k, n-k
		}
		return flows
	}
	count(exportTime, ingress, 1, 2*bound)
	if n := d.Stats().InterfacesDropped; n != bound {
		t.Errorf("%d ingress records without room, want %d", n, bound)
	}
	if n := count(exportTime, egress, 1, 2*bound); n != bound {
		t.Errorf("%d egress records kept, want %d", n, bound)
	}
	const later = exportTime + 3600
	count(later, ingress, 10001, bound)
	if n := count(later, egress, 10001, bound); n != 0 {
		t.Errorf("%d egress records kept after room was made, want 0", n)
	}
	// All domains together have a bound as well, beyond what each has for sure.
	d = netflow.New(netflow.DefaultConfig())
	const domains, own, shared = 20, 64, 1 << 16
	flows := 0
	for domain := range uint32(domains) {
		for _, way := range []int{ingress, egress} {
			for first := uint32(1); first < bound; first += 1024 {
				b := datagram(exportTime, way, first, 1024)
				copy(b[12:], be(4, uint64(domain)))
				n := len(kept(t, d, exporter, b))
				if way == egress {
					flows += n
				}
			}
		}
	}
	if want := domains*bound - shared - domains*own; flows != want {
		t.Errorf("%d egress records kept of %d domains, want %d", flows, domains, want)
	}
}

// A real router that meters two interfaces in both directions: of ten records
// four repeat ingress records, two come before any of their input.
func TestEgressOfARouter(t *testing.T) {
	dir := vectorDir(t)
	const name = "netflow9_test_0length_fields_tpl_data.dat"
	for path, v := range readVectors(t, dir, "netflow") {
		if filepath.Base(path) != name {
			continue
		}
		d := netflow.New(netflow.DefaultConfig())
		n := 0
		for _, in := range v.Inputs {
			for _, b := range datagrams(t, filepath.Join(dir, in)) {
				n += len(kept(t, d, exporter, b))
			}
		}
		if n != 6 || d.Stats().EgressRepeated != 4 {
			t.Errorf("%d flows, %d repeated, want 6 and 4", n, d.Stats().EgressRepeated)
		}
		return
	}
	t.Skipf("%s is not among the vectors", name)
}

func TestDirectionAllocatesNothing(t *testing.T) {
	d := netflow.New(netflow.DefaultConfig())
	m := hops(v9, 1, exportTime, hop{in: 1, out: 2}, hop{in: 2, out: 1}, hop{in: 1, out: 2, way: egress}, hop{in: 3, out: 2, way: egress})
	id, _ := hopTemplate(hop{})
	records := head(v9, 0)
	records.domain = 1
	data := records.set(id, hopRecord(hop{in: 1, out: 2}), hopRecord(hop{in: 1, out: 2, way: egress}), hopRecord(hop{in: 3, out: 2, way: egress})).bytes()
	kept(t, d, exporter, m)
	flows := make([]weir.Flow, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		flows, _ = d.Decode(exporter, 1, data, flows[:0])
	}); n != 0 || len(flows) != 2 {
		t.Errorf("%v allocations for %d flows, want none for 2", n, len(flows))
	}
}

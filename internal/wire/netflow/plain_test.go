package netflow

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	weir "github.com/weir-net/weir"
)

// randomTemplate spells a data template: mostly the fields that a plain reads,
// in any order and often in their usual lengths, with others between them.
func randomTemplate(r *rand.Rand, version uint16) []byte {
	type spec struct{ id, n int }
	pick := func(n ...int) int { return n[r.IntN(len(n))] }
	often := func() bool { return r.IntN(10) > 0 }
	var fields []spec
	add := func(likely bool, id, n int) {
		if likely {
			fields = append(fields, spec{id, n})
		}
	}
	six := r.IntN(2) == 0
	add(often() != six, 8, 4)
	add(often() != six, 12, 4)
	add(often() == six, 27, 16)
	add(often() == six, 28, 16)
	add(often(), 7, 2)
	add(often(), 11, 2)
	add(often(), 4, 1)
	add(often(), 6, pick(1, 1, 2))
	add(often(), 2, pick(4, 8, 3))
	add(often(), 1, pick(4, 8, 5))
	add(often(), 10, pick(2, 4, 1))
	add(often(), 14, pick(2, 4, 8))
	if version == VersionIX && r.IntN(2) == 0 {
		add(often(), 152, 8)
		add(often(), 153, 8)
	} else {
		add(often(), 22, 4)
		add(often(), 21, 4)
	}
	for _, s := range []spec{
		{34, 4}, {34, 2}, {50, 4}, {302, 2}, {311, 8}, {305, 4}, {306, 4}, {89, 1}, {89, 4}, {61, 1}, {88, 2}, {233, 1}, {239, 1},
		{58, 2}, {243, 2}, {254, 2}, {252, 4}, {253, 4}, {32, 2}, {176, 1}, {177, 1}, {139, 2}, {23, 4}, {24, 4}, {85, 8}, {161, 4},
		{162, 4}, {150, 4}, {151, 4}, {160, 8}, {323, 8}, {5, 1}, {9, 1}, {136, 1}, {95, 4}, {231, 4}, {232, 4}, {298, 4}, {299, 4},
	} {
		add(r.IntN(8) == 0, s.id, s.n)
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 256), uint16(len(fields)))
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, uint16(f.id)), uint16(f.n))
	}
	return b
}

// dirtyFlow is a flow in which everything must be overwritten.
func dirtyFlow() weir.Flow {
	p := netip.MustParseAddrPort("[2001:db8::9]:9")
	return weir.Flow{
		Start: 9, End: 9, Src: p, Dst: p, Packets: 9, Bytes: 9, RevPackets: 9, RevBytes: 9, Sampling: 9, InputIf: 9, OutputIf: 9, Domain: 9,
		Exporter: p.Addr(), VLAN: 9, TCPFlags: 9, RevTCPFlags: 9, Proto: 9, Known: 255, SamplingSource: 5, Action: 2, Initiator: 2, Format: 9,
	}
}

// TestDirtyFlow proves that dirtyFlow leaves no field of a flow out.
func TestDirtyFlow(t *testing.T) {
	v := reflect.ValueOf(dirtyFlow())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is zero", v.Type().Field(i).Name)
		}
	}
}

// TestPlainIsGeneral holds the one loop for the common fields against the
// operations one by one, on random templates and records.
func TestPlainIsGeneral(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	plains, ordered := 0, 0
	for i := range 6000 {
		version := [...]uint16{Version9, VersionIX}[i%2]
		tpl, _, reason := parseTemplate(version, randomTemplate(r, version), false)
		if reason == ReasonTemplateEmpty {
			continue
		}
		if reason != "" {
			t.Fatal(reason)
		}
		if tpl.plain != nil {
			plains++
			if tpl.plain.ordered {
				ordered++
			}
		}
		n := 1 + r.IntN(5)
		data := make([]byte, n*tpl.length)
		for j := range data {
			switch r.IntN(3) {
			case 0:
				data[j] = byte(r.UintN(256))
			case 1:
				data[j] = [...]byte{0, 0, 1, 6, 17, 58, 255}[r.IntN(7)]
			}
		}
		s := &domain{key: domainKey{exporter: netip.MustParseAddr("192.0.2.7"), domain: 7, version: version}}
		if r.IntN(3) == 0 {
			s.sampling.setInterface(0, 77)
			s.sampling.setInterface(1, 78)
		}
		if r.IntN(3) == 0 {
			s.sampling.wide = 64
		}
		m := &message{version: version, domain: 7, exportTime: 1_760_000_000 * second, uptime: r.Uint32(), received: 1, configured: 5}
		if r.IntN(4) == 0 {
			m.forced = 100
		}
		got, want := make([]weir.Flow, n), make([]weir.Flow, n)
		for j := range got {
			got[j] = dirtyFlow()
		}
		s.exec(tpl, m, data, tpl.length, got)
		general := *tpl
		general.plain = nil
		s.exec(&general, m, data, tpl.length, want)
		for j := range got {
			if got[j] != want[j] {
				t.Fatalf("template %d, version %d, %x\nrecord %x\ngot  %+v\nwant %+v", i, version, tpl.raw, data[j*tpl.length:(j+1)*tpl.length], got[j], want[j])
			}
		}
	}
	if plains < 1000 || ordered < 200 || ordered == plains {
		t.Errorf("%d of the templates are plain, %d of them in order", plains, ordered)
	}
}

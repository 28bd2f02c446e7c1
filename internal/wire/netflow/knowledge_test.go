package netflow_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// TestKnowledge: another decoder that learns what one knew decodes alike.
func TestKnowledge(t *testing.T) {
	for _, version := range []uint16{v9, ipx} {
		d := netflow.New(netflow.DefaultConfig())
		fields := small(spec{id: 302, n: 1}, spec{id: 82, n: anyN})
		mustDecode(t, d, head(version, 0).template(256, fields...).template(257, small()...).
			options(300, 1, spec{id: 1, n: 1}, spec{id: 302, n: 2}, spec{id: 34, n: 4}).set(300, be(1, 0), be(2, 3), be(4, 40), be(1, 0), be(2, 4), be(4, 50)).
			options(301, 1, spec{id: 41, n: 4}, spec{id: 34, n: 4}, spec{id: 160, n: 8}).set(301, be(4, 0), be(4, 20), be(8, 5000)))
		text, err := json.Marshal(d.Knowledge())
		if err != nil {
			t.Fatal(err)
		}
		var known []netflow.Knowledge
		if err := json.Unmarshal(text, &known); err != nil || len(known) != 1 {
			t.Fatalf("%v: %s", err, text)
		}
		other := netflow.New(netflow.DefaultConfig())
		if err := other.Learn(known[0], 5); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.Knowledge(), other.Knowledge(), sameFlow); diff != "" {
			t.Error(diff)
		}
		m := head(version, 1).set(256, smallRecord([]byte{4}, long([]byte("x"), false))).set(257, smallRecord())
		want, got := mustDecode(t, d, m), mustDecode(t, other, m)
		if diff := cmp.Diff(want, got, sameFlow); diff != "" || len(got) != 2 {
			t.Error(diff)
		}
		if got[0].Sampling != 50 || got[1].Sampling != 20 || got[1].SamplingSource != weir.SamplingOptions {
			t.Errorf("%+v", got)
		}
		// What came since is newer.
		mustDecode(t, other, head(version, 2).template(257, small(spec{id: 2, n: 4})...))
		if err := other.Learn(known[0], 6); err != nil {
			t.Fatal(err)
		}
		if got := mustDecode(t, other, head(version, 3).set(257, smallRecord(be(4, 9)))); len(got) != 1 || got[0].Packets != 9 {
			t.Errorf("%+v", got)
		}
	}
}

func TestKnowledgeMalformed(t *testing.T) {
	good := cat(be(2, 256), be(2, 2), be(2, 8), be(2, 4), be(2, 12), be(2, 4))
	for name, k := range map[string]netflow.Knowledge{
		"version":    {Version: 5},
		"cut":        {Version: 10, Templates: [][]byte{good[:9], good}},
		"too long":   {Version: 10, Templates: [][]byte{append(slices.Clip(good), 0), good}},
		"withdrawal": {Version: 10, Templates: [][]byte{{1, 0, 0, 0}, good}},
		"empty":      {Version: 10, Templates: [][]byte{nil, good}},
		"no scope":   {Version: 10, Templates: [][]byte{good}, Options: [][]byte{cat(be(2, 300), be(2, 1), be(2, 0), be(2, 34), be(2, 4))}},
	} {
		d := netflow.New(netflow.DefaultConfig())
		k.Exporter = netip.MustParseAddr("192.0.2.1")
		if err := d.Learn(k, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
		if s := d.Stats(); k.Version == 10 && (s.Templates != 1 || s.TemplatesRejected != 1) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

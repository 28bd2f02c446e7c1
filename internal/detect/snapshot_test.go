package detect

import (
	"errors"
	"slices"
	"testing"

	"github.com/weir-net/weir"
)

// TestPartsAreRestoredIntoAnyNumberOfDetectors is property P24 for a process
// that starts again with more or fewer shards.
func TestPartsAreRestoredIntoAnyNumberOfDetectors(t *testing.T) {
	cs := mixture()
	slices.SortFunc(cs, byEnd)
	half := len(cs) / 2
	fresh := func(n int) []*Detector {
		var out []*Detector
		for range n {
			d, err := New(DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, d)
		}
		return out
	}
	play := func(ds []*Detector, cs []weir.Contact, report func(weir.Finding)) {
		for i := range cs {
			ds[cs[i].Resource.Key()%uint64(len(ds))].Observe(cs[i : i+1])
		}
		for _, d := range ds {
			d.Close(cs[len(cs)-1].End-nanos(DefaultConfig().Lateness), report)
		}
	}
	run := func(n, then int) []weir.Finding {
		var out []weir.Finding
		report := func(f weir.Finding) { out = append(out, f) }
		ds := fresh(n)
		play(ds, cs[:half], report)
		if then > 0 {
			var parts [][]byte
			for _, d := range ds {
				b, err := d.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, b)
			}
			closed, _ := ds[0].ClosedTo()
			ds = fresh(then)
			if err := RestoreAll(parts, ds, func(key uint64) int { return int(key % uint64(then)) }); err != nil {
				t.Fatal(err)
			}
			if end, ok := ds[then-1].ClosedTo(); !ok || end != closed {
				t.Errorf("closed to %d %v after, %d before", end, ok, closed)
			}
		}
		play(ds, cs[half:], report)
		for _, d := range ds {
			d.Flush(report)
			if d.Stats().Late > 0 {
				t.Errorf("%d late", d.Stats().Late)
			}
		}
		slices.SortStableFunc(out, CompareFindings)
		return out
	}
	want := run(1, 0)
	for _, x := range [][2]int{{1, 3}, {3, 1}, {2, 7}} {
		got := run(x[0], x[1])
		if len(got) != len(want) {
			t.Fatalf("%d to %d detectors: %d findings, want %d", x[0], x[1], len(got), len(want))
		}
		for i := range got {
			if CompareFindings(got[i], want[i]) != 0 || got[i].Observed != want[i].Observed || got[i].Surprise != want[i].Surprise {
				t.Errorf("%d to %d detectors: finding %d is %s %s, want %s %s", x[0], x[1], i, got[i].Type, got[i].Key, want[i].Type, want[i].Key)
			}
		}
	}
}

func TestRestoreAllRefusesPartsThatDoNotBelongTogether(t *testing.T) {
	cs := mixture()
	slices.SortFunc(cs, byEnd)
	var parts [][]byte
	for _, n := range []int{len(cs) / 3, len(cs)} {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		d.Observe(cs[:n])
		d.Close(cs[n-1].End, func(weir.Finding) {})
		b, err := d.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, b)
	}
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][][]byte{"times": parts, "resources": {parts[0], parts[0]}} {
		if err := RestoreAll(list, []*Detector{d}, func(uint64) int { return 0 }); !errors.Is(err, ErrState) {
			t.Errorf("other %s: %v, want ErrState", name, err)
		}
	}
	if _, ok := d.ClosedTo(); ok || d.Stats().Resources != 0 {
		t.Error("an error changed the detector")
	}
}

// FuzzRestore gives detectors damaged states: they are refused or taken, and
// nothing falls over on the way.
func FuzzRestore(f *testing.F) {
	cs := mixture()
	slices.SortFunc(cs, byEnd)
	for _, n := range []int{0, 3} {
		d, err := New(DefaultConfig())
		if err != nil {
			f.Fatal(err)
		}
		d.Observe(cs[:n])
		if n > 0 {
			d.Close(cs[1].End, func(weir.Finding) {})
		}
		b, err := d.Snapshot()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := RestoreAll([][]byte{b}, []*Detector{a, o}, func(key uint64) int { return int(key % 2) }); err != nil {
			if !errors.Is(err, ErrState) {
				t.Errorf("%v is no ErrState", err)
			}
			return
		}
		if _, err := a.Snapshot(); err != nil {
			t.Error(err)
		}
	})
}

package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
)

// inventoryFile protects the resources of world.
func inventoryFile(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("resources:\n")
	for i := range 12 {
		fmt.Fprintf(&b, "  - {id: vm-%02d, kind: virtual-machine, addresses: [%v], listeners: [{port: 22, service: ssh}]}\n", i, own(i))
	}
	name := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func flowFile(t *testing.T, name string, flows []weir.Flow) string {
	t.Helper()
	var b bytes.Buffer
	w, err := NewFlowWriter(&b, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(flows), w.Flush(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return name
}

// days is the traffic of determinism_test on two days, with attacks that run
// through the night: one that goes on and one that ends half an hour before the
// second day begins.
func days() []weir.Flow {
	one := traffic()
	out := slices.Clone(one)
	const day = int64(24 * time.Hour)
	for i := range one {
		f := one[i]
		f.Start, f.End = f.Start+day, f.End+day
		out = append(out, f)
	}
	night := one[slices.IndexFunc(one, func(f weir.Flow) bool { return f.Dst.Port() == 22 })]
	for i := range 1500 {
		f := night
		f.Start = start + int64(10*time.Hour) + int64(i)*int64(40*time.Second)
		f.End = f.Start + int64(2*time.Second)
		f.Src = addrPort(204, i%20000+30000)
		f.Dst = addrPortOf(own(9), 22)
		out = append(out, f)
		if i < 500 {
			f.Src, f.Dst = addrPort(205, i+30000), addrPortOf(own(10), 22)
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b weir.Flow) int { return int(a.End - b.End) })
	return out
}

// detectFiles runs the detection and returns the final state of the alerts
// that are told, by id.
func detectFiles(t *testing.T, o Offline, shards int) (map[string]string, map[string]weir.Alert, Summary) {
	t.Helper()
	c := config.Default()
	c.Detect.Shards = shards
	o.Config = &c
	d, err := NewDetection(o)
	if err != nil {
		t.Fatal(err)
	}
	final := NewFinal()
	if err := d.Run(context.Background(), func(a weir.Alert, _ Change) error { final.Add(a); return nil }); err != nil {
		t.Fatal(err)
	}
	text, alerts := map[string]string{}, map[string]weir.Alert{}
	for _, a := range final.Alerts() {
		if !d.News(&a) {
			continue
		}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		text[a.ID], alerts[a.ID] = string(b), a
	}
	return text, alerts, d.Summary()
}

// TestTwoRunsTellWhatOneTells cuts the input at quiet and at busy times: after
// the cut the second run tells every alert that got evidence, in exactly the
// state that one run over everything gives it, and nothing else.
func TestTwoRunsTellWhatOneTells(t *testing.T) {
	dir := t.TempDir()
	flows := days()
	o := Offline{Inventory: []string{inventoryFile(t, dir)}}
	o.Files = []string{flowFile(t, filepath.Join(dir, "all"), flows)}
	want, wantAlerts, _ := detectFiles(t, o, 2)
	if len(want) < 8 {
		t.Fatalf("only %d alerts: the test proves less than it should", len(want))
	}
	for _, cut := range []struct {
		at           time.Duration
		shards, then int
	}{
		{14 * time.Hour, 2, 1}, {14*time.Hour + 31*time.Minute + 7*time.Second, 1, 7}, {45 * time.Minute, 7, 2}, {25*time.Hour + 40*time.Minute, 2, 2},
	} {
		t.Run(cut.at.String(), func(t *testing.T) {
			dir := t.TempDir()
			n, _ := slices.BinarySearchFunc(flows, start+int64(cut.at), func(f weir.Flow, at int64) int { return int(f.End - at) })
			first, second := o, o
			first.Files, first.SaveBaseline = []string{flowFile(t, filepath.Join(dir, "1"), flows[:n])}, dir
			second.Files, second.Baseline = []string{flowFile(t, filepath.Join(dir, "2"), flows[n:])}, dir
			_, told, _ := detectFiles(t, first, cut.shards)
			got, _, sum := detectFiles(t, second, cut.then)
			if sum.Older+sum.Late != 0 {
				t.Errorf("%d flows were older than the baseline, %d late", sum.Older, sum.Late)
			}
			rest := map[string]string{}
			for id, text := range want {
				if a, ok := told[id]; !ok || wantAlerts[id].Last > a.Last {
					rest[id] = text
				}
			}
			if len(rest) == 0 || len(rest) == len(want) && cut.at > 2*time.Hour {
				t.Errorf("the second run is to tell %d of %d alerts: the cut proves nothing", len(rest), len(want))
			}
			if d := cmp.Diff(rest, got); d != "" {
				t.Errorf("one run over everything (-), two runs (+):\n%.4000s", d)
			}
		})
	}
}

func TestBaselineOfManyRuns(t *testing.T) {
	dir := t.TempDir()
	flows := days()
	o := Offline{Inventory: []string{inventoryFile(t, dir)}}
	o.Files = []string{flowFile(t, filepath.Join(dir, "all"), flows)}
	want, _, _ := detectFiles(t, o, 1)
	got := map[string]string{}
	o.SaveBaseline = filepath.Join(dir, "new", "learnt") // is made
	for i := range 5 {
		part := flows[len(flows)*i/5 : len(flows)*(i+1)/5]
		o.Files = []string{flowFile(t, filepath.Join(dir, "part"), part)}
		told, _, _ := detectFiles(t, o, 1+i%3)
		maps.Copy(got, told)
		o.Baseline = o.SaveBaseline
	}
	for id, text := range want {
		if d := cmp.Diff(text, got[id]); d != "" {
			t.Errorf("%s: one run (-), five runs (+):\n%s", id, d)
		}
	}
}

func TestFlowsOlderThanTheBaselineAreCounted(t *testing.T) {
	dir := t.TempDir()
	flows := traffic()
	o := Offline{Inventory: []string{inventoryFile(t, dir)}, SaveBaseline: dir}
	o.Files = []string{flowFile(t, filepath.Join(dir, "all"), flows)}
	_, _, _ = detectFiles(t, o, 1)
	o.Baseline, o.SaveBaseline = dir, ""
	got, _, sum := detectFiles(t, o, 3)
	newest := flows[0].Start
	for i := range flows {
		newest = max(newest, flows[i].Start)
	}
	until := newest - int64(ingest.FileSlack)
	until -= mod(until, int64(time.Minute))
	older := uint64(0)
	for i := range flows {
		if flows[i].End < until {
			older++
		}
	}
	if sum.Older != older || sum.Late != 0 {
		t.Errorf("%d flows older than the baseline and %d late, want %d and none", sum.Older, sum.Late, older)
	}
	if len(got) != 0 {
		t.Errorf("the same input again raised %d alerts", len(got))
	}
}

// someLearnt is a baseline of some flows, with something in all of its parts.
func someLearnt(t testing.TB, flows []weir.Flow) *learnt {
	t.Helper()
	c := config.Default()
	rules := c.Rules()
	tt, ok := t.(*testing.T)
	if !ok {
		tt = &testing.T{}
	}
	p, err := newPipeline(rules, 2, world(tt), func(change) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	p.feed(weir.Batch{Flows: flows})
	l, err := p.learnt(rules, ingest.FileSlack)
	if err != nil {
		t.Fatal(err)
	}
	l.told["x"] = 7
	return l
}

func TestBaselineFilesThatCannotBeUsed(t *testing.T) {
	data, err := someLearnt(t, traffic()).encode()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	resum := func(b []byte) []byte {
		sum := sha256.Sum256(b[:len(b)-sha256.Size])
		return append(slices.Clone(b[:len(b)-sha256.Size]), sum[:]...)
	}
	flipped := slices.Clone(data)
	flipped[len(data)/2] ^= 1
	wide := c.Rules()
	wide.Pane = 2 * time.Minute
	for _, x := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "is no baseline", nil},
		{"foreign", "is no baseline", []byte("PK\x03\x04 something else\n")},
		{"newer", "has version 2, this program reads 1", resum(bytes.Replace(data, []byte("baseline 1"), []byte("baseline 2"), 1))},
		{"cut", "checksum does not match", data[:len(data)-1]},
		{"cut short", "it is cut", data[:20]},
		{"flipped", "checksum does not match", flipped},
		{"body", "is damaged", resum(flipped)},
		{"lengths", "other lengths", resum(bytes.Replace(data, []byte(`"sections":[`), []byte(`"sections":[1`), 1))},
		{"pane", "was learnt with detect.pane 2m0s", resum(bytes.Replace(data, []byte(`"pane":"1m0s"`), []byte(`"pane":"2m0s"`), 1))},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, BaselineFile)
			if err := os.WriteFile(name, x.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readLearnt(dir, c.Rules())
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "without --baseline") {
				t.Errorf("%v, want an *InvalidError with %q", err, x.want)
			}
		})
	}
	if _, err := readLearnt(t.TempDir(), c.Rules()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--save-baseline") {
		t.Errorf("an empty directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var invalid *InvalidError
	if _, err := readLearnt(file, c.Rules()); !errors.As(err, &invalid) {
		t.Errorf("a file for a directory: %v", err)
	}
}

func TestBaselineFileIsWrittenWhole(t *testing.T) {
	dir := t.TempDir()
	l := someLearnt(t, traffic())
	for range 2 {
		if err := l.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v %v, want one file", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v, want 0600", info.Mode(), err)
	}
	c := config.Default()
	got, err := readLearnt(dir, c.Rules())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.book, l.book) || len(got.detectors) != 2 || !bytes.Equal(got.detectors[1], l.detectors[1]) || got.told["x"] != 7 || !got.meta.Until.Equal(l.meta.Until) || got.meta.Resources != 12 {
		t.Errorf("read %+v, wrote %+v", got.meta, l.meta)
	}
	if err := l.write(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("written to a directory that is not there")
	}
}

// FuzzBaselineFile gives the reader files that are damaged behind a checksum
// that fits.
func FuzzBaselineFile(f *testing.F) {
	c := config.Default()
	rules := c.Rules()
	p, err := newPipeline(rules, 1, &knowledge{}, func(change) {})
	if err != nil {
		f.Fatal(err)
	}
	l, err := p.learnt(rules, ingest.FileSlack)
	if err != nil {
		f.Fatal(err)
	}
	for _, l := range []*learnt{l, someLearnt(f, traffic()[:30])} {
		data, err := l.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:len(data)-sha256.Size])
	}
	f.Add([]byte("weir-baseline 1\n{\"sections\":[9223372036854775807,1,1]}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		l, err := decodeLearnt(append(slices.Clone(body), sum[:]...))
		if err != nil {
			return
		}
		p, err := newPipeline(rules, 2, &knowledge{}, func(change) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		_ = p.adopt(l)
	})
}

func addrPortOf(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func addrPort(last byte, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, last}), uint16(port))
}

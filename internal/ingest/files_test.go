package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"

	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/weir-net/weir"
	"go.yaml.in/yaml/v3"
)

// rows returns a CSV file of n flows, a minute apart from the offset.
func rows(n int, offset time.Duration) []byte {
	var b bytes.Buffer
	b.WriteString("start,end,src,dst,srcPort,dstPort,proto,packets\n")
	for i := range n {
		s := time.Unix(0, at(offset+time.Duration(i)*time.Minute)).UTC()
		fmt.Fprintf(&b, "%s,%s,198.51.100.7,203.0.113.10,%d,22,6,3\n", s.Format(time.RFC3339Nano), s.Add(time.Second).Format(time.RFC3339Nano), 1024+i)
	}
	return b.Bytes()
}

func zipped(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts { // every part a member of its own
		w := gzip.NewWriter(&b)
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// put writes files into a new directory and returns their paths in order.
func put(t *testing.T, contents ...[]byte) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i, c := range contents {
		p := filepath.Join(dir, fmt.Sprintf("input-%d", i))
		if err := os.WriteFile(p, c, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// result is what a run of files gave.
type result struct {
	flows []weir.Flow
	marks []int64 // after each batch
	late  int     // flows that end before the watermark before them
	Report
}

func read(t *testing.T, c FileConfig, paths ...string) result {
	t.Helper()
	f, err := NewFiles(paths, c)
	if err != nil {
		t.Fatal(err)
	}
	return run1(t, f)
}

func run1(t *testing.T, f *Files) result {
	t.Helper()
	var r result
	mark := int64(0)
	err := f.Run(t.Context(), func(b weir.Batch) error {
		for i := range b.Flows {
			if b.Flows[i].End < mark {
				r.late++
			}
		}
		if b.Watermark < mark {
			t.Errorf("the watermark falls by %v", time.Duration(mark-b.Watermark))
		}
		mark = b.Watermark
		r.flows, r.marks = append(r.flows, b.Flows...), append(r.marks, mark)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Report = f.Report()
	if p := f.Progress(); p.Flows != int64(len(r.flows)) || p.Index != p.Count {
		t.Errorf("progress %+v after %d flows", p, len(r.flows))
	}
	return r
}

func TestFilesCompression(t *testing.T) {
	half, rest := rows(1700, 0), rows(300, 1700*time.Minute)
	rest = rest[bytes.IndexByte(rest, '\n')+1:]
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(append(slices.Clone(half), rest...))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"plain": append(slices.Clone(half), rest...), "gzip of two members": zipped(t, half, rest), "zstd": z.Bytes(),
	} {
		paths := put(t, content)
		r := read(t, FileConfig{}, paths...)
		if len(r.flows) != 2000 || r.Incomplete() || r.late != 0 || r.Files[0].Format != weir.FormatCSV || r.Files[0].Flows != 2000 {
			t.Errorf("%s: %d flows, %d late, %+v", name, len(r.flows), r.late, r.Files)
		}
		if first := r.marks[0]; first < at(400*time.Minute) || first > at(1000*time.Minute+time.Second) {
			t.Errorf("%s: first watermark %v", name, time.Duration(first-t0))
		}
	}
}

func TestFilesCut(t *testing.T) {
	whole := zipped(t, rows(20000, 0))
	for name, cut := range map[string][]byte{
		"gzip cut in the middle":  whole[:len(whole)/2],
		"gzip cut in its trailer": whole[:len(whole)-4],
		"gzip damaged":            append(append(slices.Clone(whole[:len(whole)/2]), "damage damage damage"...), whole[len(whole)/2:]...),
		"garbage behind gzip":     append(slices.Clone(whole), "trailing garbage"...),
	} {
		paths := put(t, cut, rows(5, 30000*time.Minute))
		r := read(t, FileConfig{}, paths...)
		a, b := r.Files[0], r.Files[1]
		if a.Cut == nil || a.Flows < 100 || a.CutAt == 0 || !r.Incomplete() {
			t.Errorf("%s: %+v", name, a)
		}
		if b.Cut != nil || b.Flows != 5 {
			t.Errorf("%s: the next file: %+v", name, b)
		}
		if name == "gzip cut in the middle" && !errors.Is(a.Cut, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v is no unexpected end", name, a.Cut)
		}
	}
	r := read(t, FileConfig{}, put(t, []byte{0x1f, 0x8b, 8})...) // in its header
	if r.Files[0].Cut == nil || !r.Incomplete() {
		t.Errorf("cut in the gzip header: %+v", r.Files[0])
	}
}

func TestFilesRefused(t *testing.T) {
	paths := put(t, []byte("what is this?\n"), []byte("\x0c\xa5\x01\x00\x00\x00\x00\x00"), []byte("PAR1"), rows(1, 0))
	for _, c := range []struct {
		name  string
		paths []string
		c     FileConfig
		is    error
		says  []string
	}{
		{"no files", nil, FileConfig{}, nil, []string{"no input files"}},
		{"missing", []string{"not/there"}, FileConfig{}, fs.ErrNotExist, []string{"not/there: cannot be opened"}},
		{"directory", []string{filepath.Dir(paths[0])}, FileConfig{}, nil, []string{"is a directory"}},
		{"unknown", paths[:1], FileConfig{}, ErrFormat, []string{paths[0], `"what is this?"`, "--format"}},
		{"nfdump", paths[1:2], FileConfig{}, ErrUnsupported, []string{paths[1], "nfdump"}},
		{"parquet", paths[2:3], FileConfig{}, ErrUnsupported, []string{"parquet"}},
		{"nfdump by name", paths[3:], FileConfig{Format: weir.FormatNfdump}, ErrUnsupported, []string{"nfdump"}},
		{"several at once", []string{"not/there", paths[0]}, FileConfig{}, ErrFormat, []string{"not/there", paths[0]}},
		{"stdin twice", []string{"-", "-"}, FileConfig{}, nil, []string{"twice"}},
		{"lateness", paths[3:], FileConfig{Lateness: -1}, nil, []string{"lateness"}},
	} {
		_, err := NewFiles(c.paths, c.c)
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q does not say %q", c.name, err, s)
			}
		}
	}
	_, err := NewFiles(paths[:1], FileConfig{})
	var fe *FileError
	if !errors.As(err, &fe) || fe.Path != paths[0] {
		t.Errorf("%v names no file", err)
	}
}

func TestFilesEmpty(t *testing.T) {
	r := read(t, FileConfig{}, put(t, nil, rows(3, 0), zipped(t, nil))...)
	if len(r.flows) != 3 || r.Incomplete() {
		t.Errorf("%d flows, %+v", len(r.flows), r.Files)
	}
}

func TestFilesStdin(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"at once":      bytes.NewReader(zipped(t, rows(50, 0))),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(rows(50, 0))),
	} {
		f, err := NewFiles([]string{"-"}, FileConfig{})
		if err != nil {
			t.Fatal(err)
		}
		f.stdin = in
		if r := run1(t, f); len(r.flows) != 50 || r.Files[0].Format != weir.FormatCSV {
			t.Errorf("%s: %d flows, %+v", name, len(r.flows), r.Files)
		}
		if p := f.Progress(); p.Total != 0 || p.Bytes == 0 {
			t.Errorf("%s: progress %+v", name, p)
		}
	}
	f, err := NewFiles([]string{"-"}, FileConfig{})
	if err != nil {
		t.Fatal(err)
	}
	f.stdin = strings.NewReader("no flows here\n")
	if err := f.Run(t.Context(), nil); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown content on stdin: %v", err)
	}
}

// Files over the same time in any order make no flow late.
func TestFilesOverlap(t *testing.T) {
	paths := put(t, rows(3000, 0), rows(2000, 10*time.Minute), rows(3000, -time.Hour), rows(2000, 5000*time.Minute))
	r := read(t, FileConfig{}, paths...)
	if len(r.flows) != 10000 || r.late != 0 {
		t.Errorf("%d flows, %d late", len(r.flows), r.late)
	}
	if first := r.marks[0]; first != at(-time.Hour+time.Second) {
		t.Errorf("first watermark %v, want the first flow of the third file", time.Duration(first-t0))
	}
	if !slices.Contains(r.marks, at(5000*time.Minute+time.Second)) {
		t.Error("behind the overlap the watermark does not reach the last file")
	}
	if r := read(t, FileConfig{NoWatermarks: true}, paths...); len(r.flows) != 10000 || r.marks[len(r.marks)-1] != 0 {
		t.Errorf("without watermarks: %d flows, %v", len(r.flows), r.marks)
	}
}

// A log may be sorted by anything.
func TestFilesAnyOrder(t *testing.T) {
	lines := bytes.SplitAfter(rows(5000, 0), []byte("\n"))
	header, body := lines[0], lines[1:]
	slices.Reverse(body)
	r := read(t, FileConfig{}, put(t, append(slices.Clone(header), bytes.Join(body, nil)...))...)
	if len(r.flows) != 5000 || r.late != 0 {
		t.Errorf("%d flows, %d late", len(r.flows), r.late)
	}
}

// Flow export is read once: the watermark follows the newest start.
func TestFilesSlack(t *testing.T) {
	var file []byte
	start := time.Unix(0, t0)
	for i := range 3000 {
		file = append(file, v5(start.Add(time.Duration(i)*time.Minute), uint32(i), "10.0.0.1", "10.0.0.2")...)
	}
	for _, slack := range []time.Duration{0, time.Hour} {
		r := read(t, FileConfig{Lateness: slack}, put(t, file)...)
		newest := r.flows[len(r.flows)-1].Start
		if last := r.marks[len(r.marks)-1]; r.late != 0 || last != newest-int64(max(slack, FileSlack)) {
			t.Errorf("lateness %v: %d late, last watermark %v behind", slack, r.late, time.Duration(newest-last))
		}
	}
}

func TestFilesSampling(t *testing.T) {
	plain := rows(1, 0)
	told := []byte("start,end,src,dst,proto,sampling,samplingSource,exporter\n" +
		"2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,10.0.0.1,10.0.0.2,6,100,record,192.0.2.1\n" +
		"2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,10.0.0.1,10.0.0.2,6,0,unknown,192.0.2.1\n")
	paths := put(t, plain, told)
	check := func(name string, c FileConfig, want ...string) {
		t.Helper()
		var got []string
		for _, f := range read(t, c, paths...).flows {
			got = append(got, fmt.Sprintf("%d %v", f.Sampling, f.SamplingSource))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	check("nothing named", FileConfig{}, "1 format", "100 record", "0 unknown")
	check("flag", FileConfig{Sampling: 512}, "512 flag", "100 record", "512 flag")
	rule := func(force bool) func(a netip.Addr) (uint32, bool) {
		return func(netip.Addr) (uint32, bool) { return 64, force }
	}
	check("rule", FileConfig{SamplingFor: rule(false)}, "1 format", "100 record", "64 config")
	check("forced rule", FileConfig{SamplingFor: rule(true)}, "1 format", "64 config", "64 config")
	check("flag over rule", FileConfig{SamplingFor: rule(false), Sampling: 512}, "512 flag", "100 record", "512 flag")
}

func TestFilesIPFIX(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	data := func(seq uint32) []byte {
		return dataMessage(now, seq, record("198.51.100.7", "203.0.113.10", 40000, 22, now.Add(-time.Second), now),
			record("198.51.100.8", "203.0.113.10", 40001, 22, now.Add(-time.Second), now))
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name       string
		files      [][]byte
		flows      int
		incomplete bool
		says       string
	}{
		{"one file", [][]byte{join(templateMessage(now), data(0), data(2))}, 4, false, ""},
		{"templates in a file of their own", [][]byte{templateMessage(now), data(0)}, 2, false, ""},
		{"templates behind the data", [][]byte{data(0), templateMessage(now)}, 2, false, ""},
		{"no template at all", [][]byte{data(0)}, 0, true, ""},
		{"cut", [][]byte{join(templateMessage(now), data(0), data(2)[:40])}, 2, true, "40 of"},
		{"cut in a header", [][]byte{join(templateMessage(now), data(0), data(2)[:3])}, 2, true, "after 3 bytes"},
		{"garbage between", [][]byte{join(templateMessage(now), data(0), []byte("garbage"), data(2))}, 2, true, "message at byte"},
		{"NetFlow v5", [][]byte{join(v5(now, 0, "10.0.0.1", "10.0.0.2"), v5(now, 1, "10.0.0.1", "10.0.0.2"))}, 2, false, ""},
	} {
		r := read(t, FileConfig{}, put(t, c.files...)...)
		says := ""
		for _, f := range r.Files {
			if f.Cut != nil {
				says += f.Cut.Error()
			}
		}
		if len(r.flows) != c.flows || r.Incomplete() != c.incomplete || (c.says == "") != (says == "") || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d flows, incomplete %v, %q", c.name, len(r.flows), r.Incomplete(), says)
		}
	}
}

// Files name no exporter, so what one tells about interfaces does not hold for
// the next.
func TestFilesEgress(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	template := []byte{1, 0, 0, 4, 0, 8, 0, 4, 0, 12, 0, 4, 0, 10, 0, 4, 0, 61, 0, 1}
	metered := func(directions ...byte) []byte {
		var b []byte
		for _, d := range directions {
			b = append(b, 198, 51, 100, 7, 203, 0, 113, 10, 0, 0, 0, 1, d)
		}
		return append(ipfix(now, 0, 2, template), ipfix(now, 0, 256, b)...)
	}
	for _, c := range []struct {
		name         string
		files        [][]byte
		flows, whole int
	}{
		{"one file", [][]byte{metered(1, 0, 1, 1)}, 2, 4},
		{"two files", [][]byte{metered(0, 1), metered(1, 0, 1)}, 3, 5},
	} {
		paths := put(t, c.files...)
		r, all := read(t, FileConfig{}, paths...), read(t, FileConfig{KeepEgress: true}, paths...)
		if len(r.flows) != c.flows || len(all.flows) != c.whole || r.NetFlow.EgressRepeated != uint64(c.whole-c.flows) || all.NetFlow.EgressRepeated != 0 {
			t.Errorf("%s: %d flows, %d repeated, %d in all", c.name, len(r.flows), r.NetFlow.EgressRepeated, len(all.flows))
		}
	}
}

func TestFilesCancelled(t *testing.T) {
	paths := put(t, rows(5000, 0))
	f, err := NewFiles(paths, FileConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = f.Run(ctx, func(b weir.Batch) error { n += len(b.Flows); cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n == 0 || n >= 5000 {
		t.Errorf("%d flows, %v", n, err)
	}
	f, err = NewFiles(paths, FileConfig{})
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if err := f.Run(t.Context(), func(weir.Batch) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("emit failed: %v", err)
	}
}

// dataCase is what this test needs of a case of the real data.
type dataCase struct {
	Files    []string  `yaml:"files"`
	Format   string    `yaml:"format"`
	Sampling uint32    `yaml:"sampling"`
	Flows    yaml.Node `yaml:"flows"`
	Exit     []int     `yaml:"exit"`
}

// Every case of the real data gives the number of flows that it names, with the
// format told from the content.
func TestRealData(t *testing.T) {
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	cases, _ := filepath.Glob(filepath.Join(dir, "*", "case*.yaml"))
	if len(cases) == 0 {
		t.Skipf("no real data in %s; set WEIR_DATA", dir)
	}
	for _, path := range cases {
		name, _ := filepath.Rel(dir, path)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var c dataCase
			if err := yaml.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			low, high := int64(0), int64(0)
			if c.Flows.Kind == yaml.SequenceNode {
				_ = c.Flows.Content[0].Decode(&low)
				_ = c.Flows.Content[1].Decode(&high)
			} else {
				_ = c.Flows.Decode(&low)
				high = low
			}
			var files []string
			for _, f := range c.Files {
				files = append(files, filepath.Join(filepath.Dir(path), f))
			}
			f, err := NewFiles(files, FileConfig{Sampling: c.Sampling})
			if c.Format == "nfdump" && errors.Is(err, ErrUnsupported) {
				t.Skip("nfdump is not supported yet")
			}
			if err != nil {
				t.Fatal(err)
			}
			r := run1(t, f)
			if n := int64(len(r.flows)); n < low || n > high || r.late > 0 {
				t.Errorf("%d flows, want %d to %d; %d late", n, low, high, r.late)
			}
			if len(c.Exit) == 0 && r.Incomplete() {
				t.Errorf("incomplete: %+v", r.Files)
			}
			for _, x := range r.Files {
				if x.Format.String() != c.Format {
					t.Errorf("%s: taken for %v, is %s", x.Path, x.Format, c.Format)
				}
			}
		})
	}
}

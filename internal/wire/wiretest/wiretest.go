// Package wiretest is what the tests of the readers of files share: reading to
// the end, the rules that every flow keeps, and the labelled data sets.
package wiretest

import (
	"compress/gzip"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"go.yaml.in/yaml/v3"
)

// Reader is the shape of all readers of files.
type Reader interface {
	Read(dst []weir.Flow) ([]weir.Flow, error)
	Skipped() (n int64, first error)
}

// ReadAll reads to the end. The clean end is no error.
func ReadAll(r Reader) ([]weir.Flow, error) {
	var flows []weir.Flow
	for {
		var err error
		flows, err = r.Read(flows)
		if errors.Is(err, io.EOF) {
			return flows, nil
		}
		if err != nil {
			return flows, err
		}
	}
}

// Compare lets cmp compare flows.
func Compare() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	}
}

// Check fails the test when a flow breaks a rule that all flows keep: valid
// addresses that are not v4-mapped, an end not before the start, and nothing
// but zeros where a field is not known.
func Check(t testing.TB, flows []weir.Flow) {
	t.Helper()
	for i := range flows {
		if why := broken(&flows[i]); why != "" {
			t.Errorf("flow %d: %s: %+v", i, why, flows[i])
			return
		}
	}
}

func broken(f *weir.Flow) string {
	has := f.Known.Has
	switch {
	case !f.Src.Addr().IsValid() || !f.Dst.Addr().IsValid() || f.Src.Addr().Is4In6() || f.Dst.Addr().Is4In6():
		return "bad address"
	case f.Src.Addr().Zone() != "" || f.Dst.Addr().Zone() != "":
		return "address with zone"
	case f.End < f.Start:
		return "ends before it starts"
	case !has(weir.HasPorts) && (f.Src.Port() != 0 || f.Dst.Port() != 0):
		return "ports that are not known"
	case !has(weir.HasPackets) && (f.Packets != 0 || f.RevPackets != 0):
		return "packets that are not known"
	case !has(weir.HasBytes) && (f.Bytes != 0 || f.RevBytes != 0):
		return "bytes that are not known"
	case !has(weir.HasReverse) && (f.RevPackets != 0 || f.RevBytes != 0):
		return "a reverse direction that is not known"
	case !has(weir.HasFlags) && f.TCPFlags != 0 || !has(weir.HasRevFlags) && f.RevTCPFlags != 0:
		return "flags that are not known"
	case has(weir.HasRevFlags) && !has(weir.HasFlags|weir.HasReverse):
		return "flags of a reverse direction that is not there"
	case (f.Sampling == 0) != (f.SamplingSource == weir.SamplingUnknown):
		return "a sampling rate and source that disagree"
	case f.Format == weir.FormatUnknown:
		return "no format"
	}
	return ""
}

// DataDir returns the directory of the labelled data, WEIR_DATA or
// ../shared/data beside the repository, and skips the test without it.
func DataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no labelled data at %s; set WEIR_DATA", dir)
	}
	return dir
}

// Open opens a file of the labelled data, compressed with gzip or not.
func Open(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if !strings.HasSuffix(name, ".gz") {
		return f
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// counts is a number of flows, or the fewest and the most.
type counts struct{ low, high int }

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *counts) UnmarshalYAML(n *yaml.Node) error {
	var pair []int
	if err := n.Decode(&pair); err == nil && len(pair) == 2 {
		c.low, c.high = pair[0], pair[1]
		return nil
	}
	err := n.Decode(&c.low)
	c.high = c.low
	return err
}

// Cases reads the inputs of all labelled cases of a format, of which there must
// be at least atLeast, and compares the number of flows. Nothing may be
// skipped.
func Cases(t *testing.T, format weir.Format, atLeast int, open func(io.Reader) Reader) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(DataDir(t), "*", "case*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Files  []string `yaml:"files"`
			Format string   `yaml:"format"`
			Flows  counts   `yaml:"flows"`
		}
		if err := yaml.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		if c.Format != format.String() {
			continue
		}
		n++
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) {
			total := 0
			for _, file := range c.Files {
				r := open(Open(t, filepath.Join(filepath.Dir(name), file)))
				flows, err := ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if n, first := r.Skipped(); n > 0 {
					t.Errorf("%s: %d skipped: %v", file, n, first)
				}
				Check(t, flows)
				total += len(flows)
			}
			if total < c.Flows.low || total > c.Flows.high {
				t.Errorf("%d flows, want %d to %d", total, c.Flows.low, c.Flows.high)
			}
		})
	}
	if n < atLeast {
		t.Errorf("%d cases, want at least %d", n, atLeast)
	}
}

package pcap

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-net/weir"
	"go.yaml.in/yaml/v3"
)

// dataDir returns the directory of the labelled data, or skips.
func dataDir(t *testing.T) string {
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

// readAll reads to the end; a clean end gives no error.
func readAll(r interface {
	Read([]weir.Flow) ([]weir.Flow, error)
},
) ([]weir.Flow, error) {
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

// openData opens a file, compressed or not.
func openData(t *testing.T, name string) io.Reader {
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

// countRange is a number or a pair of numbers.
type countRange struct{ low, high int }

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *countRange) UnmarshalYAML(n *yaml.Node) error {
	var pair [2]int
	if err := n.Decode(&pair); err == nil {
		c.low, c.high = pair[0], pair[1]
		return nil
	}
	err := n.Decode(&c.low)
	c.high = c.low
	return err
}

// TestCases meters the captures of the labelled cases.
func TestCases(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(dataDir(t), "*", "case*.yaml"))
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
			Files  []string   `yaml:"files"`
			Format string     `yaml:"format"`
			Flows  countRange `yaml:"flows"`
		}
		if err := yaml.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		if c.Format != "pcap" {
			continue
		}
		n++
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) {
			total := 0
			for _, file := range c.Files {
				r := NewReader(openData(t, filepath.Join(filepath.Dir(name), file)), Options{Export: countDatagrams(new(int))})
				flows, err := readAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if n, first := r.Skipped(); n > 0 || r.Decoding() {
					t.Errorf("skipped %d packets (%v), decoding %v", n, first, r.Decoding())
				}
				total += len(flows)
				t.Logf("%s: %d flows, %d not IP, %d malformed, expected %v", file, len(flows), r.NotIP(), r.Malformed(), c.Flows)
			}
			if total < c.Flows.low || total > c.Flows.high {
				t.Errorf("%d flows, want %d to %d", total, c.Flows.low, c.Flows.high)
			}
		})
	}
	if n < 20 {
		t.Errorf("only %d cases of captures", n)
	}
}

func countDatagrams(n *int) func(*Datagram, []weir.Flow) []weir.Flow {
	return func(d *Datagram, dst []weir.Flow) []weir.Flow {
		if len(d.Payload) > 0 && d.Source.IsValid() {
			*n++
		}
		return dst
	}
}

// TestExportVectors finds the export datagrams of the decoder vectors.
func TestExportVectors(t *testing.T) {
	dir := filepath.Join(dataDir(t), "decoder-vectors-a")
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Vectors map[string]struct {
			Inputs    []string `json:"inputs"`
			Kind      string   `json:"kind"`
			Datagrams int      `json:"datagrams"`
			Protocol  any      `json:"protocol"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, v := range expected.Vectors {
		if v.Kind == "packets" || !strings.HasSuffix(v.Inputs[0], ".pcap") {
			continue
		}
		n++
		t.Run(filepath.Base(name), func(t *testing.T) {
			found := 0
			for _, in := range v.Inputs {
				r := NewReader(openData(t, filepath.Join(dir, in)), Options{
					Export: countDatagrams(&found),
					Ports:  []uint16{2057, 2100, 8096, 9990}, // as configured where these were captured
				})
				flows, err := readAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if !r.Decoding() || len(flows) > 0 {
					t.Errorf("%s: decoding %v, %d flows", in, r.Decoding(), len(flows))
				}
			}
			if found != v.Datagrams {
				t.Errorf("%d datagrams, want %d of %s", found, v.Datagrams, fmt.Sprint(v.Protocol))
			}
		})
	}
	if n < 30 {
		t.Errorf("only %d captures of export", n)
	}
}

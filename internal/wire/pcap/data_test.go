package pcap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/wiretest"
)

// TestCases meters the captures of the labelled cases.
func TestCases(t *testing.T) {
	wiretest.Cases(t, weir.FormatPcap, 20, func(r io.Reader) wiretest.Reader {
		return NewReader(r, Options{Export: countDatagrams(new(int))})
	})
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
	dir := filepath.Join(wiretest.DataDir(t), "decoder-vectors-a")
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
				r := NewReader(wiretest.Open(t, filepath.Join(dir, in)), Options{
					Export: countDatagrams(&found),
					Ports:  []uint16{2057, 2100, 8096, 9990}, // as configured where these were captured
				})
				flows, err := wiretest.ReadAll(r)
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

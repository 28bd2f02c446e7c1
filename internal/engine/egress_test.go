package engine

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
)

// twice is an IPFIX message of one packet that a router meters twice: coming in
// at interface 1 and leaving at interface 2.
func twice(at time.Time) []byte {
	set := func(id uint16, body []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, id)
		b = binary.BigEndian.AppendUint16(b, uint16(4+len(body)))
		return append(b, body...)
	}
	template := []byte{1, 0, 0, 8}
	for _, e := range [][2]uint16{{8, 4}, {12, 4}, {4, 1}, {2, 4}, {10, 4}, {14, 4}, {61, 1}, {153, 8}} {
		template = binary.BigEndian.AppendUint16(template, e[0])
		template = binary.BigEndian.AppendUint16(template, e[1])
	}
	var records []byte
	for _, direction := range []byte{0, 1} {
		records = append(records, 203, 0, 113, 10, 198, 51, 100, 22, weir.ProtoTCP, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, direction)
		records = binary.BigEndian.AppendUint64(records, uint64(at.UnixMilli()))
	}
	body := append(set(2, template), set(256, records)...)
	b := binary.BigEndian.AppendUint16(nil, 10)
	b = binary.BigEndian.AppendUint16(b, uint16(16+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(at.Unix()))
	return append(append(b, 0, 0, 0, 0, 0, 0, 0, 7), body...)
}

// Detection sees a packet once that `weir flows` shows twice, in files of
// messages and in captures.
func TestEgressInFiles(t *testing.T) {
	conf := config.Default()
	dir, m := t.TempDir(), twice(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	for name, content := range map[string][]byte{"export.ipfix": m, "export.pcap.gz": capture(t, [][]byte{m})} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		shown, err := NewFlowReader(Offline{Files: []string{path}, Config: &conf})
		if err != nil {
			t.Fatal(err)
		}
		read, err := ingest.NewFiles([]string{path}, ingest.FileConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			source weir.Source
			want   int
		}{{shown, 2}, {read, 1}} {
			n := 0
			if err := c.source.Run(t.Context(), func(b weir.Batch) error { n += len(b.Flows); return nil }); err != nil {
				t.Fatal(err)
			}
			if n != c.want {
				t.Errorf("%s: %d flows, want %d", name, n, c.want)
			}
		}
		if n := read.Report().NetFlow.EgressRepeated; n != 1 {
			t.Errorf("%s: %d repeated, want 1", name, n)
		}
	}
}

// A server tells how many records it left out.
func TestEgressOfAServer(t *testing.T) {
	_, a, _ := serve(t, filepath.Join(t.TempDir(), "data"))
	conn, err := net.Dial("udp", a.NetFlow[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(twice(time.Now())); err != nil {
		t.Fatal(err)
	}
	const want = `weir_flows_egress_repeated_total{exporter="127.0.0.1"} 1`
	var metrics string
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(metrics, want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("/metrics lacks %q", want)
		}
		get(t, a.API+"/metrics", &metrics)
	}
	if !strings.Contains(metrics, "weir_flows_received_total 1\n") {
		t.Error("other than one flow received")
	}
	var exporters struct{ Items []exporterState }
	get(t, a.API+"/api/v1/exporters", &exporters)
	if len(exporters.Items) != 1 || len(exporters.Items[0].Domains) != 1 || exporters.Items[0].Domains[0].EgressRepeated != 1 {
		t.Errorf("exporters: %+v", exporters)
	}
}

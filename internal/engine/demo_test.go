package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
)

// v9 encodes TCP flows as one NetFlow v9 datagram with its template (RFC 3954).
func v9(at time.Time, sequence uint32, flows []weir.Flow) []byte {
	b := quietDatagram(at, 7, sequence)
	b = b[:20+8+4*10] // header and template
	binary.BigEndian.PutUint16(b[2:], uint16(1+len(flows)))
	set := binary.BigEndian.AppendUint16(nil, 300)
	set = append(set, 0, 0)
	for _, f := range flows {
		s, d := f.Src.Addr().As4(), f.Dst.Addr().As4()
		set = append(append(set, s[:]...), d[:]...)
		set = binary.BigEndian.AppendUint16(set, f.Src.Port())
		set = binary.BigEndian.AppendUint16(set, f.Dst.Port())
		set = append(set, f.Proto, byte(f.TCPFlags))
		set = binary.BigEndian.AppendUint32(set, uint32(f.Packets))
		set = binary.BigEndian.AppendUint32(set, uint32(f.Bytes))
		ago := func(t int64) uint32 { return uint32(3600000 - (at.UnixNano()-t)/1e6) }
		set = binary.BigEndian.AppendUint32(set, ago(f.Start))
		set = binary.BigEndian.AppendUint32(set, ago(f.End))
	}
	for len(set)%4 != 0 {
		set = append(set, 0)
	}
	binary.BigEndian.PutUint16(set[2:], uint16(len(set)))
	return append(b, set...)
}

// capture wraps datagrams into a gzipped pcap of Ethernet, IPv4 and UDP.
func capture(t *testing.T, datagrams [][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	head := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	head = append(head, 2, 0, 4, 0)
	head = append(head, make([]byte, 8)...)
	head = binary.LittleEndian.AppendUint32(head, 65535)
	head = binary.LittleEndian.AppendUint32(head, 1)
	_, _ = z.Write(head)
	for _, d := range datagrams {
		p := append(make([]byte, 12), 0x08, 0x00, 0x45, 0)
		p = binary.BigEndian.AppendUint16(p, uint16(28+len(d)))
		p = append(p, 0, 0, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2)
		p = binary.BigEndian.AppendUint16(p, 40000)
		p = binary.BigEndian.AppendUint16(p, 2055)
		p = binary.BigEndian.AppendUint16(p, uint16(8+len(d)))
		p = append(append(p, 0, 0), d...)
		rec := make([]byte, 8)
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(p)))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(p)))
		_, _ = z.Write(append(rec, p...))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// attack is 12 minutes of SSH brute force against 198.51.100.22.
func attack() [][]byte {
	begin := time.Date(2026, 3, 1, 9, 2, 0, 0, time.UTC)
	var out [][]byte
	var flows []weir.Flow
	for i := range 360 {
		at := begin.Add(time.Duration(i) * 2 * time.Second)
		c := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.10"), uint16(40000+i))
		s := netip.MustParseAddrPort("198.51.100.22:22")
		login := weir.Flow{Start: at.UnixNano(), End: at.Add(time.Second).UnixNano(), Src: c, Dst: s, Proto: 6, TCPFlags: 0x1b, Packets: 14, Bytes: 2100}
		back := login
		back.Src, back.Dst, back.Packets, back.Bytes = s, c, 12, 2400
		flows = append(flows, login, back)
		if len(flows) == 20 {
			out = append(out, v9(at.Add(2*time.Second), uint32(len(out)), flows))
			flows = nil
		}
	}
	return out
}

func demoFiles(t *testing.T, expected string) fstest.MapFS {
	return fstest.MapFS{
		"inventory.yaml":     {Data: []byte("resources:\n  - {id: ssh-1, kind: virtual-machine, addresses: [198.51.100.22], listeners: [{port: 22, service: ssh}]}\n  - {id: app-8, kind: virtual-machine, addresses: [198.51.100.67]}\n")},
		"intel/c2.txt":       {Data: []byte("203.0.113.66\n")},
		"intel/infected.csv": {Data: []byte("indicator,category,family,first_seen,last_seen,confidence,source\n198.51.100.67,infected,conficker,2026-02-28T08:00:00Z,2026-03-01T09:00:00Z,90,lab\n")},
		demoCapture:          {Data: capture(t, attack())},
		"expected.txt":       {Data: []byte("# comment\n\n" + expected + " 203.0.113.10 198.51.100.22\n")},
	}
}

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var alerts []weir.Alert
	var api, dir string
	completed := false
	err := Demo(ctx, DemoOptions{
		Files: demoFiles(t, string(weir.SSHIncomingOneToOne)), Exit: true, Set: []string{"detect.ssh.sensitivity=high"},
		Started: func(a Addresses, d string, _ int) {
			api, dir = a.API, d
			b, err := os.ReadFile(filepath.Join(d, "intel", "infected.csv"))
			if err != nil || strings.Contains(string(b), "2026-02-28") {
				t.Errorf("the times of indicators were not moved: %s %v", b, err)
			}
		},
		Alert:    func(a weir.Alert, _ Change) { alerts = append(alerts, a) },
		Complete: func(time.Duration) { completed = true },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !completed || len(alerts) == 0 || api == "" {
		t.Fatalf("%d alerts, complete %v, api %q", len(alerts), completed, api)
	}
	for _, a := range alerts {
		if a.Version == 0 {
			t.Errorf("alert %s was told before it was stored", a.ID)
		}
		if a.Type == weir.SSHIncomingOneToOne && (a.Resource.ID != "ssh-1" || a.Peers[0].Address.String() != "203.0.113.10") {
			t.Errorf("%+v", a)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory %s is still there", dir)
	}
}

func TestDemoEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Demo(ctx, DemoOptions{
		Files: demoFiles(t, string(weir.DDoS)), Started: func(Addresses, string, int) { cancel() },
		Alert: func(weir.Alert, Change) {}, Complete: func(time.Duration) { t.Error("complete without a flood") },
	})
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, dir string, set ...string) (*Server, Addresses, func()) {
	t.Helper()
	base := []string{"store.dir=" + dir, "listen.netflow=['127.0.0.1:0']", "listen.sflow=[]", "listen.clock=exporter", "api.listen=127.0.0.1:0", "inputs.sampling=[{exporter: 127.0.0.1, rate: 1}]"}
	l, err := config.Load(config.Input{Set: append(base, set...)})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan Addresses, 1)
	s, err := NewServer(l, ServerOptions{Started: func(a Addresses) { started <- a }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	select {
	case a := <-started:
		return s, a, stop
	case err := <-ended:
		stopped = true
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not start")
	}
	return nil, Addresses{}, nil
}

func get(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, body, err)
	}
	if text, ok := v.(*string); ok {
		*text = string(body)
		return
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatal(err)
	}
}

type alertPage struct {
	Items []struct {
		ID, AlertType string
		Closed        bool
		Version       int
	}
}

func TestAlertsOutliveARestartUnderTheirIDs(t *testing.T) {
	dir := t.TempDir()
	inv := filepath.Join(dir, "inv.yaml")
	if err := os.WriteFile(inv, demoFiles(t, "x")["inventory.yaml"].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	rec := &recording{datagrams: attack()}
	rec.first, rec.last = time.Date(2026, 3, 1, 9, 2, 0, 0, time.UTC), time.Date(2026, 3, 1, 9, 14, 0, 0, time.UTC)
	rec.quiet(25 * time.Minute)
	s, a, stop := serve(t, filepath.Join(dir, "data"), "inventory.files=["+inv+"]", "detect.ssh.sensitivity=high")
	if err := rec.play(t.Context(), a.NetFlow[0].String(), 0, func() uint64 { return s.udp.Stats().Datagrams }); err != nil {
		t.Fatal(err)
	}
	var first alertPage
	for deadline := time.Now().Add(20 * time.Second); len(first.Items) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			var h any
			get(t, a.API+"/api/v1/health", &h)
			t.Fatalf("no alert: %v", h)
		}
		get(t, a.API+"/api/v1/alerts", &first)
	}
	var metrics string
	get(t, a.API+"/metrics", &metrics)
	for _, want := range []string{
		`weir_alerts_total{rule="SSH_Incoming_BF_OneToOne"} 1`, "weir_flows_received_total 745", `weir_sequence_lost_total{exporter="127.0.0.1"}`,
		"weir_watermark_lag_seconds", "weir_template_missing_total 0", `weir_flows_dropped_total{reason="kernel"} 0`, "weir_state_bytes",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	var exporters struct{ Items []exporterState }
	get(t, a.API+"/api/v1/exporters", &exporters)
	if len(exporters.Items) != 1 || exporters.Items[0].Flows != 745 || len(exporters.Items[0].Domains) != 2 {
		t.Errorf("exporters: %+v", exporters)
	}
	stop()

	s, a, _ = serve(t, filepath.Join(dir, "data"), "inventory.files=["+inv+"]", "detect.ssh.sensitivity=high")
	if n := len(s.pipe.book.Open()); n != 1 {
		t.Errorf("%d open episodes taken up, want 1", n)
	}
	rec.quiet(3 * time.Hour)
	if err := rec.play(t.Context(), a.NetFlow[0].String(), 0, func() uint64 { return s.udp.Stats().Datagrams }); err != nil {
		t.Fatal(err)
	}
	var again alertPage
	for deadline := time.Now().Add(20 * time.Second); len(again.Items) == 0 || !again.Items[0].Closed; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the alert did not close: %+v", again)
		}
		get(t, a.API+"/api/v1/alerts", &again)
	}
	if len(again.Items) != 1 || again.Items[0].ID != first.Items[0].ID {
		t.Errorf("after a restart: %+v, before: %+v", again, first)
	}
}

func TestServerRefusesWhatItCannotDo(t *testing.T) {
	for set, want := range map[string]string{
		"journal={type: kafka, kafka: {brokers: ['k:9092']}}":               "journal.type",
		"store={type: postgres, dsn: 'env:X'}":                              "store.type",
		"export.sinks=[{name: a, type: file, path: x}]":                     "export.sinks",
		"suppressions=[{name: ab, alertType: '*', reason: x}]":              "suppressions",
		"inputs.watch=[{name: a, path: /tmp}]":                              "inputs.watch",
		"intel.feeds=[{name: a, source: 'https://example.net/x'}]":          "intel.feeds[0].source",
		"inventory.files=[/nonexistent.yaml]":                               "/nonexistent.yaml",
		"api.tokens=[{name: a, role: admin, token: 'env:WEIR_TEST_UNSET'}]": "api.tokens[0].token",
		"listen={netflow: [], sflow: []}":                                   "listen",
	} {
		l, err := config.Load(config.Input{Set: []string{set}})
		if err != nil {
			t.Errorf("%s: the format itself must be accepted: %v", set, err)
			continue
		}
		_, err = NewServer(l, ServerOptions{})
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an invalid configuration that names %s", set, err, want)
		}
	}
}

func TestTakenPortIsTold(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	l, err := config.Load(config.Input{Set: []string{"store.dir=" + t.TempDir(), "listen.netflow=['" + c.LocalAddr().String() + "']", "listen.sflow=[]", "api.listen=127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(l, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.LocalAddr().String()) {
		t.Errorf("got %v", err)
	}
}

package engine

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/ingest"
)

func statsOf(address string, noRate uint64, at time.Time, advised time.Duration) ingest.ExporterStats {
	return ingest.ExporterStats{Exporter: netip.MustParseAddr(address), NoRate: noRate, NoRateAt: at.UnixNano(), AdvisedLateness: advised}
}

func TestExporterWarnings(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const lateness = 2 * time.Minute
	for _, c := range []struct {
		name string
		list []ingest.ExporterStats
		want []string // of each warning, parts apart by |
	}{
		{"nothing", nil, nil},
		{"all is well", []ingest.ExporterStats{statsOf("192.0.2.1", 0, time.Unix(0, 0), lateness)}, nil},
		{"no rate", []ingest.ExporterStats{statsOf("192.0.2.1", 7, now, time.Minute), statsOf("192.0.2.2", 0, time.Unix(0, 0), time.Minute), statsOf("192.0.2.3", 9, now, time.Minute)},
			[]string{"42 contacts|: 192.0.2.3 (9 flows), 192.0.2.1 (7 flows); |inputs.sampling"}},
		{"the rate came", []ingest.ExporterStats{statsOf("192.0.2.1", 7, now.Add(-noRateRecent-1), time.Minute)}, nil},
		{"late", []ingest.ExporterStats{statsOf("192.0.2.1", 0, now, 121*time.Second), statsOf("192.0.2.2", 0, now, 5*time.Minute)},
			[]string{"detect.lateness (2m0s)|5m0s is advised|: 192.0.2.2 (5m0s), 192.0.2.1 (2m1s)"}},
		{"many", []ingest.ExporterStats{
			statsOf("192.0.2.1", 1, now, 0), statsOf("192.0.2.2", 2, now, 0), statsOf("192.0.2.3", 3, now, 0), statsOf("192.0.2.4", 4, now, 0),
			statsOf("192.0.2.5", 5, now, 0), statsOf("192.0.2.6", 6, now, 0), statsOf("192.0.2.7", 7, now, 0),
		}, []string{"192.0.2.3 (3 flows) and 2 more;"}},
	} {
		got := exporterWarnings(c.list, 42, lateness, now)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", c.name, got)
			continue
		}
		for i, w := range c.want {
			for part := range strings.SplitSeq(w, "|") {
				if !strings.Contains(got[i], part) {
					t.Errorf("%s: %q lacks %q", c.name, got[i], part)
				}
			}
		}
	}
}

func TestExportersWithoutRateAreLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&out, nil))}
	now, told := time.Unix(1_800_000_000, 0), map[netip.Addr]bool{}
	a, b := statsOf("192.0.2.1", 7, now, 0), statsOf("192.0.2.2", 1, now, 0)
	for range 3 {
		s.tellRateless([]ingest.ExporterStats{a}, now, told)
	}
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "192.0.2.1") || !strings.Contains(text, "inputs.sampling") {
		t.Errorf("logged %q", text)
	}
	out.Reset()
	s.tellRateless([]ingest.ExporterStats{a, b}, now, told)
	if text := out.String(); strings.Count(text, "\n") != 1 || strings.Contains(text, "192.0.2.1") || !strings.Contains(text, "192.0.2.2") {
		t.Errorf("logged %q", text)
	}
	s.tellRateless([]ingest.ExporterStats{b}, now, told)
	if len(told) != 1 {
		t.Errorf("%d exporters remembered of one", len(told))
	}
}

// TestUnknownRateIsAWarning sends flows that say no rate to a server that knows
// none.
func TestUnknownRateIsAWarning(t *testing.T) {
	dir := t.TempDir()
	inv := filepath.Join(dir, "inv.yaml")
	if err := os.WriteFile(inv, demoFiles(t, "x")["inventory.yaml"].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, a, _ := serve(t, filepath.Join(dir, "data"), "inventory.files=["+inv+"]", "inputs.sampling=[]", "detect.lateness=30s")
	conn, err := net.Dial("udp", a.NetFlow[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	f := weir.Flow{
		Src: netip.MustParseAddrPort("203.0.113.10:40000"), Dst: netip.MustParseAddrPort("198.51.100.22:22"), Proto: weir.ProtoTCP,
		Start: at.UnixNano(), End: at.UnixNano(), Packets: 1, Bytes: 60,
	}
	f2 := f
	f2.Start, f2.End = at.Add(time.Hour).UnixNano(), at.Add(time.Hour).UnixNano()
	for i, d := range [][]byte{v9(at, 1, []weir.Flow{f, f}), v9(at.Add(time.Hour), 2, []weir.Flow{f2})} {
		if _, err := conn.Write(d); err != nil {
			t.Fatal(i, err)
		}
		time.Sleep(300 * time.Millisecond) // the watermark is worked out four times a second
	}
	var h health
	for deadline := time.Now().Add(20 * time.Second); h.NoRate == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no contact without a rate: %+v", h)
		}
		get(t, a.API+"/api/v1/health", &h)
	}
	if all := strings.Join(h.Warnings, "\n"); h.Status != "degraded" || !strings.Contains(all, "127.0.0.1 (3 flows)") || !strings.Contains(all, "2 contacts") {
		t.Errorf("health: %s %q", h.Status, all)
	}
	if h.LatenessSeconds != 30 || h.AdvisedLatenessSeconds != 60 || !strings.Contains(strings.Join(h.Warnings, "\n"), "1m0s is advised") {
		t.Errorf("lateness %v, advised %v: %q", h.LatenessSeconds, h.AdvisedLatenessSeconds, h.Warnings)
	}
	var metrics string
	get(t, a.API+"/metrics", &metrics)
	if want := `weir_flows_without_rate_total{exporter="127.0.0.1"} 3`; !strings.Contains(metrics, want) {
		t.Errorf("/metrics lacks %q", want)
	}
	var exporters struct{ Items []exporterState }
	get(t, a.API+"/api/v1/exporters", &exporters)
	if len(exporters.Items) != 1 || exporters.Items[0].NoRate != 3 || exporters.Items[0].AdvisedLateness != 60 {
		t.Errorf("exporters: %+v", exporters)
	}
}

package engine

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
)

// examined runs the checks of a configuration and returns what they say, by
// check and subject.
func examined(t *testing.T, x Examination, set ...string) map[string]Check {
	t.Helper()
	set = append([]string{"store.dir=" + t.TempDir(), "listen.netflow=[127.0.0.1:0]", "listen.sflow=[]", "api.listen=127.0.0.1:0"}, set...)
	l, err := config.Load(config.Input{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	x.Config, x.Now = l, time.Now()
	out := map[string]Check{}
	for _, c := range Examine(x) {
		key := c.Check + " " + c.Subject
		if _, twice := out[key]; twice {
			t.Errorf("%s is told twice", key)
		}
		if bad := c.Status == CheckFault || c.Status == CheckWarning; bad && c.Fix == "" || !bad && c.Fix != "" || c.Found == "" {
			t.Errorf("%+v", c)
		}
		out[key] = c
	}
	return out
}

// holds checks the status of one check, and that what it found and its fix have
// some text.
func holds(t *testing.T, got map[string]Check, key, status string, texts ...string) {
	t.Helper()
	c, ok := got[key]
	if !ok || c.Status != status {
		t.Errorf("%q: %+v, want %s", key, c, status)
	}
	for _, text := range texts {
		if !strings.Contains(c.Found+"\n"+c.Fix, text) {
			t.Errorf("%q: %+v, want %q", key, c, text)
		}
	}
}

func TestExamineMachine(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	fresh, old := filepath.Join(dir, "fresh.txt"), filepath.Join(dir, "old.txt")
	for _, name := range []string{fresh, old} {
		if err := os.WriteFile(name, []byte("192.0.2.66\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	inventory := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(inventory, []byte("networks:\n  - {prefix: 203.0.113.0/24, kind: virtual-machine}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := taken.LocalAddr().String()
	got := examined(t, Examination{}, "listen.netflow=["+address+", 127.0.0.1:0]", "listen.sflow=[192.0.2.123:6343]", "inventory.files=["+inventory+"]",
		"intel.feeds=[{name: fresh, category: c2, source: "+fresh+"}, {name: old, category: c2, source: "+old+"}, {name: gone, category: c2, source: "+filepath.Join(dir, "gone.txt")+"}]")
	_, port, _ := net.SplitHostPort(address)
	holds(t, got, "port udp "+address, CheckFault, "another process", "ss -lunp 'sport = :"+port+"'")
	holds(t, got, "port udp 127.0.0.1:0", CheckOK)
	holds(t, got, "port udp 192.0.2.123:6343", CheckFault, "no address of this machine", "listen.sflow")
	holds(t, got, "port tcp 127.0.0.1:0", CheckOK)
	holds(t, got, "feed fresh", CheckOK)
	holds(t, got, "feed old", CheckWarning, "30d old", "fetch the feed anew into "+old)
	holds(t, got, "feed gone", CheckFault, "fetch the feed into")
	holds(t, got, "inventory "+inventory, CheckOK, "1 networks")

	got = examined(t, Examination{}, "store.dir="+inventory+"/below")
	holds(t, got, "store "+inventory+"/below", CheckFault, "install -d")
	holds(t, got, "inventory the defaults", CheckWarning, "inventory.files")
}

// What a running server says of itself and of its exporters becomes one line for
// each thing that is wrong.
func TestExamineRunning(t *testing.T) {
	now := time.Now()
	domain := func(d domainState) []domainState { return []domainState{d} }
	good, bad, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	r := &Running{URL: "http://127.0.0.1:1", health: health{
		Uptime: "1h0m0s", Datagrams: 1000, Dropped: map[string]uint64{ingest.DropKernel: 7, ingest.DropQueue: 3, ingest.DropExporter: 0},
		Addresses:     Addresses{NetFlow: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2055")}},
		ReceiveBuffer: 32 << 20, Sockets: []socketState{{SocketStats: ingest.SocketStats{ReceiveBuffer: 32 << 20}}, {SocketStats: ingest.SocketStats{ReceiveBuffer: 212992}}},
	}, exporters: []exporterState{
		{Exporter: good, Flows: 5, ClockState: "ok", Domains: domain(domainState{Format: "ipfix", Flows: 100_000, SequenceLost: 5})},
		{Exporter: bad, ClockState: "shifted", SkewSeconds: -1800, Idle: true, LastSeen: now.Add(-time.Hour), NoRate: 9, NoRateSeen: now.Add(-time.Minute), AdvisedLateness: 300, QueueDropped: 3,
			Domains: domain(domainState{Domain: 4, Format: "netflow-v9", Datagrams: 90, Flows: 2000, SequenceLost: 10, SetsWithoutTemplate: 8, MissingSince: now.Add(-10 * time.Minute)})},
		{Exporter: far, ClockState: "beyond", SkewSeconds: 7200},
	}}
	got := examined(t, Examination{Running: r}, "listen.netflow=[127.0.0.1:2055]")
	holds(t, got, "port udp 127.0.0.1:2055", CheckOK, "the running server")
	holds(t, got, "buffer listen.receiveBuffer", CheckWarning, "32 MiB", "208 KiB", "sysctl -w net.core.rmem_max=33554432")
	holds(t, got, "loss kernel", CheckWarning, "7 datagrams", "receiveBuffer: 67108864", "rmem_max=67108864")
	holds(t, got, "loss queue", CheckWarning, "3 datagrams")
	holds(t, got, "exporter 192.0.2.1", CheckOK)
	holds(t, got, "skew 192.0.2.2", CheckWarning, "30m behind", "ntp server")
	holds(t, got, "exporter 192.0.2.2", CheckWarning, "silent for 1h", "src host 192.0.2.2 and (udp dst port 2055)")
	holds(t, got, "sampling 192.0.2.2", CheckWarning, "exporter: 192.0.2.2, rate: RATE")
	holds(t, got, "lateness 192.0.2.2", CheckWarning, "lateness: 5m")
	holds(t, got, "loss 192.0.2.2", CheckWarning, "3 of its datagrams")
	holds(t, got, "template 192.0.2.2, domain 4", CheckFault, "8 data sets", "10m ago", "template data timeout 60")
	holds(t, got, "loss 192.0.2.2, domain 4", CheckWarning, "10 of 100 datagrams")
	holds(t, got, "skew 192.0.2.3", CheckFault, "2h ahead")
	if c, ok := got["loss exporter"]; ok {
		t.Errorf("nothing was lost, told: %+v", c)
	}

	r.exporters, r.health.Dropped = nil, nil
	got = examined(t, Examination{Running: r}, "listen.netflow=[127.0.0.1:2055]")
	holds(t, got, "loss datagrams", CheckOK, "none in 1h0m0s")
	holds(t, got, "exporter all", CheckWarning, "tcpdump -ni any 'udp dst port 2055'")
}

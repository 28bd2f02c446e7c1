//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// raised reads alerts in NDJSON and names each by type, resource and first
// evidence.
func raised(t *testing.T, out []byte) []string {
	t.Helper()
	var got []string
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var a struct {
			ID        string    `json:"id"`
			Type      string    `json:"alertType"`
			Start     time.Time `json:"startTime"`
			Attackers []string  `json:"attackers"`
			Resource  struct {
				Name string `json:"name"`
			} `json:"resource"`
		}
		err := d.Decode(&a)
		if errors.Is(err, io.EOF) {
			slices.Sort(got)
			return got
		}
		if err != nil {
			t.Fatalf("read alerts: %v", err)
		}
		if a.ID == "" || a.Type == "" {
			t.Fatalf("an alert without id or type: %+v", a)
		}
		got = append(got, fmt.Sprintf("%s %s on %s by %v from %s", a.ID, a.Type, a.Resource.Name, a.Attackers, a.Start.UTC().Format(time.RFC3339Nano)))
	}
}

// TestLiveAlertsEqualOffline plays a brute force attack beside ordinary
// connections through softflowd, into the running server and into weir detect:
// both must raise the same alert, under the same id.
func TestLiveAlertsEqualOffline(t *testing.T) {
	softflowd := need(t, "softflowd", "softflowd")
	weir := weirBinary(t)
	attacker, victim := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddrPort("203.0.113.10:22")
	c := newCapture(t, time.Now().Add(-2*time.Hour).Truncate(time.Hour))
	for i := range 600 { // twelve minutes, a connection a second
		c.tcp(netip.AddrPortFrom(attacker, uint16(30000+i)), victim, 5, 80, 120)
		if i%20 == 0 {
			c.tcp(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.80"), uint16(40000+i)), netip.MustParseAddrPort("203.0.113.10:443"), 10, 300, 1200)
		}
		c.now = c.now.Add(1100 * time.Millisecond)
	}
	relay := startRelay(t, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
	run(t, softflowd, "-r", c.file, "-d", "-a", "-A", "milli", "-v", "10", "-n", relay.addr())
	datagrams := relay.datagrams(t)

	// softflowd exports a capture in one go at its end, in no order of time.
	const settings = `inputs:
  sampling: [{exporter: 127.0.0.0/8, rate: 1}]
detect:
  lateness: 15m
  idle: 3s
`
	server := startServer(t, nil, loopback(t, "udp"), loopback(t, "tcp"), nil, settings)
	send(t, func(to netip.AddrPort) (net.Conn, error) { return net.Dial("udp", to.String()) }, server.netflow, datagrams)

	offline := raised(t, run(t, weir, "detect", "-q", "-c", server.config, "-o", "ndjson", exportFile(t, datagrams)))
	if len(offline) == 0 {
		t.Fatal("weir detect raised nothing")
	}
	eventually(t, 60*time.Second, "the server raises the same alerts", func() error {
		live := raised(t, run(t, weir, "alerts", "list", "--server", "http://"+server.api.String(), "-o", "ndjson"))
		if !slices.Equal(live, offline) {
			return fmt.Errorf("live:\n%q\noffline:\n%q", live, offline)
		}
		return nil
	})
	if total, err := server.metric("weir_alerts_total"); err != nil || total != float64(len(offline)) {
		t.Errorf("weir_alerts_total is %v (%v), want %d", total, err, len(offline))
	}
	t.Logf("%d flows, the same %d alert(s) live and offline: %v", 2*630, len(offline), offline)
}

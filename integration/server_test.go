//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// loopback returns 127.0.0.1 with a port that was free a moment ago.
func loopback(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// server is a running weir serve.
type server struct {
	*process
	config  string // its configuration file
	netflow netip.AddrPort
	api     netip.AddrPort
	client  *http.Client
}

// inventory protects the documentation networks of the test traffic.
const inventory = `networks:
  - {prefix: 203.0.113.0/24, kind: virtual-machine}
  - {prefix: 2001:db8:1::/64, kind: virtual-machine}
`

// startServer starts weir serve through the given prefix of a command line and
// waits until it is ready. Lines of more are added to the configuration.
func startServer(t *testing.T, prefix []string, netflow, api netip.AddrPort, dial func(context.Context, string, string) (net.Conn, error), more string) *server {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("inventory.yaml", inventory)
	write("weir.yaml", fmt.Sprintf(`listen:
  netflow: ["%v"]
  sflow: []
  clock: exporter
inventory:
  files: [inventory.yaml]
store:
  dir: state
api:
  listen: "%v"
%s`, netflow, api, more))
	file := filepath.Join(dir, "weir.yaml")
	line := append(append([]string{}, prefix...), weirBinary(t), "serve", "-c", file)
	s := &server{process: start(t, line[0], line[1:]...), config: file, netflow: netflow, api: api}
	s.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	eventually(t, 30*time.Second, "weir serve is ready", func() error {
		select {
		case <-s.done:
			t.Fatalf("weir serve ended: %v\n%s", s.err, s.log)
		default:
		}
		_, err := s.get("/readyz")
		return err
	})
	return s
}

// get reads a page of the server; any status but 200 is an error.
func (s *server) get(path string) ([]byte, error) {
	resp, err := s.client.Get("http://" + s.api.String() + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", path, resp.StatusCode, b)
	}
	return b, err
}

// metric returns the sum over all labels of one metric.
func (s *server) metric(name string) (float64, error) {
	b, err := s.get("/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line := lines.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return sum, nil
}

// counts waits until a counter has the value, and proves that it stays there.
func (s *server) counts(t *testing.T, name string, want float64) {
	t.Helper()
	check := func() error {
		got, err := s.metric(name)
		if err == nil && got != want {
			err = fmt.Errorf("%s is %v, want %v", name, got, want)
		}
		return err
	}
	eventually(t, 20*time.Second, name, check)
	time.Sleep(300 * time.Millisecond)
	if err := check(); err != nil {
		t.Errorf("counted twice: %v", err)
	}
}

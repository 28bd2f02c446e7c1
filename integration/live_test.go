//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace of the test's own, with only a loopback
// interface.
type namespace struct {
	name   string
	prefix []string
	work   chan func()
}

// newNamespace makes one, and a thread that lives in it: a socket belongs to the
// namespace of the thread that opened it.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "a network namespace needs root")
	}
	ip := need(t, "ip", "iproute2")
	n := &namespace{name: fmt.Sprintf("weir-test-%d", os.Getpid()), work: make(chan func())}
	n.prefix = []string{ip, "netns", "exec", n.name}
	run(t, ip, "netns", "add", n.name)
	t.Cleanup(func() {
		close(n.work)
		if out, err := exec.Command(ip, "netns", "del", n.name).CombinedOutput(); err != nil {
			t.Errorf("delete the network namespace: %v: %s", err, out)
		}
	})
	run(t, ip, "-n", n.name, "link", "set", "lo", "up")
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		f, err := os.Open("/run/netns/" + n.name)
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		entered <- err
		for do := range n.work {
			do()
		}
	}()
	if err := <-entered; err != nil {
		t.Fatalf("enter the network namespace: %v", err)
	}
	return n
}

// in runs a function on the thread of the namespace.
func in[T any](n *namespace, do func() (T, error)) (T, error) {
	var v T
	var err error
	done := make(chan struct{})
	n.work <- func() { v, err = do(); close(done) }
	<-done
	return v, err
}

func (n *namespace) dial(_ context.Context, network, address string) (net.Conn, error) {
	return in(n, func() (net.Conn, error) { return net.DialTimeout(network, address, 5*time.Second) })
}

// TestLiveExporter watches an interface with softflowd while real connections
// are made over it, and compares what nfdump and Weir read from the export, and
// the connections that were made.
func TestLiveExporter(t *testing.T) {
	softflowd := need(t, "softflowd", "softflowd")
	softflowctl := need(t, "softflowctl", "softflowd")
	need(t, "nfcapd", "nfdump")
	n := newNamespace(t)
	relay := startRelay(t, func() (net.PacketConn, error) {
		return in(n, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:2056") })
	})
	nfcapd := startCollector(t, n.prefix, netip.MustParseAddrPort("127.0.0.1:9995"))
	server := startServer(t, n.prefix, netip.MustParseAddrPort("127.0.0.1:2055"), netip.MustParseAddrPort("127.0.0.1:8780"), n.dial, "")

	control := filepath.Join(t.TempDir(), "softflowd.ctl")
	line := append(append([]string{}, n.prefix...), softflowd, "-i", "lo", "-d", "-v", "10", "-A", "milli", "-n", relay.addr(),
		"-c", control, "portrange", "7000-7002")
	start(t, line[0], line[1:]...)
	seen := func() (int, error) { return packetsSeen(softflowctl, control) }
	eventually(t, 10*time.Second, "softflowd watches the interface", func() error {
		_, err := seen()
		return err
	})

	const connections, questions, size = 25, 40, 700
	makeTraffic(t, n, connections, questions, size)
	// softflowd 1.1.0 gets packets from the kernel in whole blocks: fillers push
	// the real packets, of which there are fewer than this, through to it.
	const enough = 20*connections + 2*questions
	eventually(t, 20*time.Second, "softflowd saw the packets", func() error {
		fill(t, n)
		if processed, err := seen(); err != nil || processed < enough {
			return fmt.Errorf("%d packets (%w)", processed, err)
		}
		return nil
	})
	run(t, softflowctl, "-c", control, "expire-all") // it exports what it holds
	datagrams := relay.datagrams(t)
	dial := func(to netip.AddrPort) (net.Conn, error) { return n.dial(t.Context(), "udp", to.String()) }
	send(t, dial, nfcapd.addr, datagrams)
	send(t, dial, server.netflow, datagrams)

	ours, _ := weirRecords(t, run(t, weirBinary(t), "flows", "-o", "ndjson", exportFile(t, datagrams)))
	server.counts(t, "weir_flows_received_total", float64(len(ours)))
	same(t, "nfdump", nfcapd.flows(t), "weir", ours)

	var tcp, udp int
	var udpBytes uint64
	for _, r := range ours {
		switch {
		case r.Proto == unix.IPPROTO_TCP && r.DPort == 7000:
			tcp++
			if r.Bytes < size {
				t.Errorf("a connection of %d bytes: %+v", size, r)
			}
		case r.Proto == unix.IPPROTO_UDP && r.DPort == 7001:
			udp++
			udpBytes += r.Bytes
		}
	}
	if tcp != connections {
		t.Errorf("%d connections were made, %d flows tell of them", connections, tcp)
	}
	if udp != questions || udpBytes != questions*(size+28) {
		t.Errorf("%d questions of %d bytes were sent; the flows tell of %d with %d bytes", questions, size+28, udp, udpBytes)
	}
	t.Logf("%d datagrams, %d records, the same to nfdump and to weir", len(datagrams), len(ours))
}

// fill sends a thousand datagrams to UDP port 7002, where nobody listens.
func fill(t *testing.T, n *namespace) {
	t.Helper()
	u, err := in(n, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:7002"))
	for range 1000 {
		if _, err := u.WriteTo(make([]byte, 50), to); err != nil {
			t.Fatal(err)
		}
	}
}

// packetsSeen asks softflowd for the number of packets that it processed.
func packetsSeen(softflowctl, control string) (int, error) {
	out, err := exec.Command(softflowctl, "-c", control, "statistics").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("softflowctl: %w: %s", err, out)
	}
	m := regexp.MustCompile(`Packets processed: (\d+)`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("softflowctl tells no number of packets: %s", out)
	}
	return strconv.Atoi(string(m[1]))
}

// makeTraffic makes TCP connections to port 7000 and asks questions on UDP port
// 7001, each from a port of its own.
func makeTraffic(t *testing.T, n *namespace, connections, questions, size int) {
	t.Helper()
	l, err := in(n, func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:7000") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	u, err := in(n, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:7001") })
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	body := make([]byte, size)
	for range connections {
		c, err := n.dial(t.Context(), "tcp", "127.0.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(body); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for range questions {
		c, err := n.dial(t.Context(), "udp", "127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(body); err != nil {
			t.Fatal(err)
		}
		if _, _, err := u.ReadFrom(make([]byte, 2*size)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

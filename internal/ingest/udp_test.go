package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-net/weir"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ipfix builds one IPFIX message of one set.
func ipfix(sent time.Time, sequence uint32, set uint16, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	binary.BigEndian.PutUint16(b, 10)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint32(b[4:], uint32(sent.Unix()))
	binary.BigEndian.PutUint32(b[8:], sequence)
	binary.BigEndian.PutUint32(b[12:], 1) // observation domain
	binary.BigEndian.PutUint16(b[16:], set)
	binary.BigEndian.PutUint16(b[18:], uint16(4+len(body)))
	return append(b, body...)
}

// Elements of the template of these tests: addresses, ports, protocol, packets,
// bytes, start and end in milliseconds (IANA IPFIX registry).
var elements = [][2]uint16{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {2, 4}, {1, 4}, {152, 8}, {153, 8}}

func templateMessage(sent time.Time) []byte {
	body := binary.BigEndian.AppendUint16(nil, 256)
	body = binary.BigEndian.AppendUint16(body, uint16(len(elements)))
	for _, e := range elements {
		body = binary.BigEndian.AppendUint16(body, e[0])
		body = binary.BigEndian.AppendUint16(body, e[1])
	}
	return ipfix(sent, 0, 2, body)
}

func record(src, dst string, srcPort, dstPort uint16, start, end time.Time) []byte {
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b := append(append([]byte(nil), s[:]...), d[:]...)
	b = binary.BigEndian.AppendUint16(b, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	b = append(b, weir.ProtoTCP)
	b = binary.BigEndian.AppendUint32(b, 3)
	b = binary.BigEndian.AppendUint32(b, 180)
	b = binary.BigEndian.AppendUint64(b, uint64(start.UnixMilli()))
	return binary.BigEndian.AppendUint64(b, uint64(end.UnixMilli()))
}

func dataMessage(sent time.Time, sequence uint32, records ...[]byte) []byte {
	var body []byte
	for _, r := range records {
		body = append(body, r...)
	}
	return ipfix(sent, sequence, 256, body)
}

// v5 builds a NetFlow v5 datagram of one record that ends when it is sent.
func v5(sent time.Time, sequence uint32, src, dst string) []byte {
	b := make([]byte, 72)
	binary.BigEndian.PutUint16(b, 5)
	binary.BigEndian.PutUint16(b[2:], 1)
	binary.BigEndian.PutUint32(b[4:], 1_000_000) // milliseconds since the start of the exporter
	binary.BigEndian.PutUint32(b[8:], uint32(sent.Unix()))
	binary.BigEndian.PutUint32(b[12:], uint32(sent.Nanosecond()))
	binary.BigEndian.PutUint32(b[16:], sequence)
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(b[24:], s[:])
	copy(b[28:], d[:])
	binary.BigEndian.PutUint32(b[40:], 2)
	binary.BigEndian.PutUint32(b[44:], 100)
	binary.BigEndian.PutUint32(b[48:], 999_000)
	binary.BigEndian.PutUint32(b[52:], 1_000_000)
	binary.BigEndian.PutUint16(b[56:], 40000)
	binary.BigEndian.PutUint16(b[58:], 22)
	b[62] = weir.ProtoTCP
	return b
}

// collector runs a source and keeps what it emits.
type collector struct {
	*UDP
	t      *testing.T
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	flows   []weir.Flow
	batches []weir.Batch // without their flows
	hook    func(weir.Batch) error
}

func collect(t *testing.T, c UDPConfig, hook func(weir.Batch) error) *collector {
	t.Helper()
	u, err := NewUDP(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Listen(); err != nil {
		t.Fatal(err)
	}
	return start(t, u, hook)
}

// start runs a source that is bound.
func start(t *testing.T, u *UDP, hook func(weir.Batch) error) *collector {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k := &collector{UDP: u, t: t, cancel: cancel, done: make(chan error, 1), hook: hook}
	go func() { k.done <- u.Run(ctx, k.emit) }()
	t.Cleanup(cancel)
	return k
}

func (k *collector) emit(b weir.Batch) error {
	k.mu.Lock()
	k.flows = append(k.flows, b.Flows...)
	k.batches = append(k.batches, weir.Batch{Watermark: b.Watermark})
	k.mu.Unlock()
	if k.hook != nil {
		return k.hook(b)
	}
	return nil
}

func (k *collector) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.flows)
}

// stop ends the run and returns its error.
func (k *collector) stop() error {
	k.t.Helper()
	k.cancel()
	select {
	case err := <-k.done:
		return err
	case <-time.After(20 * time.Second):
		k.t.Fatal("the run does not end")
		return nil
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("timed out: %s", what)
}

func dial(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c *net.UDPConn, datagrams ...[]byte) {
	t.Helper()
	for _, d := range datagrams {
		if _, err := c.Write(d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUDPTemplatesAfterData(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0", "127.0.0.1:0"}, Clock: ClockExporter}, nil)
	bound := k.Addrs()[ProtocolNetFlow]
	if len(bound) != 2 || bound[0].Port() == 0 || bound[0] == bound[1] {
		t.Fatalf("bound to %v", bound)
	}
	now := time.Now().Truncate(time.Millisecond)
	one, two := dial(t, bound[0]), dial(t, bound[1])
	// Data on one port, its template on the other: one exporter, one decoder.
	send(t, one, dataMessage(now, 0, record("198.51.100.7", "203.0.113.10", 40000, 22, now.Add(-time.Second), now)))
	eventually(t, "the data set to be held", func() bool { return k.Stats().NetFlow.Held == 1 })
	send(t, two, templateMessage(now))
	eventually(t, "the held flow", func() bool { return k.count() == 1 })
	if err := k.stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("run ended with %v", err)
	}
	f := k.flows[0]
	if f.Src != netip.MustParseAddrPort("198.51.100.7:40000") || f.Dst != netip.MustParseAddrPort("203.0.113.10:22") ||
		f.End != now.UnixNano() || f.Packets != 3 || f.Exporter != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("flow %+v", f)
	}
	if w := k.batches[0].Watermark; w != now.Add(-DefaultLateness).UnixNano() {
		t.Errorf("watermark %v, want the end of the flow less the lateness", time.Unix(0, w))
	}
	s := k.Stats()
	if s.Datagrams != 2 || s.Flows != 1 || len(s.Exporters) != 1 || s.Exporters[0].Flows != 1 || s.Exporters[0].LastSeen == 0 {
		t.Errorf("statistics %+v", s)
	}
	for _, x := range s.Sockets {
		if x.ReceiveBuffer < 0 || x.Protocol != ProtocolNetFlow {
			t.Errorf("socket %+v", x)
		}
	}
}

func TestUDPDrainsOnCancel(t *testing.T) {
	const n = 500
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Workers: 2}, nil)
	c := dial(t, k.Addrs()[ProtocolNetFlow][0])
	now := time.Now()
	for i := range n {
		send(t, c, v5(now, uint32(i), "198.51.100.7", "203.0.113.10"))
	}
	if err := k.stop(); !errors.Is(err, context.Canceled) { // at once: most are still in the kernel
		t.Fatalf("run ended with %v", err)
	}
	s := k.Stats()
	if lost := s.Dropped[DropKernel] + s.Dropped[DropQueue]; uint64(k.count())+lost < n {
		t.Errorf("%d flows of %d, %d dropped", k.count(), n, lost)
	}
}

func TestUDPExporterFilter(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Exporters: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil)
	c := dial(t, k.Addrs()[ProtocolNetFlow][0])
	now := time.Now()
	send(t, c, v5(now, 0, "198.51.100.7", "203.0.113.10"))
	eventually(t, "the drop to be counted", func() bool { return k.Stats().Dropped[DropExporter] == 1 })
	k.SetExporters([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	send(t, c, v5(now, 1, "198.51.100.7", "203.0.113.10"))
	eventually(t, "the flow", func() bool { return k.count() == 1 })
	send(t, c, []byte("no flow export at all"))
	eventually(t, "the unknown version to be counted", func() bool { return k.Stats().Dropped[DropVersion] == 1 })
	_ = k.stop()
}

func TestUDPSampling(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, SamplingFor: func(a netip.Addr) (uint32, bool) {
		return 4096, a == netip.MustParseAddr("127.0.0.1")
	}}, nil)
	send(t, dial(t, k.Addrs()[ProtocolNetFlow][0]), v5(time.Now(), 0, "198.51.100.7", "203.0.113.10"))
	eventually(t, "the flow", func() bool { return k.count() == 1 })
	_ = k.stop()
	if f := k.flows[0]; f.Sampling != 4096 || f.SamplingSource != weir.SamplingConfig {
		t.Errorf("sampling %d from %v", f.Sampling, f.SamplingSource)
	}
}

func TestUDPClock(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}}, nil)
	before := time.Now()
	// The clock of this exporter is half an hour ahead.
	send(t, dial(t, k.Addrs()[ProtocolNetFlow][0]), v5(before.Add(30*time.Minute), 0, "198.51.100.7", "203.0.113.10"))
	eventually(t, "the flow", func() bool { return k.count() == 1 })
	s := k.Stats().Exporters[0]
	_ = k.stop()
	if end := time.Unix(0, k.flows[0].End); end.Before(before.Add(-2*time.Second)) || end.After(time.Now().Add(2*time.Second)) {
		t.Errorf("the flow ends at %v, received after %v", end, before)
	}
	if s.ClockState != "shifted" || (s.Skew-30*time.Minute).Abs() > 2*time.Second {
		t.Errorf("exporter %+v", s)
	}
}

func TestUDPPortTaken(t *testing.T) {
	first, err := NewUDP(UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := first.Addrs()[ProtocolNetFlow][0].String()
	second, err := NewUDP(UDPConfig{SFlow: []string{taken}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("a second source on %s: %v", taken, err)
	}
}

func TestUDPEmitError(t *testing.T) {
	stop := errors.New("downstream is gone")
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}}, func(weir.Batch) error { return stop })
	send(t, dial(t, k.Addrs()[ProtocolNetFlow][0]), v5(time.Now(), 0, "198.51.100.7", "203.0.113.10"))
	select {
	case err := <-k.done:
		if !errors.Is(err, stop) {
			t.Errorf("run ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the run goes on after an error of emit")
	}
}

func TestUDPSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := NewUDP(UDPConfig{NetFlow: []string{":0"}, Idle: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		var got []weir.Batch
		var when []time.Duration
		go u.watchSilence(ctx, func(b weir.Batch) error {
			got, when = append(got, b), append(when, time.Since(start))
			return nil
		}, cancel)
		hear := func() {
			now := time.Now().UnixNano()
			u.mu.Lock()
			u.exporters.saw(ClockExporter, exporterA, now, 0, 1, []weir.Flow{{Start: now, End: now}})
			u.mu.Unlock()
		}
		hear()
		time.Sleep(4 * time.Minute)
		hear()
		newest := time.Now()
		time.Sleep(20 * time.Minute)
		cancel()
		synctest.Wait()
		if len(got) != 1 || len(got[0].Flows) != 0 || got[0].Watermark != newest.Add(time.Minute).UnixNano() {
			t.Fatalf("batches %v", got)
		}
		if when[0] < 9*time.Minute || when[0] > 9*time.Minute+time.Second {
			t.Errorf("told after %v, want nine minutes", when[0])
		}
	})
}

func TestUDPConfigFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		c    UDPConfig
		says string
	}{
		{"nothing to listen on", UDPConfig{}, "no address"},
		{"no port", UDPConfig{NetFlow: []string{"127.0.0.1"}}, "host:port"},
		{"named port", UDPConfig{SFlow: []string{"127.0.0.1:sflow"}}, "0 to 65535"},
		{"twice", UDPConfig{NetFlow: []string{":2055"}, SFlow: []string{":2055"}}, "twice"},
		{"clock", UDPConfig{NetFlow: []string{":0"}, Clock: "sundial"}, "auto, exporter or receive"},
		{"workers", UDPConfig{NetFlow: []string{":0"}, Workers: -1}, "workers"},
		{"lateness", UDPConfig{NetFlow: []string{":0"}, Lateness: -1}, "lateness"},
		{"buffer", UDPConfig{NetFlow: []string{":0"}, ReceiveBuffer: -1}, "receive buffer"},
		{"prefix", UDPConfig{NetFlow: []string{":0"}, Exporters: make([]netip.Prefix, 1)}, "prefix"},
	} {
		if _, err := NewUDP(c.c); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
	u, err := NewUDP(UDPConfig{NetFlow: []string{"192.0.2.123:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "192.0.2.123") {
		t.Errorf("an address that is not ours: %v", err)
	}
}

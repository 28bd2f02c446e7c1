package ingest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

// dialFrom is dial from another loopback address, that is as another exporter.
func dialFrom(t *testing.T, from string, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)), net.UDPAddrFromAddrPort(to))
	if err != nil {
		if runtime.GOOS != "linux" {
			t.Skipf("skipped: only Linux has all of 127.0.0.0/8: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Overload is honest: while nothing is taken, memory stays bounded, and whatever
// is lost is counted for its socket and for its exporter; once things are taken
// again, nothing is lost any more.
func TestUDPOverload(t *testing.T) {
	release := make(chan struct{})
	var hold atomic.Bool
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0", "127.0.0.1:0"}, Workers: 1}, func(weir.Batch) error {
		if hold.Load() {
			<-release
		}
		return nil
	})
	bound := k.Addrs()[ProtocolNetFlow]
	// The quiet one sends to the first port, the loud one to the second.
	quiet, loud := dialFrom(t, "127.0.0.2", bound[0]), dialFrom(t, "127.0.0.3", bound[1])
	now := time.Now()
	sent := map[*net.UDPConn]uint64{}
	talk := func(c *net.UDPConn, n int) {
		for range n {
			send(t, c, v5(now, uint32(sent[c]), "198.51.100.7", "203.0.113.10"))
			sent[c]++
		}
	}
	talk(quiet, 10)
	talk(loud, 10)
	eventually(t, "both exporters to be known", func() bool { return len(k.Stats().Exporters) == 2 })

	// The next flows hold up everything. The queue fills, then datagrams are
	// dropped.
	hold.Store(true)
	room := uint64(len(k.workers[0].in.ring))
	for i := 0; k.Stats().Dropped[DropQueue] < 3*room/2; i++ {
		if i > 1000 {
			t.Fatalf("no drop at the queue after %d datagrams: %+v", sent[loud], k.Stats())
		}
		talk(loud, 200)
		if i%8 == 0 {
			talk(quiet, 1)
		}
		// Not faster than the kernel's buffer is read.
		eventually(t, "the sockets to be read", func() bool {
			s := k.Stats()
			return s.Sockets[1].Datagrams+s.Sockets[1].KernelDropped >= sent[loud]
		})
	}
	s := k.Stats()
	most := queueMemory + keepCommon*pooledSize
	if got := k.held(); got > most {
		t.Errorf("%d bytes of buffers, at most %d", got, most)
	}
	if uint64(s.Waiting) != room {
		t.Errorf("%d datagrams wait in a queue of %d that overflows", s.Waiting, room)
	}
	if s.Sockets[1].QueueDropped == 0 || s.Sockets[0].QueueDropped+s.Sockets[1].QueueDropped != s.Dropped[DropQueue] {
		t.Errorf("%d dropped at the queue; by socket: %+v", s.Dropped[DropQueue], s.Sockets)
	}
	byExporter := s.Exporters[0].QueueDropped + s.Exporters[1].QueueDropped
	if byExporter != s.Dropped[DropQueue] || s.Exporters[1].QueueDropped != s.Sockets[1].QueueDropped {
		t.Errorf("%d dropped at the queue; by exporter: %+v", s.Dropped[DropQueue], s.Exporters)
	}

	// The overload ends: everything that waits comes out.
	close(release)
	account := func() (missing uint64) {
		s := k.Stats()
		return sent[quiet] + sent[loud] - uint64(k.count()) - s.Dropped[DropQueue] - s.Dropped[DropKernel]
	}
	eventually(t, "every datagram to be accounted for", func() bool { return account() == 0 })
	before := k.Stats()
	for range 20 {
		talk(loud, 50)
		talk(quiet, 5)
		eventually(t, "the flows", func() bool { return account() == 0 })
	}
	if err := k.stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("run ended with %v", err)
	}
	after := k.Stats()
	for _, reason := range []string{DropQueue, DropKernel} {
		if before.Dropped[reason] != after.Dropped[reason] {
			t.Errorf("%s: %d dropped after the overload", reason, after.Dropped[reason]-before.Dropped[reason])
		}
	}
	for i, x := range after.Exporters {
		if x.QueueDropped != before.Exporters[i].QueueDropped {
			t.Errorf("%v: %d dropped after the overload", x.Exporter, x.QueueDropped-before.Exporters[i].QueueDropped)
		}
	}
	// The sequence numbers of the loud one tell the same.
	for _, x := range after.Domains {
		if i := slices.IndexFunc(after.Exporters, func(e ExporterStats) bool { return e.Exporter == x.Exporter }); x.SequenceLost > after.Exporters[i].QueueDropped+after.Dropped[DropKernel] {
			t.Errorf("%v: %d missing by sequence, %d dropped", x.Exporter, x.SequenceLost, after.Exporters[i].QueueDropped)
		}
	}
}

// held is the memory of the buffers that wait, and of those kept for later.
func (u *UDP) held() (n int) {
	for _, w := range u.workers {
		w.in.mu.Lock()
		n += w.in.memory
		w.in.mu.Unlock()
	}
	u.free.mu.Lock()
	defer u.free.mu.Unlock()
	return n + len(u.free.common)*pooledSize + len(u.free.large)*maxUDP
}

// What the kernel drops is counted to the last datagram, also when none comes
// after it.
func TestUDPKernelDrops(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: only Linux counts what a socket drops")
	}
	u, err := NewUDP(UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Workers: 1, ReceiveBuffer: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	c := dial(t, u.Addrs()[ProtocolNetFlow][0])
	const n = 1000
	for i := range n { // nobody reads
		send(t, c, v5(time.Now(), uint32(i), "198.51.100.7", "203.0.113.10"))
	}
	s := u.Stats()
	if s.Dropped[DropKernel] == 0 || s.Dropped[DropKernel] >= n || s.Sockets[0].KernelDropped != s.Dropped[DropKernel] {
		t.Fatalf("%d of %d dropped by the kernel; sockets %+v", s.Dropped[DropKernel], n, s.Sockets)
	}
	if x := s.Sockets[0]; x.Waiting == 0 || x.ReceiveBuffer < 1024 || x.ReceiveBuffer > 1<<20 {
		t.Errorf("socket %+v", x)
	}
	k := start(t, u, nil)
	eventually(t, "all flows that the kernel kept", func() bool { return uint64(k.count())+k.Stats().Dropped[DropKernel] == n })
	_ = k.stop()
	s = k.Stats() // the sockets are closed, their counts stay
	if s.Sockets[0].Datagrams+s.Sockets[0].KernelDropped != n || s.Sockets[0].Waiting != 0 {
		t.Errorf("socket %+v", s.Sockets[0])
	}
}

func TestDropCount(t *testing.T) {
	var c dropCount
	for _, x := range []struct {
		n    uint32
		want uint64
	}{
		{0, 0}, {5, 5}, {5, 5},
		{3, 5}, // an older count that came later
		{1<<31 - 1, 1<<31 - 1}, {1<<32 - 2, 1<<32 - 2},
		{3, 1<<32 + 3}, // the count has wrapped
	} {
		if c.observe(x.n); c.load() != x.want {
			t.Errorf("%d after %d was told, want %d", c.load(), x.n, x.want)
		}
	}
}

// One exporter that sends from many ports reaches many sockets, as the kernel
// spreads by port, and one decoder: its template holds for all of its data.
func TestUDPTemplatesOfManyPorts(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Workers: 4, Clock: ClockExporter}, nil)
	to := k.Addrs()[ProtocolNetFlow][0]
	now := time.Now().Truncate(time.Millisecond)
	send(t, dial(t, to), templateMessage(now))
	eventually(t, "the template", func() bool { return k.Stats().NetFlow.Templates == 1 })
	const ports, each = 16, 20
	for p := range ports {
		c := dial(t, to)
		for i := range each {
			send(t, c, dataMessage(now, uint32(p*each+i), record("198.51.100.7", "203.0.113.10", uint16(p), 22, now, now)))
		}
	}
	eventually(t, "all flows", func() bool { return k.count() == ports*each })
	_ = k.stop()
	s := k.Stats()
	if s.NetFlow.SetsWithoutTemplate != 0 || s.NetFlow.Domains != 1 {
		t.Errorf("%+v", s.NetFlow)
	}
	used := 0
	for _, x := range s.Sockets {
		if x.Datagrams > 0 {
			used++
		}
	}
	if canShare && used < 2 {
		t.Errorf("%d of %d sockets got something: the test shows nothing", used, len(s.Sockets))
	}
}

// A datagram of any size comes through whole, in any order with others.
func TestUDPLargeDatagrams(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Clock: ClockExporter}, nil)
	c := dial(t, k.Addrs()[ProtocolNetFlow][0])
	now := time.Now().Truncate(time.Millisecond)
	send(t, c, templateMessage(now))
	one := len(record("10.0.0.1", "10.0.0.2", 0, 0, now, now))
	var want []int
	sequence := 0
	for _, size := range []int{one, pooledSize, 9000, 2 * one, 65_000, pooledSize + one, 65_000, 3 * one} {
		n := size / one
		var records [][]byte
		for i := range n {
			records = append(records, record("10.0.0.1", "10.0.0.2", uint16(i), uint16(len(want)), now, now))
		}
		send(t, c, dataMessage(now, uint32(sequence), records...))
		want = append(want, n)
		sequence += n
	}
	eventually(t, "all flows", func() bool { return k.count() == sequence })
	_ = k.stop()
	i := 0
	for g, n := range want {
		for j := range n {
			if f := k.flows[i]; int(f.Dst.Port()) != g || int(f.Src.Port()) != j {
				t.Fatalf("flow %d of datagram %d has ports %v, %v", j, g, f.Src.Port(), f.Dst.Port())
			}
			i++
		}
	}
	if s := k.Stats(); s.Dropped[DropMalformed] != 0 || s.NetFlow.SequenceLost != 0 || s.Datagrams != uint64(len(want)+1) {
		t.Errorf("%+v", s)
	}
}

// From the socket to the queue and back nothing is allocated per datagram.
func TestReceiveDoesNotAllocate(t *testing.T) {
	u, err := NewUDP(UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Listen(); err != nil {
		t.Fatal(err)
	}
	in := newBatchReader(u.sockets[0])
	t.Cleanup(func() { in.close(); u.Close() })
	r := receiver{u: u, s: u.sockets[0], sorted: make([][]*datagram, 1)}
	c := dial(t, u.Addrs()[ProtocolNetFlow][0])
	content := [][]byte{v5(time.Now(), 0, "10.0.0.1", "10.0.0.2"), make([]byte, pooledSize+1)}
	got := make([]*datagram, 2*receiveBatch)
	once := func() {
		for i := range receiveBatch {
			if _, err := c.Write(content[i%2]); err != nil {
				t.Fatal(err)
			}
		}
		for left := receiveBatch; left > 0; {
			u.free.fill(r.slots[:])
			n, err := in.read(r.slots[:], time.Second)
			if err != nil || n == 0 {
				t.Fatalf("read %d datagrams: %v", n, err)
			}
			r.hand(n, t0)
			left -= n
		}
		n := u.workers[0].in.take(got)
		if n != receiveBatch || got[0].from != netip.MustParseAddr("127.0.0.1") || !bytes.Equal(got[0].buf, content[0]) || !bytes.Equal(got[n-1].buf, content[1]) {
			t.Fatalf("%d datagrams, the first %+v", n, got[0])
		}
		u.free.give(got[:n])
	}
	once()
	if n := testing.AllocsPerRun(50, once); n > 2 {
		t.Errorf("%v allocations for %d datagrams", n, receiveBatch)
	}
}

// A queue gives what it took, in order, and never holds more than its bounds.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(1 << 20) // the least
		q.ring = q.ring[:rapid.IntRange(1, 8).Draw(t, "places")]
		q.most = rapid.IntRange(0, 8).Draw(t, "memory") * pooledSize
		var model []*datagram
		number := int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "put") {
				var list []*datagram
				for range rapid.IntRange(0, 5).Draw(t, "count") {
					number++
					list = append(list, &datagram{received: number, buf: make([]byte, 0, pooledSize*rapid.IntRange(1, 3).Draw(t, "size"))})
				}
				n := q.put(list)
				model = append(model, list[:n]...)
				memory := 0
				for _, d := range model {
					memory += cap(d.buf)
				}
				full := len(model) == len(q.ring)
				if memory > q.most || len(model) > len(q.ring) || n < len(list) && !full && memory+cap(list[n].buf) <= q.most {
					t.Fatalf("%d of %d taken: %d waiting in %d places, %d bytes of %d", n, len(list), len(model), len(q.ring), memory, q.most)
				}
			} else {
				dst := make([]*datagram, rapid.IntRange(0, 5).Draw(t, "room"))
				n := q.more(dst)
				if n != min(len(dst), len(model)) || !slices.Equal(dst[:n], model[:n]) {
					t.Fatalf("took %v of %v", dst[:n], model)
				}
				model = model[n:]
			}
			if q.waiting() != len(model) {
				t.Fatalf("%d waiting, want %d", q.waiting(), len(model))
			}
		}
		q.close()
		for dst := make([]*datagram, 3); ; {
			n := q.take(dst)
			if n == 0 {
				break
			}
			model = model[n:]
		}
		if len(model) != 0 {
			t.Fatalf("%d are lost at the end", len(model))
		}
	})
}

// A close from elsewhere ends the run.
func TestUDPCloseWhileRunning(t *testing.T) {
	k := collect(t, UDPConfig{NetFlow: []string{"127.0.0.1:0"}, SFlow: []string{"127.0.0.1:0"}}, nil)
	c := dial(t, k.Addrs()[ProtocolNetFlow][0])
	send(t, c, v5(time.Now(), 0, "198.51.100.7", "203.0.113.10"))
	eventually(t, "the flow", func() bool { return k.count() == 1 })
	k.Close()
	k.Close()
	if s := k.Stats(); s.Sockets[0].Errors != 0 {
		t.Errorf("%+v", s.Sockets)
	}
	_ = k.stop()
}

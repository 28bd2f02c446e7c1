package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// agent is an exporter of NetFlow version 9 (RFC 3954) on a socket of its own.
type agent struct {
	t        *testing.T
	conn     *net.UDPConn
	booted   int64         // Unix ns, a whole number of seconds, by its own clock
	skew     time.Duration // its clock is ahead by so much
	sequence uint32
	fields   []uint16 // of its template
}

// Fields of version 9 with their lengths: addresses, ports, protocol, flags,
// packets, bytes, first and last switched, sampling interval.
var layoutA = []uint16{8, 12, 7, 11, 4, 6, 2, 1, 22, 21, 34}

// layoutB has the same fields elsewhere, under the same template id.
var layoutB = []uint16{34, 1, 2, 21, 22, 11, 7, 12, 8, 6, 4}

func fieldLength(id uint16) uint16 {
	switch id {
	case 4, 6:
		return 1
	case 7, 11:
		return 2
	}
	return 4
}

// restart is a power cycle at a time: uptime and sequence begin anew, and the
// template changes.
func (a *agent) restart(at int64) {
	a.booted, a.sequence, a.fields = (at+int64(a.skew))/int64(time.Second)*int64(time.Second), 0, layoutB
	a.template(at)
}

func (a *agent) template(at int64) {
	body := binary.BigEndian.AppendUint16(nil, 256)
	body = binary.BigEndian.AppendUint16(body, uint16(len(a.fields)))
	for _, id := range a.fields {
		body = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(body, id), fieldLength(id))
	}
	a.send(at, 0, 1, body)
}

// export sends flows in one datagram.
func (a *agent) export(flows []weir.Flow) {
	var body []byte
	for i := range flows {
		f := &flows[i]
		src, dst := f.Src.Addr().As4(), f.Dst.Addr().As4()
		uptime := func(t int64) uint32 { return uint32((t + int64(a.skew) - a.booted) / int64(time.Millisecond)) }
		for _, id := range a.fields {
			switch id {
			case 8:
				body = append(body, src[:]...)
			case 12:
				body = append(body, dst[:]...)
			case 7:
				body = binary.BigEndian.AppendUint16(body, f.Src.Port())
			case 11:
				body = binary.BigEndian.AppendUint16(body, f.Dst.Port())
			case 4:
				body = append(body, f.Proto)
			case 6:
				body = append(body, byte(f.TCPFlags))
			case 2:
				body = binary.BigEndian.AppendUint32(body, uint32(f.Packets))
			case 1:
				body = binary.BigEndian.AppendUint32(body, uint32(f.Bytes))
			case 22:
				body = binary.BigEndian.AppendUint32(body, uptime(f.Start))
			case 21:
				body = binary.BigEndian.AppendUint32(body, uptime(f.End))
			case 34:
				body = binary.BigEndian.AppendUint32(body, 1)
			}
		}
	}
	a.send(flows[len(flows)-1].End, 256, len(flows), body)
}

func (a *agent) send(at int64, set uint16, records int, body []byte) {
	a.t.Helper()
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	// The header tells whole seconds, so that what is sent lies a little back.
	now := (at + int64(a.skew)) / int64(time.Second) * int64(time.Second)
	b := make([]byte, 24, 24+len(body))
	binary.BigEndian.PutUint16(b, 9)
	binary.BigEndian.PutUint16(b[2:], uint16(records))
	binary.BigEndian.PutUint32(b[4:], uint32((now-a.booted)/int64(time.Millisecond)))
	binary.BigEndian.PutUint32(b[8:], uint32(now/int64(time.Second)))
	binary.BigEndian.PutUint32(b[12:], a.sequence)
	binary.BigEndian.PutUint32(b[16:], 5)
	binary.BigEndian.PutUint16(b[20:], set)
	binary.BigEndian.PutUint16(b[22:], uint16(4+len(body)))
	a.sequence++
	if _, err := a.conn.Write(append(b, body...)); err != nil {
		a.t.Fatal(err)
	}
}

// overUDP plays 400 logins past two exporters, over sockets, and returns the
// alerts by id. before is called before each datagram with its time.
func overUDP(t *testing.T, skew time.Duration, before func(one, two *agent, at int64)) (map[string]weir.Alert, netflow.Stats) {
	t.Helper()
	u, err := ingest.NewUDP(ingest.UDPConfig{NetFlow: []string{"127.0.0.1:0"}, Clock: ingest.ClockExporter, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Listen(); err != nil {
		t.Fatal(err)
	}
	out := map[string]weir.Alert{}
	p, err := newPipeline(detect.DefaultConfig(), 2, world(t), func(c change) { out[c.alert.ID] = c.alert })
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	var mu sync.Mutex
	taken := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- u.Run(ctx, func(b weir.Batch) error {
			p.feed(b)
			mu.Lock()
			taken += len(b.Flows)
			mu.Unlock()
			return nil
		})
	}()
	to := net.UDPAddrFromAddrPort(u.Addrs()[ingest.ProtocolNetFlow][0])
	dial := func(from string, skew time.Duration) *agent {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
		if err != nil {
			t.Skipf("this machine has no second loopback address: %v", err)
		}
		t.Cleanup(func() { _ = c.Close() })
		a := &agent{t: t, conn: c, booted: start - int64(400*time.Hour), skew: skew, sequence: 70_000, fields: layoutA}
		a.template(start)
		return a
	}
	one, two := dial("127.0.0.1", 0), dial("127.0.0.2", skew)
	flows := logins(400, 20*time.Minute, 30*time.Minute)
	for i := range flows {
		f := &flows[i]
		// A time in uptime has milliseconds.
		f.Start, f.End = f.Start/int64(time.Millisecond)*int64(time.Millisecond), f.End/int64(time.Millisecond)*int64(time.Millisecond)
	}
	for i := 0; i < len(flows); i += 10 {
		part := flows[i : i+10]
		before(one, two, part[0].Start)
		a := one
		if i > 40 && i%20 == 0 { // the first minutes are the first router's
			a = two
		}
		a.export(part)
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
			mu.Lock()
			n := taken
			mu.Unlock()
			if n == i+10 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d flows arrive: %+v", n, i+10, u.Stats().NetFlow)
			}
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.finish()
	if n := p.counts.late.Load(); n > 0 {
		t.Errorf("%d flows are late", n)
	}
	return out, u.Stats().NetFlow
}

// TestExporterRestartKeepsTheEpisode is P14 from the datagram to the alert: the
// restart of an exporter, a clock half a minute off and a template that changes
// in the middle of an attack lose nothing and leave one alert with the id that it
// has without them.
//
// It can fail: Decoder.open without dropTemplates held flows of the old layout;
// a template that is not replaced reads nonsense.
func TestExporterRestartKeepsTheEpisode(t *testing.T) {
	middle := start + int64(35*time.Minute)
	once := func(do func(one, two *agent, at int64)) func(one, two *agent, at int64) {
		did := false
		return func(one, two *agent, at int64) {
			if !did && at >= middle {
				did = true
				do(one, two, at)
			}
		}
	}
	nothing := func(*agent, *agent, int64) {}
	want, _ := overUDP(t, 0, nothing)
	if len(want) != 1 {
		t.Fatalf("%d alerts of one attack", len(want))
	}
	restart := func(one, _ *agent, at int64) { one.restart(at) }
	template := func(one, two *agent, at int64) {
		for _, a := range []*agent{one, two} {
			a.fields = layoutB
			a.template(at)
		}
	}
	for _, v := range []struct {
		name     string
		skew     time.Duration
		before   func(one, two *agent, at int64)
		restarts uint64
	}{
		{"restart", 0, once(restart), 1},
		{"template change", 0, once(template), 0},
		{"ahead", 30 * time.Second, nothing, 0},
		{"behind", -30 * time.Second, nothing, 0},
		{"all at once", -30 * time.Second, once(func(one, two *agent, at int64) { template(one, two, at); restart(one, two, at); two.restart(at) }), 2},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, stats := overUDP(t, v.skew, v.before)
			if stats.Restarts != v.restarts {
				t.Errorf("%d restarts seen, want %d", stats.Restarts, v.restarts)
			}
			if len(got) != 1 {
				t.Fatalf("%d alerts of one attack", len(got))
			}
			for id, a := range want {
				b, ok := got[id]
				if !ok {
					t.Fatalf("another id")
				}
				if b.Reopened != a.Reopened || b.First != a.First || len(b.Peers) != 1 || b.Peers[0].Connections != a.Peers[0].Connections {
					t.Errorf("%d connections of %v, reopened %d times, without it %d, %d times", b.Peers[0].Connections, b.Peers[0].Address, b.Reopened, a.Peers[0].Connections, a.Reopened)
				}
			}
			if !slices.Equal(types(got), types(want)) {
				t.Errorf("raises %v", types(got))
			}
		})
	}
}

func types(alerts map[string]weir.Alert) []weir.AlertType {
	var out []weir.AlertType
	for _, a := range alerts {
		out = append(out, a.Type)
	}
	slices.Sort(out)
	return out
}

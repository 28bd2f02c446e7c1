package ingest

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"time"
)

const (
	// receiveBatch is the number of datagrams that one call of the kernel reads.
	receiveBatch = 32
	// receivePause is how long a receiver that emptied its socket lets datagrams
	// gather before it looks again, where the kernel's buffer has room for
	// pauseBuffer bytes at least, that is some 4 ms at 200,000 datagrams a second.
	// Without the pause it is woken for nearly every single one, which costs more
	// than to read it.
	receivePause = 500 * time.Microsecond
	pauseBuffer  = 1 << 20
	// When the run ends, what the kernel already holds is still read: a socket
	// is drained once nothing came for drainPause, and given up after drainTime
	// where senders go on.
	drainPause = 20 * time.Millisecond
	drainTime  = time.Second
)

// receiver reads one socket.
type receiver struct {
	u     *UDP
	s     *socket
	slots [receiveBatch]*datagram
	// sorted are the datagrams of one call, by worker.
	sorted [][]*datagram
	// last is the sender looked at last: datagrams of one come in runs.
	last struct {
		addr    netip.Addr
		allowed *[]netip.Prefix // by which permitted was told
		worker  int
		ok      bool
	}
}

// receive only reads, and hands the datagrams to the goroutines that decode
// their exporters; it never waits for one.
func (u *UDP) receive(ctx context.Context, s *socket) {
	r := receiver{u: u, s: s, sorted: make([][]*datagram, len(u.workers))}
	in := newBatchReader(s)
	defer in.close()
	pause := time.Duration(0)
	if s.granted >= pauseBuffer {
		pause = receivePause
	}
	wait := time.Duration(-1) // for ever, until the run ends
	var until time.Time       // of draining, zero before
	for {
		u.free.fill(r.slots[:])
		n, err := in.read(r.slots[:], wait)
		switch {
		case err != nil && (!until.IsZero() || errors.Is(err, net.ErrClosed)):
			return
		case err != nil:
			s.errors.Add(1)
			select { // a lasting error must not take a core
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		case n > 0:
			r.hand(n, time.Now().UnixNano())
		case !until.IsZero() || u.closed.Load():
			return // nothing left
		}
		switch {
		case !until.IsZero():
			if time.Now().After(until) {
				return
			}
		case ctx.Err() != nil:
			until, wait = time.Now().Add(drainTime), drainPause
		case n < len(r.slots) && pause > 0:
			time.Sleep(pause)
		}
	}
}

// hand passes on the first n slots. A datagram whose sender may not send keeps
// its slot.
func (r *receiver) hand(n int, now int64) {
	size, refused := uint64(0), uint64(0)
	allowed := r.u.allowed.Load()
	for i, d := range r.slots[:n] {
		size += uint64(len(d.buf))
		if d.from != r.last.addr || allowed != r.last.allowed {
			r.look(d.from, allowed)
		}
		if !r.last.ok {
			refused++
			continue
		}
		d.received, d.protocol = now, r.s.protocol
		r.sorted[r.last.worker] = append(r.sorted[r.last.worker], d)
		r.slots[i] = nil
	}
	r.s.datagrams.Add(uint64(n)) //nolint:gosec // n is a length
	r.s.bytes.Add(size)
	if refused > 0 {
		r.u.drops.exporter.Add(refused)
	}
	for i, list := range r.sorted {
		if len(list) == 0 {
			continue
		}
		if taken := r.u.workers[i].in.put(list); taken < len(list) {
			r.drop(list[taken:])
		}
		clear(list)
		r.sorted[i] = list[:0]
	}
}

// look finds out about a sender. All datagrams of one go to the same worker,
// whatever the port and whatever socket the kernel chose.
func (r *receiver) look(from netip.Addr, allowed *[]netip.Prefix) {
	r.last.addr, r.last.allowed, r.last.worker = from, allowed, 0
	if r.last.ok = permitted(*allowed, from); !r.last.ok {
		return
	}
	if n := uint64(len(r.u.workers)); n > 1 {
		r.last.worker = int(maphash.Comparable(r.u.seed, from) % n) //nolint:gosec // below n
	}
}

// drop counts datagrams that found the queue full.
func (r *receiver) drop(list []*datagram) {
	n := uint64(len(list))
	r.s.dropped.Add(n)
	r.u.drops.queue.Add(n)
	r.u.mu.Lock()
	for _, d := range list {
		r.u.exporters.lost(d.from)
	}
	r.u.mu.Unlock()
	r.u.free.give(list)
}

// permitted tells whether a sender may send; no prefixes mean that all may.
func permitted(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return len(prefixes) == 0
}

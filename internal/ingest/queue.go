package ingest

import (
	"net/netip"
	"sync"
)

const (
	// queueMemory bounds the buffers that wait for all decoding goroutines: about
	// 160 ms at 200,000 datagrams a second. The kernel's buffer holds the rest.
	queueMemory = 64 << 20
	// queueLeast is the least number of datagrams that may wait for one of them.
	queueLeast = 1024
	// pooledSize is the capacity of a common buffer: exporters keep below an
	// Ethernet MTU. A longer datagram takes one of maxUDP.
	pooledSize = 2048
	maxUDP     = 65535
	// keepCommon and keepLarge bound the buffers that are kept for later use;
	// what a burst needed beyond them goes to the garbage collector.
	keepCommon = 2048
	keepLarge  = 16
)

// datagram is one received datagram on its way to a decoder.
type datagram struct {
	from     netip.Addr
	received int64
	protocol protocol
	buf      []byte // capacity pooledSize, or maxUDP
}

// queue is the ring between the receivers and one decoding goroutine. What does
// not fit is refused at once: a receiver never waits. Its methods take and give
// many datagrams under one lock.
type queue struct {
	mu      sync.Mutex
	filled  sync.Cond
	ring    []*datagram
	head, n int
	memory  int // bytes of the buffers in the ring
	most    int // that memory may reach
	closed  bool
}

// newQueue makes the queue of one of the decoding goroutines.
func newQueue(workers int) *queue {
	n := max(queueMemory/pooledSize/workers, queueLeast)
	q := &queue{ring: make([]*datagram, n), most: n * pooledSize}
	q.filled.L = &q.mu
	return q
}

// put appends the datagrams that there is room for and returns their number:
// those behind them are refused. They belong to the reader then.
func (q *queue) put(list []*datagram) (taken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range list {
		if q.n == len(q.ring) || q.memory+cap(d.buf) > q.most {
			break
		}
		q.ring[(q.head+q.n)%len(q.ring)] = d
		q.memory += cap(d.buf)
		q.n++
		taken++
	}
	if taken > 0 {
		q.filled.Signal()
	}
	return taken
}

// take waits for datagrams and moves them to dst, as many as there are and fit.
// It returns 0 when the queue is closed and empty.
func (q *queue) take(dst []*datagram) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 && !q.closed {
		q.filled.Wait()
	}
	return q.move(dst)
}

// more is take that does not wait.
func (q *queue) more(dst []*datagram) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.move(dst)
}

func (q *queue) move(dst []*datagram) (n int) {
	for n < len(dst) && q.n > 0 {
		d := q.ring[q.head]
		q.ring[q.head] = nil
		q.head = (q.head + 1) % len(q.ring)
		q.n--
		q.memory -= cap(d.buf)
		dst[n] = d
		n++
	}
	return n
}

// close lets take end when the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Signal()
}

// waiting returns the number of datagrams in the queue.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// buffers keeps datagrams that are not in use.
type buffers struct {
	mu            sync.Mutex
	common, large []*datagram
}

// fill puts a common datagram into every empty place of dst.
func (b *buffers) fill(dst []*datagram) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range dst {
		if dst[i] == nil {
			dst[i] = pop(&b.common, pooledSize)
		}
	}
}

// takeLarge returns a datagram of capacity maxUDP.
func (b *buffers) takeLarge() *datagram {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pop(&b.large, maxUDP)
}

// pop takes one from the end, or makes one of a capacity.
func pop(list *[]*datagram, capacity int) *datagram {
	last := len(*list) - 1
	if last < 0 {
		return &datagram{buf: make([]byte, 0, capacity)}
	}
	d := (*list)[last]
	(*list)[last] = nil
	*list = (*list)[:last]
	return d
}

// give takes datagrams back.
func (b *buffers) give(list []*datagram) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range list {
		switch {
		case cap(d.buf) == pooledSize && len(b.common) < keepCommon:
			b.common = append(b.common, d)
		case cap(d.buf) == maxUDP && len(b.large) < keepLarge:
			b.large = append(b.large, d)
		}
	}
}

package ingest

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// worker decodes the datagrams of the exporters that hash to it. Its decoders
// are its own; an exporter always reaches the same one, whatever the port.
type worker struct {
	in *queue

	mu sync.Mutex // guards the decoders against statistics
	*decoders

	got   [batchDatagrams]*datagram // taken out of the queue, not yet decoded
	flows []weir.Flow               // of the batch being made
	parts []part
}

// part is what one datagram gave to the batch.
type part struct {
	from               netip.Addr
	received, exported int64
	size               int
	end                int // index behind its last flow
}

func newWorker(c UDPConfig) (*worker, error) {
	n := c.Workers
	share := func(total, least int) int { return max((total+n-1)/n, least) }
	nc := netflow.DefaultConfig()
	nc.MaxTemplates = c.MaxTemplates
	nc.MaxTemplateMemory = share(c.MaxTemplateMemory, 64<<10)
	nc.HoldBytes = share(nc.HoldBytes, 64<<10)
	// The spread over workers is uneven, so a share has a quarter to spare.
	nc.MaxExporters = share(c.MaxExporters+c.MaxExporters/4, 16)
	nc.Sampling = c.SamplingFor
	d, err := newDecoders(nc)
	if err != nil {
		return nil, fmt.Errorf("UDP source: %w", err)
	}
	return &worker{in: newQueue(n), decoders: d}, nil
}

// run decodes until the queue is closed and empty.
func (w *worker) run(u *UDP, emit func(weir.Batch)) {
	for {
		n := w.in.take(w.got[:])
		if n == 0 {
			return
		}
		for done := 0; done < n; {
			w.mu.Lock()
			from := done
			for done < n && len(w.flows) < batchFlows && len(w.parts) < batchDatagrams {
				w.decode(w.got[done])
				done++
				if done == n && n < len(w.got) {
					n += w.in.more(w.got[n:])
				}
			}
			w.mu.Unlock()
			u.free.give(w.got[from:done])
			w.flush(u, emit)
		}
		clear(w.got[:n])
	}
}

// decode appends the flows of one datagram to the batch. An error is counted by
// the decoder, and what came before it is kept.
func (w *worker) decode(d *datagram) {
	p := part{from: d.from, received: d.received, size: len(d.buf)}
	before := len(w.flows)
	var err error
	if d.protocol == sflowPort {
		w.flows, err = w.sflow.Decode(d.from, d.received, d.buf, w.flows)
	} else {
		w.flows, err = w.netflow.Decode(d.from, d.received, d.buf, w.flows)
		p.exported, _ = netflow.ExportTime(d.buf)
	}
	if err != nil && len(w.flows) == before {
		return // what is not export does not make an exporter
	}
	p.end = len(w.flows)
	w.parts = append(w.parts, p)
}

// flush sets the event times and hands the batch on.
func (w *worker) flush(u *UDP, emit func(weir.Batch)) {
	if len(w.parts) == 0 {
		return
	}
	u.emitting.Lock()
	defer u.emitting.Unlock()
	u.mu.Lock()
	from := 0
	for _, p := range w.parts {
		u.exporters.saw(u.c.Clock, p.from, p.received, p.exported, p.size, w.flows[from:p.end])
		from = p.end
	}
	mark := u.exporters.advance(time.Now().UnixNano())
	u.mu.Unlock()
	if len(w.flows) > 0 {
		emit(weir.Batch{Flows: w.flows, Watermark: mark})
	}
	w.flows, w.parts = w.flows[:0], w.parts[:0]
	if cap(w.flows) > 16*batchFlows { // one odd batch must not hold memory
		w.flows = nil
	}
}

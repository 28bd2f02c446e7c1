package ingest

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/weir-net/weir/internal/wire/netflow"
	"github.com/weir-net/weir/internal/wire/sflow"
)

// Reasons of dropped datagrams, as in metrics.
const (
	// DropKernel: the receive buffer of the socket was full.
	DropKernel = "kernel"
	// DropQueue: the queue before the decoder was full.
	DropQueue = "queue"
	// DropExporter: the sender is not among the exporters that may send.
	DropExporter = "exporter"
	// DropMalformed and DropVersion: the decoder could not use the datagram.
	DropMalformed = "malformed"
	DropVersion   = "version"
)

// SocketStats are the counters of one receiving socket.
type SocketStats struct {
	Protocol string         `json:"protocol"`
	Address  netip.AddrPort `json:"address"`
	// ReceiveBuffer is what the kernel granted, in bytes, 0 where unknown.
	ReceiveBuffer int    `json:"receiveBuffer"`
	Datagrams     uint64 `json:"datagrams"`
	Bytes         uint64 `json:"bytes"`
	// QueueDropped were received and found the queue full; KernelDropped never
	// reached the process (0 where the kernel does not tell).
	QueueDropped  uint64 `json:"queueDropped"`
	KernelDropped uint64 `json:"kernelDropped"`
	Errors        uint64 `json:"errors"`
	// Waiting are the bytes of the kernel's buffer that are taken, with what the
	// kernel needs for itself: it may reach twice ReceiveBuffer. 0 where unknown.
	Waiting int `json:"waiting"`
}

// ExporterStats are what is known of one sender. Times are Unix ns, 0 for none.
type ExporterStats struct {
	Exporter  netip.Addr `json:"exporter"`
	Datagrams uint64     `json:"datagrams"`
	Bytes     uint64     `json:"bytes"`
	Flows     uint64     `json:"flows"`
	// QueueDropped are datagrams that found the queue full, of exporters that
	// were known by then. They are not among Datagrams.
	QueueDropped uint64 `json:"queueDropped"`
	LastSeen     int64  `json:"lastSeen"`
	// NewestEvent is the newest event time, Watermark that less the lateness.
	NewestEvent int64 `json:"newestEvent"`
	Watermark   int64 `json:"watermark"`
	// Skew is how far its clock is ahead, ClockState what is done about it:
	// "ok" (nothing), "shifted" (taken out) or "beyond" (time of receipt).
	Skew       time.Duration `json:"skew"`
	ClockState string        `json:"clockState"`
	// Replaced counts flows whose time could not be used, which took the time
	// of receipt instead.
	Replaced uint64 `json:"replaced"`
	// NoRate counts flows without a known sampling rate, NoRateAt is when the
	// newest of them was received.
	NoRate   uint64 `json:"noRate"`
	NoRateAt int64  `json:"noRateAt"`
	// AdvisedLateness is the lateness that fits this exporter, of what it sent in
	// the last hour: max(60 s, longest records + 30 s, p99.9 of how late records
	// come), at most 900 s. It is advice only.
	AdvisedLateness time.Duration `json:"advisedLateness"`
	// Idle exporters are not waited for.
	Idle bool `json:"idle"`
}

// UDPStats is a snapshot of the counters of a UDP source. Counts are since it
// was made.
type UDPStats struct {
	Datagrams, Bytes, Flows uint64
	Dropped                 map[string]uint64 // by reason; every reason is present
	Sockets                 []SocketStats
	Exporters               []ExporterStats // by address, at most MaxExporters
	Forgotten               uint64          // exporters forgotten to make room
	Waiting                 int             // datagrams in the queues before the decoders
	Watermark               int64
	NetFlow                 netflow.Stats
	SFlow                   sflow.Stats
	// Domains are the NetFlow exporters and observation domains, by address.
	Domains []netflow.ExporterInfo
}

// Stats returns a snapshot. It is safe at any time and never waits for emit.
func (u *UDP) Stats() UDPStats {
	var s UDPStats
	var kernel uint64
	for _, k := range u.sockets {
		waiting := k.look()
		x := SocketStats{
			Protocol: k.protocol.String(), Address: k.addr, ReceiveBuffer: k.granted,
			Datagrams: k.datagrams.Load(), Bytes: k.bytes.Load(), QueueDropped: k.dropped.Load(),
			KernelDropped: k.kernel.load(), Errors: k.errors.Load(), Waiting: waiting,
		}
		s.Datagrams += x.Datagrams
		s.Bytes += x.Bytes
		kernel += x.KernelDropped
		s.Sockets = append(s.Sockets, x)
	}
	for _, w := range u.workers {
		s.Waiting += w.in.waiting()
		w.mu.Lock()
		s.NetFlow = sum(s.NetFlow, w.netflow.Stats())
		s.SFlow = sum(s.SFlow, w.sflow.Stats())
		s.Domains = append(s.Domains, w.netflow.Exporters()...)
		w.mu.Unlock()
	}
	slices.SortFunc(s.Domains, func(a, b netflow.ExporterInfo) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Format, b.Format))
	})
	s.Flows = s.NetFlow.Flows + s.SFlow.Flows
	s.Dropped = map[string]uint64{
		DropKernel: kernel, DropQueue: u.drops.queue.Load(), DropExporter: u.drops.exporter.Load(),
		DropMalformed: s.NetFlow.Malformed + s.SFlow.Malformed,
		DropVersion:   s.NetFlow.UnknownVersion + s.SFlow.UnknownVersion,
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Watermark, s.Forgotten = u.exporters.watermark, u.exporters.evicted
	s.Exporters = u.exporters.snapshot(time.Now().UnixNano())
	return s
}

func (v verdict) String() string {
	switch v {
	case skewShifted:
		return "shifted"
	case skewBeyond:
		return "beyond"
	}
	return "ok"
}

func (e *exporters) snapshot(now int64) []ExporterStats {
	out := make([]ExporterStats, 0, len(e.m))
	for a, x := range e.m {
		st := ExporterStats{
			Exporter: a, Datagrams: x.datagrams, Bytes: x.bytes, Flows: x.flows, QueueDropped: x.dropped, LastSeen: x.heard,
			NewestEvent: x.newest, Skew: x.skew.median, ClockState: x.skew.verdict().String(),
			Replaced: x.replaced, Idle: now-x.heard > int64(e.idle),
			NoRate: x.noRate, NoRateAt: x.noRateAt, AdvisedLateness: x.advised(now),
		}
		if x.newest != 0 {
			st.Watermark = x.newest - int64(e.lateness)
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b ExporterStats) int { return a.Exporter.Compare(b.Exporter) })
	return out
}

// sum adds the counters of two structs field by field; fields that are no
// integers keep the value of a.
func sum[T any](a, b T) T {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(b)
	for i := range x.NumField() {
		switch f := x.Field(i); {
		case f.CanUint():
			f.SetUint(f.Uint() + y.Field(i).Uint())
		case f.CanInt():
			f.SetInt(f.Int() + y.Field(i).Int())
		}
	}
	return a
}

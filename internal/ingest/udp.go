package ingest

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-net/weir"
)

// UDPConfig is what a UDP source is made of. Zero values take the defaults of
// the reference of configuration keys.
type UDPConfig struct {
	// NetFlow and SFlow are addresses host:port; ":port" is every interface
	// and port 0 any free one. Both may be empty, not at once.
	NetFlow, SFlow []string
	// Exporters may send; empty means anyone.
	Exporters []netip.Prefix
	Clock     Clock
	// Workers is the number of receiving sockets per address and of decoding
	// goroutines; 0 means one per core.
	Workers int
	// ReceiveBuffer is asked of the kernel for every socket, in bytes.
	ReceiveBuffer int
	// Lateness is taken off the newest event time of an exporter; Idle is the
	// silence after which an exporter is not waited for; Pane is the width of a
	// pane of the detectors.
	Lateness, Idle, Pane time.Duration
	// MaxExporters bounds the senders remembered, MaxTemplates the templates of
	// one exporter and domain, MaxTemplateMemory all templates, in bytes.
	MaxExporters, MaxTemplates, MaxTemplateMemory int
	// SamplingFor returns the configured 1-in-N rate of an exporter, 0 for
	// none, and whether it holds even where the export says otherwise. It is
	// called for every datagram, from several goroutines. Nil means none.
	SamplingFor func(exporter netip.Addr) (rate uint32, force bool)
}

// Defaults, from the reference of configuration keys, sections 2 and 6.
const (
	DefaultReceiveBuffer     = 32 << 20
	DefaultLateness          = 2 * time.Minute
	DefaultIdle              = 5 * time.Minute
	DefaultPane              = time.Minute
	DefaultMaxExporters      = 4096
	DefaultMaxTemplates      = 1024
	DefaultMaxTemplateMemory = 64 << 20
)

const (
	// batchFlows and batchDatagrams end a batch; so does an empty queue.
	batchFlows     = 2048
	batchDatagrams = 64
)

// protocol is what a socket expects.
type protocol uint8

const (
	netflowPort protocol = iota
	sflowPort
)

// Names of the protocols in Addrs and in statistics.
const (
	ProtocolNetFlow = "netflow"
	ProtocolSFlow   = "sflow"
)

func (p protocol) String() string {
	if p == sflowPort {
		return ProtocolSFlow
	}
	return ProtocolNetFlow
}

// UDP receives flow export datagrams. It implements weir.Source.
type UDP struct {
	c       UDPConfig
	allowed atomic.Pointer[[]netip.Prefix]
	seed    maphash.Seed
	free    buffers
	sockets []*socket
	workers []*worker
	closed  atomic.Bool

	drops drops

	// emitting orders what the workers emit; mu guards the exporters. mu is
	// taken inside emitting and never held while emit runs.
	emitting  sync.Mutex
	emitErr   error
	mu        sync.Mutex
	exporters *exporters
}

// drops counts datagrams that reached no decoder, by reason.
type drops struct {
	queue, exporter atomic.Uint64
}

// NewUDP validates the configuration. It binds nothing: see Listen.
func NewUDP(c UDPConfig) (*UDP, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	u := &UDP{
		c:         c,
		seed:      maphash.MakeSeed(),
		exporters: newExporters(c.Lateness, c.Idle, c.Pane, c.MaxExporters),
	}
	u.SetExporters(c.Exporters)
	for range c.Workers {
		w, err := newWorker(c)
		if err != nil {
			return nil, err
		}
		u.workers = append(u.workers, w)
	}
	return u, nil
}

func (c UDPConfig) withDefaults() UDPConfig {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Clock == "" {
		c.Clock = ClockAuto
	}
	or(&c.Workers, runtime.GOMAXPROCS(0))
	or(&c.ReceiveBuffer, DefaultReceiveBuffer)
	or(&c.MaxExporters, DefaultMaxExporters)
	or(&c.MaxTemplates, DefaultMaxTemplates)
	or(&c.MaxTemplateMemory, DefaultMaxTemplateMemory)
	orTime(&c.Lateness, DefaultLateness)
	orTime(&c.Idle, DefaultIdle)
	orTime(&c.Pane, DefaultPane)
	return c
}

func (c UDPConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.NetFlow)+len(c.SFlow) == 0 {
		bad("no address to listen on")
	}
	if _, err := ParseClock(string(c.Clock)); err != nil {
		errs = append(errs, err)
	}
	if c.Workers < 0 || c.Workers > 256 {
		bad("workers %d: must be 0 to 256", c.Workers)
	}
	if c.ReceiveBuffer < 0 {
		bad("receive buffer %d: must not be negative", c.ReceiveBuffer)
	}
	if c.Lateness < 0 || c.Idle <= 0 || c.Pane <= 0 {
		bad("lateness %v, idle %v, pane %v: must be positive", c.Lateness, c.Idle, c.Pane)
	}
	if c.MaxExporters < 0 || c.MaxTemplates < 0 || c.MaxTemplateMemory < 0 {
		bad("limits of exporters and templates must be positive")
	}
	seen := map[string]bool{}
	for _, a := range append(append([]string(nil), c.NetFlow...), c.SFlow...) {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			bad("address %q: must be host:port or :port", a)
			continue
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			bad("address %q: the port must be a number from 0 to 65535", a)
		} else if n != 0 && seen[a] {
			bad("address %q is listed twice", a)
		}
		seen[a] = true
	}
	for _, p := range c.Exporters {
		if !p.IsValid() {
			bad("exporters: invalid prefix")
		}
	}
	return errors.Join(errs...)
}

// SetExporters replaces the prefixes that may send; none means anyone. It is
// safe while the source runs.
func (u *UDP) SetExporters(prefixes []netip.Prefix) {
	p := append([]netip.Prefix(nil), prefixes...)
	u.allowed.Store(&p)
}

// Run receives until ctx is done, then reads for a moment what the kernel still
// holds, decodes and emits it, closes the sockets and returns the error of ctx.
// It binds the sockets if Listen has not. emit is never called twice at once. A
// batch without flows carries a watermark that wall time advanced because every
// exporter was silent for Idle; all others carry flows. Run may be called once.
func (u *UDP) Run(ctx context.Context, emit func(weir.Batch) error) error {
	if len(u.sockets) == 0 {
		if err := u.Listen(); err != nil {
			return err
		}
	}
	defer u.Close()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()

	var receivers, decoders, others sync.WaitGroup
	for _, s := range u.sockets {
		receivers.Go(func() { u.receive(inner, s) })
	}
	for _, w := range u.workers {
		decoders.Go(func() { w.run(u, func(b weir.Batch) { u.emit(b, emit, cancel) }) })
	}
	others.Go(func() { u.watchSilence(inner, emit, cancel) })
	others.Go(func() {
		<-inner.Done()
		for _, s := range u.sockets {
			s.wake()
		}
	})
	receivers.Wait() // ends only when inner is done
	cancel()
	for _, w := range u.workers {
		w.in.close()
	}
	decoders.Wait()
	others.Wait()
	if u.emitErr != nil {
		return u.emitErr
	}
	return ctx.Err()
}

// emit hands on one batch; the caller holds u.emitting. After an error nothing
// more is wanted.
func (u *UDP) emit(b weir.Batch, emit func(weir.Batch) error, cancel func()) {
	if u.emitErr != nil {
		return
	}
	if u.emitErr = emit(b); u.emitErr != nil {
		cancel()
	}
}

// watchSilence emits the watermark that closes the open panes when every
// exporter has been silent.
func (u *UDP) watchSilence(ctx context.Context, emit func(weir.Batch) error, cancel func()) {
	t := time.NewTicker(min(max(u.c.Idle/10, 10*time.Millisecond), time.Second))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			u.emitting.Lock()
			u.mu.Lock()
			w, ok := u.exporters.silence(now.UnixNano())
			u.mu.Unlock()
			if ok {
				u.emit(weir.Batch{Watermark: w}, emit, cancel)
			}
			u.emitting.Unlock()
		}
	}
}

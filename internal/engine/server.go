package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/api"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/store"
	"github.com/weir-net/weir/internal/store/sqlite"
)

// ServerOptions are what a server needs beside its configuration.
type ServerOptions struct {
	// Log takes the log; nil discards it.
	Log *slog.Logger
	// Level, if not nil, is set when a reload changes log.level.
	Level *slog.LevelVar
	// Reload asks for a reload at every value; the function reads the
	// configuration anew.
	Reload     <-chan struct{}
	LoadConfig func() (*config.Loaded, error)
	// Started, if not nil, is called once when everything is bound.
	Started func(Addresses)
	// Changes, if not nil, is called with every change of an alert after it was
	// stored, from one goroutine.
	Changes func(weir.Alert, Change)
	Version string
}

// Addresses are what a server listens on.
type Addresses struct {
	NetFlow []netip.AddrPort `json:"netflow"`
	SFlow   []netip.AddrPort `json:"sflow"`
	API     string           `json:"api"`
}

// Server is the daemon: UDP sockets, detectors, store and API in one process.
type Server struct {
	c      *config.Loaded
	o      ServerOptions
	log    *slog.Logger
	tokens []api.Token
	udp    *ingest.UDP
	pipe   *pipeline
	store  store.Store
	web    *api.Server
	addrs  atomic.Pointer[Addresses]
	began  time.Time
	// pending are the changes of the batch at work; only the receiving goroutine
	// touches them.
	pending  []change
	saved    time.Time // of the open alerts
	raised   map[weir.AlertType]*atomic.Uint64
	failing  atomic.Pointer[string] // what the store said last, nil when it works
	sampling atomic.Pointer[func(netip.Addr) (uint32, bool)]
}

// NewServer validates the configuration and reads everything that it names. It
// binds and writes nothing.
func NewServer(c *config.Loaded, o ServerOptions) (*Server, error) {
	if p := Unsupported(c); len(p) > 0 {
		return nil, &InvalidError{p}
	}
	s := &Server{c: c, o: o, log: o.Log, raised: map[weir.AlertType]*atomic.Uint64{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, t := range weir.AlertTypes() {
		s.raised[t] = &atomic.Uint64{}
	}
	var err error
	if s.tokens, err = tokens(c); err != nil {
		return nil, err
	}
	know, err := learn(&c.Config, nil, nil, time.Now())
	if err != nil {
		return nil, err
	}
	s.setSampling(c.Inputs.Sampling)
	if len(c.Listen.Netflow)+len(c.Listen.SFlow) == 0 {
		return nil, &InvalidError{config.Problems{{Where: c.Origin("listen.netflow"), Key: "listen", Text: "nothing to receive, expected an address in listen.netflow or listen.sflow"}}}
	}
	if s.udp, err = ingest.NewUDP(s.udpConfig()); err != nil {
		return nil, &InvalidError{fmt.Errorf("listen: %w", err)}
	}
	if s.pipe, err = newPipeline(c.Rules(), c.Shards(), know, s.took); err != nil {
		return nil, err
	}
	return s, nil
}

// tokens reads the secrets of the API tokens.
func tokens(c *config.Loaded) ([]api.Token, error) {
	var out []api.Token
	for i, t := range c.API.Tokens {
		secret, err := t.Token.Reveal()
		if err != nil {
			key := fmt.Sprintf("api.tokens[%d].token", i)
			return nil, &InvalidError{config.Problems{{Where: c.Origin(key), Key: key, Text: err.Error()}}}
		}
		out = append(out, api.Token{Name: t.Name, Role: api.ParseRole(t.Role), Secret: secret})
	}
	return out, nil
}

func (s *Server) setSampling(list []config.Sampling) {
	fn := samplingFor(list)
	if fn == nil {
		fn = func(netip.Addr) (uint32, bool) { return 0, false }
	}
	s.sampling.Store(&fn)
}

func (s *Server) udpConfig() ingest.UDPConfig {
	l, d := &s.c.Listen, &s.c.Detect
	return ingest.UDPConfig{
		NetFlow: addressTexts(l.Netflow), SFlow: addressTexts(l.SFlow), Exporters: prefixes(l.Exporters), Clock: ingest.Clock(l.Clock),
		Workers: l.Workers, ReceiveBuffer: int(l.ReceiveBuffer), Lateness: time.Duration(d.Lateness), Idle: time.Duration(d.Idle),
		Pane: time.Duration(d.Pane), MaxExporters: l.MaxExporters, MaxTemplates: l.MaxTemplates, MaxTemplateMemory: int(l.MaxTemplateMemory),
		SamplingFor: func(a netip.Addr) (uint32, bool) { return (*s.sampling.Load())(a) },
	}
}

func addressTexts(list []config.Address) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = string(a)
	}
	return out
}

func prefixes(list []config.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.Prefix(p)
	}
	return out
}

// Run serves until ctx is done, then closes in the direction of the water:
// sockets, what is still queued, store, API. It returns nil after an orderly
// end.
func (s *Server) Run(ctx context.Context) error {
	defer s.pipe.stop()
	s.began = time.Now()
	dir := string(s.c.Store.Dir)
	db, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	s.store = db
	if err := s.prepare(dir); err != nil {
		return err
	}
	if err := s.udp.Listen(); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer s.udp.Close()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(s.c.API.Listen))
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	web, err := s.httpServer()
	if err != nil {
		_ = ln.Close()
		return err
	}
	s.announce(ln)

	// The water flows through ctx; what serves people outlives it for a moment.
	g, water := errgroup.WithContext(ctx)
	g.Go(func() error { return s.udp.Run(water, func(b weir.Batch) error { return s.feed(water, b) }) })
	g.Go(func() error { return s.keepKnowledge(water) })
	g.Go(func() error { return s.housekeeping(water) })
	g.Go(func() error { return s.watchExporters(water) })
	served := make(chan error, 1)
	go func() {
		if s.c.API.TLS != nil {
			served <- web.ServeTLS(ln, string(s.c.API.TLS.Cert), string(s.c.API.TLS.Key))
		} else {
			served <- web.Serve(ln)
		}
	}()
	g.Go(func() error {
		select {
		case <-water.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve the API: %w", err)
		}
	})
	err = g.Wait()
	saveErr := s.saveEpisodes(dir)
	s.web.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if e := web.Shutdown(last); e != nil {
		_ = web.Close()
	}
	s.log.Info("stopped")
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = nil
	}
	return errors.Join(err, saveErr)
}

// httpServer makes the surface and its server.
func (s *Server) httpServer() (*http.Server, error) {
	var origins []string
	for _, o := range s.c.API.Origins {
		origins = append(origins, string(o))
	}
	metrics, err := s.metrics()
	if err != nil {
		return nil, err
	}
	s.web = api.New(api.Config{Tokens: s.tokens, ProtectMetrics: s.c.API.ProtectMetrics, Origins: origins, Metrics: metrics}, backend{s})
	h := &http.Server{Handler: s.web, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 10 * time.Second}
	api.Timeouts(h)
	return h, nil
}

func (s *Server) announce(ln net.Listener) {
	scheme := "http://"
	if s.c.API.TLS != nil {
		scheme = "https://"
	}
	bound := s.udp.Addrs()
	a := Addresses{NetFlow: []netip.AddrPort{}, SFlow: []netip.AddrPort{}, API: scheme + ln.Addr().String()}
	a.NetFlow, a.SFlow = append(a.NetFlow, bound[ingest.ProtocolNetFlow]...), append(a.SFlow, bound[ingest.ProtocolSFlow]...)
	s.addrs.Store(&a)
	know := s.pipe.know.Load()
	s.log.Info("listening", "netflow", a.NetFlow, "sflow", a.SFlow, "api", a.API)
	s.tellBuffers()
	s.log.Info("protecting", "resources", len(know.inventory.Resources()), "networks", len(know.inventory.Networks()), "indicators", know.intel.Len())
	if len(know.inventory.Resources())+len(know.inventory.Networks()) == 0 {
		s.log.Warn("nothing is protected: name inventory.files in the configuration")
	}
	s.log.Info("this version keeps neither journal nor archive: what was learnt begins anew after a restart")
	if s.o.Started != nil {
		s.o.Started(a)
	}
}

// prepare makes the salt of this deployment, and takes up the episodes that an
// earlier process left.
func (s *Server) prepare(dir string) error {
	name := filepath.Join(dir, "salt")
	salt, err := os.ReadFile(name)
	if err != nil || len(salt) != 8 {
		salt = make([]byte, 8)
		_, _ = rand.Read(salt)
		if err := writeFile(name, salt); err != nil {
			return fmt.Errorf("write the salt: %w", err)
		}
	}
	rules := s.c.Rules()
	rules.Salt = binary.LittleEndian.Uint64(salt) | 1
	know := s.pipe.know.Load()
	s.pipe.stop()
	if s.pipe, err = newPipeline(rules, s.c.Shards(), know, s.took); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, episodesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.pipe.book.Restore(data)
	}
	if err != nil {
		s.log.Warn("open alerts of the last run are not taken up", "error", err)
	}
	return nil
}

// episodesFile keeps the open alerts over a restart. It is written at the end,
// and when alerts change, at most every saveEvery.
const (
	episodesFile = "episodes.json"
	saveEvery    = 10 * time.Second
)

// saveEpisodes must not run while a batch is at work.
func (s *Server) saveEpisodes(dir string) error {
	data, err := s.pipe.book.Snapshot()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, episodesFile), data); err != nil {
		return fmt.Errorf("save the open alerts: %w", err)
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// took keeps a change until its batch is done.
func (s *Server) took(c change) { s.pending = append(s.pending, c) }

// feed works off one batch and stores what became of it. It waits for a store
// that fails: alerts are not lost, the sockets drop and count.
func (s *Server) feed(ctx context.Context, b weir.Batch) error {
	s.pipe.feed(b)
	if len(s.pending) == 0 {
		return nil
	}
	alerts := make([]weir.Alert, 0, len(s.pending))
	for _, c := range s.pending {
		alerts = append(alerts, c.alert)
	}
	// The last batches of a process are stored although ctx is done.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		try := ctx
		if ctx.Err() != nil {
			try = last
		}
		stored, err := s.store.Apply(try, alerts)
		if err == nil {
			s.failing.Store(nil)
			s.publish(stored)
			s.pending = s.pending[:0]
			if time.Since(s.saved) > saveEvery {
				s.saved = time.Now()
				if err := s.saveEpisodes(string(s.c.Store.Dir)); err != nil {
					s.log.Error("open alerts are not saved", "error", err)
				}
			}
			return nil
		}
		text := err.Error()
		s.failing.Store(&text)
		s.log.Error("alerts cannot be stored, trying again", "alerts", len(alerts), "error", err)
		select {
		case <-last.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("%d alerts were not stored: %w", len(alerts), err)
			}
			last, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
		case <-time.After(pause):
		}
	}
}

func (s *Server) publish(stored []weir.Alert) {
	for i, c := range s.pending {
		a := stored[i]
		if c.what == alert.Opened {
			s.raised[a.Type].Add(1)
			s.log.Info("alert", "id", a.ID, "type", a.Type, "resource", a.Resource.ID)
		}
		if s.o.Changes != nil {
			s.o.Changes(a, c.what)
		}
	}
}

// housekeeping removes alerts that are older than the retention.
func (s *Server) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		n, err := s.store.Expire(ctx, time.Now().Add(-time.Duration(s.c.Store.Retention)).UnixNano())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.log.Error("old alerts cannot be removed", "error", err)
		case n > 0:
			s.log.Info("old alerts removed", "alerts", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

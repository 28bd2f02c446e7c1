package engine

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/api"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/store"
)

// backend shows a server to the API.
type backend struct{ s *Server }

var _ api.Backend = backend{}

// Alert implements [api.Backend].
func (b backend) Alert(ctx context.Context, id string) (weir.Alert, error) {
	a, err := b.s.store.Get(ctx, id)
	return a, translate(err)
}

func translate(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return api.ErrNotFound
	case errors.Is(err, store.ErrGone):
		return api.ErrGone
	}
	return err
}

// Alerts implements [api.Backend].
func (b backend) Alerts(ctx context.Context, q api.Query, limit int, after string) ([]weir.Alert, string, error) {
	p, err := b.s.store.List(ctx, store.Filter(q), limit, after)
	return p.Alerts, p.Next, translate(err)
}

// Head implements [api.Backend].
func (b backend) Head(ctx context.Context) (int64, error) { return b.s.store.Head(ctx) }

// Watch implements [api.Backend].
func (b backend) Watch(ctx context.Context, from int64, fn func([]api.Change) error) error {
	return translate(b.s.store.Watch(ctx, from, func(list []store.Change) error {
		out := make([]api.Change, len(list))
		for i, c := range list {
			out[i] = api.Change(c)
		}
		return fn(out)
	}))
}

// health is the answer of /api/v1/health. Fields may be added.
type health struct {
	Status    string    `json:"status"` // ok or degraded
	Version   string    `json:"version,omitempty"`
	Started   time.Time `json:"started"`
	Uptime    string    `json:"uptime"`
	Addresses Addresses `json:"addresses"`
	Warnings  []string  `json:"warnings"`

	Watermark  time.Time `json:"watermark,omitzero"`
	LagSeconds float64   `json:"lagSeconds"`
	// LatenessSeconds is detect.lateness, AdvisedLatenessSeconds what the exporters
	// of the last hour ask for; it is never applied by itself.
	LatenessSeconds        float64 `json:"latenessSeconds"`
	AdvisedLatenessSeconds float64 `json:"advisedLatenessSeconds"`

	Datagrams uint64            `json:"datagrams"`
	Flows     uint64            `json:"flows"`
	Dropped   map[string]uint64 `json:"dropped"`
	Contacts  uint64            `json:"contacts"`
	// Unprotected flows touched nobody that is protected; Ambiguous contacts had
	// no clear client, NoRate ones no known sampling rate.
	Unprotected uint64 `json:"unprotected"`
	Ambiguous   uint64 `json:"ambiguous"`
	NoRate      uint64 `json:"noRate"`
	Findings    uint64 `json:"findings"`
	Alerts      uint64 `json:"alerts"`

	Shards    int `json:"shards"`
	Tracked   int `json:"trackedResources"`
	Pairs     int `json:"trackedPairs"`
	Resources int `json:"resources"`
	Networks  int `json:"networks"`

	// ReceiveBuffer is what was asked for every socket, in bytes.
	ReceiveBuffer int           `json:"receiveBuffer"`
	Sockets       []socketState `json:"sockets"`

	Feeds []feedState `json:"feeds"`
}

// socketState is one receiving socket. A worker has one at every address.
type socketState struct {
	ingest.SocketStats
	Worker int `json:"worker"`
}

// sockets numbers the sockets of every address: those of one follow one another.
func sockets(list []ingest.SocketStats) []socketState {
	out := make([]socketState, 0, len(list))
	for i := range list {
		x := socketState{SocketStats: list[i]}
		if i > 0 && list[i-1].Address == x.Address {
			x.Worker = out[i-1].Worker + 1
		}
		out = append(out, x)
	}
	return out
}

// feedState is what is loaded of one feed.
type feedState struct {
	Name       string `json:"name"`
	Indicators int    `json:"indicators"`
	// Updated is when the source last changed, Newest the newest sighting in it.
	Updated time.Time `json:"updated,omitzero"`
	Newest  time.Time `json:"newest,omitzero"`
	Stale   bool      `json:"stale"`
}

// Health implements [api.Backend].
func (b backend) Health(ctx context.Context) any {
	s, now := b.s, time.Now()
	know, udp, c := s.pipe.know.Load(), s.udp.Stats(), &s.pipe.counts
	d := c.stats.Load()
	ready, missing, warnings := b.Ready(ctx)
	h := health{
		Status: "ok", Version: s.o.Version, Started: s.began.UTC(), Uptime: now.Sub(s.began).Round(time.Second).String(),
		Warnings: append(missing, warnings...), LagSeconds: c.lag(now).Seconds(),
		Datagrams: udp.Datagrams, Flows: udp.Flows, Dropped: s.dropped(), Contacts: c.contacts.Load(), Unprotected: c.unprotected.Load(),
		Ambiguous: d.Ambiguous, NoRate: d.NoRate, Findings: c.findings.Load(), Alerts: c.alerts.Load(),
		Shards: len(s.pipe.shards), Tracked: d.Resources, Pairs: d.Pairs,
		Resources: len(know.inventory.Resources()), Networks: len(know.inventory.Networks()), Feeds: s.feeds(know, now),
		LatenessSeconds: time.Duration(s.c.Detect.Lateness).Seconds(),
		ReceiveBuffer:   int(s.c.Listen.ReceiveBuffer), Sockets: sockets(udp.Sockets),
	}
	for i := range udp.Exporters {
		h.AdvisedLatenessSeconds = max(h.AdvisedLatenessSeconds, udp.Exporters[i].AdvisedLateness.Seconds())
	}
	if a := s.addrs.Load(); a != nil {
		h.Addresses = *a
	}
	if w := c.watermark.Load(); w != 0 {
		h.Watermark = time.Unix(0, w).UTC()
	}
	if !ready || len(h.Warnings) > 0 {
		h.Status = "degraded"
	}
	if h.Warnings == nil {
		h.Warnings = []string{}
	}
	return h
}

// feeds tells how old each source of indicators is.
func (s *Server) feeds(know *knowledge, now time.Time) []feedState {
	out := []feedState{}
	for _, src := range know.intel.Sources() {
		f := feedState{Name: src.Name, Indicators: src.Indicators}
		if src.Newest != 0 {
			f.Newest = time.Unix(0, src.Newest).UTC()
		}
		if at, ok := know.read[src.Name]; ok {
			f.Updated, f.Stale = at.UTC(), now.Sub(at) > know.maxAge
		}
		out = append(out, f)
	}
	return out
}

// dropped counts what was lost, by reason: datagrams before decoding, flows and
// contacts after it.
func (s *Server) dropped() map[string]uint64 {
	out := map[string]uint64{}
	maps.Copy(out, s.udp.Stats().Dropped)
	d := s.pipe.counts.stats.Load()
	out["late"] = s.pipe.counts.late.Load() + d.Late
	out["memory"] = d.Dropped + d.Refused
	return out
}

// Ready implements [api.Backend].
func (b backend) Ready(ctx context.Context) (ready bool, missing, warnings []string) {
	s := b.s
	if s.addrs.Load() == nil {
		missing = append(missing, "the sockets are not bound yet")
	}
	if err := s.store.Check(ctx); err != nil {
		missing = append(missing, "the store does not answer")
	}
	if text := s.failing.Load(); text != nil {
		missing = append(missing, "alerts cannot be stored: "+*text)
	}
	know := s.pipe.know.Load()
	for _, f := range s.feeds(know, time.Now()) {
		if f.Stale {
			warnings = append(warnings, "feed "+f.Name+" is older than intel.maxAge")
		}
	}
	if len(know.inventory.Resources())+len(know.inventory.Networks()) == 0 {
		warnings = append(warnings, "nothing is protected")
	}
	warnings = append(warnings, exporterWarnings(s.udp.Stats().Exporters, s.pipe.counts.stats.Load().NoRate, time.Duration(s.c.Detect.Lateness), time.Now())...)
	return len(missing) == 0, missing, warnings
}

// Exporters implements [api.Backend].
func (b backend) Exporters() []any {
	var out []any
	for _, e := range b.s.exporters() {
		out = append(out, e)
	}
	return out
}

// Resources implements [api.Backend].
func (b backend) Resources() []*weir.Resource { return b.s.pipe.know.Load().inventory.Resources() }

// Whois implements [api.Backend].
func (b backend) Whois(addr netip.Addr) *weir.Resource {
	r, _ := b.s.pipe.know.Load().inventory.Lookup(addr)
	return r
}

// Intel implements [api.Backend].
func (b backend) Intel(addr netip.Addr) *weir.Verdict { return b.s.pipe.know.Load().intel.Lookup(addr) }

// domainState is one observation domain of an exporter.
type domainState struct {
	Domain              uint32 `json:"domain"`
	Format              string `json:"format"`
	Sampling            uint32 `json:"sampling"` // 1-in-N, 0 unknown
	SamplingSource      string `json:"samplingSource"`
	Datagrams           uint64 `json:"datagrams"`
	Flows               uint64 `json:"flows"`
	EgressRepeated      uint64 `json:"egressRepeated"` // left out, told on ingress too
	Templates           int    `json:"templates"`
	SetsWithoutTemplate uint64 `json:"setsWithoutTemplate"`
	// MissingSince is when data without its template first came, absent when the
	// template is there.
	MissingSince time.Time `json:"missingSince,omitzero"`
	SequenceLost uint64    `json:"sequenceLost"`
	Restarts     uint64    `json:"restarts"`
}

// exporterState is one sender of flow export.
type exporterState struct {
	Exporter  netip.Addr `json:"exporter"`
	Datagrams uint64     `json:"datagrams"`
	Bytes     uint64     `json:"bytes"`
	Flows     uint64     `json:"flows"`
	// QueueDropped datagrams found the queue before the decoders full.
	QueueDropped uint64    `json:"queueDropped"`
	LastSeen     time.Time `json:"lastSeen,omitzero"`
	NewestEvent  time.Time `json:"newestEvent,omitzero"`
	SkewSeconds  float64   `json:"skewSeconds"`
	ClockState   string    `json:"clockState"`
	Replaced     uint64    `json:"replacedTimes"`
	// NoRate flows had no known sampling rate, the newest at NoRateSeen.
	NoRate     uint64    `json:"noRate"`
	NoRateSeen time.Time `json:"noRateSeen,omitzero"`
	// AdvisedLateness fits the records of the last hour.
	AdvisedLateness float64       `json:"advisedLatenessSeconds"`
	Idle            bool          `json:"idle"`
	Domains         []domainState `json:"domains"`
}

func (s *Server) exporters() []exporterState {
	stats := s.udp.Stats()
	out := make([]exporterState, 0, len(stats.Exporters))
	at := map[netip.Addr]int{}
	for _, e := range stats.Exporters {
		at[e.Exporter] = len(out)
		out = append(out, exporterState{
			Exporter: e.Exporter, Datagrams: e.Datagrams, Bytes: e.Bytes, Flows: e.Flows, QueueDropped: e.QueueDropped, LastSeen: clock(e.LastSeen),
			NewestEvent: clock(e.NewestEvent), SkewSeconds: e.Skew.Seconds(), ClockState: e.ClockState, Replaced: e.Replaced,
			NoRate: e.NoRate, NoRateSeen: clock(e.NoRateAt), AdvisedLateness: e.AdvisedLateness.Seconds(),
			Idle: e.Idle, Domains: []domainState{},
		})
	}
	for _, d := range stats.Domains {
		i, ok := at[d.Exporter]
		if !ok {
			continue
		}
		out[i].Domains = append(out[i].Domains, domainState{
			Domain: d.Domain, Format: d.Format.String(), Sampling: d.Sampling, SamplingSource: d.SamplingSource.String(), Datagrams: d.Datagrams, Flows: d.Flows, EgressRepeated: d.EgressRepeated,
			Templates: d.Templates, SetsWithoutTemplate: d.SetsWithoutTemplate, MissingSince: clock(d.MissingSince), SequenceLost: d.SequenceLost, Restarts: d.Restarts,
		})
	}
	return out
}

func clock(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

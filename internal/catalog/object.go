package catalog

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// Object is the alert object of the contract: one alert, with its words in one
// language, as users, scripts and receivers see it. The fields of the contract
// come first, in its order; fields may be added behind them, never renamed or
// removed. Arrays are never null.
type Object struct {
	ID            string            `json:"id"`
	AlertType     weir.AlertType    `json:"alertType"`
	Title         string            `json:"title"`
	Description   string            `json:"description"`
	Severity      weir.Severity     `json:"severity"`
	Tactic        string            `json:"tactic"`
	Techniques    []string          `json:"techniques"`
	Status        weir.Status       `json:"status"`
	StartTime     time.Time         `json:"startTime"`
	EndTime       time.Time         `json:"endTime"`
	TimeGenerated time.Time         `json:"timeGenerated"`
	Resource      Resource          `json:"resource"`
	Direction     weir.Direction    `json:"direction"`
	Attackers     []netip.Addr      `json:"attackers"`
	Victims       []netip.Addr      `json:"victims"`
	Ports         []weir.PortCount  `json:"ports"`
	Parameters    map[string]string `json:"parameters"`
	// Observed, Expected, Threshold and Floor are in Unit.
	Observed   float64            `json:"observed"`
	Expected   float64            `json:"expected"`
	Threshold  float64            `json:"threshold"`
	Unit       weir.Unit          `json:"unit"`
	Sampling   weir.Sampling      `json:"sampling"`
	Confidence float64            `json:"confidence"` // 0 to 1
	Baseline   *weir.BaselineInfo `json:"baseline,omitempty"`
	Why        string             `json:"why"`
	Evidence   Evidence           `json:"evidence"`
	// Limits are "code: sentence"; the codes are those of [weir.Limit].
	Limits   []string `json:"limits"`
	Entities []Entity `json:"entities"`
	Sample   bool     `json:"sample"`

	// Added behind the fields of the contract.
	Floor        float64   `json:"floor,omitempty"`
	Surprise     float64   `json:"surprise,omitempty"` // -log10 of the probability
	Window       int64     `json:"windowSeconds"`
	Service      string    `json:"service,omitempty"`
	Remediation  []string  `json:"remediation"`
	Lang         Lang      `json:"lang"`
	Version      int64     `json:"version,omitempty"`
	Sequence     int       `json:"sequence"`
	Reopened     int       `json:"reopened,omitempty"`
	Closed       bool      `json:"closed"`
	TimeUpdated  time.Time `json:"timeUpdated,omitzero"`
	StatusBy     string    `json:"statusBy,omitempty"`
	StatusReason string    `json:"statusReason,omitempty"`
	StatusTime   time.Time `json:"statusTime,omitzero"`
}

// Resource is the protected resource of an alert.
type Resource struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Kind    weir.Kind `json:"kind"`
	Address string    `json:"address"`
	// Backends ranks the members of the pool; nil for a virtual machine.
	Backends []weir.BackendLikelihood `json:"backends,omitzero"`
	Tenant   string                   `json:"tenant,omitempty"`
}

// Evidence is what an alert rests on, bounded as in [weir.Finding].
type Evidence struct {
	Series  []Point  `json:"series"`
	Peers   []Peer   `json:"peers"`
	Records []Record `json:"records"`
	Intel   []Intel  `json:"intel"`
	// Facts are rule-specific numbers by stable name.
	Facts map[string]string `json:"facts,omitempty"`
}

// Point is one bucket of the evidence series.
type Point struct {
	Time     time.Time `json:"t"`
	Observed float64   `json:"observed"`
	Expected float64   `json:"expected"`
}

// Peer is what one peer contributed. Counts are observed and unscaled.
type Peer struct {
	Address     netip.Addr `json:"address"`
	Packets     uint64     `json:"packets"`
	Bytes       uint64     `json:"bytes"`
	Connections uint64     `json:"connections"`
	Lower       float64    `json:"lower"`              // lower bound of the true connections
	Estimate    *float64   `json:"estimate,omitempty"` // estimated true connections
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
	Path        string     `json:"path,omitempty"`
}

// Record is one flow record, in the fields of `weir flows`.
type Record struct {
	Start    time.Time  `json:"start"`
	End      time.Time  `json:"end"`
	Src      netip.Addr `json:"src"`
	Dst      netip.Addr `json:"dst"`
	SrcPort  uint16     `json:"srcPort"`
	DstPort  uint16     `json:"dstPort"`
	Proto    uint8      `json:"proto"`
	TCPFlags uint16     `json:"tcpFlags"`
	Packets  uint64     `json:"packets"`
	Bytes    uint64     `json:"bytes"`
	Sampling uint32     `json:"sampling"`
	Exporter netip.Addr `json:"exporter,omitzero"`
}

// Intel is one indicator behind an alert.
type Intel struct {
	Indicator  netip.Prefix  `json:"indicator"`
	Port       uint16        `json:"port,omitempty"`
	Proto      uint8         `json:"proto,omitempty"`
	Category   weir.Category `json:"category"`
	Family     string        `json:"family,omitempty"`
	Source     string        `json:"source"`
	Confidence float64       `json:"confidence"` // base score, 0 to 100
	Score      float64       `json:"score"`      // decayed, 0 to 100
	AgeDays    float64       `json:"ageDays"`
	FirstSeen  time.Time     `json:"firstSeen,omitzero"`
	LastSeen   time.Time     `json:"lastSeen,omitzero"`
	Expiry     time.Time     `json:"expiry,omitzero"`
}

// Prefixes of sample alerts, the same in both languages: tools match on them.
const (
	sampleTitle       = "[SAMPLE ALERT] "
	sampleDescription = "THIS IS A SAMPLE ALERT: "
)

// Render returns the alert object of an alert in a language. It never fails:
// what is missing is shown as unknown, and numbers that JSON cannot carry are
// replaced (NaN by 0, infinities by the largest number).
func Render(a *weir.Alert, lang Lang) Object {
	f := &a.Finding
	entry, _ := Lookup(f.Type)
	text := entry.Text(lang)
	params := Parameters(a)
	unknown := unknownWord(lang)
	attackers, victims := roles(f)
	o := Object{
		ID:            a.ID,
		AlertType:     f.Type,
		Title:         message(text.Title).format(params, unknown),
		Description:   message(text.Description).format(params, unknown),
		Severity:      entry.Severity,
		Tactic:        entry.Tactic,
		Techniques:    list(entry.Techniques),
		Status:        a.Status,
		StartTime:     utc(f.First),
		EndTime:       utc(f.Last),
		TimeGenerated: utc(a.Generated),
		Resource:      renderResource(f),
		Direction:     f.Direction,
		Attackers:     list(attackers),
		Victims:       list(victims),
		Ports:         ports(f),
		Parameters:    params,
		Observed:      finite(f.Observed),
		Expected:      finite(f.Expected),
		Threshold:     finite(f.Threshold),
		Unit:          f.Unit,
		Sampling:      sampling(f.Sampling),
		Confidence:    min(max(finite(f.Confidence), 0), 1),
		Baseline:      baseline(f.Baseline),
		Why:           Why(a, lang),
		Evidence:      evidence(f),
		Limits:        make([]string, 0, len(f.Limits)),
		Entities:      Entities(a, ""),
		Sample:        a.Sample,
		Floor:         finite(f.Floor),
		Surprise:      finite(f.Surprise),
		Window:        int64(f.Window / time.Second),
		Service:       f.Service,
		Remediation:   list(text.Remediation),
		Lang:          lang,
		Version:       a.Version,
		Sequence:      a.Sequence,
		Reopened:      a.Reopened,
		Closed:        a.Closed,
		TimeUpdated:   optionalUTC(a.Updated),
		StatusBy:      a.StatusBy,
		StatusReason:  a.StatusReason,
		StatusTime:    optionalUTC(a.StatusAt),
	}
	if o.Title == "" {
		o.Title, o.Description = string(f.Type), string(f.Type)
	}
	for _, l := range f.Limits {
		o.Limits = append(o.Limits, l.Code+": "+LimitText(l, lang))
	}
	if a.Sample {
		o.Title = sampleTitle + o.Title
		o.Description = sampleDescription + o.Description
	}
	return o
}

// roles returns who attacks and who is attacked (source pages; see also the
// parameters Attacker IP and Victim IP). On outgoing alerts the own resource
// attacks, except for communication with a command and control server.
func roles(f *weir.Finding) (attackers, victims []netip.Addr) {
	var own, peers []netip.Addr
	if f.Own.IsValid() {
		own = []netip.Addr{f.Own}
	}
	for _, p := range f.Peers {
		if p.Address.IsValid() {
			peers = append(peers, p.Address)
		}
	}
	switch f.Type {
	case weir.ResourceIPMalicious:
		return nil, own
	case weir.DDoS, weir.PortScanning, weir.RDPOutgoingOneToMany, weir.RDPOutgoingOneToOne, weir.SSHOutgoingOneToMany, weir.SSHOutgoingOneToOne:
		return own, peers
	}
	return peers, own
}

// renderResource returns the resource of a finding; empty fields where the
// finding has none.
func renderResource(f *weir.Finding) Resource {
	r := Resource{}
	if f.Own.IsValid() {
		r.Address = f.Own.String()
	}
	if f.Resource == nil {
		return r
	}
	r.ID, r.Name, r.Kind, r.Tenant = f.Resource.ID, resourceName(f), f.Resource.Kind, f.Resource.Tenant
	if r.Kind == weir.LoadBalancer || r.Kind == weir.ApplicationGateway {
		r.Backends = make([]weir.BackendLikelihood, 0, len(f.Backends))
		for _, b := range f.Backends {
			r.Backends = append(r.Backends, weir.BackendLikelihood{ID: b.ID, Likelihood: min(max(finite(b.Likelihood), 0), 1)})
		}
	}
	return r
}

// ports returns the ports of a finding; the port of the finding itself when it
// carries no histogram.
func ports(f *weir.Finding) []weir.PortCount {
	if len(f.Ports) > 0 || f.Port == 0 {
		return list(f.Ports)
	}
	return []weir.PortCount{{Port: f.Port, Protocol: strings.ToLower(protocolName(f.Proto)), Service: f.Service, Count: f.Count}}
}

// evidence renders the evidence of a finding.
func evidence(f *weir.Finding) Evidence {
	e := Evidence{
		Series:  make([]Point, 0, len(f.Series)),
		Peers:   make([]Peer, 0, len(f.Peers)),
		Records: make([]Record, 0, len(f.Records)),
		Intel:   make([]Intel, 0, len(f.Intel)),
		Facts:   f.Facts,
	}
	for _, p := range f.Series {
		e.Series = append(e.Series, Point{utc(p.Time), finite(p.Observed), finite(p.Expected)})
	}
	for _, p := range f.Peers {
		e.Peers = append(e.Peers, Peer{
			Address: p.Address, Packets: p.Packets, Bytes: p.Bytes, Connections: p.Connections,
			Lower: finite(p.Lower), Estimate: finitePtr(p.Estimate), First: utc(p.First), Last: utc(p.Last), Path: p.Path,
		})
	}
	for _, r := range f.Records {
		e.Records = append(e.Records, Record{
			Start: utc(r.Start), End: utc(r.End), Src: r.Src.Addr(), Dst: r.Dst.Addr(), SrcPort: r.Src.Port(), DstPort: r.Dst.Port(),
			Proto: r.Proto, TCPFlags: r.Flags, Packets: r.Packets, Bytes: r.Bytes, Sampling: r.Sampling, Exporter: r.Exporter,
		})
	}
	for _, i := range f.Intel {
		e.Intel = append(e.Intel, Intel{
			Indicator: i.Prefix, Port: i.Port, Proto: i.Proto, Category: i.Category, Family: i.Family, Source: i.Source,
			Confidence: finite(i.Confidence), Score: finite(i.Score), AgeDays: finite(i.AgeDays),
			FirstSeen: optionalUTC(i.FirstSeen), LastSeen: optionalUTC(i.LastSeen), Expiry: optionalUTC(i.Expiry),
		})
	}
	return e
}

// sampling returns s with numbers that JSON can carry.
func sampling(s weir.Sampling) weir.Sampling {
	s.Estimate, s.Low95, s.High95 = finitePtr(s.Estimate), finitePtr(s.Low95), finitePtr(s.High95)
	return s
}

// baseline returns a copy of b with numbers that JSON can carry.
func baseline(b *weir.BaselineInfo) *weir.BaselineInfo {
	if b == nil {
		return nil
	}
	return &weir.BaselineInfo{Phase: b.Phase, AgeDays: finite(b.AgeDays), Mean: finite(b.Mean), Dispersion: finite(b.Dispersion)}
}

// list returns s, or an empty slice for nil, so that JSON shows [].
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// finite replaces what JSON cannot carry: NaN by 0, infinities by the largest
// number of their sign.
func finite(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case math.IsInf(x, 1):
		return math.MaxFloat64
	case math.IsInf(x, -1):
		return -math.MaxFloat64
	}
	return x
}

// finitePtr is finite of what p points to; nil stays nil.
func finitePtr(p *float64) *float64 {
	if p == nil {
		return nil
	}
	x := finite(*p)
	return &x
}

// utc returns the time of Unix nanoseconds.
func utc(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// optionalUTC is utc, with the zero time for 0, which JSON leaves out.
func optionalUTC(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return utc(ns)
}

// Marshal returns the object as one line of JSON without the final newline and
// without escaping of <, > and &.
func (o Object) Marshal() ([]byte, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(o); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(out.String(), "\n")), nil
}

package weir

import (
	"net/netip"
	"time"
)

// Unit is the unit of a finding's numbers.
type Unit string

// Units.
const (
	UnitConnections  Unit = "connections"
	UnitSources      Unit = "sources"
	UnitDestinations Unit = "destinations"
	UnitPacketsPerS  Unit = "packets/s"
	UnitBitsPerS     Unit = "bits/s"
	UnitPackets      Unit = "packets"
	UnitScore        Unit = "score"
	UnitPorts        Unit = "ports"
)

// Sampling describes the sampling of a finding and what it implies.
type Sampling struct {
	Rate   uint32         `json:"rate"` // 1-in-N; 0 unknown
	Source SamplingSource `json:"source"`
	// Estimate is the estimated true count in the unit of the finding with its
	// 95 % interval; all nil when the rate is not known.
	Estimate *float64 `json:"estimate,omitempty"`
	Low95    *float64 `json:"low95,omitempty"`
	High95   *float64 `json:"high95,omitempty"`
}

// BaselineInfo is the state of the baseline behind a finding.
type BaselineInfo struct {
	Phase      int     `json:"phase"` // 0 cold, 1 warming, 2 normal
	AgeDays    float64 `json:"ageDays"`
	Mean       float64 `json:"mean"`
	Dispersion float64 `json:"dispersion"`
}

// PeerEvidence is what one peer contributed. Counts are observed, unscaled.
type PeerEvidence struct {
	Address     netip.Addr `json:"address"`
	Packets     uint64     `json:"packets"`
	Bytes       uint64     `json:"bytes"`
	Connections uint64     `json:"connections"`        // distinct connections seen
	Lower       float64    `json:"lower"`              // lower bound L on the true number
	Estimate    *float64   `json:"estimate,omitempty"` // estimated true number
	First       int64      `json:"first"`
	Last        int64      `json:"last"`
	Path        string     `json:"path,omitempty"` // rule specific: A or B of the block rule
}

// PortCount counts evidence by service port.
type PortCount struct {
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // tcp, udp, icmp
	Service  string `json:"service,omitempty"`
	Count    uint64 `json:"count"`
}

// Point is one bucket of the evidence series.
type Point struct {
	Time     int64   `json:"t"`
	Observed float64 `json:"observed"`
	Expected float64 `json:"expected"`
}

// RecordEvidence is one flow record kept as evidence.
type RecordEvidence struct {
	Start    int64          `json:"start"`
	End      int64          `json:"end"`
	Src      netip.AddrPort `json:"src"`
	Dst      netip.AddrPort `json:"dst"`
	Proto    uint8          `json:"proto"`
	Flags    uint16         `json:"tcpFlags"`
	Packets  uint64         `json:"packets"`
	Bytes    uint64         `json:"bytes"`
	Sampling uint32         `json:"sampling"`
	Exporter netip.Addr     `json:"exporter,omitzero"`
}

// IntelEvidence is one indicator behind a finding.
type IntelEvidence struct {
	Indicator
	Score   float64 `json:"score"` // decayed, 0 to 100
	AgeDays float64 `json:"ageDays"`
}

// Limit says that a test could not run, or was weakened, and why. Code is
// stable; the sentence is rendered by the catalogue.
type Limit struct {
	Code string `json:"code"`
	Arg  string `json:"arg,omitempty"`
}

// Codes of limits.
const (
	LimitNoPackets       = "no-packets"        // the source has no packet counts
	LimitNoBytes         = "no-bytes"          // the source has no byte counts
	LimitNoFlags         = "no-flags"          // the source has no TCP flags
	LimitNoPorts         = "no-ports"          // ports are missing
	LimitOneWay          = "one-way"           // only one direction is visible
	LimitRateUnknown     = "rate-unknown"      // the sampling rate is not known
	LimitColdStart       = "cold-start"        // the baseline is in phase 0
	LimitWarming         = "warming"           // the baseline is in phase 1
	LimitPartial         = "partial"           // a pane was closed by silence
	LimitDegraded        = "degraded"          // memory ceiling reached, peers refused
	LimitShed            = "shed"              // adaptive hash sampling at level Arg
	LimitThinned         = "thinned"           // the input was thinned 1-in-Arg
	LimitPeersCut        = "peers-cut"         // Arg further peers are not named
	LimitLeaseUnknown    = "lease-unknown"     // the lease start of the address is not known
	LimitWarningList     = "warning-list"      // the peer is on a warning list
	LimitSinkhole        = "sinkhole"          // the indicator is a sinkhole
	LimitLearning        = "learning"          // the allow set is still being learnt
	LimitMayBeLegitimate = "may-be-legitimate" // some of the peers may be legitimate
)

// Finding is what a rule claims about one resource when a pane closes. It has
// numbers and no words, and no life beyond its key.
type Finding struct {
	Type      AlertType  `json:"type"`
	Resource  *Resource  `json:"resource"`
	Own       netip.Addr `json:"own"`
	Direction Direction  `json:"direction"`
	// Key tells episodes of one rule and resource apart; equal keys are the
	// same episode while it lasts.
	Key string `json:"key"`
	// Service is the display name of the service, for example SSH or MySQL.
	Service string `json:"service,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	Proto   uint8  `json:"proto,omitempty"`
	// At is the nominal end of the pane whose closing raised the finding; First
	// and Last are the event times of its first and last evidence.
	At    int64 `json:"at"`
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Quiet is the time without evidence after which the episode ends.
	Quiet  time.Duration `json:"quiet"`
	Window time.Duration `json:"window"`
	// Peers are at most 256, those with the highest lower bound first, ties by
	// address. Count is the observed number the description quotes: distinct
	// connections, or distinct peers for aggregates.
	Peers []PeerEvidence `json:"peers,omitempty"`
	Count uint64         `json:"count"`
	Ports []PortCount    `json:"ports,omitempty"`

	Observed  float64 `json:"observed"`
	Expected  float64 `json:"expected"`
	Threshold float64 `json:"threshold"`
	// Floor is the smallest number of Unit that the rule alerts on.
	Floor float64 `json:"floor,omitempty"`
	Unit  Unit    `json:"unit"`
	// Surprise is -log10 of the probability of the observation under the
	// baseline; 0 when the rule has none.
	Surprise   float64       `json:"surprise,omitempty"`
	Sampling   Sampling      `json:"sampling"`
	Confidence float64       `json:"confidence"`
	Baseline   *BaselineInfo `json:"baseline,omitempty"`

	Series  []Point          `json:"series,omitempty"`  // at most 120
	Records []RecordEvidence `json:"records,omitempty"` // at most 20
	Intel   []IntelEvidence  `json:"intel,omitempty"`   // at most 20
	Limits  []Limit          `json:"limits,omitempty"`
	// Facts are rule-specific numbers for the evidence, by stable name.
	Facts map[string]string `json:"facts,omitempty"`
	// Backends ranks the likely pool members behind a load balancer.
	Backends []BackendLikelihood `json:"backends,omitempty"`
}

// BackendLikelihood is the probability that a pool member took part.
type BackendLikelihood struct {
	ID         string  `json:"id"`
	Likelihood float64 `json:"likelihood"`
}

// Bounds of the evidence that a finding carries.
const (
	MaxPeers   = 256
	MaxPorts   = 10
	MaxSeries  = 120
	MaxRecords = 20
	MaxIntel   = 20
)

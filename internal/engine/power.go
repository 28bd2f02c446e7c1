package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/engine/config"
)

// Power is the smallest attack of one kind that a rule finds with a probability
// of 0.95 at one sampling rate.
type Power struct {
	Rule weir.AlertType `json:"rule"`
	// Kind is a service, or the kind of attack, where a rule knows several.
	Kind      string         `json:"kind"`
	Direction weir.Direction `json:"direction,omitempty"`
	// Sampling is N of 1-in-N.
	Sampling uint32 `json:"sampling"`
	// Window is the time within which the attack falls, such as 1h; empty where
	// the rule has none.
	Window string `json:"window,omitempty"`
	// Unit is what the numbers count.
	Unit string `json:"unit"`
	// Smallest is the number for a service with a week of history, Young that for one
	// in its first week, after three days, and New that for one that has just been
	// met: on its first day, under sampling for windows of a day on its first three.
	// Nil where no number is found: the rule is switched off, or does not depend on
	// how much there is.
	Smallest *float64 `json:"smallest"`
	Young    *float64 `json:"young"`
	New      *float64 `json:"new"`
	// PerSecond is Smallest as a rate, for windows.
	PerSecond *float64 `json:"perSecond,omitempty"`
	// Packets is the number of packets of one unit that is assumed, on the side
	// of the client (of both sides for a listed visitor); 0 where it plays no part.
	Packets float64 `json:"packets,omitempty"`
	// Gate is the condition that decides, see the constants.
	Gate string `json:"gate"`
}

// Gates of Power besides those of the arithmetic.
const (
	// PowerOff marks a rule that is switched off by configuration.
	PowerOff = "off"
	// PowerReport marks a rule that rests on a report of others and on any sampled
	// packet of the resource, not on the traffic of an attack.
	PowerReport = "report"
	// PowerNever marks what no amount of traffic makes detectable.
	PowerNever = "never"
)

// Assumptions of the numbers, which the command tells.
const (
	// PowerNoise is the number of noisy sources an hour that aggregate rules see
	// (detection reference, section 7.2).
	PowerNoise = 100
	// PowerNoiseLogins is how many of them log in.
	PowerNoiseLogins = 10
	// PowerNoisePackets is the number of client packets of such a login.
	PowerNoisePackets = 20
	// PowerLogins is the number of connections of each of many sources, or to
	// each of many destinations.
	PowerLogins = 10
	// powerWeek is the weight of a week of hours with a half-life of seven days:
	// the sum of 0.5^(i/168) for i below 168.
	powerWeek = 121
	// powerDays is that of three days, from which on the first week is told.
	powerDays = 72
)

// powerPorts are the ports whose services stand for a family.
func powerPorts(f service.Family) []uint16 {
	switch f {
	case service.SSH:
		return []uint16{22}
	case service.RDP:
		return []uint16{3389}
	case service.SQL:
		return []uint16{3306, 5432, 1433, 1521}
	}
	return []uint16{21, 23, otherPort}
}

// otherPort is that of VNC, which stands for all services without a length of
// their own.
const otherPort = 5900

// PowerRates returns the sampling rates that are of interest: those of common
// exporters and their neighbours.
func PowerRates() []uint32 { return []uint32{1, 64, 256, 512, 1000, 2048, 4096, 8192, 16384} }

// Powers computes the power of rules, in the order of their catalogue, at
// sampling rates. It costs some milliseconds for a rule and rate.
func Powers(c *config.Config, rules []weir.AlertType, rates []uint32) ([]Power, error) {
	var out []Power
	cfg := c.Rules()
	lengths := make(map[string]float64)
	for name, f := range cfg.Families {
		lengths[name] = f.PacketsPerConnection
	}
	table, err := service.NewTable(nil, lengths)
	if err != nil {
		return nil, fmt.Errorf("services of the rules: %w", err)
	}
	for _, t := range rules {
		for _, n := range rates {
			p := powers{cfg: &cfg, table: table, rule: t, n: n, seconds: cfg.Pane.Seconds()}
			p.take()
			out = append(out, p.out...)
		}
	}
	return out, nil
}

// powers collects the rows of one rule at one rate.
type powers struct {
	cfg     *detect.Config
	table   *service.Table
	rule    weir.AlertType
	n       uint32
	seconds float64 // of a pane
	fam     detect.Family
	add     float64 // to the surprise needed
	scale   float64 // of floors
	out     []Power
}

// family takes over the settings of a family, as the detectors read them
// (section 6.5).
func (p *powers) family(f service.Family) {
	p.fam, p.add, p.scale = p.cfg.Families[service.Families()[f]], 0, 1
	s := p.fam.Sensitivity
	if s == "" {
		s = p.cfg.Sensitivity
	}
	switch s {
	case detect.SensitivityLow:
		p.add, p.scale = 2, 2
	case detect.SensitivityHigh:
		p.add = -1
	case detect.SensitivityMedium:
	}
}

// threshold is the surprise needed in a phase.
func (p *powers) threshold(usual, phase float64) float64 {
	if p.fam.Threshold > 0 {
		usual = p.fam.Threshold
	}
	return usual + p.add + phase
}

func (p *powers) take() {
	switch p.rule {
	case weir.CommunicationWithC2:
		p.family(service.C2)
		p.contact("beacon", weir.Outgoing, "", 5, 1)
	case weir.ResourceIPMalicious:
		p.family(service.Infected)
		p.put(Power{Kind: "report", Direction: weir.Outgoing, Unit: "reports", Gate: PowerReport}, 1, 1, 1)
	case weir.TrafficFromUnrecommended:
		p.family(service.Blocked)
		p.contact("listed", weir.Incoming, "", 20, 1) // both directions count
		need := uint64(2)
		if p.n == 1 {
			need = 1 // a handshake is enough
		}
		p.contact("stranger", weir.Incoming, "1h", 40, need)
	case weir.DDoS:
		p.family(service.DDoS)
		p.flood("syn", 1000)
		p.flood("reflector", 1000)
		p.flood("udp/icmp", 20000)
	case weir.PortScanning:
		p.family(service.Scan)
		p.scan("sweep", weir.UnitDestinations, 2, 25, 10)
		p.scan("vertical", weir.UnitPorts, 1, 15, 8)
		p.family(service.Generic)
		other := *p.service(otherPort)
		other.Name = "logins"
		p.pair(&other, weir.Outgoing, 10, fewReplies)
	case weir.GenericIncomingOneToOne:
		p.pairs(service.Generic, weir.Incoming)
	case weir.SQLIncomingOneToOne:
		p.pairs(service.SQL, weir.Incoming)
	case weir.SSHIncomingOneToOne:
		p.pairs(service.SSH, weir.Incoming)
	case weir.SSHOutgoingOneToOne:
		p.pairs(service.SSH, weir.Outgoing)
	case weir.RDPIncomingOneToOne:
		p.pairs(service.RDP, weir.Incoming)
	case weir.RDPOutgoingOneToOne:
		p.pairs(service.RDP, weir.Outgoing)
	case weir.SSHIncomingManyToOne:
		p.crowd(service.SSH, weir.Incoming)
	case weir.SSHOutgoingOneToMany:
		p.crowd(service.SSH, weir.Outgoing)
	case weir.RDPIncomingManyToOne:
		p.crowd(service.RDP, weir.Incoming)
	case weir.RDPOutgoingOneToMany:
		p.crowd(service.RDP, weir.Outgoing)
	}
}

// put adds a row. A number that is infinite is never found.
func (p *powers) put(row Power, smallest, young, fresh float64) {
	row.Rule, row.Sampling = p.rule, p.n
	switch {
	case !p.fam.Enabled || slices.Contains(p.cfg.Disabled, p.rule):
		row.Gate, row.Smallest, row.Young, row.New = PowerOff, nil, nil, nil
	case row.Gate == PowerReport:
	case math.IsInf(smallest, 1):
		row.Gate = PowerNever
	default:
		s := math.Ceil(smallest)
		row.Smallest = &s
		if d, err := time.ParseDuration(row.Window); err == nil && row.Unit != string(weir.UnitPacketsPerS) {
			v := digits(s / d.Seconds())
			row.PerSecond = &v
		}
		found := func(v float64) *float64 {
			if math.IsInf(v, 1) {
				return nil
			}
			v = math.Ceil(v)
			return &v
		}
		row.Young, row.New = found(young), found(fresh)
	}
	p.out = append(p.out, row)
}

// digits rounds to four of them.
func digits(v float64) float64 {
	unit := math.Pow(10, 3-math.Floor(math.Log10(v)))
	return math.Round(v*unit) / unit
}

// coldFloor is the factor on the floors of pairs under sampling while the
// baseline is young (section 6.7).
const coldFloor = 3

// darkFloor is that of the day's window while fewer than three days are known,
// and coldSessions the bound on sessions that stands for a storm meanwhile.
const (
	darkFloor    = 10
	coldSessions = 60
)

// automationLength and sessionLength are how many times as long as a login the
// connections are that a service in its first week must rule out under sampling:
// those of automation, of which SSH is the service, and those of sessions.
// manyReplies are the sampled replies that outgoing logins to other services need
// meanwhile.
const (
	automationLength = 2
	sessionLength    = 20
	manyReplies      = 32
)

// fewReplies are the sampled replies that tell the length of a server's answers,
// where a rule looks at it.
const fewReplies = 8

// service returns the service of a port.
func (p *powers) service(port uint16) *service.Service {
	return p.table.Find(nil, false, weir.ProtoTCP, port)
}

// pairs adds the services of a family in both windows.
func (p *powers) pairs(f service.Family, dir weir.Direction) {
	p.family(f)
	replies := uint64(0)
	if f == service.SQL {
		replies = fewReplies
	}
	for _, port := range powerPorts(f) {
		s := *p.service(port)
		if port == otherPort {
			s.Name = "others"
		}
		p.pair(&s, dir, coldFloor, replies)
	}
}

// pair adds guessing by one source at one service; cold is the factor on the
// floors of a new resource, and replies the answers that must be sampled.
func (p *powers) pair(svc *service.Service, dir weir.Direction, cold float64, replies uint64) {
	for _, w := range []struct {
		name  string
		floor int
	}{{"1h", p.fam.Floor1h}, {"24h", p.fam.Floor24h}} {
		q := baseline.PairPower{N: p.n, K: svc.K, Replies: replies, Floor: p.scale * float64(w.floor), Surprise: p.threshold(5, 0), Prior: p.fam.PriorConnections}
		smallest, gate := q.Smallest()
		q.Surprise = p.threshold(5, 1)
		floor, outward := q.Floor, cold > coldFloor
		switch {
		case outward:
			q.Floor = cold * floor
			if p.n > 1 {
				q.Replies = manyReplies
			}
		case p.n > 1 && svc.Family == service.SSH:
			floor *= automationLength
			q.Floor, q.Proof = floor, sessionLength
		}
		young, _ := q.Smallest()
		q.Surprise = p.threshold(5, 2)
		if p.n > 1 {
			q.Sessions, q.Floor = coldSessions, cold*floor
			if w.name == "24h" {
				q.Floor = darkFloor * floor
			}
		}
		fresh, _ := q.Smallest()
		p.put(Power{Kind: svc.Name, Direction: dir, Window: w.name, Unit: string(weir.UnitConnections), Packets: svc.K, Gate: string(gate)}, smallest, young, fresh)
	}
}

// crowd adds guessing by many sources, or at many destinations.
func (p *powers) crowd(f service.Family, dir weir.Direction) {
	p.family(f)
	s := p.service(powerPorts(f)[0])
	q := baseline.CrowdPower{
		N: p.n, K: s.K, Connections: PowerLogins, MinPeers: uint64(p.fam.MinPeers), //nolint:gosec // validated
		Surprise: p.threshold(4, 0), Prior: p.fam.PriorPeers, Windows: powerWeek, Noise: PowerNoiseLogins, NoisePackets: PowerNoisePackets,
	}
	unit := string(weir.UnitSources)
	if dir == weir.Outgoing {
		unit = string(weir.UnitDestinations)
		q.Prior, q.Windows, q.Noise = p.fam.PriorDestinations/24, 0, 0
	}
	smallest, gate := q.Smallest()
	q.Windows, q.Surprise, q.Proof = min(q.Windows, powerDays), p.threshold(4, 1), sessionLength
	if f == service.SSH && dir == weir.Outgoing {
		q.Proof = automationLength
	}
	if dir == weir.Incoming {
		q.Hours = powerDays
	}
	young, _ := q.Smallest()
	q.Windows, q.Hours, q.Surprise = 0, min(q.Hours, 24), p.threshold(4, 2)
	if f == service.SSH {
		q.Proof = automationLength
	}
	fresh, _ := q.Smallest()
	p.put(Power{Kind: s.Name, Direction: dir, Window: "1h", Unit: unit, Packets: s.K, Gate: string(gate)}, smallest, young, fresh)
}

// scan adds a scan of silent targets of so many SYNs each. On the first day
// twice as many targets are asked for.
func (p *powers) scan(kind string, unit weir.Unit, syns float64, exact, sampled uint64) {
	smallest, gate := baseline.ScanPower{N: p.n, SYNs: syns, Exact: exact, Sampled: sampled}.Smallest()
	fresh, _ := baseline.ScanPower{N: p.n, SYNs: syns, Exact: 2 * exact, Sampled: 2 * sampled}.Smallest()
	p.put(Power{Kind: kind, Direction: weir.Outgoing, Window: "24h", Unit: string(unit), Packets: syns, Gate: string(gate)}, smallest, smallest, fresh)
}

// flood adds a flood of three panes; low sensitivity doubles the floors.
func (p *powers) flood(kind string, floor float64) {
	rate := baseline.FloodPower(p.n, p.scale*floor, p.seconds)
	p.put(Power{Kind: kind, Direction: weir.Outgoing, Window: strings.TrimSuffix((3 * p.cfg.Pane).String(), "0s"), Unit: string(weir.UnitPacketsPerS), Gate: string(baseline.GateFloor)}, rate, rate, rate)
}

// contact adds what a sampled packet or two are enough for.
func (p *powers) contact(kind string, dir weir.Direction, window string, k float64, need uint64) {
	v := baseline.ContactPower(p.n, k, need)
	p.put(Power{Kind: kind, Direction: dir, Window: window, Unit: string(weir.UnitConnections), Packets: k, Gate: string(baseline.GateContact)}, v, v, v)
}

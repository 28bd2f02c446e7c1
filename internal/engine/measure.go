package engine

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/inventory"
	"github.com/weir-net/weir/internal/scenario"
)

// Measure are the numbers by which the alerts of one type are judged, over one
// case or several. Source: detection reference, section 11.2.
type Measure struct {
	CaseScore
	// Delays are the times from the start of an attack to the alert, in event
	// time, of rows that were met and tell the start, or whose scenario does.
	Delays []time.Duration
	// Intervals is the number of alerts under sampling whose true number is known
	// and that state an interval, Covered that of intervals that hold it.
	Intervals, Covered int
}

// Add sums two measures.
func (m Measure) Add(o Measure) Measure {
	return Measure{
		CaseScore: m.CaseScore.Add(o.CaseScore), Delays: slices.Concat(m.Delays, o.Delays),
		Intervals: m.Intervals + o.Intervals, Covered: m.Covered + o.Covered,
	}
}

// Coverage is the share of intervals that hold the truth; ok is false without
// any.
func (m Measure) Coverage() (share float64, ok bool) {
	if m.Intervals == 0 {
		return 0, false
	}
	return float64(m.Covered) / float64(m.Intervals), true
}

// FalseRate is the number of false alerts per 1,000 resources and day, of so
// many resources times days; ok is false where nothing was watched.
func (m Measure) FalseRate(resourceDays float64) (rate float64, ok bool) {
	if resourceDays <= 0 {
		return 0, false
	}
	return 1000 * float64(m.False) / resourceDays, true
}

// Delay returns the median and the longest time to detect; ok is false without
// any.
func (m Measure) Delay() (median, longest time.Duration, ok bool) {
	if len(m.Delays) == 0 {
		return 0, 0, false
	}
	d := slices.Sorted(slices.Values(m.Delays))
	return middle(d), d[len(d)-1], true
}

// middle is the median of sorted numbers, of an even number the mean of two.
func middle[N ~int64 | ~float64](sorted []N) N {
	n := len(sorted)
	return sorted[(n-1)/2] + (sorted[n/2]-sorted[(n-1)/2])/2
}

// gauge looks at the flows of a case before anything is taken away from them.
type gauge struct {
	orienter  *inventory.Orienter
	scratch   []weir.Contact
	resources map[uint64]struct{}
	rates     map[uint32]uint64 // contacts by sampling
	oldest    int64
	newest    newest
	// count tells to count the connections of unsampled flows, for the truth
	// behind what thinning leaves.
	count bool
	conns map[connKey]map[int64]uint64 // by slot
}

// connKey is what connections are counted by.
type connKey struct {
	own, peer netip.Addr
	port      uint16
	out       bool
}

const (
	// gaugeSlot is the slot of the windows of all pair rules: detection
	// reference, section 3.3.
	gaugeSlot = 10 * time.Minute
	// gaugeKeys bounds the memory of the counts; inputs with more have no truth.
	gaugeKeys = 1 << 20
)

func newGauge(know *knowledge, count bool) *gauge {
	return &gauge{
		orienter: know.orienter, resources: map[uint64]struct{}{}, rates: map[uint32]uint64{}, count: count, conns: map[connKey]map[int64]uint64{},
	}
}

func (g *gauge) see(flows []weir.Flow) {
	for i := range flows {
		f := &flows[i]
		g.scratch = g.orienter.Contacts(f, g.scratch[:0])
		for j := range g.scratch {
			c := &g.scratch[j]
			g.resources[c.Resource.Key()] = struct{}{}
			g.rates[f.Sampling]++
			if g.count {
				g.tally(c)
			}
		}
		if len(g.scratch) > 0 {
			if !g.newest.known || f.End < g.oldest {
				g.oldest = f.End
			}
			g.newest.observe(f.End)
		}
	}
}

// tally counts a connection where the record is the one that begins it. Truth
// needs records that are not sampled.
func (g *gauge) tally(c *weir.Contact) {
	if c.Sampling != 1 || !c.Known.Has(weir.HasPorts) || c.LogOdds == 0 || c.Leg == weir.BackLeg {
		return
	}
	k := connKey{own: c.Own.Addr(), peer: site(c.Peer.Addr()), port: c.Own.Port(), out: c.LogOdds > 0}
	if k.out {
		k.port = c.Peer.Port()
	}
	both := c.Known.Has(weir.HasReverse)
	if !both && c.FromOwn != k.out {
		return // the answers
	}
	flags := c.In.Flags
	if k.out {
		flags = c.Out.Flags
	}
	if both && !c.Known.Has(weir.HasRevFlags) {
		flags = c.In.Flags | c.Out.Flags
	}
	if c.Proto == weir.ProtoTCP && c.Known.Has(weir.HasFlags) && flags&weir.SYN == 0 {
		return // a connection that began in another record
	}
	slots := g.conns[k]
	if slots == nil {
		if len(g.conns) >= gaugeKeys {
			g.count, g.conns = false, nil
			return
		}
		slots = map[int64]uint64{}
		g.conns[k] = slots
	}
	slots[(c.End-mod(c.End, int64(gaugeSlot)))/int64(gaugeSlot)]++
}

// site is a peer as the rules key it: an address, or its /64 in IPv6.
func site(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}

// connections returns the true number of connections behind an alert of one
// peer; ok is false when it is not known.
func (g *gauge) connections(a *weir.Alert) (n float64, ok bool) {
	if !g.count || a.Unit != weir.UnitConnections || len(a.Peers) != 1 {
		return 0, false
	}
	slots := g.conns[connKey{a.Own, site(a.Peers[0].Address), a.Port, a.Direction == weir.Outgoing}]
	for at := a.At - int64(a.Window); at < a.At; at += int64(gaugeSlot) {
		v := slots[(at-mod(at, int64(gaugeSlot)))/int64(gaugeSlot)]
		n += float64(v)
	}
	return n, n > 0
}

// rate is the sampling of most contacts, thinning included; 0 is not known.
func (g *gauge) rate(thin uint32) uint32 {
	var best uint32
	for _, n := range slices.Sorted(maps.Keys(g.rates)) {
		if g.rates[n] >= g.rates[best] {
			best = n
		}
	}
	return uint32(min(uint64(best)*uint64(max(thin, 1)), 1<<32-1))
}

// span is the length of all that was read, in days of event time.
func (g *gauge) span() float64 {
	if !g.newest.known {
		return 0
	}
	return time.Duration(g.newest.at-g.oldest).Hours() / 24
}

// days is the length of what is judged, in days of event time.
func (g *gauge) days(c *scenario.Case) float64 {
	if !g.newest.known {
		return 0
	}
	from, to := g.oldest, g.newest.at
	if !c.Start.IsZero() {
		from = max(from, c.Start.UnixNano())
	}
	if !c.LearnUntil.IsZero() {
		from = max(from, c.LearnUntil.UnixNano())
	}
	return max(time.Duration(to-from).Hours()/24, 0)
}

// measure works out the numbers of a case. opened are its alerts as they were
// raised, by id; script is nil for a labelled case.
func (r *CaseResult) measure(c *scenario.Case, script *scenario.Scenario, g *gauge, judged []scenario.Alert, opened map[string]weir.Alert, pane time.Duration) {
	r.Measures = map[weir.AlertType]Measure{}
	canBeFalse := c.Complete || slices.ContainsFunc(c.Rows, func(row scenario.Row) bool { return row.Verdict == scenario.MustNot })
	if canBeFalse {
		r.ResourceDays = float64(len(g.resources)) * g.days(c)
	}
	for t, s := range r.Judgement.Rules {
		r.Measures[t] = Measure{CaseScore: s}
	}
	for _, rows := range [][]scenario.RowResult{r.Judgement.Must, r.Judgement.Should} {
		for i := range rows {
			if d, ok := r.delay(&rows[i], script, judged); ok {
				t := rows[i].Row.Type()
				m := r.Measures[t]
				m.Delays = append(m.Delays, d)
				r.Measures[t] = m
			}
		}
	}
	for i := range r.Alerts {
		a, ok := opened[r.Alerts[i].ID]
		s := &a.Sampling
		if !ok || s.Rate <= 1 || s.Low95 == nil || s.High95 == nil {
			continue
		}
		n, ok := g.connections(&a)
		if script != nil {
			from := a.At - int64(a.Window)
			if a.Type == weir.DDoS {
				from = a.At - int64(pane) // the rate is that of the newest pane
			}
			n, ok = script.True(&judged[i], a.Unit, from, a.At)
		}
		if !ok {
			continue
		}
		m := r.Measures[a.Type]
		if m.Intervals++; n >= *s.Low95 && n <= *s.High95 {
			m.Covered++
		}
		r.Measures[a.Type] = m
	}
}

// delay is the time from the start of the attack that a row tells to the first
// alert that meets it. ok is false where the start is not known, or where the
// alert came before.
func (r *CaseResult) delay(row *scenario.RowResult, script *scenario.Scenario, judged []scenario.Alert) (d time.Duration, ok bool) {
	if !row.Met || len(row.Alerts) == 0 {
		return 0, false
	}
	first := slices.MinFunc(row.Alerts, func(a, b int) int { return cmp.Compare(r.Alerts[a].Generated, r.Alerts[b].Generated) })
	a := &r.Alerts[first]
	switch {
	case row.Row.First != nil:
		d = time.Duration(a.Generated - *row.Row.First)
	case script != nil:
		start, known := script.Began(&judged[first], a.First, a.Generated)
		if !known {
			return 0, false
		}
		d = time.Duration(a.Generated - start)
	default:
		return 0, false
	}
	return d, d >= 0
}

// PerConnection is what the alerts say of the packets of a connection.
type PerConnection struct {
	Service string
	// Means are the client packets per connection of the peers of alerts on
	// unsampled traffic, one mean a peer and alert.
	Means []float64
}

// PacketsPerConnection collects, by service, the packets that guessing takes for
// one connection, of alerts on traffic that is not sampled.
func PacketsPerConnection(alerts []weir.Alert) []PerConnection {
	by := map[string][]float64{}
	for i := range alerts {
		a := &alerts[i]
		if a.Sampling.Rate != 1 || a.Service == "" || a.Unit != weir.UnitConnections && a.Unit != weir.UnitSources && a.Type != weir.RDPOutgoingOneToMany && a.Type != weir.SSHOutgoingOneToMany {
			continue
		}
		for _, p := range a.Peers {
			if p.Connections > 0 && p.Packets > p.Connections {
				by[a.Service] = append(by[a.Service], float64(p.Packets)/float64(p.Connections))
			}
		}
	}
	var out []PerConnection
	for _, s := range slices.Sorted(maps.Keys(by)) {
		out = append(out, PerConnection{s, by[s]})
	}
	return out
}

// Median is the median of the means.
func (p *PerConnection) Median() float64 { return middle(slices.Sorted(slices.Values(p.Means))) }

// Prevalence is a peer with the number of protected resources that have an alert
// about it.
type Prevalence struct {
	Peer      netip.Addr `json:"peer"`
	Resources int        `json:"resources"`
	// Share is Resources by the resources seen.
	Share float64 `json:"share"`
}

// PrevalenceOf returns the peers that alerts of two resources or more name, the
// most common first.
func PrevalenceOf(alerts []weir.Alert, resources int) []Prevalence {
	by := map[netip.Addr]map[uint64]struct{}{}
	for i := range alerts {
		for _, p := range alerts[i].Peers {
			if by[p.Address] == nil {
				by[p.Address] = map[uint64]struct{}{}
			}
			by[p.Address][alerts[i].Resource.Key()] = struct{}{}
		}
	}
	var out []Prevalence
	for a, set := range by {
		if len(set) > 1 {
			out = append(out, Prevalence{a, len(set), float64(len(set)) / float64(max(resources, len(set)))})
		}
	}
	slices.SortFunc(out, func(a, b Prevalence) int {
		return cmp.Or(cmp.Compare(b.Resources, a.Resources), a.Peer.Compare(b.Peer))
	})
	return out
}

package sflow

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
)

// agentKey names what has its own sequence: an agent and a sub-agent.
type agentKey struct {
	addr netip.Addr
	sub  uint32
}

// agent is what is known of one agent and sub-agent.
type agent struct {
	key    agentKey
	elem   *list.Element
	drops  map[uint32]uint32 // drop counter by data source
	valid  bool
	next   uint32 // sequence number that the next datagram should have
	uptime uint32 // ms since the agent came up, of the newest datagram

	info AgentInfo
}

// Bounds in datagrams: a step back of more than the window, or ahead of more
// than the limit, is no reordering and no loss but a new sequence.
const (
	lateWindow = 64
	gapLimit   = 1 << 16
)

// agentFor returns the agent of key, made if need be, and marks it as used.
func (d *Decoder) agentFor(key agentKey) *agent {
	if d.last != nil && d.last.key == key {
		return d.last
	}
	a := d.agents[key]
	if a != nil {
		d.order.MoveToFront(a.elem)
	} else {
		for len(d.agents) >= d.cfg.MaxAgents {
			old := d.order.Remove(d.order.Back()).(*agent) //nolint:errcheck // only agents are put in
			d.sources -= len(old.drops)
			delete(d.agents, old.key)
			d.stats.AgentsDropped++
		}
		a = &agent{key: key, info: AgentInfo{Agent: key.addr, Domain: key.sub}}
		a.elem = d.order.PushFront(a)
		d.agents[key] = a
	}
	d.last = a
	return a
}

// sequence places a datagram by its number.
func (d *Decoder) sequence(a *agent, seq, uptime uint32) {
	diff := int32(seq - a.next) //nolint:gosec // the wrap is meant
	switch {
	case !a.valid || diff == 0:
	case diff > 0 && diff <= gapLimit:
		a.info.SequenceLost += uint64(diff)
		d.stats.SequenceLost += uint64(diff)
	case diff < 0 && diff >= -lateWindow && int32(uptime-a.uptime) <= 0 && a.uptime-uptime < 1<<30 && seq != 1: //nolint:gosec // the wrap is meant
		a.info.SequenceLate++
		d.stats.SequenceLate++
		if a.info.SequenceLost > 0 { // it was counted as lost
			a.info.SequenceLost--
			d.stats.SequenceLost--
		}
		return
	default:
		a.info.Restarts++
		d.stats.Restarts++
		d.sources -= len(a.drops)
		clear(a.drops)
	}
	a.valid = true
	a.next = seq + 1
	a.uptime = uptime
}

// dropped follows the drop counter of a data source. Sources are remembered
// only once they drop, because most never do; the first value seen is where the
// count starts.
func (d *Decoder) dropped(a *agent, source, drops uint32) {
	if drops == 0 && len(a.drops) == 0 {
		return
	}
	before, ok := a.drops[source]
	switch {
	case !ok && d.sources >= d.cfg.MaxSources:
		return
	case !ok:
		if a.drops == nil {
			a.drops = make(map[uint32]uint32)
		}
		d.sources++
	case before == drops:
		return
	default:
		if n := drops - before; n < 1<<31 { // a step back is a restart of the counter
			a.info.Dropped += uint64(n)
			d.stats.Dropped += uint64(n)
		}
	}
	a.drops[source] = drops
}

// Stats returns the counters. It costs nothing worth mentioning.
func (d *Decoder) Stats() Stats {
	s := d.stats
	s.Agents = len(d.agents)
	return s
}

// Exporters returns a snapshot of all agents, ordered by address and sub-agent.
func (d *Decoder) Exporters() []AgentInfo {
	out := make([]AgentInfo, 0, len(d.agents))
	for _, a := range d.agents {
		out = append(out, a.info)
	}
	slices.SortFunc(out, func(a, b AgentInfo) int {
		return cmp.Or(a.Agent.Compare(b.Agent), cmp.Compare(a.Domain, b.Domain))
	})
	return out
}

// closeDatagram notes the flows of a datagram.
func (a *agent) closeDatagram(flows []weir.Flow) {
	if len(flows) == 0 {
		return
	}
	a.info.Flows += uint64(len(flows))
	last := &flows[len(flows)-1]
	a.info.Sampling, a.info.SamplingSource = last.Sampling, last.SamplingSource
}

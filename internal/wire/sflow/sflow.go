// Package sflow knows how sFlow version 5 spells sampled packets. Source:
// P. Phaal, M. Lavine, sFlow Version 5, July 2004, https://sflow.org/sflow_version_5.txt
// (below: "the specification").
//
// Every flow sample is one packet that the agent took, 1 in N: it becomes one
// flow of one packet. A [Decoder] is a value that the caller owns; it remembers,
// bounded, the sequence numbers of the agents. Decoding allocates nothing.
package sflow

import (
	"fmt"
	"net/netip"

	weir "github.com/weir-net/weir"
)

// Config bounds what a decoder remembers. The zero value is not valid; start
// from [DefaultConfig].
type Config struct {
	// MaxAgents is the number of pairs of agent and sub-agent that are
	// remembered, at least 1. At the limit the one silent for longest goes.
	MaxAgents int
	// MaxSources is the number of data sources (interfaces) of all agents whose
	// drop counters are followed, at least 1.
	MaxSources int
	// Sampling is the word of the operator: N of 1-in-N for an agent, 0 for
	// none. With force it wins over the rate in the samples, otherwise it is
	// used where a sample has none. It may be nil; it is called once for a
	// datagram.
	Sampling func(agent netip.Addr) (rate uint32, force bool)
}

// DefaultConfig returns the defaults of the configuration reference.
func DefaultConfig() Config {
	return Config{MaxAgents: 4096, MaxSources: 1 << 16}
}

// Validate reports the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.MaxAgents < 1:
		return fmt.Errorf("sflow: MaxAgents is %d, must be at least 1", c.MaxAgents)
	case c.MaxSources < 1:
		return fmt.Errorf("sflow: MaxSources is %d, must be at least 1", c.MaxSources)
	}
	return nil
}

// Reason is what is wrong with a datagram. The text is stable.
type Reason string

// Reasons.
const (
	ReasonShort   Reason = "datagram too short for its header"
	ReasonVersion Reason = "unknown version"
	ReasonAddress Reason = "unknown type of agent address"
	ReasonCount   Reason = "fewer samples than stated"
	ReasonSample  Reason = "sample does not fit the datagram"
	ReasonRecord  Reason = "record does not fit its sample"
)

// Error tells what is wrong with a datagram and where. What was decoded before
// and beside it is kept.
type Error struct {
	Agent  netip.Addr // as the exporter of flows
	Domain uint32     // sub-agent
	Offset int        // in bytes from the start of the datagram
	Reason Reason
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("sflow: agent %v, sub-agent %d, offset %d: %s", e.Agent, e.Domain, e.Offset, e.Reason)
}

// Stats are cumulative counters since the decoder was made, but for Agents,
// which is how many are remembered now.
type Stats struct {
	Datagrams      uint64 // datagrams given to Decode
	Flows          uint64 // flows appended
	CounterSamples uint64 // samples of counters, expanded ones included
	// SamplesWithoutAddresses are flow samples of packets without an IP header
	// that could be found; OtherSamples are samples of other kinds.
	SamplesWithoutAddresses uint64
	OtherSamples            uint64
	// Dropped is how many samples the agents say that they could not send for
	// lack of resources.
	Dropped        uint64
	UnknownVersion uint64 // datagrams of a version that is not decoded
	Malformed      uint64 // datagrams with an error, unknown versions not counted
	// SequenceLost are datagrams that the sequence numbers say were sent and
	// never came; SequenceLate came after a later one; Restarts are jumps of
	// the sequence.
	SequenceLost  uint64
	SequenceLate  uint64
	Restarts      uint64
	AgentsDropped uint64 // agents forgotten to make room
	Agents        int
}

// AgentInfo is what is known about one agent and sub-agent.
type AgentInfo struct {
	Agent  netip.Addr
	Domain uint32 // sub-agent
	// Sampling is the rate given to the last flow, 0 unknown.
	Sampling       uint32
	SamplingSource weir.SamplingSource
	Datagrams      uint64
	Flows          uint64
	Dropped        uint64 // as in Stats
	LastSeen       int64  // receipt of the last datagram, Unix ns
	// SequenceLost, SequenceLate and Restarts as in Stats.
	SequenceLost, SequenceLate, Restarts uint64
}

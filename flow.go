package weir

import (
	"net/netip"
)

// SamplingSource says where the sampling rate of a flow came from.
type SamplingSource uint8

// Sampling sources, from no knowledge to the operator's word.
const (
	SamplingUnknown SamplingSource = iota
	// SamplingRecord: the data record itself carried the rate (IPFIX IE 34,
	// 50, 305, 306 and the like; sFlow sample header).
	SamplingRecord
	// SamplingOptions: an options record of the exporter told it.
	SamplingOptions
	// SamplingHeader: the datagram header told it (NetFlow v5).
	SamplingHeader
	// SamplingConfig: inputs.sampling of the configuration.
	SamplingConfig
	// SamplingFlag: the --sampling flag, or the sampling key of a case.
	SamplingFlag
	// SamplingFormat: the format logs every flow, so the rate is 1.
	SamplingFormat
)

var samplingSources = [...]string{"unknown", "record", "options", "header", "config", "flag", "format"}

// String returns the name used in JSON.
func (s SamplingSource) String() string {
	if int(s) < len(samplingSources) {
		return samplingSources[s]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (s SamplingSource) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Unknown names read as
// SamplingUnknown, never as a known rate.
func (s *SamplingSource) UnmarshalText(b []byte) error {
	*s = SamplingUnknown
	for i, name := range samplingSources {
		if name == string(b) {
			*s = SamplingSource(i)
		}
	}
	return nil
}

// Action is what a firewall on the path did with a flow, where the source says.
type Action uint8

// Actions.
const (
	ActionUnknown Action = iota
	ActionAllow
	ActionDeny
)

// String returns "allow", "deny" or the empty string.
func (a Action) String() string {
	switch a {
	case ActionAllow:
		return "allow"
	case ActionDeny:
		return "deny"
	case ActionUnknown:
	}
	return ""
}

// Initiator says which end opened the flow, where the source itself says so.
type Initiator uint8

// Initiators.
const (
	InitiatorUnknown Initiator = iota
	InitiatorSrc
	InitiatorDst
)

// String returns "src", "dst" or the empty string.
func (i Initiator) String() string {
	switch i {
	case InitiatorSrc:
		return "src"
	case InitiatorDst:
		return "dst"
	case InitiatorUnknown:
	}
	return ""
}

// Fields is the set of fields of a flow that the source knew. A missing field
// removes the tests that need it, never the record.
type Fields uint8

// Field bits.
const (
	// HasPackets: Packets is known.
	HasPackets Fields = 1 << iota
	// HasBytes: Bytes is known.
	HasBytes
	// HasFlags: TCPFlags is known. Without HasRevFlags on a bidirectional
	// flow they are the OR of both directions.
	HasFlags
	// HasPorts: the ports are known (they are not on fragments).
	HasPorts
	// HasReverse: the source is bidirectional; RevPackets and RevBytes are
	// known as far as HasPackets and HasBytes say.
	HasReverse
	// HasRevFlags: RevTCPFlags is known and TCPFlags is that of src to dst only.
	HasRevFlags
	// IsFragment: a fragment with an offset above zero; it has no ports.
	IsFragment
	// IsEgress: metered where it left the exporter (flowDirection 1, IPFIX IE
	// 61; RFC 5102, section 5.11.6). Without it the flow was metered on ingress,
	// or the source does not say where. It says nothing about the traffic.
	IsEgress
)

// Has reports whether all bits of f2 are set.
func (f Fields) Has(f2 Fields) bool { return f&f2 == f2 }

// TCP control bits (RFC 9293, section 3.1), in the low byte of tcpControlBits.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
)

// IP protocol numbers (IANA) that rules name.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Flow is one flow record as exported: unoriented, counters unscaled.
// IPv4 addresses are never v4-mapped. Fields that are not in Known are zero and
// mean nothing.
type Flow struct {
	// Start and End are the times of the first and last packet.
	Start, End int64
	// Src and Dst are the ends as exported; port 0 without HasPorts. For ICMP
	// the destination port is type*256+code, the source port 0.
	Src, Dst netip.AddrPort
	// Packets and Bytes count src to dst, RevPackets and RevBytes dst to src.
	// Bytes are IP bytes, headers included.
	Packets, Bytes       uint64
	RevPackets, RevBytes uint64
	// Sampling is N of 1-in-N packet sampling, 0 when it is not known.
	Sampling uint32
	// InputIf and OutputIf are the SNMP indices of the interfaces, 0 unknown.
	InputIf, OutputIf uint32
	// Domain is the observation domain (IPFIX), source id (v9), engine (v5) or
	// sub-agent (sFlow).
	Domain uint32
	// Exporter is the address that identifies the exporter; the zero Addr for
	// files that name none.
	Exporter netip.Addr
	VLAN     uint16
	// TCPFlags and RevTCPFlags are the OR of the control bits seen.
	TCPFlags, RevTCPFlags uint16
	Proto                 uint8
	Known                 Fields
	SamplingSource        SamplingSource
	Action                Action
	Initiator             Initiator
	// Format is the input format.
	Format Format
}

// Format is an input format, see the table of formats in the reference.
type Format uint8

// Formats.
const (
	FormatUnknown Format = iota
	FormatIPFIX
	FormatNetFlow9
	FormatNetFlow5
	FormatSFlow
	FormatPcap
	FormatNfdump
	FormatZeek
	FormatArgus
	FormatSuricata
	FormatAzureVNet
	FormatAzureNSG
	FormatAWSVPC
	FormatGCPVPC
	FormatCSV
	FormatNDJSON
	FormatParquet
	FormatScenario
)

var formats = [...]string{
	"", "ipfix", "netflow-v9", "netflow-v5", "sflow-v5", "pcap", "nfdump", "zeek", "argus", "suricata",
	"azure-vnet", "azure-nsg", "aws-vpc", "gcp-vpc", "csv", "ndjson", "parquet", "scenario",
}

// String returns the name of the format, as in the --format flag.
func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f]
	}
	return ""
}

// ParseFormat returns the format of that name, FormatUnknown for none.
func ParseFormat(name string) Format {
	for i, n := range formats {
		if i > 0 && n == name {
			return Format(i)
		}
	}
	return FormatUnknown
}

// Batch is a group of flows with the watermark that holds after them: the
// sender promises that no later batch holds an end time before it. A watermark
// of zero promises nothing.
type Batch struct {
	Flows     []Flow
	Watermark int64
}

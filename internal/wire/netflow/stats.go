package netflow

import (
	"cmp"
	"net/netip"
	"slices"

	weir "github.com/weir-net/weir"
)

// Stats are cumulative counters since the decoder was made, but for Domains,
// Templates and HeldBytes, which are what is in memory now.
type Stats struct {
	Datagrams uint64 // datagrams given to Decode
	Flows     uint64 // flows appended
	// OptionRecords are data records of options templates;
	// RecordsWithoutAddresses are data records that tell no address, and are
	// no flows; RecordsRejected are records that contradict their template.
	OptionRecords           uint64
	RecordsWithoutAddresses uint64
	RecordsRejected         uint64

	// EgressRepeated are egress records that were left out, because the same
	// exporter meters their packets on ingress; they are not among Flows.
	// InterfacesDropped are ingress records of interfaces beyond the bound,
	// of which egress records are kept.
	EgressRepeated    uint64
	InterfacesDropped uint64

	// SetsWithoutTemplate came before their template. Held of them were kept,
	// HeldDecoded gave their records later, HeldExpired waited for too long,
	// HeldDropped had to make room.
	SetsWithoutTemplate uint64
	Held                uint64
	HeldDecoded         uint64
	HeldExpired         uint64
	HeldDropped         uint64

	TemplatesReceived  uint64 // new or changed, repetitions not counted
	TemplatesWithdrawn uint64
	TemplatesDropped   uint64 // to make room, or after a restart of the exporter
	TemplatesRejected  uint64
	DomainsDropped     uint64 // exporter and domain pairs forgotten to make room
	SamplersDropped    uint64 // sampling rates beyond the bound of a domain

	UnknownVersion uint64 // datagrams of a version that is not decoded
	Malformed      uint64 // datagrams with an error, unknown versions not counted

	// SequenceLost are datagrams (version 9) or records (version 5, IPFIX)
	// that the sequence numbers say were sent and never came; SequenceLate
	// came after a later one; Restarts are jumps of the sequence.
	SequenceLost uint64
	SequenceLate uint64
	Restarts     uint64

	Domains       int // exporter and domain pairs
	Templates     int
	TemplateBytes int
	HeldBytes     int
}

// Stats returns the counters. It costs nothing worth mentioning.
func (d *Decoder) Stats() Stats {
	s := d.stats
	s.Domains = len(d.domains)
	s.Templates = d.templates
	s.TemplateBytes = d.templateBytes
	s.HeldBytes = d.heldBytes
	return s
}

// ExporterInfo is what is known about one exporter and observation domain.
type ExporterInfo struct {
	Exporter netip.Addr
	Domain   uint32
	Format   weir.Format
	// Sampling is the rate given to the last flow, 0 unknown.
	Sampling       uint32
	SamplingSource weir.SamplingSource
	Datagrams      uint64
	Flows          uint64
	EgressRepeated uint64 // as in Stats
	// SetsWithoutTemplate as in Stats. MissingSince is the time of receipt of
	// the first data set without a template since the last one that had its
	// template; 0 when none is missing.
	SetsWithoutTemplate uint64
	MissingSince        int64
	Templates           int
	// LastTemplate is when a template came last, 0 for never. LastSeen is when
	// a datagram came last, ExportTime is the time of sending in its header.
	// All are Unix ns; ExportTime minus LastSeen is the skew plus the transit.
	LastTemplate int64
	LastSeen     int64
	ExportTime   int64
	// SequenceLost, SequenceLate and Restarts as in Stats.
	SequenceLost, SequenceLate, Restarts uint64
}

// Exporters returns a snapshot of all exporters and domains, ordered by
// address, domain and format.
func (d *Decoder) Exporters() []ExporterInfo {
	out := make([]ExporterInfo, 0, len(d.domains))
	for _, s := range d.domains {
		out = append(out, ExporterInfo{
			Exporter: s.key.exporter, Domain: s.key.domain, Format: formatOf(s.key.version),
			Sampling: s.lastRate.n, SamplingSource: s.lastRate.source,
			Datagrams: s.datagrams, Flows: s.flows, EgressRepeated: s.egressRepeated,
			SetsWithoutTemplate: s.missing, MissingSince: s.missingSince,
			Templates: len(s.templates), LastTemplate: s.lastTemplate,
			LastSeen: s.lastSeen, ExportTime: s.exportTime,
			SequenceLost: s.seq.lost, SequenceLate: s.seq.late, Restarts: s.seq.restarts,
		})
	}
	slices.SortFunc(out, func(a, b ExporterInfo) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Format, b.Format))
	})
	return out
}

// formatOf returns the format of a version of the protocol.
func formatOf(version uint16) weir.Format {
	switch version {
	case Version5:
		return weir.FormatNetFlow5
	case Version9:
		return weir.FormatNetFlow9
	}
	return weir.FormatIPFIX
}

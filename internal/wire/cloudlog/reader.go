// Package cloudlog reads the flow logs of clouds: Azure virtual network and
// network security group flow logs, AWS VPC flow logs as text, and GCP VPC flow
// logs. Everything is read as a stream with bounded memory.
//
// What the formats mean for a flow:
//
//   - Azure logs connections from the view of the end that opened them, in both
//     directions: the source is the initiator. A begin tuple that is followed by
//     a continue or end tuple of the same connection within the same record
//     (about a minute) is no flow of its own, but gives that flow its start.
//     Other begin tuples are flows without counters, so that a connection is
//     seen when it opens. Counters of continue and end tuples are what was added
//     since the tuple before. Denied tuples are flows; their counters, when all
//     are zero, are not known, because Azure does not count what it denies.
//   - AWS logs one direction at a time. Where a record has pkt-srcaddr and
//     pkt-dstaddr these are the ends, because they name who really talks, while
//     srcaddr and dstaddr may name an interface that relays (NAT gateway, load
//     balancer, the node of a pod). Its tcp-flags hold FIN, SYN and RST, and ACK
//     only together with SYN: a record with SYN says who opened the connection,
//     zero says nothing, and ACK is added when the record must have carried data.
//   - GCP samples at a rate that the log does not tell, so the sampling rate is
//     not known, and counts one direction at a time. Byte counts are those of
//     the payload in newer logs; they stay as they are.
//
// None of them tells type and code of ICMP, so ICMP has no ports.
package cloudlog

import (
	"fmt"
	"io"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// batch is how many flows one Read appends at most.
const batch = 1000

// Options configure a Reader.
type Options struct {
	// Format is one of weir.FormatAzureVNet, FormatAzureNSG, FormatAWSVPC and
	// FormatGCPVPC.
	Format weir.Format
}

// source is one of the formats.
type source interface {
	Read(dst []weir.Flow) ([]weir.Flow, error)
	Skipped() (n int64, first error)
}

// Reader reads the flows of a log.
type Reader struct {
	source
}

// NewReader returns a reader of r, which is not touched before the first Read.
func NewReader(r io.Reader, o Options) *Reader {
	switch o.Format {
	case weir.FormatAzureVNet, weir.FormatAzureNSG:
		return &Reader{newAzure(r, o.Format)}
	case weir.FormatAWSVPC:
		return &Reader{newAWS(r)}
	case weir.FormatGCPVPC:
		return &Reader{newGCP(r)}
	}
	return &Reader{text.NewLines(r, "cloud flow log", func([]byte, *weir.Flow) (bool, error) {
		return false, fmt.Errorf("%w: %q is no cloud flow log", text.ErrFormat, o.Format)
	})}
}

// Stats are counts of what a log holds besides flows.
type Stats struct {
	// NoData counts AWS records that say that there was no traffic.
	NoData int64
	// SkipData counts AWS records that say that records were lost: real loss,
	// to be shown.
	SkipData int64
	// Begins counts Azure begin tuples that were merged into the flow that
	// followed.
	Begins int64
	// Other counts GCP log entries that are no flow records.
	Other int64
}

// Stats returns the counts so far.
func (r *Reader) Stats() Stats {
	switch s := r.source.(type) {
	case *azure:
		return Stats{Begins: s.begins}
	case *aws:
		return Stats{NoData: s.noData, SkipData: s.skipData}
	case *gcp:
		return Stats{Other: s.other}
	}
	return Stats{}
}

// Package table reads and writes flows in the form of `weir flows`: one JSON
// object per line, or CSV with the same field names in the header.
//
// A field that is missing, null or empty is not known. The exception is the
// sampling of inputs that have no such field at all, which log every flow and
// are 1-in-1.
//
// The form has one tcpFlags field. For a record of both directions it is the OR
// of both, unless the optional field revTcpFlags is there: then it is that of
// src to dst, and revTcpFlags that of the other direction.
//
// A record with one address missing is kept, as no missing field costs a
// record: the address is then the unspecified one.
package table

import (
	"github.com/weir-net/weir"
)

// Names of the fields, in the order in which they are written.
const (
	fieldStart = iota
	fieldEnd
	fieldSrc
	fieldDst
	fieldSrcPort
	fieldDstPort
	fieldProto
	fieldTCPFlags
	fieldPackets
	fieldBytes
	fieldRevPackets
	fieldRevBytes
	fieldInitiator
	fieldSampling
	fieldSamplingSource
	fieldAction
	fieldExporter
	fieldInputIf
	fieldOutputIf
	fieldVLAN
	fieldFormat
	fieldRevTCPFlags
	fieldCount
)

// fieldNames returns the names by field number. revTcpFlags is the last one,
// because it is optional.
func fieldNames() [fieldCount]string {
	return [fieldCount]string{
		"start", "end", "src", "dst", "srcPort", "dstPort", "proto", "tcpFlags", "packets", "bytes", "revPackets", "revBytes",
		"initiator", "sampling", "samplingSource", "action", "exporter", "inputIf", "outputIf", "vlan", "format", "revTcpFlags",
	}
}

// Options configure a Reader.
type Options struct {
	// Format is weir.FormatCSV or weir.FormatNDJSON. Flows whose record does
	// not name the format they came from get this one.
	Format weir.Format
}

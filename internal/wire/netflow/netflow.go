// Package netflow knows how NetFlow version 5, NetFlow version 9 (RFC 3954) and
// IPFIX (RFC 7011) spell flows. The version is told from the datagram.
//
// A [Decoder] is a value that the caller owns. It holds what the exporters told
// about themselves, per exporter and observation domain: templates, sampling
// rates, sequence numbers, and the data sets that came before their template.
// All of it is bounded, because anyone may send datagrams.
//
// A template is compiled once into operations (offset, kind), which run
// column by column over all records of a set, straight into the slice of flows
// of the caller. Decoding a datagram with known templates allocates nothing.
//
// Elements are numbered as in the IANA registry "IPFIX Information Elements".
package netflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Versions of the protocol, as in the first two bytes of a datagram.
const (
	Version5  = 5
	Version9  = 9
	VersionIX = 10 // IPFIX
)

// Config bounds what a decoder remembers. The zero value is not valid; start
// from [DefaultConfig].
type Config struct {
	// MaxExporters is the number of pairs of exporter and observation domain
	// that are remembered, at least 1. At the limit the pair that was silent
	// for longest goes, those that never gave a flow first.
	MaxExporters int
	// MaxTemplates is the number of templates of one exporter and domain, at
	// least 1. At the limit the least recently used one goes.
	MaxTemplates int
	// MaxTemplateMemory is the size of all templates together in bytes, at
	// least 64 KiB. At the limit the least recently used ones go, those that
	// never described a data set first.
	MaxTemplateMemory int
	// HoldBytes bounds the data sets that wait for their template, all
	// together; 0 holds none. No exporter and domain takes more than a quarter.
	HoldBytes int
	// HoldFor is how long a data set waits for its template; not negative.
	HoldFor time.Duration
	// Sampling is the word of the operator: N of 1-in-N for an exporter, 0 for
	// none. With force it wins over what the exporter says, otherwise it is
	// used where the exporter says nothing. It may be nil; it is called once
	// for a datagram.
	Sampling func(exporter netip.Addr) (rate uint32, force bool)
	// KeepEgress keeps what is left out otherwise: egress records of packets
	// that the exporter tells of in ingress records too (element 61).
	KeepEgress bool
}

// DefaultConfig returns the defaults of the configuration reference.
func DefaultConfig() Config {
	return Config{
		MaxExporters:      4096,
		MaxTemplates:      1024,
		MaxTemplateMemory: 64 << 20,
		HoldBytes:         4 << 20,
		HoldFor:           10 * time.Minute,
	}
}

// Validate reports the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.MaxExporters < 1:
		return fmt.Errorf("netflow: MaxExporters is %d, must be at least 1", c.MaxExporters)
	case c.MaxTemplates < 1:
		return fmt.Errorf("netflow: MaxTemplates is %d, must be at least 1", c.MaxTemplates)
	case c.MaxTemplateMemory < 64<<10:
		return fmt.Errorf("netflow: MaxTemplateMemory is %d, must be at least 65536 bytes", c.MaxTemplateMemory)
	case c.HoldBytes < 0:
		return fmt.Errorf("netflow: HoldBytes is %d, must not be negative", c.HoldBytes)
	case c.HoldFor < 0:
		return fmt.Errorf("netflow: HoldFor is %v, must not be negative", c.HoldFor)
	}
	return nil
}

// Reason is what is wrong with a datagram. The text is stable.
type Reason string

// Reasons.
const (
	ReasonShort          Reason = "datagram too short for its header"
	ReasonVersion        Reason = "unknown version"
	ReasonLength         Reason = "message length does not fit the datagram"
	ReasonTrailing       Reason = "bytes after the message"
	ReasonCount          Reason = "record count does not fit the datagram"
	ReasonSetLength      Reason = "set length does not fit the message"
	ReasonSetID          Reason = "reserved set id"
	ReasonTemplateID     Reason = "template id below 256"
	ReasonTemplateCut    Reason = "template record cut short"
	ReasonTemplateEmpty  Reason = "template without content"
	ReasonTemplateLength Reason = "template longer than a set can be"
	ReasonTemplateScope  Reason = "options template without valid scope"
	ReasonField          Reason = "record field runs over the end of its set"
)

// Error tells what is wrong with a datagram and where. What was decoded before
// and beside it is kept.
type Error struct {
	Exporter netip.Addr
	Version  uint16
	Domain   uint32
	// Template is the template or set id, 0 when the fault is outside of sets.
	Template uint16
	// Offset is counted in bytes from the start of the datagram, or of the set
	// for a set that was held.
	Offset int
	Reason Reason
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("netflow: exporter %v, version %d, domain %d, template %d, offset %d: %s",
		e.Exporter, e.Version, e.Domain, e.Template, e.Offset, e.Reason)
}

// MessageLength returns the length of the IPFIX message at the start of b, as
// its header states it, for reading IPFIX files (RFC 5655): messages one after
// another. It needs 4 bytes and returns at least 16.
func MessageLength(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, errors.New("netflow: message header cut short")
	}
	if v := binary.BigEndian.Uint16(b); v != VersionIX {
		return 0, fmt.Errorf("netflow: message of version %d where IPFIX is expected", v)
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < ipfixHeader {
		return 0, fmt.Errorf("netflow: message length %d is shorter than its header", n)
	}
	return n, nil
}

// ExportTime returns the time at which a datagram of a known version says it
// was sent, in Unix ns. It serves the estimate of clock skew and decodes
// nothing else.
func ExportTime(datagram []byte) (int64, bool) {
	if len(datagram) < 2 {
		return 0, false
	}
	switch binary.BigEndian.Uint16(datagram) {
	case Version5:
		if len(datagram) >= v5Header {
			return int64(binary.BigEndian.Uint32(datagram[8:]))*second + int64(min(binary.BigEndian.Uint32(datagram[12:]), second-1)), true
		}
	case Version9:
		if len(datagram) >= v9Header {
			return int64(binary.BigEndian.Uint32(datagram[8:])) * second, true
		}
	case VersionIX:
		if len(datagram) >= ipfixHeader {
			return int64(binary.BigEndian.Uint32(datagram[4:])) * second, true
		}
	}
	return 0, false
}

// Lengths of headers and records in bytes: Cisco NetFlow version 5; RFC 3954,
// section 5.1; RFC 7011, section 3.1.
const (
	v5Header    = 24
	v5Record    = 48
	v9Header    = 20
	ipfixHeader = 16
	setHeader   = 4
)

// Units of time in ns.
const (
	microsecond = 1000
	millisecond = 1000 * microsecond
	second      = 1000 * millisecond
)

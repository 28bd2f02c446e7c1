// Package weir is the vocabulary of Weir, a network-layer threat detector for
// sampled flow telemetry.
//
// It holds the nouns that flow between the rooms of the house and nothing that
// runs: a [Flow] is what an exporter said, a [Contact] is that flow seen from
// one protected [Resource], a [Finding] is what a rule claims about a resource,
// and an [Alert] is a finding with an identity and a life. Words (titles,
// descriptions, sentences) are no part of it: they are rendered at the edge, in
// the reader's language.
//
// Times are Unix nanoseconds (int64, UTC) unless a name says otherwise.
// Counters are as observed by the exporter and never scaled for sampling.
// All values are plain data: they are safe to copy, and safe for concurrent
// reading as long as nobody writes.
package weir

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// AlertType is the identifier of one of the 15 network-layer alerts. The
// spelling is that of Defender for Cloud and is stable.
type AlertType string

// The 15 alert types.
const (
	CommunicationWithC2      AlertType = "Network_CommunicationWithC2"
	ResourceIPMalicious      AlertType = "Network_ResourceIpIndicatedAsMalicious"
	GenericIncomingOneToOne  AlertType = "Generic_Incoming_BF_OneToOne"
	SQLIncomingOneToOne      AlertType = "SQL_Incoming_BF_OneToOne"
	DDoS                     AlertType = "DDOS"
	RDPIncomingManyToOne     AlertType = "RDP_Incoming_BF_ManyToOne"
	RDPIncomingOneToOne      AlertType = "RDP_Incoming_BF_OneToOne"
	SSHIncomingManyToOne     AlertType = "SSH_Incoming_BF_ManyToOne"
	SSHIncomingOneToOne      AlertType = "SSH_Incoming_BF_OneToOne"
	PortScanning             AlertType = "PortScanning"
	RDPOutgoingOneToMany     AlertType = "RDP_Outgoing_BF_OneToMany"
	RDPOutgoingOneToOne      AlertType = "RDP_Outgoing_BF_OneToOne"
	SSHOutgoingOneToMany     AlertType = "SSH_Outgoing_BF_OneToMany"
	SSHOutgoingOneToOne      AlertType = "SSH_Outgoing_BF_OneToOne"
	TrafficFromUnrecommended AlertType = "Network_TrafficFromUnrecommendedIP"
)

// AlertTypes returns the 15 types in the order of the source pages.
func AlertTypes() []AlertType {
	return []AlertType{
		CommunicationWithC2, ResourceIPMalicious, GenericIncomingOneToOne, SQLIncomingOneToOne, DDoS,
		RDPIncomingManyToOne, RDPIncomingOneToOne, SSHIncomingManyToOne, SSHIncomingOneToOne, PortScanning,
		RDPOutgoingOneToMany, RDPOutgoingOneToOne, SSHOutgoingOneToMany, SSHOutgoingOneToOne, TrafficFromUnrecommended,
	}
}

// Valid reports whether t is one of the 15 types.
func (t AlertType) Valid() bool {
	return slices.Contains(AlertTypes(), t)
}

// Family returns the configuration family of the type: c2, infected, generic,
// sql, ddos, rdp, ssh, scan or blocked; empty for an unknown type.
func (t AlertType) Family() string {
	switch t {
	case CommunicationWithC2:
		return "c2"
	case ResourceIPMalicious:
		return "infected"
	case GenericIncomingOneToOne:
		return "generic"
	case SQLIncomingOneToOne:
		return "sql"
	case DDoS:
		return "ddos"
	case RDPIncomingManyToOne, RDPIncomingOneToOne, RDPOutgoingOneToMany, RDPOutgoingOneToOne:
		return "rdp"
	case SSHIncomingManyToOne, SSHIncomingOneToOne, SSHOutgoingOneToMany, SSHOutgoingOneToOne:
		return "ssh"
	case PortScanning:
		return "scan"
	case TrafficFromUnrecommended:
		return "blocked"
	}
	return ""
}

// Severity is the severity of an alert, ordered: a higher value is more severe.
type Severity uint8

// Severities, in rising order.
const (
	Informational Severity = iota + 1
	Low
	Medium
	High
)

// String returns the English name, as in the alert object.
func (s Severity) String() string {
	switch s {
	case Informational:
		return "Informational"
	case Low:
		return "Low"
	case Medium:
		return "Medium"
	case High:
		return "High"
	}
	return ""
}

// ErrSeverity says that a text names no severity.
var ErrSeverity = errors.New("severity must be High, Medium, Low or Informational")

// ParseSeverity reads a severity without regard to case.
func ParseSeverity(text string) (Severity, error) {
	for s := Informational; s <= High; s++ {
		if strings.EqualFold(text, s.String()) {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q: %w", text, ErrSeverity)
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Direction is seen from the protected resource.
type Direction string

// Directions.
const (
	Incoming Direction = "in"
	Outgoing Direction = "out"
)

// Status is the state of an alert's handling.
type Status string

// Statuses, in the spelling of the REST schema of Microsoft.Security/alerts.
const (
	Active     Status = "Active"
	InProgress Status = "InProgress"
	Resolved   Status = "Resolved"
	Dismissed  Status = "Dismissed"
)

// Valid reports whether s is one of the four statuses.
func (s Status) Valid() bool {
	return s == Active || s == InProgress || s == Resolved || s == Dismissed
}

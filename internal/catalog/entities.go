package catalog

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
)

// maxConnections bounds the network connections among the entities of an
// alert: one for each of the first peers.
const maxConnections = 10

// Entity is one entity in the Defender schema. Which fields are set depends on
// the type: azure-resource, host, ip or network-connection. Identifiers are
// unique within an alert.
type Entity struct {
	ID                 string               `json:"$id"`
	Type               string               `json:"type"`
	ResourceID         string               `json:"resourceId,omitempty"`
	HostName           string               `json:"hostName,omitempty"`
	AzureID            string               `json:"azureID,omitempty"`
	Address            string               `json:"address,omitempty"`
	ThreatIntelligence []ThreatIntelligence `json:"threatIntelligence,omitempty"`
	SourceAddress      *Ref                 `json:"sourceAddress,omitempty"`
	DestinationAddress *Ref                 `json:"destinationAddress,omitempty"`
	DestinationPort    uint16               `json:"destinationPort,omitempty"`
	Protocol           string               `json:"protocol,omitempty"`
}

// Ref points to another entity of the same alert.
type Ref struct {
	Ref string `json:"$ref"`
}

// ThreatIntelligence is what an indicator says of an ip entity.
type ThreatIntelligence struct {
	ProviderName string  `json:"providerName"`
	ThreatType   string  `json:"threatType"`
	ThreatName   string  `json:"threatName,omitempty"`
	Confidence   float64 `json:"confidence"` // 0 to 1
}

// Entities returns the entities of an alert: the Azure resource (if its id is an
// Azure resource ID), the host, the addresses by role with the attackers first,
// and connections between them. azureID replaces the id of the resource, for
// surfaces that give every resource an Azure resource ID; empty keeps it.
func Entities(a *weir.Alert, azureID string) []Entity {
	f := &a.Finding
	var entities []Entity
	add := func(e Entity) string {
		e.ID = strconv.Itoa(len(entities) + 1)
		entities = append(entities, e)
		return e.ID
	}
	if azureID == "" && f.Resource != nil && IsAzureID(f.Resource.ID) {
		azureID = f.Resource.ID
	}
	if azureID != "" {
		add(Entity{Type: "azure-resource", ResourceID: azureID})
	}
	if name := resourceName(f); name != "" {
		add(Entity{Type: "host", HostName: name, AzureID: azureID})
	}
	ids := map[netip.Addr]string{}
	attackers, victims := roles(f)
	for _, addr := range slices.Concat(attackers, victims) {
		if ids[addr] == "" {
			ids[addr] = add(Entity{Type: "ip", Address: addr.String(), ThreatIntelligence: threats(f, addr)})
		}
	}
	if !f.Own.IsValid() {
		return list(entities)
	}
	connections := 0
	for _, p := range f.Peers {
		id := ids[p.Address]
		if id == "" || connections == maxConnections {
			continue
		}
		connections++
		source, destination := id, ids[f.Own]
		if f.Direction == weir.Outgoing {
			source, destination = destination, source
		}
		e := Entity{Type: "network-connection", SourceAddress: &Ref{source}, DestinationAddress: &Ref{destination}, DestinationPort: f.Port}
		switch f.Proto {
		case weir.ProtoTCP:
			e.Protocol = "Tcp"
		case weir.ProtoUDP:
			e.Protocol = "Udp"
		case weir.ProtoICMP, weir.ProtoICMPv6:
			e.Protocol = "Icmp"
		}
		add(e)
	}
	return list(entities)
}

// IsAzureID reports whether a resource id is an Azure resource ID.
func IsAzureID(id string) bool {
	const prefix = "/subscriptions/"
	return len(id) > len(prefix) && strings.EqualFold(id[:len(prefix)], prefix)
}

// threats returns what the indicators of a finding say of an address.
func threats(f *weir.Finding, addr netip.Addr) []ThreatIntelligence {
	var found []ThreatIntelligence
	for _, i := range f.Intel {
		if i.Prefix.IsValid() && i.Prefix.Contains(addr) {
			found = append(found, ThreatIntelligence{i.Source, string(i.Category), i.Family, min(max(finite(i.Score)/100, 0), 1)})
		}
	}
	return found
}

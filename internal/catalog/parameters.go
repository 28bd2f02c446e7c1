package catalog

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// maxPossibleVictims bounds the list of possible victims in the text; the alert
// names all of them (detection reference, section 8.5).
const maxPossibleVictims = 10

// Parameters returns the placeholders of the alert by their exact English
// names, typed by role. Exactly the names of the catalogue entry are there; a
// value that is not known is the empty string.
func Parameters(a *weir.Alert) map[string]string {
	f := &a.Finding
	entry, _ := Lookup(f.Type)
	params := make(map[string]string, len(entry.Placeholders))
	for _, name := range entry.Placeholders {
		params[name] = parameter(name, f)
	}
	return params
}

// parameter returns the value of one placeholder.
func parameter(name string, f *weir.Finding) string {
	switch name {
	case "Machine IP":
		return address(f.Own)
	case "Compromised Host":
		return resourceName(f)
	case "Victim IP":
		_, victims := roles(f)
		return first(victims)
	case "Attacker IP":
		attackers, _ := roles(f)
		return first(attackers)
	case "Possible Victims":
		_, victims := roles(f)
		var names []string
		for _, v := range victims[:min(len(victims), maxPossibleVictims)] {
			names = append(names, v.String())
		}
		return strings.Join(names, ", ")
	case "Start Time":
		return utc(f.First).Format(time.RFC3339)
	case "End Time":
		return utc(f.Last).Format(time.RFC3339)
	case "Service Name", "Attacked Protocol":
		return serviceName(f)
	case "SQL Service Type":
		return sqlServiceType(f)
	case "Victim Port", "Port Number", "Most Common Port":
		if p := commonPort(f); p != 0 {
			return strconv.Itoa(int(p))
		}
	case "Number of Connections":
		return strconv.FormatUint(f.Count, 10)
	case "Number of Attacking IPs", "Number of Attacked IPs":
		if f.Count == 0 {
			return strconv.Itoa(len(f.Peers))
		}
		return strconv.FormatUint(f.Count, 10)
	}
	return ""
}

// address returns the text of an address, empty for none.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// first returns the first address of a list, empty for none.
func first(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0].String()
}

// resourceName returns the name of the resource, else its id.
func resourceName(f *weir.Finding) string {
	if f.Resource == nil {
		return ""
	}
	if f.Resource.Name != "" {
		return f.Resource.Name
	}
	return f.Resource.ID
}

// commonPort returns the port of the finding, else the most frequent port of
// its evidence (ties to the lowest), else 0.
func commonPort(f *weir.Finding) uint16 {
	if f.Port != 0 {
		return f.Port
	}
	var best weir.PortCount
	for _, p := range f.Ports {
		if p.Count > best.Count || p.Count == best.Count && p.Port < best.Port {
			best = p
		}
	}
	return best.Port
}

// serviceName returns the display name of the service, else "port N", else the
// name of the protocol.
func serviceName(f *weir.Finding) string {
	if f.Service != "" {
		return f.Service
	}
	if p := commonPort(f); p != 0 {
		return fmt.Sprintf("port %d", p)
	}
	return protocolName(f.Proto)
}

// sqlServiceType returns the product behind a SQL finding, by the name of the
// service, else by its port.
func sqlServiceType(f *weir.Finding) string {
	name := strings.ToLower(f.Service)
	switch {
	case strings.Contains(name, "mysql") || strings.Contains(name, "mariadb"):
		return "MySQL"
	case strings.Contains(name, "postgres"):
		return "PostgreSQL"
	case strings.Contains(name, "oracle"):
		return "Oracle"
	case strings.Contains(name, "mssql") || strings.Contains(name, "sql server"):
		return "Microsoft SQL Server"
	}
	switch commonPort(f) {
	case 1433, 1434:
		return "Microsoft SQL Server"
	case 3306, 33060:
		return "MySQL"
	case 5432, 5433:
		return "PostgreSQL"
	case 1521:
		return "Oracle"
	}
	return f.Service
}

// protocolName returns the name of an IP protocol as in the entities of the
// Defender schema; "IP" for protocol 0.
func protocolName(proto uint8) string {
	switch proto {
	case 0:
		return "IP"
	case weir.ProtoTCP:
		return "TCP"
	case weir.ProtoUDP:
		return "UDP"
	case weir.ProtoICMP, weir.ProtoICMPv6:
		return "ICMP"
	}
	return "IP protocol " + strconv.Itoa(int(proto))
}

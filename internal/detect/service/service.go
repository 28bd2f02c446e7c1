// Package service knows the login services: their ports, and what failed logins
// to them look like on the wire (detection reference, section 5).
package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
)

// Family is a configuration family of rules.
type Family uint8

// The families, in the order of their names in the configuration.
const (
	C2 Family = iota
	Infected
	Generic
	SQL
	DDoS
	RDP
	SSH
	Scan
	Blocked
	// FamilyCount is their number.
	FamilyCount
)

// Families lists the configuration families, in the order of their keys.
func Families() []string {
	return []string{"c2", "infected", "generic", "sql", "ddos", "rdp", "ssh", "scan", "blocked"}
}

// Service is one row of the service table (section 5): what failed logins to
// it look like on the wire.
type Service struct {
	Name   string // display name, as placeholders show it
	Family Family
	// K is the mean number of client packets of a failed login connection; lo
	// and hi, and lo2 and hi2 where there are two modes, bound it at N = 1.
	K                float64
	lo, hi, lo2, hi2 uint64
	// LenMax bounds the mean client IP length in bytes.
	LenMax float64
	// Storage marks file services, whose clients keep long connections.
	Storage bool
}

// InRange reports whether k client packets fit a failed login.
func (s *Service) InRange(k uint64) bool {
	return k >= s.lo && k <= s.hi || s.hi2 > 0 && k >= s.lo2 && k <= s.hi2
}

// Port names a service port.
type Port struct {
	Proto uint8
	Port  uint16
}

// Compare orders ports by protocol, then by number.
func (p Port) Compare(o Port) int {
	return cmp.Or(cmp.Compare(p.Proto, o.Proto), cmp.Compare(p.Port, o.Port))
}

// Measured means and ranges come from section 5 of the detection reference:
// hydra on OpenSSH 9.2, vsftpd, MariaDB and PostgreSQL in a lab, and the
// published windows of NEMEA's brute_force_detector for RDP and Telnet.
func builtinServices() map[string]Service {
	ssh := Service{Name: "SSH", Family: SSH, K: 13, lo: 4, hi: 51, LenMax: 260}
	rdp := Service{Name: "RDP", Family: RDP, K: 30, lo: 3, hi: 11, lo2: 12, hi2: 100, LenMax: 160}
	generic := func(name string, storage bool) Service {
		return Service{Name: name, Family: Generic, K: 10, lo: 3, hi: 60, LenMax: 260, Storage: storage}
	}
	return map[string]Service{
		"ssh":        ssh,
		"rdp":        rdp,
		"mysql":      {Name: "MySQL", Family: SQL, K: 5.4, lo: 4, hi: 9, LenMax: 110},
		"postgresql": {Name: "PostgreSQL", Family: SQL, K: 8, lo: 4, hi: 10, LenMax: 110},
		"mssql":      {Name: "Microsoft SQL Server", Family: SQL, K: 9, lo: 5, hi: 25, LenMax: 250},
		"oracle":     {Name: "Oracle", Family: SQL, K: 12, lo: 6, hi: 40, LenMax: 250},
		"ftp":        {Name: "FTP", Family: Generic, K: 13, lo: 5, hi: 30, LenMax: 90},
		"telnet":     {Name: "Telnet", Family: Generic, K: 15, lo: 9, hi: 50, LenMax: 80},
		"smb":        generic("SMB", true),
		"vnc":        generic("VNC", false),
		"winrm":      generic("WinRM", false),
		"ldap":       generic("LDAP", false),
		"smtp":       generic("SMTP", false),
		"imap":       generic("IMAP", false),
		"pop3":       generic("POP3", false),
		"redis":      generic("Redis", false),
		"mongodb":    generic("MongoDB", false),
		"elastic":    generic("Elasticsearch", false),
		"mqtt":       generic("MQTT", false),
		"sip":        generic("SIP", false),
	}
}

// builtinPorts is the table of ports of section 5.
func builtinPorts() map[string][]string {
	return map[string][]string{
		"ssh":        {"tcp/22", "tcp/2222", "tcp/22222"},
		"rdp":        {"tcp/3389", "udp/3389"},
		"mysql":      {"tcp/3306", "tcp/33060"},
		"postgresql": {"tcp/5432", "tcp/5433"},
		"mssql":      {"tcp/1433"},
		"oracle":     {"tcp/1521"},
		"ftp":        {"tcp/21"},
		"telnet":     {"tcp/23", "tcp/2323"},
		"smb":        {"tcp/445"},
		"vnc":        {"tcp/5900", "tcp/5901", "tcp/5902", "tcp/5903"},
		"winrm":      {"tcp/5985", "tcp/5986"},
		"ldap":       {"tcp/389", "tcp/636"},
		"smtp":       {"tcp/25", "tcp/465", "tcp/587"},
		"imap":       {"tcp/143", "tcp/993"},
		"pop3":       {"tcp/110", "tcp/995"},
		"redis":      {"tcp/6379"},
		"mongodb":    {"tcp/27017"},
		"elastic":    {"tcp/9200"},
		"mqtt":       {"tcp/1883", "tcp/8883"},
		"sip":        {"udp/5060", "tcp/5060"},
	}
}

// Table maps ports to services. It is immutable after NewTable.
type Table struct {
	byPort map[Port]*Service
	byName map[string]*Service
}

// NewTable builds the table from the built-in rows and what the
// configuration adds. Unknown names make a Generic service of that name.
func NewTable(extra map[string][]string, k map[string]float64) (*Table, error) {
	t := &Table{byPort: make(map[Port]*Service), byName: make(map[string]*Service)}
	rows, ports := builtinServices(), builtinPorts()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		s := rows[name]
		if v := k[Families()[s.Family]]; v > 0 {
			s.K = v
		}
		t.byName[name] = &s
		for _, text := range ports[name] {
			p, err := parsePort(text)
			if err != nil {
				return nil, err
			}
			t.byPort[p] = &s
		}
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		s, ok := t.byName[strings.ToLower(name)]
		if !ok {
			g := Service{Name: name, Family: Generic, K: 10, lo: 3, hi: 60, LenMax: 260}
			s = &g
			t.byName[strings.ToLower(name)] = s
		}
		for _, text := range extra[name] {
			p, err := parsePort(text)
			if err != nil {
				return nil, fmt.Errorf("detect.services.%s: %w", name, err)
			}
			t.byPort[p] = s
		}
	}
	return t, nil
}

func parsePort(text string) (Port, error) {
	proto, port, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || n == 0 || proto != "tcp" && proto != "udp" {
		return Port{}, fmt.Errorf("%q is no service port: expected tcp/PORT or udp/PORT", text)
	}
	p := Port{Proto: weir.ProtoTCP, Port: uint16(n)}
	if proto == "udp" {
		p.Proto = weir.ProtoUDP
	}
	return p, nil
}

// Find returns the service behind a port of a resource: what the inventory
// says of it first, then the table; nil for a port that no rule knows.
func (t *Table) Find(r *weir.Resource, own bool, proto uint8, port uint16) *Service {
	if own {
		for _, l := range r.Listeners {
			if l.Port == port && (l.Proto == 0 || l.Proto == proto) && l.Service != "" {
				if s, ok := t.byName[strings.ToLower(l.Service)]; ok {
					return s
				}
			}
		}
	}
	return t.byPort[Port{proto, port}]
}

// StatePort returns the port under which a service's state is kept: RDP
// over TCP and UDP is one session, so both share a port.
func StatePort(s *Service, proto uint8, port uint16) Port {
	if s.Family == RDP {
		proto = weir.ProtoTCP
	}
	return Port{proto, port}
}

// ProtoName names a transport protocol for people.
func ProtoName(p uint8) string {
	switch p {
	case weir.ProtoTCP:
		return "tcp"
	case weir.ProtoUDP:
		return "udp"
	case weir.ProtoICMP, weir.ProtoICMPv6:
		return "icmp"
	}
	return "ip/" + strconv.Itoa(int(p))
}

// At returns the service of a port of the table, nil for a port that it does
// not know.
func (t *Table) At(proto uint8, port uint16) *Service { return t.byPort[Port{proto, port}] }

// Name names a port for people: its service, else what is usual there, else
// protocol and number.
func (t *Table) Name(proto uint8, port uint16) string {
	if s := t.At(proto, port); s != nil {
		return s.Name
	}
	switch port {
	case 80, 8080:
		return "HTTP"
	case 443, 8443:
		return "HTTPS"
	case 53:
		return "DNS"
	}
	if proto == weir.ProtoUDP {
		return "UDP " + strconv.Itoa(int(port))
	}
	return "TCP " + strconv.Itoa(int(port))
}

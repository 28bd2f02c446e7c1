package detect

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-net/weir"
)

// family is a configuration family of rules.
type family uint8

const (
	famC2 family = iota
	famInfected
	famGeneric
	famSQL
	famDDoS
	famRDP
	famSSH
	famScan
	famBlocked
	familyCount
)

// Families lists the configuration families, in the order of their keys.
func Families() []string {
	return []string{"c2", "infected", "generic", "sql", "ddos", "rdp", "ssh", "scan", "blocked"}
}

// service is one row of the service table (section 5): what failed logins to
// it look like on the wire.
type service struct {
	name   string // display name, as placeholders show it
	family family
	// k is the mean number of client packets of a failed login connection; lo
	// and hi, and lo2 and hi2 where there are two modes, bound it at N = 1.
	k                float64
	lo, hi, lo2, hi2 uint64
	// lenMax bounds the mean client IP length in bytes.
	lenMax float64
	// web services are never judged: logins cannot be told from browsing.
	// storage marks file services, whose clients keep long connections.
	storage bool
}

// inRange reports whether k client packets fit a failed login.
func (s *service) inRange(k uint64) bool {
	return k >= s.lo && k <= s.hi || s.hi2 > 0 && k >= s.lo2 && k <= s.hi2
}

// portKey names a service port.
type portKey struct {
	Proto uint8
	Port  uint16
}

// Measured means and ranges come from section 5 of the detection reference:
// hydra on OpenSSH 9.2, vsftpd, MariaDB and PostgreSQL in a lab, and the
// published windows of NEMEA's brute_force_detector for RDP and Telnet.
func builtinServices() map[string]service {
	ssh := service{name: "SSH", family: famSSH, k: 13, lo: 4, hi: 51, lenMax: 260}
	rdp := service{name: "RDP", family: famRDP, k: 30, lo: 3, hi: 11, lo2: 12, hi2: 100, lenMax: 160}
	generic := func(name string, storage bool) service {
		return service{name: name, family: famGeneric, k: 10, lo: 3, hi: 60, lenMax: 260, storage: storage}
	}
	return map[string]service{
		"ssh":        ssh,
		"rdp":        rdp,
		"mysql":      {name: "MySQL", family: famSQL, k: 5.4, lo: 4, hi: 9, lenMax: 110},
		"postgresql": {name: "PostgreSQL", family: famSQL, k: 8, lo: 4, hi: 10, lenMax: 110},
		"mssql":      {name: "Microsoft SQL Server", family: famSQL, k: 9, lo: 5, hi: 25, lenMax: 250},
		"oracle":     {name: "Oracle", family: famSQL, k: 12, lo: 6, hi: 40, lenMax: 250},
		"ftp":        {name: "FTP", family: famGeneric, k: 13, lo: 5, hi: 30, lenMax: 90},
		"telnet":     {name: "Telnet", family: famGeneric, k: 15, lo: 9, hi: 50, lenMax: 80},
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

// serviceTable maps ports to services. It is immutable after newServiceTable.
type serviceTable struct {
	byPort map[portKey]*service
	byName map[string]*service
}

// newServiceTable builds the table from the built-in rows and what the
// configuration adds. Unknown names make a Generic service of that name.
func newServiceTable(extra map[string][]string, k map[string]float64) (*serviceTable, error) {
	t := &serviceTable{byPort: make(map[portKey]*service), byName: make(map[string]*service)}
	rows, ports := builtinServices(), builtinPorts()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		s := rows[name]
		if v := k[Families()[s.family]]; v > 0 {
			s.k = v
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
			g := service{name: name, family: famGeneric, k: 10, lo: 3, hi: 60, lenMax: 260}
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

func parsePort(text string) (portKey, error) {
	proto, port, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || n == 0 || proto != "tcp" && proto != "udp" {
		return portKey{}, fmt.Errorf("%q is no service port: expected tcp/PORT or udp/PORT", text)
	}
	p := portKey{Proto: weir.ProtoTCP, Port: uint16(n)}
	if proto == "udp" {
		p.Proto = weir.ProtoUDP
	}
	return p, nil
}

// find returns the service behind a port of a resource: what the inventory
// says of it first, then the table; nil for a port that no rule knows.
func (t *serviceTable) find(r *weir.Resource, own bool, proto uint8, port uint16) *service {
	if own {
		for _, l := range r.Listeners {
			if l.Port == port && (l.Proto == 0 || l.Proto == proto) && l.Service != "" {
				if s, ok := t.byName[strings.ToLower(l.Service)]; ok {
					return s
				}
			}
		}
	}
	return t.byPort[portKey{proto, port}]
}

// serviceProtoPort returns the port under which a service's state is kept: RDP
// over TCP and UDP is one session, so both share a port.
func serviceProtoPort(s *service, proto uint8, port uint16) portKey {
	if s.family == famRDP {
		proto = weir.ProtoTCP
	}
	return portKey{proto, port}
}

func protoName(p uint8) string {
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

package inventory

import (
	"fmt"
	"strconv"
	"strings"

	weir "github.com/weir-net/weir"
)

// ServicePort is a port of a transport protocol.
type ServicePort struct {
	Proto uint8 // weir.ProtoTCP or weir.ProtoUDP
	Port  uint16
}

// ParseServicePort reads the form of detect.services: "tcp/22" or "udp/53".
func ParseServicePort(text string) (ServicePort, error) {
	proto, number, ok := strings.Cut(text, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil || port == 0 {
		return ServicePort{}, fmt.Errorf("%q: expected PROTO/PORT, for example tcp/22, with a port of 1 to 65535", text)
	}
	switch strings.ToLower(proto) {
	case "tcp":
		return ServicePort{weir.ProtoTCP, uint16(port)}, nil
	case "udp":
		return ServicePort{weir.ProtoUDP, uint16(port)}, nil
	}
	return ServicePort{}, fmt.Errorf("%q: unknown protocol %q, expected tcp or udp", text, proto)
}

// ServicePorts is the service table as orientation needs it: which ports are those
// of servers, with the name of the service.
type ServicePorts map[ServicePort]string

// Add adds the ports of a service in the form of detect.services, for example
// "ssh" and ["tcp/2022"]. With an error nothing is added.
func (p ServicePorts) Add(name string, ports []string) error {
	all := make([]ServicePort, 0, len(ports))
	for _, text := range ports {
		sp, err := ParseServicePort(text)
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		all = append(all, sp)
	}
	for _, sp := range all {
		p[sp] = name
	}
	return nil
}

// DefaultServicePorts returns the services of the detection reference, section 5,
// and the ordinary server ports of the internet that orientation needs beside
// them.
func DefaultServicePorts() ServicePorts {
	table := []struct {
		name     string
		tcp, udp []uint16
	}{
		// Detection reference, section 5.
		{"ssh", []uint16{22, 2222, 22222}, nil},
		{"rdp", []uint16{3389}, []uint16{3389}},
		{"mysql", []uint16{3306}, nil},
		{"postgresql", []uint16{5432}, nil},
		{"mssql", []uint16{1433}, []uint16{1434}},
		{"oracle", []uint16{1521}, nil},
		{"ftp", []uint16{21}, nil},
		{"telnet", []uint16{23, 2323}, nil},
		{"smb", []uint16{445}, nil},
		{"vnc", []uint16{5900, 5901, 5902, 5903}, nil},
		{"winrm", []uint16{5985, 5986}, nil},
		{"ldap", []uint16{389, 636}, []uint16{389}},
		{"smtp", []uint16{25, 465, 587}, nil},
		{"imap", []uint16{143, 993}, nil},
		{"pop3", []uint16{110, 995}, nil},
		{"redis", []uint16{6379}, nil},
		{"mongodb", []uint16{27017}, nil},
		{"elasticsearch", []uint16{9200}, nil},
		{"mqtt", []uint16{1883, 8883}, nil},
		{"sip", []uint16{5060}, []uint16{5060}},
		// Ordinary server ports (IANA service name registry; 8080 and 8443 by use).
		{"http", []uint16{80, 8000, 8080}, nil},
		{"https", []uint16{443, 8443}, []uint16{443}},
		{"dns", []uint16{53, 853}, []uint16{53, 853}},
		{"ntp", nil, []uint16{123}},
		{"snmp", nil, []uint16{161}},
		{"syslog", []uint16{6514}, []uint16{514}},
		{"kerberos", []uint16{88}, []uint16{88}},
		{"msrpc", []uint16{135}, nil},
		{"netbios", []uint16{139}, []uint16{137, 138}},
		{"rsync", []uint16{873}, nil},
		{"nfs", []uint16{2049}, []uint16{2049}},
		{"dhcp", nil, []uint16{67}},
		{"tftp", nil, []uint16{69}},
		{"ssdp", nil, []uint16{1900}},
		{"memcached", []uint16{11211}, []uint16{11211}},
		{"isakmp", nil, []uint16{500, 4500}},
		{"openvpn", []uint16{1194}, []uint16{1194}},
		{"wireguard", nil, []uint16{51820}},
		{"kafka", []uint16{9092, 9093}, nil},
		{"amqp", []uint16{5671, 5672}, nil},
		{"kubernetes", []uint16{6443}, nil},
		{"docker", []uint16{2375, 2376}, nil},
	}
	ports := make(ServicePorts, 128)
	for _, s := range table {
		for _, p := range s.tcp {
			ports[ServicePort{weir.ProtoTCP, p}] = s.name
		}
		for _, p := range s.udp {
			ports[ServicePort{weir.ProtoUDP, p}] = s.name
		}
	}
	return ports
}

// portSet has a bit for every port.
type portSet [1024]uint64

func (s *portSet) has(port uint16) bool { return s[port>>6]&(1<<(port&63)) != 0 }

// portBits is a service table compiled to one bit per port.
type portBits struct{ tcp, udp, none portSet }

func compilePorts(ports ServicePorts) *portBits {
	b := new(portBits)
	for sp := range ports {
		switch sp.Proto {
		case weir.ProtoTCP:
			b.tcp[sp.Port>>6] |= 1 << (sp.Port & 63)
		case weir.ProtoUDP:
			b.udp[sp.Port>>6] |= 1 << (sp.Port & 63)
		}
	}
	return b
}

// of returns the service ports of a protocol.
func (b *portBits) of(proto uint8) *portSet {
	s := &b.none
	if proto == weir.ProtoUDP {
		s = &b.udp
	}
	if proto == weir.ProtoTCP {
		s = &b.tcp
	}
	return s
}

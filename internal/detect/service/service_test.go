package service

import (
	"strings"
	"testing"

	"github.com/weir-net/weir"
)

func TestFind(t *testing.T) {
	table, err := NewTable(map[string][]string{"ssh": {"tcp/2022"}, "Jump": {"tcp/7000"}}, map[string]float64{"ssh": 15})
	if err != nil {
		t.Fatal(err)
	}
	r := &weir.Resource{Listeners: []weir.Listener{{Port: 902, Service: "SSH"}, {Port: 22, Proto: weir.ProtoUDP, Service: "mysql"}}}
	for _, c := range []struct {
		name  string
		own   bool
		proto uint8
		port  uint16
		want  string
	}{
		{"table", true, weir.ProtoTCP, 3389, "RDP"},
		{"RDP over UDP", true, weir.ProtoUDP, 3389, "RDP"},
		{"inventory", true, weir.ProtoTCP, 902, "SSH"},
		{"inventory of another end", false, weir.ProtoTCP, 902, ""},
		{"listener of another protocol", true, weir.ProtoTCP, 22, "SSH"},
		{"added port", false, weir.ProtoTCP, 2022, "SSH"},
		{"added service", false, weir.ProtoTCP, 7000, "Jump"},
		{"web is none", true, weir.ProtoTCP, 443, ""},
		{"UDP of a TCP service", true, weir.ProtoUDP, 5432, ""},
	} {
		got := ""
		if s := table.Find(r, c.own, c.proto, c.port); s != nil {
			got = s.Name
		}
		if got != c.want {
			t.Errorf("%s: port %d is %q, want %q", c.name, c.port, got, c.want)
		}
	}
	ssh := table.At(weir.ProtoTCP, 22)
	if ssh.K != 15 || table.At(weir.ProtoTCP, 3306).K != 5.4 {
		t.Errorf("packets per connection: SSH %v as configured 15, MySQL %v as measured 5.4", ssh.K, table.At(weir.ProtoTCP, 3306).K)
	}
	for k, want := range map[uint64]bool{3: false, 4: true, 51: true, 52: false} {
		if ssh.InRange(k) != want {
			t.Errorf("SSH login of %d packets in range: %v", k, !want)
		}
	}
	if a, b := StatePort(table.At(weir.ProtoUDP, 3389), weir.ProtoUDP, 3389), StatePort(table.At(weir.ProtoTCP, 3389), weir.ProtoTCP, 3389); a != b {
		t.Errorf("RDP over UDP and TCP are kept apart: %v, %v", a, b)
	}
}

func TestPortsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "tcp", "tcp/", "tcp/0", "tcp/65536", "sctp/22", "22", "tcp/-1", "tcp/22/23"} {
		if _, err := NewTable(map[string][]string{"x": {text}}, nil); err == nil || !strings.Contains(err.Error(), "detect.services.x") {
			t.Errorf("%q: error %v, want one that names detect.services.x", text, err)
		}
	}
}

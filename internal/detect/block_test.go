package detect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// TestStrangersToAnAllowSet is path B of section 8.15: who is a stranger to a
// port that the same few have used for three weeks, and what is recommended.
func TestStrangersToAnAllowSet(t *testing.T) {
	regulars := []string{"192.0.2.1", "192.0.2.6", "198.51.101.10", "198.51.101.90", "198.51.101.170", "203.0.114.9"}
	const advice = "tcp/22 from 192.0.2.0/29, 198.51.101.10/32, 198.51.101.90/32, 198.51.101.170/32, 203.0.114.9/32"
	for _, c := range []struct {
		name, peer, want string
		listed           string // an address that intelligence has flagged
	}{
		{"a stranger", "203.0.115.77", advice, ""},
		{"a neighbour within the recommended cover", "192.0.2.4", "", ""},
		{"a newcomer of a network with three regular peers", "198.51.101.200", "", ""},
		{"a newcomer of a network with one regular peer", "203.0.114.200", advice, ""},
		{
			"a stranger, with an indicator among the regular peers", "203.0.115.77",
			"tcp/22 from 192.0.2.1/32, 192.0.2.6/32, 198.51.101.10/32, 198.51.101.90/32, 198.51.101.170/32, 203.0.114.9/32", "192.0.2.3",
		},
	} {
		s := newSite(1, 3)
		for d := range 21 {
			for _, p := range regulars {
				s.many(time.Duration(d)*oneDay, 20*time.Hour, 3, netip.MustParseAddr(p), 22, login, false)
			}
		}
		if c.listed != "" {
			for d := range 6 {
				s.one(time.Duration(10+d)*oneDay, time.Second, netip.MustParseAddr(c.listed), 22, login, false).intel = verdictOf(weir.CategoryMalicious)
			}
		}
		s.many(20*oneDay+8*time.Hour, time.Minute, 3, netip.MustParseAddr(c.peer), 22, login, false)
		got := ""
		for _, f := range feed(t, observe(s.conns, 1, 1)) {
			if f.Type == weir.TrafficFromUnrecommended && f.First >= t0+int64(20*oneDay) {
				if len(f.Peers) != 1 || f.Peers[0].Address.String() != c.peer || f.Peers[0].Path != "B" {
					t.Errorf("%s: peers %v", c.name, f.Peers)
				}
				got = f.Facts["recommendation"]
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

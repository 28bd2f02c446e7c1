package scenario

import (
	"net/netip"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

func TestWhatAScenarioKnowsOfAnAlert(t *testing.T) {
	s, err := Parse("x.scn", `
sampling 1/100
days 3
host attacker 198.51.100.7
resource web-1 203.0.113.10 listen 22/ssh,443
daily at 06:00 every 1h count 4 attacker -> web-1:22 tcp login
daily every 20s randomly for 24h from 192.0.2.0/24 any -> web-1:443 tcp web
day 2 at 12:00 every 2s for 1h attacker -> web-1:22 tcp login
day 2 at 14:00 every 1s for 1h from 198.51.100.64/26 -> web-1:22 tcp login
day 3 at 10:00 for 5m web-1 -> attacker:80 tcp flood 600pps size=100
expect nothing
`)
	if err != nil {
		t.Fatal(err)
	}
	at := func(day int, clock string) int64 {
		d, err := time.ParseDuration(clock)
		if err != nil {
			t.Fatal(err)
		}
		return s.Start.Add(time.Duration(day-1)*24*time.Hour + d).UnixNano()
	}
	web, attacker := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("198.51.100.7")
	in := Alert{Own: web, Direction: weir.Incoming, Attackers: []netip.Addr{attacker}, Ports: []uint16{22}}
	many := Alert{Own: web, Direction: weir.Incoming, Attackers: []netip.Addr{netip.MustParseAddr("198.51.100.65")}, Ports: []uint16{22}}
	client := Alert{Own: web, Direction: weir.Incoming, Attackers: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Ports: []uint16{443}}
	flood := Alert{Own: web, Direction: weir.Outgoing, Victims: []netip.Addr{attacker}, Ports: []uint16{80}}
	other := Alert{Own: web, Direction: weir.Incoming, Attackers: []netip.Addr{netip.MustParseAddr("198.51.100.8")}, Ports: []uint16{22}}

	for _, x := range []struct {
		name             string
		a                Alert
		first, generated int64
		want             int64
		ok               bool
	}{
		{"the attack and not the habit", in, at(2, "12h"), at(2, "12h20m"), at(2, "12h"), true},
		{"the habit when there is nothing else", in, at(3, "7h"), at(3, "8h"), at(3, "6h"), true},
		{"a crowd", many, at(2, "14h5m"), at(2, "14h20m"), at(2, "14h"), true},
		{"a flood", flood, at(3, "10h1m"), at(3, "10h2m"), at(3, "10h"), true},
		{"nobody", other, at(2, "12h"), at(2, "13h"), 0, false},
		{"at another time", many, at(1, "12h"), at(1, "13h"), 0, false},
	} {
		got, ok := s.Began(&x.a, x.first, x.generated)
		if got != x.want || ok != x.ok {
			t.Errorf("%s: began %v %v, want %v %v", x.name, time.Unix(0, got).UTC(), ok, time.Unix(0, x.want).UTC(), x.ok)
		}
	}
	for _, x := range []struct {
		name     string
		a        Alert
		unit     weir.Unit
		from, to int64
		want     float64
		ok       bool
	}{
		{"the whole attack", in, weir.UnitConnections, at(2, "11h30m"), at(2, "14h"), 1800, true},
		{"a part", in, weir.UnitConnections, at(2, "11h30m"), at(2, "12h30m2s"), 900, true},
		{"a day with the habit", in, weir.UnitConnections, at(2, "0h"), at(3, "0h"), 1804, true},
		{"one of a crowd", many, weir.UnitConnections, at(2, "14h"), at(2, "15h10s"), 3600.0 / 64, true},
		{"at random", client, weir.UnitConnections, at(2, "14h"), at(2, "15h"), 0, false},
		{"packets of a flood", flood, weir.UnitPacketsPerS, at(3, "10h1m"), at(3, "10h2m"), 600, true},
		{"half a minute of it", flood, weir.UnitPacketsPerS, at(3, "10h4m30s"), at(3, "10h5m30s"), 300, true},
		{"bits of it", flood, weir.UnitBitsPerS, at(3, "10h1m"), at(3, "10h2m"), 480000, true},
		{"another unit", flood, weir.UnitDestinations, at(3, "10h1m"), at(3, "10h2m"), 0, false},
		{"nobody", other, weir.UnitConnections, at(2, "0h"), at(3, "0h"), 0, false},
	} {
		got, ok := s.True(&x.a, x.unit, x.from, x.to)
		if got != x.want || ok != x.ok {
			t.Errorf("%s: %v %v, want %v %v", x.name, got, ok, x.want, x.ok)
		}
	}
}

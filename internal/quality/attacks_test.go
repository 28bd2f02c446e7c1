package quality

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/scenario"
)

// attackDay is the day of the attacks on resources with a history, weekDay that of
// those in the first week.
const (
	attackDay = 9
	weekDay   = 4
)

// family is a group of attacks that share a scenario: every attack has a
// resource of its own, with days of ordinary traffic before it.
type family struct {
	name string
	days int
	// only are the rates at which it makes sense; nil for all.
	only  []uint32
	lines func(s *sheet)
}

// service is a login service and the mean number of client packets of a failed
// login in the scenario language.
type service struct {
	name  string
	port  uint16
	k     float64
	in    weir.AlertType
	out   weir.AlertType
	many  weir.AlertType
	outTo weir.AlertType
}

func ssh() service {
	return service{"SSH", 22, 13, weir.SSHIncomingOneToOne, weir.SSHOutgoingOneToOne, weir.SSHIncomingManyToOne, weir.SSHOutgoingOneToMany}
}

func rdp() service {
	return service{"RDP", 3389, 30, weir.RDPIncomingOneToOne, weir.RDPOutgoingOneToOne, weir.RDPIncomingManyToOne, weir.RDPOutgoingOneToMany}
}

func services() []service {
	sql, generic := weir.SQLIncomingOneToOne, weir.GenericIncomingOneToOne
	return []service{
		ssh(), rdp(),
		{name: "MySQL", port: 3306, k: 5, in: sql}, {name: "PostgreSQL", port: 5432, k: 8, in: sql}, {name: "SQL Server", port: 1433, k: 9, in: sql},
		{name: "FTP", port: 21, k: 13, in: generic}, {name: "Telnet", port: 23, k: 15, in: generic},
	}
}

func families() []family {
	return []family{
		{name: "pair in", days: attackDay, lines: func(s *sheet) { s.pairs(services(), true, time.Hour) }},
		{name: "pair in, slow", days: attackDay, lines: func(s *sheet) { s.pairs(services()[:3], true, 24*time.Hour) }},
		{name: "pair out", days: attackDay, lines: func(s *sheet) { s.pairs(services()[:2], false, time.Hour) }},
		{name: "crowd in", days: attackDay, lines: func(s *sheet) { s.crowds(ssh()); s.crowds(rdp()) }},
		{name: "crowd out", days: attackDay, lines: func(s *sheet) { s.spreads(ssh()); s.spreads(rdp()) }},
		{name: "scan", days: attackDay, lines: func(s *sheet) { s.sweeps(445, "SMB sweep"); s.sweeps(23, "Telnet sweep"); s.verticals() }},
		{name: "flood", days: attackDay, lines: (*sheet).floods},
		{name: "intel", days: attackDay, lines: (*sheet).listed},
		{name: "stranger", days: 36, only: []uint32{1, 64}, lines: (*sheet).strangers},
	}
}

// cell returns the cell of a family.
func (f family) cell(n uint32, seed uint64, counted bool) *cell {
	c := &cell{name: fmt.Sprintf("attack-%s-%d-%d", slug(f.name), n, seed), role: f.name, n: n, seed: seed, counted: counted, days: f.days}
	s := newSheet(c, f.name)
	f.lines(s)
	for i := range c.attacks {
		a := &c.attacks[i]
		if a.factor < enough {
			s.line("# %s at %g of the reach: may be missed", a.kind, a.factor)
			continue
		}
		s.line("expect %s attacker=%s victim=%s", a.rule, side(a.row.Attacker), side(a.row.Victim))
	}
	s.finish()
	return c
}

func side(s scenario.Side) string {
	if s.Any() {
		return "*"
	}
	return s.String()
}

// instances calls f for every intensity, on a resource with a history and, from
// 1.5 times the reach, on one in its first week and one that has just been met.
func instances(f func(factor float64, w when)) {
	for _, x := range factors() {
		f(x, later)
	}
	for _, w := range []when{firstWeek, firstDay} {
		f(1.5, w)
		f(2, w)
	}
}

// begin is when an attack begins: not at a border of windows.
func begin(w when, offset time.Duration) (day int, from time.Duration) {
	switch w {
	case firstDay:
		return 1, 2*time.Hour + offset
	case firstWeek:
		return weekDay, 10*time.Hour + offset
	}
	return attackDay, 10*time.Hour + offset
}

// history is the ordinary traffic of a resource under attack.
func (s *sheet) history(r string, port uint16) {
	s.all(20, "192.0.2.0/24 any -> %s:443 tcp web", r)
	s.all(5, "%s -> 192.0.2.0/28:443 any tcp web", r)
	if port != 0 {
		s.all(3, "198.19.0.0/16 any -> %s:%d tcp syn", r, port)
		s.all(1, "198.19.0.0/16 any -> %s:%d tcp login", r, port)
	}
}

func only(a netip.Addr) scenario.Side { return scenario.Side{netip.PrefixFrom(a, a.BitLen())} }

// evenly returns the number of rounds in a window, of count rounds over length
// from start on.
func evenly(start int64, length time.Duration, count uint64) func(from, to int64) float64 {
	gap := float64(int64(length) / int64(max(count, 1)))
	return func(from, to int64) float64 {
		below := func(t int64) float64 { return min(max(math.Ceil(float64(t-start)/gap), 0), float64(count)) }
		return below(to) - below(from)
	}
}

func whole(v float64) uint64 { return uint64(math.Max(math.Round(v), 1)) }

// pairs are one-to-one password guessing at one service each, within a window.
// Guessers are no clocks: what comes exactly once a minute is a health check.
func (s *sheet) pairs(list []service, in bool, window time.Duration) {
	for _, svc := range list {
		instances(func(x float64, w when) {
			if w == firstDay && window > time.Hour {
				return
			}
			length := 50 * time.Minute
			day, from := begin(w, 5*time.Minute)
			kind := svc.name
			if window > time.Hour {
				length, from, kind = 23*time.Hour, 30*time.Minute, svc.name+" over a day"
			}
			reach := pairReach(s.c.n, svc, window, w)
			count := whole(x * reach)
			r := s.resource(fmt.Sprintf("listen %d,443", svc.port))
			own, out := ownAddr(s.c.resources), outsider(s.c.resources)
			a := attack{rule: svc.in, kind: kind, factor: x, when: w, row: scenario.Row{Attacker: only(out), Victim: only(own)},
				start: at(day, from), end: at(day, from+length), src: out, dst: own, port: svc.port, counted: true, reach: whole(reach)}
			a.truth = evenly(a.start, length, count)
			if in {
				s.history(r, svc.port)
				s.line("day %d at %s count %d for %s jitter 10%% %s -> %s:%d tcp login", day, from, count, length, out, r, svc.port)
			} else {
				a.rule, a.row = svc.out, scenario.Row{Attacker: only(own), Victim: only(out)}
				a.src, a.dst, a.kind = own, out, kind+" outward"
				s.history(r, 0)
				s.line("day %d at %s count %d for %s jitter 10%% %s -> %s:%d tcp login", day, from, count, length, r, out, svc.port)
			}
			s.c.attacks = append(s.c.attacks, a)
		})
	}
}

// crowds are many bots of ten logins each, among a hundred noisy sources an hour
// of which a tenth log in (section 7.2).
func (s *sheet) crowds(svc service) {
	one := func(x, bots float64, kind string, w when) {
		day, from := begin(w, 5*time.Minute)
		// More logins of each rather than more bots than there are addresses.
		logins := whole(math.Ceil(bots / mostBots))
		bots = math.Ceil(bots / float64(logins))
		logins *= 10
		r := s.resource(fmt.Sprintf("listen %d,443", svc.port))
		s.all(20, "192.0.2.0/24 any -> %s:443 tcp web", r)
		s.line("daily every 40s randomly for 24h 198.19.0.0/16 any -> %s:%d tcp syn packets=3", r, svc.port)
		s.line("daily every 6m randomly for 24h 198.19.0.0/16 any -> %s:%d tcp login packets=15-25", r, svc.port)
		s.line("day %d at %s count %d for 50m %s each -> %s:%d tcp login", day, from, logins, block(netip.AddrFrom4([4]byte{198, 18, 0, 0}), int(bots)), r, svc.port)
		s.c.attacks = append(s.c.attacks, attack{
			rule: svc.many, kind: kind, factor: x, when: w, row: scenario.Row{Victim: only(ownAddr(s.c.resources))},
			start: at(day, from), end: at(day, from+50*time.Minute), dst: ownAddr(s.c.resources), port: svc.port,
			// Under sampling the noisy sources that log in are bots as well.
			truth: func(from, to int64) float64 {
				if s.c.n == 1 {
					return bots
				}
				return bots + 10*time.Duration(to-from).Hours()
			},
		})
	}
	instances(func(x float64, w when) { one(x, math.Round(x*crowdReach(s.c.n, svc, w)), svc.name+" bots", w) })
	one(target, crowdTarget(s.c.n), svc.name+" bots", later)
}

// mostBots is the number of bots from which on each logs in more often instead.
const mostBots = 4000

// spreads are guessing at many destinations of ten logins each, or five of seven
// where nothing is sampled.
func (s *sheet) spreads(svc service) {
	instances(func(x float64, w when) {
		day, from := begin(w, 5*time.Minute)
		reach := x * spreadReach(s.c.n, svc, w)
		logins := whole(math.Ceil(reach / mostBots))
		hosts := whole(reach / float64(logins))
		logins *= 10
		if s.c.n == 1 {
			hosts, logins = whole(x*5), 7
		}
		r := s.resource("listen 443")
		s.history(r, 0)
		s.line("day %d at %s count %d for 50m %s -> %s:%d each tcp login", day, from, logins, r,
			block(netip.AddrFrom4([4]byte{198, 18, 0, 0}), int(hosts)), svc.port)
		s.c.attacks = append(s.c.attacks, attack{
			rule: svc.outTo, kind: svc.name + " at many", factor: x, when: w, row: scenario.Row{Attacker: only(ownAddr(s.c.resources))},
			start: at(day, from), end: at(day, from+50*time.Minute), src: ownAddr(s.c.resources), port: svc.port,
			truth: func(int64, int64) float64 { return float64(hosts) },
		})
	})
}

// sweeps are scans of one port of many hosts, 95 % of which do not answer.
func (s *sheet) sweeps(port uint16, kind string) {
	const most = 60000 // addresses of one line
	instances(func(x float64, w when) {
		day, from := begin(w, 5*time.Minute)
		probes := x * scanReach(s.c.n, 2, 25)
		if w == firstDay {
			probes = x * scanReach(s.c.n, 2, 50) // asked for twice on the first day
		}
		r := s.resource("listen 443")
		s.history(r, 0)
		dead := whole(probes * 0.95)
		for net := byte(0); dead > 0; net++ {
			n := min(dead, most)
			s.line("day %d at %s count %d for 20m %s -> %s:%d tcp syn packets=1-3", day, from, n, r, block(netip.AddrFrom4([4]byte{11, net, 0, 0}), int(n)), port)
			dead -= n
		}
		if alive := uint64(probes * 0.05); alive > 0 {
			s.line("day %d at %s count %d for 20m %s -> %s:%d tcp web packets=5 replies=5", day, from, alive, r, block(netip.AddrFrom4([4]byte{12, 0, 0, 0}), int(min(alive, most))), port)
		}
		s.c.attacks = append(s.c.attacks, attack{
			rule: weir.PortScanning, kind: kind, factor: x, when: w, row: scenario.Row{Attacker: only(ownAddr(s.c.resources))},
			start: at(day, from), end: at(day, from+20*time.Minute), src: ownAddr(s.c.resources), port: port, counted: true,
		})
	})
}

// verticals are scans of the ports of one host, closed but for a few.
func (s *sheet) verticals() {
	instances(func(x float64, w when) {
		day, from := begin(w, 5*time.Minute)
		exact := 15.0
		if w == firstDay {
			exact = 30
		}
		// One SYN each, and the answer.
		probes := whole(x * scanReach(s.c.n, 1, exact))
		r, out := s.resource("listen 443"), outsider(s.c.resources)
		s.history(r, 0)
		s.line("day %d at %s count %d for 20m %s -> %s:%d-%d tcp probe", day, from, probes, r, out, 1, min(max(probes, 100), 60000))
		s.c.attacks = append(s.c.attacks, attack{
			rule: weir.PortScanning, kind: "vertical scan", factor: x, when: w,
			row:   scenario.Row{Attacker: only(ownAddr(s.c.resources)), Victim: only(out)},
			start: at(day, from), end: at(day, from+20*time.Minute), src: ownAddr(s.c.resources), dst: out, counted: true,
		})
	})
}

// floods are four minutes of one class each.
func (s *sheet) floods() {
	for _, f := range []struct {
		kind, line string
		floor      float64
	}{
		{"SYN flood", "%s -> %s:80 tcp flood %dpps", 1000},
		{"reflector", "%s -> %s:40000 udp flood %dpps sport=53 size=1400", 1000},
		{"UDP flood", "%s -> %s:9999 udp flood %dpps sport=5555", 20000},
		{"ICMP flood", "%s -> %s icmp flood %dpps", 20000},
	} {
		instances(func(x float64, w when) {
			if f.floor > 1000 && x != 1.5 {
				return // they cost much and differ in little
			}
			day, from := begin(w, 5*time.Minute+20*time.Second)
			pps := whole(x * floodReach(s.c.n, f.floor))
			r, out := s.resource("listen 443"), outsider(s.c.resources)
			s.history(r, 0)
			s.line("day %d at %s for 4m "+f.line, day, from, r, out, pps)
			s.c.attacks = append(s.c.attacks, attack{
				rule: weir.DDoS, kind: f.kind, factor: x, when: w,
				row:   scenario.Row{Attacker: only(ownAddr(s.c.resources)), Victim: only(out)},
				start: at(day, from), end: at(day, from+4*time.Minute), src: ownAddr(s.c.resources), dst: out, port: 80,
				truth: func(int64, int64) float64 { return float64(pps) },
			})
		})
	}
}

// listed are what intelligence tells: beacons to a controller, a listed visitor,
// and an own address that was reported.
func (s *sheet) listed() {
	instances(func(x float64, w when) {
		day, from := begin(w, 5*time.Minute)
		const length = 6 * time.Hour
		r, out := s.resource("listen 443"), outsider(s.c.resources)
		s.line("intel c2 %s family njRAT", out)
		s.history(r, 0)
		s.line("day %d at %s count %d for %s jitter 10%% %s -> %s:1177 tcp beacon", day, from, whole(x*contactReach(s.c.n, 5)), length, r, out)
		s.c.attacks = append(s.c.attacks, attack{
			rule: weir.CommunicationWithC2, kind: "beacon to a listed controller", factor: x, when: w,
			row:   scenario.Row{Attacker: only(ownAddr(s.c.resources)), Victim: only(out)},
			start: at(day, from), end: at(day, from+length),
		})
		r, out = s.resource("listen 443"), outsider(s.c.resources)
		s.line("intel malicious %s", out)
		s.history(r, 0)
		s.line("day %d at %s count %d for %s %s -> %s:443 tcp web packets=10", day, from, whole(x*contactReach(s.c.n, 10)), length, out, r)
		s.c.attacks = append(s.c.attacks, attack{
			rule: weir.TrafficFromUnrecommended, kind: "listed visitor", factor: x, when: w,
			row:   scenario.Row{Attacker: only(out), Victim: only(ownAddr(s.c.resources))},
			start: at(day, from), end: at(day, from+length),
		})
	})
	r := s.resource("listen 443")
	s.line("intel infected %s family conficker seen 2026-01-04T12:00:00Z", ownAddr(s.c.resources))
	s.all(20, "192.0.2.0/24 any -> %s:443 tcp web", r)
	s.c.attacks = append(s.c.attacks, attack{
		rule: weir.ResourceIPMalicious, kind: "own address reported", factor: 1.5, when: later, row: scenario.Row{Victim: only(ownAddr(s.c.resources))},
		start: at(1, 0), end: at(attackDay, 0),
	})
}

// strangers connect to SSH where five weeks have shown the same ten
// administrators.
func (s *sheet) strangers() {
	instances(func(x float64, w when) {
		if w != later {
			return // an allow set takes two weeks
		}
		// Two sampled packets: 4.74 are at least two with a probability of 0.95.
		count := whole(x * math.Max(1, 4.74*float64(s.c.n)/40))
		if s.c.n == 1 {
			count = whole(x)
		}
		r, out := s.resource("listen 22/ssh"), outsider(s.c.resources)
		s.line("daily at 09:00 every 30m for 4h 192.0.2.10-192.0.2.19 each -> %s:22 tcp session packets=400 replies=500 lasts=10m", r)
		s.line("day 35 at 12:05 count %d every 1m %s -> %s:22 tcp session packets=40 replies=40 lasts=20s", count, out, r)
		s.c.attacks = append(s.c.attacks, attack{
			rule: weir.TrafficFromUnrecommended, kind: "stranger", factor: x, when: w,
			row:   scenario.Row{Attacker: only(out), Victim: only(ownAddr(s.c.resources))},
			start: at(35, 12*time.Hour+5*time.Minute), end: at(35, 14*time.Hour),
		})
	})
}

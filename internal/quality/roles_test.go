package quality

import (
	"fmt"
	"net/netip"
	"time"
)

// role is an ordinary machine: nothing that it does or suffers is an attack.
type role struct {
	name string
	what string
	// lookalike: see cell.
	lookalike bool
	lines     func(s *sheet)
}

// benignDays is how long the benign roles are watched: a week, and nine
// days after it, so that every phase of a baseline is met.
const benignDays = 16

// copies is the number of resources of one role in one scenario.
const copies = 1

// roles are the benign roles. Source: detection reference, section 11.1, and the
// look-alikes that the guards of section 8 name. Rates are an hour, without
// sampling.
func roles() []role {
	return []role{
		{"web", "web server with a health check", false, func(s *sheet) {
			r := s.resource("listen 443")
			s.all(400, "198.18.0.0/16 any -> %s:443 tcp web", r)
			s.all(20, "198.19.0.0/16 any -> %s:443 tcp syn", r)
			s.line("daily every 10s for 24h 192.0.2.1 -> %s:443 tcp web packets=5 replies=5", r)
		}},
		{"api", "API of twenty partners, calls to ten others", false, func(s *sheet) {
			r := s.resource("listen 443")
			s.all(400, "192.0.2.0-192.0.2.19 any -> %s:443 tcp web", r)
			s.all(150, "%s -> 198.51.100.10-198.51.100.19:443 any tcp web", r)
			s.all(30, "%s -> 198.51.100.30:9200 tcp web", r)
		}},
		{"dns", "resolver, a tenth of its questions unanswered", false, func(s *sheet) {
			r := s.resource("listen 53")
			s.all(600, "198.18.0.0/16 any -> %s:53 udp exchange", r)
			s.all(400, "%s -> 198.19.0.0/16:53 any udp exchange", r)
			s.all(40, "%s -> 198.19.0.0/16:53 any udp stream packets=1 size=70 lasts=1ms", r)
			s.all(20, "%s -> 198.19.0.0/16:53 any tcp web packets=6 replies=6", r)
		}},
		{"mail", "mail server, a quarter of the servers it calls dead, clients that poll", false, func(s *sheet) {
			r := s.resource("listen 25,587,993")
			s.all(120, "198.18.0.0/16 any -> %s:25 tcp web packets=12-20 replies=10-16 size=400 reply-size=90", r)
			s.all(60, "%s -> 198.19.0.0/16:25 any tcp web packets=12-20 replies=10-16 size=400 reply-size=90", r)
			s.all(20, "%s -> 198.19.0.0/16:25 any tcp syn packets=3", r)
			s.all(120, "%s any -> %s:993 tcp web packets=10-16 replies=10-16 size=120 reply-size=400", s.people(40), r)
			s.all(20, "%s any -> %s:587 tcp web packets=12-20 replies=10-16 size=500 reply-size=90", s.people(40), r)
		}},
		{"office", "NAT of an office: web, DNS, mail, RDP and SSH outward", false, func(s *sheet) {
			r := s.resource("")
			s.work(1200, "%s -> 198.18.0.0/16:443 any tcp web", r)
			s.work(30, "%s -> 198.18.0.0/16:443 any tcp syn packets=3", r)
			s.work(400, "%s -> 198.51.100.53:53 udp exchange", r)
			s.work(100, "%s -> 198.51.100.60-198.51.100.62:993 any tcp web", r)
			s.work(6, "%s -> 198.51.100.90-198.51.100.93:22 any tcp session packets=25-60 replies=40-90 size=180 reply-size=900 lasts=4s", r)
			s.work(0.5, "%s -> %s:3389 any tcp session packets=4000-9000 replies=5000-9000 size=110 reply-size=500 lasts=1h", r, s.people(4))
		}},
		{"bastion", "SSH sessions of eight administrators and of fifty users behind one NAT, on to twenty hosts", false, func(s *sheet) {
			r := s.resource("role bastion listen 22/ssh")
			s.work(2, "%s any -> %s:22 tcp session packets=1000-4000 replies=1000-4000 lasts=30m", s.people(8), r)
			s.fixed(50*s.nats(), "%s any -> %s:22 tcp session packets=600 replies=600 lasts=20m", s.offices(), r)
			s.work(6, "%s -> %s:22 any tcp session packets=400-1200 replies=400-1200 lasts=10m", r, s.people(20))
		}},
		{"git", "SSH of thirty developers and three build machines", false, func(s *sheet) {
			r := s.resource("listen 22/ssh,443")
			s.work(40, "%s any -> %s:22 tcp session packets=24-40 replies=30-60 size=200 reply-size=700 lasts=3s", s.people(30), r)
			s.all(40, "%s any -> %s:22 tcp session packets=22-28 replies=24-30 size=180 reply-size=300 lasts=2s", s.machines(3), r)
		}},
		{"ansible", "configuration of forty hosts every two hours, and one host that is configured", false, func(s *sheet) {
			r := s.resource("")
			s.line("daily every 2h for 24h %s -> %s:22 each tcp session packets=24-28 replies=26-30 size=200 reply-size=250 lasts=3s", r, s.people(40))
			m := s.resource("listen 22/ssh")
			s.line("daily every 10m for 24h 192.0.2.5 -> %s:22 tcp session packets=24-28 replies=26-30 size=200 reply-size=250 lasts=3s", m)
		}},
		{"db-pool", "PostgreSQL behind pools of long connections", false, func(s *sheet) {
			r := s.resource("listen 5432/postgresql")
			s.all(2, "%s any -> %s:5432 tcp session packets=3000-5000 replies=3000-5000 size=180 reply-size=500 lasts=50m", s.machines(4), r)
		}},
		{"db-no-pool", "MySQL with a connection for every page", false, func(s *sheet) {
			r := s.resource("listen 3306/mysql")
			s.all(400, "192.0.2.10-192.0.2.12 any -> %s:3306 tcp session packets=9-15 replies=9-15 size=150 reply-size=700 lasts=200ms", r)
		}},
		{"db-client", "an application that opens a connection to a database outside for every page", false, func(s *sheet) {
			r := s.resource("listen 443")
			s.all(300, "%s -> 198.51.100.40:3306 tcp session packets=9-15 replies=9-15 size=150 reply-size=700 lasts=200ms", r)
			s.all(60, "%s -> 198.51.100.41:6379 tcp session packets=6-10 replies=6-10 size=90 reply-size=300 lasts=50ms", r)
			s.all(200, "198.18.0.0/16 any -> %s:443 tcp web", r)
		}},
		{"backup", "nightly copies over SSH, many files each", false, func(s *sheet) {
			r := s.resource("listen 22/ssh")
			s.line("daily at 01:00 every 2m for 4h %s -> 198.51.100.81:22 tcp session packets=200-900 replies=100-450 size=1300 reply-size=60 lasts=40s", r)
			s.line("daily at 02:00 every 3m for 2h 198.51.100.82 -> %s:22 tcp session packets=150-400 replies=300-900 size=80 reply-size=1300 lasts=40s", r)
			s.line("daily at 05:00 every 10m for 1h %s -> 198.51.100.83:443 tcp bulk packets=3000 replies=1500", r)
		}},
		{"crawler", "web crawler, a tenth of the pages dead", false, func(s *sheet) {
			r := s.resource("")
			s.all(300, "%s -> 198.18.0.0/16:443 any tcp web", r)
			s.all(35, "%s -> 198.19.0.0/16:443 any tcp syn packets=3", r)
			s.all(30, "%s -> 198.18.0.0/16:80 any tcp web", r)
		}},
		{"p2p", "peer-to-peer file sharing, half of the peers dead", false, func(s *sheet) {
			r := s.resource("")
			s.all(150, "%s -> 198.18.0.0/16:10000-60000 any tcp web", r)
			s.all(150, "%s -> 198.19.0.0/16:10000-60000 any tcp syn packets=3", r)
			s.all(100, "198.18.0.0/16 any -> %s:6881 tcp web", r)
			s.all(300, "%s -> 198.18.0.0/16:10000-60000 any udp exchange", r)
			s.all(300, "%s -> 198.19.0.0/16:10000-60000 any udp stream packets=1 size=110 lasts=1ms", r)
		}},
		{"video", "video over QUIC, and a constant stream", false, func(s *sheet) {
			r := s.resource("listen 443")
			s.all(12, "192.0.2.0/24 any -> %s:443 udp exchange packets=60-200 replies=400-900 size=80 reply-size=1200 lasts=3m", r)
			s.all(6, "%s -> 198.51.100.5:5004 udp stream packets=4000-8000 size=1200 lasts=10m", r)
		}},
		{"vpn", "WireGuard and IPsec gateway", false, func(s *sheet) {
			r := s.resource("")
			s.all(8, "192.0.2.0-192.0.2.15 any -> %s:51820 udp exchange packets=1000-3000 replies=1000-3000 size=400 reply-size=700 lasts=40m", r)
			s.all(2, "198.51.100.7 -> %s:4500 udp exchange packets=4000 replies=4000 size=600 reply-size=600 lasts=30m", r)
		}},
		{"k8s", "cluster node: probes of pods, some dead, kubelets, etcd, node ports", false, func(s *sheet) {
			r := s.resource("")
			s.all(400, "%s -> 198.18.10.0/24:8080 any tcp web packets=5 replies=5", r)
			s.all(20, "%s -> 198.18.10.0/24:8080 any tcp probe", r)
			s.all(10, "%s -> 198.18.11.0/24:8080 any tcp syn packets=3", r)
			s.all(100, "%s -> 192.0.2.0/28:10250 any tcp web", r)
			s.all(100, "%s -> 192.0.2.16-192.0.2.18:2379 any tcp web packets=8 replies=8", r)
			s.all(100, "198.18.0.0/24 any -> %s:30000-30010 tcp web", r)
			s.all(200, "%s -> 192.0.2.20:53 udp exchange", r)
		}},
		{"noise", "SSH, RDP, SQL and Telnet open to the noise of the internet", false, noise},
		{"rdp-host", "RDP sessions of ten users and of an office behind one NAT", false, func(s *sheet) {
			r := s.resource("listen 3389/rdp")
			s.work(2, "%s any -> %s:3389 tcp session packets=4000-9000 replies=5000-9000 size=110 reply-size=500 lasts=1h", s.people(10), r)
			s.fixed(5*s.nats(), "%s any -> %s:3389 tcp session packets=2000-6000 replies=3000-6000 size=110 reply-size=500 lasts=30m", s.offices(), r)
		}},
		{"files", "SMB and SFTP server of an office", false, func(s *sheet) {
			r := s.resource("listen 445/smb,22/ssh")
			s.work(20, "%s any -> %s:445 tcp session packets=400-3000 replies=600-4000 size=200 reply-size=900 lasts=15m", s.people(20), r)
			s.work(10, "%s any -> %s:22 tcp session packets=60-300 replies=40-200 size=900 reply-size=80 lasts=10s", s.people(4), r)
		}},
		{"voip", "SIP registrations of fifty phones behind one NAT", false, func(s *sheet) {
			r := s.resource("listen 5060/sip")
			s.all(300, "%s any -> %s:5060 udp exchange packets=2 replies=2 size=500 reply-size=450 lasts=80ms", s.machines(1), r)
		}},
		{"mqtt", "two hundred devices behind one NAT that reconnect", true, func(s *sheet) {
			r := s.resource("listen 8883/mqtt")
			s.all(60, "%s any -> %s:8883 tcp session packets=8-14 replies=8-14 size=150 reply-size=120 lasts=20s", s.machines(1), r)
		}},
		{"monitored", "checks of SSH, RDP and MySQL every minute", false, func(s *sheet) {
			r := s.resource("listen 22/ssh,3389/rdp,3306/mysql")
			s.line("daily every 1m for 24h 192.0.2.9 -> %s:22 tcp session packets=5 replies=4 size=60 reply-size=90 lasts=200ms", r)
			s.line("daily every 1m for 24h 192.0.2.9 -> %s:3389 tcp half", r)
			s.line("daily every 1m for 24h 192.0.2.9 -> %s:3306 tcp session packets=5 replies=4 size=60 reply-size=110 lasts=200ms", r)
		}},
		{"new automation", "after four days a new build machine fetches over SSH", true, func(s *sheet) {
			r := s.resource("listen 22/ssh,443")
			s.all(20, "%s any -> %s:22 tcp session packets=22-28 replies=24-30 size=180 reply-size=300 lasts=2s", s.machines(3), r)
			for d := 5; d <= s.c.days; d++ {
				s.line("day %d every 1m randomly for 24h 192.0.2.110 -> %s:22 tcp session packets=22-28 replies=24-30 size=180 reply-size=300 lasts=2s", d, r)
			}
		}},
		{"migration", "after four days an application without a pool moves to a new address", true, func(s *sheet) {
			r := s.resource("listen 3306/mysql")
			for d := 1; d <= s.c.days; d++ {
				s.line("day %d every %s randomly for 24h 192.0.2.%d -> %s:3306 tcp session packets=9-15 replies=9-15 size=150 reply-size=700 lasts=200ms",
					d, s.every(200), 10+d/5, r)
			}
		}},
	}
}

// all writes traffic of so many connections an hour, day and night.
func (s *sheet) all(perHour float64, format string, args ...any) {
	s.line("daily every %s randomly for 24h %s", s.every(perHour), fmt.Sprintf(format, args...))
}

// work writes traffic of office hours.
func (s *sheet) work(perHour float64, format string, args ...any) {
	s.line("weekdays at 08:00 every %s randomly for 9h %s", s.every(perHour), fmt.Sprintf(format, args...))
}

// fixed is work at the same rate in any network.
func (s *sheet) fixed(perHour int, format string, args ...any) {
	s.line("weekdays at 08:00 every %s randomly for 9h %s", gap(float64(perHour)), fmt.Sprintf(format, args...))
}

// people are so many users without sampling; a busier network has more of them,
// not busier ones.
func (s *sheet) people(n int) string { return block(netip.AddrFrom4([4]byte{100, 64, 0, 0}), n*s.busy) }

// machines are clients that are no people; there are more of them, too.
func (s *sheet) machines(n int) string {
	return block(netip.AddrFrom4([4]byte{100, 66, 0, 0}), n*s.busy)
}

// nats is the number of offices behind one address each.
func (s *sheet) nats() int { return min(s.busy, 8) }

// offices are their addresses.
func (s *sheet) offices() string { return block(netip.AddrFrom4([4]byte{100, 65, 0, 0}), s.nats()) }

// block is n addresses in a row, from the one after first.
func block(first netip.Addr, n int) string {
	b := first.As4()
	last := netip.AddrFrom4([4]byte{b[0], b[1], byte(n >> 8), byte(n)})
	if n == 1 {
		return last.String()
	}
	return first.Next().String() + "-" + last.String()
}

// noise is what any public address sees: knocks, half-open scans, sources with
// a login or two, and a few a day that guess some eight times and go.
func noise(s *sheet) {
	r := s.resource("listen 22/ssh,3389/rdp,3306/mysql,23/telnet")
	for i, p := range []int{22, 3389, 3306, 23} {
		s.all(30, "198.18.0.0/16 any -> %s:%d tcp syn", r, p)
		s.all(10, "198.18.0.0/16 any -> %s:%d tcp half", r, p)
		s.all(6, "198.19.0.0/16 any -> %s:%d tcp login", r, p)
		for d := 1; d <= s.c.days; d++ {
			for b := range 3 {
				// Other sources each time; a busier network is met by more of them,
				// not by busier ones.
				for k := range s.busy {
					src := fmt.Sprintf("198.51.%d.%d", 100+i, 1+(d*12+b*4+k)%250)
					when := (time.Duration((d*7+b*8+i*3)%24)*time.Hour + time.Duration(7+b*11+i*5)*time.Minute +
						time.Duration(k)*8*time.Hour/time.Duration(s.busy)) % (24 * time.Hour)
					s.line("day %d at %s count 8 every 2m %s -> %s:%d tcp login", d, when.Truncate(time.Second), src, r, p)
				}
			}
		}
	}
}

// benign returns the cell of one role.
func (r role) cell(n uint32, seed uint64, counted bool) *cell {
	c := &cell{name: fmt.Sprintf("benign-%s-%d-%d", slug(r.name), n, seed), role: r.name, lookalike: r.lookalike, n: n, seed: seed, counted: counted, days: benignDays}
	s := newSheet(c, r.what)
	for range copies {
		r.lines(s)
	}
	s.finish()
	return c
}

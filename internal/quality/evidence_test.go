package quality

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/scenario"
)

// evidence notes when the records of an attack suffice for an alert, in event
// time, without asking the rule:
//
//   - of an indicator: the end of the first record with a packet of the side
//     that the alert accuses;
//   - of a flood: the moment when, for the second time in three panes of a
//     minute, the packets sampled in a pane put the lower bound of the rate at
//     the floor (detection reference, section 8.5);
//   - of many peers, without sampling: the end of the first record with which as
//     many peers as the reach have two connections each that were answered, the
//     fewest that count (section 3.6);
//   - of a pair, without sampling: the end of the login with which there are as
//     many as the reach.
type evidence struct {
	c  *cell
	at []int64 // by attack; 0 as long as nothing suffices
	// byOwn is the attack by the last byte of the own address, -1 for none.
	byOwn  [256]int
	floods []floodEvidence
	peers  []map[netip.Addr]map[uint16]bool
	logins []uint64 // records of the client, by attack
}

// floodEvidence follows the panes of a flood.
type floodEvidence struct {
	need    uint64 // packets in a pane
	pane    int64
	packets uint64
	enough  int64   // when the pane had them, 0 not yet
	earlier [2]bool // whether the two panes before had
}

func newEvidence(c *cell) *evidence {
	e := &evidence{c: c, at: make([]int64, len(c.attacks)), floods: make([]floodEvidence, len(c.attacks)), peers: make([]map[netip.Addr]map[uint16]bool, len(c.attacks)),
		logins: make([]uint64, len(c.attacks))}
	for i := range e.byOwn {
		e.byOwn[i] = -1
	}
	for i := range c.attacks {
		a := &c.attacks[i]
		for _, side := range []scenario.Side{a.row.Attacker, a.row.Victim} {
			if len(side) == 1 && inside(side[0].Addr()) {
				e.byOwn[side[0].Addr().As4()[3]] = i
			}
		}
		switch a.rule {
		case weir.DDoS:
			e.floods[i].need = leastPackets(c.n, floodFloor(a.kind))
		case weir.RDPIncomingManyToOne, weir.SSHIncomingManyToOne, weir.RDPOutgoingOneToMany, weir.SSHOutgoingOneToMany:
			e.peers[i] = map[netip.Addr]map[uint16]bool{}
		}
	}
	return e
}

// floodFloor is the floor of the class of a flood of the corpus, in packets a
// second.
func floodFloor(kind string) float64 {
	if kind == "SYN flood" || kind == "reflector" {
		return 1000
	}
	return 20000
}

// leastPackets is the smallest number of sampled packets in a minute that puts
// the lower bound of the rate at the floor.
func leastPackets(n uint32, floor float64) uint64 {
	low, high := uint64(0), uint64(math.Ceil(floor))*120
	for high-low > 1 {
		mid := (low + high) / 2
		if baseline.RateLower(n, mid, 60) >= floor {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// take looks at flows in order of their end.
func (e *evidence) take(flows []weir.Flow) {
	for j := range flows {
		f := &flows[j]
		src, dst := f.Src.Addr(), f.Dst.Addr()
		own, peer := src, dst
		if !inside(src) {
			own, peer = dst, src
		}
		i := e.byOwn[own.As4()[3]]
		if i < 0 {
			continue
		}
		a := &e.c.attacks[i]
		if e.at[i] != 0 || f.End < a.start || f.End > a.end || !inside(own) {
			continue
		}
		switch a.rule {
		case weir.CommunicationWithC2, weir.TrafficFromUnrecommended:
			if a.row.Attacker.Contains(src) && a.row.Victim.Contains(dst) {
				e.at[i] = f.End
			}
		case weir.ResourceIPMalicious:
			e.at[i] = f.End
		case weir.DDoS:
			if own == src && a.row.Victim.Contains(dst) {
				e.at[i] = e.floods[i].take(f)
			}
		default:
			if e.c.n == 1 && a.reach > 0 && a.row.Attacker.Contains(src) && f.Dst.Port() == a.port {
				if e.logins[i]++; e.logins[i] == a.reach {
					e.at[i] = f.End
				}
			}
			if m := e.peers[i]; m != nil && e.c.n == 1 && f.TCPFlags&weir.ACK != 0 && (f.Src.Port() == a.port || f.Dst.Port() == a.port) {
				client := f.Src.Port()
				if client == a.port {
					client = f.Dst.Port()
				}
				if m[peer] == nil {
					m[peer] = map[uint16]bool{}
				}
				m[peer][client] = true
				twice := 0
				for _, ports := range m {
					if len(ports) >= 2 {
						twice++
					}
				}
				if float64(twice) >= math.Round(a.truth(0, 0)/a.factor) {
					e.at[i] = f.End
				}
			}
		}
	}
}

// take adds a record and returns the moment at which the flood suffices, 0 for
// not yet.
func (p *floodEvidence) take(f *weir.Flow) int64 {
	pane := f.End / int64(time.Minute)
	for ; p.pane < pane; p.pane++ {
		if pane-p.pane > 3 {
			p.pane = pane - 3
		}
		p.earlier[0], p.earlier[1] = p.earlier[1], p.enough != 0
		p.packets, p.enough = 0, 0
	}
	if p.packets += f.Packets; p.packets >= p.need && p.enough == 0 {
		p.enough = f.End
	}
	if p.enough != 0 && (p.earlier[0] || p.earlier[1]) {
		return p.enough
	}
	return 0
}

func TestEvidence(t *testing.T) {
	c := &cell{n: 1, days: 1}
	s := newSheet(c, "evidence")
	day := at(1, 0)
	add := func(a attack) { a.start, a.end = day, at(2, 0); c.attacks = append(c.attacks, a) }
	flood, out := s.resource(""), outsider(1)
	s.line("at 10:00:30 for 4m %s -> %s:80 tcp flood 1500pps sport=5", flood, out)
	add(attack{rule: weir.DDoS, kind: "SYN flood", row: scenario.Row{Attacker: only(ownAddr(1)), Victim: only(out)}})
	web, c2 := s.resource(""), outsider(2)
	s.line("at 11:00 %s -> %s:443 tcp web lasts=1s", web, outsider(7))
	s.line("at 12:00 %s -> %s:443 tcp syn", web, c2)
	add(attack{rule: weir.CommunicationWithC2, row: scenario.Row{Attacker: only(ownAddr(2)), Victim: only(c2)}})
	crowd := s.resource("listen 22/ssh")
	s.line("at 10:00 every 1m count 2 %s each -> %s:22 tcp login lasts=1ms", block(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 12), crowd)
	add(attack{rule: weir.SSHIncomingManyToOne, factor: 2, port: 22, row: scenario.Row{Victim: only(ownAddr(3))},
		truth: func(int64, int64) float64 { return 12 }})
	s.finish()
	parsed, err := scenario.Parse("evidence.scn", c.text)
	if err != nil {
		t.Fatal(err)
	}
	e := newEvidence(c)
	if err := parsed.Flows().Run(t.Context(), func(b weir.Batch) error {
		e.take(b.Flows)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for _, at := range e.at {
		got = append(got, time.Duration(at-day).Truncate(time.Second))
	}
	// The first pane has 45,000 of 60,000 SYNs, the second all of them at 40 s and
	// the third one, too; the second login of the sixth of twelve bots comes at
	// 25 s of the second minute.
	want := []time.Duration{10*time.Hour + 2*time.Minute + 40*time.Second, 12 * time.Hour, 10*time.Hour + 85*time.Second}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

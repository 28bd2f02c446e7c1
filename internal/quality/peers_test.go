package quality

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/scenario"
)

// Rules that others have published, in our own words and code, on the records
// that Weir reads. They are given what they cannot know under sampling: who the
// client is, and that every end inside is known. Each gives a score, 1 at its
// published threshold, so that it can also be asked at any other threshold.

// task is what a rule of others looks for.
type task string

const (
	guessing task = "guessing" // at SSH and RDP, one to one
	scanning task = "scanning" // outward
	flooding task = "flooding" // outward
)

// peerRule is one rule of others.
type peerRule struct {
	name string
	task task
	what string
	make func(n uint32) judge
}

// judge takes the records of one run in the order of their ends and claims what
// it finds.
type judge interface {
	take(f *weir.Flow, claim func(k claimKey, score float64))
}

// claimKey is what a rule of others accuses; the zero values say nothing.
type claimKey struct {
	src, dst netip.Addr
	port     uint16
	day      int64
}

// claims are the scores of one rule on one cell.
type claims struct {
	// hit is the best score by attack of the cell, 0 for none.
	hit []float64
	// wrong counts the scores of accusations that meet no attack, rounded down to
	// tenths of a power of two.
	wrong map[float64]int
}

func peerRules() []peerRule {
	return []peerRule{
		{"Zeek", guessing, "30 logins that look failed from one source in 30 minutes", func(n uint32) judge {
			return &counting{n: n, window: 30 * time.Minute, need: 30, bySource: true, fits: failedLogin}
		}},
		{"NEMEA", guessing, "30 connections of 11-30 packets and 1000-5000 bytes (RDP 20-100, 2200-8001) of one pair in 30 minutes", func(n uint32) judge {
			return &counting{n: n, window: 30 * time.Minute, need: 30, fits: nemeaLogin}
		}},
		{"SSHCure", guessing, "10 connections in a row of 11-51 packets that differ by at most 2, SSH only", func(uint32) judge {
			return &equalFlows{runs: map[claimKey]*run1{}}
		}},
		{"static", guessing, "packets of one pair in an hour, times N, by the packets of a login: 30", func(n uint32) judge {
			return &counting{n: n, window: time.Hour, need: 30, packets: true, fits: func(*weir.Flow, uint32) bool { return true }}
		}},
		{"Zeek", scanning, "25 hosts without an answer on one port in 5 minutes, or 15 ports of one host", func(uint32) judge {
			return &distinct{window: 5 * time.Minute, hosts: 25, ports: 15, most: math.MaxUint64}
		}},
		{"NEMEA", scanning, "50 hosts on one port, or 50 ports of one host, by unanswered SYNs of at most 4 packets, idle 5 minutes", func(uint32) judge {
			return &distinct{window: 5 * time.Minute, hosts: 50, ports: 50, most: 4}
		}},
		{"TRW", scanning, "sequential test of first contacts, likelihoods 0.8 and 0.2, decision at 0.99", func(uint32) judge {
			return &walk{level: map[claimKey]float64{}, seen: map[claimKey]bool{}}
		}},
		{"static", scanning, "hosts without an answer on one port in an hour, times N: 25", func(n uint32) judge {
			return &distinct{window: time.Hour, hosts: 25 / float64(n), ports: 15 / float64(n), most: math.MaxUint64}
		}},
		{"static", flooding, "packets a second in a minute, times N: 1,000 SYNs, 1,000 answers of reflectors, 20,000 of UDP or ICMP", func(n uint32) judge {
			return &volume{n: n, sum: map[volumeKey]float64{}}
		}},
	}
}

// key names a rule for the tables.
func (p *peerRule) key() string { return string(p.task) + "/" + p.name }

// others are the rules of others at work on one cell.
type others struct {
	c     *cell
	start int64 // of the cell
	rules []peerRule
	judge []judge
	best  []map[claimKey]float64 // by rule
}

func newOthers(c *cell, start int64) *others {
	o := &others{c: c, start: start, rules: peerRules()}
	for i := range o.rules {
		o.judge = append(o.judge, o.rules[i].make(c.n))
		o.best = append(o.best, map[claimKey]float64{})
	}
	return o
}

// take hands flows to all rules.
func (o *others) take(flows []weir.Flow) {
	var f *weir.Flow
	for j, best := range o.best {
		claim := func(k claimKey, score float64) {
			k.day = (f.End - o.start) / int64(24*time.Hour)
			if score > best[k] {
				best[k] = score
			}
		}
		for i := range flows {
			f = &flows[i]
			o.judge[j].take(f, claim)
		}
	}
}

// claims are what the rules say of the cell in the end.
func (o *others) claims() map[string]*claims {
	out := map[string]*claims{}
	for i := range o.rules {
		out[o.rules[i].key()] = settle(o.c, o.start, o.best[i])
	}
	return out
}

// settle tells accusations that meet an attack from the others.
func settle(c *cell, start int64, best map[claimKey]float64) *claims {
	out := &claims{hit: make([]float64, len(c.attacks)), wrong: map[float64]int{}}
	for k, score := range best {
		met := false
		for i := range c.attacks {
			a := &c.attacks[i]
			first, last := (a.start-start)/int64(24*time.Hour), (a.end-start)/int64(24*time.Hour)
			if k.day < first || k.day > last || a.src.IsValid() && k.src != a.src ||
				k.dst.IsValid() && a.dst.IsValid() && k.dst != a.dst || k.port != 0 && a.port != 0 && k.port != a.port {
				continue
			}
			if !a.src.IsValid() && (!k.dst.IsValid() || k.dst != a.dst) {
				continue
			}
			met = true
			out.hit[i] = max(out.hit[i], score)
		}
		if !met {
			out.wrong[coarse(score)]++
		}
	}
	return out
}

// coarse rounds a score down to a tenth of a power of two.
func coarse(score float64) float64 { return math.Exp2(math.Floor(10*math.Log2(score)+1e-9) / 10) }

// inside reports whether an address is one of the resources of the corpus.
func inside(a netip.Addr) bool {
	b := a.As4()
	return b[0] == 203 && b[1] == 0 && b[2] == 113
}

// loginPort reports whether a record runs from a client to SSH or RDP.
func loginPort(f *weir.Flow) bool {
	return f.Proto == weir.ProtoTCP && (f.Dst.Port() == 22 || f.Dst.Port() == 3389)
}

// failedLogin is the shape of a connection that ended without a session. Under
// sampling any record with a packet after the SYN may be one.
func failedLogin(f *weir.Flow, n uint32) bool {
	if f.TCPFlags&weir.ACK == 0 {
		return false
	}
	most := uint64(51)
	if f.Dst.Port() == 3389 {
		most = 100
	}
	return n > 1 || f.Packets >= 3 && f.Packets <= most
}

// nemeaLogin is the published window of packets and bytes.
func nemeaLogin(f *weir.Flow, _ uint32) bool {
	if f.Dst.Port() == 3389 {
		return f.Packets >= 20 && f.Packets <= 100 && f.Bytes >= 2200 && f.Bytes <= 8001
	}
	return f.Packets >= 11 && f.Packets <= 30 && f.Bytes >= 1000 && f.Bytes <= 5000
}

// counting counts connections, or packets, of a source or pair in a window that
// slides by tenths of its length.
type counting struct {
	n                 uint32
	window            time.Duration
	need              float64
	bySource, packets bool
	fits              func(f *weir.Flow, n uint32) bool
	keys              map[claimKey]*ring
}

// ring is a sliding window in ten slots.
type ring struct {
	slot int64
	sum  [10]float64
}

// add adds to the slot of a time and returns the sum of the window.
func (r *ring) add(slot int64, v float64) (sum float64) {
	for r.slot < slot {
		r.slot++
		r.sum[r.slot%10] = 0
		if slot-r.slot > 10 {
			r.slot, r.sum = slot, [10]float64{}
		}
	}
	r.sum[r.slot%10] += v
	for _, x := range r.sum {
		sum += x
	}
	return sum
}

func (c *counting) take(f *weir.Flow, claim func(claimKey, float64)) {
	if !loginPort(f) || !c.fits(f, c.n) {
		return
	}
	k := claimKey{src: f.Src.Addr(), dst: f.Dst.Addr(), port: f.Dst.Port()}
	if c.bySource {
		k.dst = netip.Addr{}
	}
	if c.keys == nil {
		c.keys = map[claimKey]*ring{}
	}
	slot := f.End / int64(c.window/10)
	r := c.keys[k]
	if r == nil {
		r = &ring{slot: slot}
		c.keys[k] = r
	}
	v := 1.0
	if c.packets {
		v = float64(f.Packets) * float64(c.n) / 13
		if k.port == 3389 {
			v = float64(f.Packets) * float64(c.n) / 30
		}
	}
	claim(k, r.add(slot, v)/c.need)
}

// equalFlows looks for connections in a row of about the same number of packets.
type equalFlows struct{ runs map[claimKey]*run1 }

type run1 struct {
	packets uint64
	length  float64
}

func (e *equalFlows) take(f *weir.Flow, claim func(claimKey, float64)) {
	if f.Proto != weir.ProtoTCP || f.Dst.Port() != 22 {
		return
	}
	k := claimKey{src: f.Src.Addr(), dst: f.Dst.Addr(), port: 22}
	r := e.runs[k]
	if r == nil {
		r = &run1{}
		e.runs[k] = r
	}
	const low, high, within, need = 11, 51, 2, 10
	switch {
	case f.Packets < low || f.Packets > high:
		r.length = 0
		return
	case r.length == 0 || f.Packets > r.packets+within || f.Packets+within < r.packets:
		r.packets, r.length = f.Packets, 0
	}
	r.length++
	claim(k, r.length/need)
}

// distinct counts hosts on one port, and ports of one host, that did not answer:
// records of nothing but SYNs.
type distinct struct {
	window       time.Duration
	hosts, ports float64
	most         uint64
	sets         map[claimKey]*recent
}

// recent is a set whose members leave after a window without them.
type recent struct {
	last map[uint64]int64
	old  int64
}

func (r *recent) add(member uint64, now int64, window time.Duration) float64 {
	r.last[member] = now
	if now-r.old > int64(window)/10 {
		r.old = now
		for m, t := range r.last {
			if now-t > int64(window) {
				delete(r.last, m)
			}
		}
	}
	return float64(len(r.last))
}

func (d *distinct) take(f *weir.Flow, claim func(claimKey, float64)) {
	if f.Proto != weir.ProtoTCP || !inside(f.Src.Addr()) || f.TCPFlags != weir.SYN || f.Packets > d.most {
		return
	}
	if d.sets == nil {
		d.sets = map[claimKey]*recent{}
	}
	a := f.Dst.Addr().As4()
	host := uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])
	add := func(k claimKey, member uint64, need float64) {
		r := d.sets[k]
		if r == nil {
			r = &recent{last: map[uint64]int64{}, old: f.End}
			d.sets[k] = r
		}
		claim(k, r.add(member, f.End, d.window)/need)
	}
	add(claimKey{src: f.Src.Addr(), port: f.Dst.Port()}, host, d.hosts)
	add(claimKey{src: f.Src.Addr(), dst: f.Dst.Addr()}, uint64(f.Dst.Port()), d.ports)
}

// walk is the threshold random walk over first contacts of a source, in which a
// record of nothing but a SYN is a failure (Jung et al., S&P 2004, without its
// view of the answer).
type walk struct {
	level map[claimKey]float64
	seen  map[claimKey]bool
}

func (w *walk) take(f *weir.Flow, claim func(claimKey, float64)) {
	if f.Proto != weir.ProtoTCP || !inside(f.Src.Addr()) || f.Dst.Port() >= 32768 && f.Src.Port() < 32768 {
		return
	}
	first := claimKey{src: f.Src.Addr(), dst: f.Dst.Addr()}
	if w.seen[first] {
		return
	}
	w.seen[first] = true
	k := claimKey{src: f.Src.Addr()}
	step := math.Log(0.2 / 0.8)
	if f.TCPFlags == weir.SYN {
		step = -step
	}
	// The walk begins anew once it has decided for a benign source.
	w.level[k] = math.Max(w.level[k]+step, 0)
	if w.level[k] > 0 {
		claim(k, w.level[k]/math.Log(99))
	}
}

// volume sums packets by class and minute.
type volume struct {
	n   uint32
	sum map[volumeKey]float64
	at  int64
}

type volumeKey struct {
	src   netip.Addr
	class string
}

func (v *volume) take(f *weir.Flow, claim func(claimKey, float64)) {
	if !inside(f.Src.Addr()) {
		return
	}
	if m := f.End / int64(time.Minute); m != v.at {
		v.at = m
		clear(v.sum)
	}
	k, floor := volumeKey{f.Src.Addr(), "udp"}, 20000.0
	switch {
	case f.Proto == weir.ProtoTCP && f.TCPFlags == weir.SYN:
		k.class, floor = "syn", 1000
	case f.Proto == weir.ProtoUDP && f.Src.Port() == 53:
		k.class, floor = "reflector", 1000
	case f.Proto == weir.ProtoICMP:
		k.class = "icmp"
	case f.Proto != weir.ProtoUDP:
		return
	}
	v.sum[k] += float64(f.Packets) * float64(v.n) / 60
	claim(claimKey{src: f.Src.Addr()}, v.sum[k]/floor)
}

func TestPeerRules(t *testing.T) {
	// Forty logins in twenty minutes are one and a third times what Zeek and NEMEA
	// ask for, and twelve in a row are what SSHCure asks for.
	c := &cell{n: 1, days: 1}
	s := newSheet(c, "forty logins")
	r := s.resource("listen 22/ssh")
	s.line("at 10:00 count 40 for 20m 198.51.100.1 -> %s:22 tcp login packets=12", r)
	s.line("at 10:00 count 50 for 4m %s -> 198.18.0.0/24:23 tcp syn", r)
	s.line("at 12:00 for 3m %s -> 198.51.100.9:80 tcp flood 1500pps sport=5555", r)
	s.finish()
	parsed, err := scenario.Parse("peers.scn", c.text)
	if err != nil {
		t.Fatal(err)
	}
	c.attacks = []attack{
		{src: netip.MustParseAddr("198.51.100.1"), dst: ownAddr(1), port: 22, start: at(1, 0), end: at(1, 0)},
		{src: ownAddr(1), port: 23, start: at(1, 0), end: at(1, 0)},
		{src: ownAddr(1), port: 80, start: at(1, 0), end: at(1, 0)},
	}
	o := newOthers(c, parsed.Start.UnixNano())
	if err := parsed.Flows().Run(t.Context(), func(b weir.Batch) error {
		o.take(b.Flows)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for name, cl := range o.claims() {
		have[name] = fmt.Sprintf("%.2f", cl.hit)
	}
	want := map[string]string{
		"guessing/Zeek": "[1.33 0.00 0.00]", "guessing/NEMEA": "[1.33 0.00 0.00]", "guessing/SSHCure": "[4.00 0.00 0.00]", "guessing/static": "[1.23 0.00 0.00]",
		"scanning/Zeek": "[0.00 2.00 0.07]", "scanning/NEMEA": "[0.00 1.00 0.02]", "scanning/static": "[0.00 2.00 0.07]",
		// These two know the source only.
		"scanning/TRW": "[0.00 15.39 15.39]", "flooding/static": "[0.00 1.50 1.50]",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("scores of the rules of others (-want +have):\n%s", diff)
	}
}

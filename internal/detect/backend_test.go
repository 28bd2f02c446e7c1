package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-net/weir"
)

// pool is a balancer with its members, and the traffic on both legs.
type pool struct {
	bench
	inside  netip.Addr // by which the balancer speaks to its members
	members []netip.Addr
	n       uint32
	rng     *rand.Rand
	proxy   bool
}

func newPool(members int, proxy bool, n uint32, seed uint64) *pool {
	b := &pool{bench: *newBench(), inside: netip.MustParseAddr("10.0.0.200"), n: n, rng: rand.New(rand.NewPCG(seed, 77)), proxy: proxy}
	b.res.ID, b.res.Name, b.res.Kind, b.res.PrivateAddresses = "lb-1", "lb-1", weir.LoadBalancer, []netip.Addr{b.inside}
	for i := range members {
		b.members = append(b.members, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		b.res.Backends = append(b.res.Backends, weir.Backend{Resource: memberName(i), FrontendPort: 2222, BackendPort: 22})
	}
	return b
}

func memberName(i int) string { return fmt.Sprintf("m-%02d", i) }

// back adds the connection of a client to a member behind the balancer.
func (b *pool) back(at time.Duration, client string, member int, cport uint16, s shape) *weir.Contact {
	front, port := b.own, cport
	var c *weir.Contact
	if b.proxy {
		b.own = b.inside
		c = b.out(at, b.members[member].String(), 22, port, s)
	} else {
		b.own = b.members[member]
		c = b.in(at, client, 22, port, s)
	}
	b.own = front
	c.Leg, c.Member = weir.BackLeg, memberName(member)
	return c
}

// through adds a connection through the balancer, as the exporters of both legs
// see it, each by its own sample.
func (b *pool) through(at time.Duration, client string, member int, s shape) {
	cport := uint16(32768 + b.rng.IntN(28000))
	b.sample(s, func(s shape) *weir.Contact { return b.in(at, client, 2222, cport, s) })
	delay := time.Duration(b.rng.IntN(200)) * time.Millisecond
	b.sample(s, func(s shape) *weir.Contact {
		return b.back(at+delay, client, member, uint16(32768+b.rng.IntN(28000)), s)
	})
}

// sample thins the packets of a connection.
func (b *pool) sample(s shape, add func(shape) *weir.Contact) {
	if b.n == 1 {
		add(s)
		return
	}
	thin := func(k uint64, flags uint16) (n uint64, f uint16) {
		// The gap to the next packet taken is geometric.
		gap := func() uint64 { return uint64(math.Log(1-b.rng.Float64()) / math.Log1p(-1/float64(b.n))) }
		for i := gap(); i < k; i += 1 + gap() {
			n++
			switch i {
			case 0:
				f |= flags &^ (weir.ACK | weir.PSH | weir.FIN)
			case k - 1:
				f |= weir.ACK | weir.FIN
			default:
				f |= weir.ACK | weir.PSH
			}
		}
		return n, f
	}
	s.fwd, s.fwdFlags = thin(s.fwd, s.fwdFlags)
	s.rev, s.revFlags = thin(s.rev, s.revFlags)
	if s.fwd+s.rev == 0 {
		return
	}
	c := add(s)
	c.Sampling, c.SamplingSource = b.n, weir.SamplingRecord
	if s.fwd > 0 {
		c.Known &^= weir.HasReverse | weir.HasRevFlags
		c.FromOwn = c.LogOdds > 0
		return
	}
	c.Known &^= weir.HasReverse | weir.HasRevFlags
	c.FromOwn = c.LogOdds < 0
}

const intruder = "203.0.113.7"

// backends returns what the newest finding of a type says.
func backends(fs []weir.Finding, typ weir.AlertType) ([]weir.BackendLikelihood, string) {
	for _, f := range slices.Backward(fs) {
		if f.Type == typ {
			return f.Backends, f.Facts["backends"]
		}
	}
	return nil, ""
}

func TestAttributionByRules(t *testing.T) {
	nat := func(id string, front, back uint16) weir.Backend {
		return weir.Backend{Resource: id, FrontendPort: front, BackendPort: back}
	}
	many := make([]weir.Backend, 150)
	for i := range many {
		many[i].Resource = fmt.Sprintf("v-%03d", i)
	}
	even := func(n int) (out []weir.BackendLikelihood) {
		for i := range n {
			out = append(out, weir.BackendLikelihood{ID: many[i].Resource, Likelihood: 1 / float64(n)})
		}
		return out
	}
	tests := []struct {
		name string
		pool []weir.Backend
		port uint16
		want []weir.BackendLikelihood
	}{
		{"no pool", nil, 22, nil},
		{"one rule for all", []weir.Backend{nat("b", 22, 22), nat("a", 22, 22)}, 22, []weir.BackendLikelihood{{ID: "a", Likelihood: 0.5}, {ID: "b", Likelihood: 0.5}}},
		{"inbound NAT", []weir.Backend{nat("a", 2201, 22), nat("b", 2202, 22)}, 2202, []weir.BackendLikelihood{{ID: "b", Likelihood: 1}}},
		{"inbound NAT beside members without port", []weir.Backend{nat("a", 2201, 22), nat("b", 0, 0)}, 2201, []weir.BackendLikelihood{{ID: "a", Likelihood: 1}}},
		{"a member without port is in every pool", []weir.Backend{nat("a", 22, 22), nat("b", 22, 22), nat("c", 0, 0), nat("d", 80, 80)}, 22,
			[]weir.BackendLikelihood{{ID: "a", Likelihood: 1.0 / 3}, {ID: "b", Likelihood: 1.0 / 3}, {ID: "c", Likelihood: 1.0 / 3}}},
		{"a member of two rules counts once", []weir.Backend{nat("a", 22, 22), nat("a", 22, 2222), nat("b", 22, 22)}, 22, []weir.BackendLikelihood{{ID: "a", Likelihood: 0.5}, {ID: "b", Likelihood: 0.5}}},
		{"a port that no rule forwards", []weir.Backend{nat("a", 80, 80), nat("b", 80, 80)}, 22, nil},
		{"more than a hundred, all alike", many, 22, even(20)},
	}
	for _, tt := range tests {
		b := newBench()
		b.res.Kind, b.res.Backends = weir.LoadBalancer, tt.pool
		b.res.Listeners = []weir.Listener{{Port: tt.port, Service: "ssh"}}
		b.guess(0, 9*time.Minute, intruder, tt.port, 100, login, false)
		got, basis := backends(run(t, DefaultConfig(), b.cs), weir.SSHIncomingOneToOne)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if want := map[bool]string{true: "rules"}[len(tt.want) > 0]; basis != want {
			t.Errorf("%s: basis %q, want %q", tt.name, basis, want)
		}
	}
}

func TestAttributionByPeer(t *testing.T) {
	b := newPool(4, false, 1, 1)
	for i := range 200 {
		at := time.Duration(i) * 3 * time.Second
		b.through(at, intruder, []int{2, 2, 2, 1}[i%4], login)
		b.through(at, "192.0.2.9", 3, webVisit)
		// The same peer at a port to which no rule leads proves nothing.
		c := b.back(at, intruder, 0, uint16(40000+i), login)
		c.Own = netip.AddrPortFrom(c.Own.Addr(), 9999)
	}
	got, basis := backends(run(t, DefaultConfig(), b.cs), weir.SSHIncomingOneToOne)
	want := []weir.BackendLikelihood{{ID: "m-02", Likelihood: 0.75}, {ID: "m-01", Likelihood: 0.25}}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 0.01)); diff != "" || basis != "peer" {
		t.Errorf("basis %q: %s", basis, diff)
	}
}

func TestAttributionOfWhatMembersOpen(t *testing.T) {
	b := newPool(3, false, 1, 1)
	behind := func(at time.Duration, member int, peer string, port uint16, s shape) *weir.Contact {
		front := b.own
		b.own = b.members[member]
		c := b.out(at, peer, port, uint16(32768+b.rng.IntN(28000)), s)
		b.own = front
		c.Leg, c.Member = weir.BackLeg, memberName(member)
		return c
	}
	for i := range 300 { // guessing from behind the front address
		at := time.Duration(i) * 2 * time.Second
		b.out(at, "203.0.113.80", 22, uint16(10000+i), login)
		behind(at, 1, "203.0.113.80", 22, login)
		behind(at, 2, "203.0.113.80", 443, webVisit) // the same host for another reason
	}
	for i := range 4 { // a flood
		at := 2*time.Hour + time.Duration(i)*time.Minute
		big := shape{120000, 0, 40, 0, weir.SYN, 0}
		b.out(at, "203.0.113.99", 80, 5555, big).End += int64(50 * time.Second)
		behind(at, 2, "203.0.113.99", 80, big).End += int64(50 * time.Second)
	}
	fs := run(t, DefaultConfig(), b.cs)
	for typ, member := range map[weir.AlertType]string{weir.SSHOutgoingOneToOne: "m-01", weir.DDoS: "m-02"} {
		got, basis := backends(fs, typ)
		if len(got) == 0 || got[0].ID != member || got[0].Likelihood < 0.99 || basis != "peer" {
			t.Errorf("%s: %v by %q, want %s by peer", typ, got, basis, member)
		}
	}
}

// attack is one trial: an attack through a balancer that has other clients, with
// bursts of a few minutes to single members.
type attack struct {
	proxy     bool
	n         uint32
	perMinute int // connections of other clients, on average
	logins    int
	length    time.Duration
	spread    int  // the attack goes to so many members in turn; 0: to one of them
	hidden    bool // nobody sees the back leg of that member
}

const poolSize = 10

// play returns the contacts of two hours, and the member that was attacked.
func (a attack) play(seed uint64) (culprit string, cs []weir.Contact) {
	b := newPool(poolSize, a.proxy, a.n, seed)
	burst := make([]int, poolSize)
	for minute := range 120 {
		m := b.rng.IntN(poolSize)
		if b.rng.IntN(10) == 0 {
			burst[m] = 3
		}
		for range a.perMinute/2 + b.rng.IntN(a.perMinute) {
			at := time.Duration(minute)*time.Minute + time.Duration(b.rng.IntN(60000))*time.Millisecond
			to := b.rng.IntN(poolSize)
			if burst[m] > 0 && b.rng.IntN(4) == 0 {
				to = m
			}
			b.through(at, fmt.Sprintf("192.0.2.%d", b.rng.IntN(200)), to, ansible)
		}
		for i := range burst {
			burst[i] = max(burst[i]-1, 0)
		}
	}
	victim := b.rng.IntN(poolSize)
	for i := range a.logins {
		to := victim
		if a.spread > 0 {
			to = i % a.spread
		}
		b.through(time.Hour+a.length*time.Duration(i)/time.Duration(a.logins), intruder, to, login)
	}
	if a.hidden {
		b.cs = slices.DeleteFunc(b.cs, func(c weir.Contact) bool { return c.Member == memberName(victim) })
	}
	return memberName(victim), b.cs
}

// judge returns what the alert on the intruder says of the members.
func judge(t *testing.T, cs []weir.Contact) ([]weir.BackendLikelihood, string) {
	t.Helper()
	fs := slices.DeleteFunc(run(t, DefaultConfig(), cs), func(f weir.Finding) bool {
		return f.Type != weir.SSHIncomingOneToOne || f.Peers[0].Address != netip.MustParseAddr(intruder)
	})
	got, basis := backends(fs, weir.SSHIncomingOneToOne)
	sum := 0.0
	for i, l := range got {
		sum += l.Likelihood
		if l.Likelihood < 0.01 || i > 0 && (l.Likelihood > got[i-1].Likelihood || l.Likelihood == got[i-1].Likelihood && l.ID <= got[i-1].ID) {
			t.Errorf("not in order: %v", got)
		}
	}
	if len(got) > 0 && math.Abs(sum-1) > 1e-9 {
		t.Errorf("likelihoods sum to %v", sum)
	}
	return got, basis
}

// TestAttributionAccuracy measures how often the member that an attack went to
// stands first, and with what likelihood: the figures of decision 0005.
func TestAttributionAccuracy(t *testing.T) {
	const trials = 10
	for _, tt := range []struct {
		name  string
		a     attack
		basis string
		first float64 // share of trials with the right member first, by that basis
		mean  float64 // mean likelihood of the right member
	}{
		{"address kept, N=1", attack{n: 1, perMinute: 30, logins: 300, length: 10 * time.Minute}, "peer", 1, 0.99},
		{"address kept, N=100", attack{n: 100, perMinute: 300, logins: 3000, length: 30 * time.Minute}, "peer", 1, 0.99},
		{"proxy, N=1", attack{proxy: true, n: 1, perMinute: 30, logins: 300, length: 10 * time.Minute}, "time", 0.9, 0.9},
		{"proxy, N=100", attack{proxy: true, n: 100, perMinute: 300, logins: 3000, length: 30 * time.Minute}, "time", 0.9, 0.9},
		{"proxy, the right member hidden", attack{proxy: true, n: 1, perMinute: 30, logins: 300, length: 10 * time.Minute, hidden: true}, "rules", 0, 0.1},
	} {
		right, mean, found, based := 0, 0.0, 0, 0
		for seed := range uint64(trials) {
			culprit, cs := tt.a.play(seed)
			got, basis := judge(t, cs)
			if len(got) == 0 {
				continue
			}
			found++
			if basis == tt.basis {
				based++
			}
			if got[0].ID == culprit && basis == tt.basis && basis != "rules" {
				right++ // the first of equals by the rules is no merit
			}
			for _, l := range got {
				if l.ID == culprit {
					mean += l.Likelihood
				}
			}
		}
		n := float64(max(found, 1))
		t.Logf("%s: %d of %d trials raise the alert, right member first in %d, mean likelihood %.3f, by %s in %d", tt.name, found, trials, right, mean/n, tt.basis, based)
		if found < trials*9/10 || float64(right) < tt.first*n || mean/n < tt.mean-1e-9 || float64(based) < 0.9*n {
			t.Errorf("%s: less than promised", tt.name)
		}
	}
}

func TestAttributionOfASpreadAttack(t *testing.T) {
	_, cs := attack{proxy: true, n: 1, perMinute: 30, logins: 300, length: 10 * time.Minute, spread: 3}.play(1)
	got, basis := judge(t, cs)
	sum := 0.0
	for _, l := range got {
		if l.ID <= memberName(2) {
			sum += l.Likelihood
		}
	}
	if len(got) < 3 || got[0].Likelihood > 0.5 || sum < 0.9 || basis != "time" {
		t.Errorf("three members got a third each: %v by %q", got, basis)
	}
}

// TestAttributionIsAFunctionOfTheContacts: neither order nor a restart matters.
func TestAttributionIsAFunctionOfTheContacts(t *testing.T) {
	for _, proxy := range []bool{false, true} {
		_, cs := attack{proxy: proxy, n: 1, perMinute: 20, logins: 300, length: 10 * time.Minute}.play(3)
		want, _ := judge(t, cs)
		rng := rand.New(rand.NewPCG(1, 1))
		rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		if got, _ := judge(t, cs); !slices.Equal(got, want) {
			t.Errorf("in another order: %v, want %v", got, want)
		}
		slices.SortFunc(cs, byEnd)
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		var fs []weir.Finding
		report := func(f weir.Finding) { fs = append(fs, f) }
		for i := range cs {
			if i == len(cs)*3/5 { // while the attack runs
				b, err := d.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				d, _ = New(DefaultConfig())
				if err := d.Restore(b); err != nil {
					t.Fatal(err)
				}
			}
			d.Observe(cs[i : i+1])
			d.Close(cs[i].End-int64(DefaultConfig().Lateness), report)
		}
		d.Flush(report)
		if got, _ := backends(fs, weir.SSHIncomingOneToOne); !slices.Equal(got, want) {
			t.Errorf("after a restart: %v, want %v", got, want)
		}
	}
}

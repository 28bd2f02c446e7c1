package scenario

import (
	"context"
	"errors"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/weir-net/weir"
)

func parse(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := Parse("rules/test.scn", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// flowsOf returns all flows of a text with one resource, web-1, declared.
func flowsOf(t testing.TB, text string) []weir.Flow {
	t.Helper()
	return drain(t, parse(t, "resource web-1 203.0.113.10\nresource v6 2001:db8::10\n"+text))
}

func drain(t testing.TB, s *Scenario) []weir.Flow {
	t.Helper()
	g := s.Flows()
	var flows []weir.Flow
	for {
		var err error
		flows, err = g.Read(flows)
		if errors.Is(err, io.EOF) {
			return flows
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseDeclarations(t *testing.T) {
	s := parse(t, `
title "everything once"   # a comment
start 2026-02-02
days 8
seed 7
sampling 1/512 counted
records bidirectional
exporter 192.0.2.1
learn 7d
host bot 198.51.100.7
host net 198.51.100.0/30
resource web-1 203.0.113.10 2001:db8::10 private 10.0.0.4 listen 22/ssh,443 role bastion,dns tag env=prod tenant lab since 2026-01-01T00:00:00Z
resource lb-1 203.0.113.20 kind load-balancer backend web-1 backend web-1:2222:22
network 203.0.113.64/26 kind application-gateway tenant lab
allow 192.0.2.7 "our scanner" until 2027-01-01T00:00:00Z
intel c2 bot port 443 proto tcp family njRAT confidence 90 source feed first 2026-01-01 seen 2026-01-02 expires 2026-03-01
expect SSH_Incoming_BF_OneToOne attacker=bot victim=web-1 port=22 count=1
expect no PortScanning victim=*
expect nothing else
`)
	utc := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixNano() }
	want := &Scenario{
		Name: "test", Title: "everything once", Start: time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC), Days: 8, Seed: 7, Sampling: 512, Counted: true,
		Bidirectional: true, Exporter: addr("192.0.2.1"), Learn: 7 * 24 * time.Hour, Complete: true,
		Resources: []*weir.Resource{
			{
				ID: "web-1", Name: "web-1", Kind: weir.VirtualMachine, Addresses: addrs("203.0.113.10", "2001:db8::10"),
				PrivateAddresses: addrs("10.0.0.4"), Listeners: []weir.Listener{{Port: 22, Service: "ssh"}, {Port: 443}},
				Roles: []string{"bastion", "dns"}, Tags: map[string]string{"env": "prod"}, Tenant: "lab", Since: utc(2026, 1, 1),
			},
			{
				ID: "lb-1", Name: "lb-1", Kind: weir.LoadBalancer, Addresses: addrs("203.0.113.20"),
				Backends: []weir.Backend{{Resource: "web-1"}, {Resource: "web-1", FrontendPort: 2222, BackendPort: 22}},
			},
		},
		Networks: []Network{{netip.MustParsePrefix("203.0.113.64/26"), weir.ApplicationGateway, "lab"}},
		Allows:   []Allow{{netip.MustParsePrefix("192.0.2.7/32"), "our scanner", utc(2027, 1, 1)}},
		Intel: []weir.Indicator{{
			Prefix: netip.MustParsePrefix("198.51.100.7/32"), Port: 443, Proto: 6, Category: weir.CategoryC2, Family: "njRAT",
			Source: "feed", Confidence: 90, FirstSeen: utc(2026, 1, 1), LastSeen: utc(2026, 1, 2), Expiry: utc(2026, 3, 1),
		}},
		Expect: []Row{
			{
				Line: 17, Verdict: Must, Alerts: []string{"SSH_Incoming_BF_OneToOne"}, Perspective: VictimSide,
				Attacker: Side{netip.MustParsePrefix("198.51.100.7/32")},
				Victim: Side{netip.MustParsePrefix("203.0.113.10/32"), netip.MustParsePrefix("2001:db8::10/128"),
					netip.MustParsePrefix("10.0.0.4/32")},
				Port: 22, StrictPort: true, Count: 1,
			},
			{Line: 18, Verdict: MustNot, Alerts: []string{"PortScanning"}, Perspective: AnySide},
		},
	}
	if d := cmp.Diff(want, s, cmpopts.IgnoreUnexported(Scenario{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got := s.Protected(); len(got) != 5 {
		t.Errorf("protected %v", got)
	}
	c := s.Case()
	if !c.Complete || len(c.Rows) != 2 || !c.LearnUntil.Equal(s.Start.Add(7*24*time.Hour)) {
		t.Errorf("case %+v", c)
	}
}

func TestParseFaults(t *testing.T) {
	const head = "resource web-1 203.0.113.10\n"
	for _, c := range []struct{ text, want string }{
		{"sampling 1/0", ":2:10: \"1/0\": expected a sampling rate"},
		{"title \"open", ":2:7: the quote is not closed"},
		{"frobnicate", ":2:1: expected a statement, or traffic as in"},
		{"resourc web-2 10.0.0.1", "; did you mean resource?"},
		{"resource web-1 10.0.0.1", `:2:10: "web-1" is declared already`},
		{"resource 10.0.0.1", `:2:10: "10.0.0.1" is an address; expected a name`},
		{"resource web-2", ":2:16: the resource has no address"},
		{"resource web-2 10.0.0.1 listem 22", `unknown word "listem"; did you mean listen?`},
		{"resource web-2 10.0.0.1 kind router", "expected virtual-machine, load-balancer or application-gateway"},
		{"resource lb 10.0.0.1 backend web-9", `:2:30: backend "web-9" is no resource`},
		{"network 10.0.0.0/33", ":2:9: \"10.0.0.0/33\": expected an address or a prefix"},
		{"intel evil 10.0.0.1", ":2:7: category"},
		{"intel c2 10.0.0.1 confidence 101", ":2:30: confidence"},
		{"days 0", ":2:6: \"0\": expected a number of days from 1 to 400"},
		{"start tomorrow", ":2:7: \"tomorrow\": expected a time"},
		{"expect", ":2:8: the line ends; expected an alert type, no, or nothing"},
		{"expect SSH_Incoming_BF_OneToOn", "; did you mean SSH_Incoming_BF_OneToOne?"},
		{"expect DDOS attaker=web-1", `unknown word "attaker"; did you mean attacker?`},
		{"expect DDOS attacker=web-2", "the name of a host or resource declared above; did you mean web-1?"},
		{"expect nothing\nexpect DDOS", ":3:8: nothing is expected above"},
		{"expect DDOS\nexpect nothing", ":3:8: an alert is expected above"},
		{"198.51.100.7 -> web-1:22", ":2:26: the line ends; expected tcp, udp or icmp"},
		{"198.51.100.7 -> web-1:22 tcp", ":2:30: the line ends; expected a shape"},
		{"198.51.100.7 -> web-1:22 tcp logn", `:2:30: "logn" is no shape of tcp; did you mean login?; expected login`},
		{"198.51.100.7 -> web-1 tcp login", ":2:23: the port is missing"},
		{"198.51.100.7 -> web-1:22 icmp ping", ":2:26: ICMP has no ports"},
		{"198.51.100.7 -> v6:22 tcp login", ":2:17: \"v6\": expected an address"},
		{"198.51.100.7 -> [2001:db8::1]:22 tcp login", ":2:17: IPv4 and IPv6 on the two sides"},
		{"198.51.100.7 -> web-1:0 tcp login", ":2:17: \"0\": expected a port from 1 to 65535"},
		{"198.51.100.7 -> web-1:22 tcp login pakets=3", `:2:36: a login has no "pakets"; did you mean packets?`},
		{"198.51.100.7 -> web-1:22 tcp login packets=1", "at least 2 packets each way"},
		{"198.51.100.7 -> web-1:22 tcp login sampld 1/10", `:2:36: "sampld": expected sampled 1/N`},
		{"198.51.100.7 -> web-1:22 tcp flood 10", `:2:36: "10": expected a rate such as 5000pps`},
		{"198.51.100.7 -> web-1:22 udp flood 10pps flags=syn", ":2:42: only TCP has flags"},
		{"every 0s 198.51.100.7 -> web-1:22 tcp login", ":2:7: every must be more than nothing"},
		{"every soon 198.51.100.7 -> web-1:22 tcp login", `:2:7: "soon": expected the time between two rounds`},
		{"every 1s for 1m count 3 198.51.100.7 -> web-1:22 tcp login", ":2:1: every, for and count together"},
		{"every 1ms for 400d 198.51.100.7 -> web-1:22 tcp login", ":2:1: too many rounds"},
		{"day 2 198.51.100.7 -> web-1:22 tcp login", ":2:1: day 2 is behind the last"},
		{"10.0.0.0/8 -> web-1:22 tcp login", ":2:1: \"10.0.0.0/8\": more than 65536 addresses"},
		{"10.0.0.0/16 each -> 10.1.0.0/16:22 each tcp syn", ":2:1: more than 50000000 connections"},
		{"198.51.100.7 web-1:22 -> tcp login", ":2:14: \"web-1:22\": expected each, any or ->"},
		{"for 1h 198.51.100.7 -> web-1:22 tcp flood 100000000pps", "a flood of more than"},
	} {
		_, err := Parse("x.scn", head+c.text+"\n")
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "x.scn:") {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	_, err := Parse("x.scn", strings.Repeat("what\n", 100))
	if n := strings.Count(err.Error(), "x.scn:"); n != maxFaults {
		t.Errorf("%d faults reported, want %d", n, maxFaults)
	}
}

// The line of the design page, at full rate: 300 connections of 11 to 15 packets.
func TestLogin(t *testing.T) {
	flows := flowsOf(t, "every 2s for 10m 198.51.100.7 -> web-1:22 tcp login\n")
	if len(flows) != 600 {
		t.Fatalf("%d records, want one each way of 300 connections", len(flows))
	}
	clients := map[netip.AddrPort]bool{}
	for _, f := range flows {
		request := f.Dst == netip.MustParseAddrPort("203.0.113.10:22")
		if request == (f.Src == netip.MustParseAddrPort("203.0.113.10:22")) {
			t.Fatalf("record %v to %v", f.Src, f.Dst)
		}
		low, high := uint64(11), uint64(15)
		if !request {
			low, high = 10, 14
		} else {
			clients[f.Src] = true
		}
		if f.Packets < low || f.Packets > high || f.TCPFlags != weir.SYN|weir.ACK|weir.PSH|weir.FIN || f.Sampling != 1 ||
			f.Known != weir.HasPackets|weir.HasBytes|weir.HasFlags|weir.HasPorts || f.End-f.Start > int64(3*time.Second) {
			t.Fatalf("record %+v", f)
		}
		if mean := f.Bytes / f.Packets; request && (mean < 80 || mean > 180) {
			t.Errorf("mean length %d", mean)
		}
	}
	if len(clients) < 290 {
		t.Errorf("%d client ports of 300 connections", len(clients))
	}
	first, last := flows[0], flows[len(flows)-1]
	if d := last.End - first.Start; d < int64(598*time.Second) || d > int64(603*time.Second) {
		t.Errorf("the records span %v", time.Duration(d))
	}
}

func TestShapes(t *testing.T) {
	type rec struct {
		Src, Dst string
		Packets  uint64
		Flags    uint16
	}
	for _, c := range []struct {
		text string
		want []rec // without ephemeral ports
	}{
		{"198.51.100.7 -> web-1:22 tcp syn", []rec{{"198.51.100.7", "203.0.113.10:22", 1, weir.SYN}}},
		{"198.51.100.7 -> web-1:22 tcp syn packets=3", []rec{{"198.51.100.7", "203.0.113.10:22", 3, weir.SYN}}},
		{"198.51.100.7 -> web-1:22 tcp probe", []rec{
			{"198.51.100.7", "203.0.113.10:22", 1, weir.SYN}, {"203.0.113.10:22", "198.51.100.7", 1, weir.RST | weir.ACK}}},
		{"198.51.100.7 -> web-1:22 tcp half", []rec{
			{"203.0.113.10:22", "198.51.100.7", 1, weir.SYN | weir.ACK}, {"198.51.100.7", "203.0.113.10:22", 2, weir.SYN | weir.RST}}},
		{"198.51.100.7 -> web-1:22 tcp half oneway", []rec{{"198.51.100.7", "203.0.113.10:22", 2, weir.SYN | weir.RST}}},
		{"web-1 -> 192.0.2.53:53 udp exchange sport=5353", []rec{
			{"203.0.113.10:5353", "192.0.2.53:53", 1, 0}, {"192.0.2.53:53", "203.0.113.10:5353", 1, 0}}},
		{"web-1 -> 192.0.2.1 icmp ping", []rec{{"203.0.113.10:0", "192.0.2.1:2048", 1, 0}, {"192.0.2.1:0", "203.0.113.10:0", 1, 0}}},
		{"v6 -> 2001:db8::1 icmp ping", []rec{
			{"[2001:db8::10]:0", "[2001:db8::1]:32768", 1, 0}, {"[2001:db8::1]:0", "[2001:db8::10]:33024", 1, 0}}},
		{"for 3s web-1 -> 192.0.2.1:80 tcp flood 5pps flags=ack sport=7", []rec{
			{"203.0.113.10:7", "192.0.2.1:80", 5, weir.ACK}, {"203.0.113.10:7", "192.0.2.1:80", 5, weir.ACK},
			{"203.0.113.10:7", "192.0.2.1:80", 5, weir.ACK}}},
		{"for 1s web-1 -> 192.0.2.1-192.0.2.3:80 udp flood 3pps", []rec{
			{"203.0.113.10", "192.0.2.1:80", 1, 0}, {"203.0.113.10", "192.0.2.2:80", 1, 0}, {"203.0.113.10", "192.0.2.3:80", 1, 0}}},
		{"count 4 web-1 -> 192.0.2.0/31:22-23 tcp syn", []rec{
			{"203.0.113.10", "192.0.2.0:22", 1, weir.SYN}, {"203.0.113.10", "192.0.2.1:22", 1, weir.SYN},
			{"203.0.113.10", "192.0.2.0:23", 1, weir.SYN}, {"203.0.113.10", "192.0.2.1:23", 1, weir.SYN}}},
		{"from 192.0.2.0/31 each -> web-1:22 tcp syn", []rec{
			{"192.0.2.0", "203.0.113.10:22", 1, weir.SYN}, {"192.0.2.1", "203.0.113.10:22", 1, weir.SYN}}},
	} {
		var got []rec
		for _, f := range flowsOf(t, c.text+"\n") {
			r := rec{f.Src.String(), f.Dst.String(), f.Packets, f.TCPFlags}
			for _, end := range []*string{&r.Src, &r.Dst} {
				if ap := netip.MustParseAddrPort(*end); ap.Port() >= ephemeralFirst && f.Proto != weir.ProtoICMPv6 {
					*end = ap.Addr().String()
				}
			}
			got = append(got, r)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s\n%s", c.text, d)
		}
	}
}

func TestLongConnectionsAreCut(t *testing.T) {
	flows := flowsOf(t, "198.51.100.7 -> web-1:22 tcp session lasts=10m packets=600 replies=600\n")
	packets := uint64(0)
	for _, f := range flows {
		if packets += f.Packets; f.End-f.Start > activeTimeout {
			t.Errorf("a record of %v", time.Duration(f.End-f.Start))
		}
	}
	if packets != 1200 || len(flows) < 20 || len(flows) > 24 {
		t.Errorf("%d packets in %d records", packets, len(flows))
	}
	flows = flowsOf(t, "records bidirectional\n198.51.100.7 -> web-1:22 tcp login\n")
	if len(flows) != 1 || flows[0].RevPackets < 10 || !flows[0].Known.Has(weir.HasReverse|weir.HasRevFlags) || flows[0].Initiator != weir.InitiatorSrc {
		t.Errorf("bidirectional: %+v", flows)
	}
}

// A counter takes each N-th packet of all lines together, so two connections of
// 15 packets in turn never show more than one packet each, and the number of
// packets taken is exact.
func TestCounted(t *testing.T) {
	flows := flowsOf(t, "sampling 1/32 counted\nevery 2s count 3200 198.51.100.7 -> web-1:22 tcp login packets=15 replies=15\n"+
		"at 00:00:01 every 2s count 3200 198.51.100.8 -> web-1:22 tcp login packets=15 replies=15\n")
	packets := uint64(0)
	for i := range flows {
		packets += flows[i].Packets
		if flows[i].Packets != 1 || flows[i].Sampling != 32 {
			t.Fatalf("%d packets of a connection at 1 in %d", flows[i].Packets, flows[i].Sampling)
		}
	}
	if packets != 2*3200*30/32 {
		t.Errorf("%d packets were taken of %d", packets, 2*3200*30)
	}
}

// Thinning decides per packet: the shares of connections and packets that are
// seen are those of detection-checks, section 1.
func TestThinning(t *testing.T) {
	const connections = 40000
	flows := flowsOf(t, "every 1s count 40000 198.51.100.7 -> web-1:22 tcp login packets=15 oneway sampled 1/64\n")
	packets, syn := uint64(0), 0
	for _, f := range flows {
		packets += f.Packets
		if f.TCPFlags&weir.SYN != 0 {
			syn++
		}
		if f.Sampling != 64 || f.SamplingSource != weir.SamplingRecord {
			t.Fatalf("sampling %d from %v", f.Sampling, f.SamplingSource)
		}
	}
	within := func(what string, got, mean, variance float64) {
		t.Helper()
		if d := math.Abs(got - mean); d > 5*math.Sqrt(variance) {
			t.Errorf("%s: %v, expected %v ± %v", what, got, mean, math.Sqrt(variance))
		}
	}
	const seen, p = 0.210397286661, 1.0 / 64
	within("connections seen", float64(len(flows)), connections*seen, connections*seen*(1-seen))
	within("packets", float64(packets), connections*15*p, connections*15*p*(1-p))
	within("SYNs", float64(syn), connections*p, connections*p*(1-p))

	if flows := flowsOf(t, "198.51.100.7 -> web-1:22 tcp session packets=5000 sampled 1/100 hidden\n"); flows[0].Sampling != 0 ||
		flows[0].SamplingSource != weir.SamplingUnknown {
		t.Errorf("a hidden rate is told: %+v", flows[0])
	}
}

func TestRandomArrivals(t *testing.T) {
	flows := flowsOf(t, "every 1s count 20000 randomly 198.51.100.7 -> web-1:22 tcp syn\n")
	var gaps []float64
	for i := 1; i < len(flows); i++ {
		gaps = append(gaps, float64(flows[i].Start-flows[i-1].Start)/1e9)
	}
	mean, square := 0.0, 0.0
	for _, g := range gaps {
		mean += g / float64(len(gaps))
		square += g * g / float64(len(gaps))
	}
	// Mean and standard deviation of an exponential are equal; 5 sigma of 20000.
	if sd := math.Sqrt(square - mean*mean); math.Abs(mean-1) > 0.04 || math.Abs(sd-1) > 0.05 {
		t.Errorf("mean %v, deviation %v", mean, sd)
	}
	flows = flowsOf(t, "every 10s count 1000 jitter 20% 198.51.100.7 -> web-1:22 tcp syn\n")
	for i := 1; i < len(flows); i++ {
		if g := time.Duration(flows[i].Start - flows[i-1].Start); g < 8*time.Second || g > 12*time.Second {
			t.Fatalf("a gap of %v", g)
		}
	}
}

func TestDays(t *testing.T) {
	days := func(text string) (out []string) {
		for _, f := range flowsOf(t, "start 2026-01-09\ndays 5\n"+text) { // a Friday
			out = append(out, time.Unix(0, f.Start).UTC().Format("Mon 15:04"))
		}
		return out
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{"daily at 09:30 198.51.100.7 -> web-1:22 tcp syn\n", []string{"Fri 09:30", "Sat 09:30", "Sun 09:30", "Mon 09:30", "Tue 09:30"}},
		{"weekdays at 09:30 198.51.100.7 -> web-1:22 tcp syn\n", []string{"Fri 09:30", "Mon 09:30", "Tue 09:30"}},
		{"day 3 at 20m 198.51.100.7 -> web-1:22 tcp syn\n", []string{"Sun 00:20"}},
		{"at 00:20 198.51.100.7 -> web-1:22 tcp syn\n", []string{"Fri 00:20"}},
		{"daily at 23:00 every 1h count 2 198.51.100.7 -> web-1:22 tcp syn\n", []string{"Fri 23:00", "Sat 00:00", "Sat 23:00", "Sun 00:00",
			"Sun 23:00", "Mon 00:00", "Mon 23:00", "Tue 00:00", "Tue 23:00", "Wed 00:00"}},
	} {
		if d := cmp.Diff(c.want, days(c.text)); d != "" {
			t.Errorf("%s%s", c.text, d)
		}
	}
	s := parse(t, "days 2\nhost web-1 10.0.0.1\nday 2 at 01:00 for 30m every 1m 198.51.100.7 -> web-1:22 tcp syn\n")
	if first, last := s.Span(); !first.Equal(DefaultStart()) || !last.Equal(DefaultStart().Add(25*time.Hour+30*time.Minute)) {
		t.Errorf("span %v to %v", first, last)
	}
}

const mixed = `resource web-1 203.0.113.10
daily every 7s for 1h 198.51.100.0/24 any -> web-1:22 tcp login sampled 1/3
every 30s jitter 30% for 1h web-1 -> 192.0.2.1:443 tcp beacon
every 10m for 1h 198.51.100.9 -> web-1:22 tcp session lasts=20m packets=500 replies=400
at 00:10 for 10s web-1 -> 192.0.2.9:80 tcp flood 300pps
every 1m for 1h randomly web-1 -> 192.0.2.53:53 udp exchange
`

func TestGeneratorIsDeterministicAndOrdered(t *testing.T) {
	s := parse(t, mixed)
	a, b := drain(t, s), drain(t, s)
	if len(a) < 3000 || !slices.Equal(a, b) {
		t.Fatalf("two runs differ, or are short: %d and %d flows", len(a), len(b))
	}
	if !slices.IsSortedFunc(a, func(x, y weir.Flow) int { return int(min(max(x.End-y.End, -1), 1)) }) {
		t.Error("the flows are not in order of their end")
	}
	c := drain(t, parse(t, "seed 2\n"+mixed))
	other, err := Parse("other.scn", mixed)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(a, c) || slices.Equal(a, drain(t, other)) {
		t.Error("seed or name make no difference")
	}
	// A line more does not change what the others make.
	d := drain(t, parse(t, mixed+"198.51.100.77 -> web-1:23 tcp syn\n"))
	if d = slices.DeleteFunc(d, func(f weir.Flow) bool { return f.Dst.Port() == 23 }); !slices.Equal(a, d) {
		t.Error("a line more changes the others")
	}
}

func TestGeneratorRun(t *testing.T) {
	s := parse(t, mixed)
	var got []weir.Flow
	mark := int64(0)
	err := s.Flows().Run(t.Context(), func(b weir.Batch) error {
		for i := range b.Flows {
			if b.Flows[i].End < mark {
				t.Fatalf("a flow ends %v before the watermark", time.Duration(mark-b.Flows[i].End))
			}
		}
		if b.Watermark != 0 && b.Watermark < mark {
			t.Fatal("the watermark falls")
		}
		got, mark = append(got, b.Flows...), b.Watermark
		return nil
	})
	if err != nil || !slices.Equal(got, drain(t, s)) {
		t.Errorf("%d flows, %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flows().Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	gone := errors.New("gone")
	if err := s.Flows().Run(t.Context(), func(weir.Batch) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("emit failed: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(mixed)
	f.Add("host a 10.0.0.1-10.0.0.9\nevery 1s count 3 from a each -> [2001:db8::/120]:1-3 any tcp half sport=1 oneway\nexpect nothing\n")
	f.Add("expect no SSH_* attacker=* count=3\nintel c2 10.0.0.1 seen 2026-01-01\nallow 10.0.0.0/8 \"x\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f.scn", text)
		if err != nil {
			return
		}
		g := s.Flows()
		last := int64(math.MinInt64)
		var flows []weir.Flow
		for range 3 {
			flows, err = g.Read(flows[:0])
			for _, x := range flows {
				if x.End < last || x.Start > x.End || x.Packets+x.RevPackets == 0 || !x.Src.IsValid() || !x.Dst.IsValid() {
					t.Fatalf("flow %+v", x)
				}
				last = x.End
			}
			if err != nil {
				break
			}
		}
	})
}

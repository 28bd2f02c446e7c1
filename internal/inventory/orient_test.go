package inventory

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	weir "github.com/weir-net/weir"
)

const known = weir.HasPackets | weir.HasBytes | weir.HasFlags | weir.HasPorts

// flow returns a TCP record with flags and a packet count.
func flow(src, dst string, flags uint16, packets uint64) weir.Flow {
	return weir.Flow{
		Start: 1e9, End: 2e9, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Proto: weir.ProtoTCP,
		Packets: packets, Bytes: packets * 60, TCPFlags: flags, Known: known, InputIf: 7, OutputIf: 9,
	}
}

func mustParse(t testing.TB, text string) *Inventory {
	t.Helper()
	inv, err := Parse("inventory.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func dirconf(odds float64) float64 { return 1 / (1 + math.Pow(10, -math.Abs(odds))) }

// TestDirectionReference holds the table of the detection checks, section 18. The
// learnt listener of that table belongs to the detectors.
func TestDirectionReference(t *testing.T) {
	inv := mustParse(t, `
resources:
  - {id: client, addresses: [203.0.113.1]}
  - {id: listener, addresses: [203.0.113.2], listeners: [{port: 40000}]}
`)
	o := NewOrienter(inv, DefaultServicePorts())
	initiated := flow("203.0.113.1:40000", "198.51.100.1:40001", 0, 5)
	initiated.Initiator = weir.InitiatorSrc
	tests := []struct {
		name   string
		flow   weir.Flow
		odds   float64 // that the source is the client
		client string
		conf   float64
	}{
		{"pure SYN, one packet", flow("203.0.113.1:40000", "198.51.100.1:40001", weir.SYN, 1), 3, "src", 0.999001},
		{
			"pure SYN + service port on dst + ephemeral 0.5",
			flow("203.0.113.1:40000", "198.51.100.1:3389", weir.SYN, 1), 5, "src", 0.999990,
		},
		{
			"SYN+ACK, one packet, configured listener on src",
			flow("203.0.113.2:40000", "198.51.100.1:40001", weir.SYN|weir.ACK, 1), -5, "dst", 0.999990,
		},
		{"service port on dst only", flow("203.0.113.1:20000", "198.51.100.1:3389", weir.ACK, 3), 1.5, "src", 0.969347},
		{"ephemeral 1.0 only", flow("203.0.113.1:40000", "198.51.100.1:1000", weir.ACK, 3), 1, "", 0.909091},
		{"RST only from src", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.RST, 1), -0.5, "", 0.759747},
		{
			"SYN and ACK both in OR, service port on dst, ephemeral 0.5",
			flow("203.0.113.1:40000", "198.51.100.1:3389", weir.SYN|weir.ACK|weir.PSH, 9), 2, "src", 0.990099,
		},
		{"exporter says src is client", initiated, 4, "src", 0.999900},
	}
	for _, tt := range tests {
		cs := o.Contacts(&tt.flow, nil)
		if len(cs) != 1 {
			t.Fatalf("%s: %d contacts", tt.name, len(cs))
		}
		got := float64(cs[0].LogOdds)
		client := ""
		switch {
		case got >= decided:
			client = "src"
		case got <= -decided:
			client = "dst"
		}
		if math.Abs(got-tt.odds) > 1e-6 || client != tt.client || math.Abs(dirconf(got)-tt.conf) > 1e-6 {
			t.Errorf("%s: odds %v, client %q, confidence %.6f; want %v, %q, %v", tt.name, got, client, dirconf(got), tt.odds, tt.client, tt.conf)
		}
	}
}

func TestDirection(t *testing.T) {
	inv := mustParse(t, `
resources:
  - {id: own, addresses: [203.0.113.1], listeners: [{port: 20022, service: ssh}, {port: 5000, proto: udp}]}
  - {id: other, addresses: [203.0.113.2]}
  - id: lb
    kind: load-balancer
    addresses: [203.0.113.3]
    backends: [{resource: other, frontendPort: 20080, backendPort: 20081}]
`)
	o := NewOrienter(inv, DefaultServicePorts())
	with := func(f weir.Flow, change func(*weir.Flow)) weir.Flow {
		change(&f)
		return f
	}
	biflow := func(f weir.Flow, revFlags uint16, revPackets uint64) weir.Flow {
		return with(f, func(f *weir.Flow) {
			f.Known |= weir.HasReverse | weir.HasRevFlags
			f.RevTCPFlags, f.RevPackets = revFlags, revPackets
		})
	}
	ack := uint16(weir.ACK)
	tests := []struct {
		name string
		flow weir.Flow
		odds float64 // that the source is the client
	}{
		{"service port on the protected side", flow("198.51.100.1:20000", "203.0.113.1:22", ack, 3), 2},
		{"the same with an ephemeral port", flow("198.51.100.1:50000", "203.0.113.1:22", ack, 3), 3},
		{"inventory listener", flow("198.51.100.1:20000", "203.0.113.1:20022", ack, 3), 2},
		{"listener of another protocol", flow("198.51.100.1:20000", "203.0.113.1:5000", ack, 3), 0},
		{"rule of a load balancer", flow("198.51.100.1:20000", "203.0.113.3:20080", ack, 3), 2},
		{"backend port is no listener of the front", flow("198.51.100.1:20000", "203.0.113.3:20081", ack, 3), 0},
		{"both protected, service on one", flow("203.0.113.2:20000", "203.0.113.1:22", ack, 3), 2},
		{"both have a service port", flow("198.51.100.1:443", "203.0.113.1:22", ack, 3), 0},
		{"inventory listener against a service port", flow("198.51.100.1:443", "203.0.113.1:20022", ack, 3), 2},
		{"same port on both sides", flow("198.51.100.1:22", "203.0.113.1:22", ack, 3), 0},
		{"same port, SYN", flow("198.51.100.1:22", "203.0.113.1:22", weir.SYN, 1), 3},
		{"retransmitted SYN", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 4), 3},
		{"SYN and RST", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|weir.RST, 2), 3},
		{"SYN with ECN", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|0xc0, 1), 3},
		{"single RST+ACK", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.RST|weir.ACK, 1), -0.5},
		{"RST+ACK in many packets", flow("203.0.113.1:20000", "198.51.100.1:20001", weir.RST|weir.ACK, 9), 0},
		{"SYN+ACK, packets unknown", with(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|weir.ACK, 1), func(f *weir.Flow) { f.Known &^= weir.HasPackets }), 0},
		{"SYN+ACK of sFlow", with(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|weir.ACK, 0), func(f *weir.Flow) { f.Format = weir.FormatSFlow }), -3},
		{"flags unknown", with(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 1), func(f *weir.Flow) { f.Known &^= weir.HasFlags }), 0},
		{"ports unknown", with(flow("203.0.113.1:50000", "198.51.100.1:22", ack, 1), func(f *weir.Flow) { f.Known &^= weir.HasPorts }), 0},
		{"fragment", with(flow("203.0.113.1:50000", "198.51.100.1:22", ack, 1), func(f *weir.Flow) { f.Known |= weir.IsFragment }), 0},
		{"dst is the initiator", with(flow("203.0.113.1:20000", "198.51.100.1:20001", ack, 3), func(f *weir.Flow) { f.Initiator = weir.InitiatorDst }), -4},
		{"UDP service", with(flow("203.0.113.1:50000", "198.51.100.1:53", weir.SYN, 1), func(f *weir.Flow) { f.Proto = weir.ProtoUDP }), 2.5},
		{"UDP listener", with(flow("198.51.100.1:20000", "203.0.113.1:5000", 0, 1), func(f *weir.Flow) { f.Proto = weir.ProtoUDP }), 2},
		{"ICMP has no ports", with(flow("198.51.100.1:0", "203.0.113.1:2048", 0, 1), func(f *weir.Flow) { f.Proto = weir.ProtoICMP }), 0},
		{"biflow, SYN answered by SYN+ACK", biflow(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 1), weir.SYN|weir.ACK, 1), 3},
		{"biflow, the other way round", biflow(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|weir.ACK, 1), weir.SYN, 1), -3},
		{"biflow, SYN answered by RST", biflow(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 1), weir.RST|weir.ACK, 1), 3},
		{"biflow, full", biflow(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN|weir.ACK, 9), weir.SYN|weir.ACK, 9), 0},
		{"biflow, joined flags", with(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 1), func(f *weir.Flow) { f.Known |= weir.HasReverse; f.RevPackets = 1 }), 0},
		{"biflow, joined flags, no reply", with(flow("203.0.113.1:20000", "198.51.100.1:20001", weir.SYN, 1), func(f *weir.Flow) { f.Known |= weir.HasReverse }), 3},
	}
	for _, tt := range tests {
		cs := o.Contacts(&tt.flow, nil)
		if len(cs) == 0 {
			t.Errorf("%s: no contact", tt.name)
		}
		for _, c := range cs {
			want := tt.odds
			if !c.FromOwn {
				want = -want
			}
			if math.Abs(float64(c.LogOdds)-want) > 1e-6 {
				t.Errorf("%s: log-odds of %s are %v, want %v", tt.name, c.Own, c.LogOdds, want)
			}
		}
	}
}

func TestContactFields(t *testing.T) {
	inv := mustParse(t, `
resources:
  - {id: a, addresses: [203.0.113.1, "2001:db8::1"]}
  - {id: b, addresses: [203.0.113.2]}
allow:
  - {prefix: 198.51.100.7/32, reason: ours, until: "1970-01-01T00:00:02Z"}
  - {prefix: 192.0.2.0/24, reason: partner}
`)
	o := NewOrienter(inv, DefaultServicePorts())
	a, b := inv.Resources()[0], inv.Resources()[1]
	f := flow("203.0.113.1:50000", "203.0.113.2:22", weir.SYN, 1)
	f.Sampling, f.SamplingSource, f.Exporter, f.Domain = 1000, weir.SamplingConfig, netip.MustParseAddr("192.0.2.1"), 4
	f.Action, f.Format = weir.ActionAllow, weir.FormatIPFIX
	f.Known |= weir.IsEgress // where a flow was metered is no matter of its contacts
	common := weir.Contact{
		Start: 1e9, End: 2e9, Sampling: 1000, SamplingSource: weir.SamplingConfig, Proto: weir.ProtoTCP, Known: known,
		Action: weir.ActionAllow, Format: weir.FormatIPFIX, PeerIsOwn: true, Exporter: f.Exporter, Domain: 4,
	}
	wantA, wantB := common, common
	count := weir.Counters{Packets: 1, Bytes: 60, Flags: weir.SYN}
	wantA.Resource, wantA.Own, wantA.Peer, wantA.Out, wantA.FromOwn, wantA.Interface, wantA.LogOdds = a, f.Src, f.Dst, count, true, 9, 6
	wantB.Resource, wantB.Own, wantB.Peer, wantB.In, wantB.Interface, wantB.LogOdds = b, f.Dst, f.Src, count, 7, -6
	wantA.Key, wantB.Key = a.Key(), b.Key()
	if diff := cmp.Diff([]weir.Contact{wantA, wantB}, o.Contacts(&f, nil), cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})); diff != "" {
		t.Error(diff)
	}

	// A bidirectional record fills both directions.
	f = flow("198.51.100.1:50000", "203.0.113.1:22", weir.SYN, 3)
	f.Known |= weir.HasReverse | weir.HasRevFlags
	f.RevPackets, f.RevBytes, f.RevTCPFlags = 2, 99, weir.ACK
	c := o.Contacts(&f, nil)[0]
	if (c.In != weir.Counters{Packets: 3, Bytes: 180, Flags: weir.SYN}) || (c.Out != weir.Counters{Packets: 2, Bytes: 99, Flags: weir.ACK}) {
		t.Errorf("in %+v out %+v", c.In, c.Out)
	}
	f.Known &^= weir.HasRevFlags
	if c = o.Contacts(&f, nil)[0]; c.In.Flags != weir.SYN || c.Out.Flags != 0 {
		t.Errorf("joined flags: in %+v out %+v", c.In, c.Out)
	}
	f.Known &^= weir.HasReverse
	if c = o.Contacts(&f, nil)[0]; c.Out != (weir.Counters{}) {
		t.Errorf("unidirectional: out %+v", c.Out)
	}

	// The allow list follows event time; health probes are always on it.
	for _, tt := range []struct {
		peer string
		end  int64
		want bool
	}{
		{"198.51.100.7", 1_999_999_999, true}, {"198.51.100.7", 2_000_000_000, false}, {"198.51.100.8", 0, false},
		{"192.0.2.200", 1 << 62, true}, {"168.63.129.16", 0, true}, {"35.191.3.4", 0, true}, {"15.177.1.1", 0, true},
	} {
		f := flow(tt.peer+":50000", "203.0.113.1:22", weir.SYN, 1)
		f.End = tt.end
		if c := o.Contacts(&f, nil)[0]; c.Allowed != tt.want {
			t.Errorf("%s at %d: allowed %v", tt.peer, tt.end, c.Allowed)
		}
	}
	if a, ok := inv.AllowedBy(netip.MustParseAddr("192.0.2.9"), 5); !ok || a.Reason != "partner" {
		t.Errorf("AllowedBy: %+v %v", a, ok)
	}

	// Nothing for foreign traffic, nothing for a resource with itself.
	foreign, self := flow("198.51.100.1:1", "198.51.100.2:2", 0, 1), flow("203.0.113.1:1", "203.0.113.1:2", 0, 1)
	if n := len(o.Contacts(&foreign, nil)) + len(o.Contacts(&self, nil)); n != 0 || o.Counts().Self != 1 {
		t.Errorf("%d contacts, counts %+v", n, o.Counts())
	}
}

// leg is a contact in short.
type leg struct {
	id      string
	own     string
	back    bool
	fromOwn bool
	member  string
}

func legs(cs []weir.Contact) (all []leg) {
	for _, c := range cs {
		all = append(all, leg{c.Resource.ID, c.Own.String(), c.Leg == weir.BackLeg, c.FromOwn, c.Member})
	}
	return all
}

func TestLegs(t *testing.T) {
	inv := mustParse(t, `
resources:
  - {id: web-1, addresses: [203.0.113.10], privateAddresses: [10.0.0.4]}
  - {id: web-2, privateAddresses: [10.0.0.5]}
  - {id: alone, privateAddresses: [10.0.0.9]}
  - id: lb-1
    kind: load-balancer
    addresses: [203.0.113.20]
    privateAddresses: [10.0.0.100]
    backends:
      - {resource: web-1, frontendPort: 2200, backendPort: 22}
      - {resource: web-2, frontendPort: 2200, backendPort: 22}
  - id: lb-2
    kind: load-balancer
    addresses: [203.0.113.21]
    backends: [{resource: web-2}]
`)
	o := NewOrienter(inv, DefaultServicePorts())
	const peer = "198.51.100.1:50000"
	azure := func(f weir.Flow) weir.Flow { f.Format = weir.FormatAzureVNet; return f }
	tests := []struct {
		name string
		flow weir.Flow
		want []leg
	}{
		{"front", flow(peer, "203.0.113.20:2200", weir.ACK, 3), []leg{{"lb-1", "203.0.113.20:2200", false, false, ""}}},
		{"own public address of a member", flow(peer, "203.0.113.10:22", weir.ACK, 3), []leg{{"web-1", "203.0.113.10:22", false, false, ""}}},
		{"private address of a member with its own", flow(peer, "10.0.0.4:22", weir.ACK, 3), []leg{{"lb-1", "10.0.0.4:22", true, false, "web-1"}, {"web-1", "10.0.0.4:22", false, false, ""}}},
		{"the same off the rule", flow(peer, "10.0.0.4:3389", weir.ACK, 3), []leg{{"web-1", "10.0.0.4:3389", false, false, ""}}},
		{"member without own address", flow(peer, "10.0.0.5:22", weir.ACK, 3), []leg{{"lb-1", "10.0.0.5:22", true, false, "web-2"}, {"lb-2", "10.0.0.5:22", true, false, "web-2"}}},
		{"the same, answer", flow("10.0.0.5:22", peer, weir.ACK, 3), []leg{{"lb-1", "10.0.0.5:22", true, true, "web-2"}, {"lb-2", "10.0.0.5:22", true, true, "web-2"}}},
		{"the same off one rule", flow(peer, "10.0.0.5:80", weir.ACK, 3), []leg{{"lb-2", "10.0.0.5:80", true, false, "web-2"}}},
		{"the same in a log without front", azure(flow(peer, "10.0.0.5:80", weir.ACK, 3)), []leg{{"lb-2", "10.0.0.5:80", true, false, "web-2"}, {"web-2", "10.0.0.5:80", false, false, ""}}},
		{"member as client", flow("10.0.0.5:50000", "198.51.100.1:22", weir.SYN, 1), []leg{{"lb-1", "10.0.0.5:50000", true, true, "web-2"}, {"lb-2", "10.0.0.5:50000", true, true, "web-2"}, {"web-2", "10.0.0.5:50000", false, true, ""}}},
		{"answer to a member as client", flow("198.51.100.1:22", "10.0.0.5:50000", weir.SYN|weir.ACK, 1), []leg{{"lb-1", "10.0.0.5:50000", true, false, "web-2"}, {"lb-2", "10.0.0.5:50000", true, false, "web-2"}, {"web-2", "10.0.0.5:50000", false, false, ""}}},
		{"member with its own address as client", flow("10.0.0.4:50000", "198.51.100.1:22", weir.SYN, 1), []leg{{"web-1", "10.0.0.4:50000", false, true, ""}}},
		{"member as client of a private machine", flow("10.0.0.5:50000", "10.0.0.9:22", weir.SYN, 1), []leg{{"web-2", "10.0.0.5:50000", false, true, ""}, {"alone", "10.0.0.9:22", false, false, ""}}},
		{"balancer to member", flow("203.0.113.20:40000", "10.0.0.5:22", weir.SYN, 1), []leg{{"lb-1", "203.0.113.20:40000", true, true, "web-2"}, {"web-2", "10.0.0.5:22", true, false, ""}}},
		{"balancer to a stranger", flow("10.0.0.100:40000", "10.0.0.9:22", weir.SYN, 1), []leg{{"lb-1", "10.0.0.100:40000", false, true, ""}, {"alone", "10.0.0.9:22", false, false, ""}}},
		{"private address without pool", flow(peer, "10.0.0.9:22", weir.ACK, 3), []leg{{"alone", "10.0.0.9:22", false, false, ""}}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, legs(o.Contacts(&tt.flow, nil)), cmp.AllowUnexported(leg{})); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if r, l := inv.Lookup(netip.MustParseAddr("10.0.0.5")); r.ID != "web-2" || l != weir.BackLeg {
		t.Errorf("Lookup of a member: %v %v", r.ID, l)
	}
	if r, l := inv.Lookup(netip.MustParseAddr("10.0.0.4")); r.ID != "web-1" || l != weir.FrontLeg {
		t.Errorf("Lookup of a member with its own address: %v %v", r.ID, l)
	}
	lb, _ := inv.Lookup(netip.MustParseAddr("203.0.113.20"))
	want := []Member{
		{"web-1", []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("203.0.113.10")}},
		{"web-2", []netip.Addr{netip.MustParseAddr("10.0.0.5")}},
	}
	if diff := cmp.Diff(want, inv.Members(lb), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestAmbiguous(t *testing.T) {
	inv := mustParse(t, `
resources:
  - {id: one, tenant: a, privateAddresses: [10.0.0.4]}
  - {id: one, tenant: b, privateAddresses: [10.0.0.4]}
  - {id: two, tenant: a, privateAddresses: [10.0.0.5, 10.9.0.1]}
  - {id: public, addresses: [198.51.100.1]}
networks:
  - {prefix: 10.9.0.0/16, tenant: b}
  - {prefix: 10.8.0.0/16, tenant: a}
  - {prefix: 10.8.0.0/16, tenant: b}
  - {prefix: 10.9.5.0/24, tenant: c}
  - {prefix: 198.51.100.0/24, tenant: lab}
`)
	o := NewOrienter(inv, DefaultServicePorts())
	for _, tt := range []struct {
		addr string
		want string // id, empty for ambiguous
	}{
		{"10.0.0.4", ""}, {"10.0.0.5", "two"}, {"10.9.0.1", ""}, {"10.9.0.2", "10.9.0.2"}, {"10.8.1.1", ""}, {"10.9.5.1", ""},
		{"198.51.100.1", "public"}, {"198.51.100.2", "198.51.100.2"},
	} {
		a := netip.MustParseAddr(tt.addr)
		r, _ := inv.Lookup(a)
		if got := r != nil; got != (tt.want != "") || got && r.ID != tt.want || inv.Ambiguous(a) != (tt.want == "") {
			t.Errorf("Lookup(%s) = %v, want %q", tt.addr, r, tt.want)
		}
		f := flow("192.0.2.1:50000", tt.addr+":22", weir.SYN, 1)
		if n := len(o.Contacts(&f, nil)); (n == 0) != (tt.want == "") {
			t.Errorf("%s: %d contacts", tt.addr, n)
		}
	}
	f := flow("10.0.0.4:50000", "198.51.100.1:22", weir.SYN, 1)
	if cs := o.Contacts(&f, nil); len(cs) != 1 || !cs[0].PeerIsOwn || cs[0].Resource.ID != "public" {
		t.Errorf("an ambiguous peer is ours: %+v", cs)
	}
	if got := o.Counts().Ambiguous; got != 5 {
		t.Errorf("%d ambiguous ends, want 5", got)
	}
	if len(inv.Warnings()) != 2 {
		t.Errorf("warnings %q", inv.Warnings())
	}
}

func TestServicePorts(t *testing.T) {
	ports := DefaultServicePorts()
	if ports[ServicePort{weir.ProtoTCP, 22}] != "ssh" || ports[ServicePort{weir.ProtoUDP, 123}] != "ntp" || ports[ServicePort{weir.ProtoTCP, 123}] != "" {
		t.Error("the table is not that of the reference")
	}
	if err := ports.Add("ssh", []string{"tcp/2022", "UDP/2022"}); err != nil || ports[ServicePort{weir.ProtoUDP, 2022}] != "ssh" {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"22", "tcp/0", "tcp/65536", "icmp/1", "tcp/", "/22", "tcp/22/1"} {
		before := len(ports)
		if err := ports.Add("x", []string{"tcp/4000", bad}); err == nil || len(ports) != before {
			t.Errorf("%q passed", bad)
		}
	}
}

package catalog

import (
	"encoding/json"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

var update = flag.Bool("update", false, "write the golden files and the rule pages")

// golden compares got with a file under testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is stale, run with -update: (-want +got)\n%s", path, diff)
	}
}

// example returns one alert of a type with documentation addresses.
func example(typ weir.AlertType) *weir.Alert {
	start := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC).UnixNano()
	minute := int64(time.Minute)
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) }
	f := weir.Finding{
		Type: typ,
		Resource: &weir.Resource{
			ID:   "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines/web-1",
			Name: "web-1", Kind: weir.VirtualMachine,
		},
		Own: netip.MustParseAddr("203.0.113.10"), Direction: weir.Incoming, Proto: weir.ProtoTCP,
		At: start + 12*minute, First: start + 1500, Last: start + 10*minute, Quiet: 30 * time.Minute, Window: time.Hour,
		Peers:    []weir.PeerEvidence{{Address: peer(7), Packets: 17, Bytes: 2512, Connections: 15, Lower: 420, Estimate: new(1308.0), First: start + 1500, Last: start + 10*minute}},
		Count:    15,
		Observed: 15, Expected: 0.4, Threshold: 6, Floor: 30, Unit: weir.UnitConnections, Surprise: 12.34, Confidence: 0.93,
		Sampling: weir.Sampling{Rate: 1000, Source: weir.SamplingRecord, Estimate: new(1308.0), Low95: new(762.0), High95: new(2094.0)},
		Baseline: &weir.BaselineInfo{Phase: 2, AgeDays: 14.2, Mean: 0.4, Dispersion: 0.7},
		Series:   []weir.Point{{Time: start, Observed: 9, Expected: 0.2}, {Time: start + 6*minute, Observed: 6, Expected: 0.2}},
		Records: []weir.RecordEvidence{{
			Start: start + 1500, End: start + 1500, Src: netip.MustParseAddrPort("198.51.100.7:40112"), Dst: netip.MustParseAddrPort("203.0.113.10:22"),
			Proto: 6, Flags: 2, Packets: 1, Bytes: 60, Sampling: 1000, Exporter: netip.MustParseAddr("192.0.2.1"),
		}},
	}
	service := func(name string, port uint16) {
		f.Service, f.Port = name, port
		f.Ports = []weir.PortCount{{Port: port, Protocol: "tcp", Service: name, Count: 15}}
	}
	many := func(n int, unit weir.Unit) {
		f.Peers = nil
		for i := range n {
			f.Peers = append(f.Peers, weir.PeerEvidence{Address: peer(i + 1), Packets: 20, Bytes: 3000, Connections: 18, Lower: 18, First: start + 1500, Last: start + 10*minute})
		}
		f.Unit, f.Count, f.Observed, f.Expected, f.Threshold, f.Floor = unit, uint64(n), float64(n), 1.5, 9, 5
		f.Sampling = weir.Sampling{Rate: 1, Source: weir.SamplingFormat, Estimate: new(float64(n)), Low95: new(float64(n)), High95: new(float64(n))}
	}
	intel := func(prefix string, category weir.Category, family string) {
		f.Intel = []weir.IntelEvidence{{
			Indicator: weir.Indicator{
				Prefix: netip.MustParsePrefix(prefix), Port: 443, Proto: 6, Category: category, Family: family, Source: "feodo", Confidence: 80,
				FirstSeen: start - 40*24*60*minute, LastSeen: start - 2*24*60*minute,
			},
			Score: 72.4, AgeDays: 2,
		}}
		f.Unit, f.Observed, f.Expected, f.Threshold, f.Floor, f.Surprise, f.Baseline = weir.UnitScore, 72.4, 0, 50, 0, 0, nil
		f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = nil, nil, nil
	}
	switch typ {
	case weir.CommunicationWithC2:
		f.Direction, f.Window, f.Service, f.Port = weir.Outgoing, 24*time.Hour, "HTTPS", 443
		intel("198.51.100.7/32", weir.CategoryC2, "Emotet")
	case weir.ResourceIPMalicious:
		f.Direction, f.Window, f.Peers, f.Count, f.Records = weir.Outgoing, 24*time.Hour, nil, 0, nil
		intel("203.0.113.10/32", weir.CategoryInfected, "conficker")
		f.Limits = []weir.Limit{{Code: weir.LimitLeaseUnknown}}
	case weir.GenericIncomingOneToOne:
		service("FTP", 21)
		f.Baseline.Phase, f.Baseline.AgeDays = 0, 0.3
		f.Limits = []weir.Limit{{Code: weir.LimitColdStart}, {Code: weir.LimitThinned, Arg: "10"}}
	case weir.SQLIncomingOneToOne:
		service("MySQL", 3306)
		f.Sampling = weir.Sampling{}
		f.Limits = []weir.Limit{{Code: weir.LimitRateUnknown}}
	case weir.DDoS:
		many(12, weir.UnitPacketsPerS)
		f.Direction, f.Window, f.Observed, f.Expected, f.Threshold, f.Floor, f.Count = weir.Outgoing, 3*time.Minute, 4301, 12, 1000, 1000, 300
		f.Sampling = weir.Sampling{Rate: 1000, Source: weir.SamplingConfig, Estimate: new(5000.0), Low95: new(4450.0), High95: new(5599.0)}
		f.Facts = map[string]string{"class": "syn"}
		f.Limits = []weir.Limit{{Code: weir.LimitMayBeLegitimate}}
	case weir.RDPIncomingManyToOne, weir.SSHIncomingManyToOne:
		service(string(typ[:3]), map[bool]uint16{true: 3389, false: 22}[typ == weir.RDPIncomingManyToOne])
		many(6, weir.UnitSources)
	case weir.RDPIncomingOneToOne:
		service("RDP", 3389)
		f.Resource.Kind, f.Resource.Name = weir.LoadBalancer, "lb-1"
		f.Backends = []weir.BackendLikelihood{{ID: "web-2", Likelihood: 0.75}, {ID: "web-1", Likelihood: 0.25}}
	case weir.SSHIncomingOneToOne:
		service("SSH", 22)
		f.Resource.ID = "web-1"
		f.Sampling.Estimate, f.Sampling.Low95, f.Sampling.High95 = new(1240.0), new(1130.0), new(1350.0)
		f.Observed, f.Count = 38, 38
	case weir.PortScanning:
		service("SMB", 445)
		many(40, weir.UnitDestinations)
		f.Direction, f.Sampling = weir.Outgoing, weir.Sampling{Rate: 1000, Source: weir.SamplingHeader, Low95: new(40.0)}
		f.Threshold, f.Floor, f.Surprise, f.Baseline = 10, 0, 0, nil
	case weir.RDPOutgoingOneToMany, weir.SSHOutgoingOneToMany:
		service(string(typ[:3]), map[bool]uint16{true: 3389, false: 22}[typ == weir.RDPOutgoingOneToMany])
		many(8, weir.UnitDestinations)
		f.Direction = weir.Outgoing
		f.Sampling = weir.Sampling{Rate: 512, Source: weir.SamplingOptions, Estimate: new(31.0), Low95: new(8.0)}
		f.Baseline.Phase, f.Baseline.AgeDays = 1, 3.5
		f.Limits = []weir.Limit{{Code: weir.LimitWarming}, {Code: weir.LimitPeersCut, Arg: "3"}}
	case weir.RDPOutgoingOneToOne, weir.SSHOutgoingOneToOne:
		service(string(typ[:3]), map[bool]uint16{true: 3389, false: 22}[typ == weir.RDPOutgoingOneToOne])
		f.Direction = weir.Outgoing
		f.Sampling = weir.Sampling{Rate: 1, Source: weir.SamplingFormat, Estimate: new(15.0), Low95: new(15.0), High95: new(15.0)}
	case weir.TrafficFromUnrecommended:
		many(5, weir.UnitSources)
		f.Window = 24 * time.Hour
		f.Peers[0].Path, f.Peers[1].Path, f.Peers[2].Path, f.Peers[3].Path, f.Peers[4].Path = "A", "A", "B", "B", "B"
		f.Threshold, f.Floor, f.Surprise, f.Baseline = 0, 0, 0, nil
	}
	return &weir.Alert{
		ID: "2516296571999999999_6f0d3f0a-0000-5000-8000-000000000001", Finding: f, Generated: f.At, Updated: f.At, Sequence: 1, Status: weir.Active, Version: 1,
	}
}

// TestRenderGolden holds the alert object of every type in both languages.
func TestRenderGolden(t *testing.T) {
	for _, typ := range weir.AlertTypes() {
		for _, lang := range Langs() {
			b, err := json.MarshalIndent(Render(example(typ), lang), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("alerts", string(typ)+"."+string(lang)+".json"), string(b)+"\n")
		}
	}
}

// TestWhyGolden lists the sentences of all types, for reading them together.
func TestWhyGolden(t *testing.T) {
	var out strings.Builder
	for _, lang := range Langs() {
		for _, typ := range weir.AlertTypes() {
			out.WriteString(string(typ) + "\n  " + Why(example(typ), lang) + "\n")
		}
	}
	golden(t, "why.txt", out.String())
}

func TestRoundTrip(t *testing.T) {
	for _, typ := range weir.AlertTypes() {
		for _, lang := range Langs() {
			want := Render(example(typ), lang)
			line, err := want.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(line), "\n") {
				t.Errorf("%s: more than one line", typ)
			}
			var got Object
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", typ, diff)
			}
		}
	}
}

// TestFieldOrder holds the fields of the contract, in its order, at the front.
func TestFieldOrder(t *testing.T) {
	line, err := Render(example(weir.SSHIncomingOneToOne), EN).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"id", "alertType", "title", "description", "severity", "tactic", "techniques", "status", "startTime", "endTime", "timeGenerated",
		"resource", "direction", "attackers", "victims", "ports", "parameters", "observed", "expected", "threshold", "unit", "sampling",
		"confidence", "baseline", "why", "evidence", "limits", "entities", "sample",
	}
	decoder := json.NewDecoder(strings.NewReader(string(line)))
	var got []string
	depth, key := 0, true
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if d, ok := token.(json.Delim); ok {
			switch d {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if depth == 1 {
				key = true
			}
			continue
		}
		if depth != 1 {
			continue
		}
		if name, ok := token.(string); ok && key {
			got = append(got, name)
			key = false
		} else {
			key = true
		}
	}
	if len(got) < len(want) {
		t.Fatalf("got %q", got)
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Error(diff)
	}
}

func TestRoles(t *testing.T) {
	own, peers := "203.0.113.10", "peers"
	want := map[weir.AlertType][2]string{}
	for _, typ := range weir.AlertTypes() {
		want[typ] = [2]string{peers, own}
	}
	want[weir.ResourceIPMalicious] = [2]string{"", own}
	for _, typ := range []weir.AlertType{weir.DDoS, weir.PortScanning, weir.RDPOutgoingOneToMany, weir.RDPOutgoingOneToOne, weir.SSHOutgoingOneToMany, weir.SSHOutgoingOneToOne} {
		want[typ] = [2]string{own, peers}
	}
	for typ, w := range want {
		o := Render(example(typ), EN)
		for i, list := range [][]netip.Addr{o.Attackers, o.Victims} {
			got := ""
			switch {
			case len(list) == 1 && list[0].String() == own:
				got = own
			case len(list) > 0:
				got = peers
			}
			if got != w[i] {
				t.Errorf("%s: role %d: got %v, want %s", typ, i, list, w[i])
			}
		}
	}
}

func TestParameters(t *testing.T) {
	for typ, want := range map[weir.AlertType]map[string]string{
		weir.CommunicationWithC2:      {"Victim IP": "203.0.113.10"},
		weir.ResourceIPMalicious:      {"Machine IP": "203.0.113.10"},
		weir.GenericIncomingOneToOne:  {"Service Name": "FTP", "Victim IP": "203.0.113.10", "Compromised Host": "web-1", "Attacker IP": "198.51.100.7", "Start Time": "2026-03-14T09:00:00Z", "End Time": "2026-03-14T09:10:00Z", "Victim Port": "21"},
		weir.SQLIncomingOneToOne:      {"Victim IP": "203.0.113.10", "Compromised Host": "web-1", "Attacker IP": "198.51.100.7", "Start Time": "2026-03-14T09:00:00Z", "End Time": "2026-03-14T09:10:00Z", "Port Number": "3306", "SQL Service Type": "MySQL"},
		weir.DDoS:                     {"Compromised Host": "web-1", "Possible Victims": "198.51.100.1, 198.51.100.2, 198.51.100.3, 198.51.100.4, 198.51.100.5, 198.51.100.6, 198.51.100.7, 198.51.100.8, 198.51.100.9, 198.51.100.10"},
		weir.RDPIncomingManyToOne:     {"Victim IP": "203.0.113.10", "Compromised Host": "web-1", "Number of Attacking IPs": "6"},
		weir.SSHIncomingOneToOne:      {"Victim IP": "203.0.113.10", "Compromised Host": "web-1", "Attacker IP": "198.51.100.7", "Number of Connections": "38"},
		weir.PortScanning:             {"Attacked Protocol": "SMB", "Compromised Host": "web-1", "Most Common Port": "445"},
		weir.RDPOutgoingOneToMany:     {"Compromised Host": "web-1", "Attacker IP": "203.0.113.10", "Number of Attacked IPs": "8"},
		weir.SSHOutgoingOneToOne:      {"Victim IP": "198.51.100.7", "Compromised Host": "web-1", "Attacker IP": "203.0.113.10", "Number of Connections": "15"},
		weir.TrafficFromUnrecommended: {},
	} {
		if diff := cmp.Diff(want, Parameters(example(typ))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", typ, diff)
		}
	}
}

func TestServiceFallbacks(t *testing.T) {
	port := func(p uint16, service string) *weir.Finding { return &weir.Finding{Port: p, Service: service} }
	for _, c := range []struct {
		finding           *weir.Finding
		service, sql, mcp string
	}{
		{port(8291, ""), "port 8291", "", "8291"},
		{port(1433, ""), "port 1433", "Microsoft SQL Server", "1433"},
		{port(15432, "PostgreSQL"), "PostgreSQL", "PostgreSQL", "15432"},
		{port(3307, "mariadb"), "mariadb", "MySQL", "3307"},
		{port(0, ""), "IP", "", ""},
		{&weir.Finding{Proto: weir.ProtoICMP}, "ICMP", "", ""},
		{&weir.Finding{Ports: []weir.PortCount{{Port: 23, Count: 2}, {Port: 22, Count: 2}, {Port: 21, Count: 1}}}, "port 22", "", "22"},
	} {
		if got := serviceName(c.finding); got != c.service {
			t.Errorf("service: got %q, want %q", got, c.service)
		}
		if got := sqlServiceType(c.finding); got != c.sql {
			t.Errorf("SQL: got %q, want %q", got, c.sql)
		}
		if got := parameter("Most Common Port", c.finding); got != c.mcp {
			t.Errorf("port: got %q, want %q", got, c.mcp)
		}
	}
}

// TestHostileNames makes sure that a value is never expanded again.
func TestHostileNames(t *testing.T) {
	a := example(weir.SSHIncomingOneToOne)
	a.Resource.Name = "%{Attacker IP} [x"
	o := Render(a, EN)
	if want := "an address of the resource %{Attacker IP} [x, was"; !strings.Contains(o.Description, want) {
		t.Errorf("no %q in %q", want, o.Description)
	}
}

func TestSample(t *testing.T) {
	for _, lang := range Langs() {
		a := example(weir.DDoS)
		plain := Render(a, lang)
		a.Sample = true
		o := Render(a, lang)
		if o.Title != "[SAMPLE ALERT] "+plain.Title || o.Description != "THIS IS A SAMPLE ALERT: "+plain.Description || !o.Sample {
			t.Errorf("%s: %q %q", lang, o.Title, o.Description)
		}
	}
}

func TestEntities(t *testing.T) {
	a := example(weir.SSHOutgoingOneToOne)
	got := Entities(a, "")
	want := []Entity{
		{ID: "1", Type: "azure-resource", ResourceID: a.Resource.ID},
		{ID: "2", Type: "host", HostName: "web-1", AzureID: a.Resource.ID},
		{ID: "3", Type: "ip", Address: "203.0.113.10"},
		{ID: "4", Type: "ip", Address: "198.51.100.7"},
		{ID: "5", Type: "network-connection", SourceAddress: &Ref{"3"}, DestinationAddress: &Ref{"4"}, DestinationPort: 22, Protocol: "Tcp"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a = example(weir.SSHIncomingOneToOne) // its id is no Azure resource ID
	if got := Entities(a, ""); got[0].Type != "host" || got[0].AzureID != "" {
		t.Errorf("got %+v", got[0])
	}
	if got := Entities(a, "/subscriptions/x/y"); got[0].ResourceID != "/subscriptions/x/y" || got[1].AzureID != "/subscriptions/x/y" {
		t.Errorf("got %+v", got[:2])
	}
}

func TestMessage(t *testing.T) {
	p := map[string]string{"a": "1", "b": "", "c": "]%{a}["}
	for m, want := range map[message]string{
		"x %{a}[ y %{b}][ z %{a}]": "x 1 z 1",
		"%{b} %{none}":             "? ?",
		"%{c}[ %{c}] end":          "]%{a}[ ]%{a}[ end",
		"open %{a":                 "open %{a",
		"] [%{a}":                  "] [1",
		"":                         "",
	} {
		if got := m.format(p, "?"); got != want {
			t.Errorf("%q: got %q, want %q", m, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.04: "0.04", 0.0123: "0.012", 1: "1", 1.25: "1.3", 9.96: "10", 40: "40", 99.96: "100", 1240.4: "1,240", 1e6: "1,000,000", 1e20: "1e+20", -3: "-3", math.NaN(): "0", math.Inf(1): "1.8e+308",
	} {
		if got := number(x); got != want {
			t.Errorf("number(%v) = %q, want %q", x, got, want)
		}
	}
	for _, c := range []struct {
		s    weir.Sampling
		want string
	}{
		{weir.Sampling{Estimate: new(1240.0), Low95: new(1130.0), High95: new(1350.0)}, "1,240 ± 110"},
		{weir.Sampling{Estimate: new(1308.0), Low95: new(762.0), High95: new(2094.0)}, "1,308 [762–2,094]"},
		{weir.Sampling{Estimate: new(8.0), Low95: new(8.0), High95: new(8.0)}, "8"},
		{weir.Sampling{Estimate: new(8.0)}, "8"},
		{weir.Sampling{Estimate: new(8.0), Low95: new(9.0), High95: new(7.0)}, "8"},
	} {
		if got := interval(c.s, weir.UnitConnections); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for d, want := range map[time.Duration][2]string{
		time.Hour: {"1 h", "1 時間"}, 24 * time.Hour: {"24 h", "24 時間"}, 7 * 24 * time.Hour: {"7 days", "7 日間"}, 10 * time.Minute: {"10 min", "10 分間"}, 90 * time.Second: {"90 s", "90 秒間"}, 0: {"0 s", "0 秒間"}, -1: {"0 s", "0 秒間"},
	} {
		if got := [2]string{duration(d, EN), duration(d, JA)}; got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// TestLimits holds a sentence in both languages for every code.
func TestLimits(t *testing.T) {
	codes := []string{
		weir.LimitNoPackets, weir.LimitNoBytes, weir.LimitNoFlags, weir.LimitNoPorts, weir.LimitOneWay, weir.LimitRateUnknown, weir.LimitColdStart, weir.LimitWarming,
		weir.LimitPartial, weir.LimitDegraded, weir.LimitShed, weir.LimitThinned, weir.LimitPeersCut, weir.LimitLeaseUnknown, weir.LimitWarningList, weir.LimitSinkhole,
		weir.LimitLearning, weir.LimitMayBeLegitimate,
	}
	seen := map[string]string{}
	for _, lang := range Langs() {
		stop := map[Lang]string{EN: ".", JA: "。"}[lang]
		for _, code := range codes {
			for _, arg := range []string{"", "7"} {
				text := LimitText(weir.Limit{Code: code, Arg: arg}, lang)
				if !strings.HasSuffix(text, stop) || strings.Contains(text, "%{") {
					t.Errorf("%s %s: %q", code, lang, text)
				}
				if other, ok := seen[text]; ok && other != code {
					t.Errorf("%s and %s share %q", code, other, text)
				}
				seen[text] = code
			}
		}
		if text := LimitText(weir.Limit{Code: "new-code", Arg: "9"}, lang); !strings.Contains(text, "new-code") || !strings.Contains(text, "9") {
			t.Errorf("%q", text)
		}
	}
	if got := LimitText(weir.Limit{Code: weir.LimitThinned, Arg: "10"}, EN); !strings.Contains(got, "1 in 10") {
		t.Errorf("%q", got)
	}
}

// genFinding draws findings that a correct detector might make and some that
// none would.
func genAlert() *rapid.Generator[*weir.Alert] {
	return rapid.Custom(func(t *rapid.T) *weir.Alert {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			switch rapid.IntRange(0, 4).Draw(t, "family") {
			case 0:
				return netip.Addr{}
			case 1:
				var b [16]byte
				copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))
				return netip.AddrFrom16(b)
			}
			return netip.AddrFrom4([4]byte{198, 51, 100, rapid.Byte().Draw(t, "v4")})
		})
		number := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1), 40, 1240}))
		optional := func(label string) *float64 {
			if rapid.Bool().Draw(t, label) {
				return new(number.Draw(t, label))
			}
			return nil
		}
		word := rapid.SampledFrom([]string{"", "web-1", "SSH", "日本語", "a b", "x\ny", "<b>&"})
		f := weir.Finding{
			Type: rapid.SampledFrom(weir.AlertTypes()).Draw(t, "type"), Own: addr.Draw(t, "own"),
			Direction: rapid.SampledFrom([]weir.Direction{weir.Incoming, weir.Outgoing}).Draw(t, "direction"),
			Service:   word.Draw(t, "service"), Port: rapid.Uint16().Draw(t, "port"), Proto: rapid.Byte().Draw(t, "proto"),
			First: rapid.Int64().Draw(t, "first"), Last: rapid.Int64().Draw(t, "last"), Window: time.Duration(rapid.Int64().Draw(t, "window")),
			Count: rapid.Uint64().Draw(t, "count"), Observed: number.Draw(t, "observed"), Expected: number.Draw(t, "expected"), Threshold: number.Draw(t, "threshold"),
			Floor: number.Draw(t, "floor"), Surprise: number.Draw(t, "surprise"), Confidence: number.Draw(t, "confidence"),
			Unit: rapid.SampledFrom([]weir.Unit{weir.UnitConnections, weir.UnitSources, weir.UnitDestinations, weir.UnitPacketsPerS, weir.UnitBitsPerS, weir.UnitPackets, weir.UnitScore, weir.UnitPorts, ""}).Draw(t, "unit"),
			Sampling: weir.Sampling{
				Rate: rapid.SampledFrom([]uint32{0, 1, 2, 1000, math.MaxUint32}).Draw(t, "rate"), Estimate: optional("estimate"), Low95: optional("low"), High95: optional("high"),
			},
		}
		if rapid.Bool().Draw(t, "resource") {
			f.Resource = &weir.Resource{ID: word.Draw(t, "id"), Name: word.Draw(t, "name"), Kind: rapid.SampledFrom([]weir.Kind{weir.VirtualMachine, weir.LoadBalancer, ""}).Draw(t, "kind")}
		}
		if rapid.Bool().Draw(t, "baseline") {
			f.Baseline = &weir.BaselineInfo{Phase: rapid.IntRange(-1, 3).Draw(t, "phase"), AgeDays: number.Draw(t, "age"), Mean: number.Draw(t, "mean")}
		}
		for range rapid.IntRange(0, 5).Draw(t, "peers") {
			f.Peers = append(f.Peers, weir.PeerEvidence{Address: addr.Draw(t, "peer"), Packets: rapid.Uint64().Draw(t, "packets"), Lower: number.Draw(t, "lower"), Path: rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "path")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "intel") {
			i := weir.IntelEvidence{Score: number.Draw(t, "score")}
			i.Source, i.Family, i.Category = word.Draw(t, "source"), word.Draw(t, "malware"), rapid.SampledFrom([]weir.Category{"", weir.CategoryC2, weir.CategoryBenign, "other"}).Draw(t, "category")
			f.Intel = append(f.Intel, i)
		}
		for range rapid.IntRange(0, 2).Draw(t, "limits") {
			f.Limits = append(f.Limits, weir.Limit{Code: rapid.SampledFrom([]string{weir.LimitShed, weir.LimitPeersCut, "other", ""}).Draw(t, "code"), Arg: word.Draw(t, "arg")})
		}
		f.Series = []weir.Point{{Observed: number.Draw(t, "point")}}
		return &weir.Alert{ID: "id", Finding: f, Status: weir.Active, Sample: rapid.Bool().Draw(t, "sample")}
	})
}

var leftover = regexp.MustCompile(`%\{|\(\)|（）|  |\[[^\d\-]|、）|（、|; ;|NaN|Inf`)

// TestRenderAny renders any finding: no placeholder stays, no text is empty,
// and the object is JSON.
func TestRenderAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genAlert().Draw(t, "alert")
		for _, lang := range Langs() {
			o := Render(a, lang)
			for place, text := range map[string]string{"title": o.Title, "description": o.Description, "why": o.Why} {
				cut := strings.NewReplacer(sampleTitle, "").Replace(text)
				if text == "" || leftover.MatchString(cut) {
					t.Fatalf("%s %s: %q has %q", lang, place, text, leftover.FindString(cut))
				}
			}
			for _, limit := range o.Limits {
				if strings.Contains(limit, "%{") {
					t.Fatalf("limit %q", limit)
				}
			}
			if len(o.Parameters) != len(mustLookup(t, a.Type).Placeholders) {
				t.Fatalf("parameters %v", o.Parameters)
			}
			line, err := o.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			var back Object
			if err := json.Unmarshal(line, &back); err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			for _, e := range o.Entities {
				if ids[e.ID] {
					t.Fatalf("entity %s twice", e.ID)
				}
				ids[e.ID] = true
			}
			for _, e := range o.Entities {
				for _, ref := range []*Ref{e.SourceAddress, e.DestinationAddress} {
					if ref != nil && !ids[ref.Ref] {
						t.Fatalf("no entity %q", ref.Ref)
					}
				}
			}
		}
	})
}

func mustLookup(t *rapid.T, typ weir.AlertType) Entry {
	e, ok := Lookup(typ)
	if !ok {
		t.Fatalf("no entry %q", typ)
	}
	return e
}

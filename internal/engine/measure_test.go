package engine

import (
	"context"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
)

func runCase(t *testing.T, path string, o Offline) CaseResult {
	t.Helper()
	c := config.Default()
	o.Config = &c
	r, err := RunCase(context.Background(), path, o, 3, 78, func(*Detection) {})
	if err != nil || r.Fault != nil {
		t.Fatal(err, r.Fault)
	}
	return r
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMeasuresOfAScenario(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "x.scn"), `
sampling 1/100
resource web-1 203.0.113.10 listen 22/ssh,443
resource web-2 203.0.113.11 listen 443
daily every 2s for 24h from 192.0.2.0/24 any -> 203.0.113.10-203.0.113.11:443 tcp web
at 03:04 every 1s for 2h 198.51.100.7 -> web-1:22 tcp login
expect SSH_Incoming_BF_OneToOne victim=web-1 attacker=198.51.100.7
expect nothing else
`)
	r := runCase(t, path, Offline{})
	m := r.Measures[weir.SSHIncomingOneToOne]
	if r.Failed() || r.Sampling != 100 || r.Resources != 2 {
		t.Fatalf("failed %v, sampling %d, %d resources", r.Failed(), r.Sampling, r.Resources)
	}
	if math.Abs(r.ResourceDays-2) > 0.01 {
		t.Errorf("%v resource days, want 2", r.ResourceDays)
	}
	want := time.Duration(r.Alerts[0].Generated) - time.Duration(r.Alerts[0].First-r.Alerts[0].First%int64(time.Hour)) - 4*time.Minute
	if len(m.Delays) != 1 || m.Delays[0] != want || want <= 0 || want%time.Minute != 0 {
		t.Errorf("time to detect %v, want %v", m.Delays, want)
	}
	if m.Intervals != 1 || m.Covered != 1 {
		t.Errorf("%d of %d intervals hold the truth, want 1 of 1", m.Covered, m.Intervals)
	}
	if v, ok := m.FalseRate(r.ResourceDays); !ok || v != 0 {
		t.Errorf("false rate %v %v", v, ok)
	}
	// Thinning multiplies the rate, and the truth stays what the lines say.
	r = runCase(t, path, Offline{Thin: 2, Seed: 3})
	if m := r.Measures[weir.SSHIncomingOneToOne]; r.Sampling != 200 || m.Intervals != 1 || m.Covered != 1 {
		t.Errorf("thinned: sampling %d, %d of %d intervals", r.Sampling, m.Covered, m.Intervals)
	}
}

// TestMeasuresOfALabelledCase thins unsampled flows: the truth is what was there
// before.
func TestMeasuresOfALabelledCase(t *testing.T) {
	dir := t.TempDir()
	inventoryFile(t, dir)
	flows := traffic()
	for i := range flows {
		flows[i].Exporter = netip.Addr{} // several would be taken for several samples
	}
	flowFile(t, filepath.Join(dir, "flows"), flows)
	path := write(t, filepath.Join(dir, "case.yaml"), "files: [flows]\ninventory: [inventory.yaml]\nperspective: victim\n")
	write(t, filepath.Join(dir, "truth.csv"), "verdict,alert,perspective,attacker,victim,port,first\n"+
		"must,SSH_Incoming_BF_OneToOne,victim,203.0.113.10,198.51.100.10,22,2026-03-01T08:20:00Z\n"+
		"should,SSH_Incoming_BF_OneToOne,victim,203.0.113.11,198.51.100.11,22,2026-03-02T08:20:00Z\n"+
		"must_not,SSH_Incoming_BF_OneToOne,victim,203.0.113.12,198.51.100.12,22,\n")
	r := runCase(t, path, Offline{Thin: 20, Seed: 1})
	m := r.Measures[weir.SSHIncomingOneToOne]
	if r.Sampling != 20 || r.Resources != 12 || math.Abs(r.ResourceDays-1.5) > 0.1 {
		t.Errorf("sampling %d, %d resources, %v resource days", r.Sampling, r.Resources, r.ResourceDays)
	}
	if m.Intervals != 4 || m.Covered < 2 {
		t.Errorf("%d of %d intervals hold the truth, want most of 4", m.Covered, m.Intervals)
	}
	if len(m.Delays) != 1 || m.Delays[0] <= 0 || m.Delays[0] > time.Hour {
		t.Errorf("times to detect %v", m.Delays)
	}
	if v, ok := m.FalseRate(r.ResourceDays); !ok || m.False != 1 || math.Abs(v-1000/r.ResourceDays) > 1e-9 {
		t.Errorf("%d false, rate %v %v", m.False, v, ok)
	}
	// Without thinning nothing is estimated, and what is exact is not an interval.
	if m := runCase(t, path, Offline{}).Measures[weir.SSHIncomingOneToOne]; m.Intervals != 0 {
		t.Errorf("%d intervals without sampling", m.Intervals)
	}
}

func TestMeasureSums(t *testing.T) {
	var m Measure
	if _, ok := m.Coverage(); ok {
		t.Error("coverage of nothing")
	}
	if _, ok := m.FalseRate(0); ok {
		t.Error("a rate of nothing")
	}
	if _, _, ok := m.Delay(); ok {
		t.Error("a delay of nothing")
	}
	m = Measure{CaseScore: CaseScore{False: 2}, Delays: []time.Duration{9, 1}, Intervals: 3, Covered: 2}.Add(
		Measure{CaseScore: CaseScore{False: 1}, Delays: []time.Duration{4, 3}, Intervals: 1, Covered: 1})
	if median, longest, _ := m.Delay(); median != 3 || longest != 9 {
		t.Errorf("delay %v %v", median, longest)
	}
	if v, _ := m.Coverage(); v != 0.75 {
		t.Errorf("coverage %v", v)
	}
	if v, _ := m.FalseRate(1500); v != 2 {
		t.Errorf("rate %v", v)
	}
}

func TestProposals(t *testing.T) {
	res := []*weir.Resource{{ID: "a"}, {ID: "b"}}
	peer := func(last byte, packets, conns uint64) weir.PeerEvidence {
		return weir.PeerEvidence{Address: netip.AddrFrom4([4]byte{192, 0, 2, last}), Packets: packets, Connections: conns}
	}
	alert := func(r int, rate uint32, unit weir.Unit, peers ...weir.PeerEvidence) weir.Alert {
		return weir.Alert{Finding: weir.Finding{Resource: res[r], Service: "SSH", Unit: unit, Sampling: weir.Sampling{Rate: rate}, Peers: peers}}
	}
	alerts := []weir.Alert{
		alert(0, 1, weir.UnitConnections, peer(1, 130, 10)), alert(1, 1, weir.UnitSources, peer(1, 110, 10), peer(2, 1500, 100)),
		alert(0, 100, weir.UnitConnections, peer(3, 7, 7)), alert(0, 1, weir.UnitPackets, peer(4, 9, 1)),
	}
	got := PacketsPerConnection(alerts)
	if len(got) != 1 || got[0].Service != "SSH" || len(got[0].Means) != 3 || got[0].Median() != 13 {
		t.Errorf("packets per connection %+v", got)
	}
	p := PrevalenceOf(alerts, 8)
	if len(p) != 1 || p[0].Peer.String() != "192.0.2.1" || p[0].Resources != 2 || p[0].Share != 0.25 {
		t.Errorf("prevalence %+v", p)
	}
}

package engine

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/engine/config"
)

// exponential draws surprises whose tail is known: P(S > s) = 10^-s.
func exponential(seed uint64, n int, take func(i int, s float64)) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		take(i, r.ExpFloat64()/math.Ln10)
	}
}

// TestProposalSpendsTheBudget feeds surprises as a rule with a true model has
// them; the threshold that spends the budget is then known.
func TestProposalSpendsTheBudget(t *testing.T) {
	for _, perDay := range []float64{24, 1440} {
		o := newObserver()
		const n = 200_000
		exponential(7, n, func(i int, s float64) { o.observe(weir.SSHIncomingOneToOne, uint64(i%50), s) })
		got := Calibrate(detect.DefaultConfig(), o.surprises(n/perDay))
		if len(got) != 1 || got[0].Proposed == nil {
			t.Fatalf("%+v", got)
		}
		c := got[0]
		want := -math.Log10(CalibrationBudget / 1000 / perDay)
		if math.Abs(*c.Proposed-want) > 0.15*want || c.Tests != n || c.TestsPerResourceDay != perDay || c.Threshold != 5 || c.Setting != "detect.ssh.threshold" {
			t.Errorf("%v tests a day: %+v, proposed %v, want %v", perDay, c, *c.Proposed, want)
		}
	}
}

func TestTooFewSurprisesProposeNothing(t *testing.T) {
	o := newObserver()
	exponential(1, CalibrationLeast-1, func(_ int, s float64) { o.observe(weir.DDoS, 1, s) })
	got := Calibrate(detect.DefaultConfig(), o.surprises(10))
	if len(got) != 1 || got[0].Proposed != nil || got[0].Tests != CalibrationLeast-1 {
		t.Errorf("%+v", got)
	}
	o.observe(weir.DDoS, 1, 0.5)
	if got = Calibrate(detect.DefaultConfig(), o.surprises(10)); got[0].Proposed == nil {
		t.Errorf("%d surprises propose nothing", CalibrationLeast)
	}
	if got = Calibrate(detect.DefaultConfig(), o.surprises(0)); got[0].Proposed != nil {
		t.Errorf("no time, and %v", *got[0].Proposed)
	}
	for range 2 * CalibrationLeast {
		o.observe(weir.SSHIncomingManyToOne, 1, 0)
	}
	if got = Calibrate(detect.DefaultConfig(), o.surprises(10)); got[1].Proposed != nil {
		t.Errorf("no spread, and %v", *got[1].Proposed)
	}
}

// TestSurprisesAreBounded keeps few of many, the same ones for any mixture of
// resources, as shards mix them.
func TestSurprisesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 50).Draw(t, "most")
		lists := rapid.SliceOfN(rapid.SliceOfN(rapid.Float64Range(0, 20), 0, 40), 1, 6).Draw(t, "surprises")
		play := func(order []int) Surprises {
			o := newObserver()
			o.most = most
			next := make([]int, len(lists))
			for _, r := range order {
				o.observe(weir.DDoS, uint64(r), lists[r][next[r]])
				next[r]++
			}
			return o.surprises(1)[weir.DDoS]
		}
		var order []int
		for r, l := range lists {
			order = append(order, slices.Repeat([]int{r}, len(l))...)
		}
		a, b := play(order), play(rapid.Permutation(order).Draw(t, "order"))
		sorted := func(s Surprises) []keptSurprise {
			return slices.SortedFunc(slices.Values(s.kept), func(x, y keptSurprise) int {
				return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.value, y.value))
			})
		}
		if !slices.Equal(sorted(a), sorted(b)) || a.mask != b.mask || a.Tests != uint64(len(order)) {
			t.Fatalf("%+v and %+v", a, b)
		}
		if len(a.kept) > most {
			t.Fatalf("%d kept, at most %d", len(a.kept), most)
		}
		if len(order) <= most && len(a.kept) != len(order) {
			t.Fatalf("%d of %d kept without need", len(a.kept), len(order))
		}
	})
}

func TestSurprisesSum(t *testing.T) {
	one, two := newObserver(), newObserver()
	two.most = 100
	exponential(1, 300, func(i int, s float64) { one.observe(weir.DDoS, uint64(i%7), s) })
	exponential(2, 3000, func(i int, s float64) { two.observe(weir.DDoS, uint64(i%7), s) })
	a, b := one.surprises(2)[weir.DDoS], two.surprises(3)[weir.DDoS]
	sum := a.Add(b)
	if sum.Tests != 3300 || sum.ResourceDays != 5 || sum.PerResourceDay() != 660 || sum.mask != b.mask {
		t.Errorf("%d tests, %v days, mask %x", sum.Tests, sum.ResourceDays, sum.mask)
	}
	if len(sum.kept) <= len(b.kept) || len(sum.kept) >= len(a.kept)+len(b.kept) {
		t.Errorf("%d kept, of %d and %d", len(sum.kept), len(a.kept), len(b.kept))
	}
	for _, k := range sum.kept {
		if k.hash&sum.mask != 0 {
			t.Fatal("one rule is kept at two densities")
		}
	}
	if d := (Surprises{}).Add(a); !slices.Equal(d.kept, a.kept) || d.Tests != a.Tests {
		t.Error("nothing added changes the sum")
	}
}

// TestThresholdsInForce holds the thresholds of the report against the reference
// (section 6.5).
func TestThresholdsInForce(t *testing.T) {
	rules := detect.DefaultConfig()
	f := rules.Families["rdp"]
	f.Threshold, f.Sensitivity = 6.5, detect.SensitivityHigh
	rules.Families["rdp"] = f
	rules.Sensitivity = detect.SensitivityLow
	for typ, want := range map[weir.AlertType]struct {
		key string
		at  float64
	}{
		weir.SSHIncomingOneToOne:  {"detect.ssh.threshold", 7},
		weir.SSHOutgoingOneToMany: {"detect.ssh.threshold", 6},
		weir.RDPIncomingManyToOne: {"detect.rdp.threshold", 5.5},
		weir.DDoS:                 {"detect.ddos.threshold", 6},
		weir.PortScanning:         {"detect.generic.threshold", 7},
		weir.SQLIncomingOneToOne:  {"detect.sql.threshold", 7},
	} {
		if key, at := thresholdOf(rules, typ); key != want.key || at != want.at {
			t.Errorf("%s: %s %v, want %s %v", typ, key, at, want.key, want.at)
		}
	}
}

// TestCalibrationOfACase runs a scenario with several shards.
func TestCalibrationOfACase(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a.scn"), `sampling 1/1
resource web-1 203.0.113.10 listen 22/ssh
resource web-2 203.0.113.11 listen 22/ssh
at 03:00 every 10s for 1h 198.51.100.7 -> web-1:22 tcp login
at 03:00 every 10s for 2h 198.51.100.8 -> web-2:22 tcp login
`)
	var seen []map[weir.AlertType]Surprises
	for _, shards := range []int{1, 3} {
		c := config.Default()
		c.Detect.Shards = shards
		r, err := RunCase(t.Context(), path, Offline{Config: &c}, 3, 78, func(*Detection) {})
		if err != nil || r.Fault != nil {
			t.Fatal(err, r.Fault)
		}
		seen = append(seen, r.Surprises)
		if len(r.Alerts) == 0 {
			t.Fatal("no alert")
		}
	}
	s := seen[0][weir.SSHIncomingOneToOne]
	if s.Tests == 0 || s.ResourceDays < 2*1.5/24 || s.ResourceDays > 2*2.5/24 {
		t.Errorf("%d tests in %v days", s.Tests, s.ResourceDays)
	}
	if !maps.EqualFunc(seen[0], seen[1], func(a, b Surprises) bool {
		return a.Tests == b.Tests && a.ResourceDays == b.ResourceDays && len(a.kept) == len(b.kept)
	}) {
		t.Errorf("one shard: %v, three: %v", seen[0], seen[1])
	}
}

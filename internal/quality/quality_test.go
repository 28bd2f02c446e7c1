package quality

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	"github.com/weir-net/weir"
)

// fullSeeds is the number of seeds of the full run.
const fullSeeds = 20

// countedSeeds and countedRates are those of the part that is sampled by
// counting.
const countedSeeds = 5

func countedRates() []uint32 { return []uint32{64, 1000, 4096} }

// cells returns the cells of a part of the corpus.
func cells(rates []uint32, seeds int, counted bool, role func(string) bool) []*cell {
	var out []*cell
	for _, n := range rates {
		for seed := range uint64(seeds) {
			for _, r := range roles() {
				if role(r.name) {
					out = append(out, r.cell(n, seed+1, counted))
				}
			}
			for _, f := range families() {
				if role(f.name) && (f.only == nil || slices.Contains(f.only, n)) {
					out = append(out, f.cell(n, seed+1, counted))
				}
			}
		}
	}
	return out
}

// TestFull runs everything and writes docs/reference/quality.md. WEIR_QUALITY is
// "full"; WEIR_QUALITY_SEEDS takes fewer seeds, WEIR_QUALITY_OUT names another
// directory for the page, WEIR_QUALITY_KEEP one that keeps the texts of the
// scenarios.
func TestFull(t *testing.T) {
	if os.Getenv("WEIR_QUALITY") != "full" {
		t.Skip("the full run is `make quality`")
	}
	seeds := fullSeeds
	if text := os.Getenv("WEIR_QUALITY_SEEDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WEIR_QUALITY_SEEDS=%q is no number of seeds", text)
		}
		seeds = n
	}
	// Scenarios live in little memory; the collector would run all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	sum, counted := newTally(), newTally()
	all := func(string) bool { return true }
	runAll(t, cells(rates(), seeds, false, all), sum.take)
	runAll(t, cells(countedRates(), min(seeds, countedSeeds), true, all), counted.take)
	dir := os.Getenv("WEIR_QUALITY_OUT")
	if dir == "" {
		dir = filepath.Join("..", "..", "docs", "reference")
	}
	if err := os.MkdirAll(filepath.Join(dir, "quality"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := page{t: t, dir: dir, sum: sum, counted: counted, rate: rates()}
	p.write()
}

// TestSmall runs a small part of the corpus with bounds that any change of the
// rules should keep: loud attacks are found, quiet machines stay quiet.
func TestSmall(t *testing.T) {
	sum := newTally()
	small := []string{"web", "dns", "vpn", "db-pool", "k8s", "bastion", "ansible", "monitored", "pair in", "flood", "crowd out"}
	list := cells([]uint32{1000}, 1, false, func(name string) bool { return slices.Contains(small, name) })
	list = append(list, cells([]uint32{1}, 1, false, func(name string) bool {
		return slices.Contains([]string{"web", "vpn", "monitored", "pair in", "pair out"}, name)
	})...)
	// The second has a night that is busier than what was learnt in the day before.
	list = append(list, cells([]uint32{1000}, 2, false, func(name string) bool { return name == "git" })...)
	runAll(t, list, sum.take)
	for _, n := range []uint32{1, 1000} {
		loud := sum.pool(func(l level) bool { return l.n == n && l.factor == 2 && l.when == later })
		if loud.all < 8 || loud.recall() < 0.85 {
			t.Errorf("1:%d: %d of %d attacks at twice the reach were found", n, loud.found, loud.all)
		}
		low := sum.pool(func(l level) bool { return l.n == n && l.factor == 0.5 && l.rule != weir.DDoS })
		if low.all < 7 || low.recall() > 0.9 {
			t.Errorf("1:%d: %d of %d attacks at half the reach were found: the reach is no longer that of the page", n, low.found, low.all)
		}
		if wrong := sum.sum(func(k falseKey) bool { return k.n == n }); wrong > 0 {
			t.Errorf("1:%d: %d false alerts on quiet machines: %v", n, wrong, sum.wrong)
		}
	}
	for k, v := range sum.cover {
		if v.all >= 10 && float64(v.in) < 0.7*float64(v.all) {
			t.Errorf("%s at 1:%d: %d of %d intervals hold the truth", k.rule, k.n, v.in, v.all)
		}
	}
	for _, p := range peerRules() {
		if s := sum.peers[peerKey{p.key(), 1}]; p.task == guessing && (s == nil || len(s.hit) == 0) {
			t.Errorf("%s was not asked", p.key())
		}
	}
}

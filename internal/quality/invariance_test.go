package quality

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/scenario"
)

// The corpus says the same however it comes: through any number of shards, out
// of order within the allowed lateness, in other batches, from other exporters,
// and with the run stopped and started again (properties P4, P6, P7 and P24 of the
// detection reference, section 12). What is compared is every change of every
// alert, in order, byte for byte in JSON. With two exporters this is so where
//
//   - records tell of every packet: each flow comes from one of two exporters,
//     whichever, or from both. The sample records of an alert name the exporter
//     that told of them, of exact duplicates the one with the lower address, and
//     nothing else differs;
//   - packets are sampled and each resource has an exporter of its own.
//
// Sampled records of one resource by two exporters are another matter: see
// docs/decisions/0006-counting-points.md. Of border routers and equal-cost paths it
// promises that no estimate is inflated, and of a second router with the same
// packets that it counts for knowledge and not for traffic.
//
// The flows of a cell go several ways while they are generated, so that few of them
// are in memory however many there are.

// way is how the flows of a cell reach the rules.
type way struct {
	name string
	// shards of each leg of the run; between two legs, at the event times of cuts,
	// the run ends and another one starts from what it saved.
	shards []int
	cuts   []int64
	// size returns the size of the next batch; nil keeps the batches and the
	// watermarks of the generator.
	size func() int
	// through changes the flows on their way, one stage after the other. Where one
	// brings them out of order the watermark stays behind, by the lateness.
	through []stage
	behind  bool
	// thin samples the packets 1-in-N, which may leave a record an earlier end.
	thin uint32
	// other is an exporter that may be named instead of that of the scenario.
	other netip.Addr
	// part marks exporters that each sample a part of the packets of a resource:
	// the alerts may be others. With paths there may be more of them.
	part, paths bool
}

// stage appends what becomes of some flows to out. Flows are in order of their
// end; end tells that there are no more.
type stage func(out, in []weir.Flow, end bool) []weir.Flow

// lateness is that of the default settings.
func lateness() time.Duration { c := config.Default(); return c.Rules().Lateness }

// shuffled brings flows out of order: any permutation of those that end within a
// stretch of time. Stretches are shorter than the lateness, so no flow ends by the
// lateness or more before one that came earlier.
func shuffled(seed uint64) stage {
	rng := rand.New(rand.NewPCG(seed, 5))
	var held []weir.Flow
	var until int64
	return func(out, in []weir.Flow, end bool) []weir.Flow {
		release := func() {
			rng.Shuffle(len(held), func(a, b int) { held[a], held[b] = held[b], held[a] })
			out, held = append(out, held...), held[:0]
		}
		for i := range in {
			if in[i].End >= until {
				release()
				least := int64(lateness()) / 8
				until = in[i].End + least + rng.Int64N(int64(lateness())-least)
			}
			held = append(held, in[i])
		}
		if end {
			release()
		}
		return out
	}
}

// Exporters besides that of the scenario, with a lower and a higher address.
func lowRouter() netip.Addr  { return netip.AddrFrom4([4]byte{192, 0, 2, 7}) }
func highRouter() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, 251}) }

// doubled has another exporter tell of every flow as well.
func doubled(other netip.Addr) stage {
	return func(out, in []weir.Flow, _ bool) []weir.Flow {
		for i := range in {
			f := in[i]
			f.Exporter = other
			out = append(out, in[i], f)
		}
		return out
	}
}

// divided gives the flows to two exporters.
func divided(second func(*weir.Flow) bool) stage {
	return func(out, in []weir.Flow, _ bool) []weir.Flow {
		for i := range in {
			if out = append(out, in[i]); second(&in[i]) {
				out[len(out)-1].Exporter = highRouter()
			}
		}
		return out
	}
}

// byFlow is as good as chance; the directions of a connection may be apart.
func byFlow(f *weir.Flow) bool { return f.Start>>13&1 == 1 }

// byResource and byPeer are an exporter for every other resource, and for every
// other peer, as border routers with different neighbours have.
func byResource(f *weir.Flow) bool { own, _ := sides(f); return own.As4()[3]&1 == 1 }
func byPeer(f *weir.Flow) bool     { _, peer := sides(f); return peer.As4()[3]&1 == 1 }

func sides(f *weir.Flow) (own, peer netip.Addr) {
	own, peer = f.Src.Addr(), f.Dst.Addr()
	if first := ownAddr(1); own.As4()[0] != first.As4()[0] {
		own, peer = peer, own
	}
	return own, peer
}

// batches and irregular return sizes of batches.
func batches(n int) func() int { return func() int { return n } }

func irregular(seed uint64) func() int {
	rng := rand.New(rand.NewPCG(seed, 6))
	return func() int { return 1 + rng.IntN(1+rng.IntN(3000)) }
}

// feed is the source of the legs of a way.
type feed struct {
	*way
	in     <-chan weir.Batch
	ready  []weir.Flow
	mark   int64 // of the generator
	ended  bool  // in is closed
	newest int64
	until  int64 // end of the leg
	over   bool  // the leg has read all that it is to read
}

// fill waits for flows.
func (f *feed) fill() bool {
	for len(f.ready) == 0 && !f.ended {
		b, ok := <-f.in
		f.ended, f.mark, f.ready = !ok, b.Watermark, b.Flows
		for _, s := range f.through {
			f.ready = s(nil, f.ready, f.ended)
		}
	}
	return len(f.ready) > 0
}

// Run implements [weir.Source] for one leg.
func (f *feed) Run(_ context.Context, emit func(weir.Batch) error) error {
	var flows []weir.Flow
	var mark int64
	for more := true; more; {
		flows, mark, more = f.next(flows[:0])
		if err := emit(weir.Batch{Flows: flows, Watermark: mark}); err != nil {
			return err
		}
		clear(flows) // they are the sender's again
	}
	f.over = true
	return nil
}

// next returns the next batch with its watermark; more is false when it is the
// last of the leg.
func (f *feed) next(flows []weir.Flow) (batch []weir.Flow, mark int64, more bool) {
	n := math.MaxInt
	if f.size != nil {
		n = f.size()
	}
	more = true
	for len(flows) < n && more {
		if more = f.fill() && f.ready[0].End < f.until; !more {
			break
		}
		flows = append(flows, f.ready[0])
		f.newest = max(f.newest, f.ready[0].End)
		f.ready = f.ready[1:]
		if f.size == nil && len(f.ready) == 0 {
			return flows, f.mark, true
		}
	}
	if f.behind { // the rule of live input
		return flows, f.newest - int64(lateness()), more
	}
	return flows, f.newest, more
}

// telling is one change of an alert.
type telling struct {
	id   string
	what engine.Change
	sum  [sha256.Size]byte // of its JSON
}

// history is all that a way tells.
type history struct {
	all []telling
	// ended are the ends that a leg tells of what is open when its input ends: the
	// next leg does not repeat them.
	ended  map[telling]bool
	newest map[string]weir.Alert
	text   map[string]string // JSON of newest
}

// run sends flows the way w.
func (w *way) run(ctx context.Context, path, dir string, exporter netip.Addr, in <-chan weir.Batch) (*history, error) {
	defer func() {
		for range in { // the others still want to read
		}
	}()
	h := &history{ended: map[telling]bool{}, newest: map[string]weir.Alert{}, text: map[string]string{}}
	f := &feed{way: w, in: in}
	for i, shards := range w.shards {
		c := config.Default()
		c.Detect.Shards = shards
		o := engine.Offline{Config: &c, Thin: w.thin, Seed: 1}
		if f.until, f.over = math.MaxInt64, false; i > 0 {
			o.Baseline = dir
		}
		if i < len(w.cuts) {
			o.SaveBaseline, f.until = dir, w.cuts[i]
		}
		d, err := engine.NewScenario(path, o, f)
		if err != nil {
			return nil, err
		}
		err = d.Run(ctx, func(a weir.Alert, what engine.Change) error {
			text, err := json.Marshal(a)
			if err != nil {
				return err
			}
			text = bytes.ReplaceAll(text, fmt.Appendf(nil, `"exporter":"%v"`, w.other), fmt.Appendf(nil, `"exporter":"%v"`, exporter))
			x := telling{a.ID, what, sha256.Sum256(text)}
			if i < len(w.cuts) && f.over {
				if what == alert.Closed {
					h.ended[x] = true
				}
				return nil
			}
			h.all = append(h.all, x)
			h.newest[a.ID], h.text[a.ID] = a, string(text)
			return nil
		})
		if sum := d.Summary(); err == nil && sum.Late+sum.Older > 0 {
			err = fmt.Errorf("%d flows were late: the test breaks its promise", sum.Late+sum.Older)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return h, nil
}

// difference tells the first difference of got to h; empty for none.
func (h *history) difference(got *history) string {
	end := telling{id: "the end"}
	rest := append(slices.Clip(got.all), end)
	for i, x := range append(slices.Clip(h.all), end) {
		switch {
		case rest[0] == x:
			rest = rest[1:]
		case x.what == alert.Closed && got.ended[x]:
		default:
			id := x.id
			if x == end {
				id = rest[0].id
			}
			return fmt.Sprintf("change %d of %d is %v %s, not %v %s; in the last state of the alert:\n%.3000s",
				i+1, len(h.all), rest[0].what, rest[0].id, x.what, x.id, cmp.Diff(indented(h.text[id]), indented(got.text[id])))
		}
	}
	return ""
}

func indented(text string) []string {
	var b bytes.Buffer
	_ = json.Indent(&b, []byte(text), "", " ") // the empty text of no alert is no JSON
	return strings.Split(b.String(), "\n")
}

// fanOut generates the flows of a cell and sends them all ways.
func fanOut(t *testing.T, c *cell, text string, ways []*way) (*scenario.Scenario, []*history) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, c.name+".scn")
	s, err := scenario.Parse(path, text)
	if err := errors.Join(err, os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	var out []*history
	for list := range slices.Chunk(ways, 5) { // the state of each may be large
		told, in := make([]*history, len(list)), make([]chan weir.Batch, len(list))
		var running errgroup.Group
		for i, w := range list {
			in[i] = make(chan weir.Batch, 4)
			running.Go(func() (err error) {
				told[i], err = w.run(t.Context(), path, filepath.Join(dir, fmt.Sprint(len(out)+i)), s.Exporter, in[i])
				return err
			})
		}
		fault := s.Flows().Run(t.Context(), func(b weir.Batch) error {
			b.Flows = slices.Clone(b.Flows)
			for _, ch := range in {
				ch <- b
			}
			return nil
		})
		for _, ch := range in {
			close(ch)
		}
		if err := errors.Join(fault, running.Wait()); err != nil {
			t.Fatal(err)
		}
		out = append(out, told...)
	}
	return s, out
}

// plain is the way of every other test: one shard, the batches of the generator.
func plain() *way { return &way{name: "plain", shards: []int{1}} }

// stops are moments at which runs end and begin again: in the attacks on new
// resources, in the middle, and in the attacks on those with a history.
func stops(c *cell) []int64 {
	out := []int64{at(1, 2*time.Hour+31*time.Minute+17*time.Second), at(c.days/2+1, 13*time.Hour+7*time.Minute+23*time.Second)}
	if c.days >= attackDay {
		out = append(out, at(attackDay, 10*time.Hour+9*time.Minute+13*time.Second), at(attackDay, 10*time.Hour+31*time.Minute+17*time.Second))
	}
	if c.days >= 35 {
		out = append(out, at(35, 12*time.Hour+6*time.Minute+30*time.Second))
	}
	return slices.Sorted(slices.Values(out))
}

// legs are so many numbers of shards, in turn.
func legs(n int, shards ...int) []int { return slices.Repeat(shards, n)[:n] }

// ways are those of the full run: each but for one differs from the plain one in
// one respect.
func ways(c *cell) []*way {
	cuts := stops(c)
	out := []*way{
		{name: "2 shards", shards: []int{2}},
		{name: "7 shards", shards: []int{7}},
		{name: "out of order", shards: []int{1}, size: batches(1000), through: []stage{shuffled(1)}, behind: true},
		{name: "out of order, otherwise", shards: []int{1}, size: batches(1), through: []stage{shuffled(2)}, behind: true},
		{name: "batches of 1", shards: []int{1}, size: batches(1)},
		{name: "batches of 7", shards: []int{1}, size: batches(7)},
		{name: "batches of 1000", shards: []int{1}, size: batches(1000)},
		{name: "irregular batches", shards: []int{1}, size: irregular(1)},
		{name: "stopped and started", shards: legs(len(cuts)+1, 1), cuts: cuts},
		{name: "stopped and started with other shards, out of order", shards: legs(len(cuts)+1, 2, 7, 1), cuts: cuts, size: irregular(2), through: []stage{shuffled(3)}, behind: true},
		{name: "an exporter for every other resource", shards: []int{1}, through: []stage{divided(byResource)}, other: highRouter()},
	}
	if c.n > 1 {
		return append(out,
			&way{name: "border routers", shards: []int{1}, through: []stage{divided(byPeer)}, part: true},
			&way{name: "equal-cost paths", shards: []int{1}, through: []stage{divided(byFlow)}, part: true, paths: true})
	}
	return append(out,
		&way{name: "an exporter for every other flow", shards: []int{1}, through: []stage{divided(byFlow)}, other: highRouter()},
		&way{name: "an exporter for every other peer", shards: []int{1}, through: []stage{divided(byPeer)}, other: highRouter()},
		// Nothing is renamed where the address of the other one is higher.
		&way{name: "all flows from two exporters", shards: []int{1}, through: []stage{doubled(highRouter())}},
		&way{name: "all flows from two exporters, the other one lower", shards: []int{1}, through: []stage{doubled(lowRouter())}, other: lowRouter()})
}

// fewWays are those of the short run, each with several differences.
func fewWays(c *cell) []*way {
	cuts := stops(c)
	out := []*way{
		{name: "7 shards, irregular batches out of order, an exporter for every other resource", shards: []int{7}, size: irregular(1), through: []stage{divided(byResource), shuffled(1)}, behind: true, other: highRouter()},
		{name: "stopped and started with 1, 7 and 2 shards, batches of 7 out of order", shards: legs(len(cuts)+1, 1, 7, 2), cuts: cuts, size: batches(7), through: []stage{shuffled(2)}, behind: true},
	}
	if c.n > 1 {
		return append(out, &way{name: "border routers", shards: []int{1}, through: []stage{divided(byPeer)}, part: true})
	}
	return append(out,
		&way{name: "2 shards, batches of 1, an exporter for every other flow", shards: []int{2}, size: batches(1), through: []stage{divided(byFlow)}, other: highRouter()},
		&way{name: "batches of 1000, all flows from two exporters", shards: []int{1}, size: batches(1000), through: []stage{doubled(highRouter())}})
}

// subject is what an episode is about.
type subject struct {
	rule          weir.AlertType
	resource, key string
}

// inflated looks for estimates above the interval of the plain way and, on benign
// cells, for alerts that it does not raise (property P6). An attack below the reach
// may be found one way and missed the other.
func (w *way) inflated(t *testing.T, c *cell, plain, told *history) {
	t.Helper()
	by := map[subject]*weir.Alert{}
	for _, a := range plain.newest {
		by[subject{a.Type, a.Resource.ID, a.Key}] = &a
	}
	for _, a := range told.newest {
		b := by[subject{a.Type, a.Resource.ID, a.Key}]
		switch {
		case b == nil && !w.paths && len(c.attacks) == 0:
			t.Errorf("%s: %s of %s %s is raised in addition", w.name, a.Type, a.Resource.ID, a.Key)
		case b != nil && a.Sampling.Estimate != nil && b.Sampling.High95 != nil && *a.Sampling.Estimate > *b.Sampling.High95:
			t.Errorf("%s: %s of %s %s: estimate %.6g, with one exporter at most %.6g", w.name, a.Type, a.Resource.ID, a.Key, *a.Sampling.Estimate, *b.Sampling.High95)
		}
	}
}

// some returns cells of some roles, of so many days, and of families, with ordinary
// traffic on the days of attacks, at a rate; no names are all.
func some(n uint32, days int, names ...string) []*cell {
	var out []*cell
	for _, r := range roles() {
		if len(names) == 0 || slices.Contains(names, r.name) {
			c := r.cell(n, 1, false)
			c.days, c.resources = days, 0
			s := newSheet(c, r.what)
			r.lines(s)
			s.finish()
			out = append(out, c)
		}
	}
	for _, f := range families() {
		if (len(names) == 0 || slices.Contains(names, f.name)) && (f.only == nil || slices.Contains(f.only, n)) {
			c := f.cell(n, 1, false)
			c.text = regexp.MustCompile("(?m)^daily (.*)$").ReplaceAllString(c.text, fmt.Sprintf("day 1 $1\nday %d $1", attackDay))
			out = append(out, c)
		}
	}
	return out
}

// TestCorpusInvariance runs cells all ways. The short run takes all roles and
// families at 1:1000, the roles for a day, and at 1:1 those that cost little;
// WEIR_QUALITY=full takes everything at four rates.
func TestCorpusInvariance(t *testing.T) {
	full := os.Getenv("WEIR_QUALITY") == "full"
	list, choose := slices.Concat(some(1000, 1), some(1, 2, "ansible", "mqtt", "monitored", "new automation", "pair out", "intel")), fewWays
	if full {
		list, choose = cells([]uint32{1, 64, 1000, 4096}, 1, false, func(string) bool { return true }), ways
	}
	raised, across, ran := map[weir.AlertType]int{}, 0, 0
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			ran++
			all := append([]*way{plain()}, choose(c)...)
			_, told := fanOut(t, c, c.text, all)
			want := told[0]
			for _, a := range want.newest {
				raised[a.Type]++
				if slices.ContainsFunc(stops(c), func(cut int64) bool { return a.First < cut && cut < a.Last }) {
					across++
				}
			}
			for i, got := range told {
				if w := all[i]; w.part {
					w.inflated(t, c, want, got)
				} else if d := want.difference(got); d != "" {
					t.Errorf("%s: %s", w.name, d)
				}
			}
			t.Logf("%d alerts, %d changes, %d ways", len(want.newest), len(want.all), len(all))
		})
	}
	whole := ran == len(list) // -run may ask for some
	for _, rule := range weir.AlertTypes() {
		if raised[rule] == 0 && whole {
			t.Errorf("no %s was raised: the test proves less than it should", rule)
		}
	}
	if across < 50 && whole {
		t.Errorf("only %d alerts ran on across a stop", across)
	}
}

// TestCorpusInvarianceSampledTwice is P6 on the corpus: of two exporters that
// sample the same packets, each by itself, against one. Which packets an exporter
// takes is chance, and so is whether an attack near the reach is found; what holds
// is
//
//   - benign: not more cells alert than chance has it. The difference of two counts
//     has a standard deviation of the root of their sum; it is passed 2.33 times in
//     1 % of the cases;
//   - attacks: not fewer are found in all, and of those of 1.5 times the reach that
//     one exporter finds 95 % are;
//   - estimates: the 95 % interval holds the truth in not fewer than 95 % of the
//     alerts, less three standard errors. The estimate lies above the interval of
//     one exporter no more often than chance has it: with half of the variance the
//     difference of the two has 1.5 times that of one, so the upper end is passed
//     with P(Z > 1.96/sqrt(1.5)) = 5.5 %, again plus three standard errors.
func TestCorpusInvarianceSampledTwice(t *testing.T) {
	list := some(1000, 2, "git", "ansible", "noise", "mqtt", "monitored", "new automation", "pair out", "crowd out")
	if os.Getenv("WEIR_QUALITY") == "full" {
		list = slices.Concat(some(64, 8), some(1000, 8), some(4096, 8))
	}
	var alerting, found, safe [2]int
	above, compared, two := 0, 0, newTally()
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			// All packets, of which each exporter takes a sample.
			text := strings.Replace(c.text, fmt.Sprintf("sampling 1/%d\n", c.n), "sampling 1/1\n", 1)
			s, told := fanOut(t, c, text, []*way{
				{name: "one exporter", shards: []int{1}, size: batches(1000), behind: true, thin: c.n},
				{name: "two exporters", shards: []int{1}, size: batches(1000), behind: true, thin: c.n, through: []stage{doubled(highRouter())}},
			})
			var out [2]outcome
			for i, h := range told {
				o := outcome{cell: c, found: make([]int, len(c.attacks)), enough: make([]int64, len(c.attacks))}
				for _, id := range slices.Sorted(maps.Keys(h.newest)) {
					o.alerts = append(o.alerts, h.newest[id])
				}
				o.judge(s)
				if out[i] = o; len(c.attacks) == 0 {
					alerting[i] += min(len(o.alerts), 1)
				}
			}
			two.take(out[1])
			for k := range c.attacks {
				one, other := out[0].found[k], out[1].found[k]
				for i, at := range []int{one, other} {
					if at >= 0 {
						found[i]++
					}
					if at >= 0 && one >= 0 && c.attacks[k].factor >= enough {
						safe[i]++
					}
				}
				if one < 0 || other < 0 {
					continue
				}
				if x, y := out[0].alerts[one].Sampling, out[1].alerts[other].Sampling; x.High95 != nil && y.Estimate != nil {
					if compared++; *y.Estimate > *x.High95 {
						above++
					}
				}
			}
			t.Logf("%d and %d alerts", len(out[0].alerts), len(out[1].alerts))
		})
	}
	in, all := 0, 0 // intervals
	for _, v := range two.cover {
		in, all = in+v.in, all+v.all
	}
	seen := fmt.Sprintf("%d benign cells alert with one exporter, %d with two; %d attacks are found, %d with two, of 1.5 times the reach %d of %d; %d of %d intervals hold, %d of %d estimates above that of one",
		alerting[0], alerting[1], found[0], found[1], safe[1], safe[0], in, all, above, compared)
	t.Log(seen)
	spread := func(p float64, n int) float64 { return 3 * math.Sqrt(p*(1-p)*float64(n)) }
	for what, wrong := range map[string]bool{
		"benign":                     float64(alerting[1]-alerting[0]) > 2.33*math.Sqrt(float64(alerting[0]+alerting[1])),
		"attacks":                    found[1] < found[0] || float64(safe[1]) < 0.95*float64(safe[0]),
		"intervals":                  float64(in) < 0.95*float64(all)-spread(0.95, all),
		"estimates":                  float64(above) > 0.055*float64(compared)+spread(0.055, compared),
		"too little to say anything": min(safe[0], all, compared) < 8,
	} {
		if wrong {
			t.Errorf("%s: %s", what, seen)
		}
	}
}

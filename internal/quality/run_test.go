package quality

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/scenario"
)

// outcome is what a run of a cell gave.
type outcome struct {
	cell  *cell
	flows int64
	// found is by attack: the alert that met it, -1 for none.
	found  []int
	alerts []weir.Alert
	// wrong are the indices of the alerts that meet no attack of the cell.
	wrong []int
	// enough is by attack: when its records sufficed, 0 for never or not known.
	enough []int64
	// peers are what the rules of others say of the same flows.
	peers map[string]*claims
	took  time.Duration
}

// options of the engine: the defaults, in one shard.
func options() engine.Offline {
	c := config.Default()
	c.Detect.Shards = 1
	return engine.Offline{Config: &c}
}

// run runs a cell. dir keeps its text.
func run(ctx context.Context, dir string, c *cell) (outcome, error) {
	began := time.Now()
	path := filepath.Join(dir, c.name+".scn")
	if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
		return outcome{}, fmt.Errorf("keep the scenario: %w", err)
	}
	o := outcome{cell: c, found: make([]int, len(c.attacks))}
	s, err := scenario.Parse(path, c.text)
	if err != nil {
		return outcome{}, fmt.Errorf("run %s: %w", c.name, err)
	}
	// The rules of others look at the flows while Weir reads them.
	others, enough := newOthers(c, s.Start.UnixNano()), newEvidence(c)
	res, err := engine.RunCase(ctx, path, options(), 3, 78, func(d *engine.Detection) {
		d.Tap(func(flows []weir.Flow) {
			others.take(flows)
			enough.take(flows)
		})
	})
	if err == nil {
		err = res.Fault
	}
	if err != nil {
		return o, fmt.Errorf("run %s: %w", c.name, err)
	}
	o.flows, o.alerts = res.Flows, res.Alerts
	o.judge(s)
	o.peers, o.enough = others.claims(), enough.at
	o.took = time.Since(began)
	return o, nil
}

// judge compares the alerts with the labels. An alert and an attack are the
// same when type, ends and time agree as in labelled cases.
func (o *outcome) judge(s *scenario.Scenario) {
	k := &scenario.Case{Name: o.cell.name, Complete: true, Exit: []int{0}}
	for i := range o.cell.attacks {
		a := &o.cell.attacks[i]
		row := a.row
		row.Verdict, row.Perspective, row.Alerts = scenario.Must, scenario.AnySide, []string{string(a.rule)}
		row.First, row.Last = &a.start, &a.end
		k.Rows = append(k.Rows, row)
	}
	out := scenario.Outcome{Protected: s.Protected()}
	for i := range o.alerts {
		out.Alerts = append(out.Alerts, judged(&o.alerts[i]))
	}
	res := scenario.Judge(k, out)
	for i := range res.Must {
		o.found[i] = -1
		if res.Must[i].Met {
			o.found[i] = res.Must[i].Alerts[0]
		}
	}
	o.wrong = res.False
}

// judged is an alert as the judge takes it.
func judged(a *weir.Alert) scenario.Alert {
	r := catalog.Render(a, catalog.EN)
	out := scenario.Alert{
		ID: a.ID, Type: a.Type, Direction: a.Direction, Own: a.Own, Attackers: r.Attackers, Victims: r.Victims, Start: a.First, End: a.Last,
		Peers: r.Attackers,
	}
	if slices.Contains(r.Attackers, a.Own) {
		out.Peers = r.Victims
	}
	out.Resource = append(append(out.Resource, a.Resource.Addresses...), a.Resource.PrivateAddresses...)
	for _, p := range a.Ports {
		out.Ports = append(out.Ports, p.Port)
	}
	return out
}

// runAll runs cells, two at a time, and hands the outcomes over in their order.
func runAll(t *testing.T, cells []*cell, take func(outcome)) {
	t.Helper()
	dir := os.Getenv("WEIR_QUALITY_KEEP")
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	type slot struct {
		o   outcome
		err error
	}
	slots := make([]chan slot, len(cells))
	for i := range slots {
		slots[i] = make(chan slot, 1)
	}
	work := make(chan int, len(cells))
	for i := range cells {
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range work {
				o, err := run(t.Context(), dir, cells[i])
				slots[i] <- slot{o, err}
			}
		})
	}
	began, told := time.Now(), time.Now()
	cost := map[string]time.Duration{}
	defer func() {
		dear := slices.SortedFunc(maps.Keys(cost), func(a, b string) int { return cmp.Compare(cost[b], cost[a]) })
		for _, name := range dear[:min(len(dear), 12)] {
			t.Logf("%8v %s", cost[name].Round(100*time.Millisecond), name)
		}
	}()
	for i := range slots {
		s := <-slots[i]
		if s.err != nil {
			t.Error(s.err)
			continue
		}
		cost[fmt.Sprintf("%s at 1:%d", s.o.cell.role, s.o.cell.n)] += s.o.took
		take(s.o)
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Logf("%d of %d cells after %v", i+1, len(cells), time.Since(began).Round(time.Second))
		}
	}
	wg.Wait()
}

// slug turns a name into a part of a file name.
func slug(name string) string {
	return strings.NewReplacer(" ", "-", ",", "", "/", "-").Replace(strings.ToLower(name))
}

package engine

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/inventory"
	"github.com/weir-net/weir/internal/scenario"
)

// Names of the scenario room that callers of the engine need.
type (
	// CaseScore are the numbers of one rule, or of a sum of them.
	CaseScore = scenario.Score
	// CaseRow is one row of a truth file, or one expectation of a scenario.
	CaseRow = scenario.Row
	// CaseJudgement is what the judge says of a case.
	CaseJudgement = scenario.Result
)

// FindCases returns the case files and scenarios of a path, in order.
func FindCases(path string) ([]string, error) { return scenario.Find(path) }

// CaseResult is what became of a case.
type CaseResult struct {
	Path, Name, Title, Group string
	// Skipped says why a case was not run, empty when it was.
	Skipped   string
	Judgement CaseJudgement
	Alerts    []weir.Alert
	Flows     int64
	Exit      int
	Took      time.Duration
	// Sampling is 1-in-N of most of what concerns protected resources, thinning
	// included; 0 is not known.
	Sampling uint32
	// Resources is the number of protected resources seen.
	Resources int
	// ResourceDays is Resources times the days that were judged, 0 for a case in
	// which no alert can be false.
	ResourceDays float64
	// Measures are the numbers of every alert type that was asked for or raised.
	Measures map[weir.AlertType]Measure
	// Surprises are those of every rule that worked any out. ResourceDays of them
	// are of all that was read, before learnUntil as well.
	Surprises map[weir.AlertType]Surprises
	// Fault is why the run ended early, nil if it did not.
	Fault error
}

// Failed reports whether the case fails.
func (r *CaseResult) Failed() bool { return r.Skipped == "" && r.Judgement.Failed() }

// RunCase runs a case file or a scenario with the settings of o, whose files,
// inventory and indicators are those of the case. exits are the exit codes of a
// run that was partial, and of one with invalid files. The error is about the
// case file itself.
func RunCase(ctx context.Context, path string, o Offline, exitPartial, exitInvalid int, watch func(*Detection)) (CaseResult, error) {
	began := time.Now()
	o.observer = newObserver()
	if o.Baseline != "" {
		// A fault of it is no failure of the case.
		if _, err := readLearnt(o.Baseline, o.Config.Rules()); err != nil {
			return CaseResult{Path: path}, err
		}
	}
	var c *scenario.Case
	var d *Detection
	var script *scenario.Scenario
	var err error
	if strings.HasSuffix(path, ".scn") {
		c, script, d, err = scripted(path, o)
		if err != nil {
			return CaseResult{Path: path}, &InvalidError{err}
		}
	} else {
		if c, err = scenario.LoadCase(path); err != nil {
			return CaseResult{Path: path}, &InvalidError{err}
		}
		d, err = labelled(c, o)
	}
	r := CaseResult{Path: path, Name: c.Name, Title: c.Title, Group: c.Group}
	if errors.Is(err, ingest.ErrUnsupported) {
		r.Skipped = err.Error()
		return r, nil
	}
	final := NewFinal()
	opened := map[string]weir.Alert{}
	var protected []netip.Prefix
	var look *gauge
	if err == nil {
		watch(d)
		look = newGauge(d.know, o.Thin > 1 && script == nil)
		d.Tap(look.see)
		err = d.Run(ctx, func(a weir.Alert, what Change) error {
			if final.Add(a); what == Opened {
				opened[a.ID] = a
			}
			return nil
		})
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		protected = prefixesOf(d.know.inventory)
		report := d.Report()
		for i := range report.Files {
			if errors.Is(report.Files[i].Cut, ingest.ErrUnsupported) {
				r.Skipped = report.Files[i].Path + ": " + report.Files[i].Cut.Error()
				return r, nil
			}
		}
		r.Flows = int64(d.Summary().Flows) //nolint:gosec // a count
		if report.Incomplete() {
			r.Exit = exitPartial
		}
	}
	if err != nil {
		r.Fault, r.Exit = err, 1
		if _, ok := errors.AsType[*InvalidError](err); ok {
			r.Exit = exitInvalid
		}
	}
	for _, a := range final.Alerts() {
		if d == nil || d.News(&a) {
			r.Alerts = append(r.Alerts, a)
		}
	}
	out := scenario.Outcome{Protected: protected, Flows: r.Flows, Exit: r.Exit}
	for i := range r.Alerts {
		out.Alerts = append(out.Alerts, judged(&r.Alerts[i]))
	}
	r.Judgement = scenario.Judge(c, out)
	if look != nil {
		r.Sampling, r.Resources = look.rate(o.Thin), len(look.resources)
		r.Surprises = o.observer.surprises(float64(len(look.resources)) * look.span())
		r.measure(c, script, look, out.Alerts, opened, d.rules.Pane)
	}
	r.Took = time.Since(began)
	return r, nil
}

// labelled prepares the run of a case over files.
func labelled(c *scenario.Case, o Offline) (*Detection, error) {
	o.Files, o.Format = c.Files, c.Format
	if c.Sampling != 0 {
		o.Sampling = c.Sampling
	}
	o.Inventory = append(o.Inventory, c.Inventory...)
	for _, f := range c.Intel {
		o.Intel = append(o.Intel, IntelFile{Category: f.Category, Path: f.File})
	}
	return NewDetection(o)
}

// NewScenario prepares a run with the resources, networks and indicators of a
// scenario, without a judge, over the flows of source; nil for those that the
// scenario makes itself. It starts nothing.
func NewScenario(path string, o Offline, source weir.Source) (*Detection, error) {
	_, _, d, err := scripted(path, o)
	if err != nil {
		return nil, err
	}
	if source != nil {
		d.source = source
	}
	return d, nil
}

// scripted prepares the run of a scenario.
func scripted(path string, o Offline) (*scenario.Case, *scenario.Scenario, *Detection, error) {
	s, err := scenario.Load(path)
	if err != nil {
		return nil, nil, nil, err
	}
	var networks []inventory.Network
	for _, n := range s.Networks {
		networks = append(networks, inventory.Network{Prefix: n.Prefix, Kind: n.Kind, Tenant: n.Tenant})
	}
	var allow []inventory.Allow
	for _, a := range s.Allows {
		allow = append(allow, inventory.Allow{Prefix: a.Prefix, Reason: a.Reason, Until: a.Until})
	}
	inv, err := inventory.New(s.Resources, networks, allow)
	if err != nil {
		return nil, nil, nil, err
	}
	ports, err := servicePorts(o.Config)
	if err != nil {
		return nil, nil, nil, err
	}
	know := &knowledge{inventory: inv, orienter: inventory.NewOrienter(inv, ports), intel: intel.NewTable(s.Intel)}
	d := &Detection{source: s.Flows()}
	return s.Case(), s, d, d.prepare(o, know)
}

func prefixesOf(inv *inventory.Inventory) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range inv.Resources() {
		for _, list := range [2][]netip.Addr{r.Addresses, r.PrivateAddresses} {
			for _, a := range list {
				out = append(out, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	for _, n := range inv.Networks() {
		out = append(out, n.Prefix)
	}
	return out
}

// judged is an alert as the judge takes it.
func judged(a *weir.Alert) scenario.Alert {
	o := catalog.Render(a, catalog.EN)
	out := scenario.Alert{
		ID: a.ID, Type: a.Type, Direction: a.Direction, Own: a.Own, Attackers: o.Attackers, Victims: o.Victims, Start: a.First, End: a.Last,
	}
	// The peers are the side that is not our own, whichever role it has.
	out.Peers = o.Attackers
	if slices.Contains(o.Attackers, a.Own) {
		out.Peers = o.Victims
	}
	out.Resource = append(append(out.Resource, a.Resource.Addresses...), a.Resource.PrivateAddresses...)
	for _, p := range a.Ports {
		out.Ports = append(out.Ports, p.Port)
	}
	return out
}

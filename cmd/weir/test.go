package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) testCommand() *cobra.Command {
	var in inputFlags
	var failOn string
	var summary bool
	c := &cobra.Command{
		Use: "test [flags] CASE...", Short: "Run labelled or scripted cases and judge the alerts",
		Long: `Test runs cases: files case.yaml or case-NAME.yaml with labelled data, scenarios
(.scn), or directories that hold them. It prints which cases pass and what was
missed and raised in error; for each rule and sampling rate precision, recall,
the time to detect, how many of the 95 % intervals hold the true number, and
false alerts per 1,000 resources and day; and what alerts and surprises say of
settings. It exits with 10 when a case fails.`,
		Example: "  weir test scenarios/\n  weir test --thin 1000 --seed 7 cases/ssh/case.yaml\n  weir test --summary -o csv scenarios/",
		Args:    usageArgs(cobra.MinimumNArgs(1), "test CASE..."),
	}
	fs := c.Flags()
	fs.StringArrayVar(&in.inventory, "inventory", nil, "further `FILE` of protected resources; repeatable")
	fs.StringArrayVar(&in.intel, "intel", nil, "further indicators: `FILE`, or CATEGORY=FILE; repeatable")
	fs.StringVar(&failOn, "fail-on", "", "exit 10 too when an alert of this `SEVERITY` or higher was raised")
	fs.StringVar(&in.format, "format", "", "input `NAME` of the format, where neither case nor content tells it")
	fs.VarP((*rate)(&in.sampling), "sampling", "", "packet sampling 1-in-`N`, where neither case nor input says it")
	in.addThin(fs)
	in.addBaseline(fs)
	fs.BoolVar(&summary, "summary", false, "one row for each rule and sampling rate instead of one for each case")
	a.setFlag(fs)
	c.RunE = a.do(func(ctx context.Context, args []string) error { return a.test(ctx, args, &in, failOn, summary) })
	return c
}

// caseRow is the outcome of a case as an object.
type caseRow struct {
	Case      string                        `json:"case"`
	Title     string                        `json:"title,omitempty"`
	Group     string                        `json:"group,omitempty"`
	Result    string                        `json:"result"` // pass, fail or skip
	Skipped   string                        `json:"skipped,omitempty"`
	Flows     int64                         `json:"flows"`
	Alerts    int                           `json:"alerts"`
	Must      int                           `json:"must"`
	MustMet   int                           `json:"mustMet"`
	Should    int                           `json:"should"`
	ShouldMet int                           `json:"shouldMet"`
	False     int                           `json:"false"`
	Precision *float64                      `json:"precision"`
	Recall    *float64                      `json:"recall"`
	Seconds   float64                       `json:"seconds"`
	Missed    []string                      `json:"missed,omitempty"`
	FalseOnes []string                      `json:"falseAlerts,omitempty"`
	Wrong     []string                      `json:"wrong,omitempty"`
	Rules     map[weir.AlertType]ruleReport `json:"rules,omitempty"`
	Sampling  uint32                        `json:"sampling"` // 1-in-N, 0 not known
	Resources int                           `json:"resources"`
	measured
	PerConnection []perConnection      `json:"packetsPerConnection,omitempty"`
	Prevalence    []engine.Prevalence  `json:"prevalence,omitempty"`
	Calibration   []engine.Calibration `json:"calibration,omitempty"`
}

func (a *app) test(ctx context.Context, args []string, in *inputFlags, failOn string, summary bool) error {
	least, err := leastSeverity(failOn)
	if err != nil {
		return err
	}
	paths, err := a.findCases(args)
	if err != nil {
		return err
	}
	if in.save != "" && len(paths) != 1 {
		return exit(exitUsage, "--save-baseline: expected one case, not %d: each would learn something else", len(paths))
	}
	o, err := a.offline(in, nil)
	if err != nil {
		return err
	}
	out, err := newList(a, caseColumns())
	if err != nil && !summary {
		return err
	}
	var rows []caseRow
	sums := newTally(o.Config.Rules())
	failed, matched := 0, false
	for i, path := range paths {
		row, result, err := a.runCase(ctx, path, o, fmt.Sprintf("case %d of %d", i+1, len(paths)))
		if err != nil {
			return err
		}
		sums.add(&result)
		row.Calibration = engine.Calibrate(sums.settings, result.Surprises)
		if row.Result == "fail" {
			failed++
		}
		for _, al := range result.Alerts {
			matched = matched || reaches(al.Type, least)
		}
		rows = append(rows, row)
		if summary {
			continue
		}
		if err := out.add(row); err != nil {
			return err
		}
	}
	if !summary {
		if err := out.close(); err != nil {
			return err
		}
	}
	if err := a.testReport(rows, sums, summary); err != nil {
		return err
	}
	skipped := 0
	for _, r := range rows {
		if r.Result == "skip" {
			skipped++
			a.note("skipped %s: %s", r.Case, r.Skipped)
		}
	}
	a.note("%d passed, %d failed, %d skipped", len(rows)-failed-skipped, failed, skipped)
	if failed > 0 || matched {
		return &exitError{code: exitMatched}
	}
	return nil
}

// findCases lists the cases of the arguments. A directory without cases is
// named and skipped, unless it is the only argument.
func (a *app) findCases(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		found, err := engine.FindCases(arg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &exitError{exitNotFound, err}
		case err != nil && isDir(arg):
			a.note("skipped %s: no case in it", arg)
		case err != nil:
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

func (a *app) runCase(ctx context.Context, path string, o engine.Offline, where string) (caseRow, engine.CaseResult, error) {
	stop := func() {}
	var run *engine.Detection
	r, err := engine.RunCase(ctx, path, o, exitPartial, exitInvalid, func(d *engine.Detection) {
		run = d
		stop = a.progress(func() (engine.Progress, string) { return d.Progress(), where + ", " + plural(d.Alerts(), "alert") })
	})
	stop()
	if err != nil {
		return caseRow{}, r, fileProblem(err)
	}
	if run != nil {
		a.tellOlder(run)
		if !strings.HasSuffix(path, ".scn") { // those mean it
			a.tellRateless(run.Summary())
		}
	}
	row := caseRow{Case: path, Title: r.Title, Group: r.Group, Result: "pass", Skipped: r.Skipped, Flows: r.Flows, Alerts: len(r.Alerts), Seconds: r.Took.Round(time.Millisecond).Seconds(), Sampling: r.Sampling, Resources: r.Resources}
	if r.Skipped != "" {
		row.Result = "skip"
		return row, r, nil
	}
	if r.Failed() {
		row.Result = "fail"
	}
	row.report(&r)
	t := r.Judgement.Total()
	row.Must, row.MustMet, row.Should, row.ShouldMet, row.False = t.Must, t.MustMet, t.Should, t.ShouldMet, len(r.Judgement.False)
	if v, ok := t.Precision(); ok {
		row.Precision = &v
	}
	if v, ok := t.Recall(); ok {
		row.Recall = &v
	}
	for _, m := range r.Judgement.Missed() {
		row.Missed = append(row.Missed, rowText(&m))
	}
	for _, i := range r.Judgement.False {
		al := r.Alerts[i]
		row.FalseOnes = append(row.FalseOnes, fmt.Sprintf("%s on %s at %s, peers %s", al.Type, al.Resource.Name, time.Unix(0, al.First).UTC().Format(time.RFC3339),
			shortList(len(al.Peers), 3, func(j int) string { return al.Peers[j].Address.String() })))
	}
	for _, w := range []string{r.Judgement.FlowsWrong, r.Judgement.ExitWrong} {
		if w != "" {
			row.Wrong = append(row.Wrong, w)
		}
	}
	if r.Fault != nil {
		row.Wrong = append(row.Wrong, "the run ended early: "+r.Fault.Error())
		row.Result = "fail"
	}
	return row, r, nil
}

func rowText(r *engine.CaseRow) string {
	s := fmt.Sprintf("line %d: %s %s, attacker %s, victim %s", r.Line, r.Verdict, shortList(len(r.Alerts), 3, func(i int) string { return r.Alerts[i] }),
		shortSide(r.Attacker.String()), shortSide(r.Victim.String()))
	if r.First != nil {
		s += ", from " + time.Unix(0, *r.First).UTC().Format(time.RFC3339)
	}
	if r.Note != "" {
		s += " (" + r.Note + ")"
	}
	return s
}

// shortSide names the first of many addresses.
func shortSide(side string) string {
	words := strings.Fields(side)
	return shortList(len(words), 3, func(i int) string { return words[i] })
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**v)
}

func ratio(a, b int) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", a, b)
}

func caseColumns() []column[caseRow] {
	return []column[caseRow]{
		{name: "result", text: func(r caseRow) string { return r.Result }, color: func(r caseRow) string {
			return map[string]string{"pass": "32", "fail": "1;31", "skip": "33"}[r.Result]
		}},
		{name: "case", text: func(r caseRow) string { return r.Case }},
		{name: "flows", text: func(r caseRow) string { return fmt.Sprint(r.Flows) }},
		{name: "alerts", text: func(r caseRow) string { return fmt.Sprint(r.Alerts) }},
		{name: "must", text: func(r caseRow) string { return ratio(r.MustMet, r.Must) }},
		{name: "should", text: func(r caseRow) string { return ratio(r.ShouldMet, r.Should) }},
		{name: "false", text: func(r caseRow) string { return fmt.Sprint(r.False) }},
		{name: "precision", text: func(r caseRow) string { return percent(r.Precision) }},
		{name: "recall", text: func(r caseRow) string { return percent(r.Recall) }},
		{name: "seconds", wide: true, text: func(r caseRow) string { return fmt.Sprintf("%.1f", r.Seconds) }},
		{name: "group", wide: true, text: func(r caseRow) string { return r.Group }},
		{name: "title", wide: true, text: func(r caseRow) string { return r.Title }},
		{name: "sampling", wide: true, text: func(r caseRow) string { return fmt.Sprint(r.Sampling) }},
		{name: "resources", wide: true, text: func(r caseRow) string { return fmt.Sprint(r.Resources) }},
		{name: "resourceDays", wide: true, text: func(r caseRow) string { return plain(&r.ResourceDays) }},
		{name: "falsePerThousandResourceDays", wide: true, text: func(r caseRow) string { return plain(r.FalseRate) }},
		{name: "timeToDetectMedian", wide: true, text: func(r caseRow) string { return plain(r.Delay.of(false)) }},
		{name: "timeToDetectMax", wide: true, text: func(r caseRow) string { return plain(r.Delay.of(true)) }},
		{name: "intervals", wide: true, text: func(r caseRow) string { return fmt.Sprint(r.Intervals.of(false)) }},
		{name: "intervalsCovered", wide: true, text: func(r caseRow) string { return fmt.Sprint(r.Intervals.of(true)) }},
	}
}

// testDetails names what made cases fail.
func (a *app) testDetails(rows []caseRow) {
	w := bufio.NewWriter(a.out)
	for _, r := range rows {
		for _, list := range []struct {
			what  string
			lines []string
		}{{"missed", r.Missed}, {"false", r.FalseOnes}, {"wrong", r.Wrong}} {
			for i, l := range list.lines {
				if i == 20 {
					printf(w, "%s: %s: %d more\n", r.Case, list.what, len(list.lines)-i)
					break
				}
				printf(w, "%s: %s: %s\n", r.Case, list.what, clean(l, false))
			}
		}
	}
	_ = w.Flush()
}

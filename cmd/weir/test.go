package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) testCommand() *cobra.Command {
	var in inputFlags
	var failOn string
	c := &cobra.Command{
		Use: "test [flags] CASE...", Short: "Run labelled or scripted cases and judge the alerts",
		Long: `Test runs cases: files case.yaml or case-NAME.yaml with labelled data, scenarios
(.scn), or directories that hold them. It prints which cases pass, what was
missed and raised in error, and precision and recall of each rule. It exits with
10 when a case fails.`,
		Example: "  weir test scenarios/\n  weir test --thin 1000 --seed 7 cases/ssh/case.yaml",
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
	a.setFlag(fs)
	c.RunE = a.do(func(ctx context.Context, args []string) error { return a.test(ctx, args, &in, failOn) })
	return c
}

// caseRow is the outcome of a case as an object.
type caseRow struct {
	Case      string                              `json:"case"`
	Title     string                              `json:"title,omitempty"`
	Group     string                              `json:"group,omitempty"`
	Result    string                              `json:"result"` // pass, fail or skip
	Skipped   string                              `json:"skipped,omitempty"`
	Flows     int64                               `json:"flows"`
	Alerts    int                                 `json:"alerts"`
	Must      int                                 `json:"must"`
	MustMet   int                                 `json:"mustMet"`
	Should    int                                 `json:"should"`
	ShouldMet int                                 `json:"shouldMet"`
	False     int                                 `json:"false"`
	Precision *float64                            `json:"precision"`
	Recall    *float64                            `json:"recall"`
	Seconds   float64                             `json:"seconds"`
	Missed    []string                            `json:"missed,omitempty"`
	FalseOnes []string                            `json:"falseAlerts,omitempty"`
	Wrong     []string                            `json:"wrong,omitempty"`
	Rules     map[weir.AlertType]engine.CaseScore `json:"rules,omitempty"`
}

func (a *app) test(ctx context.Context, args []string, in *inputFlags, failOn string) error {
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
	if err != nil {
		return err
	}
	var rows []caseRow
	rules := map[weir.AlertType]engine.CaseScore{}
	failed, matched := 0, false
	for i, path := range paths {
		row, result, err := a.runCase(ctx, path, o, fmt.Sprintf("case %d of %d", i+1, len(paths)))
		if err != nil {
			return err
		}
		for t, s := range result.Judgement.Rules {
			rules[t] = rules[t].Add(s)
		}
		if row.Result == "fail" {
			failed++
		}
		for _, al := range result.Alerts {
			matched = matched || reaches(al.Type, least)
		}
		rows = append(rows, row)
		if err := out.add(row); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if a.human() {
		a.testDetails(rows)
		if err := a.ruleTable(rules); err != nil {
			return err
		}
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
	}
	row := caseRow{Case: path, Title: r.Title, Group: r.Group, Result: "pass", Skipped: r.Skipped, Flows: r.Flows, Alerts: len(r.Alerts), Seconds: r.Took.Round(time.Millisecond).Seconds(), Rules: r.Judgement.Rules}
	if r.Skipped != "" {
		row.Result = "skip"
		return row, r, nil
	}
	if r.Failed() {
		row.Result = "fail"
	}
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
	s := fmt.Sprintf("line %d: %s %s, attacker %s, victim %s", r.Line, r.Verdict, shortList(len(r.Alerts), 3, func(i int) string { return r.Alerts[i] }), r.Attacker, r.Victim)
	if r.First != nil {
		s += ", from " + time.Unix(0, *r.First).UTC().Format(time.RFC3339)
	}
	if r.Note != "" {
		s += " (" + r.Note + ")"
	}
	return s
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

type ruleScore struct {
	rule  weir.AlertType
	score engine.CaseScore
}

// ruleTable prints the numbers of each rule.
func (a *app) ruleTable(rules map[weir.AlertType]engine.CaseScore) error {
	if len(rules) == 0 {
		return nil
	}
	printf(a.out, "\n")
	out := &list[ruleScore]{a: a, w: bufio.NewWriter(a.out), cols: []column[ruleScore]{
		{name: "rule", text: func(r ruleScore) string { return string(r.rule) }},
		{name: "must", text: func(r ruleScore) string { return ratio(r.score.MustMet, r.score.Must) }},
		{name: "should", text: func(r ruleScore) string { return ratio(r.score.ShouldMet, r.score.Should) }},
		{name: "raised", text: func(r ruleScore) string { return fmt.Sprint(r.score.Raised) }},
		{name: "false", text: func(r ruleScore) string { return fmt.Sprint(r.score.False) }},
		{name: "precision", text: func(r ruleScore) string { return share(r.score.Precision()) }},
		{name: "recall", text: func(r ruleScore) string { return share(r.score.Recall()) }},
	}}
	var total engine.CaseScore
	for _, t := range slices.Sorted(maps.Keys(rules)) {
		total = total.Add(rules[t])
		if err := out.add(ruleScore{t, rules[t]}); err != nil {
			return err
		}
	}
	if err := out.add(ruleScore{"total", total}); err != nil {
		return err
	}
	return out.close()
}

func share(v float64, ok bool) string {
	if !ok {
		return "-"
	}
	return percent(&v)
}

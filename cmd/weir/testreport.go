package main

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

// delays are times to detect as an object, in seconds of event time.
type delays struct {
	Count  int     `json:"count"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

func (d *delays) median() string {
	if d == nil {
		return "-"
	}
	return seconds(d.Median)
}

func (d *delays) longest() string {
	if d == nil {
		return "-"
	}
	return seconds(d.Max)
}

// of is the median or the longest in seconds, nil where it is not known.
func (d *delays) of(longest bool) *float64 {
	switch {
	case d == nil:
		return nil
	case longest:
		return &d.Max
	}
	return &d.Median
}

func seconds(s float64) string {
	return time.Duration(math.Round(s) * float64(time.Second)).String()
}

// intervals are 95 % intervals whose true number is known.
type intervals struct {
	Count    int     `json:"count"`
	Covered  int     `json:"covered"` // hold the true number
	Coverage float64 `json:"coverage"`
}

func (i *intervals) text() string {
	if i == nil {
		return "-"
	}
	return ratio(i.Covered, i.Count)
}

// of is the number of intervals, or of those that hold the true number.
func (i *intervals) of(covered bool) int {
	switch {
	case i == nil:
		return 0
	case covered:
		return i.Covered
	}
	return i.Count
}

// measured are the numbers of a rule or a case beyond its score.
type measured struct {
	// Delay, Intervals and FalseRate are absent where they are not known.
	Delay        *delays    `json:"timeToDetect,omitempty"`
	Intervals    *intervals `json:"intervals,omitempty"`
	ResourceDays float64    `json:"resourceDays"`
	FalseRate    *float64   `json:"falsePerThousandResourceDays,omitempty"`
}

func measuredOf(m engine.Measure, resourceDays float64) measured {
	out := measured{ResourceDays: resourceDays}
	if median, longest, ok := m.Delay(); ok {
		out.Delay = &delays{len(m.Delays), median.Seconds(), longest.Seconds()}
	}
	if v, ok := m.Coverage(); ok {
		out.Intervals = &intervals{m.Intervals, m.Covered, v}
	}
	if v, ok := m.FalseRate(resourceDays); ok {
		out.FalseRate = &v
	}
	return out
}

// ruleReport is what is known of a rule.
type ruleReport struct {
	engine.CaseScore
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	measured
}

func reportOf(m engine.Measure, resourceDays float64) ruleReport {
	r := ruleReport{CaseScore: m.CaseScore, measured: measuredOf(m, resourceDays)}
	if v, ok := m.Precision(); ok {
		r.Precision = &v
	}
	if v, ok := m.Recall(); ok {
		r.Recall = &v
	}
	return r
}

// report fills in what was measured.
func (row *caseRow) report(r *engine.CaseResult) {
	var total engine.Measure
	for t, m := range r.Measures {
		if row.Rules == nil {
			row.Rules = map[weir.AlertType]ruleReport{}
		}
		row.Rules[t] = reportOf(m, r.ResourceDays)
		total = total.Add(m)
	}
	row.measured = measuredOf(total, r.ResourceDays)
	row.PerConnection = perConnections(engine.PacketsPerConnection(r.Alerts))
	row.Prevalence = engine.PrevalenceOf(r.Alerts, r.Resources)
}

// tally sums the cases by sampling rate and rule.
type tally struct {
	settings  engine.Rules
	rules     map[uint32]map[weir.AlertType]engine.Measure
	days      map[uint32]float64
	per       map[string][]float64
	surprises map[uint32]map[weir.AlertType]engine.Surprises
}

func newTally(settings engine.Rules) *tally {
	return &tally{
		settings, map[uint32]map[weir.AlertType]engine.Measure{}, map[uint32]float64{}, map[string][]float64{},
		map[uint32]map[weir.AlertType]engine.Surprises{},
	}
}

func (t *tally) add(r *engine.CaseResult) {
	if r.Skipped != "" {
		return
	}
	rules := t.rules[r.Sampling]
	if rules == nil {
		rules = map[weir.AlertType]engine.Measure{}
		t.rules[r.Sampling], t.surprises[r.Sampling] = rules, map[weir.AlertType]engine.Surprises{}
	}
	for typ, s := range r.Surprises {
		t.surprises[r.Sampling][typ] = t.surprises[r.Sampling][typ].Add(s)
	}
	for typ, m := range r.Measures {
		rules[typ] = rules[typ].Add(m)
	}
	t.days[r.Sampling] += r.ResourceDays
	for _, p := range engine.PacketsPerConnection(r.Alerts) {
		t.per[p.Service] = append(t.per[p.Service], p.Means...)
	}
}

// summaryRow is one rule at one sampling rate.
type summaryRow struct {
	Rule     string  `json:"rule"`     // or total
	Sampling *uint32 `json:"sampling"` // 1-in-N, 0 not known; null for all
	ruleReport
	Calibration []engine.Calibration `json:"calibration,omitempty"` // of the total
}

// rows are the rules by rate, the sum of each rate, and the sum of all.
func (t *tally) rows() []summaryRow {
	var out, totals []summaryRow
	var all engine.Measure
	days := 0.0
	for _, n := range slices.Sorted(maps.Keys(t.rules)) {
		var total engine.Measure
		for typ, m := range t.rules[n] {
			out = append(out, summaryRow{string(typ), &n, reportOf(m, t.days[n]), nil})
			total = total.Add(m)
		}
		totals = append(totals, summaryRow{"total", &n, reportOf(total, t.days[n]), engine.Calibrate(t.settings, t.surprises[n])})
		all, days = all.Add(total), days+t.days[n]
	}
	slices.SortFunc(out, func(a, b summaryRow) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(*a.Sampling, *b.Sampling))
	})
	calibration := t.calibration()
	if len(out)+len(calibration) == 0 {
		return nil
	}
	if len(totals) > 1 {
		out = append(out, totals...)
	}
	return append(out, summaryRow{"total", nil, reportOf(all, days), calibration})
}

// calibration is that of all cases and rates: a threshold holds at every rate.
func (t *tally) calibration() []engine.Calibration {
	sum := map[weir.AlertType]engine.Surprises{}
	for _, n := range slices.Sorted(maps.Keys(t.surprises)) {
		for typ, s := range t.surprises[n] {
			sum[typ] = sum[typ].Add(s)
		}
	}
	return engine.Calibrate(t.settings, sum)
}

func rateText(n uint32) string {
	if n == 0 {
		return "unknown"
	}
	return fmt.Sprintf("1/%d", n)
}

func rounded(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3g", *v)
}

// summaryColumns are those of tables: short, with counts as ratios. CSV has the
// numbers one by one, by the names of the JSON form.
func (a *app) summaryColumns() []column[summaryRow] {
	if a.output == "csv" {
		return summaryNumbers()
	}
	all := []column[summaryRow]{
		{name: "rule", text: func(r summaryRow) string { return r.Rule }},
		{name: "sampling", text: summaryRow.rate},
		{name: "must", text: func(r summaryRow) string { return ratio(r.MustMet, r.Must) }},
		{name: "should", text: func(r summaryRow) string { return ratio(r.ShouldMet, r.Should) }},
		{name: "raised", text: func(r summaryRow) string { return fmt.Sprint(r.Raised) }},
		{name: "false", text: func(r summaryRow) string { return fmt.Sprint(r.False) }},
		{name: "precision", text: func(r summaryRow) string { return percent(r.Precision) }},
		{name: "recall", text: func(r summaryRow) string { return percent(r.Recall) }},
		{name: "detected", text: func(r summaryRow) string { return r.Delay.median() }},
		{name: "latest", text: func(r summaryRow) string { return r.Delay.longest() }},
		{name: "covered", text: func(r summaryRow) string { return r.Intervals.text() }},
		{name: "false/1000d", text: func(r summaryRow) string { return rounded(r.FalseRate) }},
		{name: "resourceDays", wide: true, text: func(r summaryRow) string { return fmt.Sprintf("%.4g", r.ResourceDays) }},
	}
	return slices.DeleteFunc(all, func(c column[summaryRow]) bool { return c.wide && a.output == "table" })
}

func (r summaryRow) rate() string {
	if r.Sampling == nil {
		return "all"
	}
	return rateText(*r.Sampling)
}

func summaryNumbers() []column[summaryRow] {
	whole := func(name string, of func(*summaryRow) int) column[summaryRow] {
		return column[summaryRow]{name: name, text: func(r summaryRow) string { return fmt.Sprint(of(&r)) }}
	}
	broken := func(name string, of func(*summaryRow) *float64) column[summaryRow] {
		return column[summaryRow]{name: name, text: func(r summaryRow) string { return plain(of(&r)) }}
	}
	return []column[summaryRow]{
		{name: "rule", text: func(r summaryRow) string { return r.Rule }},
		{name: "sampling", text: func(r summaryRow) string {
			if r.Sampling == nil {
				return "all"
			}
			return fmt.Sprint(*r.Sampling)
		}},
		whole("must", func(r *summaryRow) int { return r.Must }), whole("mustMet", func(r *summaryRow) int { return r.MustMet }),
		whole("should", func(r *summaryRow) int { return r.Should }), whole("shouldMet", func(r *summaryRow) int { return r.ShouldMet }),
		whole("raised", func(r *summaryRow) int { return r.Raised }), whole("true", func(r *summaryRow) int { return r.True }),
		whole("false", func(r *summaryRow) int { return r.False }),
		broken("precision", func(r *summaryRow) *float64 { return r.Precision }), broken("recall", func(r *summaryRow) *float64 { return r.Recall }),
		broken("timeToDetectMedian", func(r *summaryRow) *float64 { return r.Delay.of(false) }),
		broken("timeToDetectMax", func(r *summaryRow) *float64 { return r.Delay.of(true) }),
		whole("intervals", func(r *summaryRow) int { return r.Intervals.of(false) }),
		whole("intervalsCovered", func(r *summaryRow) int { return r.Intervals.of(true) }),
		broken("resourceDays", func(r *summaryRow) *float64 { return &r.ResourceDays }),
		broken("falsePerThousandResourceDays", func(r *summaryRow) *float64 { return r.FalseRate }),
	}
}

// plain is a number for machines, empty where it is not known.
func plain(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// testReport prints what made cases fail, the numbers of each rule, and what
// the alerts propose.
func (a *app) testReport(rows []caseRow, t *tally, summary bool) error {
	if !a.human() && !summary {
		return nil
	}
	if a.human() {
		a.testDetails(rows)
		if !summary && len(t.rules) > 0 {
			printf(a.out, "\n")
		}
	}
	out := &list[summaryRow]{a: a, w: bufio.NewWriter(a.out), cols: a.summaryColumns()}
	if summary {
		var err error
		if out, err = newList(a, a.summaryColumns()); err != nil {
			return err
		}
	}
	for _, r := range t.rows() {
		if err := out.add(r); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil || !a.human() {
		return err
	}
	return a.proposals(rows, t)
}

// perConnection is a proposal for a setting, with what it rests on.
type perConnection struct {
	Service string  `json:"service"`
	Median  float64 `json:"median"`
	Peers   int     `json:"peers"`
}

func perConnections(list []engine.PerConnection) []perConnection {
	var out []perConnection
	for i := range list {
		out = append(out, perConnection{list[i].Service, list[i].Median(), len(list[i].Means)})
	}
	return out
}

// calibrationColumns show "-" where too few surprises were seen to propose.
func calibrationColumns() []column[engine.Calibration] {
	return []column[engine.Calibration]{
		{name: "rule", text: func(c engine.Calibration) string { return string(c.Rule) }},
		{name: "setting", text: func(c engine.Calibration) string { return c.Setting }},
		{name: "threshold", text: func(c engine.Calibration) string { return fmt.Sprintf("%.3g", c.Threshold) }},
		{name: "proposed", text: func(c engine.Calibration) string { return rounded(c.Proposed) }},
		{name: "tests", text: func(c engine.Calibration) string { return fmt.Sprint(c.Tests) }},
		{name: "tests/day", text: func(c engine.Calibration) string { return fmt.Sprintf("%.1f", c.TestsPerResourceDay) }},
	}
}

// proposals prints calibration and prevalence. They change no alert.
func (a *app) proposals(rows []caseRow, t *tally) error {
	if found := t.calibration(); len(found) > 0 {
		printf(a.out, "\n")
		out := &list[engine.Calibration]{a: a, w: bufio.NewWriter(a.out), cols: calibrationColumns()}
		for _, c := range found {
			if err := out.add(c); err != nil {
				return err
			}
		}
		if err := out.close(); err != nil {
			return err
		}
	}
	var found []perConnection
	for _, s := range slices.Sorted(maps.Keys(t.per)) {
		p := engine.PerConnection{Service: s, Means: t.per[s]}
		found = append(found, perConnection{s, p.Median(), len(p.Means)})
	}
	if len(found) > 0 {
		printf(a.out, "\n")
		out := &list[perConnection]{a: a, w: bufio.NewWriter(a.out), cols: []column[perConnection]{
			{name: "service", text: func(p perConnection) string { return p.Service }},
			{name: "packetsPerConnection", text: func(p perConnection) string { return fmt.Sprintf("%.3g", p.Median) }},
			{name: "peers", text: func(p perConnection) string { return fmt.Sprint(p.Peers) }},
		}}
		for _, p := range found {
			if err := out.add(p); err != nil {
				return err
			}
		}
		if err := out.close(); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if n := len(r.Prevalence); n > 0 {
			printf(a.out, "%s: peers of several resources: %s\n", clean(r.Case, false), shortList(n, 5, func(i int) string {
				p := r.Prevalence[i]
				return fmt.Sprintf("%s (%d of %d)", p.Peer, p.Resources, r.Resources)
			}))
		}
	}
	return nil
}

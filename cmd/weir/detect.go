package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
)

// usageArgs marks errors of arguments as errors of usage, with a remedy.
func usageArgs(check cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fmt.Errorf("%w: expected 'weir %s'", err, want)
		}
		return nil
	}
}

func (a *app) detectCommand() *cobra.Command {
	var in inputFlags
	var failOn string
	var updates bool
	c := &cobra.Command{
		Use:   "detect [flags] FILE...",
		Short: "Detect offline, over files",
		Long: `Detect runs the rules over files, with the same pipeline as the daemon and in
event time. The alerts come out oldest first, each once in its final state, and
are the same at every run. '-' reads standard input. Formats, gzip and zstd are
told from the content.

With --baseline a run goes on where an earlier one, with --save-baseline, ended:
what is normal, open windows and open alerts are taken over, so that two runs
over two days tell what one run over both would. Alerts that the earlier run has
told and that got no new evidence are not told again.`,
		Example: `  weir detect --inventory inventory.yaml conn.log.gz
  weir detect --inventory inventory.yaml --intel c2=feodo.csv --sampling 1000 export.pcap
  zcat flows.csv.gz | weir detect --inventory inventory.yaml --fail-on high -
  weir detect --inventory inventory.yaml --save-baseline learnt monday.csv
  weir detect --inventory inventory.yaml --baseline learnt --save-baseline learnt tuesday.csv`,
		Args: usageArgs(cobra.MinimumNArgs(1), "detect FILE..."),
	}
	in.add(c, true)
	a.setFlag(c.Flags())
	c.Flags().BoolVar(&updates, "updates", false, "print every change of an alert, in order of time")
	c.Flags().StringVar(&failOn, "fail-on", "", "exit 10 when an alert of this `SEVERITY` or higher was raised: high, medium, low or informational")
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"high", "medium", "low", "informational"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = a.do(func(ctx context.Context, args []string) error { return a.detect(ctx, args, &in, failOn, updates) })
	return c
}

// offline turns flags into the settings of an offline run.
func (a *app) offline(in *inputFlags, files []string) (engine.Offline, error) {
	loaded, err := a.load()
	if err != nil {
		return engine.Offline{}, err
	}
	format, err := in.parsedFormat()
	if err != nil {
		return engine.Offline{}, err
	}
	intel, err := parsedIntel(in.intel)
	return engine.Offline{
		Config: &loaded.Config, Files: files, Format: format, Sampling: in.sampling, Thin: in.thin, Seed: in.seed,
		Inventory: in.inventory, Intel: intel, Baseline: in.baseline, SaveBaseline: in.save,
	}, err
}

func (a *app) detect(ctx context.Context, files []string, in *inputFlags, failOn string, updates bool) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	least, err := leastSeverity(failOn)
	if err != nil {
		return err
	}
	o, err := a.offline(in, files)
	if err != nil {
		return err
	}
	out, err := newList(a, alertColumns(lang))
	if err != nil {
		return err
	}
	d, err := engine.NewDetection(o)
	if err != nil {
		return fileProblem(err)
	}
	for _, w := range d.Inventory().Warnings() {
		a.note("inventory: %s", w)
	}
	matched, shown := false, int64(0)
	final := engine.NewFinal()
	tell := func(al *weir.Alert) error {
		shown++
		matched = matched || reaches(al.Type, least)
		return out.add(catalog.Render(al, lang))
	}
	stop := a.progress(func() (engine.Progress, string) { return d.Progress(), plural(d.Alerts(), "alert") })
	begun := time.Now()
	runErr := d.Run(ctx, func(al weir.Alert, _ engine.Change) error {
		final.Add(al)
		if updates {
			return tell(&al)
		}
		return nil
	})
	stop()
	for _, al := range final.Alerts() {
		if updates || !d.News(&al) {
			continue
		}
		if err := tell(&al); err != nil {
			return err
		}
	}
	if updates {
		shown = int64(len(final.Alerts()))
	}
	if err := out.close(); err != nil {
		return err
	}
	if runErr != nil && ctx.Err() == nil {
		return fileProblem(runErr)
	}
	partial := a.tellFiles(d.Report())
	a.summary(d, shown, time.Since(begun), o)
	switch {
	case runErr != nil:
		return runErr
	case matched:
		return &exitError{code: exitMatched}
	case partial:
		return &exitError{code: exitPartial}
	}
	return nil
}

// leastSeverity reads --fail-on; 0 for none.
func leastSeverity(text string) (weir.Severity, error) {
	if text == "" {
		return 0, nil
	}
	s, err := weir.ParseSeverity(text)
	if err != nil {
		return 0, exit(exitUsage, "--fail-on %w", err)
	}
	return s, nil
}

// reaches reports whether alerts of a type are as severe as --fail-on says.
func reaches(t weir.AlertType, least weir.Severity) bool {
	e, ok := catalog.Lookup(t)
	return ok && least > 0 && e.Severity >= least
}

// summary tells on stderr what was read and why the rest was left.
func (a *app) summary(d *engine.Detection, alerts int64, took time.Duration, o engine.Offline) {
	s := d.Summary()
	a.note("%s: %s in %s (%s/s)", plural(alerts, "alert"), plural(s.Flows, "flow"), took.Round(time.Millisecond), count(float64(s.Flows)/max(took.Seconds(), 0.001)))
	if s.Flows > 0 && s.Contacts == 0 {
		if len(o.Inventory)+len(o.Config.Inventory.Files) == 0 {
			a.note("nothing is protected: name the protected addresses with --inventory FILE")
		} else {
			a.note("no flow touches a protected resource: does the inventory belong to this input?")
		}
	}
	a.tellRateless(s)
	a.tellOlder(d)
	if s.Dropped > 0 {
		a.warn("%s of %d were dropped, as open panes filled detect.memory: raise it (--set detect.memory=…), or give the input in order of time", plural(s.Dropped, "contact"), s.Contacts)
	}
	if s.Late > 0 {
		a.note("%s came too late for their pane and were dropped", plural(s.Late, "flow"))
	}
	if a.verbose {
		a.note("%d contacts, %d flows of nobody protected, %d without a clear client, %d findings", s.Contacts, s.Unprotected, s.Ambiguous, s.Findings)
	}
}

// tellRateless warns of contacts that no rule of numbers can judge.
func (a *app) tellRateless(s engine.Summary) {
	if s.NoRate > 0 {
		a.warn("%s of %d without a known sampling rate: nothing is estimated from them and no anomaly is reported; "+
			"--sampling N tells the rate (1 if nothing is sampled)", plural(s.NoRate, "contact"), s.Contacts)
	}
}

// tellOlder warns of flows that the baseline has left behind.
func (a *app) tellOlder(d *engine.Detection) {
	if s := d.Summary(); s.Older > 0 {
		a.warn("%s of %d that concern protected resources ended before %s, up to which the baseline reaches, and took no part: "+
			"give the input in order of time, or run without --baseline", plural(s.Older, "flow"), s.Flows-s.Unprotected, d.Learnt().Format(time.RFC3339))
	}
}

func plural[N int64 | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// fileProblem gives errors about inputs their exit code.
func fileProblem(err error) error {
	var invalid *engine.InvalidError
	switch {
	case errors.As(err, &invalid):
		return &exitError{exitInvalid, err}
	case errors.Is(err, fs.ErrNotExist):
		return &exitError{exitNotFound, err}
	}
	return err
}

// alertColumns are the columns of lists of alerts.
func alertColumns(lang catalog.Lang) []column[catalog.Object] {
	addrs := func(o catalog.Object) string {
		// The peers are the side that is not our own.
		list := o.Attackers
		if slices.ContainsFunc(list, func(a netip.Addr) bool { return a.String() == o.Resource.Address }) {
			list = o.Victims
		}
		return shortList(len(list), 2, func(i int) string { return list[i].String() })
	}
	clock := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return []column[catalog.Object]{
		{name: "startTime", text: func(o catalog.Object) string { return clock(o.StartTime) }},
		{name: "severity", min: 15, text: func(o catalog.Object) string {
			return severityMark(o.Severity) + catalog.SeverityName(o.Severity, lang)
		}, color: func(o catalog.Object) string { return severityColor(o.Severity) }},
		{name: "alertType", min: 38, text: func(o catalog.Object) string { return string(o.AlertType) }},
		{name: "resource", min: 10, text: func(o catalog.Object) string { return o.Resource.Name }},
		{name: "direction", wide: true, text: func(o catalog.Object) string { return string(o.Direction) }},
		{name: "peers", min: 31, text: addrs},
		{name: "observed", min: 16, text: func(o catalog.Object) string { return fmt.Sprintf("%.4g %s", o.Observed, o.Unit) }},
		{name: "status", text: func(o catalog.Object) string { return catalog.StatusName(o.Status, lang) }},
		{name: "id", wide: true, text: func(o catalog.Object) string { return o.ID }},
		{name: "endTime", wide: true, text: func(o catalog.Object) string { return clock(o.EndTime) }},
		{name: "confidence", wide: true, text: func(o catalog.Object) string { return fmt.Sprintf("%.2f", o.Confidence) }},
		{name: "threshold", wide: true, text: func(o catalog.Object) string { return fmt.Sprintf("%.4g", o.Threshold) }},
		{name: "title", wide: true, text: func(o catalog.Object) string { return o.Title }},
		{name: "why", wide: true, text: func(o catalog.Object) string { return o.Why }},
	}
}

func shortList(n, most int, item func(int) string) string {
	var out []string
	for i := range min(n, most) {
		out = append(out, item(i))
	}
	s := strings.Join(out, " ")
	if n > most {
		s += fmt.Sprintf(" +%d", n-most)
	}
	return s
}

// severityMark is a shape beside colour and word, so that no one has to rely
// on colours.
func severityMark(s weir.Severity) string {
	switch s {
	case weir.High:
		return "▲ "
	case weir.Medium:
		return "◆ "
	case weir.Low:
		return "● "
	}
	return "○ "
}

func severityColor(s weir.Severity) string {
	switch s {
	case weir.High:
		return "1;31"
	case weir.Medium:
		return "33"
	case weir.Low:
		return "36"
	}
	return ""
}

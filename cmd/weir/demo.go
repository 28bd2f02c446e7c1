package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) demoCommand(files fs.FS) *cobra.Command {
	var end bool
	c := &cobra.Command{
		Use: "demo", Short: "Play recorded attacks into a server and show the alerts",
		Long: `Demo starts a server in a temporary directory, plays the bundled recording of real
attacks into it through its own UDP port, and shows the alerts as they arise. The
server stays up until it is interrupted, so that its API can be explored.`,
		Example: "  weir demo\n  weir demo --exit --lang ja",
		Args:    usageArgs(cobra.NoArgs, "demo"), ValidArgsFunction: noFiles,
	}
	c.Flags().BoolVar(&end, "exit", false, "end once the expected alerts have arrived, with 1 when they have not within 120 s (also with DEMO_EXIT=1)")
	a.setFlag(c.Flags())
	c.RunE = a.do(func(ctx context.Context, _ []string) error {
		return a.demo(ctx, files, end || a.getenv("DEMO_EXIT") == "1")
	})
	return c
}

func (a *app) demo(ctx context.Context, files fs.FS, end bool) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	out, err := newList(a, alertColumns(lang))
	if err != nil {
		return err
	}
	out.live = true
	if a.output == "json" {
		a.output = "ndjson" // a list that grows
	}
	var failed error
	o := engine.DemoOptions{
		Files: files, Exit: end, Set: a.set, Version: buildInfo().Version,
		Started: func(addrs engine.Addresses, dir string, datagrams int) {
			a.note("API         %s/api/v1/alerts", addrs.API)
			a.note("NetFlow     %s (UDP)", addrs.NetFlow[0])
			a.note("data        %s (removed at the end)", dir)
			a.note("playing     %d datagrams of recorded flow export, their times moved to today", datagrams)
			if !end {
				a.note("            a quarter of an hour in 15 seconds; most rules judge every ten minutes")
			}
		},
		Alert: func(al weir.Alert, what engine.Change) {
			if what == engine.Opened && failed == nil {
				failed = out.add(catalog.Render(&al, lang))
			}
		},
		Complete: func(after time.Duration) {
			a.note("all expected alerts arrived after %s", after.Round(100*time.Millisecond))
			if !end {
				a.note("the server stays up; Ctrl-C ends it")
			}
		},
	}
	if !end {
		o.Speed = 60
	}
	if a.verbose {
		o.Log = a.logger("auto", slog.LevelInfo)
	}
	err = engine.Demo(ctx, o)
	if e := out.close(); e != nil && failed == nil {
		failed = e
	}
	return errors.Join(err, failed)
}

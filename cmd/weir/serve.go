package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
)

func (a *app) serveCommand() *cobra.Command {
	var role, data string
	c := &cobra.Command{
		Use: "serve", Short: "Run the daemon: receive flow export, detect, serve the API",
		Long: `Serve receives flow export over UDP, runs the rules, keeps the alerts and serves
the API. It runs without a configuration file; SIGHUP reads the configuration,
the inventory and the indicators anew, SIGINT and SIGTERM end it in order.`,
		Example: "  weir serve -c /etc/weir/weir.yaml\n  weir serve --data /tmp/weir --set inventory.files=[inventory.yaml] --set listen.netflow=[127.0.0.1:2055]",
		Args:    usageArgs(cobra.NoArgs, "serve"), ValidArgsFunction: noFiles,
	}
	c.Flags().StringVar(&role, "role", "all", "`ROLE` of this process: all (further roles come with the distributed mode)")
	c.Flags().StringVar(&data, "data", "", "`DIR` of everything this process keeps (store.dir)")
	a.setFlag(c.Flags())
	c.RunE = a.do(func(ctx context.Context, _ []string) error { return a.serve(ctx, role, data) })
	return c
}

// serverConfig reads the configuration with what flags say of the directory.
func (a *app) serverConfig(data string) (*config.Loaded, error) {
	if data != "" {
		return a.load("store.dir=" + quoteYAML(data))
	}
	return a.load()
}

func quoteYAML(s string) string { return fmt.Sprintf("%q", s) }

func (a *app) serve(ctx context.Context, role, data string) error {
	switch role {
	case "all":
	case "collect", "detect", "api":
		return exit(exitInvalid, "--role %s: this version of weir cannot do this yet, expected --role all", role)
	default:
		return exit(exitUsage, "--role %q: expected all", role)
	}
	l, err := a.serverConfig(data)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	level.Set(engine.Level(l.Log.Level))
	if a.verbose {
		level.Set(slog.LevelDebug)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reload := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				select {
				case reload <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}()
	s, err := engine.NewServer(l, engine.ServerOptions{
		Log: a.logger(l.Log.Format, &level), Level: &level, Reload: reload, Version: buildInfo().Version,
		LoadConfig: func() (*config.Loaded, error) { return a.serverConfig(data) },
	})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// logger writes to standard error.
func (a *app) logger(format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" || format == "auto" && !a.errTTY {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}

// drained reports whether an error is only the end that was asked for.
func drained(ctx context.Context, err error) bool {
	return err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled)
}

// printf writes text for people; the writer's error comes up at its flush.
func printf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
)

func (a *app) configCommand() *cobra.Command {
	var noEnv, origin, force bool
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Check the configuration without starting anything",
		Long: `Check reads the configuration and, unless --no-env is given, everything that it
names: inventory, indicators, secrets and the store's directory. It is what
'weir serve' does before it starts.`,
		Example: "  weir config check /etc/weir/weir.yaml", Args: usageArgs(cobra.MaximumNArgs(1), "config check [FILE]"),
		RunE: a.do(func(_ context.Context, args []string) error { return a.configCheck(args, noEnv) }),
	}
	check.Flags().BoolVar(&noEnv, "no-env", false, "check the keys only, not the files that they name")
	show := &cobra.Command{
		Use: "show", Short: "Show the effective configuration", Args: usageArgs(cobra.NoArgs, "config show"), ValidArgsFunction: noFiles,
		Example: "  weir config show --origin\n  weir config show -o csv --origin -c weir.yaml",
		RunE:    a.do(func(context.Context, []string) error { return a.configShow(origin) }),
	}
	show.Flags().BoolVar(&origin, "origin", false, "tell where each value came from")
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration file", Args: usageArgs(cobra.NoArgs, "config schema"), ValidArgsFunction: noFiles,
		Example: "  weir config schema > weir.schema.json",
		RunE: a.do(func(context.Context, []string) error {
			s, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = a.out.Write(s)
			return err
		}),
	}
	first := &cobra.Command{
		Use: "init [FILE]", Short: "Write a first configuration file", Args: usageArgs(cobra.MaximumNArgs(1), "config init [FILE]"),
		Long:    "Init writes a first file to begin with; without FILE, or with '-', to standard output. An existing file is left alone.",
		Example: "  weir config init weir.yaml",
		RunE:    a.do(func(_ context.Context, args []string) error { return a.configInit(args, force) }),
	}
	first.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	for _, c := range []*cobra.Command{check, show} {
		a.setFlag(c.Flags())
	}
	return group(&cobra.Command{Use: "config", Short: "Check, show and begin a configuration"}, check, show, schema, first)
}

func (a *app) configCheck(args []string, noEnv bool) error {
	if len(args) == 1 {
		a.configFile = args[0]
	}
	l, err := a.load()
	if err != nil {
		return err
	}
	later := engine.Unsupported(l)
	if noEnv {
		for _, p := range later {
			a.note("note: %s", p.Error())
		}
	} else {
		if len(later) > 0 {
			return &exitError{exitInvalid, later}
		}
		if _, err := engine.NewServer(l, engine.ServerOptions{}); err != nil {
			return &exitError{exitInvalid, err}
		}
	}
	name := l.File
	if name == "" {
		name = "the defaults"
	}
	a.note("%s: ok", name)
	return nil
}

func (a *app) configShow(origin bool) error {
	l, err := a.load()
	if err != nil {
		return err
	}
	if a.output == "csv" || (a.output == "ndjson" && origin && !a.outTTY && len(a.columns) > 0) {
		out, err := newList(a, []column[config.Setting]{
			{name: "key", text: func(s config.Setting) string { return s.Key }},
			{name: "value", text: func(s config.Setting) string { return fmt.Sprint(s.Value) }},
			{name: "origin", text: func(s config.Setting) string { return s.Origin }},
		})
		if err != nil {
			return err
		}
		for _, s := range l.Settings() {
			if err := out.add(s); err != nil {
				return err
			}
		}
		return out.close()
	}
	if (a.output == "json" || a.output == "ndjson") && a.root.PersistentFlags().Changed("output") {
		if origin {
			return writeDocument(a.out, a.output, l.Settings())
		}
		return writeDocument(a.out, a.output, l.Plain())
	}
	// A configuration is YAML, on a terminal and in a pipe.
	b, err := l.YAML(origin)
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

func (a *app) configInit(args []string, force bool) error {
	if len(args) == 0 || args[0] == "-" {
		_, err := a.out.Write(config.First())
		return err
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(args[0], mode, 0o640) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrExist) {
		return exit(exitFailure, "%s exists: name another file, or --force to overwrite it", args[0])
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.Write(config.First())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	a.note("wrote %s: edit it, then run 'weir config check %s'", args[0], args[0])
	return nil
}

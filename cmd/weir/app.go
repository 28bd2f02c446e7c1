package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/weir-net/weir/demo"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
)

// Exit codes, a contract with scripts. An unknown code other than 0 means
// failure.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitNotFound    = 4
	exitUnreachable = 5
	exitMatched     = 10
	exitInvalid     = 78
)

// exitError carries the exit code of an error. A nil err says nothing on stderr.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// ranError marks errors of a command itself; all others are errors of usage.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

// app is one run of the program.
type app struct {
	stdin      io.Reader
	out, err   io.Writer
	outTTY     bool
	errTTY     bool
	env        []string
	configFile string
	output     string
	columns    []string
	langFlag   string
	quiet      bool
	verbose    bool
	noColor    bool
	jsonErrors bool
	set        []string
	root       *cobra.Command
}

func newApp(stdin io.Reader, out, errw io.Writer, env []string) *app {
	a := &app{stdin: stdin, out: out, err: errw, env: env, outTTY: isTTY(out), errTTY: isTTY(errw)}
	a.root = a.commands()
	return a
}

func isTTY(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) getenv(name string) string {
	value := ""
	for _, kv := range a.env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// execute runs a command line and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	a.root.SetArgs(args)
	// A command line that cannot be parsed tells of its errors in the form that
	// it asks for all the same.
	a.jsonErrors = slices.Contains(args, "--json-errors")
	err := a.root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailure
	var ran ranError
	var ex *exitError
	var invalid *engine.InvalidError
	switch {
	case !errors.As(err, &ran) && !errors.As(err, &ex):
		code = exitUsage
		err = fmt.Errorf("%w\n%s", err, a.hint())
	case errors.As(err, &ex):
		code = ex.code
		if ex.err == nil {
			return code
		}
	case errors.As(err, &invalid), config.AsProblems(err) != nil:
		code = exitInvalid
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		code, err = exitFailure, errors.New("interrupted")
	}
	a.fail(err, code)
	return code
}

func (a *app) hint() string {
	return "Run 'weir --help', or 'weir COMMAND --help', for what is possible."
}

func (a *app) fail(err error, code int) {
	if a.jsonErrors {
		_ = json.NewEncoder(a.err).Encode(map[string]any{"error": err.Error(), "exit": code})
		return
	}
	printf(a.err, "weir: %s\n", strings.ReplaceAll(clean(err.Error(), true), "\n", "\n      "))
}

// note writes a line of narration, unless -q.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		printf(a.err, "%s\n", clean(fmt.Sprintf(format, args...), false))
	}
}

// clean takes control characters out of text for a terminal.
func clean(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines, r == '\t':
			return r
		case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '\uFFFD'
		}
		return r
	}, s)
}

// lang returns the language: the flag, else that of the environment.
func (a *app) lang() (catalog.Lang, error) {
	if a.langFlag != "" {
		l, err := catalog.ParseLang(a.langFlag)
		if err != nil {
			return l, exit(exitUsage, "--lang %w", err)
		}
		return l, nil
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := a.getenv(name); v != "" {
			return catalog.FromLocale(v), nil
		}
	}
	return catalog.EN, nil
}

// load reads the configuration of all layers.
func (a *app) load(extra ...string) (*config.Loaded, error) {
	l, err := config.Load(config.Input{File: a.configFile, Environ: a.env, Set: append(extra, a.set...)})
	if err != nil {
		return nil, &exitError{exitInvalid, err}
	}
	return l, nil
}

// do turns the body of a command into what cobra runs.
func (a *app) do(fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := a.checkOutput(); err != nil {
			return err
		}
		if err := fn(c.Context(), args); err != nil {
			return ranError{err}
		}
		return nil
	}
}

func (a *app) setFlag(fs *pflag.FlagSet) {
	fs.StringArrayVar(&a.set, "set", nil, "set a configuration `KEY=VALUE`; repeatable")
}

const rootLong = `Weir watches sampled flow telemetry (IPFIX, NetFlow, sFlow, cloud flow logs) and
raises the 15 network-layer alerts that Microsoft Defender for Cloud documents,
for any network: with evidence, and with an honest statement of what sampling
lets one know.

Data goes to standard output, narration and progress to standard error. The
output is a table on a terminal and one JSON object per line (ndjson) otherwise.

Exit codes:
  0   ok
  1   failure
  2   usage
  3   part of the input was unreadable; what could be read was processed
  4   not found
  5   server unreachable
  10  --fail-on matched, or a case of 'weir test' failed
  78  configuration, inventory or intelligence file invalid
An unknown non-zero code means failure.`

func (a *app) commands() *cobra.Command {
	root := &cobra.Command{
		Use: "weir", Short: "Network-layer threat detection from sampled flows", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Example: `  weir detect --inventory inventory.yaml flows.pcap.gz
  weir serve --config weir.yaml
  weir rules show SSH_Incoming_BF_OneToOne --lang ja`,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"})
	p := root.PersistentFlags()
	p.StringVarP(&a.configFile, "config", "c", "", "configuration `FILE`")
	p.StringVarP(&a.output, "output", "o", "", "`FORMAT`: table, wide, json, ndjson, csv or yaml (default: table on a terminal, else ndjson)")
	p.StringSliceVar(&a.columns, "columns", nil, "`NAMES` of columns or fields, separated by commas, in this order")
	p.StringVar(&a.langFlag, "lang", "", "language of texts: en or ja (default: from LC_ALL, LC_MESSAGES or LANG)")
	p.BoolVarP(&a.quiet, "quiet", "q", false, "no narration, no progress")
	p.BoolVarP(&a.verbose, "verbose", "v", false, "tell more on standard error")
	p.BoolVar(&a.noColor, "no-color", false, "no colours (also with NO_COLOR set)")
	p.BoolVar(&a.jsonErrors, "json-errors", false, "errors as JSON objects on standard error")
	root.AddCommand(
		a.serveCommand(), a.detectCommand(), a.flowsCommand(), a.testCommand(), a.alertsCommand(), a.explainCommand(),
		a.rulesCommand(), a.powerCommand(), a.resourcesCommand(), a.intelCommand(), a.configCommand(), a.doctorCommand(),
		a.demoCommand(demo.Files()), a.versionCommand(), a.completionCommand(), a.manCommand(),
	)
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
	}
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"en", "ja"}, cobra.ShellCompDirectiveNoFileComp))
	return root
}

// group is a command that only holds others.
func group(c *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
		}
		return fmt.Errorf("%q needs a command: %s", c.CommandPath(), strings.Join(names(c.Commands()), ", "))
	}
	c.AddCommand(subs...)
	return c
}

func names(list []*cobra.Command) []string {
	out := make([]string, 0, len(list))
	for _, c := range list {
		out = append(out, c.Name())
	}
	return out
}

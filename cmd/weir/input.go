package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

// inputFlags are the flags of detect, flows and test.
type inputFlags struct {
	inventory, intel []string
	format           string
	sampling, thin   uint32
	seed             uint64
	baseline, save   string
}

func (f *inputFlags) add(c *cobra.Command, detection bool) {
	fs := c.Flags()
	fs.StringVar(&f.format, "format", "", "input `NAME` of the format, where the content does not tell it: "+strings.Join(formatNames(), ", "))
	fs.VarP((*rate)(&f.sampling), "sampling", "", "packet sampling 1-in-`N` of the input, where it does not say it")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	f.addThin(fs)
	if !detection {
		return
	}
	fs.StringArrayVar(&f.inventory, "inventory", nil, "`FILE` of protected resources; repeatable")
	fs.StringArrayVar(&f.intel, "intel", nil, "indicators: `FILE`, or CATEGORY=FILE where they do not say their category; repeatable")
	f.addBaseline(fs)
}

func (f *inputFlags) addBaseline(fs *pflag.FlagSet) {
	fs.StringVar(&f.baseline, "baseline", "", "start from what an earlier run learnt and left in `DIR`")
	fs.StringVar(&f.save, "save-baseline", "", "store in `DIR` what this run learns, for the next one")
}

func (f *inputFlags) addThin(fs *pflag.FlagSet) {
	fs.VarP((*rate)(&f.thin), "thin", "", "thin the packets of the input 1-in-`N` at random before detection, reproducibly")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of --thin")
}

// rate is N of 1-in-N, as 1000 or 1/1000.
type rate uint32

func (r *rate) String() string { return fmt.Sprint(uint32(*r)) }
func (*rate) Type() string     { return "N" }

// Set implements pflag.Value.
func (r *rate) Set(s string) error {
	var n uint32
	if _, err := fmt.Sscanf(strings.TrimPrefix(s, "1/"), "%d", &n); err != nil || n == 0 || fmt.Sprint(n) != strings.TrimPrefix(s, "1/") {
		return fmt.Errorf("%q is no rate, expected a form such as 1000 or 1/1000", s)
	}
	*r = rate(n)
	return nil
}

func formatNames() []string {
	var out []string
	for f := weir.FormatIPFIX; f < weir.FormatScenario; f++ {
		switch f {
		case weir.FormatNetFlow9, weir.FormatNetFlow5, weir.FormatSFlow:
			continue // datagrams, which files hold as pcap
		}
		out = append(out, f.String())
	}
	return out
}

func (f *inputFlags) parsedFormat() (weir.Format, error) {
	if f.format == "" {
		return weir.FormatUnknown, nil
	}
	for _, n := range formatNames() {
		if n == f.format {
			return weir.ParseFormat(n), nil
		}
	}
	return 0, exit(exitUsage, "--format %q: expected one of %s", f.format, strings.Join(formatNames(), ", "))
}

// parsedIntel reads FILE and CATEGORY=FILE.
func parsedIntel(list []string) ([]engine.IntelFile, error) {
	var out []engine.IntelFile
	for _, s := range list {
		f, err := engine.ParseIntel(s)
		if err != nil {
			return nil, exit(exitUsage, "--intel %w", err)
		}
		out = append(out, f)
	}
	return out, nil
}

// tellFiles names on stderr what of the input could not be read, and reports
// whether there was any.
func (a *app) tellFiles(r engine.FilesReport) bool {
	for i := range r.Files {
		f := &r.Files[i]
		if f.Cut != nil {
			a.warn("%s: unreadable from byte %d on: %v; the %d flows before it were processed", f.Path, f.CutAt, f.Cut, f.Flows)
		}
		if f.Skipped > 0 {
			a.warn("%s: %d rows or messages could not be read, the first: %v", f.Path, f.Skipped, f.FirstSkipped)
		}
	}
	if n := r.NetFlow.Malformed + r.NetFlow.UnknownVersion; n > 0 {
		a.warn("%d NetFlow or IPFIX datagrams could not be decoded", n)
	}
	if n := r.SFlow.Malformed + r.SFlow.UnknownVersion; n > 0 {
		a.warn("%d sFlow datagrams could not be decoded", n)
	}
	return r.Incomplete()
}

// warn tells of a fault that did not stop the work, even with -q.
func (a *app) warn(format string, args ...any) {
	printf(a.err, "weir: %s\n", clean(fmt.Sprintf(format, args...), false))
}

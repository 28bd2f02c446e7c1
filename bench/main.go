// Command bench measures Weir against other programs on the same bytes. It
// rebuilds the reference workload, runs both sides of each comparison in turn
// in processes of their own, checks that they did the same work, and prints the
// ratio of their costs beside the goal.
//
//	go run .            print the table
//	go run . -write     write docs/reference/performance.md too, and the results it is made of
//	go run . -run REGEXP -rounds 9   only some comparisons, more rounds
//
// The exit status is 1 when a goal is missed and 2 when something failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds  int
	run     string
	root    string
	cache   string
	json    string
	write   bool
	render  bool
	pass    string
	stream  string
	summed  bool
	minimum time.Duration
}

// errMissed says that a goal was missed.
var errMissed = errors.New("a goal was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errMissed):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func parse() options {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each comparison, at least 5 for a result that counts")
	flag.StringVar(&o.run, "run", "", "only comparisons whose name matches this regular expression")
	flag.StringVar(&o.root, "root", "..", "root of the repository")
	flag.StringVar(&o.cache, "cache", "", "directory of the streams (default .cache/bench below the root)")
	flag.StringVar(&o.json, "json", "", "write the results to this file as JSON")
	flag.BoolVar(&o.write, "write", false, "write the results and the page of the documentation")
	flag.BoolVar(&o.render, "render", false, "write the page from the results that are there, and measure nothing")
	flag.StringVar(&o.pass, "pass", "", "internal: run one pass of this side")
	flag.StringVar(&o.stream, "stream", "", "internal: over this stream")
	flag.BoolVar(&o.summed, "checksum", false, "internal: and a second one that sums the records up")
	flag.DurationVar(&o.minimum, "minimum", 500*time.Millisecond, "least CPU time of a pass; shorter streams are read again")
	flag.Parse()
	if o.cache == "" {
		o.cache = filepath.Join(o.root, ".cache", "bench")
	}
	return o
}

// Where the results and the page lie below the root.
const (
	resultsFile = "docs/reference/performance/results.json"
	pageFile    = "docs/reference/performance.md"
)

func run(ctx context.Context) error {
	o := parse()
	switch {
	case strings.HasPrefix(o.pass, "udp-"):
		return udpChild(o)
	case o.pass != "":
		return child(o)
	case o.render:
		return render(o.root)
	case o.rounds < 1:
		return errors.New("at least one round")
	}
	only, err := regexp.Compile(o.run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.write && (o.run != "" || o.rounds < 5) {
		return errors.New("-write needs all comparisons and at least 5 rounds")
	}
	r := result{Machine: describe(ctx, o.root), Date: time.Now().UTC().Format(time.DateOnly), Rounds: o.rounds}
	r.Machine.print()
	all := comparisons(&o)
	var chosen []comparison
	for _, c := range all {
		if only.MatchString(c.name()) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no comparison matches %q", o.run)
	}
	if r.Streams, err = prepare(ctx, o.cache, streamsOf(chosen)); err != nil {
		return err
	}
	r.Machine.LoadBefore = load()
	fmt.Println(header())
	for _, c := range chosen {
		l, err := measure(ctx, c, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		fmt.Println(l)
		r.Lines = append(r.Lines, l)
	}
	r.Machine.LoadAfter = load()
	fmt.Printf("load average before %s, after %s\n", r.Machine.LoadBefore, r.Machine.LoadAfter)
	if o.json != "" {
		if err := save(o.json, r); err != nil {
			return err
		}
	}
	if o.write {
		if err := save(filepath.Join(o.root, resultsFile), r); err != nil {
			return err
		}
		if err := render(o.root); err != nil {
			return err
		}
	}
	for _, l := range r.Lines {
		if l.Verdict == missed {
			return errMissed
		}
	}
	return nil
}

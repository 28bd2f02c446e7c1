package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/inventory"
	"github.com/weir-net/weir/internal/wire/table"
)

// Offline says what an offline run reads and with which settings.
type Offline struct {
	Config *config.Config
	// Files are the inputs; "-" is standard input.
	Files []string
	// Format is that of all files; FormatUnknown tells it from the content.
	Format weir.Format
	// Sampling is 1-in-N of inputs that do not say it, 0 for none.
	Sampling uint32
	// Thin thins the packets 1-in-N, reproducibly by Seed; 0 and 1 leave them.
	Thin uint32
	Seed uint64
	// Inventory and Intel are read in addition to those of the configuration.
	Inventory []string
	Intel     []IntelFile
	// Baseline is the directory of what an earlier run learnt, from which this
	// one starts; SaveBaseline that for what this one learns. Empty is none.
	Baseline, SaveBaseline string

	observer *observer // of surprises, nil for none
}

// Names of other rooms that callers of the engine need.
type (
	// IntelFile is a file of indicators and what holds for those that do not say.
	IntelFile = intel.File
	// Rules are the settings of the detectors.
	Rules = detect.Config
	// Change says what became of an alert.
	Change = alert.Change
	// Progress tells how far a run over files is.
	Progress = ingest.Progress
	// FilesReport is what became of the files of a run.
	FilesReport = ingest.Report
	// FlowWriter writes flows in the form of `weir flows`.
	FlowWriter = table.Writer
)

// ParseIntel reads FILE or CATEGORY=FILE.
func ParseIntel(text string) (IntelFile, error) { return intel.ParseFlag(text) }

// NewFlowWriter returns a writer of flows as NDJSON, or as CSV.
func NewFlowWriter(w io.Writer, csv bool) (*FlowWriter, error) {
	o := table.WriterOptions{Format: weir.FormatNDJSON}
	if csv {
		o.Format = weir.FormatCSV
	}
	return table.NewWriter(w, o)
}

// Final keeps the newest state of each alert.
type Final struct {
	at   map[string]int
	list []weir.Alert
}

// NewFinal returns an empty Final.
func NewFinal() *Final { return &Final{at: map[string]int{}} }

// Add takes a change.
func (f *Final) Add(a weir.Alert) {
	if i, ok := f.at[a.ID]; ok {
		f.list[i] = a
		return
	}
	f.at[a.ID] = len(f.list)
	f.list = append(f.list, a)
}

// Alerts returns the alerts, oldest start first, ties by id.
func (f *Final) Alerts() []weir.Alert {
	slices.SortFunc(f.list, func(a, b weir.Alert) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.ID, b.ID)) })
	f.at = map[string]int{}
	for i, a := range f.list {
		f.at[a.ID] = i
	}
	return f.list
}

// Detection is one offline run: the same pipeline as the daemon, in event time.
type Detection struct {
	source weir.Source
	files  *ingest.Files // nil for a scenario
	pipe   *pipeline
	know   *knowledge
	report func(change)
	alerts atomic.Int64

	save        string // directory for what is learnt, or empty
	rules       detect.Config
	told        map[string]int64 // by the run that saved the baseline
	learntUntil time.Time
}

// NewDetection validates the settings and opens the inputs. It starts nothing.
func NewDetection(o Offline) (*Detection, error) {
	// Offline, indicators count as listed at the time of the events: the time of
	// the run must not show in the alerts.
	know, err := learn(o.Config, o.Inventory, o.Intel, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	source, err := ingest.NewFiles(o.Files, ingest.FileConfig{
		Format: o.Format, Sampling: o.Sampling, Lateness: o.Config.Rules().Lateness,
		SamplingFor: samplingFor(o.Config.Inputs.Sampling),
	})
	if err != nil {
		return nil, fmt.Errorf("open the input: %w", err)
	}
	d := &Detection{source: source, files: source}
	return d, d.prepare(o, know)
}

// prepare makes the pipeline.
func (d *Detection) prepare(o Offline, know *knowledge) error {
	d.know, d.save, d.rules = know, o.SaveBaseline, o.Config.Rules()
	var from *learnt
	var err error
	if o.Baseline != "" {
		if from, err = readLearnt(o.Baseline, d.rules); err != nil {
			return err
		}
	}
	watched := d.rules
	if o.observer != nil {
		watched.Observe = o.observer.observe
	}
	d.pipe, err = newPipeline(watched, o.Config.Shards(), know, func(c change) { d.report(c) })
	if err != nil {
		return err
	}
	if from != nil {
		if err := d.pipe.adopt(from); err != nil {
			d.pipe.stop()
			return errBaseline(filepath.Join(o.Baseline, BaselineFile), "%w", err)
		}
		d.told, d.learntUntil = from.told, from.meta.Until
	}
	if o.Thin > 1 {
		d.pipe.thin = newThinner(o.Thin, o.Seed)
	}
	return nil
}

// Run reads everything and calls emit with each change of an alert, in order.
// It may be called once. The error is that of the context, of emit or of the
// input; what could be read was processed before.
func (d *Detection) Run(ctx context.Context, emit func(weir.Alert, alert.Change) error) error {
	defer d.pipe.stop()
	if d.save != "" {
		if err := os.MkdirAll(d.save, 0o700); err != nil {
			return fmt.Errorf("save the baseline: %w", err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var leave *learnt // once the input is at its end
	told := map[string]bool{}
	d.report = func(c change) {
		if c.what == alert.Opened {
			d.alerts.Add(1)
		}
		if leave != nil && c.what == alert.Closed {
			leave.told[c.alert.ID] = c.alert.Last
		}
		if d.told != nil && c.what == alert.Closed && !told[c.alert.ID] && !d.News(&c.alert) {
			return // nothing came: the earlier run told the same end
		}
		if d.told != nil {
			told[c.alert.ID] = true
		}
		if err := emit(c.alert, c.what); err != nil {
			cancel(err)
		}
	}
	err := d.source.Run(ctx, func(b weir.Batch) error {
		d.pipe.feed(b)
		return context.Cause(ctx)
	})
	if err != nil {
		return err
	}
	if d.save != "" {
		if leave, err = d.pipe.learnt(d.rules, max(d.rules.Lateness, ingest.FileSlack)); err != nil {
			return err
		}
	}
	d.pipe.finish()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if leave != nil {
		return leave.write(d.save)
	}
	return nil
}

// Progress tells how far the run is. It is safe for concurrent use.
func (d *Detection) Progress() Progress {
	if d.files == nil {
		return Progress{Flows: int64(d.pipe.counts.flows.Load())} //nolint:gosec // a count
	}
	return d.files.Progress()
}

// Alerts returns the number of alerts so far. It is safe for concurrent use.
func (d *Detection) Alerts() int64 { return d.alerts.Load() }

// Report tells what became of the files.
func (d *Detection) Report() FilesReport {
	if d.files == nil {
		return FilesReport{}
	}
	return d.files.Report()
}

// Summary are the numbers of a run.
type Summary struct {
	Flows, Unprotected, Contacts, Late uint64
	Ambiguous, NoRate, Findings        uint64
	// Older are flows older than the baseline that the run started from.
	Older uint64
	// Dropped are contacts that were not judged because the open panes filled
	// detect.memory, or because their peer found no room there.
	Dropped uint64
	Alerts  int64
}

// Summary returns the numbers so far. It is safe for concurrent use.
func (d *Detection) Summary() Summary {
	c := &d.pipe.counts
	s := c.stats.Load()
	return Summary{
		Flows: c.flows.Load(), Unprotected: c.unprotected.Load(), Contacts: c.contacts.Load(), Late: c.late.Load(),
		Ambiguous: s.Ambiguous, NoRate: s.NoRate, Findings: c.findings.Load(), Older: c.older.Load(),
		Dropped: s.Dropped + s.Refused, Alerts: d.Alerts(),
	}
}

// Inventory returns what is protected.
func (d *Detection) Inventory() *inventory.Inventory { return d.know.inventory }

// FlowReader decodes files into flows, without detection.
type FlowReader struct {
	*ingest.Files
	thin *thinner
}

// NewFlowReader opens the inputs of `weir flows`; inventory and indicators take
// no part. Every record is shown, those that detection leaves out as well.
func NewFlowReader(o Offline) (*FlowReader, error) {
	source, err := ingest.NewFiles(o.Files, ingest.FileConfig{
		Format: o.Format, Sampling: o.Sampling, SamplingFor: samplingFor(o.Config.Inputs.Sampling), KeepEgress: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the input: %w", err)
	}
	r := &FlowReader{Files: source}
	if o.Thin > 1 {
		r.thin = newThinner(o.Thin, o.Seed)
	}
	return r, nil
}

// Run reads everything and hands on what is left of the flows after thinning.
func (r *FlowReader) Run(ctx context.Context, emit func(weir.Batch) error) error {
	if r.thin == nil {
		return r.Files.Run(ctx, emit)
	}
	return r.Files.Run(ctx, func(b weir.Batch) error {
		b.Flows = r.thin.batch(b.Flows)
		return emit(b)
	})
}

// Changes that callers of the engine branch on.
const (
	Opened   = alert.Opened
	Updated  = alert.Updated
	Reopened = alert.Reopened
	Closed   = alert.Closed
)

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
	"github.com/weir-net/weir/internal/wire/sflow"
)

// FileConfig is how files are read.
type FileConfig struct {
	// Format of all files; FormatUnknown tells each from its content.
	Format weir.Format
	// Sampling is the 1-in-N rate of the --sampling flag, 0 for none. It holds
	// where the input itself does not say a rate, and for formats that are
	// taken to log every flow.
	Sampling uint32
	// Lateness widens the slack of the watermark beyond FileSlack.
	Lateness time.Duration
	// NoWatermarks is for callers that do not need them: batches promise
	// nothing, and no file is read twice.
	NoWatermarks bool
	// SamplingFor returns the configured rate of an exporter and whether it
	// holds even where the export says otherwise; nil means none.
	SamplingFor func(exporter netip.Addr) (rate uint32, force bool)
	// KeepEgress keeps egress records of packets that their exporter tells of
	// in ingress records too, for callers that show what was sent.
	KeepEgress bool
}

// FileSlack is the least by which the watermark stays behind the newest start of
// a flow where the order of a file is not known: flow export and captures, which
// come in order of time or nearly so, and streams. Waiting costs memory and no
// correctness.
const FileSlack = 10 * time.Minute

// fileBatch is the number of flows from which a batch is handed on.
const fileBatch = 512

// Files reads files one after another. It implements weir.Source.
//
// The watermark of a batch is the earliest end of the flows to come in the same
// file, which for logs is found by reading them twice: they may be sorted by
// anything. For flow export, captures and streams, which come in order of time,
// it is the newest start seen so far less the slack. It is never beyond the first
// flow of a file yet to be read, so that files of several exporters over the same
// time may come one after another, and it never falls. Flow export (IPFIX files and captures) shares its templates over all files, in
// the order given.
type Files struct {
	c     FileConfig
	files []*file
	stdin io.Reader

	decoders *decoders

	read, flows atomic.Int64
	current     atomic.Int64

	mu     sync.Mutex
	report Report
}

// file is one input.
type file struct {
	path   string
	format weir.Format // FormatUnknown until it is told
	size   int64       // bytes, 0 for a stream
	stream bool        // cannot be opened twice
	ahead  int64       // earliest flow of the files behind this one
	order  *order      // of logs, nil for others
}

// Progress tells how far a run is.
type Progress struct {
	// Bytes of the (compressed) input read so far, of Total. What is read twice
	// counts twice. Total is 0 when it is not known, for standard input and
	// pipes.
	Bytes, Total int64
	Flows        int64
	// File is the current file, number Index from 1 of Count; empty before the
	// run.
	File         string
	Index, Count int
}

// FileReport is what became of one file.
type FileReport struct {
	Path   string
	Format weir.Format
	Flows  int64
	// Skipped rows or messages could not be read; FirstSkipped is the first
	// reason.
	Skipped      int64
	FirstSkipped error
	// Cut is why reading stopped before the end, nil if it did not: the file is
	// cut off or damaged, or its content is not of its format. What came before
	// was emitted. CutAt is about the place, in bytes of decompressed content:
	// what a reader had buffered counts as read.
	Cut   error
	CutAt int64
	// Datagrams are export messages or datagrams decoded. LateDatagrams came
	// so late in a capture that it was already judged to be one of packets.
	Datagrams, LateDatagrams int64
	// NotIP packets of a capture hold no IP, MalformedPackets contradict
	// themselves; Evicted flows ended early because the table of the meter was
	// full. None of these is a fault of the file.
	NotIP, MalformedPackets, Evicted int64
	// NoData and SkipData are AWS records that say that there was no traffic,
	// and that records were lost. Other rows, events or entries are no flows.
	NoData, SkipData, Other int64
	// Done tells that the file was read, as far as it could be.
	Done bool
}

// Report is what became of a run.
type Report struct {
	Files   []FileReport
	NetFlow netflow.Stats
	SFlow   sflow.Stats
}

// Incomplete reports whether part of the input could not be read: rows were
// skipped, a file was cut, datagrams did not decode, or data came without a
// template and none followed.
func (r Report) Incomplete() bool {
	for i := range r.Files {
		if r.Files[i].Skipped > 0 || r.Files[i].Cut != nil {
			return true
		}
	}
	n := &r.NetFlow
	return n.Malformed > 0 || n.UnknownVersion > 0 || n.SetsWithoutTemplate > n.HeldDecoded ||
		r.SFlow.Malformed > 0 || r.SFlow.UnknownVersion > 0
}

// FileError is an error about one input file.
type FileError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// NewFiles prepares to read the files; "-" is standard input. It opens every
// file to tell its format and closes it again. The error joins one *FileError
// for every file that cannot be read; its cause wraps ErrFormat, ErrUnsupported
// or that of the file system.
func NewFiles(paths []string, c FileConfig) (*Files, error) {
	if len(paths) == 0 {
		return nil, errors.New("no input files")
	}
	if c.Lateness < 0 {
		return nil, fmt.Errorf("lateness %v: must not be negative", c.Lateness)
	}
	f := &Files{c: c, stdin: os.Stdin}
	var errs []error
	stdin := false
	for _, p := range paths {
		if p == Stdin && stdin {
			errs = append(errs, &FileError{"standard input", errors.New("named twice")})
			continue
		}
		stdin = stdin || p == Stdin
		x, err := f.look(p)
		if err != nil {
			errs = append(errs, &FileError{p, err})
			continue
		}
		f.files = append(f.files, x)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var err error
	nc := netflow.DefaultConfig()
	nc.Sampling, nc.KeepEgress = c.SamplingFor, c.KeepEgress
	if f.decoders, err = newDecoders(nc); err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	f.report.Files = make([]FileReport, len(f.files))
	for i, x := range f.files {
		f.report.Files[i].Path, f.report.Files[i].Format = x.path, x.format
	}
	return f, nil
}

// look tells the size and the format of a file without keeping it open.
func (f *Files) look(path string) (*file, error) {
	x := &file{path: path, format: f.c.Format, stream: path == Stdin}
	if err := readableFormat(x.format); err != nil {
		return nil, err
	}
	if x.stream {
		return x, nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, unwrapPath(err)
	}
	switch {
	case st.IsDir():
		return nil, errors.New("is a directory; name the files in it")
	case !st.Mode().IsRegular():
		x.stream = true // a pipe, or a device: opened once, when its turn comes
		return x, nil
	}
	x.size = st.Size()
	in, err := open(path, nil, nil)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if x.format == weir.FormatUnknown {
		x.format, err = tell(in, false)
	}
	return x, err
}

// unwrapPath takes the path out of an error of the file system: the caller
// names it.
func unwrapPath(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("cannot be opened: %w", pe.Err)
	}
	return err
}

// tell tells the format of opened content. Empty content has none, which is no
// error: there is nothing in it.
func tell(in *input, stream bool) (weir.Format, error) {
	n := SniffLen
	if stream { // take what has come instead of waiting for more
		if _, err := in.Peek(1); err == nil {
			n = min(in.Buffered(), SniffLen)
		}
	}
	head, err := in.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) && in.plain.err == nil {
		return weir.FormatUnknown, fmt.Errorf("read: %w", err)
	}
	if len(head) == 0 && in.plain.err == nil {
		return weir.FormatUnknown, nil
	}
	if len(head) == 0 {
		return weir.FormatUnknown, nil // cut in its header: the run reports it
	}
	format, err := Sniff(head, in.name)
	if err != nil && stream && n < SniffLen {
		if head, perr := in.Peek(SniffLen); perr == nil || len(head) > n {
			format, err = Sniff(head, in.name)
		}
	}
	if err != nil {
		return weir.FormatUnknown, err
	}
	return format, readableFormat(format)
}

// readableFormat returns an error for formats that Files cannot read.
func readableFormat(f weir.Format) error {
	switch f {
	case weir.FormatNfdump, weir.FormatParquet:
		return fmt.Errorf("the format %s is %w", f, ErrUnsupported)
	case weir.FormatSFlow:
		return fmt.Errorf("a file of bare sFlow datagrams is %w: they have no frame; capture them as pcap", ErrUnsupported)
	case weir.FormatScenario:
		return fmt.Errorf("a scenario is %w as a file of flows: run it with weir test", ErrUnsupported)
	}
	return nil
}

// Progress returns how far the run is. It is safe for concurrent use.
func (f *Files) Progress() Progress {
	p := Progress{Bytes: f.read.Load(), Flows: f.flows.Load(), Count: len(f.files), Index: int(f.current.Load())}
	for _, x := range f.files {
		if x.stream {
			p.Total = 0
			break
		}
		if p.Total += x.size; !f.c.NoWatermarks && textual(x.format) {
			p.Total += x.size
		}
	}
	if p.Index > 0 {
		p.File = f.files[p.Index-1].path
	}
	return p
}

// Report returns what became of the files so far. It is safe for concurrent
// use; it is complete when Run has returned.
func (f *Files) Report() Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.report
	r.Files = append([]FileReport(nil), f.report.Files...)
	return r
}

// Run reads the files in the order given and emits their flows. A file that is
// cut or damaged ends early, which the report tells, and the next one is read.
// Run may be called once.
func (f *Files) Run(ctx context.Context, emit func(weir.Batch) error) error {
	if !f.c.NoWatermarks {
		if err := f.lookAhead(ctx); err != nil {
			return err
		}
	}
	r := run{Files: f, emit: emit, flows: make([]weir.Flow, 0, 2*fileBatch)}
	for i, x := range f.files {
		f.current.Store(int64(i + 1))
		report, err := r.file(ctx, x)
		f.mu.Lock()
		f.report.Files[i] = report
		f.report.NetFlow, f.report.SFlow = f.decoders.netflow.Stats(), f.decoders.sflow.Stats()
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// run is the state of one Run.
type run struct {
	*Files
	emit  func(weir.Batch) error
	mark  int64 // the watermark, 0 promises nothing
	flows []weir.Flow
}

// file reads one file. The error is that of ctx, of emit or of opening.
func (r *run) file(ctx context.Context, x *file) (FileReport, error) {
	report := FileReport{Path: x.path, Format: x.format, Done: true}
	in, err := open(x.path, r.stdin, &r.read)
	if err != nil {
		return report, &FileError{x.path, unwrapPath(err)}
	}
	defer in.Close()
	if x.format == weir.FormatUnknown {
		if report.Format, err = tell(in, x.stream); err != nil {
			return report, &FileError{x.path, err}
		}
	}
	if report.Format == weir.FormatUnknown { // nothing in it
		_, _ = in.Peek(1) // shows the cut, if it is one
		r.cut(&report, in, nil)
		return report, nil
	}
	reader, err := newReader(report.Format, in, r.decoders)
	if err != nil {
		r.cut(&report, in, err)
		return report, nil
	}
	place := newPosition()
	for {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		n := len(r.flows)
		var end error
		r.flows, end = reader.Read(r.flows)
		fresh := r.flows[n:]
		r.sample(fresh)
		place.observe(fresh)
		report.Flows += int64(len(fresh))
		r.Files.flows.Add(int64(len(fresh)))
		if len(r.flows) >= fileBatch || end != nil || x.stream && in.Buffered() == 0 {
			if err := r.flush(x, report.Flows, place.newest); err != nil {
				return report, err
			}
		}
		if end == nil {
			continue
		}
		report.Skipped, report.FirstSkipped = reader.Skipped()
		note(reader, &report)
		if errors.Is(end, io.EOF) && !errors.Is(end, io.ErrUnexpectedEOF) {
			end = nil
		}
		r.cut(&report, in, end)
		return report, nil
	}
}

// cut notes why a file ended early, if it did.
func (r *run) cut(report *FileReport, in *input, err error) {
	if err == nil && in.plain.err != nil {
		err = cutError{at: in.plain.n, cause: in.plain.err} // the reader took it for the end
	}
	if err != nil {
		report.Cut, report.CutAt = err, in.plain.n-int64(in.Buffered())
	}
}

// flush emits what was read, with the watermark after the n-th flow of the file.
func (r *run) flush(x *file, n, newest int64) error {
	if len(r.flows) == 0 {
		return nil
	}
	if !r.c.NoWatermarks {
		next, ok := x.order.from(n)
		if !ok {
			next = newest - int64(r.slack())
		}
		if next = min(next, x.ahead); next < math.MaxInt64 { // at the end of all, the caller closes
			r.mark = max(r.mark, next)
		}
	}
	err := r.emit(weir.Batch{Flows: r.flows, Watermark: r.mark})
	r.flows = r.flows[:0]
	return err
}

// sample gives flows the rate that the operator named, where the input does not
// say one.
func (r *run) sample(flows []weir.Flow) {
	for i := range flows {
		f := &flows[i]
		// The decoders of datagrams have asked already.
		if r.c.SamplingFor != nil && f.Format > weir.FormatSFlow && f.Exporter.IsValid() {
			if rate, force := r.c.SamplingFor(f.Exporter); rate > 0 && (force || f.Sampling == 0) {
				f.Sampling, f.SamplingSource = rate, weir.SamplingConfig
			}
		}
		if r.c.Sampling == 0 {
			continue
		}
		switch f.SamplingSource {
		case weir.SamplingUnknown, weir.SamplingFormat, weir.SamplingConfig:
			f.Sampling, f.SamplingSource = r.c.Sampling, weir.SamplingFlag
		}
	}
}

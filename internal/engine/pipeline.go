package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/inventory"
)

// change is an alert with what became of it.
type change struct {
	alert weir.Alert
	what  alert.Change
}

// pipeline turns batches of flows into changes of alerts. Its owner calls it
// from one goroutine; counts may be read from any.
type pipeline struct {
	know   atomic.Pointer[knowledge]
	shards []*shard
	book   *alert.Book
	pane   int64
	lag    int64 // by which floods are judged later
	// closed is the end of the newest pane that was closed, event time.
	closed int64
	begun  bool
	thin   *thinner
	// inherited is the end of what an earlier run closed; newest follows the
	// starts of flows.
	inherited int64
	newest    newest

	// rules are settings to take over at the next end of a pane.
	rules atomic.Pointer[detect.Config]

	matches []inventory.Match // of the flows at work
	scratch []weir.Contact    // of several shards, before they are told apart
	report  func(change)
	counts  counts
}

// counts are the counters of a pipeline, safe for concurrent reading.
type counts struct {
	flows, unprotected, contacts, late atomic.Uint64
	older                              atomic.Uint64 // than what an earlier run closed
	findings, alerts                   atomic.Uint64
	watermark                          atomic.Int64
	stats                              atomic.Pointer[detect.Stats]
}

// newPipeline makes a pipeline of n shards.
func newPipeline(rules detect.Config, n int, know *knowledge, report func(change)) (*pipeline, error) {
	p := &pipeline{book: alert.NewBook(alert.Config{Pane: rules.Pane}), pane: int64(rules.Pane), report: report}
	p.lag = (int64(rules.Lateness) + p.pane - 1) / p.pane * p.pane
	p.know.Store(know)
	p.counts.stats.Store(&detect.Stats{})
	for range max(n, 1) {
		d, err := detect.New(rules)
		if err != nil {
			return nil, fmt.Errorf("start the detectors: %w", err)
		}
		p.shards = append(p.shards, &shard{detector: d})
	}
	if len(p.shards) > 1 {
		for _, s := range p.shards {
			s.start()
		}
	}
	return p, nil
}

// feedAt is the number of flows that are worked off together: enough that the waits
// for memory of one overlap with those of the others, and few enough that they stay
// in the cache from stage to stage.
const feedAt = 256

// feed takes one batch. Its flows may change, and be reused afterwards.
func (p *pipeline) feed(b weir.Batch) {
	know, flows := p.know.Load(), b.Flows
	p.counts.flows.Add(uint64(len(flows)))
	if p.thin != nil {
		flows = p.thin.batch(flows)
	}
	for len(flows) > 0 {
		n := min(len(flows), feedAt)
		p.take(know, flows[:n])
		flows = flows[n:]
	}
	if b.Watermark != 0 {
		p.advance(b.Watermark)
	}
}

// take makes contacts of up to feedAt flows and hands them to the shards.
func (p *pipeline) take(know *knowledge, flows []weir.Flow) {
	p.matches = know.orienter.Match(flows, p.matches[:0])
	late, older, unprotected := 0, 0, len(flows)-len(p.matches)
	cs := p.scratch[:0]
	for _, m := range p.matches {
		f, n := &flows[m.Flow], len(cs)
		cs = know.orienter.Matched(f, m, cs)
		switch {
		case len(cs) == n:
			unprotected++
		case !p.begun || f.End >= p.closed:
			p.newest.observe(f.Start)
		default:
			// Its pane is closed: nothing may still change in it, whichever shard
			// it belongs to.
			if f.End < p.inherited {
				older++
			} else {
				late++
			}
			cs = cs[:n]
		}
	}
	know.intel.Fill(cs)
	p.scratch = cs
	if unprotected > 0 {
		p.counts.unprotected.Add(uint64(unprotected))
	}
	if late > 0 {
		p.counts.late.Add(uint64(late))
	}
	if older > 0 {
		p.counts.older.Add(uint64(older))
	}
	if len(cs) == 0 {
		return
	}
	p.counts.contacts.Add(uint64(len(cs)))
	if len(p.shards) == 1 {
		p.shards[0].detector.Observe(cs)
		return
	}
	for i := range cs {
		p.shards[p.shardOf(cs[i].Key)].put(&cs[i])
	}
}

// shardOf returns the index of the shard that has the resource of a key.
func (p *pipeline) shardOf(key uint64) int {
	return int(key % uint64(len(p.shards))) //nolint:gosec // below the number of shards
}

// advance closes the panes that end at or before the watermark.
func (p *pipeline) advance(watermark int64) {
	end := watermark - mod(watermark, p.pane)
	if p.begun && end <= p.closed {
		return
	}
	p.begun, p.closed = true, end
	p.counts.watermark.Store(watermark)
	if r := p.rules.Swap(nil); r != nil {
		// They were checked when they were read.
		p.step(func(s *shard) { _ = s.detector.Reconfigure(*r) })
	}
	p.step(func(s *shard) { s.detector.Close(watermark, s.keep) })
	p.endEpisodes(end)
}

func (p *pipeline) endEpisodes(end int64) {
	p.book.Close(end, func(a weir.Alert) { p.tell(a, alert.Closed) })
}

// step runs fn on all shards and takes their findings to the book, in one order
// for any number of shards.
func (p *pipeline) step(fn func(*shard)) {
	if len(p.shards) == 1 {
		fn(p.shards[0])
	} else {
		var wg sync.WaitGroup
		wg.Add(len(p.shards))
		for _, s := range p.shards {
			s.hand()
			s.work <- job{fn: func() { fn(s); wg.Done() }}
		}
		wg.Wait()
	}
	var found []weir.Finding
	var sum detect.Stats
	for _, s := range p.shards {
		found = append(found, s.found...)
		s.found = s.found[:0]
		sum = addStats(sum, s.detector.Stats())
	}
	p.counts.stats.Store(&sum)
	slices.SortStableFunc(found, func(a, b weir.Finding) int {
		return cmp.Or(cmp.Compare(p.due(&a), p.due(&b)), detect.CompareFindings(a, b))
	})
	for _, f := range found {
		p.counts.findings.Add(1)
		if p.thin != nil {
			f.Limits = append(slices.Clip(f.Limits), weir.Limit{Code: weir.LimitThinned, Arg: strconv.FormatUint(uint64(p.thin.n), 10)})
		}
		p.book.Close(p.due(&f)-1, func(a weir.Alert) { p.tell(a, alert.Closed) })
		a, what := p.book.Apply(f)
		p.tell(a, what)
	}
}

// due is the end of the pane at whose closing a finding is reported: that of the
// finding, but for floods, which are judged when late records have come.
func (p *pipeline) due(f *weir.Finding) int64 {
	if f.Type == weir.DDoS {
		return f.At + p.lag
	}
	return f.At
}

func (p *pipeline) tell(a weir.Alert, what alert.Change) {
	if what == alert.None {
		return
	}
	if what == alert.Opened {
		p.counts.alerts.Add(1)
	}
	p.report(change{a, what})
}

// finish closes everything at the end of the input.
func (p *pipeline) finish() {
	p.step(func(s *shard) { s.detector.Flush(s.keep) })
	p.book.Finish(func(a weir.Alert) { p.tell(a, alert.Closed) })
}

// stop ends the goroutines of the shards.
func (p *pipeline) stop() {
	for _, s := range p.shards {
		s.stop()
	}
}

func mod(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return r
}

func addStats(a, b detect.Stats) detect.Stats {
	a.Contacts += b.Contacts
	a.Late += b.Late
	a.Ambiguous += b.Ambiguous
	a.NoRate += b.NoRate
	a.Panes += b.Panes
	a.Refused += b.Refused
	a.Dropped += b.Dropped
	a.Resources += b.Resources
	a.Pairs += b.Pairs
	a.MaxShed = max(a.MaxShed, b.MaxShed)
	return a
}

// lag is how far the watermark is behind the wall clock.
func (c *counts) lag(now time.Time) time.Duration {
	w := c.watermark.Load()
	if w == 0 {
		return 0
	}
	return max(now.Sub(time.Unix(0, w)), 0)
}

package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// Change says what a finding, or the passing of event time, did to an alert.
type Change uint8

// Changes.
const (
	// None: nothing that anyone has to be told.
	None Change = iota
	// Opened: a new alert.
	Opened
	// Updated: the alert grew enough to be told again.
	Updated
	// Reopened: evidence came back within [ReopenWithin] of the end.
	Reopened
	// Closed: no evidence for the quiet time of the finding.
	Closed
)

var changes = [...]string{"none", "opened", "updated", "reopened", "closed"}

// String returns the name of the change in lower case.
func (c Change) String() string {
	if int(c) < len(changes) {
		return changes[c]
	}
	return ""
}

// Numbers of the episode rules. Source: detection reference, section 9.
const (
	// ReopenWithin is the time after the end of an episode in which new evidence
	// revives the same alert.
	ReopenWithin = 24 * time.Hour
	// FirstPause is the shortest time between two updates of an alert; each
	// further update doubles it, up to LastPause.
	FirstPause = 30 * time.Minute
	// LastPause is the longest pause between two updates.
	LastPause = 8 * time.Hour
	// MaxOpen is the number of open episodes of a resource above which further
	// ones fold into an open episode of the same family.
	MaxOpen = 64
)

// Config holds the settings of a [Book].
type Config struct {
	// Pane is the width of a pane; decisions about the end of an episode are
	// taken at multiples of it.
	Pane time.Duration
}

// DefaultConfig returns panes of one minute.
func DefaultConfig() Config { return Config{Pane: time.Minute} }

// key identifies an episode while it lasts.
type key struct {
	Tenant, Resource string
	Type             weir.AlertType
	Key              string
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.Tenant, o.Tenant), cmp.Compare(k.Resource, o.Resource),
		cmp.Compare(k.Type, o.Type), cmp.Compare(k.Key, o.Key))
}

// owner identifies a resource.
type owner struct{ Tenant, Resource string }

// episode is an alert with what the rules of re-emission need.
type episode struct {
	Alert weir.Alert
	// Told is the pane of the newest emitted change, Pause the time until the
	// next update may follow.
	Told  int64
	Pause time.Duration
	// Size, Top, Peers and Limits are the estimate, the top peer and the numbers
	// of peers and limits as last told.
	Size   float64
	Top    string
	Peers  int
	Limits int
}

// Stats counts what a Book did since it was made.
type Stats struct {
	Opened, Updated, Reopened, Closed uint64
	// Folded counts findings that were merged into another episode because
	// their resource had [MaxOpen] open ones.
	Folded uint64
	// Open is the number of episodes that are open now.
	Open int
}

// Book is the register of episodes. It is not safe for concurrent use.
type Book struct {
	pane     int64
	episodes map[key]*episode
	open     map[owner]int
	stats    Stats
	// horizon is the event time up to which ends were decided.
	horizon int64
}

// NewBook returns an empty Book. A pane of zero or less means one minute.
func NewBook(c Config) *Book {
	if c.Pane <= 0 {
		c.Pane = DefaultConfig().Pane
	}
	return &Book{pane: int64(c.Pane), episodes: map[key]*episode{}, open: map[owner]int{}}
}

// Stats returns the counters.
func (b *Book) Stats() Stats {
	s := b.stats
	for _, n := range b.open {
		s.Open += n
	}
	return s
}

// Apply takes one finding and returns the alert it belongs to and what became
// of it. With [None] the alert is the state so far, or the zero Alert where the
// finding holds nothing new. Findings must come in the order of their At; call
// [Book.Close] for the panes before At first, or the ends of other episodes are
// reported late (their content is the same).
func (b *Book) Apply(f weir.Finding) (weir.Alert, Change) {
	k := key{f.Resource.Tenant, f.Resource.ID, f.Type, f.Key}
	e := b.episodes[k]
	if e != nil && !e.Alert.Closed && b.endPane(e) < f.At {
		// The end of this very episode was not asked for; the decision is the
		// same as if it had been.
		b.end(e)
	}
	switch {
	case e == nil, e.Alert.Closed && f.At-b.endPane(e) > int64(ReopenWithin) && f.Last > e.Alert.Last:
		return b.begin(k, f)
	case e.Alert.Closed && f.Last <= e.Alert.Last:
		// A window that still reaches back to an episode that has ended.
		return weir.Alert{}, None
	case e.Alert.Closed:
		b.open[owner{k.Tenant, k.Resource}]++
		e.Alert.Closed = false
		e.Alert.Reopened++
		merge(&e.Alert.Finding, f)
		b.stats.Reopened++
		e.tell(f.At)
		return e.Alert, Reopened
	}
	merge(&e.Alert.Finding, f)
	return b.update(e, f.At)
}

func (b *Book) begin(k key, f weir.Finding) (weir.Alert, Change) {
	who := owner{k.Tenant, k.Resource}
	if b.open[who] >= MaxOpen {
		if e := b.fold(k); e != nil {
			b.stats.Folded++
			absorb(&e.Alert.Finding, f)
			return b.update(e, f.At)
		}
	}
	e := &episode{Alert: weir.Alert{Finding: f, Generated: f.At, Status: weir.Active}, Pause: FirstPause}
	e.Alert.ID = ID(&f, f.First)
	settle(&e.Alert.Finding)
	e.tell(f.At)
	e.Pause = FirstPause
	b.episodes[k] = e
	b.open[who]++
	b.stats.Opened++
	return e.Alert, Opened
}

// fold finds the open episode that takes what a full resource cannot open: the
// aggregate of the same family and direction, else the first of the same type.
func (b *Book) fold(k key) *episode {
	var best *episode
	var bestKey key
	for k2, e := range b.episodes {
		if e.Alert.Closed || k2.Tenant != k.Tenant || k2.Resource != k.Resource {
			continue
		}
		aggregate := isAggregate(k2.Type) && k2.Type.Family() == k.Type.Family() && isIncoming(k2.Type) == isIncoming(k.Type)
		if !aggregate && k2.Type != k.Type {
			continue
		}
		if best == nil || betterFold(k2, bestKey) {
			best, bestKey = e, k2
		}
	}
	return best
}

func betterFold(a, b key) bool {
	if isAggregate(a.Type) != isAggregate(b.Type) {
		return isAggregate(a.Type)
	}
	return a.compare(b) < 0
}

func isAggregate(t weir.AlertType) bool {
	switch t {
	case weir.RDPIncomingManyToOne, weir.SSHIncomingManyToOne, weir.RDPOutgoingOneToMany, weir.SSHOutgoingOneToMany:
		return true
	}
	return false
}

func isIncoming(t weir.AlertType) bool {
	return t == weir.RDPIncomingManyToOne || t == weir.SSHIncomingManyToOne ||
		t == weir.RDPIncomingOneToOne || t == weir.SSHIncomingOneToOne
}

func (b *Book) update(e *episode, at int64) (weir.Alert, Change) {
	if at-e.Told < int64(e.Pause) || !e.material() {
		return e.Alert, None
	}
	e.tell(at)
	e.Pause = min(2*e.Pause, LastPause)
	b.stats.Updated++
	return e.Alert, Updated
}

// material tells whether the alert differs from what was last told by more
// than a slow drift of its numbers.
func (e *episode) material() bool {
	return size(&e.Alert.Finding) >= 2*e.Size || top(&e.Alert.Finding) != e.Top ||
		len(e.Alert.Peers) > e.Peers || len(e.Alert.Limits) != e.Limits
}

func (e *episode) tell(at int64) {
	e.Alert.Sequence++
	e.Alert.Updated = at
	e.Told = at
	e.Size, e.Top = size(&e.Alert.Finding), top(&e.Alert.Finding)
	e.Peers, e.Limits = len(e.Alert.Peers), len(e.Alert.Limits)
}

func size(f *weir.Finding) float64 {
	if f.Sampling.Estimate != nil {
		return *f.Sampling.Estimate
	}
	return f.Observed
}

func top(f *weir.Finding) string {
	if len(f.Peers) == 0 {
		return ""
	}
	return f.Peers[0].Address.String()
}

// endPane is the nominal end of the first pane that sees the quiet time of the
// episode over.
func (b *Book) endPane(e *episode) int64 {
	last, quiet := e.Alert.Last, int64(e.Alert.Quiet)
	if quiet > 0 && last > 1<<63-1-quiet-b.pane {
		return 1<<63 - 1
	}
	return ceil(last+quiet, b.pane)
}

func (b *Book) end(e *episode) {
	e.Alert.Closed = true
	e.Alert.Sequence++
	e.Alert.Updated = b.endPane(e)
	who := owner{e.Alert.Resource.Tenant, e.Alert.Resource.ID}
	if b.open[who]--; b.open[who] <= 0 {
		delete(b.open, who)
	}
	b.stats.Closed++
}

// Close ends every open episode whose quiet time is over at the watermark
// (Unix ns, event time), reports it, the earliest end first, and forgets
// episodes that ended more than [ReopenWithin] before. The order is that of the
// pane of the end, then tenant, resource, type and key, so that one call for a
// long time reports the same as many calls for short ones. An episode whose
// window may still reach back to its evidence is remembered for that long.
func (b *Book) Close(watermark int64, report func(weir.Alert)) {
	type due struct {
		pane int64
		k    key
		e    *episode
	}
	var list []due
	for k, e := range b.episodes {
		pane := b.endPane(e)
		if !e.Alert.Closed {
			if pane <= watermark {
				list = append(list, due{pane, k, e})
			}
			continue
		}
		if watermark-pane > max(int64(ReopenWithin), int64(e.Alert.Window)) {
			delete(b.episodes, k)
		}
	}
	slices.SortFunc(list, func(x, y due) int { return cmp.Or(cmp.Compare(x.pane, y.pane), x.k.compare(y.k)) })
	for _, d := range list {
		b.end(d.e)
		report(d.e.Alert)
	}
	b.horizon = max(b.horizon, watermark)
}

// Finish ends every open episode, as if silence followed, and forgets them all.
func (b *Book) Finish(report func(weir.Alert)) {
	b.Close(1<<63-1, report)
	clear(b.episodes)
}

// Open returns the open alerts in the order of tenant, resource, type and key.
func (b *Book) Open() []weir.Alert {
	var keys []key
	for k, e := range b.episodes {
		if !e.Alert.Closed {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, key.compare)
	out := make([]weir.Alert, 0, len(keys))
	for _, k := range keys {
		out = append(out, b.episodes[k].Alert)
	}
	return out
}

package detect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/pending"
	"github.com/weir-net/weir/internal/detect/service"
)

// Stats counts what a detector has done since it was made.
type Stats struct {
	Contacts  uint64 // contacts taken
	Late      uint64 // contacts of panes that were closed already
	Ambiguous uint64 // contacts whose client could not be told
	NoRate    uint64 // contacts whose sampling rate is not known
	Panes     uint64 // panes closed
	Refused   uint64 // peers refused at the memory ceiling
	Dropped   uint64 // contacts dropped because open panes were full
	Resources int    // resources with state
	Pairs     int    // tracked (resource, service, peer) entries
	MaxShed   int    // highest level of adaptive hash sampling in force
}

// Detector runs the rules over the contacts of the resources of one shard. It
// is not safe for concurrent use.
type Detector struct {
	cfg      Config
	fam      [service.FamilyCount]settings
	table    *service.Table
	disabled map[weir.AlertType]bool

	panes    map[int64]*pending.Pane // open panes by number
	order    pending.Order
	buffered int
	next     int64 // first pane that is still open
	started  bool
	// floodDue holds, by pane, the resources whose volume is to be judged once
	// the records that reach back into the pane have come: lag panes later.
	floodDue map[int64]map[uint64]bool
	lag      int64

	res   map[uint64]*resource
	pairs int
	stats Stats
}

// New returns a detector. The configuration is not copied: it must not change
// afterwards.
func New(c Config) (*Detector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making a detector: %w", err)
	}
	k := make(map[string]float64)
	for name, f := range c.Families {
		k[name] = f.PacketsPerConnection
	}
	table, err := service.NewTable(c.Services, k)
	if err != nil {
		return nil, fmt.Errorf("making a detector: %w", err)
	}
	d := &Detector{
		cfg: c, table: table, disabled: make(map[weir.AlertType]bool),
		panes: make(map[int64]*pending.Pane), floodDue: make(map[int64]map[uint64]bool),
		res: make(map[uint64]*resource),
		lag: int64((c.Lateness + c.Pane - 1) / c.Pane),
	}
	for f := range service.FamilyCount {
		d.fam[f] = c.settings(f)
	}
	for _, t := range c.Disabled {
		d.disabled[t] = true
	}
	return d, nil
}

// Reconfigure takes over the settings of the families, the table of services and
// the disabled rules of c, between two calls of Close; the other settings stay as
// they are. What was learnt stays, but for services that are none any more. An
// error leaves the detector as it was.
func (d *Detector) Reconfigure(c Config) error {
	next := d.cfg
	next.Sensitivity, next.Families, next.Services, next.Disabled = c.Sensitivity, c.Families, c.Services, c.Disabled
	fresh, err := New(next)
	if err != nil {
		return err
	}
	d.cfg, d.fam, d.table, d.disabled = fresh.cfg, fresh.fam, fresh.table, fresh.disabled
	d.findServices()
	return nil
}

// contactBytes is about what a buffered contact costs.
const contactBytes = 320

// Observe takes contacts in any order. Contacts of panes that were closed
// already are counted and dropped.
func (d *Detector) Observe(cs []weir.Contact) {
	pane := int64(d.cfg.Pane)
	for i := range cs {
		c := &cs[i]
		n := floorDiv(c.End, pane)
		d.stats.Contacts++
		if d.started && n < d.next {
			d.stats.Late++
			continue
		}
		if int64(d.buffered)*contactBytes > d.cfg.Memory {
			// The last resort: open panes alone fill the ceiling.
			d.stats.Dropped++
			continue
		}
		p := d.panes[n]
		if p == nil {
			p = &pending.Pane{}
			d.panes[n] = p
		}
		p.Add(c)
		d.buffered++
	}
}

// Close closes, in order, all panes that end at or before the watermark and
// reports the findings of each in a fixed order.
func (d *Detector) Close(watermark int64, report func(weir.Finding)) {
	d.closeTo(floorDiv(watermark, int64(d.cfg.Pane)), report)
}

// Flush closes everything at the end of the input, as if silence followed until
// both windows have been judged a last time.
func (d *Detector) Flush(report func(weir.Finding)) {
	if !d.started && len(d.panes) == 0 {
		return
	}
	last := d.next
	for n := range d.panes {
		last = max(last, n+1)
	}
	end := (floorDiv(last*int64(d.cfg.Pane)-1, day.slot()) + 1) * day.slot()
	d.closeTo(floorDiv(end, int64(d.cfg.Pane)), report)
}

// closeTo closes all panes below number to. Stretches without contacts are
// skipped but for the boundaries at which rules run.
func (d *Detector) closeTo(to int64, report func(weir.Finding)) {
	if !d.started {
		if len(d.panes) == 0 {
			return
		}
		// Not after the watermark: older contacts may still come.
		d.next = min(to, slices.Min(slices.Collect(maps.Keys(d.panes))))
		d.started = true
	}
	pane := int64(d.cfg.Pane)
	filled := slices.Sorted(maps.Keys(d.panes))
	for d.next < to {
		n := d.next
		for len(filled) > 0 && filled[0] < n {
			filled = filled[1:]
		}
		if d.panes[n] == nil && len(d.floodDue[n-d.lag]) == 0 {
			// Nothing happens before the next boundary or the next contact.
			skip := min(to, (floorDiv(n*pane, hour.slot())+1)*hour.slot()/pane-1)
			if d.quiet(n * pane) {
				skip = to
			}
			if len(filled) > 0 {
				skip = min(skip, filled[0])
			}
			for m := range d.floodDue {
				skip = min(skip, m+d.lag)
			}
			if skip > n {
				d.next = skip
				continue
			}
		}
		d.closePane(n, report)
		d.next = n + 1
	}
}

// quiet reports whether no window can hold evidence after time t, so that
// whole days without contacts cost nothing.
func (d *Detector) quiet(t int64) bool {
	for _, r := range d.res {
		if r.Last > t-int64(day.window())-day.slot() {
			return false
		}
	}
	return true
}

// closePane works off one pane and the boundaries that its end reaches.
func (d *Detector) closePane(n int64, report func(weir.Finding)) {
	pane := int64(d.cfg.Pane)
	start, end := n*pane, (n+1)*pane
	d.stats.Panes++
	groups := d.take(n)
	var out []weir.Finding
	emit := func(f weir.Finding) {
		if !d.disabled[f.Type] && d.familyOf(f.Type).Enabled {
			out = append(out, f)
		}
	}
	for _, g := range groups {
		g.res.pane(d, d.order.Contacts(g.Group), start, end)
	}
	for _, g := range groups {
		g.res.intelRules(d, end, emit)
		g.res.scanRule(d, end, false, emit)
	}
	due := d.floodDue[n-d.lag]
	delete(d.floodDue, n-d.lag)
	for _, key := range slices.Sorted(maps.Keys(due)) {
		d.res[key].floodRule(d, n-d.lag, emit)
	}
	if end%hour.slot() == 0 {
		for _, key := range slices.Sorted(maps.Keys(d.res)) {
			d.res[key].boundary(d, end, emit)
		}
	}
	for _, g := range groups {
		g.res.shed(d)
	}
	slices.SortStableFunc(out, CompareFindings)
	for i := range out {
		report(out[i])
	}
}

func (d *Detector) familyOf(t weir.AlertType) settings {
	i := slices.Index(service.Families(), t.Family())
	return d.fam[max(i, 0)]
}

// group is the contacts of one resource in one pane.
type group struct {
	res *resource
	pending.Group
}

// take removes a pane and returns its contacts by resource, resources by key.
func (d *Detector) take(n int64) []group {
	p := d.panes[n]
	if p == nil {
		return nil
	}
	delete(d.panes, n)
	d.buffered -= p.Len()
	parts := d.order.Take(p)
	groups := make([]group, len(parts))
	for i, part := range parts {
		r, ok := d.res[part.Key]
		if !ok {
			r = newResource(part.Key)
			d.res[part.Key] = r
		}
		groups[i] = group{r, part}
	}
	return groups
}

// CompareFindings is the order in which findings of one close are reported, and
// in which findings of several shards are to be merged: time, resource, type,
// key.
func CompareFindings(a, b weir.Finding) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Resource.Tenant, b.Resource.Tenant),
		cmp.Compare(a.Resource.ID, b.Resource.ID), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key))
}

// Stats returns the counters and sizes.
func (d *Detector) Stats() Stats {
	s := d.stats
	s.Resources, s.Pairs = len(d.res), d.pairs
	for _, r := range d.res {
		s.MaxShed = max(s.MaxShed, int(r.Level[0]), int(r.Level[1]))
	}
	return s
}

// jitter raises a threshold by 0 to 15 % by the deployment's salt, so that
// attackers cannot learn it from another deployment (section 6.5).
func (d *Detector) jitter(threshold float64, r *resource, f service.Family) float64 {
	if d.cfg.Salt == 0 {
		return threshold
	}
	h := mix(d.cfg.Salt ^ r.Key ^ uint64(f)*0x9e3779b97f4a7c15)
	return threshold * (1 + 0.15*float64(h>>11)/(1<<53))
}

// mix is a 64-bit finaliser (splitmix64, Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func nanos(d time.Duration) int64 { return int64(d) }

package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/api"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/store"
	"github.com/weir-net/weir/internal/store/sqlite"
)

// Data reads the data directory of a server, running or not.
type Data struct{ s *sqlite.Store }

// OpenData opens a data directory for reading. The error wraps fs.ErrNotExist
// when there is none.
func OpenData(ctx context.Context, dir string) (*Data, error) {
	s, err := sqlite.Open(ctx, dir, sqlite.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return &Data{s}, nil
}

// Close frees everything.
func (d *Data) Close() error { return d.s.Close() }

// Alert returns one alert, or api.ErrNotFound.
func (d *Data) Alert(ctx context.Context, id string) (weir.Alert, error) {
	a, err := d.s.Get(ctx, id)
	return a, translate(err)
}

// Alerts returns a page of the alerts that match and the cursor of the next.
func (d *Data) Alerts(ctx context.Context, q api.Query, limit int, after string) ([]weir.Alert, string, error) {
	p, err := d.s.List(ctx, store.Filter(q), limit, after)
	return p.Alerts, p.Next, translate(err)
}

// Watch calls fn with every change from now on until ctx is done.
func (d *Data) Watch(ctx context.Context, fn func(weir.Alert) error) error {
	from, err := d.s.Head(ctx)
	if err != nil {
		return err
	}
	return d.s.Watch(ctx, from, func(list []store.Change) error {
		for _, c := range list {
			if err := fn(c.Alert); err != nil {
				return err
			}
		}
		return nil
	})
}

// Intelligence are loaded indicators with the report of their loading. Table is
// nil when a file could not be used.
type Intelligence struct {
	Table  *intel.Table
	Report *intel.Report
}

// CheckIntel reads files of indicators and tells what became of each.
func CheckIntel(files []IntelFile) (*Intelligence, error) {
	t, r, err := LoadIntel(files, time.Now())
	return &Intelligence{t, r}, err
}

// LookupIntel returns what the feeds of the configuration and further files say
// of an address. A file that cannot be used is an *InvalidError.
func LookupIntel(c *config.Config, more []IntelFile, addr netip.Addr) ([]weir.Indicator, error) {
	t, _, err := LoadIntel(append(feedFiles(c), more...), time.Now())
	if err != nil {
		return nil, err
	}
	v := t.Lookup(addr)
	if v == nil {
		return nil, nil
	}
	out := make([]weir.Indicator, 0, len(v.Indicators))
	for _, i := range v.Indicators {
		out = append(out, *i)
	}
	return out, nil
}

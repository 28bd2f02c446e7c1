// Package storetest is the suite that every store passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/store"
)

// Run runs the suite. open opens the store at one place; a second call after
// Close finds what was stored.
func Run(t *testing.T, open func(t *testing.T) func() store.Store) {
	t.Helper()
	tests := map[string]func(*testing.T, func() store.Store){
		"apply and get": applyAndGet, "status survives": statusSurvives, "replay": replay, "conflict": conflict,
		"list": list, "pages": pages, "watch": watch, "expire": expire, "reopen": reopen, "all or none": allOrNone,
		"concurrent writers": concurrent,
	}
	for name, fn := range tests {
		t.Run(name, func(t *testing.T) { fn(t, open(t)) })
	}
}

// Alert makes an alert whose start is n minutes after 2026-03-01T10:00:00Z.
func Alert(n int, kind weir.AlertType, resource string) weir.Alert {
	start := int64(1772359200+60*n) * int64(time.Second)
	one := 1.0
	return weir.Alert{
		ID: fmt.Sprintf("%019d_%s-%s", 1<<40-n, kind, resource),
		Finding: weir.Finding{
			Type: kind, Key: "k", Direction: weir.Incoming, First: start, Last: start + int64(10*time.Minute), At: start + int64(11*time.Minute),
			Resource: &weir.Resource{ID: resource, Name: "name of " + resource, Kind: weir.VirtualMachine},
			Own:      netip.MustParseAddr("203.0.113.10"), Count: 7, Observed: 7, Unit: weir.UnitConnections,
			Peers:    []weir.PeerEvidence{{Address: netip.MustParseAddr("198.51.100.7"), Lower: 7, Estimate: &one}},
			Sampling: weir.Sampling{Rate: 1000, Source: weir.SamplingOptions, Estimate: &one},
			Quiet:    30 * time.Minute, Facts: map[string]string{"L": "7"},
		},
		Generated: start, Updated: start, Sequence: 1, Status: weir.Active,
	}
}

var options = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}), cmpopts.EquateEmpty()}

// must returns v, or ends the test: must(call())(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func shut(t *testing.T, s store.Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func applyAndGet(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	a := Alert(1, weir.SSHIncomingOneToOne, "web-1")
	got := must(s.Apply(ctx, []weir.Alert{a}))(t)
	a.Version = 1
	if d := cmp.Diff([]weir.Alert{a}, got, options); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(a, must(s.Get(ctx, a.ID))(t), options); d != "" {
		t.Error(d)
	}
	if _, err := s.Get(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

func statusSurvives(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	a := Alert(1, weir.SSHIncomingOneToOne, "web-1")
	must(s.Apply(ctx, []weir.Alert{a}))(t)
	set := must(s.SetStatus(ctx, a.ID, 1, store.StatusChange{Status: weir.Dismissed, By: "ann", Reason: "a test", At: 42}))(t)
	if set.Status != weir.Dismissed || set.Version != 2 {
		t.Errorf("got %s, version %d", set.Status, set.Version)
	}
	a.Sequence, a.Count = 2, 9
	got := must(s.Apply(ctx, []weir.Alert{a}))(t)[0]
	if got.Status != weir.Dismissed || got.StatusBy != "ann" || got.StatusReason != "a test" || got.StatusAt != 42 {
		t.Errorf("the update lost what ann said: %+v", got)
	}
	if got.Count != 9 || got.Version != 3 {
		t.Errorf("count %d, version %d", got.Count, got.Version)
	}
	if _, err := s.SetStatus(ctx, "none", 0, store.StatusChange{Status: weir.Resolved}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := s.SetStatus(ctx, a.ID, 0, store.StatusChange{Status: "Gone"}); err == nil {
		t.Error("an unknown status was accepted")
	}
}

func replay(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	a := Alert(1, weir.SSHIncomingOneToOne, "web-1")
	b := a
	b.Sequence, b.Count = 2, 9
	must(s.Apply(ctx, []weir.Alert{a, b}))(t)
	head := must(s.Head(ctx))(t)
	got := must(s.Apply(ctx, []weir.Alert{a, b}))(t)
	if got[1].Count != 9 || got[1].Version != 2 || must(s.Head(ctx))(t) != head {
		t.Errorf("a replay changed the store: %+v", got[1])
	}
}

func conflict(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	a := Alert(1, weir.SSHIncomingOneToOne, "web-1")
	must(s.Apply(ctx, []weir.Alert{a}))(t)
	must(s.SetStatus(ctx, a.ID, 1, store.StatusChange{Status: weir.InProgress}))(t)
	if _, err := s.SetStatus(ctx, a.ID, 1, store.StatusChange{Status: weir.Resolved}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if got := must(s.Get(ctx, a.ID))(t); got.Status != weir.InProgress || got.Version != 2 {
		t.Errorf("got %s, version %d", got.Status, got.Version)
	}
}

func ids(list []weir.Alert) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, a.ID)
	}
	return out
}

func list(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	a, b, c := Alert(1, weir.SSHIncomingOneToOne, "web-1"), Alert(2, weir.DDoS, "web-2"), Alert(100, weir.SSHIncomingOneToOne, "web-2")
	c.Peers = []weir.PeerEvidence{{Address: netip.MustParseAddr("2001:db8::7")}}
	must(s.Apply(ctx, []weir.Alert{a, b, c}))(t)
	must(s.SetStatus(ctx, b.ID, 0, store.StatusChange{Status: weir.Resolved}))(t)
	tests := map[string]struct {
		f    store.Filter
		want []string
	}{
		"all, newest first":  {store.Filter{}, []string{c.ID, b.ID, a.ID}},
		"type":               {store.Filter{Types: []weir.AlertType{weir.SSHIncomingOneToOne}}, []string{c.ID, a.ID}},
		"two types":          {store.Filter{Types: []weir.AlertType{weir.SSHIncomingOneToOne, weir.DDoS}}, []string{c.ID, b.ID, a.ID}},
		"status":             {store.Filter{Statuses: []weir.Status{weir.Resolved}}, []string{b.ID}},
		"resource id":        {store.Filter{Resource: "web-2"}, []string{c.ID, b.ID}},
		"resource name":      {store.Filter{Resource: "Name of web-1"}, []string{a.ID}},
		"resource address":   {store.Filter{Resource: "203.0.113.10"}, []string{c.ID, b.ID, a.ID}},
		"peer":               {store.Filter{Peer: "2001:db8::7"}, []string{c.ID}},
		"since":              {store.Filter{Since: c.First}, []string{c.ID}},
		"since within":       {store.Filter{Since: a.Last}, []string{c.ID, b.ID, a.ID}},
		"until is exclusive": {store.Filter{Until: c.First}, []string{b.ID, a.ID}},
		"both and type":      {store.Filter{Types: []weir.AlertType{weir.DDoS}, Since: a.First, Until: b.First + 1}, []string{b.ID}},
		"none":               {store.Filter{Resource: "web-9"}, nil},
	}
	for name, tt := range tests {
		p := must(s.List(ctx, tt.f, 10, ""))(t)
		if d := cmp.Diff(tt.want, ids(p.Alerts), options); d != "" || p.Next != "" {
			t.Errorf("%s: next %q %s", name, p.Next, d)
		}
	}
	for _, limit := range []int{0, -1, store.MaxPage + 1} {
		if _, err := s.List(ctx, store.Filter{}, limit, ""); err == nil {
			t.Errorf("limit %d was accepted", limit)
		}
	}
}

func pages(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	var all []weir.Alert
	for i := range 25 {
		all = append(all, Alert(i, weir.SSHIncomingOneToOne, "web-1"))
	}
	must(s.Apply(ctx, all))(t)
	var got []string
	after, n := "", 0
	for {
		p := must(s.List(ctx, store.Filter{}, 10, after))(t)
		got = append(got, ids(p.Alerts)...)
		n++
		if n == 1 {
			// A newer alert in between must not shift the pages.
			must(s.Apply(ctx, []weir.Alert{Alert(99, weir.DDoS, "web-1")}))(t)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if n != 3 || len(got) != 25 || got[0] != all[24].ID || got[24] != all[0].ID {
		t.Errorf("%d pages, %d alerts", n, len(got))
	}
}

func watch(t *testing.T, open func() store.Store) {
	s := open()
	shut(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, b := Alert(1, weir.SSHIncomingOneToOne, "web-1"), Alert(2, weir.DDoS, "web-2")
	must(s.Apply(ctx, []weir.Alert{a}))(t)
	done := errors.New("seen enough")
	var got []string
	var places []int64
	started := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Watch(ctx, 0, func(list []store.Change) error {
			for _, c := range list {
				got = append(got, fmt.Sprint(c.Alert.ID, c.Alert.Version))
				places = append(places, c.Place)
			}
			once.Do(func() { close(started) })
			if got[len(got)-1] == a.ID+"2" {
				return done
			}
			return nil
		})
		if !errors.Is(err, done) {
			t.Errorf("watch ended with %v", err)
		}
	})
	<-started
	must(s.Apply(ctx, []weir.Alert{b}))(t)
	must(s.SetStatus(ctx, b.ID, 0, store.StatusChange{Status: weir.Resolved}))(t)
	must(s.SetStatus(ctx, a.ID, 0, store.StatusChange{Status: weir.Resolved}))(t)
	wg.Wait()
	if got[0] != a.ID+"1" || got[len(got)-1] != a.ID+"2" {
		t.Errorf("got %v", got)
	}
	for i := 1; i < len(places); i++ {
		if places[i] <= places[i-1] {
			t.Errorf("places do not rise: %v", places)
		}
	}
	if err := s.Watch(ctx, 1<<40, func([]store.Change) error { return nil }); !errors.Is(err, store.ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	short, stop := context.WithCancel(ctx)
	stop()
	head := must(s.Head(ctx))(t)
	if err := s.Watch(short, head, func([]store.Change) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func expire(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	old, live, fresh := Alert(1, weir.SSHIncomingOneToOne, "web-1"), Alert(2, weir.DDoS, "web-1"), Alert(9999, weir.DDoS, "web-2")
	old.Closed, fresh.Closed = true, true
	must(s.Apply(ctx, []weir.Alert{old, live, fresh}))(t)
	now := time.Now()
	if n := must(s.Expire(ctx, now.Add(-time.Hour).UnixNano()))(t); n != 0 {
		t.Errorf("%d expired that were stored just now, however old their evidence", n)
	}
	if n := must(s.Expire(ctx, now.Add(time.Hour).UnixNano()))(t); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	got := must(s.List(ctx, store.Filter{Peer: "198.51.100.7"}, 10, ""))(t)
	if d := cmp.Diff([]string{live.ID}, ids(got.Alerts)); d != "" {
		t.Error(d)
	}
}

func reopen(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	a := Alert(1, weir.SSHIncomingOneToOne, "web-1")
	must(s.Apply(ctx, []weir.Alert{a}))(t)
	head := must(s.Head(ctx))(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	shut(t, s)
	a.Version = 1
	if d := cmp.Diff(a, must(s.Get(ctx, a.ID))(t), options); d != "" {
		t.Error(d)
	}
	if h := must(s.Head(ctx))(t); h != head {
		t.Errorf("head %d, want %d", h, head)
	}
}

func allOrNone(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	bad := Alert(2, weir.DDoS, "web-1")
	bad.Resource = nil
	if _, err := s.Apply(ctx, []weir.Alert{Alert(1, weir.DDoS, "web-1"), bad}); err == nil {
		t.Fatal("an alert without a resource was accepted")
	}
	if p := must(s.List(ctx, store.Filter{}, 10, ""))(t); len(p.Alerts) != 0 {
		t.Errorf("%d alerts of a failed call were stored", len(p.Alerts))
	}
}

func concurrent(t *testing.T, open func() store.Store) {
	s, ctx := open(), t.Context()
	shut(t, s)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := s.Apply(ctx, []weir.Alert{Alert(w*100+i, weir.DDoS, "web-1")}); err != nil {
					t.Error(err)
				}
				if _, err := s.List(ctx, store.Filter{}, 10, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if h := must(s.Head(ctx))(t); h != 40 {
		t.Errorf("head %d, want 40", h)
	}
}

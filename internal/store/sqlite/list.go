package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weir-net/weir/internal/store"
)

// where builds the condition of a filter.
func where(f store.Filter) (string, []any) {
	var conds []string
	var args []any
	in := func(column string, n int, value func(int) string) {
		if n == 0 {
			return
		}
		conds = append(conds, column+" IN (?"+strings.Repeat(",?", n-1)+")")
		for i := range n {
			args = append(args, value(i))
		}
	}
	in("type", len(f.Types), func(i int) string { return string(f.Types[i]) })
	in("status", len(f.Statuses), func(i int) string { return string(f.Statuses[i]) })
	for kind, term := range map[string]string{"resource": f.Resource, "peer": f.Peer} {
		if term != "" {
			conds = append(conds, "id IN (SELECT id FROM terms WHERE kind = ? AND term = ?)")
			args = append(args, kind, strings.ToLower(term))
		}
	}
	if f.Since != 0 {
		conds, args = append(conds, "last >= ?"), append(args, f.Since)
	}
	if f.Until != 0 {
		conds, args = append(conds, "first < ?"), append(args, f.Until)
	}
	if len(conds) == 0 {
		return "1", args
	}
	return strings.Join(conds, " AND "), args
}

// List implements [store.Store]. Ids sort newest start first.
func (s *Store) List(ctx context.Context, f store.Filter, limit int, after string) (store.Page, error) {
	if err := store.CheckPage(limit); err != nil {
		return store.Page{}, fmt.Errorf("list alerts: %w", err)
	}
	cond, args := where(f)
	query := "SELECT body FROM alerts WHERE " + cond + " AND id > ? ORDER BY id LIMIT ?" //nolint:gosec // values are bound
	rows, err := s.read.QueryContext(ctx, query, append(args, after, limit+1)...)
	if err != nil {
		return store.Page{}, fmt.Errorf("list alerts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var p store.Page
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return store.Page{}, fmt.Errorf("list alerts: %w", err)
		}
		a, err := decode(body)
		if err != nil {
			return store.Page{}, err
		}
		p.Alerts = append(p.Alerts, a)
	}
	if err := rows.Err(); err != nil {
		return store.Page{}, fmt.Errorf("list alerts: %w", err)
	}
	if len(p.Alerts) > limit {
		p.Alerts = p.Alerts[:limit]
		p.Next = p.Alerts[limit-1].ID
	}
	return p, nil
}

// Head implements [store.Store].
func (s *Store) Head(ctx context.Context) (int64, error) {
	var n int64
	if err := s.read.QueryRowContext(ctx, `SELECT head FROM log`).Scan(&n); err != nil {
		return 0, fmt.Errorf("read the change log: %w", err)
	}
	return n, nil
}

// Watch implements [store.Store].
func (s *Store) Watch(ctx context.Context, from int64, fn func([]store.Change) error) error {
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if from > head {
		return store.ErrGone
	}
	for {
		s.mu.Lock()
		wake := s.wake
		s.mu.Unlock()
		for {
			list, err := s.changes(ctx, from)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				break
			}
			if err := fn(list); err != nil {
				return err
			}
			from = list[len(list)-1].Place
		}
		t := time.NewTimer(pollEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-s.closed:
			t.Stop()
			return context.Canceled
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func (s *Store) changes(ctx context.Context, from int64) ([]store.Change, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT place, body FROM alerts WHERE place > ? ORDER BY place LIMIT 200`, from)
	if err != nil {
		return nil, fmt.Errorf("read the change log: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []store.Change
	for rows.Next() {
		var c store.Change
		var body []byte
		if err := rows.Scan(&c.Place, &body); err != nil {
			return nil, fmt.Errorf("read the change log: %w", err)
		}
		if c.Alert, err = decode(body); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the change log: %w", err)
	}
	return out, nil
}

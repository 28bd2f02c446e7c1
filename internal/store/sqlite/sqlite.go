// Package sqlite keeps alerts in one SQLite file: write-ahead log, every commit
// on disk before it counts. Several processes may have the file open; one of
// them writes at a time.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/store"
)

// File is the name of the database inside the data directory.
const File = "alerts.db"

// pollEvery is how often a watch looks for changes of other processes.
const pollEvery = 500 * time.Millisecond

// Store implements [store.Store].
type Store struct {
	read, write *sql.DB
	// wake is closed and replaced at every change of this process.
	mu     sync.Mutex
	wake   chan struct{}
	closed chan struct{}
	once   sync.Once
}

var _ store.Store = (*Store)(nil)

// Options say how a store is opened.
type Options struct {
	// ReadOnly opens an existing store for reading; a missing one is an error.
	ReadOnly bool
}

// Open opens the store in dir and makes both if need be.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	name := filepath.Join(dir, File)
	if o.ReadOnly {
		if _, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
	} else if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &Store{wake: make(chan struct{}), closed: make(chan struct{})}
	if s.write, err = open(name, 1, o.ReadOnly); err != nil {
		return nil, err
	}
	if s.read, err = open(name, 4, o.ReadOnly); err != nil {
		_ = s.write.Close()
		return nil, err
	}
	if !o.ReadOnly {
		err = migrate(ctx, s.write)
	} else {
		err = s.Check(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func open(name string, conns int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, "_txlock": {"immediate"}}
	if readOnly {
		q = url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}}
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: name, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db.SetMaxOpenConns(conns)
	return db, nil
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closed) })
	return errors.Join(s.read.Close(), s.write.Close())
}

// Check implements [store.Store].
func (s *Store) Check(ctx context.Context) error {
	var n int64
	if err := s.read.QueryRowContext(ctx, `SELECT head FROM log`).Scan(&n); err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	return nil
}

// in runs fn in a write transaction and wakes the watches after it.
func (s *Store) in(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.mu.Lock()
	close(s.wake)
	s.wake = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, alerts []weir.Alert) ([]weir.Alert, error) {
	out := make([]weir.Alert, 0, len(alerts))
	err := s.in(ctx, "store alerts", func(tx *sql.Tx) error {
		out = out[:0]
		for _, a := range alerts {
			stored, err := apply(ctx, tx, a)
			if err != nil {
				return err
			}
			out = append(out, stored)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func apply(ctx context.Context, tx *sql.Tx, next weir.Alert) (weir.Alert, error) {
	if next.Resource == nil || next.ID == "" {
		return next, errors.New("an alert without id or resource")
	}
	old, body, err := get(ctx, tx, next.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if next.Status == "" {
			next.Status = weir.Active
		}
		next.Version = 0
	case err != nil:
		return next, err
	default:
		merged, changed := store.Merge(old, next)
		if !changed {
			return old, nil
		}
		same, err := json.Marshal(merged)
		if err != nil {
			return next, fmt.Errorf("alert %s: %w", next.ID, err)
		}
		if string(same) == string(body) {
			return old, nil
		}
		next = merged
	}
	return put(ctx, tx, next)
}

// put writes a new version at the head of the change log.
func put(ctx context.Context, tx *sql.Tx, a weir.Alert) (weir.Alert, error) {
	a.Version++
	body, err := json.Marshal(a)
	if err != nil {
		return a, fmt.Errorf("alert %s: %w", a.ID, err)
	}
	var place int64
	if err := tx.QueryRowContext(ctx, `UPDATE log SET head = head + 1 RETURNING head`).Scan(&place); err != nil {
		return a, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO alerts (id, type, status, tenant, resource, first, last, touched, closed, sequence, version, place, body)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET status=excluded.status, first=excluded.first, last=excluded.last, touched=excluded.touched,
		closed=excluded.closed, sequence=excluded.sequence, version=excluded.version, place=excluded.place, body=excluded.body`,
		a.ID, string(a.Type), string(a.Status), a.Resource.Tenant, a.Resource.ID, a.First, a.Last,
		time.Now().UnixNano(), a.Closed, a.Sequence, a.Version, place, body)
	if err != nil {
		return a, err
	}
	add := func(kind, term string) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO terms (kind, term, id) VALUES (?,?,?)`, kind, strings.ToLower(term), a.ID)
		return err
	}
	errs := []error{add("resource", a.Resource.ID), add("resource", a.Resource.Name), add("resource", a.Own.String())}
	for _, p := range a.Peers {
		errs = append(errs, add("peer", p.Address.String()))
	}
	return a, errors.Join(errs...)
}

// querier is what reading needs: a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func get(ctx context.Context, q querier, id string) (weir.Alert, []byte, error) {
	var body []byte
	err := q.QueryRowContext(ctx, `SELECT body FROM alerts WHERE id = ?`, id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return weir.Alert{}, nil, store.ErrNotFound
	}
	if err != nil {
		return weir.Alert{}, nil, err
	}
	a, err := decode(body)
	return a, body, err
}

func decode(body []byte) (weir.Alert, error) {
	var a weir.Alert
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("read a stored alert: %w", err)
	}
	return a, nil
}

// SetStatus implements [store.Store].
func (s *Store) SetStatus(ctx context.Context, id string, version int64, c store.StatusChange) (weir.Alert, error) {
	if !c.Status.Valid() {
		return weir.Alert{}, fmt.Errorf("set the status of alert %s: %q is no status", id, c.Status)
	}
	var a weir.Alert
	err := s.in(ctx, "set the status of alert "+id, func(tx *sql.Tx) error {
		old, _, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if version != 0 && version != old.Version {
			return store.ErrConflict
		}
		old.Status, old.StatusBy, old.StatusReason, old.StatusAt = c.Status, c.By, c.Reason, c.At
		a, err = put(ctx, tx, old)
		return err
	})
	return a, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, id string) (weir.Alert, error) {
	a, _, err := get(ctx, s.read, id)
	if err != nil {
		return a, fmt.Errorf("read alert %s: %w", id, err)
	}
	return a, nil
}

// Expire implements [store.Store].
func (s *Store) Expire(ctx context.Context, t int64) (int64, error) {
	var n int64
	err := s.in(ctx, "expire alerts", func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM alerts WHERE touched < ? AND closed = 1`, t)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, err
}

// Package store is where alerts rest: one table of alerts by id and one ordered
// log of their changes. Implementations live in sub-packages and all pass the
// suite of storetest.
package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-net/weir"
)

// Errors that callers branch on.
var (
	// ErrNotFound says that no alert has the id.
	ErrNotFound = errors.New("no such alert")
	// ErrConflict says that the alert has changed since the version that the
	// caller saw.
	ErrConflict = errors.New("the alert has changed in the meantime")
	// ErrGone says that the change log no longer reaches back to the place that
	// was asked for; the caller has to list anew.
	ErrGone = errors.New("the change log no longer reaches back that far")
)

// MaxPage is the largest number of alerts or changes that one call returns.
const MaxPage = 1000

// Store keeps alerts. Implementations are safe for concurrent use. Errors other
// than those above are failures of the medium: the same call may be tried
// again, and a failed call has changed nothing.
type Store interface {
	// Apply inserts or updates alerts by id, all or none, and returns them as
	// stored, with their versions. What a person said (status, by, reason, at) is
	// kept from the stored alert; a new one takes that of the argument. An alert
	// that equals the stored one, or whose sequence is lower, changes nothing and
	// gets no new version, so that a replay is without effect.
	Apply(ctx context.Context, alerts []weir.Alert) ([]weir.Alert, error)
	// SetStatus sets the status. version is the version that the caller saw, 0
	// for any; ErrConflict when it is not the stored one.
	SetStatus(ctx context.Context, id string, version int64, change StatusChange) (weir.Alert, error)
	// Get returns one alert, or ErrNotFound.
	Get(ctx context.Context, id string) (weir.Alert, error)
	// List returns the alerts that match, newest start first, at most limit (1 to
	// MaxPage), beginning after the alert whose id is after; empty for the first
	// page. Next is empty on the last page.
	List(ctx context.Context, f Filter, limit int, after string) (Page, error)
	// Head returns the place of the newest change, 0 when there is none yet.
	Head(ctx context.Context) (int64, error)
	// Watch calls fn with the changes after place from, in order, waiting for
	// further ones until ctx is done (its error) or fn fails (its error). Several
	// changes of one alert may be told as the newest. ErrGone as said above.
	Watch(ctx context.Context, from int64, fn func([]Change) error) error
	// Expire removes the alerts whose last change was stored before t (wall time,
	// Unix ns), and returns how many. Alerts that are not closed stay.
	Expire(ctx context.Context, t int64) (int64, error)
	// Check reports whether the medium answers.
	Check(ctx context.Context) error
	// Close ends all watches and frees everything.
	Close() error
}

// StatusChange is what a person says of an alert.
type StatusChange struct {
	Status weir.Status
	By     string
	Reason string
	At     int64 // wall time, Unix ns
}

// Filter selects alerts; the zero value selects all. Lists are alternatives.
type Filter struct {
	Types    []weir.AlertType
	Statuses []weir.Status
	// Resource is an id, a name or an own address of a resource.
	Resource string
	// Peer is the address of a peer that the alert names.
	Peer string
	// Since and Until bound the time of the evidence (Unix ns): the alert must
	// overlap [Since, Until). 0 means unbounded.
	Since, Until int64
}

// Page is one page of a list.
type Page struct {
	Alerts []weir.Alert
	Next   string
}

// Change is one entry of the change log: the state of an alert after it.
type Change struct {
	// Place is the position in the log, rising from 1, the same for all readers.
	Place int64
	Alert weir.Alert
}

// CheckPage returns an error for a limit that no page may have.
func CheckPage(limit int) error {
	if limit < 1 || limit > MaxPage {
		return fmt.Errorf("limit %d: expected 1 to %d", limit, MaxPage)
	}
	return nil
}

// Merge returns the alert to store when next meets the stored one, and whether
// anything changes. Status and what belongs to it stay as stored.
func Merge(stored, next weir.Alert) (weir.Alert, bool) {
	if next.Sequence < stored.Sequence {
		return stored, false
	}
	next.Status, next.StatusBy, next.StatusReason, next.StatusAt = stored.Status, stored.StatusBy, stored.StatusReason, stored.StatusAt
	next.Version = stored.Version
	return next, true
}

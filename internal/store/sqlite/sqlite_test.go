package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/store"
	"github.com/weir-net/weir/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() store.Store {
		dir := filepath.Join(t.TempDir(), "data with space")
		return func() store.Store {
			s, err := Open(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

func TestOpen(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	if _, err := Open(ctx, dir, Options{ReadOnly: true}); err == nil {
		t.Error("a missing store was opened for reading")
	}
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := storetest.Alert(1, weir.DDoS, "web-1")
	if _, err := s.Apply(ctx, []weir.Alert{a}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(ctx, dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Get(ctx, a.ID); err != nil {
		t.Errorf("a reader beside the writer: %v", err)
	}
	if _, err := r.Apply(ctx, []weir.Alert{storetest.Alert(2, weir.DDoS, "web-1")}); err == nil {
		t.Error("a store opened for reading took an alert")
	}
}

func TestNewerLayoutIsRefused(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.ExecContext(ctx, `PRAGMA user_version = 999`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), dir, Options{}); err == nil {
		_ = s.Close()
		t.Error("a damaged file was opened")
	}
}

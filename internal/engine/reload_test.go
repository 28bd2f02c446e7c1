package engine

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-net/weir/internal/engine/config"
)

// logBuffer is a log that a test reads while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// waitFor waits for a text to come after what was waited for before, and takes
// the log up to its end.
func (l *logBuffer) waitFor(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		have := l.b.String()
		if i := strings.Index(have, text); i >= 0 {
			l.b.Next(i + len(text))
			l.mu.Unlock()
			return have
		}
		l.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("no %q in the log: %s", text, have)
		}
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	put := func(name, text string) {
		t.Helper()
		// Another name first: a reader never sees half a file.
		tmp := filepath.Join(dir, "new")
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	const base = "listen: {netflow: ['127.0.0.1:0'], sflow: []}\nstore: {dir: data}\ninventory: {files: ['inv*.yaml'], interval: 1s}\n"
	put("inv1.yaml", "resources: [{id: a, kind: virtual-machine, addresses: [192.0.2.1]}]")
	put("token", "geheim\n")
	put("weir.yaml", base+"api: {listen: '127.0.0.1:0'}\n")
	load := func() (*config.Loaded, error) { return config.Load(config.Input{File: file}) }
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	var level slog.LevelVar
	reload, started := make(chan struct{}), make(chan Addresses, 1)
	s, err := NewServer(l, ServerOptions{
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: &level})), Level: &level, Reload: reload, LoadConfig: load,
		Started: func(a Addresses) { started <- a },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	a := <-started

	status := func(auth string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.API+"/api/v1/resources", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	log.waitFor(t, "protecting")

	// A new inventory file is seen without being asked for.
	put("inv2.yaml", "resources: [{id: b, kind: virtual-machine, addresses: [192.0.2.2]}]")
	log.waitFor(t, "resources=2")
	if n := len(s.pipe.know.Load().inventory.Resources()); n != 2 {
		t.Errorf("%d resources, want 2", n)
	}
	// One that cannot be read leaves the last good one in force.
	put("inv2.yaml", "resources: [{id: b, kind: toaster}]")
	log.waitFor(t, "inventory and indicators stay as they were")
	if n := len(s.pipe.know.Load().inventory.Resources()); n != 2 {
		t.Errorf("%d resources, want 2", n)
	}
	put("inv2.yaml", "resources: [{id: c, kind: virtual-machine, addresses: [192.0.2.3]}]")

	// Reloadable keys take effect, others ask for a restart.
	if got := status(""); got != http.StatusOK {
		t.Errorf("without tokens: %d", got)
	}
	put("weir.yaml", base+"api: {listen: '127.0.0.1:0', tokens: [{name: a, role: reader, token: 'file:token'}]}\nlog: {level: debug}\ndetect: {lateness: 1m}\n")
	reload <- struct{}{}
	if text := log.waitFor(t, "configuration read"); !strings.Contains(text, `takes effect after a restart" key=detect.lateness`) || strings.Contains(text, "restart\" key=api.tokens") {
		t.Errorf("log: %s", text)
	}
	if none, good := status(""), status("Bearer geheim"); none != http.StatusUnauthorized || good != http.StatusOK {
		t.Errorf("with tokens: %d without one, %d with it", none, good)
	}
	if level.Level() != slog.LevelDebug {
		t.Errorf("level %s", level.Level())
	}
	// A configuration with a fault, or with what is not possible, changes nothing.
	put("weir.yaml", "nonsense: 1\n")
	reload <- struct{}{}
	log.waitFor(t, "the configuration stays as it was")
	put("weir.yaml", base+"store: {type: postgres, dsn: 'env:X'}\n")
	reload <- struct{}{}
	log.waitFor(t, "the configuration stays as it was")
	if got := status("Bearer geheim"); got != http.StatusOK {
		t.Errorf("after a faulty reload: %d", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

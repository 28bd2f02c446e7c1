//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// need returns the path of a program, or ends the test: by a skip that names
// the Debian package, or in CI by a failure.
func need(t *testing.T, program, debian string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if p, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return p
		}
	}
	missing(t, fmt.Sprintf("%s is not installed (Debian: apt-get install %s)", program, debian))
	return ""
}

// missing ends a test that lacks something.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip("skipped: " + what)
}

// weirBinary returns the binary under test: WEIR_BIN, or one built here.
func weirBinary(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("WEIR_BIN"); p != "" {
		return p
	}
	p := filepath.Join(t.TempDir(), "weir")
	build := exec.Command("go", "build", "-o", p, "../cmd/weir")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build weir: %v\n%s", err, out)
	}
	return p
}

// log is the output of a program, safe to read while it runs.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// process is a program that runs beside the test.
type process struct {
	cmd  *exec.Cmd
	log  *log
	done chan struct{}
	err  error
}

// start starts a program and sees to its end with the test.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), log: &log{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append(os.Environ(), "TZ=UTC")
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", filepath.Base(name), strings.Join(args, " "), p.log)
		}
	})
	return p
}

// stop asks the program to end and waits; after ten seconds it is killed.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// run runs a program to its end, at most a minute, and returns its output.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "TZ=UTC")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, errs.Bytes(), out.Bytes())
	}
	return out.Bytes()
}

// eventually waits until ok holds, at most for the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// collector is a running nfcapd.
type collector struct {
	*process
	dir  string
	addr netip.AddrPort
}

// startCollector starts nfcapd through the given prefix of a command line.
func startCollector(t *testing.T, prefix []string, addr netip.AddrPort) *collector {
	t.Helper()
	bin := need(t, "nfcapd", "nfdump")
	c := &collector{dir: t.TempDir(), addr: addr}
	line := append(append([]string{}, prefix...), bin, "-w", c.dir, "-b", addr.Addr().String(),
		"-p", fmt.Sprint(addr.Port()), "-t", "300", "-B", "4000000")
	c.process = start(t, line[0], line[1:]...)
	eventually(t, 10*time.Second, "nfcapd listens", func() error {
		// It opens its socket before it says so; its file exists after that.
		found, err := filepath.Glob(filepath.Join(c.dir, "nfcapd.current*"))
		if err == nil && len(found) == 0 {
			err = errors.New("no file yet")
		}
		return err
	})
	return c
}

// flows stops the collector and returns what nfdump reads from its files.
func (c *collector) flows(t *testing.T) []record {
	t.Helper()
	c.stop()
	return nfdumpRecords(t, run(t, need(t, "nfdump", "nfdump"), "-R", c.dir, "-o", "json"))
}

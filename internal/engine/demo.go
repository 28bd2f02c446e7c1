package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/engine/config"
)

// Times of the demo. The recording is moved by a multiple of demoStep, on which
// all windows of the rules are aligned, so that every demo raises the same
// alerts; what follows it ends before now.
const (
	demoStep  = 4 * time.Hour
	demoQuiet = 25 * time.Minute
	// demoLimit is the time in which the expected alerts have to come.
	demoLimit = 120 * time.Second
)

// demoCapture is the recording that the demo plays.
const demoCapture = "captures/attack-v9.pcap.gz"

// DemoOptions say what a demo tells, and when it ends.
type DemoOptions struct {
	// Files are the bundled recordings: inventory.yaml, intel/, expected.txt and
	// the capture.
	Files fs.FS
	// Exit ends the demo once the expected alerts have arrived, or with
	// ErrDemoIncomplete when they have not within 120 s.
	Exit bool
	// Speed is how many times as fast as it was the recording passes; 0 means as
	// fast as it is received.
	Speed float64
	// Set are further settings KEY=VALUE.
	Set []string
	// Started is called with the addresses, Alert with every change of an alert,
	// Complete once everything expected has arrived. Calls do not overlap.
	Started  func(a Addresses, dir string, datagrams int)
	Alert    func(weir.Alert, Change)
	Complete func(after time.Duration)
	Log      *slog.Logger
	Version  string
}

// ErrDemoIncomplete says that not all expected alerts arrived in time.
var ErrDemoIncomplete = errors.New("not all expected alerts arrived")

// Demo plays recorded attacks into a server of its own, in a temporary
// directory, through its own UDP port. It returns nil when ctx is done, or after
// the expected alerts with Exit.
func Demo(ctx context.Context, o DemoOptions) error {
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d := &demo{o: o, dir: dir, want: map[weir.AlertType]bool{}, complete: make(chan struct{}), began: time.Now()}
	if err := d.unpack(time.Now()); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	loaded, err := config.Load(config.Input{Set: append(d.settings(), o.Set...)})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	started := make(chan Addresses, 1)
	s, err := NewServer(loaded, ServerOptions{Log: o.Log, Version: o.Version, Started: func(a Addresses) { started <- a }, Changes: d.took})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(serving) }()
	var addrs Addresses
	select {
	case err := <-ended:
		return err
	case addrs = <-started:
	}
	d.call(func() { o.Started(addrs, dir, len(d.rec.datagrams)) })
	playErr := d.rec.play(serving, addrs.NetFlow[0].String(), o.Speed, func() uint64 { return s.udp.Stats().Datagrams })
	err = playErr
	if err == nil {
		err = d.wait(ctx, ended)
	}
	stop()
	runErr := <-ended
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, runErr)
}

// demo is a demo at work.
type demo struct {
	o     DemoOptions
	dir   string
	rec   *recording
	began time.Time

	mu       sync.Mutex
	want     map[weir.AlertType]bool // true: not yet
	complete chan struct{}
	done     bool
}

func (d *demo) call(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

// took notes a change of an alert; it comes from the server.
func (d *demo) took(a weir.Alert, c Change) {
	d.call(func() {
		d.o.Alert(a, c)
		if c == alert.Opened {
			delete(d.want, a.Type)
		}
		if len(d.want) == 0 && !d.done {
			d.done = true
			d.o.Complete(time.Since(d.began))
			close(d.complete)
		}
	})
}

// wait waits for the end: of everything with Exit, else of ctx.
func (d *demo) wait(ctx context.Context, ended chan error) error {
	var limit <-chan time.Time
	complete := d.complete
	if !d.o.Exit {
		complete = nil
	} else {
		limit = time.After(time.Until(d.began.Add(demoLimit)))
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-ended:
		ended <- nil
		return err
	case <-complete:
		return nil
	case <-limit:
		var missing []string
		d.call(func() {
			for t := range d.want {
				missing = append(missing, string(t))
			}
		})
		slices.Sort(missing)
		return fmt.Errorf("%w within %s: %s", ErrDemoIncomplete, demoLimit, strings.Join(missing, ", "))
	}
}

func (d *demo) settings() []string {
	in := func(name string) string { return fmt.Sprintf("%q", filepath.Join(d.dir, name)) }
	feeds := []string{}
	for _, f := range []struct{ name, file, category string }{
		{"c2", "intel/c2.txt", "c2"}, {"blocklist", "intel/malicious.txt", "malicious"}, {"infected", "intel/infected.csv", "infected"},
	} {
		if _, err := os.Stat(filepath.Join(d.dir, f.file)); err == nil {
			feeds = append(feeds, fmt.Sprintf("{name: %s, source: %s, category: %s}", f.name, in(f.file), f.category))
		}
	}
	return []string{
		"store.dir=" + in("data"), "inventory.files=[" + in("inventory.yaml") + "]", "intel.feeds=[" + strings.Join(feeds, ", ") + "]",
		"listen.netflow=['127.0.0.1:0']", "listen.sflow=[]", "listen.clock=exporter", "api.listen=127.0.0.1:0",
		// The recording holds every packet, which NetFlow v9 of its exporter does not say.
		"inputs.sampling=[{exporter: 127.0.0.0/8, rate: 1}]",
	}
}

// rfc3339 finds times in lists of indicators.
func rfc3339() *regexp.Regexp {
	return regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z`)
}

// unpack reads the recording, moves it to just before now, and writes the files
// beside it into the directory, their times moved alike.
func (d *demo) unpack(now time.Time) error {
	f, err := d.o.Files.Open(demoCapture)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if d.rec, err = readRecording(f); err != nil {
		return err
	}
	by := now.Add(-demoQuiet).Sub(d.rec.last) / demoStep * demoStep
	if now.Add(-demoQuiet).Before(d.rec.last) {
		by -= demoStep // of a clock that is behind the recording
	}
	d.rec.shift(by)
	d.rec.quiet(demoQuiet)
	if err := d.expected(); err != nil {
		return err
	}
	return fs.WalkDir(d.o.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name != "inventory.yaml" && !strings.HasPrefix(name, "intel/") {
			return err
		}
		data, err := fs.ReadFile(d.o.Files, name)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "intel/") {
			data = rfc3339().ReplaceAllFunc(data, func(b []byte) []byte {
				t, err := time.Parse(time.RFC3339, string(b))
				if err != nil {
					return b
				}
				return []byte(t.Add(by).Format(time.RFC3339))
			})
		}
		path := filepath.Join(d.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o600)
	})
}

// expected reads the alert types that have to come: the first word of each
// line that is no comment.
func (d *demo) expected() error {
	f, err := d.o.Files.Open("expected.txt")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		t := weir.AlertType(words[0])
		if !t.Valid() {
			return fmt.Errorf("expected.txt: %q is no alert type", words[0])
		}
		d.want[t] = true
	}
	if len(d.want) == 0 {
		return errors.New("expected.txt names no alert")
	}
	return nil
}

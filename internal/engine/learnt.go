package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
)

// BaselineFile is the name of the file in the directories of --baseline and
// --save-baseline.
const BaselineFile = "baseline.weir"

// The form of a baseline file: a line that names the format and its version, a
// line of JSON for the facts that must agree, what was learnt in zstd, and the
// SHA-256 of all before it.
const (
	learntMagic   = "weir-baseline"
	learntVersion = 1
	// learntFacts bounds the line of facts, learntSize what unpacks from the
	// rest, in bytes.
	learntFacts = 64 << 10
	learntSize  = 8 << 30
)

// learntMeta are the facts of a baseline file.
type learntMeta struct {
	// Pane and Lateness are the settings that the state depends on.
	Pane     string `json:"pane"`
	Lateness string `json:"lateness"`
	// Until is the event time up to which panes are closed; records that end
	// before are late. The zero time is none.
	Until time.Time `json:"until,omitzero"`
	// Resources is the number of resources with state.
	Resources int `json:"resources"`
	// Sections are the lengths of the parts, in bytes: the alerts, what was told
	// of them, and the detectors.
	Sections []int64 `json:"sections"`
}

// learnt is what a run leaves for the next one.
type learnt struct {
	meta learntMeta
	// book is the register of episodes, detectors the snapshots of the detectors.
	book      []byte
	detectors [][]byte
	// told holds, by id, the newest evidence of the alerts that the run told the
	// end of because its input was at an end.
	told map[string]int64
}

// errBaseline wraps what is wrong with a baseline file, with the remedy.
func errBaseline(name, format string, args ...any) error {
	return &InvalidError{fmt.Errorf("%s: %w", name, fmt.Errorf(format, args...))}
}

const relearn = "run without --baseline to learn anew"

// readLearnt reads the baseline in a directory. The error names the file and a
// remedy; it is an *InvalidError where the file cannot be used.
func readLearnt(dir string, rules detect.Config) (*learnt, error) {
	name := filepath.Join(dir, BaselineFile)
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return nil, errBaseline(dir, "--baseline takes the directory that --save-baseline wrote to, not a file")
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the baseline: %w: there is none yet; leave --baseline out of the first run and keep what it learns with --save-baseline %s", err, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the baseline: %w", err)
	}
	l, err := decodeLearnt(data)
	if err != nil {
		return nil, errBaseline(name, "%w", err)
	}
	if l.meta.Pane != rules.Pane.String() || l.meta.Lateness != rules.Lateness.String() {
		return nil, errBaseline(name, "was learnt with detect.pane %s and detect.lateness %s, these settings have %v and %v: set the same, or %s",
			l.meta.Pane, l.meta.Lateness, rules.Pane, rules.Lateness, relearn)
	}
	return l, nil
}

// decodeLearnt reads the bytes of a baseline file. It trusts nothing before the
// checksum has been compared.
func decodeLearnt(data []byte) (*learnt, error) {
	head, rest, ok := bytes.Cut(data, []byte("\n"))
	var version int
	if n, err := fmt.Sscanf(string(head[:min(len(head), 64)]), learntMagic+" %d", &version); !ok || n != 1 || err != nil {
		return nil, fmt.Errorf("is no baseline: expected a file that --save-baseline wrote; %s", relearn)
	}
	if version != learntVersion {
		return nil, fmt.Errorf("has version %d, this program reads %d: use the weir that wrote it, or %s", version, learntVersion, relearn)
	}
	damaged := func(what string) error {
		return fmt.Errorf("is damaged (%s): restore it from a copy, or %s", what, relearn)
	}
	if len(rest) < sha256.Size {
		return nil, damaged("it is cut")
	}
	if sum := sha256.Sum256(data[:len(data)-sha256.Size]); !bytes.Equal(sum[:], data[len(data)-sha256.Size:]) {
		return nil, damaged("its checksum does not match")
	}
	facts, body, ok := bytes.Cut(rest[:len(rest)-sha256.Size], []byte("\n"))
	l := &learnt{}
	if !ok || len(facts) > learntFacts || json.Unmarshal(facts, &l.meta) != nil {
		return nil, damaged("its facts cannot be read")
	}
	parts, err := unpack(body, l.meta.Sections)
	if err != nil {
		return nil, damaged(err.Error())
	}
	l.book, l.detectors = parts[0], parts[2:]
	if json.Unmarshal(parts[1], &l.told) != nil {
		return nil, damaged("what was told cannot be read")
	}
	return l, nil
}

// unpack returns the sections of a body. Memory grows with what is there, not
// with what the lengths claim.
func unpack(body []byte, sizes []int64) ([][]byte, error) {
	if len(sizes) < 3 {
		return nil, errors.New("sections are missing")
	}
	total := int64(0)
	for _, n := range sizes {
		if n < 0 || n > learntSize-total {
			return nil, errors.New("a section has a length that cannot be")
		}
		total += n
	}
	z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var all bytes.Buffer
	n, err := io.Copy(&all, io.LimitReader(z, total+1))
	if err != nil {
		return nil, fmt.Errorf("it does not unpack: %w", err)
	}
	if n != total {
		return nil, errors.New("its sections have other lengths than it says")
	}
	var parts [][]byte
	for _, n := range sizes {
		parts = append(parts, all.Next(int(n)))
	}
	return parts, nil
}

// encode returns the bytes of the file.
func (l *learnt) encode() ([]byte, error) {
	told, err := json.Marshal(l.told)
	if err != nil {
		return nil, err
	}
	parts := append([][]byte{l.book, told}, l.detectors...)
	l.meta.Sections = nil
	for _, p := range parts {
		l.meta.Sections = append(l.meta.Sections, int64(len(p)))
	}
	facts, err := json.Marshal(l.meta)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %d\n%s\n", learntMagic, learntVersion, facts)
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if _, err := z.Write(p); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(out.Bytes())
	return append(out.Bytes(), sum[:]...), nil
}

// write replaces the baseline in a directory in one step; only the owner may
// read it.
func (l *learnt) write(dir string) error {
	data, err := l.encode()
	if err == nil {
		err = writeFile(filepath.Join(dir, BaselineFile), data)
	}
	if err != nil {
		return fmt.Errorf("save the baseline: %w", err)
	}
	return nil
}

// adopt starts the pipeline from what an earlier run learnt. It must be called
// before the first batch.
func (p *pipeline) adopt(l *learnt) error {
	detectors := make([]*detect.Detector, len(p.shards))
	for i, s := range p.shards {
		detectors[i] = s.detector
	}
	if err := detect.RestoreAll(l.detectors, detectors, p.shardOf); err != nil {
		return fmt.Errorf("cannot be used (%w): it may be of another version of weir; %s", err, relearn)
	}
	if err := p.book.Restore(l.book); err != nil {
		return fmt.Errorf("cannot be used (%w): it may be of another version of weir; %s", err, relearn)
	}
	if end, ok := detectors[0].ClosedTo(); ok {
		p.begun, p.closed, p.inherited = true, end, end
		p.counts.watermark.Store(end)
	}
	return nil
}

// learnt returns what the next run has to know: the state before the end of the
// input closes what is still open, so that this run could go on as well. Panes
// are closed first as far behind the newest start as records of one file may
// come, so that what follows is not late and little has to be kept.
func (p *pipeline) learnt(rules detect.Config, slack time.Duration) (*learnt, error) {
	if p.newest.known {
		p.advance(p.newest.at - int64(slack))
	}
	l := &learnt{meta: learntMeta{Pane: rules.Pane.String(), Lateness: rules.Lateness.String()}, detectors: make([][]byte, len(p.shards)), told: map[string]int64{}}
	faults := make([]error, len(p.shards))
	index := make(map[*shard]int, len(p.shards))
	for i, s := range p.shards {
		index[s] = i
	}
	p.step(func(s *shard) { i := index[s]; l.detectors[i], faults[i] = s.detector.Snapshot() })
	for _, s := range p.shards {
		l.meta.Resources += s.detector.Stats().Resources
		if end, ok := s.detector.ClosedTo(); ok {
			l.meta.Until = time.Unix(0, end).UTC()
		}
	}
	var err error
	l.book, err = p.book.Snapshot()
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, fmt.Errorf("save the baseline: %w", err)
	}
	return l, nil
}

// newest is the newest start of a flow. A start far ahead of the others is
// believed when a second flow says so: one record with a broken time must not
// make what follows late.
type newest struct {
	at, doubt      int64
	known, doubted bool
}

func (n *newest) observe(start int64) {
	const ahead = int64(time.Hour)
	switch {
	case !n.known:
		n.at, n.known = start, true
	case start <= n.at:
	case start-n.at <= ahead:
		n.at = start
	case n.doubted && start >= n.doubt-ahead:
		n.at, n.doubted = min(start, n.doubt), false
	case !n.doubted || start < n.doubt:
		n.doubt, n.doubted = start, true
	}
}

// News reports whether an alert says more than the run that saved the baseline
// told already: that run told the state at its end of everything that was open.
func (d *Detection) News(a *weir.Alert) bool {
	last, ok := d.told[a.ID]
	return !ok || a.Last > last
}

// Learnt tells up to which event time the baseline reaches that the run started
// from; the zero time is none.
func (d *Detection) Learnt() time.Time { return d.learntUntil }

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// result is all that one run has found.
type result struct {
	Date    string            `json:"date"`
	Rounds  int               `json:"rounds"`
	Machine machine           `json:"machine"`
	Streams map[string]string `json:"streams"` // digests
	Lines   []line            `json:"lines"`
}

// save writes the result as JSON.
func save(name string, r result) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return write(name, append(b, '\n'))
}

func write(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// render writes the page from the results that lie beside it.
func render(root string) error {
	b, err := os.ReadFile(filepath.Join(root, resultsFile))
	if err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	return write(filepath.Join(root, pageFile), page(r))
}

// String shows the median, and in brackets the least and the greatest.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s-%s)", digits(s.Median), digits(s.Min), digits(s.Max))
}

// digits shows three digits of a number, and never fewer than its whole part.
func digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	digits := 3
	for x := v; x < 0.1 && digits < 8; x *= 10 {
		digits++
	}
	return fmt.Sprintf("%.*f", digits, v)
}

const layout = "%-3s %-22s %-42s %6s %-24s %-22s %-20s %5s %5s  %s"

func header() string {
	return fmt.Sprintf(layout, "", "work", "peer", "rounds", "Weir cpu-s/Mrec", "peer cpu-s/Mrec", "ratio", "must", "aim", "verdict")
}

// String is the line of the table. Median first, then the least and the
// greatest.
func (l line) String() string {
	verdict := l.Verdict
	if l.Note != "" {
		verdict += " (" + l.Note + ")"
	}
	peer := shortPeer(l)
	if l.Verdict == notMeasured {
		return fmt.Sprintf(layout, l.Goal, l.What, peer, "0", "-", "-", "-", digits(l.Must), digits(l.Aim), verdict)
	}
	return fmt.Sprintf(layout, l.Goal, l.What, peer, fmt.Sprint(len(l.Ratios)), l.WeirCost, l.OtherCost, l.Ratio, digits(l.Must), digits(l.Aim), verdict)
}

// shortPeer is the name of the peer and its version, for the terminal.
func shortPeer(l line) string {
	name, rest, _ := strings.Cut(l.Peer, " ")
	return strings.TrimSpace(name + " " + l.Version + " " + rest)
}

// page is the page of the documentation. Nothing on it is typed by hand but the
// words around the figures.
func page(r result) []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	met, aim, out := 0, 0, 0
	for _, l := range r.Lines {
		switch l.Verdict {
		case ambitious:
			aim++
			met++
		case reached:
			met++
		case notMeasured:
			out++
		}
	}
	p("# Performance\n")
	p("Purpose: what Weir costs beside other programs, on the same bytes. This page is written by `make bench BENCHFLAGS=-write`; every round is in [results.json](performance/results.json).\n")
	p("## In short\n")
	p("Of %d comparisons %d reach their goal, %d of them the ambitious one; %d are not measured. A ratio is the CPU time of the other program divided by that of Weir: the median, and in brackets the least and the greatest of %d rounds.\n", len(r.Lines), met, aim, out, r.Rounds)
	p("| goal | work | other program | ratio | must | aim | verdict |")
	p("|---|---|---|---|---|---|---|")
	for _, l := range r.Lines {
		ratio := l.Ratio.String()
		if l.Verdict == notMeasured {
			ratio = "–"
		}
		verdict := l.Verdict
		if l.Note != "" {
			verdict += "; " + l.Note
		}
		p("| %s | %s | %s | **%s** | %s | %s | %s |", l.Goal, l.What, shortPeer(l), ratio, digits(l.Must), digits(l.Aim), verdict)
	}
	p("\n## Costs\n")
	p("CPU seconds, user and system, for a million records; heap allocations and bytes for a record, of the costliest round.\n")
	p("| work | other program | Weir | other | Weir allocations, bytes | other allocations, bytes |")
	p("|---|---|---|---|---|---|")
	for _, l := range r.Lines {
		if l.Verdict == notMeasured {
			continue
		}
		p("| %s | %s | %s | %s | %s | %s |", l.What, shortPeer(l), l.WeirCost, l.OtherCost, heap(l.Weir), heap(l.Others))
	}
	p("\n## How it is measured\n")
	p("- The reference workload is synthetic and rebuilt from its seed: flows of 4,000 protected resources and 600,000 peers, 15 %% of them IPv6, every record sampled 1:1000. The streams must have the digests below, or nothing is measured.")
	p("- Both sides read the same bytes from memory. Each pass is a fresh process with `GOMAXPROCS=1`, so that garbage collection is charged; loading is not measured. Streams that are read in less than half a second are read again.")
	p("- Weir and the other program run in turn, the order reversed from round to round. Each round gives one ratio; none is dropped.")
	p("- Both sides must read the same number of records, and in the first round their records are summed up: bytes, start, destination port and a byte of the source address must agree with what the generator wrote. Samples of sFlow carry no start.")
	p("- Weir is measured with the decoders and the batches of a server (up to 1024 flows or 64 datagrams), in its own record. Where the other program fills a record, it fills the same one. Of a capture both sides read the headers of each packet; grouping packets into flows is not part of it.")
	p("- Weir reads the packets within sFlow samples; the decoder of goflow2 leaves them as bytes, and that is what is measured.")
	p("- The median is judged. A goal within the spread is told. An allocation for a record, where there must be none, is a missed goal; what a decoder takes at its start is spread over the records and below %s.\n", digits(noAllocs))
	p("## Where\n")
	m := r.Machine
	p("| | |")
	p("|---|---|")
	p("| date | %s |", r.Date)
	p("| commit | %s |", m.commit())
	p("| processor | %s, %d cores |", m.Processor, m.Cores)
	p("| memory | %s |", m.Memory)
	p("| kernel, Go | Linux %s, %s |", m.Kernel, m.Go)
	p("| `net.core.rmem_max` | %s |", m.RmemMax)
	p("| load average before, after | %s, %s |", m.LoadBefore, m.LoadAfter)
	p("\n| stream | SHA-256 |")
	p("|---|---|")
	for _, name := range slices.Sorted(maps.Keys(r.Streams)) {
		p("| %s | `%s` |", name, r.Streams[name])
	}
	return b.Bytes()
}

// heap shows the most allocations and bytes of a record.
func heap(samples []sample) string {
	var allocs, size float64
	for _, s := range samples {
		allocs, size = max(allocs, s.Allocs), max(size, s.Bytes)
	}
	if allocs <= noAllocs {
		return "0, " + digits(size)
	}
	return digits(allocs) + ", " + digits(size)
}

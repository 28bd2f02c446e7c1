//go:build unix

package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/detect"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/inventory"
	"github.com/weir-net/weir/internal/wire/netflow"
	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// The benchmarks follow the records of the reference workload from the file to the
// rules. WEIR_BENCH_FLOWS sets the length of the stream.
const (
	benchFlows      = 200_000
	benchIndicators = 100_000
	benchBatch      = 512 // flows of a batch, as files give them
)

// benchLength is the number of flows of the stream.
func benchLength(b *testing.B) int {
	b.Helper()
	text := os.Getenv("WEIR_BENCH_FLOWS")
	if text == "" {
		return benchFlows
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		b.Fatalf("WEIR_BENCH_FLOWS: %q is no number of at least 1000", text)
	}
	return n
}

// cpu is a moment in the processor time of the process.
type cpu time.Duration

// now reads the processor time, user and system, of all threads: what else runs on
// the machine disturbs it less than it does the clock.
func now(b *testing.B) cpu {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return cpu(u.Utime.Nano() + u.Stime.Nano())
}

// report gives the time of one record since then, where every iteration took n.
func (c cpu) report(b *testing.B, n int) {
	b.Helper()
	each := float64(b.N) * float64(n)
	b.ReportMetric(float64(now(b)-c)/each, "cpu-ns/rec")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/each, "ns/rec")
}

// benchStream is the IPFIX stream of the reference workload in memory.
func benchStream(b *testing.B) []byte {
	b.Helper()
	s, ok := workload.Lookup("ipfix")
	if !ok {
		b.Fatal("there is no stream of that name")
	}
	var out bytes.Buffer
	if _, err := s.Write(&out, benchLength(b)); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// benchMessages are the messages of the stream.
func benchMessages(b *testing.B) (out [][]byte) {
	b.Helper()
	for stream := benchStream(b); len(stream) > 0; {
		m, rest, err := workload.Datagrams(stream)
		if err != nil {
			b.Fatal(err)
		}
		out, stream = append(out, m), rest
	}
	return out
}

// benchFile writes the messages as an IPFIX file (RFC 5655) and returns its path.
func benchFile(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "workload.ipfix")
	if err := os.WriteFile(name, bytes.Join(benchMessages(b), nil), 0o600); err != nil {
		b.Fatal(err)
	}
	return name
}

// benchOwn is an address of a resource of the workload.
func benchOwn(resource int, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0x26, 0x03, 0x10, 0x30, 14: byte(resource >> 8), 15: byte(resource)})
	}
	return netip.AddrFrom4([4]byte{20, 0, byte(resource >> 8), byte(resource)})
}

// benchKnowledge protects the 4,000 resources of the workload, or as many others,
// and knows that many random IPv4 addresses.
func benchKnowledge(b *testing.B, others bool, indicators int) *knowledge {
	b.Helper()
	resources := make([]*weir.Resource, 4000)
	for i := range resources {
		id := fmt.Sprintf("vm-%04d", i)
		resources[i] = &weir.Resource{ID: id, Name: id, Kind: weir.VirtualMachine, Addresses: []netip.Addr{benchOwn(i, false), benchOwn(i, true)}}
		if others {
			resources[i].Addresses = []netip.Addr{netip.AddrFrom4([4]byte{20, 128, byte(i >> 8), byte(i)})}
		}
	}
	inv, err := inventory.New(resources, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	return &knowledge{inventory: inv, orienter: inventory.NewOrienter(inv, inventory.DefaultServicePorts()), intel: benchIntel(indicators)}
}

// benchIntel is a table of n random IPv4 addresses.
func benchIntel(n int) *intel.Table {
	rng := rand.New(rand.NewPCG(43, 43))
	categories := [...]weir.Category{weir.CategoryC2, weir.CategoryScanner, weir.CategoryBruteForce, weir.CategoryMalicious}
	list := make([]weir.Indicator, n)
	for i := range list {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], rng.Uint32())
		list[i] = weir.Indicator{
			Prefix: netip.PrefixFrom(netip.AddrFrom4(a), 32), Category: categories[i%len(categories)], Source: "feed-" + strconv.Itoa(i%3),
			Confidence: 80, LastSeen: workload.Received,
		}
	}
	return intel.NewTable(list)
}

// decodeAll calls take with the flows of the messages, in batches, fresh from the
// decoder, and returns their number.
func decodeAll(b *testing.B, messages [][]byte, take func([]weir.Flow)) (n int) {
	b.Helper()
	d := netflow.New(netflow.DefaultConfig())
	flows := make([]weir.Flow, 0, 2*benchBatch)
	for i, m := range messages {
		at, _ := netflow.ExportTime(m)
		var err error
		if flows, err = d.Decode(netip.Addr{}, at, m, flows); err != nil {
			b.Fatal(err)
		}
		if len(flows) >= benchBatch || i == len(messages)-1 {
			n += len(flows)
			take(flows)
			flows = flows[:0]
		}
	}
	return n
}

// benchPipeline is a pipeline that nobody listens to.
func benchPipeline(b *testing.B, rules detect.Config, shards int, know *knowledge) *pipeline {
	b.Helper()
	p, err := newPipeline(rules, shards, know, func(change) {})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.stop)
	return p
}

// full are rules with the smallest ceiling of memory: open panes are full at once,
// so that detectors drop what they are given. What is left is the way to them.
func full() detect.Config {
	c := detect.DefaultConfig()
	c.Memory = 1 << 20
	return c
}

// live is the batch of a live run, with the watermark of the default lateness.
func live(flows []weir.Flow) weir.Batch {
	return weir.Batch{Flows: flows, Watermark: flows[0].End - int64(2*time.Minute)}
}

// BenchmarkStages takes the stream from memory through more and more of the
// pipeline: what a stage costs is the difference to the one before, the filter to
// the decoder. The flows are fresh from the decoder, as in a run.
func BenchmarkStages(b *testing.B) {
	messages := benchMessages(b)
	stage := func(name string, begin func(*testing.B) func([]weir.Flow)) {
		b.Run(name, func(b *testing.B) {
			n := 0
			b.ReportAllocs()
			start := now(b)
			for b.Loop() {
				n = decodeAll(b, messages, begin(b))
			}
			start.report(b, n)
		})
	}
	stage("decode", func(*testing.B) func([]weir.Flow) { return func([]weir.Flow) {} })
	foreign := benchKnowledge(b, true, benchIndicators)
	stage("filter", func(b *testing.B) func([]weir.Flow) { // no end is protected
		p := benchPipeline(b, full(), 1, foreign)
		return func(flows []weir.Flow) { p.feed(weir.Batch{Flows: flows}) }
	})
	know := benchKnowledge(b, false, 0)
	var matches []inventory.Match
	var scratch []weir.Contact
	contacts := func(*testing.B) func([]weir.Flow) {
		return func(flows []weir.Flow) {
			for chunk := range slices.Chunk(flows, feedAt) {
				matches, scratch = know.orienter.Match(chunk, matches[:0]), scratch[:0]
				for _, m := range matches {
					scratch = know.orienter.Matched(&chunk[m.Flow], m, scratch)
				}
				know.intel.Fill(scratch)
			}
		}
	}
	stage("contacts", contacts)
	for _, n := range []int{1_000_000, benchIndicators} {
		know.intel = benchIntel(n)
		stage("intel-"+strconv.Itoa(n), contacts)
	}
	for _, shards := range []int{1, 2, 4} {
		stage("feed-"+strconv.Itoa(shards), func(b *testing.B) func([]weir.Flow) {
			p := benchPipeline(b, full(), shards, know)
			return func(flows []weir.Flow) { p.feed(weir.Batch{Flows: flows}) }
		})
	}
	for _, shards := range []int{1, 2} {
		stage("rules-"+strconv.Itoa(shards), func(b *testing.B) func([]weir.Flow) {
			p := benchPipeline(b, detect.DefaultConfig(), shards, know)
			return func(flows []weir.Flow) { p.feed(live(flows)) }
		})
	}
}

// BenchmarkRead reads the file and nothing else, in pieces as a run does.
func BenchmarkRead(b *testing.B) {
	n := benchLength(b)
	path := benchFile(b)
	buf := make([]byte, 1<<20)
	b.ReportAllocs()
	start := now(b)
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = f.Read(buf)
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	start.report(b, n)
}

// BenchmarkFiles reads and decodes the file, with watermarks: all of a run before
// the pipeline.
func BenchmarkFiles(b *testing.B) {
	n := benchLength(b)
	path := benchFile(b)
	b.ReportAllocs()
	start := now(b)
	for b.Loop() {
		s, err := ingest.NewFiles([]string{path}, ingest.FileConfig{})
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		if err := s.Run(context.Background(), func(batch weir.Batch) error { got += len(batch.Flows); return nil }); err != nil || got != n {
			b.Fatal(got, err)
		}
	}
	start.report(b, n)
}

// BenchmarkOffline is a whole run over the file, from its first byte to the last
// alert.
func BenchmarkOffline(b *testing.B) {
	n := benchLength(b)
	path := benchFile(b)
	know := benchKnowledge(b, false, benchIndicators)
	c := config.Default()
	c.Detect.Shards = 1
	b.ReportAllocs()
	start := now(b)
	for b.Loop() {
		s, err := ingest.NewFiles([]string{path}, ingest.FileConfig{Lateness: c.Rules().Lateness})
		if err != nil {
			b.Fatal(err)
		}
		d := &Detection{source: s, files: s}
		if err := d.prepare(Offline{Config: &c}, know); err != nil {
			b.Fatal(err)
		}
		if err := d.Run(context.Background(), func(weir.Alert, alert.Change) error { return nil }); err != nil {
			b.Fatal(err)
		}
		if got := d.Summary().Flows; got != uint64(n) {
			b.Fatalf("%d flows of %d", got, n)
		}
	}
	start.report(b, n)
}

// BenchmarkState runs the rules over the stream and reports what they keep of a
// pair of resource, service and peer.
func BenchmarkState(b *testing.B) {
	messages, know := benchMessages(b), benchKnowledge(b, false, benchIndicators)
	for b.Loop() {
		before := liveHeap()
		p, last := benchPipeline(b, detect.DefaultConfig(), 1, know), int64(0)
		decodeAll(b, messages, func(flows []weir.Flow) {
			last = flows[len(flows)-1].End
			p.feed(live(flows))
		})
		p.advance(last + int64(time.Minute))
		pairs := p.counts.stats.Load().Pairs
		b.ReportMetric((liveHeap()-before)/float64(pairs), "B/pair")
		b.ReportMetric(float64(pairs), "pairs")
		runtime.KeepAlive(p)
	}
}

// liveHeap is the size of what is in use after a collection, in bytes.
func liveHeap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// reading is one way to read a stream: it returns what it has read, with the
// checksum of the records where that is asked for.
type reading func(s workload.Stream, stream []byte, checksum bool) (workload.Work, error)

// readings are the sides of the comparisons that run in process, by name.
func readings() map[string]reading {
	return map[string]reading{
		"weir":             workload.Stream.Decode,
		"goflow2":          goflow2Fill,
		"goflow2-decode":   goflow2Decode,
		"goflow2-protobuf": goflow2Protobuf,
		"gopacket":         gopacketHeaders,
	}
}

// decoding are the comparisons of goals (a) and (a'): bytes to records, in
// process, on one core.
func decoding(o *options) []comparison {
	const (
		goflow2  = "github.com/netsampler/goflow2/v2"
		gopacket = "github.com/gopacket/gopacket"
	)
	all := []struct {
		comparison
		other string
	}{
		{comparison{Goal: "a", What: "IPFIX to records", Peer: "goflow2 decode + fill of the same struct", Module: goflow2, Stream: "ipfix", Must: 15, Aim: 25, NoAllocs: true}, "goflow2"},
		{comparison{Goal: "a", What: "NetFlow v9 to records", Peer: "goflow2 decode + fill of the same struct", Module: goflow2, Stream: "netflow-v9", Must: 15, Aim: 25, NoAllocs: true}, "goflow2"},
		{comparison{Goal: "a", What: "NetFlow v5 to records", Peer: "goflow2 decode", Module: goflow2, Stream: "netflow-v5", Must: 15, Aim: 30}, "goflow2-decode"},
		{comparison{Goal: "a", What: "sFlow v5 to records", Peer: "goflow2 decode, packets not parsed", Module: goflow2, Stream: "sflow-v5", Must: 12, Aim: 20}, "goflow2-decode"},
		{comparison{Goal: "a", What: "pcap to packet headers", Peer: "gopacket ZeroCopyReadPacketData + DecodingLayerParser", Module: gopacket, Stream: "pcap", Must: 8, Aim: 12}, "gopacket"},
		{comparison{Goal: "a'", What: "IPFIX to records", Peer: "goflow2 decode, producer and protobuf", Module: goflow2, Stream: "ipfix", Must: 60, Aim: 120, NoAllocs: true}, "goflow2-protobuf"},
	}
	var out []comparison
	for _, c := range all {
		c.weir = inProcess(o, "weir", c.Stream)
		c.comparison.peer = inProcess(o, c.other, c.Stream)
		out = append(out, c.comparison)
	}
	return out
}

// inProcess measures a reading in a fresh process on one core, so that garbage
// collection is charged to it.
func inProcess(o *options, name, stream string) side {
	return func(ctx context.Context, checksum bool) (sample, error) {
		self, err := os.Executable()
		if err != nil {
			return sample{}, fmt.Errorf("find this program: %w", err)
		}
		args := []string{"-pass", name, "-stream", stream, "-cache", o.cache, "-minimum", o.minimum.String()}
		if checksum {
			args = append(args, "-checksum")
		}
		cmd := exec.CommandContext(ctx, self, args...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return sample{}, fmt.Errorf("%s on %s: %w: %s", name, stream, err, bytes.TrimSpace(stderr.Bytes()))
		}
		var s sample
		if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
			return sample{}, fmt.Errorf("%s on %s: read the result: %w", name, stream, err)
		}
		return s, nil
	}
}

// child is what a fresh process does: it loads the stream, reads it, and writes
// the sample to the standard output.
func child(o options) error {
	s, ok := workload.Lookup(o.stream)
	if !ok {
		return fmt.Errorf("the workload has no stream %q", o.stream)
	}
	read, ok := readings()[o.pass]
	if !ok {
		return fmt.Errorf("no way to read is called %q", o.pass)
	}
	stream, err := os.ReadFile(streamFile(o.cache, o.stream))
	if err != nil {
		return fmt.Errorf("load the stream: %w", err)
	}
	got, err := timed(s, stream, read, s.Want, o.minimum)
	if err != nil {
		return err
	}
	if o.summed {
		w, err := read(s, stream, true)
		if err == nil {
			err = w.Check(s.Want, true)
		}
		if err != nil {
			return fmt.Errorf("checksum: %w", err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// timed reads the stream, again and again until that took the least time, and
// holds the number of records each time.
func timed(s workload.Stream, stream []byte, read reading, want workload.Totals, least time.Duration) (sample, error) {
	if want.Records == 0 {
		return sample{}, errors.New("the stream holds no records")
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cpuTime()
	n := 0
	for n == 0 || cpuTime()-cpu < least {
		w, err := read(s, stream, false)
		if err == nil {
			err = w.Check(want, false)
		}
		if err != nil {
			return sample{}, err
		}
		n += w.Records
	}
	spent, wall := cpuTime()-cpu, time.Since(start)
	runtime.ReadMemStats(&after)
	million := float64(n) / 1e6
	return sample{
		Cost: spent.Seconds() / million, Wall: wall.Seconds() / million,
		Allocs:  float64(after.Mallocs-before.Mallocs) / float64(n),
		Bytes:   float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
		Records: n, RSS: peakRSS(),
	}, nil
}

// cpuTime is what this process and its children have used, user and system.
func cpuTime() time.Duration {
	var d time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			d += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return d
}

// peakRSS is the highest resident memory of this process in bytes.
func peakRSS() int64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Maxrss << 10 // Linux counts in KiB
}

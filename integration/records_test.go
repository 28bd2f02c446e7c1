//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is one flow record in the form in which the readings are compared.
// Ports of ICMP are left out: tools differ in where they put type and code.
type record struct {
	Src, Dst     netip.Addr
	SPort, DPort uint16
	Proto        uint8
	Packets      uint64
	Bytes        uint64
	RevPackets   uint64
	RevBytes     uint64
}

// sorted orders records so that two readings can be laid side by side.
func sorted(rs []record) []string {
	out := make([]string, 0, len(rs))
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%v:%d -> %v:%d proto %d: %d packets %d bytes, back %d packets %d bytes",
			r.Src, r.SPort, r.Dst, r.DPort, r.Proto, r.Packets, r.Bytes, r.RevPackets, r.RevBytes))
	}
	slices.Sort(out)
	return out
}

// times is the first and last time of a record, in whole milliseconds.
type times struct{ first, last int64 }

// nfdumpRecords reads the JSON of nfdump 1.7.
func nfdumpRecords(t *testing.T, out []byte) []record {
	t.Helper()
	var rows []struct {
		Proto   uint8      `json:"proto"`
		SPort   uint16     `json:"src_port"`
		DPort   uint16     `json:"dst_port"`
		Src4    netip.Addr `json:"src4_addr"`
		Dst4    netip.Addr `json:"dst4_addr"`
		Src6    netip.Addr `json:"src6_addr"`
		Dst6    netip.Addr `json:"dst6_addr"`
		Packets uint64     `json:"in_packets"`
		Bytes   uint64     `json:"in_bytes"`
		RevP    uint64     `json:"out_packets"`
		RevB    uint64     `json:"out_bytes"`
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("read the output of nfdump: %v\n%.500s", err, out)
	}
	var rs []record
	for _, x := range rows {
		r := record{x.Src4, x.Dst4, x.SPort, x.DPort, x.Proto, x.Packets, x.Bytes, x.RevP, x.RevB}
		if !r.Src.IsValid() {
			r.Src, r.Dst = x.Src6, x.Dst6
		}
		rs = append(rs, r.plain())
	}
	return rs
}

// plain takes out what the readings do not agree on by design.
func (r record) plain() record {
	if r.Proto == 1 || r.Proto == 58 {
		r.SPort, r.DPort = 0, 0
	}
	return r
}

// weirRecords reads the output of weir flows.
func weirRecords(t *testing.T, out []byte) ([]record, []times) {
	t.Helper()
	var rs []record
	var ts []times
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var x struct {
			Start      time.Time  `json:"start"`
			End        time.Time  `json:"end"`
			Src        netip.Addr `json:"src"`
			Dst        netip.Addr `json:"dst"`
			SPort      uint16     `json:"srcPort"`
			DPort      uint16     `json:"dstPort"`
			Proto      uint8      `json:"proto"`
			Packets    uint64     `json:"packets"`
			Bytes      uint64     `json:"bytes"`
			RevPackets uint64     `json:"revPackets"`
			RevBytes   uint64     `json:"revBytes"`
		}
		err := d.Decode(&x)
		if errors.Is(err, io.EOF) {
			return rs, ts
		}
		if err != nil {
			t.Fatalf("read the output of weir flows: %v", err)
		}
		rs = append(rs, record{x.Src, x.Dst, x.SPort, x.DPort, x.Proto, x.Packets, x.Bytes, x.RevPackets, x.RevBytes}.plain())
		ts = append(ts, times{x.Start.UnixMilli(), x.End.UnixMilli()})
	}
}

// same compares two readings record by record.
func same(t *testing.T, aName string, a []record, bName string, b []record) {
	t.Helper()
	x, y := sorted(a), sorted(b)
	if slices.Equal(x, y) {
		return
	}
	only := func(x, y []string) []string {
		left := map[string]int{}
		for _, s := range y {
			left[s]++
		}
		var out []string
		for _, s := range x {
			if left[s]--; left[s] < 0 {
				out = append(out, s)
			}
		}
		return out[:min(len(out), 10)]
	}
	t.Errorf("%s has %d records, %s has %d.\nOnly %s:\n  %s\nOnly %s:\n  %s", aName, len(x), bName, len(y),
		aName, strings.Join(only(x, y), "\n  "), bName, strings.Join(only(y, x), "\n  "))
}

// totals sums packets and bytes of both directions.
func totals(rs []record) (packets, bytes uint64) {
	for _, r := range rs {
		packets += r.Packets + r.RevPackets
		bytes += r.Bytes + r.RevBytes
	}
	return packets, bytes
}

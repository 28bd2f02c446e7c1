package text

import (
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"pgregory.net/rapid"
)

func TestUint(t *testing.T) {
	for in, want := range map[string]uint64{"0": 0, "007": 7, "18446744073709551615": math.MaxUint64} {
		if got, err := Uint("f", []byte(in), 64); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "-1", "+1", "1.0", "18446744073709551616", "99999999999999999999", "1e3", " 1", strings.Repeat("0", 21)} {
		if got, err := Uint("f", []byte(in), 64); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
	if _, err := Uint("f", []byte("256"), 8); err == nil || err.Error() != `f: "256" is not a number that fits` {
		t.Errorf("256 in 8 bits: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1e9, "1.5": 15e8, ".25": 25e7, "-2.000000001": -2000000001, "1700000000.123456789123": 1700000000123456789,
		"1e-06": 1000, "1.7E9": 17e17, "5.": 5e9,
	} {
		if got, err := Seconds("f", []byte(in)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", ".", "x", "1x", "99999999999", "1e400", "1e20", "NaN", "Inf", "1.5.5", "--1", "1e" + strings.Repeat("0", 100)} {
		if got, err := Seconds("f", []byte(in)); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
}

func TestEpoch(t *testing.T) {
	const want = 1700000000 * int64(1e9)
	for _, in := range []string{"1700000000", "1700000000000", "1700000000000000", "1700000000000000000"} {
		if got, err := Epoch("f", []byte(in)); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	if _, err := Epoch("f", []byte("9300000000000000000")); err == nil {
		t.Error("beyond the range of int64")
	}
	for _, n := range []int64{0, 1, 9223372036, 9223372037, 9223372036854, 9223372036855, 9223372036854775, 9223372036854776, math.MaxInt64} {
		if got, err := Epoch("f", strconv.AppendInt(nil, n, 10)); err != nil || got < n || got%max(1, n) != 0 {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
}

func TestTime(t *testing.T) {
	const want = 1700000000 * int64(1e9)
	for in, frac := range map[string]int64{
		"2023-11-14T22:13:20Z": 0, "2023-11-14T22:13:20.5Z": 5e8, "2023-11-14T22:13:20.0000000019Z": 1,
		"2023-11-14T23:13:20+01:00": 0, "2023-11-14T23:13:20.5+0100": 5e8, "2023-11-14T22:13:20": 0, "2023-11-14 22:13:20Z": 0,
	} {
		if got, err := Time("f", []byte(in)); err != nil || got != want+frac {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "2023-11-14", "2023-02-30T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20.xZ",
		"1500-01-01T00:00:00Z", "2300-01-01T00:00:00+01:00", "20x3-11-14T22:13:20Z", "2023-11-14T22:13:20Zjunk",
	} {
		if got, err := Time("f", []byte(in)); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
}

func TestTimeLikeTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Int64Range(-9e18, 9e18).Draw(t, "ns")
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "offset")*60)
		for _, tm := range []time.Time{time.Unix(0, want).UTC(), time.Unix(0, want).In(zone)} {
			in := tm.Format(time.RFC3339Nano)
			if got, err := Time("f", []byte(in)); err != nil || got != want {
				t.Fatalf("%s: %d, %v; want %d", in, got, err, want)
			}
		}
	})
}

func TestAddr(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1", "2001:DB8::1": "2001:db8::1"} {
		if got, err := Addr("f", []byte(in)); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "192.0.2", "x", "192.0.2.1:22", "192.0.2.0/24", strings.Repeat("1", 100)} {
		if got, err := Addr("f", []byte(in)); err == nil {
			t.Errorf("%q: %v, want an error", in, got)
		}
	}
}

func TestProto(t *testing.T) {
	for in, want := range map[string]uint8{"tcp": 6, "TCP": 6, "udp": 17, "rtp": 17, "IPv6-ICMP": 58, "icmp": 1, "47": 47, "gre": 47, "sctp": 132} {
		if got, ok := Proto([]byte(in)); !ok || got != want {
			t.Errorf("%q: %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "arp", "256", "6x", strings.Repeat("t", 50)} {
		if got, ok := Proto([]byte(in)); ok || got != NoProto {
			t.Errorf("%q: %d, %v", in, got, ok)
		}
	}
}

// TestLines reads lines through buffers of every size and all their ends.
func TestLines(t *testing.T) {
	var got []string
	parse := func(line []byte, f *weir.Flow) (bool, error) {
		got = append(got, string(line))
		switch string(line) {
		case "bad":
			return false, errors.New("is bad")
		case "no":
			return false, nil
		}
		f.Packets = uint64(len(line))
		return true, nil
	}
	long := strings.Repeat("y", 200_000)
	l := NewLines(strings.NewReader("\xef\xbb\xbfone\r\n\nno\nbad\n"+strings.Repeat("x", MaxLine+5)+"\n"+long+"\nlast"), "log", parse)
	var flows []weir.Flow
	var err error
	for err == nil {
		flows, err = l.Read(flows)
	}
	if !errors.Is(err, io.EOF) || len(flows) != 3 || flows[1].Packets != 200_000 || strings.Join(got, ",") != "one,no,bad,"+long+",last" {
		t.Errorf("%d flows, %v", len(flows), err)
	}
	if n, first := l.Skipped(); n != 2 || first == nil || first.Error() != "log: line 4: is bad" || l.Line() != 7 {
		t.Errorf("%d skipped, %v; %d lines", n, first, l.Line())
	}
	// A bounded number at a time.
	l = NewLines(strings.NewReader(strings.Repeat("x\n", 2500)), "log", parse)
	for _, want := range []int{1000, 1000, 500} {
		if flows, err := l.Read(nil); len(flows) != want || err != nil && want == 1000 {
			t.Errorf("%d flows, %v", len(flows), err)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"1700000000.5", "1e-06", "2023-11-14T22:13:20.5+0100", "fe80::1%eth0", "tcp", "17"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := Uint("f", b, 16); err == nil && n > math.MaxUint16 {
			t.Errorf("%q is %d", b, n)
		}
		if a, err := Addr("f", b); err == nil && (a.Is4In6() || a.Zone() != "") {
			t.Errorf("%q is %v", b, a)
		}
		if p, ok := Proto(b); !ok && p != NoProto {
			t.Errorf("%q is %d", b, p)
		}
		_, _ = Seconds("f", b)
		_, _ = Epoch("f", b)
		if n, err := Time("f", b); err == nil && (n < math.MinInt64/10*10 || time.Unix(0, n).Year() > 2262) {
			t.Errorf("%q is %d", b, n)
		}
	})
}

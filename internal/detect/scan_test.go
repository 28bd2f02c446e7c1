package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

func scansOf(t *testing.T, cs []weir.Contact) []weir.Finding {
	t.Helper()
	var out []weir.Finding
	for _, f := range run(t, DefaultConfig(), cs) {
		if f.Type == weir.PortScanning {
			out = append(out, f)
		}
	}
	return out
}

// mailDays is a mail server that for some days calls 60 others an hour, and so
// many a day that are gone; in the last hours nobody that it calls is there.
func mailDays(days int, storm int) *bench {
	b := newBench()
	next := 0
	call := func(at time.Duration, s shape) {
		next++
		b.out(at, fmt.Sprintf("203.%d.%d.%d", next>>16, next>>8&255, next&255), 25, uint16(32768+next%28000), s)
	}
	end := time.Duration(days) * 24 * time.Hour
	for at := time.Duration(0); at < end; at += time.Minute {
		call(at, webVisit)
		if int(at/time.Minute)%3 == 0 {
			call(at+20*time.Second, deadSYN)
		}
	}
	for i := range storm {
		call(end+time.Duration(i)*4*time.Hour/time.Duration(storm), deadSYN)
	}
	return b
}

// TestDeadMailServersAreUsual is the guard on mail of section 8.10 (R11).
func TestDeadMailServersAreUsual(t *testing.T) {
	if fs := scansOf(t, mailDays(3, 80).cs); len(fs) > 0 {
		t.Errorf("20 dead servers an hour as ever: %v", fs[0].Facts)
	}
	if fs := scansOf(t, mailDays(3, 4000).cs); len(fs) == 0 {
		t.Error("a thousand dead servers an hour are no scan")
	}
}

// TestAcknowledgementsTellOfHighPorts has a machine whose calls to sixteen nodes
// at a high port are sampled: only a packet with a SYN tells who the client is.
func TestAcknowledgementsTellOfHighPorts(t *testing.T) {
	visit := func(b *bench, i int, flags uint16) {
		c := b.out(time.Duration(i)*20*time.Second, fmt.Sprintf("203.0.113.%d", 1+i*7%60), 10250, uint16(33000+i), shape{1, 0, 60, 0, flags, 0})
		c.Sampling, c.Known = 1000, c.Known&^(weir.HasReverse|weir.HasRevFlags)
		if flags != weir.SYN {
			c.LogOdds = 0.5
		}
	}
	ordinary, probes := newBench(), newBench()
	for i := range 600 {
		flags := uint16(weir.ACK)
		if i%12 == 0 {
			flags = weir.SYN
		}
		visit(ordinary, i, flags)
		visit(probes, i, weir.SYN)
	}
	if fs := scansOf(t, ordinary.cs); len(fs) > 0 {
		t.Errorf("ordinary connections are a scan: %v", fs[0].Facts)
	}
	if fs := scansOf(t, probes.cs); len(fs) == 0 {
		t.Error("nothing but SYNs is no scan")
	}
}

// TestTargetsThatAnswerLaterDoNotCount: under sampling the first packet seen of
// an ordinary connection may be its SYN.
func TestTargetsThatAnswerLaterDoNotCount(t *testing.T) {
	for _, answer := range []bool{false, true} {
		b := newBench()
		for i := range 60 {
			peer, at := fmt.Sprintf("203.0.113.%d", 1+i), time.Duration(i)*2*time.Minute
			for j, flags := range []uint16{weir.SYN, weir.ACK} {
				if j == 1 && !answer {
					continue
				}
				c := b.out(at+time.Duration(j)*3*time.Minute, peer, 445, uint16(33000+i), shape{1, 0, 60, 0, flags, 0})
				c.Sampling, c.Known = 1000, c.Known&^(weir.HasReverse|weir.HasRevFlags)
			}
		}
		if got := len(scansOf(t, b.cs)) > 0; got == answer {
			t.Errorf("with answers %v: a scan %v", answer, got)
		}
	}
}

// TestThinHistoryDoesNotBlind: the SYN share of a few sampled packets is no
// reason to ask for more probes.
func TestThinHistoryDoesNotBlind(t *testing.T) {
	b := newBench()
	for i := range 12 {
		c := b.out(time.Duration(i)*6*time.Hour, "203.0.113.250", 443, uint16(33000+i), shape{1, 0, 60, 0, []uint16{weir.ACK, weir.ACK, weir.SYN}[i%3], 0})
		c.Sampling, c.Known = 16384, c.Known&^(weir.HasReverse|weir.HasRevFlags)
	}
	for i := range 14 {
		c := b.out(73*time.Hour+time.Duration(i)*time.Minute, fmt.Sprintf("203.0.113.%d", 1+i), 445, uint16(33000+i), deadSYN)
		c.Sampling, c.Known = 16384, c.Known&^(weir.HasReverse|weir.HasRevFlags)
	}
	if len(scansOf(t, b.cs)) == 0 {
		t.Error("14 sampled probes of one port are no scan")
	}
}

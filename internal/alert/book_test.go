package alert

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-net/weir"
)

const (
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
	// base is 2026-03-01T10:00:00Z.
	base = int64(1772359200) * int64(time.Second)
)

func vm(id string) *weir.Resource {
	return &weir.Resource{ID: id, Name: id, Kind: weir.VirtualMachine, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}
}

func peer(addr string, lower float64) weir.PeerEvidence {
	return weir.PeerEvidence{Address: netip.MustParseAddr(addr), Lower: lower, Connections: uint64(lower)}
}

// found is a finding of SSH brute force whose evidence lies in the hour before at.
func found(at int64, observed float64, peers ...weir.PeerEvidence) weir.Finding {
	return weir.Finding{
		Type: weir.SSHIncomingOneToOne, Resource: vm("web-1"), Own: netip.MustParseAddr("203.0.113.10"), Direction: weir.Incoming,
		Key: "22", At: at, First: at - 10*minute, Last: at - minute/2, Quiet: 30 * time.Minute, Window: time.Hour,
		Peers: peers, Count: uint64(observed), Observed: observed, Unit: weir.UnitConnections,
	}
}

func TestLifeOfAnEpisode(t *testing.T) {
	steps := []struct {
		name     string
		at       int64 // minutes after base
		observed float64
		peers    []weir.PeerEvidence
		stale    bool // no evidence since the step before
		change   Change
		sequence int
	}{
		{"opens", 10, 40, []weir.PeerEvidence{peer("198.51.100.7", 40)}, false, Opened, 1},
		{"grows too soon", 20, 90, []weir.PeerEvidence{peer("198.51.100.7", 90)}, false, None, 1},
		{"grown by two, after the first pause", 40, 90, []weir.PeerEvidence{peer("198.51.100.7", 90)}, false, Updated, 2},
		{"new top peer within the second pause", 70, 91, []weir.PeerEvidence{peer("198.51.100.8", 95)}, false, None, 2},
		{"new top peer after it", 100, 91, []weir.PeerEvidence{peer("198.51.100.8", 95)}, false, Updated, 3},
		{"nothing new, long after", 125, 91, []weir.PeerEvidence{peer("198.51.100.8", 95)}, false, None, 3},
		{"the window fades after the end", 160, 60, nil, true, None, 0},
		{"comes back within a day", 600, 50, []weir.PeerEvidence{peer("198.51.100.8", 50)}, false, Reopened, 5},
		{"a new episode after more than a day", 600 + 26*60, 50, []weir.PeerEvidence{peer("198.51.100.8", 50)}, false, Opened, 1},
	}
	b := NewBook(DefaultConfig())
	var first, id string
	var last int64
	for _, s := range steps {
		f := found(base+s.at*minute, s.observed, s.peers...)
		if s.stale {
			f.Last = last
		}
		last = f.Last
		a, c := b.Apply(f)
		if c != s.change {
			t.Fatalf("%s: got %s, want %s", s.name, c, s.change)
		}
		if a.Sequence != s.sequence {
			t.Errorf("%s: sequence %d, want %d", s.name, a.Sequence, s.sequence)
		}
		if c == Opened {
			first, id = id, a.ID
			if first == id {
				t.Errorf("%s: the id of the episode before", s.name)
			}
		}
		if c != None && a.ID != id {
			t.Errorf("%s: id %s, want %s", s.name, a.ID, id)
		}
	}
}

func TestCloseTellsTheEnd(t *testing.T) {
	b := NewBook(DefaultConfig())
	f := found(base+10*minute, 40, peer("198.51.100.7", 40))
	a, _ := b.Apply(f)
	var got []weir.Alert
	keep := func(a weir.Alert) { got = append(got, a) }
	b.Close(f.Last+30*minute-1, keep)
	if len(got) != 0 {
		t.Fatalf("closed before the quiet time was over")
	}
	b.Close(f.Last+31*minute, keep)
	if len(got) != 1 || !got[0].Closed || got[0].ID != a.ID || got[0].Last != f.Last || got[0].Sequence != 2 {
		t.Fatalf("got %+v", got)
	}
	if s := b.Stats(); s.Open != 0 || s.Closed != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestIDFormAndOrder(t *testing.T) {
	f := found(base, 40)
	early, late := ID(&f, base), ID(&f, base+hour)
	if late >= early {
		t.Errorf("a later start must sort first: %s, %s", early, late)
	}
	head, _, _ := strings.Cut(early, "_")
	// 2026-03-01T10:00:00Z is tick 639079560000000000 of the .NET calendar.
	if want := fmt.Sprint(int64(3155378975999999999 - 639079560000000000)); head != want {
		t.Errorf("ticks %s, want %s", head, want)
	}
	if start, ok := StartOf(early); !ok || start != base {
		t.Errorf("StartOf = %d, %v", start, ok)
	}
	for _, bad := range []string{"", "x", "12_34", "-1_" + strings.Repeat("0", 36), "99999999999999999999_6ba7b810-9dad-11d1-80b4-00c04fd430c8"} {
		if _, ok := StartOf(bad); ok {
			t.Errorf("StartOf(%q) accepted", bad)
		}
	}
	g := f
	g.Resource = vm("web-1")
	g.Resource.Tenant = "lab"
	if ID(&g, base) == early {
		t.Error("the tenant is no part of the id")
	}
}

func TestPeersAreUnitedAndBounded(t *testing.T) {
	b := NewBook(DefaultConfig())
	for pane := range int64(4) {
		f := found(base+pane*10*minute, 100)
		f.Type, f.Unit = weir.SSHIncomingManyToOne, weir.UnitSources
		for i := range 100 {
			f.Peers = append(f.Peers, peer(fmt.Sprintf("198.51.%d.%d", pane, i), float64(i)))
		}
		b.Apply(f)
	}
	a := b.Open()[0]
	if len(a.Peers) != weir.MaxPeers {
		t.Fatalf("%d peers", len(a.Peers))
	}
	// What an earlier merge cut off is forgotten, so both numbers are bounds
	// from below: 256 named ones and the 100 of the newest finding.
	if a.Count != 356 {
		t.Errorf("count %d, want 356 sources", a.Count)
	}
	if d := cmp.Diff([]weir.Limit{{Code: weir.LimitPeersCut, Arg: "100"}}, a.Limits); d != "" {
		t.Error(d)
	}
	if a.Peers[0].Address.String() != "198.51.0.99" || a.Peers[1].Address.String() != "198.51.1.99" {
		t.Errorf("order: %v %v", a.Peers[0].Address, a.Peers[1].Address)
	}
}

func TestFullResourceFolds(t *testing.T) {
	b := NewBook(DefaultConfig())
	for i := range MaxOpen + 3 {
		f := found(base, 40, peer(fmt.Sprintf("198.51.100.%d", i), 40))
		f.Key = fmt.Sprintf("peer%03d", i)
		b.Apply(f)
	}
	if s := b.Stats(); s.Open != MaxOpen || s.Folded != 3 {
		t.Fatalf("%+v", s)
	}
	if n := len(b.Open()[0].Peers); n != 4 {
		t.Errorf("the first episode holds %d peers, want its own and the 3 folded ones", n)
	}
}

func findings(t *rapid.T) []weir.Finding {
	n := rapid.IntRange(1, 40).Draw(t, "n")
	at := base
	out := make([]weir.Finding, 0, n)
	for i := range n {
		at += rapid.Int64Range(0, 60).Draw(t, "step") * 10 * minute * rapid.SampledFrom([]int64{0, 1, 1, 1, 20}).Draw(t, "jump")
		f := found(at, float64(rapid.IntRange(30, 300).Draw(t, "observed")), peer(fmt.Sprintf("198.51.100.%d", i%5), float64(i)))
		f.Key = rapid.SampledFrom([]string{"22", "2222"}).Draw(t, "key")
		f.Last = at - rapid.Int64Range(0, 59).Draw(t, "age")*minute
		f.Window = rapid.SampledFrom([]time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}).Draw(t, "window")
		f.First = f.Last - 5*minute
		out = append(out, f)
	}
	return out
}

// play runs findings through a Book and returns everything it told, and the
// final state of each alert.
func play(b *Book, list []weir.Finding, extra func(b *Book, from, to int64, report func(weir.Alert)) *Book) string {
	var told []any
	report := func(a weir.Alert) { told = append(told, a) }
	prev := base
	for _, f := range list {
		if extra != nil {
			b = extra(b, prev, f.At-1, report)
		}
		b.Close(f.At-1, report)
		a, c := b.Apply(f)
		if c != None {
			told = append(told, a)
		}
		prev = f.At
	}
	b.Finish(report)
	out, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestAnyStepOfTheWatermarkTellsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := findings(t)
		want := play(NewBook(DefaultConfig()), list, nil)
		got := play(NewBook(DefaultConfig()), list, func(b *Book, from, to int64, report func(weir.Alert)) *Book {
			for from < to {
				from += rapid.Int64Range(1, 6*hour).Draw(t, "advance")
				b.Close(min(from, to), report)
			}
			return b
		})
		if got != want {
			t.Fatalf("%s", cmp.Diff(want, got))
		}
	})
}

func TestRestoreGoesOnAsIfNothingHappened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := findings(t)
		want := play(NewBook(DefaultConfig()), list, nil)
		got := play(NewBook(DefaultConfig()), list, func(b *Book, _, _ int64, _ func(weir.Alert)) *Book {
			data, err := b.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			n := NewBook(DefaultConfig())
			if err := n.Restore(data); err != nil {
				t.Fatal(err)
			}
			return n
		})
		if got != want {
			t.Fatalf("%s", cmp.Diff(want, got))
		}
	})
}

func TestRestoreRefusesWhatItCannotRead(t *testing.T) {
	b := NewBook(DefaultConfig())
	b.Apply(found(base, 40))
	for _, bad := range []string{"", "{}", `{"version":1,"episodes":[{}]}`, `{"version":9}`} {
		if err := b.Restore([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if len(b.Open()) != 1 {
		t.Error("a refused snapshot changed the state")
	}
}

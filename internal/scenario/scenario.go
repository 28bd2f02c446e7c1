package scenario

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// Network protects every address of a prefix.
type Network struct {
	Prefix netip.Prefix
	Kind   weir.Kind
	Tenant string
}

// Allow names peers that are never reported. Until is Unix ns, 0 for ever.
type Allow struct {
	Prefix netip.Prefix
	Reason string
	Until  int64
}

// Scenario is a parsed .scn file. It is read-only and may be used by several
// goroutines.
type Scenario struct {
	// Name is the file name without directory and suffix; Title is for people,
	// the name when the file gives none.
	Name, Title string
	// Start is the first moment, Days the number of days that daily traffic is
	// repeated.
	Start time.Time
	Days  int
	// Seed chooses the random numbers, together with the name.
	Seed uint64
	// Sampling is the 1-in-N rate of traffic that names none.
	Sampling uint32
	// Counted takes each N-th packet instead of every packet with probability
	// 1/N. All lines of traffic share the counter.
	Counted bool
	// Bidirectional records hold both directions of a connection.
	Bidirectional bool
	Exporter      netip.Addr
	// Learn is the time from the start in which alerts are not judged.
	Learn time.Duration

	Resources []*weir.Resource
	Networks  []Network
	Allows    []Allow
	Intel     []weir.Indicator
	// Expect are the expectations as rows of a truth file; Complete says that
	// every other alert is false.
	Expect   []Row
	Complete bool

	path    string
	traffic []traffic
}

// DefaultStart is the first moment of a scenario that names none, a Monday.
func DefaultStart() time.Time { return time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) }

// Load reads a scenario file.
func Load(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(path, string(text))
}

// Case returns the expectations as a case that Judge takes.
func (s *Scenario) Case() *Case {
	c := &Case{
		Path: s.path, Name: s.Name, Title: s.Title, Group: "scenario",
		Rows: s.Expect, Complete: s.Complete, Exit: []int{0}, Start: s.Start,
	}
	if s.Learn > 0 {
		c.LearnUntil = s.Start.Add(s.Learn)
	}
	return c
}

// Protected returns the addresses and networks of the inventory.
func (s *Scenario) Protected() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s.Resources {
		for _, a := range append(append([]netip.Addr(nil), r.Addresses...), r.PrivateAddresses...) {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, n := range s.Networks {
		out = append(out, n.Prefix)
	}
	return out
}

// Span returns the first and the last moment in which traffic begins.
func (s *Scenario) Span() (first, last time.Time) {
	first, last = s.Start, s.Start
	for i := range s.traffic {
		t := &s.traffic[i]
		if days := t.days(s); len(days) > 0 {
			end := s.Start.Add(time.Duration(days[len(days)-1])*day + t.at + t.span())
			if end.After(last) {
				last = end
			}
		}
	}
	return first, last
}

const day = 24 * time.Hour

func nameOf(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

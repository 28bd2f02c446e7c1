package detect

import (
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// TestReconfigure changes floors, rules and services of a detector that runs.
func TestReconfigure(t *testing.T) {
	b := newBench()
	b.guess(time.Minute, 25*time.Minute, "203.1.0.1", 22, 40, login, false)
	b.guess(61*time.Minute, 25*time.Minute, "203.1.0.1", 22, 40, login, false)
	start := t0
	half := start + int64(time.Hour)
	play := func(change func(*Config)) (before, after []weir.Finding, d *Detector) {
		t.Helper()
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		d.Observe(b.cs)
		d.Close(half, func(f weir.Finding) { before = append(before, f) })
		c := DefaultConfig()
		change(&c)
		if err := d.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		d.Flush(func(f weir.Finding) { after = append(after, f) })
		return before, after, d
	}
	set := func(c *Config, name string, change func(*Family)) {
		f := c.Families[name]
		change(&f)
		c.Families[name] = f
	}
	before, after, _ := play(func(*Config) {})
	if len(before) == 0 || len(after) == 0 {
		t.Fatalf("nothing changed: %d findings before, %d after", len(before), len(after))
	}
	for what, change := range map[string]func(*Config){
		"floor":    func(c *Config) { set(c, "ssh", func(f *Family) { f.Floor1h, f.Floor24h = 500, 500 }) },
		"family":   func(c *Config) { set(c, "ssh", func(f *Family) { f.Enabled = false }) },
		"disabled": func(c *Config) { c.Disabled = weir.AlertTypes() },
	} {
		if before, after, _ := play(change); len(before) == 0 || len(after) != 0 {
			t.Errorf("%s: %d findings before, %d after, want none after", what, len(before), len(after))
		}
	}
	// What is no detector's business while it runs stays as it was.
	_, _, d := play(func(c *Config) { c.Pane, c.Memory, c.Salt = 2*time.Minute, 1<<20, 7 })
	if d.cfg.Pane != time.Minute || d.cfg.Memory != 1<<30 || d.cfg.Salt != 0 {
		t.Errorf("pane %v, memory %d, salt %d were changed", d.cfg.Pane, d.cfg.Memory, d.cfg.Salt)
	}
	bad := DefaultConfig()
	set(&bad, "ssh", func(f *Family) { f.MinPeers = 0 })
	if err := d.Reconfigure(bad); err == nil {
		t.Error("a family without peers was taken over")
	}
}

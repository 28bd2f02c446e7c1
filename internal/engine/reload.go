package engine

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir/internal/detect/service"
	"github.com/weir-net/weir/internal/engine/config"
)

// keepKnowledge looks at inventory and feeds again and again, and reloads on
// request. What cannot be read leaves what was known in force.
func (s *Server) keepKnowledge(ctx context.Context) error {
	seen := s.pipe.know.Load().stamps
	tick := time.NewTicker(s.shortest())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-s.o.Reload:
			if !ok {
				s.o.Reload = nil
				continue
			}
			s.reload()
			tick.Reset(s.shortest())
			seen = s.pipe.know.Load().stamps
		case <-tick.C:
			if now := stamps(&s.c.Config); now != seen {
				// A file that cannot be read is told once, not at every look.
				s.relearn(&s.c.Config)
				seen = now
			}
		}
	}
}

// shortest is the shortest interval at which something is to be looked at.
func (s *Server) shortest() time.Duration {
	d := time.Duration(s.c.Inventory.Interval)
	for _, f := range s.c.Intel.Feeds {
		d = min(d, time.Duration(f.Interval))
	}
	return max(d, time.Second)
}

// stamps describes the files of inventory and feeds: names, sizes, times.
func stamps(c *config.Config) string {
	var names []string
	for _, p := range c.Inventory.Files {
		found, err := filepath.Glob(string(p))
		if err != nil || len(found) == 0 {
			found = []string{string(p)}
		}
		names = append(names, found...)
	}
	for _, f := range c.Intel.Feeds {
		names = append(names, string(f.Source))
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n)
		if st, err := os.Stat(n); err == nil {
			b.WriteString(st.ModTime().Format(time.RFC3339Nano) + " " + strconv.FormatInt(st.Size(), 10))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// relearn reads inventory and feeds and puts them in force at once.
func (s *Server) relearn(c *config.Config) bool {
	know, err := learn(c, nil, nil, time.Now())
	if err != nil {
		s.log.Error("inventory and indicators stay as they were", "error", err)
		return false
	}
	s.pipe.know.Store(know)
	s.log.Info("inventory and indicators read", "resources", len(know.inventory.Resources()), "networks", len(know.inventory.Networks()), "indicators", know.intel.Len())
	return true
}

// reloadable are the keys that a running server takes over.
func reloadable() []string {
	out := []string{"listen.exporters", "inputs.sampling", "inventory.files", "intel.feeds", "api.tokens", "log.level", "detect.sensitivity", "detect.disabled", "detect.services"}
	for _, f := range service.Families() {
		out = append(out, "detect."+f+".")
	}
	return out
}

// reload reads the configuration anew and takes over what can be; the other
// keys ask for a restart.
func (s *Server) reload() {
	if s.o.LoadConfig == nil {
		s.relearn(&s.c.Config)
		return
	}
	next, err := s.o.LoadConfig()
	if err != nil {
		s.log.Error("the configuration stays as it was", "error", err)
		return
	}
	if p := Unsupported(next); len(p) > 0 {
		s.log.Error("the configuration stays as it was", "error", p)
		return
	}
	tokens, err := tokens(next)
	if err != nil {
		s.log.Error("the configuration stays as it was", "error", err)
		return
	}
	rules := next.Rules()
	if err := rules.Validate(); err != nil {
		s.log.Error("the configuration stays as it was", "error", err)
		return
	}
	if !s.relearn(&next.Config) {
		return
	}
	s.pipe.rules.Store(&rules)
	s.web.SetTokens(tokens)
	s.udp.SetExporters(prefixes(next.Listen.Exporters))
	s.setSampling(next.Inputs.Sampling)
	if s.o.Level != nil {
		s.o.Level.Set(Level(next.Log.Level))
	}
	for _, key := range changedKeys(s.c, next) {
		if !slices.ContainsFunc(reloadable(), func(k string) bool { return key == k || strings.HasPrefix(key, k) }) {
			s.log.Warn("a changed key takes effect after a restart", "key", key)
		}
	}
	// Only what was taken over changes; the rest stays what the process runs on.
	s.c.Inventory, s.c.Intel = next.Inventory, next.Intel
	s.log.Info("configuration read")
}

// changedKeys lists the keys whose values differ.
func changedKeys(a, b *config.Loaded) []string {
	have := map[string]any{}
	for _, x := range a.Settings() {
		have[x.Key] = x.Value
	}
	var out []string
	for _, x := range b.Settings() {
		if old, ok := have[x.Key]; !ok || !reflect.DeepEqual(old, x.Value) {
			out = append(out, x.Key)
		}
	}
	return out
}

// Level returns the level of a name of log.level.
func Level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return l
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// machine is where the figures come from.
type machine struct {
	Processor  string `json:"processor"`
	Cores      int    `json:"cores"`
	Memory     string `json:"memory"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	RmemMax    string `json:"rmemMax"`
	Commit     string `json:"commit"`
	Modified   bool   `json:"modified"` // the tree held changes beyond the commit
	LoadBefore string `json:"loadBefore"`
	LoadAfter  string `json:"loadAfter"`
}

// describe reads what the system says of itself. What it does not say is
// "unknown".
func describe(ctx context.Context, root string) machine {
	m := machine{
		Processor: field("/proc/cpuinfo", "model name"), Memory: field("/proc/meminfo", "MemTotal"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: content("/proc/sys/kernel/osrelease"), RmemMax: content("/proc/sys/net/core/rmem_max"), Commit: "unknown",
	}
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	// What lies beside the code that is measured says nothing.
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "status", "--porcelain", "--", "*.go", "go.mod", "bench/go.mod").Output(); err == nil {
		m.Modified = len(bytes.TrimSpace(out)) > 0
	}
	return m
}

// content is the first line of a small file.
func content(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(first)
}

// field finds a line "key : value" in a file.
func field(name, key string) string {
	f, err := os.Open(name)
	if err != nil {
		return "unknown"
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// load is the load average of the last 1, 5 and 15 minutes.
func load() string {
	if f := strings.Fields(content("/proc/loadavg")); len(f) >= 3 {
		return strings.Join(f[:3], " ")
	}
	return "unknown"
}

// moduleVersion is the version of a module that this program is built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return "unknown"
}

func (m machine) commit() string {
	if m.Modified {
		return m.Commit + " with changes"
	}
	return m.Commit
}

func (m machine) print() {
	fmt.Printf("%s, %d cores, %s, Linux %s, %s, net.core.rmem_max %s, commit %s\n", m.Processor, m.Cores, m.Memory, m.Kernel, m.Go, m.RmemMax, m.commit())
}

package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/intel"
	"github.com/weir-net/weir/internal/inventory"
)

// InvalidError says that a file of the operator (configuration, inventory,
// indicators) cannot be used.
type InvalidError struct{ Err error }

// Error returns the faults, one a line.
func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// knowledge is an immutable snapshot of what the pipeline knows from the side:
// what is protected and what the world says of addresses.
type knowledge struct {
	inventory *inventory.Inventory
	orienter  *inventory.Orienter
	intel     *intel.Table
	feeds     *intel.Report
	// read holds the times of change of the feeds' files by name of the feed.
	read map[string]time.Time
	// stamps describes the files before they were read.
	stamps string
	// maxAge is the age from which a feed is stale.
	maxAge time.Duration
}

// LoadInventory reads inventory files; globs are expanded. An error is an
// *InvalidError.
func LoadInventory(patterns []string) (*inventory.Inventory, error) {
	var paths []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			paths = append(paths, p)
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, &InvalidError{fmt.Errorf("inventory %s: %w", p, err)}
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		inv, err := inventory.New(nil, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("empty inventory: %w", err)
		}
		return inv, nil
	}
	inv, err := inventory.Load(paths)
	if err != nil {
		return nil, &InvalidError{err}
	}
	return inv, nil
}

// LoadIntel reads files of indicators. An error is an *InvalidError.
func LoadIntel(files []IntelFile, now time.Time) (*intel.Table, *intel.Report, error) {
	t, r, err := intel.Load(files, now.UnixNano())
	if err != nil {
		return nil, r, &InvalidError{err}
	}
	return t, r, nil
}

// feedFiles are the feeds of the configuration that are files.
func feedFiles(c *config.Config) []IntelFile {
	var out []IntelFile
	for _, f := range c.Intel.Feeds {
		if !f.Source.Remote() {
			out = append(out, IntelFile{
				Path: string(f.Source), Category: weir.Category(f.Category), Source: f.Name, Confidence: f.Confidence, Expiry: time.Duration(f.Expiry),
			})
		}
	}
	return out
}

// learn reads inventory and indicators: those of the configuration, and more.
func learn(c *config.Config, files []string, more []IntelFile, now time.Time) (*knowledge, error) {
	before := stamps(c)
	var paths []string
	for _, p := range c.Inventory.Files {
		paths = append(paths, string(p))
	}
	inv, err := LoadInventory(append(paths, files...))
	if err != nil {
		return nil, err
	}
	ports, err := servicePorts(c)
	if err != nil {
		return nil, &InvalidError{err}
	}
	table, feeds, err := LoadIntel(append(feedFiles(c), more...), now)
	if err != nil {
		return nil, err
	}
	read := map[string]time.Time{}
	for _, f := range feedFiles(c) {
		if st, err := os.Stat(f.Path); err == nil {
			read[f.Source] = st.ModTime()
		}
	}
	return &knowledge{inventory: inv, orienter: inventory.NewOrienter(inv, ports), intel: table, feeds: feeds, read: read, stamps: before, maxAge: time.Duration(c.Intel.MaxAge)}, nil
}

// servicePorts is the table of services that orientation uses: the built-in one
// and what the configuration adds.
func servicePorts(c *config.Config) (inventory.ServicePorts, error) {
	ports := inventory.DefaultServicePorts()
	var errs []error
	for name, list := range c.Detect.Services {
		for _, text := range list {
			p, err := inventory.ParseServicePort(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("detect.services.%s: %w", name, err))
				continue
			}
			ports[p] = name
		}
	}
	return ports, errors.Join(errs...)
}

// samplingFor returns the lookup of the rates that the configuration gives.
// The longest prefix wins, the later entry among equals.
func samplingFor(list []config.Sampling) func(netip.Addr) (uint32, bool) {
	if len(list) == 0 {
		return nil
	}
	return func(exporter netip.Addr) (uint32, bool) {
		best, rate, force := -1, uint32(0), false
		for _, s := range list {
			p := netip.Prefix(s.Exporter)
			if p.Contains(exporter) && p.Bits() >= best {
				best, rate, force = p.Bits(), uint32(s.Rate), s.Force
			}
		}
		return rate, force
	}
}

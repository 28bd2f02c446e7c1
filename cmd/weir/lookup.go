package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) intelCommand() *cobra.Command {
	var files []string
	var r remote
	check := &cobra.Command{
		Use: "check FILE...", Short: "Check files of indicators and tell what is in them", Args: usageArgs(cobra.MinimumNArgs(1), "intel check FILE..."),
		Long:    "Check reads files of indicators (FILE, or CATEGORY=FILE where they do not say their category) and tells, file by file, what became of their entries.",
		Example: "  weir intel check c2=feodo.csv drop.txt",
		RunE:    a.do(func(_ context.Context, args []string) error { return a.intelCheck(args) }),
	}
	lookup := &cobra.Command{
		Use: "lookup IP", Short: "Tell what the feeds say of an address", Args: usageArgs(cobra.ExactArgs(1), "intel lookup IP"), ValidArgsFunction: noFiles,
		Long:    "Lookup asks the feeds of the configuration and of --intel, or, with --server, those of a running server.",
		Example: "  weir intel lookup 192.0.2.66 --intel c2=feodo.csv\n  weir intel lookup 192.0.2.66 --server http://127.0.0.1:8780",
		RunE:    a.do(func(ctx context.Context, args []string) error { return a.intelLookup(ctx, args[0], files, &r) }),
	}
	lookup.Flags().StringArrayVar(&files, "intel", nil, "indicators: `FILE`, or CATEGORY=FILE; repeatable")
	r.add(lookup, false)
	a.setFlag(lookup.Flags())
	return group(&cobra.Command{Use: "intel", Short: "Check and ask threat intelligence"}, check, lookup)
}

// intelRow is what became of one file of indicators.
type intelRow struct {
	Path       string                `json:"path"`
	Source     string                `json:"source"`
	Form       string                `json:"form"`
	Indicators int                   `json:"indicators"`
	Categories map[weir.Category]int `json:"categories"`
	Skipped    int                   `json:"skipped"`
	Expired    int                   `json:"expired"`
	Fault      string                `json:"fault,omitempty"`
}

func (a *app) intelCheck(args []string) error {
	files, err := parsedIntel(args)
	if err != nil {
		return err
	}
	out, err := newList(a, []column[intelRow]{
		{name: "path", text: func(r intelRow) string { return r.Path }},
		{name: "form", text: func(r intelRow) string { return r.Form }},
		{name: "indicators", text: func(r intelRow) string { return fmt.Sprint(r.Indicators) }},
		{name: "categories", text: func(r intelRow) string {
			var parts []string
			for _, c := range slices.Sorted(maps.Keys(r.Categories)) {
				parts = append(parts, fmt.Sprintf("%s=%d", c, r.Categories[c]))
			}
			return strings.Join(parts, " ")
		}},
		{name: "skipped", text: func(r intelRow) string { return fmt.Sprint(r.Skipped) }},
		{name: "expired", text: func(r intelRow) string { return fmt.Sprint(r.Expired) }},
		{name: "fault", wide: true, text: func(r intelRow) string { return r.Fault }},
	})
	if err != nil {
		return err
	}
	loaded, loadErr := engine.CheckIntel(files)
	malformed := 0
	if loaded.Report != nil {
		for _, f := range loaded.Report.Files {
			malformed += f.Skipped.Malformed
			if f.Fault != "" {
				a.warn("%s", f.Fault)
			}
			row := intelRow{f.Path, f.Source, f.Form, f.Indicators, f.Categories, f.Skipped.Total(), f.Expired, f.Fault}
			if err := out.add(row); err != nil {
				return err
			}
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if loadErr != nil {
		return loadErr
	}
	if malformed > 0 {
		return &exitError{code: exitPartial}
	}
	return nil
}

func parseIP(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, exit(exitUsage, "%q is no address, expected a form such as 192.0.2.66 or 2001:db8::1", text)
	}
	return addr.Unmap().WithZone(""), nil
}

func indicatorColumns() []column[weir.Indicator] {
	day := func(ns int64) string {
		if ns == 0 {
			return ""
		}
		return time.Unix(0, ns).UTC().Format(time.DateOnly)
	}
	return []column[weir.Indicator]{
		{name: "indicator", text: func(i weir.Indicator) string { return i.Prefix.String() }},
		{name: "category", text: func(i weir.Indicator) string { return string(i.Category) }},
		{name: "family", text: func(i weir.Indicator) string { return i.Family }},
		{name: "source", text: func(i weir.Indicator) string { return i.Source }},
		{name: "confidence", text: func(i weir.Indicator) string { return fmt.Sprintf("%.0f", i.Confidence) }},
		{name: "port", wide: true, text: func(i weir.Indicator) string { return fmt.Sprint(i.Port) }},
		{name: "firstSeen", wide: true, text: func(i weir.Indicator) string { return day(i.FirstSeen) }},
		{name: "lastSeen", text: func(i weir.Indicator) string { return day(i.LastSeen) }},
		{name: "expiry", wide: true, text: func(i weir.Indicator) string { return day(i.Expiry) }},
	}
}

func (a *app) intelLookup(ctx context.Context, text string, files []string, r *remote) error {
	addr, err := parseIP(text)
	if err != nil {
		return err
	}
	var found []weir.Indicator
	if r.server != "" {
		c, err := a.client(r)
		if err != nil {
			return err
		}
		var p struct{ Items []weir.Indicator }
		if err := c.Get(ctx, "/api/v1/intel/"+addr.String(), nil, &p); err != nil {
			return remoteProblem(err)
		}
		found = p.Items
	} else {
		list, err := parsedIntel(files)
		if err != nil {
			return err
		}
		l, err := a.load()
		if err != nil {
			return err
		}
		if found, err = engine.LookupIntel(&l.Config, list, addr); err != nil {
			return err
		}
	}
	out, err := newList(a, indicatorColumns())
	if err != nil {
		return err
	}
	for _, i := range found {
		if err := out.add(i); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if len(found) == 0 {
		return exit(exitNotFound, "no feed names %s", addr)
	}
	return nil
}

func (a *app) resourcesCommand() *cobra.Command {
	var inv []string
	var r remote
	lst := &cobra.Command{
		Use: "list", Short: "List what is protected", Args: usageArgs(cobra.NoArgs, "resources list"), ValidArgsFunction: noFiles,
		Long:    "List prints the resources of the inventory of the configuration and of --inventory, or, with --server, those of a running server.",
		Example: "  weir resources list --inventory inventory.yaml",
		RunE:    a.do(func(ctx context.Context, _ []string) error { return a.resources(ctx, "", inv, &r) }),
	}
	whois := &cobra.Command{
		Use: "whois IP", Short: "Tell which resource owns an address", Args: usageArgs(cobra.ExactArgs(1), "resources whois IP"), ValidArgsFunction: noFiles,
		Example: "  weir resources whois 203.0.113.10 --inventory inventory.yaml",
		RunE:    a.do(func(ctx context.Context, args []string) error { return a.resources(ctx, args[0], inv, &r) }),
	}
	for _, c := range []*cobra.Command{lst, whois} {
		c.Flags().StringArrayVar(&inv, "inventory", nil, "`FILE` of protected resources; repeatable")
		r.add(c, false)
		a.setFlag(c.Flags())
	}
	return group(&cobra.Command{Use: "resources", Short: "What is protected"}, lst, whois)
}

func (a *app) resources(ctx context.Context, ip string, files []string, r *remote) error {
	var addr netip.Addr
	var err error
	if ip != "" {
		if addr, err = parseIP(ip); err != nil {
			return err
		}
	}
	list, err := a.findResources(ctx, addr, files, r)
	if err != nil {
		return err
	}
	addrs := func(list []netip.Addr) string {
		return shortList(len(list), 4, func(i int) string { return list[i].String() })
	}
	out, err := newList(a, []column[*weir.Resource]{
		{name: "id", text: func(r *weir.Resource) string { return r.ID }},
		{name: "name", wide: true, text: func(r *weir.Resource) string { return r.Name }},
		{name: "kind", text: func(r *weir.Resource) string { return string(r.Kind) }},
		{name: "addresses", text: func(r *weir.Resource) string { return addrs(r.Addresses) }},
		{name: "privateAddresses", text: func(r *weir.Resource) string { return addrs(r.PrivateAddresses) }},
		{name: "roles", text: func(r *weir.Resource) string { return strings.Join(r.Roles, " ") }},
		{name: "tenant", text: func(r *weir.Resource) string { return r.Tenant }},
	})
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := out.add(x); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if ip != "" && len(list) == 0 {
		return exit(exitNotFound, "no resource owns %s", addr)
	}
	return nil
}

func (a *app) findResources(ctx context.Context, addr netip.Addr, files []string, r *remote) ([]*weir.Resource, error) {
	if r.server != "" {
		c, err := a.client(r)
		if err != nil {
			return nil, err
		}
		var p struct{ Items []*weir.Resource }
		q := url.Values{}
		if addr.IsValid() {
			q.Set("address", addr.String())
		}
		err = c.Get(ctx, "/api/v1/resources", q, &p)
		return p.Items, remoteProblem(err)
	}
	l, err := a.load()
	if err != nil {
		return nil, err
	}
	for _, f := range l.Inventory.Files {
		files = append(files, string(f))
	}
	if len(files) == 0 {
		return nil, &exitError{exitUsage, errors.New("no inventory: name one with --inventory FILE, inventory.files of the configuration, or a server with --server URL")}
	}
	inv, err := engine.LoadInventory(files)
	if err != nil {
		return nil, err
	}
	for _, w := range inv.Warnings() {
		a.note("inventory: %s", w)
	}
	if !addr.IsValid() {
		for _, n := range inv.Networks() {
			a.note("network %s (%s): every address is a resource of its own", n.Prefix, n.Kind)
		}
		return inv.Resources(), nil
	}
	if found, _ := inv.Lookup(addr); found != nil {
		return []*weir.Resource{found}, nil
	}
	return nil, nil
}

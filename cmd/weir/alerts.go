package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/api"
	"github.com/weir-net/weir/internal/api/client"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
)

// remote are the flags of commands that ask a server or read its data.
type remote struct {
	server, tokenFile, data string
}

const defaultServer = "http://127.0.0.1:8780"

func (r *remote) add(c *cobra.Command, data bool) {
	fs := c.Flags()
	fs.StringVar(&r.server, "server", "", "`URL` of the server (default "+defaultServer+", or WEIR_SERVER)")
	fs.StringVar(&r.tokenFile, "token-file", "", "`FILE` with the API token (or WEIR_TOKEN)")
	if data {
		fs.StringVar(&r.data, "data", "", "read the data `DIR` of a server instead of asking one")
		c.MarkFlagsMutuallyExclusive("server", "data")
		c.MarkFlagsMutuallyExclusive("token-file", "data")
	}
}

func (a *app) client(r *remote) (*client.Client, error) {
	lang, err := a.lang()
	if err != nil {
		return nil, err
	}
	server := r.server
	if server == "" {
		server = a.getenv("WEIR_SERVER")
	}
	if server == "" {
		server = defaultServer
	}
	token := a.getenv("WEIR_TOKEN")
	if r.tokenFile != "" {
		b, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	c, err := client.New(server, token, lang)
	if err != nil {
		return nil, exit(exitUsage, "--server %w", err)
	}
	return c, nil
}

// data opens the data directory.
func (a *app) data(ctx context.Context, r *remote) (*engine.Data, error) {
	d, err := engine.OpenData(ctx, r.data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exit(exitNotFound, "--data %s: no data of a server here: %w", r.data, err)
	}
	return d, err
}

// remoteProblem gives errors of a server their exit code.
func remoteProblem(err error) error {
	switch {
	case errors.Is(err, client.ErrUnreachable):
		return &exitError{exitUnreachable, fmt.Errorf("%w\nis it running? 'weir serve' starts one, --server URL names another, --data DIR reads its data", err)}
	case errors.Is(err, client.ErrNotFound), errors.Is(err, api.ErrNotFound):
		return &exitError{exitNotFound, err}
	}
	return err
}

func (a *app) alertsCommand() *cobra.Command {
	var r remote
	var f alertFilter
	lst := &cobra.Command{
		Use: "list", Short: "List alerts, newest first", Args: usageArgs(cobra.NoArgs, "alerts list"), ValidArgsFunction: noFiles,
		Long:    "List prints alerts of every status, newest first: all of them, or the first 100 on a terminal unless --limit says otherwise.",
		Example: "  weir alerts list --severity high,medium --since 24h\n  weir alerts list --data /var/lib/weir -o csv",
		RunE:    a.do(func(ctx context.Context, _ []string) error { return a.alertsList(ctx, &r, &f) }),
	}
	f.add(lst)
	show := &cobra.Command{
		Use: "show ID", Short: "Show one alert in full", Args: usageArgs(cobra.ExactArgs(1), "alerts show ID"), ValidArgsFunction: noFiles,
		Example: "  weir alerts show 2516…_6ba7… -o yaml",
		RunE: a.do(func(ctx context.Context, args []string) error {
			o, err := a.oneAlert(ctx, &r, args[0])
			if err != nil {
				return err
			}
			if a.human() {
				a.output = "yaml"
			}
			return a.document(o, nil)
		}),
	}
	watch := &cobra.Command{
		Use: "watch", Short: "Print every change of an alert as it happens", Args: usageArgs(cobra.NoArgs, "alerts watch"), ValidArgsFunction: noFiles,
		Example: "  weir alerts watch -o ndjson | jq .title",
		RunE:    a.do(func(ctx context.Context, _ []string) error { return a.alertsWatch(ctx, &r) }),
	}
	for _, c := range []*cobra.Command{lst, show, watch} {
		r.add(c, true)
	}
	return group(&cobra.Command{Use: "alerts", Short: "List, show and watch alerts"}, lst, show, watch)
}

func (a *app) explainCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: "explain ID", Short: "Explain one alert: numbers, threshold, peers and evidence", Args: usageArgs(cobra.ExactArgs(1), "explain ID"), ValidArgsFunction: noFiles,
		Example: "  weir explain 2516…_6ba7… --lang ja",
		RunE: a.do(func(ctx context.Context, args []string) error {
			o, err := a.oneAlert(ctx, &r, args[0])
			if err != nil {
				return err
			}
			lang, err := a.lang()
			if err != nil {
				return err
			}
			return a.document(o, explain(o, lang))
		}),
	}
	r.add(c, true)
	return c
}

// alertFilter are the filters of a list.
type alertFilter struct {
	rules, severities, statuses  []string
	resource, peer, since, until string
	limit                        int
}

func (f *alertFilter) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringSliceVar(&f.rules, "rule", nil, "alert `TYPES`, or patterns such as 'SSH*'")
	fs.StringSliceVar(&f.severities, "severity", nil, "`SEVERITIES`: high, medium, low, informational")
	fs.StringSliceVar(&f.statuses, "status", nil, "`STATUSES`: Active, InProgress, Resolved, Dismissed")
	fs.StringVar(&f.resource, "resource", "", "`ID`, name or own address of a resource")
	fs.StringVar(&f.peer, "peer", "", "`ADDRESS` of a peer")
	fs.StringVar(&f.since, "since", "", "evidence since this `TIME`: RFC 3339, or a time ago such as 24h or 7d")
	fs.StringVar(&f.until, "until", "", "evidence before this `TIME`")
	fs.IntVar(&f.limit, "limit", 0, "at most `N` alerts")
}

func (f *alertFilter) query() url.Values {
	q := url.Values{}
	for name, list := range map[string][]string{"rule": f.rules, "severity": f.severities, "status": f.statuses} {
		if len(list) > 0 {
			q[name] = []string{strings.Join(list, ",")}
		}
	}
	for name, v := range map[string]string{"resource": f.resource, "peer": f.peer, "since": f.since, "until": f.until} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return q
}

func (a *app) alertsList(ctx context.Context, r *remote, f *alertFilter) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	if f.limit < 0 {
		return exit(exitUsage, "--limit %d: expected 1 or more", f.limit)
	}
	q, err := api.ParseQuery(f.query(), time.Now())
	if err != nil && !errors.Is(err, api.ErrNoMatch) {
		return exit(exitUsage, "--%w", err)
	}
	out, err := newList(a, alertColumns(lang))
	if err != nil {
		return err
	}
	most := f.limit
	if most == 0 && a.outTTY {
		most = 100
	}
	more := false
	take := func(o catalog.Object) (bool, error) {
		if most > 0 && out.n >= most {
			more = true
			return false, nil
		}
		return true, out.add(o)
	}
	if r.data != "" {
		err = a.listData(ctx, r, q, lang, take)
	} else {
		err = a.listServer(ctx, r, f.query(), most, take)
	}
	if err != nil {
		return remoteProblem(err)
	}
	if err := out.close(); err != nil {
		return err
	}
	switch {
	case out.n == 0:
		a.note("no alerts")
	case more && f.limit == 0:
		a.note("the newest %d alerts; --limit N shows more", out.n)
	}
	return nil
}

func (a *app) listData(ctx context.Context, r *remote, q api.Query, lang catalog.Lang, take func(catalog.Object) (bool, error)) error {
	d, err := a.data(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for after := ""; ; {
		list, next, err := d.Alerts(ctx, q, 500, after)
		if err != nil {
			return err
		}
		for i := range list {
			if ok, err := take(catalog.Render(&list[i], lang)); err != nil || !ok {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

func (a *app) listServer(ctx context.Context, r *remote, q url.Values, most int, take func(catalog.Object) (bool, error)) error {
	c, err := a.client(r)
	if err != nil {
		return err
	}
	size := 500
	if most > 0 {
		size = min(most+1, size)
	}
	q.Set("limit", strconv.Itoa(size))
	for next := ""; ; {
		p, err := c.Alerts(ctx, q, next)
		if err != nil {
			return err
		}
		for _, o := range p.Items {
			if ok, err := take(o); err != nil || !ok {
				return err
			}
		}
		if next = p.Next; next == "" {
			return nil
		}
	}
}

func (a *app) oneAlert(ctx context.Context, r *remote, id string) (catalog.Object, error) {
	lang, err := a.lang()
	if err != nil {
		return catalog.Object{}, err
	}
	if r.data != "" {
		d, err := a.data(ctx, r)
		if err != nil {
			return catalog.Object{}, err
		}
		defer func() { _ = d.Close() }()
		al, err := d.Alert(ctx, id)
		if err != nil {
			return catalog.Object{}, remoteProblem(fmt.Errorf("alert %s: %w", id, err))
		}
		return catalog.Render(&al, lang), nil
	}
	c, err := a.client(r)
	if err != nil {
		return catalog.Object{}, err
	}
	o, err := c.Alert(ctx, id)
	return o, remoteProblem(err)
}

// watchTries bounds the attempts to reach a server again.
const watchTries = 10

func (a *app) alertsWatch(ctx context.Context, r *remote) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	out, err := newList(a, alertColumns(lang))
	if err != nil {
		return err
	}
	out.live = true
	if a.output == "json" {
		a.output = "ndjson" // a list that never ends
	}
	if r.data != "" {
		d, err := a.data(ctx, r)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		err = d.Watch(ctx, func(al weir.Alert) error { return out.add(catalog.Render(&al, lang)) })
		if drained(ctx, err) {
			return nil
		}
		return err
	}
	c, err := a.client(r)
	if err != nil {
		return err
	}
	from, seen := "", false
	for try := 0; ; try++ {
		err := c.Watch(ctx, from, func(id string, o catalog.Object) error {
			from, seen, try = id, true, 0
			return out.add(o)
		})
		switch {
		case drained(ctx, err):
			return nil
		case errors.Is(err, client.ErrResync):
			a.note("the server's change log begins anew: earlier changes may be missing")
			from = ""
		case !errors.Is(err, client.ErrUnreachable), !seen && try == 0 && !strings.Contains(err.Error(), "stream ended"), try >= watchTries:
			return remoteProblem(err)
		default:
			a.note("connection lost, trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

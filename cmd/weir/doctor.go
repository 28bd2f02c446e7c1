package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir/internal/api/client"
	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
)

func (a *app) doctorCommand() *cobra.Command {
	var r remote
	var data string
	c := &cobra.Command{
		Use: "doctor", Short: "Check ports, buffers, clocks, exporters and feeds, and say what fixes each fault",
		Long: `Doctor looks at what keeps flows from coming in or from being judged: ports,
receive buffers, the clock, the store's directory, inventory and feeds of the
configuration; and, where a server runs with it, its losses and each of its
exporters: clock, templates, sampling rate, lateness, silence. With every fault
goes the command or setting that fixes it.

It asks the server at api.listen, or at --server. Nothing is changed. The exit
status is 1 when something does not work; warnings leave it at 0.`,
		Example: "  weir doctor -c /etc/weir/weir.yaml\n  weir doctor --server https://weir.example.net --token-file token -o json",
		Args:    usageArgs(cobra.NoArgs, "doctor"), ValidArgsFunction: noFiles,
		RunE: a.do(func(ctx context.Context, _ []string) error { return a.doctor(ctx, &r, data) }),
	}
	r.add(c, false)
	c.Flags().StringVar(&data, "data", "", "`DIR` of everything the server keeps (store.dir)")
	a.setFlag(c.Flags())
	return c
}

func (a *app) doctor(ctx context.Context, r *remote, data string) error {
	l, err := a.serverConfig(data)
	if err != nil {
		return err
	}
	x := engine.Examination{Config: l, Now: time.Now()}
	running, first, err := a.running(ctx, l, r)
	if err != nil {
		return err
	}
	x.Running = running
	out, err := newList(a, []column[engine.Check]{
		{name: "status", text: func(c engine.Check) string { return c.Status }, color: checkColor},
		{name: "check", text: func(c engine.Check) string { return c.Check }},
		{name: "subject", text: func(c engine.Check) string { return c.Subject }},
		{name: "found", text: func(c engine.Check) string { return c.Found }},
		{name: "fix", text: func(c engine.Check) string { return c.Fix }},
	})
	if err != nil {
		return err
	}
	checks := append([]engine.Check{first}, engine.Examine(x)...)
	count := map[string]int{}
	for _, c := range checks {
		count[c.Status]++
		if a.output == "table" && len(a.columns) == 0 {
			continue
		}
		if err := out.add(c); err != nil {
			return err
		}
	}
	if a.output == "table" && len(a.columns) == 0 {
		err = a.checkText(checks)
	} else {
		err = out.close()
	}
	if err != nil {
		return err
	}
	a.note("%d ok, %d warnings, %d faults, %d skipped", count[engine.CheckOK], count[engine.CheckWarning], count[engine.CheckFault], count[engine.CheckSkipped])
	if count[engine.CheckFault] > 0 {
		return &exitError{code: exitFailure}
	}
	return nil
}

// running asks the server of a configuration, or the one that was named. The
// check says what came of it.
func (a *app) running(ctx context.Context, l *config.Loaded, r *remote) (*engine.Running, engine.Check, error) {
	named := r.server
	if named == "" {
		named = a.getenv("WEIR_SERVER")
	}
	server := named
	if server == "" {
		server = serverURL(l)
	}
	check := engine.Check{Status: engine.CheckSkipped, Check: "server", Subject: server}
	if server == "" {
		check.Found, check.Subject = "api.listen names no port, so no server can be found by it: what exporters send was not looked at", string(l.API.Listen)
		check.Fix = "weir doctor --server URL"
		return nil, check, nil
	}
	c, err := a.client(&remote{server: server, tokenFile: r.tokenFile})
	if err != nil {
		return nil, check, err
	}
	running, err := engine.AskRunning(ctx, server, func(ctx context.Context, path string, v any) error { return c.Get(ctx, path, nil, v) })
	switch {
	case err == nil:
		check.Status, check.Found = engine.CheckOK, "answers"
	case ctx.Err() != nil:
		return nil, check, ctx.Err()
	case errors.Is(err, client.ErrUnreachable):
		if named != "" {
			check.Status = engine.CheckFault
		}
		check.Found = "no server answers here: what exporters send was not looked at"
		check.Fix = "weir serve"
		if a.configFile != "" {
			check.Fix += " -c " + a.configFile
		}
	default:
		check.Status, check.Found = engine.CheckFault, err.Error()
		check.Fix = "weir doctor --token-file FILE, with a token of role reader or higher of api.tokens"
	}
	return running, check, nil
}

// serverURL is where the server of a configuration is found on this machine,
// empty where its port is any free one.
func serverURL(l *config.Loaded) string {
	host, port, err := net.SplitHostPort(string(l.API.Listen))
	if err != nil || port == "0" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if l.API.TLS != nil {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

func checkColor(c engine.Check) string {
	switch c.Status {
	case engine.CheckFault:
		return "31"
	case engine.CheckWarning:
		return "33"
	case engine.CheckOK:
		return "32"
	}
	return ""
}

// checkText writes checks for people: what fixes a fault stands on a line of its
// own, to be copied.
func (a *app) checkText(checks []engine.Check) error {
	w := bufio.NewWriter(a.out)
	for _, c := range checks {
		status := fmt.Sprintf("%-8s", c.Status)
		if code := checkColor(c); code != "" && a.colors() {
			status = "\x1b[" + code + "m" + status + "\x1b[0m"
		}
		printf(w, "%s %s: %s\n", status, clean(strings.TrimSpace(c.Check+" "+c.Subject), false), clean(strings.ReplaceAll(c.Found, "\n", "; "), false))
		if c.Fix != "" {
			printf(w, "         fix: %s\n", clean(c.Fix, false))
		}
	}
	return w.Flush()
}

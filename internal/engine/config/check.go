package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// checker collects what the types of keys cannot say.
type checker struct {
	l *Loaded
	p Problems
}

func (c *checker) fail(key, format string, args ...any) {
	c.p = append(c.p, Problem{Where: c.l.place(key), Key: key, Text: fmt.Sprintf(format, args...)})
}

// check holds the rules between keys.
func (l *Loaded) check() Problems {
	c := &checker{l: l}
	c.listen()
	c.intel()
	c.rules()
	c.suppressions()
	c.storage()
	for i := range l.Export.Sinks {
		c.sink(&l.Export.Sinks[i], fmt.Sprintf("export.sinks[%d]", i))
	}
	c.unique("export.sinks", len(l.Export.Sinks), func(i int) string { return l.Export.Sinks[i].Name })
	c.unique("inputs.kafka", len(l.Inputs.Kafka), func(i int) string { return l.Inputs.Kafka[i].Name })
	c.unique("inputs.watch", len(l.Inputs.Watch), func(i int) string { return l.Inputs.Watch[i].Name })
	c.api()
	return c.p
}

func (c *checker) unique(key string, n int, name func(int) string) {
	seen := map[string]bool{}
	for i := range n {
		if v := name(i); v == "" {
			c.fail(fmt.Sprintf("%s[%d].name", key, i), "the name is empty, expected a unique name")
		} else if seen[v] {
			c.fail(fmt.Sprintf("%s[%d].name", key, i), "%q stands twice, expected a unique name", v)
		}
		seen[name(i)] = true
	}
}

func (c *checker) listen() {
	seen := map[Address]bool{}
	for _, list := range []struct {
		key   string
		addrs []Address
	}{{"listen.netflow", c.l.Listen.Netflow}, {"listen.sflow", c.l.Listen.SFlow}} {
		for i, a := range list.addrs {
			if seen[a] && !strings.HasSuffix(string(a), ":0") {
				c.fail(fmt.Sprintf("%s[%d]", list.key, i), "%q is listened on twice, expected different addresses", a)
			}
			seen[a] = true
		}
	}
	if c.l.Listen.ReceiveBuffer < 4096 || c.l.Listen.ReceiveBuffer > 1<<31-1 {
		c.fail("listen.receiveBuffer", "%s is out of range, expected 4096 to 2 GiB", c.l.Listen.ReceiveBuffer)
	}
}

func (c *checker) positive(key string, d Duration) {
	if d <= 0 {
		c.fail(key, "%s is too short, expected more than 0s", d)
	}
}

func (c *checker) intel() {
	c.positive("inventory.interval", c.l.Inventory.Interval)
	c.positive("intel.maxAge", c.l.Intel.MaxAge)
	c.unique("intel.feeds", len(c.l.Intel.Feeds), func(i int) string { return c.l.Intel.Feeds[i].Name })
	for i, f := range c.l.Intel.Feeds {
		c.positive(fmt.Sprintf("intel.feeds[%d].interval", i), f.Interval)
		c.positive(fmt.Sprintf("intel.feeds[%d].expiry", i), f.Expiry)
	}
}

func (c *checker) rules() {
	c.positive("detect.idle", c.l.Detect.Idle)
	for i, t := range c.l.Detect.Disabled {
		if !t.Valid() {
			c.fail(fmt.Sprintf("detect.disabled[%d]", i), "%q is no alert type%s", t, suggest(string(t), typeNames()))
			return
		}
	}
	if err := c.l.Rules().Validate(); err != nil {
		key, text, ok := strings.Cut(err.Error(), ": ")
		if !ok || !strings.HasPrefix(key, "detect") {
			key, text = "detect", err.Error()
		}
		c.fail(key, "%s", text)
	}
}

func typeNames() []string {
	all := weir.AlertTypes()
	out := make([]string, len(all))
	for i, t := range all {
		out[i] = string(t)
	}
	return out
}

var suppressionName = regexp.MustCompile(`^[A-Za-z0-9_-]{2,50}$`)

func (c *checker) suppressions() {
	list := c.l.Suppressions
	c.unique("suppressions", len(list), func(i int) string { return list[i].Name })
	for i, s := range list {
		key := fmt.Sprintf("suppressions[%d]", i)
		if !suppressionName.MatchString(s.Name) {
			c.fail(key+".name", "%q is no name, expected 2 to 50 letters, digits, - and _", s.Name)
		}
		if s.AlertType != "*" && !weir.AlertType(s.AlertType).Valid() {
			c.fail(key+".alertType", "%q is no alert type, expected one or *%s", s.AlertType, suggest(s.AlertType, typeNames()))
		}
		if s.Reason == "" {
			c.fail(key+".reason", "the reason is empty, expected a text")
		}
		if _, err := time.Parse(time.RFC3339, s.Expires); s.Expires != "" && err != nil {
			c.fail(key+".expires", "%q is no time, expected RFC 3339 such as 2027-06-30T00:00:00Z", s.Expires)
		}
		for j, o := range s.AllOf {
			if (len(o.In) == 0) == (o.Contains == "") {
				c.fail(fmt.Sprintf("%s.allOf[%d]", key, j), "one of the keys in and contains is expected")
			}
		}
	}
}

func (c *checker) storage() {
	l := c.l
	if l.Store.Type == "postgres" && l.Store.DSN == "" {
		c.fail("store.dsn", "the key is missing, expected a secret with the PostgreSQL URL (store.type is postgres)")
	}
	if l.Store.Dir == "" {
		c.fail("store.dir", "the path is empty, expected a directory")
	}
	c.positive("store.retention", l.Store.Retention)
	c.positive("journal.sync", l.Journal.Sync)
	c.positive("journal.retention", l.Journal.Retention)
	c.positive("journal.checkpoint", l.Journal.Checkpoint)
	c.positive("archive.retention", l.Archive.Retention)
	if l.Journal.Type == "kafka" && len(l.Journal.Kafka.Brokers) == 0 {
		c.fail("journal.kafka.brokers", "the list is empty, expected addresses of brokers (journal.type is kafka)")
	}
}

// sink checks that the keys of a sink are those of its type.
func (c *checker) sink(s *Sink, key string) {
	t := sinkTypes()[s.Type]
	if s.Encoding == "" && len(t.encodings) > 0 {
		s.Encoding = t.encodings[0]
	}
	if s.Encoding != "" && !slices.Contains(t.encodings, s.Encoding) {
		want := "no encoding"
		if len(t.encodings) > 0 {
			want = "one of " + strings.Join(t.encodings, ", ")
		}
		c.fail(key+".encoding", "%q does not go with type %s, expected %s", s.Encoding, s.Type, want)
	}
	v := reflect.ValueOf(s).Elem()
	for _, f := range fields(v.Type()) {
		name, only := f.Tag.Get("yaml"), f.Tag.Get("sinks")
		given := c.l.Given(key + "." + name)
		if only != "" && given && !slices.Contains(strings.Split(only, ","), s.Type) {
			c.fail(key+"."+name, "the key does not go with type %s, it belongs to %s", s.Type, only)
		}
		if slices.Contains(t.required, name) && v.FieldByIndex(f.Index).IsZero() {
			c.fail(key+"."+name, "the key is missing, expected %s (type is %s)", wants(f.Type), s.Type)
		}
	}
	if (s.Preset == "eventHubs") != (s.Type == "kafka") && s.Preset != "" && (s.Preset == "logicApp") != (s.Type == "webhook") {
		c.fail(key+".preset", "%q does not go with type %s", s.Preset, s.Type)
	}
	for name, u := range map[string]URL{"url": s.URL, "endpoint": s.Endpoint, "authority": s.Authority} {
		if u.insecure() && !s.Insecure {
			c.fail(key+"."+name, "http to a host other than loopback is refused, expected https, or insecure: true on the sink")
		}
	}
	c.positive(key+".timeout", s.Timeout)
	c.positive(key+".retryMin", s.RetryMin)
	if s.RetryMax < s.RetryMin {
		c.fail(key+".retryMax", "%s is shorter than retryMin (%s)", s.RetryMax, s.RetryMin)
	}
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (c *checker) api() {
	a := &c.l.API
	c.unique("api.tokens", len(a.Tokens), func(i int) string { return a.Tokens[i].Name })
	if !guid.MatchString(a.Azure.Subscription) {
		c.fail("api.azure.subscription", "%q is no GUID", a.Azure.Subscription)
	}
	if a.TLS != nil && (a.TLS.Cert == "" || a.TLS.Key == "") {
		c.fail("api.tls", "cert and key are expected together")
	}
	if a.TLS != nil {
		c.roles("api.tls.roles", a.TLS.Roles)
		if len(a.TLS.Roles) > 0 && a.TLS.ClientCA == "" {
			c.fail("api.tls.roles", "roles of client certificates need clientCA")
		}
	}
	if a.OIDC != nil {
		c.roles("api.oidc.roles", a.OIDC.Roles)
	}
	if !a.Authenticates() && !a.Listen.Loopback() {
		c.fail("api.listen", "%s is reachable from elsewhere and nothing asks who is there, expected a loopback address, or api.tokens, api.oidc or api.tls.roles", a.Listen)
	}
}

func (c *checker) roles(key string, m map[string]string) {
	for k, r := range m {
		if r != "reader" && r != "triage" && r != "admin" {
			c.fail(join(key, k), "%q is no role, expected reader, triage or admin", r)
		}
	}
}

// Authenticates reports whether the API asks clients who they are.
func (a *API) Authenticates() bool {
	return len(a.Tokens) > 0 || a.OIDC != nil || a.TLS != nil && len(a.TLS.Roles) > 0
}

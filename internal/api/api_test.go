package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/api/client"
	"github.com/weir-net/weir/internal/catalog"
)

// fake is a backend in memory.
type fake struct {
	alerts []weir.Alert // newest first
	query  Query
	feed   chan Change
	gone   bool
	ready  bool
}

func (f *fake) Alert(_ context.Context, id string) (weir.Alert, error) {
	for _, a := range f.alerts {
		if a.ID == id {
			return a, nil
		}
	}
	return weir.Alert{}, ErrNotFound
}

func (f *fake) Alerts(_ context.Context, q Query, limit int, after string) ([]weir.Alert, string, error) {
	f.query = q
	list := f.alerts
	for i, a := range list {
		if a.ID == after {
			list = list[i+1:]
			break
		}
	}
	if after == "broken" {
		return nil, "", errors.New("secret path /var/lib/weir")
	}
	if len(list) > limit {
		return list[:limit], list[limit-1].ID, nil
	}
	return list, "", nil
}
func (f *fake) Head(context.Context) (int64, error) { return 7, nil }
func (f *fake) Watch(ctx context.Context, from int64, fn func([]Change) error) error {
	if f.gone {
		return ErrGone
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-f.feed:
			if c.Place <= from {
				continue
			}
			if err := fn([]Change{c}); err != nil {
				return err
			}
		}
	}
}
func (f *fake) Health(context.Context) any { return map[string]string{"status": "ok"} }
func (f *fake) Ready(context.Context) (bool, []string, []string) {
	return f.ready, []string{"x"}, nil
}
func (f *fake) Exporters() []any            { return nil }
func (f *fake) Resources() []*weir.Resource { return []*weir.Resource{resource()} }
func (f *fake) Whois(a netip.Addr) *weir.Resource {
	if a == resource().Addresses[0] {
		return resource()
	}
	return nil
}
func (f *fake) Intel(netip.Addr) *weir.Verdict { return nil }

func resource() *weir.Resource {
	return &weir.Resource{ID: "web-1", Name: "web-1", Kind: weir.VirtualMachine, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}
}

func newFake(n int) *fake {
	f := &fake{feed: make(chan Change, 10), ready: true}
	for i := range n {
		f.alerts = append(f.alerts, weir.Alert{
			ID: fmt.Sprintf("id-%02d", i), Version: 3, Status: weir.Active,
			Finding: weir.Finding{Type: weir.SSHIncomingOneToOne, Resource: resource(), Own: resource().Addresses[0], Direction: weir.Incoming, Unit: weir.UnitConnections,
				Peers: []weir.PeerEvidence{{Address: netip.MustParseAddr("198.51.100.7")}}},
		})
	}
	return f
}

func start(t *testing.T, c Config, f *fake) (string, *Server) {
	t.Helper()
	s := New(c, f)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL, s
}

// got is what a server answered.
type got struct {
	StatusCode int
	Header     http.Header
}

func ask(t *testing.T, method, u string, header map[string]string) (got, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{resp.StatusCode, resp.Header}, string(b)
}

func TestAnswers(t *testing.T) {
	base, _ := start(t, Config{Origins: []string{"https://console.example"}, Metrics: http.NotFoundHandler()}, newFake(3))
	tests := []struct {
		method, path string
		header       map[string]string
		status       int
		want         string
	}{
		{"GET", "/api/v1/alerts", nil, 200, `"id":"id-00"`},
		{"GET", "/api/v1/alerts?limit=2", nil, 200, `"next":"/api/v1/alerts?after=id-01\u0026limit=2"`},
		{"GET", "/api/v1/alerts?limit=0", nil, 400, `"code":"bad-parameter"`},
		{"GET", "/api/v1/alerts?limit=5000", nil, 400, `expected 1 to 1000`},
		{"GET", "/api/v1/alerts?severty=high", nil, 400, `unknown parameter severty`},
		{"GET", "/api/v1/alerts?severity=hot", nil, 400, `severity: `},
		{"GET", "/api/v1/alerts?status=gone", nil, 400, `status: `},
		{"GET", "/api/v1/alerts?rule=NOPE*", nil, 400, `names no alert type`},
		{"GET", "/api/v1/alerts?rule=[", nil, 400, `no pattern`},
		{"GET", "/api/v1/alerts?rule=DDOS&severity=high", nil, 200, `{"items":[]}`},
		{"GET", "/api/v1/alerts?peer=x", nil, 400, `no address`},
		{"GET", "/api/v1/alerts?since=yesterday", nil, 400, `no time`},
		{"GET", "/api/v1/alerts?lang=fr", nil, 400, `language must be en or ja`},
		{"GET", "/api/v1/alerts?after=broken", nil, 500, `"code":"internal"`},
		{"GET", "/api/v1/alerts/id-01", nil, 200, `"alertType":"SSH_Incoming_BF_OneToOne"`},
		{"GET", "/api/v1/alerts/id-01?lang=ja", nil, 200, `"lang":"ja"`},
		{"GET", "/api/v1/alerts/id-01", map[string]string{"Accept-Language": "ja,en;q=0.5"}, 200, `"lang":"ja"`},
		{"GET", "/api/v1/alerts/id-01", map[string]string{"If-None-Match": `"3-en"`}, 304, ``},
		{"GET", "/api/v1/alerts/id-01", map[string]string{"If-None-Match": `"2-en"`}, 200, `id-01`},
		{"GET", "/api/v1/alerts/id-01/evidence", nil, 200, `"peers":[{"address":"198.51.100.7"`},
		{"GET", "/api/v1/alerts/nope", nil, 404, `"code":"not-found"`},
		{"POST", "/api/v1/alerts", nil, 405, `method-not-allowed`},
		{"GET", "/nope", nil, 404, `"status":404`},
		{"GET", "/api/v1/health", nil, 200, `"status":"ok"`},
		{"GET", "/api/v1/exporters", nil, 200, `{"items":[]}`},
		{"GET", "/api/v1/resources?address=203.0.113.10", nil, 200, `"web-1"`},
		{"GET", "/api/v1/resources?address=203.0.113.11", nil, 200, `{"items":[]}`},
		{"GET", "/api/v1/resources?address=x", nil, 400, `no address`},
		{"GET", "/api/v1/rules", nil, 200, `"id":"DDOS"`},
		{"GET", "/api/v1/rules/ddos", nil, 200, `"id":"DDOS"`},
		{"GET", "/api/v1/rules/nope", nil, 404, `not-found`},
		{"GET", "/api/v1/intel/192.0.2.1", nil, 200, `{"items":[]}`},
		{"GET", "/api/v1/intel/x", nil, 400, `no address`},
		{"GET", "/healthz", nil, 200, `ok`},
		{"GET", "/readyz", nil, 200, `"ready":true`},
		{"GET", "/api/v1/alerts", map[string]string{"Host": "evil.example"}, 401, `unauthenticated`},
		{"GET", "/api/v1/alerts", map[string]string{"Host": "localhost:1"}, 200, `id-00`},
	}
	for _, tt := range tests {
		resp, body := ask(t, tt.method, base+tt.path, tt.header)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s %v: %d %s, want %d …%s", tt.method, tt.path, tt.header, resp.StatusCode, body[:min(len(body), 300)], tt.status, tt.want)
		}
		if strings.Contains(body, "secret path") {
			t.Errorf("%s: the answer tells what is inside", tt.path)
		}
		if ct := resp.Header.Get("Content-Type"); tt.status >= 400 && ct != "application/problem+json" {
			t.Errorf("%s: %s", tt.path, ct)
		}
	}
	resp, _ := ask(t, "GET", base+"/api/v1/health", map[string]string{"Origin": "https://console.example"})
	if resp.Header.Get("Access-Control-Allow-Origin") != "https://console.example" {
		t.Error("a configured origin is not allowed")
	}
	resp, _ = ask(t, "GET", base+"/api/v1/health", map[string]string{"Origin": "https://evil.example"})
	if resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("any origin is allowed")
	}
}

func TestQuery(t *testing.T) {
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	q, err := ParseQuery(url.Values{
		"rule": {"ssh*incoming*"}, "severity": {"medium,low"}, "status": {"active"}, "resource": {"web-1"}, "peer": {"::ffff:192.0.2.1"},
		"since": {"24h"}, "until": {"2026-03-01T12:00:00Z"},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := Query{
		Types: []weir.AlertType{weir.SSHIncomingManyToOne, weir.SSHIncomingOneToOne}, Statuses: []weir.Status{weir.Active}, Resource: "web-1", Peer: "192.0.2.1",
		Since: now.Add(-24 * time.Hour).UnixNano(), Until: now.Add(-12 * time.Hour).UnixNano(),
	}
	if d := cmp.Diff(want, q); d != "" {
		t.Error(d)
	}
}

func TestRoles(t *testing.T) {
	base, s := start(t, Config{
		Tokens:  []Token{{"a", Reader, "reader-token"}, {"b", Admin, "admin-token"}},
		Metrics: http.NotFoundHandler(), ProtectMetrics: true,
	}, newFake(1))
	s.mux.Handle("GET /test/admin", s.need(Admin, func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok") }))
	tests := []struct {
		path, auth string
		status     int
	}{
		{"/api/v1/alerts", "", 401}, {"/api/v1/alerts", "Bearer nope", 401}, {"/api/v1/alerts", "Basic reader-token", 401},
		{"/api/v1/alerts", "Bearer reader-token", 200}, {"/api/v1/alerts", "bearer admin-token", 200},
		{"/test/admin", "Bearer reader-token", 403}, {"/test/admin", "Bearer admin-token", 200},
		{"/healthz", "", 200}, {"/readyz", "", 200}, {"/metrics", "", 401},
	}
	for _, tt := range tests {
		resp, _ := ask(t, "GET", base+tt.path, map[string]string{"Authorization": tt.auth})
		if resp.StatusCode != tt.status {
			t.Errorf("%s as %q: %d, want %d", tt.path, tt.auth, resp.StatusCode, tt.status)
		}
		if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: 401 without WWW-Authenticate", tt.path)
		}
	}
}

func TestReadiness(t *testing.T) {
	f := newFake(0)
	f.ready = false
	base, _ := start(t, Config{}, f)
	resp, body := ask(t, "GET", base+"/readyz", nil)
	if resp.StatusCode != 503 || !strings.Contains(body, `"missing":["x"]`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestStream(t *testing.T) {
	f := newFake(2)
	base, s := start(t, Config{}, f)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/stream?lang=ja", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "7")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatal(ct)
	}
	f.feed <- Change{7, f.alerts[0]}
	f.feed <- Change{8, f.alerts[1]}
	var got []string
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		got = append(got, lines.Text())
		if strings.HasPrefix(lines.Text(), "data:") {
			break
		}
	}
	text := strings.Join(got, "\n")
	if !strings.Contains(text, "id: 8\nevent: alert\ndata: {") || !strings.Contains(text, `"id":"id-01"`) || !strings.Contains(text, `"lang":"ja"`) {
		t.Error(text)
	}
	s.Close()
	for lines.Scan() { // ends, because the server closes its streams
		_ = lines.Text()
	}
	resp2, _ := ask(t, "GET", base+"/api/v1/stream", map[string]string{"Last-Event-ID": "x"})
	if resp2.StatusCode != 400 {
		t.Errorf("a place that is no number: %d", resp2.StatusCode)
	}
}

func TestClient(t *testing.T) {
	f := newFake(5)
	base, s := start(t, Config{Tokens: []Token{{"a", Reader, "secret"}}}, f)
	c, err := client.New(base, "secret", catalog.EN)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var ids []string
	next := ""
	for {
		p, err := c.Alerts(ctx, url.Values{"limit": {"2"}}, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Items {
			ids = append(ids, o.ID)
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if d := cmp.Diff([]string{"id-00", "id-01", "id-02", "id-03", "id-04"}, ids); d != "" {
		t.Error(d)
	}
	o, err := c.Alert(ctx, "id-03")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(catalog.Render(&f.alerts[3], catalog.EN))
	got, _ := json.Marshal(o)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	if _, err := c.Alert(ctx, "no/pe"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := c.Alerts(ctx, url.Values{"limit": {"0"}}, ""); err == nil || !strings.Contains(err.Error(), "expected 1 to 1000") {
		t.Errorf("got %v", err)
	}
	done := errors.New("enough")
	f.feed <- Change{9, f.alerts[2]}
	err = c.Watch(ctx, "7", func(id string, o catalog.Object) error {
		if id != "9" || o.ID != "id-02" {
			t.Errorf("got %s %s", id, o.ID)
		}
		return done
	})
	if !errors.Is(err, done) {
		t.Errorf("got %v", err)
	}
	f.gone = true
	if err := c.Watch(ctx, "7", func(string, catalog.Object) error { return nil }); !errors.Is(err, client.ErrResync) {
		t.Errorf("got %v, want ErrResync", err)
	}
	s.Close()
	if _, err := client.New("ftp://x", "", catalog.EN); err == nil {
		t.Error("ftp was accepted")
	}
	away, err := client.New("127.0.0.1:1", "", catalog.EN)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := away.Alert(ctx, "x"); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}

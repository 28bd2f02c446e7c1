package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

// Errors that a Backend returns and that become answers.
var (
	// ErrNotFound: nothing has that id (404).
	ErrNotFound = errors.New("not found")
	// ErrGone: the change log no longer reaches back that far (resync).
	ErrGone = errors.New("gone")
)

// Role is what a client may do. Higher values may do more.
type Role uint8

// Roles.
const (
	// NoRole may see nothing that is protected.
	NoRole Role = iota
	Reader
	Triage
	Admin
)

// ParseRole reads reader, triage or admin; NoRole for anything else.
func ParseRole(text string) Role {
	switch text {
	case "reader":
		return Reader
	case "triage":
		return Triage
	case "admin":
		return Admin
	}
	return NoRole
}

// Token is an API token.
type Token struct {
	Name   string
	Role   Role
	Secret string
}

// Query selects alerts; the zero value selects all. Lists are alternatives,
// times are Unix ns.
type Query struct {
	Types        []weir.AlertType
	Statuses     []weir.Status
	Resource     string
	Peer         string
	Since, Until int64
}

// Change is one entry of the change log.
type Change struct {
	Place int64
	Alert weir.Alert
}

// Backend is what the surface shows. It is safe for concurrent use.
type Backend interface {
	// Alert returns one alert, or ErrNotFound.
	Alert(ctx context.Context, id string) (weir.Alert, error)
	// Alerts returns a page, newest start first, and the cursor of the next one,
	// empty on the last.
	Alerts(ctx context.Context, q Query, limit int, after string) ([]weir.Alert, string, error)
	// Head is the place of the newest change.
	Head(ctx context.Context) (int64, error)
	// Watch calls fn with the changes after a place until ctx is done or fn
	// fails; ErrGone when the log does not reach back that far.
	Watch(ctx context.Context, from int64, fn func([]Change) error) error
	// Health is the state of the process, as JSON encodes it.
	Health(ctx context.Context) any
	// Ready reports whether the process does its work, with what is missing, and
	// warnings that do not make it unready.
	Ready(ctx context.Context) (ready bool, missing, warnings []string)
	// Exporters are the senders of flow export, one object each.
	Exporters() []any
	// Resources are the resources listed one by one.
	Resources() []*weir.Resource
	// Whois returns the resource that owns an address, nil for none.
	Whois(addr netip.Addr) *weir.Resource
	// Intel returns what the feeds say of an address.
	Intel(addr netip.Addr) *weir.Verdict
}

// Config holds the settings of the surface.
type Config struct {
	// Tokens; with none, clients from loopback act as admin.
	Tokens         []Token
	ProtectMetrics bool
	// Origins are further origins that browsers may call from.
	Origins []string
	// Metrics answers /metrics.
	Metrics http.Handler
}

// Server is the HTTP surface. It is safe for concurrent use.
type Server struct {
	c       Config
	b       Backend
	mux     *http.ServeMux
	tokens  atomic.Pointer[[]tokenHash]
	closing chan struct{}
}

type tokenHash struct {
	sum  [sha256.Size]byte
	name string
	role Role
}

// New returns the surface over a backend.
func New(c Config, b Backend) *Server {
	s := &Server{c: c, b: b, mux: http.NewServeMux(), closing: make(chan struct{})}
	s.SetTokens(c.Tokens)
	s.routes()
	return s
}

// SetTokens replaces the tokens.
func (s *Server) SetTokens(tokens []Token) {
	list := make([]tokenHash, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, tokenHash{sha256.Sum256([]byte(t.Secret)), t.Name, t.Role})
	}
	s.tokens.Store(&list)
}

// Close ends the open streams, so that a server can shut down.
func (s *Server) Close() { close(s.closing) }

func (s *Server) routes() {
	read := func(pattern string, h http.HandlerFunc) { s.mux.Handle("GET "+pattern, s.need(Reader, h)) }
	read("/api/v1/alerts", s.alerts)
	read("/api/v1/alerts/{id}", s.alert)
	read("/api/v1/alerts/{id}/evidence", s.evidence)
	read("/api/v1/stream", s.stream)
	read("/api/v1/health", s.health)
	read("/api/v1/exporters", s.exporters)
	read("/api/v1/resources", s.resources)
	read("/api/v1/rules", s.rules)
	read("/api/v1/rules/{id}", s.rule)
	read("/api/v1/intel/{ip}", s.intel)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", s.ready)
	if s.c.Metrics != nil {
		var m = s.c.Metrics
		if s.c.ProtectMetrics {
			m = s.need(Reader, m.ServeHTTP)
		}
		s.mux.Handle("GET /metrics", m)
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not-found", "nothing at "+r.URL.Path)
	})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(s.c.Origins, origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Headers", "Authorization, Accept-Language, If-None-Match, Last-Event-ID")
			h.Set("Access-Control-Allow-Methods", "GET")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if _, pattern := s.mux.Handler(r); pattern == "/" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		if _, other := s.mux.Handler(&http.Request{Method: http.MethodGet, URL: r.URL, Host: r.Host}); other != "/" {
			h.Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "method-not-allowed", r.Method+" is not possible here")
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}

// need lets clients of at least a role pass.
func (s *Server) need(least Role, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role, known := s.role(r)
		switch {
		case !known:
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "unauthenticated", "a token is needed: Authorization: Bearer TOKEN")
		case role < least:
			fail(w, http.StatusForbidden, "forbidden", "the role of this token is too low")
		default:
			h(w, r)
		}
	})
}

// role tells who asks. Without tokens a client is admin when both ends are
// loopback by name too: a page of another site that resolves its own name to
// loopback must not read alerts through a browser.
func (s *Server) role(r *http.Request) (Role, bool) {
	tokens := *s.tokens.Load()
	if len(tokens) == 0 {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && peer.Addr().Unmap().IsLoopback() && loopbackHost(r.Host) {
			return Admin, true
		}
		return NoRole, false
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return NoRole, false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	role, known := NoRole, false
	for i := range tokens {
		if subtle.ConstantTimeCompare(sum[:], tokens[i].sum[:]) == 1 {
			role, known = tokens[i].role, true
		}
	}
	return role, known
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// language returns the language of an answer: ?lang=, else Accept-Language.
func language(w http.ResponseWriter, r *http.Request) (catalog.Lang, bool) {
	w.Header().Add("Vary", "Accept-Language")
	lang := catalog.Match(r.Header.Get("Accept-Language"))
	if q := r.URL.Query().Get("lang"); q != "" {
		l, err := catalog.ParseLang(q)
		if err != nil {
			fail(w, http.StatusBadRequest, "bad-parameter", "lang: "+err.Error())
			return lang, false
		}
		lang = l
	}
	w.Header().Set("Content-Language", string(lang))
	return lang, true
}

// writeDeadline bounds how long a client may take for an answer.
const writeDeadline = 30 * time.Second

// Timeouts sets the timeouts of an http.Server that serves the surface.
func Timeouts(h *http.Server) {
	h.ReadHeaderTimeout = 10 * time.Second
	h.ReadTimeout = 30 * time.Second
	h.IdleTimeout = 2 * time.Minute
	h.MaxHeaderBytes = 64 << 10
}

// known returns an error for query parameters that the handler does not know: a
// misspelt filter must not show everything.
func known(q url.Values, names ...string) string {
	for k := range q {
		if k != "lang" && !slices.Contains(names, k) {
			return "unknown parameter " + k + ", expected some of " + strings.Join(append(names, "lang"), ", ")
		}
	}
	return ""
}

package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

// Sizes of pages.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// ErrNoMatch says that a query can match nothing.
var ErrNoMatch = errors.New("nothing matches")

// ParseQuery reads the parameters of a list of alerts: rule (ids or globs),
// severity and status (lists), resource, peer, since and until (RFC 3339, or a
// time ago such as 24h).
func ParseQuery(q url.Values, now time.Time) (Query, error) {
	var out Query
	types, err := parseTypes(q["rule"], q["severity"])
	if err != nil {
		return out, err
	}
	out.Types = types
	for _, s := range split(q["status"]) {
		st, ok := parseStatus(s)
		if !ok {
			return out, fmt.Errorf("status: %q is wrong here, expected Active, InProgress, Resolved or Dismissed", s)
		}
		out.Statuses = append(out.Statuses, st)
	}
	out.Resource = q.Get("resource")
	if p := q.Get("peer"); p != "" {
		a, err := netip.ParseAddr(p)
		if err != nil {
			return out, fmt.Errorf("peer: %q is no address", p)
		}
		out.Peer = a.Unmap().String()
	}
	for name, dst := range map[string]*int64{"since": &out.Since, "until": &out.Until} {
		if text := q.Get(name); text != "" {
			t, err := parseTime(text, now)
			if err != nil {
				return out, fmt.Errorf("%s: %w", name, err)
			}
			*dst = t.UnixNano()
		}
	}
	return out, nil
}

func split(values []string) []string {
	var out []string
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// parseTypes returns the types that match one of the rules and one of the
// severities; nil for no restriction.
func parseTypes(rules, severities []string) ([]weir.AlertType, error) {
	globs, levels := split(rules), map[weir.Severity]bool{}
	for _, s := range split(severities) {
		level, err := weir.ParseSeverity(s)
		if err != nil {
			return nil, fmt.Errorf("severity: %w", err)
		}
		levels[level] = true
	}
	if len(globs) == 0 && len(levels) == 0 {
		return nil, nil
	}
	used := map[string]bool{}
	var out []weir.AlertType
	for _, e := range catalog.Entries() {
		match := len(globs) == 0
		for _, g := range globs {
			ok, err := path.Match(strings.ToLower(g), strings.ToLower(string(e.Type)))
			if err != nil {
				return nil, fmt.Errorf("rule: %q is no pattern", g)
			}
			if ok {
				used[g], match = true, true
			}
		}
		if match && (len(levels) == 0 || levels[e.Severity]) {
			out = append(out, e.Type)
		}
	}
	for _, g := range globs {
		if !used[g] {
			return nil, fmt.Errorf("rule: %q names no alert type; /api/v1/rules lists them", g)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoMatch
	}
	return out, nil
}

func parseStatus(text string) (weir.Status, bool) {
	for _, s := range []weir.Status{weir.Active, weir.InProgress, weir.Resolved, weir.Dismissed} {
		if strings.EqualFold(text, string(s)) {
			return s, true
		}
	}
	return "", false
}

func parseTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	days, ok := strings.CutSuffix(text, "d")
	if n, err := strconv.Atoi(days); ok && err == nil && n >= 0 && n < 100000 {
		return now.AddDate(0, 0, -n), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time, expected RFC 3339 or a time ago such as 24h or 7d", text)
}

func (s *Server) alerts(w http.ResponseWriter, r *http.Request) {
	lang, ok := language(w, r)
	if !ok {
		return
	}
	params := r.URL.Query()
	if msg := known(params, "rule", "severity", "status", "resource", "peer", "since", "until", "limit", "after"); msg != "" {
		fail(w, http.StatusBadRequest, "bad-parameter", msg)
		return
	}
	limit := defaultLimit
	if text := params.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			fail(w, http.StatusBadRequest, "bad-parameter", fmt.Sprintf("limit: %q is wrong here, expected 1 to %d", text, maxLimit))
			return
		}
		limit = n
	}
	q, err := ParseQuery(params, time.Now())
	if errors.Is(err, ErrNoMatch) {
		answer(w, items[catalog.Object](nil))
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "bad-parameter", err.Error())
		return
	}
	list, next, err := s.b.Alerts(r.Context(), q, limit, params.Get("after"))
	if err != nil {
		broken(w, r, err)
		return
	}
	out := page[catalog.Object]{Items: make([]catalog.Object, 0, len(list))}
	for i := range list {
		out.Items = append(out.Items, catalog.Render(&list[i], lang))
	}
	if next != "" {
		params.Set("after", next)
		out.Next = r.URL.Path + "?" + params.Encode()
		w.Header().Set("Link", "<"+out.Next+`>; rel="next"`)
	}
	answer(w, out)
}

// one reads the alert of the path and answers conditional requests.
func (s *Server) one(w http.ResponseWriter, r *http.Request) (catalog.Object, bool) {
	lang, ok := language(w, r)
	if !ok {
		return catalog.Object{}, false
	}
	a, err := s.b.Alert(r.Context(), r.PathValue("id"))
	if err != nil {
		broken(w, r, err)
		return catalog.Object{}, false
	}
	tag := fmt.Sprintf(`"%d-%s"`, a.Version, lang)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	for _, have := range split(r.Header.Values("If-None-Match")) {
		if have == "*" || strings.TrimPrefix(have, "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return catalog.Object{}, false
		}
	}
	return catalog.Render(&a, lang), true
}

func (s *Server) alert(w http.ResponseWriter, r *http.Request) {
	if o, ok := s.one(w, r); ok {
		answer(w, o)
	}
}

func (s *Server) evidence(w http.ResponseWriter, r *http.Request) {
	if o, ok := s.one(w, r); ok {
		answer(w, o.Evidence)
	}
}

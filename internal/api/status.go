package api

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

func (s *Server) health(w http.ResponseWriter, r *http.Request) { answer(w, s.b.Health(r.Context())) }

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool     `json:"ready"`
	Missing  []string `json:"missing,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ready, missing, warnings := s.b.Ready(r.Context())
	if !ready {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	answer(w, readiness{ready, missing, warnings})
}

func (s *Server) exporters(w http.ResponseWriter, _ *http.Request) { answer(w, items(s.b.Exporters())) }

func (s *Server) resources(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	if msg := known(params, "address"); msg != "" {
		fail(w, http.StatusBadRequest, "bad-parameter", msg)
		return
	}
	text := params.Get("address")
	if text == "" {
		answer(w, items(s.b.Resources()))
		return
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		fail(w, http.StatusBadRequest, "bad-parameter", "address: "+text+" is no address")
		return
	}
	var list []*weir.Resource
	if found := s.b.Whois(addr.Unmap()); found != nil {
		list = append(list, found)
	}
	answer(w, items(list))
}

func (s *Server) rules(w http.ResponseWriter, _ *http.Request) { answer(w, items(catalog.Entries())) }

func (s *Server) rule(w http.ResponseWriter, r *http.Request) {
	for _, e := range catalog.Entries() {
		if strings.EqualFold(string(e.Type), r.PathValue("id")) {
			answer(w, e)
			return
		}
	}
	fail(w, http.StatusNotFound, "not-found", "no rule "+r.PathValue("id"))
}

func (s *Server) intel(w http.ResponseWriter, r *http.Request) {
	addr, err := netip.ParseAddr(r.PathValue("ip"))
	if err != nil {
		fail(w, http.StatusBadRequest, "bad-parameter", r.PathValue("ip")+" is no address")
		return
	}
	var list []*weir.Indicator
	if v := s.b.Intel(addr.Unmap()); v != nil {
		list = v.Indicators
	}
	answer(w, items(list))
}

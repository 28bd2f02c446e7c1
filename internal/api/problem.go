package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Problem is an error answer (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Code is stable; programs branch on it.
	Code string `json:"code"`
	// Trace names this answer, for the operator's log.
	Trace string `json:"trace"`
}

// fail writes a problem.
func fail(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	p := Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Trace: rand.Text()}
	_ = json.NewEncoder(w).Encode(p)
}

// broken writes the answer for an error of the backend. What went wrong inside
// is for the operator, not for the client.
func broken(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, "not-found", "there is no such thing")
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		// The client has gone.
	default:
		fail(w, http.StatusInternalServerError, "internal", "the server could not answer; its log says more")
	}
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "internal", "the answer could not be written")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeDeadline))
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// page is a list: its items and the address of the next page.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func items[T any](list []T) page[T] {
	if list == nil {
		list = []T{}
	}
	return page[T]{Items: list}
}

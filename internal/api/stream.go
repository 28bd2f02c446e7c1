package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-net/weir/internal/catalog"
)

// heartbeat is the time between two comments on a silent stream, below the
// idle timeouts of common proxies.
const heartbeat = 15 * time.Second

// stream sends changes of alerts as server-sent events (WHATWG HTML, section
// 9.2): event alert with the place in the change log as id. A client resumes
// with Last-Event-ID (or ?from=) and begins at the newest change without; when
// the log does not reach back that far it gets the event resync and has to list
// anew.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	lang, ok := language(w, r)
	if !ok {
		return
	}
	from, err := s.from(r)
	if err != nil {
		if errors.Is(err, errBadPlace) {
			fail(w, http.StatusBadRequest, "bad-parameter", err.Error())
			return
		}
		broken(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events := &eventWriter{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx: do not buffer
	if err := events.send(fmt.Sprintf(": from %d\nretry: 2000\n\n", from)); err != nil {
		return
	}
	changes := make(chan []Change)
	watched := make(chan error, 1)
	go func() {
		watched <- s.b.Watch(ctx, from, func(list []Change) error {
			select {
			case changes <- list:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case err := <-watched:
			if errors.Is(err, ErrGone) {
				_ = events.send("event: resync\ndata: {}\n\n")
			}
			return
		case <-beat.C:
			err = events.send(":\n\n")
		case list := <-changes:
			for _, c := range list {
				var body []byte
				if body, err = json.Marshal(catalog.Render(&c.Alert, lang)); err != nil {
					break
				}
				if err = events.send(fmt.Sprintf("id: %d\nevent: alert\ndata: %s\n\n", c.Place, body)); err != nil {
					break
				}
			}
		}
		if err != nil {
			return
		}
	}
}

var errBadPlace = errors.New("the place in the change log must be a number")

func (s *Server) from(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("from")
	}
	if text == "" {
		return s.b.Head(r.Context())
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errBadPlace
	}
	return n, nil
}

type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e *eventWriter) send(text string) error {
	if err := e.rc.SetWriteDeadline(time.Now().Add(writeDeadline)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.rc.Flush()
}

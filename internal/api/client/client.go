// Package client talks to the API of a running server.
package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-net/weir/internal/catalog"
)

// Errors that callers branch on.
var (
	// ErrUnreachable says that no server answered.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrNotFound says that the server knows no such thing.
	ErrNotFound = errors.New("not found")
	// ErrResync says that a watch fell behind the server's change log.
	ErrResync = errors.New("the change log no longer reaches back that far")
)

// maxBody bounds one answer, maxEvent one event, in bytes.
const (
	maxBody  = 256 << 20
	maxEvent = 16 << 20
)

// Client is a client of one server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	lang  catalog.Lang
	http  *http.Client
}

// New returns a client of the server at base, such as http://127.0.0.1:8780.
// The token may be empty.
func New(base, token string, lang catalog.Lang) (*Client, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no server, expected a URL such as http://127.0.0.1:8780", base)
	}
	return &Client{base: u, token: token, lang: lang, http: &http.Client{}}, nil
}

// get asks for a path and returns the body of a good answer.
func (c *Client) get(ctx context.Context, path string, q url.Values, header map[string]string) (*http.Response, error) {
	ref, err := url.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + ref.Path
	u.RawPath = ""
	u.RawQuery = ref.RawQuery
	if q != nil {
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	req.Header.Set("Accept-Language", string(c.lang))
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var p struct{ Detail, Title string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p)
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	if p.Detail == "" {
		p.Detail = resp.Status
	}
	return nil, fmt.Errorf("the server answered %d: %s", resp.StatusCode, p.Detail)
}

// Get decodes the answer of a path, such as /api/v1/health, into v.
func (c *Client) Get(ctx context.Context, path string, q url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := c.get(ctx, path, q, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(v); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	return nil
}

// Page is one page of alerts; Next is the address of the next one.
type Page struct {
	Items []catalog.Object `json:"items"`
	Next  string           `json:"next"`
}

// Alerts returns the first page of a query, or the page at next.
func (c *Client) Alerts(ctx context.Context, q url.Values, next string) (Page, error) {
	var p Page
	if next != "" {
		err := c.Get(ctx, next, nil, &p)
		return p, err
	}
	err := c.Get(ctx, "/api/v1/alerts", q, &p)
	return p, err
}

// Alert returns one alert.
func (c *Client) Alert(ctx context.Context, id string) (catalog.Object, error) {
	var o catalog.Object
	err := c.Get(ctx, "/api/v1/alerts/"+url.PathEscape(id), nil, &o)
	return o, err
}

// Watch calls fn with every change of an alert until ctx is done, fn fails or
// the connection ends. from is the id of the event to resume after, empty for
// now; the id of each event is passed on.
func (c *Client) Watch(ctx context.Context, from string, fn func(id string, o catalog.Object) error) error {
	header := map[string]string{"Accept": "text/event-stream"}
	if from != "" {
		header["Last-Event-ID"] = from
	}
	resp, err := c.get(ctx, "/api/v1/stream", nil, header)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	var id, event, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if event == "resync" {
				return ErrResync
			}
			if event == "alert" {
				var o catalog.Object
				if err := json.Unmarshal([]byte(data), &o); err != nil {
					return fmt.Errorf("read an event of the server: %w", err)
				}
				if err := fn(id, o); err != nil {
					return err
				}
			}
			event, data = "", ""
		case name == "id":
			id = value
		case name == "event":
			event = value
		case name == "data":
			data += value
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: the stream ended", ErrUnreachable)
}

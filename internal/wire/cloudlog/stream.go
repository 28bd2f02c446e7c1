package cloudlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/weir-net/weir/internal/wire/text"
)

// errToken says that one JSON value, or the space before it, is larger than
// text.MaxLine.
var errToken = fmt.Errorf("%w: a value of more than %d bytes", text.ErrFormat, text.MaxLine)

// budget bounds what a JSON decoder may read, and so buffer, for one value.
type budget struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errToken
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// stream is a JSON decoder of bounded memory.
type stream struct {
	dec    *json.Decoder
	budget *budget
}

func newStream(r io.Reader) *stream {
	b := &budget{r: r}
	return &stream{dec: json.NewDecoder(b), budget: b}
}

// token returns the next token.
func (s *stream) token() (json.Token, error) {
	s.budget.left = text.MaxLine
	return s.dec.Token()
}

// value reads the next value whole.
func (s *stream) value(v any) error {
	s.budget.left = text.MaxLine
	return s.dec.Decode(v)
}

// fail describes an error of the stream: a cut input, a broken one, or a reader
// that failed. inside tells that the input may not end here.
func fail(name string, at int64, err error, inside bool) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) && !inside:
		return io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case errors.As(err, &syntax):
		err = fmt.Errorf("%w: %w", text.ErrFormat, err)
	}
	return fmt.Errorf("%s: at byte %d: %w", name, at, err)
}

// peek returns the first byte of the next value without taking it.
func (s *stream) peek() (byte, error) {
	s.budget.left = text.MaxLine
	if !s.dec.More() {
		// Nothing more, or the end of an array that was never opened, or an
		// error that More does not tell.
		if _, err := s.dec.Token(); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%w: unexpected end of a list", text.ErrFormat)
	}
	var b [1]byte // More has moved to the first byte that is no space
	_, err := s.dec.Buffered().Read(b[:])
	return b[0], err
}

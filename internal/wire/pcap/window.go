package pcap

import (
	"io"
)

// Sizes of a window: that of the first read, and that beyond which it grows
// only for a single piece that is longer. A read of the greater size passes the
// buffers of the layers below by.
const (
	smallWindow = 1 << 16
	largeWindow = 1 << 20
)

// emptyReads is how many reads in a row may give nothing and no error.
const emptyReads = 100

// window is the part of the input that lies in memory. Pieces are handed out
// without copying them, and stand until the next call.
type window struct {
	r   io.Reader // nil when b is the whole input
	b   []byte    // what was read
	at  int       // and how much of it was handed out
	err error     // what the reader ended with
}

// rest is what lies in memory and was not handed out.
func (w *window) rest() []byte { return w.b[w.at:] }

// next hands out the next n bytes. With an error it returns what is left, which
// is fewer: io.EOF at the end of the input, in the middle of a piece or not.
func (w *window) next(n int) ([]byte, error) {
	if n <= len(w.b)-w.at {
		b := w.b[w.at : w.at+n : w.at+n]
		w.at += n
		return b, nil
	}
	b, err := w.fill(n)
	w.at += len(b)
	return b, err
}

// peek is next without moving on.
func (w *window) peek(n int) ([]byte, error) {
	if b := w.b[w.at:]; n <= len(b) {
		return b[:n:n], nil
	}
	return w.fill(n)
}

// discard moves on by n bytes, however many these are.
func (w *window) discard(n int) error {
	for {
		k := min(n, len(w.b)-w.at)
		w.at += k
		if n -= k; n == 0 {
			return nil
		}
		if _, err := w.fill(1); err != nil {
			return err
		}
	}
}

// fill reads until n bytes are there and returns them, or what is left and why.
func (w *window) fill(n int) ([]byte, error) {
	if w.r == nil {
		return w.b[w.at:], io.EOF
	}
	full := len(w.b) == cap(w.b) // the reader gave all there was room for
	have := copy(w.b[:cap(w.b)], w.b[w.at:])
	w.at = 0
	size := max(cap(w.b), smallWindow)
	if full && cap(w.b) > 0 {
		size = max(cap(w.b), min(2*cap(w.b), largeWindow))
	}
	if size = max(size, n); size > cap(w.b) { // callers bound n
		b := make([]byte, have, size)
		copy(b, w.b[:have])
		w.b = b
	}
	w.b = w.b[:have]
	for empty := 0; len(w.b) < n; {
		if w.err != nil {
			return w.b, w.err
		}
		k, err := w.r.Read(w.b[len(w.b):cap(w.b)])
		w.b = w.b[:len(w.b)+k]
		switch {
		case err != nil:
			w.err = err
		case k > 0:
			empty = 0
		default:
			if empty++; empty == emptyReads {
				w.err = io.ErrNoProgress
			}
		}
	}
	return w.b[:n:n], nil
}

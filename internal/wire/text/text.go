// Package text reads flow logs that come as lines of text: it bounds the lines,
// counts the ones that cannot be read, tells a cut input from a finished one,
// and spells the numbers, times, addresses and protocols that such logs share.
package text

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/weir-net/weir"
)

// MaxLine is the most bytes of a line, its end excluded. Longer lines are
// skipped and counted.
const MaxLine = 1 << 20

// Bounds of one Read: flows appended, and lines looked at.
const (
	batchFlows = 1000
	batchLines = 20000
)

// ErrFormat says that the input as a whole is not what it should be: a header
// is missing or a required column is. It is fatal; a bad row is not.
var ErrFormat = errors.New("unexpected format")

// errLong says that a line is longer than MaxLine.
var errLong = fmt.Errorf("longer than %d bytes", MaxLine)

// Lines reads the flows of a log, one line at a time.
type Lines struct {
	r       *bufio.Reader
	parse   func(line []byte, f *weir.Flow) (bool, error)
	name    string
	buf     []byte
	line    int64
	err     error
	skipped int64
	first   error
}

// NewLines returns a reader of the log r, named in errors as name. It calls
// parse with every line that is not empty, without its end; parse fills the
// flow, which is zero, and reports whether the line holds one. An error of
// parse makes the line count as skipped, unless it wraps ErrFormat, which is
// fatal. The line is only valid during the call. Nothing is read before the
// first Read.
func NewLines(r io.Reader, name string, parse func(line []byte, f *weir.Flow) (bool, error)) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 1<<16), name: name, parse: parse}
}

// Read appends at most about 1,000 flows to dst. It returns io.EOF at the clean
// end; an error that wraps io.ErrUnexpectedEOF when the input is cut, after all
// flows before the cut were returned; and one that wraps ErrFormat when the
// input is something else. It may return no flows and no error.
func (l *Lines) Read(dst []weir.Flow) ([]weir.Flow, error) {
	if l.err != nil {
		return dst, l.err
	}
	flows := 0
	for n := 0; n < batchLines && flows < batchFlows; n++ {
		line, whole, err := l.next()
		if err != nil && !errors.Is(err, errLong) {
			if errors.Is(err, io.EOF) {
				l.err = io.EOF
			} else {
				l.err = fmt.Errorf("%s: reading line %d: %w", l.name, l.line+1, err)
			}
			return dst, l.err
		}
		if err == nil && len(line) == 0 {
			continue
		}
		var ok bool
		if err == nil {
			dst = append(dst, weir.Flow{})
			if ok, err = l.parse(line, &dst[len(dst)-1]); ok && err == nil {
				flows++
			} else {
				dst = dst[:len(dst)-1]
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrFormat):
			l.err = fmt.Errorf("%s: line %d: %w", l.name, l.line, err)
			return dst, l.err
		case !whole:
			// A last line without end that cannot be read was cut.
			l.err = fmt.Errorf("%s: line %d: %w", l.name, l.line, io.ErrUnexpectedEOF)
			return dst, l.err
		default:
			l.Skip(err)
		}
	}
	return dst, nil
}

// Skip counts the current line as one that cannot be read.
func (l *Lines) Skip(err error) {
	l.skipped++
	if l.first == nil {
		l.first = fmt.Errorf("%s: line %d: %w", l.name, l.line, err)
	}
}

// Skipped returns how many lines could not be read, and what was wrong with the
// first one.
func (l *Lines) Skipped() (n int64, first error) { return l.skipped, l.first }

// Line returns the number of the line read last, from 1.
func (l *Lines) Line() int64 { return l.line }

// next returns the next line without its end, and whether it had one.
func (l *Lines) next() (line []byte, whole bool, err error) {
	l.buf = l.buf[:0]
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.buf)+len(part) > MaxLine+2 {
			long = true
			l.buf = l.buf[:0]
		}
		switch {
		case err == nil && len(l.buf) == 0 && !long:
			l.line++
			return l.trim(part), true, nil
		case !long:
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil:
			l.line++
			if long {
				return nil, true, errLong
			}
			return l.trim(l.buf), true, nil
		case errors.Is(err, io.EOF) && (len(l.buf) > 0 || long):
			l.line++
			if long {
				return nil, false, errLong
			}
			return l.trim(l.buf), false, nil
		}
		return nil, false, err
	}
}

// trim removes the end of a line, and the byte order mark of the first one.
func (l *Lines) trim(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	b = bytes.TrimSuffix(b, []byte{'\r'})
	if l.line == 1 {
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	return b
}

package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// maxZstdWindow bounds the memory a zstd frame may ask for. 128 MiB is what the
// zstd tool itself decodes without --long=28 and above (RFC 8878, section
// 3.1.1.1.2, leaves the limit to the decoder).
const maxZstdWindow = 128 << 20

// readBuffer is the size of one read of decompressed content.
const readBuffer = 1 << 20

// input is an opened file behind its decompression.
type input struct {
	name string
	*bufio.Reader
	counter *countReader
	plain   *offsetReader // counts the bytes behind the decompression
	close   []func()
}

// Close releases the file and the decompressor.
func (in *input) Close() {
	for _, f := range in.close {
		f()
	}
}

// countReader counts the bytes read from the file itself for the progress.
type countReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.n != nil {
		c.n.Add(int64(n))
	}
	return n, err
}

// offsetReader counts the bytes behind the decompression and turns every
// failure of the layers below into a cut: what came before it is good, and what
// comes after it cannot be reached.
type offsetReader struct {
	io.Reader
	n   int64
	err error // the first failure, nil for a clean end
}

func (o *offsetReader) Read(p []byte) (int, error) {
	if o.err != nil {
		return 0, cutError{at: o.n, cause: o.err}
	}
	n, err := o.Reader.Read(p)
	o.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		o.err = err
		err = cutError{at: o.n, cause: err}
	}
	return n, err
}

// cutError says that content ended before its end. It is an unexpected end of
// file to errors.Is, whatever the cause.
type cutError struct {
	at    int64
	cause error
}

func (e cutError) Error() string {
	return fmt.Sprintf("content ends after %d bytes: %v", e.at, e.cause)
}
func (e cutError) Unwrap() error        { return e.cause }
func (e cutError) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// open opens a path, "-" being stdin, and undoes gzip or zstd as the first bytes
// tell. read, if not nil, counts the bytes taken from the file.
func open(path string, stdin io.Reader, read *atomic.Int64) (*input, error) {
	in := &input{name: path}
	raw := stdin
	if path != Stdin {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open input: %w", err)
		}
		in.close = append(in.close, func() { _ = f.Close() }) // opened for reading only
		raw = f
	}
	in.counter = &countReader{Reader: raw, n: read}
	buffered := bufio.NewReaderSize(in.counter, 256<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		in.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	in.plain = &offsetReader{Reader: buffered}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952, section 2.3.1
		in.plain.Reader = &lazyGzip{in: buffered}
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), // RFC 8878, section 3.1.1
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}): // 3.1.2
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			in.Close()
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		in.close = append(in.close, z.Close)
		in.plain.Reader = z
	}
	in.Reader = bufio.NewReaderSize(in.plain, readBuffer)
	return in, nil
}

// lazyGzip opens the gzip stream at the first read, so that a file cut inside
// its gzip header is a cut file like any other. Members that follow one another
// read as one stream (RFC 1952, section 2.2).
type lazyGzip struct {
	in io.Reader
	z  *gzip.Reader
}

func (l *lazyGzip) Read(p []byte) (int, error) {
	if l.z == nil {
		z, err := gzip.NewReader(l.in)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, fmt.Errorf("gzip header: %w", err)
		}
		l.z = z
	}
	return l.z.Read(p)
}

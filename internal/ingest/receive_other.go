//go:build !linux

package ingest

import (
	"errors"
	"os"
	"time"
)

// batchReader reads one datagram at a time.
type batchReader struct {
	s   *socket
	buf []byte
}

func newBatchReader(s *socket) *batchReader { return &batchReader{s: s, buf: make([]byte, maxUDP)} }

func (r *batchReader) close() {}

// read waits for one datagram, for the first slot, for ever if wait is negative.
// It returns none when that time is over, or when wake was called.
func (r *batchReader) read(slots []*datagram, wait time.Duration) (int, error) {
	if wait >= 0 {
		if err := r.s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return 0, err
		}
	}
	n, from, err := r.s.conn.ReadFromUDPAddrPort(r.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if n > pooledSize {
		r.s.free.give(slots[:1])
		slots[0] = r.s.free.takeLarge()
	}
	slots[0].from = from.Addr().Unmap().WithZone("")
	slots[0].buf = append(slots[0].buf[:0], r.buf[:n]...)
	return 1, nil
}

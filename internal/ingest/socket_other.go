//go:build !linux

package ingest

import (
	"net"
	"syscall"
	"time"
)

// canShare is false: other systems either lack SO_REUSEPORT or do not spread
// senders over the sockets.
const canShare = false

func sharePort(syscall.RawConn) error { return nil }

// handle is the socket as the system knows it.
type handle struct{ conn *net.UDPConn }

// open takes over a bound connection and asks for a receive buffer of n bytes;
// what was granted is not known.
func (h *handle) open(conn *net.UDPConn, n int) (granted int, err error) {
	h.conn = conn
	_ = conn.SetReadBuffer(n) // a smaller buffer is no reason to stop
	return 0, nil
}

// wake ends a read that waits for ever.
func (h *handle) wake() { _ = h.conn.SetReadDeadline(time.Now()) } // a closed socket needs none

func (h *handle) close() { _ = h.conn.Close() } // a receiving socket has nothing to flush

// look has nobody to ask.
func (s *socket) look() (waiting int) { return 0 }

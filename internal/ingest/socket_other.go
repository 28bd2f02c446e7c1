//go:build !linux

package ingest

import (
	"net"
	"syscall"
)

// canShare is false: other systems either lack SO_REUSEPORT or do not spread
// senders over the sockets.
const canShare = false

func sharePort(syscall.RawConn) error { return nil }

// setReceiveBuffer asks for a receive buffer; what was granted is not known.
func setReceiveBuffer(conn *net.UDPConn, n int) int {
	_ = conn.SetReadBuffer(n) // a smaller buffer is no reason to stop
	return 0
}

// overflow has nothing to read here.
func (s *socket) overflow([]byte) {}

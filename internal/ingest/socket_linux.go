package ingest

import (
	"encoding/binary"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare tells that several sockets may share a port with the kernel
// spreading the senders over them.
const canShare = true

// sharePort sets SO_REUSEPORT before the bind.
func sharePort(c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return inner
}

// setReceiveBuffer asks for a receive buffer of n bytes, by force where the
// process may, and returns what the kernel granted. It also asks for the
// kernel's count of dropped datagrams (SO_RXQ_OVFL, socket(7)), which costs
// nothing until there are some.
func setReceiveBuffer(conn *net.UDPConn, n int) (granted int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n) // the granted size tells
		}
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) // without it the count stays 0
		// The kernel doubles the size for its own use and reports the double.
		if g, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
			granted = g / 2
		}
	})
	return granted
}

// overflow reads the running count of datagrams the kernel dropped at this
// socket from the control messages of a datagram (cmsg(3): length in a word of
// the machine, then level and type).
func (s *socket) overflow(oob []byte) {
	const header = unix.SizeofCmsghdr
	if len(oob) < header+4 {
		return
	}
	level := int32(binary.NativeEndian.Uint32(oob[header-8:])) //nolint:gosec // a C int
	kind := int32(binary.NativeEndian.Uint32(oob[header-4:]))  //nolint:gosec // a C int
	if level != unix.SOL_SOCKET || kind != unix.SO_RXQ_OVFL {
		return
	}
	n := binary.NativeEndian.Uint32(oob[header:])
	s.kernel.Add(uint64(n - s.lastKernel)) // the count wraps
	s.lastKernel = n
}

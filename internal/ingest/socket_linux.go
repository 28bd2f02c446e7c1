package ingest

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"syscall"
	"unsafe"

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

// handle is the socket as the system knows it. It is not watched by the poller
// of the Go runtime: that is woken for every datagram, also while the receiver
// is busy, which cost a third of all CPU time of reception.
type handle struct {
	mu     sync.RWMutex // held for reading while the descriptors are in use
	fd     int
	event  int // eventfd(2), readable after wake
	closed bool
}

// open takes over a bound connection, asks for a receive buffer of n bytes, by
// force where the process may, and returns what the kernel granted. It also asks
// for the kernel's count of dropped datagrams (SO_RXQ_OVFL, socket(7)), which
// costs nothing until there are some.
func (h *handle) open(conn *net.UDPConn, n int) (granted int, err error) {
	defer func() { _ = conn.Close() }() // the duplicate goes on
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("take over the socket: %w", err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) { h.fd, inner = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = inner
	}
	if err != nil {
		return 0, fmt.Errorf("take over the socket: %w", err)
	}
	if h.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(h.fd) // nothing was received
		return 0, fmt.Errorf("make an event: %w", err)
	}
	if unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
		_ = unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n) // the granted size tells
	}
	_ = unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) // without it the count comes with look only
	// The kernel doubles the size for its own use and reports the double.
	if g, err := unix.GetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
		granted = g / 2
	}
	return granted, nil
}

// wake ends a read that waits for ever, now or later.
func (h *handle) wake() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.closed {
		one := [8]byte{}
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(h.event, one[:]) // full means that it is readable
	}
}

// close waits for the reader, which wake must have told.
func (h *handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		_, _ = unix.Close(h.fd), unix.Close(h.event) // a receiving socket has nothing to flush
	}
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
	s.kernel.observe(binary.NativeEndian.Uint32(oob[header:]))
}

// Words of SO_MEMINFO, linux/sock_diag.h: their number, and where two of them are.
const (
	memInfo    = 9
	memWaiting = 0
	memDrops   = 8
)

// look asks the kernel (SO_MEMINFO, from Linux 4.12 on) for its count of dropped
// datagrams, which comes with a datagram only as it was when that one was
// queued, and for the bytes that wait in the buffer.
func (s *socket) look() (waiting int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0
	}
	var info [memInfo]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, no := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // the addresses of what the call fills
	if no != 0 || size != uint32(unsafe.Sizeof(info)) {
		return 0 // an old kernel
	}
	s.kernel.observe(info[memDrops])
	return int(info[memWaiting])
}

package ingest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messageHeader is struct mmsghdr of recvmmsg(2).
type messageHeader struct {
	unix.Msghdr
	length uint32
}

const (
	// nameSize has room for struct sockaddr_in6, ipv6(7).
	nameSize = unix.SizeofSockaddrInet6
	// spillSize is what a common buffer has no room for.
	spillSize = maxUDP - pooledSize
)

// batchReader reads many datagrams with one call, straight into their buffers.
// What is longer than one spills over into an area that the kernel gives memory
// to only when it is touched.
type batchReader struct {
	s       *socket
	headers [receiveBatch]messageHeader
	vectors [receiveBatch][2]unix.Iovec
	names   [receiveBatch][nameSize]byte
	control [receiveBatch][unix.SizeofCmsghdr + 8]byte
	spill   []byte
	mapped  bool
	watched [2]unix.PollFd // the socket and the event of wake
}

// newBatchReader makes the reader of a socket, which stays open for it until
// close.
func newBatchReader(s *socket) *batchReader {
	s.mu.RLock()
	r := &batchReader{s: s}
	var err error
	r.spill, err = unix.Mmap(-1, 0, receiveBatch*spillSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if r.mapped = err == nil; !r.mapped {
		r.spill = make([]byte, receiveBatch*spillSize)
	}
	r.watched = [2]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.event), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
	for i := range r.headers {
		h, v := &r.headers[i], &r.vectors[i]
		v[1].Base = &r.spill[i*spillSize]
		v[1].SetLen(spillSize)
		h.Iov = &v[0]
		h.SetIovlen(len(v))
		h.Name, h.Control = &r.names[i][0], &r.control[i][0]
	}
	return r
}

func (r *batchReader) close() {
	r.s.mu.RUnlock()
	if r.mapped {
		_ = unix.Munmap(r.spill) // it was mapped
	}
}

// read fills slots, none of which is nil, from the first, and returns how many.
// Where there is nothing it waits, for ever if wait is negative. It returns none
// when that time is over, or when wake was called.
func (r *batchReader) read(slots []*datagram, wait time.Duration) (n int, err error) {
	if r.s.closed {
		return 0, net.ErrClosed
	}
	n, no := r.receive(slots)
	if no == unix.EAGAIN {
		if ready, err := r.wait(wait); !ready || err != nil {
			return 0, err
		}
		n, no = r.receive(slots)
	}
	if no != 0 && no != unix.EAGAIN { // what woke us may be gone: its checksum was wrong, say
		return 0, fmt.Errorf("receive: %w", no)
	}
	return n, nil
}

// wait waits until there is something to read, for ever if d is negative. It
// reports false when that time is over, or when wake was called during a wait
// for ever.
func (r *batchReader) wait(d time.Duration) (ready bool, err error) {
	watched, timeout := r.watched[:], -1
	if d >= 0 {
		watched, timeout = r.watched[:1], int(d.Milliseconds())
	}
	if _, err := unix.Poll(watched, timeout); err != nil && err != unix.EINTR {
		return false, fmt.Errorf("wait for datagrams: %w", err)
	}
	return r.watched[0].Revents != 0, nil
}

// receive takes what is there.
func (r *batchReader) receive(slots []*datagram) (int, syscall.Errno) {
	for i, d := range slots {
		h, v := &r.headers[i], &r.vectors[i]
		v[0].Base = &d.buf[:1][0]
		v[0].SetLen(pooledSize)
		h.Namelen = nameSize
		h.SetControllen(len(r.control[i]))
		h.Flags, h.length = 0, 0
	}
	got, _, no := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.s.fd), uintptr(unsafe.Pointer(&r.headers[0])), uintptr(len(slots)), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // the address of what the call fills
	if no != 0 {
		return 0, no
	}
	n := int(got)
	for i, d := range slots[:n] {
		h := &r.headers[i]
		d.from = sender(r.names[i][:h.Namelen])
		if h.Controllen > 0 {
			r.s.overflow(r.control[i][:h.Controllen])
		}
		if size := int(h.length); size > pooledSize {
			slots[i] = r.large(d, i, size)
		} else {
			d.buf = d.buf[:size]
		}
	}
	return n, 0
}

// large puts a datagram and what spilled over together. The common one goes back
// to where it came from.
func (r *batchReader) large(common *datagram, i, size int) *datagram {
	d := r.s.free.takeLarge()
	d.from = common.from
	d.buf = append(append(d.buf[:0], common.buf[:pooledSize]...), r.spill[i*spillSize:][:size-pooledSize]...)
	r.s.free.give([]*datagram{common})
	return d
}

// sender reads struct sockaddr_in or sockaddr_in6, ip(7) and ipv6(7).
func sender(name []byte) netip.Addr {
	const v4, v6 = 4, 8 // where the addresses begin
	if len(name) >= v6+16 && binary.NativeEndian.Uint16(name) == unix.AF_INET6 {
		return netip.AddrFrom16([16]byte(name[v6:])).Unmap()
	}
	if len(name) >= v4+4 {
		return netip.AddrFrom4([4]byte(name[v4:]))
	}
	return netip.Addr{}
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// socket is one receiving socket with its counters.
type socket struct {
	handle
	protocol protocol
	addr     netip.AddrPort
	granted  int // receive buffer in bytes, 0 where it cannot be asked

	free *buffers

	datagrams, bytes, dropped, errors atomic.Uint64
	kernel                            dropCount
}

// dropCount follows the count that the kernel keeps of the datagrams it dropped
// at a socket: 32 bits that wrap, told in no strict order.
type dropCount struct {
	mu    sync.Mutex
	last  uint32
	total uint64
}

// observe takes a count that the kernel told.
func (c *dropCount) observe(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if more := int32(n - c.last); more > 0 { //nolint:gosec // the wrap is meant
		c.total += uint64(more)
		c.last = n
	}
}

func (c *dropCount) load() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Listen binds the sockets. Addresses with port 0 get a free one, which Addrs
// tells. On error nothing stays bound.
func (u *UDP) Listen() error {
	if len(u.sockets) > 0 {
		return errors.New("listen: already bound")
	}
	for _, l := range [...]struct {
		p    protocol
		list []string
	}{{netflowPort, u.c.NetFlow}, {sflowPort, u.c.SFlow}} {
		for _, a := range l.list {
			if err := u.bind(l.p, a); err != nil {
				u.Close()
				return err
			}
		}
	}
	return nil
}

// bind opens the sockets of one address. Several sockets share a port by
// SO_REUSEPORT; a socket without it is tried first, so that a second process on
// the same port is refused instead of silently taking half of the datagrams.
func (u *UDP) bind(p protocol, address string) error {
	n := u.c.Workers
	if !canShare {
		n = 1
	}
	if n > 1 {
		if _, port, err := net.SplitHostPort(address); err == nil && port != "0" {
			probe, err := listenUDP(address, false)
			if err != nil {
				return fmt.Errorf("listen for %s on %s: %w", p, address, err)
			}
			if err := probe.Close(); err != nil {
				return fmt.Errorf("listen for %s on %s: %w", p, address, err)
			}
		}
	}
	for range n {
		conn, err := listenUDP(address, n > 1)
		if err != nil {
			return fmt.Errorf("listen for %s on %s: %w", p, address, err)
		}
		s := &socket{protocol: p, free: &u.free}
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			s.addr = local.AddrPort()
			s.addr = netip.AddrPortFrom(s.addr.Addr().Unmap(), s.addr.Port())
		}
		if s.granted, err = s.open(conn, u.c.ReceiveBuffer); err != nil {
			return fmt.Errorf("listen for %s on %s: %w", p, address, err)
		}
		u.sockets = append(u.sockets, s)
		if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
			address = net.JoinHostPort(host, fmt.Sprint(s.addr.Port()))
		}
	}
	return nil
}

func listenUDP(address string, shared bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{}
	if shared {
		lc.Control = func(_, _ string, c syscall.RawConn) error { return sharePort(c) }
	}
	pc, err := lc.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no UDP address", address), pc.Close())
	}
	return conn, nil
}

// Addrs returns the bound addresses by protocol (ProtocolNetFlow,
// ProtocolSFlow), each once, in the order of the configuration.
func (u *UDP) Addrs() map[string][]netip.AddrPort {
	m := map[string][]netip.AddrPort{}
	for _, s := range u.sockets {
		l := m[s.protocol.String()]
		if len(l) == 0 || l[len(l)-1] != s.addr {
			m[s.protocol.String()] = append(l, s.addr)
		}
	}
	return m
}

// Close closes the sockets. Run does it by itself; Close is for a source that
// was bound and never ran. It may be called more than once.
func (u *UDP) Close() {
	u.closed.Store(true)
	for _, s := range u.sockets {
		s.wake()
	}
	for _, s := range u.sockets {
		s.look() // the counts end with the socket
		s.close()
	}
}

// ProbeReceiveBuffer returns what the kernel grants this process of a receive
// buffer of n bytes, 0 where it cannot be told.
func ProbeReceiveBuffer(n int) (granted int, err error) {
	conn, err := listenUDP("127.0.0.1:0", false)
	if err != nil {
		return 0, fmt.Errorf("ask for a receive buffer: %w", err)
	}
	var h handle
	if granted, err = h.open(conn, n); err != nil {
		return 0, fmt.Errorf("ask for a receive buffer: %w", err)
	}
	h.close()
	return granted, nil
}

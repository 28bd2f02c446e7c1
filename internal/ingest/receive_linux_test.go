package ingest

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSender(t *testing.T) {
	v4 := make([]byte, unix.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(v4, unix.AF_INET)
	copy(v4[4:], []byte{192, 0, 2, 1})
	v6 := func(a string) []byte {
		b := make([]byte, unix.SizeofSockaddrInet6)
		binary.NativeEndian.PutUint16(b, unix.AF_INET6)
		x := netip.MustParseAddr(a).As16()
		copy(b[8:], x[:])
		return b
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want netip.Addr
	}{
		{"IPv4", v4, netip.MustParseAddr("192.0.2.1")},
		{"IPv6", v6("2001:db8::1"), netip.MustParseAddr("2001:db8::1")},
		{"IPv4 at an IPv6 socket", v6("::ffff:192.0.2.1"), netip.MustParseAddr("192.0.2.1")},
		{"none", nil, netip.Addr{}},
		{"cut", v4[:6], netip.Addr{}},
	} {
		if got := sender(c.raw); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A control message tells the count of the kernel; any other one is no count.
func TestOverflow(t *testing.T) {
	message := func(level, kind int32, n uint32) []byte {
		b := make([]byte, unix.SizeofCmsghdr, unix.SizeofCmsghdr+8)
		binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
		binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(kind))
		return binary.NativeEndian.AppendUint32(b, n)
	}
	var s socket
	s.overflow(message(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 7))
	s.overflow(message(unix.SOL_SOCKET, unix.SO_TIMESTAMP, 9))
	s.overflow(message(unix.SOL_IP, unix.SO_RXQ_OVFL, 9))
	s.overflow(message(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 9)[:unix.SizeofCmsghdr+3])
	if got := s.kernel.load(); got != 7 {
		t.Errorf("%d dropped, want 7", got)
	}
}

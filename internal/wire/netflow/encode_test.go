package netflow_test

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// The encoder of the tests: just enough to spell messages of all versions.

const (
	v9   = 9
	ipx  = 10
	anyN = 65535 // variable length
)

// spec is a field specifier; pen 0 is IANA.
type spec struct {
	id, n uint16
	pen   uint32
}

type spelling struct {
	version uint16
	domain  uint32
	seq     uint32
	export  uint32 // Unix s
	uptime  uint32 // ms
	count   uint16 // version 9
	body    []byte
}

func be(n int, v uint64) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint64(b, v)
	if n <= 8 {
		return b[8-n:]
	}
	return append(make([]byte, n-8), b...)
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// long spells a variable-length value, short or in the form of three bytes.
func long(b []byte, three bool) []byte {
	if len(b) >= 255 || three {
		return cat([]byte{255}, be(2, uint64(len(b))), b)
	}
	return append([]byte{byte(len(b))}, b...)
}

func (m *spelling) set(id uint16, body ...[]byte) *spelling {
	b := cat(body...)
	m.body = cat(m.body, be(2, uint64(id)), be(2, uint64(len(b)+4)), b)
	return m
}

func (m *spelling) specs(fields []spec) []byte {
	var b []byte
	for _, f := range fields {
		id := f.id
		if f.pen != 0 {
			id |= 0x8000
		}
		b = cat(b, be(2, uint64(id)), be(2, uint64(f.n)))
		if f.pen != 0 {
			b = cat(b, be(4, uint64(f.pen)))
		}
	}
	return b
}

func (m *spelling) template(id uint16, fields ...spec) *spelling {
	set := uint16(0)
	if m.version == ipx {
		set = 2
	}
	return m.set(set, be(2, uint64(id)), be(2, uint64(len(fields))), m.specs(fields))
}

func (m *spelling) options(id uint16, scopes int, fields ...spec) *spelling {
	if m.version == ipx {
		return m.set(3, be(2, uint64(id)), be(2, uint64(len(fields))), be(2, uint64(scopes)), m.specs(fields))
	}
	return m.set(1, be(2, uint64(id)), be(2, uint64(4*scopes)), be(2, uint64(4*(len(fields)-scopes))), m.specs(fields))
}

func (m *spelling) bytes() []byte {
	if m.version == ipx {
		return cat(be(2, ipx), be(2, uint64(16+len(m.body))), be(4, uint64(m.export)), be(4, uint64(m.seq)), be(4, uint64(m.domain)), m.body)
	}
	return cat(be(2, v9), be(2, uint64(m.count)), be(4, uint64(m.uptime)), be(4, uint64(m.export)), be(4, uint64(m.seq)), be(4, uint64(m.domain)), m.body)
}

// message5 spells a datagram of version 5 around records of 48 bytes.
func message5(uptime, export, seq uint32, engine, sampling uint16, records ...[]byte) []byte {
	return cat(be(2, 5), be(2, uint64(len(records))), be(4, uint64(uptime)), be(4, uint64(export)), be(4, 0),
		be(4, uint64(seq)), be(2, uint64(engine)), be(2, uint64(sampling)), cat(records...))
}

// record5 spells a record of version 5.
func record5(src, dst string, sport, dport uint16, proto, flags uint8, packets, octets, first, last uint32) []byte {
	return cat(ip(src), ip(dst), be(4, 0), be(2, 3), be(2, 4), be(4, uint64(packets)), be(4, uint64(octets)),
		be(4, uint64(first)), be(4, uint64(last)), be(2, uint64(sport)), be(2, uint64(dport)),
		[]byte{0, flags, proto, 0}, be(8, 0))
}

func float64Bytes(f float64) []byte { return be(8, math.Float64bits(f)) }

// ntp spells a time as RFC 7011, section 6.1.8 to 6.1.10 does.
func ntp(sec int64, frac uint32) []byte {
	return cat(be(4, uint64(sec+2208988800)), be(4, uint64(frac)))
}

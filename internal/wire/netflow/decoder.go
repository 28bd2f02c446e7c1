package netflow

import (
	"container/list"
	"encoding/binary"
	"net/netip"

	weir "github.com/weir-net/weir"
)

// Decoder decodes NetFlow version 5, version 9 and IPFIX. It is not safe for
// concurrent use. Make one with [New].
type Decoder struct {
	cfg         Config
	domains     map[domainKey]*domain
	perExporter map[netip.Addr]int // domains of an exporter
	fresh       list.List          // of *domain without a flow, the newest first
	proven      list.List          // of *domain with flows, the newest first
	lastDomain  *domain

	unused        list.List // of *template that described no set yet
	used          list.List // of *template
	templates     int
	templateBytes int

	waiting   list.List // of *heldSet in the order of arrival
	heldBytes int
	samplers  int // beyond those that each domain may have
	ports     int // the same, of interfaces that meter on ingress

	stats  Stats
	err    *Error // the first fault of the datagram at work
	faults int
	rows   rows
}

// New returns a decoder with nothing learnt. It does not check c: see
// [Config.Validate]; limits below 1 act as 1.
func New(c Config) *Decoder {
	c.MaxExporters = max(c.MaxExporters, 1)
	c.MaxTemplates = max(c.MaxTemplates, 1)
	return &Decoder{
		cfg:         c,
		domains:     make(map[domainKey]*domain),
		perExporter: make(map[netip.Addr]int),
	}
}

// Decode appends the flows of one datagram to dst and returns it. The flows
// hold no reference to the datagram. received is the Unix ns of receipt: it
// bounds how long sets are held, and is the time of flows only where a header
// tells no time at all.
//
// An error is an [*Error]; everything that could be decoded is in the result
// all the same. Data sets without a template are not an error: they are
// counted, held, and decoded when the template comes.
func (d *Decoder) Decode(exporter netip.Addr, received int64, datagram []byte, dst []weir.Flow) ([]weir.Flow, error) {
	d.stats.Datagrams++
	d.err, d.faults = nil, 0
	exporter = exporter.Unmap()
	before := len(dst)
	d.expire(received)
	if len(datagram) < 2 {
		d.fail(&message{}, exporter, 0, 0, ReasonShort)
	} else {
		switch version := binary.BigEndian.Uint16(datagram); version {
		case Version5:
			dst = d.decode5(exporter, received, datagram, dst)
		case Version9:
			dst = d.decode9(exporter, received, datagram, dst)
		case VersionIX:
			dst = d.decodeIPFIX(exporter, received, datagram, dst)
		default:
			d.stats.UnknownVersion++
			d.err = &Error{Exporter: exporter, Version: version, Reason: ReasonVersion}
		}
	}
	d.stats.Flows += uint64(len(dst) - before) //nolint:gosec // dst only grows
	if d.faults > 0 {
		d.stats.Malformed++
	}
	if d.err != nil {
		return dst, d.err
	}
	return dst, nil
}

// fail notes a fault: the first of a datagram is the error that Decode returns.
func (d *Decoder) fail(m *message, exporter netip.Addr, template uint16, offset int, reason Reason) {
	d.faults++
	if d.err == nil {
		d.err = &Error{Exporter: exporter, Version: m.version, Domain: m.domain, Template: template, Offset: offset, Reason: reason}
	}
}

// open finds the domain of a datagram, places the datagram in its sequence and
// completes m for the records. boot is 0 where the header tells no uptime.
func (d *Decoder) open(exporter netip.Addr, m *message, seq uint32, boot int64) (*domain, place) {
	s := d.domainFor(domainKey{exporter, m.domain, m.version})
	s.datagrams++
	s.lastSeen = m.received
	s.exportTime = m.exportTime
	p, lost := s.seq.observe(seq, m.exportTime, boot, m.version != Version9)
	d.stats.SequenceLost += uint64(lost)
	switch p {
	case isLate:
		d.stats.SequenceLate++
	case isRestart:
		d.stats.Restarts++
		// An exporter that came up again numbers its templates anew. Two
		// exporters behind one address look like one that restarts all the
		// time, so this happens at most once in a while.
		if (s.seq.fromZero && m.version == VersionIX || s.seq.rebooted) && (s.dropped == 0 || m.received-s.dropped > dropEvery) {
			s.dropped = m.received
			d.dropTemplates(s)
			d.dropPorts(s) // interfaces may be numbered anew too
		}
	case inOrder:
	}
	if m.exportTime == 0 {
		m.exportTime = m.received
	}
	if d.cfg.Sampling != nil {
		n, force := d.cfg.Sampling(exporter)
		if m.configured = n; force {
			m.forced = n
		}
	}
	if m.domain != 0 && m.version != Version5 {
		m.whole = d.domains[domainKey{exporter, 0, m.version}]
	}
	return s, p
}

// dropEvery is the least time between two drops of all templates of a domain.
const dropEvery = 5 * 60 * second

// closeMessage accounts for the records of a datagram. n counts them in the
// unit of the sequence; counted is false when some could not be counted.
func (d *Decoder) closeMessage(s *domain, p place, n int, counted bool, flows []weir.Flow) {
	d.stats.SequenceLost -= s.seq.advance(p, uint32(n)) //nolint:gosec // at most one per byte
	if !counted {
		s.seq.unknown(p)
	}
	if len(flows) == 0 {
		return
	}
	s.flows += uint64(len(flows))
	last := &flows[len(flows)-1]
	s.lastRate = rate{n: last.Sampling, source: last.SamplingSource}
	if !s.proven {
		d.prove(s)
	}
}

// decode9 decodes a datagram of version 9, RFC 3954, section 5.
func (d *Decoder) decode9(exporter netip.Addr, received int64, b []byte, dst []weir.Flow) []weir.Flow {
	m := message{version: Version9, received: received}
	if len(b) < v9Header {
		d.fail(&m, exporter, 0, 0, ReasonShort)
		return dst
	}
	m.uptime = binary.BigEndian.Uint32(b[4:])
	m.exportTime = int64(binary.BigEndian.Uint32(b[8:])) * second
	m.domain = binary.BigEndian.Uint32(b[16:])
	s, p := d.open(exporter, &m, binary.BigEndian.Uint32(b[12:]), m.exportTime-int64(m.uptime)*millisecond)
	before := len(dst)
	dst, _, _ = d.sets(s, &m, b, v9Header, dst)
	d.closeMessage(s, p, 1, true, dst[before:])
	return dst
}

// decodeIPFIX decodes the message of a datagram, RFC 7011, section 3. A
// datagram holds one; bytes after it are an error, unless they are zero.
func (d *Decoder) decodeIPFIX(exporter netip.Addr, received int64, b []byte, dst []weir.Flow) []weir.Flow {
	m := message{version: VersionIX, received: received}
	if len(b) < ipfixHeader {
		d.fail(&m, exporter, 0, 0, ReasonShort)
		return dst
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	m.exportTime = int64(binary.BigEndian.Uint32(b[4:])) * second
	m.domain = binary.BigEndian.Uint32(b[12:])
	if n < ipfixHeader {
		d.fail(&m, exporter, 0, 2, ReasonLength)
		return dst
	}
	switch {
	case n > len(b): // cut: the sets that are whole are good
		d.fail(&m, exporter, 0, 2, ReasonLength)
	case n < len(b):
		if !zero(b[n:]) {
			d.fail(&m, exporter, 0, n, ReasonTrailing)
		}
		b = b[:n]
	}
	s, p := d.open(exporter, &m, binary.BigEndian.Uint32(b[8:]), 0)
	before := len(dst)
	dst, records, counted := d.sets(s, &m, b, ipfixHeader, dst)
	d.closeMessage(s, p, records, counted, dst[before:])
	return dst
}

// sets decodes the sets of a message from offset at on. It returns the number
// of data records, options records included, and whether all were counted.
func (d *Decoder) sets(s *domain, m *message, b []byte, at int, dst []weir.Flow) (_ []weir.Flow, records int, counted bool) {
	templateSet, optionsSet := uint16(0), uint16(1)
	if m.version == VersionIX {
		templateSet, optionsSet = 2, 3
	}
	counted = true
	for at < len(b) {
		if len(b)-at < setHeader {
			if !zero(b[at:]) {
				d.fail(m, s.key.exporter, 0, at, ReasonSetLength)
				counted = false
			}
			break
		}
		id, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if length < setHeader || length > len(b)-at {
			// Some exporters fill their datagrams with zeros.
			if !zero(b[at:]) {
				d.fail(m, s.key.exporter, id, at, ReasonSetLength)
				counted = false
			}
			break
		}
		body := b[at+setHeader : at+length]
		switch {
		case id == templateSet || id == optionsSet:
			dst = d.templateSet(s, m, body, id == optionsSet, at+setHeader, dst)
		case id < 256:
			d.fail(m, s.key.exporter, id, at, ReasonSetID)
		default:
			t := d.templateFor(s, id)
			if t == nil {
				d.stats.SetsWithoutTemplate++
				s.missing++
				if s.missingSince == 0 {
					s.missingSince = m.received
				}
				d.hold(s, id, m, body)
				counted = false
				break
			}
			s.missingSince = 0
			var n int
			var reason Reason
			dst, n, reason = d.dataSet(s, t, m, body, dst)
			records += n
			if reason != "" {
				d.fail(m, s.key.exporter, id, at, reason)
				counted = false
			}
		}
		at += length
	}
	return dst, records, counted
}

// zero reports whether b holds nothing but zeros.
func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// templateSet reads the templates of a set; what waited for them is decoded.
func (d *Decoder) templateSet(s *domain, m *message, body []byte, scoped bool, at int, dst []weir.Flow) []weir.Flow {
	for len(body) >= 4 && !zero(body[:min(len(body), 8)]) {
		t, n, reason := parseTemplate(m.version, body, scoped)
		switch {
		case reason != "":
			d.stats.TemplatesRejected++
			d.fail(m, s.key.exporter, binary.BigEndian.Uint16(body), at, reason)
			if n == 0 {
				return dst // the end of the record is not known
			}
		case t.raw == nil:
			if !d.withdraw(s, t.id, scoped) {
				d.stats.TemplatesRejected++
				d.fail(m, s.key.exporter, t.id, at, ReasonTemplateID)
			}
		default:
			if d.learn(s, t, m.received) {
				dst = d.release(s, t, m, dst)
			}
		}
		body = body[n:]
		at += n
	}
	return dst
}

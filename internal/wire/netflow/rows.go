package netflow

import (
	"encoding/binary"
	"slices"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/packet"
)

// chunk is how many records of variable length are gathered before they are
// decoded together.
const chunk = 64

// rows is the room in which records of variable length are gathered, reused
// from set to set.
type rows struct {
	data   []byte           // gathered records
	frames [chunk]frameSpan // where their frames are
	header packet.Header
}

// frameSpan locates a frame in the body of a set.
type frameSpan struct{ off, len int }

// dataSet appends the flows of one data set. It returns the number of data
// records that were found, flows or not.
func (d *Decoder) dataSet(s *domain, t *template, m *message, body []byte, dst []weir.Flow) (_ []weir.Flow, records int, _ Reason) {
	if t.steps != nil {
		return d.variableSet(s, t, m, body, dst)
	}
	records = len(body) / t.length
	if records == 0 {
		if zero(body) {
			return dst, 0, ""
		}
		d.stats.RecordsRejected++
		return dst, 0, ReasonField
	}
	switch t.kind {
	case kindFlow:
		n := len(dst)
		dst = slices.Grow(dst, records)[:n+records]
		s.exec(t, m, body, t.length, dst[n:])
		if t.has[slotDirection] {
			dst = dst[:n+d.dropRepeated(s, t, m, body, t.length, dst[n:])]
		}
	case kindFrame:
		for first := 0; first < records; first += chunk {
			n := min(records-first, chunk)
			for i := range n {
				d.rows.frames[i] = frameSpan{(first+i)*t.length + t.frameOff, t.frameLen}
			}
			dst = d.frameRows(s, t, m, body[first*t.length:], t.length, n, body, dst)
		}
	case kindOptions:
		for i := range records {
			d.option(s, t, m, body[i*t.length:])
		}
	case kindOther:
		d.stats.RecordsWithoutAddresses += uint64(records) //nolint:gosec // not negative
	}
	return dst, records, ""
}

// variableSet is dataSet for templates with variable-length fields: the fields
// in use are gathered at fixed offsets first, some records at a time.
func (d *Decoder) variableSet(s *domain, t *template, m *message, body []byte, dst []weir.Flow) (_ []weir.Flow, records int, reason Reason) {
	at, n := 0, 0
	d.rows.data = slices.Grow(d.rows.data[:0], chunk*t.gathered)[:chunk*t.gathered]
	flush := func() {
		switch t.kind {
		case kindFlow:
			k := len(dst)
			dst = slices.Grow(dst, n)[:k+n]
			s.exec(t, m, d.rows.data, t.gathered, dst[k:])
			if t.has[slotDirection] {
				dst = dst[:k+d.dropRepeated(s, t, m, d.rows.data, t.gathered, dst[k:])]
			}
		case kindFrame:
			dst = d.frameRows(s, t, m, d.rows.data, t.gathered, n, body, dst)
		case kindOptions:
			for i := range n {
				d.option(s, t, m, d.rows.data[i*t.gathered:])
			}
		case kindOther:
			d.stats.RecordsWithoutAddresses += uint64(n) //nolint:gosec // not negative
		}
		n = 0
	}
	for len(body)-at >= t.length {
		row := d.rows.data[n*t.gathered : (n+1)*t.gathered]
		next, fits := t.gatherRecord(body, at, row, &d.rows.frames[n])
		if next < 0 {
			d.stats.RecordsRejected++
			reason = ReasonField
			break
		}
		at = next
		records++
		if !fits {
			d.stats.RecordsRejected++
			continue
		}
		if n++; n == chunk {
			flush()
		}
	}
	flush()
	return dst, records, reason
}

// gatherRecord copies the fields in use of the record at body[at:] into row and
// returns where the record ends, or -1 if it runs over the end of the set. fits
// is false when a field has a length that its element cannot have.
func (t *template) gatherRecord(body []byte, at int, row []byte, frame *frameSpan) (next int, fits bool) {
	fits = true
	for i := range t.steps {
		st := &t.steps[i]
		n := int(st.length)
		if n == variable {
			if at >= len(body) {
				return -1, false
			}
			n = int(body[at])
			at++
			if n == 255 { // RFC 7011, section 7: two more bytes
				if len(body)-at < 2 {
					return -1, false
				}
				n = int(binary.BigEndian.Uint16(body[at:]))
				at += 2
			}
		}
		if n > len(body)-at {
			return -1, false
		}
		switch {
		case st.frame:
			*frame = frameSpan{at, n}
		case st.to >= 0:
			room := row[st.to : int(st.to)+int(st.size)]
			if n > len(room) || n < len(room) && len(room) != 8 {
				fits = false
				break
			}
			clear(room[:len(room)-n]) // integers stand at the right
			copy(room[len(room)-n:], body[at:at+n])
		}
		at += n
	}
	return at, fits
}

// frameRows decodes n records that carry a piece of the packet instead of its
// addresses. Records whose packet has no IP header are no flows.
func (d *Decoder) frameRows(s *domain, t *template, m *message, data []byte, stride, n int, body []byte, dst []weir.Flow) []weir.Flow {
	first := len(dst)
	dst = slices.Grow(dst, n)[:first+n]
	s.exec(t, m, data, stride, dst[first:])
	link := packet.Ethernet
	if t.frameForm == formIP {
		link = packet.RawIP
	}
	keep := first
	h := &d.rows.header
	for i := range n {
		span := d.rows.frames[i]
		if packet.Parse(link, body[span.off:span.off+span.len], h) != nil {
			d.stats.RecordsWithoutAddresses++
			continue
		}
		f := &dst[keep]
		*f = dst[first+i]
		fill(f, h)
		if !t.has[slotDirection] || !d.repeats(s, t, m, data[i*stride:], f) {
			keep++
		}
	}
	h.Payload = nil // it points into the datagram
	return dst[:keep]
}

// fill completes a flow by the headers of its packet. Counters in the record
// stand; without them the record is one packet.
func fill(f *weir.Flow, h *packet.Header) {
	f.Src, f.Dst, f.Proto = h.Src, h.Dst, h.Proto
	f.Known &^= weir.HasPorts | weir.HasFlags | weir.IsFragment
	f.TCPFlags = 0
	if h.HasPorts {
		f.Known |= weir.HasPorts
	}
	if h.HasFlags {
		f.Known |= weir.HasFlags
		f.TCPFlags = h.Flags
	}
	if h.Fragment {
		f.Known |= weir.IsFragment
	}
	if !f.Known.Has(weir.HasPackets) {
		f.Known |= weir.HasPackets
		f.Packets = 1
	}
	if !f.Known.Has(weir.HasBytes) && f.Packets == 1 {
		f.Known |= weir.HasBytes
		f.Bytes = uint64(h.Length) //nolint:gosec // not negative
	}
	if f.VLAN == 0 {
		f.VLAN = h.VLAN
	}
}

// option learns from one options record: a sampling rate, of a selector, an
// interface or the whole domain, and when the exporter came up.
func (d *Decoder) option(s *domain, t *template, m *message, b []byte) {
	d.stats.OptionRecords++
	var f weir.Flow
	var selector, iface, domainID, systemInit uint64
	for k := range t.ops {
		o := &t.ops[k]
		if o.code != codeUint {
			special(&f, o, m, s, b)
			continue
		}
		v := load(b[o.off : int(o.off)+int(o.len)])
		switch o.slot {
		case slotSelector:
			selector = v
		case slotInterface:
			iface = v
		case slotDomain:
			domainID = v
		case slotSystemInit:
			systemInit = v
		default:
			assign(&f, o, v)
		}
	}
	// A scope that names another domain speaks for that one.
	if t.has[slotDomain] && domainID != uint64(s.key.domain) {
		if domainID > 0xffffffff {
			return
		}
		key := domainKey{s.key.exporter, uint32(domainID), s.key.version}
		if s = d.domains[key]; s == nil {
			return
		}
	}
	if systemInit != 0 {
		s.systemInit = fromMillis(systemInit)
	}
	if f.Sampling == 0 {
		return
	}
	if !t.has[slotSelector] && !t.has[slotInterface] {
		s.sampling.wide = f.Sampling
		return
	}
	d.sample(s, func() {
		if t.has[slotSelector] {
			s.sampling.setSelector(selector, f.Sampling)
		} else {
			s.sampling.setInterface(uint32(iface), f.Sampling) //nolint:gosec // ifIndex has 32 bits
		}
	})
}

package netflow

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"unsafe"

	weir "github.com/weir-net/weir"
)

// variable is the field length that announces variable-length encoding
// (RFC 7011, section 7). Version 9 knows no such thing, but exporters of it do
// so all the same, and a field of that length fits in no set.
const variable = 65535

// kind is what the records of a template are.
type kind uint8

const (
	kindOther   kind = iota // data without an address
	kindFlow                // data with addresses
	kindFrame               // data with a piece of a packet instead
	kindOptions             // records about the exporter
)

// step is one step over a record with variable-length fields: fixed bytes, or a
// variable field. Fields that are not used are merged, so that a record has no
// more steps than bytes.
type step struct {
	length uint16 // bytes, or variable
	to     int32  // offset in the gathered record, -1 to skip
	size   uint8  // bytes in the gathered record
	frame  bool   // the field is the frame
}

// template is a compiled template.
type template struct {
	id   uint16
	kind kind
	// length is that of a record in bytes; with variable-length fields the
	// least it can have.
	length int
	ops    []op
	plain  *plain // reads some of ops at once, nil if it cannot
	// ops[samplingAt:samplingAt+samplingOps] read the sampling rate.
	samplingAt, samplingOps int
	// steps and gathered are set with variable-length fields only: each record
	// is first gathered into gathered bytes at fixed offsets.
	steps    []step
	gathered int
	// frameOff and frameLen locate the frame of templates of fixed length.
	frameOff, frameLen int
	frameForm          form
	// directionOff and directionLen locate the direction, where it has one.
	directionOff, directionLen int
	has                        [slots]bool
	base                       weir.Flow // the fields that all records share
	raw                        []byte    // the template record as received
	size                       int       // bytes of memory, about

	domain           *domain
	inDomain, global *list.Element
	proven           bool // it described a data set
}

// templateOverhead is about what a template costs besides its slices: map and
// list entries.
const templateOverhead = int(unsafe.Sizeof(template{})) + 2*64 + 48

// field is a field specifier with the place of its content.
type field struct {
	element
	length uint16
	off    int // offset in the record, or in the gathered record
}

// parseTemplate reads the template record at the start of b, which ends with
// the set, and returns it with its length. scoped tells that the record is an
// options template. A record without fields is a withdrawal (IPFIX): the
// template then has no content and raw is nil.
func parseTemplate(version uint16, b []byte, scoped bool) (t *template, n int, reason Reason) {
	if len(b) < 4 {
		return nil, 0, ReasonTemplateCut
	}
	id := binary.BigEndian.Uint16(b)
	count, scopes := int(binary.BigEndian.Uint16(b[2:])), 0
	n = 4
	if version == VersionIX && count == 0 {
		return &template{id: id}, n, ""
	}
	if scoped {
		if len(b) < 6 {
			return nil, 0, ReasonTemplateCut
		}
		n = 6
		if version == Version9 { // both lengths in bytes, RFC 3954, section 6.1
			scopes = count / 4
			count = scopes + int(binary.BigEndian.Uint16(b[4:]))/4
		} else {
			scopes = int(binary.BigEndian.Uint16(b[4:]))
		}
	}
	end := n
	if version == Version9 {
		end += 4 * count
		if end > len(b) {
			return nil, 0, ReasonTemplateCut
		}
	} else {
		for range count {
			if end+4 > len(b) {
				return nil, 0, ReasonTemplateCut
			}
			if b[end]&0x80 != 0 { // enterprise bit
				end += 4
			}
			end += 4
		}
		if end > len(b) {
			return nil, 0, ReasonTemplateCut
		}
	}
	if id < 256 {
		return nil, end, ReasonTemplateID
	}
	if version == VersionIX && scoped && (scopes == 0 || scopes > count) {
		return nil, end, ReasonTemplateScope
	}
	t, reason = compile(version, id, b[n:end], scoped, scopes)
	if t != nil {
		t.raw = bytes.Clone(b[:end])
		t.size = templateOverhead + cap(t.raw) + cap(t.ops)*int(unsafe.Sizeof(op{})) + cap(t.steps)*int(unsafe.Sizeof(step{}))
		if t.plain != nil {
			t.size += int(unsafe.Sizeof(plain{})) + cap(t.plain.rest)*int(unsafe.Sizeof(op{}))
		}
	}
	return t, end, reason
}

// compile turns field specifiers into operations.
func compile(version uint16, id uint16, specs []byte, scoped bool, scopes int) (*template, Reason) {
	t := &template{id: id}
	var (
		win     [slots]field
		off     int // offset of the field in a fixed record
		least   int // least length of a record
		anyVar  bool
		used    [slots]int // index of the winning field, from 1
		index   int
		content bool
	)
	read := func(b []byte) (e element, length uint16, n int) {
		fid, pen := binary.BigEndian.Uint16(b), uint32(0)
		length, n = binary.BigEndian.Uint16(b[2:]), 4
		if version == VersionIX && fid&0x8000 != 0 {
			fid &^= 0x8000
			pen, n = binary.BigEndian.Uint32(b[4:]), 8
		}
		if version == Version9 && scoped && index < scopes {
			return scopeElement(fid), length, n
		}
		e = lookup(version, fid, pen)
		if scoped && index < scopes && (e.slot == slotInput || e.slot == slotOutput) {
			e.slot = slotInterface
		}
		return e, length, n
	}
	for b := specs; len(b) > 0; index++ {
		e, length, n := read(b)
		b = b[n:]
		if length == variable {
			anyVar = true
			least++
			content = true
			if e.slot != slotNone && e.slot != slotProbability {
				t.pick(&win, &used, index, field{element: e, length: length})
			}
			continue
		}
		if length > 0 {
			content = true
		}
		if e.slot.accepts(int(length)) {
			t.pick(&win, &used, index, field{element: e, length: length, off: off})
		}
		off += int(length)
		least += int(length)
		if least > variable-setHeader {
			return nil, ReasonTemplateLength
		}
	}
	if !content {
		return nil, ReasonTemplateEmpty
	}
	t.length = least
	t.classify(scoped)
	if anyVar {
		t.gather(specs, read, &index, &win, &used)
	}
	if t.kind == kindFrame && !anyVar {
		t.frameOff, t.frameLen = win[slotFrame].off, int(win[slotFrame].length)
	}
	t.frameForm = win[slotFrame].form
	if t.has[slotDirection] {
		t.directionOff, t.directionLen = win[slotDirection].off, int(win[slotDirection].length)
	}
	t.known(&win)
	t.emit(version, &win)
	if t.kind == kindFlow {
		t.simplify()
	}
	return t, ""
}

// scopeElement reads the scope types of version 9 (RFC 3954, section 6.1),
// which are not elements.
func scopeElement(scope uint16) element {
	if scope == 2 {
		return element{slot: slotInterface}
	}
	return element{} // 1 system, 3 line card, 4 cache, 5 template
}

// pick keeps f if its slot has no better field.
func (t *template) pick(win *[slots]field, used *[slots]int, index int, f field) {
	s := f.slot
	if t.has[s] && win[s].rank <= f.rank {
		return
	}
	t.has[s] = true
	win[s] = f
	used[s] = index + 1
}

// classify says what the records of the template are.
func (t *template) classify(scoped bool) {
	switch {
	case scoped:
		t.kind = kindOptions
	case t.has[slotSrc4] || t.has[slotDst4] || t.has[slotSrc6] || t.has[slotDst6]:
		t.kind = kindFlow
	case t.has[slotFrame]:
		t.kind = kindFrame
	default:
		t.kind = kindOther
	}
}

// gather lays out the gathered record of a template with variable-length fields
// and moves the winning fields there.
func (t *template) gather(specs []byte, read func([]byte) (element, uint16, int), index *int, win *[slots]field, used *[slots]int) {
	place := 0
	skip := func(n int) {
		if n == 0 {
			return
		}
		if k := len(t.steps) - 1; k >= 0 && t.steps[k].to < 0 && t.steps[k].length != variable && int(t.steps[k].length)+n < variable {
			t.steps[k].length += uint16(n) //nolint:gosec // below 65535
			return
		}
		t.steps = append(t.steps, step{length: uint16(n), to: -1}) //nolint:gosec // below 65535
	}
	*index = 0
	for b := specs; len(b) > 0; *index++ {
		e, length, n := read(b)
		b = b[n:]
		isVar := length == variable
		wins := used[e.slot] == *index+1 && e.slot != slotNone
		switch {
		case wins && e.slot == slotFrame:
			t.steps = append(t.steps, step{length: length, to: -1, frame: true})
		case wins:
			size := int(length)
			if isVar {
				size = gatheredSize(e.slot)
			}
			t.steps = append(t.steps, step{length: length, to: int32(place), size: uint8(size)}) //nolint:gosec // at most slots*16
			win[e.slot].off = place
			win[e.slot].length = uint16(size) //nolint:gosec // at most 16
			place += size
		case isVar:
			t.steps = append(t.steps, step{length: variable, to: -1})
		default:
			skip(int(length))
		}
	}
	t.gathered = place
}

// gatheredSize is the room for a variable-length field of a slot.
func gatheredSize(s slot) int {
	switch s {
	case slotSrc4, slotDst4:
		return 4
	case slotSrc6, slotDst6:
		return 16
	}
	return 8
}

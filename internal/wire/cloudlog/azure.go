package cloudlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Bounds of the Azure reader.
const (
	maxDepth   = 64      // nesting; real logs have about ten levels
	maxPending = 1 << 16 // begin tuples that wait for the end of their record
	maxOpen    = 1 << 16 // connections whose last tuple is remembered, per generation
)

// azure reads VNet flow logs of version 4 and NSG flow logs of versions 1 and
// 2. It walks the JSON and takes every list of flowTuples wherever it is, which
// also reads records nested in records, as in a sample of the documentation,
// and one record per line. Source: Microsoft Learn, "Virtual network flow logs"
// and "Flow logging for network security groups".
type azure struct {
	*stream
	name  string
	stack []frame
	key   string // key of the value that comes next
	known bool   // a key of a flow log was seen
	any   bool   // some value was seen

	pending map[connection]int // place in order of a begin tuple
	order   []begin
	open    [2]map[connection]int64 // time of the last tuple; new and old generation
	held    []weir.Flow
	handed  int
	err     error

	begins, tuples, skipped int64
	first                   error
}

// frame is an open object or array.
type frame struct {
	object bool
	value  bool   // in an object: the next string is a value
	key    string // under which it stands; elements have that of their array
}

// connection identifies the tuples that belong together.
type connection struct {
	src, dst netip.AddrPort
	proto    uint8
}

// begin is a begin tuple that waits.
type begin struct {
	flow weir.Flow
	done bool
}

func newAzure(r io.Reader, format weir.Format) *azure {
	return &azure{stream: newStream(r), name: format.String(), pending: map[connection]int{}, open: [2]map[connection]int64{{}, {}}}
}

// Read appends at most about 1,000 flows to dst.
func (a *azure) Read(dst []weir.Flow) ([]weir.Flow, error) {
	for a.err == nil && len(a.held)-a.handed < batch {
		if err := a.step(); err != nil {
			a.flush()
			a.err = err
		}
	}
	n := min(batch, len(a.held)-a.handed)
	dst = append(dst, a.held[a.handed:a.handed+n]...)
	if a.handed += n; a.handed < len(a.held) {
		return dst, nil
	}
	a.held, a.handed = a.held[:0], 0
	return dst, a.err
}

// Skipped returns how many tuples could not be read, and the first one.
func (a *azure) Skipped() (n int64, first error) { return a.skipped, a.first }

// step takes one token.
func (a *azure) step() error {
	tok, err := a.token()
	if err != nil {
		if errors.Is(err, io.EOF) && len(a.stack) == 0 && a.any && !a.known {
			return fmt.Errorf("%s: %w: the JSON holds no flow records", a.name, text.ErrFormat)
		}
		return fail(a.name, a.dec.InputOffset(), err, len(a.stack) > 0)
	}
	a.any = true
	var top *frame
	if len(a.stack) > 0 {
		top = &a.stack[len(a.stack)-1]
	}
	switch tok := tok.(type) {
	case json.Delim:
		return a.delim(tok, top)
	case string:
		if top != nil && top.object && !top.value {
			a.key, top.value = tok, true
			switch tok {
			case "records", "flowRecords", "flowTuples", "properties":
				a.known = true
			}
			return nil
		}
		if top != nil && !top.object && top.key == "flowTuples" {
			a.tuple([]byte(tok))
		}
	}
	if top != nil {
		top.value = false
	}
	return nil
}

// delim opens or closes an object or an array.
func (a *azure) delim(d json.Delim, top *frame) error {
	switch d {
	case '{', '[':
		if len(a.stack) == maxDepth {
			return fmt.Errorf("%s: %w: more than %d levels", a.name, text.ErrFormat, maxDepth)
		}
		f := frame{object: d == '{'}
		if top != nil {
			f.key = top.key
			if top.object {
				f.key = a.key
			}
			top.value = false
		}
		a.stack = append(a.stack, f)
	default:
		a.stack = a.stack[:len(a.stack)-1]
		if top.object && top.key == "records" || len(a.stack) == 0 {
			a.flush()
		}
	}
	return nil
}

// flush emits the begin tuples that found no continuation in their record.
func (a *azure) flush() {
	for i := range a.order {
		b := &a.order[i]
		if b.done {
			continue
		}
		a.remember(connection{b.flow.Src, b.flow.Dst, b.flow.Proto}, b.flow.End)
		a.held = append(a.held, b.flow)
	}
	a.order = a.order[:0]
	clear(a.pending)
}

// remember notes the time of the last tuple of an open connection. Two
// generations bound the memory: the older one is dropped when the newer is full.
func (a *azure) remember(c connection, t int64) {
	if len(a.open[0]) >= maxOpen {
		a.open[0], a.open[1] = map[connection]int64{}, a.open[0]
	}
	a.open[0][c] = t
}

// recall returns the time of the last tuple of a connection.
func (a *azure) recall(c connection) (t int64, ok bool) {
	if t, ok = a.open[0][c]; !ok {
		t, ok = a.open[1][c]
	}
	return t, ok
}

// tuple takes one flow tuple.
func (a *azure) tuple(b []byte) {
	a.tuples++
	var f weir.Flow
	state, err := parseTuple(b, &f)
	if err != nil {
		a.skipped++
		if a.first == nil {
			a.first = fmt.Errorf("%s: tuple %d, at byte %d: %w", a.name, a.tuples, a.dec.InputOffset(), err)
		}
		return
	}
	c := connection{f.Src, f.Dst, f.Proto}
	switch state {
	case 'B':
		if i, ok := a.pending[c]; ok {
			a.held = append(a.held, a.order[i].flow)
			a.order[i].done = true
		} else if len(a.order) >= maxPending {
			a.flush()
		}
		a.pending[c] = len(a.order)
		a.order = append(a.order, begin{flow: f})
		return
	case 'C', 'E':
		start, ok := a.recall(c)
		if i, waiting := a.pending[c]; waiting {
			start, ok = a.order[i].flow.Start, true
			a.order[i].done = true
			delete(a.pending, c)
			a.begins++
		}
		if ok && start <= f.End {
			f.Start = start
		}
		delete(a.open[0], c)
		delete(a.open[1], c)
		if state == 'C' {
			a.remember(c, f.End)
		}
	}
	a.held = append(a.held, f)
}

// Errors of tuples.
var (
	errTuple     = errors.New("is no flow tuple")
	errState     = errors.New("is no flow state")
	errDecision  = errors.New("is no decision")
	errProtocol  = errors.New("is no protocol")
	errDirection = errors.New("is no direction")
)

// parseTuple fills f from a tuple and returns its state: B, C, E, or 0 for a
// flow by itself (denied, or of NSG version 1).
//
// VNet version 4: time, source, destination, ports, protocol number, I or O,
// state B, C, E or D, encryption, packets and bytes sent and received. NSG
// version 1: time, source, destination, ports, T or U, I or O, A or D; version
// 2 adds state, packets and bytes. Time is in seconds or milliseconds.
func parseTuple(b []byte, f *weir.Flow) (state byte, err error) {
	var field [16][]byte
	n := 0
	for rest, more := b, true; more && n < len(field); n++ {
		field[n], rest, more = bytes.Cut(rest, []byte{','})
	}
	if n < 8 {
		return 0, text.Bad("tuple", b, errTuple)
	}
	if f.End, err = text.Epoch("time", field[0]); err != nil {
		return 0, err
	}
	f.Start = f.End
	if err = tupleEnds(field[1:6], f); err != nil {
		return 0, err
	}
	if d := string(field[6]); d != "I" && d != "O" {
		return 0, text.Bad("direction", field[6], errDirection)
	}
	f.Sampling, f.SamplingSource, f.Initiator = 1, weir.SamplingFormat, weir.InitiatorSrc
	counts := field[9:13]
	if field[5][0] >= 'A' { // NSG
		f.Format = weir.FormatAzureNSG
		switch string(field[7]) {
		case "A":
			f.Action = weir.ActionAllow
		case "D":
			f.Action = weir.ActionDeny
		default:
			return 0, text.Bad("decision", field[7], errDecision)
		}
		if n == 8 { // version 1
			return 0, nil
		}
		if len(field[8]) != 1 {
			return 0, text.Bad("state", field[8], errState)
		}
		state = field[8][0]
	} else {
		f.Format = weir.FormatAzureVNet
		if len(field[7]) != 1 {
			return 0, text.Bad("state", field[7], errState)
		}
		f.Action = weir.ActionAllow
		if state = field[7][0]; state == 'D' {
			f.Action = weir.ActionDeny
		}
	}
	switch state {
	case 'B', 'C', 'E', 'D':
	default:
		return 0, text.Bad("state", []byte{state}, errState)
	}
	if f.Action == weir.ActionDeny {
		state = 0
	}
	return state, tupleCounts(counts, state, f)
}

// tupleEnds reads source, destination, ports and protocol.
func tupleEnds(field [][]byte, f *weir.Flow) error {
	src, err := text.Addr("source", field[0])
	if err != nil {
		return err
	}
	dst, err := text.Addr("destination", field[1])
	if err != nil {
		return err
	}
	switch string(field[4]) {
	case "T":
		f.Proto = weir.ProtoTCP
	case "U":
		f.Proto = weir.ProtoUDP
	case "I":
		f.Proto = weir.ProtoICMP
	default:
		n, err := text.Uint("protocol", field[4], 8)
		if err != nil {
			return text.Bad("protocol", field[4], errProtocol)
		}
		f.Proto = uint8(n) //nolint:gosec // 8 bits
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if !text.HasPorts(f.Proto) || len(field[2]) == 0 || len(field[3]) == 0 {
		return nil
	}
	sp, err := text.Port("source port", field[2])
	if err != nil {
		return err
	}
	dp, err := text.Port("destination port", field[3])
	if err != nil {
		return err
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, sp), netip.AddrPortFrom(dst, dp)
	f.Known |= weir.HasPorts
	return nil
}

// tupleCounts reads packets and bytes sent and received. Empty ones are not
// known, nor are those of begin tuples, nor zeros of denied ones.
func tupleCounts(field [][]byte, state byte, f *weir.Flow) error {
	var n [4]uint64
	sum := uint64(0)
	for i, name := range []string{"packets sent", "bytes sent", "packets received", "bytes received"} {
		if len(field[i]) == 0 {
			return nil
		}
		var err error
		if n[i], err = text.Uint(name, field[i], 64); err != nil {
			return err
		}
		sum |= n[i]
	}
	if state != 'C' && state != 'E' && sum == 0 {
		return nil
	}
	f.Packets, f.Bytes, f.RevPackets, f.RevBytes = n[0], n[1], n[2], n[3]
	f.Known |= weir.HasPackets | weir.HasBytes | weir.HasReverse
	return nil
}

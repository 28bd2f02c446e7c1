package table

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/weir-net/weir"
)

// WriterOptions configure a Writer.
type WriterOptions struct {
	// Format is weir.FormatNDJSON or weir.FormatCSV.
	Format weir.Format
	// RevTCPFlags writes the flags of the two directions apart, in the further
	// field revTcpFlags, so that reading gives back the same flows. Without it
	// tcpFlags is the OR of both.
	RevTCPFlags bool
}

// flushSize is how much text a Writer gathers before it writes.
const flushSize = 64 << 10

// Writer writes flows in the form of `weir flows`.
type Writer struct {
	w      io.Writer
	o      WriterOptions
	buf    []byte
	header bool
	err    error
}

// NewWriter returns a writer to w. It fails on a format other than CSV and
// NDJSON.
func NewWriter(w io.Writer, o WriterOptions) (*Writer, error) {
	if o.Format != weir.FormatCSV && o.Format != weir.FormatNDJSON {
		return nil, fmt.Errorf("table: cannot write %q", o.Format)
	}
	return &Writer{w: w, o: o}, nil
}

// Write writes flows; the text may stay in the buffer until Flush. An error of
// the underlying writer stays.
func (w *Writer) Write(flows []weir.Flow) error {
	for i := range flows {
		if w.o.Format == weir.FormatCSV {
			w.csvHeader()
			w.buf = w.appendCSV(w.buf, &flows[i])
		} else {
			w.buf = w.appendJSON(w.buf, &flows[i])
		}
		if len(w.buf) >= flushSize {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.err
}

// Flush writes what is buffered. A CSV without flows gets its header, so that
// an empty result is still a table.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if w.o.Format == weir.FormatCSV {
		w.csvHeader()
	}
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.w.Write(w.buf); err != nil {
		w.err = fmt.Errorf("table: writing flows: %w", err)
	}
	w.buf = w.buf[:0]
	return w.err
}

func (w *Writer) fields() int {
	if w.o.RevTCPFlags {
		return fieldCount
	}
	return fieldCount - 1
}

func (w *Writer) csvHeader() {
	if w.header {
		return
	}
	w.header = true
	for i, name := range fieldNames() {
		if i == w.fields() {
			break
		}
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, name...)
	}
	w.buf = append(w.buf, '\n')
}

func (w *Writer) appendCSV(b []byte, f *weir.Flow) []byte {
	for i := range w.fields() {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = w.appendField(b, i, f, false)
	}
	return append(b, '\n')
}

func (w *Writer) appendJSON(b []byte, f *weir.Flow) []byte {
	names := fieldNames()
	b = append(b, '{')
	first := true
	for i := range w.fields() {
		mark := len(b)
		if !first {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, names[i]...)
		b = append(b, '"', ':')
		var known bool
		if b, known = w.appendField(b, i, f, true); !known {
			b = b[:mark]
			continue
		}
		first = false
	}
	return append(b, '}', '\n')
}

// TimeLayout is the form of times: RFC 3339 in UTC with nanoseconds.
const TimeLayout = "2006-01-02T15:04:05.000000000Z"

// appendField appends the value of a field, quoted where JSON needs it, and
// reports whether the flow knows it.
func (w *Writer) appendField(b []byte, field int, f *weir.Flow, quote bool) ([]byte, bool) {
	text := func(s string) ([]byte, bool) {
		if s == "" {
			return b, false
		}
		if quote {
			return append(append(append(b, '"'), s...), '"'), true // words and numbers: nothing to escape
		}
		return append(b, s...), true
	}
	number := func(n uint64, known bool) ([]byte, bool) {
		if !known {
			return b, false
		}
		return strconv.AppendUint(b, n, 10), true
	}
	addr := func(a netip.Addr) ([]byte, bool) {
		if !a.IsValid() {
			return b, false
		}
		if quote {
			return append(a.AppendTo(append(b, '"')), '"'), true
		}
		return a.AppendTo(b), true
	}
	date := func(t int64) ([]byte, bool) {
		if quote {
			return append(time.Unix(0, t).UTC().AppendFormat(append(b, '"'), TimeLayout), '"'), true
		}
		return time.Unix(0, t).UTC().AppendFormat(b, TimeLayout), true
	}
	has := f.Known.Has
	switch field {
	case fieldStart:
		return date(f.Start)
	case fieldEnd:
		return date(f.End)
	case fieldSrc:
		return addr(f.Src.Addr())
	case fieldDst:
		return addr(f.Dst.Addr())
	case fieldSrcPort:
		return number(uint64(f.Src.Port()), has(weir.HasPorts))
	case fieldDstPort:
		return number(uint64(f.Dst.Port()), has(weir.HasPorts))
	case fieldProto:
		return number(uint64(f.Proto), true)
	case fieldTCPFlags:
		flags := f.TCPFlags
		if has(weir.HasRevFlags) && !w.o.RevTCPFlags {
			flags |= f.RevTCPFlags
		}
		return number(uint64(flags), has(weir.HasFlags))
	case fieldRevTCPFlags:
		return number(uint64(f.RevTCPFlags), has(weir.HasFlags|weir.HasRevFlags))
	case fieldPackets:
		return number(f.Packets, has(weir.HasPackets))
	case fieldBytes:
		return number(f.Bytes, has(weir.HasBytes))
	case fieldRevPackets:
		return number(f.RevPackets, has(weir.HasReverse|weir.HasPackets))
	case fieldRevBytes:
		return number(f.RevBytes, has(weir.HasReverse|weir.HasBytes))
	case fieldInitiator:
		return text(f.Initiator.String())
	case fieldSampling:
		return number(uint64(f.Sampling), true)
	case fieldSamplingSource:
		return text(f.SamplingSource.String())
	case fieldAction:
		return text(f.Action.String())
	case fieldExporter:
		return addr(f.Exporter)
	case fieldInputIf:
		return number(uint64(f.InputIf), f.InputIf != 0)
	case fieldOutputIf:
		return number(uint64(f.OutputIf), f.OutputIf != 0)
	case fieldVLAN:
		return number(uint64(f.VLAN), f.VLAN != 0)
	case fieldFormat:
		return text(f.Format.String())
	}
	return b, false
}

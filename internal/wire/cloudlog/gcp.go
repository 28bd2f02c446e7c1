package cloudlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// gcp reads GCP VPC flow logs: log entries or bare records, one JSON object a
// line, or objects and arrays of objects that span lines. Source: Google Cloud,
// "About VPC Flow Logs records".
type gcp struct {
	r       *bufio.Reader
	lines   *text.Lines // one object a line
	stream  *stream     // or anything else
	inArray bool
	entries int64
	err     error
	skipped int64
	first   error
	other   int64
}

// gcpEntry is a log entry, whose payload is the record, or a bare record.
type gcpEntry struct {
	Payload *gcpRecord `json:"jsonPayload"`
	gcpRecord
}

type gcpRecord struct {
	Connection *struct {
		Src     text.Value `json:"src_ip"`
		SrcPort text.Value `json:"src_port"`
		Dst     text.Value `json:"dest_ip"`
		DstPort text.Value `json:"dest_port"`
		Proto   text.Value `json:"protocol"`
	} `json:"connection"`
	Packets text.Value `json:"packets_sent"`
	Bytes   text.Value `json:"bytes_sent"`
	Start   text.Value `json:"start_time"`
	End     text.Value `json:"end_time"`
}

func newGCP(r io.Reader) *gcp { return &gcp{r: bufio.NewReaderSize(r, 1<<16)} }

// Skipped returns how many records could not be read, and the first one.
func (g *gcp) Skipped() (n int64, first error) {
	if g.lines != nil {
		return g.lines.Skipped()
	}
	return g.skipped, g.first
}

// Read appends at most about 1,000 flows to dst.
func (g *gcp) Read(dst []weir.Flow) ([]weir.Flow, error) {
	if g.lines == nil && g.stream == nil {
		g.choose()
	}
	if g.lines != nil {
		return g.lines.Read(dst)
	}
	for n := 0; g.err == nil && n < batch; n++ {
		var raw json.RawMessage
		if g.err = g.next(&raw); g.err != nil || raw == nil {
			continue
		}
		g.entries++
		var f weir.Flow
		ok, err := g.parse(raw, &f)
		switch {
		case err != nil:
			g.skipped++
			if g.first == nil {
				g.first = fmt.Errorf("%s: record %d: %w", weir.FormatGCPVPC, g.entries, err)
			}
		case ok:
			dst = append(dst, f)
		}
	}
	return dst, g.err
}

// choose looks at the beginning: a first line that is a whole object means one
// object a line, which survives broken lines.
func (g *gcp) choose() {
	b, _ := g.r.Peek(g.r.Size())
	b = bytes.TrimLeft(b, " \t\r\n\ufeff")
	line, _, ended := bytes.Cut(b, []byte{'\n'})
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '[' && (!ended || line[len(line)-1] == '}') {
		g.lines = text.NewLines(g.r, weir.FormatGCPVPC.String(), g.parse)
		return
	}
	g.stream = newStream(g.r)
}

// next reads the next object; none and no error at the ends of arrays.
func (g *gcp) next(raw *json.RawMessage) error {
	at := g.stream.dec.InputOffset
	g.stream.budget.left = text.MaxLine
	if g.inArray && !g.stream.dec.More() {
		if _, err := g.stream.token(); err != nil {
			return fail(weir.FormatGCPVPC.String(), at(), err, true)
		}
		g.inArray = false
		return nil
	}
	if !g.inArray {
		// Without an array the decoder stands before a value, whose first byte
		// decides.
		first, err := g.stream.peek()
		if err != nil {
			return fail(weir.FormatGCPVPC.String(), at(), err, false)
		}
		if first == '[' {
			if _, err := g.stream.token(); err != nil {
				return fail(weir.FormatGCPVPC.String(), at(), err, true)
			}
			g.inArray = true
			return nil
		}
	}
	if err := g.stream.value(raw); err != nil {
		return fail(weir.FormatGCPVPC.String(), at(), err, true)
	}
	return nil
}

var errNoTime = errors.New("is missing")

// parse reads one entry.
func (g *gcp) parse(b []byte, f *weir.Flow) (bool, error) {
	var e gcpEntry
	if err := text.Unmarshal(b, &e); err != nil {
		return false, err
	}
	rec := &e.gcpRecord
	if e.Payload != nil {
		rec = e.Payload
	}
	if rec.Connection == nil {
		g.other++
		return false, nil
	}
	return true, rec.flow(f)
}

// flow fills f from the record.
func (r *gcpRecord) flow(f *weir.Flow) error {
	f.Format = weir.FormatGCPVPC
	start, end := r.Start, r.End
	if len(start) == 0 {
		start = end
	}
	if len(end) == 0 {
		end = start
	}
	if len(start) == 0 {
		return text.Bad("start_time", nil, errNoTime)
	}
	var err error
	if f.Start, err = text.Time("start_time", start); err != nil {
		return err
	}
	if f.End, err = text.Time("end_time", end); err != nil {
		return err
	}
	f.End = max(f.Start, f.End)
	c := r.Connection
	src, err := text.Addr("src_ip", c.Src)
	if err != nil {
		return err
	}
	dst, err := text.Addr("dest_ip", c.Dst)
	if err != nil {
		return err
	}
	proto, err := text.Uint("protocol", c.Proto, 8)
	if err != nil {
		return err
	}
	f.Proto = uint8(proto) //nolint:gosec // 8 bits
	f.Src, f.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if text.HasPorts(f.Proto) && len(c.SrcPort) > 0 && len(c.DstPort) > 0 {
		sp, err := text.Port("src_port", c.SrcPort)
		if err != nil {
			return err
		}
		dp, err := text.Port("dest_port", c.DstPort)
		if err != nil {
			return err
		}
		f.Src, f.Dst = netip.AddrPortFrom(src, sp), netip.AddrPortFrom(dst, dp)
		f.Known |= weir.HasPorts
	}
	if len(r.Packets) > 0 {
		if f.Packets, err = text.Uint("packets_sent", r.Packets, 64); err != nil {
			return err
		}
		f.Known |= weir.HasPackets
	}
	if len(r.Bytes) > 0 {
		if f.Bytes, err = text.Uint("bytes_sent", r.Bytes, 64); err != nil {
			return err
		}
		f.Known |= weir.HasBytes
	}
	return nil
}

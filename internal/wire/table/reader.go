package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// Reader reads flows in the form of `weir flows`.
type Reader struct {
	*text.Lines
	format  weir.Format
	columns []int // field of each CSV column, -1 for columns that are none
	row     row
}

// NewReader returns a reader of r, which is not touched before the first Read.
// Its Read, Skipped and Line are those of [text.Lines].
func NewReader(r io.Reader, o Options) *Reader {
	rd := &Reader{format: o.Format}
	switch o.Format {
	case weir.FormatCSV:
		rd.Lines = text.NewLines(r, "csv", rd.csvLine)
	case weir.FormatNDJSON:
		rd.Lines = text.NewLines(r, "ndjson", rd.jsonLine)
	default:
		rd.Lines = text.NewLines(r, "flows", func([]byte, *weir.Flow) (bool, error) {
			return false, fmt.Errorf("%w: %q is neither csv nor ndjson", text.ErrFormat, o.Format)
		})
	}
	return rd
}

// csvLine reads the header, then rows.
func (r *Reader) csvLine(line []byte, f *weir.Flow) (bool, error) {
	if r.columns == nil {
		return false, r.csvHeader(line)
	}
	r.row = row{hasSampling: r.row.hasSampling}
	n := 0
	err := splitCSV(line, func(column int, v []byte) {
		if n < len(r.columns) && r.columns[n] >= 0 {
			r.row.value[r.columns[n]] = v
			r.row.column[r.columns[n]] = column
		}
		n++
	})
	if err != nil {
		return false, err
	}
	if n != len(r.columns) {
		return false, fmt.Errorf("%d fields where the header has %d", n, len(r.columns))
	}
	return true, r.row.flow(f, r.format)
}

func (r *Reader) csvHeader(line []byte) error {
	names := fieldNames()
	var columns []int
	err := splitCSV(line, func(_ int, v []byte) {
		columns = append(columns, slices.Index(names[:], string(bytes.TrimSpace(v))))
	})
	if err != nil {
		return fmt.Errorf("%w: the header: %w", text.ErrFormat, err)
	}
	seen := [fieldCount]bool{}
	for _, c := range columns {
		if c >= 0 && seen[c] {
			return fmt.Errorf("%w: the header names %s twice", text.ErrFormat, names[c])
		}
		if c >= 0 {
			seen[c] = true
		}
	}
	for _, need := range []int{fieldStart, fieldSrc, fieldDst, fieldProto} {
		if !seen[need] {
			return fmt.Errorf("%w: the header has no column %s", text.ErrFormat, names[need])
		}
	}
	r.columns = columns
	r.row.hasSampling = seen[fieldSampling]
	return nil
}

// splitCSV calls field with the column (from 1) and the value of each field of
// a line. Quoted fields follow RFC 4180, but end on their line.
func splitCSV(line []byte, field func(column int, v []byte)) error {
	if bytes.IndexByte(line, '"') >= 0 {
		r := csv.NewReader(bytes.NewReader(line))
		r.FieldsPerRecord = -1
		record, err := r.Read()
		if err != nil {
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				return fmt.Errorf("column %d: %w", bad.Column, bad.Err)
			}
			return err
		}
		for i, v := range record {
			_, column := r.FieldPos(i)
			field(column, []byte(v))
		}
		return nil
	}
	for at := 0; ; {
		end := bytes.IndexByte(line[at:], ',')
		if end < 0 {
			field(at+1, line[at:])
			return nil
		}
		field(at+1, line[at:at+end])
		at += end + 1
	}
}

// object is the JSON object of one flow. Numbers are kept as text, so that
// counters of 64 bits survive, and may be quoted as some writers do.
type object struct {
	Start          text.Value `json:"start"`
	End            text.Value `json:"end"`
	Src            text.Value `json:"src"`
	Dst            text.Value `json:"dst"`
	SrcPort        text.Value `json:"srcPort"`
	DstPort        text.Value `json:"dstPort"`
	Proto          text.Value `json:"proto"`
	TCPFlags       text.Value `json:"tcpFlags"`
	Packets        text.Value `json:"packets"`
	Bytes          text.Value `json:"bytes"`
	RevPackets     text.Value `json:"revPackets"`
	RevBytes       text.Value `json:"revBytes"`
	Initiator      text.Value `json:"initiator"`
	Sampling       text.Value `json:"sampling"`
	SamplingSource text.Value `json:"samplingSource"`
	Action         text.Value `json:"action"`
	Exporter       text.Value `json:"exporter"`
	InputIf        text.Value `json:"inputIf"`
	OutputIf       text.Value `json:"outputIf"`
	VLAN           text.Value `json:"vlan"`
	Format         text.Value `json:"format"`
	RevTCPFlags    text.Value `json:"revTcpFlags"`
}

// fields returns the values by field number.
func (o *object) fields() [fieldCount]text.Value {
	return [fieldCount]text.Value{
		o.Start, o.End, o.Src, o.Dst, o.SrcPort, o.DstPort, o.Proto, o.TCPFlags, o.Packets, o.Bytes, o.RevPackets, o.RevBytes,
		o.Initiator, o.Sampling, o.SamplingSource, o.Action, o.Exporter, o.InputIf, o.OutputIf, o.VLAN, o.Format, o.RevTCPFlags,
	}
}

// jsonLine reads one object.
func (r *Reader) jsonLine(line []byte, f *weir.Flow) (bool, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return false, nil
	}
	var o object
	if err := text.Unmarshal(line, &o); err != nil {
		return false, err
	}
	r.row = row{hasSampling: o.Sampling != nil}
	for i, v := range o.fields() {
		r.row.value[i] = v
	}
	if err := r.row.flow(f, r.format); err != nil {
		return false, r.jsonColumn(line, err)
	}
	return true, nil
}

// jsonColumn replaces the column of an error, which the JSON decoder does not
// tell, by that of the key that the error names. Keys of this form are plain
// words, so a search finds them.
func (r *Reader) jsonColumn(line []byte, err error) error {
	msg := strings.TrimPrefix(err.Error(), "column 0: ")
	for _, name := range fieldNames() {
		if strings.HasPrefix(msg, name+":") || strings.HasPrefix(msg, name+" ") {
			column := bytes.Index(line, []byte(`"`+name+`"`)) + 1
			return fmt.Errorf("column %d: %s", max(column, 1), msg)
		}
	}
	return err
}

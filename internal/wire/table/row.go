package table

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
)

// row holds the values of one record as text, nil or empty where the record
// has none, and the columns where they begin.
type row struct {
	value  [fieldCount][]byte
	column [fieldCount]int
	// hasSampling tells that the input has a sampling field.
	hasSampling bool
}

// at adds the column of a field to an error.
func (r *row) at(field int, err error) error {
	return fmt.Errorf("column %d: %w", r.column[field], err)
}

// number reads an optional unsigned field.
func (r *row) number(field, bits int, err *error) (n uint64, known bool) {
	v := r.value[field]
	if len(v) == 0 || *err != nil {
		return 0, false
	}
	n, e := text.Uint(fieldNames()[field], v, bits)
	if e != nil {
		*err = r.at(field, e)
		return 0, false
	}
	return n, true
}

// flow fills f from the record.
func (r *row) flow(f *weir.Flow, format weir.Format) error {
	names := fieldNames()
	for _, field := range []int{fieldStart, fieldSrc, fieldProto} {
		if len(r.value[field]) == 0 && (field != fieldSrc || len(r.value[fieldDst]) == 0) {
			return fmt.Errorf("column %d: %s is missing", r.column[field], names[field])
		}
	}
	var err error
	if f.Start, err = text.Time("start", r.value[fieldStart]); err != nil {
		return r.at(fieldStart, err)
	}
	f.End = f.Start
	if v := r.value[fieldEnd]; len(v) > 0 {
		if f.End, err = text.Time("end", v); err != nil {
			return r.at(fieldEnd, err)
		}
		f.End = max(f.Start, f.End)
	}
	src, dst, err := r.ends()
	if err != nil {
		return err
	}
	proto, ok := text.Proto(r.value[fieldProto])
	if !ok {
		return r.at(fieldProto, fmt.Errorf("proto: %q is not a protocol number", clip(r.value[fieldProto])))
	}
	f.Proto = proto
	sp, hasSrc := r.number(fieldSrcPort, 16, &err)
	dp, hasDst := r.number(fieldDstPort, 16, &err)
	if hasSrc && hasDst {
		f.Known |= weir.HasPorts
	} else {
		sp, dp = 0, 0
	}
	f.Src = netip.AddrPortFrom(src, uint16(sp))
	f.Dst = netip.AddrPortFrom(dst, uint16(dp))
	if err != nil {
		return err
	}
	if err = r.counters(f); err != nil {
		return err
	}
	if err = r.sampling(f); err != nil {
		return err
	}
	return r.rest(f, format)
}

// ends reads the two addresses. One of them may not be known: it becomes the
// unspecified address of the family of the other, 0.0.0.0 or ::.
func (r *row) ends() (src, dst netip.Addr, err error) {
	unspecified := func(other netip.Addr) netip.Addr {
		if other.Is4() {
			return netip.IPv4Unspecified()
		}
		return netip.IPv6Unspecified()
	}
	if v := r.value[fieldSrc]; len(v) > 0 {
		if src, err = text.Addr("src", v); err != nil {
			return src, dst, r.at(fieldSrc, err)
		}
	}
	if v := r.value[fieldDst]; len(v) > 0 {
		if dst, err = text.Addr("dst", v); err != nil {
			return src, dst, r.at(fieldDst, err)
		}
	}
	switch {
	case !src.IsValid():
		src = unspecified(dst)
	case !dst.IsValid():
		dst = unspecified(src)
	}
	return src, dst, nil
}

// counters reads packets, bytes and flags of both directions.
func (r *row) counters(f *weir.Flow) error {
	var err error
	packets, hasPackets := r.number(fieldPackets, 64, &err)
	octets, hasBytes := r.number(fieldBytes, 64, &err)
	revPackets, hasRevPackets := r.number(fieldRevPackets, 64, &err)
	revBytes, hasRevBytes := r.number(fieldRevBytes, 64, &err)
	flags, hasFlags := r.number(fieldTCPFlags, 16, &err)
	revFlags, hasRevFlags := r.number(fieldRevTCPFlags, 16, &err)
	if err != nil {
		return err
	}
	reverse := hasRevPackets || hasRevBytes || hasRevFlags
	if reverse {
		f.Known |= weir.HasReverse
	}
	// A count that is known in one direction only is not known: a flow cannot
	// say which.
	if hasPackets && (hasRevPackets || !reverse) {
		f.Known |= weir.HasPackets
		f.Packets, f.RevPackets = packets, revPackets
	}
	if hasBytes && (hasRevBytes || !reverse) {
		f.Known |= weir.HasBytes
		f.Bytes, f.RevBytes = octets, revBytes
	}
	if hasFlags {
		f.Known |= weir.HasFlags
		f.TCPFlags = uint16(flags) //nolint:gosec // 16 bits
		if hasRevFlags {
			f.Known |= weir.HasRevFlags
			f.RevTCPFlags = uint16(revFlags) //nolint:gosec // 16 bits
		}
	}
	return nil
}

// sampling reads the rate and where it came from.
func (r *row) sampling(f *weir.Flow) error {
	var err error
	rate, known := r.number(fieldSampling, 32, &err)
	if err != nil {
		return err
	}
	switch source := r.value[fieldSamplingSource]; {
	case !r.hasSampling:
		f.Sampling, f.SamplingSource = 1, weir.SamplingFormat
	case !known || rate == 0:
	case len(source) == 0:
		f.Sampling, f.SamplingSource = uint32(rate), weir.SamplingRecord //nolint:gosec // 32 bits
	default:
		// A source that is unknown, or a name that is none, makes the rate
		// unknown.
		if _ = f.SamplingSource.UnmarshalText(source); f.SamplingSource != weir.SamplingUnknown {
			f.Sampling = uint32(rate) //nolint:gosec // 32 bits
		}
	}
	return nil
}

// rest reads the optional fields that describe the record.
func (r *row) rest(f *weir.Flow, format weir.Format) error {
	word := func(field int, words ...string) (int, error) {
		v := r.value[field]
		if len(v) == 0 {
			return 0, nil
		}
		if i := slices.Index(words, string(v)); i >= 0 {
			return i + 1, nil
		}
		return 0, r.at(field, fmt.Errorf("%s: %q is neither %s nor %s", fieldNames()[field], clip(v), words[0], words[1]))
	}
	initiator, err := word(fieldInitiator, "src", "dst")
	if err != nil {
		return err
	}
	action, err := word(fieldAction, "allow", "deny")
	if err != nil {
		return err
	}
	f.Initiator = [...]weir.Initiator{weir.InitiatorUnknown, weir.InitiatorSrc, weir.InitiatorDst}[initiator]
	f.Action = [...]weir.Action{weir.ActionUnknown, weir.ActionAllow, weir.ActionDeny}[action]
	if v := r.value[fieldExporter]; len(v) > 0 {
		if f.Exporter, err = text.Addr("exporter", v); err != nil {
			return r.at(fieldExporter, err)
		}
	}
	in, _ := r.number(fieldInputIf, 32, &err)
	out, _ := r.number(fieldOutputIf, 32, &err)
	vlan, _ := r.number(fieldVLAN, 12, &err)
	if err != nil {
		return err
	}
	f.InputIf, f.OutputIf, f.VLAN = uint32(in), uint32(out), uint16(vlan) //nolint:gosec // checked
	f.Format = format
	if v := r.value[fieldFormat]; len(v) > 0 {
		if named := weir.ParseFormat(string(clip(v))); named != weir.FormatUnknown {
			f.Format = named
		}
	}
	return nil
}

// clip bounds what an error repeats of the input.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }

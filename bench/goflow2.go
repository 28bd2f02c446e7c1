package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/decoders/sflow"
	"github.com/netsampler/goflow2/v2/producer"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// exporter is where all datagrams come from.
func exporter() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, 1}) }

// goflow2Fill decodes IPFIX or version 9 with goflow2 and fills the record of
// Weir from its fields.
func goflow2Fill(_ workload.Stream, stream []byte, checksum bool) (workload.Work, error) {
	templates := netflow.CreateTemplateSystem()
	batch := make([]weir.Flow, 0, 64)
	var w workload.Work
	for len(stream) > 0 {
		datagram, rest, err := workload.Datagrams(stream)
		if err != nil {
			return w, err
		}
		stream = rest
		var nine netflow.NFv9Packet
		var ten netflow.IPFIXPacket
		if err := netflow.DecodeMessageVersion(bytes.NewBuffer(datagram), templates, &nine, &ten); err != nil {
			return w, fmt.Errorf("goflow2: %w", err)
		}
		base := weir.Flow{Exporter: exporter(), Domain: ten.ObservationDomainId, Format: weir.FormatIPFIX}
		sets, boot := ten.FlowSets, int64(0)
		if ten.Version == 0 {
			base.Format, base.Domain = weir.FormatNetFlow9, nine.SourceId
			sets, boot = nine.FlowSets, int64(nine.UnixSeconds)*1e9-int64(nine.SystemUptime)*1e6
		}
		batch = batch[:0]
		for _, set := range sets {
			data, ok := set.(netflow.DataFlowSet)
			if !ok {
				continue
			}
			for i := range data.Records {
				batch = append(batch, base)
				fill(&batch[len(batch)-1], data.Records[i].Values, boot)
			}
		}
		w.Records += len(batch)
		if checksum {
			for i := range batch {
				f := &batch[i]
				w.Checksum.Add(f.Bytes, f.Start/1e6, f.Dst.Port(), f.Src.Addr().As16())
			}
		}
	}
	return w, nil
}

// number reads an integer of any length.
func number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// fill copies the fields of one record. boot is when the exporter came up, in
// Unix ns, for the times of version 9.
func fill(f *weir.Flow, values []netflow.DataField, boot int64) {
	var src, dst netip.Addr
	var srcPort, dstPort uint16
	for i := range values {
		b, ok := values[i].Value.([]byte)
		if !ok {
			continue
		}
		switch values[i].Type {
		case 8:
			if len(b) == 4 {
				src = netip.AddrFrom4([4]byte(b))
			}
		case 12:
			if len(b) == 4 {
				dst = netip.AddrFrom4([4]byte(b))
			}
		case 27:
			if len(b) == 16 {
				src = netip.AddrFrom16([16]byte(b))
			}
		case 28:
			if len(b) == 16 {
				dst = netip.AddrFrom16([16]byte(b))
			}
		case 7:
			srcPort = uint16(number(b))
			f.Known |= weir.HasPorts
		case 11:
			dstPort = uint16(number(b))
		case 4:
			f.Proto = uint8(number(b))
		case 6:
			f.TCPFlags = uint16(number(b))
			f.Known |= weir.HasFlags
		case 10:
			f.InputIf = uint32(number(b))
		case 14:
			f.OutputIf = uint32(number(b))
		case 2:
			f.Packets = number(b)
			f.Known |= weir.HasPackets
		case 1:
			f.Bytes = number(b)
			f.Known |= weir.HasBytes
		case 152:
			f.Start = int64(number(b)) * 1e6
		case 153:
			f.End = int64(number(b)) * 1e6
		case 22:
			f.Start = boot + int64(number(b))*1e6
		case 21:
			f.End = boot + int64(number(b))*1e6
		case 34:
			f.Sampling, f.SamplingSource = uint32(number(b)), weir.SamplingRecord
		case 89:
			if number(b)>>6 == 2 {
				f.Action = weir.ActionDeny
			}
		case 61:
			if number(b) == 1 {
				f.Known |= weir.IsEgress
			}
		}
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
}

// goflow2Decode decodes version 5 or sFlow with goflow2, and does nothing with
// the result but count it.
func goflow2Decode(s workload.Stream, stream []byte, checksum bool) (workload.Work, error) {
	var w workload.Work
	for len(stream) > 0 {
		datagram, rest, err := workload.Datagrams(stream)
		if err != nil {
			return w, err
		}
		stream = rest
		if s.Name == "sflow-v5" {
			err = decodeSamples(&w, datagram, checksum)
		} else {
			err = decodeFive(&w, datagram, checksum)
		}
		if err != nil {
			return w, fmt.Errorf("goflow2: %w", err)
		}
	}
	return w, nil
}

func decodeFive(w *workload.Work, datagram []byte, checksum bool) error {
	var p netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(datagram), &p); err != nil {
		return err
	}
	w.Records += len(p.Records)
	if checksum {
		boot := int64(p.UnixSecs)*1000 + int64(p.UnixNSecs)/1e6 - int64(p.SysUptime)
		for i := range p.Records {
			r := &p.Records[i]
			var src [16]byte
			binary.BigEndian.PutUint32(src[12:], uint32(r.SrcAddr))
			w.Checksum.Add(uint64(r.DOctets), boot+int64(r.First), r.DstPort, src)
		}
	}
	return nil
}

// decodeSamples sums up by reading the sampled packets with gopacket: goflow2
// itself leaves them as bytes.
func decodeSamples(w *workload.Work, datagram []byte, checksum bool) error {
	var p sflow.Packet
	if err := sflow.DecodeMessageVersion(bytes.NewBuffer(datagram), &p); err != nil {
		return err
	}
	var parser headerParser
	for _, sample := range p.Samples {
		flow, ok := sample.(sflow.FlowSample)
		if !ok {
			continue
		}
		w.Records++
		if !checksum {
			continue
		}
		for _, record := range flow.Records {
			raw, ok := record.Data.(sflow.SampledHeader)
			if !ok {
				continue
			}
			if parser.p == nil {
				parser.init()
			}
			if err := parser.p.DecodeLayers(raw.HeaderData, &parser.found); err != nil {
				return err
			}
			parser.add(w, 0)
		}
	}
	return nil
}

// goflow2Protobuf decodes with goflow2, makes its messages and marshals them,
// as its program does before it sends them.
func goflow2Protobuf(_ workload.Stream, stream []byte, checksum bool) (workload.Work, error) {
	var w workload.Work
	cfg, err := (&protoproducer.ProducerConfig{}).Compile()
	if err != nil {
		return w, fmt.Errorf("goflow2: %w", err)
	}
	p, err := protoproducer.CreateProtoProducer(cfg, protoproducer.CreateSamplingSystem)
	if err != nil {
		return w, fmt.Errorf("goflow2: %w", err)
	}
	defer p.Close()
	templates := netflow.CreateTemplateSystem()
	args := producer.ProduceArgs{Src: netip.AddrPortFrom(exporter(), 4739), SamplerAddress: exporter(), TimeReceived: time.Unix(0, workload.Received)}
	for len(stream) > 0 {
		datagram, rest, err := workload.Datagrams(stream)
		if err != nil {
			return w, err
		}
		stream = rest
		var nine netflow.NFv9Packet
		var ten netflow.IPFIXPacket
		if err := netflow.DecodeMessageVersion(bytes.NewBuffer(datagram), templates, &nine, &ten); err != nil {
			return w, fmt.Errorf("goflow2: %w", err)
		}
		messages, err := p.Produce(&ten, &args)
		if err != nil {
			return w, fmt.Errorf("goflow2: %w", err)
		}
		for _, m := range messages {
			f, ok := m.(*protoproducer.ProtoProducerMessage)
			if !ok {
				return w, fmt.Errorf("goflow2: a message of type %T", m)
			}
			if _, err := f.MarshalBinary(); err != nil {
				return w, fmt.Errorf("goflow2: %w", err)
			}
			w.Records++
			if checksum {
				a, ok := netip.AddrFromSlice(f.SrcAddr)
				if !ok {
					return w, fmt.Errorf("goflow2: an address of %d bytes", len(f.SrcAddr))
				}
				w.Checksum.Add(f.Bytes, int64(f.TimeFlowStartNs/1e6), uint16(f.DstPort), a.As16())
			}
		}
		p.Commit(messages)
	}
	return w, nil
}

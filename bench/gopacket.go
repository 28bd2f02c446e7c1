package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// headerParser reads Ethernet, IP and transport headers into layers that are
// used again and again.
type headerParser struct {
	p       *gopacket.DecodingLayerParser
	ether   layers.Ethernet
	four    layers.IPv4
	six     layers.IPv6
	tcp     layers.TCP
	udp     layers.UDP
	payload gopacket.Payload
	found   []gopacket.LayerType
}

func (h *headerParser) init() {
	h.p = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &h.ether, &h.four, &h.six, &h.tcp, &h.udp, &h.payload)
	h.p.IgnoreUnsupported = true
}

// add sums up the packet read last.
func (h *headerParser) add(w *workload.Work, millis int64) {
	var src [16]byte
	var length uint64
	var port uint16
	switch {
	case slices.Contains(h.found, layers.LayerTypeIPv4):
		copy(src[12:], h.four.SrcIP.To4())
		length = uint64(h.four.Length)
	case slices.Contains(h.found, layers.LayerTypeIPv6):
		copy(src[:], h.six.SrcIP)
		length = 40 + uint64(h.six.Length)
	}
	switch {
	case slices.Contains(h.found, layers.LayerTypeTCP):
		port = uint16(h.tcp.DstPort)
	case slices.Contains(h.found, layers.LayerTypeUDP):
		port = uint16(h.udp.DstPort)
	}
	w.Checksum.Add(length, millis, port, src)
}

// gopacketHeaders reads a capture without copying its packets and parses their
// headers.
func gopacketHeaders(_ workload.Stream, stream []byte, checksum bool) (workload.Work, error) {
	var w workload.Work
	r, err := pcapgo.NewReader(bytes.NewReader(stream))
	if err != nil {
		return w, fmt.Errorf("gopacket: %w", err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		return w, fmt.Errorf("gopacket: a capture of link type %v", r.LinkType())
	}
	var h headerParser
	h.init()
	for {
		data, info, err := r.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return w, nil
		}
		if err == nil {
			err = h.p.DecodeLayers(data, &h.found)
		}
		if err != nil {
			return w, fmt.Errorf("gopacket: %w", err)
		}
		w.Records++
		if checksum {
			h.add(&w, info.Timestamp.UnixMilli())
		}
	}
}

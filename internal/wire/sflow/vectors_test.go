package sflow_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	weir "github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/sflow"
)

// vector is one entry of expected.json.
type vector struct {
	Inputs   []string        `json:"inputs"`
	Kind     string          `json:"kind"`
	Protocol json.RawMessage `json:"protocol"`

	Datagrams         int           `json:"datagrams"`
	Flows             int           `json:"flows"`
	First             *expectedFlow `json:"first"`
	Last              *expectedFlow `json:"last"`
	Packets           *uint64       `json:"packets"`
	Bytes             *uint64       `json:"bytes"`
	OtherSamples      int           `json:"otherSamples"`
	RejectedDatagrams int           `json:"rejectedDatagrams"`
}

type expectedFlow struct {
	Src      string  `json:"src"`
	Dst      string  `json:"dst"`
	SrcPort  *uint16 `json:"srcPort"`
	DstPort  *uint16 `json:"dstPort"`
	Proto    *uint8  `json:"proto"`
	TCPFlags *uint16 `json:"tcpFlags"`
	Packets  *uint64 `json:"packets"`
	Bytes    *uint64 `json:"bytes"`
	Rate     *uint32 `json:"samplingRate"`
}

// vectorDir finds the shared vectors, or skips the test.
func vectorDir(t testing.TB) string {
	t.Helper()
	root := os.Getenv("WEIR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "decoder-vectors-a")
	if _, err := os.Stat(filepath.Join(dir, "expected.json")); err != nil {
		t.Skipf("shared test data not found: %v", err)
	}
	return dir
}

// readVectors reads the entries for one family of protocols.
func readVectors(t testing.TB, dir, family string) map[string]vector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors map[string]vector `json:"vectors"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]vector)
	for name, v := range file.Vectors {
		if v.Kind != "packets" && strings.Contains(string(v.Protocol), family) {
			out[name] = v
		}
	}
	if len(out) == 0 {
		t.Fatalf("no vectors of %q", family)
	}
	return out
}

// datagrams reads the export datagrams of an input: the file itself, or the UDP
// payloads of a capture.
func datagrams(t testing.TB, path string) [][]byte {
	t.Helper()
	if !strings.HasSuffix(path, ".pcap") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{b}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var src gopacket.PacketDataSource
	var link gopacket.Decoder
	if r, err := pcapgo.NewReader(f); err == nil {
		src, link = r, r.LinkType()
	} else {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(err)
		}
		src, link = r, r.LinkType()
	}
	var out [][]byte
	for {
		data, _, err := src.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, link, gopacket.Default)
		if udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP); ok {
			out = append(out, udp.Payload)
		}
	}
}

var sender = netip.MustParseAddr("192.0.2.1")

// icmp are the entries whose ports differ on purpose: the packets are ICMP, of
// which a flow gives type*256+code as destination port, and the entry gives 0.
var icmp = map[string]uint16{
	"sflow.pcap":       8 << 8,   // echo request
	"data-icmpv4.pcap": 8 << 8,   // echo request
	"data-icmpv6.pcap": 135 << 8, // neighbour solicitation, RFC 4861
}

func TestVectors(t *testing.T) {
	dir := vectorDir(t)
	vectors := readVectors(t, dir, "sflow")
	maps.Copy(vectors, readVectors(t, dir, "unknown"))
	for name, v := range vectors {
		t.Run(filepath.Base(name), func(t *testing.T) {
			d := sflow.New(sflow.DefaultConfig())
			var flows []weir.Flow
			other, rejected := 0, 0
			for _, in := range v.Inputs {
				for _, b := range datagrams(t, filepath.Join(dir, in)) {
					if strings.Contains(string(v.Protocol), "netflow") && b[0] == 0 && b[1] == 5 {
						other += int(b[3]) // a capture that mixes protocols
						continue
					}
					var err error
					before := len(flows)
					flows, err = d.Decode(sender, 7, b, flows)
					var de *sflow.Error
					if err != nil && !errors.As(err, &de) {
						t.Fatalf("error of type %T: %v", err, err)
					}
					if err != nil && len(flows) == before {
						rejected++
					}
				}
			}
			s := d.Stats()
			if got := len(flows) + other; got != v.Flows {
				t.Errorf("%d flows, want %d", got, v.Flows)
			}
			if got := int(s.CounterSamples + s.OtherSamples + s.SamplesWithoutAddresses); got != v.OtherSamples {
				t.Errorf("%d other samples, want %d", got, v.OtherSamples)
			}
			if rejected != v.RejectedDatagrams {
				t.Errorf("%d rejected datagrams, want %d", rejected, v.RejectedDatagrams)
			}
			if other > 0 || len(flows) == 0 {
				return // the sums and ends are those of both protocols
			}
			var packets, bytes uint64
			for i := range flows {
				packets += flows[i].Packets
				bytes += flows[i].Bytes
			}
			if v.Packets != nil && packets != *v.Packets {
				t.Errorf("%d packets, want %d", packets, *v.Packets)
			}
			if v.Bytes != nil && bytes != *v.Bytes {
				t.Errorf("%d bytes, want %d", bytes, *v.Bytes)
			}
			if port, ok := icmp[filepath.Base(name)]; ok {
				v.First.DstPort = &port
			}
			if v.First != nil {
				compare(t, "first", flows[0], v.First)
			}
			if v.Last != nil {
				compare(t, "last", flows[len(flows)-1], v.Last)
			}
		})
	}
}

func compare(t *testing.T, which string, got weir.Flow, want *expectedFlow) {
	t.Helper()
	if got.Src.Addr().String() != want.Src || got.Dst.Addr().String() != want.Dst {
		t.Errorf("%s: %v to %v, want %s to %s", which, got.Src, got.Dst, want.Src, want.Dst)
	}
	if want.SrcPort != nil && got.Src.Port() != *want.SrcPort {
		t.Errorf("%s: source port %d, want %d", which, got.Src.Port(), *want.SrcPort)
	}
	if want.DstPort != nil && got.Dst.Port() != *want.DstPort {
		t.Errorf("%s: destination port %d, want %d", which, got.Dst.Port(), *want.DstPort)
	}
	if want.Proto != nil && got.Proto != *want.Proto {
		t.Errorf("%s: protocol %d, want %d", which, got.Proto, *want.Proto)
	}
	if want.TCPFlags != nil && got.TCPFlags != *want.TCPFlags {
		t.Errorf("%s: flags %#x, want %#x", which, got.TCPFlags, *want.TCPFlags)
	}
	if want.Packets != nil && got.Packets != *want.Packets {
		t.Errorf("%s: %d packets, want %d", which, got.Packets, *want.Packets)
	}
	if want.Bytes != nil && got.Bytes != *want.Bytes {
		t.Errorf("%s: %d bytes, want %d", which, got.Bytes, *want.Bytes)
	}
	if want.Rate != nil && (got.Sampling != *want.Rate || got.SamplingSource != weir.SamplingRecord) {
		t.Errorf("%s: sampling %d from %v, want %d from the record", which, got.Sampling, got.SamplingSource, *want.Rate)
	}
}

package netflow_test

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
	"github.com/weir-net/weir/internal/wire/netflow"
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
	OptionRecords     int           `json:"optionRecords"`
	WithoutAddresses  int           `json:"recordsWithoutAddresses"`
	WithoutTemplate   int           `json:"setsWithoutTemplate"`
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

var exporter = netip.MustParseAddr("192.0.2.1")

// differences tells where the result differs from the entry, on purpose, and
// why. The numbers are added to what the entry expects.
var differences = map[string]struct {
	reason             string
	flows, withoutAddr int
	packets, bytes     uint64
	first              *expectedFlow
	ports              bool // the ports of ICMP differ
}{
	"datalink-data.pcap":                             {reason: "the record carries a frame (IE 315), which is looked into", flows: 1, withoutAddr: -1},
	"juniper-cpid-data.pcap":                         {reason: "the record carries a frame (IE 315), which is looked into", flows: 1, withoutAddr: -1},
	"ipfix-srv6-data.pcap":                           {reason: "the record carries a frame (IE 315), which is looked into", flows: 1, withoutAddr: -1},
	"ethernet-over-mpls-with-control-word-data.pcap": {reason: "the record carries a frame (IE 315), which is looked into", flows: 10, withoutAddr: -10},
	"data+templates.pcap": {
		reason: "the data set before its template is held and decoded when the template comes: 660 bytes of 60-byte records",
		flows:  11, packets: 18, bytes: 3737,
		first: &expectedFlow{Src: "120.120.28.238", Dst: "120.120.244.112"},
	},
	"netflow9_test_cisco_asa_1_data.dat": {
		reason: "the port fields of ICMP events hold the identifier; type and code are in elements 176 and 177 of the record",
		ports:  true,
	},
}

func TestVectors(t *testing.T) {
	dir := vectorDir(t)
	vectors := readVectors(t, dir, "netflow")
	maps.Copy(vectors, readVectors(t, dir, "ipfix"))
	for name, v := range vectors {
		t.Run(filepath.Base(name), func(t *testing.T) {
			d := netflow.New(keepAll())
			var flows []weir.Flow
			n, rejected := 0, 0
			for _, in := range v.Inputs {
				for _, b := range datagrams(t, filepath.Join(dir, in)) {
					if strings.Contains(string(v.Protocol), "sflow") && b[0] == 0 && b[1] == 0 {
						continue // a capture that mixes protocols
					}
					n++
					var err error
					before := len(flows)
					flows, err = d.Decode(exporter, 1, b, flows)
					var de *netflow.Error
					if err != nil && !errors.As(err, &de) {
						t.Fatalf("error of type %T: %v", err, err)
					}
					if err != nil {
						t.Log(err)
						if len(flows) == before {
							rejected++
						}
					}
				}
			}
			diff := differences[filepath.Base(name)]
			s := d.Stats()
			if got, want := len(flows), v.Flows+diff.flows; got != want {
				t.Errorf("%d flows, want %d", got, want)
			}
			if got, want := int(s.OptionRecords), v.OptionRecords; got != want {
				t.Errorf("%d option records, want %d", got, want)
			}
			if got, want := int(s.RecordsWithoutAddresses), v.WithoutAddresses+diff.withoutAddr; got != want {
				t.Errorf("%d records without addresses, want %d", got, want)
			}
			if got, want := int(s.SetsWithoutTemplate), v.WithoutTemplate; got != want {
				t.Errorf("%d sets without template, want %d", got, want)
			}
			if rejected != v.RejectedDatagrams {
				t.Errorf("%d rejected datagrams, want %d", rejected, v.RejectedDatagrams)
			}
			var packets, bytes uint64
			for i := range flows {
				packets += flows[i].Packets
				bytes += flows[i].Bytes
			}
			if v.Packets != nil && packets != *v.Packets+diff.packets {
				t.Errorf("%d packets, want %d", packets, *v.Packets+diff.packets)
			}
			if v.Bytes != nil && bytes != *v.Bytes+diff.bytes {
				t.Errorf("%d bytes, want %d", bytes, *v.Bytes+diff.bytes)
			}
			if len(flows) == 0 {
				return
			}
			if diff.first != nil {
				v.First = diff.first
			}
			if v.First != nil {
				compare(t, "first", flows[0], v.First, diff.ports)
			}
			if v.Last != nil {
				compare(t, "last", flows[len(flows)-1], v.Last, diff.ports)
			}
		})
	}
}

func compare(t *testing.T, which string, got weir.Flow, want *expectedFlow, skipPorts bool) {
	t.Helper()
	if got.Src.Addr().String() != want.Src || got.Dst.Addr().String() != want.Dst {
		t.Errorf("%s: %v to %v, want %s to %s", which, got.Src, got.Dst, want.Src, want.Dst)
	}
	if want.SrcPort != nil && !skipPorts && got.Src.Port() != *want.SrcPort {
		t.Errorf("%s: source port %d, want %d", which, got.Src.Port(), *want.SrcPort)
	}
	if want.DstPort != nil && !skipPorts && got.Dst.Port() != *want.DstPort {
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
	if want.Packets == nil && got.Known.Has(weir.HasPackets) {
		t.Logf("%s: packets %d, the entry has none", which, got.Packets)
	}
}

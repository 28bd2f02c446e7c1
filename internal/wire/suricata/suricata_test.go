package suricata

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/wiretest"
)

const tcpFlow = `{"timestamp":"2024-01-01T00:00:00.000000+0000","event_type":"flow","vlan":[7,8],"src_ip":"198.51.100.7","src_port":40000,"dest_ip":"192.0.2.1","dest_port":22,"proto":"TCP","flow":{"pkts_toserver":10,"pkts_toclient":8,"bytes_toserver":900,"bytes_toclient":1200,"start":"2023-11-15T00:13:20.500000+0200","end":"2023-11-15T00:13:21.000000+0200","action":"drop"},"tcp":{"tcp_flags":"1f","tcp_flags_ts":"1b","tcp_flags_tc":"17","syn":true}}`

func TestEvents(t *testing.T) {
	const at = 1700000000500000000
	in := tcpFlow + "\n" +
		`{"event_type":"dns","src_ip":"x"}` + "\n" +
		`{"event_type":"flow","src_ip":"2001:db8::7","dest_ip":"2001:db8::1","proto":"IPv6-ICMP","icmp_type":128,"icmp_code":0,"flow":{"pkts_toserver":1,"pkts_toclient":0,"bytes_toserver":94,"bytes_toclient":0,"start":"2023-11-14T22:13:20.500000+0000","end":"2023-11-14T22:13:20.500000+0000"}}`
	base := weir.Flow{Start: at, End: at, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatSuricata, Initiator: weir.InitiatorSrc}
	want := []weir.Flow{base, base}
	want[0].End += 500000000
	want[0].Src, want[0].Dst, want[0].Proto = netip.MustParseAddrPort("198.51.100.7:40000"), netip.MustParseAddrPort("192.0.2.1:22"), 6
	want[0].Packets, want[0].RevPackets, want[0].Bytes, want[0].RevBytes = 10, 8, 900, 1200
	want[0].TCPFlags, want[0].RevTCPFlags, want[0].VLAN, want[0].Action = 0x1b, 0x17, 7, weir.ActionDeny
	want[0].Known = weir.HasPackets | weir.HasBytes | weir.HasPorts | weir.HasReverse | weir.HasFlags | weir.HasRevFlags
	want[1].Src, want[1].Dst, want[1].Proto = netip.MustParseAddrPort("[2001:db8::7]:0"), netip.MustParseAddrPort("[2001:db8::1]:32768"), 58
	want[1].Packets, want[1].Bytes = 1, 94
	want[1].Known = weir.HasPackets | weir.HasBytes | weir.HasPorts | weir.HasReverse
	r := NewReader(strings.NewReader(in), Options{})
	flows, err := wiretest.ReadAll(r)
	if n, first := r.Skipped(); err != nil || n > 0 || r.Other() != 1 {
		t.Fatal(err, first, r.Other())
	}
	wiretest.Check(t, flows)
	if d := cmp.Diff(want, flows, wiretest.Compare()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBadInput(t *testing.T) {
	for _, tt := range []struct {
		name, in    string
		flows, skip int
		want        error
	}{
		{name: "bad fields", in: strings.Replace(tcpFlow, "198.", "398.", 1) + "\n" + strings.Replace(tcpFlow, `"1b"`, `"zz"`, 1) + "\n" + strings.Replace(tcpFlow, "T00:13:20", "T25:13:20", 1) + "\n" + strings.Replace(tcpFlow, "40000", "-1", 1) + "\n" + tcpFlow, flows: 1, skip: 4},
		{name: "no flow", in: `{"event_type":"flow","src_ip":"192.0.2.1","dest_ip":"192.0.2.2","proto":"UDP"}` + "\n", skip: 1},
		{name: "no type", in: "{}\n", skip: 1},
		{name: "not JSON", in: "hello\n[1]\n", skip: 2},
		{name: "cut", in: tcpFlow + "\n" + tcpFlow[:200], flows: 1, want: io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in), Options{})
			flows, err := wiretest.ReadAll(r)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), error %v", len(flows), n, first, err)
			}
		})
	}
}

func TestCases(t *testing.T) {
	wiretest.Cases(t, weir.FormatSuricata, 1, func(r io.Reader) wiretest.Reader { return NewReader(r, Options{}) })
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(tcpFlow))
	f.Add([]byte(`{"event_type":"flow","src_ip":"2001:db8::7","dest_ip":"2001:db8::1","proto":"IPv6-ICMP","icmp_type":128,"icmp_code":0,"flow":{"start":"2023-11-14T22:13:20.500000+0000"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		flows, _ := wiretest.ReadAll(NewReader(bytes.NewReader(b), Options{}))
		wiretest.Check(t, flows)
	})
}

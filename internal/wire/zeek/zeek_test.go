package zeek

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
	"github.com/weir-net/weir/internal/wire/wiretest"
)

const head = "#separator \\x09\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents   label   detailed-label\n"

func read(t *testing.T, in string) ([]weir.Flow, *Reader, error) {
	t.Helper()
	r := NewReader(strings.NewReader(in), Options{})
	flows, err := wiretest.ReadAll(r)
	wiretest.Check(t, flows)
	return flows, r, err
}

const all = weir.HasPackets | weir.HasBytes | weir.HasReverse | weir.HasPorts

func TestRows(t *testing.T) {
	base := weir.Flow{Start: 1700000000123456000, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatZeek, Initiator: weir.InitiatorSrc}
	tests := []struct {
		name, tsv, json string
		want            func(*weir.Flow)
	}{
		{
			name: "history",
			tsv:  "1700000000.123456 C1 198.51.100.7 40000 192.0.2.1 22 tcp 1.5 SF ShAadDFfR 10 900 8 1200 (empty)   Malicious   C&C",
			json: `{"ts":1700000000.123456,"id.orig_h":"198.51.100.7","id.orig_p":40000,"id.resp_h":"192.0.2.1","id.resp_p":22,"proto":"tcp","duration":1.5,"conn_state":"SF","history":"ShAadDFfR","orig_pkts":10,"orig_ip_bytes":900,"resp_pkts":8,"resp_ip_bytes":1200}`,
			want: func(f *weir.Flow) {
				f.End += 1500000000
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("198.51.100.7:40000"), netip.MustParseAddrPort("192.0.2.1:22"), 6
				f.Packets, f.Bytes, f.RevPackets, f.RevBytes = 10, 900, 8, 1200
				f.TCPFlags, f.RevTCPFlags = 0x17, 0x13
				f.Known = all | weir.HasFlags | weir.HasRevFlags
			},
		},
		{
			name: "state without history",
			tsv:  "1700000000.123456 C1 198.51.100.7 40000 192.0.2.1 22 tcp - REJ - - - - - -",
			json: `{"ts":"2023-11-14T22:13:20.123456Z","id.orig_h":"198.51.100.7","id.orig_p":40000,"id.resp_h":"192.0.2.1","id.resp_p":22,"proto":"tcp","conn_state":"REJ"}`,
			want: func(f *weir.Flow) {
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("198.51.100.7:40000"), netip.MustParseAddrPort("192.0.2.1:22"), 6
				f.TCPFlags, f.RevTCPFlags = weir.SYN, weir.RST
				f.Known = weir.HasReverse | weir.HasPorts | weir.HasFlags | weir.HasRevFlags
			},
		},
		{
			name: "from the middle, packets of one side only",
			tsv:  "1700000000.123456 C1 2001:db8::7 40000 2001:db8::1 22 tcp - OTH Dd 1 900 - 1200 -",
			json: `{"ts":1700000000.123456,"id_orig_h":"2001:db8::7","id_orig_p":40000,"id_resp_h":"2001:db8::1","id_resp_p":22,"proto":"tcp","conn_state":"OTH","history":"Dd","orig_pkts":1,"orig_ip_bytes":900,"resp_ip_bytes":1200}`,
			want: func(f *weir.Flow) {
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("[2001:db8::7]:40000"), netip.MustParseAddrPort("[2001:db8::1]:22"), 6
				f.Bytes, f.RevBytes = 900, 1200
				f.TCPFlags, f.RevTCPFlags, f.Initiator = weir.ACK, weir.ACK, weir.InitiatorUnknown
				f.Known = weir.HasBytes | weir.HasReverse | weir.HasPorts | weir.HasFlags | weir.HasRevFlags
			},
		},
		{
			name: "echo",
			tsv:  "1700000000.123456 C1 198.51.100.7 8 192.0.2.1 0 icmp 0.000001 OTH - 1 84 1 84 -",
			json: `{"ts":1700000000.123456,"id.orig_h":"198.51.100.7","id.orig_p":8,"id.resp_h":"192.0.2.1","id.resp_p":0,"proto":"icmp","duration":1e-06,"conn_state":"OTH","orig_pkts":1,"orig_ip_bytes":84,"resp_pkts":1,"resp_ip_bytes":84}`,
			want: func(f *weir.Flow) {
				f.End += 1000
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("198.51.100.7:0"), netip.MustParseAddrPort("192.0.2.1:2048"), 1
				f.Packets, f.Bytes, f.RevPackets, f.RevBytes, f.Known = 1, 84, 1, 84, all
			},
		},
		{
			name: "unreachable keeps its code, ICMPv6 has the same name",
			tsv:  "1700000000.123456 C1 2001:db8::7 1 2001:db8::1 4 icmp - OTH - 1 84 0 0 -",
			json: `{"ts":1700000000.123456,"id.orig_h":"2001:db8::7","id.orig_p":1,"id.resp_h":"2001:db8::1","id.resp_p":4,"proto":"icmp","conn_state":"OTH","orig_pkts":1,"orig_ip_bytes":84,"resp_pkts":0,"resp_ip_bytes":0}`,
			want: func(f *weir.Flow) {
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("[2001:db8::7]:0"), netip.MustParseAddrPort("[2001:db8::1]:260"), 58
				f.Packets, f.Bytes, f.Known = 1, 84, all
			},
		},
		{
			name: "protocol without number",
			tsv:  "1700000000.123456 C1 198.51.100.7 0 192.0.2.1 0 unknown_transport - OTH - - - - - -",
			json: `{"ts":1700000000.123456,"id.orig_h":"198.51.100.7","id.orig_p":0,"id.resp_h":"192.0.2.1","id.resp_p":0,"proto":"unknown_transport","conn_state":"OTH"}`,
			want: func(f *weir.Flow) {
				f.Src, f.Dst, f.Proto = netip.MustParseAddrPort("198.51.100.7:0"), netip.MustParseAddrPort("192.0.2.1:0"), text.NoProto
				f.Known = weir.HasReverse
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			want.End = want.Start
			tt.want(&want)
			// Columns are separated by single blanks here, labels by three.
			tsv := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(tt.tsv, "   ", "~"), " ", "\t"), "~", "   ")
			for form, in := range map[string]string{"tsv": head + tsv + "\n", "json": tt.json} {
				flows, r, err := read(t, in)
				if n, first := r.Skipped(); err != nil || n > 0 {
					t.Fatal(form, err, first)
				}
				if d := cmp.Diff([]weir.Flow{want}, flows, wiretest.Compare()); d != "" {
					t.Errorf("%s (-want +got):\n%s", form, d)
				}
			}
		})
	}
}

func TestStatesAndHistories(t *testing.T) {
	for state, want := range map[string][2]uint16{
		"S0": {2, 0}, "S1": {18, 18}, "SF": {19, 19}, "S2": {19, 18}, "S3": {18, 19}, "RSTO": {22, 18}, "RSTR": {18, 22},
		"RSTOS0": {6, 0}, "RSTRH": {0, 22}, "SH": {3, 0}, "SHR": {0, 19},
	} {
		if a, b, ok := stateFlags(state); !ok || a != want[0] || b != want[1] {
			t.Errorf("%s: %d %d %v, want %d", state, a, b, ok, want)
		}
	}
	if _, _, ok := stateFlags("OTH"); ok {
		t.Error("OTH says nothing about flags")
	}
	for history, want := range map[string][2]uint16{"S": {2, 0}, "Sr": {2, 4}, "^hR": {4, 18}, "SIq": {7, 2}, "Cg": {0, 0}, "ShTtWw": {18, 18}} {
		if a, b := historyFlags([]byte(history)); a != want[0] || b != want[1] {
			t.Errorf("%s: %d %d, want %d", history, a, b, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	row := "1700000000.1\tC\t198.51.100.7\t1\t192.0.2.1\t22\ttcp\t1\tSF\tS\t1\t1\t1\t1\t-\n"
	for _, tt := range []struct {
		name, in    string
		flows, skip int
		first       string
		want        error
	}{
		{name: "bad rows are skipped", in: head + row + strings.Replace(row, "198", "398", 1) + strings.Replace(row, "\t22\t", "\t99999\t", 1) + row, flows: 2, skip: 2, first: `zeek: line 6: id.orig_h: "398.51.100.7" is not an IP address`},
		{name: "too few columns", in: head + "1700000000.1\tC\n" + row, flows: 1, skip: 1, first: "zeek: line 5: 2 columns where the header has 15"},
		{name: "bad JSON", in: "{\"ts\":1}\n{]\n", skip: 2, first: `zeek: line 1: id.orig_h: "" is not an IP address`},
		{name: "header again", in: head + row + head + row, flows: 2},
		{name: "no header", in: row, want: text.ErrFormat},
		{name: "another log", in: "#fields\tts\tuid\tid.orig_h\tid.resp_h\tproto\tquery\n", want: text.ErrFormat},
		{name: "bad separator", in: "#separator \\q\n", want: text.ErrFormat},
		{name: "cut", in: head + row + row[:30], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "other separator", in: "#separator |\n#fields|ts|id.orig_h|id.resp_h|proto|conn_state\n1.5|192.0.2.1|192.0.2.2|udp|S0\n", flows: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows, r, err := read(t, tt.in)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), error %v", len(flows), n, first, err)
			}
			if tt.first != "" && (first == nil || first.Error() != tt.first) {
				t.Errorf("first skipped: %v, want %s", first, tt.first)
			}
		})
	}
}

func TestCases(t *testing.T) {
	wiretest.Cases(t, weir.FormatZeek, 12, func(r io.Reader) wiretest.Reader { return NewReader(r, Options{}) })
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(head + "1700000000.1\tC\t198.51.100.7\t1\t192.0.2.1\t22\ttcp\t1\tSF\tShAdF^\t1\t1\t1\t1\t-\n"))
	f.Add([]byte(`{"ts":1.5e3,"id.orig_h":"fe80::1%eth0","id.orig_p":8,"id.resp_h":"::ffff:192.0.2.1","id.resp_p":0,"proto":"icmp","duration":1e-06}`))
	f.Add([]byte("#separator \\x2c\n#fields,ts,id.orig_h,id.resp_h,proto,conn_state\n1,192.0.2.1,192.0.2.2,tcp,S0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		flows, _ := wiretest.ReadAll(NewReader(bytes.NewReader(b), Options{}))
		wiretest.Check(t, flows)
	})
}

package argus

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

const head = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n"

func TestRows(t *testing.T) {
	const at = 1700000000500000000
	base := weir.Flow{Start: at, End: at, Sampling: 1, SamplingSource: weir.SamplingFormat, Format: weir.FormatArgus, Known: weir.HasReverse}
	ends := func(f *weir.Flow, src, dst string, proto uint8) {
		f.Src, f.Dst, f.Proto = netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst), proto
	}
	const counted = weir.HasPackets | weir.HasBytes
	for _, tt := range []struct {
		name, head, row string
		want            func(*weir.Flow)
	}{
		{
			name: "connection", head: head,
			row: "2023/11/14 22:13:20.500000,1.250000,tcp,198.51.100.7,40000,   ->,192.0.2.1,22,FSPA_FSRA,0,0,18,2100,900,10,flow=x",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:40000", "192.0.2.1:22", 6)
				f.End += 1250000000
				f.Packets, f.RevPackets, f.Bytes, f.RevBytes = 10, 8, 900, 1200
				f.TCPFlags, f.RevTCPFlags, f.Initiator = 0x1b, 0x17, weir.InitiatorSrc
				f.Known |= counted | weir.HasPorts | weir.HasFlags | weir.HasRevFlags
			},
		},
		{
			name: "totals only, answered", head: "StartTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,TotPkts,TotBytes\n",
			row: "1700000000.5,udp,198.51.100.7,53,  <->,192.0.2.1,0x35,CON,2,200",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:53", "192.0.2.1:53", 17)
				f.Initiator = weir.InitiatorSrc
				f.Known |= weir.HasPorts
			},
		},
		{
			name: "totals only, not answered", head: "StartTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,TotPkts,TotBytes\n",
			row: "2023-11-14T22:13:20.5Z,tcp,198.51.100.7,1,   ?>,192.0.2.1,2,S_,3,180",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:1", "192.0.2.1:2", 6)
				f.Packets, f.Bytes, f.TCPFlags = 3, 180, weir.SYN
				f.Known |= counted | weir.HasPorts | weir.HasFlags | weir.HasRevFlags
			},
		},
		{
			name: "counts of both sides, opened by the destination", head: "stime,ltime,proto,saddr,sport,dir,daddr,dport,state,spkts,dpkts,sbytes,dbytes\n",
			row: "1700000000.5,1700000001.5,tcp,2001:db8::7,1,  <-,2001:db8::1,2,RST,3,4,180,240",
			want: func(f *weir.Flow) {
				ends(f, "[2001:db8::7]:1", "[2001:db8::1]:2", 6)
				f.End += 1000000000
				f.Packets, f.Bytes, f.RevPackets, f.RevBytes, f.Initiator = 3, 180, 4, 240, weir.InitiatorDst
				f.Known |= counted | weir.HasPorts
			},
		},
		{
			name: "icmp", head: head,
			row: "2023/11/14 22:13:20.500000,0.000000,icmp,198.51.100.7,0x0403,   ->,192.0.2.1,0x12d6,URF,192,,1,353,353,1,",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:0", "192.0.2.1:772", 1)
				f.Packets, f.Bytes, f.Initiator = 1, 353, weir.InitiatorSrc
				f.Known |= counted | weir.HasPorts
			},
		},
		{
			name: "arp between IP addresses", head: head,
			row: "2023/11/14 22:13:20.500000,0.000000,arp,198.51.100.7,,  who,192.0.2.1,,CON,,,2,120,60,1,",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:0", "192.0.2.1:0", text.NoProto)
				f.Packets, f.RevPackets, f.Bytes, f.RevBytes = 1, 1, 60, 60
				f.Known |= counted
			},
		},
		{
			name: "source counts beyond the total", head: head,
			row: "2023/11/14 22:13:20.500000,-1,gre,198.51.100.7,,  <?>,192.0.2.1,,CON,,,2,120,500,1,",
			want: func(f *weir.Flow) {
				ends(f, "198.51.100.7:0", "192.0.2.1:0", 47)
				f.Packets, f.RevPackets = 1, 1
				f.Known |= weir.HasPackets
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.want(&want)
			r := NewReader(strings.NewReader(tt.head+tt.row+"\r\n"), Options{})
			flows, err := wiretest.ReadAll(r)
			if n, first := r.Skipped(); err != nil || n > 0 {
				t.Fatal(err, first)
			}
			wiretest.Check(t, flows)
			if d := cmp.Diff([]weir.Flow{want}, flows, wiretest.Compare()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	row := "2023/11/14 22:13:20.500000,1.250000,tcp,198.51.100.7,40000,   ->,192.0.2.1,22,FSPA_FSRA,0,0,18,2100,900,10,\n"
	for _, tt := range []struct {
		name, in           string
		flows, skip, other int
		want               error
	}{
		{name: "rows of other layers", in: head + strings.Replace(strings.Replace(row, "198.51.100.7", "02:00:00:00:00:01", 1), "192.0.2.1", "02:00:00:00:00:02", 1) + row, flows: 1, other: 1},
		{name: "bad rows", in: head + strings.Replace(row, "2023/", "2x23/", 1) + strings.Replace(row, "198.", "398.", 1) + strings.Replace(row, "40000", "400000", 1) + strings.Replace(row, ",18,", ",-18,", 1) + row, flows: 1, skip: 4},
		{name: "short row", in: head + row[:40] + "\n" + row, flows: 1, skip: 1},
		{name: "no header", in: row, want: text.ErrFormat},
		{name: "cut", in: head + row + row[:50], flows: 1, want: io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in), Options{})
			flows, err := wiretest.ReadAll(r)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || int(r.Other()) != tt.other || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), %d other, error %v", len(flows), n, first, r.Other(), err)
			}
		})
	}
}

func TestCases(t *testing.T) {
	wiretest.Cases(t, weir.FormatArgus, 4, func(r io.Reader) wiretest.Reader { return NewReader(r, Options{}) })
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(head + "2023/11/14 22:13:20.500000,1.250000,tcp,198.51.100.7,40000,   ->,192.0.2.1,22,FSPA_FSRA,0,0,18,2100,900,10,x\n"))
	f.Add([]byte(head + "1.5,-1.250000,icmp,198.51.100.7,0x0303,  <->,192.0.2.1,,URP,0,0,18,2100,,,x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		flows, _ := wiretest.ReadAll(NewReader(bytes.NewReader(b), Options{}))
		wiretest.Check(t, flows)
	})
}

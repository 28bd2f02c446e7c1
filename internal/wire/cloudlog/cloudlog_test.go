package cloudlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/text"
	"github.com/weir-net/weir/internal/wire/wiretest"
)

func read(t *testing.T, format weir.Format, in string) ([]weir.Flow, *Reader, error) {
	t.Helper()
	r := NewReader(strings.NewReader(in), Options{Format: format})
	flows, err := wiretest.ReadAll(r)
	wiretest.Check(t, flows)
	return flows, r, err
}

func diff(t *testing.T, want, got []weir.Flow) {
	t.Helper()
	if d := cmp.Diff(want, got, wiretest.Compare()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// at is the second all times of these tests count from.
const at = int64(1700000000)

func azureFlow(start, end int64, src, dst string, known weir.Fields, counts ...uint64) weir.Flow {
	f := weir.Flow{
		Start: start * 1e6, End: end * 1e6, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Proto: 6,
		Known: weir.HasPorts | known, Sampling: 1, SamplingSource: weir.SamplingFormat, Action: weir.ActionAllow,
		Initiator: weir.InitiatorSrc, Format: weir.FormatAzureVNet,
	}
	if len(counts) == 4 {
		f.Packets, f.Bytes, f.RevPackets, f.RevBytes = counts[0], counts[1], counts[2], counts[3]
	}
	return f
}

const counted = weir.HasPackets | weir.HasBytes | weir.HasReverse

// TestAzureVNet follows connections through begin, continue and end tuples over
// two records.
func TestAzureVNet(t *testing.T) {
	in := `{"records":[
{"time":"2023-11-14T22:14:00Z","flowLogVersion":4,"macAddress":"02","flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"r","flowTuples":[
 "1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,B,NX,0,0,0,0",
 "1700000000200,192.0.2.4,198.51.100.1,40001,443,6,O,B,NX,,,,",
 "1700000000300,192.0.2.4,198.51.100.1,40000,443,6,O,E,NX,3,767,2,1580",
 "1700000000400,203.0.113.9,192.0.2.4,50000,22,6,I,D,NX,0,0,0,0",
 "1700000000500,203.0.113.9,192.0.2.4,50001,22,6,I,D,NX,2,120,0,0"]}]}]}},
{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":[
 "1700000060200,192.0.2.4,198.51.100.1,40001,443,6,O,C,X,10,1000,20,2000",
 "1700000060,2001:db8::4,2001:db8::9,0,0,58,I,E,X,1,100,1,100",
 "1700000120200,192.0.2.4,198.51.100.1,40001,443,6,O,E,X,0,0,0,0"]}]}]}}]}`
	flows, r, err := read(t, weir.FormatAzureVNet, in)
	if n, first := r.Skipped(); err != nil || n > 0 || r.Stats().Begins != 1 {
		t.Fatal(err, first, r.Stats())
	}
	ms := at * 1000
	denied := azureFlow(ms+400, ms+400, "203.0.113.9:50000", "192.0.2.4:22", 0)
	denied.Action = weir.ActionDeny
	denied2 := azureFlow(ms+500, ms+500, "203.0.113.9:50001", "192.0.2.4:22", counted, 2, 120, 0, 0)
	denied2.Action = weir.ActionDeny
	icmp := azureFlow(ms+60000, ms+60000, "[2001:db8::4]:0", "[2001:db8::9]:0", counted, 1, 100, 1, 100)
	icmp.Known &^= weir.HasPorts
	icmp.Proto = 58
	diff(t, []weir.Flow{
		azureFlow(ms+100, ms+300, "192.0.2.4:40000", "198.51.100.1:443", counted, 3, 767, 2, 1580),
		denied, denied2,
		azureFlow(ms+200, ms+200, "192.0.2.4:40001", "198.51.100.1:443", 0),
		azureFlow(ms+200, ms+60200, "192.0.2.4:40001", "198.51.100.1:443", counted, 10, 1000, 20, 2000),
		icmp,
		azureFlow(ms+60200, ms+120200, "192.0.2.4:40001", "198.51.100.1:443", counted, 0, 0, 0, 0),
	}, flows)
}

// TestAzureNSG reads version 1, with records nested in records, and version 2.
func TestAzureNSG(t *testing.T) {
	v1 := `{"records":[{"time":"t","systemId":"s","properties":{"Version":1,"flows":[{"rule":"r","flows":[{"mac":"m","flowTuples":[
"1700000000,203.0.113.9,192.0.2.4,50000,3389,T,I,A","1700000001,203.0.113.9,192.0.2.4,50001,53,U,I,D"]}]}]}},
{"records":{"properties":{"Version":1,"flows":[{"flows":[{"flowTuples":["1700000002,203.0.113.9,192.0.2.4,50002,3389,T,I,A"]}]}]}}}]}`
	flows, r, err := read(t, weir.FormatAzureNSG, v1)
	if n, first := r.Skipped(); err != nil || n > 0 {
		t.Fatal(err, first)
	}
	nsg := func(sec int64, src, dst string, proto uint8, action weir.Action, known weir.Fields, counts ...uint64) weir.Flow {
		f := azureFlow((at+sec)*1000, (at+sec)*1000, src, dst, known, counts...)
		f.Proto, f.Action, f.Format = proto, action, weir.FormatAzureNSG
		return f
	}
	diff(t, []weir.Flow{
		nsg(0, "203.0.113.9:50000", "192.0.2.4:3389", 6, weir.ActionAllow, 0),
		nsg(1, "203.0.113.9:50001", "192.0.2.4:53", 17, weir.ActionDeny, 0),
		nsg(2, "203.0.113.9:50002", "192.0.2.4:3389", 6, weir.ActionAllow, 0),
	}, flows)

	// One record a line, as event streams carry them.
	v2 := `{"category":"NetworkSecurityGroupFlowEvent","properties":{"Version":2,"flows":[{"rule":"r","flows":[{"mac":"m","flowTuples":["1700000000,203.0.113.9,192.0.2.4,50000,443,U,I,D,B,,,,","1700000003,192.0.2.4,203.0.113.9,50001,443,T,O,A,B,,,,"]}]}]}}
{"properties":{"flows":[{"flows":[{"flowTuples":["1700000003,192.0.2.4,203.0.113.9,50002,443,T,O,A,C,30,16978,24,14008"]}]}]}}
`
	flows, r, err = read(t, weir.FormatAzureNSG, v2)
	if n, first := r.Skipped(); err != nil || n > 0 {
		t.Fatal(err, first)
	}
	diff(t, []weir.Flow{
		nsg(0, "203.0.113.9:50000", "192.0.2.4:443", 17, weir.ActionDeny, 0),
		nsg(3, "192.0.2.4:50001", "203.0.113.9:443", 6, weir.ActionAllow, 0),
		nsg(3, "192.0.2.4:50002", "203.0.113.9:443", 6, weir.ActionAllow, counted, 30, 16978, 24, 14008),
	}, flows)
}

func TestAzureBadInput(t *testing.T) {
	tuples := func(list ...string) string {
		return `{"records":[{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["` + strings.Join(list, `","`) + `"]}]}]}}]}`
	}
	good := "1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,E,NX,1,2,3,4"
	for _, tt := range []struct {
		name, in    string
		flows, skip int
		want        error
	}{
		{name: "bad tuples", in: tuples(
			"x,192.0.2.4,198.51.100.1,40000,443,6,O,E,NX,1,2,3,4", "1,2,3", "1700000000100,192.0.2.4.5,198.51.100.1,40000,443,6,O,E,NX,1,2,3,4",
			"1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,Z,NX,1,2,3,4", "1700000000100,192.0.2.4,198.51.100.1,40000,443,6,Q,E,NX,1,2,3,4",
			"1700000000,192.0.2.4,198.51.100.1,40000,443,T,O,X", "1700000000100,192.0.2.4,198.51.100.1,40000,443,,O,E,NX,1,2,3,4",
			"1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,E,NX,1,2,3,-4", good,
		), flows: 1, skip: 8},
		{name: "no records", in: `{"records":[]}`},
		{name: "empty", in: "  \n"},
		{name: "another log", in: `{"events":[{"a":1}]}`, want: text.ErrFormat},
		{name: "not JSON", in: "start,end,src\n", want: text.ErrFormat},
		{name: "cut", in: tuples(strings.Replace(good, ",E,", ",B,", 1), "1700000000100,192.0.2.4,198.51.100.1,40009,443,6,O,E,NX,1,2,3,4")[:170], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "giant value", in: `{"records":[{"x":"` + strings.Repeat("y", 3<<20) + `"}]}`, want: text.ErrFormat},
		{name: "deep", in: strings.Repeat("[", 1<<16), want: text.ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows, r, err := read(t, weir.FormatAzureVNet, tt.in)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), error %v", len(flows), n, first, err)
			}
		})
	}
}

// TestAzureBounds: more begin tuples than are held wait for nobody.
func TestAzureBounds(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"records":[{"flowTuples":[`)
	const n = maxPending + 10
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"1700000000100,192.0.2.4,10.%d.%d.%d,40000,443,6,O,B,NX,0,0,0,0"`, i>>16, i>>8&255, i&255)
	}
	b.WriteString(`]}]}`)
	r := NewReader(&b, Options{Format: weir.FormatAzureVNet})
	var flows []weir.Flow
	for {
		before := len(flows)
		var err error
		flows, err = r.Read(flows)
		if len(flows)-before > batch {
			t.Fatalf("%d flows at once", len(flows)-before)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
	}
	if len(flows) != n {
		t.Errorf("%d flows, want %d", len(flows), n)
	}
}

func awsFlow(src, dst string, proto uint8, known weir.Fields, packets, octets uint64) weir.Flow {
	return weir.Flow{
		Start: at * 1e9, End: (at + 60) * 1e9, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Proto: proto,
		Packets: packets, Bytes: octets, Known: known, Sampling: 1, SamplingSource: weir.SamplingFormat, Action: weir.ActionAllow, Format: weir.FormatAWSVPC,
	}
}

func TestAWSDefault(t *testing.T) {
	in := `2 111122223333 eni-0a 198.51.100.7 192.0.2.1 40000 22 6 20 4249 1700000000 1700000060 ACCEPT OK
2 111122223333 eni-0a - - - - - - - 1700000000 1700000060 - NODATA
2 111122223333 eni-0a - - - - - - - 1700000000 1700000060 - SKIPDATA
2023-11-14T22:14:00.000Z 2 111122223333 eni-0a 2001:db8::7 2001:db8::1 0 0 58 4 336 1700000000 1700000060 REJECT OK
5 111122223333 eni-0a 198.51.100.7 192.0.2.1 40000 22 6 20 4249 1700000000 1700000060 ACCEPT OK
2 111122223333 eni-0a 198.51.100.7
`
	flows, r, err := read(t, weir.FormatAWSVPC, in)
	n, first := r.Skipped()
	if err != nil || n != 2 || first == nil || !strings.Contains(first.Error(), "line 5") || r.Stats() != (Stats{NoData: 1, SkipData: 1}) {
		t.Fatal(err, n, first, r.Stats())
	}
	rejected := awsFlow("[2001:db8::7]:0", "[2001:db8::1]:0", 58, weir.HasPackets|weir.HasBytes, 4, 336)
	rejected.Action = weir.ActionDeny
	diff(t, []weir.Flow{awsFlow("198.51.100.7:40000", "192.0.2.1:22", 6, weir.HasPackets|weir.HasBytes|weir.HasPorts, 20, 4249), rejected}, flows)
}

func TestAWSHeader(t *testing.T) {
	in := `version vpc-id srcaddr dstaddr srcport dstport protocol tcp-flags packets bytes start end action log-status pkt-srcaddr pkt-dstaddr flow-direction new-field
5 vpc-1 192.0.2.100 192.0.2.1 40000 22 6 2 1 60 1700000000 1700000060 ACCEPT OK 198.51.100.7 192.0.2.1 ingress x
5 vpc-1 192.0.2.1 192.0.2.100 22 40000 6 19 8 1200 1700000000 1700000060 ACCEPT OK 192.0.2.1 198.51.100.7 egress x
5 vpc-1 192.0.2.1 192.0.2.100 22 40000 6 0 - 1200 1700000000 1700000060 - OK - - egress x
8 vpc-1 192.0.2.1 192.0.2.100 22 40000 6 3 4 - 1700000000 1700000060 ACCEPT OK 192.0.2.1 192.0.2.100 egress x
5 vpc-1 192.0.2.1 192.0.2.100 22 40000 6 2 4 1600 1700000000 1700000060 ACCEPT OK 192.0.2.1 192.0.2.100 egress x
protocol pkt_srcaddr pkt_dstaddr start
17 192.0.2.1 192.0.2.2 1700000000
`
	flows, r, err := read(t, weir.FormatAWSVPC, in)
	if n, first := r.Skipped(); err != nil || n > 0 {
		t.Fatal(err, first)
	}
	const known = weir.HasPackets | weir.HasBytes | weir.HasPorts | weir.HasFlags
	syn := awsFlow("198.51.100.7:40000", "192.0.2.1:22", 6, known, 1, 60)
	syn.TCPFlags, syn.Initiator = weir.SYN, weir.InitiatorSrc
	answer := awsFlow("192.0.2.1:22", "198.51.100.7:40000", 6, known, 8, 1200)
	answer.TCPFlags, answer.Initiator = weir.SYN|weir.ACK|weir.FIN, weir.InitiatorDst
	silent := awsFlow("192.0.2.1:22", "192.0.2.100:40000", 6, weir.HasBytes|weir.HasPorts, 0, 1200)
	silent.Action = weir.ActionUnknown
	closed := awsFlow("192.0.2.1:22", "192.0.2.100:40000", 6, known&^weir.HasBytes, 4, 0)
	closed.TCPFlags, closed.Initiator = weir.SYN|weir.ACK|weir.FIN, weir.InitiatorSrc
	data := awsFlow("192.0.2.1:22", "192.0.2.100:40000", 6, known, 4, 1600)
	data.TCPFlags, data.Initiator = weir.SYN|weir.ACK, weir.InitiatorSrc
	bare := awsFlow("192.0.2.1:0", "192.0.2.2:0", 17, 0, 0, 0)
	bare.End, bare.Action = bare.Start, weir.ActionUnknown
	diff(t, []weir.Flow{syn, answer, silent, closed, data, bare}, flows)
}

func TestAWSBadInput(t *testing.T) {
	good := "2 1 eni-0a 198.51.100.7 192.0.2.1 40000 22 6 20 4249 1700000000 1700000060 ACCEPT OK\n"
	for _, tt := range []struct {
		name, in    string
		flows, skip int
		want        error
	}{
		{name: "bad fields", in: strings.Replace(good, "198.", "398.", 1) + strings.Replace(good, "40000", "70000", 1) + strings.Replace(good, " 20 ", " x ", 1) + strings.Replace(good, "1700000000", "now", 1) + good, flows: 1, skip: 4},
		{name: "header without time", in: "srcaddr dstaddr\n", want: text.ErrFormat},
		{name: "cut", in: good + good[:60], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "giant line", in: good + strings.Repeat("x", 2<<20) + "\n" + good, flows: 2, skip: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows, r, err := read(t, weir.FormatAWSVPC, tt.in)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), error %v", len(flows), n, first, err)
			}
		})
	}
}

// gcpRecords are two flow records as bare payloads.
func gcpRecords() (records []string, flows []weir.Flow) {
	f := weir.Flow{
		Start: at * 1e9, End: at*1e9 + 5250000000, Src: netip.MustParseAddrPort("192.0.2.4:40000"), Dst: netip.MustParseAddrPort("198.51.100.1:443"),
		Proto: 6, Packets: 12, Bytes: 3456, Known: weir.HasPorts | weir.HasPackets | weir.HasBytes, Format: weir.FormatGCPVPC,
	}
	g := f
	g.End, g.Proto, g.Known, g.Packets, g.Bytes = g.Start, 58, 0, 0, 0
	g.Src, g.Dst = netip.MustParseAddrPort("[2001:db8::4]:0"), netip.MustParseAddrPort("[2001:db8::9]:0")
	return []string{
		`{"connection":{"src_ip":"192.0.2.4","src_port":40000,"dest_ip":"198.51.100.1","dest_port":443,"protocol":6},"bytes_sent":"3456","packets_sent":"12","start_time":"2023-11-14T22:13:20.000000000Z","end_time":"2023-11-14T22:13:25.25Z","reporter":"SRC","rtt_msec":"7"}`,
		`{"connection":{"src_ip":"2001:db8::4","dest_ip":"2001:db8::9","protocol":58},"start_time":"2023-11-14T23:13:20+01:00","reporter":"DEST"}`,
	}, []weir.Flow{f, g}
}

// TestGCP reads the same records in all the shapes that exports have.
func TestGCP(t *testing.T) {
	rec, want := gcpRecords()
	entry := func(payload string) string { return `{"insertId":"1","jsonPayload":` + payload + `,"logName":"l"}` }
	other := `{"insertId":"2","textPayload":"hello"}`
	pretty := strings.NewReplacer("{", "{\n  ", ",", ",\n  ").Replace
	for name, in := range map[string]string{
		"lines":                   rec[0] + "\n" + rec[1] + "\n",
		"one line without end":    rec[0] + "\n" + rec[1],
		"entries a line":          entry(rec[0]) + "\r\n" + other + "\r\n" + entry(rec[1]) + "\r\n",
		"array on one line":       "[" + entry(rec[0]) + "," + other + "," + entry(rec[1]) + "]",
		"array of bare records":   "\ufeff \n[\n" + pretty(rec[0]) + ",\n" + pretty(rec[1]) + "]\n",
		"objects over lines":      pretty(entry(rec[0])) + "\n" + pretty(entry(rec[1])) + "\n",
		"arrays after each other": "[" + rec[0] + "]\n[" + rec[1] + "]",
	} {
		t.Run(name, func(t *testing.T) {
			in = strings.TrimPrefix(in, "\ufeff")
			flows, r, err := read(t, weir.FormatGCPVPC, in)
			if n, first := r.Skipped(); err != nil || n > 0 || r.Stats().Other != int64(strings.Count(in, "textPayload")) {
				t.Fatal(err, first, r.Stats())
			}
			diff(t, want, flows)
		})
	}
}

func TestGCPBadInput(t *testing.T) {
	rec, _ := gcpRecords()
	bad := strings.Replace(rec[0], "192.0.2.4", "192.0.2.444", 1)
	for _, tt := range []struct {
		name, in    string
		flows, skip int
		want        error
	}{
		{name: "bad lines", in: bad + "\n{x\n" + strings.Replace(rec[0], ":6}", ":600}", 1) + "\n" + rec[0] + "\n", flows: 1, skip: 3},
		{name: "bad record in an array", in: "[" + bad + ",7," + rec[0] + "]", flows: 1, skip: 2},
		{name: "no time", in: `{"connection":{"src_ip":"192.0.2.4","dest_ip":"192.0.2.5","protocol":6}}` + "\n", skip: 1},
		{name: "broken array", in: "[" + rec[0] + "}", flows: 1, want: text.ErrFormat},
		{name: "cut line", in: rec[0] + "\n" + rec[1][:50], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "cut array", in: "[" + rec[0] + "," + rec[1][:50], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "array without end", in: "[" + rec[0], flows: 1, want: io.ErrUnexpectedEOF},
		{name: "array closed twice", in: "[" + rec[0] + "]]", flows: 1, want: text.ErrFormat},
		{name: "giant value", in: "[" + rec[0] + `,"` + strings.Repeat("x", 3<<20) + `"]`, flows: 1, want: text.ErrFormat},
		{name: "empty", in: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows, r, err := read(t, weir.FormatGCPVPC, tt.in)
			n, first := r.Skipped()
			if len(flows) != tt.flows || int(n) != tt.skip || !errors.Is(err, tt.want) {
				t.Errorf("%d flows, %d skipped (%v), error %v", len(flows), n, first, err)
			}
		})
	}
	// A reader that fails is told apart from the end, also between values.
	r := NewReader(io.MultiReader(strings.NewReader("["+rec[0]+"]"), failing{}), Options{Format: weir.FormatGCPVPC})
	if flows, err := wiretest.ReadAll(r); len(flows) != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d flows, error %v", len(flows), err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestUnknownFormat(t *testing.T) {
	if _, _, err := read(t, weir.FormatZeek, "x\n"); !errors.Is(err, text.ErrFormat) {
		t.Errorf("error %v", err)
	}
}

func TestCases(t *testing.T) {
	for _, format := range []weir.Format{weir.FormatAWSVPC, weir.FormatAzureVNet} {
		wiretest.Cases(t, format, 1, func(r io.Reader) wiretest.Reader { return NewReader(r, Options{Format: format}) })
	}
}

func FuzzReader(f *testing.F) {
	rec, _ := gcpRecords()
	f.Add(uint8(weir.FormatGCPVPC), []byte(rec[0]+"\n"+rec[1]))
	f.Add(uint8(weir.FormatGCPVPC), []byte(`[{"jsonPayload":`+rec[0]+`}]`))
	f.Add(uint8(weir.FormatAWSVPC), []byte("2 1 eni-0a 198.51.100.7 192.0.2.1 40000 22 6 20 4249 1700000000 1700000060 ACCEPT OK\n"))
	f.Add(uint8(weir.FormatAWSVPC), []byte("version srcaddr dstaddr tcp-flags start protocol\n5 192.0.2.1 192.0.2.2 18 1700000000 6\n"))
	f.Add(uint8(weir.FormatAzureVNet), []byte(`{"records":[{"flowTuples":["1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,B,NX,0,0,0,0","1700000000100,192.0.2.4,198.51.100.1,40000,443,6,O,C,NX,0,0,0,0"]}]}`))
	f.Add(uint8(weir.FormatAzureNSG), []byte(`{"records":{"flowTuples":["1700000000,203.0.113.9,192.0.2.4,50000,3389,T,I,A","1700000000,203.0.113.9,192.0.2.4,50000,443,U,I,D,B,,,,"]}}`))
	f.Fuzz(func(t *testing.T, format uint8, b []byte) {
		flows, _ := wiretest.ReadAll(NewReader(bytes.NewReader(b), Options{Format: weir.Format(format)}))
		wiretest.Check(t, flows)
	})
}

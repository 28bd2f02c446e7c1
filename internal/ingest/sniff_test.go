package ingest

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/weir-net/weir"
)

// message returns an IPFIX or NetFlow v9 header with one set header behind it.
func message(version uint16, header int, set uint16) []byte {
	b := make([]byte, header+8)
	binary.BigEndian.PutUint16(b, version)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[header:], set)
	binary.BigEndian.PutUint16(b[header+2:], 8)
	return b
}

func TestSniff(t *testing.T) {
	v5 := make([]byte, 24+48)
	v5[1], v5[3] = 5, 1
	for _, c := range []struct {
		name, head string
		file       string
		want       weir.Format
	}{
		{"pcap, little endian", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "", weir.FormatPcap},
		{"pcap, big endian", "\xa1\xb2\xc3\xd4\x00\x02\x00\x04", "", weir.FormatPcap},
		{"pcap, nanoseconds", "\x4d\x3c\xb2\xa1\x02\x00\x04\x00", "", weir.FormatPcap},
		{"pcapng", "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "", weir.FormatPcap},
		{"nfdump 1.6", "\x0c\xa5\x01\x00\x00\x00\x00\x00", "", weir.FormatNfdump},
		{"nfdump 1.7", "\x0c\xa5\x02\x00\x00\x00\x00\x00", "", weir.FormatNfdump},
		{"parquet", "PAR1\x15\x04", "", weir.FormatParquet},
		{"ipfix, template first", string(message(10, 16, 2)), "", weir.FormatIPFIX},
		{"ipfix, data first", string(message(10, 16, 256)), "", weir.FormatIPFIX},
		{"netflow v9", string(message(9, 20, 0)), "", weir.FormatNetFlow9},
		{"netflow v5", string(v5), "", weir.FormatNetFlow5},
		{"zeek", "#separator \\x09\n#set_separator\t,\n#path\tconn\n#fields\tts\tuid\tid.orig_h\n", "", weir.FormatZeek},
		{"zeek, no separator line", "#fields\tts\tuid\tid.orig_h\tid.orig_p\n1\tC\t10.0.0.1\t5\n", "", weir.FormatZeek},
		{"zeek JSON", `{"ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1}` + "\n", "", weir.FormatZeek},
		{"zeek JSON of a conn log", `{"_path":"conn","ts":1.5,"id.orig_h":"10.0.0.1"}`, "", weir.FormatZeek},
		{"argus", "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State\n", "", weir.FormatArgus},
		{"suricata", `{"timestamp":"2021-06-06T15:59:46.4+0200","event_type":"stats","stats":{}}`, "", weir.FormatSuricata},
		{"suricata, other order", `{"src_ip":"1.2.3.4","flow":{"pkts_toserver":1},"event_type":"flow"}`, "", weir.FormatSuricata},
		{"azure vnet", `{"records":[{"time":"2022-09-14T09:00:52Z","flowLogVersion":4,"flowRecords":{"flows":[{"flowGroups"`, "", weir.FormatAzureVNet},
		{"azure nsg", `{"records":[{"category":"NetworkSecurityGroupFlowEvent","properties":{"Version":2,"flows":[{"flows":[{"flowTuples":["1,2"`, "", weir.FormatAzureNSG},
		{"azure nsg, cut early", `{"records":[{"time":"2018-11-13T12:00:35Z","category":"NetworkSecurityGroupFlowEvent",`, "", weir.FormatAzureNSG},
		{"aws, header", "version account-id interface-id srcaddr dstaddr srcport dstport protocol\n", "", weir.FormatAWSVPC},
		{"aws, default order", "2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 20 4249 1418530010 1418530070 ACCEPT OK\n", "", weir.FormatAWSVPC},
		{"aws, NODATA", "2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA", "", weir.FormatAWSVPC},
		{"aws, time in front", "2024-01-01T00:00:00.000Z 2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 20 4249 1418530010 1418530070 ACCEPT OK\n", "", weir.FormatAWSVPC},
		{"gcp", `[{"insertId":"x","jsonPayload":{"connection":{"src_ip":"10.0.0.1"}}}]`, "", weir.FormatGCPVPC},
		{"csv", "start,end,src,dst,srcPort,dstPort,proto\n", "", weir.FormatCSV},
		{"csv with a byte order mark", "\xef\xbb\xbfstart,end,src,dst,srcPort\n", "", weir.FormatCSV},
		{"csv, quoted names", "\"start\",\"end\",\"src\",\"dst\"\r\n", "", weir.FormatCSV},
		{"ndjson", `{"start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:00Z","src":"10.0.0.1","dst":"10.0.0.2"}`, "", weir.FormatNDJSON},
		{"ndjson behind blank lines", "\n\n" + `{"end":"x","dst":"10.0.0.2","src":"10.0.0.1"}`, "", weir.FormatNDJSON},
		{"scenario by name", "resource web-1 203.0.113.10\n", "a/b.scn", weir.FormatScenario},
		{"content before name", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "x.scn", weir.FormatPcap},
	} {
		got, err := Sniff([]byte(c.head), c.file)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestSniffRefuses(t *testing.T) {
	for _, c := range []struct {
		name, head string
		is         error
		says       string
	}{
		{"empty", "", ErrFormat, "it is empty"},
		{"prose", "Dear reader,\nthis is a letter\n", ErrFormat, `"Dear reader,"`},
		{"the list of names", "hello", ErrFormat, "--format, one of ipfix, pcap, nfdump, zeek, argus, suricata, azure-vnet, azure-nsg, aws-vpc, gcp-vpc, csv, ndjson, parquet"},
		{"binary", "\x00\x01\x02\x03\x04", ErrFormat, "00 01 02 03 04"},
		{"other zeek log", "#separator \\x09\n#path\tdns\n#fields\tts\tid.orig_h\n", ErrFormat, `"dns"`},
		{"other zeek JSON log", `{"_path":"ssl","ts":1,"id.orig_h":"10.0.0.1"}`, ErrFormat, `"ssl"`},
		{"some JSON", `{"resources":[{"id":"web-1"}]}`, ErrFormat, "resources"},
		{"some CSV", "a,b,c\n1,2,3\n", ErrFormat, `"a,b,c"`},
		{"bzip2", "BZh91AY&SY", ErrUnsupported, "bzip2"},
		{"xz", "\xfd7zXZ\x00", ErrUnsupported, "xz"},
		{"zip", "PK\x03\x04\x14\x00", ErrUnsupported, "zip"},
		{"UTF-16", "\xff\xfes\x00t\x00", ErrUnsupported, "UTF-16"},
		{"ipfix version in a short message", "\x00\x0a\x00\x04\x00\x00", ErrFormat, "00 0a 00 04"},
		{"version 5 with too many records", "\x00\x05\x01\x00\x00\x00", ErrFormat, "00 05"},
	} {
		f, err := Sniff([]byte(c.head), "x")
		if f != weir.FormatUnknown || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %q, %v; want an error that is %q and says %q", c.name, f, err, c.is, c.says)
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("#separator \\x09\n#path\tconn\n"), "conn.log")
	f.Add([]byte(`{"records":[{"flowLogVersion":4}]}`), "PT1H.json")
	f.Add([]byte(`[[[{"a":`), "")
	f.Add(message(10, 16, 2), "x")
	f.Fuzz(func(t *testing.T, head []byte, name string) {
		got, err := Sniff(head, name)
		if (got == weir.FormatUnknown) != (err != nil) {
			t.Fatalf("Sniff = %v, %v: a format or an error, not both", got, err)
		}
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("untyped error %v", err)
		}
	})
}

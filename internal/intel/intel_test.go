package intel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	weir "github.com/weir-net/weir"
)

const day = int64(24 * time.Hour)

// short writes an indicator in one line.
func short(i weir.Indicator) string {
	s := fmt.Sprintf("%s %s", i.Prefix, i.Category)
	if i.Port != 0 {
		s += fmt.Sprintf(" port=%d", i.Port)
	}
	if i.Proto != 0 {
		s += fmt.Sprintf(" proto=%d", i.Proto)
	}
	if i.Family != "" {
		s += " family=" + i.Family
	}
	if i.Source != "feed" {
		s += " source=" + i.Source
	}
	if i.Confidence != DefaultConfidence {
		s += fmt.Sprintf(" confidence=%g", i.Confidence)
	}
	for _, t := range []struct {
		name string
		at   int64
	}{{"first", i.FirstSeen}, {"last", i.LastSeen}, {"until", i.Expiry}} {
		if t.at != 0 {
			s += " " + t.name + "=" + time.Unix(0, t.at).UTC().Format("2006-01-02T15:04")
		}
	}
	return s
}

// TestForms reads one vector of every form.
func TestForms(t *testing.T) {
	c2, malicious := weir.CategoryC2, weir.CategoryMalicious
	tests := []struct {
		name, text string
		category   weir.Category
		form       string
		want       []string
		skipped    Skipped
		fault      string
	}{
		{
			name: "list", category: malicious, form: "list",
			text: "# comment\n; another\n// third\n\n198.51.100.1\r\n 198.51.100.2 # trailing\n198.51.100.3;trailing\n198.51.100.4#x\n2001:db8::1\n" +
				"198.51.100.0/25\n198.51.100.77/25\n198.51.100.9:8080\n[2001:db8::2]:443\n198.51.100.10-198.51.100.12\n198.51.100.20 - 198.51.100.21\n" +
				"198.51.100.30\t17\n\"198.51.100.31\",x\n::ffff:198.51.100.32\n198.51.100[.]33\n",
			want: []string{
				"198.51.100.1/32 malicious", "198.51.100.2/32 malicious", "198.51.100.3/32 malicious", "198.51.100.4/32 malicious", "2001:db8::1/128 malicious",
				"198.51.100.0/25 malicious", "198.51.100.9/32 malicious port=8080", "2001:db8::2/128 malicious port=443",
				"198.51.100.10/31 malicious", "198.51.100.12/32 malicious", "198.51.100.20/31 malicious", "198.51.100.30/32 malicious",
				"198.51.100.31/32 malicious", "198.51.100.32/32 malicious", "198.51.100.33/32 malicious",
			},
			skipped: Skipped{Duplicates: 1},
		},
		{
			name: "names", category: c2, form: "list",
			text: "evil.example\n*.evil.example\nevil.example:8080\nhttp://evil.example/x\nhttp://198.51.100.1:8080/gate.php\nhxxp://198.51.100[.]2/\n198.51.100.3/x.sh\n" +
				"/izuku.sh\ntcp://198.51.100.4:53\nd41d8cd98f00b204e9800998ecf8427e\nuser@evil.example\n999.1.1.1\n198.51.100.0/33\nhttps://u:p@198.51.100.5/\n",
			want: []string{
				"198.51.100.1/32 c2 port=8080", "198.51.100.2/32 c2", "198.51.100.3/32 c2", "198.51.100.4/32 c2 port=53 proto=6", "198.51.100.5/32 c2",
			},
			skipped: Skipped{Domains: 3, URLs: 2, Others: 2, Malformed: 2},
			fault:   `f:12:1: "999.1.1.1" is no address, prefix, range, domain or URL`,
		},
		{
			name: "widths and special blocks", category: malicious, form: "list",
			text: "0.0.0.0/0\n1.0.0.0/7\n10.0.0.0/8\n192.168.0.0/16\n127.0.0.0/8\n127.0.0.1\n224.0.0.0/4\n240.0.0.0/4\n0.0.0.0/8\n0.0.0.0\n::/0\n2000::/3\n::1\nfe80::1\n" +
				"10.1.2.3\n192.168.1.0/24\n203.0.113.0/24\n240.1.2.3\n2001:db8::/32\n5.0.0.0/8\n",
			want: []string{
				"10.1.2.3/32 malicious", "192.168.1.0/24 malicious", "203.0.113.0/24 malicious", "240.1.2.3/32 malicious", "2001:db8::/32 malicious", "5.0.0.0/8 malicious",
			},
			skipped: Skipped{TooWide: 6, Special: 8},
		},
		{
			name: "benign may be wide", category: weir.CategoryBenign, form: "list", text: "0.0.0.0/0\n::/0\n2.0.0.0/7\n10.0.0.0/8\n2000::/3\n",
			want:    []string{"2.0.0.0/7 benign", "10.0.0.0/8 benign", "2000::/3 benign"},
			skipped: Skipped{TooWide: 2},
		},
		{
			name: "drop text", category: malicious, form: "list", text: "; Spamhaus DROP List\n198.51.100.0/24 ; SBL1\n203.0.113.0/24 ; SBL2\n",
			want: []string{"198.51.100.0/24 malicious", "203.0.113.0/24 malicious"},
		},
		{
			name: "drop json", form: "drop", text: `{"cidr":"198.51.100.0/24","sblid":"SBL1","rir":"apnic"}` + "\n" + `{"cidr":"2001:db8::/32","sblid":"SBL2"}` + "\n" +
				`{"asn":64496,"rir":"ripencc"}` + "\n" + `{"type":"metadata","timestamp":1700000000,"records":2}` + "\n",
			want: []string{"198.51.100.0/24 malicious", "2001:db8::/32 malicious"}, skipped: Skipped{Others: 1},
		},
		{
			name: "ipset", category: malicious, form: "list",
			text: "create bad hash:net family inet hashsize 1024\nadd bad 198.51.100.1\nadd bad 203.0.113.0/24 timeout 300\nadd bad 198.51.100.2,tcp:22\n-A bad 198.51.100.3\nCOMMIT\n",
			want: []string{"198.51.100.1/32 malicious", "203.0.113.0/24 malicious", "198.51.100.2/32 malicious port=22 proto=6", "198.51.100.3/32 malicious"},
		},
		{
			name: "block triples", category: malicious, form: "list", text: "#Start\tEnd\tNetmask\n198.51.100.0\t198.51.100.255\t24\t3000\tNAME\n",
			want: []string{"198.51.100.0/24 malicious"},
		},
		{
			name: "csv", form: "csv", text: "indicator,category,family,first_seen,last_seen,confidence,source\n" +
				"198.51.100.1,c2,njrat,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,90,lab\n198.51.100.2,infected,\"conficker, C\",,,,\n" +
				"evil.example,c2,,,,,\n198.51.100.3,,,,,,\n198.51.100.4,alien,,,,,\n198.51.100.5,c2,,yesterday,,,\n198.51.100.6,c2,,,,101,\n",
			want: []string{
				"198.51.100.1/32 c2 family=njrat source=lab confidence=90 first=2026-01-01T00:00 last=2026-01-02T00:00",
				"198.51.100.2/32 infected family=conficker, C",
			},
			skipped: Skipped{Domains: 1, Uncategorised: 1, Malformed: 3},
			fault:   `f:6:1: unknown category "alien", expected c2, infected, sinkhole, scanner, bruteforce, malicious or benign`,
		},
		{
			name: "csv with the category of the file", category: malicious, form: "csv", text: "category;indicator;port;confidence\nc2;198.51.100.1;443;0\n;198.51.100.2;;\n",
			want: []string{"198.51.100.1/32 c2 port=443 confidence=0", "198.51.100.2/32 malicious"},
		},
		{
			name: "feodo csv", form: "feodo",
			text: "################\n# abuse.ch Feodo Tracker\n################\n\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\n" +
				"\"2026-01-01 10:00:00\",\"198.51.100.1\",\"443\",\"online\",\"2026-01-05\",\"QakBot\"\n# END\n",
			want: []string{"198.51.100.1/32 c2 port=443 family=QakBot first=2026-01-01T10:00 last=2026-01-05T00:00"},
		},
		{
			name: "feodo json", form: "feodo",
			text: `[{"ip_address":"198.51.100.1","port":443,"status":"online","hostname":null,"as_number":64496,"first_seen":"2026-01-01 10:00:00","last_online":"2026-01-05","malware":"QakBot"}]`,
			want: []string{"198.51.100.1/32 c2 port=443 family=QakBot first=2026-01-01T10:00 last=2026-01-05T00:00"},
		},
		{
			name: "header in a comment", category: c2, form: "csv", text: "# SSLBL\n# Firstseen,DstIP,DstPort\n2026-01-01 10:00:00,198.51.100.1,8443\n",
			want: []string{"198.51.100.1/32 c2 port=8443 first=2026-01-01T10:00"},
		},
		{
			name: "threatfox csv", form: "threatfox",
			text: "# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\",\"malware_alias\",\"malware_printable\",\"last_seen_utc\",\"confidence_level\"\n" +
				"\"2026-01-01 10:00:00\", \"1\", \"198.51.100.1:8080\", \"ip:port\", \"botnet_cc\", \"win.x\", \"None\", \"X RAT\", \"\", \"75\"\n" +
				"\"2026-01-01 10:00:00\", \"2\", \"evil.example\", \"domain\", \"botnet_cc\", \"win.x\", \"None\", \"X RAT\", \"\", \"75\"\n",
			want:    []string{"198.51.100.1/32 c2 port=8080 family=X RAT confidence=75 first=2026-01-01T10:00"},
			skipped: Skipped{Domains: 1},
		},
		{
			name: "threatfox json", form: "threatfox",
			text: `{"1":[{"ioc_value":"198.51.100.1:8080","ioc_type":"ip:port","threat_type":"payload_delivery","malware_printable":"X","first_seen_utc":"2026-01-01 10:00:00","last_seen_utc":null,"confidence_level":50}]}`,
			want: []string{"198.51.100.1/32 malicious port=8080 family=X confidence=50 first=2026-01-01T10:00"},
		},
		{
			name: "zeek", category: c2, form: "zeek",
			text: "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n198.51.100.1\tIntel::ADDR\tlab\tx\n203.0.113.0/24\tIntel::SUBNET\t-\ty\nevil.example\tIntel::DOMAIN\tlab\tz\nd41d8cd98f00b204e9800998ecf8427e\tIntel::FILE_HASH\tlab\tz\n",
			want: []string{"198.51.100.1/32 c2 source=lab", "203.0.113.0/24 c2"}, skipped: Skipped{Domains: 1, Others: 1},
		},
		{
			name: "stix bundle", form: "stix",
			text: `{"type":"bundle","id":"bundle--1","objects":[
{"type":"indicator","id":"indicator--1","pattern":"[ipv4-addr:value = '198.51.100.1']","pattern_type":"stix","indicator_types":["malicious-activity"],"valid_from":"2026-01-01T00:00:00Z","valid_until":"2026-02-01T00:00:00Z","confidence":60,
 "kill_chain_phases":[{"kill_chain_name":"lockheed-martin-cyber-kill-chain","phase_name":"command-and-control"}]},
{"type":"indicator","id":"indicator--2","pattern":"[ipv4-addr:value ISSUBSET '203.0.113.0/24' OR ipv6-addr:value = '2001:db8::1']","pattern_type":"stix","indicator_types":["malicious-activity"],"valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--3","pattern":"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.3' AND network-traffic:dst_port = 443 AND network-traffic:protocols[*] = 'tcp']","pattern_type":"stix","labels":["C2"],"valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--4","pattern":"[ipv4-addr:value IN ('198.51.100.4','198.51.100.5')]","pattern_type":"stix","indicator_types":["compromised"],"valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--5","pattern":"[ipv4-addr:value = '198.51.100.6']","pattern_type":"stix","revoked":true,"valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--6","pattern":"[domain-name:value = 'evil.example'] OR [url:value = 'http://evil.example/']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--7","pattern":"[ipv4-addr:value = '198.51.100.7'] FOLLOWEDBY [ipv4-addr:value = '198.51.100.8']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--8","pattern":"alert tcp any any","pattern_type":"snort","valid_from":"2026-01-01T00:00:00Z"},
{"type":"indicator","id":"indicator--9","pattern":"[ipv4-addr:value NOT = '198.51.100.9']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"},
{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.10"},
{"type":"malware","id":"malware--1","name":"NjRAT"},
{"type":"relationship","id":"relationship--1","relationship_type":"indicates","source_ref":"indicator--3","target_ref":"malware--1"},
{"type":"sighting","id":"sighting--1","sighting_of_ref":"indicator--3","last_seen":"2026-01-09T00:00:00Z"}]}`,
			want: []string{
				"198.51.100.1/32 c2 confidence=60 first=2026-01-01T00:00 until=2026-02-01T00:00",
				"203.0.113.0/24 malicious first=2026-01-01T00:00", "2001:db8::1/128 malicious first=2026-01-01T00:00",
				"198.51.100.3/32 c2 port=443 proto=6 family=NjRAT first=2026-01-01T00:00 last=2026-01-09T00:00",
				"198.51.100.4/32 infected first=2026-01-01T00:00", "198.51.100.5/32 infected first=2026-01-01T00:00",
			},
			skipped: Skipped{Inactive: 1, Domains: 1, URLs: 1, Others: 3, Observations: 1},
		},
		{
			name: "taxii envelope", category: c2, form: "stix",
			text: `{"more":false,"objects":[{"type":"indicator","id":"indicator--1","pattern":"[ipv4-addr:value='198.51.100.1']","pattern_type":"stix","indicator_types":["malicious-activity"]},{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.2"}]}`,
			want: []string{"198.51.100.1/32 c2", "198.51.100.2/32 c2"},
		},
		{
			name: "misp event", category: malicious, form: "misp",
			text: `{"Event":{"info":"x","Tag":[{"name":"misp-galaxy:malpedia=\"X\""},{"name":"misp-galaxy:mitre-malware=\"NjRAT - S0385\""}],
"Attribute":[{"type":"ip-dst|port","value":"198.51.100.1|443","to_ids":true,"first_seen":"2026-01-01T00:00:00.000000+00:00","Tag":[{"name":"kill-chain:Command and Control"}]},
{"type":"ip-src","value":"198.51.100.2","to_ids":"1"},{"type":"ip-dst","value":"198.51.100.3","to_ids":false},{"type":"domain","value":"evil.example","to_ids":true},{"type":"sha256","value":"00","to_ids":true},
{"type":"ip-dst|port","value":"2001:db8::1|80","to_ids":1},{"type":"ip-dst","value":"198.51.100.4","to_ids":true,"deleted":true}],
"Object":[{"name":"x","Attribute":[{"type":"ip-dst","value":"198.51.100.5","to_ids":true}]}]}}`,
			want: []string{
				"198.51.100.1/32 c2 port=443 family=NjRAT - S0385 first=2026-01-01T00:00", "198.51.100.2/32 malicious family=NjRAT - S0385",
				"2001:db8::1/128 malicious port=80 family=NjRAT - S0385", "198.51.100.5/32 malicious family=NjRAT - S0385",
			},
			skipped: Skipped{Inactive: 2, Domains: 1, Others: 1},
		},
		{
			name: "misp response", category: malicious, form: "misp", text: `{"response":{"Attribute":[{"type":"ip-src","value":"198.51.100.1","to_ids":true}]}}`,
			want: []string{"198.51.100.1/32 malicious"},
		},
		{
			name: "misp response of events", category: malicious, form: "misp", text: `{"response":[{"Event":{"Attribute":[{"type":"ip-src","value":"198.51.100.1","to_ids":true}]}}]}`,
			want: []string{"198.51.100.1/32 malicious"},
		},
		{
			name: "warning list", form: "warninglist", text: `{"name":"n","description":"d","type":"cidr","matching_attributes":["ip-dst"],"version":1,"list":["198.51.100.0/24","2001:db8::/32","/regex.*/","example.com"]}`,
			want: []string{"198.51.100.0/24 benign", "2001:db8::/32 benign"}, skipped: Skipped{Domains: 1, URLs: 1},
		},
		{
			name: "warning list as scanners", category: weir.CategoryScanner, form: "warninglist", text: `{"name":"n","type":"cidr","list":["198.51.100.1"]}`,
			want: []string{"198.51.100.1/32 scanner"},
		},
		{name: "list of texts", category: c2, form: "list", text: `["198.51.100.1","evil.example"]`, want: []string{"198.51.100.1/32 c2"}, skipped: Skipped{Domains: 1}},
		{
			name: "objects of one's own", form: "json", text: `{"indicator":"198.51.100.1","category":"scanner","confidence":70}` + "\n" + `{"indicator":"198.51.100.2","category":"scanner"}`,
			want: []string{"198.51.100.1/32 scanner confidence=70", "198.51.100.2/32 scanner"},
		},
		{name: "nothing but comments", category: c2, form: "list", text: "# empty today\n"},
		{
			name: "a cut file", category: c2, form: "json", text: `{"indicator":"198.51.100.1"}` + "\n" + `{"indicator":`,
			want: []string{"198.51.100.1/32 c2"}, skipped: Skipped{Malformed: 1}, fault: "f:2:14: unexpected EOF",
		},
		{
			name: "a long line", category: c2, form: "list", text: "198.51.100.1\n" + strings.Repeat("x", maxLine+1) + "\n198.51.100.2",
			want: []string{"198.51.100.1/32 c2", "198.51.100.2/32 c2"}, skipped: Skipped{Malformed: 1}, fault: "f:2:1: the line is longer than 64 KiB",
		},
	}
	for _, tt := range tests {
		inds, rep, err := Parse("f", []byte(tt.text), File{Category: tt.category, Source: "feed", Expiry: -1}, 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, i := range inds {
			got = append(got, short(i))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.skipped, rep.Skipped); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if rep.Form != tt.form || rep.Fault != tt.fault || rep.Indicators != len(inds) {
			t.Errorf("%s: form %q, fault %q, %d indicators", tt.name, rep.Form, rep.Fault, rep.Indicators)
		}
	}
}

// TestRefusals holds the words and places of what makes a file useless.
func TestRefusals(t *testing.T) {
	const forms = ", expected a form of intelligence that Weir reads"
	tests := []struct{ name, text, want string }{
		{"no category", "# x\n  198.51.100.1\n", "f:2:3: no indicator tells its category, expected --intel CATEGORY=f (or the category of the feed) with " + categoryList},
		{"no category in CSV", "source,indicator\nx,198.51.100.1\n", "f:2:3: no indicator tells its category, expected --intel CATEGORY=f (or the category of the feed) with " + categoryList},
		{"no category in JSON", `[{"indicator":"198.51.100.1"}]`, "f:1:1: no indicator tells its category, expected --intel CATEGORY=f (or the category of the feed) with " + categoryList},
		{"empty", " \n", "f:1:1: the file is empty, expected indicators"},
		{"web page", "<!DOCTYPE html><html>", "f:1:1: the file is a web page or XML, expected a list of indicators"},
		{"binary", "abc\x00def", "f:1:1: the file is binary, expected a list of indicators"},
		{"prose", "\nthis is\nnot a list\n", `f:2:1: "this" is no address, prefix, range, domain or URL` + forms},
		{"broken JSON", "{\n \"a\": ]", "f:2:7: invalid character ']' looking for beginning of value, expected valid JSON"},
		{"catalogue", `[{"Feed":{"name":"x"}}]`, "f:1:1: " + errCatalogue.Error()},
		{"manifest", `{"5c1-x":{"Orgc":{"name":"o"},"info":"i","date":"2026-01-01"}}`, "f:1:1: " + errManifest.Error()},
		{"other JSON", `{"a":1}`, "f:1:1: entry 0 has no indicator, expected one of indicator, ip, ip_address, ipaddress, dst_ip, dstip, src_ip, address, ioc_value, ioc, cidr, network, prefix, value" + forms},
		{"number", "[1]", "f:1:1: entry 0 is no object" + forms},
		{"bad gzip", "\x1f\x8bxx", "f:1:1: gzip: unexpected EOF, expected a readable file of indicators"},
	}
	for _, tt := range tests {
		inds, rep, err := Parse("f", []byte(tt.text), File{}, 0)
		if err == nil || err.Error() != tt.want || len(inds) != 0 || rep == nil {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: no place in %v", tt.name, err)
		}
	}
	if _, _, err := Parse("f", []byte("198.51.100.1"), File{Category: "alien"}, 0); err == nil {
		t.Error("an unknown category passed")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte("198.51.100.1\n198.51.100.2\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"bad.txt.gz": zipped.Bytes(), "wide.zst": enc.EncodeAll([]byte("198.51.100.0/24\n"), nil), "none.txt": []byte("198.51.100.1\n"),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := 100 * day
	table, rep, err := Load([]File{
		{Path: filepath.Join(dir, "bad.txt.gz"), Category: weir.CategoryC2},
		{Path: filepath.Join(dir, "wide.zst"), Category: weir.CategoryScanner, Source: "mine", Confidence: 50, Expiry: 24 * time.Hour},
	}, now)
	if err != nil || table.Len() != 3 || len(rep.Files) != 2 {
		t.Fatalf("%v, %+v", err, rep)
	}
	v := table.Lookup(netip.MustParseAddr("198.51.100.1"))
	if len(v.Indicators) != 2 {
		t.Fatalf("%+v", v)
	}
	for i, want := range []weir.Indicator{
		{Prefix: netip.MustParsePrefix("198.51.100.1/32"), Category: weir.CategoryC2, Source: "bad", Confidence: 80, Expiry: 130 * day},
		{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Category: weir.CategoryScanner, Source: "mine", Confidence: 50, Expiry: 101 * day},
	} {
		if *v.Indicators[i] != want {
			t.Errorf("%+v, want %+v", *v.Indicators[i], want)
		}
	}
	if diff := cmp.Diff([]Source{{Name: "bad", Indicators: 2}, {Name: "mine", Indicators: 1}}, table.Sources()); diff != "" {
		t.Error(diff)
	}
	// A file that cannot be used fails the load, and the report says what was read.
	_, rep, err = Load([]File{{Path: filepath.Join(dir, "none.txt")}, {Path: filepath.Join(dir, "absent")}, {Path: filepath.Join(dir, "bad.txt.gz"), Category: weir.CategoryC2}}, now)
	if err == nil || !errors.Is(err, os.ErrNotExist) || len(rep.Files) != 2 || !strings.Contains(err.Error(), "none.txt:1:1: no indicator tells") {
		t.Errorf("%v, %+v", err, rep)
	}
}

// TestTimes counts what the source tells from its own last sighting.
func TestTimes(t *testing.T) {
	text := "indicator,category,last_seen,expiry\n198.51.100.1,c2,1970-01-11T00:00:00Z,\n198.51.100.2,c2,,1970-03-01T00:00:00Z\n198.51.100.3,c2,,\n"
	inds, rep, err := Parse("f", []byte(text), File{}, 60*day)
	if err != nil || len(inds) != 3 {
		t.Fatal(err)
	}
	for i, want := range []int64{40 * day, 59 * day, 90 * day} {
		if inds[i].Expiry != want {
			t.Errorf("%s ends on day %d, want %d", inds[i].Prefix, inds[i].Expiry/day, want/day)
		}
	}
	if rep.Expired != 2 || rep.Oldest != 10*day || rep.Newest != 10*day {
		t.Errorf("%+v", rep)
	}
}

func TestParseFlag(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  File
		bad   bool
	}{
		{"a.txt", File{Path: "a.txt"}, false},
		{"c2=a.txt", File{Path: "a.txt", Category: weir.CategoryC2}, false},
		{"C2=x=y", File{Path: "x=y", Category: weir.CategoryC2}, false},
		{"./x=y", File{Path: "./x=y"}, false},
		{"alien=a.txt", File{}, true},
		{"c2=", File{}, true},
	} {
		got, err := ParseFlag(tt.value)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("ParseFlag(%q) = %+v, %v", tt.value, got, err)
		}
	}
}

package intel

import (
	"errors"
	"testing"

	weir "github.com/weir-net/weir"
)

// FuzzParse holds that no feed panics, that every refusal has a place, and that
// every indicator that comes out is one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"198.51.100.1\n2001:db8::/32 # x\n198.51.100.1-198.51.100.9\nhttp://198.51.100.1:80/x\nevil.example\n",
		"indicator,category,family,first_seen,last_seen,confidence,source\n198.51.100.1,c2,x,2026-01-01T00:00:00Z,,90,s\n",
		"#fields\tindicator\tindicator_type\tmeta.source\n198.51.100.1\tIntel::ADDR\tx\n",
		"add bad 198.51.100.2,tcp:22\n198.51.100.0\t198.51.100.255\t24\n",
		`{"type":"bundle","id":"bundle--1","objects":[{"type":"indicator","id":"indicator--1","pattern":"[ipv4-addr:value IN ('198.51.100.1') AND network-traffic:dst_port = 1] OR [ipv6-addr:value ISSUBSET '2001:db8::/32']","labels":["c2"]}]}`,
		`{"Event":{"Tag":[{"name":"c2"}],"Attribute":[{"type":"ip-dst|port","value":"198.51.100.1|443","to_ids":true}],"Object":[{"Attribute":[]}]}}`,
		`{"name":"n","list":["198.51.100.0/24","x"]}`, `[{"ip_address":"198.51.100.1","port":443,"last_online":"2026-01-05"}]`,
		`{"cidr":"198.51.100.0/24","sblid":"SBL1"}` + "\n{}", `["198.51.100.1"]`, `{"1":[{"ioc_value":"198.51.100.1:1","threat_type":"botnet_cc"}]}`,
		"\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd\x04\x00", "\"a\"\"b\", c ,\"d", `{"response":{"Attribute":[]}}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, categorised bool) {
		opts := File{}
		if categorised {
			opts.Category = weir.CategoryMalicious
		}
		inds, rep, err := Parse("f", data, opts, 1)
		if rep == nil {
			t.Fatal("no report")
		}
		if err != nil {
			var place *Error
			if !errors.As(err, &place) || place.Line < 1 || place.Col < 1 || len(inds) > 0 {
				t.Fatalf("%v, %d indicators", err, len(inds))
			}
			return
		}
		for _, i := range inds {
			p := i.Prefix
			wide := i.Category != weir.CategoryBenign && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16)
			if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Bits() == 0 || wide || !i.Category.Valid() ||
				i.Source == "" || !(i.Confidence >= 0 && i.Confidence <= 100) {
				t.Fatalf("%+v", i)
			}
		}
		table := NewTable(inds)
		for _, i := range inds {
			if table.Lookup(i.Prefix.Addr()) == nil {
				t.Fatalf("%s is not found", i.Prefix)
			}
		}
	})
}

// FuzzPattern holds that no STIX pattern panics.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{
		"[ipv4-addr:value = '198.51.100.1']", "[a:b = 'c' AND (d:e = 1 OR f:g IN (1,2))] FOLLOWEDBY [x:y LIKE '%'] WITHIN 5 SECONDS",
		"[network-traffic:protocols[*] = 'tcp' AND network-traffic:dst_ref.value = '198.51.100.1']", "[x:'y z'.w NOT = '\\'']",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := parsePattern(text)
		if err == nil && len(ms) > maxMatches+maxPattern {
			t.Fatalf("%d matches", len(ms))
		}
	})
}

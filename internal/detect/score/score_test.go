package score

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

func TestScores(t *testing.T) {
	const day = int64(24 * time.Hour)
	now := 1000 * day
	seen := func(c weir.Category, source string, port uint16, days int64) *weir.Indicator {
		return &weir.Indicator{Category: c, Source: source, Port: port, Confidence: 80, LastSeen: now - days*day}
	}
	tests := []struct {
		name string
		v    *weir.Verdict
		want float64
	}{
		{"nothing", nil, 0},
		{"listed now", &weir.Verdict{Indicators: []*weir.Indicator{{Category: weir.CategoryMalicious, Source: "a", Confidence: 80}}}, 80},
		{"four days old", &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryMalicious, "a", 0, 4)}}, 50.788130},
		{"with a port it lives twice as long", &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryC2, "a", 443, 15)}}, 40},
		{"infected addresses age fast", &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryInfected, "a", 0, 7)}}, 23.431458},
		{"one source counts once", &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryScanner, "a", 0, 4), seen(weir.CategoryBruteForce, "a", 0, 4)}}, 50.788130},
		{"a warning list is not bad", &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryBenign, "a", 0, 0)}}, 0},
	}
	for _, tt := range tests {
		if got := Bad(tt.v, now); math.Abs(got-tt.want) > 1e-5 {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	two := &weir.Verdict{Indicators: []*weir.Indicator{seen(weir.CategoryScanner, "a", 0, 4), seen(weir.CategoryScanner, "b", 0, 4)}}
	if got := Bad(two, now); got < 75 || got > 76 {
		t.Errorf("two sources: %v, want about 75.8", got)
	}
}

func TestNarrow(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1/32": true, "192.0.2.0/24": true, "192.0.2.0/23": false, "0.0.0.0/0": false, "::ffff:192.0.2.0/120": true, "::ffff:192.0.0.0/112": false,
		"2001:db8::1/128": true, "2001:db8::/64": true, "2001:db8::/48": false,
	} {
		if got := Narrow(&weir.Indicator{Prefix: netip.MustParsePrefix(text)}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

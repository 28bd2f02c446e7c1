package baseline

import (
	"math"
	"testing"
)

// TestOdds holds values that were worked out by hand from the two binomials.
func TestOdds(t *testing.T) {
	for _, c := range []struct {
		name      string
		e         Connections
		k, factor float64
		want      float64
	}{
		// Marks alone, k = 10 against 100: 2 of 10 at 0.2 and 0.02: 2*log10(10) + 8*log10(0.8/0.98).
		{"marks", Connections{N: 1 << 30, Packets: 10, Ports: 10, Marks: 2, Of: 10, PerConnection: 2}, 10, 10, 2 - 8*0.088136},
		{"no marks", Connections{N: 1 << 30, Packets: 10, Ports: 10, Of: 10, PerConnection: 2}, 10, 10, -10 * 0.088136},
		{"no flags", Connections{N: 1 << 30, Packets: 10, Ports: 10, PerConnection: 2}, 10, 10, 0},
		// Ports alone at 1:2, k = 2 against 4: rho is 3/4 and 15/32, so a repeat has 1/4
		// and 17/32: 3*log10(0.75/0.46875) + 1*log10(0.25/0.53125).
		{"ports", Connections{N: 2, Packets: 4, Ports: 3}, 2, 2, 3*0.204120 - 0.327359},
		// A repeat that chance explains speaks less against: 1/4 + 1/4 and 17/32 + 1/4.
		{"chance", Connections{N: 2, Packets: 4, Ports: 3, Chance: 1}, 2, 2, 3*math.Log10(0.5/0.21875) + math.Log10(0.5/0.78125)},
		// Ports that tell nothing leave the marks.
		{"no ports", Connections{N: 2, Packets: 10, Marks: 2, Of: 10, PerConnection: 2}, 10, 10, 2 - 8*0.088136},
		{"nothing", Connections{N: 2}, 2, 2, 0},
		{"no factor", Connections{N: 2, Packets: 4, Ports: 3}, 2, 1, 0},
	} {
		if got := c.e.Odds(c.k, c.factor); math.Abs(got-c.want) > 1e-5 {
			t.Errorf("%s: %.6f, want %.6f", c.name, got, c.want)
		}
	}
	// Every port the same at N = 1: finite.
	e := Connections{N: 1, Packets: 1000, Ports: 1}
	if got := e.Odds(1e9, 10); math.IsInf(got, 0) || math.IsNaN(got) {
		t.Errorf("long connections: %v", got)
	}
}

package baseline

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUpdateIdleEqualsEmptyWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Prior{A0: 48, B0: 24}
		var a Rate
		for i := range rapid.IntRange(0, 20).Draw(t, "before") {
			a.Update(float64(rapid.IntRange(0, 50).Draw(t, "y")), 1, time.Hour, int64(i+1)*int64(time.Hour), p)
		}
		b := a
		n := rapid.IntRange(1, 200).Draw(t, "n")
		at := a.First + int64(1000)*int64(time.Hour)
		for i := range n {
			a.Update(0, 0.5, time.Hour, at-int64(n-1-i)*int64(time.Hour), p)
		}
		b.UpdateIdle(int64(n), 0.5, time.Hour, at)
		for _, v := range [][2]float64{{a.A, b.A}, {a.B, b.B}, {a.YY, b.YY}, {a.YE, b.YE}, {a.EE, b.EE}} {
			if math.Abs(v[0]-v[1]) > 1e-9*(1+math.Abs(v[0])) {
				t.Fatalf("one by one %+v, at once %+v", a, b)
			}
		}
		if a.Windows != b.Windows || a.First != b.First {
			t.Fatalf("windows %d first %d, at once %d %d", a.Windows, a.First, b.Windows, b.First)
		}
	})
}

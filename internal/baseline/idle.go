package baseline

import (
	"math"
	"time"
)

// UpdateIdle learns n closed windows without an event, each of exposure e, in
// one step: what n calls of Update with a count of 0 would do. It lets a caller
// skip quiet keys and catch up when they are looked at again. With e = 0 the
// windows are discounted and counted only. The last window ended at the time
// at. Calls with n or window not above 0 or a negative e are ignored.
func (r *Rate) UpdateIdle(n int64, e float64, window time.Duration, at int64) {
	if n <= 0 || window <= 0 || !(e >= 0) || math.IsInf(e, 1) {
		return
	}
	g := Discount(window)
	gn := math.Pow(g, float64(n))
	sum := (1 - gn) / (1 - g)
	r.A *= gn
	r.B = r.B*gn + e*sum
	r.YY *= gn
	r.YE *= gn
	r.EE = r.EE*gn + e*e*sum
	if r.Windows == 0 {
		r.First = at - n*int64(window)
	}
	r.Windows = uint32(min(int64(r.Windows)+n, math.MaxUint32)) //nolint:gosec // bounded by min
}

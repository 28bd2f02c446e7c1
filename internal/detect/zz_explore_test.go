package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

func TestExplore(t *testing.T) {
	for _, tt := range []struct {
		n                 uint32
		perMinute, logins int
		length            time.Duration
		spread            int // 0 one member; k: round robin over k members
		hide              bool
	}{
		{1, 30, 40, 10 * time.Minute, 0, false},
		{1, 100, 60, 10 * time.Minute, 0, false},
		{1, 100, 60, 50 * time.Minute, 0, false},
		{1, 300, 100, 30 * time.Minute, 0, false},
		{1, 30, 300, 10 * time.Minute, 10, false},
		{1, 30, 300, 10 * time.Minute, 3, false},
		{1, 30, 300, 10 * time.Minute, 0, true},
		{1, 30, 130, 11 * time.Hour, 0, false},
		{100, 300, 1500, 30 * time.Minute, 0, false},
		{100, 300, 3000, 30 * time.Minute, 0, false},
		{100, 1000, 3000, 30 * time.Minute, 0, false},
		{100, 300, 6000, 30 * time.Minute, 0, true},
		{100, 300, 6000, 30 * time.Minute, 10, false},
	} {
		right, mean, found := 0, 0.0, 0
		bases := map[string]int{}
		var last []weir.BackendLikelihood
		for seed := range uint64(10) {
			b := newPool(10, true, tt.n, seed)
			burst := make([]int, 10)
			minutes := 180
			if tt.length > 3*time.Hour {
				minutes = 14 * 60
			}
			for minute := range minutes {
				m := b.rng.IntN(10)
				if b.rng.IntN(10) == 0 {
					burst[m] = 3
				}
				for range tt.perMinute/2 + b.rng.IntN(tt.perMinute) {
					at := time.Duration(minute)*time.Minute + time.Duration(b.rng.IntN(60000))*time.Millisecond
					to := b.rng.IntN(10)
					if burst[m] > 0 && b.rng.IntN(4) == 0 {
						to = m
					}
					b.through(at, fmt.Sprintf("192.0.2.%d", b.rng.IntN(200)), to, ansible)
				}
				for i := range burst {
					burst[i] = max(burst[i]-1, 0)
				}
			}
			victim := b.rng.IntN(10)
			for i := range tt.logins {
				v := victim
				if tt.spread > 0 {
					v = i % tt.spread
				}
				b.through(2*time.Hour+tt.length*time.Duration(i)/time.Duration(tt.logins), intruder, v, login)
			}
			if tt.hide {
				b.cs = slices.DeleteFunc(b.cs, func(c weir.Contact) bool { return c.Member == memberName(victim) })
			}
			fs := run(t, DefaultConfig(), b.cs)
			fs = slices.DeleteFunc(fs, func(f weir.Finding) bool {
				return f.Type != weir.SSHIncomingOneToOne || f.Peers[0].Address != netip.MustParseAddr(intruder)
			})
			got, basis := backends(fs, weir.SSHIncomingOneToOne)
			if len(got) == 0 {
				continue
			}
			last = got
			found++
			bases[basis]++
			if got[0].ID == memberName(victim) {
				right++
			}
			for _, l := range got {
				if l.ID == memberName(victim) {
					mean += l.Likelihood
				}
			}
		}
		t.Logf("%+v: found %d right %d mean %.3f %v last %.2v", tt, found, right, mean/float64(max(found, 1)), bases, last)
	}
}

package listen

import (
	"testing"
	"time"

	"github.com/weir-net/weir/internal/detect/service"
)

func TestSee(t *testing.T) {
	const day = int64(24 * time.Hour)
	type sight struct {
		peer byte
		port uint16
		at   int64
	}
	for _, c := range []struct {
		name  string
		seen  []sight
		after int
		want  bool
	}{
		{"three ports of two peers", []sight{{1, 1, 1}, {1, 2, 2}, {2, 3, 3}}, 0, true},
		{"two ports of two peers", []sight{{1, 1, 1}, {2, 2, 2}, {2, 2, 3}}, 0, false},
		{"seven ports of one peer", []sight{{1, 1, 1}, {1, 2, 1}, {1, 3, 1}, {1, 4, 1}, {1, 5, 1}, {1, 6, 1}, {1, 7, 1}}, 0, false},
		{"eight ports of one peer", []sight{{1, 1, 1}, {1, 2, 1}, {1, 3, 1}, {1, 4, 1}, {1, 5, 1}, {1, 6, 1}, {1, 7, 1}, {1, 8, 1}}, 0, true},
		{"too long ago", []sight{{1, 1, 1}, {1, 2, 2}, {2, 3, 3 + 8*day}}, 0, false},
		{"learnt, and silent for too long", []sight{{1, 1, 1}, {1, 2, 2}, {2, 3, 3}, {1, 1, 4 + 8*day}}, 0, false},
	} {
		s := Set{}
		k := service.Port{Proto: 6, Port: 22}
		for _, x := range c.seen {
			s.See(k, [16]byte{x.peer}, x.port, x.at)
		}
		if s.Has(k) != c.want {
			t.Errorf("%s: learnt %v", c.name, !c.want)
		}
	}
}

func TestPruneKeepsWhatIsLearnt(t *testing.T) {
	s := Set{}
	learnt := service.Port{Proto: 6, Port: 22}
	for i := range uint16(8) {
		s.See(learnt, [16]byte{}, i, 1)
	}
	for i := range uint16(3000) {
		s.See(service.Port{Proto: 17, Port: i}, [16]byte{}, 1, int64(i)+2)
	}
	s.Prune()
	if len(s) != most/2 || !s.Has(learnt) || s[service.Port{Proto: 17, Port: 2999}] == nil || s[service.Port{Proto: 17}] != nil {
		t.Errorf("%d ports are left, the learnt one: %v", len(s), s.Has(learnt))
	}
}

package sweep

import (
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/service"
)

// TestIdleRunsAreForgotten keeps the state of a crawler small.
func TestIdleRunsAreForgotten(t *testing.T) {
	m := map[service.Port]*Run{}
	for i := range 3000 {
		m[service.Port{Proto: weir.ProtoTCP, Port: uint16(i)}] = &Run{Last: int64(i) * int64(time.Minute), Pairs: i % 7}
	}
	Prune(m, int64(25*time.Hour), service.Port.Compare)
	if len(m) != MaxRuns {
		t.Errorf("%d runs are left", len(m))
	}
	for p, e := range m {
		if p.Port < 60 || e.Pairs < 4 {
			t.Errorf("port %d with %d pairs was kept", p.Port, e.Pairs)
		}
	}
}

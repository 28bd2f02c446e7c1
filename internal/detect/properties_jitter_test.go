package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-net/weir"
)

// TestThresholdsDifferByDeployment is the row of the adversarial set on probing:
// the number of logins that a deployment lets pass cannot be learnt from another
// one, and is never below the published one.
//
// It can fail: jitter that also lowers, or that ignores the salt.
func TestThresholdsDifferByDeployment(t *testing.T) {
	smallest := func(salt uint64) int {
		cfg := DefaultConfig()
		cfg.Salt = salt
		for n := 20; n < 60; n++ {
			b := newBench()
			b.guess(0, 9*time.Minute, "203.0.113.7", 22, n, login, false)
			if fs, _ := play(t, cfg, b.cs); len(fs) > 0 {
				if fs[0].Type != weir.SSHIncomingOneToOne {
					t.Fatalf("%s", fs[0].Type)
				}
				return n
			}
		}
		t.Fatalf("60 logins pass with salt %d", salt)
		return 0
	}
	published := smallest(0)
	seen := map[int]bool{}
	for salt := range uint64(40) {
		n := smallest(salt + 1)
		if n < published {
			t.Errorf("salt %d alerts at %d logins, the published number is %d", salt+1, n, published)
		}
		if limit := published + published/5 + 1; n > limit {
			t.Errorf("salt %d alerts at %d logins, more than 15 %% of surprise above %d explain", salt+1, n, published)
		}
		seen[n] = true
	}
	if len(seen) < 3 {
		t.Errorf("40 deployments share %s", fmt.Sprint(seen))
	}
}

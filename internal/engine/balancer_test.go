package engine

import (
	"context"
	"testing"

	"github.com/weir-net/weir/internal/engine/config"
)

// TestBalancerScenarios plays scenarios in which both legs of a balancer are seen:
// the alert names the member to which the attack went.
func TestBalancerScenarios(t *testing.T) {
	c := config.Default()
	for file, basis := range map[string]string{"balancer": "peer", "proxy": "time"} {
		r, err := RunCase(context.Background(), "../../scenarios/SSH_Incoming_BF_OneToOne."+file+".scn", Offline{Config: &c}, 3, 78, func(*Detection) {})
		if err != nil || r.Failed() || len(r.Alerts) != 1 {
			t.Errorf("%s: %v, %d alerts, %+v", file, err, len(r.Alerts), r.Judgement)
			continue
		}
		a := r.Alerts[0]
		if len(a.Backends) == 0 || a.Backends[0].ID != "ssh-3" || a.Backends[0].Likelihood < 0.95 || a.Facts["backends"] != basis {
			t.Errorf("%s: %v by %q, want ssh-3 by %s", file, a.Backends, a.Facts["backends"], basis)
		}
	}
}

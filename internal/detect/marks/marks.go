// Package marks tells many short connections from few long ones by what thin
// samples leave of them: client ports that repeat, and control packets.
package marks

import (
	"math"

	"github.com/weir-net/weir/internal/baseline"
)

// PerLogin are the client packets with SYN, FIN or RST of a connection.
const PerLogin = 2

const (
	// meanFactor is how much longer than the mean login of its service a
	// connection may be: 1/0.6, the bound on D/Xf without sampling (detection
	// reference, section 7.1).
	meanFactor = 1 / 0.6
	// reusedPorts is the narrowest range that common stacks took client ports
	// from, 1025 to 5000: two connections share a port by chance once in so many
	// pairs at most.
	reusedPorts = 3976
	// repeatLevel is the level of the test on repeated ports.
	repeatLevel = 0.01
	// markShare is the share of the marks of logins of the mean length below which
	// connections are longer. At 0.8 logins up to a quarter longer than the mean
	// pass.
	markShare = 0.8
	// reusedShare is the share of SYNs among packets of one port that many
	// connections must have used in turn (section 13, source-port reuse).
	reusedShare = 0.03
	// reusedPackets is the number of packets from which that is judged.
	reusedPackets = 20
)

// Repeats reports whether more sampled packets share a client port than short
// connections let expect: of x packets on d distinct ports sampled 1:n, x-d
// repeat a port. Connections of at most k/0.6 packets give x*(1-rho_e) of them,
// and chance reuse pairs/3976, where pairs is the number of pairs of packets of
// one peer. The answer is yes when as many repeats have a Poisson probability
// below 1 %. It is the sampled form of the bound on the mean length, which D/Xf
// states at n = 1 only: D/Xf tends to 1 for any connection once n is well above
// its length (section 3.4).
func Repeats(d, x uint64, pairs float64, n uint32, k float64) bool {
	if x <= d {
		return false
	}
	mean := float64(x)*(1-baseline.RhoExpected(n, k*meanFactor)) + ByChance(pairs)
	return baseline.PoissonTail(x-d, mean) < repeatLevel
}

// Missing reports whether ctl control packets among x sampled client packets are
// too few for logins of about k packets: the upper 95 % bound of their share lies
// below 0.8*2/k. Sessions of hundreds of packets show next to none (section 3.3: 2
// in more than 300).
func Missing(ctl, x uint64, k float64) bool {
	return k > 0 && baseline.BetaUCB95(min(ctl, x), x) < math.Min(1, markShare*PerLogin/k)
}

// ByChance returns how many packets share a client port with another by chance,
// of so many pairs of packets of one peer.
func ByChance(pairs float64) float64 { return pairs / reusedPorts }

// Sessions returns a lower bound on the number of sessions behind x packets on d
// distinct ports, whatever their length. Of n equal sessions x packets show
// n*(1-exp(-x/n)) on the average, of unequal ones fewer, so the n that gives x less
// the upper 95 % bound of the repeats is a bound. It goes on where the occupancy
// bound of section 3.3, which is scaled down to 60 packets, ends.
func Sessions(d, x uint64) float64 {
	if x == 0 || d == 0 {
		return 0
	}
	bound := float64(baseline.SessionBound(d, x))
	seen := float64(x) - baseline.GQ95(x-min(d, x))
	if seen <= 1 {
		return bound
	}
	low, high := seen, float64(x)*float64(x)
	for high-low > 0.5 {
		n := (low + high) / 2
		if -n*math.Expm1(-float64(x)/n) < seen {
			low = n
		} else {
			high = n
		}
	}
	return math.Max(low, bound)
}

// Reused reports whether x sampled packets come from far fewer client ports than
// connections, so that d says nothing: the lower 95 % bound of the share of SYNs
// is at least 0.03, seven times that of a long session, though ports repeat.
func Reused(d, x, syn uint64) bool {
	// A log-concave density has at least 1/e of its mass below its mean, so that the
	// bound lies below it.
	return x >= reusedPackets && 4*d < x && float64(syn+1) >= reusedShare*float64(x+2) && baseline.BetaLCB95(syn, x) >= reusedShare
}

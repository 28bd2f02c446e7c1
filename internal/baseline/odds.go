package baseline

import "math"

// mostRepeats keeps the odds finite where nearly every packet repeats a port.
const mostRepeats = 0.99

// Connections is what thin samples leave of the connections of one peer, or of
// many.
type Connections struct {
	N       uint32  // sampling interval
	Packets uint64  // sampled client packets
	Ports   uint64  // distinct client ports of them, 0 where they tell nothing
	Chance  float64 // packets that share a port with another connection by chance
	// Marks are the control packets among Of packets, PerConnection of which a
	// connection has. Without flags Of is 0, and nothing follows from marks.
	Marks, Of     uint64
	PerConnection float64
}

// Odds returns the decimal logarithm of the likelihood ratio that connections have
// k packets and not factor times as many, from both the ports that repeat and the
// marks, each a binomial number: of a connection of K packets a share of
// 1-rho_e(K) of the sampled packets repeats a port (section 3.3 of the detection
// reference), and PerConnection/K are marks. It rises with every packet of short
// connections and falls with every one of long ones, so what speaks for short ones
// is shown, and not what is left when nothing speaks against them. It is 0 without
// packets, and for k or factor not above 1.
func (e *Connections) Odds(k, factor float64) float64 {
	if e.Packets == 0 || !(k > 1) || !(factor > 1) {
		return 0
	}
	odds := 0.0
	if e.Ports > 0 {
		x := float64(e.Packets)
		repeats := func(k float64) float64 { return math.Min(1-RhoExpected(e.N, k)+e.Chance/x, mostRepeats) }
		odds = binomialOdds(float64(e.Packets-min(e.Ports, e.Packets)), x, repeats(k), repeats(k*factor))
	}
	if e.Of > 0 {
		share := func(k float64) float64 { return math.Min(e.PerConnection/k, 0.5) }
		odds += binomialOdds(float64(min(e.Marks, e.Of)), float64(e.Of), share(k), share(k*factor))
	}
	return odds
}

// binomialOdds is the decimal logarithm of the likelihood ratio of c of x at the
// probabilities p and q.
func binomialOdds(c, x, p, q float64) float64 {
	if p == q {
		return 0
	}
	return c*math.Log10(p/q) + (x-c)*(math.Log1p(-p)-math.Log1p(-q))/math.Ln10
}

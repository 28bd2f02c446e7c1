package catalog

// errata is the decision record about the faults of the Japanese source page.
const errata = "docs/decisions/0002-japanese-errata.md"

// Sentences about load balancers, which 13 of the 15 descriptions carry.
const (
	lbInEN = "If the resource is a load balancer or an application gateway, it has forwarded this traffic to one or more members of its backend pool. "
	lbInJA = "リソースがロード バランサーまたはアプリケーション ゲートウェイの場合、このトラフィックはバックエンド プール内の 1 つ以上のリソースに転送されています。"

	lbOutEN = "If the resource is a load balancer or an application gateway, this traffic came from one or more members of its backend pool. "
	lbOutJA = "リソースがロード バランサーまたはアプリケーション ゲートウェイの場合、このトラフィックはバックエンド プール内の 1 つ以上のリソースから送られたものです。"

	reputationEN = "Even if the activity is intended, others may come to flag the address as malicious because of it."
	reputationJA = "意図した操作であっても、このアクティビティによって、IP アドレスが外部の組織から悪意のあるものと判定されるおそれがあります。"
)

// service holds what differs between the RDP and the SSH rules.
type service struct {
	name      string // in texts and titles
	family    string // of the configuration
	technique string // MITRE ATT&CK, remote services
	ports     string
	packets   string // k_s, client packets of a failed login
	length    string // upper bound of the mean client packet length, bytes
}

// rdp and ssh are the rows of the service table (detection reference, section
// 5).
func rdp() service {
	return service{name: "RDP", family: "rdp", technique: "T1021.001", ports: "tcp/3389, udp/3389", packets: "30", length: "160"}
}

func ssh() service {
	return service{name: "SSH", family: "ssh", technique: "T1021.004", ports: "tcp/22, tcp/2222, tcp/22222", packets: "13", length: "260"}
}

// Expressions of the decisions (detection reference, sections 7 and 8). N is
// the sampling interval, W the window.
const (
	pairExpression = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1: exact count;  N unknown: D
storm     = D >= 4 and D/Xf >= 0.6*rho_e and
            (N = 1: share of connections in the packet range >= 0.6
             N > 1: L_b(D, Xf) >= max(30, 3*own sessions) or LLR >= 2)
scanlike  = BetaLCB95(SYN share) > 0.5 or (replies visible and BetaUCB95(reply share) < 0.05)
sizeok    = mean client packet length <= limit of the service
anomaly   = S_pair >= S* and L >= M(W)
signature = L >= 10*M(W) and peer not in the regular set
alert     = storm and not scanlike and sizeok and direction confidence >= 0.9
            and (anomaly or signature or (indicator score >= 50 and L >= M(W)))
            and no guard holds`

	sqlExpression = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1: exact count;  N unknown: D
storm     = D >= 4 and D/Xf >= 0.6*rho_e and
            (N = 1: share of connections in the packet range >= 0.6
             N > 1: L_b(D, Xf) >= max(30, 3*own sessions) or LLR >= 2)
scanlike  = BetaLCB95(SYN share) > 0.55 or (replies visible and BetaUCB95(reply share) < 0.05)
refused   = mean server packet length <= 140 bytes
            (not visible: peer external, not regular, and S_pair >= 6)
anomaly   = S_pair >= S* and L >= M(W)
signature = L >= 10*M(W) and peer not in the regular set
alert     = storm and not scanlike and refused and direction confidence >= 0.9
            and (anomaly or signature or (indicator score >= 50 and L >= M(W)))
            and no guard holds`

	manyToOneExpression = `U      = peers with login-like traffic in W
burst  = S_uniq >= S* and U >= 5
spread = 1/G >= 5 and largest share <= 0.5
alert  = burst and spread and storm and not scanlike (on the pooled packets)
         and median L of the peers < 10*M(W)
slow   = CUSUM of ln NB(2m)/NB(m) over windows of 1 h > ln(1e5)
         raises the same alert`

	oneToManyExpression = `U      = new destinations in W (not contacted in the last 30 days)
burst  = S_uniq >= S* and U >= 5
         and (>= 5 destinations with login-like traffic, or N = 1 and >= 25 destinations)
spread = 1/G >= 5 and largest share <= 0.5
alert  = burst and spread and, where login-like traffic carries it, storm and not scanlike
         (on the pooled packets) and median L of the destinations < 10*M(W)`

	ddosExpression = `r         = N*GQ05(X)/60                     packets per second, lower bound, per pane of 60 s
syn       = r >= 1000 and SYN share LCB >= 0.8 and (replies visible: reply share UCB <= 0.2)
flood     = (r >= 20000 or rate >= 1000 Mbit/s) and top-3 share >= 0.5 and reply share <= 0.2
            for UDP, ICMP and fragments
reflector = (r >= 1000 or rate >= 50 Mbit/s) and mean length >= 400 bytes
            and bytes out/in >= 5 and destination share >= 0.2
low       = one tenth of a floor above and S >= 10 and destination not seen in 7 days
alert     = a class holds in 2 of 3 consecutive panes and S >= S*  (low: S >= 10)`

	scanExpression = `w     <- max(0, w + f*ln(t1/t0) + (1-f)*ln((1-t1)/(1-t0)))    per connection to a new destination
f     = bare SYN packets / sampled packets of the connection
t0    = max(0.2, Q95 of the own SYN share);  t1 = 0.6
t0 >= 0.5: t1 = (1+t0)/2 and twice the destinations;  t0 >= 0.8: no test
sweep    = destinations >= 10 (N = 1: 25) and share of the commonest port >= 0.8
vertical = ports of one destination >= 15 (sampled: 8)
mixed    = destination and port pairs >= 20
alert    = w > ln(1e6) and (sweep or vertical or mixed)
           and (replies visible: reply share UCB < 0.3, or a high share of RST)`

	c2Expression = `s     = base*(1 - (t/tau)^(1/delta))      per source, 0 for t >= tau
score = 100*(1 - prod(1 - s/100))         over independent sources
talk  = (a) the resource is the client, direction confidence >= 0.9, >= 1 packet of its own
     or (b) the peer is the client and the resource answers with more than SYN-ACK, RST or ICMP unreachable
     or (c) the direction is ambiguous, packets run both ways and the resource sent one above 60 bytes
alert = score >= 50 and talk and no guard holds`

	infectedExpression = `s     = base*(1 - (t/tau)^(1/delta))      tau = 14 days, delta = 2
alert = last report within 7 days
        and last report >= lease start of the address on this resource
        and s >= 50
        (lease start not known: and a behaviour that corroborates the report)`

	blockedExpression = `A     = indicator score of the peer >= 50 and X >= 1 and the resource is the server or the direction ambiguous
B     = management or data port and allow set mature and peer outside the allow set and its prefixes
        and (>= 2 packets that are no RST, or >= 1 packet of a completed handshake)
mature = allow set >= 14 days old and coverage C = 1 - f1/n >= 0.98
alert = A or B;  one alert per resource and day`
)

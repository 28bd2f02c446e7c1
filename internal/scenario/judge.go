package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
)

// Alert is what the judge needs of an alert.
type Alert struct {
	ID        string
	Type      weir.AlertType
	Direction weir.Direction
	// Own is the protected address of the alert, Resource all addresses of its
	// resource; either of them meets a protected side.
	Own      netip.Addr
	Resource []netip.Addr
	// Attackers and Victims are the addresses by role, as in the alert object.
	Attackers, Victims []netip.Addr
	// Peers are the other side; nil takes the attackers of an incoming and the
	// victims of an outgoing alert.
	Peers []netip.Addr
	Ports []uint16
	// Start and End are the event times of the evidence, Unix ns.
	Start, End int64
}

// Outcome is what a run of a case gave.
type Outcome struct {
	Alerts []Alert
	// Protected are the addresses and networks of the inventory.
	Protected []netip.Prefix
	// Flows is the number of flow records decoded, Exit the exit code that the
	// run alone would have had.
	Flows int64
	Exit  int
}

// slack widens the time of a row before it is compared. Source: contract,
// section 9.
const slack = 10 * time.Minute

// RowResult is what became of a row that applies to the case.
type RowResult struct {
	Row Row
	Met bool
	// Alerts are the indices of the alerts that meet the row.
	Alerts []int
}

// Result is the judgement of a case.
type Result struct {
	// Must, Should and May are the rows that apply, in the order of the file.
	Must, Should, May []RowResult
	// Judged is the number of alerts judged; Ignored ended before learnUntil.
	Judged, Ignored int
	// False are the indices of alerts that violate a must_not row, or meet no
	// row of a complete case.
	False []int
	// FlowsWrong and ExitWrong say what differs, empty when nothing does.
	FlowsWrong, ExitWrong string
	// Rules has the numbers of every alert type that was asked for or raised.
	Rules map[weir.AlertType]Score
}

// Score are the numbers of one rule, or of a sum of them.
type Score struct {
	Must      int `json:"must"` // rows
	MustMet   int `json:"mustMet"`
	Should    int `json:"should"`
	ShouldMet int `json:"shouldMet"`
	Raised    int `json:"raised"` // alerts judged
	True      int `json:"true"`   // alerts that meet a must or should row
	False     int `json:"false"`  // false positives
}

// Add sums two scores.
func (s Score) Add(o Score) Score {
	return Score{
		s.Must + o.Must, s.MustMet + o.MustMet, s.Should + o.Should, s.ShouldMet + o.ShouldMet,
		s.Raised + o.Raised, s.True + o.True, s.False + o.False,
	}
}

// Precision is the share of true alerts among those that are true or false;
// alerts that are neither do not count. ok is false when there are none.
func (s Score) Precision() (value float64, ok bool) {
	if s.True+s.False == 0 {
		return 0, false
	}
	return float64(s.True) / float64(s.True+s.False), true
}

// Recall is the share of must rows that were met; ok is false without any.
func (s Score) Recall() (value float64, ok bool) {
	if s.Must == 0 {
		return 0, false
	}
	return float64(s.MustMet) / float64(s.Must), true
}

// Failed reports whether the case fails: a must row is missed, an alert is
// false, or flows or exit code differ.
func (r *Result) Failed() bool {
	return len(r.Missed()) > 0 || len(r.False) > 0 || r.FlowsWrong != "" || r.ExitWrong != ""
}

// Missed returns the must rows that were not met.
func (r *Result) Missed() []Row {
	var rows []Row
	for i := range r.Must {
		if !r.Must[i].Met {
			rows = append(rows, r.Must[i].Row)
		}
	}
	return rows
}

// Total sums the scores of all rules.
func (r *Result) Total() Score {
	var t Score
	for _, s := range r.Rules {
		t = t.Add(s)
	}
	return t
}

// Judge compares the outcome of a run with what the case expects.
func Judge(c *Case, o Outcome) Result {
	r := Result{Rules: map[weir.AlertType]Score{}}
	r.FlowsWrong, r.ExitWrong = c.judgeRun(o)

	learnt := int64(0)
	if !c.LearnUntil.IsZero() {
		learnt = c.LearnUntil.UnixNano()
	}
	judged := make([]bool, len(o.Alerts))
	for i := range o.Alerts {
		judged[i] = c.LearnUntil.IsZero() || o.Alerts[i].End >= learnt
		if judged[i] {
			r.Judged++
		} else {
			r.Ignored++
		}
	}
	good, arguable, bad := make([]bool, len(o.Alerts)), make([]bool, len(o.Alerts)), make([]bool, len(o.Alerts))
	for i := range c.Rows {
		row := &c.Rows[i]
		sides := c.sides(row, o.Protected)
		if len(sides) == 0 || !c.LearnUntil.IsZero() && row.Last != nil && *row.Last < learnt {
			continue
		}
		res := RowResult{Row: *row}
		for j := range o.Alerts {
			if judged[j] && meets(row, sides, &o.Alerts[j]) {
				res.Alerts = append(res.Alerts, j)
			}
		}
		res.Met = len(res.Alerts) > 0 && (row.Count == 0 || len(res.Alerts) == row.Count)
		mark := arguable
		switch row.Verdict {
		case Must:
			r.Must, mark = append(r.Must, res), good
		case Should:
			r.Should, mark = append(r.Should, res), good
		case May:
			r.May = append(r.May, res)
		case MustNot:
			mark = bad
		}
		for _, j := range res.Alerts {
			mark[j] = true
		}
		r.scoreRow(&res)
	}
	for i := range o.Alerts {
		if !judged[i] {
			continue
		}
		s := r.Rules[o.Alerts[i].Type]
		s.Raised++
		switch {
		case good[i]:
			s.True++
		case !arguable[i] && (bad[i] || c.Complete):
			s.False++
			r.False = append(r.False, i)
		}
		r.Rules[o.Alerts[i].Type] = s
	}
	return r
}

func (r *Result) scoreRow(res *RowResult) {
	t := res.Row.Type()
	s := r.Rules[t]
	met := 0
	if res.Met {
		met = 1
	}
	switch res.Row.Verdict {
	case Must:
		s.Must, s.MustMet = s.Must+1, s.MustMet+met
	case Should:
		s.Should, s.ShouldMet = s.Should+1, s.ShouldMet+met
	case May, MustNot:
		return
	}
	r.Rules[t] = s
}

// judgeRun compares the number of flows and the exit code.
func (c *Case) judgeRun(o Outcome) (flows, exit string) {
	if f := c.Flows; f != nil && (o.Flows < f[0] || o.Flows > f[1]) {
		want := fmt.Sprint(f[0])
		if f[0] != f[1] {
			want = fmt.Sprintf("%d to %d", f[0], f[1])
		}
		flows = fmt.Sprintf("%d flows decoded, expected %s", o.Flows, want)
	}
	if len(c.Exit) > 0 && !slices.Contains(c.Exit, o.Exit) {
		words := make([]string, len(c.Exit))
		for i, e := range c.Exit {
			words[i] = fmt.Sprint(e)
		}
		exit = fmt.Sprintf("exit code %d, expected %s", o.Exit, strings.Join(words, " or "))
	}
	return flows, exit
}

// pair is one reading of a row: which side is protected, and which is the peer.
type pair struct{ own, peer Side }

// sides returns the readings of a row that apply to the case: none when its
// perspective is another or its protected side is not in the inventory.
func (c *Case) sides(row *Row, protected []netip.Prefix) []pair {
	p := row.Perspective
	if p == "" {
		p = AnySide
	}
	if own := c.Perspective; own == VictimSide || own == AttackerSide {
		if p != AnySide && p != own {
			return nil
		}
	}
	victim, attacker := pair{row.Victim, row.Attacker}, pair{row.Attacker, row.Victim}
	switch p {
	case VictimSide:
		if row.Victim.Any() || row.Victim.overlaps(protected) {
			return []pair{victim}
		}
	case AttackerSide:
		if row.Attacker.Any() || row.Attacker.overlaps(protected) {
			return []pair{attacker}
		}
	case AnySide:
		if row.Victim.Any() && row.Attacker.Any() {
			return []pair{victim}
		}
		var out []pair
		if row.Victim.overlaps(protected) {
			out = append(out, victim)
		}
		if row.Attacker.overlaps(protected) {
			out = append(out, attacker)
		}
		return out
	}
	return nil
}

// meets reports whether an alert meets a row in one of its readings.
func meets(row *Row, sides []pair, a *Alert) bool {
	if !overlap(row, a) || row.StrictPort && !slices.Contains(a.Ports, row.Port) {
		return false
	}
	direct := row.Matches(a.Type)
	single, aggregate := oneToOneOf(a.Type)
	aggregate = aggregate && row.Matches(single)
	if !direct && !aggregate {
		return false
	}
	return slices.ContainsFunc(sides, func(s pair) bool {
		if !onSide(s.own, a) {
			return false
		}
		return direct && peersMeet(s.peer, a) || aggregate && namedBy(s.peer, a)
	})
}

// oneToOneOf returns the one-to-one type of the same service and direction as
// an aggregate type.
func oneToOneOf(t weir.AlertType) (weir.AlertType, bool) {
	switch t {
	case weir.SSHIncomingManyToOne:
		return weir.SSHIncomingOneToOne, true
	case weir.SSHOutgoingOneToMany:
		return weir.SSHOutgoingOneToOne, true
	case weir.RDPIncomingManyToOne:
		return weir.RDPIncomingOneToOne, true
	case weir.RDPOutgoingOneToMany:
		return weir.RDPOutgoingOneToOne, true
	}
	return "", false
}

// manyPeers reports whether alerts of the type have several peers by nature.
func manyPeers(t weir.AlertType) bool {
	switch t {
	case weir.PortScanning, weir.DDoS, weir.CommunicationWithC2, weir.TrafficFromUnrecommended, weir.ResourceIPMalicious:
		return true
	}
	_, aggregate := oneToOneOf(t)
	return aggregate
}

func overlap(row *Row, a *Alert) bool {
	if row.First != nil && a.End < *row.First-int64(slack) {
		return false
	}
	return row.Last == nil || a.Start <= *row.Last+int64(slack)
}

func onSide(own Side, a *Alert) bool {
	return own.Any() || own.Contains(a.Own) || slices.ContainsFunc(a.Resource, own.Contains)
}

// peersMeet compares the peers: for a one-to-one type and a row of one peer this
// is among those of the alert, else at least half of the peers that one of the
// two names are named by the other. When one of them names none, the protected
// side has decided.
func peersMeet(want Side, a *Alert) bool {
	peers := a.peers()
	if want.Any() || len(peers) == 0 {
		return true
	}
	if len(want) == 1 && !manyPeers(a.Type) {
		return slices.ContainsFunc(peers, want.Contains)
	}
	named := 0
	for _, p := range peers {
		if want.Contains(p) {
			named++
		}
	}
	return 2*named >= len(peers) || 2*covered(want, peers) >= len(want)
}

// namedBy reports whether an aggregate alert names the peer of a one-to-one row
// among its attackers or victims; of several peers at least half.
func namedBy(want Side, a *Alert) bool {
	if want.Any() {
		return true
	}
	named := append(slices.Clone(a.Attackers), a.Victims...)
	return 2*covered(want, named) >= len(want)
}

// covered counts the entries of a side that hold one of the addresses.
func covered(s Side, addrs []netip.Addr) int {
	n := 0
	for _, p := range s {
		if slices.ContainsFunc(addrs, p.Contains) {
			n++
		}
	}
	return n
}

func (a *Alert) peers() []netip.Addr {
	switch {
	case a.Peers != nil:
		return a.Peers
	case a.Direction == weir.Outgoing:
		return a.Victims
	}
	return a.Attackers
}

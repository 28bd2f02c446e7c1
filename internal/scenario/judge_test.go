package scenario

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, addr(a))
	}
	return out
}

func ns(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

// truth reads rows from CSV without the columns that people read.
func truth(t *testing.T, rows ...string) []Row {
	t.Helper()
	text := "verdict,alert,perspective,attacker,victim,port,first,last\n" + strings.Join(rows, "\n") + "\n"
	r, err := ReadTruth(strings.NewReader(text), "truth.csv")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// guess is an incoming SSH alert on 203.0.113.10 from ten to eleven o'clock.
func guess(change ...func(*Alert)) Alert {
	a := Alert{
		Type: weir.SSHIncomingOneToOne, Direction: weir.Incoming, Own: addr("203.0.113.10"),
		Resource: addrs("203.0.113.10", "10.0.0.4"), Attackers: addrs("198.51.100.7"), Victims: addrs("203.0.113.10"),
		Ports: []uint16{22}, Start: ns("2026-01-01T10:00:00Z"), End: ns("2026-01-01T11:00:00Z"),
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func kind(t weir.AlertType) func(*Alert) { return func(a *Alert) { a.Type = t } }
func from(list ...string) func(*Alert)   { return func(a *Alert) { a.Attackers = addrs(list...) } }
func outgoing(to ...string) func(*Alert) {
	return func(a *Alert) {
		a.Direction, a.Attackers, a.Victims = weir.Outgoing, a.Victims, addrs(to...)
	}
}
func during(start, end string) func(*Alert) {
	return func(a *Alert) { a.Start, a.End = ns(start), ns(end) }
}

func TestJudge(t *testing.T) {
	const must = "must,SSH_Incoming_BF_OneToOne,victim,198.51.100.7,203.0.113.10,22,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z"
	many := strings.Join([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, " ")
	for _, c := range []struct {
		name     string
		rows     []string
		change   func(*Case)
		alerts   []Alert
		protects []netip.Prefix // the address of guess when nil
		missed   int
		falses   []int
		shoulds  string // met of all
	}{
		{name: "a must is met", rows: []string{must}, alerts: []Alert{guess()}, shoulds: "0/0"},
		{name: "a must is missed", rows: []string{must}, missed: 1, shoulds: "0/0"},
		{name: "another type does not meet it", rows: []string{must}, alerts: []Alert{guess(kind(weir.RDPIncomingOneToOne))}, missed: 1, shoulds: "0/0"},
		{name: "another protected side does not meet it", rows: []string{must}, missed: 1, shoulds: "0/0",
			alerts: []Alert{guess(func(a *Alert) { a.Own, a.Resource = addr("203.0.113.11"), nil })}},
		{name: "any address of the resource meets it", rows: []string{must}, shoulds: "0/0",
			alerts: []Alert{guess(func(a *Alert) { a.Own = addr("10.0.0.4") })}},
		{name: "another peer does not meet it", rows: []string{must}, alerts: []Alert{guess(from("198.51.100.8"))}, missed: 1, shoulds: "0/0"},
		{name: "one of the alert's peers meets a one-to-one row", rows: []string{must}, shoulds: "0/0",
			alerts: []Alert{guess(from("198.51.100.8", "198.51.100.9", "198.51.100.7"))}},
		{name: "an alert that names no peer is decided by the protected side", rows: []string{must}, alerts: []Alert{guess(from())}, shoulds: "0/0"},
		{name: "a row of anyone is decided by the protected side", shoulds: "0/0",
			rows: []string{"must,SSH_*,victim,*,203.0.113.10,,,"}, alerts: []Alert{guess()}},
		{name: "the port is for people", rows: []string{strings.Replace(must, ",22,", ",2222,", 1)}, alerts: []Alert{guess()}, shoulds: "0/0"},
		{name: "ten minutes early is in time", rows: []string{must}, shoulds: "0/0",
			alerts: []Alert{guess(during("2026-01-01T09:00:00Z", "2026-01-01T09:50:00Z"))}},
		{name: "more than ten minutes early is not", rows: []string{must}, missed: 1, shoulds: "0/0",
			alerts: []Alert{guess(during("2026-01-01T09:00:00Z", "2026-01-01T09:49:59Z"))}},
		{name: "ten minutes late is in time", rows: []string{must}, shoulds: "0/0",
			alerts: []Alert{guess(during("2026-01-01T11:10:00Z", "2026-01-01T12:00:00Z"))}},
		{name: "more than ten minutes late is not", rows: []string{must}, missed: 1, shoulds: "0/0",
			alerts: []Alert{guess(during("2026-01-01T11:10:01Z", "2026-01-01T12:00:00Z"))}},
		{name: "a date is the whole day", shoulds: "0/0", alerts: []Alert{guess(during("2026-01-02T00:09:00Z", "2026-01-02T00:20:00Z"))},
			rows: []string{"must,SSH_*,victim,198.51.100.7,203.0.113.10,,2026-01-01,2026-01-01"}},
		{name: "a row without times holds always", rows: []string{"must,SSH_*,victim,198.51.100.7,203.0.113.10,,,"}, alerts: []Alert{guess()}, shoulds: "0/0"},

		{name: "an aggregate that names the peer meets a one-to-one row", rows: []string{must}, shoulds: "0/0",
			alerts: []Alert{guess(kind(weir.SSHIncomingManyToOne), from("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.7"))}},
		{name: "an aggregate that does not name it does not", rows: []string{must}, missed: 1, shoulds: "0/0",
			alerts: []Alert{guess(kind(weir.SSHIncomingManyToOne), from("192.0.2.1"))}},
		{name: "an aggregate of another service does not", rows: []string{must}, missed: 1, shoulds: "0/0",
			alerts: []Alert{guess(kind(weir.RDPIncomingManyToOne))}},
		{name: "a one-to-one alert does not meet an aggregate row", missed: 1, shoulds: "0/0", alerts: []Alert{guess()},
			rows: []string{"must,SSH_Incoming_BF_ManyToOne,victim,198.51.100.7,203.0.113.10,,,"}},
		{name: "an outgoing aggregate meets an outgoing one-to-one row", shoulds: "0/0",
			rows:   []string{"must,RDP_Outgoing_BF_OneToOne,attacker,203.0.113.10,198.51.100.7,,,"},
			alerts: []Alert{guess(kind(weir.RDPOutgoingOneToMany), outgoing("192.0.2.1", "198.51.100.7"))}},

		{name: "half of the row's peers are enough", rows: []string{"must,SSH_Incoming_BF_ManyToOne,victim," + many + ",203.0.113.10,,,"},
			shoulds: "0/0", alerts: []Alert{guess(kind(weir.SSHIncomingManyToOne),
				from("192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "198.51.100.3"))}},
		{name: "half of the alert's peers are enough", rows: []string{"must,SSH_Incoming_BF_ManyToOne,victim," + many + ",203.0.113.10,,,"},
			shoulds: "0/0", alerts: []Alert{guess(kind(weir.SSHIncomingManyToOne), from("192.0.2.1", "198.51.100.1"))}},
		{name: "less than half of both is not", rows: []string{"must,SSH_Incoming_BF_ManyToOne,victim," + many + ",203.0.113.10,,,"},
			missed: 1, shoulds: "0/0", alerts: []Alert{guess(kind(weir.SSHIncomingManyToOne), from("192.0.2.1", "198.51.100.1", "198.51.100.2"))}},
		{name: "a prefix holds its addresses", rows: []string{"must,PortScanning,attacker,203.0.113.10,198.51.100.0/24,,,"}, shoulds: "0/0",
			alerts: []Alert{guess(kind(weir.PortScanning), outgoing("198.51.100.1", "198.51.100.2"))}},

		{name: "should is reported apart", shoulds: "1/2", alerts: []Alert{guess()},
			rows: []string{strings.Replace(must, "must", "should", 1), "should,DDOS,attacker,203.0.113.10,*,,,"}},
		{name: "may is neither", rows: []string{strings.Replace(must, "must", "may", 1)}, alerts: []Alert{guess()}, shoulds: "0/0",
			change: func(c *Case) { c.Complete = true }},
		{name: "must_not makes an alert false", rows: []string{"must_not,*,victim,*,203.0.113.10,,,"}, alerts: []Alert{guess()}, falses: []int{0}, shoulds: "0/0"},
		{name: "unless it meets another row", rows: []string{"must_not,*,victim,*,203.0.113.10,,,", must}, alerts: []Alert{guess()}, shoulds: "0/0"},
		{name: "a may row is enough", rows: []string{"must_not,*,victim,*,203.0.113.10,,,", strings.Replace(must, "must", "may", 1)},
			alerts: []Alert{guess()}, shoulds: "0/0"},
		{name: "a list of types", rows: []string{`must_not,"*RDP*,DDOS",any,*,203.0.113.10,,,`}, falses: []int{1}, shoulds: "0/0",
			alerts: []Alert{guess(), guess(kind(weir.RDPIncomingOneToOne))}},
		{name: "with any, either side is protected", rows: []string{"must_not,*,any,203.0.113.10,*,,,"}, alerts: []Alert{guess()}, falses: []int{0}, shoulds: "0/0"},
		{name: "nothing is asked of an alert that meets no row", rows: []string{must}, alerts: []Alert{guess(), guess(kind(weir.DDoS))}, shoulds: "0/0"},
		{name: "unless the case is complete", rows: []string{must}, alerts: []Alert{guess(), guess(kind(weir.DDoS))}, falses: []int{1}, shoulds: "0/0",
			change: func(c *Case) { c.Complete = true }},

		{name: "rows of the other perspective do not apply", rows: []string{must}, shoulds: "0/0",
			change: func(c *Case) { c.Perspective = AttackerSide }},
		{name: "rows of any perspective do", rows: []string{strings.Replace(must, "victim", "any", 1)}, missed: 1, shoulds: "0/0",
			change: func(c *Case) { c.Perspective = AttackerSide }},
		{name: "rows whose protected side is not in the inventory do not", rows: []string{must}, shoulds: "0/0",
			protects: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{name: "a network of the inventory protects", rows: []string{must}, missed: 1, shoulds: "0/0",
			protects: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}},
		{name: "a row over a network applies to one address of it", rows: []string{"must,SSH_*,victim,*,203.0.113.0/24,,,"}, missed: 1, shoulds: "0/0"},

		{name: "alerts that end before learnUntil are not judged", rows: []string{"must_not,*,any,*,203.0.113.10,,,"}, shoulds: "0/0",
			alerts: []Alert{guess(), guess(during("2026-01-01T11:30:00Z", "2026-01-01T12:00:00Z"))}, falses: []int{1},
			change: func(c *Case) { c.LearnUntil = time.Unix(0, ns("2026-01-01T12:00:00Z")) }},
		{name: "nor are rows that end before it", rows: []string{must}, shoulds: "0/0",
			change: func(c *Case) { c.LearnUntil = time.Unix(0, ns("2026-01-01T12:00:00Z")) }},
		{name: "a strict port must be among those of the alert", rows: []string{must}, alerts: []Alert{guess()}, missed: 1, shoulds: "0/0",
			change: func(c *Case) { c.Rows[0].StrictPort, c.Rows[0].Port = true, 2222 }},
		{name: "a count must be met exactly", rows: []string{must}, alerts: []Alert{guess(), guess()}, missed: 1, shoulds: "0/0",
			change: func(c *Case) { c.Rows[0].Count = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &Case{Rows: truth(t, c.rows...), Exit: []int{0}}
			if c.change != nil {
				c.change(k)
			}
			if c.protects == nil {
				c.protects = []netip.Prefix{netip.MustParsePrefix("203.0.113.10/32")}
			}
			r := Judge(k, Outcome{Alerts: c.alerts, Protected: c.protects})
			met := 0
			for _, s := range r.Should {
				if s.Met {
					met++
				}
			}
			shoulds := string(rune('0'+met)) + "/" + string(rune('0'+len(r.Should)))
			if len(r.Missed()) != c.missed || !cmp.Equal(r.False, c.falses) || shoulds != c.shoulds {
				t.Errorf("missed %d, false %v, should %s; want %d, %v, %s", len(r.Missed()), r.False, shoulds, c.missed, c.falses, c.shoulds)
			}
			if want := c.missed > 0 || len(c.falses) > 0; r.Failed() != want {
				t.Errorf("failed = %v, want %v", r.Failed(), want)
			}
		})
	}
}

func TestJudgeRun(t *testing.T) {
	for _, c := range []struct {
		name        string
		flows       *[2]int64
		exits       []int
		gotFlows    int64
		gotExit     int
		flows2, ext string
	}{
		{"nothing asked", nil, []int{0}, 7, 0, "", ""},
		{"exact", &[2]int64{5, 5}, []int{0}, 5, 0, "", ""},
		{"one too few", &[2]int64{5, 5}, []int{0}, 4, 0, "4 flows decoded, expected 5", ""},
		{"range, lowest", &[2]int64{5, 9}, []int{0}, 5, 0, "", ""},
		{"range, too many", &[2]int64{5, 9}, []int{0}, 10, 0, "10 flows decoded, expected 5 to 9", ""},
		{"allowed exit", nil, []int{0, 3}, 0, 3, "", ""},
		{"other exit", nil, []int{0, 3}, 0, 1, "", "exit code 1, expected 0 or 3"},
	} {
		r := Judge(&Case{Flows: c.flows, Exit: c.exits}, Outcome{Flows: c.gotFlows, Exit: c.gotExit})
		if r.FlowsWrong != c.flows2 || r.ExitWrong != c.ext || r.Failed() != (c.flows2 != "" || c.ext != "") {
			t.Errorf("%s: got %q, %q, failed %v", c.name, r.FlowsWrong, r.ExitWrong, r.Failed())
		}
	}
}

func TestScores(t *testing.T) {
	c := &Case{Exit: []int{0}, Rows: truth(t,
		"must,SSH_Incoming_BF_OneToOne,victim,198.51.100.7,203.0.113.10,,,",
		"must,SSH_Incoming_BF_OneToOne,victim,198.51.100.8,203.0.113.10,,,",
		"should,Generic_Incoming_BF_OneToOne,victim,198.51.100.9,203.0.113.10,,,",
		"must_not,SSH_*,victim,*,203.0.113.10,,,",
	)}
	r := Judge(c, Outcome{
		Protected: []netip.Prefix{netip.MustParsePrefix("203.0.113.10/32")},
		Alerts:    []Alert{guess(), guess(from("192.0.2.66")), guess(kind(weir.DDoS))},
	})
	want := map[weir.AlertType]Score{
		weir.SSHIncomingOneToOne:     {Must: 2, MustMet: 1, Raised: 2, True: 1, False: 1},
		weir.GenericIncomingOneToOne: {Should: 1},
		weir.DDoS:                    {Raised: 1},
	}
	if d := cmp.Diff(want, r.Rules); d != "" {
		t.Error(d)
	}
	total := r.Total()
	if p, ok := total.Precision(); !ok || p != 0.5 {
		t.Errorf("precision = %v, %v", p, ok)
	}
	if p, ok := total.Recall(); !ok || p != 0.5 {
		t.Errorf("recall = %v, %v", p, ok)
	}
	if _, ok := (Score{}).Precision(); ok {
		t.Error("a precision of nothing")
	}
}

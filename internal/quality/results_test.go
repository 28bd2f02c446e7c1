package quality

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// results is the twin of the page for programs: the tallies that the page is
// computed from. Rows are in a fixed order, one a line; lists in them are by
// rate, in the order of rates.
type results struct {
	Seeds  []uint64      `json:"seeds"`
	Random part          `json:"random"`
	Count  part          `json:"counted"`
	Cases  []recordedRow `json:"recorded"`
}

// part is the corpus under one kind of sampling. Under counting only what the
// page shows of it is there.
type part struct {
	Rates     []uint32      `json:"rates"` // 1-in-N
	Scenarios []int         `json:"scenarios"`
	Flows     []int64       `json:"flows"`
	Attacks   []attackRow   `json:"attacks"`
	Watched   []watchedRow  `json:"watched"`
	False     []falseRow    `json:"falseAlerts"`
	Intervals []intervalRow `json:"intervals"`
	Others    []othersRow   `json:"rulesOfOthers"`
}

// attackRow are the attacks of one kind at one intensity, relative to the reach;
// 0 is the size of the target. Delay and After are seconds of event time to the
// alert, each with its number of attacks: from the beginning, and from the
// moment when the records sufficed. They are there from 1.5 times the reach on,
// with a history. Passed is the time from the beginning to passing the reach, for
// attacks that add up.
type attackRow struct {
	Rule    string       `json:"rule"`
	Kind    string       `json:"kind"`
	Reach   float64      `json:"reach"`
	Phase   string       `json:"phase"`
	Attacks []int        `json:"attacks"`
	Found   []int        `json:"found"`
	Passed  int64        `json:"passed,omitempty"`
	Delay   [][][2]int64 `json:"delay,omitempty"`
	After   [][][2]int64 `json:"after,omitempty"`
}

// watchedRow are the resource-days of a benign role.
type watchedRow struct {
	Role      string    `json:"role"`
	Lookalike bool      `json:"lookalike,omitempty"`
	Phase     string    `json:"phase"`
	Days      []float64 `json:"days"`
}

// falseRow are false alerts of a benign role or, Attacked, beside the attacks of
// a family.
type falseRow struct {
	Role      string `json:"role"`
	Lookalike bool   `json:"lookalike,omitempty"`
	Attacked  bool   `json:"attacked,omitempty"`
	Rule      string `json:"rule"`
	Phase     string `json:"phase"`
	Alerts    []int  `json:"alerts"`
}

// intervalRow are estimates against the truth. OneSided have a lower bound only.
type intervalRow struct {
	Rule     string    `json:"rule"`
	OneSided bool      `json:"oneSided,omitempty"`
	All      []int     `json:"all"`
	In       []int     `json:"in"`
	Above    []int     `json:"above"`
	Below    []int     `json:"below"`
	Median   []float64 `json:"medianRatio"` // 0 for none
}

// othersRow are the scores of a rule of others, 1 at the published threshold,
// each with its number: on attacks, and on what is none. The latter are rounded
// down to tenths of a power of two; those below any threshold that the page asks
// about are left out.
type othersRow struct {
	Rule  string         `json:"rule"`
	Hit   [][][2]float64 `json:"hit"`
	Wrong [][][2]float64 `json:"wrong"`
}

// recordedRow are labelled cases of one set at one thinning.
type recordedRow struct {
	Set       string `json:"set"`
	Thin      uint32 `json:"thin"`
	Cases     int    `json:"cases"`
	Must      int    `json:"must"`
	MustMet   int    `json:"mustMet"`
	Should    int    `json:"should"`
	ShouldMet int    `json:"shouldMet"`
	False     int    `json:"false"`
}

// digits rounds to six significant digits.
func digits(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	out, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64) // its own format
	return out
}

// inSeconds counts durations by whole seconds, in order.
func inSeconds(list []time.Duration) [][2]int64 {
	out := [][2]int64{}
	counts := map[int64]int64{}
	for _, d := range list {
		counts[int64(d.Round(time.Second)/time.Second)]++
	}
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, [2]int64{s, counts[s]})
	}
	return out
}

// part returns the rows of a tally; brief leaves out what the page shows of
// random sampling only.
func (t *tally) part(brief bool) part {
	p := part{
		Rates: slices.Sorted(maps.Keys(t.runs)), Scenarios: []int{}, Flows: []int64{}, Attacks: []attackRow{}, Watched: []watchedRow{}, False: []falseRow{},
		Intervals: []intervalRow{}, Others: []othersRow{},
	}
	if p.Rates == nil {
		p.Rates = []uint32{}
	}
	for _, n := range p.Rates {
		p.Scenarios, p.Flows = append(p.Scenarios, t.runs[n]), append(p.Flows, t.flows[n])
	}
	for _, l := range rowsOf(t.power, compareLevels, func(l level) level { l.n = 0; return l }) {
		p.Attacks = append(p.Attacks, t.attackRow(p.Rates, l, brief))
	}
	watch := func(k falseKey) falseKey { k.n = 0; return k }
	for _, k := range rowsOf(t.watched, compareFalse, watch) {
		row := watchedRow{Role: k.role, Lookalike: k.lookalike, Phase: k.when.String()}
		for _, n := range p.Rates {
			k.n = n
			row.Days = append(row.Days, t.watched[k])
		}
		p.Watched = append(p.Watched, row)
	}
	for i, m := range []map[falseKey]int{t.wrong, t.stray} {
		for _, k := range rowsOf(m, compareFalse, watch) {
			row := falseRow{Role: k.role, Lookalike: k.lookalike, Attacked: i == 1, Rule: string(k.rule), Phase: k.when.String()}
			for _, n := range p.Rates {
				k.n = n
				row.Alerts = append(row.Alerts, m[k])
			}
			p.False = append(p.False, row)
		}
	}
	if brief {
		return p
	}
	for i, m := range []map[coverKey]*cover{t.cover, t.lower} {
		for _, k := range rowsOf(m, func(a, b coverKey) int { return cmp.Compare(a.rule, b.rule) }, func(k coverKey) coverKey { k.n = 0; return k }) {
			row := intervalRow{Rule: string(k.rule), OneSided: i == 1}
			for _, n := range p.Rates {
				c := m[coverKey{k.rule, n}]
				if c == nil {
					c = &cover{}
				}
				row.All, row.In, row.Above, row.Below = append(row.All, c.all), append(row.In, c.in), append(row.Above, c.above), append(row.Below, c.below)
				row.Median = append(row.Median, digits(median(c.ratio)))
			}
			p.Intervals = append(p.Intervals, row)
		}
	}
	for _, k := range rowsOf(t.peers, func(a, b peerKey) int { return cmp.Compare(a.rule, b.rule) }, func(k peerKey) peerKey { k.n = 0; return k }) {
		row := othersRow{Rule: k.rule}
		for _, n := range p.Rates {
			hit, wrong := t.peers[peerKey{k.rule, n}].histograms()
			row.Hit, row.Wrong = append(row.Hit, hit), append(row.Wrong, wrong)
		}
		p.Others = append(p.Others, row)
	}
	return p
}

// rowsOf returns the keys of a map without what same takes away, in order.
func rowsOf[K comparable, V any](m map[K]V, compare func(a, b K) int, same func(K) K) []K {
	rows := map[K]bool{}
	for k := range m {
		rows[same(k)] = true
	}
	return slices.SortedFunc(maps.Keys(rows), compare)
}

// attackRow returns the row of a level at all rates.
func (t *tally) attackRow(rates []uint32, l level, brief bool) attackRow {
	row := attackRow{Rule: string(l.rule), Kind: l.kind, Reach: l.factor, Phase: l.when.String()}
	timed, after := !brief && l.factor >= enough && l.when == later, false
	for _, n := range rates {
		l.n = n
		h := t.power[l]
		if h == nil {
			h = &hits{}
		}
		row.Attacks, row.Found = append(row.Attacks, h.all), append(row.Found, h.found)
		if !timed {
			continue
		}
		row.Delay, row.After = append(row.Delay, inSeconds(h.delay)), append(row.After, inSeconds(h.after))
		after = after || len(h.after) > 0
		if len(h.lag) > 0 {
			row.Passed = int64((h.delay[0] - h.lag[0]).Seconds())
		}
	}
	if !after {
		row.After = nil
	}
	return row
}

// histograms counts the scores on attacks, and those on what is none from the
// lowest on that a threshold can be.
func (s *peerScores) histograms() (hit, wrong [][2]float64) {
	if s == nil {
		return histogram(nil), histogram(nil)
	}
	hits, wrongs := map[float64]float64{}, map[float64]float64{}
	least := 1.0
	for _, v := range s.hit {
		hits[digits(v)]++
		if v > 0 {
			least = min(least, v)
		}
	}
	for v, n := range s.wrong {
		if v >= coarse(least) {
			wrongs[digits(v)] += float64(n)
		}
	}
	return histogram(hits), histogram(wrongs)
}

func histogram(m map[float64]float64) [][2]float64 {
	out := [][2]float64{}
	for _, v := range slices.Sorted(maps.Keys(m)) {
		out = append(out, [2]float64{v, m[v]})
	}
	return out
}

func compareFalse(a, b falseKey) int {
	return cmp.Or(cmp.Compare(a.role, b.role), cmp.Compare(a.rule, b.rule), cmp.Compare(a.n, b.n), cmp.Compare(a.when, b.when))
}

// encode writes the results with one row a line.
func (r *results) encode() ([]byte, error) {
	var b bytes.Buffer
	if err := encodeObject(&b, r, ""); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// encodeObject writes an object whose values are objects of the same kind, lists
// of rows, or lists of numbers.
func encodeObject(b *bytes.Buffer, v any, indent string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil { // the brace
		return fmt.Errorf("encode the results: %w", err)
	}
	b.WriteString("{")
	for first := true; d.More(); first = false {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("encode the results: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("encode the results: %w", err)
		}
		if !first {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n%s %q: ", indent, key)
		switch {
		case value[0] == '{':
			if err := encodeObject(b, value, indent+" "); err != nil {
				return err
			}
		case bytes.HasPrefix(value, []byte("[{")):
			var rows []json.RawMessage
			if err := json.Unmarshal(value, &rows); err != nil {
				return fmt.Errorf("encode the results: %w", err)
			}
			b.WriteByte('[')
			for i, row := range rows {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(b, "\n%s  %s", indent, row)
			}
			fmt.Fprintf(b, "\n%s ]", indent)
		default:
			b.Write(value)
		}
	}
	fmt.Fprintf(b, "\n%s}", indent)
	return nil
}

// results writes them beside the plots.
func (p *page) results() {
	r := results{Seeds: slices.Sorted(maps.Keys(p.sum.seeds)), Random: p.sum.part(false), Count: p.counted.part(true), Cases: p.cases}
	text, err := r.encode()
	if err != nil {
		p.t.Fatal(err)
	}
	if most := 300 << 10; len(text) > most {
		p.t.Errorf("the results are %d bytes, more than %d", len(text), most)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "quality", "results.json"), text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func TestResults(t *testing.T) {
	sum := newTally()
	sum.seeds[1] = true
	sum.runs[1], sum.runs[64], sum.flows[64] = 1, 2, 300
	sum.power[level{"DDOS", "SYN flood", 64, 1.5, later}] = &hits{all: 3, found: 2, delay: []time.Duration{2 * time.Minute, time.Minute},
		lag: []time.Duration{time.Minute}, after: []time.Duration{time.Second, 1400 * time.Millisecond}}
	sum.power[level{"DDOS", "SYN flood", 1, 0.5, firstDay}] = &hits{all: 1, found: 1, delay: []time.Duration{time.Minute}}
	sum.watched[falseKey{n: 64, role: "web", when: later}] = 7
	sum.wrong[falseKey{64, "DDOS", "web", false, firstDay}] = 1
	sum.stray[falseKey{1, "DDOS", "flood", false, later}] = 2
	sum.cover[coverKey{"DDOS", 64}] = &cover{all: 1, in: 1, ratio: []float64{1.23456789}}
	sum.peers[peerKey{"flooding/static", 64}] = &peerScores{hit: []float64{1.5, 1.5, 0.5, 0}, wrong: map[float64]int{0.25: 4, 0.5: 2, 2: 1}}
	r := results{Seeds: []uint64{1}, Random: sum.part(false), Count: newTally().part(true), Cases: []recordedRow{{Set: "x", Thin: 1, Cases: 2, Must: 3}}}
	text, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "seeds": [1],
 "random": {
  "rates": [1,64],
  "scenarios": [1,2],
  "flows": [0,300],
  "attacks": [
   {"rule":"DDOS","kind":"SYN flood","reach":0.5,"phase":"first day","attacks":[1,0],"found":[1,0]},
   {"rule":"DDOS","kind":"SYN flood","reach":1.5,"phase":"later","attacks":[0,3],"found":[0,2],"passed":60,"delay":[[],[[60,1],[120,1]]],"after":[[],[[1,2]]]}
  ],
  "watched": [
   {"role":"web","phase":"later","days":[0,7]}
  ],
  "falseAlerts": [
   {"role":"web","rule":"DDOS","phase":"first day","alerts":[0,1]},
   {"role":"flood","attacked":true,"rule":"DDOS","phase":"later","alerts":[2,0]}
  ],
  "intervals": [
   {"rule":"DDOS","all":[0,1],"in":[0,1],"above":[0,0],"below":[0,0],"medianRatio":[0,1.23457]}
  ],
  "rulesOfOthers": [
   {"rule":"flooding/static","hit":[[],[[0,1],[0.5,1],[1.5,2]]],"wrong":[[],[[0.5,2],[2,1]]]}
  ]
 },
 "counted": {
  "rates": [],
  "scenarios": [],
  "flows": [],
  "attacks": [],
  "watched": [],
  "falseAlerts": [],
  "intervals": [],
  "rulesOfOthers": []
 },
 "recorded": [
  {"set":"x","thin":1,"cases":2,"must":3,"mustMet":0,"should":0,"shouldMet":0,"false":0}
 ]
}
`
	if string(text) != want {
		t.Errorf("results:\n%s", text)
	}
}

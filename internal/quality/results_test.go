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
// computed from. Rows are in a fixed order, one a line.
type results struct {
	Seeds  []uint64      `json:"seeds"`
	Random part          `json:"random"`
	Count  part          `json:"counted"`
	Cases  []recordedRow `json:"recorded"`
}

// part is the corpus under one kind of sampling.
type part struct {
	Rates     []rateRow     `json:"rates"`
	Attacks   []attackRow   `json:"attacks"`
	Watched   []watchedRow  `json:"watched"`
	False     []falseRow    `json:"falseAlerts"`
	Intervals []intervalRow `json:"intervals"`
	Others    []othersRow   `json:"rulesOfOthers"`
}

type rateRow struct {
	N         uint32 `json:"n"`
	Scenarios int    `json:"scenarios"`
	Flows     int64  `json:"flows"`
}

// attackRow are the attacks of one kind at one intensity. Reach is the intensity
// relative to the reach, 0 for that of the target. Delay, Lag and After are
// seconds (from the beginning, from passing the reach, from the moment when the
// records sufficed) with the number of attacks.
type attackRow struct {
	Rule     string     `json:"rule"`
	Kind     string     `json:"kind"`
	N        uint32     `json:"n"`
	Reach    float64    `json:"reach"`
	FirstDay bool       `json:"firstDay,omitempty"`
	Attacks  int        `json:"attacks"`
	Found    int        `json:"found"`
	Delay    [][2]int64 `json:"delay,omitempty"`
	Lag      [][2]int64 `json:"lag,omitempty"`
	After    [][2]int64 `json:"after,omitempty"`
}

// watchedRow are the resource-days of a benign role.
type watchedRow struct {
	Role      string  `json:"role"`
	Lookalike bool    `json:"lookalike,omitempty"`
	N         uint32  `json:"n"`
	FirstDay  bool    `json:"firstDay,omitempty"`
	Days      float64 `json:"days"`
}

// falseRow are false alerts of a benign role or, Attacked, beside the attacks of
// a family.
type falseRow struct {
	Role      string `json:"role"`
	Lookalike bool   `json:"lookalike,omitempty"`
	Attacked  bool   `json:"attacked,omitempty"`
	Rule      string `json:"rule"`
	N         uint32 `json:"n"`
	FirstDay  bool   `json:"firstDay,omitempty"`
	Alerts    int    `json:"alerts"`
}

// intervalRow are estimates against the truth. OneSided have a lower bound only.
type intervalRow struct {
	Rule     string  `json:"rule"`
	N        uint32  `json:"n"`
	OneSided bool    `json:"oneSided,omitempty"`
	All      int     `json:"all"`
	In       int     `json:"in"`
	Above    int     `json:"above"`
	Below    int     `json:"below"`
	Median   float64 `json:"medianRatio"`
}

// othersRow are the scores of a rule of others, 1 at the published threshold,
// with their numbers: on attacks, and on what is none (rounded down to tenths of
// a power of two).
type othersRow struct {
	Rule  string       `json:"rule"`
	N     uint32       `json:"n"`
	Hit   [][2]float64 `json:"hit"`
	Wrong [][2]float64 `json:"wrong"`
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
func inSeconds(list []time.Duration) (out [][2]int64) {
	counts := map[int64]int64{}
	for _, d := range list {
		counts[int64(d.Round(time.Second)/time.Second)]++
	}
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, [2]int64{s, counts[s]})
	}
	return out
}

// part returns the rows of a tally.
func (t *tally) part() part {
	p := part{Rates: []rateRow{}, Attacks: []attackRow{}, Watched: []watchedRow{}, False: []falseRow{}, Intervals: []intervalRow{}, Others: []othersRow{}}
	for _, n := range slices.Sorted(maps.Keys(t.runs)) {
		p.Rates = append(p.Rates, rateRow{n, t.runs[n], t.flows[n]})
	}
	for _, l := range slices.SortedFunc(maps.Keys(t.power), compareLevels) {
		h := t.power[l]
		p.Attacks = append(p.Attacks, attackRow{string(l.rule), l.kind, l.n, l.factor, l.cold, h.all, h.found, inSeconds(h.delay), inSeconds(h.lag), inSeconds(h.after)})
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.watched), compareFalse) {
		p.Watched = append(p.Watched, watchedRow{k.role, k.lookalike, k.n, k.when == firstDay, t.watched[k]})
	}
	for i, m := range []map[falseKey]int{t.wrong, t.stray} {
		for _, k := range slices.SortedFunc(maps.Keys(m), compareFalse) {
			p.False = append(p.False, falseRow{k.role, k.lookalike, i == 1, string(k.rule), k.n, k.when == firstDay, m[k]})
		}
	}
	for i, m := range []map[coverKey]*cover{t.cover, t.lower} {
		for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b coverKey) int { return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.n, b.n)) }) {
			c := m[k]
			p.Intervals = append(p.Intervals, intervalRow{string(k.rule), k.n, i == 1, c.all, c.in, c.above, c.below, digits(median(c.ratio))})
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.peers), func(a, b peerKey) int { return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.n, b.n)) }) {
		s, hit, wrong := t.peers[k], map[float64]float64{}, map[float64]float64{}
		for _, v := range s.hit {
			hit[digits(v)]++
		}
		for v, n := range s.wrong {
			wrong[digits(v)] += float64(n)
		}
		p.Others = append(p.Others, othersRow{k.rule, k.n, histogram(hit), histogram(wrong)})
	}
	return p
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
	r := results{Seeds: slices.Sorted(maps.Keys(p.sum.seeds)), Random: p.sum.part(), Count: p.counted.part(), Cases: p.cases}
	text, err := r.encode()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "quality", "results.json"), text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func TestResults(t *testing.T) {
	sum := newTally()
	sum.seeds[1] = true
	sum.runs[64], sum.flows[64] = 2, 300
	sum.power[level{"DDOS", "SYN flood", 64, 1.5, false}] = &hits{all: 3, found: 2, delay: []time.Duration{2 * time.Minute, time.Minute}, after: []time.Duration{time.Second, 1400 * time.Millisecond}}
	sum.watched[falseKey{n: 64, role: "web", when: later}] = 7
	sum.wrong[falseKey{64, "DDOS", "web", false, firstDay}] = 1
	sum.cover[coverKey{"DDOS", 64}] = &cover{all: 1, in: 1, ratio: []float64{1.23456789}}
	sum.peers[peerKey{"flooding/static", 64}] = &peerScores{hit: []float64{1.5, 1.5, 0}, wrong: map[float64]int{0.25: 4}}
	r := results{Seeds: []uint64{1}, Random: sum.part(), Count: newTally().part(), Cases: []recordedRow{}}
	text, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "seeds": [1],
 "random": {
  "rates": [
   {"n":64,"scenarios":2,"flows":300}
  ],
  "attacks": [
   {"rule":"DDOS","kind":"SYN flood","n":64,"reach":1.5,"attacks":3,"found":2,"delay":[[60,1],[120,1]],"after":[[1,2]]}
  ],
  "watched": [
   {"role":"web","n":64,"days":7}
  ],
  "falseAlerts": [
   {"role":"web","rule":"DDOS","n":64,"firstDay":true,"alerts":1}
  ],
  "intervals": [
   {"rule":"DDOS","n":64,"all":1,"in":1,"above":0,"below":0,"medianRatio":1.23457}
  ],
  "rulesOfOthers": [
   {"rule":"flooding/static","n":64,"hit":[[0,1],[1.5,2]],"wrong":[[0.25,4]]}
  ]
 },
 "counted": {
  "rates": [],
  "attacks": [],
  "watched": [],
  "falseAlerts": [],
  "intervals": [],
  "rulesOfOthers": []
 },
 "recorded": []
}
`
	if string(text) != want {
		t.Errorf("results:\n%s", text)
	}
}

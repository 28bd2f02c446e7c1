package quality

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/scenario"
)

// rates are the sampling rates of the full run, 1-in-N.
func rates() []uint32 { return []uint32{1, 64, 512, 1000, 4096, 16384} }

// busy is how many times busier the benign roles are at a sampling rate than
// without sampling: whoever samples thinly has much traffic, and the same small
// network at 1:16384 would show nothing at all.
func busy(n uint32) int {
	switch {
	case n == 1:
		return 1
	case n <= 64:
		return 4
	case n <= 512:
		return 8
	case n <= 1000:
		return 16
	case n <= 4096:
		return 32
	}
	return 64
}

// attack is one labelled attack of a cell.
type attack struct {
	rule   weir.AlertType
	kind   string  // what is attacked, or with what
	factor float64 // intensity relative to the reach of the rule
	when   when    // phase of the resource's baseline in which it begins
	row    scenario.Row
	// start and end are event times in Unix ns.
	start, end int64
	// truth returns the true number, in the unit of the alert, in a window; nil
	// where the alert estimates nothing.
	truth func(from, to int64) float64
	// counted says that what adds up over the time of the attack reaches the
	// reach at the share 1/factor of it.
	counted bool
	// reach is the number of logins that suffices, 0 for other attacks.
	reach uint64
	// peers are the two ends for the rules of others: who attacks, who is attacked
	// (invalid: many), on which port.
	src, dst netip.Addr
	port     uint16
}

// cell is one scenario with its labels.
type cell struct {
	name string // file name without suffix: part of the seed of the generator
	// role is the benign role, or the family of attacks.
	role string
	// lookalike marks benign traffic that differs from an attack in nothing that
	// sampled headers show.
	lookalike bool
	n         uint32
	seed      uint64
	// counted packets: each N-th is taken instead of any with probability 1/N.
	counted   bool
	days      int
	resources int
	text      string
	attacks   []attack
}

// sheet writes the text of a scenario.
type sheet struct {
	strings.Builder
	c    *cell
	busy int
}

func newSheet(c *cell, title string) *sheet {
	s := &sheet{c: c, busy: busy(c.n)}
	s.line("title %q", title)
	s.line("days %d", c.days)
	if c.counted {
		c.name += "-counted"
		s.line("sampling 1/%d counted", c.n)
	} else {
		s.line("sampling 1/%d", c.n)
	}
	s.line("seed %d", c.seed)
	return s
}

func (s *sheet) line(format string, args ...any) { fmt.Fprintf(&s.Builder, format+"\n", args...) }

// resource declares the next resource and returns its name. words are what
// follows the address.
func (s *sheet) resource(words string) string {
	s.c.resources++
	name := fmt.Sprintf("r-%d", s.c.resources)
	s.line("%s", strings.TrimSpace(fmt.Sprintf("resource %s %s %s", name, ownAddr(s.c.resources), words)))
	return name
}

// ownAddr is the address of the i-th resource, from 1.
func ownAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }

// attacker is the address of the i-th attacker or victim outside.
func outsider(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, byte(100 + i/250), byte(1 + i%250)})
}

// every is the time between two connections of which there are so many an hour
// without sampling; busier networks have more of them.
func (s *sheet) every(perHour float64) string { return gap(perHour * float64(s.busy)) }

func gap(perHour float64) string {
	return time.Duration(float64(time.Hour) / perHour).Round(time.Microsecond).String()
}

// finish keeps the text in the cell.
func (s *sheet) finish() { s.c.text = s.String() }

// at is a moment of a cell: a day from 1 and an offset.
func at(day int, offset time.Duration) int64 {
	return scenario.DefaultStart().UnixNano() + int64(day-1)*int64(24*time.Hour) + int64(offset)
}

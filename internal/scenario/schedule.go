package scenario

import "github.com/weir-net/weir"

// place is where something lies and when its turn is; tie settles equal times.
type place struct {
	time int64
	tie  uint64
	at   int
}

func (p place) before(o place) bool { return p.time < o.time || p.time == o.time && p.tie < o.tie }

// schedule is a heap of places, the earliest one first.
type schedule []place

// push adds a place.
func (s *schedule) push(p place) {
	h := append(*s, p)
	*s = h
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// replace puts another place where the first one is.
func (s schedule) replace(p place) {
	i := 0
	for {
		c := 2*i + 1
		if c >= len(s) {
			break
		}
		if c+1 < len(s) && s[c+1].before(s[c]) {
			c++
		}
		if !s[c].before(p) {
			break
		}
		s[i] = s[c]
		i = c
	}
	s[i] = p
}

// pop takes the first place away.
func (s *schedule) pop() {
	n := len(*s) - 1
	last := (*s)[n]
	*s = (*s)[:n]
	if n > 0 {
		s.replace(last)
	}
}

// records are flows in wait, by their end. The flows stay where they are while
// the schedule is put in order.
type records struct {
	schedule

	flows []weir.Flow
	free  []int // places in flows that may be taken
	made  uint64
}

// add keeps a flow. Of flows that end at the same time the one that was added
// first comes first.
func (r *records) add(f *weir.Flow) {
	at := len(r.flows)
	if n := len(r.free); n > 0 {
		at, r.free = r.free[n-1], r.free[:n-1]
		r.flows[at] = *f
	} else {
		r.flows = append(r.flows, *f)
	}
	r.push(place{f.End, r.made, at})
	r.made++
}

// take appends the first flow to dst.
func (r *records) take(dst []weir.Flow) []weir.Flow {
	at := r.schedule[0].at
	r.pop()
	r.free = append(r.free, at)
	return append(dst, r.flows[at])
}

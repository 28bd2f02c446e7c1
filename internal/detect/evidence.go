package detect

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/baseline"
	"github.com/weir-net/weir/internal/detect/tally"
)

// finding starts a finding of an activity with what all kinds share.
func (a *activity) finding(r *resource, typ weir.AlertType, h horizon, t int64) weir.Finding {
	f := weir.Finding{
		Type: typ, Resource: r.Res, Own: a.ownAddr(), Direction: weir.Incoming,
		Service: a.svc.Name, Port: a.Key.Port.Port, Proto: a.Key.Port.Proto,
		At: t, Window: h.window(),
	}
	if a.Key.Out {
		f.Direction = weir.Outgoing
	}
	return f
}

func baselineInfo(r *baseline.Rate, p baseline.Prior, phase int, t int64) *weir.BaselineInfo {
	return &weir.BaselineInfo{
		Phase: phase, AgeDays: r.Age(t).Hours() / 24, Mean: r.Mean(p), Dispersion: r.Phi(),
	}
}

// smallN is the sampling interval below which connections are estimated from
// records of a single SYN rather than from packets (section 3.1).
const smallN = 64

// samplingOf estimates the true number of connections behind what was seen,
// with a 95 % interval. Without a known rate it estimates nothing (P23).
func (a *activity) samplingOf(s *seen) weir.Sampling {
	out := weir.Sampling{Rate: s.n, Source: s.c.Source}
	set := func(est, lo, hi float64) {
		est, lo, hi = math.Max(est, float64(s.y)), math.Max(lo, float64(s.y)), math.Max(hi, float64(s.y))
		out.Estimate, out.Low95, out.High95 = &est, &lo, &hi
	}
	switch {
	case s.n == 0:
	case s.exact:
		n := float64(s.c.Connections())
		set(n, n, n)
	case !s.c.Has(weir.HasPackets):
		// Records without counts are sampled as they are, one by one.
		y := s.c.Connections()
		lo, hi := baseline.PoissonInterval95(y)
		n := float64(s.n)
		set(n*float64(y), n*lo, n*hi)
	case s.n < smallN && s.c.Has(weir.HasFlags) && !s.c.Joined:
		est := baseline.C2(s.n, s.c.Recs, s.c.SynRec)
		sd := baseline.SecondMomentSD(s.n, a.svc.K) * math.Sqrt(est)
		set(est, est-1.96*sd, est+1.96*sd)
	default:
		lo, hi := baseline.PoissonInterval95(s.c.Xf)
		n := float64(s.n)
		set(baseline.CPkt(s.n, s.c.Xf, a.svc.K), n*lo/a.svc.K, n*hi/a.svc.K)
	}
	return out
}

// quiet returns the quiet time that ends an episode, longer where sampling is
// so thin that a running attack shows only now and then (section 9).
func (a *activity) quiet(s *seen, base time.Duration) time.Duration {
	if s.exact || s.c.Last <= s.c.First {
		return base
	}
	return baseline.QEff(base, float64(s.c.Xf)/(float64(s.c.Last-s.c.First)/1e9))
}

// limits says which tests could not run on this evidence.
func (a *activity) limits(r *resource, c *tally.Tally, phase int) []weir.Limit {
	var l []weir.Limit
	add := func(on bool, code string) {
		if on {
			l = append(l, weir.Limit{Code: code})
		}
	}
	add(!c.Has(weir.HasPackets), weir.LimitNoPackets)
	add(!c.Has(weir.HasBytes), weir.LimitNoBytes)
	add(!c.Has(weir.HasFlags), weir.LimitNoFlags)
	add(r.View.oneWay(), weir.LimitOneWay)
	add(phase == baseline.PhaseCold, weir.LimitColdStart)
	add(phase == baseline.PhaseWarm, weir.LimitWarming)
	return append(l, r.limits(a.Key.Out)...)
}

// limits of the resource as a whole.
func (r *resource) limits(out bool) []weir.Limit {
	var l []weir.Limit
	dir := 0
	if out {
		dir = 1
	}
	if r.Level[dir] > 0 {
		l = append(l, weir.Limit{Code: weir.LimitShed, Arg: strconv.Itoa(int(r.Level[dir]))})
	}
	if r.Degraded {
		l = append(l, weir.Limit{Code: weir.LimitDegraded})
	}
	return l
}

// seriesOf returns the connections of a pair over the window, in tenths of
// slots: minutes for the hour, 24 minutes for the day.
func (p *pair) seriesOf(h horizon, t int64, expected float64) []weir.Point {
	return pointsOf(h, t, expected, func(n int64) *[10]uint32 {
		for i := range p.Slots[h] {
			if p.Slots[h][i].N == n {
				return &p.Slots[h][i].Series
			}
		}
		return nil
	})
}

func crowdSeries(members []seen, h horizon, t int64) []weir.Point {
	sums := make(map[int64]*[10]uint32)
	for i := range members {
		for j := range members[i].p.Slots[h] {
			s := &members[i].p.Slots[h][j]
			if sums[s.N] == nil {
				sums[s.N] = new([10]uint32)
			}
			for k, v := range s.Series {
				sums[s.N][k] += v
			}
		}
	}
	return pointsOf(h, t, 0, func(n int64) *[10]uint32 { return sums[n] })
}

func pointsOf(h horizon, t int64, expected float64, slot func(int64) *[10]uint32) []weir.Point {
	const parts = 10
	step := h.slot() / parts
	points := make([]weir.Point, 0, slotsPerWindow*parts)
	last := floorDiv(t-1, h.slot())
	for n := last - slotsPerWindow + 1; n <= last; n++ {
		s := slot(n)
		for i := range int64(parts) {
			v, from := 0.0, n*h.slot()+i*step
			if from >= t {
				break
			}
			if s != nil {
				v = float64(s[i])
			}
			points = append(points, weir.Point{
				Time: from, Observed: v, Expected: expected / (slotsPerWindow * parts),
			})
		}
	}
	return points
}

// crowdRecords chooses sample records of many peers by lowest hash.
func crowdRecords(members []seen) []weir.RecordEvidence {
	var all []hashedRecord
	for i := range members {
		all = append(all, members[i].p.Records...)
	}
	slices.SortFunc(all, func(x, y hashedRecord) int { return cmp.Compare(x.Hash, y.Hash) })
	out := make([]weir.RecordEvidence, 0, weir.MaxRecords)
	for i := range all[:min(len(all), weir.MaxRecords)] {
		out = append(out, all[i].RecordEvidence)
	}
	return out
}

package alert

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/weir-net/weir"
)

// merge grows the finding of an episode by a newer one. The numbers of the
// decision, the series and the records are those of the stronger of the two, so
// that an alert tells the worst that was seen and not its fading; the newer one
// wins a tie. Peers, ports, intelligence and limits are united.
func merge(have *weir.Finding, f weir.Finding) {
	old := *have
	if f.Observed >= old.Observed {
		*have = f
	} else {
		have.At = max(old.At, f.At)
	}
	have.First = old.First
	have.Last = max(old.Last, f.Last)
	have.Quiet = max(old.Quiet, f.Quiet)
	have.Count = max(old.Count, f.Count)
	have.Resource, have.Own = f.Resource, f.Own
	unite(have, &old, &f)
}

// absorb adds the peers of another episode's finding without taking its
// numbers.
func absorb(have *weir.Finding, f weir.Finding) {
	old := *have
	have.Last = max(old.Last, f.Last)
	unite(have, &old, &f)
}

// settle brings a first finding into the form that merged ones have.
func settle(f *weir.Finding) {
	old := *f
	unite(f, &old, &weir.Finding{})
}

func unite(have, a, b *weir.Finding) {
	have.Peers = unitePeers(a.Peers, b.Peers)
	if have.Unit == weir.UnitSources || have.Unit == weir.UnitDestinations {
		have.Count = max(have.Count, uint64(len(have.Peers)))
	}
	cut := len(have.Peers) - weir.MaxPeers
	if cut > 0 {
		have.Peers = have.Peers[:weir.MaxPeers:weir.MaxPeers]
	}
	have.Ports = unitePorts(a.Ports, b.Ports)
	have.Intel = uniteIntel(a.Intel, b.Intel)
	have.Limits = uniteLimits(a.Limits, b.Limits, cut)
}

type peerKey struct {
	addr netip.Addr
	path string
}

// unitePeers keeps, of two entries of one peer, the one with the higher lower
// bound, over the union of their times. Highest lower bound first, ties by
// address and path.
func unitePeers(a, b []weir.PeerEvidence) []weir.PeerEvidence {
	if len(a)+len(b) == 0 {
		return nil
	}
	at := make(map[peerKey]int, len(a)+len(b))
	out := make([]weir.PeerEvidence, 0, len(a)+len(b))
	for _, list := range [2][]weir.PeerEvidence{a, b} {
		for _, p := range list {
			k := peerKey{p.Address, p.Path}
			i, seen := at[k]
			if !seen {
				at[k] = len(out)
				out = append(out, p)
				continue
			}
			old := out[i]
			if p.Lower >= old.Lower {
				out[i] = p
			}
			out[i].First, out[i].Last = min(old.First, p.First), max(old.Last, p.Last)
		}
	}
	slices.SortFunc(out, func(x, y weir.PeerEvidence) int {
		return cmp.Or(cmp.Compare(y.Lower, x.Lower), x.Address.Compare(y.Address), cmp.Compare(x.Path, y.Path))
	})
	return out
}

type portKey struct {
	port  uint16
	proto string
}

// unitePorts keeps the higher count of each port, the highest first.
func unitePorts(a, b []weir.PortCount) []weir.PortCount {
	if len(a)+len(b) == 0 {
		return nil
	}
	best := make(map[portKey]weir.PortCount, len(a)+len(b))
	for _, list := range [2][]weir.PortCount{a, b} {
		for _, p := range list {
			k := portKey{p.Port, p.Protocol}
			if old, ok := best[k]; !ok || p.Count >= old.Count {
				best[k] = p
			}
		}
	}
	out := make([]weir.PortCount, 0, len(best))
	for _, p := range best {
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y weir.PortCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Port, y.Port), cmp.Compare(x.Protocol, y.Protocol))
	})
	return out[:min(len(out), weir.MaxPorts)]
}

type intelKey struct {
	prefix   netip.Prefix
	port     uint16
	proto    uint8
	category weir.Category
	source   string
	family   string
}

// uniteIntel keeps the newer statement of each indicator, the highest score
// first.
func uniteIntel(a, b []weir.IntelEvidence) []weir.IntelEvidence {
	if len(a)+len(b) == 0 {
		return nil
	}
	at := map[intelKey]int{}
	var out []weir.IntelEvidence
	for _, list := range [2][]weir.IntelEvidence{a, b} {
		for _, e := range list {
			k := intelKey{e.Prefix, e.Port, e.Proto, e.Category, e.Source, e.Family}
			if i, seen := at[k]; seen {
				out[i] = e
				continue
			}
			at[k] = len(out)
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(x, y weir.IntelEvidence) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.Category, y.Category), cmp.Compare(x.Source, y.Source),
			x.Prefix.Addr().Compare(y.Prefix.Addr()), cmp.Compare(x.Prefix.Bits(), y.Prefix.Bits()),
			cmp.Compare(x.Port, y.Port), cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.Family, y.Family))
	})
	return out[:min(len(out), weir.MaxIntel)]
}

// uniteLimits keeps one limit per code, the newer argument first, in the order
// of the codes. cut is the number of peers that are not named.
func uniteLimits(a, b []weir.Limit, cut int) []weir.Limit {
	byCode := map[string]weir.Limit{}
	for _, list := range [2][]weir.Limit{a, b} {
		for _, l := range list {
			if old, ok := byCode[l.Code]; ok && l.Code == weir.LimitPeersCut && number(old.Arg) > number(l.Arg) {
				continue
			}
			byCode[l.Code] = l
		}
	}
	if cut > 0 && number(byCode[weir.LimitPeersCut].Arg) < cut {
		byCode[weir.LimitPeersCut] = weir.Limit{Code: weir.LimitPeersCut, Arg: strconv.Itoa(cut)}
	}
	if len(byCode) == 0 {
		return nil
	}
	out := make([]weir.Limit, 0, len(byCode))
	for _, l := range byCode {
		out = append(out, l)
	}
	slices.SortFunc(out, func(x, y weir.Limit) int { return cmp.Compare(x.Code, y.Code) })
	return out
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

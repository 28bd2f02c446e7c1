package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir/internal/ingest"
)

const (
	// noRateRecent is how long flows without a rate are a warning: exporters repeat
	// what tells their rate every few minutes, so that the first flows of one may
	// well come before it.
	noRateRecent = 10 * time.Minute
	// exportersNamed bounds the exporters that a warning names.
	exportersNamed = 5
	// exportersEvery is the time between two looks at the exporters for the log.
	exportersEvery = 5 * time.Second
)

// noRateRemedy is what to do about exporters without a rate.
const noRateRemedy = "set inputs.sampling to the rate of the exporter (rate: 1 if it does not sample)"

// rateless returns the exporters that lately sent flows without a known sampling
// rate, those with most of them first.
func rateless(list []ingest.ExporterStats, now time.Time) []ingest.ExporterStats {
	out := slices.DeleteFunc(slices.Clone(list), func(e ingest.ExporterStats) bool {
		return e.NoRate == 0 || now.UnixNano()-e.NoRateAt > int64(noRateRecent)
	})
	slices.SortStableFunc(out, func(a, b ingest.ExporterStats) int { return cmp.Compare(b.NoRate, a.NoRate) })
	return out
}

// exporterWarnings tells what keeps the rules from judging what exporters send:
// rates that are not known (detection reference, section 3.2; contacts is the
// number of contacts concerned), and records that come later than the lateness,
// or last longer (section 4.3).
func exporterWarnings(list []ingest.ExporterStats, contacts uint64, lateness time.Duration, now time.Time) []string {
	var out []string
	if r := rateless(list, now); len(r) > 0 {
		out = append(out, fmt.Sprintf("the sampling rate of flows is not known, so nothing is estimated from them and no anomaly is reported: %d contacts so far; exporters: %s; %s",
			contacts, exporterNames(r, func(e *ingest.ExporterStats) string {
				return fmt.Sprintf("%s (%d flows)", e.Exporter.Unmap(), e.NoRate)
			}), noRateRemedy))
	}
	slow := slices.DeleteFunc(slices.Clone(list), func(e ingest.ExporterStats) bool { return e.AdvisedLateness <= lateness })
	if len(slow) > 0 {
		slices.SortStableFunc(slow, func(a, b ingest.ExporterStats) int { return cmp.Compare(b.AdvisedLateness, a.AdvisedLateness) })
		advised := slow[0].AdvisedLateness.Round(time.Second)
		out = append(out, fmt.Sprintf("records come later or last longer than detect.lateness (%s) allows for: %s is advised; exporters: %s",
			lateness, advised, exporterNames(slow, func(e *ingest.ExporterStats) string {
				return fmt.Sprintf("%s (%s)", e.Exporter.Unmap(), e.AdvisedLateness.Round(time.Second))
			})))
	}
	return out
}

// exporterNames lists the first of many exporters.
func exporterNames(list []ingest.ExporterStats, name func(*ingest.ExporterStats) string) string {
	var names []string
	for i := range list[:min(len(list), exportersNamed)] {
		names = append(names, name(&list[i]))
	}
	text := strings.Join(names, ", ")
	if more := len(list) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// watchExporters logs exporters without a rate, each once while it is
// remembered, many of them in one line.
func (s *Server) watchExporters(ctx context.Context) error {
	tick := time.NewTicker(exportersEvery)
	defer tick.Stop()
	told := map[netip.Addr]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.tellRateless(s.udp.Stats().Exporters, now, told)
		}
	}
}

// tellRateless logs the exporters without a rate that told does not name yet, and
// takes those out of told that ingest has forgotten, so that it stays as small.
func (s *Server) tellRateless(list []ingest.ExporterStats, now time.Time, told map[netip.Addr]bool) {
	known := map[netip.Addr]bool{}
	for i := range list {
		known[list[i].Exporter] = true
	}
	for a := range told {
		if !known[a] {
			delete(told, a)
		}
	}
	fresh := slices.DeleteFunc(rateless(list, now), func(e ingest.ExporterStats) bool { return told[e.Exporter] })
	if len(fresh) == 0 {
		return
	}
	for i := range fresh {
		told[fresh[i].Exporter] = true
	}
	s.log.Warn("exporters do not say their sampling rate: no anomaly is reported from their flows", "exporters", len(fresh),
		"names", exporterNames(fresh, func(e *ingest.ExporterStats) string { return e.Exporter.Unmap().String() }), "remedy", noRateRemedy)
}

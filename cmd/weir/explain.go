package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

// explain writes an alert for people: the sentence first, then the numbers, the
// peers and the evidence.
func explain(o catalog.Object, lang catalog.Lang) func(io.Writer) error {
	return func(out io.Writer) error {
		w := bufio.NewWriter(out)
		h := headings(lang)
		put := func(format string, args ...any) { printf(w, "%s", clean(fmt.Sprintf(format, args...), true)) }
		put("%s%s  %s\n%s\n\n%s\n\n%s\n\n", severityMark(o.Severity), catalog.SeverityName(o.Severity, lang), o.AlertType, o.Title, o.Why, o.Description)
		arrow := "<-"
		if o.Direction == weir.Outgoing {
			arrow = "->"
		}
		put("%-14s %s (%s) %s %s\n", h("resource"), o.Resource.Name, o.Resource.Address, arrow, catalog.DirectionName(o.Direction, lang))
		put("%-14s %s – %s\n", h("time"), o.StartTime.Format(time.RFC3339), o.EndTime.Format(time.RFC3339))
		put("%-14s %s\n", h("status"), catalog.StatusName(o.Status, lang))
		put("%-14s %s\n\n", "ID", o.ID)

		put("%s\n", h("numbers"))
		put("  %-14s %.4g %s\n  %-14s %.4g\n  %-14s %.4g\n", h("observed"), o.Observed, o.Unit, h("expected"), o.Expected, h("threshold"), o.Threshold)
		if o.Floor > 0 {
			put("  %-14s %.4g\n", h("floor"), o.Floor)
		}
		if o.Surprise > 0 {
			put("  %-14s %.2f (-log10 p)\n", h("surprise"), o.Surprise)
		}
		put("  %-14s %s\n", h("sampling"), samplingText(o.Sampling))
		put("  %-14s %.2f\n", h("confidence"), o.Confidence)
		if b := o.Baseline; b != nil {
			put("  %-14s phase %d, %.1f d, mean %.4g, dispersion %.4g\n", h("baseline"), b.Phase, b.AgeDays, b.Mean, b.Dispersion)
		}
		if len(o.Evidence.Peers) > 0 {
			put("\n%s\n", h("peers"))
			for _, p := range o.Evidence.Peers[:min(10, len(o.Evidence.Peers))] {
				put("  %-39s %6d conn  %8d pkts  %10d B  >= %.4g\n", p.Address, p.Connections, p.Packets, p.Bytes, p.Lower)
			}
			if n := len(o.Evidence.Peers) - 10; n > 0 {
				put("  +%d\n", n)
			}
		}
		if len(o.Evidence.Records) > 0 {
			put("\n%s\n", h("records"))
			for _, r := range o.Evidence.Records {
				put("  %s  %s -> %s  proto %d  flags %#02x  %d pkts  %d B  1/%d\n", r.Start.Format(time.RFC3339), netip.AddrPortFrom(r.Src, r.SrcPort), netip.AddrPortFrom(r.Dst, r.DstPort), r.Proto, r.TCPFlags, r.Packets, r.Bytes, r.Sampling)
			}
		}
		if len(o.Evidence.Intel) > 0 {
			put("\n%s\n", h("intel"))
			for _, i := range o.Evidence.Intel {
				put("  %s  %s %s  %s  score %.0f\n", i.Indicator, i.Category, i.Family, i.Source, i.Score)
			}
		}
		if len(o.Evidence.Facts) > 0 {
			put("\n%s\n", h("facts"))
			for _, k := range slices.Sorted(maps.Keys(o.Evidence.Facts)) {
				put("  %-14s %s\n", k, o.Evidence.Facts[k])
			}
		}
		bullets(w, h("limits"), cleanAll(o.Limits))
		bullets(w, h("remediation"), cleanAll(o.Remediation))
		return w.Flush()
	}
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s, false)
	}
	return out
}

func samplingText(s weir.Sampling) string {
	if s.Rate == 0 {
		return "?"
	}
	text := fmt.Sprintf("1/%d (%s)", s.Rate, s.Source)
	if s.Estimate != nil && s.Low95 != nil && s.High95 != nil {
		text += fmt.Sprintf(", %.4g [%.4g – %.4g]", *s.Estimate, *s.Low95, *s.High95)
	}
	return strings.TrimSpace(text)
}

package engine

import (
	"fmt"
	"net/http"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/ingest"
)

// collector turns the counters of a server into metrics when they are asked
// for, so that no record pays for them.
type collector struct {
	s     *Server
	descs map[string]*prometheus.Desc
}

// metrics returns the handler of /metrics.
func (s *Server) metrics() (http.Handler, error) {
	c := &collector{s: s, descs: map[string]*prometheus.Desc{}}
	for name, d := range map[string]struct {
		help   string
		labels []string
	}{
		"flows_received_total":              {"Flow records decoded.", nil},
		"flows_dropped_total":               {"Lost by reason: datagrams before decoding (kernel, queue, exporter, malformed, version), flow records after it (late, memory).", []string{"reason"}},
		"datagrams_received_total":          {"Datagrams received.", nil},
		"exporter_datagrams_dropped_total":  {"Datagrams of an exporter that found the queue before the decoders full.", []string{"exporter"}},
		"queue_datagrams":                   {"Datagrams in the queues before the decoders.", nil},
		"socket_datagrams_received_total":   {"Datagrams received by one socket; a worker has one at every address.", []string{"address", "worker"}},
		"socket_datagrams_dropped_total":    {"Datagrams that one socket lost: in the kernel, its buffer being full, or at the queue before the decoders.", []string{"address", "worker", "reason"}},
		"socket_receive_buffer_bytes":       {"Receive buffer that the kernel granted; 0 is not known.", []string{"address", "worker"}},
		"socket_waiting_bytes":              {"What waits in the receive buffer, with what the kernel adds: it may reach twice the buffer.", []string{"address", "worker"}},
		"template_missing_total":            {"Data sets that came before their template.", nil},
		"sequence_lost_total":               {"Sent and never received, by the sequence numbers: datagrams (NetFlow v9) or records (v5, IPFIX).", []string{"exporter"}},
		"flows_egress_repeated_total":       {"Egress flow records left out, as the exporter told of their packets on ingress too.", []string{"exporter"}},
		"watermark_lag_seconds":             {"Wall time minus watermark.", nil},
		"alerts_total":                      {"Alerts raised.", []string{"rule"}},
		"findings_total":                    {"Findings of the rules.", nil},
		"contacts_total":                    {"Flows seen from a protected resource.", nil},
		"flows_unprotected_total":           {"Flow records that touch nobody protected.", nil},
		"contacts_ambiguous_total":          {"Contacts without a clear client.", nil},
		"contacts_without_rate_total":       {"Contacts without a known sampling rate.", nil},
		"flows_without_rate_total":          {"Flow records without a known sampling rate.", []string{"exporter"}},
		"intel_age_seconds":                 {"Time since a feed last changed.", []string{"feed"}},
		"intel_indicators":                  {"Indicators loaded.", []string{"feed"}},
		"state_bytes":                       {"Memory of the process in use by the heap, detector state above all.", nil},
		"tracked_pairs":                     {"Pairs of resource, service and peer that are tracked.", nil},
		"tracked_resources":                 {"Resources with detector state.", nil},
		"ahs_level":                         {"Highest level of adaptive hash sampling in force.", nil},
		"export_oldest_undelivered_seconds": {"Age of the oldest alert change that a sink has not taken.", []string{"sink"}},
	} {
		c.descs[name] = prometheus.NewDesc("weir_"+name, d.help, d.labels, nil)
	}
	r := prometheus.NewRegistry()
	for _, x := range []prometheus.Collector{c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(x); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{}), nil
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s, now := c.s, time.Now()
	counter := func(name string, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	udp, counts := s.udp.Stats(), &s.pipe.counts
	d := counts.stats.Load()
	counter("flows_received_total", udp.Flows)
	counter("datagrams_received_total", udp.Datagrams)
	gauge("queue_datagrams", float64(udp.Waiting))
	for _, x := range sockets(udp.Sockets) {
		labels := []string{x.Address.String(), strconv.Itoa(x.Worker)}
		counter("socket_datagrams_received_total", x.Datagrams, labels...)
		counter("socket_datagrams_dropped_total", x.KernelDropped, append(labels, ingest.DropKernel)...)
		counter("socket_datagrams_dropped_total", x.QueueDropped, append(labels, ingest.DropQueue)...)
		gauge("socket_receive_buffer_bytes", float64(x.ReceiveBuffer), labels...)
		gauge("socket_waiting_bytes", float64(x.Waiting), labels...)
	}
	for reason, n := range s.dropped() {
		counter("flows_dropped_total", n, reason)
	}
	counter("template_missing_total", udp.NetFlow.SetsWithoutTemplate)
	lost, repeated := map[string]uint64{}, map[string]uint64{}
	for _, e := range udp.Exporters {
		lost[e.Exporter.String()], repeated[e.Exporter.String()] = 0, 0
		counter("flows_without_rate_total", e.NoRate, e.Exporter.String())
		counter("exporter_datagrams_dropped_total", e.QueueDropped, e.Exporter.String())
	}
	for _, x := range udp.Domains {
		lost[x.Exporter.String()] += x.SequenceLost
		repeated[x.Exporter.String()] += x.EgressRepeated
	}
	for exporter, n := range lost {
		counter("sequence_lost_total", n, exporter)
	}
	for exporter, n := range repeated {
		counter("flows_egress_repeated_total", n, exporter)
	}
	gauge("watermark_lag_seconds", counts.lag(now).Seconds())
	for _, t := range weir.AlertTypes() {
		counter("alerts_total", s.raised[t].Load(), string(t))
	}
	counter("findings_total", counts.findings.Load())
	counter("contacts_total", counts.contacts.Load())
	counter("flows_unprotected_total", counts.unprotected.Load())
	counter("contacts_ambiguous_total", d.Ambiguous)
	counter("contacts_without_rate_total", d.NoRate)
	for _, f := range s.feeds(s.pipe.know.Load(), now) {
		gauge("intel_indicators", float64(f.Indicators), f.Name)
		if !f.Updated.IsZero() {
			gauge("intel_age_seconds", now.Sub(f.Updated).Seconds(), f.Name)
		}
	}
	gauge("state_bytes", float64(heapInUse()))
	gauge("tracked_pairs", float64(d.Pairs))
	gauge("tracked_resources", float64(d.Resources))
	gauge("ahs_level", float64(d.MaxShed))
}

// heapInUse reads the size of live and not yet swept objects, cheaply.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

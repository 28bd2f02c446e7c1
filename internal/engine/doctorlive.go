package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
)

// lossTold is the share of what an exporter sent, by its sequence numbers, from
// which its loss is told: a lost datagram a day is no fault.
const lossTold = 0.001

// loss tells what the running server has lost since it began.
func (e *examination) loss() {
	h := &e.Running.health
	per := func(n uint64) string {
		total := h.Datagrams
		if n > 0 {
			total += h.Dropped[ingest.DropKernel]
		}
		return fmt.Sprintf("%d datagrams in %s, %d received", n, h.Uptime, total)
	}
	clean := true
	tell := func(status, reason, fix, format string) {
		if n := h.Dropped[reason]; n > 0 {
			clean = false
			e.add(status, "loss", reason, fix, format, per(n))
		}
	}
	more := 2 * h.ReceiveBuffer
	tell(CheckWarning, ingest.DropKernel, fmt.Sprintf("listen: {receiveBuffer: %d} in the configuration, then: %s", more, bufferFix(more)), "the receive buffer was full: %s")
	tell(CheckWarning, ingest.DropQueue, "give this machine more cores (listen.workers and detect.shards follow them), or let exporters sample more", "detection was slower than the exporters: %s")
	tell(CheckWarning, ingest.DropExporter, "add those that may send to listen.exporters, or let their packets not come here", "senders that may not send: %s")
	tell(CheckWarning, ingest.DropVersion, "let only IPFIX, NetFlow v9 and v5 come to listen.netflow, and sFlow v5 to listen.sflow", "neither NetFlow, IPFIX nor sFlow: %s")
	tell(CheckWarning, ingest.DropMalformed, "weir flows FILE.pcap of such traffic tells what is wrong: tcpdump -ni any -c 1000 -w FILE.pcap '"+e.filter()+"'", "datagrams with a fault: %s")
	if clean {
		e.add(CheckOK, "loss", "datagrams", "", "none in %s, %d received", h.Uptime, h.Datagrams)
	}
}

// filter is the capture filter of everything that is sent to this server.
func (e *examination) filter() string {
	var ports []string
	for _, a := range append(e.Running.health.Addresses.NetFlow, e.Running.health.Addresses.SFlow...) {
		ports = append(ports, fmt.Sprintf("udp dst port %d", a.Port()))
	}
	return strings.Join(ports, " or ")
}

// senders looks at every exporter of the running server.
func (e *examination) senders() {
	if len(e.Running.exporters) == 0 {
		e.add(CheckWarning, "exporter", "all", "tcpdump -ni any '"+e.filter()+"' shows whether packets reach this machine; if none do, mend the exporter or the firewall between", "nobody has sent flows")
		return
	}
	for i := range e.Running.exporters {
		x := &e.Running.exporters[i]
		n := len(e.out)
		e.sender(x)
		if len(e.out) == n {
			e.add(CheckOK, "exporter", x.Exporter.String(), "", "%d flows; clock, templates and rate are fine", x.Flows)
		}
	}
}

// sender looks at one exporter.
func (e *examination) sender(x *exporterState) {
	name := x.Exporter.String()
	skew := time.Duration(x.SkewSeconds * float64(time.Second)).Round(time.Second)
	side := "ahead"
	if skew < 0 {
		skew, side = -skew, "behind"
	}
	const ntp = "on the exporter: ntp server ADDRESS (any NTP server that this machine uses too), then show clock"
	believed := ingest.Clock(e.l.Listen.Clock)
	switch {
	case x.ClockState == "ok", x.ClockState == "", believed == ingest.ClockReceive: // or its times do not count
	case believed == ingest.ClockExporter:
		e.add(CheckWarning, "skew", name, ntp, "its clock is %s %s, and its times are believed (listen.clock)", config.Duration(skew), side)
	case x.ClockState == "shifted":
		e.add(CheckWarning, "skew", name, ntp, "its clock is %s %s; that is taken out of its times", config.Duration(skew), side)
	default:
		e.add(CheckFault, "skew", name, ntp, "its clock is %s %s; the time of receipt stands for its times", config.Duration(skew), side)
	}
	if x.Idle {
		e.add(CheckWarning, "exporter", name, fmt.Sprintf("tcpdump -ni any 'src host %s and (%s)' shows whether its packets reach this machine", name, e.filter()), "silent for %s", config.Duration(e.Now.Sub(x.LastSeen).Round(time.Second)))
	}
	if x.NoRate > 0 && e.Now.Sub(x.NoRateSeen) < noRateRecent {
		e.add(CheckWarning, "sampling", name, fmt.Sprintf("inputs: {sampling: [{exporter: %s, rate: RATE}]} in the configuration, with the rate of the exporter (1 if it does not sample), then: systemctl reload weir", name),
			"%d flows without a known sampling rate: nothing is estimated from them", x.NoRate)
	}
	if d := time.Duration(x.AdvisedLateness * float64(time.Second)); d > time.Duration(e.l.Detect.Lateness) {
		e.add(CheckWarning, "lateness", name, fmt.Sprintf("detect: {lateness: %s} in the configuration, then: systemctl restart weir", config.Duration(d.Round(time.Second))),
			"its records come later or last longer than detect.lateness (%s) allows for", e.l.Detect.Lateness)
	}
	if x.QueueDropped > 0 {
		e.add(CheckWarning, "loss", name, "see loss queue above", "%d of its datagrams found the queue full", x.QueueDropped)
	}
	for i := range x.Domains {
		e.domain(name, &x.Domains[i])
	}
}

// domain looks at one observation domain.
func (e *examination) domain(exporter string, d *domainState) {
	name := fmt.Sprintf("%s, domain %d", exporter, d.Domain)
	if !d.MissingSince.IsZero() {
		e.add(CheckFault, "template", name, "on the exporter: send templates every minute (Cisco: template data timeout 60; Juniper: template-refresh-rate seconds 60)",
			"%d data sets came without their template, the first of these %s ago: they cannot be decoded", d.SetsWithoutTemplate, config.Duration(e.Now.Sub(d.MissingSince).Round(time.Second)))
	}
	received, unit := d.Flows, "records"
	if d.Format == "netflow-v9" {
		received, unit = d.Datagrams, "datagrams"
	}
	if total := received + d.SequenceLost; total > 0 && float64(d.SequenceLost) > lossTold*float64(total) {
		e.add(CheckWarning, "loss", name, "where loss kernel and loss queue are none, it is on the way: look at the counters of interfaces and firewalls between (ip -s link here)",
			"%s of %s %s never came, by the sequence numbers", humanize.Comma(int64(d.SequenceLost)), humanize.Comma(int64(total)), unit) //nolint:gosec // counts of records
	}
}

// tellBuffers logs what the kernel granted of receive buffers.
func (s *Server) tellBuffers() {
	asked, list := int(s.c.Listen.ReceiveBuffer), s.udp.Stats().Sockets
	if len(list) == 0 {
		return
	}
	granted := list[0].ReceiveBuffer
	for _, x := range list {
		granted = min(granted, x.ReceiveBuffer)
	}
	if granted > 0 && granted < asked {
		s.log.Warn("receive buffers are smaller than asked for: bursts of exporters may be lost", "sockets", len(list), "asked", asked, "granted", granted,
			"remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d, then start weir again", asked))
		return
	}
	s.log.Info("receive buffers", "sockets", len(list), "asked", asked, "granted", granted)
}

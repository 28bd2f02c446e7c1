package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// udpBuffer is asked for by both sides, in bytes; -B 4000000 of nfcapd.
	udpBuffer = 4_000_000
	// udpRate is the fixed rate at which CPU time is compared, in datagrams a
	// second: nfcapd loses nothing there.
	udpRate    = 50_000
	udpSeconds = 5
	udpSources = 4
	// udpShare is the share of a rate that the sender must have reached for the
	// rate to count as offered, in one of udpTries runs.
	udpShare = 0.97
	udpTries = 4
)

// udpRates is the ladder, in datagrams a second.
func udpRates() []int {
	return []int{40_000, 50_000, 60_000, 70_000, 80_000, 90_000, 100_000, 120_000, 140_000, 160_000, 180_000, 200_000, 220_000, 240_000}
}

// udpChild is what a fresh process does for one end of the wire; -stream carries
// its orders.
func udpChild(o options) error {
	if o.pass == "udp-send" {
		return udpSend(o.stream)
	}
	return udpReceive(o.stream)
}

// receiving are the comparisons of goal (b): the IPFIX stream over loopback into
// the sockets and decoders of Weir, with nothing behind them, and into nfcapd,
// which writes a file. The sender is a process of its own, which stamps records
// with the time of sending.
func receiving(o *options) []comparison {
	cpu := comparison{Goal: "b", What: "UDP, CPU at 50 k dg/s", Peer: "nfcapd writing a file", Stream: "ipfix", Must: 1, Aim: 6.2 / 4.5}
	ladder := comparison{Goal: "b", What: "UDP, loss-free rate", Peer: "nfcapd writing a file (s/Mrec at the highest rate without loss)", Stream: "ipfix", Must: 1.5, Aim: 2}
	version, err := nfcapdVersion()
	if err != nil {
		cpu.Missing = "nfcapd cannot be had (Debian: apt-get install nfdump)"
		ladder.Missing = cpu.Missing
	}
	cpu.Version, ladder.Version = version, version
	weir, nfcapd := startWeir(udpBuffer), startNfcapd(udpBuffer)
	cpu.weir, cpu.peer = udpFixed(o, "weir", weir), udpFixed(o, "nfcapd", nfcapd)
	ladder.weir, ladder.peer = udpClimb(o, "weir", weir), udpClimb(o, "nfcapd", nfcapd)
	return []comparison{cpu, ladder}
}

// nfcapdVersion is what nfcapd says of itself.
func nfcapdVersion() (string, error) {
	out, err := exec.CommandContext(context.Background(), "nfcapd", "-V").Output()
	if err != nil {
		return "", fmt.Errorf("run nfcapd: %w", err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1], nil
}

func (o *options) udpOffer(rate int) udpOffer {
	return udpOffer{Stream: streamFile(o.cache, "ipfix"), Rate: rate, Seconds: udpSeconds, Sources: udpSources}
}

// udpFixed is the CPU time at a fixed rate.
func udpFixed(o *options, name string, start func(context.Context) (receiver, error)) side {
	return func(ctx context.Context, _ bool) (sample, error) {
		r, err := udpOffered(ctx, name, start, o.udpOffer(udpRate))
		if err != nil {
			return sample{}, err
		}
		n := float64(r.Got.Records)
		return sample{
			Cost: r.CPU * 1e6 / n, Wall: r.Sent.Seconds * 1e6 / n, Allocs: float64(r.Got.Mallocs) / n,
			Records: int(r.Got.Records), RSS: r.MaxRSS << 10,
		}, nil
	}
}

// udpClimb goes up the ladder until something is lost, or the sender cannot
// follow. Its cost is the time for a million records at the highest rate that
// was offered without a loss. Each round is one run of each rate.
func udpClimb(o *options, name string, start func(context.Context) (receiver, error)) side {
	return func(ctx context.Context, _ bool) (sample, error) {
		var best sample
		for _, rate := range udpRates() {
			r, err := udpOffered(ctx, name, start, o.udpOffer(rate))
			if errors.Is(err, errNotOffered) && best.Records > 0 {
				break // as fast as the sender is
			}
			if err != nil {
				return best, err
			}
			if r.Lost() > 0 {
				break
			}
			seconds := r.Sent.Seconds * 1e6 / float64(r.Sent.Records)
			best = sample{Cost: seconds, Wall: seconds, Records: int(r.Sent.Records), RSS: r.MaxRSS << 10}
		}
		if best.Records == 0 {
			return best, fmt.Errorf("%s loses records at the lowest rate, %d datagrams a second", name, udpRates()[0])
		}
		return best, nil
	}
}

// errNotOffered says that the sender did not get the time to send as fast as it
// was asked to.
var errNotOffered = errors.New("the machine is too busy to offer the rate")

// udpOffered offers a rate until it was really offered, udpTries times at most:
// a run in which the sender had to wait says nothing of the receiver.
func udpOffered(ctx context.Context, name string, start func(context.Context) (receiver, error), offer udpOffer) (udpRun, error) {
	for range udpTries {
		r, err := udpOnce(ctx, name, start, offer)
		if err != nil {
			return r, err
		}
		r.print()
		if float64(r.Sent.Datagrams)/r.Sent.Seconds >= udpShare*float64(offer.Rate) {
			return r, nil
		}
	}
	return udpRun{}, fmt.Errorf("%d datagrams a second to %s: %w", offer.Rate, name, errNotOffered)
}

// print tells of one run: what was sent, where the rest is, and what it cost.
func (r *udpRun) print() {
	fmt.Fprintf(os.Stderr, "  %s %s: %d dg/s asked, %.0f sent by 4 exporters for %.1f s (sender %.1f us/dg, %d times late); lost %d records: %d datagrams in the kernel, %d at the queue, %d bytes still waiting; %.2f us/dg, %d MiB; buffer granted %d; load %s\n",
		time.Now().Format(time.TimeOnly), r.Receiver, r.Rate, float64(r.Sent.Datagrams)/r.Sent.Seconds, r.Sent.Seconds, r.Sent.CPU*1e6/float64(r.Sent.Datagrams), r.Sent.Slipped,
		r.Lost(), r.Kernel, r.Got.Queue, r.Queued, r.PerDatagram(), r.MaxRSS>>10, r.Got.ReceiveBuffer, load())
}

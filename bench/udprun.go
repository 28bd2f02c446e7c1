package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// udpRun is one run: what was offered, what arrived, what it cost.
type udpRun struct {
	Receiver string      `json:"receiver"`
	Rate     int         `json:"rate"`
	Sent     udpSent     `json:"sent"`
	Got      udpReceived `json:"got"`
	Queued   uint64      `json:"queued"` // bytes still in the sockets when the receiver was stopped
	Kernel   uint64      `json:"kernel"` // datagrams that the sockets dropped, by the kernel
	CPU      float64     `json:"cpuSeconds"`
	MaxRSS   int64       `json:"maxRSSKiB"`
}

// Lost are records that were sent and are not accounted for.
func (r *udpRun) Lost() int64 { return int64(r.Sent.Records) - int64(r.Got.Records) }

// PerDatagram is the CPU time of the receiver, in microseconds.
func (r *udpRun) PerDatagram() float64 {
	return r.CPU * 1e6 / float64(r.Sent.Datagrams+r.Sent.Templates-r.Kernel)
}

// receiver is a collector at work.
type receiver interface {
	address() netip.AddrPort
	buffer() int
	// stop ends it and returns what it received; usage is of the process.
	stop() (udpReceived, *os.ProcessState, error)
}

// udpOnce offers a rate for a while.
func udpOnce(ctx context.Context, name string, start func(context.Context) (receiver, error), o udpOffer) (udpRun, error) {
	run := udpRun{Receiver: name, Rate: o.Rate}
	r, err := start(ctx)
	if err != nil {
		return run, err
	}
	o.To = r.address()
	arg, err := json.Marshal(o)
	self, e := os.Executable()
	if err = errors.Join(err, e); err != nil {
		return run, err
	}
	send := exec.CommandContext(ctx, self, "-pass", "udp-send", "-stream", string(arg))
	send.Stderr = os.Stderr
	out, err := send.Output()
	if err == nil {
		err = json.Unmarshal(out, &run.Sent)
	}
	if err != nil {
		_, _, e := r.stop()
		return run, errors.Join(fmt.Errorf("send: %w", err), e)
	}
	for range 100 { // what waits in the sockets may still be read
		if run.Queued, run.Kernel, err = udpSockets(o.To.Port()); err != nil || run.Queued == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	got, state, e := r.stop()
	if err = errors.Join(err, e); err != nil {
		return run, err
	}
	run.Got = got
	run.Got.Address, run.Got.ReceiveBuffer = o.To, r.buffer()
	run.CPU = (state.UserTime() + state.SystemTime()).Seconds()
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		run.MaxRSS = usage.Maxrss
	}
	return run, nil
}

// udpSockets reads the queue and the drops of the UDP sockets of a port.
func udpSockets(port uint16) (queued, drops uint64, err error) {
	for _, name := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return 0, 0, err
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 13 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			_, rx, _ := strings.Cut(f[4], ":")
			q, _ := strconv.ParseUint(rx, 16, 64)
			d, _ := strconv.ParseUint(f[12], 10, 64)
			queued, drops = queued+q, drops+d
		}
	}
	return queued, drops, nil
}

// weirReceiver is Weir's ingest and wire in a process of its own.
type weirReceiver struct {
	cmd   *exec.Cmd
	in    io.Closer
	out   *json.Decoder
	first udpReceived
}

func startWeir(buffer int) func(context.Context) (receiver, error) {
	return func(ctx context.Context) (receiver, error) {
		arg, _ := json.Marshal(map[string]any{"NetFlow": []string{"127.0.0.1:0"}, "ReceiveBuffer": buffer})
		self, _ := os.Executable()
		w := &weirReceiver{cmd: exec.CommandContext(ctx, self, "-pass", "udp-receive", "-stream", string(arg))}
		w.cmd.Stderr = os.Stderr
		in, err := w.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := w.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		w.in, w.out = in, json.NewDecoder(bufio.NewReader(out))
		if err := w.cmd.Start(); err != nil {
			return nil, err
		}
		if err := w.out.Decode(&w.first); err != nil {
			return nil, errors.Join(err, w.cmd.Process.Kill(), w.cmd.Wait())
		}
		return w, nil
	}
}

func (w *weirReceiver) address() netip.AddrPort { return w.first.Address }
func (w *weirReceiver) buffer() int             { return w.first.ReceiveBuffer }
func (w *weirReceiver) stop() (udpReceived, *os.ProcessState, error) {
	var r udpReceived
	err := w.in.Close()
	err = errors.Join(err, w.out.Decode(&r), w.cmd.Wait())
	return r, w.cmd.ProcessState, err
}

// nfcapdReceiver is nfcapd, which writes files.
type nfcapdReceiver struct {
	cmd  *exec.Cmd
	dir  string
	addr netip.AddrPort
	log  bytes.Buffer
}

func startNfcapd(buffer int) func(context.Context) (receiver, error) {
	return func(ctx context.Context) (receiver, error) {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		n := &nfcapdReceiver{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
		if n.dir, err = os.MkdirTemp("", "nfcapd"); err != nil {
			return nil, err
		}
		n.cmd = exec.CommandContext(ctx, "nfcapd", "-w", n.dir, "-p", fmt.Sprint(port), "-b", "127.0.0.1", "-B", fmt.Sprint(buffer), "-t", "3600", "-S", "0")
		n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
		if err := n.cmd.Start(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(n.dir))
		}
		for range 200 {
			data, _ := os.ReadFile("/proc/net/udp")
			if strings.Contains(string(data), fmt.Sprintf("0100007F:%04X", port)) {
				return n, nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil, errors.Join(fmt.Errorf("nfcapd does not listen: %s", n.log.String()), n.cmd.Process.Kill(), n.cmd.Wait(), os.RemoveAll(n.dir))
	}
}

func freePort() (uint16, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	a, err := netip.ParseAddrPort(c.LocalAddr().String())
	return a.Port(), errors.Join(err, c.Close())
}

func (n *nfcapdReceiver) address() netip.AddrPort { return n.addr }

// buffer is what it says that it was granted, 0 if it says nothing.
func (n *nfcapdReceiver) buffer() int {
	m := regexp.MustCompile(`SO_RCVBUF to ([0-9]+)`).FindAllStringSubmatch(n.log.String(), -1)
	if len(m) == 0 {
		return 0
	}
	v, _ := strconv.Atoi(m[len(m)-1][1]) // digits only
	return v / 2                         // the kernel reports the double
}

func (n *nfcapdReceiver) stop() (udpReceived, *os.ProcessState, error) {
	var r udpReceived
	defer os.RemoveAll(n.dir) //nolint:errcheck // a directory of its own below that for temporary files
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return r, nil, err
	}
	if err := n.cmd.Wait(); err != nil {
		return r, nil, fmt.Errorf("nfcapd: %w: %s", err, n.log.String())
	}
	files, err := filepath.Glob(filepath.Join(n.dir, "nfcapd.*"))
	if err == nil && len(files) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return r, nil, fmt.Errorf("look for the file of nfcapd: %w", err)
	}
	for _, f := range files {
		out, err := exec.CommandContext(context.Background(), "nfdump", "-r", f, "-I").Output()
		if err != nil {
			return r, nil, fmt.Errorf("nfdump -I: %w", err)
		}
		m := regexp.MustCompile(`(?m)^Flows: (\d+)`).FindSubmatch(out)
		if m == nil {
			return r, nil, fmt.Errorf("nfdump -I tells no flows: %s", out)
		}
		v, _ := strconv.ParseUint(string(m[1]), 10, 64)
		r.Records += v
	}
	return r, n.cmd.ProcessState, nil
}

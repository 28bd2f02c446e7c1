package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpOffer is what a sender is asked to do.
type udpOffer struct {
	Stream  string         `json:"stream"` // file of datagrams, each behind its length in 32 bits
	To      netip.AddrPort `json:"to"`
	Rate    int            `json:"rate"` // datagrams a second
	Seconds float64        `json:"seconds"`
	Sources int            `json:"sources"` // exporters: 127.0.0.2 and up
}

// udpSent is what it did.
type udpSent struct {
	Datagrams uint64  `json:"datagrams"` // those with data; templates are not counted
	Records   uint64  `json:"records"`
	Templates uint64  `json:"templates"` // datagrams of templates
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpuSeconds"`
	// Slipped is how often the schedule was moved, as the sender was late by more
	// than udpSlip: what is late is not sent in a burst.
	Slipped int `json:"slipped"`
}

const (
	udpBatch = 32 // datagrams of one sendmmsg
	udpSlip  = 2 * time.Millisecond
	// udpTemplatesEvery is the number of data datagrams of an exporter between two
	// messages of its templates, as in the stream.
	udpTemplatesEvery = 2000
)

// udpMessage is struct mmsghdr, sendmmsg(2).
type udpMessage struct {
	header unix.Msghdr
	sent   uint32
	_      uint32
}

// udpExporter is one source socket.
type udpExporter struct {
	fd       int
	sequence uint32
	since    int // data datagrams since the last templates
}

// udpSend is the sender process: it prints an udpSent.
func udpSend(arg string) error {
	var o udpOffer
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("read the offer: %w", err)
	}
	raw, err := os.ReadFile(o.Stream)
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	template, data, err := udpSplit(raw)
	if err != nil {
		return err
	}
	exporters := make([]*udpExporter, o.Sources)
	for i := range exporters {
		if exporters[i], err = newUDPExporter(i, o.To); err != nil {
			return err
		}
		if err := exporters[i].sendTemplate(template); err != nil {
			return err
		}
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	time.Sleep(200 * time.Millisecond) // templates first
	sent := udpSent{Templates: uint64(len(exporters))}
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before) // cannot fail for this process
	var vectors [udpBatch]unix.Iovec
	var messages [udpBatch]udpMessage
	begin := monotonic()
	due, end := begin, begin+int64(o.Seconds*1e9)
	step := int64(udpBatch) * 1e9 / int64(o.Rate)
	for at, turn := 0, 0; ; turn++ {
		t := monotonic()
		if t >= end {
			break
		}
		if t < due {
			ts := unix.NsecToTimespec(due)
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		} else if t-due > int64(udpSlip) {
			due = t
			sent.Slipped++
		}
		due += step
		x := exporters[turn%len(exporters)]
		if x.since >= udpTemplatesEvery {
			x.since = 0
			if err := x.sendTemplate(template); err != nil {
				return err
			}
			sent.Templates++
		}
		stamp := time.Now().UnixMilli()
		for i := range messages {
			d := data[at]
			if at++; at == len(data) {
				at = 0
			}
			n := udpStamp(d, x.sequence, stamp)
			x.sequence += n
			sent.Records += uint64(n)
			vectors[i].Base, vectors[i].Len = &d[0], uint64(len(d))
			messages[i].header.Iov, messages[i].header.Iovlen = &vectors[i], 1
		}
		for left := messages[:]; len(left) > 0; {
			n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(x.fd), uintptr(unsafe.Pointer(&left[0])), uintptr(len(left)), 0, 0, 0)
			if e != 0 && e != unix.EINTR {
				return fmt.Errorf("send: %w", e)
			}
			left = left[n:]
		}
		sent.Datagrams += udpBatch
		x.since += udpBatch
	}
	sent.Seconds = float64(monotonic()-begin) / 1e9
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	sent.CPU = rusageSeconds(&after) - rusageSeconds(&before)
	return json.NewEncoder(os.Stdout).Encode(sent)
}

func rusageSeconds(r *unix.Rusage) float64 {
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

func newUDPExporter(i int, to netip.AddrPort) (*udpExporter, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a source socket: %w", err)
	}
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i)}}
	if err := unix.Bind(fd, from); err != nil {
		return nil, fmt.Errorf("bind a source socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	return &udpExporter{fd: fd}, nil
}

func (x *udpExporter) sendTemplate(template []byte) error {
	binary.BigEndian.PutUint32(template[4:], uint32(time.Now().Unix()))
	binary.BigEndian.PutUint32(template[8:], x.sequence)
	if _, err := unix.Write(x.fd, template); err != nil {
		return fmt.Errorf("send templates: %w", err)
	}
	return nil
}

// udpSplit cuts the stream into its messages and takes the templates out.
func udpSplit(raw []byte) (template []byte, data [][]byte, err error) {
	for len(raw) > 0 {
		if len(raw) < 4 || len(raw)-4 < int(binary.BigEndian.Uint32(raw)) {
			return nil, nil, errors.New("the stream is cut")
		}
		n := 4 + int(binary.BigEndian.Uint32(raw))
		d := raw[4:n:n]
		raw = raw[n:]
		switch binary.BigEndian.Uint16(d[16:]) {
		case 2:
			template = d
		default:
			data = append(data, d)
		}
	}
	if template == nil || len(data) == 0 {
		return nil, nil, errors.New("the stream has no templates or no data")
	}
	return template, data, nil
}

// udpStamp gives one IPFIX data message the sequence number, and the time of
// sending in milliseconds: records end then, and last as long as before.
func udpStamp(d []byte, sequence uint32, ms int64) (records uint32) {
	binary.BigEndian.PutUint32(d[4:], uint32(ms/1000))
	binary.BigEndian.PutUint32(d[8:], sequence)
	size, start := 55, 8+23
	if binary.BigEndian.Uint16(d[16:]) == 257 {
		size, start = 79, 32+23
	}
	for b := d[20:]; len(b) >= size; b = b[size:] {
		length := binary.BigEndian.Uint64(b[start+8:]) - binary.BigEndian.Uint64(b[start:])
		binary.BigEndian.PutUint64(b[start:], uint64(ms)-length)
		binary.BigEndian.PutUint64(b[start+8:], uint64(ms))
		records++
	}
	return records
}

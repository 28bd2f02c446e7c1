package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/wire/netflow"
)

// sampled builds an sFlow v5 datagram of one flow sample: a SYN of 60 bytes from
// 198.51.100.7:40000 to 203.0.113.10:22, taken 1 in 1000 by agent 192.0.2.9.
func sampled(sequence uint32) []byte {
	frame := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
		0x45, 0, 0, 60, 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10, // IPv4
		0x9c, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, weir.SYN, 0xff, 0xff, 0, 0, 0, 0, 0, 0, // TCP
	}
	words := func(list ...uint32) (b []byte) {
		for _, w := range list {
			b = binary.BigEndian.AppendUint32(b, w)
		}
		return b
	}
	for len(frame)%4 != 0 {
		frame = append(frame, 0)
	}
	header := append(words(1, 74, 4, uint32(len(frame))), frame...)                                     // Ethernet, frame length, stripped, header length
	sample := append(words(sequence, 3, 1000, 1_000_000, 0, 3, 4, 1), words(1, uint32(len(header)))...) // source 3, rate, pool, drops, interfaces, records
	sample = append(sample, header...)
	d := words(5, 1)
	d = append(d, 192, 0, 2, 9)
	d = append(d, words(0, sequence, 1000, 1, 1, uint32(len(sample)))...)
	return append(d, sample...)
}

func TestUDPSFlow(t *testing.T) {
	k := collect(t, UDPConfig{SFlow: []string{"127.0.0.1:0"}}, nil)
	before := time.Now()
	c := dial(t, k.Addrs()[ProtocolSFlow][0])
	send(t, c, sampled(1))
	eventually(t, "the flow", func() bool { return k.count() == 1 })
	send(t, c, []byte{0, 0, 0, 5, 0, 0})
	eventually(t, "the short datagram to be counted", func() bool { return k.Stats().Dropped[DropMalformed] == 1 })
	_ = k.stop()
	f := k.flows[0]
	if f.Sampling != 1000 || f.SamplingSource != weir.SamplingRecord || f.Dst.Port() != 22 || f.Exporter.String() != "192.0.2.9" ||
		f.End < before.UnixNano() || f.End > time.Now().UnixNano() {
		t.Errorf("flow %+v", f)
	}
	if s := k.Stats(); s.SFlow.Flows != 1 || s.Exporters[0].Exporter.String() != "127.0.0.1" || s.Exporters[0].ClockState != "ok" {
		t.Errorf("statistics %+v", s)
	}
}

// From the queue to the batch nothing is allocated per datagram.
func TestWorkerDoesNotAllocate(t *testing.T) {
	u, err := NewUDP(UDPConfig{NetFlow: []string{":0"}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := u.workers[0]
	d := &datagram{from: exporterA, received: t0, buf: v5(time.Unix(0, t0), 0, "10.0.0.1", "10.0.0.2")}
	emitted := 0
	once := func() {
		for range batchDatagrams {
			w.decode(d)
		}
		w.flush(u, func(b weir.Batch) { emitted += len(b.Flows) })
	}
	once()
	if n := testing.AllocsPerRun(20, once); n > 1 {
		t.Errorf("%v allocations for %d datagrams", n, batchDatagrams)
	}
	if emitted < 20*batchDatagrams {
		t.Errorf("%d flows", emitted)
	}
}

// Any content ends, with an error or without, and with bounded flows.
func FuzzContent(f *testing.F) {
	now := time.Unix(0, t0)
	f.Add(bytes.Join([][]byte{templateMessage(now), dataMessage(now, 0, record("10.0.0.1", "10.0.0.2", 1, 2, now, now))}, nil))
	f.Add(v5(now, 0, "10.0.0.1", "10.0.0.2"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 4, 0})
	f.Add(rows(3, 0))
	f.Fuzz(func(t *testing.T, content []byte) {
		in, err := open(Stdin, bytes.NewReader(content), nil)
		if err != nil {
			t.Fatalf("open: %v", err) // opening fails on the file system only
		}
		defer in.Close()
		format, err := tell(in, true)
		if err != nil || format == weir.FormatUnknown {
			return
		}
		d, err := newDecoders(netflow.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		r, err := newReader(format, in, d)
		if err != nil {
			t.Fatalf("%v was told and has no reader: %v", format, err)
		}
		var flows []weir.Flow
		for range 10_000 {
			if flows, err = r.Read(flows[:0]); err != nil {
				break
			}
		}
		if err == nil {
			t.Fatal("the reader does not end")
		}
		if _, again := r.Read(nil); again == nil || errors.Is(err, io.EOF) != errors.Is(again, io.EOF) {
			t.Fatalf("ended with %v, then %v", err, again)
		}
	})
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/ingest"
)

// udpReceived is what a receiver accounts for.
type udpReceived struct {
	Address       netip.AddrPort `json:"address"`
	ReceiveBuffer int            `json:"receiveBuffer"`
	Records       uint64         `json:"records"`
	Datagrams     uint64         `json:"datagrams"`
	// Kernel and Queue are datagrams dropped at the sockets and before the
	// decoders, Other those that were refused or malformed, Sequence the records
	// missing by the sequence numbers.
	Kernel    uint64 `json:"kernel"`
	Queue     uint64 `json:"queue"`
	Other     uint64 `json:"other"`
	Sequence  uint64 `json:"sequence"`
	Exporters int    `json:"exporters"`
	Mallocs   uint64 `json:"mallocs"` // heap allocations of the run
}

// udpReceive is Weir's receiver process: sockets and decoders, nothing behind
// them. It prints its address, and what it received when standard input ends.
func udpReceive(arg string) error {
	var c ingest.UDPConfig
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	u, err := ingest.NewUDP(c)
	if err != nil {
		return err
	}
	if err := u.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
		cancel()
	}()
	st := u.Stats()
	r := udpReceived{Address: u.Addrs()[ingest.ProtocolNetFlow][0], ReceiveBuffer: st.Sockets[0].ReceiveBuffer}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(r); err != nil {
		return err
	}
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	err = u.Run(ctx, func(b weir.Batch) error {
		r.Records += uint64(len(b.Flows))
		return nil
	})
	if ctx.Err() == nil {
		return err
	}
	runtime.ReadMemStats(&m1)
	st = u.Stats()
	r.Datagrams, r.Exporters, r.Mallocs = st.Datagrams, len(st.Exporters), m1.Mallocs-m0.Mallocs
	r.Kernel, r.Queue = st.Dropped[ingest.DropKernel], st.Dropped[ingest.DropQueue]
	r.Other = st.Dropped[ingest.DropExporter] + st.Dropped[ingest.DropMalformed] + st.Dropped[ingest.DropVersion]
	r.Sequence = st.NetFlow.SequenceLost
	return out.Encode(r)
}

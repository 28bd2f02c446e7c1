// Package pcap reads packet captures, classic and pcapng, and turns them into
// flows.
//
// A capture is read in one of two ways. When flow export datagrams (NetFlow v5
// and v9, IPFIX, sFlow v5) to one of the ports 2055, 4739, 6343, 9555, 9995 and
// 9996 are in it, these datagrams are handed out to a decoder and the other
// packets are left alone. Otherwise the packets are metered: grouped into
// bidirectional flows as a flow exporter without sampling would.
//
// A stream cannot be read twice, so the choice is made from the beginning: the
// first [Probe] packets are metered, but the flows that end among them are held
// back. The first export datagram among these packets throws the metered flows
// away and decides for decoding; when there is none, the held flows are released and
// the capture is metered to its end. Export datagrams that come later are then
// packets like all others and are counted ([Reader.LateDatagrams]).
//
// Everything is bounded: block sizes, interfaces and the flow table. Nothing
// here is safe for concurrent use.
package pcap

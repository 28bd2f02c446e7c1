package netflow

// sequence follows the sequence numbers of one exporter and domain. The unit is
// that of the version: datagrams for version 9 (RFC 3954, section 5.1), records
// for version 5 and IPFIX (RFC 7011, section 3.1).
type sequence struct {
	next   uint32
	last   uint32 // number of the datagram placed last
	valid  bool
	export int64 // export time of the newest datagram
	boot   int64 // when the exporter came up, 0 unknown
	// fromZero tells that the datagram placed last starts the sequence at zero.
	fromZero bool
	// rebooted tells that the datagram placed last shows that the exporter came
	// up again.
	rebooted bool

	lost, late, restarts uint64
}

// place says where a datagram stands in the sequence.
type place uint8

const (
	inOrder place = iota
	isLate
	isRestart
)

// Bounds in datagrams and, for the versions that count records, in records: a
// step back of more than the window, or ahead of more than the limit, is no
// reordering and no loss but a new sequence.
const (
	lateDatagrams, lateRecords = 64, 4096
	gapDatagrams, gapRecords   = 1 << 16, 1 << 22
	// bootJump is by how much the time of coming up must move for a restart.
	// The export time of version 9 is in whole seconds, and clocks are set.
	bootJump = 60 * second
)

// observe places the datagram with number seq. boot is 0 where the header tells
// no uptime.
func (q *sequence) observe(seq uint32, export, boot int64, records bool) (p place, lost uint32) {
	window, limit := int32(lateDatagrams), int32(gapDatagrams)
	if records {
		window, limit = lateRecords, gapRecords
	}
	diff := int32(seq - q.next) //nolint:gosec // the wrap is meant
	q.rebooted = q.boot != 0 && boot > q.boot+bootJump && int32(seq-q.next) < 0
	switch {
	case !q.valid || diff == 0:
	case seq == q.last:
		// Sent twice, or by an exporter that does not count.
	case diff > 0 && diff <= limit && !q.rebooted:
		q.lost += uint64(diff)
		lost = uint32(diff)
	case diff < 0 && diff >= -window && export <= q.export && !q.rebooted:
		q.late++
		return isLate, 0
	default:
		q.restarts++
		p = isRestart
	}
	q.valid = true
	q.fromZero = p == isRestart && seq == 0
	q.last = seq
	q.next = seq
	q.export = max(q.export, export)
	if p == isRestart {
		q.export = export
	}
	q.boot = boot
	return p, lost
}

// advance tells how far the datagram placed last goes. A late one fills a gap
// that was counted as lost.
func (q *sequence) advance(p place, n uint32) (found uint64) {
	if p != isLate {
		q.next += n
		return 0
	}
	found = min(q.lost, uint64(n))
	q.lost -= found
	return found
}

// unknown tells that the length of the datagram placed last is not known: the
// next one starts the count again.
func (q *sequence) unknown(p place) {
	if p != isLate {
		q.valid = false
	}
}

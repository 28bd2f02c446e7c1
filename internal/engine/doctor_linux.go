package engine

import "golang.org/x/sys/unix"

// clockSynchronised asks the kernel whether something keeps the clock right
// (adjtimex(2): STA_UNSYNC).
func clockSynchronised() (synchronised, known bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, false
	}
	return t.Status&unix.STA_UNSYNC == 0, true
}

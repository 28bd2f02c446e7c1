// Package baseline is the statistics of the detectors: estimators of sampled
// traffic, bounds, predictive tests, change detectors, sketches and the small
// serialisable state that says what is normal for one resource.
//
// Everything here is a pure function or a plain value. Nothing reads a clock,
// does I/O, logs, starts a goroutine or keeps package-level state, so the same
// calls give the same results on every run and machine architecture that
// evaluates float64 alike.
//
// Conventions. Times are Unix nanoseconds in int64; durations are
// time.Duration. n is a packet sampling interval, one packet in n: 1 means that
// every packet was seen, 0 that the rate is unknown, and functions that cannot
// answer without a rate return 0 for it (each says so). Counts are counts of
// sampled packets unless named otherwise. No function panics: an argument
// outside its domain is moved to the nearest edge of the domain or gives the
// neutral answer, as documented on the function. All results are finite unless
// a function documents +Inf.
//
// Functions are safe for concurrent use. Methods with pointer receivers change
// their value and need the caller's own locking.
package baseline

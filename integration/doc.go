// Package integration holds the tests of the built binary against the programs
// that its users run: a real exporter (softflowd) and a real collector (nfcapd
// and nfdump). They carry the build tag integration and run with
//
//	make test-integration
//
// Every test is bounded in time, works on loopback or in a network namespace of
// its own, and ends only what it started. Where something is missing, a test
// says what in one line and skips; with CI=true in the environment it fails
// instead.
package integration

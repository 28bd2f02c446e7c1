// Package detect holds the 15 rules. It turns contacts into findings, and does
// nothing else: no clock, no input or output, no goroutine, no log.
//
// Contacts are collected by pane of event time. When the watermark closes a
// pane its contacts are put into one canonical order and worked off, so the
// findings are a function of the multiset of contacts: neither the order of
// arrival within the watermark nor the split into batches nor the number of
// shards can change them. Everything that is learnt is learnt per resource.
//
// The rules come in few kinds. Pair rules compare one peer of one service with
// what is normal (pair.go), aggregate rules the number of peers (aggregate.go),
// the scan rule follows failed first contacts (scan.go), the flood rule volumes
// (flood.go), the intelligence rules indicators (intel.go), and the rule on
// addresses recommended for blocking the set of regular peers (block.go).
//
// Section numbers in comments are those of the detection reference.
package detect

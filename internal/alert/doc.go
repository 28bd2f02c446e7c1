// Package alert gives findings an identity and a life: it groups the findings
// of one rule on one resource into episodes that open, grow, end and come back.
//
// A [Book] is pure: event time comes in with the findings, nothing reads a
// clock, and the alerts are a function of the sequence of findings alone.
// Source of the rules: detection reference, episode rules.
package alert

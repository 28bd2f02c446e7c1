// Package quality measures how well the rules detect: labelled traffic of
// ordinary roles and of attacks on either side of what each rule is said to
// reach, thinned at several sampling rates, is run through the offline pipeline
// and scored by episode, next to simple rules that others have published.
//
// The package holds tests only; nothing of it is part of the program. `make
// quality` runs everything and writes docs/reference/quality.md; `go test` runs
// a small part with loose bounds.
package quality

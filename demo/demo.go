// Package demo holds recordings of real attacks, see README.md, for the demo
// of the binary.
package demo

import (
	"embed"
	"io/fs"
)

//go:embed captures/attack-v9.pcap.gz intel inventory.yaml expected.txt
var files embed.FS

// Files returns the recording that the demo plays, with its inventory, its
// indicators and the alerts that must come of it.
func Files() fs.FS { return files }

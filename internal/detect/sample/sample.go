// Package sample chooses the few records that an alert shows.
package sample

import (
	"cmp"
	"slices"

	"github.com/weir-net/weir"
)

// Record is a record with the hash by which it is chosen.
type Record struct {
	Hash uint64
	weir.RecordEvidence
}

// Keep adds a record to a list by rising hash and returns the list, which holds
// the weir.MaxRecords records with the lowest hash, so that the choice does not
// depend on the order of arrival.
func Keep(list []Record, r weir.RecordEvidence, hash uint64) []Record {
	if len(list) == weir.MaxRecords {
		if hash >= list[len(list)-1].Hash {
			return list
		}
		list = list[:len(list)-1]
	}
	i, _ := slices.BinarySearchFunc(list, hash, func(a Record, h uint64) int { return cmp.Compare(a.Hash, h) })
	return slices.Insert(list, i, Record{hash, r})
}

// Of returns a contact as the record that an alert shows.
func Of(c *weir.Contact) weir.RecordEvidence {
	e := weir.RecordEvidence{
		Start: c.Start, End: c.End, Src: c.Own, Dst: c.Peer, Proto: c.Proto, Flags: c.Out.Flags,
		Packets: c.Out.Packets, Bytes: c.Out.Bytes, Sampling: c.Sampling, Exporter: c.Exporter,
	}
	if !c.FromOwn {
		e.Src, e.Dst, e.Flags, e.Packets, e.Bytes = c.Peer, c.Own, c.In.Flags, c.In.Packets, c.In.Bytes
	}
	return e
}

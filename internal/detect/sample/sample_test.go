package sample

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
)

func TestKeepTakesTheLowest(t *testing.T) {
	hashes := rand.New(rand.NewPCG(1, 1)).Perm(200)
	for range 4 {
		var list []Record
		for _, h := range hashes {
			list = Keep(list, weir.RecordEvidence{Packets: uint64(h)}, uint64(h))
		}
		var got, want []uint64
		for i, r := range list {
			got, want = append(got, r.Packets), append(want, uint64(i))
		}
		if d := cmp.Diff(want, got); d != "" || len(list) != weir.MaxRecords {
			t.Fatalf("%d records: %s", len(list), d)
		}
		rand.Shuffle(len(hashes), func(i, j int) { hashes[i], hashes[j] = hashes[j], hashes[i] })
	}
}

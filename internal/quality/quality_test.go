package quality

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestBenignSlice(t *testing.T) {
	var cells []*cell
	for _, n := range rates() {
		for _, r := range roles() {
			cells = append(cells, r.cell(n, 1))
		}
	}
	wrong := map[string]int{}
	took := map[string]float64{}
	runAll(t, cells, func(o outcome) {
		took[fmt.Sprintf("%-15s %6d", o.cell.role, o.cell.n)] += o.took.Seconds()
		for _, i := range o.wrong {
			a := o.alerts[i]
			day := (a.Generated-at(1, 0))/86400e9 + 1
			when := "day 1 "
			if day > 1 {
				when = "later "
			}
			wrong[fmt.Sprintf("%6d %-15s %s %s %s", o.cell.n, o.cell.role, when, a.Type, a.Window)]++
		}
	})
	for _, k := range slices.Sorted(maps.Keys(wrong)) {
		t.Log(k, wrong[k])
	}
	for _, k := range slices.Sorted(maps.Keys(took)) {
		if took[k] > 1 {
			t.Log(k, took[k])
		}
	}
}

func TestAttackSlice(t *testing.T) {
	var cells []*cell
	for _, n := range rates() {
		for _, f := range families() {
			if f.only == nil || slices.Contains(f.only, n) {
				for seed := range uint64(2) {
					cells = append(cells, f.cell(n, seed+1))
				}
			}
		}
	}
	wrong, hit, all := map[string]int{}, map[string]int{}, map[string]int{}
	took := map[string]float64{}
	runAll(t, cells, func(o outcome) {
		took[fmt.Sprintf("%-15s %6d", o.cell.role, o.cell.n)] += o.took.Seconds()
		for i, a := range o.cell.attacks {
			k := fmt.Sprintf("%s %-28s %6d x%.1f cold=%v", a.rule, a.kind, o.cell.n, a.factor, a.cold)
			all[k]++
			if o.found[i] >= 0 {
				hit[k]++
			}
		}
		for _, i := range o.wrong {
			a := o.alerts[i]
			wrong[fmt.Sprintf("%6d %-15s %s %s", o.cell.n, o.cell.role, a.Type, a.Window)]++
		}
	})
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if hit[k] < all[k] {
			t.Log("MISS", k, hit[k], all[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(wrong)) {
		t.Log("WRONG", k, wrong[k])
	}
	for _, k := range slices.Sorted(maps.Keys(took)) {
		if took[k] > 1 {
			t.Log(k, took[k])
		}
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/alert"
	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/engine/config"
)

func main() {
	for _, path := range os.Args[1:] {
		b, _ := os.ReadFile(path)
		var c struct {
			Files     []string
			Format    string
			Inventory []string
			Intel     []struct{ Category, File string }
		}
		if err := yaml.Unmarshal(b, &c); err != nil {
			panic(err)
		}
		dir := filepath.Dir(path)
		cfg := config.Default()
		o := engine.Offline{Config: &cfg, Format: weir.ParseFormat(c.Format)}
		for _, f := range c.Files {
			o.Files = append(o.Files, filepath.Join(dir, f))
		}
		for _, f := range c.Inventory {
			o.Inventory = append(o.Inventory, filepath.Join(dir, f))
		}
		for _, f := range c.Intel {
			o.Intel = append(o.Intel, engine.IntelFile{Category: weir.Category(f.Category), Path: filepath.Join(dir, f.File)})
		}
		t := time.Now()
		d, err := engine.NewDetection(o)
		if err != nil {
			fmt.Println("==", path, "ERR", err)
			continue
		}
		final := map[string]weir.Alert{}
		err = d.Run(context.Background(), func(a weir.Alert, ch alert.Change) error { final[a.ID] = a; return nil })
		fmt.Printf("== %s err=%v %+v %v\n", path, err, d.Summary(), time.Since(t).Round(time.Millisecond))
		var out []string
		for _, a := range final {
			var peers []string
			for i, p := range a.Peers {
				if i < 4 {
					peers = append(peers, fmt.Sprintf("%s(%.0f)", p.Address, p.Lower))
				}
			}
			out = append(out, fmt.Sprintf("  %s %s own=%s key=%s n=%d obs=%.1f exp=%.2f thr=%.1f S=%.1f conf=%.2f %s..%s peers=%d %s %v", time.Unix(0, a.Generated).UTC().Format("01-02 15:04"), a.Type, a.Own, a.Key, a.Count, a.Observed, a.Expected, a.Threshold, a.Surprise, a.Confidence,
				time.Unix(0, a.First).UTC().Format("01-02 15:04:05"), time.Unix(0, a.Last).UTC().Format("01-02 15:04:05"), len(a.Peers), strings.Join(peers, " "), a.Facts))
		}
		sort.Strings(out)
		for i, l := range out {
			if i < 40 {
				fmt.Println(l)
			}
		}
		fmt.Println("  total", len(out))
	}
}

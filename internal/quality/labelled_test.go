package quality

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-net/weir/internal/engine"
	"github.com/weir-net/weir/internal/scenario"
)

// dataDir is where labelled cases lie, empty when they do not.
func dataDir() string {
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return dir
}

// labelledScore is the sum of the cases of one set at one thinning.
type labelledScore struct {
	scenario.Score
	cases, failed int
}

// labelled runs the cases of every set, thinned so.
func labelled(t *testing.T, dir string, thin uint32) (sets []string, scores map[string]*labelledScore) {
	t.Helper()
	paths, err := scenario.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	scores = map[string]*labelledScore{}
	for _, p := range paths {
		if strings.HasSuffix(p, ".scn") {
			continue
		}
		o := options()
		o.Thin, o.Seed = thin, 1
		r, err := engine.RunCase(t.Context(), p, o, 3, 78, func(*engine.Detection) {})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(p), err)
			continue
		}
		if r.Skipped != "" || r.Judgement.Total() == (scenario.Score{}) && r.Group == "format" {
			continue
		}
		rel, err := filepath.Rel(dir, filepath.Dir(p))
		if err != nil {
			t.Fatal(err)
		}
		set, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		s := scores[set]
		if s == nil {
			s = &labelledScore{}
			scores[set] = s
			sets = append(sets, set)
		}
		s.Score = s.Add(r.Judgement.Total())
		s.cases++
		if len(r.Judgement.Missed())+len(r.Judgement.False) > 0 {
			s.failed++
		}
	}
	slices.Sort(sets)
	return sets, scores
}

package scenario

import (
	"fmt"
	"strings"
)

// Error is a fault in a scenario, a case file or a truth file. Line and Col
// count from 1.
type Error struct {
	File      string
	Line, Col int
	Msg       string
}

// Error implements error: FILE:LINE:COL: what is wrong, what is expected.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// suggest returns "; did you mean X?" for the name of the list that is nearest
// to a misspelt one, or nothing.
func suggest(got string, names []string) string {
	best, bestDistance := "", 3
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n)); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the Levenshtein distance, for short words.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

package scenario

import (
	"strings"
)

// word is one word of a line with its column, from 1. Quoted words may be empty
// and hold blanks.
type word struct {
	text   string
	col    int
	quoted bool
}

// split cuts a line into words; a # outside of quotes begins a comment. The
// message is empty when the line is well formed.
func split(line string) (words []word, badCol int, msg string) {
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ', '\t', '\r':
			i++
		case '#':
			return words, 0, ""
		case '"':
			end := strings.IndexByte(line[i+1:], '"')
			if end < 0 {
				return words, i + 1, `the quote is not closed; expected another "`
			}
			words = append(words, word{line[i+1 : i+1+end], i + 1, true})
			i += end + 2
		default:
			end := strings.IndexAny(line[i:], " \t\r#\"")
			if end < 0 {
				end = len(line) - i
			}
			words = append(words, word{line[i : i+end], i + 1, false})
			i += end
		}
	}
	return words, 0, ""
}

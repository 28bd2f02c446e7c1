package catalog

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A message is one whole text in one language. %{Name} stands for a parameter.
// A part in square brackets is optional: it is left out when one of its
// parameters is empty. Brackets do not nest. Values are put in as they are and
// never looked at again, so a hostile name cannot pull in another parameter.
type message string

// format fills in the parameters. Outside of brackets an empty or missing
// parameter becomes the word unknown. Japanese puts a space between Latin and
// Japanese characters only, so a space of the message next to a value goes when
// it would stand between two Japanese characters.
func (m message) format(params map[string]string, unknown string) string {
	var out []byte
	rest := string(m)
	for rest != "" {
		open := strings.IndexByte(rest, '[')
		end := strings.IndexByte(rest, ']')
		if open < 0 || end < open {
			return string(fill(out, rest, params, unknown))
		}
		out = fill(out, rest[:open], params, unknown)
		part := rest[open+1 : end]
		missing := func(name string) bool { return params[name] == "" }
		if !slices.ContainsFunc(placeholders(part), missing) {
			out = fill(out, part, params, unknown)
		}
		rest = rest[end+1:]
	}
	return string(out)
}

// fill appends text to out with its placeholders replaced, in one pass.
func fill(out []byte, text string, params map[string]string, unknown string) []byte {
	for {
		before, after, found := strings.Cut(text, "%{")
		out = append(out, before...)
		if !found {
			return out
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			out = append(out, "%{"...)
			return append(out, after...)
		}
		value := params[name]
		if value == "" {
			value = unknown
		}
		if n := len(out); n > 0 && out[n-1] == ' ' && wideEnd(string(out[:n-1])) && wideStart(value) {
			out = out[:n-1]
		}
		out = append(out, value...)
		if strings.HasPrefix(tail, " ") && wideEnd(value) && wideStart(tail[1:]) {
			tail = tail[1:]
		}
		text = tail
	}
}

// wideStart and wideEnd report whether a text starts or ends with a Japanese
// character: kana, ideographs and full-width forms all lie above U+2E80.
func wideStart(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return r >= 0x2E80 && r != utf8.RuneError
}

func wideEnd(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return r >= 0x2E80 && r != utf8.RuneError
}

// placeholders returns the distinct placeholder names of the texts in the order
// of their first use.
func placeholders(texts ...string) []string {
	var names []string
	seen := map[string]bool{}
	for _, text := range texts {
		for {
			_, after, found := strings.Cut(text, "%{")
			if !found {
				break
			}
			name, tail, closed := strings.Cut(after, "}")
			if !closed {
				break
			}
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
			text = tail
		}
	}
	return names
}

// unknownWord is what a text says where a value is not known.
func unknownWord(lang Lang) string {
	if lang == JA {
		return "不明"
	}
	return "unknown"
}

package catalog

import (
	"strings"
)

// A message is one whole text in one language. %{Name} stands for a parameter.
// A part in square brackets is optional: it is left out when one of its
// parameters is empty. Brackets do not nest. Values are put in as they are and
// never looked at again, so a hostile name cannot pull in another parameter.
type message string

// format fills in the parameters. Outside of brackets an empty or missing
// parameter becomes the word unknown.
func (m message) format(params map[string]string, unknown string) string {
	var out strings.Builder
	rest := string(m)
	for rest != "" {
		open := strings.IndexByte(rest, '[')
		end := strings.IndexByte(rest, ']')
		if open < 0 || end < open {
			text, _ := fill(rest, params, unknown)
			out.WriteString(text)
			break
		}
		text, _ := fill(rest[:open], params, unknown)
		out.WriteString(text)
		if text, complete := fill(rest[open+1:end], params, unknown); complete {
			out.WriteString(text)
		}
		rest = rest[end+1:]
	}
	return out.String()
}

// fill replaces the placeholders of text in one pass and reports whether all
// of them had a value.
func fill(text string, params map[string]string, unknown string) (string, bool) {
	var out strings.Builder
	complete := true
	for {
		before, after, found := strings.Cut(text, "%{")
		out.WriteString(before)
		if !found {
			return out.String(), complete
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			out.WriteString("%{" + after)
			return out.String(), complete
		}
		if value := params[name]; value != "" {
			out.WriteString(value)
		} else {
			out.WriteString(unknown)
			complete = false
		}
		text = tail
	}
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

package intel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	weir "github.com/weir-net/weir"
)

// match is one observable that a STIX pattern asks for.
type match struct {
	value string
	port  uint16
	proto uint8
	kind  kind // kindOther for what cannot be used
}

// Bounds of a pattern.
const (
	maxPattern = 64 << 10
	maxMatches = 1024
)

// parsePattern reads a STIX pattern (STIX 2.1, section 9) as far as it names
// addresses: comparisons with =, ISSUBSET and IN, joined by OR; a port or protocol
// joined to an address by AND narrows it. What is negated, or asks for several
// things at once, cannot be told from one flow and is of kind kindOther.
func parsePattern(text string) ([]match, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("the pattern is longer than %d KiB", maxPattern>>10)
	}
	tokens, err := patternTokens(text)
	if err != nil {
		return nil, err
	}
	var out []match
	observations, joined := 0, false
	for i := 0; i < len(tokens); {
		switch t := tokens[i]; {
		case t.is("["):
			end := i + 1
			for end < len(tokens) && !tokens[end].is("]") {
				end++
			}
			if end == len(tokens) {
				return nil, errors.New("the pattern has no closing bracket")
			}
			more, err := observation(tokens[i+1 : end])
			if err != nil {
				return nil, err
			}
			observations++
			out = append(out, more...)
			i = end + 1
		case t.word("AND"), t.word("FOLLOWEDBY"):
			joined = true
			i++
		default: // OR, parentheses and qualifiers (WITHIN, REPEATS, START, STOP)
			i++
		}
		if len(out) > maxMatches {
			return nil, fmt.Errorf("the pattern has more than %d comparisons", maxMatches)
		}
	}
	if observations == 0 {
		return nil, errors.New("the pattern has no observation, expected for example [ipv4-addr:value = '198.51.100.1']")
	}
	if joined {
		return []match{{kind: kindOther}}, nil
	}
	return out, nil
}

type patternToken struct {
	text   string
	quoted bool
}

func (t patternToken) is(s string) bool   { return !t.quoted && t.text == s }
func (t patternToken) word(s string) bool { return !t.quoted && strings.EqualFold(t.text, s) }

func patternTokens(text string) ([]patternToken, error) {
	var all []patternToken
	for i := 0; i < len(text); {
		switch ch := text[i]; {
		case ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n':
			i++
		case ch == '\'':
			var b strings.Builder
			i++
			for i < len(text) && text[i] != '\'' {
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				b.WriteByte(text[i])
				i++
			}
			if i >= len(text) {
				return nil, errors.New("the pattern has an open quote")
			}
			i++
			all = append(all, patternToken{b.String(), true})
		case strings.IndexByte("[](),", ch) >= 0:
			all = append(all, patternToken{text: string(ch)})
			i++
		case strings.IndexByte("=!<>", ch) >= 0:
			end := i + 1
			for end < len(text) && strings.IndexByte("=<>", text[end]) >= 0 {
				end++
			}
			all = append(all, patternToken{text: text[i:end]})
			i = end
		default:
			end := i
			for end < len(text) {
				if strings.IndexByte(" \t\r\n[](),'=!<>", text[end]) >= 0 {
					// Brackets within a path are an index: protocols[*].
					index := strings.IndexByte(text[end:min(end+5, len(text))], ']')
					if text[end] == '[' && end > i && index > 0 {
						end += index + 1
						continue
					}
					break
				}
				end++
			}
			all = append(all, patternToken{text: text[i:end]})
			i = end
		}
	}
	return all, nil
}

// comparison is PATH OPERATOR VALUE….
type comparison struct {
	path, operator string
	values         []string
	negated        bool
}

// observation reads what stands within one pair of brackets: comparisons joined by
// OR, or conjunctions of them.
func observation(tokens []patternToken) ([]match, error) {
	var out []match
	var all []comparison
	depth := 0
	nested := false
	flush := func() {
		if len(all) > 0 {
			out = append(out, conjunction(all)...)
		}
		all = nil
	}
	for i := 0; i < len(tokens); {
		switch t := tokens[i]; {
		case t.is("("):
			depth++
			i++
		case t.is(")"):
			depth--
			i++
		case t.word("AND"):
			nested = nested || depth > 0 || i > 0 && tokens[i-1].is(")") || i+1 < len(tokens) && tokens[i+1].is("(")
			i++
		case t.word("OR"):
			flush()
			i++
		default:
			one, used, err := readComparison(tokens[i:])
			if err != nil {
				return nil, err
			}
			all = append(all, one)
			i += used
		}
	}
	flush()
	if nested { // AND and OR mixed by parentheses: not to be told from one flow
		return []match{{kind: kindOther}}, nil
	}
	return out, nil
}

func readComparison(tokens []patternToken) (c comparison, used int, err error) {
	bad := func() (comparison, int, error) {
		return comparison{}, 0, fmt.Errorf("the pattern is not understood at %s", quote(tokens[0].text))
	}
	if len(tokens) < 2 || tokens[0].quoted {
		return bad()
	}
	c.path = tokens[0].text
	i := 1
	if tokens[i].word("NOT") {
		c.negated = true
		i++
	}
	if i >= len(tokens) || tokens[i].quoted {
		return bad()
	}
	c.operator = strings.ToUpper(tokens[i].text)
	i++
	if i >= len(tokens) {
		return bad()
	}
	if !tokens[i].is("(") {
		c.values = []string{tokens[i].text}
		return c, i + 1, nil
	}
	for i++; i < len(tokens) && !tokens[i].is(")"); i++ {
		if !tokens[i].is(",") {
			c.values = append(c.values, tokens[i].text)
		}
	}
	if i == len(tokens) || len(c.values) == 0 {
		return bad()
	}
	return c, i + 1, nil
}

// conjunction turns comparisons joined by AND into matches.
func conjunction(all []comparison) []match {
	var addrs, others []match
	var port uint16
	var proto uint8
	narrow := true // everything beside the address is a port or protocol
	for _, c := range all {
		object, prop, _ := strings.Cut(c.path, ":")
		equal := !c.negated && (c.operator == "=" || c.operator == "IN" || c.operator == "ISSUBSET")
		switch {
		case !equal:
			narrow = false
		case prop == "value" && (object == "ipv4-addr" || object == "ipv6-addr"),
			object == "network-traffic" && (prop == "dst_ref.value" || prop == "src_ref.value"):
			for _, v := range c.values {
				addrs = append(addrs, match{value: v, kind: kindAddress})
			}
			if len(addrs) > len(c.values) {
				narrow = false // two addresses at once
			}
		case object == "domain-name":
			others = append(others, match{kind: kindDomain})
		case object == "url" && prop == "value":
			others = append(others, match{value: c.values[0], kind: kindURL})
		case object == "network-traffic" && (prop == "dst_port" || prop == "src_port") && len(c.values) == 1:
			v, err := strconv.ParseUint(c.values[0], 10, 16)
			narrow = narrow && err == nil
			port = uint16(v)
		case object == "network-traffic" && strings.HasPrefix(prop, "protocols"):
			for _, v := range c.values {
				switch strings.ToLower(v) {
				case "tcp":
					proto = weir.ProtoTCP
				case "udp":
					proto = weir.ProtoUDP
				}
			}
		case object == "network-traffic" && strings.HasSuffix(prop, "_ref.type"):
		default:
			narrow = false
		}
	}
	switch {
	case len(addrs) > 0 && narrow && len(others) == 0:
		for i := range addrs {
			addrs[i].port, addrs[i].proto = port, proto
		}
		return addrs
	case len(addrs) == 0 && len(others) == 1 && len(all) == 1:
		return others
	}
	return []match{{kind: kindOther}}
}

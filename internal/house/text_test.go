package house

import (
	"bytes"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// texts returns the names of the text files of the tree.
func texts(t *testing.T) []string {
	t.Helper()
	return files(t, func(n string) bool {
		switch path.Ext(n) {
		case ".pcap", ".pcapng", ".gz", ".zst", ".png", ".ico", ".woff2", ".bin", ".sum":
			return false
		}
		return !strings.HasPrefix(n, "internal/house/")
	})
}

// strays are patterns that do not belong into a text of the tree, by reason.
// They are put together from parts so that no tool takes this file for a find.
func strays() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"path of one machine":           regexp.MustCompile(`(^|[^A-Za-z0-9_.\-/])/(work|farm|root|Users)/[A-Za-z0-9_.]`),
		"address of a package registry": regexp.MustCompile(`proxy\.golang\.org|registry\.npmjs\.org|GOPROXY=` + `http|"resolved": *"` + `http`),
		"unfinished work":               regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
		"talk of how it was written": regexp.MustCompile(`(?i)\b(chat` + `gpt|clau` + `de|anthro` + `pic|open` + `ai|large language model|coding agent|` +
			`this session of|the previous session|as an ai)\b`),
	}
}

// TestNoStrays reads every text file of the tree for what belongs to a machine
// or to a conversation and not to the product.
func TestNoStrays(t *testing.T) {
	for _, name := range texts(t) {
		b := read(t, name)
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 || !utf8.Valid(b) {
			continue
		}
		for i, line := range bytes.Split(b, []byte("\n")) {
			for what, re := range strays() {
				if re.Match(line) {
					t.Errorf("%s:%d: %s: %.120s", name, i+1, what, bytes.TrimSpace(line))
				}
			}
		}
	}
}

// TestStraysAreFound proves that TestNoStrays can fail.
func TestStraysAreFound(t *testing.T) {
	found := func(line string) bool {
		for _, re := range strays() {
			if re.MatchString(line) {
				return true
			}
		}
		return false
	}
	for _, bad := range []string{`dir := "/ro` + `ot/x"`, "see /wo" + "rk/main", "TO" + "DO: later", "written by Chat" + "GPT"} {
		if !found(bad) {
			t.Errorf("not found: %s", bad)
		}
	}
	for _, good := range []string{"../shared/data", "/var/lib/weir", "a session of SSH", "https://example.net/work/", "docs/work/x"} {
		if found(good) {
			t.Errorf("found, but fine: %s", good)
		}
	}
}

// TestLicence holds that the licence lies at the root.
func TestLicence(t *testing.T) {
	b := string(read(t, "LICENSE"))
	if !strings.Contains(b, "Apache License") || !strings.Contains(b, "Version 2.0, January 2004") {
		t.Error("LICENSE is not the Apache License, Version 2.0")
	}
}

// link finds the targets of Markdown links and images.
var link = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)

// TestLinks holds that every relative link of a page leads to a file of the
// tree, and every fragment to a heading.
func TestLinks(t *testing.T) {
	pages := files(t, func(n string) bool { return path.Ext(n) == ".md" && !strings.Contains("/"+n, "/testdata/") })
	top := root(t)
	for _, page := range pages {
		text := string(read(t, page))
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %s: %v", page, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue
			}
			target := page
			if u.Path != "" {
				target = path.Join(path.Dir(page), u.Path)
			}
			if strings.HasPrefix(target, "..") {
				t.Errorf("%s: link %s leaves the tree", page, m[1])
				continue
			}
			if _, err := os.Stat(filepath.Join(top, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link %s: no such file", page, m[1])
				continue
			}
			if u.Fragment != "" && path.Ext(target) == ".md" && !slices.Contains(anchors(string(read(t, target))), u.Fragment) {
				t.Errorf("%s: link %s: no such heading", page, m[1])
			}
		}
	}
}

// withoutCode cuts out fenced blocks and code spans.
func withoutCode(text string) string {
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

// anchors returns the fragments of the headings of a page, as the usual
// renderers of Markdown make them.
func anchors(text string) []string {
	var out []string
	drop := regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
	fence := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fence = !fence
		}
		if fence || !strings.HasPrefix(line, "#") {
			continue
		}
		h := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		out = append(out, strings.ReplaceAll(drop.ReplaceAllString(h, ""), " ", "-"))
	}
	return out
}

// TestDocsIndex holds that the index of the documentation names every page.
func TestDocsIndex(t *testing.T) {
	index := string(read(t, "docs/README.md"))
	for _, page := range files(t, func(n string) bool { return strings.HasPrefix(n, "docs/") && path.Ext(n) == ".md" }) {
		rel := strings.TrimPrefix(page, "docs/")
		if rel == "README.md" || strings.HasPrefix(rel, "reference/rules/") {
			continue
		}
		if !strings.Contains(index, "("+rel+")") {
			t.Errorf("docs/README.md has no link to %s", rel)
		}
	}
}

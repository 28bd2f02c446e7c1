package catalog

import (
	"fmt"
	"strings"

	"github.com/weir-net/weir"
)

// headings are the fixed words of the rule pages in one language.
type headings struct {
	id, title, titleEN, titleJA, description, severity, tactic, direction, techniques, placeholders, none string
	measured, formula, defaults, key, value, meaning, fixed, guards, falsePositives, evidence             string
	response, scenario, scenarioText, errata, erratumText, rules, rulesText, other                        string
}

// pageHeadings returns the headings of a language.
func pageHeadings(lang Lang) headings {
	if lang == JA {
		return headings{
			id: "ID", title: "タイトル", titleEN: "タイトル（英語）", titleJA: "タイトル（日本語）", description: "説明", severity: "重要度", tactic: "MITRE の戦術", direction: "方向",
			techniques: "MITRE の手法", placeholders: "プレースホルダー", none: "なし",
			measured: "測定対象", formula: "判定式", defaults: "既定値", key: "設定キー", value: "既定値", meaning: "意味", fixed: "（固定）", guards: "除外条件",
			falsePositives: "誤検知", evidence: "証拠", response: "対応", scenario: "シナリオ ファイル",
			scenarioText: "このルールのシナリオは `%s` にあります。`weir test %s` で実行できます。",
			errata:       "正誤", erratumText: "日本語版の原文ページとの相違は[決定記録](%s)に記載しています。",
			rules: "ルール リファレンス", rulesText: "Weir は、次の 15 種類のネットワーク層アラートを生成します。ID、タイトル、プレースホルダー、重要度、戦術は Defender for Cloud と同じです。しきい値はすべて Weir 独自のもので、各ページに記載しています。",
			other: "[English](%s)",
		}
	}
	return headings{
		id: "ID", title: "Title", titleEN: "Title (English)", titleJA: "Title (Japanese)", description: "Description", severity: "Severity", tactic: "MITRE tactic", direction: "Direction",
		techniques: "MITRE techniques", placeholders: "Placeholders", none: "none",
		measured: "What is measured", formula: "Formula", defaults: "Defaults", key: "Key", value: "Default", meaning: "Meaning", fixed: "(fixed)", guards: "Guards",
		falsePositives: "False positives", evidence: "Evidence", response: "Response", scenario: "Scenario file",
		scenarioText: "The scenarios of this rule are in `%s`; run them with `weir test %s`.",
		errata:       "Errata", erratumText: "Where the Japanese texts differ from the source page, a [decision record](%s) says why.",
		rules: "Rules reference", rulesText: "Weir raises the following 15 network-layer alerts. Ids, titles, placeholders, severities and tactics are those of Defender for Cloud; all thresholds are Weir's own and are stated on the pages.",
		other: "[日本語](%s)",
	}
}

// pageName returns the file name of a page in a language.
func pageName(name string, lang Lang) string {
	if lang == JA {
		return name + ".ja.md"
	}
	return name + ".md"
}

// RulePage returns the reference page of a rule as Markdown; empty for an
// unknown id. Links are relative to docs/reference/rules.
func RulePage(id weir.AlertType, lang Lang) string {
	e, ok := Lookup(id)
	if !ok {
		return ""
	}
	text, h := e.Text(lang), pageHeadings(lang)
	other := JA
	if lang == JA {
		other = EN
	}
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, "\n## %s\n\n", title) }
	bullets := func(lines []string) {
		for _, line := range lines {
			fmt.Fprintf(&b, "- %s\n", escape(line))
		}
	}
	fmt.Fprintf(&b, "# %s\n\n"+h.other+"\n\n", code(text.Title), pageName(string(id), other))
	fmt.Fprintf(&b, "| | |\n|---|---|\n")
	techniques := make([]string, 0, len(e.Techniques))
	for _, t := range e.Techniques {
		techniques = append(techniques, fmt.Sprintf("[%s](https://attack.mitre.org/techniques/%s/)", t, strings.ReplaceAll(t, ".", "/")))
	}
	names := make([]string, 0, len(e.Placeholders))
	for _, p := range e.Placeholders {
		names = append(names, "`"+p+"`")
	}
	if len(names) == 0 {
		names = []string{h.none}
	}
	for _, line := range [][2]string{
		{h.id, "`" + string(e.Type) + "`"},
		{h.titleEN, code(e.EN.Title)},
		{h.titleJA, code(e.JA.Title)},
		{h.severity, SeverityName(e.Severity, lang)},
		{h.tactic, TacticName(e.Tactic, lang)},
		{h.techniques, strings.Join(techniques, ", ")},
		{h.direction, DirectionName(e.Direction, lang)},
		{h.placeholders, strings.Join(names, ", ")},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", line[0], line[1])
	}
	section(h.description)
	fmt.Fprintf(&b, "%s\n", code(text.Description))
	section(h.measured)
	fmt.Fprintf(&b, "%s\n", escape(text.Measured))
	section(h.formula)
	fmt.Fprintf(&b, "```text\n%s\n```\n\n", text.Expression)
	bullets(text.Formula)
	section(h.defaults)
	fmt.Fprintf(&b, "| %s | %s | %s |\n|---|---|---|\n", h.key, h.value, h.meaning)
	for _, d := range text.Defaults {
		key := h.fixed
		if d.Key != "" {
			key = "`" + d.Key + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", key, escape(d.Value), escape(d.Meaning))
	}
	section(h.guards)
	bullets(text.Guards)
	section(h.falsePositives)
	bullets(text.FalsePositives)
	section(h.evidence)
	bullets(text.Evidence)
	section(h.response)
	for i, step := range text.Remediation {
		fmt.Fprintf(&b, "%d. %s\n", i+1, escape(step))
	}
	section(h.scenario)
	fmt.Fprintf(&b, h.scenarioText+"\n", e.Scenario(), e.Scenario())
	if e.Erratum != "" {
		section(h.errata)
		fmt.Fprintf(&b, h.erratumText+"\n", "../../"+strings.TrimPrefix(e.Erratum, "docs/"))
	}
	return b.String()
}

// RuleIndex returns the index of the rule pages as Markdown. Links are relative
// to docs/reference.
func RuleIndex(lang Lang) string {
	h := pageHeadings(lang)
	other := JA
	if lang == JA {
		other = EN
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n"+h.other+"\n\n%s\n\n", h.rules, pageName("rules", other), h.rulesText)
	fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n|---|---|---|---|---|\n", h.id, h.title, h.severity, h.tactic, h.direction)
	for _, e := range Entries() {
		fmt.Fprintf(&b, "| [`%s`](rules/%s) | %s | %s | %s | %s |\n", e.Type, pageName(string(e.Type), lang), code(e.Text(lang).Title),
			SeverityName(e.Severity, lang), TacticName(e.Tactic, lang), DirectionName(e.Direction, lang))
	}
	return b.String()
}

// code marks the placeholders of a text as code.
func code(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%{")
		b.WriteString(escape(before))
		if !found {
			return b.String()
		}
		name, tail, _ := strings.Cut(after, "}")
		b.WriteString("`%{" + name + "}`")
		text = tail
	}
}

// escape keeps a text from being read as Markdown markup.
func escape(text string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "|", `\|`, "<", "&lt;").Replace(text)
}

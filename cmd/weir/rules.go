package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

func (a *app) rulesCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show ID", Short: "Show one rule with formula, defaults, guards and false positives",
		Example: "  weir rules show SSH_Incoming_BF_OneToOne\n  weir rules show DDOS --lang ja",
		Args:    usageArgs(cobra.ExactArgs(1), "rules show ID"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, t := range weir.AlertTypes() {
				out = append(out, string(t))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.do(func(_ context.Context, args []string) error { return a.rulesShow(args[0]) }),
	}
	lst := &cobra.Command{
		Use: "list", Short: "List the 15 rules", Args: usageArgs(cobra.NoArgs, "rules list"), ValidArgsFunction: noFiles,
		Example: "  weir rules list\n  weir rules list -o csv --columns id,severity",
		RunE:    a.do(func(context.Context, []string) error { return a.rulesList() }),
	}
	return group(&cobra.Command{Use: "rules", Short: "The catalogue of rules, in English and Japanese"}, lst, show)
}

// ruleRow is one rule in a list.
type ruleRow struct {
	ID         weir.AlertType `json:"id"`
	Title      string         `json:"title"`
	Severity   weir.Severity  `json:"severity"`
	Tactic     string         `json:"tactic"`
	Techniques []string       `json:"techniques"`
	Direction  weir.Direction `json:"direction,omitempty"`
	Kind       catalog.Kind   `json:"kind"`
}

func (a *app) rulesList() error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	out, err := newList(a, []column[ruleRow]{
		{name: "id", text: func(r ruleRow) string { return string(r.ID) }},
		{name: "severity", text: func(r ruleRow) string { return severityMark(r.Severity) + catalog.SeverityName(r.Severity, lang) }, color: func(r ruleRow) string { return severityColor(r.Severity) }},
		{name: "tactic", text: func(r ruleRow) string { return catalog.TacticName(r.Tactic, lang) }},
		{name: "title", text: func(r ruleRow) string { return r.Title }},
		{name: "direction", wide: true, text: func(r ruleRow) string { return catalog.DirectionName(r.Direction, lang) }},
		{name: "kind", wide: true, text: func(r ruleRow) string { return string(r.Kind) }},
		{name: "techniques", wide: true, text: func(r ruleRow) string { return strings.Join(r.Techniques, " ") }},
	})
	if err != nil {
		return err
	}
	for _, e := range catalog.Entries() {
		row := ruleRow{e.Type, e.Text(lang).Title, e.Severity, e.Tactic, e.Techniques, e.Direction, e.Kind}
		if err := out.add(row); err != nil {
			return err
		}
	}
	return out.close()
}

// findRule finds an entry by id, without regard to case.
func findRule(id string) (catalog.Entry, error) {
	for _, e := range catalog.Entries() {
		if strings.EqualFold(string(e.Type), id) {
			return e, nil
		}
	}
	return catalog.Entry{}, exit(exitNotFound, "no rule %q: 'weir rules list' lists them", id)
}

func (a *app) rulesShow(id string) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	e, err := findRule(id)
	if err != nil {
		return err
	}
	return a.document(e, func(w io.Writer) error {
		t := e.Text(lang)
		h := headings(lang)
		printf(w, "%s\n%s\n\n%s\n", e.Type, t.Title, t.Description)
		printf(w, "\n%s  %s\n%s  %s  %s\n%s  %s\n", h("severity"), catalog.SeverityName(e.Severity, lang),
			h("tactic"), catalog.TacticName(e.Tactic, lang), strings.Join(e.Techniques, " "), h("direction"), catalog.DirectionName(e.Direction, lang))
		printf(w, "\n%s\n  %s\n\n%s\n", h("measured"), t.Measured, h("formula"))
		for line := range strings.SplitSeq(t.Expression, "\n") {
			printf(w, "  %s\n", line)
		}
		bullets(w, "", t.Formula)
		printf(w, "\n%s\n", h("defaults"))
		for _, d := range t.Defaults {
			key := d.Key
			if key == "" {
				key = "-"
			}
			printf(w, "  %-34s %-8s %s\n", key, d.Value, d.Meaning)
		}
		bullets(w, h("guards"), t.Guards)
		bullets(w, h("falsePositives"), t.FalsePositives)
		bullets(w, h("evidence"), t.Evidence)
		bullets(w, h("remediation"), t.Remediation)
		printf(w, "\n%s  %s\n", h("scenario"), e.Scenario())
		return nil
	})
}

func bullets(w io.Writer, head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	if head != "" {
		printf(w, "\n%s\n", head)
	}
	for _, l := range lines {
		printf(w, "  - %s\n", l)
	}
}

// headings returns the headings of texts for people in a language.
func headings(lang catalog.Lang) func(string) string {
	ja := map[string]string{
		"severity": "重大度", "tactic": "戦術", "direction": "方向", "measured": "測定対象", "formula": "判定式", "defaults": "既定値",
		"guards": "除外条件", "falsePositives": "誤検知", "evidence": "証拠", "remediation": "対処", "scenario": "シナリオ",
		"resource": "リソース", "status": "状態", "time": "時刻", "peers": "通信相手", "records": "フロー記録", "limits": "制限", "numbers": "数値",
		"observed": "観測値", "expected": "期待値", "threshold": "しきい値", "floor": "下限", "surprise": "驚き", "sampling": "サンプリング", "confidence": "信頼度", "baseline": "ベースライン", "facts": "詳細", "intel": "脅威インテリジェンス",
	}
	en := map[string]string{
		"falsePositives": "False positives", "records": "Flow records", "intel": "Threat intelligence",
	}
	return func(key string) string {
		if lang == catalog.JA {
			if s, ok := ja[key]; ok {
				return s
			}
		}
		if s, ok := en[key]; ok {
			return s
		}
		return strings.ToUpper(key[:1]) + key[1:]
	}
}

package catalog

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
)

// row is a row of the table of the source pages.
type row struct {
	id           weir.AlertType
	en, ja       string
	severity     weir.Severity
	tactic       string
	placeholders string
}

// table is the list of the 15 alerts: exact ids, titles, severities, tactics and
// placeholders in the order of their first use.
func table() []row {
	return []row{
		{"Network_CommunicationWithC2", "Network communication with a malicious machine detected", "悪意のあるマシンとのネットワーク通信が検出されました", weir.Medium, "CommandAndControl", "Victim IP"},
		{"Network_ResourceIpIndicatedAsMalicious", "Possible compromised machine detected", "侵害された可能性のあるマシンが検出されました", weir.Medium, "CommandAndControl", "Machine IP"},
		{"Generic_Incoming_BF_OneToOne", "Possible incoming %{Service Name} brute force attempts detected", "%{Service Name} ブルート フォース攻撃を受信した可能性が検出されました", weir.Informational, "PreAttack", "Service Name, Victim IP, Compromised Host, Attacker IP, Start Time, End Time, Victim Port"},
		{"SQL_Incoming_BF_OneToOne", "Possible incoming SQL brute force attempts detected", "SQL ブルート フォース攻撃が試行された可能性が検出されました", weir.Medium, "PreAttack", "Victim IP, Compromised Host, Attacker IP, Start Time, End Time, Port Number, SQL Service Type"},
		{"DDOS", "Possible outgoing denial-of-service attack detected", "サービス拒否攻撃が送信された可能性が検出されました", weir.Medium, "Impact", "Compromised Host, Possible Victims"},
		{"RDP_Incoming_BF_ManyToOne", "Suspicious incoming RDP network activity from multiple sources", "複数のソースからの不審な着信 RDP ネットワーク アクティビティ", weir.Medium, "PreAttack", "Victim IP, Compromised Host, Number of Attacking IPs"},
		{"RDP_Incoming_BF_OneToOne", "Suspicious incoming RDP network activity", "不審な着信 RDP ネットワーク アクティビティ", weir.Medium, "PreAttack", "Victim IP, Compromised Host, Attacker IP, Number of Connections"},
		{"SSH_Incoming_BF_ManyToOne", "Suspicious incoming SSH network activity from multiple sources", "複数のソースからの不審な着信 SSH ネットワーク アクティビティ", weir.Medium, "PreAttack", "Victim IP, Compromised Host, Number of Attacking IPs"},
		{"SSH_Incoming_BF_OneToOne", "Suspicious incoming SSH network activity", "不審な着信 SSH ネットワーク アクティビティ", weir.Medium, "PreAttack", "Victim IP, Compromised Host, Attacker IP, Number of Connections"},
		{"PortScanning", "Suspicious outgoing %{Attacked Protocol} traffic detected", "不審な %{Attacked Protocol} の送信トラフィックが検出されました", weir.Medium, "Discovery", "Attacked Protocol, Compromised Host, Most Common Port"},
		{"RDP_Outgoing_BF_OneToMany", "Suspicious outgoing RDP network activity to multiple destinations", "複数の送信先への不審な発信 RDP ネットワーク アクティビティ", weir.High, "Discovery", "Compromised Host, Attacker IP, Number of Attacked IPs"},
		{"RDP_Outgoing_BF_OneToOne", "Suspicious outgoing RDP network activity", "不審な発信 RDP ネットワーク アクティビティ", weir.High, "LateralMovement", "Victim IP, Compromised Host, Attacker IP, Number of Connections"},
		{"SSH_Outgoing_BF_OneToMany", "Suspicious outgoing SSH network activity to multiple destinations", "複数の送信先への不審な発信 SSH ネットワーク アクティビティ", weir.Medium, "Discovery", "Compromised Host, Attacker IP, Number of Attacked IPs"},
		{"SSH_Outgoing_BF_OneToOne", "Suspicious outgoing SSH network activity", "不審な発信 SSH ネットワーク アクティビティ", weir.Medium, "LateralMovement", "Victim IP, Compromised Host, Attacker IP, Number of Connections"},
		{"Network_TrafficFromUnrecommendedIP", "Traffic detected from IP addresses recommended for blocking", "ブロックを推奨されていた IP アドレスからトラフィックが検出されました", weir.Informational, "Probing", ""},
	}
}

func TestTable(t *testing.T) {
	entries := Entries()
	rows := table()
	if len(entries) != len(rows) {
		t.Fatalf("got %d entries, want %d", len(entries), len(rows))
	}
	for i, r := range rows {
		e := entries[i]
		got := row{e.Type, e.EN.Title, e.JA.Title, e.Severity, e.Tactic, strings.Join(e.Placeholders, ", ")}
		if diff := cmp.Diff(r, got, cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", r.id, diff)
		}
		want := strings.Split(r.placeholders, ", ")
		if r.placeholders == "" {
			want = nil
		}
		slices.Sort(want)
		for _, lang := range Langs() {
			text := e.Text(lang)
			have := placeholders(text.Title, text.Description)
			slices.Sort(have)
			if !slices.Equal(have, want) {
				t.Errorf("%s %s: placeholders %q, want %q", r.id, lang, have, want)
			}
		}
	}
}

func TestTotals(t *testing.T) {
	severity, tacticCount := map[weir.Severity]int{}, map[string]int{}
	for _, e := range Entries() {
		severity[e.Severity]++
		tacticCount[e.Tactic]++
	}
	if diff := cmp.Diff(map[weir.Severity]int{weir.Medium: 11, weir.Informational: 2, weir.High: 2}, severity); diff != "" {
		t.Error(diff)
	}
	want := map[string]int{CommandAndControl: 2, PreAttack: 6, Impact: 1, Discovery: 3, LateralMovement: 2, Probing: 1}
	if diff := cmp.Diff(want, tacticCount); diff != "" {
		t.Error(diff)
	}
}

// TestElements counts the elements that the descriptions must keep.
func TestElements(t *testing.T) {
	elements := []struct {
		name   string
		en, ja string
		want   int
		not    []weir.AlertType
		only   []weir.AlertType
	}{
		{name: "load balancer", en: "a load balancer or an application gateway", ja: "ロード バランサーまたはアプリケーション ゲートウェイ", want: 13, not: []weir.AlertType{weir.ResourceIPMalicious, weir.TrafficFromUnrecommended}},
		{name: "sampled data", en: "sampled network data", ja: "サンプリングされたネットワーク データ", want: 10},
		{name: "abnormal", en: "abnormal for this environment", ja: "この環境では異常", want: 8},
		{name: "reputation", en: "flag the address as malicious", ja: "悪意のあるものと判定される", want: 4, only: []weir.AlertType{weir.RDPOutgoingOneToMany, weir.RDPOutgoingOneToOne, weir.SSHOutgoingOneToMany, weir.SSHOutgoingOneToOne}},
	}
	for _, element := range elements {
		en, ja := 0, 0
		for _, e := range Entries() {
			inEN, inJA := strings.Contains(e.EN.Description, element.en), strings.Contains(e.JA.Description, element.ja)
			if inEN != inJA {
				t.Errorf("%s: %s in one language only", e.Type, element.name)
			}
			if inEN && slices.Contains(element.not, e.Type) || inEN && element.only != nil && !slices.Contains(element.only, e.Type) {
				t.Errorf("%s: must not have %s", e.Type, element.name)
			}
			if inEN {
				en++
			}
			if inJA {
				ja++
			}
		}
		if en != element.want || ja != element.want {
			t.Errorf("%s: %d EN, %d JA, want %d", element.name, en, ja, element.want)
		}
	}
}

// TestHedges keeps every description a possibility, as the source pages do.
func TestHedges(t *testing.T) {
	for _, e := range Entries() {
		switch e.Type {
		case weir.GenericIncomingOneToOne, weir.SQLIncomingOneToOne:
			if !strings.Contains(e.EN.Description, "consistent with") || !strings.Contains(e.JA.Description, "一致して") {
				t.Errorf("%s: hedge lost", e.Type)
			}
		case weir.TrafficFromUnrecommended:
		default:
			if !strings.Contains(e.EN.Description, "may ") || !strings.Contains(e.JA.Description, "可能性") {
				t.Errorf("%s: hedge lost", e.Type)
			}
		}
	}
}

// allTexts returns every string of a text with its place.
func allTexts(text Text) map[string]string {
	all := map[string]string{"title": text.Title, "description": text.Description, "measured": text.Measured, "default expression": text.Expression}
	add := func(name string, list []string) {
		if len(list) == 0 {
			all[name] = ""
		}
		for i, s := range list {
			all[name+" "+string(rune('a'+i))] = s
		}
	}
	add("formula", text.Formula)
	add("guards", text.Guards)
	add("false positives", text.FalsePositives)
	add("evidence", text.Evidence)
	add("remediation", text.Remediation)
	for i, d := range text.Defaults {
		all["default value "+string(rune('a'+i))] = d.Value
		all["default meaning "+string(rune('a'+i))] = d.Meaning
	}
	if len(text.Defaults) == 0 {
		all["defaults"] = ""
	}
	return all
}

var (
	halfWidthJA  = regexp.MustCompile(`[ぁ-んァ-ヶ一-龠][,.;:?!]|[ぁ-んァ-ヶ一-龠)][(]|[,.][ぁ-んァ-ヶ一-龠]`)
	doubleSpaces = regexp.MustCompile(`  |　`)
	japanese     = regexp.MustCompile(`[ぁ-んァ-ヶ一-龠]`)
)

// TestWording holds the form of all texts: none empty, sentences end with a stop,
// full-width punctuation in Japanese, no Japanese in English texts, none of the
// faults of the source pages.
func TestWording(t *testing.T) {
	faults := []string{"プレアタッチ", "%{サービス名}", "%{最も一般的なポート}", "originated from to", "送信元への", "受信接続", "送信接続"}
	for _, e := range Entries() {
		for _, lang := range Langs() {
			stop := "."
			if lang == JA {
				stop = "。"
			}
			for place, text := range allTexts(e.Text(lang)) {
				where := string(e.Type) + " " + string(lang) + " " + place
				if strings.TrimSpace(text) == "" || text != strings.TrimSpace(text) {
					t.Errorf("%s: empty or padded: %q", where, text)
				}
				if place != "default expression" && doubleSpaces.MatchString(text) {
					t.Errorf("%s: double space: %q", where, text)
				}
				for _, fault := range faults {
					if strings.Contains(text, fault) {
						t.Errorf("%s: %q in %q", where, fault, text)
					}
				}
				if place != "title" && !strings.HasPrefix(place, "default") && !strings.HasSuffix(text, stop) {
					t.Errorf("%s: no stop at the end: %q", where, text)
				}
				if lang == JA && halfWidthJA.MatchString(text) {
					t.Errorf("%s: half-width punctuation: %q at %q", where, text, halfWidthJA.FindString(text))
				}
				if lang == EN && japanese.MatchString(text) {
					t.Errorf("%s: Japanese: %q", where, text)
				}
				if !strings.Contains(place, "title") && place != "description" && strings.Contains(text, "%{") {
					t.Errorf("%s: placeholder: %q", where, text)
				}
			}
		}
	}
}

// TestParity holds the two languages to the same structure.
func TestParity(t *testing.T) {
	for _, e := range Entries() {
		en, ja := e.EN, e.JA
		sizes := func(x Text) []int {
			return []int{len(x.Formula), len(x.Defaults), len(x.Guards), len(x.FalsePositives), len(x.Evidence), len(x.Remediation)}
		}
		if diff := cmp.Diff(sizes(en), sizes(ja)); diff != "" {
			t.Errorf("%s: %s", e.Type, diff)
			continue
		}
		for i := range en.Defaults {
			if en.Defaults[i].Key != ja.Defaults[i].Key {
				t.Errorf("%s: default %d: %q and %q", e.Type, i, en.Defaults[i].Key, ja.Defaults[i].Key)
			}
		}
	}
}

func TestMatchTitle(t *testing.T) {
	for _, e := range Entries() {
		for _, title := range append([]string{e.EN.Title, e.JA.Title, e.EN.Title + " (" + e.JA.Title + ")", sampleTitle + e.EN.Title}, e.LegacyTitles...) {
			if got, ok := MatchTitle(title); !ok || got != e.Type {
				t.Errorf("%q: got %q %v, want %q", title, got, ok, e.Type)
			}
		}
	}
	for title, want := range map[string]weir.AlertType{
		"Possible incoming SMB brute force attempts detected": weir.GenericIncomingOneToOne,
		"Possible incoming SQL brute force attempts detected": weir.SQLIncomingOneToOne,
		"不審な port 8291 の送信トラフィックが検出されました":                     weir.PortScanning,
		"複数の送信元への不審な発信 RDP ネットワーク アクティビティ":                    weir.RDPOutgoingOneToMany,
		"Possible incoming  brute force attempts detected":    "",
		"Suspicious outgoing RDP network activity to nobody":  "",
		"Suspicious incoming SSH network activity ":           weir.SSHIncomingOneToOne,
		"SSH ブルート フォース攻撃を受信した可能性が検出されました":                     weir.GenericIncomingOneToOne,
		"": "",
	} {
		got, ok := MatchTitle(title)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
}

func TestMatchTactic(t *testing.T) {
	for text, want := range map[string]string{
		"PreAttack": PreAttack, "プレアタック": PreAttack, "プレアタッチ": PreAttack, "攻撃前": PreAttack, "検出": Discovery, "探索": Discovery,
		"lateral movement": LateralMovement, "LateralMovement": LateralMovement, "コマンドとコントロール": CommandAndControl, "影響": Impact, "プローブ": Probing, "横移動": LateralMovement,
		"": "", "Execution": "",
	} {
		if got, ok := MatchTactic(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for _, tactic := range []string{PreAttack, Probing, Discovery, LateralMovement, CommandAndControl, Impact} {
		for _, lang := range Langs() {
			if got, _ := MatchTactic(TacticName(tactic, lang)); got != tactic {
				t.Errorf("%s %s: %q", tactic, lang, got)
			}
		}
	}
}

func TestCanonicalPlaceholder(t *testing.T) {
	for in, want := range map[string]string{"サービス名": "Service Name", "最も一般的なポート": "Most Common Port", "Victim IP": "Victim IP"} {
		if got := CanonicalPlaceholder(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestLookupIsFresh keeps an entry the property of its caller.
func TestLookupIsFresh(t *testing.T) {
	e, _ := Lookup(weir.SSHIncomingOneToOne)
	e.Placeholders[0], e.EN.Remediation[0] = "spoilt", "spoilt"
	again, _ := Lookup(weir.SSHIncomingOneToOne)
	if again.Placeholders[0] == "spoilt" || again.EN.Remediation[0] == "spoilt" {
		t.Error("a change to one entry shows in the next")
	}
	if _, ok := Lookup("Nothing"); ok {
		t.Error("found an entry for an unknown type")
	}
}

func TestLang(t *testing.T) {
	for text, want := range map[string]Lang{"en": EN, "JA": JA} {
		if got, err := ParseLang(text); err != nil || got != want {
			t.Errorf("ParseLang(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "fr", "ja_JP"} {
		if got, err := ParseLang(text); err == nil {
			t.Errorf("ParseLang(%q) = %q", text, got)
		}
	}
	for env, want := range map[string]Lang{"": EN, "C": EN, "POSIX": EN, "en_US.UTF-8": EN, "ja_JP.UTF-8": JA, "ja": JA, "ja.UTF-8": JA, "ja_JP@x": JA, "jam_JM": EN} {
		if got := FromLocale(env); got != want {
			t.Errorf("FromLocale(%q) = %q", env, got)
		}
	}
	for header, want := range map[string]Lang{
		"": EN, "*": EN, "ja": JA, "ja-JP,ja;q=0.9,en;q=0.8": JA, "en-GB,ja;q=0.5": EN, "fr,ja;q=0.3": JA, "fr": EN, "ja;q=0.1,en;q=0.9": EN, ";;;": EN, strings.Repeat("ja,", 400): EN,
	} {
		if got := Match(header); got != want {
			t.Errorf("Match(%.40q) = %q, want %q", header, got, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("ja-JP,ja;q=0.9")
	f.Add("x-----")
	f.Fuzz(func(t *testing.T, header string) {
		if l := Match(header); l != EN && l != JA {
			t.Errorf("%q", l)
		}
		if l := FromLocale(header); l != EN && l != JA {
			t.Errorf("%q", l)
		}
	})
}

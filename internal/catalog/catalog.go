package catalog

import (
	"slices"
	"strings"

	"github.com/weir-net/weir"
)

// Kind is the kind of decision behind a rule; it decides the shape of the
// explaining sentence.
type Kind string

// Kinds of rules.
const (
	Pair         Kind = "pair"          // one peer against one resource
	Aggregate    Kind = "aggregate"     // many peers against one resource
	Rate         Kind = "rate"          // outgoing volume
	Scan         Kind = "scan"          // outgoing probes
	Indicator    Kind = "indicator"     // an indicator on the peer
	OwnIndicator Kind = "own-indicator" // an indicator on the own address
	Blocklist    Kind = "blocklist"     // peers recommended for blocking
)

// Tactics in the spelling of the alert object.
const (
	PreAttack         = "PreAttack"
	Probing           = "Probing"
	Discovery         = "Discovery"
	LateralMovement   = "LateralMovement"
	CommandAndControl = "CommandAndControl"
	Impact            = "Impact"
)

// Entry is all that the catalogue knows of one alert type. An entry belongs to
// the caller, who may change it freely.
type Entry struct {
	Type     weir.AlertType `json:"id"`
	Severity weir.Severity  `json:"severity"`
	// Tactic is one of the six constants.
	Tactic string `json:"tactic"`
	// Techniques are MITRE ATT&CK ids. The source pages name none; the choice is
	// an inference.
	Techniques []string `json:"techniques"`
	// Direction is seen from the protected resource; empty means either.
	Direction weir.Direction `json:"direction,omitempty"`
	Kind      Kind           `json:"kind"`
	// Placeholders are the names of the source page in the order of their first
	// use there, title first. They are the keys of the parameters.
	Placeholders []string `json:"placeholders"`
	// LegacyTitles are faulty or older titles by which the alert is still
	// recognised. They are never shown.
	LegacyTitles []string `json:"legacyTitles,omitempty"`
	// Erratum names the decision record that explains why a shown text differs
	// from the source page; empty where it does not.
	Erratum string `json:"erratum,omitempty"`
	EN      Text   `json:"en"`
	JA      Text   `json:"ja"`
}

// Text is the wording of an entry in one language. Title and Description hold
// placeholders, the other fields do not.
type Text struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	// Measured says what is counted, Expression is the decision as formulas in
	// lines of plain text, and Formula explains its symbols.
	Measured       string    `json:"measured"`
	Expression     string    `json:"expression"`
	Formula        []string  `json:"formula"`
	Defaults       []Default `json:"defaults"`
	Guards         []string  `json:"guards"`
	FalsePositives []string  `json:"falsePositives"`
	Evidence       []string  `json:"evidence"`
	Remediation    []string  `json:"remediation"`
}

// Default is one number of a rule. Key is the configuration key, empty for a
// number that is fixed.
type Default struct {
	Key     string `json:"key,omitempty"`
	Value   string `json:"value"`
	Meaning string `json:"meaning"`
}

// Text returns the wording in a language; English for an unknown one.
func (e Entry) Text(lang Lang) Text {
	if lang == JA {
		return e.JA
	}
	return e.EN
}

// Scenario returns the path of the scenario file of the rule, relative to the
// root of the repository.
func (e Entry) Scenario() string { return "scenarios/" + string(e.Type) + ".scn" }

// Entries returns the 15 entries in the order of [weir.AlertTypes].
func Entries() []Entry {
	types := weir.AlertTypes()
	entries := make([]Entry, 0, len(types))
	for _, t := range types {
		if e, ok := Lookup(t); ok {
			entries = append(entries, e)
		}
	}
	return entries
}

// Lookup returns the entry of an alert type and whether there is one.
func Lookup(id weir.AlertType) (Entry, bool) {
	switch id {
	case weir.CommunicationWithC2:
		return entryC2(), true
	case weir.ResourceIPMalicious:
		return entryInfected(), true
	case weir.GenericIncomingOneToOne:
		return entryGeneric(), true
	case weir.SQLIncomingOneToOne:
		return entrySQL(), true
	case weir.DDoS:
		return entryDDoS(), true
	case weir.RDPIncomingManyToOne:
		return entryManyToOne(rdp(), id), true
	case weir.RDPIncomingOneToOne:
		return entryIncoming(rdp(), id), true
	case weir.SSHIncomingManyToOne:
		return entryManyToOne(ssh(), id), true
	case weir.SSHIncomingOneToOne:
		return entryIncoming(ssh(), id), true
	case weir.PortScanning:
		return entryScan(), true
	case weir.RDPOutgoingOneToMany:
		return entryOneToMany(rdp(), id, weir.High), true
	case weir.RDPOutgoingOneToOne:
		return entryOutgoing(rdp(), id, weir.High), true
	case weir.SSHOutgoingOneToMany:
		return entryOneToMany(ssh(), id, weir.Medium), true
	case weir.SSHOutgoingOneToOne:
		return entryOutgoing(ssh(), id, weir.Medium), true
	case weir.TrafficFromUnrecommended:
		return entryBlocked(), true
	}
	return Entry{}, false
}

// MatchTitle returns the alert type that a title names: in English or
// Japanese, in the form "English (Japanese)" of the Japanese source page, with
// placeholders filled or not, and by its legacy titles. The prefix of sample
// alerts is ignored.
func MatchTitle(title string) (weir.AlertType, bool) {
	title = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(title), strings.TrimSpace(sampleTitle)))
	entries := Entries()
	// Titles without placeholders first: the pattern of Generic fits that of SQL.
	for _, pattern := range []bool{false, true} {
		for _, e := range entries {
			if strings.Contains(e.EN.Title, "%{") != pattern {
				continue
			}
			japanese := append([]string{e.JA.Title}, e.LegacyTitles...)
			known := append([]string{e.EN.Title}, japanese...)
			for _, ja := range japanese {
				known = append(known, e.EN.Title+" ("+ja+")")
			}
			for _, k := range known {
				if titleMatches(title, k) {
					return e.Type, true
				}
			}
		}
	}
	return "", false
}

// titleMatches compares a title with a known one in which placeholders stand
// for any text of at least one character.
func titleMatches(title, known string) bool {
	parts := splitPlaceholders(known)
	if len(parts) == 1 {
		return title == known
	}
	if !strings.HasPrefix(title, parts[0]) {
		return false
	}
	rest := title[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 1 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return len(rest) > len(last) && strings.HasSuffix(rest, last)
}

// splitPlaceholders returns the literal parts around the placeholders of text.
func splitPlaceholders(text string) []string {
	var parts []string
	for {
		before, after, found := strings.Cut(text, "%{")
		parts = append(parts, before)
		if !found {
			return parts
		}
		_, text, _ = strings.Cut(after, "}")
	}
}

// CanonicalPlaceholder returns the English name of a placeholder, following the
// two that the Japanese source page translates by mistake. They are accepted
// on input and never written.
func CanonicalPlaceholder(name string) string {
	switch name {
	case "サービス名":
		return "Service Name"
	case "最も一般的なポート":
		return "Most Common Port"
	}
	return name
}

// MatchTactic returns the tactic that a text names: the spelling of the alert
// object, the English or Japanese name, or a Japanese form that older pages
// used.
func MatchTactic(text string) (string, bool) {
	for _, t := range tactics() {
		if strings.EqualFold(text, t.id) || strings.EqualFold(text, t.en) || text == t.ja || slices.Contains(t.legacy, text) {
			return t.id, true
		}
	}
	return "", false
}

// tactic is a tactic with its names.
type tactic struct {
	id, en, ja string
	legacy     []string
}

// tactics returns the six tactics in the order of the kill chain.
func tactics() []tactic {
	return []tactic{
		{PreAttack, "PreAttack", "プレアタック", []string{"プレアタッチ", "攻撃前"}},
		{Probing, "Probing", "プローブ", nil},
		{Discovery, "Discovery", "探索", []string{"検出"}},
		{LateralMovement, "Lateral Movement", "横移動", nil},
		{CommandAndControl, "Command and Control", "コマンドとコントロール", nil},
		{Impact, "Impact", "影響", nil},
	}
}

// TacticName returns the display name of a tactic; the id itself when it is
// unknown.
func TacticName(id string, lang Lang) string {
	for _, t := range tactics() {
		if t.id == id {
			if lang == JA {
				return t.ja
			}
			return t.en
		}
	}
	return id
}

// SeverityName returns the display name of a severity.
func SeverityName(s weir.Severity, lang Lang) string {
	if lang != JA {
		return s.String()
	}
	switch s {
	case weir.High:
		return "高"
	case weir.Medium:
		return "中"
	case weir.Low:
		return "低"
	case weir.Informational:
		return "情報"
	}
	return s.String()
}

// StatusName returns the display name of a status.
func StatusName(s weir.Status, lang Lang) string {
	en, ja := string(s), string(s)
	switch s {
	case weir.Active:
		ja = "アクティブ"
	case weir.InProgress:
		en, ja = "In progress", "進行中"
	case weir.Resolved:
		ja = "解決済み"
	case weir.Dismissed:
		ja = "無視"
	}
	if lang == JA {
		return ja
	}
	return en
}

// DirectionName returns the display name of a direction; that of either
// direction for the empty one.
func DirectionName(d weir.Direction, lang Lang) string {
	en, ja := "Incoming or outgoing", "着信または発信"
	switch d {
	case weir.Incoming:
		en, ja = "Incoming", "着信"
	case weir.Outgoing:
		en, ja = "Outgoing", "発信"
	}
	if lang == JA {
		return ja
	}
	return en
}

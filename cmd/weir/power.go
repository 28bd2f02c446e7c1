package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) powerCommand() *cobra.Command {
	var rates rateList
	var rules []string
	c := &cobra.Command{
		Use: "power [flags]", Short: "Show the smallest attack that is found, per rule and sampling rate",
		Long: `Power prints, for every rule and sampling rate, the smallest attack that is found
with a probability of 95 %: what is smaller may pass unseen, and silence says
nothing about it. The numbers follow from the rules and their settings (--config,
--set), not from traffic that was seen.

Column "smallest" is for a service with a week of history, "young" for one in its
first week, whose habits are not known yet, and "new" for one that has just been
met: on its first day, for windows of 24 hours under sampling on its first three.
A dash means that no number is found. With several rates a table has one column for each;
-o wide or one --sampling shows why.`,
		Example: "  weir power\n  weir power --sampling 4096\n  weir power --rule SSH_Incoming_BF_OneToOne --set detect.ssh.floor1h=60\n" +
			"  weir power --sampling 1000 -o csv --columns rule,kind,window,smallest,unit",
		Args: usageArgs(cobra.NoArgs, "power [--sampling N] [--rule ID]"), ValidArgsFunction: noFiles,
		RunE: a.do(func(context.Context, []string) error { return a.power(rates, rules) }),
	}
	fs := c.Flags()
	fs.Var(&rates, "sampling", "packet sampling 1-in-`N`; repeatable (default: common rates from 1 to 16384)")
	fs.StringArrayVar(&rules, "rule", nil, "`ID` of a rule; repeatable (default: all)")
	a.setFlag(fs)
	_ = c.RegisterFlagCompletionFunc("rule", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, t := range weir.AlertTypes() {
			out = append(out, string(t))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
	_ = c.RegisterFlagCompletionFunc("sampling", cobra.FixedCompletions([]string{"1000", "4096"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// rateList is a list of rates, given one by one or with commas.
type rateList []uint32

func (l *rateList) String() string {
	out := make([]string, len(*l))
	for i, n := range *l {
		out[i] = fmt.Sprint(n)
	}
	return strings.Join(out, ",")
}

func (*rateList) Type() string { return "N" }

// Set implements pflag.Value.
func (l *rateList) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		var r rate
		if err := r.Set(part); err != nil {
			return err
		}
		*l = append(*l, uint32(r))
	}
	return nil
}

// powerRow is one number with its reason in words.
type powerRow struct {
	engine.Power
	Basis string `json:"basis"`
}

func (a *app) power(rates []uint32, ids []string) error {
	lang, err := a.lang()
	if err != nil {
		return err
	}
	rules := weir.AlertTypes()
	if len(ids) > 0 {
		rules = nil
		for _, id := range ids {
			e, err := findRule(id)
			if err != nil {
				return err
			}
			rules = append(rules, e.Type)
		}
	}
	loaded, err := a.load()
	if err != nil {
		return err
	}
	if len(rates) == 0 {
		rates = engine.PowerRates()
	}
	slices.Sort(rates)
	rates = slices.Compact(rates)
	rows, err := engine.Powers(&loaded.Config, rules, rates)
	if err != nil {
		return err
	}
	if a.output == "table" && len(rates) > 1 && len(a.columns) == 0 {
		err = a.powerTable(rows, rates, lang)
	} else {
		err = a.powerList(rows, lang)
	}
	if err != nil {
		return err
	}
	for _, line := range powerAssumptions(lang) {
		a.note("%s", line)
	}
	return nil
}

func (a *app) powerList(rows []engine.Power, lang catalog.Lang) error {
	out, err := newList(a, []column[powerRow]{
		{name: "rule", text: func(r powerRow) string { return string(r.Rule) }},
		{name: "kind", text: func(r powerRow) string { return powerKind(r.Kind, lang) }},
		{name: "sampling", text: func(r powerRow) string { return fmt.Sprintf("1:%d", r.Sampling) }},
		{name: "window", text: func(r powerRow) string { return dash(r.Window) }},
		{name: "smallest", text: func(r powerRow) string { return number(r.Smallest) }},
		{name: "young", text: func(r powerRow) string { return number(r.Young) }},
		{name: "new", text: func(r powerRow) string { return number(r.New) }},
		{name: "unit", text: func(r powerRow) string { return powerUnit(r.Unit, lang) }},
		{name: "perSecond", text: func(r powerRow) string { return number(r.PerSecond) }},
		{name: "direction", wide: true, text: func(r powerRow) string { return catalog.DirectionName(r.Direction, lang) }},
		{name: "packets", wide: true, text: func(r powerRow) string { return number(&r.Packets) }},
		{name: "gate", wide: true, text: func(r powerRow) string { return r.Gate }},
		{name: "basis", text: func(r powerRow) string { return r.Basis }},
	})
	if err != nil {
		return err
	}
	for _, p := range rows {
		if err := out.add(powerRow{p, powerBasis(p.Gate, lang)}); err != nil {
			return err
		}
	}
	return out.close()
}

// powerTable shows the rates side by side.
func (a *app) powerTable(rows []engine.Power, rates []uint32, lang catalog.Lang) error {
	cols := []column[[]engine.Power]{
		{name: "rule", text: func(r []engine.Power) string { return string(r[0].Rule) }},
		{name: "kind", text: func(r []engine.Power) string { return powerKind(r[0].Kind, lang) }},
		{name: "window", text: func(r []engine.Power) string { return dash(r[0].Window) }},
		{name: "unit", text: func(r []engine.Power) string { return powerUnit(r[0].Unit, lang) }},
	}
	for i, n := range rates {
		cols = append(cols, column[[]engine.Power]{name: fmt.Sprintf("1:%d", n), text: func(r []engine.Power) string { return number(r[i].Smallest) }})
	}
	out, err := newList(a, cols)
	if err != nil {
		return err
	}
	// The rows come rate by rate; those of one kind belong together.
	type key struct {
		rule         weir.AlertType
		kind, window string
	}
	var order []key
	by := map[key][]engine.Power{}
	for _, r := range rows {
		k := key{r.Rule, r.Kind, r.Window}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], r)
	}
	for _, k := range order {
		if err := out.add(by[k]); err != nil {
			return err
		}
	}
	return out.close()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// number writes a number as people read it: whole from 100 on, else with three
// digits.
func number(v *float64) string {
	switch {
	case v == nil || *v == 0:
		return "-"
	case *v >= 100 || *v == math.Trunc(*v):
		return fmt.Sprintf("%.0f", *v)
	}
	return fmt.Sprintf("%.3g", *v)
}

// powerKind names a kind of attack. Services keep their names.
func powerKind(kind string, lang catalog.Lang) string {
	en := map[string]string{
		"beacon": "beacons to a listed controller", "report": "own address reported", "listed": "listed visitor", "stranger": "stranger",
		"syn": "SYN flood", "reflector": "reflected UDP", "udp/icmp": "UDP or ICMP flood",
		"sweep": "one port, many hosts", "vertical": "many ports, one host", "logins": "logins, other services", "others": "other services",
	}
	ja := map[string]string{
		"beacon": "登録済み C2 へのビーコン", "report": "自アドレスの報告", "listed": "登録済みの訪問者", "stranger": "未知の訪問者",
		"syn": "SYN フラッド", "reflector": "UDP リフレクション", "udp/icmp": "UDP・ICMP フラッド",
		"sweep": "1 ポート・多数ホスト", "vertical": "多数ポート・1 ホスト", "logins": "その他サービスへのログイン", "others": "その他のサービス",
	}
	words := en
	if lang == catalog.JA {
		words = ja
	}
	if s, ok := words[kind]; ok {
		return s
	}
	return kind
}

func powerUnit(unit string, lang catalog.Lang) string {
	if lang != catalog.JA {
		return unit
	}
	if s, ok := map[string]string{
		"connections": "接続", "sources": "送信元", "destinations": "宛先", "ports": "ポート", "packets/s": "パケット/秒", "reports": "報告",
	}[unit]; ok {
		return s
	}
	return unit
}

// powerBasis says which condition decides.
func powerBasis(gate string, lang catalog.Lang) string {
	words := map[string][2]string{
		"floor":    {"the lower bound of the true number must reach the floor", "真の数の下限値が規則の下限に達する必要がある"},
		"shape":    {"enough sampled packets to tell short connections from long sessions", "短い接続と長いセッションを区別できる数のサンプルパケットが必要"},
		"replies":  {"enough sampled answers of the server to tell how long they are", "サーバーの応答の長さが分かる数のサンプルが必要"},
		"surprise": {"the number must stand out from what is normal", "通常の数から際立つ必要がある"},
		"peers":    {"enough different peers must show in the sample", "サンプルに十分な数の相手が現れる必要がある"},
		"marks":    {"enough unanswered first contacts must show in the sample", "応答のない初回接触がサンプルに十分現れる必要がある"},
		"contact":  {"a sampled packet or two are enough", "サンプルパケット 1～2 個で足りる"},
		"report":   {"rests on the report and any sampled packet of the address, not on the traffic of an attack", "報告と当該アドレスの任意のサンプルパケットに基づき、攻撃トラフィックの量によらない"},
		"off":      {"switched off by configuration", "設定により無効"},
		"never":    {"no number is found: connections so long look like sessions", "検出できる数はない: これほど長い接続はセッションと区別できない"},
	}
	w := words[gate]
	if lang == catalog.JA {
		return w[1]
	}
	return w[0]
}

// powerAssumptions are what the numbers rest on.
func powerAssumptions(lang catalog.Lang) []string {
	if lang == catalog.JA {
		return []string{
			"前提: パケットの無作為抽出、攻撃は 1 つの時間枠に収まる、接続の長さは各サービスの標準値 (detect.FAMILY.packetsPerConnection)。",
			fmt.Sprintf("多数の送信元・宛先: 各 %d 接続。背景は 1 時間に %d の雑音源で、うち %d がそれぞれ %d パケットのログインを行う (過去 1 週間も同様)。",
				engine.PowerLogins, engine.PowerNoise, engine.PowerNoiseLogins, engine.PowerNoisePackets),
			"スキャン: 宛先の 95 % は応答せず、リソースの通常の SYN は少ないと分かっている。フラッド: 3 分間。同種のパケットが既知でまれな場合は 10 分の 1 でも検出されうる。",
			"未知の訪問者: 常連の集合が成熟した場合のみ (14 日、網羅率 0.98)。",
		}
	}
	return []string{
		"Assumed: packets are sampled at random, the attack falls within one window, connections have the usual length of their service (detect.FAMILY.packetsPerConnection).",
		fmt.Sprintf("Many sources or destinations: %d connections each; in the background %d noisy sources an hour, %d of them logging in with %d packets each, for a week.",
			engine.PowerLogins, engine.PowerNoise, engine.PowerNoiseLogins, engine.PowerNoisePackets),
		"Scans: 95 % of the targets stay silent, and the resource is known to send few SYNs otherwise. Floods: three minutes; where such packets are rare but known, a tenth may be found.",
		"Strangers: where the set of regular visitors is mature (14 days, coverage 0.98).",
	}
}

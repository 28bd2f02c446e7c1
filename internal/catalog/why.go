package catalog

import (
	"strconv"

	"github.com/weir-net/weir"
)

// Why returns the sentence that an alert opens with: what was observed, with its
// interval and the sampling behind it, what is normal here, the threshold and
// the floor. It is one sentence with the numbers of the finding filled in; parts
// that a finding has no numbers for are left out.
func Why(a *weir.Alert, lang Lang) string {
	f := &a.Finding
	entry, ok := Lookup(f.Type)
	if !ok {
		return ""
	}
	en, ja := whyMessages(entry.Kind, f)
	m := en
	if lang == JA {
		m = ja
	}
	return m.format(whyParameters(f, lang), unknownWord(lang))
}

// whyMessages returns the sentence for a kind of rule in both languages.
func whyMessages(kind Kind, f *weir.Finding) (en, ja message) {
	switch kind {
	case Pair:
		if f.Direction == weir.Outgoing {
			return "Observed %{quantity} (%{sampled}) in %{window} from %{own} to %{peers}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
				"%{own} から %{peers} への %{quantity} を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
		}
		return "Observed %{quantity} (%{sampled}) in %{window} from %{peers} to %{own}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
			"%{peers} から %{own} への %{quantity} を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
	case Aggregate:
		if f.Direction == weir.Outgoing {
			return "Observed %{service} traffic to %{quantity} (%{sampled}) in %{window} from %{own}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
				"%{own} から %{quantity} への %{service} 通信を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
		}
		return "Observed %{service} traffic from %{quantity} (%{sampled}) in %{window} to %{own}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
			"%{quantity} から %{own} への %{service} 通信を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
	case Rate:
		return "Observed %{quantity} (%{sampled}) sent by %{own}[ to %{peers}] within %{window}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
			"%{own} から[ %{peers} へ]の %{quantity} の送信を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
	case Scan:
		switch f.Unit {
		case weir.UnitConnections:
			return whyMessages(Pair, f) // guessing on one destination
		case weir.UnitDestinations, weir.UnitPorts:
			return "Observed %{service} probes of %{quantity} (%{sampled}) in %{window} by %{own}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
				"%{own} から %{quantity} への %{service} の探査を %{window}に観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
		}
		return "Observed %{service} probes with %{quantity} (%{sampled}) within %{window} by %{own}[; %{normal}][; threshold %{threshold}][; floor %{floor}][; surprise %{surprise}].",
			"%{own} による %{service} の探査を %{window}に %{quantity} で観測しました（%{sampled}[、%{normal}][、しきい値 %{threshold}][、下限 %{floor}][、異常度 %{surprise}]）。"
	case Indicator:
		return "Observed traffic in %{window} between %{own} and %{peers}[, which %{source} lists as %{category}][ with a score of %{score} out of 100][; %{packets}, %{rate}][; threshold %{threshold}].",
			"%{own} と、[%{source} が %{category} とする ]%{peers} との通信を %{window}に観測しました（[スコア %{score}/100、][%{packets}、]%{rate}[、しきい値 %{threshold}]）。"
	case OwnIndicator:
		if len(f.Intel) == 0 {
			return "Observed behavior of %{own} in %{window} that suggests an infection[; score %{score}][; threshold %{threshold}].",
				"%{own} の感染を示唆する挙動を %{window}に観測しました[（スコア %{score}）][（しきい値 %{threshold}）]。"
		}
		return "Observed that %{source} reports %{own} as infected[ with %{family}][, last seen %{lastSeen}][, with a score of %{score} out of 100][; threshold %{threshold}].",
			"%{source} が %{own} を[ %{family} への]感染として報告していることを確認しました（[最終報告 %{lastSeen}、]スコア %{score}/100[、しきい値 %{threshold}]）。"
	case Blocklist:
		return "Observed traffic in %{window} to %{own} from %{blocked} recommended for blocking[ (%{paths})]; %{rate}[; threshold %{threshold}].",
			"ブロックが推奨される %{blocked} から %{own} への通信を %{window}に観測しました（[%{paths}、]%{rate}[、しきい値 %{threshold}]）。"
	}
	return "", ""
}

// whyParameters returns the values of the sentence; empty values drop the
// optional part that uses them.
func whyParameters(f *weir.Finding, lang Lang) map[string]string {
	p := map[string]string{
		"own":      ownText(f, lang),
		"peers":    peersText(f, lang),
		"service":  serviceName(f),
		"window":   duration(f.Window, lang),
		"quantity": quantity(f, lang),
		"sampled":  sampledText(f, lang),
		"rate":     rateText(f.Sampling, lang),
		"normal":   normalText(f, lang),
		"blocked":  sourcesText(f, lang),
		"paths":    pathsText(f, lang),
	}
	if f.Threshold > 0 {
		p["threshold"] = amount(f.Threshold, f.Unit)
		if sampleScale(f) {
			p["threshold"] = either(lang, "%{n} sampled", "%{n}［サンプル値］").format(map[string]string{"n": p["threshold"]}, "")
		}
	}
	if f.Floor > 0 && f.Floor != f.Threshold {
		p["floor"] = amount(f.Floor, f.Unit)
	}
	if f.Surprise > 0 {
		p["surprise"] = number(f.Surprise)
	}
	if len(f.Intel) > 0 {
		i := f.Intel[0]
		p["source"], p["family"], p["category"], p["score"] = i.Source, i.Family, categoryText(i, lang), number(i.Score)
		if i.LastSeen != 0 {
			p["lastSeen"] = utc(i.LastSeen).Format("2006-01-02")
		}
	}
	if f.Unit == weir.UnitScore && p["score"] == "" {
		p["score"] = number(f.Observed)
	}
	var packets uint64
	for _, peer := range f.Peers {
		packets += min(peer.Packets, 1<<40) // no overflow on absurd input
	}
	if packets > 0 {
		p["packets"] = plural(count(packets), lang, "packet", "packets", "%{n} パケット")
	}
	return p
}

// ownText names the resource and its address.
func ownText(f *weir.Finding, lang Lang) string {
	name, addr := resourceName(f), address(f.Own)
	switch {
	case name != "" && addr != "" && name != addr:
		return either(lang, "%{name} (%{address})", "%{name}（%{address}）").format(map[string]string{"name": name, "address": addr}, "")
	case name != "":
		return name
	case addr != "":
		return addr
	}
	return string(either(lang, "the resource", "リソース"))
}

// peersText names up to three peers and counts the others.
func peersText(f *weir.Finding, lang Lang) string {
	const named = 3
	p := map[string]string{}
	for i, peer := range f.Peers[:min(len(f.Peers), named)] {
		p["peer"+strconv.Itoa(i+1)] = address(peer.Address)
	}
	if more := len(f.Peers) - named; more > 0 {
		p["more"] = count(uint64(more))
	}
	if p["peer1"] == "" {
		return ""
	}
	return either(lang, "%{peer1}[, %{peer2}][, %{peer3}][ and %{more} more]", "%{peer1}[、%{peer2}][、%{peer3}][ ほか %{more} 件]").format(p, "")
}

// quantity is the observed number with its unit: the estimate of the true
// number with its 95 % interval where there is one, except for distinct peers,
// whose true number has no honest estimate (detection reference, section 3.6).
func quantity(f *weir.Finding, lang Lang) string {
	n := amount(f.Observed, f.Unit)
	if estimated(f) {
		n = interval(f.Sampling, f.Unit)
	}
	p := map[string]string{"n": n, "service": serviceName(f)}
	switch f.Unit {
	case weir.UnitConnections:
		if n == "1" {
			return either(lang, "%{n} %{service} connection", "%{service} 接続 %{n} 件").format(p, "")
		}
		return either(lang, "%{n} %{service} connections", "%{service} 接続 %{n} 件").format(p, "")
	case weir.UnitSources:
		return plural(n, lang, "source", "sources", "%{n} 個の送信元")
	case weir.UnitDestinations:
		return plural(n, lang, "destination", "destinations", "%{n} 個の宛先")
	case weir.UnitPorts:
		return plural(n, lang, "port", "ports", "%{n} 個のポート")
	case weir.UnitPackets:
		return plural(n, lang, "packet", "packets", "%{n} パケット")
	case weir.UnitPacketsPerS:
		return either(lang, "%{n} packets/s", "%{n} パケット/秒").format(p, "")
	case weir.UnitScore:
		return either(lang, "a score of %{n}", "スコア %{n}").format(p, "")
	case weir.UnitBitsPerS:
	}
	return n
}

// estimated reports whether the quantity shows the estimate and not what was
// observed.
func estimated(f *weir.Finding) bool {
	switch f.Unit {
	case weir.UnitConnections, weir.UnitPackets, weir.UnitPacketsPerS:
		return f.Sampling.Rate > 1 && f.Sampling.Estimate != nil
	}
	return false
}

// sampleScale reports whether expected and threshold count what is seen in the
// sample while the quantity shows the estimate of the true number. Rates are
// compared on the true scale.
func sampleScale(f *weir.Finding) bool {
	return estimated(f) && (f.Unit == weir.UnitConnections || f.Unit == weir.UnitPackets)
}

// sampledText says what the quantity rests on.
func sampledText(f *weir.Finding, lang Lang) string {
	p := map[string]string{"rate": strconv.FormatUint(uint64(f.Sampling.Rate), 10), "n": amount(f.Observed, f.Unit)}
	if estimated(f) && f.Unit == weir.UnitPacketsPerS {
		return either(lang, "at least %{n}, estimated from data sampled 1/%{rate}", "下限推定値 %{n}、1/%{rate} のサンプリング データからの推定").format(p, "")
	}
	if estimated(f) && f.Unit == weir.UnitPackets {
		return either(lang, "estimated from %{n} in data sampled 1/%{rate}", "1/%{rate} のサンプリングで観測した %{n} パケットからの推定").format(p, "")
	}
	if estimated(f) {
		return either(lang, "estimated from %{n} in data sampled 1/%{rate}", "1/%{rate} のサンプリングで観測した %{n} 件からの推定").format(p, "")
	}
	if f.Sampling.Rate > 1 && f.Sampling.Estimate != nil && (f.Unit == weir.UnitSources || f.Unit == weir.UnitDestinations || f.Unit == weir.UnitPorts) {
		p["atLeast"] = amount(*f.Sampling.Estimate, f.Unit)
		return either(lang, "seen in data sampled 1/%{rate}, probably at least %{atLeast} in all", "1/%{rate} のサンプリングでの観測値、実際は少なくとも %{atLeast} と推定").format(p, "")
	}
	return rateText(f.Sampling, lang)
}

// rateText says how the data was sampled.
func rateText(s weir.Sampling, lang Lang) string {
	switch s.Rate {
	case 0:
		return string(either(lang, "sampling rate unknown, nothing estimated", "サンプリング レート不明のため推定なし"))
	case 1:
		return string(either(lang, "unsampled data", "サンプリングなしのデータ"))
	}
	return either(lang, "in data sampled 1/%{rate}", "1/%{rate} のサンプリング データ").format(map[string]string{"rate": strconv.FormatUint(uint64(s.Rate), 10)}, "")
}

// normalText says what is normal for the resource, and how well that is known.
func normalText(f *weir.Finding, lang Lang) string {
	if f.Baseline == nil {
		return ""
	}
	p := map[string]string{"n": amount(f.Expected, f.Unit), "age": days(f.Baseline.AgeDays, lang)}
	if sampleScale(f) {
		p["sampled"] = string(either(lang, "sampled", "サンプル値で"))
	}
	switch {
	case f.Baseline.Phase <= 0:
		return either(lang, "normal here is not learnt yet, assumed %{n}[ %{sampled}]", "この環境の通常値は未学習で[、%{sampled}] %{n} と仮定").format(p, "")
	case f.Baseline.Phase == 1:
		return either(lang, "normal here is about %{n}[ %{sampled}] (still learning, %{age} so far)", "この環境の通常値は[%{sampled}]約 %{n}［学習中、経過 %{age}］").format(p, "")
	}
	return either(lang, "normal here is about %{n}[ %{sampled}] (%{age} learnt)", "この環境の通常値は[%{sampled}]約 %{n}［学習期間 %{age}］").format(p, "")
}

// sourcesText counts the peers of a block recommendation.
func sourcesText(f *weir.Finding, lang Lang) string {
	n := max(f.Count, uint64(len(f.Peers)))
	return plural(count(n), lang, "source", "sources", "%{n} 個の送信元")
}

// pathsText splits the peers of a block recommendation by their path.
func pathsText(f *weir.Finding, lang Lang) string {
	var a, b uint64
	for _, peer := range f.Peers {
		switch peer.Path {
		case "A":
			a++
		case "B":
			b++
		}
	}
	p := map[string]string{"a": count(a), "b": count(b)}
	switch {
	case a > 0 && b > 0:
		return either(lang, "%{a} flagged by threat intelligence, %{b} not regular here", "脅威インテリジェンスによるもの %{a} 件、定常的でないもの %{b} 件").format(p, "")
	case a > 0:
		return either(lang, "%{a} flagged by threat intelligence", "脅威インテリジェンスによるもの %{a} 件").format(p, "")
	case b > 0:
		return either(lang, "%{b} not regular here", "定常的でないもの %{b} 件").format(p, "")
	}
	return ""
}

// categoryText names the category of an indicator and its malware family within
// a sentence.
func categoryText(i weir.IntelEvidence, lang Lang) string {
	en, ja := string(i.Category), string(i.Category)
	switch i.Category {
	case weir.CategoryC2:
		en, ja = "a command and control server", "C2 サーバー"
	case weir.CategoryInfected:
		en, ja = "an infected machine", "感染したマシン"
	case weir.CategorySinkhole:
		en, ja = "a sinkhole", "シンクホール"
	case weir.CategoryScanner:
		en, ja = "a scanner", "スキャナー"
	case weir.CategoryBruteForce:
		en, ja = "a source of brute force", "ブルート フォース攻撃の送信元"
	case weir.CategoryMalicious:
		en, ja = "malicious", "悪意のあるアドレス"
	case weir.CategoryBenign:
		en, ja = "benign", "無害なアドレス"
	}
	if en == "" {
		return ""
	}
	p := map[string]string{"en": en, "ja": ja, "family": i.Family}
	return either(lang, "%{en}[ (%{family})]", "%{ja}[（%{family}）]").format(p, "")
}

// either returns the message of the language.
func either(lang Lang, en, ja message) message {
	if lang == JA {
		return ja
	}
	return en
}

package catalog

import "github.com/weir-net/weir"

// LimitText returns the sentence of a limit. An unknown code gives a sentence
// that names it.
func LimitText(l weir.Limit, lang Lang) string {
	en, ja := limitMessages(l.Code)
	m := en
	if lang == JA {
		m = ja
	}
	return m.format(map[string]string{"Code": l.Code, "Arg": l.Arg}, unknownWord(lang))
}

// limitMessages returns the messages of a code.
func limitMessages(code string) (en, ja message) {
	switch code {
	case weir.LimitNoPackets:
		return "The source has no packet counts, so the tests that need packets did not run and connections were counted.",
			"データ ソースにパケット数がないため、パケットを必要とする検査は行わず、接続を数えました。"
	case weir.LimitNoBytes:
		return "The source has no byte counts, so the tests of packet length did not run.",
			"データ ソースにバイト数がないため、パケット長の検査は行っていません。"
	case weir.LimitNoFlags:
		return "The source has no TCP flags, so the tests of SYN, FIN and RST marks did not run.",
			"データ ソースに TCP フラグがないため、SYN・FIN・RST フラグの検査は行っていません。"
	case weir.LimitNoPorts:
		return "Ports are missing in part of the data, so the tests that need them covered only the rest.",
			"一部のデータにポートがないため、ポートを必要とする検査は残りのデータに対してのみ行いました。"
	case weir.LimitOneWay:
		return "Only one direction of the traffic is visible, so the tests of replies did not run.",
			"トラフィックの片方向しか見えないため、応答の検査は行っていません。"
	case weir.LimitRateUnknown:
		return "The sampling rate is not known, so nothing was estimated and only what was observed counts.",
			"サンプリング レートが不明なため、推定は行わず、観測された値のみを使用しました。"
	case weir.LimitColdStart:
		return "The baseline has only begun to learn, so built-in assumptions and a higher threshold apply.",
			"ベースラインの学習を開始した直後のため、組み込みの仮定と高めのしきい値を適用しています。"
	case weir.LimitWarming:
		return "The baseline is still learning, so a higher threshold applies.",
			"ベースラインが学習中のため、高めのしきい値を適用しています。"
	case weir.LimitPartial:
		return "The exporter fell silent and the interval was closed early, so later records are not part of it.",
			"エクスポーターからの通信が途絶えて区間が早期に確定されたため、それ以降のレコードは含まれていません。"
	case weir.LimitDegraded:
		return "The memory ceiling of the detectors was reached and new peers were refused, so counts may be too low.",
			"検出器のメモリが上限に達して新しい通信相手を受け付けなかったため、件数が実際より少ない可能性があります。"
	case weir.LimitShed:
		return "The resource has too many peers to keep them all, so a fixed random part of them was kept[ (level %{Arg}, 1 in 2^%{Arg})].",
			"リソースの通信相手が多すぎてすべてを保持できないため、無作為に固定した一部のみを保持しました[（レベル %{Arg}、2^%{Arg} 分の 1）]。"
	case weir.LimitThinned:
		return "The input was thinned at random before detection[, 1 in %{Arg}].",
			"検出の前に入力を無作為に[ 1/%{Arg} に]間引いています。"
	case weir.LimitPeersCut:
		return "There are further peers that are not named[: %{Arg}].",
			"このほかに、名前を示していない通信相手があります[（%{Arg} 件）]。"
	case weir.LimitLeaseUnknown:
		return "It is not known since when the resource has held the address, so the intelligence may speak of a previous holder.",
			"リソースがこのアドレスをいつから使用しているか不明なため、脅威インテリジェンスが以前の使用者に関するものである可能性があります。"
	case weir.LimitWarningList:
		return "The peer is on a warning list of addresses that are often listed by mistake, so corroboration was required.",
			"通信相手は、誤って登録されやすいアドレスの警告リストに含まれているため、裏付けを必要としました。"
	case weir.LimitSinkhole:
		return "The address is a sinkhole run by defenders: contact with it suggests an infection, but no attacker is behind it.",
			"このアドレスは防御側が運用するシンクホールです。通信は感染を示唆しますが、背後に攻撃者はいません。"
	case weir.LimitLearning:
		return "The set of regular peers is still being learnt, so only peers flagged by threat intelligence were reported.",
			"定常的な通信相手を学習中のため、脅威インテリジェンスでフラグが設定された通信相手のみを報告しています。"
	case weir.LimitMayBeLegitimate:
		return "Traffic to or from some of the peers may be legitimate.",
			"一部の通信相手とのトラフィックは正当なものである可能性があります。"
	}
	return "A test was limited (%{Code}[, %{Arg}]).", "検査の一部が制限されました（%{Code}[、%{Arg}]）。"
}

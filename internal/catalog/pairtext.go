package catalog

// pairText returns the reference texts of a pair rule in both languages
// (detection reference, section 7.1). label is the service in the text, ports
// its ports, packets and length the values of the service table.
func pairText(label, family, ports, packets, length string, outgoing bool) (en, ja Text) {
	peerEN, peerJA := "from one peer to the resource", "1 つの通信相手からリソースへの"
	if outgoing {
		peerEN, peerJA = "from the resource to one destination", "リソースから 1 つの宛先への"
	}
	en.Measured = "Distinct " + label + " connections " + peerEN + ", in windows of 1 hour (moving by 10 minutes) and 24 hours (moving by 4 hours), with the SYN, FIN and RST marks, the reply share and the packet lengths of the sampled packets."
	ja.Measured = peerJA + " " + label + " 接続の数。1 時間（10 分ごと）と 24 時間（4 時間ごと）のウィンドウで数え、サンプリングされたパケットの SYN・FIN・RST フラグ、応答の割合、パケット長と合わせて評価します。"
	en.Expression, ja.Expression = pairFormulaEN, pairFormulaJA
	en.Formula = []string{
		"D is the number of distinct client ports among the sampled packets, a count that can be too low but never too high. Xf is the number of sampled packets from client to server, k_s the usual number of client packets of a failed login.",
		"L is a lower bound on the true number of connections: GQ05 is the 5 % lower bound of a Poisson mean. Unsampled data gives the exact count; with an unknown sampling rate only D is used.",
		"storm asks for many short connections. rho_e is the ratio D/Xf that short connections give at this sampling rate, sessions the 5 % lower bound on the number of sessions by how few ports repeat, LLR the log10 likelihood ratio of the control marks (SYN, FIN, RST).",
		"long are connections of more packets than logins have: more packets share a client port than connections of k_s/0.6 packets let expect, or too few packets bear a mark.",
		"scanlike takes out mere probes, sizeok takes out transfers of data.",
		"S_pair is -log10 of the probability of the count under the negative binomial baseline: of this peer when it is regular, else of a new peer of this resource and service. S* is the threshold in force, M(W) the floor of the window.",
	}
	ja.Formula = []string{
		"D は、サンプリングされたパケットに現れたクライアント ポートの種類数です。実際より少なくなることはあっても、多くなることはありません。Xf はクライアントからサーバーへのサンプリングされたパケット数、k_s は失敗したログイン 1 回あたりの標準的なクライアント側パケット数です。",
		"L は実際の接続数の下限推定値です。GQ05 はポアソン平均の 5 % 下側信頼限界を表します。サンプリングされていないデータでは正確な数を使い、サンプリング レートが不明な場合は D のみを使います。",
		"storm は短い接続が多数あることを確認します。rho_e はこのサンプリング レートで短い接続が示す D/Xf の値、sessions はポートの重複の少なさから求めたセッション数の 5 % 下側信頼限界、LLR は制御フラグ（SYN、FIN、RST）の対数尤度比（常用対数）です。",
		"long は、ログインよりパケット数の多い接続を表します。k_s/0.6 パケットの接続から予想されるよりも同じクライアント ポートの重複が多いか、制御フラグをもつパケットが少なすぎる場合に成立します。",
		"scanlike は単なるプローブを、sizeok はデータ転送を除外します。",
		"S_pair は、負の二項分布のベースラインのもとでその件数以上が観測される確率の −log10 です。定常的な通信相手ではその相手自身の、それ以外ではそのリソースとサービスに対する新しい通信相手のベースラインを使います。S* は適用中のしきい値、M(W) はウィンドウの下限です。",
	}
	en.Defaults = []Default{
		{"detect." + family + ".floor1h", "30", "M(1 h): never alert below this many connections in 1 hour"},
		{"detect." + family + ".floor24h", "100", "M(24 h): never alert below this many connections in 24 hours"},
		{"", "10 × M(W)", "floor of the signature path, which needs no baseline"},
		{"", "60 sessions, 3 × M(1 h), 10 × M(24 h)", "sampled data: what a new service must prove instead of 30 sessions and the floors, in its first 24 hours (window of 24 hours: until three days are known)"},
		{"detect." + family + ".threshold", "5", "S*; 2 more in the first 24 hours of a baseline, 1 more until 7 days"},
		{"detect." + family + ".sensitivity", "medium", "low: S* + 2 and floors × 2; high: S* − 1"},
		{"detect." + family + ".priorConnections", "2", "connections of a new peer in a window, before anything is learnt"},
		{"", ports, "ports of the service"},
		{"detect." + family + ".packetsPerConnection", packets, "k_s, client packets of a failed login"},
		{"", length, "longest mean client packet, bytes"},
		{"", "30 min", "quiet time that ends the episode"},
	}
	ja.Defaults = []Default{
		{"detect." + family + ".floor1h", "30", "M(1 h)。1 時間の接続数がこの値未満の場合はアラートを生成しない"},
		{"detect." + family + ".floor24h", "100", "M(24 h)。24 時間の接続数がこの値未満の場合はアラートを生成しない"},
		{"", "10 × M(W)", "ベースラインを必要としないシグネチャ判定の下限"},
		{"", "60 セッション、3 × M(1 h)、10 × M(24 h)", "サンプリングされたデータで、新しいサービスの最初の 24 時間（24 時間のウィンドウでは 3 日分を学習するまで）に、30 セッションと通常の下限の代わりに適用"},
		{"detect." + family + ".threshold", "5", "S*。ベースラインの最初の 24 時間は +2、7 日目までは +1"},
		{"detect." + family + ".sensitivity", "medium", "low は S* + 2 かつ下限 × 2、high は S* − 1"},
		{"detect." + family + ".priorConnections", "2", "学習前に仮定する、新しい通信相手の 1 ウィンドウあたりの接続数"},
		{"", ports, "サービスのポート"},
		{"detect." + family + ".packetsPerConnection", packets, "k_s。失敗したログインのクライアント側パケット数"},
		{"", length, "クライアント側平均パケット長の上限（バイト）"},
		{"", "30 分", "エピソードを終了する無通信時間"},
	}
	en.Defaults = append(en.Defaults, Default{"", "30 s to 10 min", "in the first week of a resource: period of health checks, which stay silent (ten cycles at one phase; in unsampled data only connections too short for logins). A guesser who keeps such a schedule in that week is missed where data is sampled"})
	ja.Defaults = append(ja.Defaults, Default{"", "30 秒～10 分", "リソースの最初の 1 週間に、死活監視とみなして対象外とする接続周期（同じ位相で 10 周期以上。サンプリングされていないデータでは、ログインより短い接続に限る）。サンプリングされたデータでは、この期間に同じ周期で推測を行う攻撃者は検知されない"})
	if family == "ssh" {
		en.Defaults = append(en.Defaults, Default{"", "100 : 1, 2 × M(W)", "sampled data, in the first week of a resource: odds that control marks and repeated ports must show for logins against sessions 20 times as long, and all floors doubled"})
		ja.Defaults = append(ja.Defaults, Default{"", "100 : 1、2 × M(W)", "サンプリングされたデータで、リソースの最初の 1 週間に求める尤度比（制御フラグと再出現ポートから算出。20 倍長いセッションに対してログインである比）と、2 倍にした下限"})
	}
	en.Evidence = append(commonEvidenceEN(), "The observed number of distinct connections (the exact number in unsampled data), its lower bound and, where the sampling rate is known, the estimate with its 95 % interval.")
	ja.Evidence = append(commonEvidenceJA(), "観測された接続数（サンプリングされていないデータでは正確な数）とその下限推定値。サンプリング レートがわかっている場合は、推定値と 95 % 信頼区間。")
	return en, ja
}

// commonEvidenceEN lists what every alert carries (detection reference, section
// 8.0).
func commonEvidenceEN() []string {
	return []string{
		"Sampling rate and its source, surprise, confidence, threshold and floor, and the phase, age, mean and dispersion of the baseline.",
		"Peers with their packets, bytes, connections and times; ports; a series of observed and expected values; up to 20 flow records; matching indicators.",
		"Limits: the tests that could not run, and why.",
	}
}

// commonEvidenceJA is commonEvidenceEN in Japanese.
func commonEvidenceJA() []string {
	return []string{
		"サンプリング レートとその出所、異常度、信頼度、しきい値と下限、ベースラインのフェーズ・経過日数・平均・分散度。",
		"通信相手ごとのパケット数・バイト数・接続数・時刻、ポート、観測値と期待値の時系列、最大 20 件のフロー レコード、一致したインジケーター。",
		"制限事項：実行できなかった検査とその理由。",
	}
}

// aggregateText returns the reference texts of an aggregate rule in both
// languages (detection reference, sections 7.2, 7.3 and 8.11).
func aggregateText(s service, outgoing bool) (en, ja Text) {
	en.Defaults = []Default{
		{"detect." + s.family + ".minPeers", "5", "fewest peers (U)"},
		{"detect." + s.family + ".threshold", "4", "S* for the number of peers; 2 more in the first 24 hours of a baseline, 1 more until 7 days"},
		{"detect." + s.family + ".sensitivity", "medium", "low: S* + 2 and floors × 2; high: S* − 1"},
		{"", "5", "smallest effective number of peers, 1/G"},
		{"", "0.5", "largest share of one peer"},
		{"", s.ports, "ports of the service"},
		{"detect." + s.family + ".packetsPerConnection", s.packets, "k_s, client packets of a failed login"},
		{"", "2 h", "quiet time that ends the episode"},
	}
	ja.Defaults = []Default{
		{"detect." + s.family + ".minPeers", "5", "通信相手の最小数（U）"},
		{"detect." + s.family + ".threshold", "4", "通信相手の数に対する S*。ベースラインの最初の 24 時間は +2、7 日目までは +1"},
		{"detect." + s.family + ".sensitivity", "medium", "low は S* + 2 かつ下限 × 2、high は S* − 1"},
		{"", "5", "実効的な通信相手数 1/G の下限"},
		{"", "0.5", "1 つの通信相手が占める割合の上限"},
		{"", s.ports, "サービスのポート"},
		{"detect." + s.family + ".packetsPerConnection", s.packets, "k_s。失敗したログインのクライアント側パケット数"},
		{"", "2 時間", "エピソードを終了する無通信時間"},
	}
	// In the first week the length of connections must be shown (decision 0009).
	proofEN := "sampled data, in the first week of a resource: odds that the packets of all peers together must show for logins against sessions 20 times as long"
	proofJA := "サンプリングされたデータで、リソースの最初の 1 週間に、すべての相手のパケットを合わせて求める尤度比（20 倍長いセッションに対してログインである比"
	if s.family == "ssh" {
		when, whenJA := ", on its first day", "。初日は"
		if outgoing {
			when, whenJA = ", outward always", "。外向きは常に"
		}
		proofEN += when + " against automation, twice as long"
		proofJA += whenJA + "、2 倍長い自動処理の接続に対する比"
	}
	if outgoing {
		proofEN += "; later for a machine that logged in to ten new destinations on five of the last 14 days"
		proofJA += "）。その後も、直近 14 日のうち 5 日以上で 10 件以上の新しい宛先にログインしたマシンに適用"
	} else {
		proofEN += "; the number of peers is compared with the busiest hour so far"
		proofJA += "）。通信相手の数は、それまでで最も多かった 1 時間と比較する"
	}
	en.Defaults = append(en.Defaults, Default{"", "100 : 1", proofEN})
	ja.Defaults = append(ja.Defaults, Default{"", "100 : 1", proofJA})
	en.Expression, ja.Expression = manyToOneFormulaEN, manyToOneFormulaJA
	if outgoing {
		en.Expression, ja.Expression = oneToManyFormulaEN, oneToManyFormulaJA
		en.Measured = "Distinct destinations of outgoing " + s.name + " traffic that the resource had not contacted in the last 30 days, in windows of 1 hour and 24 hours."
		ja.Measured = "過去 30 日間に通信のなかった宛先のうち、リソースが " + s.name + " で接続した宛先の数。1 時間と 24 時間のウィンドウで数えます。"
		en.Defaults = append(en.Defaults,
			Default{"detect." + s.family + ".priorDestinations", "0.01", "new destinations a day, before anything is learnt"},
			Default{"", "25", "destinations that suffice on contact alone, in unsampled data"})
		ja.Defaults = append(ja.Defaults,
			Default{"detect." + s.family + ".priorDestinations", "0.01", "学習前に仮定する 1 日あたりの新しい宛先の数"},
			Default{"", "25", "サンプリングされていないデータで、接触のみを根拠とする場合の宛先数"})
	} else {
		en.Measured = "Distinct peers whose " + s.name + " traffic to the resource looks like logins, in windows of 1 hour and 24 hours."
		ja.Measured = "リソースに対してログインとみられる " + s.name + " 通信を行った送信元の数。1 時間と 24 時間のウィンドウで数えます。"
		en.Defaults = append(en.Defaults,
			Default{"detect." + s.family + ".priorPeers", "5", "new peers an hour, before anything is learnt"},
			Default{"", "ln(1e5)", "alarm level of the CUSUM on the number of peers"})
		ja.Defaults = append(ja.Defaults,
			Default{"detect." + s.family + ".priorPeers", "5", "学習前に仮定する 1 時間あたりの新しい通信相手の数"},
			Default{"", "ln(1e5)", "通信相手数に対する CUSUM の警報レベル"})
	}
	en.Formula = []string{
		"U is the number of peers seen in the sampled data, S_uniq -log10 of its probability under the negative binomial baseline, S* the threshold in force.",
		"G is the unbiased estimate of the sum of squared traffic shares, so 1/G is the effective number of peers; both spread tests keep one loud peer from looking like many.",
		"storm and scanlike are those of the one-to-one rule, taken on the packets of all peers together; L is the lower bound on the connections of one peer, M(W) the floor of the one-to-one rule.",
	}
	ja.Formula = []string{
		"U はサンプリングされたデータで確認された通信相手の数、S_uniq は負の二項分布のベースラインのもとでのその確率の −log10、S* は適用中のしきい値です。",
		"G はトラフィックの占有率の二乗和の不偏推定値で、1/G は実効的な通信相手数を表します。spread の 2 つの条件により、通信量の多い 1 つの相手を多数の相手と取り違えることを防ぎます。",
		"storm と scanlike は 1 対 1 のルールと同じ判定を、すべての通信相手のパケットを合わせて行うものです。L は通信相手ごとの接続数の下限推定値、M(W) は 1 対 1 のルールの下限です。",
	}
	if outgoing {
		en.Formula = append(en.Formula, "Login-like traffic is traffic of the shape of brute force at the share of the destination. In unsampled data 25 new destinations are enough without it.")
		ja.Formula = append(ja.Formula, "ログインとみられる通信とは、宛先ごとの割合からみてブルート フォース攻撃の特徴をもつ通信です。サンプリングされていないデータでは、これがなくても新しい宛先が 25 件あれば十分です。")
	} else {
		en.Formula = append(en.Formula, "The CUSUM compares a doubled number of peers (2m) with the usual one (m) hour by hour, m following the course of the day, and finds slow distributed attacks. It counts once the course of the day is known, after 14 days.",
			"In sampled data the more S_uniq exceeds S*, the less storm must prove: by up to two orders of magnitude of LLR, and 15 sessions instead of 30; not in the first 24 hours. Where nothing is sampled a peer has login-like traffic after two completed connections, in the window of 24 hours after one of a login's length.")
		ja.Formula = append(ja.Formula, "CUSUM は、通常の通信相手数 m とその 2 倍（2m）を 1 時間ごとに比較し、緩やかな分散型攻撃を検出します。m は 1 日の変動に従います。その変動を学習するまでの 14 日間は使用しません。",
			"サンプリングされたデータでは、S_uniq が S* を上回るほど storm の条件を緩めます（LLR は最大 2 桁、セッション数は 30 から 15 まで。最初の 24 時間を除く）。サンプリングされていないデータでは、完了した接続が 2 件以上（24 時間のウィンドウではログインに相当する長さの接続が 1 件以上）あれば、ログインとみられる通信とします。")
	}
	en.Evidence = append(commonEvidenceEN(), "The number of peers, an “at least” estimate of the true number (Chao1), G, and every peer that reached a floor of its own (at most 256).")
	ja.Evidence = append(commonEvidenceJA(), "通信相手の数、実際の数の「少なくとも」の推定値（Chao1）、G、個別の下限に達したすべての通信相手（最大 256 件）。")
	return en, ja
}

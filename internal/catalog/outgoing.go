package catalog

import "github.com/weir-net/weir"

// entryDDoS is DDOS (detection reference, section 8.5).
func entryDDoS() Entry {
	en := Text{
		Title: "Possible outgoing denial-of-service attack detected",
		Description: "Anomalous outgoing network activity was detected from the resource %{Compromised Host}. The resource may be compromised and may be taking part in denial-of-service attacks on external endpoints. " +
			"If the resource is a load balancer or an application gateway, one or more members of its backend pool may be the compromised ones. " +
			"Judging by the volume of connections, the following addresses are possible targets: %{Possible Victims}. Traffic to some of them may be legitimate.",
		Measured:   "Outgoing packets and bits per second of the resource in panes of 60 seconds, by class: SYN, UDP, ICMP, fragments and reflected UDP (sent from the port of an amplifying service).",
		Expression: ddosFormulaEN,
		Formula: []string{
			"X is the number of sampled packets of a class in a pane, N the sampling interval, GQ05 the 5 % lower bound of a Poisson mean; r is a lower bound on the true rate.",
			"S is the surprise, -log10 of the probability of the rate under the negative binomial baseline of the resource; S* is the threshold in force. Before anything is learnt one sampled packet a day is expected.",
			"Reply share, SYN share and destination shares are fractions of sampled packets and hold at every sampling rate; LCB and UCB are one-sided 95 % bounds.",
		},
		Defaults: []Default{
			{"", "1000 packets/s", "floor of a SYN flood; SYN share at least 0.8"},
			{"", "20000 packets/s or 1000 Mbit/s", "floor of UDP, ICMP and fragment floods"},
			{"", "1000 packets/s or 50 Mbit/s", "floor of a reflector"},
			{"", "1/10 of the floors", "low tier, with S of at least 10 and a destination not seen in 7 days"},
			{"detect.ddos.threshold", "4", "S*; 1 more until 7 days of a baseline; in the first 24 hours the floors decide alone"},
			{"detect.ddos.sensitivity", "medium", "low: S* + 2 and floors × 2; high: S* − 1"},
			{"", "2 of 3", "consecutive panes in which a class must hold"},
			{"", "15 min", "time below half the floor that ends the episode"},
		},
		Guards: []string{
			"Servers of content, video, games, DNS, NTP and VPN talk in both directions: a reply share above 0.2 is not flagged.",
			"QUIC, WireGuard, IPsec and VXLAN, which are answered.",
			"Backup jobs: TCP with data is no SYN flood, whatever its rate.",
			"A fast scan: its SYNs go to many destinations, a few each (PortScanning).",
			"Peer-to-peer traffic, whose destination shares are low.",
		},
		FalsePositives: []string{
			"A load or stress test from this resource: put it on the allow list for its duration.",
			"Multicast-like distribution of media over UDP without return traffic.",
			"A new tunnel or replication over UDP whose answers take another path than the exporter sees.",
		},
		Evidence: append(commonEvidenceEN(),
			"Class, lower bound on the rate, number and concentration of the destinations; the /24, where the flood is spread over one.",
			"Possible victims by volume, until 90 % of the packets or 10 addresses are reached, each with at least 5 %; else the first three, marked as spread."),
		Remediation: []string{
			"Find out whether a load test or a bulk transfer is under way; if so, put it on the allow list for its duration.",
			"Otherwise limit or block the outgoing traffic to the possible victims at the network security group, security group or firewall.",
			"Isolate the resource, or one by one the members of the backend pool that may have sent the traffic, and keep disk and memory for the investigation.",
			"If the traffic is reflected (sent from DNS, NTP, SSDP, memcached and the like), close the service to the internet or stop it from answering strangers.",
			"Look for unknown processes and scheduled tasks, remove the cause, rotate credentials, and rebuild the resource from a trusted image.",
		},
	}
	ja := Text{
		Title: "サービス拒否攻撃が送信された可能性が検出されました",
		Description: "リソース %{Compromised Host} からの異常な発信ネットワーク アクティビティが検出されました。リソースが侵害され、外部のエンドポイントに対するサービス拒否攻撃に加担している可能性があります。" +
			"リソースがロード バランサーまたはアプリケーション ゲートウェイの場合は、バックエンド プール内の 1 つ以上のリソースが侵害されている可能性があります。" +
			"接続の量から、攻撃対象として考えられる IP アドレスは次のとおりです：%{Possible Victims}。ただし、このうち一部の IP アドレスへの通信は正当なものである可能性があります。",
		Measured:   "リソースから発信されるパケット数とビット数（毎秒）。60 秒ごとに、SYN、UDP、ICMP、フラグメント、リフレクション（増幅に悪用されるサービスのポートから送信される UDP）の種別ごとに測定します。",
		Expression: ddosFormulaJA,
		Formula: []string{
			"X は 60 秒間にサンプリングされた種別ごとのパケット数、N はサンプリング間隔、GQ05 はポアソン平均の 5 % 下側信頼限界です。r は実際のレートの下限推定値です。",
			"S は異常度で、リソースの負の二項分布のベースラインのもとでのそのレートの確率の −log10 です。S* は適用中のしきい値です。学習前は、サンプリングされたパケットを 1 日 1 個と仮定します。",
			"応答の割合、SYN の割合、宛先の占有率は、サンプリングされたパケットに対する割合であり、どのサンプリング レートでも成り立ちます。LCB と UCB は片側 95 % 信頼限界です。",
		},
		Defaults: []Default{
			{"", "1000 パケット/秒", "SYN フラッドの下限。SYN の割合は 0.8 以上"},
			{"", "20000 パケット/秒または 1000 Mbit/s", "UDP、ICMP、フラグメントのフラッドの下限"},
			{"", "1000 パケット/秒または 50 Mbit/s", "リフレクションの下限"},
			{"", "下限の 1/10", "低レートの区分。S が 10 以上で、7 日間通信のなかった宛先の場合"},
			{"detect.ddos.threshold", "4", "S*。ベースラインの 7 日目までは +1。最初の 24 時間は下限のみで判定"},
			{"detect.ddos.sensitivity", "medium", "low は S* + 2 かつ下限 × 2、high は S* − 1"},
			{"", "3 区間中 2 区間", "条件が成立する必要のある連続した 60 秒区間の数"},
			{"", "15 分", "下限の半分を下回った後、エピソードを終了するまでの時間"},
		},
		Guards: []string{
			"コンテンツ配信、動画、ゲーム、DNS、NTP、VPN のサーバーの通信は双方向です。応答の割合が 0.2 を超える場合は対象外です。",
			"QUIC、WireGuard、IPsec、VXLAN（応答があるもの）。",
			"バックアップ ジョブ。データを運ぶ TCP は、レートにかかわらず SYN フラッドとはみなしません。",
			"高速なスキャン。SYN が多数の宛先に少しずつ送られるもの（PortScanning の対象）。",
			"宛先の占有率が低いピアツーピア通信。",
		},
		FalsePositives: []string{
			"このリソースから実施する負荷テスト。期間を定めて許可リストに登録してください。",
			"戻りの通信がない、UDP によるマルチキャスト型のメディア配信。",
			"UDP による新しいトンネルやレプリケーションで、応答がエクスポーターから見えない経路を通るもの。",
		},
		Evidence: append(commonEvidenceJA(),
			"種別、レートの下限推定値、宛先の数と集中度。アドレス帯全体への攻撃の場合はその /24。",
			"攻撃対象の候補（量の多い順に、パケットの 90 % または 10 アドレスに達するまで、それぞれ 5 % 以上のもの。該当しない場合は上位 3 件を「分散」として示す）。"),
		Remediation: []string{
			"負荷テストや大量の転送が実施中でないか確認し、該当する場合は期間を定めて許可リストに登録します。",
			"該当しない場合は、ネットワーク セキュリティ グループ、セキュリティ グループ、またはファイアウォールで、攻撃対象の候補への発信トラフィックを制限またはブロックします。",
			"リソース（またはトラフィックの発信元と考えられるバックエンド プールのメンバーを 1 台ずつ）を隔離し、調査のためにディスクとメモリを保全します。",
			"リフレクション（DNS、NTP、SSDP、memcached などからの送信）の場合は、そのサービスをインターネットに公開しないようにするか、外部からの要求に応答しないように設定します。",
			"不審なプロセスやスケジュールされたタスクを調査して原因を取り除き、資格情報を更新して、信頼できるイメージからリソースを再構築します。",
		},
	}
	return Entry{
		Type: weir.DDoS, Severity: weir.Medium, Tactic: Impact, Techniques: []string{"T1498"}, Direction: weir.Outgoing, Kind: Rate,
		Placeholders: []string{"Compromised Host", "Possible Victims"},
		EN:           en, JA: ja,
	}
}

// entryScan is PortScanning (detection reference, section 8.10).
func entryScan() Entry {
	en := Text{
		Title: "Suspicious outgoing %{Attacked Protocol} traffic detected",
		Description: "Suspicious outgoing traffic from the resource %{Compromised Host} to destination port %{Most Common Port} was detected. " + lbOutEN +
			"The resource may be taking part in %{Attacked Protocol} brute force attempts or in port sweeping.",
		Measured:   "For every connection to a destination not contacted in the last 7 days, the share of bare SYN packets among its sampled packets (UDP: packets without a reply), per resource and destination port. Covers sweeps of many hosts, scans of many ports and outgoing brute force on services other than RDP and SSH.",
		Expression: scanFormulaEN,
		Formula: []string{
			"w is a cumulative sum of log likelihood ratios: it rises when new destinations see little but SYN and falls when connections carry data. It works on packet marks, because whether a connection failed cannot be told from sampled packets.",
			"t1 is the SYN share under a scan, t0 the usual one of this resource.",
			"Outgoing brute force on other services is judged by the one-to-one rule of brute force, with a mean server packet of at most 140 bytes: numbers alone never suffice, they must be a surprise; in the first 7 days its floor is 10*M(W). Deliveries to port 25 are left out.",
			"Retransmitted SYN to one destination count once a minute.",
		},
		Defaults: []Default{
			{"", "ln(1e6) = 13.8", "alarm level of w"},
			{"", "0.6", "t1"},
			{"", "0.2", "smallest t0, and t0 before anything is learnt"},
			{"", "10 (N = 1: 25)", "fewest destinations of a sweep; twice as many in the first 24 hours"},
			{"", "0.8", "smallest share of the commonest port of a sweep"},
			{"", "15 (sampled: 8)", "fewest ports of a vertical scan"},
			{"", "20", "fewest destination and port pairs of a mixed scan"},
			{"", "0.3", "largest reply share, where replies are visible"},
			{"detect.scan.sensitivity", "medium", "low: surprise needed + 2 and floors × 2; high: surprise needed − 1"},
			{"", "2 h", "quiet time that ends the episode; the sum itself starts anew after 24 idle hours"},
		},
		Guards: []string{
			"Vulnerability scanners and monitoring, by role or on the allow list.",
			"Web ports (80, 443): surprise of at least 6 and a reply share below 0.1; crawlers, proxies and NAT gateways by role not at all.",
			"Mail relays (25): more destinations without an answer than in the hours before; five an hour are taken as usual before anything is learnt.",
			"Resolvers, NTP and BitTorrent: UDP counts only on ports of services, never on high random ports.",
			"NAT gateways and proxies: t0 from their own baseline.",
			"Targets that answer later do not count.",
		},
		FalsePositives: []string{
			"A crawler or mail relay with many dead destinations and no role in the inventory.",
			"Peer-to-peer clients looking for peers that have gone.",
			"A scan of your own: give the scanner its role or put it on the allow list.",
		},
		Evidence: append(commonEvidenceEN(),
			"Level w, t0 and t1, number of destinations, shape (sweep, vertical, mixed) and share of the commonest port."),
		Remediation: []string{
			"Find out whether the resource is meant to scan or crawl; if so, give it the role in the inventory.",
			"Otherwise block the outgoing traffic to that port, and isolate the resource or the members of the backend pool that may have sent it.",
			"Look for unknown processes, scheduled tasks and accounts, and for how they came in.",
			"Check the destinations that belong to you for signs of a break-in.",
			"Allow outgoing traffic only to the ports and destinations that the resource needs.",
		},
	}
	ja := Text{
		Title: "不審な %{Attacked Protocol} の送信トラフィックが検出されました",
		Description: "リソース %{Compromised Host} から宛先ポート %{Most Common Port} への不審な発信トラフィックが検出されました。" + lbOutJA +
			"リソースが %{Attacked Protocol} のブルート フォース攻撃、またはポート スイープに加担している可能性があります。",
		Measured:   "過去 7 日間に通信のなかった宛先への接続ごとに、サンプリングされたパケットに占める SYN のみのパケットの割合（UDP では応答のないパケットの割合）を、リソースと宛先ポートの組ごとに測定します。多数のホストへのスイープ、多数のポートへのスキャン、RDP と SSH 以外のサービスに対する発信側のブルート フォース攻撃が対象です。",
		Expression: scanFormulaJA,
		Formula: []string{
			"w は対数尤度比の累積和です。新しい宛先との通信がほぼ SYN だけであれば増加し、接続でデータがやり取りされれば減少します。サンプリングされたパケットからは接続の失敗を判断できないため、パケットのフラグに基づいて計算します。",
			"t1 はスキャン時の SYN の割合、t0 はこのリソースの通常時の割合です。",
			"その他のサービスに対する発信側のブルート フォース攻撃は、1 対 1 のブルート フォースのルールで判定します（サーバー側の平均パケット長は 140 バイト以下）。件数だけでは判定せず、異常度も必要です。最初の 7 日間の下限は 10*M(W) です。ポート 25 への配送は対象外です。",
			"同じ宛先への SYN の再送は 1 分間に 1 回だけ数えます。",
		},
		Defaults: []Default{
			{"", "ln(1e6) = 13.8", "w の警報レベル"},
			{"", "0.6", "t1"},
			{"", "0.2", "t0 の最小値、および学習前の t0"},
			{"", "10（N = 1 では 25）", "スイープとみなす宛先の最小数。最初の 24 時間はその 2 倍"},
			{"", "0.8", "スイープで最も多いポートが占める割合の下限"},
			{"", "15（サンプリング時は 8）", "垂直スキャンとみなすポートの最小数"},
			{"", "20", "混合スキャンとみなす宛先とポートの組の最小数"},
			{"", "0.3", "応答が見える場合の、応答の割合の上限"},
			{"detect.scan.sensitivity", "medium", "low は必要な異常度 + 2 かつ下限 × 2、high は必要な異常度 − 1"},
			{"", "2 時間", "エピソードを終了する無通信時間。累積和は 24 時間通信がないと初期化"},
		},
		Guards: []string{
			"脆弱性スキャナーと監視システム（ロールの指定または許可リスト）。",
			"Web のポート（80、443）。異常度 6 以上かつ応答の割合が 0.1 未満の場合に限ります。クローラー、プロキシ、NAT ゲートウェイ（ロールによる）は対象外です。",
			"メール リレー（25）。応答しない宛先の数を、それまでの 1 時間ごとの数と比較します（学習前は 1 時間に 5 件と仮定）。",
			"リゾルバー、NTP、BitTorrent。UDP はサービスのポートだけを数え、ランダムな高位ポートは数えません。",
			"NAT ゲートウェイとプロキシ。t0 は自身のベースラインから求めます。",
			"後から応答した宛先は数えません。",
		},
		FalsePositives: []string{
			"応答しない宛先が多く、インベントリにロールが登録されていないクローラーやメール リレー。",
			"すでに離脱したピアを探すピアツーピアのクライアント。",
			"自社によるスキャン。スキャナーのロールを登録するか、許可リストに追加してください。",
		},
		Evidence: append(commonEvidenceJA(),
			"w の値、t0 と t1、宛先の数、形状（スイープ、垂直、混合）、最も多いポートが占める割合。"),
		Remediation: []string{
			"スキャンやクロールを行う役割のリソースかどうかを確認し、該当する場合はインベントリにロールを登録します。",
			"該当しない場合は、そのポートへの発信トラフィックをブロックし、リソース（または発信元と考えられるバックエンド プールのメンバー）を隔離します。",
			"不審なプロセス、スケジュールされたタスク、アカウントと、その侵入経路を調査します。",
			"自組織が管理する宛先に、侵入の形跡がないか確認します。",
			"リソースからの発信トラフィックを、必要なポートと宛先だけに制限します。",
		},
	}
	return Entry{
		Type: weir.PortScanning, Severity: weir.Medium, Tactic: Discovery, Techniques: []string{"T1046"}, Direction: weir.Outgoing, Kind: Scan,
		Placeholders: []string{"Attacked Protocol", "Compromised Host", "Most Common Port"},
		Erratum:      errata, EN: en, JA: ja,
	}
}

package catalog

import "github.com/weir-net/weir"

// entryC2 is Network_CommunicationWithC2 (detection reference, section 8.1).
func entryC2() Entry {
	en := Text{
		Title: "Network communication with a malicious machine detected",
		Description: "The machine with address %{Victim IP} has communicated with an address that may be a command and control server, according to threat intelligence. " +
			"If the address belongs to a load balancer or an application gateway, the traffic may have come from one or more members of its backend pool.",
		Measured:   "Sampled packets between the resource and an address, address and port, or prefix (at most 256 addresses) that threat intelligence lists as command and control, and who opened the connection. Communication counts, not mere contact: incoming SYN packets alone never raise this alert.",
		Expression: c2FormulaEN,
		Formula: []string{
			"s is the score of an indicator: base is the confidence of its source, t the time since it was last reported; it falls to zero after tau. Independent sources are combined.",
			"One sampled packet suffices for talk: at 1-in-N it stands for N packets on average.",
		},
		Defaults: []Default{
			{"", "50", "smallest score"},
			{"", "30 d", "tau of a bare address"},
			{"", "60 d", "tau of an address with a port"},
			{"", "2", "delta: half the score is gone after a quarter of tau"},
			{"intel.feeds[].confidence", "80", "base, where the indicator names none"},
			{"", "0.9", "smallest direction confidence"},
			{"", "24 h", "time without a sighting that ends the episode; or a score below 30"},
		},
		Guards: []string{
			"Ranges of content networks, shared hosting and public resolvers: the port must match too.",
			"Resolvers, mail relays, crawlers, proxies and collectors of threat intelligence, by role: the resource must be the client and the port match, or the traffic must be periodic.",
			"A single exchange of DNS or NTP.",
			"An address on a warning list needs corroboration.",
		},
		FalsePositives: []string{
			"An address that has changed hands since it was listed.",
			"A shared hosting address that also serves harmless sites.",
			"A researcher or a security product that contacts listed addresses on purpose.",
		},
		Evidence: append(commonEvidenceEN(),
			"Matching indicators with source, family, score and age; which of (a) to (c) held; whether the port matched; beacon statistic; a note when the address is a sinkhole."),
		Remediation: []string{
			"Look up the indicators in the evidence: source, malware family and age say how much weight they carry.",
			"Block the malicious address for outgoing and incoming traffic.",
			"Isolate the machine, or the members of the backend pool that may have sent the traffic, and keep disk and memory for the investigation.",
			"Find the process that opened the connection, look for persistence, and scan the machine with up-to-date signatures.",
			"Rotate all credentials that were used on the machine, and rebuild it from a trusted image.",
			"Search for other resources that talked to the same address or malware family.",
		},
	}
	ja := Text{
		Title: "悪意のあるマシンとのネットワーク通信が検出されました",
		Description: "IP アドレス %{Victim IP} のマシンと、脅威インテリジェンスでコマンドとコントロール（C2）サーバーの可能性があるとされているアドレスとの通信が検出されました。" +
			"この IP アドレスがロード バランサーまたはアプリケーション ゲートウェイのものである場合は、バックエンド プール内の 1 つ以上のリソースが通信した可能性があります。",
		Measured:   "脅威インテリジェンスで C2 とされているアドレス、アドレスとポートの組、またはプレフィックス（最大 256 アドレス）とリソースとの間でサンプリングされたパケットと、接続を開始した側。単なる接触ではなく通信を対象とし、着信した SYN パケットだけでこのアラートが生成されることはありません。",
		Expression: c2FormulaJA,
		Formula: []string{
			"s はインジケーターのスコアです。base は情報源の信頼度、t は最後の報告からの経過時間で、tau を過ぎると 0 になります。独立した複数の情報源のスコアは合成されます。",
			"talk はサンプリングされた 1 パケットで成立します。1/N のサンプリングでは、1 パケットが平均して N パケットを代表します。",
		},
		Defaults: []Default{
			{"", "50", "スコアの下限"},
			{"", "30 日", "アドレスのみのインジケーターの tau"},
			{"", "60 日", "アドレスとポートの組のインジケーターの tau"},
			{"", "2", "delta。tau の 4 分の 1 でスコアが半減"},
			{"intel.feeds[].confidence", "80", "インジケーターに指定がない場合の base"},
			{"", "0.9", "方向の信頼度の下限"},
			{"", "24 時間", "エピソードを終了する無検知時間。スコアが 30 未満になった場合も終了"},
		},
		Guards: []string{
			"コンテンツ配信ネットワーク、共有ホスティング、公開リゾルバーのアドレス範囲では、ポートの一致も必要です。",
			"リゾルバー、メール リレー、クローラー、プロキシ、脅威インテリジェンスの収集システム（ロールによる）では、リソースがクライアントでポートが一致すること、または通信が周期的であることが必要です。",
			"DNS や NTP の 1 回だけのやり取り。",
			"警告リストに載っているアドレスには、裏付けが必要です。",
		},
		FalsePositives: []string{
			"リストへの登録後に所有者が変わったアドレス。",
			"無害なサイトも提供している共有ホスティングのアドレス。",
			"リストに登録されたアドレスへ意図的に接続する研究者やセキュリティ製品。",
		},
		Evidence: append(commonEvidenceJA(),
			"一致したインジケーターの情報源・ファミリ・スコア・経過日数、(a) ～ (c) のうち成立したもの、ポートの一致の有無、ビーコン統計量、シンクホールの場合の注記。"),
		Remediation: []string{
			"証拠に示されたインジケーターを確認します。情報源、マルウェア ファミリ、経過日数から、その重みを判断できます。",
			"悪意のあるアドレスとの通信を、発信と着信の両方でブロックします。",
			"マシン（または発信元と考えられるバックエンド プールのメンバー）を隔離し、調査のためにディスクとメモリを保全します。",
			"接続を開始したプロセスを特定し、永続化の痕跡を調べ、最新の定義でマシンをスキャンします。",
			"マシン上で使用されたすべての資格情報を更新し、信頼できるイメージから再構築します。",
			"同じアドレスまたはマルウェア ファミリと通信したリソースがほかにないか調査します。",
		},
	}
	return Entry{
		Type: weir.CommunicationWithC2, Severity: weir.Medium, Tactic: CommandAndControl, Techniques: []string{"T1071"}, Kind: Indicator,
		Placeholders: []string{"Victim IP"}, Erratum: errata,
		EN: en, JA: ja,
	}
}

// entryInfected is Network_ResourceIpIndicatedAsMalicious (detection reference,
// section 8.2).
func entryInfected() Entry {
	en := Text{
		Title: "Possible compromised machine detected",
		Description: "Threat intelligence indicates that the machine with address %{Machine IP} may be infected with Conficker, a worm for Microsoft Windows known since November 2008. " +
			"It spreads through a flaw of the Windows Server service (MS08-067), by guessing weak passwords and by removable drives, and adds the machine to a botnet.",
		Measured:   "Reports of infected machines (sinkhole logs and the like) that name a public address of the resource, and the time of the newest one. By default only reports of Conficker count.",
		Expression: infectedFormulaEN,
		Formula: []string{
			"s is the score of the report: base is the confidence of its source, t the time since the report.",
			"Addresses of clouds change hands: a report older than the lease of the address speaks of someone else. Where the inventory does not tell the start of the lease, the behavior of the machine must corroborate the report.",
			"Behaviors that corroborate: a sweep of port 445; targets on 445 whose second and fourth octets are all below 128; incoming packets to the peer-to-peer ports of Conficker from at least 3 peers; traffic to Conficker sinkholes.",
		},
		Defaults: []Default{
			{"", "50", "smallest score"},
			{"", "7 d", "greatest age of the report"},
			{"", "14 d", "tau"},
			{"", "2", "delta"},
			{"detect.infected.families", "conficker", "malware families whose reports raise the alert"},
			{"detect.infected.behavioral", "false", "true: behavior alone may raise the alert, at a confidence of 0.95"},
			{"", "7 d", "time without a new report that ends the episode"},
		},
		Guards: []string{
			"Lease start of the address.",
			"Behavior is corroboration only, unless configured otherwise.",
		},
		FalsePositives: []string{
			"A report about the previous holder of the address, where the inventory has no lease start.",
			"A machine of someone else behind the same NAT address.",
			"A research system that talks to sinkholes on purpose.",
		},
		Evidence: append(commonEvidenceEN(),
			"Source and time of the report, lease start of the address, and the behaviors that were seen."),
		Remediation: []string{
			"Check that the address belonged to this resource at the time of the report.",
			"Isolate the machine, and scan it with a current malware scanner or an offline removal tool.",
			"Install the security updates of the operating system, MS08-067 above all, or retire systems that get none.",
			"Close ports 139 and 445 between machines that do not need them, and to the internet.",
			"Change weak and shared administrator passwords, and disable AutoRun for removable drives.",
		},
	}
	ja := Text{
		Title: "侵害された可能性のあるマシンが検出されました",
		Description: "脅威インテリジェンスによると、IP アドレス %{Machine IP} のマシンは、2008 年 11 月から知られている Microsoft Windows を標的としたワーム Conficker に感染している可能性があります。" +
			"Conficker は、Windows の Server サービスの脆弱性（MS08-067）、弱いパスワードの推測、リムーバブル ドライブを通じて感染を広げ、感染したマシンをボットネットに組み込みます。",
		Measured:   "リソースのパブリック IP アドレスを含む感染マシンの報告（シンクホールのログなど）と、その最新の時刻。既定では Conficker の報告のみを対象とします。",
		Expression: infectedFormulaJA,
		Formula: []string{
			"s は報告のスコアです。base は情報源の信頼度、t は報告からの経過時間です。",
			"クラウドのアドレスは利用者が入れ替わるため、アドレスの割り当て開始より前の報告は別の利用者に関するものです。インベントリに割り当て開始がない場合は、マシンの挙動による裏付けが必要です。",
			"裏付けとなる挙動：ポート 445 のスイープ、第 2・第 4 オクテットがすべて 128 未満の 445 番ポートの宛先、3 つ以上の通信相手からの Conficker のピアツーピア用ポートへの着信パケット、Conficker のシンクホールとの通信。",
		},
		Defaults: []Default{
			{"", "50", "スコアの下限"},
			{"", "7 日", "報告からの経過時間の上限"},
			{"", "14 日", "tau"},
			{"", "2", "delta"},
			{"detect.infected.families", "conficker", "報告をアラートの対象とするマルウェア ファミリ"},
			{"detect.infected.behavioral", "false", "true の場合、挙動のみでも信頼度 0.95 以上でアラートを生成"},
			{"", "7 日", "新しい報告がないときにエピソードを終了するまでの時間"},
		},
		Guards: []string{
			"アドレスの割り当て開始時刻。",
			"挙動は、設定で変更しない限り、裏付けとしてのみ使用します。",
		},
		FalsePositives: []string{
			"インベントリに割り当て開始時刻がなく、アドレスの以前の利用者に関する報告であるもの。",
			"同じ NAT アドレスの背後にある、別の利用者のマシン。",
			"シンクホールへ意図的に接続する研究用システム。",
		},
		Evidence: append(commonEvidenceJA(),
			"報告の情報源と時刻、アドレスの割り当て開始時刻、確認された挙動。"),
		Remediation: []string{
			"報告の時点で、そのアドレスがこのリソースに割り当てられていたことを確認します。",
			"マシンを隔離し、最新のマルウェア対策ソフトウェアまたはオフラインの駆除ツールでスキャンします。",
			"オペレーティング システムのセキュリティ更新プログラム（特に MS08-067）を適用します。更新プログラムが提供されないシステムは使用を停止します。",
			"必要のないマシン間とインターネットに対して、ポート 139 と 445 を遮断します。",
			"弱いパスワードや使い回されている管理者パスワードを変更し、リムーバブル ドライブの自動実行を無効にします。",
		},
	}
	return Entry{
		Type: weir.ResourceIPMalicious, Severity: weir.Medium, Tactic: CommandAndControl, Techniques: []string{"T1071"}, Kind: OwnIndicator,
		Placeholders: []string{"Machine IP"},
		EN:           en, JA: ja,
	}
}

// entryBlocked is Network_TrafficFromUnrecommendedIP (detection reference,
// section 8.15).
func entryBlocked() Entry {
	en := Text{
		Title:       "Traffic detected from IP addresses recommended for blocking",
		Description: "Incoming traffic was detected from IP addresses that are recommended for blocking. Either they do not communicate with this resource regularly, or threat intelligence flags them as malicious.",
		Measured:    "Incoming sampled packets from peers that threat intelligence flags (path A), and from peers outside the learnt set of regular peers of a management or data port (path B).",
		Expression:  blockedFormulaEN,
		Formula: []string{
			"X is the number of sampled packets from the peer.",
			"The allow set is the set of regular peers of a resource and port. C is the Good-Turing estimate of the share of traffic that the set covers: n is the number of peer-days seen, f1 the number of peers seen on one day only. Thin samples give a low C, and path B stays off.",
		},
		Defaults: []Default{
			{"", "50", "smallest score of path A"},
			{"", "14 d", "age of the allow set before path B is used"},
			{"", "0.98", "smallest coverage C"},
			{"", "22, 445, 1433, 1521, 3306, 3389, 5432, 5985 …", "ports of path B; never 25, 53, 80, 443"},
			{"", "100", "most peers that one alert names; one alert per resource and day"},
		},
		Guards: []string{
			"Peers of the same /24 or network as at least 3 regular peers (new offices, mobile users): path B is off.",
			"Health probes of the provider and the allow list.",
			"Peers that another alert already names.",
		},
		FalsePositives: []string{
			"A new partner or administrator who connects for the first time.",
			"A shared address that threat intelligence lists because of someone else.",
		},
		Evidence: append(commonEvidenceEN(),
			"Peers with their path, and the recommendation: a short list of prefixes that covers the regular peers."),
		Remediation: []string{
			"Go through the peers: those that are legitimate belong on the allow list with a reason.",
			"Block the others; the block list of Weir can be subscribed to by firewalls.",
			"Narrow the rules of the exposed ports to the recommended prefixes.",
			"Where nobody needs the port from outside, close it.",
		},
	}
	ja := Text{
		Title:       "ブロックを推奨されていた IP アドレスからトラフィックが検出されました",
		Description: "ブロックが推奨される IP アドレスからの着信トラフィックが検出されました。これらの IP アドレスは、このリソースと定常的に通信していないか、脅威インテリジェンスによって悪意のあるものとしてフラグが設定されています。",
		Measured:    "脅威インテリジェンスでフラグが設定された通信相手（経路 A）と、管理ポートやデータ ポートについて学習した定常的な通信相手に含まれない相手（経路 B）からの、サンプリングされた着信パケット。",
		Expression:  blockedFormulaJA,
		Formula: []string{
			"X は通信相手からのサンプリングされたパケット数です。",
			"許可集合（allow set）は、リソースとポートごとの定常的な通信相手の集合です。C は許可集合がトラフィックを網羅する割合の Good-Turing 推定値で、n は観測された通信相手と日の組の数、f1 は 1 日だけ観測された通信相手の数です。サンプルが少ないと C は低くなり、経路 B は使用されません。",
		},
		Defaults: []Default{
			{"", "50", "経路 A のスコアの下限"},
			{"", "14 日", "経路 B を使用するまでの許可集合の学習期間"},
			{"", "0.98", "網羅率 C の下限"},
			{"", "22、445、1433、1521、3306、3389、5432、5985 など", "経路 B のポート。25、53、80、443 は対象外"},
			{"", "100", "1 件のアラートで示す通信相手の最大数。アラートはリソースごとに 1 日 1 件"},
		},
		Guards: []string{
			"3 つ以上の定常的な通信相手と同じ /24 またはネットワークに属する相手（新しいオフィスやモバイル ユーザー）では、経路 B を使用しません。",
			"プロバイダーの正常性プローブと許可リスト。",
			"別のアラートですでに示されている通信相手。",
		},
		FalsePositives: []string{
			"初めて接続する取引先や管理者。",
			"他者の行為によって脅威インテリジェンスに登録された共有アドレス。",
		},
		Evidence: append(commonEvidenceJA(),
			"通信相手ごとの経路と、推奨事項（定常的な通信相手を含む少数のプレフィックスのリスト）。"),
		Remediation: []string{
			"通信相手を確認し、正当なものは理由を添えて許可リストに追加します。",
			"それ以外の相手をブロックします。Weir のブロック リストは、ファイアウォールから購読できます。",
			"公開しているポートの規則を、推奨されるプレフィックスに絞り込みます。",
			"外部から利用する必要のないポートは閉じます。",
		},
	}
	return Entry{
		Type: weir.TrafficFromUnrecommended, Severity: weir.Informational, Tactic: Probing, Techniques: []string{"T1595"}, Direction: weir.Incoming, Kind: Blocklist,
		Placeholders: []string{}, Erratum: errata,
		EN: en, JA: ja,
	}
}

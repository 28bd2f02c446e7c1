package catalog

import "github.com/weir-net/weir"

// entryGeneric is Generic_Incoming_BF_OneToOne (detection reference, section
// 8.3).
func entryGeneric() Entry {
	en, ja := pairText("service", "generic", "tcp/21, 23, 25, 110, 143, 389, 445, 465, 587, 636, 993, 995, 1883, 2323, 5900–5903, 5985, 5986, 6379, 8883, 9200, 27017; 5060", "10 (FTP 13, Telnet 15)", "260 (FTP 90, Telnet 80)", false)
	en.Measured = "Distinct connections from one peer to one service of the resource, in windows of 1 hour (moving by 10 minutes) and 24 hours (moving by 4 hours), with the SYN, FIN and RST marks, the reply share and the packet lengths of the sampled packets."
	ja.Measured = "1 つの通信相手からリソースの 1 つのサービスへの接続の数。1 時間（10 分ごと）と 24 時間（4 時間ごと）のウィンドウで数え、サンプリングされたパケットの SYN・FIN・RST フラグ、応答の割合、パケット長と合わせて評価します。"
	en.Title = "Possible incoming %{Service Name} brute force attempts detected"
	en.Description = "Incoming %{Service Name} traffic to %{Victim IP}, an address of the resource %{Compromised Host}, was detected from %{Attacker IP}. " + lbInEN +
		"Between %{Start Time} and %{End Time}, the sampled network data shows suspicious activity on port %{Victim Port}. It is consistent with attempts to break into %{Service Name} servers by brute force."
	ja.Title = "%{Service Name} ブルート フォース攻撃を受信した可能性が検出されました"
	ja.Description = "%{Attacker IP} から、リソース %{Compromised Host} の IP アドレス %{Victim IP} への %{Service Name} の着信トラフィックが検出されました。" + lbInJA +
		"サンプリングされたネットワーク データでは、%{Start Time} から %{End Time} までの間に、ポート %{Victim Port} で不審なアクティビティが確認されました。このアクティビティは、%{Service Name} サーバーに対するブルート フォース攻撃の特徴と一致しています。"
	en.Guards = []string{
		"Web ports (80, 443, 8080) are left out: browsing cannot be told from password guessing there. So is DNS.",
		"Health probes and uptime checks: regular peers, or connections that nearly all begin within one second.",
		"Mail relays that also receive connections from the resource; SMB clients with long connections.",
	}
	ja.Guards = []string{
		"Web のポート（80、443、8080）は対象外です。通常の閲覧とパスワード推測を区別できません。DNS も対象外です。",
		"正常性プローブや死活監視：定常的な通信相手、またはほぼすべての接続が 1 秒以内に始まるもの。",
		"リソースからの接続も受けているメール リレー、長い接続を保つ SMB のクライアント。",
	}
	en.FalsePositives = []string{
		"A monitoring or backup system that was moved to a new address and has no history yet.",
		"A mail or LDAP client in a retry loop with an expired password.",
		"A vulnerability scan of your own: put the scanner on the allow list.",
	}
	ja.FalsePositives = []string{
		"新しいアドレスに移行され、まだ履歴のない監視システムやバックアップ システム。",
		"期限切れのパスワードで再試行を繰り返すメールや LDAP のクライアント。",
		"自社による脆弱性スキャン。スキャナーを許可リストに登録してください。",
	}
	en.Remediation = []string{
		"Check whether the attacker address belongs to a known client, partner or scanner; if so, add it to the allow list with a reason.",
		"Block the attacker address at the network security group, security group or firewall in front of the resource.",
		"Limit the service to the addresses that need it, or put it behind a VPN.",
		"Look for successful sign-ins from the attacker address in the logs of the service, and change the passwords of the accounts concerned.",
		"Enforce strong passwords, account lockout and multi-factor authentication where the service supports them.",
	}
	ja.Remediation = []string{
		"攻撃元のアドレスが既知のクライアント、取引先、スキャナーのものでないか確認し、該当する場合は理由を添えて許可リストに追加します。",
		"リソースの手前にあるネットワーク セキュリティ グループ、セキュリティ グループ、またはファイアウォールで、攻撃元のアドレスをブロックします。",
		"サービスへのアクセスを必要なアドレスだけに制限するか、VPN 経由に限定します。",
		"サービスのログで攻撃元のアドレスからのサインインの成功がないか確認し、該当するアカウントのパスワードを変更します。",
		"サービスが対応している場合は、強力なパスワード、アカウント ロックアウト、多要素認証を適用します。",
	}
	return Entry{
		Type: weir.GenericIncomingOneToOne, Severity: weir.Informational, Tactic: PreAttack, Techniques: []string{"T1110"}, Direction: weir.Incoming, Kind: Pair,
		Placeholders: []string{"Service Name", "Victim IP", "Compromised Host", "Attacker IP", "Start Time", "End Time", "Victim Port"},
		Erratum:      errata, EN: en, JA: ja,
	}
}

// entrySQL is SQL_Incoming_BF_OneToOne (detection reference, section 8.4).
func entrySQL() Entry {
	en, ja := pairText("SQL", "sql", "tcp/1433, 1521, 3306, 5432, 5433, 33060", "MySQL 5.4, PostgreSQL 8, SQL Server 9, Oracle 12", "MySQL 110, PostgreSQL 110, SQL Server 250, Oracle 250", false)
	en.Expression, ja.Expression = sqlFormulaEN, sqlFormulaJA
	en.Formula = append(en.Formula, "refused tells failed logins from short queries that succeed: the answers of a server that refuses are short.")
	ja.Formula = append(ja.Formula, "refused は、失敗したログインと、成功した短いクエリとを区別します。接続を拒否するサーバーの応答は短くなります。")
	en.Defaults = append(en.Defaults, Default{"", "140", "longest mean server packet of refused logins, bytes"})
	ja.Defaults = append(ja.Defaults, Default{"", "140", "拒否されたログインにおけるサーバー側平均パケット長の上限（バイト）"})
	en.Evidence = append(en.Evidence, "Mean length of the server's packets and the SYN share.")
	ja.Evidence = append(ja.Evidence, "サーバー側の平均パケット長と SYN の割合。")
	en.Title = "Possible incoming SQL brute force attempts detected"
	en.Description = "Incoming SQL traffic to %{Victim IP}, an address of the resource %{Compromised Host}, was detected from %{Attacker IP}. " + lbInEN +
		"Between %{Start Time} and %{End Time}, the sampled network data shows suspicious activity on port %{Port Number} (%{SQL Service Type}). It is consistent with attempts to break into SQL servers by brute force."
	ja.Title = "SQL ブルート フォース攻撃が試行された可能性が検出されました"
	ja.Description = "%{Attacker IP} から、リソース %{Compromised Host} の IP アドレス %{Victim IP} への SQL の着信トラフィックが検出されました。" + lbInJA +
		"サンプリングされたネットワーク データでは、%{Start Time} から %{End Time} までの間に、ポート %{Port Number}（%{SQL Service Type}）で不審なアクティビティが確認されました。このアクティビティは、SQL サーバーに対するブルート フォース攻撃の特徴と一致しています。"
	en.Guards = []string{
		"Applications without connection pooling open thousands of short connections that succeed: the length of the server's packets tells them apart.",
		"Regular clients are tested against their own history only.",
		"Private and peered sources. Where the answers are not visible, only external peers outside the regular set with S_pair of at least 6.",
	}
	ja.Guards = []string{
		"接続プールを使わないアプリケーションは、成功する短い接続を多数開きます。サーバー側のパケット長によって区別します。",
		"定常的なクライアントは、そのクライアント自身の履歴とのみ比較します。",
		"プライベート アドレスやピアリング先の送信元。応答が見えない場合は、定常的な通信相手ではない外部の相手で、S_pair が 6 以上のものに限ります。",
	}
	en.FalsePositives = []string{
		"A new application server without connection pooling whose answers are not visible to the exporter.",
		"A job that keeps trying with an old password after a change of credentials.",
		"A database discovery tool or scanner of your own.",
	}
	ja.FalsePositives = []string{
		"接続プールを使わない新しいアプリケーション サーバーで、応答がエクスポーターから見えないもの。",
		"資格情報の変更後も、古いパスワードで接続を試み続けるジョブ。",
		"自社のデータベース検出ツールやスキャナー。",
	}
	en.Remediation = []string{
		"Check whether the attacker address belongs to an application of yours whose password has changed.",
		"Block the attacker address at the network security group, security group or firewall in front of the resource.",
		"Take the database off the internet: private endpoint, VPN or a list of allowed clients.",
		"Look for successful logins of the attacker address in the database log, and rotate the passwords of the accounts concerned.",
		"Disable or rename built-in administrator logins such as sa and root, and enforce a lockout policy.",
	}
	ja.Remediation = []string{
		"攻撃元のアドレスが、パスワードを変更した自社アプリケーションのものでないか確認します。",
		"リソースの手前にあるネットワーク セキュリティ グループ、セキュリティ グループ、またはファイアウォールで、攻撃元のアドレスをブロックします。",
		"データベースをインターネットに公開しないようにします（プライベート エンドポイント、VPN、クライアントの許可リストなど）。",
		"データベースのログで攻撃元のアドレスからのログインの成功がないか確認し、該当するアカウントのパスワードを更新します。",
		"sa や root などの組み込みの管理者ログインを無効にするか名前を変更し、ロックアウト ポリシーを適用します。",
	}
	return Entry{
		Type: weir.SQLIncomingOneToOne, Severity: weir.Medium, Tactic: PreAttack, Techniques: []string{"T1110"}, Direction: weir.Incoming, Kind: Pair,
		Placeholders: []string{"Victim IP", "Compromised Host", "Attacker IP", "Start Time", "End Time", "Port Number", "SQL Service Type"},
		Erratum:      errata, EN: en, JA: ja,
	}
}

// entryIncoming is the incoming OneToOne rule of RDP or SSH (detection
// reference, sections 8.7 and 8.9).
func entryIncoming(s service, id weir.AlertType) Entry {
	en, ja := pairText(s.name, s.family, s.ports, s.packets, s.length, false)
	en.Title = "Suspicious incoming " + s.name + " network activity"
	en.Description = "Anomalous incoming " + s.name + " traffic to %{Victim IP}, an address of the resource %{Compromised Host}, was detected from %{Attacker IP}. " + lbInEN +
		"The sampled network data shows %{Number of Connections} incoming connections, which is abnormal for this environment. The activity may be an attempt to break into the " + s.name + " endpoint by brute force."
	ja.Title = "不審な着信 " + s.name + " ネットワーク アクティビティ"
	ja.Description = "%{Attacker IP} から、リソース %{Compromised Host} の IP アドレス %{Victim IP} への異常な " + s.name + " の着信トラフィックが検出されました。" + lbInJA +
		"サンプリングされたネットワーク データでは %{Number of Connections} 件の着信接続が確認されており、この環境では異常と考えられます。" + s.name + " エンドポイントに対するブルート フォース攻撃が試行されている可能性があります。"
	en.Guards, ja.Guards, en.FalsePositives, ja.FalsePositives = incomingGuards(s)
	sshAnswers(s, &en, &ja)
	if s.name == "SSH" {
		en.Defaults = append(en.Defaults, Default{"", "× 3", "floor of git servers (by role, or learnt from at least 20 regular peers)"})
		ja.Defaults = append(ja.Defaults, Default{"", "× 3", "Git サーバーの下限（ロールの指定、または 20 以上の定常的な通信相手から判断）"})
		en.Evidence = append(en.Evidence, "possibleSuccess: after the storm, one connection of the same peer with 20 packets or more, so a session may have been established.")
		ja.Evidence = append(ja.Evidence, "possibleSuccess：多数の接続の後に、同じ通信相手による 20 パケット以上の接続があり、セッションが確立された可能性を示します。")
	}
	en.Remediation = remoteAccessEN(s)
	ja.Remediation = remoteAccessJA(s)
	return Entry{
		Type: id, Severity: weir.Medium, Tactic: PreAttack, Techniques: []string{"T1110"}, Direction: weir.Incoming, Kind: Pair,
		Placeholders: []string{"Victim IP", "Compromised Host", "Attacker IP", "Number of Connections"},
		Erratum:      errata, EN: en, JA: ja,
	}
}

// sshAnswers adds what the answers of an SSH server tell.
func sshAnswers(s service, en, ja *Text) {
	if s.name != "SSH" {
		return
	}
	en.Defaults = append(en.Defaults, Default{"", "350", "longest mean server packet of failed logins, bytes (recorded guessing: 124 to 216)"})
	ja.Defaults = append(ja.Defaults, Default{"", "350", "失敗したログインにおけるサーバー側平均パケット長の上限（バイト）。実際の攻撃の記録では 124 ～ 216"})
}

// entryManyToOne is the incoming ManyToOne rule of RDP or SSH (detection
// reference, sections 8.6 and 8.8).
func entryManyToOne(s service, id weir.AlertType) Entry {
	en, ja := aggregateText(s, false)
	en.Title = "Suspicious incoming " + s.name + " network activity from multiple sources"
	en.Description = "Anomalous incoming " + s.name + " traffic to %{Victim IP}, an address of the resource %{Compromised Host}, was detected from multiple sources. " + lbInEN +
		"The sampled network data shows %{Number of Attacking IPs} distinct source addresses, which is abnormal for this environment. The activity may be an attempt to break into the " + s.name + " endpoint by brute force from many hosts, such as a botnet."
	ja.Title = "複数のソースからの不審な着信 " + s.name + " ネットワーク アクティビティ"
	ja.Description = "複数の送信元から、リソース %{Compromised Host} の IP アドレス %{Victim IP} への異常な " + s.name + " の着信トラフィックが検出されました。" + lbInJA +
		"サンプリングされたネットワーク データでは %{Number of Attacking IPs} 個の送信元 IP アドレスが確認されており、この環境では異常と考えられます。ボットネットなどの多数のホストから、" + s.name + " エンドポイントに対するブルート フォース攻撃が試行されている可能性があります。"
	en.Guards, ja.Guards, en.FalsePositives, ja.FalsePositives = incomingGuards(s)
	en.FalsePositives = append([]string{"A sudden rise of legitimate users, for example after an office move, seen before the baseline has followed."}, en.FalsePositives...)
	ja.FalsePositives = append([]string{"オフィス移転などによる正規ユーザーの急増で、ベースラインがまだ追従していないもの。"}, ja.FalsePositives...)
	en.Remediation = remoteAccessEN(s)
	en.Remediation[1] = "Do not chase single addresses: close " + s.name + " to the internet at the network security group, security group or firewall, and allow only the addresses that need it."
	ja.Remediation = remoteAccessJA(s)
	ja.Remediation[1] = "個々のアドレスを追うのではなく、ネットワーク セキュリティ グループ、セキュリティ グループ、またはファイアウォールで " + s.name + " をインターネットから遮断し、必要なアドレスだけを許可します。"
	return Entry{
		Type: id, Severity: weir.Medium, Tactic: PreAttack, Techniques: []string{"T1110"}, Direction: weir.Incoming, Kind: Aggregate,
		Placeholders: []string{"Victim IP", "Compromised Host", "Number of Attacking IPs"},
		Erratum:      errata, EN: en, JA: ja,
	}
}

// entryOutgoing is the outgoing OneToOne rule of RDP or SSH (detection
// reference, sections 8.12 and 8.14).
func entryOutgoing(s service, id weir.AlertType, severity weir.Severity) Entry {
	en, ja := pairText(s.name, s.family, s.ports, s.packets, s.length, true)
	en.Title = "Suspicious outgoing " + s.name + " network activity"
	en.Description = "Anomalous outgoing " + s.name + " traffic to %{Victim IP} was detected from the resource %{Compromised Host} (%{Attacker IP}). " + lbOutEN +
		"The sampled network data shows %{Number of Connections} outgoing connections, which is abnormal for this environment. The resource may be compromised and may now be in use for brute force against external " + s.name + " endpoints. " + reputationEN
	ja.Title = "不審な発信 " + s.name + " ネットワーク アクティビティ"
	ja.Description = "リソース %{Compromised Host}（%{Attacker IP}）から %{Victim IP} への異常な " + s.name + " の発信トラフィックが検出されました。" + lbOutJA +
		"サンプリングされたネットワーク データでは %{Number of Connections} 件の発信接続が確認されており、この環境では異常と考えられます。リソースが侵害され、外部の " + s.name + " エンドポイントに対するブルート フォース攻撃に現在使用されている可能性があります。" + reputationJA
	en.Guards, ja.Guards, en.FalsePositives, ja.FalsePositives = outgoingGuards(s, false)
	sshAnswers(s, &en, &ja)
	en.Defaults = append(en.Defaults, Default{"", "M(W)/3", "floor when the destination is a known honeypot; never below a configured floor"})
	ja.Defaults = append(ja.Defaults, Default{"", "M(W)/3", "宛先が既知のハニーポットの場合の下限（設定された下限を下回ることはない）"})
	en.Remediation = compromisedEN(s.name)
	ja.Remediation = compromisedJA(s.name)
	return Entry{
		Type: id, Severity: severity, Tactic: LateralMovement, Techniques: []string{"T1110", s.technique}, Direction: weir.Outgoing, Kind: Pair,
		Placeholders: []string{"Victim IP", "Compromised Host", "Attacker IP", "Number of Connections"},
		EN:           en, JA: ja,
	}
}

// entryOneToMany is the outgoing OneToMany rule of RDP or SSH (detection
// reference, sections 8.11 and 8.13).
func entryOneToMany(s service, id weir.AlertType, severity weir.Severity) Entry {
	en, ja := aggregateText(s, true)
	en.Title = "Suspicious outgoing " + s.name + " network activity to multiple destinations"
	en.Description = "Anomalous outgoing " + s.name + " traffic to multiple destinations was detected from the resource %{Compromised Host} (%{Attacker IP}). " + lbOutEN +
		"The sampled network data shows connections to %{Number of Attacked IPs} distinct addresses, which is abnormal for this environment. The resource may be compromised and may now be in use for brute force against external " + s.name + " endpoints. " + reputationEN
	ja.Title = "複数の送信先への不審な発信 " + s.name + " ネットワーク アクティビティ"
	ja.Description = "リソース %{Compromised Host}（%{Attacker IP}）から複数の宛先への異常な " + s.name + " の発信トラフィックが検出されました。" + lbOutJA +
		"サンプリングされたネットワーク データでは %{Number of Attacked IPs} 個の IP アドレスへの接続が確認されており、この環境では異常と考えられます。リソースが侵害され、外部の " + s.name + " エンドポイントに対するブルート フォース攻撃に現在使用されている可能性があります。" + reputationJA
	en.Guards, ja.Guards, en.FalsePositives, ja.FalsePositives = outgoingGuards(s, true)
	en.Remediation = compromisedEN(s.name)
	ja.Remediation = compromisedJA(s.name)
	e := Entry{
		Type: id, Severity: severity, Tactic: Discovery, Techniques: []string{"T1110", s.technique}, Direction: weir.Outgoing, Kind: Aggregate,
		Placeholders: []string{"Compromised Host", "Attacker IP", "Number of Attacked IPs"},
		Erratum:      errata, EN: en, JA: ja,
	}
	if id == weir.RDPOutgoingOneToMany {
		e.LegacyTitles = []string{"複数の送信元への不審な発信 RDP ネットワーク アクティビティ"}
	}
	return e
}

package catalog

// incomingGuards returns guards and false positives of the incoming RDP and SSH
// rules (detection reference, sections 8.6 to 8.9).
func incomingGuards(s service) (guardsEN, guardsJA, falseEN, falseJA []string) {
	guardsEN = []string{
		"Allow list, health probes of the provider and own ranges.",
		"A regular peer (active on 3 of 30 days, within the 1 % and 99 % quantiles of its own days) is tested against its own history only, and is no part of a crowd.",
		"What was reported and goes on becomes a habit after 14 days; what was reported in the first week, when that week is over.",
	}
	guardsJA = []string{
		"許可リスト、プロバイダーの正常性プローブ、自組織のアドレス範囲。",
		"定常的な通信相手（30 日のうち 3 日以上、自身の日別件数の 1 ～ 99 % 分位点の範囲内で通信している相手）は、その相手自身の履歴とのみ比較し、多数の送信元には数えません。",
		"アラートの対象となった通信も、続けば 14 日後に定常的とみなします。最初の 1 週間に対象となったものは、その週が終わった時点で定常的とみなします。",
	}
	if s.name == "RDP" {
		guardsEN = append(guardsEN,
			"Remote desktop gateways, bastions and session brokers: a high number of peers is part of their baseline.",
			"Office NAT: many users behind one address are compared with the history of that address.",
			"Probes of ciphers and health: connections that nearly all begin within one second.")
		guardsJA = append(guardsJA,
			"リモート デスクトップ ゲートウェイ、踏み台サーバー、セッション ブローカー。通信相手が多いことがベースラインに含まれます。",
			"オフィスの NAT。1 つのアドレスの背後にいる多数のユーザーは、そのアドレスの履歴と比較します。",
			"暗号方式や正常性のプローブ。ほぼすべての接続が 1 秒以内に始まります。")
		falseEN = []string{
			"A remote desktop client or a monitoring check in a reconnect loop.",
			"An office or VPN gateway whose address has changed.",
			"A vulnerability scan of your own: put the scanner on the allow list.",
		}
		falseJA = []string{
			"再接続を繰り返すリモート デスクトップ クライアントや監視チェック。",
			"アドレスが変更されたオフィスや VPN ゲートウェイ。",
			"自社による脆弱性スキャン。スキャナーを許可リストに登録してください。",
		}
		return guardsEN, guardsJA, falseEN, falseJA
	}
	guardsEN = append(guardsEN,
		"Automation (Ansible, git, CI, rsync, SSH checks) has the packet shape of brute force; only its regularity tells it apart.",
		"Git servers (by role, or learnt from at least 20 regular peers): per-peer history and three times the floor.",
		"SFTP partners and sessions: packets too long for failed logins, from the client or the server.")
	guardsJA = append(guardsJA,
		"自動化（Ansible、Git、CI、rsync、SSH の監視など）のパケットの形状はブルート フォース攻撃と同じであり、定常性によってのみ区別できます。",
		"Git サーバー（ロールの指定、または 20 以上の定常的な通信相手から判断）。通信相手ごとの履歴を使い、下限を 3 倍にします。",
		"SFTP の取引先や通常のセッション。失敗したログインとみなすには、クライアント側またはサーバー側のパケットが長すぎます。")
	falseEN = []string{
		"Automation that has just been introduced, or that runs from a new address, before it counts as regular.",
		"A job that keeps reconnecting with a key that is no longer accepted.",
		"A vulnerability scan of your own: put the scanner on the allow list.",
	}
	falseJA = []string{
		"導入直後の自動化や、新しいアドレスから実行される自動化で、まだ定常的とみなされていないもの。",
		"無効になった鍵で再接続を繰り返すジョブ。",
		"自社による脆弱性スキャン。スキャナーを許可リストに登録してください。",
	}
	return guardsEN, guardsJA, falseEN, falseJA
}

// outgoingGuards returns guards and false positives of the outgoing RDP and SSH
// rules (detection reference, sections 8.11 to 8.14).
func outgoingGuards(s service, many bool) (guardsEN, guardsJA, falseEN, falseJA []string) {
	guardsEN = []string{
		"Allow list and destinations of the regular set.",
	}
	guardsJA = []string{
		"許可リストと、定常的な通信相手に含まれる宛先。",
	}
	if many {
		guardsEN = append(guardsEN,
			"Jump hosts, Ansible and CI controllers: only destinations that are first met count, and how many of them are usual is learnt.",
			"Git pulls from the hosting services, which have few destinations.")
		guardsJA = append(guardsJA,
			"踏み台サーバー、Ansible や CI のコントローラー。初めて通信する宛先だけを数え、その通常の数を学習します。",
			"宛先の少ないホスティング サービスからの git pull。")
	} else {
		guardsEN = append(guardsEN,
			"Configuration management with a fixed destination (regular).",
			"Reconnect loops with a fixed destination: regular after three days.")
		guardsJA = append(guardsJA,
			"宛先が固定された構成管理（定常的な通信）。",
			"宛先が固定された再接続の繰り返し（3 日で定常的とみなす）。")
		if s.name == "SSH" {
			guardsEN = append(guardsEN, "Backup over SSH or rsync: regular, with long packets.")
			guardsJA = append(guardsJA, "SSH や rsync によるバックアップ。定常的で、パケットが長い通信です。")
		}
	}
	falseEN = []string{
		"A new jump host or automation controller, before its destinations are known.",
		"An administrator who works through a list of machines for the first time.",
		"A security test from this resource: put the destinations or the resource on the allow list for its duration.",
	}
	falseJA = []string{
		"新しい踏み台サーバーや自動化コントローラーで、宛先がまだ学習されていないもの。",
		"管理者が初めて多数のマシンに順に接続する作業。",
		"このリソースから実施するセキュリティ テスト。期間を定めて許可リストに登録してください。",
	}
	return guardsEN, guardsJA, falseEN, falseJA
}

// remoteAccessEN returns the response to incoming brute force on RDP or SSH.
func remoteAccessEN(s service) []string {
	steps := []string{
		"Check whether the peers are known administrators, automation or scanners of yours; if so, add them to the allow list with a reason.",
		"Block the attacker address at the network security group, security group or firewall in front of the resource.",
		"Close " + s.name + " to the internet: reach it through a VPN, a bastion or just-in-time access.",
	}
	if s.name == "RDP" {
		return append(steps,
			"Look for successful sign-ins from the attackers in the Windows security log (event 4624, logon type 10 or 3); if there are any, treat the machine as compromised.",
			"Require network level authentication and multi-factor authentication, and enforce an account lockout policy.")
	}
	return append(steps,
		"Look for accepted logins of the attackers in the log of the SSH server; if there are any, treat the machine as compromised.",
		"Turn off password authentication and direct root login in the SSH server, and use keys or certificates.")
}

// remoteAccessJA is remoteAccessEN in Japanese.
func remoteAccessJA(s service) []string {
	steps := []string{
		"通信相手が、自組織の管理者、自動化、スキャナーでないか確認し、該当する場合は理由を添えて許可リストに追加します。",
		"リソースの手前にあるネットワーク セキュリティ グループ、セキュリティ グループ、またはファイアウォールで、攻撃元のアドレスをブロックします。",
		s.name + " をインターネットに公開せず、VPN、踏み台サーバー、または Just-In-Time アクセスを経由して利用します。",
	}
	if s.name == "RDP" {
		return append(steps,
			"Windows のセキュリティ ログ（イベント 4624、ログオンの種類 10 または 3）で攻撃元からのサインインの成功がないか確認し、該当する場合はマシンが侵害されたものとして対応します。",
			"ネットワーク レベル認証と多要素認証を必須にし、アカウント ロックアウト ポリシーを適用します。")
	}
	return append(steps,
		"SSH サーバーのログで攻撃元からのログインの成功がないか確認し、該当する場合はマシンが侵害されたものとして対応します。",
		"SSH サーバーのパスワード認証と root での直接ログインを無効にし、鍵または証明書を使用します。")
}

// compromisedEN returns the response to outgoing brute force.
func compromisedEN(name string) []string {
	return []string{
		"Find out whether the activity is intended: ask the owner, and look at scheduled jobs and automation on the resource.",
		"If it is not, isolate the resource, or one by one the members of the backend pool that may have sent the traffic, and keep disk and memory for the investigation.",
		"Block outgoing " + name + " from the resource except to the destinations that it needs.",
		"Look for unknown processes, accounts, keys and scheduled tasks, and for the sign-in by which the attacker came in; rotate all credentials that were used on the resource.",
		"Check the destinations that belong to you for successful sign-ins from this resource.",
		"Rebuild the resource from a trusted image, and watch the reputation of its address.",
	}
}

// compromisedJA is compromisedEN in Japanese.
func compromisedJA(name string) []string {
	return []string{
		"意図した操作かどうかを確認します。所有者に問い合わせ、リソース上のスケジュールされたジョブや自動化を調べます。",
		"意図した操作でない場合は、リソース（またはトラフィックの発信元と考えられるバックエンド プールのメンバーを 1 台ずつ）を隔離し、調査のためにディスクとメモリを保全します。",
		"リソースからの " + name + " の発信を、必要な宛先だけに制限します。",
		"不審なプロセス、アカウント、鍵、スケジュールされたタスクと、攻撃者の侵入経路となったサインインを調査し、リソース上で使用されたすべての資格情報を更新します。",
		"自組織が管理する宛先で、このリソースからのサインインの成功がないか確認します。",
		"信頼できるイメージからリソースを再構築し、IP アドレスの評判を監視します。",
	}
}

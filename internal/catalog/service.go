package catalog

// errata is the decision record about the faults of the Japanese source page.
const errata = "docs/decisions/0002-japanese-errata.md"

// Sentences about load balancers, which 13 of the 15 descriptions carry.
const (
	lbInEN = "If the resource is a load balancer or an application gateway, it has forwarded this traffic to one or more members of its backend pool. "
	lbInJA = "リソースがロード バランサーまたはアプリケーション ゲートウェイの場合、このトラフィックはバックエンド プール内の 1 つ以上のリソースに転送されています。"

	lbOutEN = "If the resource is a load balancer or an application gateway, this traffic came from one or more members of its backend pool. "
	lbOutJA = "リソースがロード バランサーまたはアプリケーション ゲートウェイの場合、このトラフィックはバックエンド プール内の 1 つ以上のリソースから送られたものです。"

	reputationEN = "Even if the activity is intended, others may come to flag the address as malicious because of it."
	reputationJA = "意図した操作であっても、このアクティビティによって、IP アドレスが外部の組織から悪意のあるものと判定されるおそれがあります。"
)

// service holds what differs between the RDP and the SSH rules.
type service struct {
	name      string // in texts and titles
	family    string // of the configuration
	technique string // MITRE ATT&CK, remote services
	ports     string
	packets   string // k_s, client packets of a failed login
	length    string // upper bound of the mean client packet length, bytes
}

// rdp and ssh are the rows of the service table (detection reference, section
// 5).
func rdp() service {
	return service{name: "RDP", family: "rdp", technique: "T1021.001", ports: "tcp/3389, udp/3389", packets: "30", length: "160"}
}

func ssh() service {
	return service{name: "SSH", family: "ssh", technique: "T1021.004", ports: "tcp/22, tcp/2222, tcp/22222", packets: "13", length: "260"}
}

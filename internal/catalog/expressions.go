package catalog

// Expressions of the decisions (detection reference, sections 7 and 8). N is
// the sampling interval, W the window.
const (
	pairFormulaEN = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1: exact count;  N unknown: D
storm     = N = 1: D >= 4, share of connections in the packet range >= 0.6
                   and (D/Xf >= 0.6*rho_e or L >= 10*M(W))
            N > 1: D >= 4, D/Xf >= 0.6*rho_e, not long and (sessions >= 30 or LLR >= 2)
                   (fixed client port: SYN share LCB >= 0.03 and LLR >= 2)
long      = sessions < 10*M(W) and (P(repeated ports) < 0.01 or BetaUCB95(mark share) < 0.8*2/k_s)
scanlike  = BetaLCB95(SYN share) > 0.5 or (replies visible and BetaUCB95(reply share) < 0.05)
sizeok    = mean packet lengths of client and server <= limits of the service
            (N = 1 and L >= 10*M(W): long client packets only raise S* by 2)
anomaly   = S_pair >= S* and L >= M(W)
signature = L >= 10*M(W) and peer not in the regular set
alert     = storm and not scanlike and sizeok and direction confidence >= 0.9
            and (anomaly or signature or (indicator score >= 50 and L >= M(W)))
            and no guard holds`

	sqlFormulaEN = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1: exact count;  N unknown: D
storm     = N = 1: D >= 4, share of connections in the packet range >= 0.6
                   and (D/Xf >= 0.6*rho_e or L >= 10*M(W))
            N > 1: D >= 4, D/Xf >= 0.6*rho_e, not long and (sessions >= 30 or LLR >= 2)
                   (fixed client port: SYN share LCB >= 0.03 and LLR >= 2)
long      = sessions < 10*M(W) and (P(repeated ports) < 0.01 or BetaUCB95(mark share) < 0.8*2/k_s)
scanlike  = BetaLCB95(SYN share) > 0.55 or (replies visible and BetaUCB95(reply share) < 0.05)
refused   = mean server packet length <= 140 bytes and mean client packet length <= limit of the service
            (not visible: peer external, not regular, and S_pair >= 6)
anomaly   = S_pair >= S* and L >= M(W)
signature = L >= 10*M(W) and peer not in the regular set
alert     = storm and not scanlike and refused and direction confidence >= 0.9
            and (anomaly or signature or (indicator score >= 50 and L >= M(W)))
            and no guard holds`

	manyToOneFormulaEN = `U      = peers with login-like traffic in W, without regular ones
burst  = S_uniq >= S* and U >= 5
spread = 1/G >= 5 and largest share <= 0.5
alert  = (burst or slow) and spread and storm and not scanlike (on the pooled packets)
         and median L of the peers < 10*M(W)
slow   = CUSUM of ln NB(2m)/NB(m) over windows of 1 h > ln(1e5), from the 15th day on
         takes the place of burst`

	oneToManyFormulaEN = `U      = new destinations in W (not contacted in the last 30 days)
burst  = S_uniq >= S* and U >= 5
         and (>= 5 destinations with login-like traffic, or N = 1 and >= 25 destinations)
spread = 1/G >= 5 and largest share <= 0.5
alert  = burst and spread and, where login-like traffic carries it, storm and not scanlike
         (on the pooled packets) and median L of the destinations < 10*M(W)`

	ddosFormulaEN = `r         = N*GQ05(X)/60                     packets per second, lower bound, per pane of 60 s
syn       = r >= 1000 and SYN share LCB >= 0.8 and (replies visible: reply share UCB <= 0.2)
flood     = (r >= 20000 or rate >= 1000 Mbit/s) and top-3 share >= 0.5 and reply share <= 0.2
            for UDP, ICMP and fragments
reflector = (r >= 1000 or rate >= 50 Mbit/s) and mean length >= 400 bytes
            and bytes out/in >= 5 and destination share >= 0.2
low       = one tenth of a floor above and S >= 10 and destination not seen in 7 days
alert     = a class holds in 2 of 3 consecutive panes
            and (S >= S* or cold start);  low: S >= 10`

	scanFormulaEN = `w     <- max(0, w + f*ln(t1/t0) + (1-f)*ln((1-t1)/(1-t0)))    per connection to a new destination
f     = bare SYN packets / sampled packets of the connection
t0    = max(0.2, Q95 of the own SYN share);  t1 = 0.6
t0 >= 0.5: t1 = (1+t0)/2 and twice the destinations;  t0 >= 0.8: no test
sweep    = destinations without an answer >= 10 (N = 1: 25) and share of the commonest port >= 0.8
vertical = ports of one destination >= 15 (sampled: 8)
mixed    = destination and port pairs >= 20
alert    = w > ln(1e6) and (sweep or vertical or mixed)
           and (replies visible: reply share UCB < 0.3, or a high share of RST)
           and, of a sweep, S >= 4 against the unanswered destinations of that port before
           (web: new ones, S >= 6)`

	c2FormulaEN = `s     = base*(1 - (t/tau)^(1/delta))      per source, 0 for t >= tau
score = 100*(1 - prod(1 - s/100))         over independent sources
talk  = (a) the resource is the client, direction confidence >= 0.9, >= 1 packet of its own
     or (b) the peer is the client and the resource answers with more than SYN-ACK, RST or ICMP unreachable
     or (c) the direction is ambiguous, packets run both ways and the resource sent one above 60 bytes
alert = score >= 50 and talk and no guard holds`

	infectedFormulaEN = `s     = base*(1 - (t/tau)^(1/delta))      tau = 14 days, delta = 2
alert = last report within 7 days
        and last report >= lease start of the address on this resource
        and s >= 50
        (lease start not known: and a behaviour that corroborates the report)`

	blockedFormulaEN = `A     = indicator score of the peer >= 50 and X >= 1 and the resource is the server or the direction ambiguous
B     = management or data port and allow set mature and peer outside the allow set and its prefixes
        and (>= 2 packets that are no RST, or >= 1 packet of a completed handshake)
mature = allow set >= 14 days old and coverage C = 1 - f1/n >= 0.98
alert = A or B;  one alert per resource and day`
)

// The same decisions in Japanese.
const (
	pairFormulaJA = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1：正確な数、N 不明：D
storm     = N = 1：D >= 4、パケット数が範囲内の接続の割合 >= 0.6
                   かつ (D/Xf >= 0.6*rho_e または L >= 10*M(W))
            N > 1：D >= 4、D/Xf >= 0.6*rho_e、long でない かつ (sessions >= 30 または LLR >= 2)
                   (クライアント ポートが固定の場合：SYN の割合の LCB >= 0.03 かつ LLR >= 2)
long      = sessions < 10*M(W) かつ (P(ポートの重複) < 0.01 または BetaUCB95(制御フラグの割合) < 0.8*2/k_s)
scanlike  = BetaLCB95(SYN の割合) > 0.5 または (応答が見える場合 BetaUCB95(応答の割合) < 0.05)
sizeok    = クライアント側とサーバー側の平均パケット長 <= サービスの上限
            (N = 1 かつ L >= 10*M(W)：クライアント側の超過は S* を 2 上げるのみ)
anomaly   = S_pair >= S* かつ L >= M(W)
signature = L >= 10*M(W) かつ 定常的な通信相手でない
alert     = storm かつ scanlike でない かつ sizeok かつ 方向の信頼度 >= 0.9
            かつ (anomaly または signature または (インジケーターのスコア >= 50 かつ L >= M(W)))
            かつ 除外条件に該当しない`

	sqlFormulaJA = `L         = max(D, N*GQ05(Xf)/k_s)          N = 1：正確な数、N 不明：D
storm     = N = 1：D >= 4、パケット数が範囲内の接続の割合 >= 0.6
                   かつ (D/Xf >= 0.6*rho_e または L >= 10*M(W))
            N > 1：D >= 4、D/Xf >= 0.6*rho_e、long でない かつ (sessions >= 30 または LLR >= 2)
                   (クライアント ポートが固定の場合：SYN の割合の LCB >= 0.03 かつ LLR >= 2)
long      = sessions < 10*M(W) かつ (P(ポートの重複) < 0.01 または BetaUCB95(制御フラグの割合) < 0.8*2/k_s)
scanlike  = BetaLCB95(SYN の割合) > 0.55 または (応答が見える場合 BetaUCB95(応答の割合) < 0.05)
refused   = サーバー側の平均パケット長 <= 140 バイト かつ クライアント側の平均パケット長 <= サービスの上限
            (見えない場合：外部の定常的でない通信相手で S_pair >= 6)
anomaly   = S_pair >= S* かつ L >= M(W)
signature = L >= 10*M(W) かつ 定常的な通信相手でない
alert     = storm かつ scanlike でない かつ refused かつ 方向の信頼度 >= 0.9
            かつ (anomaly または signature または (インジケーターのスコア >= 50 かつ L >= M(W)))
            かつ 除外条件に該当しない`

	manyToOneFormulaJA = `U      = W の間にログインとみられる通信を行った、定常的でない通信相手の数
burst  = S_uniq >= S* かつ U >= 5
spread = 1/G >= 5 かつ 最大の占有率 <= 0.5
alert  = (burst または slow) かつ spread かつ storm かつ scanlike でない (全通信相手のパケットを合わせて判定)
         かつ 通信相手ごとの L の中央値 < 10*M(W)
slow   = 1 時間ごとの ln NB(2m)/NB(m) の CUSUM > ln(1e5) (15 日目以降)
         burst の代わりとなる`

	oneToManyFormulaJA = `U      = W の間の新しい宛先 (過去 30 日間に通信のない宛先) の数
burst  = S_uniq >= S* かつ U >= 5
         かつ (ログインとみられる通信のある宛先 >= 5、または N = 1 で宛先 >= 25)
spread = 1/G >= 5 かつ 最大の占有率 <= 0.5
alert  = burst かつ spread かつ、ログインとみられる通信を根拠とする場合は
         storm かつ scanlike でない (全宛先のパケットを合わせて判定)
         かつ 宛先ごとの L の中央値 < 10*M(W)`

	ddosFormulaJA = `r         = N*GQ05(X)/60                     60 秒区間ごとのパケット/秒の下限推定値
syn       = r >= 1000 かつ SYN の割合の LCB >= 0.8 かつ (応答が見える場合、応答の割合の UCB <= 0.2)
flood     = (r >= 20000 または レート >= 1000 Mbit/s) かつ 上位 3 宛先の占有率 >= 0.5
            かつ 応答の割合 <= 0.2               UDP、ICMP、フラグメントが対象
reflector = (r >= 1000 または レート >= 50 Mbit/s) かつ 平均パケット長 >= 400 バイト
            かつ 送信/受信バイト比 >= 5 かつ 宛先の占有率 >= 0.2
low       = 上記の下限の 1/10 かつ S >= 10 かつ 7 日間通信のない宛先
alert     = いずれかの種別が連続する 3 区間中 2 区間で成立
            かつ (S >= S* または 学習開始直後)、low では S >= 10`

	scanFormulaJA = `w     <- max(0, w + f*ln(t1/t0) + (1-f)*ln((1-t1)/(1-t0)))    新しい宛先への接続ごと
f     = SYN のみのパケット数 / 接続のサンプリングされたパケット数
t0    = max(0.2, 自身の SYN の割合の 95 % 分位点)、t1 = 0.6
t0 >= 0.5：t1 = (1+t0)/2 かつ宛先数を 2 倍、t0 >= 0.8：検査しない
sweep    = 応答しない宛先 >= 10 (N = 1：25) かつ 最も多いポートの割合 >= 0.8
vertical = 1 つの宛先のポート >= 15 (サンプリング時：8)
mixed    = 宛先とポートの組 >= 20
alert    = w > ln(1e6) かつ (sweep または vertical または mixed)
           かつ (応答が見える場合：応答の割合の UCB < 0.3、または RST の割合が高い)
           かつ スイープでは、そのポートで応答しない宛先の過去の数に対し S >= 4
           (Web：新しい宛先の数に対し S >= 6)`

	c2FormulaJA = `s     = base*(1 - (t/tau)^(1/delta))      情報源ごと。t >= tau では 0
score = 100*(1 - prod(1 - s/100))         独立した情報源について
talk  = (a) リソースがクライアント (方向の信頼度 >= 0.9) で、送信パケットが 1 つ以上
     または (b) 通信相手がクライアントで、リソースが SYN-ACK、RST、ICMP 到達不能以外で応答
     または (c) 方向が不明で、パケットが双方向に流れ、リソースが 60 バイト超のパケットを送信
alert = score >= 50 かつ talk かつ 除外条件に該当しない`

	infectedFormulaJA = `s     = base*(1 - (t/tau)^(1/delta))      tau = 14 日、delta = 2
alert = 最新の報告が 7 日以内
        かつ 最新の報告 >= このリソースへのアドレスの割り当て開始
        かつ s >= 50
        (割り当て開始が不明な場合：かつ 報告を裏付ける挙動がある)`

	blockedFormulaJA = `A      = 通信相手のスコア >= 50 かつ X >= 1 かつ リソースがサーバーまたは方向が不明
B      = 管理・データ ポート かつ mature かつ 通信相手が許可集合とそのプレフィックスの外
         かつ (RST 以外のパケット >= 2、またはハンドシェイクを完了したパケット >= 1)
mature = 許可集合の学習期間 >= 14 日 かつ 網羅率 C = 1 - f1/n >= 0.98
alert  = A または B。リソースごとに 1 日 1 件`
)

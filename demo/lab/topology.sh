# shellcheck shell=bash
# Who is who in the lab: hosts, their addresses and their servers. Sourced by record.sh.

BOTS=90             # sources of each distributed attack
TARGETS=40          # outside addresses that each outgoing sweep of password guessing meets

# range PREFIX FIRST COUNT: addresses in a row.
range() { local i; for ((i = $2; i < $2 + $3; i++)); do printf '%s.%d ' "$1" "$i"; done; }

hosts_up() {
  local i
  # own network: servers
  add_host rtr jump 198.51.100.5          # bastion
  add_host rtr web1 198.51.100.10
  add_host rtr web2 198.51.100.11
  add_host rtr lb1 198.51.100.20          # front end of web1, web2 (80) and ssh2, ssh3 (22)
  add_host rtr ssh1 198.51.100.22
  add_host rtr ssh2 198.51.100.23
  add_host rtr ssh3 198.51.100.24
  add_host rtr rdp1 198.51.100.33
  add_host rtr rdp2 198.51.100.34
  add_host rtr db1 198.51.100.41          # MariaDB
  add_host rtr db2 198.51.100.42          # PostgreSQL
  add_host rtr ftp1 198.51.100.50
  add_host rtr dns1 198.51.100.53         # resolver of the own network
  add_host rtr desk1 198.51.100.80        # a person's machine
  # own network: machines that will misbehave, one behaviour each
  add_host rtr app1 198.51.100.60         # talks to its C2 server
  add_host rtr app2 198.51.100.61         # SYN flood
  add_host rtr app3 198.51.100.62         # sweep of tcp/23
  add_host rtr app4 198.51.100.63         # guesses SSH passwords at one host
  add_host rtr app5 198.51.100.64         # guesses RDP passwords at one host
  add_host rtr app6 198.51.100.65         # guesses SSH passwords at many hosts
  add_host rtr app7 198.51.100.66         # guesses RDP passwords at many hosts
  add_host rtr app8 198.51.100.67         # only named by intelligence
  add_host rtr app9 198.51.100.68         # vertical scan of one host
  # outside: good
  add_host isp mon 192.0.2.7              # external monitoring, on the allow list
  add_host isp admin 192.0.2.10
  add_host isp office 192.0.2.20 192.0.2.21 192.0.2.22
  add_host isp rdpuser 192.0.2.30
  add_host isp shop 192.0.2.40            # application that uses the databases
  add_host isp net 192.0.2.53 192.0.2.80 192.0.2.81   # DNS, NTP, package mirror, web sites
  add_host isp partner 192.0.2.90 192.0.2.91          # SSH servers of a partner
  # outside: bad
  add_host isp att1 203.0.113.10          # SSH
  add_host isp att2 203.0.113.11          # RDP
  add_host isp att3 203.0.113.12          # FTP
  add_host isp att4 203.0.113.13          # MySQL
  add_host isp att5 203.0.113.14          # PostgreSQL
  add_host isp c2 203.0.113.66
  add_host isp knock 203.0.113.77
  # outside: victims of the own network (203.0.113.200, the flood's victim, is in the blackhole)
  add_host isp vssh 203.0.113.210
  add_host isp vrdp 203.0.113.211
  add_host isp vscan 203.0.113.212
  # shellcheck disable=SC2046
  add_host isp mssh $(range 203.0.113 215 $TARGETS)
  # shellcheck disable=SC2046
  add_host isp mrdp $(range 192.0.2 210 $TARGETS)
  [ "$1" = attack ] || return 0
  for ((i = 0; i < BOTS; i++)); do
    add_host isp "sb$i" 203.0.113.$((100 + i))
    add_host isp "rb$i" 192.0.2.$((100 + i))
  done
}

servers_up() {
  local h
  prepare_accounts
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=lab.example -keyout "$STATE/tls.key" -out "$STATE/tls.pem" 2>/dev/null
  for h in jump ssh1 ssh2 ssh3 desk1 partner vssh mssh vscan; do start_sshd $h; done
  for h in web1 web2 net c2 vscan; do start_nginx $h; done
  for h in rdp1 rdp2 vrdp mrdp; do start_xrdp $h; done
  start_vsftpd ftp1
  start_haproxy lb1
  start_resolver net
  start_resolver dns1 192.0.2.53
  start_ntpd net
  start_mariadb db1
  start_postgres db2
}

# servers_check: every server must accept a TCP connection before anything is recorded.
servers_check() {
  local try bad hp
  for try in $(seq 30); do
    bad=
    for hp in 198.51.100.{5,22,23,24,20,80}/22 198.51.100.{10,11,20}/80 198.51.100.{33,34}/3389 198.51.100.41/3306 \
      198.51.100.42/5432 198.51.100.50/21 198.51.100.53/53 192.0.2.53/53 192.0.2.80/443 192.0.2.90/22 203.0.113.66/80 \
      203.0.113.{210,212,215,254}/22 203.0.113.211/3389 192.0.2.249/3389; do
      ns rtr timeout 2 bash -c "exec 3<>/dev/tcp/$hp" 2>/dev/null || bad="$bad $hp"
    done
    [ -n "$bad" ] || return 0
    sleep 1
  done
  echo "servers: not listening:$bad" >&2
  return 1
}

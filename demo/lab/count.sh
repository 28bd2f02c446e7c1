#!/bin/bash
# Counts what each line of the timetable left in a capture: flow records and packets of both
# directions, distinct connections, distinct peers, first and last event time.
#
#   count.sh FILE.pcap[.gz]
set -euo pipefail
[ $# = 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
"$(dirname "$0")/records.sh" "$1" | LC_ALL=C sort -n | gawk -F'\t' '
# row NAME CLIENT SERVER PORT: client and server are address patterns
function row(name, cl, sv, port, udp) { n++; nm[n] = name; c[n] = "^" cl "$"; s[n] = "^" sv "$"; p[n] = port }
function time(t) { return strftime("%H:%M:%S", t, 1) }
BEGIN {
  own = "198[.]51[.]100[.][0-9]+"; any = "[0-9.]+"; bad = "203[.]0[.]113[.][0-9]+"
  row("SSH in, one to one", "203.0.113.10", "198.51.100.22", 22)
  row("SSH in, botnet", "203.0.113.1[0-9][0-9]", "198.51.100.20", 22)
  row("RDP in, one to one", "203.0.113.11", "198.51.100.33", 3389)
  row("RDP in, botnet", "192.0.2.1[0-9][0-9]", "198.51.100.34", 3389)
  row("FTP in, one to one", "203.0.113.12", "198.51.100.50", 21)
  row("MySQL in, one to one", "203.0.113.13", "198.51.100.41", 3306)
  row("PostgreSQL in, one to one", "203.0.113.14", "198.51.100.42", 5432)
  row("SYN flood out", "198.51.100.61", "203.0.113.200", 80)
  row("sweep out", "198.51.100.62", bad, 23)
  row("vertical scan out", "198.51.100.68", "203.0.113.212", 0)
  row("SSH out, one to one", "198.51.100.63", "203.0.113.210", 22)
  row("RDP out, one to one", "198.51.100.64", "203.0.113.211", 3389)
  row("SSH out, one to many", "198.51.100.65", bad, 22)
  row("RDP out, one to many", "198.51.100.66", any, 3389)
  row("C2", "198.51.100.60", "203.0.113.66", 80)
  row("knocks of a listed address", "203.0.113.77", "198.51.100.10", 80)
  row("- web", "192.0.2.2[0-2]", own, 80)
  row("- web over TLS", "192.0.2.2[0-2]", own, 443)
  row("- SSH of the administrator (bastion)", "192.0.2.10", "198.51.100.5", 22)
  row("- SSH automation", "192.0.2.10", "198.51.100.22", 22)
  row("- SSH of the bastion, out", "198.51.100.5", "192.0.2.9[01]", 22)
  row("- RDP session", "192.0.2.30", "198.51.100.33", 3389)
  row("- MySQL application", "192.0.2.40", "198.51.100.41", 3306)
  row("- PostgreSQL application", "192.0.2.40", "198.51.100.42", 5432)
  row("- FTP control", "192.0.2.20", "198.51.100.50", 21)
  row("- FTP data", "192.0.2.20", "198.51.100.50", -1)
  row("- monitoring (allow list)", "192.0.2.7", own, 0)
  row("- packages, out", own, "192.0.2.80", 443)
  row("- web, out", "198.51.100.80", "192.0.2.81", 80)
  row("- DNS, out", "198.51.100.53", "192.0.2.53", 53)
  row("- NTP, out", "198.51.100.53", "192.0.2.53", 123)
  row("- app8, all traffic", "198.51.100.67", any, 0)
}
function add(i, peer, key, out) {
  rec[i]++; if (out) pk[i] += $9; else rp[i] += $9
  if (out) { ob[i] += $10 } else { rb[i] += $10 }
  if (!((i, key) in seen)) { seen[i, key]; con[i]++ }
  if (!((i, peer) in pe)) { pe[i, peer]; peers[i]++ }
  if (!(i in first) || $1 < first[i]) first[i] = $1
  if ($2 > last[i]) last[i] = $2
}
{
  total++; packets += $9; bytes += $10
  if (!min || $1 < min) min = $1
  if ($2 > max) max = $2
  hit = 0
  for (i = 1; i <= n; i++) {
    if ($3 ~ c[i] && $5 ~ s[i] && (p[i] == 0 || $6 == p[i] || (p[i] < 0 && $6 > 1023 && $4 > 1023)))
      { add(i, $3 " " $5, $3 " " $4 " " $5 " " $6, 1); hit = 1 }
    else if ($5 ~ c[i] && $3 ~ s[i] && (p[i] == 0 || $4 == p[i] || (p[i] < 0 && $4 > 1023 && $6 > 1023)))
      { add(i, $5 " " $3, $5 " " $6 " " $3 " " $4, 0); hit = 1 }
  }
  if (!hit) { other++; if ($7 == 1) icmp++ }
}
END {
  printf "%d records, %d packets, %d bytes, events %s to %s UTC; %d records of no row (%d of them ICMP)\n\n",
    total, packets, bytes, strftime("%Y-%m-%dT%H:%M:%S", min, 1), strftime("%Y-%m-%dT%H:%M:%S", max, 1), other, icmp
  fmt = "%-38s %8s %8s %6s %9s %7s %9s %7s %9s %9s\n"
  printf fmt, "traffic", "records", "connect.", "pairs", "packets>", "B/pkt>", "packets<", "B/pkt<", "first", "last"
  for (i = 1; i <= n; i++) if (rec[i])
    printf fmt, nm[i], rec[i], con[i], peers[i], pk[i] + 0, pk[i] ? int(ob[i] / pk[i]) : "-", rp[i] + 0, rp[i] ? int(rb[i] / rp[i]) : "-", time(first[i]), time(last[i])
}'

#!/bin/bash
# Records the lab: builds the network, starts the servers, lets normal traffic (and attacks)
# run, and keeps what four softflowd exporters at the border sent to their collectors.
#
#   record.sh attack DIR [SECONDS]    normal traffic and every attack; default 930 s
#   record.sh normal DIR [SECONDS]    normal traffic only; default 660 s
#
# Writes DIR/NAME-{v9,v9-sampled,ipfix,ipfix-sampled}.pcap and DIR/timetable.txt. Needs root and install.sh.
# Everything is bounded in time and removed at the end, also after Ctrl-C.
set -uo pipefail
set -m      # every background job is a process group, so that the end can reach all of it

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
MODE=$1; OUT=$2
case $MODE in
attack) SECONDS_TOTAL=${3:-930} ;;
normal) SECONDS_TOTAL=${3:-660} ;;
*) usage ;;
esac
[ "$(id -u)" = 0 ] || { echo "record.sh: must run as root" >&2; exit 1; }
HERE=$(cd "$(dirname "$0")" && pwd)
STATE=${WEIR_LAB_STATE:-/var/tmp/weir-lab}     # not under /tmp: the servers get a /tmp of their own
export STATE

. "$HERE/net.sh"
. "$HERE/servers.sh"
. "$HERE/topology.sh"
. "$HERE/normal.sh"
. "$HERE/attacks.sh"

if ip netns list | grep -q "^$PREFIX"; then
  echo "record.sh: a lab is already up (ip netns list); remove it first: $HERE/teardown.sh" >&2
  exit 1
fi
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
rm -rf "$STATE"; mkdir -p "$STATE/logs"; chmod 755 "$STATE"
cleanup() {
  trap - EXIT INT TERM
  exec 2>/dev/null     # the shell would name every job it ends
  local p
  for p in $(jobs -p); do kill -- "-$p" 2>/dev/null; done
  net_down
  [ -n "${KEEP:-}" ] || rm -rf "$STATE"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

net_up
hosts_up "$MODE"
servers_up || exit 1
servers_check || exit 1

# Exporters: the same packets, four ways. Short time-outs, so that records come soon:
# a record leaves at most 60 s after its first packet, or 5 s after FIN or RST.
timeouts=(-t maxlife=60 -t general=15 -t tcp=15 -t tcp.fin=5 -t tcp.rst=5 -t udp=15 -t icmp=15 -t expint=3)
exporter() { # NAME COLLECTOR OPTION...
  local name=$1 collector=$2; shift 2
  ns rtr softflowd -d -N -i ext0 -m 100000 "${timeouts[@]}" -p "$STATE/$name.pid" -c "$STATE/$name.ctl" -n "$collector:2055" "$@" \
    >"$STATE/logs/softflowd-$name.log" 2>&1 &
}
for c in 2:v9 3:v9-sampled 4:ipfix 6:ipfix-sampled; do
  # a collector that listens, so that the exporters meet an open port; tcpdump keeps what arrives
  mkdir -p "$STATE/nf-${c#*:}"
  ns col nfcapd -b 198.51.100.${c%%:*} -p 2055 -w "$STATE/nf-${c#*:}" -t 3600 >"$STATE/logs/nfcapd-${c#*:}.log" 2>&1 &
  ns col tcpdump -q -n -U -Z root -i eth0 -s 0 -w "$OUT/$MODE-${c#*:}.pcap" "udp and dst host 198.51.100.${c%%:*} and dst port 2055" \
    >"$STATE/logs/tcpdump-${c#*:}.log" 2>&1 &
done
sleep 1
exporter v9 198.51.100.2 -v 9
exporter v9-sampled 198.51.100.3 -v 9 -s 10
exporter ipfix 198.51.100.4 -v 10
exporter ipfix-sampled 198.51.100.6 -v 10 -s 10
sleep 1

START=$(date +%s)
END=$((START + SECONDS_TOTAL))
echo "$(date -u +%FT%TZ) start recording" >"$STATE/timetable.txt"
normal_traffic
[ "$MODE" = normal ] || attack_traffic
while [ "$(date +%s)" -lt "$END" ]; do sleep 1; done
echo "$(date -u +%FT%TZ) end   recording" >>"$STATE/timetable.txt"

# Let the last flows expire by time-out, then stop the exporters, which export the rest.
sleep 10
for p in $(ip netns pids ${PREFIX}rtr); do
  case $(cat /proc/"$p"/comm 2>/dev/null) in softflowd) kill "$p" ;; esac
done
sleep 3
for p in $(ip netns pids ${PREFIX}col); do kill "$p" 2>/dev/null; done
sleep 1
sort "$STATE/timetable.txt" >"$OUT/$MODE-timetable.txt"
if [ -n "${KEEP:-}" ]; then cp -r "$STATE/logs" "$OUT/$MODE-logs"; fi
ls -l "$OUT"

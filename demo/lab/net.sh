# shellcheck shell=bash
# The lab network; sourced by record.sh.
#
#   outside hosts --- wl-isp ===(ext0)=== wl-rtr --- own hosts
#   203.0.113.0/24                          |          198.51.100.0/24
#   192.0.2.0/24                            +--- wl-col (collector)
#
# softflowd listens on ext0, the border interface of wl-rtr: it sees every packet
# that enters or leaves the own network and nothing that stays inside it. Every
# host is a network namespace of its own with a point-to-point link to its router.
# Addresses that no host holds fall into a blackhole route: nothing answers there,
# not even an ICMP error. All addresses are documentation prefixes (RFC 5737) that
# exist inside these namespaces only; no namespace has a link to the machine's own
# network, so nothing can leave.

PREFIX=${WEIR_LAB_PREFIX:-wl-}   # every namespace of the lab starts with this
GATEWAY=169.254.1.1    # link-local next hop of every host
OWN=198.51.100.0/24
OUTSIDE=(203.0.113.0/24 192.0.2.0/24)
DELAY=4ms              # one-way delay of the border link, where the kernel has netem

ns() { local host=$1; shift; ip netns exec "$PREFIX$host" "$@"; }

# quiet_link HOST DEV: offloads off, so that packets on the link are as long as on a wire.
quiet_link() {
  ns "$1" ethtool -K "$2" tso off gso off gro off tx off rx off >/dev/null 2>&1 || true
}

# add_ns HOST: a namespace with loopback up, forwarding off and IPv6 off.
add_ns() {
  ip netns add "$PREFIX$1"
  ip -n "$PREFIX$1" link set lo up
  ns "$1" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
}

# add_host ROUTER HOST ADDRESS...: a host with one or more addresses behind a router (isp or rtr).
LINKS=0
add_host() {
  local router=$1 host=$2 addr; shift 2
  LINKS=$((LINKS + 1))
  local far=h$LINKS
  add_ns "$host"
  ip -n "$PREFIX$router" link add "$far" type veth peer name eth0 netns "$PREFIX$host"
  for addr in "$@"; do ip -n "$PREFIX$host" addr add "$addr/32" dev eth0; done
  quiet_link "$host" eth0; quiet_link "$router" "$far"
  ip -n "$PREFIX$host" link set eth0 up
  ip -n "$PREFIX$router" addr add "$GATEWAY/32" dev "$far"
  ip -n "$PREFIX$router" link set "$far" up
  for addr in "$@"; do ip -n "$PREFIX$router" route add "$addr/32" dev "$far"; done
  ip -n "$PREFIX$host" route add "$GATEWAY" dev eth0 scope link
  ip -n "$PREFIX$host" route add default via "$GATEWAY" src "$1"
  printf '%s %s %s\n' "$host" "$router" "$*" >>"$STATE/hosts.txt"
}

net_up() {
  local p
  add_ns isp; add_ns rtr; add_ns col
  ns isp sysctl -q -w net.ipv4.ip_forward=1
  ns rtr sysctl -q -w net.ipv4.ip_forward=1
  ns isp sysctl -q -w net.ipv4.neigh.default.gc_thresh3=4096 2>/dev/null || true
  # border link
  ip -n ${PREFIX}rtr link add ext0 type veth peer name cust0 netns ${PREFIX}isp
  quiet_link rtr ext0; quiet_link isp cust0
  ip -n ${PREFIX}rtr addr add 169.254.0.1/30 dev ext0
  ip -n ${PREFIX}isp addr add 169.254.0.2/30 dev cust0
  ip -n ${PREFIX}rtr link set ext0 up; ip -n ${PREFIX}isp link set cust0 up
  ip -n ${PREFIX}rtr route add default via 169.254.0.2
  ip -n ${PREFIX}rtr route add blackhole "$OWN"
  ip -n ${PREFIX}isp route add "$OWN" via 169.254.0.1
  for p in "${OUTSIDE[@]}"; do ip -n ${PREFIX}isp route add blackhole "$p"; done
  ns isp tc qdisc add dev cust0 root netem delay $DELAY limit 20000 2>/dev/null &&
    ns rtr tc qdisc add dev ext0 root netem delay $DELAY limit 20000 2>/dev/null ||
    echo "net: no netem in this kernel, the border link has no delay" >&2
  # management link to the collector: one collector address per exporter
  ip -n ${PREFIX}rtr link add mgmt0 type veth peer name eth0 netns ${PREFIX}col
  ip -n ${PREFIX}rtr addr add 198.51.100.1/32 dev mgmt0
  ip -n ${PREFIX}rtr link set mgmt0 up; ip -n ${PREFIX}col link set eth0 up
  for p in 2 3 4 6; do
    ip -n ${PREFIX}col addr add 198.51.100.$p/32 dev eth0
    ip -n ${PREFIX}rtr route add 198.51.100.$p/32 dev mgmt0 src 198.51.100.1
  done
  ip -n ${PREFIX}col route add 198.51.100.1 dev eth0 scope link
}

# net_down: ends every process inside the lab's namespaces, by its id, and removes them.
net_down() {
  local n pids
  for n in $(ip netns list | awk '{print $1}' | grep "^$PREFIX" || true); do
    pids=$(ip netns pids "$n" 2>/dev/null || true)
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
  done
  sleep 2
  for n in $(ip netns list | awk '{print $1}' | grep "^$PREFIX" || true); do
    pids=$(ip netns pids "$n" 2>/dev/null || true)
    [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
    ip netns del "$n" || true
  done
}

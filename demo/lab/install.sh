#!/bin/bash
# Installs what the lab needs from Debian 12, without starting any daemon on the
# machine: a policy-rc.d that refuses every start is put in place for the time of
# the installation (unless the machine already has one) and removed afterwards.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "install.sh: must run as root" >&2; exit 1; }

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

packages=(
  # exporter, collector and readers of the export
  softflowd nfdump tcpdump tshark gawk
  # servers under attack and in normal use
  openssh-server xrdp xorgxrdp vsftpd mariadb-server postgresql nginx-light dnsmasq-base chrony haproxy
  # attack tools
  hydra nmap hping3
  # clients of the normal traffic
  openssh-client sshpass curl apache2-utils mariadb-client postgresql-client lftp freerdp2-x11 xvfb xterm
  bind9-dnsutils iputils-ping
  # plumbing
  iproute2 ethtool procps util-linux openssl
)
export DEBIAN_FRONTEND=noninteractive
echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections
apt-get update -qq
apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}"

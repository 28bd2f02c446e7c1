# shellcheck shell=bash
# The servers of the lab: Debian's own daemons, each in the namespace of its host and
# in a private mount namespace (own /run, own /tmp, own password file), so that many
# instances live beside each other and the machine's own files stay untouched.
# Sourced by record.sh; needs net.sh.

# Accounts that exist in the lab only. The passwords are in no word list of attacks.sh.
LAB_USERS=(alice deploy)
LAB_PASSWORD='correct-Horse-9'

# jail HOST COMMAND...: runs a command in a host with private /run, /tmp and accounts.
# Its standard output and error go to logs/NAME.log when NAME is set by the caller.
jail() {
  local host=$1; shift
  ns "$host" unshare -m bash -c '
    state=$1; shift; cd /     # the directory of the caller may lie under the /tmp that is about to be covered
    mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=1777 tmpfs /tmp || exit 1
    mkdir -p /run/sshd /run/mysqld /run/postgresql /run/vsftpd/empty /run/xrdp/sockdir /tmp/.X11-unix /run/user
    chmod 1777 /tmp/.X11-unix
    chown mysql: /run/mysqld; chown postgres: /run/postgresql; chmod 3777 /run/xrdp/sockdir
    for f in passwd shadow group; do mount --bind "$state/etc/$f" "/etc/$f" || exit 1; done
    exec "$@"' jail "$STATE" "$@"
}

# daemon NAME HOST COMMAND...: a long-running jail with a log.
daemon() {
  local name=$1; shift
  jail "$@" >"$STATE/logs/$name.log" 2>&1 </dev/null &
}

prepare_accounts() {
  local uid=2001 u hash f
  mkdir -p "$STATE/etc" "$STATE/home"
  for f in passwd shadow group; do cp "/etc/$f" "$STATE/etc/$f"; done
  hash=$(openssl passwd -6 "$LAB_PASSWORD")
  for u in "${LAB_USERS[@]}"; do
    echo "$u:x:$uid:$uid::$STATE/home/$u:/bin/bash" >>"$STATE/etc/passwd"
    echo "$u:$hash:19700:0:99999:7:::" >>"$STATE/etc/shadow"
    echo "$u:x:$uid:" >>"$STATE/etc/group"
    mkdir -p "$STATE/home/$u/.ssh"
    uid=$((uid + 1))
  done
  ssh-keygen -q -t ed25519 -N '' -f "$STATE/id_lab"
  for u in "${LAB_USERS[@]}"; do
    cp "$STATE/id_lab.pub" "$STATE/home/$u/.ssh/authorized_keys"
    chmod 700 "$STATE/home/$u" "$STATE/home/$u/.ssh"; chmod 600 "$STATE/home/$u/.ssh/authorized_keys"
    chown -R "$(awk -F: -v u="$u" '$1==u{print $3":"$4}' "$STATE/etc/passwd")" "$STATE/home/$u"
  done
  head -c 3000000 /dev/urandom >"$STATE/blob"
}

# start_sshd HOST: password and key logins; MaxStartups and MaxSessions are raised, since
# the daemon would otherwise drop part of an attack before it became a connection.
start_sshd() {
  local d=$STATE/sshd-$1
  mkdir -p "$d"
  ssh-keygen -q -t ed25519 -N '' -f "$d/key"
  cat >"$d/config" <<EOF
HostKey $d/key
PidFile none
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 200:30:400
MaxAuthTries 3
UseDNS no
PrintMotd no
Subsystem sftp internal-sftp
EOF
  daemon "sshd-$1" "$1" /usr/sbin/sshd -D -e -f "$d/config"
}

# start_nginx HOST: port 80 and 443 with pages of several sizes.
start_nginx() {
  local d=$STATE/nginx-$1 n
  mkdir -p "$d/html"
  for n in 1 2 3 4 5 6; do head -c $((n * n * 2500)) /dev/urandom | base64 >"$d/html/page$n.html"; done
  echo '<html><body>Weir lab</body></html>' >"$d/html/index.html"
  echo 'wait 20' >"$d/html/task"
  cp "$STATE/blob" "$d/html/package.deb"
  cat >"$d/nginx.conf" <<EOF
daemon off; worker_processes 1; pid $d/pid; error_log $d/error.log;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path $d/b; proxy_temp_path $d/p; fastcgi_temp_path $d/f; uwsgi_temp_path $d/u; scgi_temp_path $d/s;
  server { listen 80; listen 443 ssl; ssl_certificate $STATE/tls.pem; ssl_certificate_key $STATE/tls.key; root $d/html; }
}
EOF
  chmod 755 "$d"
  daemon "nginx-$1" "$1" nginx -c "$d/nginx.conf"
}

# start_xrdp HOST: xrdp with its session manager; a session is an xterm that draws.
start_xrdp() {
  local d=$STATE/xrdp-$1
  cp -r /etc/xrdp "$d"
  cat >"$d/session.sh" <<'EOF'
#!/bin/sh
exec xterm -e sh -c 'n=0; while [ $n -lt 900 ]; do date; ls -l /etc | head -30; n=$((n+1)); sleep 1; done'
EOF
  chmod 755 "$d/session.sh"
  sed -i -e "s|^certificate=.*|certificate=$STATE/tls.pem|" -e "s|^key_file=.*|key_file=$STATE/tls.key|" \
    -e 's|^LogFile=.*|LogFile=/tmp/xrdp.log|' "$d/xrdp.ini"
  sed -i -e "s|^DefaultWindowManager=.*|DefaultWindowManager=$d/session.sh|" \
    -e 's|^EnableUserWindowManager=.*|EnableUserWindowManager=false|' \
    -e 's|^LogFile=.*|LogFile=/tmp/sesman.log|' "$d/sesman.ini"
  daemon "xrdp-$1" "$1" bash -c "xrdp-sesman --nodaemon --config $d/sesman.ini & exec xrdp --nodaemon --config $d/xrdp.ini"
}

start_vsftpd() {
  local d=$STATE/vsftpd-$1
  mkdir -p "$d"
  cp "$STATE/blob" "$STATE/home/alice/data.bin"
  chmod 644 "$STATE/home/alice/data.bin"
  cat >"$d/conf" <<EOF
listen=YES
background=NO
listen_ipv6=NO
local_enable=YES
anonymous_enable=NO
write_enable=NO
pam_service_name=vsftpd
secure_chroot_dir=/run/vsftpd/empty
max_per_ip=0
seccomp_sandbox=NO
EOF
  daemon "vsftpd-$1" "$1" /usr/sbin/vsftpd "$d/conf"
}

# start_mariadb HOST: one application account, reachable from anywhere.
start_mariadb() {
  local d=$STATE/mysql-$1
  mkdir -p "$d"; chown mysql: "$d"
  mariadb-install-db --no-defaults --user=mysql --datadir="$d" --skip-test-db >"$STATE/logs/mariadb-install.log" 2>&1
  cat >"$d/init.sql" <<EOF
CREATE DATABASE IF NOT EXISTS shop;
USE shop;
CREATE TABLE IF NOT EXISTS shop.items (id INT PRIMARY KEY, name VARCHAR(200));
INSERT IGNORE INTO shop.items SELECT seq, REPEAT(CONCAT('item ', seq, ' '), 8) FROM seq_1_to_400;
CREATE USER IF NOT EXISTS 'app'@'%' IDENTIFIED BY '$LAB_PASSWORD';
GRANT SELECT ON shop.* TO 'app'@'%';
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$LAB_PASSWORD-root';
EOF
  daemon "mariadb-$1" "$1" mariadbd --no-defaults --user=mysql --datadir="$d" --init-file="$d/init.sql" \
    --bind-address=0.0.0.0 --skip-name-resolve --max-connect-errors=1000000 --max-connections=300 \
    --socket=/run/mysqld/mysqld.sock --innodb-buffer-pool-size=16M
}

start_postgres() {
  local d=$STATE/pg-$1 bin
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
  mkdir -p "$d"; chown postgres: "$d"
  (cd "$d" && runuser -u postgres -- "$bin/initdb" -D "$d/data" -A trust >"$STATE/logs/initdb.log" 2>&1)
  cat >"$d/data/pg_hba.conf" <<EOF
local all all trust
host all all 0.0.0.0/0 scram-sha-256
EOF
  daemon "postgres-$1" "$1" runuser -u postgres -- "$bin/postgres" -D "$d/data" -c listen_addresses='*' -c max_connections=300 \
    -c unix_socket_directories="$d"
  local i
  for i in $(seq 30); do
    if [ -S "$d/.s.PGSQL.5432" ] && psql -q -h "$d" -U postgres >/dev/null 2>&1 <<EOF
CREATE ROLE app LOGIN PASSWORD '$LAB_PASSWORD';
CREATE TABLE items AS SELECT i AS id, repeat('item ' || i || ' ', 8) AS name FROM generate_series(1,400) i;
GRANT SELECT ON items TO app;
ALTER ROLE postgres PASSWORD '$LAB_PASSWORD-root';
EOF
    then return 0; fi
    sleep 0.5
  done
  echo "servers: PostgreSQL did not come up" >&2; return 1
}

# start_haproxy HOST: the load balancer; it passes connections to its pool inside the own network.
start_haproxy() {
  cat >"$STATE/haproxy.cfg" <<EOF
global
  maxconn 2000
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
listen web
  bind *:80
  server web-1 198.51.100.10:80
  server web-2 198.51.100.11:80
listen ssh
  bind *:22
  server ssh-2 198.51.100.23:22
  server ssh-3 198.51.100.24:22
EOF
  daemon "haproxy-$1" "$1" haproxy -db -f "$STATE/haproxy.cfg"
}

# start_resolver HOST [UPSTREAM]: a forwarder when an upstream is named, else authoritative for a few names.
start_resolver() {
  local more=(--address=/example.net/192.0.2.80 --address=/example.org/192.0.2.81)
  [ $# -lt 2 ] || more=(--no-resolv "--server=$2" --cache-size=0)
  daemon "dnsmasq-$1" "$1" dnsmasq -k --conf-file=/dev/null --no-hosts --pid-file= --user=root --port=53 "${more[@]}"
}

# start_ntpd HOST: serves the machine's time and never touches the clock (-x).
start_ntpd() {
  printf 'local stratum 2\nallow\ncmdport 0\nport 123\n' >"$STATE/chrony.conf"
  daemon "chronyd-$1" "$1" chronyd -x -d -u root -f "$STATE/chrony.conf"
}

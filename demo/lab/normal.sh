# shellcheck shell=bash
# Normal traffic; sourced by record.sh. Every loop ends at the deadline $END (Unix seconds),
# and every command in it has a time limit of its own.

# every MIN MAX COMMAND...: runs a command again and again, with a pause of MIN to MAX seconds, until $END.
every() {
  local min=$1 max=$2; shift 2
  local left
  sleep $((RANDOM % max + 1))
  while left=$((END - $(date +%s))); [ $left -gt 3 ]; do
    timeout $((left < 120 ? left : 120)) "$@" >/dev/null 2>&1 </dev/null
    left=$((min + RANDOM % (max - min + 1)))
    [ $(($(date +%s) + left)) -lt "$END" ] || break
    sleep $left
  done
}

SSH_OPTS=(-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10)


normal_traffic() {
  local key=$STATE/id_lab a
  mkdir -p "$STATE/clients"
  # people browse the web servers and the load balancer
  for a in 20 21 22; do
    every 2 9 ip netns exec ${PREFIX}office curl -s -m 20 --interface 192.0.2.$a -o /dev/null \
      http://198.51.100.10/page1.html -o /dev/null http://198.51.100.10/page4.html -o /dev/null http://198.51.100.10/page6.html &
    every 3 12 ip netns exec ${PREFIX}office curl -s -m 20 --interface 192.0.2.$a -o /dev/null http://198.51.100.20/page3.html &
    every 5 20 ip netns exec ${PREFIX}office curl -sk -m 20 --interface 192.0.2.$a -o /dev/null https://198.51.100.11/page5.html &
  done
  # a busy minute: many keep-alive requests at once
  every 100 160 ip netns exec ${PREFIX}office ab -q -k -n 400 -c 8 http://198.51.100.20/page2.html &
  # the administrator: an interactive session (typing, output, pauses) and a file copy
  every 20 60 ip netns exec ${PREFIX}admin bash -c \
    'for i in $(seq 25); do echo "ls -l /etc; uptime"; sleep 1.$((RANDOM % 9)); done | timeout 60 ssh -tt "$@"' x \
    -i "$key" "${SSH_OPTS[@]}" alice@198.51.100.5 &
  every 110 170 ip netns exec ${PREFIX}admin scp -q -i "$key" "${SSH_OPTS[@]}" "$STATE/blob" alice@198.51.100.5:copy &
  # the administrator's automation: one short command at a fixed period, by key, always from one address
  every 90 90 ip netns exec ${PREFIX}admin ssh -i "$key" "${SSH_OPTS[@]}" deploy@198.51.100.22 uptime &
  # the bastion reaches the two servers of a partner
  every 100 200 ip netns exec ${PREFIX}jump ssh -i "$key" "${SSH_OPTS[@]}" alice@192.0.2.90 'sleep 5; ls -l /usr/bin' &
  every 150 250 ip netns exec ${PREFIX}jump scp -q -i "$key" "${SSH_OPTS[@]}" "$STATE/blob" alice@192.0.2.91:backup &
  # an application that opens a database connection for every request and reads rows
  every 9 14 ip netns exec ${PREFIX}shop mariadb --no-defaults -h 198.51.100.41 -u app "-p$LAB_PASSWORD" shop \
    -e 'SELECT * FROM items LIMIT 120; SELECT COUNT(*) FROM items; SELECT * FROM items WHERE id > 350' &
  every 9 14 ip netns exec ${PREFIX}shop env "PGPASSWORD=$LAB_PASSWORD" PGSSLMODE=disable psql -h 198.51.100.42 -U app -d postgres -At \
    -c 'SELECT * FROM items LIMIT 120' -c 'SELECT count(*) FROM items' -c 'SELECT * FROM items WHERE id > 350' &
  # a remote desktop session with a moving picture, logged in with the right password
  every 60 120 ip netns exec ${PREFIX}rdpuser unshare -m bash -c '
    mount -t tmpfs -o mode=1777 tmpfs /tmp; mkdir -m 1777 /tmp/.X11-unix; export HOME=/tmp
    Xvfb :7 -screen 0 1024x768x24 -nolisten tcp & x=$!; sleep 2
    DISPLAY=:7 timeout 85 xfreerdp /v:198.51.100.33 /u:alice "/p:$1" /size:1024x768 /cert:ignore /sec:tls
    kill $x' x "$LAB_PASSWORD" &
  # downloads by FTP
  every 60 120 ip netns exec ${PREFIX}office lftp -u "alice,$LAB_PASSWORD" -e 'set net:timeout 10; set ssl:verify-certificate no; ls; get data.bin -o /dev/null; bye' 198.51.100.50 &
  # names, time, echo
  for a in jump:1 desk1:1 web1:2 app1:2 app8:1; do
    every 4 $((10 * ${a#*:})) ip netns exec "${PREFIX}${a%:*}" dig +tries=1 +time=2 @198.51.100.53 www.example.net &
  done
  every 50 70 ip netns exec ${PREFIX}dns1 chronyd -Q -t 6 -u root -f /dev/null 'server 192.0.2.53 iburst maxsamples 2' &
  every 30 60 ip netns exec ${PREFIX}desk1 ping -c 4 -W 1 192.0.2.80 &
  every 20 40 ip netns exec ${PREFIX}admin ping -c 2 -W 1 198.51.100.10 &
  # own machines fetch packages and pages
  for a in web1 web2 db1 app1 app2 app3 app4 app5 app6 app7 app8 app9; do
    every 40 110 ip netns exec "${PREFIX}$a" curl -sk -m 20 -o /dev/null https://192.0.2.80/package.deb &
  done
  every 4 15 ip netns exec ${PREFIX}desk1 curl -s -m 20 -o /dev/null http://192.0.2.81/page3.html -o /dev/null http://192.0.2.81/page6.html &
  # external monitoring: opens and closes a connection to every service, every ten seconds, for ever
  every 10 10 ip netns exec ${PREFIX}mon bash -c '
    for t in 22/22 23/22 33/3389 34/3389 41/3306 42/5432 50/21 10/80; do
      timeout 2 bash -c "exec 3<>/dev/tcp/198.51.100.${t%/*}/${t#*/}; read -t 0.2 -u 3 l"
    done' &
}

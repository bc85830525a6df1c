# Sets up what a guest of test/workloads.test.ts does, as its root.
set -e
unit() { cat > "/etc/systemd/system/$1.service"; }

# A transaction that stays open until /run/go is there.
su postgres -c "cd /; psql -qc 'create table t (n int)'"
unit transaction <<'U'
[Service]
User=postgres
ExecStart=/bin/sh -c '(echo "begin; insert into t values (1), (2);"; until [ -e /run/go ]; do sleep 0.1; done; echo "commit;") | psql -qX'
U

# A download that takes its time.
head -c 6000000 /dev/urandom > /var/www/html/much
echo 'limit_rate 1m;' > /etc/nginx/conf.d/slow.conf
systemctl reload nginx

sed -i 's/^bind .*/bind 0.0.0.0/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
systemctl restart redis-server

cat > /srv/server.js <<'J'
let count = 0;
const server = require("http").createServer((_, reply) => reply.end(String(++count)));
server.keepAliveTimeout = 0;
server.listen(8000);
J
unit node <<'U'
[Service]
ExecStart=/usr/bin/node /srv/server.js
U

echo '* * * * * root date +\%s >> /var/log/minutes' > /etc/cron.d/minutes

# As much as systemd can take from a service.
count='n=0; while :; do n=$$((n+1)); echo $$n > $$STATE_DIRECTORY/count; echo $$n > /tmp/count; sleep 0.1; done'
unit hardened <<U
[Service]
StateDirectory=hardened
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
NoNewPrivileges=yes
RestrictNamespaces=yes
PrivateDevices=yes
ExecStart=/bin/sh -c '$count'
U
unit dynamic <<U
[Service]
StateDirectory=dynamic
DynamicUser=yes
ExecStart=/bin/sh -c '$count'
U

useradd -m -s /bin/sh someone
loginctl enable-linger someone
systemctl daemon-reload
systemctl start transaction node hardened dynamic
until [ -S /run/user/$(id -u someone)/bus ]; do sleep 0.1; done
su someone -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user -q --unit ticking --on-active=1 --on-unit-active=1 --timer-property=AccuracySec=50ms sh -c "date >> ~/ticks"'
for port in 80 6379 8000; do
  until bash -c ": < /dev/tcp/127.0.0.1/$port" 2> /dev/null; do sleep 0.1; done
done

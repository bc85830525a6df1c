# Sets up what the guest of migrate-workloads.test.ts does, as its root; $1 is the clients' public key, $2 their network.
set -e
main=$(echo /etc/postgresql/*/main)
printf "listen_addresses = '*'\nshared_buffers = 32MB\nmax_wal_size = 96MB\n" > "$main/conf.d/test.conf"
echo "host all all $2 trust" >> "$main/pg_hba.conf"
systemctl restart postgresql
psql="su postgres -c"
$psql 'cd /; createdb bench; pgbench -iqs 1 bench; psql -qc "create table ledger (n bigint)" bench' 2>&1

head -c 50000000 /dev/urandom > /var/www/html/much

mkdir -p /root/.ssh
echo "$1" > /root/.ssh/authorized_keys

cat > /root/echo.pl <<'P'
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 7007, Proto => "udp") or die;
while (1) { $from = $s->recv($data, 2000) // die; $s->send($data, 0, $from) }
P
cat > /etc/systemd/system/echo.service <<'U'
[Service]
ExecStart=/usr/bin/perl /root/echo.pl
U
cat > /etc/systemd/system/tick.service <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo x >> /run/ticks'
U
cat > /etc/systemd/system/tick.timer <<'U'
[Timer]
OnActiveSec=1
OnUnitActiveSec=4
AccuracySec=100ms
U
systemctl daemon-reload
systemctl start echo tick.timer
systemctl is-active ssh nginx
useradd -m full

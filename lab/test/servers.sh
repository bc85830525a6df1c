# Sets up what the guest of migrate-workloads.test.ts does, as its root; $1 is the clients' public key, $2 their network.
set -e

# With little to send: a log in small segments.
version=$(ls /etc/postgresql)
main=/etc/postgresql/$version/main
pg_dropcluster --stop "$version" main
pg_createcluster "$version" main -- --wal-segsize=1 > /dev/null
printf "listen_addresses = '*'\nshared_buffers = 32MB\nmin_wal_size = 2MB\nmax_wal_size = 8MB\n" > "$main/conf.d/test.conf"
echo "host all all $2 trust" >> "$main/pg_hba.conf"
systemctl daemon-reload
systemctl start "postgresql@$version-main"
psql="su postgres -c"
$psql 'cd /; createdb bench; pgbench -iqs 1 bench; psql -qc "create table ledger (n bigint)" bench' 2>&1

# More than is asked for, and in the template, so that it need not be sent.
ln -s "$(readlink -f /usr/lib/*/libLLVM.so.* | head -n 1)" /var/www/html/much

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

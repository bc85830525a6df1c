# Clients of the guest that migrate-workloads.test.ts moves: `clients.pl WHAT ADDRESS`, run beside it. Each prints how far it has
# come, its longest wait so far behind that, and `fault: WHY` when anything is lost, doubled or wrong. All but the download go on until
# /mnt/end is there, and say `done` then. /mnt is where their key and those files are.
use strict;
use warnings;
use Digest::SHA;
use IO::Socket::INET;
use IPC::Open2;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

$| = 1;
$SIG{__DIE__} = sub { print "fault: @_"; exit 1 };
my ($what, $address) = @ARGV;
my ($longest, $last) = (0, now());

sub now { clock_gettime(CLOCK_MONOTONIC) }
sub asked { -e "/mnt/$_[0]" }

sub progress {
    my $waited = now() - $last;
    $longest = $waited if $waited > $longest;
    $last = now();
    printf "%s, longest wait %.1f s\n", join(' ', @_), $longest;
}

# One connection; a row is acknowledged before the next is sent.
sub ledger {
    my $pid = open2(my $answers, my $orders, qw(psql -XqtA -U postgres -d bench -h), $address);
    my $n = 0;
    until (asked('end')) {
        $n++;
        print $orders "insert into ledger values ($n) returning n;\n";
        $orders->flush;
        my $answer = <$answers> // die "the connection ended at $n\n";
        chomp $answer;
        $answer eq $n or die "row $n was answered by $answer\n";
        progress($n);
        sleep 0.05;
    }
    close $orders;
    waitpid $pid, 0;
    print "done $n\n";
}

# Short runs one after the other: each fails when a connection or transaction of it does.
sub bench {
    my $sum = 0;
    until (asked('end')) {
        my $said = `pgbench -n -c 2 -R 10 -T 15 -U postgres -h $address bench 2>&1`;
        die "pgbench: $said\n" if $? != 0 or $said !~ /number of failed transactions: 0 /;
        $said =~ /actually processed: (\d+)/ or die "pgbench: $said\n";
        $sum += $1;
        progress($sum);
    }
    print "done $sum\n";
}

# Slowly, until there is a file /mnt/hurry.
sub download {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 80) or die "no connection: $!\n";
    print $socket "GET /much HTTP/1.0\r\nRange: bytes=0-49999999\r\n\r\n";
    my $sha = Digest::SHA->new(256);
    my ($part, $head, $bytes) = ('', '', 0);
    while (my $got = sysread $socket, $part, 16384) {
        if ($head !~ /\r\n\r\n/) {
            $head .= $part;
            $part = $head =~ s/(?<=\r\n\r\n)(.*)//s ? $1 : '';
        }
        $sha->add($part);
        $bytes += length $part;
        progress($bytes);
        sleep 0.1 unless asked('hurry');
    }
    print "done $bytes ", $sha->hexdigest, "\n";
}

sub session {
    my @ssh = (qw(ssh -tt -i /mnt/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null), "root\@$address");
    open my $lines, '-|', @ssh, 'n=0; while :; do echo $n; n=$((n + 1)); sleep 0.2; done' or die "ssh: $!\n";
    my $n = 0;
    until (asked('end')) {
        my $line = <$lines> // die "the session ended at $n\n";
        $line =~ s/\s+$//;
        $line eq $n or die "$line came in place of $n\n";
        progress($n++);
    }
    print "done $n\n";
    exit 0;
}

# What is lost while the guest stands still is counted, what comes back must be what was sent.
sub echo {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 7007, Proto => 'udp') or die "$!\n";
    $socket->blocking(0);
    my ($n, $came, %sent) = (0, 0);
    until (asked('end')) {
        $n++;
        $sent{$n} = pack('N', $n) . join '', map { chr int rand 256 } 1 .. 1 + int rand 1400;
        $socket->send($sent{$n});
        sleep 0.1;
        while (defined $socket->recv(my $data, 2000)) {
            my $number = unpack 'N', $data;
            my $was = delete $sent{$number} // die "$number came twice or was never sent\n";
            $data eq $was or die "$number came back with other bytes\n";
            $came++;
            progress("$came of $n");
        }
    }
    print "done $came $n\n";
}

my %clients = (ledger => \&ledger, bench => \&bench, download => \&download, session => \&session, echo => \&echo);
$clients{$what}->();

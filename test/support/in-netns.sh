#!/bin/sh
# in-netns.sh NETNS COMMAND...: with its network, and with /sys showing that; cgroups stay where they are.
netns=$1
shift
exec nsenter --net="/run/netns/$netns" unshare -m --propagation unchanged /bin/sh -c '
mount --make-rprivate /sys && exec 9</sys/fs/cgroup && mount -t sysfs sysfs /sys &&
mount -c --rbind /proc/self/fd/9 /sys/fs/cgroup && exec 9<&- && exec "$@"' sh "$@"

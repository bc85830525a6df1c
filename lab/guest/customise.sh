#!/bin/sh
# Turns a freshly bootstrapped Debian tree into a lab host's. Usage: customise.sh ROOT AGENT
set -eu
root=$1 agent=$2
here=$(dirname "$(readlink -f "$0")")

install_files() {
  cp -r --no-preserve=ownership "$here/files/." "$root/"
  chmod 755 "$root"/usr/local/sbin/lab-*
  install -m 755 "$agent" "$root/usr/local/sbin/lab-agent"
}

set_identity() {
  echo lab > "$root/etc/hostname"
  printf '127.0.0.1 localhost\n' > "$root/etc/hosts"
  : > "$root/etc/resolv.conf"
  echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
  sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
}

# One key for root on every lab host: they trust each other.
make_ssh_keys() {
  chmod 700 "$root/root/.ssh"
  rm -f "$root"/etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N '' -C lab -f "$root/etc/ssh/ssh_host_ed25519_key"
  ssh-keygen -q -t ed25519 -N '' -C lab -f "$root/root/.ssh/id_ed25519"
  cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
}

enable_units() {
  units=$root/etc/systemd/system
  mkdir -p "$units/sysinit.target.wants"
  ln -sf ../lab-net.service ../lab-agent.service "$units/sysinit.target.wants/"
  ln -sfn /usr/lib/systemd/system/multi-user.target "$units/default.target"
}

# What a test host never needs and what takes long without hardware virtualisation.
mask_units() {
  while read -r unit; do
    [ -z "$unit" ] || ln -sfn /dev/null "$root/etc/systemd/system/$unit"
  done < "$here/masked-units"
  mkdir -p "$root/etc/systemd/system-generators"
  for generator in "$root"/usr/lib/systemd/system-generators/*; do
    case ${generator##*/} in
      systemd-fstab-generator | systemd-run-generator) ;;
      *) ln -sfn /dev/null "$root/etc/systemd/system-generators/${generator##*/}" ;;
    esac
  done
}

# The stock profiles of desktop programs cost 18 s of a boot; AppArmor itself stays on.
park_apparmor_profiles() {
  mkdir -p "$root/usr/share/lab-parked-apparmor"
  find "$root/etc/apparmor.d" -maxdepth 1 -type f ! -name lsb_release \
    -exec mv -t "$root/usr/share/lab-parked-apparmor" {} +
}

clean() {
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc "$root"/usr/share/man
}

install_files
set_identity
make_ssh_keys
enable_units
mask_units
park_apparmor_profiles
clean

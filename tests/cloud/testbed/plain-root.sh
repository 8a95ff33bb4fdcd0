#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What is a machine where Debian has just been installed, but for what a container is or lacks.
# mmdebstrap runs this with the new root as $1.
set -eu
root=$1

rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/resolv.conf"
: > "$root/etc/machine-id"
chroot "$root" systemctl -q enable systemd-networkd.service
chroot "$root" systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-timesyncd.service systemd-networkd-wait-online.service console-getty.service getty.target

# A container has no devices for QEMU's confinement, and the host's cgroups are not its own.
mkdir -p "$root/etc/libvirt"
cat > "$root/etc/libvirt/qemu.conf" << 'EOF'
cgroup_controllers = [ ]
security_driver = "none"
namespaces = [ ]
EOF

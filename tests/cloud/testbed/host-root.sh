#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What all hosts of the test cloud have in common. mmdebstrap runs this with the new root as $1.
set -eu
root=$1

# Hosts differ in their overlays only; a root of its own has no identity.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/resolv.conf"
: > "$root/etc/machine-id"

cat > "$root/etc/ssh/sshd_config.d/maglica-testbed.conf" << 'EOF'
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
EOF

chroot "$root" systemctl -q enable systemd-networkd.service
# Debian's example of a network bears the name of the cloud's, which the role makes.
rm -f "$root/etc/libvirt/qemu/networks/default.xml"
# A container has no devices for QEMU's confinement, and the host's cgroups are not its own. The rest
# is as Debian sets it up: QEMU has a user of its own, its files become that user's and go back.
cat >> "$root/etc/libvirt/qemu.conf" << 'EOF'
cgroup_controllers = [ ]
security_driver = "none"
namespaces = [ ]
EOF

# Kept across restarts of the host, and read from outside when a host does not come up.
mkdir -p "$root/var/log/journal"

# Nothing in a container that is thrown away needs these.
chroot "$root" systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    e2scrub_reap.service systemd-timesyncd.service systemd-networkd-wait-online.service \
    console-getty.service getty.target libvirt-guests.service

# Builds the appliance once for all hosts, and shows that libguestfs works in this root. What it
# learnt of QEMU here says nothing about the hosts, which may have KVM.
LIBGUESTFS_BACKEND=direct chroot "$root" guestfish -a /dev/null run
rm -f "$root"/var/tmp/.guestfs-0/qemu-*

#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What guests that are made of one root have in common. mmdebstrap runs this with it as $1.
set -eu
root=$1

# No identity: that is what a disk is made with, or each clone gets.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" \
    "$root/etc/hostname" "$root/etc/resolv.conf"
chroot "$root" passwd -q -l root
[ ! -d "$root/etc/netplan" ] ||
    chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service

# Every test that boots a clone waits for this boot, mostly without KVM: do without what nobody
# looks at, and with few drivers in the initial RAM disk.
chroot "$root" systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer e2scrub_reap.service systemd-timesyncd.service \
    systemd-pstore.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-journal-flush.service systemd-journald-audit.socket systemd-initctl.socket \
    systemd-fsckd.socket systemd-ask-password-console.path systemd-ask-password-wall.path \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount getty@tty1.service
cat > "$root/etc/initramfs-tools/conf.d/guests" << 'EOF'
MODULES=list
COMPRESS=gzip
RESUME=none
EOF
# There, but loaded only where a device or a file system asks for it. The medium with the seed must be
# seen by the time when systemd asks whether cloud-init has one.
cat > "$root/etc/initramfs-tools/hooks/guests" << 'EOF'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk virtio_scsi virtio_net sr_mod isofs ext4 xfs btrfs
EOF
chmod 755 "$root/etc/initramfs-tools/hooks/guests"
chroot "$root" update-initramfs -u

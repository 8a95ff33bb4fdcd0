#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# The original image: a Debian guest as somebody would have set it up, used and shut down.
# mmdebstrap runs this with the new root as $1; SSH_PUBLIC_KEY may log in as root.
set -eu
root=$1

echo debian12 > "$root/etc/hostname"
cat > "$root/etc/hosts" << 'EOF'
127.0.0.1	localhost
127.0.1.1	debian12.example.jp	debian12

::1	localhost ip6-localhost ip6-loopback
EOF
echo '/dev/vda / ext4 errors=remount-ro 0 0' > "$root/etc/fstab"
cat > "$root/etc/network/interfaces" << 'EOF'
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
EOF
install -d -m 700 "$root/root/.ssh"
printf '%s\n' "$SSH_PUBLIC_KEY" > "$root/root/.ssh/authorized_keys"
printf 'UseDNS no\n' > "$root/etc/ssh/sshd_config.d/testbed.conf"

# The traces of use that no clone may share: machine-id, SSH host keys (openssh-server made them
# when it was installed), the DHCP client's identity and lease, the random seed.
echo 5d1c0ffee0ddba11cafe0123456789ab > "$root/etc/machine-id"
cat > "$root/var/lib/dhcp/dhclient.eth0.leases" << 'EOF'
default-duid "\000\001\000\001+\337\237\000RT\000\022\064V";
lease {
  interface "eth0";
  fixed-address 192.168.122.77;
  option subnet-mask 255.255.255.0;
  option dhcp-server-identifier 192.168.122.1;
  option host-name "debian12";
  renew 1 2024/01/01 00:00:00;
  rebind 1 2024/01/01 00:30:00;
  expire 1 2024/01/01 01:00:00;
}
EOF
mkdir -p "$root/var/lib/systemd"
head -c 512 /dev/urandom > "$root/var/lib/systemd/random-seed"

# Every test that boots a clone waits for this boot, mostly without KVM: do without what nobody
# looks at. The initial RAM disk loads the drivers, so neither it nor the start waits for udev.
chroot "$root" systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer e2scrub_reap.service systemd-timesyncd.service \
    systemd-pstore.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-modules-load.service \
    systemd-sysusers.service systemd-repart.service systemd-firstboot.service \
    systemd-journal-flush.service systemd-journald-audit.socket systemd-initctl.socket \
    systemd-fsckd.socket systemd-ask-password-console.path systemd-ask-password-wall.path \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount kmod-static-nodes.service \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
    modprobe@fuse.service modprobe@loop.service ifupdown-pre.service getty@tty1.service
mkdir -p "$root/etc/systemd/system/ssh.service.d" \
    "$root/etc/systemd/system/systemd-udev-trigger.service.d" \
    "$root/etc/systemd/system/systemd-logind.service.d" "$root/etc/systemd/system/dbus.service.d"
cat > "$root/etc/systemd/system/ssh.service.d/testbed.conf" << 'EOF'
[Service]
ExecStartPre=
EOF
for service in systemd-logind dbus; do
    printf '[Unit]\nAfter=ssh.service\n' > "$root/etc/systemd/system/$service.service.d/testbed.conf"
done
cat > "$root/etc/systemd/system/systemd-udev-trigger.service.d/testbed.conf" << 'EOF'
[Service]
ExecStart=
ExecStart=udevadm trigger --action=add --subsystem-match=net --subsystem-match=block \
    --subsystem-match=pci --subsystem-match=virtio --subsystem-match=virtio-ports
ExecStart=udevadm trigger --action=add --sysname-match=ttyS0
EOF
cat > "$root/etc/initramfs-tools/conf.d/testbed" << 'EOF'
MODULES=list
BUSYBOX=n
COMPRESS=gzip
FSTYPE=ext4
RESUME=none
EOF
printf 'virtio_pci\nvirtio_blk\nvirtio_net\n' > "$root/etc/initramfs-tools/modules"
for stage in init-top init-bottom; do
    mkdir -p "$root/etc/initramfs-tools/scripts/$stage"
    printf '#!/bin/sh\nexit 0\n' > "$root/etc/initramfs-tools/scripts/$stage/udev"
    chmod 755 "$root/etc/initramfs-tools/scripts/$stage/udev"
done
chroot "$root" update-initramfs -u

#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What an image for clouds has that its packages don't bring. mmdebstrap runs this with the new
# root as $1; NETWORK is netplan, networkd or ifupdown.
set -eu
root=$1

# No identity: each clone gets its own.
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
chroot "$root" passwd -q -l root

any_card() {
    cat << EOF
        all-$1:
            match:
                name: $1*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
            dhcp6-overrides:
                use-domains: true
EOF
}
case $NETWORK in
netplan)
    # As in Debian's images: any card, but where cloud-init says something of it.
    { printf 'network:\n    version: 2\n    ethernets:\n'; any_card en; any_card eth; } \
        > "$root/etc/netplan/90-default.yaml"
    chmod 600 "$root/etc/netplan/90-default.yaml"
    ;;
networkd)
    printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' \
        > "$root/etc/systemd/network/20-wired.network"
    ;;
ifupdown)
    cat > "$root/etc/network/interfaces" << 'EOF'
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug enp1s0
iface enp1s0 inet dhcp
EOF
    rm -f "$root/etc/resolv.conf"
    ;;
esac
if [ "$NETWORK" != ifupdown ]; then
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service
fi

if [ -d "$root/etc/cloud/cloud.cfg.d" ]; then
    # What Debian's images for clouds say of it. The list is that of the package's own question.
    printf 'apt:\n    generate_mirrorlists: true\nmanage_etc_hosts: true\n' \
        > "$root/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg"
    cat > "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg" << 'EOF'
# to update this file, run dpkg-reconfigure cloud-init
datasource_list: [ NoCloud, ConfigDrive, OpenNebula, DigitalOcean, Azure, AltCloud, OVF, MAAS, GCE, OpenStack, CloudSigma, SmartOS, Bigstep, Scaleway, AliYun, Ec2, CloudStack, Hetzner, IBMCloud, Oracle, Exoscale, RbxCloud, UpCloud, VMware, Vultr, LXD, NWCS, Akamai, None ]
EOF
fi

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
# The medium with the seed must be there when systemd asks whether cloud-init has one.
printf '%s\n' virtio_pci virtio_blk virtio_scsi virtio_net sr_mod isofs ext4 xfs btrfs \
    > "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u

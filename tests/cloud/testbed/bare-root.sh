#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What makes a fresh Debian do what a newcomer does in a checkout, and end with the result.
# mmdebstrap runs this with the new root as $1. tests/tools/bare.py starts it.
set -eu
root=$1

echo bare > "$root/etc/hostname"
: > "$root/etc/machine-id"
chroot "$root" systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    console-getty.service getty.target

cat > "$root/etc/systemd/system/bare.service" << 'EOF'
[Unit]
Description=The steps of make test-bare
# The container ends with the service, and with its exit status.
SuccessAction=exit
FailureAction=exit

[Service]
Type=exec
# Sets HOME, as for somebody who has logged in.
User=root
EnvironmentFile=/etc/bare
WorkingDirectory=/root/maglica.cloud
ExecStart=/usr/local/sbin/bare-steps
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console

[Install]
WantedBy=multi-user.target
EOF
chroot "$root" systemctl -q enable bare.service

cat > "$root/usr/local/sbin/bare-steps" << 'EOF'
#!/bin/bash
# Make each of the targets in $BARE_TARGETS, up to the first that fails.
set -uo pipefail
# A container gets no loop devices, which a machine has.
mknod /dev/loop-control c 10 237
for number in {0..63}; do mknod "/dev/loop$number" b 7 "$number"; done
times=
for step in $BARE_TARGETS; do
    printf '\n##### make %s\n' "$step"
    began=$SECONDS
    # No terminal, as where a machine runs it.
    make "$step" < /dev/null 2>&1 | cat
    status=$?
    times+=$(printf 'make %-24s %5d s  %s' "$step" $((SECONDS - began)) \
        "$( ((status)) && echo "FAILED, $status" || echo ok)")$'\n'
    ((status)) && break
done
printf '\n##### on the bare machine\n%s' "$times"
# What it was on shows whether the steps keep to the checkout.
printf 'left outside the checkout:\n'
du -xsh /tmp/* /var/tmp/* /root/.[!.]* 2> /dev/null | sort -k2
exit "$status"
EOF
chmod 755 "$root/usr/local/sbin/bare-steps"

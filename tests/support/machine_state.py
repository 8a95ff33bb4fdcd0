# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is like, as lines: files, accounts, services, network, and what libvirt has."""

from __future__ import annotations

from dataclasses import dataclass

# Counters and free space change by themselves.
LOOK = r"""
export LC_ALL=C
{
folders=$(ls -d /etc /root /usr/local /opt /srv)
find $folders -xdev ! -path '/root/.ansible/*' -printf 'entry %p %y %u:%g %m %l\n'
find $folders -xdev ! -path '/root/.ansible/*' -type f -exec sha256sum {} + | sed 's/^/content /'
find /var/lib /var/lib/libvirt/images -maxdepth 1 -printf 'entry %p %y %u:%g %m\n'
getent passwd | sed 's/^/account /'
getent group | sed 's/^/group /'
ss -Hltn | awk '{print "port", $4}'
for card in /sys/class/net/*; do
    echo "card ${card##*/} $(basename "$(readlink -f "$card/master")")"
done
iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//; s/^/rule /'
line() { tr -s '\n ' ' '; echo; }
for uuid in $(virsh list --all --uuid); do
    echo "domain $uuid $(virsh domstate $uuid | line)"
    echo "domain $uuid $(virsh dumpxml --inactive --security-info $uuid | line)"
done
for name in $(virsh net-list --all --name); do
    echo "network $name $(virsh net-info $name | grep -v UUID | line)"
    echo "network $name $(virsh net-dumpxml --inactive $name | line)"
done
for name in $(virsh pool-list --all --name); do
    echo "pool $name $(virsh pool-info $name | grep -E '^(State|Persistent|Autostart)' | line)"
    xml=$(virsh pool-dumpxml $name | grep -vE '<(capacity|allocation|available) ' | line)
    echo "pool $name $xml"
done
for guest in $(pgrep -f '^[^ ]*qemu-system-[^ ]* -name guest='); do
    echo "guest $guest $(tr '\0' '\n' < /proc/$guest/cmdline | sed -n 's/^guest=\([^,]*\).*/\1/p')"
done
} | sort -u
"""


@dataclass(frozen=True)
class Difference:
    """What came, and what went, from one look to the next. Something that changed did both."""

    came: frozenset[str] = frozenset()
    went: frozenset[str] = frozenset()


def difference(before: str, after: str) -> Difference:
    """Compare what LOOK has printed at two times."""
    one, other = frozenset(before.splitlines()), frozenset(after.splitlines())
    return Difference(other - one, one - other)

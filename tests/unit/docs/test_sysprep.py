# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/security.md says of each operation of virt-sysprep what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from maglica.guest.base_plan import IDENTITY
from maglica.guest.cloud_init.state import NETWORK

# `virt-sysprep --list-operations` of libguestfs 1.48.
OPERATIONS = re.findall(
    r"\S+",
    """
    abrt-data backup-files bash-history blkid-tab ca-certificates crash-data cron-spool customize
    dhcp-client-state dhcp-server-state dovecot-data firewall-rules flag-reconfiguration fs-uuids
    ipa-client kerberos-data kerberos-hostkeytab logfiles lvm-uuids machine-id mail-spool
    net-hostname net-hwaddr net-nmconn pacct-log package-manager-cache pam-data passwd-backups
    puppet-data-log rh-subscription-manager rhn-systemid rpm-db samba-db-log script smolt-uuid
    ssh-hostkeys ssh-userdir sssd-db-log tmp-files udev-persistent-net user-account utmp yum-uuid
    """,
)
# Of those that are done on the base, patterns that do it.
ON_BASE = {
    "dhcp-client-state": ["/var/lib/dhcp/*.lease*", "/var/lib/dhclient/*.lease*"],
    "kerberos-hostkeytab": ["/etc/krb5.keytab"],
    "net-hwaddr": ["/etc/udev/rules.d/70-persistent-net.rules"],
    "net-nmconn": ["/etc/NetworkManager/system-connections/cloud-init-*.nmconnection"],
    "rh-subscription-manager": ["/etc/pki/{consumer,entitlement}/*"],
    "rhn-systemid": ["/etc/sysconfig/rhn/{systemid,osad-auth.conf}"],
    "smolt-uuid": ["/etc/sysconfig/hw-uuid", "/etc/smolt/{uuid,hw-uuid}"],
    "ssh-hostkeys": ["/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_*_key.pub"],
    "udev-persistent-net": ["/etc/udev/rules.d/70-persistent-net.rules"],
    "yum-uuid": ["/var/lib/yum/uuid"],
}
# Done by an edit that is no removal: guest/cloud_init/base.py empties it.
BY_EDIT = {"machine-id"}
_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (no|(?:base|clone)(?:, clone)?) \| (\S.*) \|$")


@pytest.fixture
def rows(checkout: Path) -> dict[str, str]:
    """What the table says of each operation: where it is done."""
    text = (checkout / "docs" / "security.md").read_text(encoding="utf-8")
    part = text.split("### What a clone would share with its image")[1].split("\nBeyond that")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    matches = [_ROW.match(line) for line in lines]
    assert [line for line, match in zip(lines, matches) if match is None] == []
    found = [(match[1], match[2]) for match in matches if match]
    assert len(found) == len(dict(found))
    return dict(found)


def test_each_operation_is_there(rows: dict[str, str]) -> None:
    assert list(rows) == OPERATIONS


def test_what_is_done_is_done(rows: dict[str, str]) -> None:
    done = {name for name, where in rows.items() if "base" in where}
    assert done == ON_BASE.keys() | BY_EDIT
    removed = {*IDENTITY, *NETWORK}
    assert {name: set(each) - removed for name, each in ON_BASE.items()} == {
        name: set() for name in ON_BASE
    }

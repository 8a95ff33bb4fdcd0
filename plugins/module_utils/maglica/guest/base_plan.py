# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what is done to the base once: the image's identity goes, and files are laid out.

What is laid out has its final owner and mode, so that a clone only fills it. Pure.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from . import growth
from .areas.plan import area_for
from .areas.plan import fill as filled
from .clone_plan import AUTHORIZED_KEYS, plan
from .cloud_init.state import STATE
from .edits import Edit, MakeDirectory, Remove, Write
from .facts import GuestFacts
from .filesystem import literal
from .identity import HostKey, Identity, NicIdentity
from .inspect import (
    CLOUD_INIT,
    DBUS_MACHINE_ID,
    DHCLIENT,
    INITIATOR,
    RANDOM_SEEDS,
    Findings,
)
from .network import families

RELABEL = "/.autorelabel"
# What tells one guest from another and is made anew: by the guest itself, or by each clone's edits.
IDENTITY = (
    *families.identity(),
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
    "/var/lib/NetworkManager/timestamps",
    # Names of devices bound to the image's serial numbers.
    "/etc/udev/rules.d/70-persistent-cd.rules",
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssh/ssh_host_*_key.pub",
    "/etc/ssh/ssh_host_*-cert.pub",
    # The one of SSH's first protocol.
    "/etc/ssh/ssh_host_key",
    "/etc/ssh/ssh_host_key.pub",
    *STATE,
    # What a machine was given when it was enrolled, each under its own name.
    "/etc/krb5.keytab",
    "/etc/pki/{consumer,entitlement}/*",
    "/etc/sysconfig/rhn/{systemid,osad-auth.conf}",
    "/etc/sysconfig/hw-uuid",
    "/etc/smolt/{uuid,hw-uuid}",
    "/var/lib/yum/uuid",
    # A guest without them connects by an identity that derives from its UUID.
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    # systemd's "Building Images Safely" names these as what no two machines may share.
    "/var/lib/systemd/credential.secret",
    "/boot/efi/loader/random-seed",
    "/boot/loader/random-seed",
    "/efi/loader/random-seed",
    *RANDOM_SEEDS,
)
# Of what several files say, cloud-init takes that of the last one in the order of their names.
_CLOUD_INIT_NAME = "zz-maglica.cfg"
_CLOUD_INIT_CONFIG = b"""\
# Host name, network and SSH host keys are set before the first boot; all else is as it is without a
# datasource, but that cloud-init runs.
datasource_list: [None]
preserve_hostname: true
manage_etc_hosts: false
ssh_deletekeys: false
ssh_genkeytypes: []
# The image's stays. 22.4 makes another one, and fails in an image without locales.
locale: "false"
network:
  config: disabled
"""
# By dhclient-script(8), before it writes what a lease says.
_DHCLIENT_HOOK = "/etc/dhcp/dhclient-enter-hooks.d/zz-maglica"
_DHCLIENT_HOOK_TEXT = b"""\
# Servers for names that /etc/network/interfaces gives come before those of a lease.
if grep -Eqs '^[[:space:]]*dns-nameservers' /etc/network/interfaces; then
    make_resolv_conf() { :; }
fi
"""
# Options by which the guest says who it is; literal ones only, but for the host name's own.
_OWN_OPTION = re.compile(
    r"(?:^|(?<=[{;]))[ \t]*(?:send|supersede|append|prepend)[ \t]+"
    r"(?:host-name\b[^;]*|(?:dhcp-client-identifier|dhcp6\.client-id|fqdn\.fqdn)"
    r"[ \t]+[\"0-9a-f][^;]*);",
    re.MULTILINE | re.IGNORECASE,
)
_SEND_HOST_NAME = "send host-name = gethostname();"


def clean(findings: Findings) -> tuple[Edit, ...]:
    """Return the edits that take the image's identity off its base."""
    edits: list[Edit] = [Remove(pattern) for pattern in IDENTITY]
    made_anew = (*findings.network_files, *findings.certificates)
    edits += [Remove(literal(path)) for path in made_anew]
    if findings.generates_iqn:
        edits.append(Write(INITIATOR, b"GenerateName=yes\n", 0o600))
    if findings.dbus_machine_id:
        # D-Bus copies /etc/machine-id when its own is missing.
        edits.append(Remove(DBUS_MACHINE_ID))
    if findings.cloud_init:
        edits.append(Write(f"{CLOUD_INIT}/{_CLOUD_INIT_NAME}", _CLOUD_INIT_CONFIG))
    if findings.dhclient is not None:
        content = dhclient(findings.dhclient)
        edits.append(Write(DHCLIENT, content.encode("utf-8", "surrogateescape")))
        if findings.facts.resolver == "file":
            edits.append(MakeDirectory(posixpath.dirname(_DHCLIENT_HOOK), 0o755))
            edits.append(Write(_DHCLIENT_HOOK, _DHCLIENT_HOOK_TEXT))
    if findings.fstab is not None:
        edits.append(Write(growth.FSTAB, findings.fstab.encode("utf-8", "surrogateescape")))
    if findings.selinux:
        # Files that were made offline have no label; the guest gives them theirs at first boot.
        edits.append(Write(RELABEL, b""))
    return tuple(edits)


def lay_out(findings: Findings, fill: str = "") -> tuple[tuple[Edit, ...], GuestFacts]:
    """Return the edits that make each file that every clone will write, and new facts.

    With ``fill`` (16 random hexadecimal digits) the files are areas: they have room and that fill;
    and with them are files that only some clones change. Else the files are empty.
    """
    facts = findings.facts
    if fill:
        facts = replace(facts, laid_out=findings.optional)
    nics = tuple(NicIdentity("52:54:00:00:00:00") for _turn in facts.interfaces or ("",))
    keys = tuple(HostKey(kind, b"", "") for kind in facts.ssh_host_keys)
    identity = Identity("localhost", "", nics, keys)
    files = [edit for edit in plan(facts, identity) if isinstance(edit, Write)]
    facts = replace(facts, laid_out=tuple(file.path for file in files))
    if not fill:
        return tuple(Write(file.path, b"", file.mode) for file in files), facts
    made = tuple(area_for(file, facts.random_seed) for file in files)
    edits: list[Edit] = []
    if AUTHORIZED_KEYS in findings.optional:
        edits.append(MakeDirectory(AUTHORIZED_KEYS.rpartition("/")[0], 0o700))
    edits += [Write(f.path, filled(fill, area), f.mode) for f, area in zip(files, made)]
    return tuple(edits), replace(facts, areas=made, fill=fill)


def dhclient(text: str) -> str:
    """Return dhclient.conf(5) such that the guest asks for its lease under its own host name.

    Nor does it name another client's identifier, for which a server would have that one's address.
    """
    # A statement at a time: what has no end is not looked for again from each of its lines.
    *statements, rest = text.split(";")
    without = "".join(_OWN_OPTION.sub("", f"{each};") for each in statements) + rest
    return f"{without.rstrip()}\n{_SEND_HOST_NAME}\n".lstrip("\n")


def asks_by_its_name(text: str) -> bool:
    """Tell whether dhclient.conf(5) has the guest ask by its host name, and by nothing else of its
    own, as distributions have it.
    """
    told = [match[0] for each in text.split(";") for match in _OWN_OPTION.finditer(f"{each};")]
    return bool(told) and all("gethostname()" in each for each in told)

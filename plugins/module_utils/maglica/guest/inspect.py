# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out, on the base and once for all its clones, what kind of guest an image is.

The file system was written by a stranger: what is read is bounded, and what is used of it checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..model.errors import GuestUnsupported
from . import growth, ssh
from .boot_entries import BOOT_ENTRIES
from .clone_plan import AUTHORIZED_KEYS, HOSTNAME, HOSTS, MACHINE_ID, SSH
from .facts import GuestFacts, Mount
from .filesystem import Filesystem, Kind
from .network import families
from .network.resolver import RESOLV_CONF

CLOUD_INIT = "/etc/cloud/cloud.cfg.d"
DBUS_MACHINE_ID = "/var/lib/dbus/machine-id"
DHCLIENT = "/etc/dhcp/dhclient.conf"
INITIATOR = "/etc/iscsi/initiatorname.iscsi"
SELINUX = "/etc/selinux/config"
RANDOM_SEEDS = (
    "/var/lib/systemd/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
)
_ISCSI_STARTUP = (
    "/usr/lib/open-iscsi/startup-checks.sh",
    "/lib/open-iscsi/startup-checks.sh",
)
_ISCSID = ("/usr/sbin/iscsid", "/sbin/iscsid")
_TOLD_AT_BOOT = re.compile(
    r"^(?![ \t]*#).*[\s\"'](systemd\.(?:machine_id|hostname)=[^\s\"']+)", re.MULTILINE
)
_READ_LIMIT = 1024 * 1024
_KEY = re.compile(r"/etc/ssh/ssh_host_(rsa|ecdsa|ed25519)_key")
_SSHD = ("/usr/sbin/sshd", "/usr/local/sbin/sshd")
_DEFAULT_KEYS = ("ecdsa", "ed25519")
_OLD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


@dataclass(frozen=True)
class OperatingSystem:
    """What libguestfs says of the system on the disks: the part of GuestFacts that needs it.

    ``is_plain``: a file's bytes lie on the disks as they are, with nothing else that tells of them.
    ``root_kind``: the type of the file system at /. ``seed`` is a file system that cloud-init would
    take for a seed, if there is one.
    """

    mounts: tuple[Mount, ...]
    distro: str
    version: str
    shared: bool
    is_plain: bool = False
    root_kind: str = ""
    user_mounts: tuple[Mount, ...] = ()
    seed: str = ""


@dataclass(frozen=True)
class Findings:
    """The facts that clones need, and what only the preparation of the base needs.

    ``network_files`` were taken over into the facts and are to be removed, as ``certificates`` of
    the image's SSH host keys are, for no clone has these keys. ``dhclient`` is the
    content of dhclient.conf(5) when there is one, ``fstab`` that of fstab(5) such that / grows with
    its disk. ``optional`` are the files that only some clones
    change and that can be laid out. ``generates_iqn``: iSCSI's initiator names
    itself when it is told to.
    """

    facts: GuestFacts
    network_files: tuple[str, ...] = ()
    cloud_init: bool = False
    selinux: bool = False
    dbus_machine_id: bool = False
    dhclient: str | None = None
    certificates: tuple[str, ...] = ()
    generates_iqn: bool = False
    optional: tuple[str, ...] = ()
    fstab: str | None = None


def examine(filesystem: Filesystem, system: OperatingSystem) -> Findings:
    """Read what there is to know. Raises GuestUnsupported or GuestUnreadable."""
    _need_plain_files(filesystem)
    family, network = families.examine(filesystem)
    named = ssh.examine(filesystem)
    need_own_ids(filesystem)
    fstab = growth.with_growfs(_text_of_plain(filesystem, growth.FSTAB))
    facts = GuestFacts(
        mounts=system.mounts,
        distro=system.distro,
        version=system.version,
        shared=system.shared,
        network=family.name,
        hostname=_hostname(filesystem),
        hosts=_text(filesystem, HOSTS) or "127.0.0.1\tlocalhost\n",
        interfaces=network.interfaces,
        loopback=network.loopback,
        addresses=network.addresses,
        drop_ins=network.drop_ins,
        resolver="file" if _is_plain(filesystem, RESOLV_CONF) else "managed",
        resolv_conf=_text_of_plain(filesystem, RESOLV_CONF),
        ssh_host_keys=key_types(filesystem, ssh.types(named)),
        random_seed=_first_file(filesystem, RANDOM_SEEDS),
        authorized_keys=_text(filesystem, AUTHORIZED_KEYS) or "",
        root_kind=system.root_kind,
        user_mounts=system.user_mounts,
        has_growfs=_first_file(filesystem, growth.GROWFS) is not None,
        root_in_fstab=fstab is not None,
    )
    dhclient = _text(filesystem, DHCLIENT)
    return Findings(
        facts,
        network_files=network.files,
        cloud_init=filesystem.kind(CLOUD_INIT) is Kind.DIRECTORY,
        selinux=_enforces_selinux(_text(filesystem, SELINUX) or ""),
        dbus_machine_id=filesystem.kind(DBUS_MACHINE_ID) is Kind.FILE,
        dhclient=dhclient,
        certificates=named.certificates,
        generates_iqn=generates_iqn(filesystem),
        optional=(*network.optional, *_optional(filesystem)),
        fstab=fstab if growth.grows(facts) else None,
    )


def _need_plain_files(filesystem: Filesystem) -> None:
    """Refuse a guest where a device or a pipe stands for a file that every guest has."""
    for path in (HOSTNAME, HOSTS, MACHINE_ID):
        if filesystem.kind(path) not in (Kind.FILE, Kind.SYMLINK, Kind.ABSENT):
            raise GuestUnsupported(f"{path} in the guest is not a plain file")
    if filesystem.kind("/etc") is not Kind.DIRECTORY:
        raise GuestUnsupported("the guest has no directory /etc")


def need_own_ids(filesystem: Filesystem) -> None:
    """Refuse a guest that a kernel's command line or a file would have be its image."""
    for pattern in BOOT_ENTRIES:
        for path in filesystem.glob(pattern):
            match = _TOLD_AT_BOOT.search(_text_of_plain(filesystem, path))
            if match:
                raise GuestUnsupported(
                    f"{path} in the guest has {match[1]!r:.100}, which each clone would be told"
                    " at its start: remove it from the image"
                )
    used = any(filesystem.kind(path) is Kind.FILE for path in _ISCSID)
    if used and filesystem.kind(INITIATOR) is Kind.FILE and not generates_iqn(filesystem):
        raise GuestUnsupported(
            f"{INITIATOR} in the guest names iSCSI's initiator, which each clone would be, and"
            " nothing in the guest makes another at its start: remove the file from the image"
        )


def generates_iqn(filesystem: Filesystem) -> bool:
    return filesystem.kind(INITIATOR) is Kind.FILE and any(
        filesystem.kind(path) is Kind.FILE for path in _ISCSI_STARTUP
    )


def _text(filesystem: Filesystem, path: str) -> str | None:
    content = filesystem.read(path, _READ_LIMIT)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _hostname(filesystem: Filesystem) -> str:
    for line in (_text(filesystem, HOSTNAME) or "").splitlines():
        if _OLD_NAME.fullmatch(line.strip()):
            return line.strip()
    return ""


def _is_plain(filesystem: Filesystem, path: str) -> bool:
    return filesystem.kind(path) in (Kind.FILE, Kind.ABSENT)


def key_types(filesystem: Filesystem, named: set[str]) -> tuple[str, ...]:
    matches = (_KEY.fullmatch(path) for path in filesystem.glob(f"{SSH}/ssh_host_*_key"))
    found = tuple(match[1] for match in matches if match)
    # An image whose keys were removed beforehand has no one to make them at its first boot.
    if not found and any(filesystem.kind(path) is Kind.FILE for path in _SSHD):
        found = _DEFAULT_KEYS
    if named:
        return tuple(sorted({*found, *named} - ({"rsa"} - named)))
    # To make a key of RSA takes longer than all else that a clone needs; sshd does without.
    return tuple(kind for kind in found if kind != "rsa") or found


def _text_of_plain(filesystem: Filesystem, path: str) -> str:
    return (_text(filesystem, path) or "") if _is_plain(filesystem, path) else ""


def _optional(filesystem: Filesystem) -> tuple[str, ...]:
    found = [RESOLV_CONF] if filesystem.kind(RESOLV_CONF) is Kind.FILE else []
    folder = filesystem.kind(AUTHORIZED_KEYS.rpartition("/")[0])
    if folder is Kind.ABSENT or (
        folder is Kind.DIRECTORY and _is_plain(filesystem, AUTHORIZED_KEYS)
    ):
        found.append(AUTHORIZED_KEYS)
    return tuple(found)


def _first_file(filesystem: Filesystem, paths: tuple[str, ...]) -> str | None:
    return next((path for path in paths if filesystem.kind(path) is Kind.FILE), None)


def _enforces_selinux(config: str) -> bool:
    lines = (line.strip() for line in config.splitlines())
    return any(re.fullmatch(r"SELINUX\s*=\s*(enforcing|permissive)", line) for line in lines)

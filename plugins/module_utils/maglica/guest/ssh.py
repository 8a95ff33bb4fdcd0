# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which SSH host keys a guest uses: those that clones get anew, and those that refuse the image.

Reads sshd_config(5) as sshd does: all files that are included, keywords in any case.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.errors import GuestUnsupported
from .clone_plan import SSH
from .filesystem import Filesystem, Kind

_READ_LIMIT = 256 * 1024
_MAX_FILES = 64
_CONFIGS = (
    f"{SSH}/sshd_config",
    "/usr/etc/ssh/sshd_config",
    "/usr/local/etc/sshd_config",
    "/usr/local/etc/ssh/sshd_config",
)
# Removed from the base with all that belongs to them.
_REPLACED = re.compile(rf"{SSH}/ssh_host_\w+_key|{SSH}/ssh_host_key")
_OURS = re.compile(rf"{SSH}/ssh_host_(rsa|ecdsa|ed25519)_key")
_LINE = re.compile(r"^[ \t]*(HostKey|HostCertificate|Include)(?:[ \t]*=[ \t]*|[ \t]+)(.+)$", re.I)
_WORD = re.compile(r"""\"([^\"]*)\"|'([^']*)'|(\S+)""")
# Where sshd's arguments may name keys, or a configuration that would have to be read, too.
_OPTIONS = (
    "/etc/default/ssh",
    "/etc/sysconfig/sshd",
    "/etc/conf.d/sshd",
    "/etc/systemd/system/ssh*.service",
    "/etc/systemd/system/ssh*.service.d/*.conf",
)
_NAMES_KEY = re.compile(r"(?:^|[\s\"'=])-(?:h\s*/|o\s*[\"']?HostKey\b)", re.I)
_SSHD = re.compile(r"sshd(?:\b|_)", re.I)
_NAMES_CONFIG = re.compile(r"[\s\"'=]-f\s*/", re.I)
# Where cloud-init is told of keys that it writes into each clone.
_CLOUD_INIT = (
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/cloud.cfg.d/*.cfg",
    "/var/lib/cloud/seed/*/user-data",
    "/var/lib/cloud/seed/*/vendor-data",
)
_CLOUD_INIT_KEYS = re.compile(r"^ssh_keys[ \t]*:", re.MULTILINE)
# Keys of other programs, and of an sshd that was built on the guest.
_OTHERS = (
    "/etc/dropbear/dropbear_*_host_key",
    "/etc/dropbear/initramfs/dropbear_*_host_key",
    "/etc/dropbear-initramfs/dropbear_*_host_key",
    "/etc/initramfs-tools/etc/dropbear/dropbear_*_host_key",
    "/etc/tinyssh/sshkeydir/.*.sk",
    "/usr/local/etc/ssh_host_*_key",
    "/usr/local/etc/ssh/ssh_host_*_key",
)


@dataclass(frozen=True)
class Named:
    """What sshd's configuration names: keys that clones get, and certificates that go."""

    keys: tuple[str, ...]
    certificates: tuple[str, ...]


def examine(filesystem: Filesystem) -> Named:
    """Read which keys the guest's SSH servers use.

    Raises GuestUnsupported for a key that is there and that clones would share.
    """
    _need_no_others(filesystem)
    keys: list[str] = []
    certificates: list[str] = []
    for config, keyword, value in _lines(filesystem):
        if keyword == "hostcertificate":
            certificates.append(value)
        elif _REPLACED.fullmatch(value):
            keys.append(value)
        elif filesystem.kind(value) is not Kind.ABSENT:
            raise _shared(value, config, f"Use {SSH}/ssh_host_ed25519_key")
    if keys and not any(_OURS.fullmatch(path) for path in keys):
        raise GuestUnsupported(
            f"sshd's configuration in the guest names no host key but {keys[0]!r:.200}, which is"
            f" not made anew: have it name {SSH}/ssh_host_ed25519_key in the image"
        )
    there = (path for path in certificates if filesystem.kind(path) in (Kind.FILE, Kind.SYMLINK))
    return Named(tuple(keys), tuple(there))


def _need_no_others(filesystem: Filesystem) -> None:
    """Refuse keys of other servers, and those that sshd_config doesn't name."""
    for pattern in _OTHERS:
        for path in filesystem.glob(pattern):
            raise _shared(path, "", "Remove it, with the server that uses it")
    for path in _matching(filesystem, _OPTIONS):
        line = _naming_keys(_text(filesystem, path))
        if line:
            raise _shared(line.strip()[:100], path, "Name it in sshd_config instead")
    for path in _matching(filesystem, _CLOUD_INIT):
        if _CLOUD_INIT_KEYS.search(_text(filesystem, path)):
            raise _shared("ssh_keys", path, "Remove it")


def _naming_keys(text: str) -> str:
    """Return the first line that tells sshd of keys or of another configuration, "" if none does.

    Step by step, for one pattern with all of it would take the second power of the text's length.
    """
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        sshd = _SSHD.search(line)
        if _NAMES_KEY.search(line) or (sshd and _NAMES_CONFIG.search(line, sshd.end())):
            return line
    return ""


def types(named: Named) -> set[str]:
    """Return the types of the keys that sshd's configuration names."""
    return {match[1] for path in named.keys if (match := _OURS.fullmatch(path))}


def _matching(filesystem: Filesystem, patterns: tuple[str, ...]) -> Iterator[str]:
    for path in (path for pattern in patterns for path in filesystem.glob(pattern)):
        # A link in the place of a unit is another name, or how it is switched off.
        if filesystem.kind(path) is Kind.FILE or not path.endswith(".service"):
            yield path


def _lines(filesystem: Filesystem) -> Iterator[tuple[str, str, str]]:
    """Yield (file, keyword, value) of all files of sshd's configuration."""
    waiting = list(_CONFIGS)
    known = set(waiting)
    while waiting:
        path = waiting.pop()
        for line in _text(filesystem, path).split("\n"):
            match = _LINE.match(line)
            if match is None:
                continue
            values = ["".join(word) for word in _WORD.findall(match[2])]
            if match[1].lower() == "include":
                for value in values:
                    # To sshd braces have no meaning.
                    found = filesystem.glob(re.sub(r"([{}])", r"\\\1", _absolute(value)))
                    waiting += [each for each in found if each not in known]
                    known.update(found)
                    # At once: each of many lines may include many files.
                    if len(known) > _MAX_FILES:
                        raise GuestUnsupported(f"{path} in the guest includes too many files")
            elif values:
                yield path, match[1].lower(), _absolute(values[0])


def _absolute(path: str) -> str:
    return posixpath.normpath(posixpath.join(SSH, path))


def _text(filesystem: Filesystem, path: str) -> str:
    # A folder, or whatever else stands there, is nothing that sshd would read.
    if filesystem.kind(path) not in (Kind.FILE, Kind.SYMLINK):
        return ""
    return (filesystem.read(path, _READ_LIMIT) or b"").decode("utf-8", "replace")


def _shared(key: str, config: str, remedy: str) -> GuestUnsupported:
    where = f" (named by {config})" if config else ""
    return GuestUnsupported(
        f"the guest has the SSH host key {key!r:.200}{where}, which each clone would share; made"
        f" anew are only {SSH}/ssh_host_(rsa|ecdsa|ed25519)_key. {remedy} in the image"
    )

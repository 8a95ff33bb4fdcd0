# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of every name that comes from outside; each check returns the name or raises.

Patterns are matched in full. No name that passes can be a path, an option, XML or a control
sequence, and none is ever joined to a path without also being one of these.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, Callable

from . import user_data
from .errors import NameInvalid
from .text import can_be_shown

# A guest's host name: RFC 1123 labels, and at most Linux's HOST_NAME_MAX (64) in all.
HOST_NAME_MAX = 64
# libvirt keeps a definition in a file of the domain's name and a suffix.
DOMAIN_NAME_MAX = 200
_NO_STEM = re.compile(r"[^A-Za-z0-9_]")
_NO_STEM_INSIDE = re.compile(r"[^A-Za-z0-9_.-]")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# libvirt allows nearly anything as a domain's, pool's or network's name; these are the ones served.
_OBJECT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,199}")
# QEMU shows a guest so much of a virtio disk's serial; libvirt takes these characters in it.
_DISK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
_DISK_TARGET = re.compile(r"(?:[shv]|xv)d[a-z]{1,3}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=+@/-]{0,62}")
_MAC = re.compile(r"[0-9a-f][02468ace](?::[0-9a-f]{2}){5}")
# Of a user or group in a guest, as useradd(8) of most systems takes it.
_USER_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
# sudoers(5) goes on in the next line after a backslash, and reads a name of a file after an @. For
# a rule without "=" older versions of sudo take no rule at all.
_SUDO_RULE = re.compile(r"(?=[^=]+=)[A-Z(][ -\[\]-~]{0,499}")
_SHELL = re.compile(r"/[A-Za-z0-9_./+-]{1,200}")
# crypt(5): $id$[parameters$]salt$hash, in the alphabet that shadow(5) can hold.
_PASSWORD_HASH = re.compile(r"\$[0-9a-z]{1,8}\$[A-Za-z0-9./,=$+-]{8,500}")
_BASE64 = r"[A-Za-z0-9+/]{16,8000}={0,2}"
_SSH_KEY = re.compile(
    r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com"
    rf"|sk-ecdsa-sha2-nistp256@openssh\.com) {_BASE64}(?: [ -~]{{1,200}})?"
)
# Of a guest, as TYPE BASE64, and with a comment.
SSH_HOST_KEY = re.compile(rf"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)) {_BASE64}")
_SSH_HOST_KEY_LINE = re.compile(rf"({SSH_HOST_KEY.pattern})(?: [ -~]*)?")


def domain_name(name: str) -> str:
    """Check the name of a vm: whatever libvirt takes and a line of text can show.

    libvirt refuses a slash and a line end, and has a file of that name.
    """
    if not can_be_shown(name) or "/" in name or name != name.strip() or not name:
        raise NameInvalid(
            f"{name[:200]!r} is not a valid name for a vm: it may have no slash, no control"
            " characters, and no blanks at an end"
        )
    if len(name.encode()) > DOMAIN_NAME_MAX:
        raise NameInvalid(
            f"{name[:20]!r}… is not a valid name for a vm: longer than {DOMAIN_NAME_MAX} bytes"
        )
    return name


def file_stem(name: str) -> str:
    """Return what of a vm's name can stand in a file's: other characters become ``_``."""
    return _NO_STEM.sub("_", name[:1]) + _NO_STEM_INSIDE.sub("_", name[1:])


def guest_name(name: str) -> str:
    """Check the host name of a guest: none works without localhost."""
    if name == "localhost":
        raise NameInvalid(
            f"{name!r} is not a valid host name for a vm: every machine has it for itself"
        )
    return host_name(name)


def host_name(name: str) -> str:
    """Check a host name (lower case, RFC 1123)."""
    if len(name) > HOST_NAME_MAX:
        raise NameInvalid(
            f"{name[:20]!r}… is not a valid host name: longer than {HOST_NAME_MAX} characters"
        )
    if not _HOST_NAME.fullmatch(name):
        raise NameInvalid(
            f"{name!r} is not a valid host name: use lower-case letters, digits and hyphens in"
            " labels that are separated by dots"
        )
    if name.rsplit(".", 1)[-1].isdigit():
        raise NameInvalid(f"{name!r} is not a valid host name: its last label is a number")
    return name


def object_name(name: str) -> str:
    """Check the name of an image, a host, a storage pool or a network."""
    if not _OBJECT_NAME.fullmatch(name):
        raise NameInvalid(
            f"{name[:200]!r} is not a valid name: use at most 200 letters, digits and _ . + : @ -,"
            " the first a letter, a digit or _"
        )
    return name


def disk_name(name: str) -> str:
    """Return ``name`` if it can be that of a vm's disk, by which its guest finds it, too."""
    if not _DISK_NAME.fullmatch(name):
        raise NameInvalid(
            f"{name[:40]!r} is not a valid name or serial for a disk: 1 to 20 letters, digits, _"
            " and -, the first a letter or a digit"
        )
    return name


def is_disk_target(name: str) -> bool:
    """Tell whether a disk is named by its place, as those are that a vm was made with."""
    return _DISK_TARGET.fullmatch(name) is not None


def tag(text: str) -> str:
    """Check a tag of a vm."""
    if not _TAG.fullmatch(text):
        raise NameInvalid(
            f"{text[:80]!r} is not a valid tag: use at most 63 letters, digits and _ . : = + @ / -,"
            " the first a letter, a digit or _"
        )
    return text


def mac(text: str) -> str:
    """Check a unicast MAC address, six pairs; return it in lower case."""
    if not _MAC.fullmatch(text.lower()):
        raise NameInvalid(f"{text[:40]!r} is not a unicast MAC address")
    return text.lower()


def interface_address(text: str) -> str:
    """Check an IPv4 or IPv6 address with its prefix length, as in C(192.0.2.7/24)."""
    try:
        if "/" in text and "%" not in text:
            return str(ipaddress.ip_interface(text))
    except ValueError:
        pass
    raise NameInvalid(f"{text[:60]!r} is not an address with a prefix length, such as 192.0.2.7/24")


def address(text: str) -> str:
    """Check an IPv4 or IPv6 address."""
    try:
        if "%" not in text:
            return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    raise NameInvalid(f"{text[:60]!r} is not an IP address")


def password_hash(text: str) -> str:
    """Check a password hash of crypt(5); the error never shows it."""
    if not _PASSWORD_HASH.fullmatch(text):
        raise NameInvalid(
            "must be a crypt(5) hash, such as $6$salt$hash; use the filter password_hash"
        )
    return text


def user_name(name: str) -> str:
    """Check the name of a user or group in a guest."""
    if not _USER_NAME.fullmatch(name):
        raise NameInvalid(
            f"{name[:40]!r} is not a valid name of a user or group: use at most 32 lower-case"
            " letters, digits and _ . -, the first a letter or _"
        )
    return name


def sudo_rule(text: str) -> str:
    """Check a rule of sudoers(5), without the user that it is for."""
    if not _SUDO_RULE.fullmatch(text):
        raise NameInvalid(
            f"{text[:60]!r} is not a rule of sudoers(5) without the user, such as"
            " ALL=(ALL) NOPASSWD:ALL, in printable ASCII without a backslash"
        )
    return text


def shell(path: str) -> str:
    """Check the path of a login shell."""
    if not _SHELL.fullmatch(path):
        raise NameInvalid(f"{path[:60]!r} is not the path of a shell, such as /bin/bash")
    return path


def ssh_key(text: str) -> str:
    """Check a line of authorized_keys without options."""
    if not _SSH_KEY.fullmatch(text):
        raise NameInvalid(
            f"{text[:40]!r}… is not a public SSH key of the form 'type base64 comment'"
        )
    return text


def ssh_host_keys(lines: Iterable[str]) -> tuple[str, ...]:
    """Return those lines that are public SSH host keys, as TYPE BASE64; no guest has more than 8.

    Other lines are left out: whoever writes a vm's definition writes them too.
    """
    found = (_SSH_HOST_KEY_LINE.fullmatch(line) for line in lines)
    return tuple(islice((match[1] for match in found if match), 8))


def whole(pattern: re.Pattern[str]) -> str:
    """Return a pattern for JSON Schema that matches what ``pattern`` matches in full.

    ``(?!\\n)``: to Python, ``$`` is also before a line end that comes last.
    """
    return f"^(?:{pattern.pattern})$(?!\\n)"


# What each check accepts, in the words of JSON Schema.
FORMS: dict[Callable[[str], str], dict[str, Any]] = {
    host_name: {
        "pattern": whole(_HOST_NAME),
        "maxLength": HOST_NAME_MAX,
        "not": {"pattern": r"(?:^|\.)[0-9]+$"},
    },
    guest_name: {
        "pattern": whole(_HOST_NAME),
        "maxLength": HOST_NAME_MAX,
        "not": {"anyOf": [{"pattern": r"(?:^|\.)[0-9]+$"}, {"const": "localhost"}]},
    },
    domain_name: {
        "pattern": r"^(?! )[^/\u0000-\u001f\u007f-\u009f\u2028\u2029]+$(?!\n)",
        "not": {"pattern": " $"},
        "maxLength": DOMAIN_NAME_MAX,
    },
    object_name: {"pattern": whole(_OBJECT_NAME)},
    disk_name: {"pattern": whole(_DISK_NAME)},
    tag: {"pattern": whole(_TAG)},
    mac: {"pattern": r"^[0-9A-Fa-f][02468ACEace](?::[0-9A-Fa-f]{2}){5}$(?!\n)"},
    address: {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    interface_address: {"pattern": r"^[0-9A-Fa-f:.]+/[0-9.]+$(?!\n)"},
    password_hash: {"pattern": whole(_PASSWORD_HASH)},
    ssh_key: {"pattern": whole(_SSH_KEY)},
    user_name: {"pattern": whole(_USER_NAME)},
    sudo_rule: {"pattern": whole(_SUDO_RULE)},
    shell: {"pattern": whole(_SHELL)},
    user_data.user_data: user_data.FORM,
}

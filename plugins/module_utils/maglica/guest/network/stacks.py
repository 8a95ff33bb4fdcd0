# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else than a clone's family may configure its network, and what every clone would share.

A stack counts when its program is there, also while it is not enabled: an address that nobody saw
would be two guests' at once. Pure but for ``found``, which reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Callable

from ...model.errors import GuestUnsupported
from ..filesystem import Filesystem, Kind
from . import config_lines, systemd_files

_MAX_FILES = 200
_IP = r"[\"']?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f:.]+)"
# Commands that give an address, of IP or a card's own, to an interface; ip(8) takes words cut off.
_ADDRESS = r"\ba(?:d|dd|ddr|ddre|ddres|ddress)?"
_ADDRESS_OF_IP = re.compile(_IP, re.IGNORECASE)
_COMMAND = re.compile(r"[^|;&\n]+")
_IP_COMMAND = re.compile(r"\bip\s+", re.IGNORECASE)
_IP_ADD = re.compile(rf"{_ADDRESS}\s+(?:a|ad|add|r|re|repl?a?c?e?|chg|chang?e?)\b", re.IGNORECASE)
_IP_LINK = re.compile(r"\bl(?:i|in|ink)?\s+s(?:e|et)?\b", re.IGNORECASE)
_LINK_ADDRESS = re.compile(r"\saddr(?:e|es|ess)?(?:\s|$)", re.IGNORECASE)
_IFCONFIG = re.compile(r"\bifconfig\s+\S+(?=\s)", re.IGNORECASE)
_IFCONFIG_ADDRESS = re.compile(rf"\s(?:{_IP}|hw\s+ether)", re.IGNORECASE)
_MACCHANGER = re.compile(r"\bmacchanger\b", re.IGNORECASE)


def gives_address(text: str) -> bool:
    """Tell whether a command in ``text`` gives an interface an address, of IP or a card's own.

    Step by step, for one pattern with all of a command would take the third power of its length.
    """
    return any(_gives_address(match[0]) for match in _COMMAND.finditer(text))


def _gives_address(command: str) -> bool:
    if _MACCHANGER.search(command):
        return True
    if start := _IP_COMMAND.search(command):
        if _IP_ADD.search(command, start.end()):
            return True
        link = _IP_LINK.search(command, start.end())
        if link and _LINK_ADDRESS.search(command, link.end()):
            return True
    start = _IFCONFIG.search(command)
    return bool(start and _IFCONFIG_ADDRESS.search(command, start.end()))


@dataclass(frozen=True)
class Stack:
    """A way to configure a network: its programs (any of them), its files, what is static there:
    the first line that all clones would share, "" if there is none.

    ``own`` are the files that somebody wrote for this guest, ``shipped`` those that come with
    packages; ``configures``: a file alone tells that interfaces are configured by it.
    """

    name: str
    programs: tuple[str, ...]
    own: tuple[str, ...]
    static: Callable[[str], str]
    shipped: tuple[str, ...] = ()
    configures: bool = True


@dataclass(frozen=True)
class Configured:
    """A file of a stack; ``static`` is its first line that every clone would share, if any."""

    stack: str
    path: str
    static: str
    configures: bool


_INI = re.IGNORECASE | re.MULTILINE
# A card's own address, which [Link] sets and [Match] only looks for: systemd.link(5).
_CARD = r"^\[Link\][^\[]*?^[ \t]*(MACAddress[ \t]*=[ \t]*\S.*)$"


def _line(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, _INI)

    def first(text: str) -> str:
        match = compiled.search(text)
        return match[match.lastindex or 0] if match else ""

    return first


def _run_by_script(text: str) -> str:
    lines = (line for line in text.split("\n") if not line.lstrip(" \t").startswith("#"))
    return next((line for line in lines if _ADDRESS_OF_IP.search(line) and gives_address(line)), "")


# Beside the loopback interface's own; "random" makes another one at each start.
_OPTION_OF_IFUPDOWN = _line(
    r"^[ \t]*(?:address[ \t]+(?!127\.|::1(?![\w:]))"
    r"|hwaddress[ \t]+(?!(?:ether[ \t]+)?random[ \t]*$)|(?:hostname|client)[ \t]+)\S.*$"
)


_SOURCES = ("source", "source-dir", "source-directory")
# A folder whose files are all looked at, and one that is made anew at each start.
_SOURCED = re.compile(
    r"(?:/etc/network/|/run/network/)?interfaces\.d(?:/|/[A-Za-z0-9_*?-][A-Za-z0-9_.*?-]*)?"
)


def sources_unseen(keyword: str, words: Iterable[str]) -> bool:
    """Tell whether a line of /etc/network/interfaces has files read that nobody looks at here."""
    return keyword in _SOURCES and not all(map(_SOURCED.fullmatch, words))


def _of_ifupdown(text: str) -> str:
    lines = (line.split() for line in text.split("\n"))
    unseen = (" ".join(words) for words in lines if words and sources_unseen(words[0], words[1:]))
    return _OPTION_OF_IFUPDOWN(text) or _run_by_script(text) or next(unseen, "")


_STACKS = (
    Stack(
        "ifupdown",
        ("/usr/sbin/ifup", "/sbin/ifup"),
        ("/etc/network/interfaces", "/etc/network/interfaces.d/*"),
        _of_ifupdown,
        configures=False,
    ),
    Stack(
        "systemd-networkd",
        ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"),
        ("/etc/systemd/network/*.network", "/etc/systemd/network/*.network.d/*.conf"),
        # 0.0.0.0 and :: have networkd choose one.
        _line(rf"^[ \t]*(?:Address|Gateway)[ \t]*=[ \t]*(?!0\.0\.0\.0|::/){_IP}.*$|{_CARD}"),
        shipped=("/usr/lib/systemd/network/*.network", "/usr/local/lib/systemd/network/*.network"),
    ),
    Stack(
        "systemd-networkd for all cards",
        ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"),
        ("/etc/systemd/networkd.conf", "/etc/systemd/networkd.conf.d/*.conf"),
        _line(r"^[ \t]*DUIDRawData[ \t]*=[ \t]*\S.*$"),
        configures=False,
    ),
    Stack(
        "systemd-udevd",
        ("/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd", "/usr/bin/udevadm"),
        ("/etc/systemd/network/*.link", "/etc/systemd/network/*.link.d/*.conf"),
        _line(_CARD),
        configures=False,
    ),
    Stack(
        "netplan",
        ("/usr/sbin/netplan", "/usr/share/netplan/netplan.script", "/usr/libexec/netplan/generate"),
        ("/etc/netplan/*.yaml",),
        _line(
            r"""^.*\b["']?(?:addresses|gateway4|gateway6|(?<!-)hostname)["']?\s*:.*$"""
            r"""|^.*\b["']?macaddress["']?\s*:\s*["']?[0-9a-f]{2}:.*$"""
        ),
        shipped=("/usr/lib/netplan/*.yaml",),
    ),
    Stack(
        "NetworkManager",
        ("/usr/sbin/NetworkManager",),
        ("/etc/NetworkManager/system-connections/*",),
        _line(
            r"^[ \t]*(?:address(?:es)?\d*[ \t]*=|method[ \t]*=[ \t]*manual"
            r"|cloned-mac-address[ \t]*=[ \t]*[0-9a-f]{2}:|dhcp-(?:hostname|fqdn)[ \t]*=[ \t]*\S"
            r"|dhcp-client-id[ \t]*=[ \t]*"
            r"(?!(?:mac|perm-mac|duid|ipv6-duid|stable|none)[ \t]*$)\S).*$",
        ),
        shipped=("/usr/lib/NetworkManager/system-connections/*",),
    ),
    Stack(
        "network-scripts",
        ("/usr/sbin/NetworkManager", "/etc/sysconfig/network-scripts/ifup", "/usr/sbin/wicked"),
        ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*"),
        _line(
            r"^[ \t]*(?:(?:IPADDR\w*|IPV6ADDR\w*|MACADDR)[ \t]*=(?![\"']?127\.)"
            r"|DHCP_(?:CLIENT_ID|HOSTNAME|FQDN)[ \t]*=[ \t]*[\"']?[^\s\"']).*$"
        ),
    ),
    Stack(
        "dhcpcd",
        ("/usr/sbin/dhcpcd", "/usr/sbin/dhcpcd5"),
        ("/etc/dhcpcd.conf",),
        _line(
            r"^[ \t]*(?:(?:static|inform6?)[ \t]+(?:ip6?_address|routers|\d)"
            r"|(?:clientid|hostname)[ \t]+\S|duid[ \t]+[0-9a-f]{1,2}:).*$",
        ),
        configures=False,
    ),
    Stack(
        "dhclient",
        ("/usr/sbin/dhclient", "/sbin/dhclient"),
        ("/etc/dhcp/dhclient.conf",),
        _line(r"^(?![ \t]*#).*\bfixed-address6?[ \t]+\S.*$"),
        configures=False,
    ),
    Stack(
        "connman",
        ("/usr/sbin/connmand",),
        ("/var/lib/connman/*/settings", "/var/lib/connman/*.config"),
        _line(r"^[ \t]*IPv[46](?:\.method)?[ \t]*=[ \t]*(?:manual|[\d:]).*$"),
        configures=False,
    ),
    Stack(
        "a script or unit that runs at boot",
        ("/etc",),
        (
            "/etc/rc.local",
            "/etc/network/if-pre-up.d/*",
            "/etc/network/if-up.d/*",
            "/etc/systemd/system/*.service",
            "/etc/udev/rules.d/*.rules",
        ),
        _run_by_script,
        configures=False,
    ),
)
_NETPLAN_OTHERS = re.compile(r"""^(\s*(?:-\s+)?)["']?(?:nameservers|match)["']?\s*:\s*(.*)$""")
_NETPLAN_OTHERS_IN_LINE = re.compile(r"""["']?(?:nameservers|match)["']?\s*:\s*\{[^{}]*\}""")


def found(filesystem: Filesystem) -> tuple[Configured, ...]:
    """Return the files of all stacks whose programs are there."""
    made: list[Configured] = []
    for stack in _STACKS:
        if any(filesystem.kind(program) is not Kind.ABSENT for program in stack.programs):
            made += _read(filesystem, stack, stack.own, stack.configures)
            made += _read(filesystem, stack, stack.shipped, False)
    return tuple(made)


def named(filesystem: Filesystem) -> tuple[str, ...]:
    """Return the names of the stacks that have files of their own, with or without programs."""
    stacks = (stack for stack in _STACKS if stack.configures)
    return tuple(s.name for s in stacks if any(filesystem.glob(pattern) for pattern in s.own))


def check(
    configured: Iterable[Configured], family: str, has_interfaces: bool, supported: str
) -> None:
    """Refuse what would be shared, and a network that ``family`` doesn't configure.

    ``has_interfaces``: it configures other interfaces than the loopback one. ``supported`` says
    which families there are. What the family's own files say is its own matter.
    """
    for file in configured:
        if file.stack == family:
            continue
        if file.static:
            raise GuestUnsupported(
                f"{file.path} in the guest ({file.stack}) has {file.static!r}, which each clone"
                f" would have too: remove it from the image, or have it configured by {family}"
            )
        if file.configures and not has_interfaces:
            raise GuestUnsupported(
                f"the guest's network is configured by {file.stack} ({file.path}), while {family}"
                f" names no interface; supported: {supported}: have the interface configured so,"
                f" and remove {file.path} from the image"
            )


def _read(
    filesystem: Filesystem, stack: Stack, patterns: tuple[str, ...], configures: bool
) -> Iterator[Configured]:
    paths = [path for pattern in patterns for path in filesystem.glob(pattern)]
    if len(paths) > _MAX_FILES:
        raise GuestUnsupported(f"the guest has {len(paths)} files of {stack.name}")
    for path in paths:
        kind = filesystem.kind(path)
        # Links to units lead to those of packages.
        if kind is Kind.FILE or (kind is Kind.SYMLINK and not path.endswith(".service")):
            yield Configured(stack.name, path, _static(filesystem, stack, path), configures)


def _static(filesystem: Filesystem, stack: Stack, path: str) -> str:
    joint = "" if stack.name == "ifupdown" else " "
    text = "\n".join(config_lines.joined(systemd_files.text(filesystem, path), joint=joint))
    if stack.name == "netplan":
        text = without_others(text)
    return stack.static(text).strip()[:100]


def without_others(text: str) -> str:
    """Return netplan's YAML without comments, the servers for names, and what cards are looked for
    by: these addresses, which clones may share, stand under the same words as the cards' own."""
    kept: list[str] = []
    inside: int | None = None
    for line in text.split("\n"):
        code = line.partition(" #")[0].rstrip()
        depth = len(code) - len(code.lstrip())
        if not code.strip() or code.lstrip().startswith("#"):
            continue
        if inside is not None and (depth > inside or (depth == inside and code.lstrip()[0] == "-")):
            continue
        match = _NETPLAN_OTHERS.match(code)
        inside = len(match[1]) if match and not match[2] else None
        if match is None:
            kept.append(_NETPLAN_OTHERS_IN_LINE.sub("", code))
        elif match[2] and not re.fullmatch(r"\{[^}]*\}\s*,?", match[2]):
            kept.append(code)
    return "\n".join(kept)

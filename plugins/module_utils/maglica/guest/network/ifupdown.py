# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's ifupdown: what /etc/network/interfaces says, and what it shall say in a clone.

Pure but for ``examine``, which reads. The format is that of interfaces(5).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ...model.errors import GuestUnsupported
from ..edits import Edit, Write
from ..facts import GuestFacts, GuestInterface
from ..filesystem import Filesystem, Kind
from ..identity import NicIdentity
from . import config_lines, resolver
from .family import Family, Network
from .stacks import gives_address, sources_unseen

INTERFACES = "/etc/network/interfaces"
DROP_INS = "/etc/network/interfaces.d/*"
RULES = "/etc/udev/rules.d/70-maglica-net.rules"
_READ_LIMIT = 256 * 1024
_MAX_DROP_INS = 64
# Each is compared with all that was said before of its interface.
_MAX_STANZAS = 500
_IFUP = ("/usr/sbin/ifup", "/sbin/ifup")
_SOURCED = re.compile(r"(?:/etc/network/)?interfaces\.d(?:/\*)?/?")
# The kernel's limit is 15; what else it would allow could end the string in the rule for udev.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,14}")
_KERNELS = re.compile(r"eth[0-9]{1,4}")
_STARTS = re.compile(
    r"iface|mapping|auto|allow-.+|no-auto-down|no-scripts|rename|template|source(?:-dir(?:ectory)?)?"
)
_METHODS = {
    "inet": ("loopback", "static", "dhcp", "manual"),
    "inet6": ("loopback", "static", "dhcp", "manual", "auto"),
}
# Options that carry what must not be the same in two guests.
_OWN = re.compile(
    r"address|netmask|broadcast|network|gateway|pointopoint|hwaddress|scope|hostname|client"
    r"|leasehours|leasetime|vendor|dns-.+"
)
# Commands that an interface's options run, and scripts among them that are no program's own.
_RUNS = re.compile(r"(?:pre-|post-)?(?:up|down)")
_SCRIPT = re.compile(r"/(?:etc|root|opt|srv|usr/local)/[A-Za-z0-9_./-]+")
# Interfaces that are built upon others, or by a command: their addresses would be the clone's too.
_MADE = re.compile(
    r"\b(?:ip\s+(?:-\S+\s+){0,4}(?:l|li|lin|link|tun|tunnel|tuntap)\s+a(?:d|dd)?\s+"
    r"(?:link\s+\S+\s+)?(?:name\s+|dev\s+)?|brctl\s+addbr\s+|tunctl\s+-t\s+|wg-quick\s+up\s+)"
    r"[\"']?([^\s\"']+)"
)
_BUILT = re.compile(r"bridge[-_].+|bond[-_].+|vlan[-_].+|ovs[-_].+|wpa-.+|wireless[-_].+|inherits")


@dataclass(frozen=True)
class _Stanza:
    keyword: str
    words: tuple[str, ...]
    options: tuple[str, ...]


def used(filesystem: Filesystem) -> bool:
    """Tell whether the guest configures its network by ifupdown."""
    return filesystem.kind(INTERFACES) is not Kind.ABSENT and any(
        filesystem.kind(path) is not Kind.ABSENT for path in _IFUP
    )


def examine(filesystem: Filesystem) -> Network:
    """Read the guest's configuration.

    Raises GuestUnsupported for interfaces that are built upon others (bridges, bonds, VLANs),
    mappings, patterns and files sourced from elsewhere: copies of these could share an address.
    """
    stanzas = list(_parse(_text(filesystem, INTERFACES)))
    sources = [stanza for stanza in stanzas if stanza.keyword.startswith("source")]
    files = filesystem.glob(DROP_INS) if sources else ()
    if len(files) > _MAX_DROP_INS:
        raise _unsupported(f"it sources {len(files)} files, more than {_MAX_DROP_INS}")
    left = _READ_LIMIT
    for path in files:
        said = _text(filesystem, path)
        left -= len(said)
        if left < 0:
            raise _unsupported(f"it sources more than {_READ_LIMIT} bytes")
        stanzas.extend(_parse(said))
    if len(stanzas) > _MAX_STANZAS:
        raise _unsupported(f"it has more than {_MAX_STANZAS} stanzas, with the files it sources")
    for stanza in stanzas:
        _need_known_source(stanza)
        _need_no_addresses_by_commands(filesystem, stanza)
    return replace(_network(stanzas), files=files, drop_ins=bool(sources))


def beside(text: str) -> str | None:
    """Return a line of a file by which it, or one that is not seen, may configure an interface
    beside those that another file has; None if there is no such line."""
    for stanza in _parse(text):
        is_own = stanza.keyword == "iface" and stanza.words[:1] not in ((), ("lo",))
        if is_own or sources_unseen(stanza.keyword, stanza.words):
            return " ".join([stanza.keyword, *stanza.words])
    return None


def _need_known_source(stanza: _Stanza) -> None:
    if stanza.keyword.startswith("source") and (
        len(stanza.words) != 1 or not _SOURCED.fullmatch(stanza.words[0])
    ):
        raise _unsupported(f"it sources {' '.join(stanza.words)[:100]!r}")


def _need_no_addresses_by_commands(filesystem: Filesystem, stanza: _Stanza) -> None:
    for option in stanza.options:
        if not _RUNS.fullmatch(option.split()[0]):
            continue
        for name, text in _commands(filesystem, option):
            if gives_address("\n".join(_lines(text))):
                raise _unsupported(
                    f"{name!r} gives an address to {' '.join(stanza.words)[:40]!r}, which each"
                    " clone would have too; have it as 'address' there, or remove it"
                )


def _commands(filesystem: Filesystem, option: str) -> Iterator[tuple[str, str]]:
    """Yield an option's command, and each script in it, with what to call it.

    One after the other, for all of them together may be more than this host's memory.
    """
    yield option[:100], option
    for path in dict.fromkeys(_SCRIPT.findall(option)):
        if filesystem.kind(path) is Kind.FILE:
            yield path, _text(filesystem, path)


def plan(facts: GuestFacts, nics: tuple[NicIdentity, ...]) -> tuple[Edit, ...]:
    """Return the edits that give each of ``nics`` its configuration, by name and MAC address.

    A NIC takes the name of the guest's interface at its place, so that what else refers to that
    name stays right; a rule for udev ties the name to the MAC address.
    """
    interfaces = _in_order(_named(_in_order(facts.interfaces), len(nics)))
    loopback = ["auto lo", "iface lo inet loopback", *_indented(facts.loopback.options)]
    blocks = ["\n".join(loopback)]
    blocks += [_block(interface, nic) for interface, nic in zip(interfaces, nics)]
    if facts.drop_ins:
        blocks.append(f"source {DROP_INS}")
    rules = [
        f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{nic.mac}",'
        f' ATTR{{type}}=="1", NAME="{interface.name}"\n'
        for interface, nic in zip(interfaces, nics)
    ]
    return (
        Write(INTERFACES, ("\n\n".join(blocks) + "\n").encode("utf-8", "surrogateescape")),
        Write(RULES, "".join(rules).encode()),
        *resolver.edits(facts, nics),
    )


def _text(filesystem: Filesystem, path: str) -> str:
    return (filesystem.read(path, _READ_LIMIT) or b"").decode("utf-8", "surrogateescape")


def _parse(text: str) -> Iterator[_Stanza]:
    keyword, words, options = "", (), []  # type: str, tuple[str, ...], list[str]
    for line in _lines(text):
        first, *rest = line.split()
        if not _STARTS.fullmatch(first):
            options.append(line)
            continue
        if keyword:
            yield _Stanza(keyword, words, tuple(options))
        keyword, words, options = first, tuple(rest), []
    if keyword:
        yield _Stanza(keyword, words, tuple(options))


def _lines(text: str) -> Iterator[str]:
    yield from filter(None, map(str.strip, config_lines.joined(text, joint="")))


def _network(stanzas: Iterable[_Stanza]) -> Network:
    found: dict[str, GuestInterface] = {}
    addresses: list[str] = []
    hotplug: set[str] = set()
    for stanza in stanzas:
        if stanza.keyword == "allow-hotplug":
            hotplug.update(stanza.words)
        elif stanza.keyword in ("mapping", "rename", "template"):
            raise _unsupported(f"it has a {stanza.keyword}")
        elif stanza.keyword == "iface":
            addresses.extend(_addresses(stanza))
            _take(stanza, found)
    loopback = found.pop("lo", GuestInterface("lo"))
    interfaces = tuple(replace(entry, hotplug=entry.name in hotplug) for entry in found.values())
    return Network(interfaces, loopback, tuple(addresses))


def _take(stanza: _Stanza, found: dict[str, GuestInterface]) -> None:
    """Add what an iface stanza says to what is known of its interface."""
    if len(stanza.words) != 3:
        raise _unsupported(f"it has 'iface {' '.join(stanza.words)[:100]}'")
    name, family, method = stanza.words
    if method not in _METHODS.get(family, ()):
        raise _unsupported(f"interface {name[:40]!r} is of the kind '{family} {method}'"[:200])
    for option in stanza.options:
        if _BUILT.fullmatch(option.split()[0]):
            raise _unsupported(f"interface {name[:40]!r} has {option.split()[0]!r}")
        if {name, "$IFACE", "${IFACE}"}.intersection(_MADE.findall(option)):
            raise _unsupported(f"interface {name[:40]!r} is made by {option[:100]!r}")
    if ":" in name:
        return  # a further address of another interface, which no clone may have
    if not _NAME.fullmatch(name):
        raise _unsupported(f"it has an interface {name[:40]!r}")
    known = found.get(name, GuestInterface(name))
    inet6 = method if family == "inet6" and method in ("auto", "dhcp") else known.inet6
    kept = tuple(line for line in stanza.options if not _OWN.fullmatch(line.split()[0]))
    if family == "inet6" and name != "lo":
        known = replace(known, inet6_options=_merged(known.inet6_options, kept))
    else:
        known = replace(known, options=_merged(known.options, kept))
    found[name] = replace(known, inet6=inet6)


def _merged(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options of two stanzas for one: ifup takes two of a name for one of two lines."""
    names = {line.split()[0] for line in known}
    return known + tuple(
        line for line in more if _RUNS.fullmatch(line.split()[0]) or line.split()[0] not in names
    )


def _addresses(stanza: _Stanza) -> Iterator[str]:
    for option in stanza.options:
        words = option.split()
        if words[0] == "address" and len(words) == 2:
            yield words[1].split("/")[0]


def _unsupported(what: str) -> GuestUnsupported:
    return GuestUnsupported(f"the guest's {INTERFACES} can't be customized: {what}")


def _named(interfaces: tuple[GuestInterface, ...], count: int) -> Iterator[GuestInterface]:
    """Yield ``count`` interfaces: those of the guest, then new ones with names that are free."""
    yield from interfaces[:count]
    stem = "eth" if interfaces and interfaces[0].name.startswith("eth") else "net"
    taken = {interface.name for interface in interfaces}
    names = (f"{stem}{number}" for number in range(2 * count + len(taken)))
    free = (name for name in names if name not in taken)
    yield from map(GuestInterface, itertools.islice(free, max(count - len(interfaces), 0)))


def _in_order(interfaces: Iterable[GuestInterface]) -> tuple[GuestInterface, ...]:
    """Return interfaces in the order of the cards, where their names are those of the kernel.

    A card can't be given a name that another one has, and has until udev comes to that.
    """
    known = tuple(interfaces)
    numbers = [_KERNELS.fullmatch(each.name) for each in known]
    if not all(numbers):
        return known
    return tuple(sorted(known, key=lambda each: int(each.name[len("eth") :])))


def _block(interface: GuestInterface, nic: NicIdentity) -> str:
    start = "allow-hotplug" if interface.hotplug else "auto"
    stanzas = list(_stanzas(interface, nic))
    of_inet = next((each for each in stanzas if each[0].split()[2] == "inet"), stanzas[0])
    of_inet6 = next((each for each in stanzas if each[0].split()[2] == "inet6"), None)
    if of_inet6 is None and interface.inet6_options:
        of_inet6 = [f"iface {interface.name} inet6 manual"]
        stanzas.append(of_inet6)
    of_inet += _indented(interface.options)
    if of_inet6 is not None:
        of_inet6 += _indented(interface.inet6_options)
    return "\n".join([f"{start} {interface.name}", *itertools.chain.from_iterable(stanzas)])


def _stanzas(interface: GuestInterface, nic: NicIdentity) -> Iterator[list[str]]:
    name = interface.name
    if not nic.addresses:
        yield [f"iface {name} inet dhcp"]
    gateways = {ipaddress.ip_address(text).version: text for text in nic.gateways}
    resolver = [f"dns-nameservers {' '.join(nic.nameservers)}"] if nic.nameservers else []
    resolver += [f"dns-search {' '.join(nic.search)}"] if nic.search else []
    for text in nic.addresses:
        version = ipaddress.ip_interface(text).version
        gateway = gateways.pop(version, None)
        options = [f"address {text}", *([f"gateway {gateway}"] if gateway else []), *resolver]
        resolver = []
        yield [f"iface {name} {'inet' if version == 4 else 'inet6'} static", *_indented(options)]
    if interface.inet6 and not any(":" in text for text in nic.addresses):
        yield [f"iface {name} inet6 {interface.inet6}"]


def _indented(options: Iterable[str]) -> list[str]:
    return [f"    {option}" for option in options]


FAMILY = Family(
    name="ifupdown",
    needs=f"{INTERFACES} and the program ifup",
    used=used,
    examine=examine,
    plan=plan,
    room={INTERFACES: 2048, RULES: 1024, **resolver.ROOM},
    identity=(
        # DHCP clients' leases and DUIDs: with a copied one a server gives two the same address.
        "/var/lib/dhcp/*.lease*",
        "/var/lib/dhcp3/*.lease*",
        "/var/lib/dhclient/*.lease*",
        "/var/lib/dhcpcd/*",
        "/var/lib/dhcpcd/*/*",
        "/var/lib/dhcpcd5/*",
        "/var/db/dhcpcd/*",
        "/var/lib/dhcpv6/*",
        "/var/lib/dibbler/client-*",
        "/var/lib/wicked/*.xml",
        "/etc/dhcpcd.duid",
        "/etc/dhcpcd.secret",
        # Names of interfaces bound to the image's MAC addresses, by udev or by a clone's edits.
        "/etc/udev/rules.d/70-persistent-net.rules",
        RULES,
    ),
)

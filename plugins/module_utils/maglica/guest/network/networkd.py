# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-networkd: what .network files say of a guest's cards, and what a clone's shall say.

Pure but for ``used`` and ``examine``, which read. By systemd.network(5) of versions 247 to 257, of
all files in the order of their names the first that matches a card is applied, and no other; one
without [Match] matches all.

So a clone has a file for each card, which comes first and matches by MAC address (and Type=ether,
for a VLAN has its card's address): no file of the image is applied to these cards. What it says
that is not the image's own is taken over. Nothing tells a DHCP server who the image was: the DUID
derives from the machine id (networkd.conf(5), DUIDType=), and SendHostname=, which is on where
nothing is said, sends the clone's own name.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ...model.errors import GuestUnsupported
from ..edits import Edit, Write
from ..facts import GuestFacts, GuestInterface
from ..filesystem import Filesystem, Kind
from ..identity import NicIdentity
from . import card_names, resolver, systemd_files
from .family import Family, Network
from .systemd_files import Part

ETC = "/etc/systemd/network"
_STEM = "00-maglica-"
_FIRST = f"{_STEM}0.network"
# As many cards may have files of their own; a machine has no place for more.
_MAX_CARDS = 32
# As many cards can be written without an appliance, whatever the image has.
_LAID_OUT = 4
# For a card that a clone hasn't got. Empty it would do as well, but then might get a comment.
_UNUSED = b"# For a further card.\n[Match]\nName=!*\n"
_PROGRAMS = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
_ENABLED = "/{etc,usr/lib,lib}/systemd/system/*.wants/systemd-networkd.{service,socket}"
_MASK = "/etc/systemd/system/systemd-networkd.service"
_RESOLVED = ("/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved")
_CONFIGS = (
    "/{etc,usr/local/lib,usr/lib,lib}/systemd/networkd.conf",
    "/{etc,usr/local/lib,usr/lib,lib}/systemd/networkd.conf.d/*.conf",
)
_YES = ("1", "yes", "y", "true", "t", "on")
# What only one guest may have, as section.key; without it a card's file is any clone's.
_OWN = re.compile(
    r"network\.(address|ipv6token|ipv6stablesecretaddress|ipv4llstartaddress)|address\.(address|peer)"
    r"|(link|sr-iov)\.macaddress|dhcp(v4|v6)?\.(hostname|duidrawdata|requestaddress)|\w+\.token"
)
# Values that are no guest's own: networkd chooses then.
_CHOSEN = re.compile(r"|(0\.0\.0\.0|::)(/\d+)?|eui64|prefixstable(:[0-9a-f:.]*)?", re.IGNORECASE)
# What a clone's file says by itself, or never.
_ANEW = re.compile(
    r"match\..*|address\..*|network\.(dhcp|address|gateway)|dhcp(v4|v6)?\.(sendhostname|iaid)"
)
# Of DHCPv4 (RFC 2132, RFC 4702): host name, client identifier, the full name; of DHCPv6 (RFC 8415,
# RFC 4704) the last two. All name the guest. networkd takes other ways to write a number, too.
_OPTIONS_OF_OWN = re.compile(r"(12|61|81|1|39):.*|(?![1-9][0-9]{0,4}:).*")
# Settings of a card on which other devices are built, or that serves others.
_UPON = re.compile(
    r"network\.(batmanadvanced|bond|bridge|vrf|ipoib|ipvlan|ipvtap|macsec|macvlan|macvtap|tunnel"
    r"|vlan|vxlan|xfrm)"
)
_SERVES = re.compile(r"network\.(dhcpserver|ipv6sendra|ipv6prefixdelegation)")
# Sections of which each is one thing: without the image's address it would be another.
_MANY = ("route", "routingpolicyrule", "nexthop", "neighbor", "ipv6addresslabel")
_DRIVERS = {"bonding", "bridge", "dummy", "sit", "tun", "veth", "vxlan", "wireguard"}
_ELSEWHERE = {"no", "false", "0", "container", "docker", "lxc", "lxc-libvirt", "podman", "wsl"}
_ELSEWHERE |= {"openvz", "systemd-nspawn"}


@dataclass(frozen=True)
class _File:
    """A .network file with its drop-ins, and the cards that it is for.

    These are the names or addresses that it has for them, "" where it is for any card.
    """

    name: str
    parts: tuple[Part, ...]
    cards: tuple[str, ...]

    def values(self, wanted: str) -> list[str]:
        return [value for part in self.parts for what, value, _line in part.lines if what == wanted]


def used(filesystem: Filesystem) -> bool:
    """Tell whether networkd is started in the guest, and configures a card."""
    return (
        any(filesystem.kind(path) is not Kind.ABSENT for path in _PROGRAMS)
        and filesystem.kind(_MASK) is not Kind.SYMLINK
        and bool(filesystem.glob(_ENABLED))
        and any(file.cards for file in _files(filesystem))
    )


def examine(filesystem: Filesystem) -> Network:
    """Read the guest's configuration.

    Raises GuestUnsupported for devices upon cards (bridges, bonds, VLANs), and for what clones
    would share or miss and can't be given anew.
    """
    _need_cards_alone(filesystem)
    if filesystem.kind(resolver.RESOLV_CONF) is Kind.SYMLINK and not any(
        filesystem.kind(path) is not Kind.ABSENT for path in _RESOLVED
    ):
        raise GuestUnsupported(
            f"{resolver.RESOLV_CONF} in the guest is a link, and systemd-resolved, which would read"
            " systemd-networkd's servers for names, is not there: make it a plain file in the image"
        )
    interfaces: list[GuestInterface] = []
    addresses: list[str] = []
    gone: list[str] = []
    for file in _files(filesystem):
        gone += _not_for_clones(file)
        if not file.cards:
            continue
        _need_card_of_its_own(file)
        told = (*file.values("network.address"), *file.values("address.address"))
        mine = [value.split("/")[0] for value in told if not _CHOSEN.fullmatch(value)]
        addresses += mine
        # What is for any card leaves none to the files that follow.
        if not any(interface.name == "" for interface in interfaces):
            interfaces += _interfaces(file, frozenset(mine))
        if len(interfaces) > _MAX_CARDS:
            raise GuestUnsupported(
                f"{file.parts[0].path} in the guest is for more cards than {_MAX_CARDS}, with those"
                " of the files before it: remove from the image those that it has not"
            )
    _need_nothing_hidden(filesystem, gone)
    return Network(
        tuple(interfaces),
        addresses=tuple(addresses),
        files=tuple(gone),
        optional=tuple(_path(number) for number in range(_LAID_OUT)),
    )


def _need_cards_alone(filesystem: Filesystem) -> None:
    for path in filesystem.glob("/{etc,usr/local/lib}/systemd/network/*.netdev"):
        if systemd_files.text(filesystem, path):
            raise GuestUnsupported(
                f"{path} in the guest makes a network device: guests with bridges, bonds, VLANs or"
                " other devices than cards can't be customized"
            )
    for part in chain.from_iterable(systemd_files.find(filesystem, "network/*.link")):
        for what, value, line in part.lines:
            if value and what in ("match.macaddress", "match.permanentmacaddress", "match.host"):
                raise GuestUnsupported(
                    f"{part.path} in the guest is for {line[:100]!r}, which no clone has: have it"
                    " match by Path= or Driver= in the image, or remove it"
                )
    for path in (path for pattern in _CONFIGS for path in filesystem.glob(pattern)):
        for what, value, line in systemd_files.part(filesystem, path).lines:
            if value and what.endswith(".duidrawdata"):
                raise _shared(path, line)


def _not_for_clones(file: _File) -> Iterator[str]:
    """Yield the files that are taken over or no clone may have; what can't go is refused.

    What is for any card, and says nothing of the image's own, stays for cards that come later.
    """
    for part in file.parts:
        own = next((line for what, value, line in part.lines if _is_own(what, value)), "")
        if file.cards and part.path.startswith("/etc/"):
            if own or "" not in file.cards or file.name < _FIRST:
                yield part.path
        elif own:
            raise _shared(part.path, own)
        elif file.cards and file.name < _FIRST:
            raise GuestUnsupported(
                f"{part.path} in the guest comes before {_FIRST}, which each clone gets:"
                " give it a later name in the image"
            )


def _need_nothing_hidden(filesystem: Filesystem, gone: Iterable[str]) -> None:
    """Judge the files that count again when those of the same names in /etc are gone."""
    names = card_names.found(filesystem)
    for path in (path for path in gone if path.endswith(".network")):
        for part in systemd_files.hidden(filesystem, path):
            list(_not_for_clones(_File(posixpath.basename(path), (part,), _cards((part,), names))))


def _need_card_of_its_own(file: _File) -> None:
    for part in file.parts:
        for what, value, line in part.lines:
            if (_UPON.fullmatch(what) and value) or (
                _SERVES.fullmatch(what) and value.lower() not in ("", "no", "false", "0", "off")
            ):
                raise GuestUnsupported(
                    f"{part.path} in the guest has {line[:100]!r}: cards that are part of other"
                    " devices or serve addresses can't be customized"
                )


def _interfaces(file: _File, addresses: Collection[str]) -> Iterator[GuestInterface]:
    """Yield a file's cards with what it says that is not the image's own."""
    dhcp = (file.values("network.dhcp") or ["no"])[-1].lower()
    has_inet6 = dhcp in (*_YES, "both", "ipv6", "v6")
    options: list[str] = []
    for section, settings in chain.from_iterable(part.sections for part in file.parts):
        kept = [each for each in settings if _is_kept(section, *each)]
        stale = [each for each in kept if each[1].split("/")[0] in addresses]
        if section.lower() in _MANY and (stale or _is_default_route(section, settings)):
            continue
        lines = [f"{key}={value}" for key, value in kept if (key, value) not in stale]
        options += [f"[{section}]", *lines] if lines else []
    told = tuple(options)
    for name in file.cards:
        yield GuestInterface(name, inet6="dhcp" if has_inet6 else None, options=told)


def _is_own(what: str, value: str) -> bool:
    return bool(_OWN.fullmatch(what)) and not _CHOSEN.fullmatch(value)


def _is_kept(section: str, key: str, value: str) -> bool:
    what = f"{section}.{key}".lower()
    if what.startswith("dhcp") and key.lower() == "sendoption":
        return not _OPTIONS_OF_OWN.fullmatch(value)
    return not _ANEW.fullmatch(what) and not _is_own(what, value)


def _is_default_route(section: str, settings: tuple[tuple[str, str], ...]) -> bool:
    told = {key.lower(): value for key, value in settings}
    return (
        section.lower() == "route"
        and "gateway" in told
        and told.get("destination", "") in ("", "0.0.0.0/0", "::/0")
    )


def plan(facts: GuestFacts, nics: tuple[NicIdentity, ...]) -> tuple[Edit, ...]:
    """Return the edits that give each of ``nics`` its configuration, by MAC address."""
    named = [interface for interface in facts.interfaces if interface.name]
    others = next((each for each in facts.interfaces if not each.name), GuestInterface(""))
    edits: list[Edit] = []
    for number, nic in enumerate(nics):
        interface = named[number] if number < len(named) else others
        content = _configured(interface, nic).encode("utf-8", "surrogateescape")
        edits.append(Write(_path(number), content))
    written = [_path(number) for number in range(len(nics))]
    ours = (path for path in facts.laid_out if path.startswith(f"{ETC}/{_STEM}"))
    edits += (Write(path, _UNUSED) for path in ours if path not in written)
    return (*edits, *resolver.edits(facts, nics))


def _configured(interface: GuestInterface, nic: NicIdentity) -> str:
    has_ipv6 = any(ipaddress.ip_interface(text).version == 6 for text in nic.addresses)
    with_ipv6, without = ("ipv6", "no") if nic.addresses else ("yes", "ipv4")
    dhcp = with_ipv6 if interface.inet6 and not has_ipv6 else without
    lines = ["[Match]", f"MACAddress={nic.mac}", "Type=ether", "", "[Network]", f"DHCP={dhcp}"]
    lines += [f"Address={address}" for address in nic.addresses]
    lines += [f"DNS={server}" for server in nic.nameservers]
    lines += [f"Domains={' '.join(nic.search)}"] if nic.search else []
    has_gateway6 = any(ipaddress.ip_address(text).version == 6 for text in nic.gateways)
    # Else networkd shares the traffic out between this and each router that advertises itself.
    lines += ["IPv6AcceptRA=no"] if has_gateway6 else []
    for gateway in nic.gateways:
        # As with ifupdown also one that is outside of the addresses' networks.
        lines += ["[Route]", f"Gateway={gateway}", "GatewayOnLink=yes"]
    routers = ("IPv6AcceptRA", "IPv6AcceptRouterAdvertisements")  # and its old name
    given = {"DNS": nic.nameservers, "Domains": nic.search, **dict.fromkeys(routers, has_gateway6)}
    lines += [line for line in interface.options if not given.get(line.partition("=")[0])]
    return "\n".join(lines) + "\n"


def _path(number: int) -> str:
    return f"{ETC}/{_STEM}{number}.network"


def _shared(path: str, line: str) -> GuestUnsupported:
    return GuestUnsupported(
        f"{path} in the guest (systemd-networkd) has {line[:100]!r}, which each clone would have"
        " too: remove it from the image"
    )


def _files(filesystem: Filesystem) -> Iterator[_File]:
    """Yield the .network files in networkd's order."""
    names = card_names.found(filesystem)
    for parts in systemd_files.find(filesystem, "network/*.network"):
        yield _File(posixpath.basename(parts[0].path), parts, _cards(parts, names))


def _cards(parts: Iterable[Part], names: Sequence[str]) -> tuple[str, ...]:
    """Return the cards that a file is for, as in _File; none when it is for other devices.

    Conditions (of the kernel, the host) are taken to hold, as they did for the image.
    """
    match: dict[str, list[str]] = {}
    for what, value, _line in (line for part in parts for line in part.lines):
        if what == "link.unmanaged" and value.lower() in _YES:
            return ()
        if what.startswith("match."):
            known = match.setdefault(what.partition(".")[2], [])
            known.extend(value.split())
            if not value:
                known.clear()
    if not _may_be_card({key: words for key, words in match.items() if words}):
        return ()
    wanted = match.get("name", [])
    if wanted and wanted[0].startswith("!"):
        return () if {"!*", "!e*", "*", "e*"}.intersection(wanted) else ("",)
    cards = [name for name in wanted if _may_name_card(name, names)]
    if wanted and not cards:
        return ()
    cards = match.get("macaddress") or match.get("permanentmacaddress") or cards
    cards = cards or match.get("path", [])
    return tuple(cards) if cards and not any(map(card_names.GLOB.search, cards)) else ("",)


def _may_be_card(match: dict[str, list[str]]) -> bool:
    if match.keys() & {"wlaninterfacetype", "ssid", "bssid"}:
        return False
    types, kinds, drivers = (match.get(key, ["!"]) for key in ("type", "kind", "driver"))
    is_ether = types[0].startswith("!") != any(
        card_names.may_match(each, ("ether",)) for each in types
    )
    is_real = kinds[0].startswith("!") and (
        drivers[0].startswith("!") or not _DRIVERS.issuperset(drivers)
    )
    return is_ether and is_real and match.get("virtualization", [""])[-1] not in _ELSEWHERE


def _may_name_card(pattern: str, names: Sequence[str]) -> bool:
    """Tell whether Name= is for cards: those that udev names, and others that the image names."""
    start = card_names.GLOB.split(pattern, maxsplit=1)[0]
    return start.startswith(("en", "eth")) or card_names.may_match(pattern, names)


FAMILY = Family(
    name="systemd-networkd",
    needs=f"its service enabled and a .network file for a card in {ETC}",
    used=used,
    examine=examine,
    plan=plan,
    room={**{_path(number): 2048 for number in range(_LAID_OUT)}, **resolver.ROOM},
    identity=(f"{ETC}/{_STEM}*.network{{,.d/*}}", "/var/lib/systemd/network/dhcp-server-lease/*"),
)

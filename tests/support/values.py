# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for every value of the protocol, all of them valid."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
from typing import Any

from hypothesis import strategies as st
from maglica.model import card, names, request
from maglica.model.image import Firmware
from maglica.model.moment import Moment
from maglica.model.vm import Disk, Domain, Graphics, Interface, SerialConsole
from maglica.verbs import table
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.disks import Bus, Cache, Discard, NewDisk
from maglica.verbs.hardware.set_boot_order import BootDevice
from maglica.verbs.hardware.set_cdrom import Medium
from maglica.verbs.verb import Verb

uuids = st.uuids().map(str)
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
vm_names = st.lists(labels, min_size=1, max_size=4).map(".".join)
domain_names = st.from_regex(r"[A-Za-z_ü&'][A-Za-z0-9_ .ü&']{0,20}[A-Za-z0-9_]", fullmatch=True)
object_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,30}", fullmatch=True)
macs = st.from_regex(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", fullmatch=True)
addresses = st.ip_addresses().map(str)
interface_addresses = st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 32))
ssh_keys = st.from_regex(
    r"ssh-(ed25519|rsa) [A-Za-z0-9+/]{16,40}={0,2}( [!-~]{1,20})?", fullmatch=True
)
host_keys = st.from_regex(r"ssh-(ed25519|rsa) [A-Za-z0-9+/]{16,40}={0,2}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:=+@/-]{0,20}", fullmatch=True)
hashes = st.from_regex(r"\$[0-9a-z]{1,8}\$[A-Za-z0-9./,=$+-]{8,40}", fullmatch=True)
numbers = st.floats(0, 1e10) | st.integers(0, 10**10).map(float)
moments = st.integers(0, 1 << 52).map(lambda each: Moment(each / 1_000_000))
byte_counts = st.integers(0, 1 << 60)


def texts(limit: int) -> st.SearchStrategy[str]:
    # What str.isprintable refuses: "other" and "separator", but for the space.
    allowed = st.characters(
        codec="utf-8",
        exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"),
        include_characters=" \n",
    )
    return st.text(allowed, max_size=min(limit, 30))


def members(kind: type[enum.Enum]) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(kind))


def tuples(item: st.SearchStrategy[Any], limit: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(item, max_size=limit).map(tuple)


def maybe(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | item


vcpus = st.integers(1, 1024)
memories = st.integers(16, 64 << 20)


def _usable(nic: request.Nic) -> request.Nic:
    """Return the card with one gateway at most of each family it has an address of, or may get."""
    own = {ipaddress.ip_interface(each).version for each in nic.addresses} or {4, 6}
    of_family = {ipaddress.ip_address(each).version: each for each in nic.gateways}
    gateways = tuple(each for version, each in of_family.items() if version in own)
    return dataclasses.replace(nic, gateways=gateways)


nics = st.builds(
    request.Nic,
    network=maybe(object_names),
    bridge=maybe(object_names),
    mac=maybe(macs),
    addresses=tuples(interface_addresses),
    gateways=tuples(addresses, 2),
    nameservers=tuples(addresses),
    search=tuples(vm_names),
).map(_usable)
user_names = st.from_regex(r"[a-z_][a-z0-9_.-]{0,10}", fullmatch=True)
users = st.builds(
    request.User,
    name=maybe(user_names.filter(lambda name: name != "root")),
    groups=tuples(user_names),
    sudo=maybe(st.just("ALL=(ALL) NOPASSWD:ALL")),
    shell=maybe(st.just("/bin/bash")),
    ssh_authorized_keys=tuples(ssh_keys),
    password=maybe(hashes),
)
user_data = st.builds("#cloud-config\nruncmd: [[echo, {}]]\n".format, labels)
clone_specs = st.builds(
    CloneSpec,
    name=vm_names,
    image=object_names,
    host=maybe(object_names),
    clone_mode=members(request.CloneMode),
    pool=maybe(object_names),
    vcpus=maybe(vcpus),
    memory_mib=maybe(memories),
    interfaces=maybe(tuples(nics)),
    hostname=maybe(vm_names),
    ssh_authorized_keys=tuples(ssh_keys),
    root_password=maybe(hashes),
    tags=tuples(tags),
    start=st.booleans(),
    user=maybe(users),
    user_data=maybe(user_data),
    paused=st.booleans(),
    autostart=st.booleans(),
    description=maybe(texts(2000)),
    protected=st.booleans(),
)
# In other ways some of it can't be said.
clone_specs |= st.builds(
    CloneSpec, name=vm_names, image=object_names, customize=members(request.Customize)
)
# A name that is not a valid host name has one beside it.
clone_specs |= st.builds(
    dataclasses.replace,
    clone_specs.filter(lambda spec: spec.customize is not request.Customize.NONE),
    name=domain_names,
    hostname=vm_names,
)
_where_from = st.sampled_from(
    [
        {"path": "/srv/a.img"},
        {"path": "/srv/a.img.xz", "checksum": "sha512:" + "a" * 128},
        {"url": "https://example.com/a.img", "checksum": "sha256:" + "b" * 64},
        {"url": "http://u:p@example.com/a?t=1", "checksum": "sha256:https://example.com/SUMS?t=2"},
    ]
)
add_image_specs = st.builds(
    AddImageSpec,
    image=object_names,
    host=object_names,
    format=st.sampled_from([None, "qcow2", "raw"]),
    pool=maybe(object_names),
    vcpus=maybe(vcpus),
    memory_mib=maybe(memories),
    interfaces=maybe(tuples(nics)),
    firmware=maybe(members(Firmware)),
    secure_boot=st.booleans(),
    xml=maybe(texts(30).map("<a>\t{}\r\n</a>".format)),
)
add_image_specs = st.builds(
    lambda spec, where: dataclasses.replace(spec, **where), add_image_specs, _where_from
)
# The fields that single verbs have beside those that say which vm is meant.
disk_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{3,19}", fullmatch=True).filter(
    lambda name: not names.is_disk_target(name)
)
new_disks = st.builds(
    NewDisk,
    name=disk_names,
    size_mib=st.integers(1, 64 << 20),
    pool=maybe(object_names),
    bus=members(Bus),
    cache=maybe(members(Cache)),
    discard=maybe(members(Discard)),
    serial=maybe(disk_names),
)
cards = st.builds(
    card.Card,
    model=maybe(members(card.Model)),
    link=maybe(members(card.Link)),
    filter=maybe(st.just("") | object_names),
    vlan=maybe(tuples(st.integers(1, 4094))),
    virtualport=maybe(members(card.VirtualPort)),
)
mediums = st.sampled_from([Medium("/srv/a.iso"), Medium(None, "isos", "a.iso")])
_own_fields = {
    "disk": disk_names,
    "card": cards,
    "mac": macs,
    "new_mac": maybe(macs),
    "network": maybe(object_names),
    "bridge": st.none(),
    "allow_restart": st.booleans(),
    "keep": st.booleans(),
    "medium": maybe(mediums),
    "boot_order": st.lists(members(BootDevice), max_size=3).map(tuple),
    "size_mib": st.integers(1, 64 << 20),
    "force": st.booleans(),
    "stop_timeout": st.integers(0, 86400),
    "vcpus": maybe(vcpus),
    "memory_mib": maybe(memories),
    "tags": tuples(tags),
    "remove_foreign_disks": st.booleans(),
    "autostart": maybe(st.booleans()),
    "description": maybe(texts(2000)),
    "protected": maybe(st.booleans()),
}


def specs_of(verb: Verb) -> st.SearchStrategy[Any]:
    """Return specs of a verb; a field that has no strategy here raises KeyError."""
    if verb.makes_vm:
        return clone_specs
    if verb.spec is AddImageSpec:
        return add_image_specs
    known = {"name": domain_names, "image": object_names, "uuid": uuids, "host": object_names}
    known.update(_own_fields)
    if verb.spec is AddDiskSpec:
        known["disk"] = new_disks
    return st.builds(
        verb.spec, **{each.name: known[each.name] for each in dataclasses.fields(verb.spec)}
    )


failures = st.builds(
    request.Failure, code=st.from_regex("[a-z_]{1,40}", fullmatch=True), text=texts(2000)
)
phases = st.builds(request.Phase, name=texts(40), seconds=numbers)
interfaces = st.builds(
    Interface,
    mac=texts(40),
    network=maybe(texts(200)),
    addresses=tuples(texts(60)),
    bridge=maybe(texts(200)),
    model=maybe(texts(40)),
    link=maybe(texts(40)),
    filter=maybe(texts(200)),
    vlan=tuples(st.integers(0, 1 << 20)),
    virtualport=maybe(texts(40)),
)
disks = st.builds(
    Disk,
    target=texts(40),
    device=texts(40),
    format=maybe(texts(40)),
    source=maybe(texts(1000)),
    capacity_bytes=maybe(byte_counts),
    allocation_bytes=maybe(byte_counts),
    name=maybe(texts(40)),
    pool=maybe(texts(200)),
    bus=maybe(texts(40)),
    serial=maybe(texts(200)),
    cache=maybe(texts(40)),
    discard=maybe(texts(40)),
)
ports = maybe(st.integers(1, 65535))
graphics = st.builds(
    Graphics,
    type=texts(40),
    listen=maybe(texts(200)),
    port=ports,
    tls_port=ports,
    socket=maybe(texts(4096)),
)
consoles = st.builds(SerialConsole, type=texts(40), path=maybe(texts(4096)))
vms = st.builds(
    Domain,
    name=domain_names,
    uuid=uuids,
    host=object_names,
    state=texts(40),
    active=st.booleans(),
    made=maybe(st.booleans()),
    is_image=st.booleans(),
    image=maybe(object_names),
    image_version=maybe(texts(64)),
    request=maybe(texts(200)),
    created=maybe(moments),
    who=maybe(texts(200)),
    clone_mode=maybe(texts(40)),
    customize=maybe(texts(40)),
    customize_reason=maybe(texts(2000)),
    base=maybe(texts(40)),
    vcpus=maybe(st.integers(0, 1 << 20)),
    memory_mib=maybe(byte_counts),
    interfaces=tuples(interfaces),
    disks=tuples(disks),
    tags=tuples(texts(80)),
    checksum=maybe(texts(200)),
    ssh_host_keys=tuples(host_keys),
    restart_needed=st.booleans(),
    adopted=st.booleans(),
    foreign_disks=tuples(texts(4096)),
    autostart=maybe(st.booleans()),
    description=maybe(texts(2000)),
    protected=st.booleans(),
    kept_disks=tuples(texts(40)),
    boot_order=tuples(texts(40)),
    graphics=tuples(graphics),
    console=maybe(consoles),
    next_interfaces=maybe(tuples(interfaces)),
)
specs = st.one_of(*map(specs_of, table.VERBS))
requests = st.builds(
    request.Request,
    id=uuids,
    spec=specs,
    state=members(request.State),
    host=maybe(object_names),
    who=texts(200),
    version=st.integers(1, 1 << 53),
    created=moments,
    updated=moments,
    phase=maybe(texts(40)),
    phases=tuples(phases),
    cancelling=st.booleans(),
    failure=maybe(failures),
    vm=maybe(vms),
    parent=maybe(uuids),
    peer=maybe(object_names),
    done=maybe(byte_counts),
    total=maybe(byte_counts),
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20) + 1, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)

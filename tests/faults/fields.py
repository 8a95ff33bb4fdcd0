# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full sample of every message, made from the schema's and the model's own fields.

A field that has no sample raises here, so that none can be forgotten.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from maglica.model import request as model
from maglica.model.moment import Moment
from maglica.model.reported import AddressSource, ReportedDomain, ReportedHost, ReportedInterface
from maglica.model.vm import Domain
from maglica.verbs import table
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.set_cdrom import Medium
from maglica.wire import frames
from maglica.wire import messages as schema

UUID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
OTHER_UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
Path = tuple[typing.Union[str, int], ...]
# Strings, by the name of their field; "Class.field" where one name has two meanings.
_STRINGS = {
    "name": "vm0.example.jp",
    "image": "debian12.original",
    "host": "kvm0.example.jp",
    "pool": "default",
    "hostname": "vm0.example.jp",
    # No image of the tests is connected to it: then nothing of the image's connection stays.
    "network": "lab",
    "bridge": "br0",
    "mac": "52:54:00:00:00:07",
    "addresses": "192.0.2.7/24",
    "Interface.addresses": "192.0.2.7",
    "gateways": "192.0.2.1",
    "nameservers": "192.0.2.53",
    "search": "example.jp",
    "ssh_authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA admin",
    "tags": "web",
    "root_password": "$6$salt$0123456789",
    "uuid": UUID,
    "id": UUID,
    "parent": UUID,
    "peer": "kvm1.example.jp",
    "who": "alice",
    "kind": "clone",
    "Domain.state": "running",
    "image_version": "0123456789ab",
    "Domain.request": OTHER_UUID,
    "clone_mode": "linked",
    "customize": "cloud-init",
    "customize_reason": "asked for",
    "asked": "pool:0123456789abcdef",
    "description": "front end of the shop",
    "User.name": "admin",
    "groups": "users",
    "sudo": "ALL=(ALL) NOPASSWD:ALL",
    "shell": "/bin/bash",
    "password": "$6$salt$0123456789",
    "user_data": "#cloud-config\n",
    "Domain.base": "0a1b2c3d",
    "checksum": f"sha256:{'9d' * 32}",
    "phase": "copy",
    "Phase.name": "copy",
    "code": "no_room",
    "text": "no room",
    "target": "vda",
    "device": "disk",
    "format": "qcow2",
    "Graphics.type": "vnc",
    "listen": "127.0.0.1",
    "socket": "/run/vm0.sock",
    "SerialConsole.type": "pty",
    "SerialConsole.path": "/dev/pts/3",
    "source": "/pool/vm0.qcow2",
    "foreign_disks": "/srv/vms/old_db.qcow2",
    "ssh_host_keys": f"ssh-ed25519 {'A' * 68}",
    "net_devices": "br0",
    "networks": "default",
    "BaseSummary.id": "0a1b2c3d",
    "BaseSummary.version": "0123456789ab",
    "LookSummary.version": "0123456789ab",
    "serial": "data",
    "new_mac": "52:54:00:00:00:0a",
    "model": "virtio",
    "link": "up",
    "filter": "clean-traffic",
    "virtualport": "openvswitch",
    "NewDisk.name": "data",
    "Disk.name": "data",
    "disk": "data",
    "kept_disks": "data",
    "volume": "debian.iso",
    "bus": "virtio",
    "cache": "none",
    "discard": "unmap",
    "boot_order": "disk",
    "distro": "debian",
    "release": "13",
    "stack": "netplan",
    "layout": "ext4",
    "reason": "no ifupdown",
    "shared": "nfs4",
    "path": "/pool/vm0.qcow2",
    "origin": "https://example.com/debian13.qcow2",
    "url": "https://example.com/debian13.qcow2",
    "xml": "<domain/>",
    "problem": "libvirtd does not answer",
    "ReportedDomain.state": "running",
    "ReportedDomain.request": OTHER_UUID,
    "ReportedDomain.base": "0a1b2c3d",
    "ImageVersion.request": OTHER_UUID,
    "libvirt_error": "libvirtd does not answer",
    "problems": "cannot read the pools",
    "uri": "qemu:///system",
    "libvirt_version": "11.3.0",
    "hypervisor_version": "10.0.2",
    "worker_version": "0.1.0+3f2a1b9c0d1e",
}
# What a body has besides records.
_PLAIN: dict[str, Any] = {
    "states": ["queued"],
    "state": "done",
    "limit": 10,
    "wait_s": 1,
    "more": False,
    "dry_run": True,
    "features": ["progress_counts"],
    "hosts.after": "kvm0.example.jp",
    "after": 7,
    "revision": 7,
    "before": UUID,
    "ids": [UUID],
    "done": 1,
    "ended": "2026-11-24T06:00:00.000000Z",
    "total": 2,
    "cancel": [UUID],
    "asked.domains.hosts": ["kvm0.example.jp"],
    "asked.domains.after": f"domain {UUID} kvm0.example.jp",
    "names": ["vm0.example.jp"],
    "next": f"domain {UUID} kvm0.example.jp",
    "gone": [UUID],
    "since": "0123456789abcdef",
    "digest": "0123456789abcdef",
    "journal": "fedcba9876543210",
    "everything": True,
}
# The second interface of a clone: not a list of its guest has the same entry twice.
_OTHER_NIC = {
    "network": None,
    "bridge": "br0",
    "mac": "52:54:00:00:00:09",
    "addresses": ["198.51.100.7/24"],
    "gateways": ["198.51.100.1"],
    "nameservers": ["198.51.100.53"],
    "search": ["example.com"],
}
_RELATED = {"parent": OTHER_UUID, "peer": "kvm1.example.jp"}
_HELD = {"id": UUID, "state": "running"}
_WATCHED = {"id": UUID, "version": 1}


def record(cls: type) -> dict[str, Any]:
    """Return a plain ``cls`` with every field filled."""
    hints = typing.get_type_hints(cls)
    if cls is model.Request:
        # Of any kind, which its spec says.
        hints["spec"] = CloneSpec
    if cls is ReportedInterface:
        # By source, which is filled in below.
        hints["addresses"] = str
    fields = {field.name: _value(cls, field.name, hints[field.name]) for field in _fields(cls)}
    if cls in (model.Nic, AddInterfaceSpec, ChangeInterfaceSpec):
        fields["bridge"] = None  # or a network, not both
    if cls is ReportedInterface:
        fields["addresses"] = {source.value: ["192.0.2.7"] for source in AddressSource}
    if cls is Medium:
        fields["path"] = None  # or a volume of a pool, not both
    if cls is AddImageSpec:
        fields["path"] = None  # or a url, not both
    if cls is CloneSpec:
        fields["interfaces"].append({**record(model.Nic), **_OTHER_NIC})
    return fields


def _fields(cls: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.metadata.get("told", True)]


def _value(cls: type, name: str, hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not types.NoneType]
        return _value(cls, name, options[0])
    if typing.get_origin(hint) is tuple:
        return [_value(cls, name, typing.get_args(hint)[0])]
    if dataclasses.is_dataclass(hint):
        return record(hint)
    if issubclass(hint, enum.Enum):
        return next(iter(hint)).value
    if hint is str:
        known = _STRINGS.get(f"{cls.__name__}.{name}") or _STRINGS.get(name)
        if known is None:
            raise LookupError(f"field {name} of {cls.__name__} has no sample: add one")
        return known
    return {bool: True, int: 64, float: 1.0, Moment: "2026-11-24T06:00:00.000000Z"}[hint]


def specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a spec of each kind of request."""
    for verb in table.VERBS:
        yield verb.name, record(verb.spec)


def messages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (direction, type, body) of every message, all fields filled, each kind of request."""
    for direction, bodies in (("asked", schema.ASKED), ("answered", schema.ANSWERED)):
        for kind, (checks, _required) in bodies.items():
            body = {name: _body_field(direction, kind, name) for name in checks}
            check(direction, kind, body)
            yield direction, kind, body
    for kind, spec in specs():
        request = {**record(model.Request), "kind": kind, "spec": spec}
        submission = {"id": UUID, "kind": kind, "spec": spec, **_RELATED}
        yield "asked", "submit", {"requests": [submission]}
        yield "published", "requests", {"requests": [request]}


def _body_field(direction: str, kind: str, name: str) -> Any:
    clone = {"id": UUID, "kind": "clone", "spec": record(CloneSpec)}
    records: dict[str, Any] = {
        "requests": [record(model.Request)],
        "report": record(model.HostReport),
        "request": record(model.Request),
        "phases": [record(model.Phase)],
        "failure": record(model.Failure),
        "vm": record(Domain),
        "placements": [record(model.Placement)],
        "hosts": [record(model.HostStatus)],
        "answered.domains.hosts": [record(ReportedHost)],
        "domains.domains": [record(ReportedDomain)],
        "shown": [record(ReportedDomain)],
        "submit.requests": [clone, {"id": OTHER_UUID, "again": UUID}],
        "hello.requests": [_HELD],
        "worker": {"version": "0.1.0+3f2a1b9c0d1e", "instance": UUID},
        "client_worker": {"version": "0.1.0+3f2a1b9c0d1e", "problems": ["access:3: no key"]},
        "wait.requests": [_WATCHED],
        "errors": [{"id": UUID, "code": "no_room", "text": "no room"}],
    }
    for key in (f"{direction}.{kind}.{name}", f"{kind}.{name}", name):
        for known in (records, _PLAIN, _STRINGS):
            if key in known:
                return copy.deepcopy(known[key])
    raise LookupError(f"field {name} of message {kind} has no sample: add one")


def check(direction: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Take a body the whole way of a message that was received. Raises MessageInvalid."""
    text = json.dumps(body).encode("ascii")
    received = frames.decode([frames.VERSION, kind.encode("ascii"), text])
    checks = {"asked": schema.asked, "answered": schema.answered, "published": schema.published}
    return checks[direction](received.type, received.body)


def strings_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the place of each string in a plain value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from strings_in(entry, (*path, key))


def at(value: Any, path: Path) -> Any:
    """Return what stands at a place of a plain value."""
    for key in path:
        value = value[key]
    return value


def put(value: Any, path: Path, text: str) -> Any:
    """Return a plain value with another string at one place."""
    changed = copy.deepcopy(value)
    at(changed, path[:-1])[path[-1]] = text
    return changed

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated host does with a vm that is there."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any, Callable

import libvirt
from maglica.domain import definition, size
from maglica.domain.metadata import adoption
from maglica.host_worker.job.vm import metadata, shown
from maglica.model.moment import Moment
from maglica.model.request import Request
from maglica.model.vm import Domain
from maglica.verbs.verb import OnVm


def altered(connection: Any, request: Request, host: str) -> Domain:
    """Do what a request asks for (virConnect); return the vm as it is then, or was."""
    spec = request.spec
    assert isinstance(spec, OnVm)
    domain = connection.lookupByUUIDString(spec.uuid)
    if request.kind == "remove":
        last = shown.vm_of(domain, host)
        _off(domain)
        domain.undefine()
        return last
    if request.kind in _ACTS:
        _ACTS[request.kind](domain, spec)
    if request.kind in ("adopt", "disown"):
        said = adoption(spec.uuid, request.id, Moment(time.time()), request.who)
        is_ours = request.kind == "adopt"
        metadata.write(domain, ET.tostring(said, encoding="unicode") if is_ours else None)
        vm = shown.vm_of(domain, host)
        # One that is given back may be an image again, which its host says.
        return replace(vm, is_image=not is_ours and not vm.active)
    if request.kind == "resize":
        later = _resized(domain, spec)
        return shown.vm_of(domain, host).sized(later.vcpus, later.memory_mib)
    return shown.vm_of(domain, host)


def _off(domain: Any) -> None:
    if domain.isActive():
        domain.destroy()


def _start(domain: Any) -> None:
    (domain.resume if domain.isActive() else domain.create)()


def _restart(domain: Any) -> None:
    _off(domain)
    domain.create()


def _pause(domain: Any) -> None:
    if not domain.isActive():
        domain.create()
    domain.suspend()


def _note(domain: Any, spec: Any) -> None:
    if spec.protected is not None:
        metadata.set_protected(domain, spec.protected)
    if spec.description is not None:
        metadata.set_description(domain, spec.description or None)
    if spec.autostart is not None:
        domain.setAutostart(int(spec.autostart))


def _resized(domain: Any, spec: Any) -> definition.Definition:
    root = definition.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if spec.vcpus:
        size.set_vcpus(root, spec.vcpus)
    if spec.memory_mib:
        size.set_memory(root, spec.memory_mib)
    xml = ET.tostring(root, encoding="unicode")
    domain.connect().defineXML(xml)
    if spec.allow_restart and domain.isActive():
        _restart(domain)
    return definition.describe(xml)


_ACTS: dict[str, Callable[[Any, Any], None]] = {
    "start": lambda domain, _spec: _start(domain),
    "stop": lambda domain, _spec: _off(domain),
    "restart": lambda domain, _spec: _restart(domain),
    "pause": lambda domain, _spec: _pause(domain),
    "tag": lambda domain, spec: metadata.set_tags(domain, spec.tags),
    "set": _note,
}

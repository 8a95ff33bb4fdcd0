# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the number of virtual CPUs and the memory of a definition, and what must agree with them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from math import prod

from ..model.errors import ImageUnsupported
from .definition import Definition, max_vcpus, memory_bytes, number

_MIB = 1 << 20


def after(now: Definition, later: Definition) -> tuple[int, int]:
    """Return vcpus and MiB of memory of a domain that runs, once it is started anew.

    ``later`` is the definition that it has then. How much of its memory a guest gives back a start
    does not change: it has what it has now, unless it may have another size altogether.
    """
    is_same = now.max_memory_mib == later.max_memory_mib
    return later.vcpus, now.memory_mib if is_same else later.memory_mib


def change_vcpus(root: ET.Element, count: int) -> None:
    """Do as ``set_vcpus``, but let a domain that can be given more CPUs while it runs keep that."""
    vcpu = root.find("vcpu[@current]")
    most = max_vcpus(root)
    if vcpu is None or number(vcpu.get("current", ""), "vcpu") >= most or count > most:
        set_vcpus(root, count)
        return
    vcpu.set("current", str(count))
    # They say of each CPU whether it is there.
    for stale in root.findall("vcpus"):
        root.remove(stale)


def change_memory(root: ET.Element, mib: int) -> None:
    """Do as ``set_memory``, but let a domain that can be given more while it runs keep that."""
    most = memory_bytes(root, "memory")
    has_room = root.find("currentMemory") is not None and memory_bytes(root, "currentMemory") < most
    if has_room and mib * _MIB <= most:
        _set_mib(root, "currentMemory", mib)
    else:
        set_memory(root, mib)


def set_vcpus(root: ET.Element, count: int) -> None:
    """Give the domain ``root`` ``count`` virtual CPUs, in place.

    The topology keeps its cores and threads where ``count`` is a multiple of them, otherwise it
    goes. Raises ImageUnsupported for a guest with several NUMA cells.
    """
    element = root.find("vcpu")
    if element is None:
        element = ET.SubElement(root, "vcpu")
    element.text = str(count)
    element.attrib.pop("current", None)
    # The state of each CPU stands for as many as there were.
    for stale in root.findall("vcpus"):
        root.remove(stale)
    for cpu in root.iterfind("cpu"):
        _topology(cpu, count)
    cell = _single_cell(root, "number of CPUs")
    if cell is not None:
        cell.set("cpus", f"0-{count - 1}" if count > 1 else "0")
    _pinning(root, count)


def set_memory(root: ET.Element, mib: int) -> None:
    """Give the domain ``root`` ``mib`` MiB of memory, in place.

    Raises ImageUnsupported for a guest with several NUMA cells or with memory devices.
    """
    if root.find("devices/memory") is not None:
        raise ImageUnsupported("the image has memory devices, so that its memory can't be changed")
    cell = _single_cell(root, "memory")
    if cell is not None:
        cell.set("memory", str(mib))
        cell.set("unit", "MiB")
    if root.find("maxMemory") is not None and memory_bytes(root, "maxMemory") < mib * _MIB:
        _set_mib(root, "maxMemory", mib)
    _set_mib(root, "memory", mib)
    if root.find("currentMemory") is not None:
        _set_mib(root, "currentMemory", mib)
    for tune in root.iterfind("memtune"):
        for limit in [child for child in tune if memory_bytes(tune, child.tag) < mib * _MIB]:
            tune.remove(limit)


def _set_mib(root: ET.Element, tag: str, mib: int) -> None:
    element = root.find(tag)
    if element is None:
        raise ImageUnsupported(f"the definition has no <{tag}>")
    element.set("unit", "MiB")
    element.text = str(mib)


def _topology(cpu: ET.Element, count: int) -> None:
    for topology in cpu.findall("topology"):
        fixed = prod(
            number(value, "topology")
            for name, value in topology.attrib.items()
            if name != "sockets"
        )
        if fixed and count % fixed == 0:
            topology.set("sockets", str(count // fixed))
        else:
            cpu.remove(topology)


def _single_cell(root: ET.Element, what: str) -> ET.Element | None:
    cells = root.findall("cpu/numa/cell")
    if len(cells) > 1:
        raise ImageUnsupported(
            f"the image has {len(cells)} NUMA cells, so that its {what} can't be changed"
        )
    return cells[0] if cells else None


def _pinning(root: ET.Element, count: int) -> None:
    """Drop the tuning of CPUs that are not there any more."""
    for tune in root.iterfind("cputune"):
        for element in list(tune):
            if "vcpu" in element.attrib and number(element.get("vcpu", ""), "vcpupin") >= count:
                tune.remove(element)
            if "vcpus" in element.attrib:
                kept = [cpu for cpu in _cpu_set(element.get("vcpus", "")) if cpu < count]
                if kept:
                    element.set("vcpus", ",".join(map(str, kept)))
                else:
                    tune.remove(element)


def _cpu_set(value: str) -> list[int]:
    """Return the CPUs in a set such as ``0-3,^2,8`` (formatdomain.html, "cpuset")."""
    cpus: set[int] = set()
    for part in value.split(","):
        low, _dash, high = part.strip().lstrip("^").partition("-")
        first = number(low, "cputune")
        last = number(high, "cputune") if high else first
        if last > 1 << 14:
            raise ImageUnsupported(f"the definition tunes CPU {last}")
        members = set(range(first, last + 1))
        cpus = cpus - members if part.strip().startswith("^") else cpus | members
    return sorted(cpus)

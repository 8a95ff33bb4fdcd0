# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain import definition as domain_xml
from maglica.domain import size
from maglica.model.errors import ImageUnsupported
from support.domains import definition, domain

CELLS = "<cpu><numa><cell cpus='0'/><cell cpus='1'/></numa></cpu>"


def _topology(attributes: str, count: int) -> dict[str, str] | None:
    root = domain_xml.parse(domain(outside=f"<cpu><topology {attributes}/></cpu>"))
    size.set_vcpus(root, count)
    topology = root.find("cpu/topology")
    assert root.findtext("vcpu") == str(count)
    return None if topology is None else topology.attrib


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [
        ((1, 2, 1), 4, (2, 2, 1)),
        ((4, 1, 1), 1, (1, 1, 1)),
        ((2, 4, 2), 8, (1, 4, 2)),
        ((1, 4, 2), 6, None),
        ((1, 2, 2), 2, None),
    ],
)
def test_the_topology_agrees(
    before: tuple[int, ...], count: int, after: tuple[int, ...] | None
) -> None:
    names = ("sockets", "cores", "threads")
    attributes = " ".join(f"{name}='{value}'" for name, value in zip(names, before))
    expected = after and {name: str(value) for name, value in zip(names, after)}
    assert _topology(attributes, count) == expected


def test_one_cell_has_all() -> None:
    root = domain_xml.parse(definition("tuned"))
    size.set_vcpus(root, 1)
    size.set_memory(root, 512)
    cell = root.find("cpu/numa/cell")
    assert cell is not None
    assert cell.attrib == {"id": "0", "cpus": "0", "memory": "512", "unit": "MiB"}
    assert domain_xml.describe(ET.tostring(root, encoding="unicode")).memory_mib == 512


def test_several_cells_are_left_alone() -> None:
    root = domain_xml.parse(domain(outside=CELLS))
    with pytest.raises(ImageUnsupported, match="2 NUMA cells"):
        size.set_vcpus(root, 1)
    with pytest.raises(ImageUnsupported, match="2 NUMA cells"):
        size.set_memory(root, 512)


def test_memory_devices_are_left_alone() -> None:
    root = domain_xml.parse(domain("<memory model='dimm'/>"))
    with pytest.raises(ImageUnsupported, match="memory devices"):
        size.set_memory(root, 512)


def test_memory_without_a_balloon_size() -> None:
    root = domain_xml.parse(domain())
    size.set_memory(root, 2048)
    assert domain_xml.memory_bytes(root, "memory") == 2048 << 20
    assert root.find("currentMemory") is None


def test_limits_below_the_new_size_go() -> None:
    root = domain_xml.parse(definition("tuned"))
    size.set_memory(root, 4000)
    assert [child.tag for child in root.iterfind("memtune/*")] == ["soft_limit"]
    assert domain_xml.memory_bytes(root, "maxMemory") == 4 << 30


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [("0-3", 2, "0,1"), ("0-3,^1", 3, "0,2"), ("2,3", 2, None), ("0", 1, "0")],
)
def test_sets_of_cpus_shrink(before: str, count: int, after: str | None) -> None:
    tune = f"<cputune><vcpusched vcpus='{before}' scheduler='fifo'/></cputune>"
    root = domain_xml.parse(domain(outside=tune))
    size.set_vcpus(root, count)
    element = root.find("cputune/vcpusched")
    assert (None if element is None else element.get("vcpus")) == after


def test_a_set_of_absurd_size_is_refused() -> None:
    root = domain_xml.parse(domain(outside="<cputune><x vcpus='0-99999999999'/></cputune>"))
    with pytest.raises(ImageUnsupported, match="tunes CPU"):
        size.set_vcpus(root, 1)

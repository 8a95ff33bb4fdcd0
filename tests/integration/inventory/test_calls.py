# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not wanted is not read: libvirt's calls are counted on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.latency import Proxy, proxied
from support.testdriver import Libvirtd

from .conftest import Inventory

# REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES of remote_protocol.x: the test driver has no other way.
_INTERFACE_ADDRESSES = 353


@pytest.fixture
def proxy(libvirtd: Libvirtd) -> Iterator[Proxy]:
    with proxied(libvirtd.port) as running:
        yield running


@pytest.fixture
def hosts(proxy: Proxy, kvm0: str) -> list[dict[str, str]]:
    uri = urlsplit(kvm0)._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
    return [{"name": "kvm0", "uri": uri}]


@pytest.mark.parametrize(
    ("filters", "read"),
    [
        ({"include_filters": [{"name": ["vm0*"]}]}, 1),
        ({"include_filters": [{"expression": "maglica_name == 'vm0.example.jp'"}]}, 1),
        ({"include_filters": [{"expression": "maglica_name is match('vm0')"}]}, 1),
        ({"include_filters": [{"kind": ["image"]}]}, 1),
        ({"exclude_filters": [{"name": ["~vm0[.].*"]}]}, 3),
        # Known only when it has been read.
        ({"include_filters": [{"tag": ["web"]}]}, 4),
        ({"include_filters": [{"name": ["vm0*"], "tag": ["db"]}]}, 1),
        ({"include_filters": [{"host": ["other"]}]}, 0),
        ({"exclude_filters": [{"host": ["kvm*"]}]}, 0),
    ],
)
def test_filters_are_decided_as_early_as_they_can_be(
    inventory: Inventory, hosts: list[Any], proxy: Proxy, filters: dict[str, Any], read: int
) -> None:
    inventory.list({"hosts": hosts, **filters})
    assert proxy.named().get("domain_xml", 0) == read
    assert bool(proxy.connections) == bool(read)


@pytest.mark.parametrize(
    "case",
    [
        ({}, 3, 3),
        ({"include_filters": [{"tag": ["web"]}]}, 1, 1),
        ({"exclude_filters": [{"image": ["debian*"]}]}, 2, 2),
        ({"include_filters": [{"expression": "maglica_who == 'alice'"}]}, 1, 1),
        ({"include_filters": [{"expression": "maglica_address == 'no address'"}]}, 0, 3),
        ({"exclude_filters": [{"expression": "not maglica_interfaces[0].addresses"}]}, 3, 3),
    ],
)
def test_addresses_are_looked_up_of_what_the_definition_lets_pass(
    inventory: Inventory, hosts: list[Any], proxy: Proxy, case: tuple[dict[str, Any], int, int]
) -> None:
    filters, shown, asked = case
    listed = inventory.list({"hosts": hosts, "address_sources": ["lease"], **filters})
    assert len(listed.group("maglica_vms")) == shown
    assert proxy.calls[_INTERFACE_ADDRESSES] == asked


@pytest.mark.parametrize(
    "case",
    [
        # What is off has to be looked at: it may have been adopted.
        ({}, 3, 1),
        ({"include_filters": [{"state": ["running"]}]}, 2, 0),
        ({"include_filters": [{"tag": ["web"]}]}, 1, 4),
        ({"exclude_filters": [{"name": ["vm0*"], "image": ["debian*"]}]}, 2, 2),
        ({"include_filters": [{"kind": ["vm"]}]}, 3, 1),
        ({"include_filters": [{"expression": "maglica_vcpus == 2", "name": ["idle*"]}]}, 1, 1),
    ],
)
def test_minimal_reads_definitions_for_filters_that_need_them(
    inventory: Inventory, hosts: list[Any], proxy: Proxy, case: tuple[dict[str, Any], int, int]
) -> None:
    filters, shown, read = case
    listed = inventory.list({"hosts": hosts, "gather": "minimal", **filters})
    assert len(listed.group("maglica_vms")) == shown
    assert proxy.named().get("domain_xml", 0) == read


@pytest.mark.parametrize(
    ("kinds", "calls"),
    [
        (("hosts", "listed_hosts"), (0, 0)),
        (("images", "images"), (4, 0)),
        (("vms", "vms"), (4, 3)),
    ],
)
def test_what_is_not_listed_is_not_read(
    inventory: Inventory,
    proxy: Proxy,
    hosts: list[Any],
    kinds: tuple[str, str],
    calls: tuple[int, int],
) -> None:
    kind, group = kinds
    listed = inventory.list({"hosts": hosts, "include": [kind], "address_sources": ["lease"]})
    assert listed.group(f"maglica_{group}")
    assert (proxy.named().get("domain_xml", 0), proxy.calls[_INTERFACE_ADDRESSES]) == calls

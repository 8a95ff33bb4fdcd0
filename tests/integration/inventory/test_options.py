# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that choose among a vm's addresses, and those that say how hosts are asked."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest
from maglica import model
from support import testdriver
from support.testdriver import Libvirtd

from .conftest import REQUEST, Inventory

_MAC = "52:54:00:00:00:01"
_RECORDED = ("192.0.2.7/24", "198.51.100.7/24", "2001:db8::7/64")
# The test driver chooses an address of its network 192.168.122.0/24.
_LEASED = "192.168.122"
_TIMEOUT = 1.5


@pytest.fixture(scope="module")
def addressed(libvirtd: Libvirtd) -> list[dict[str, str]]:
    """A host with a vm that was cloned with addresses, and that has a lease as well."""
    recorded = "".join(
        f"<maglica:address mac='{_MAC}' address='{address}'/>" for address in _RECORDED
    )
    metadata = (
        "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='i'"
        f" request='{REQUEST}' created='1' who='alice' clone_mode='linked'>{recorded}</maglica:vm>"
    )
    domain = testdriver.domain("vm0", 1, identity=model.vm_uuid(REQUEST), metadata=metadata)
    path = testdriver.node(libvirtd.folder / "addressed.xml", [domain])
    return [{"name": "kvm0", "uri": libvirtd.uri(path)}]


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"address_sources": ["recorded", "lease"]}, "192.0.2.7"),
        ({"address_sources": ["lease", "recorded"]}, _LEASED),
        ({"address_sources": ["agent", "recorded"]}, "192.0.2.7"),
        ({"address_sources": ["recorded"], "address_family": "ipv6"}, "2001:db8::7"),
        ({"address_sources": ["lease"], "address_family": "ipv6"}, _LEASED),
        ({"address_sources": ["lease"], "address_family": "ipv6_only"}, None),
        (
            {"address_sources": ["recorded"], "address_networks": ["10.0.0.0/8", "198.51.0.0/16"]},
            "198.51.100.7",
        ),
        ({"address_sources": ["recorded"], "address_networks": ["2001:db8::/32"]}, "2001:db8::7"),
        ({"address_sources": []}, None),
    ],
)
def test_which_address(
    inventory: Inventory,
    addressed: list[dict[str, str]],
    options: dict[str, Any],
    address: str | None,
) -> None:
    vm = inventory.list({"hosts": addressed, **options}).hosts["vm0"]
    shown = vm["maglica_address"]
    assert vm.get("ansible_host") == shown
    if address == _LEASED:
        assert shown.rpartition(".")[0] == _LEASED
    else:
        assert shown == address


def test_a_vm_called_by_its_address(inventory: Inventory, addressed: list[dict[str, str]]) -> None:
    options = {"hosts": addressed, "hostnames": ["address", "name"]}
    by_address = inventory.list({**options, "address_sources": ["recorded"]})
    assert by_address.group("maglica_vms") == ["192.0.2.7"]
    assert inventory.list({**options, "address_sources": []}).group("maglica_vms") == ["vm0"]


def test_one_host_after_the_other(inventory: Inventory) -> None:
    with contextlib.ExitStack() as stack:
        # They take connections, and never say a word.
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _host in range(3)]
        hosts = [
            {"name": f"kvm{number}", "uri": f"qemu+tcp://127.0.0.1:{port}/system"}
            for number, port in enumerate(server.getsockname()[1] for server in silent)
        ]
        seconds = []
        for parallel in (0, 1):
            started = time.monotonic()
            options = {"hosts": hosts, "host_timeout": _TIMEOUT, "parallel": parallel}
            listed = inventory.list(options)
            seconds.append(time.monotonic() - started)
            assert listed.warnings.count("is left out") == 3, listed.warnings
    assert seconds[1] >= 3 * _TIMEOUT
    assert seconds[0] < seconds[1] - _TIMEOUT


def test_the_auth_file_is_beside_the_inventory(inventory: Inventory, dead: str) -> None:
    options = {"hosts": [{"name": "kvm0", "uri": dead}], "auth_file": "auth.conf"}
    assert f"cannot read {inventory.folder}/auth.conf: No such" in inventory.list(options).warnings
    (inventory.folder / "auth.conf").touch()
    assert "host kvm0 is left out: unable to connect" in inventory.list(options).warnings

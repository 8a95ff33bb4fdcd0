# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that choose among a vm's addresses, and those that say how hosts are asked."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from maglica.model.vm import vm_uuid
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
    domain = testdriver.domain("vm0", 1, identity=vm_uuid(REQUEST), metadata=metadata)
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


@contextlib.contextmanager
def _silent(count: int, most: list[int]) -> Iterator[list[int]]:
    """Yield the ports of hosts that take a connection and never say a word.

    How many have had one at the same time is appended to ``most``.
    """
    held: set[socket.socket] = set()
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        silent = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _host in range(count)
        ]
        stop, stopped = map(stack.enter_context, socket.socketpair())
        for listening in (*silent, stopped):
            selector.register(listening, selectors.EVENT_READ)

        def serve() -> None:
            while True:
                for key, _events in selector.select():
                    found = key.fileobj
                    if found is stopped:
                        return
                    if found in silent:
                        connection = stack.enter_context(found.accept()[0])
                        held.add(connection)
                        most.append(len(held))
                        selector.register(connection, selectors.EVENT_READ)
                    elif not found.recv(1 << 16):
                        held.discard(found)
                        selector.unregister(found)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield [listening.getsockname()[1] for listening in silent]
        finally:
            stop.close()
            thread.join()


@pytest.mark.alone
@pytest.mark.parametrize(("parallel", "at_once"), [(0, 3), (1, 1), (2, 2)])
def test_so_many_hosts_at_once(inventory: Inventory, parallel: int, at_once: int) -> None:
    most: list[int] = []
    with _silent(3, most) as ports:
        hosts = [
            {"name": f"kvm{port}", "uri": f"qemu+tcp://127.0.0.1:{port}/system"} for port in ports
        ]
        options = {"hosts": hosts, "host_timeout": _TIMEOUT, "parallel": parallel}
        listed = inventory.list(options)
    assert listed.warnings.count("is left out") == 3, listed.warnings
    assert (max(most), len(most)) == (at_once, 3)


def test_the_auth_file_is_beside_the_inventory(inventory: Inventory, dead: str) -> None:
    options = {"hosts": [{"name": "kvm0", "uri": dead}], "auth_file": "auth.conf"}
    assert f"cannot read {inventory.folder}/auth.conf: No such" in inventory.list(options).warnings
    (inventory.folder / "auth.conf").touch()
    assert "host kvm0 is left out: unable to connect" in inventory.list(options).warnings

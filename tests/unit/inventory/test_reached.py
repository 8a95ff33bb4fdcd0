# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible connects to for a domain of the inventory."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from ansible.constants import LOCALHOST
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.inventory import OWN
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.snapshot import (
    AskedHost,
    Snapshot,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain

from .conftest import Parse

# Names that ssh, asked for them, would take for this machine, or for a user of a host.
_OWN = (
    *("localhost", "127.0.0.1", "::1", "LocalHost", "127.0.0.2", "127.1", "0", "0x7f000001"),
    *("2130706433", "0.0.0.0", "::ffff:127.0.0.1", "localhost.localdomain", "localhost4"),
    *("a.localhost", "localhost.", "ip6-localhost", "root@kvm1", "127.0x1", "1.0x7f000001"),
)


def _uuid(name: str, host: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}@{host}"))


def _vm(name: str, host: str = "kvm0", address: str | None = None) -> Domain:
    return Domain(name, _uuid(name, host), host, "stopped", active=False, address=address)


def _reached(parse: Parse, vms: list[Domain], **options: Any) -> dict[str, str | None]:
    found = parse(options, Snapshot(vms=tuple(vms)))
    hosts = found.inventory.hosts
    return {name: found.variables(name).get("ansible_host") for name in hosts}


def test_what_ansible_takes_for_this_machine() -> None:
    assert set(LOCALHOST) == OWN


@pytest.mark.parametrize("name", _OWN)
def test_what_is_meant_for_a_guest_is_done_nowhere_else(parse: Parse, name: str) -> None:
    vm = _vm(name)
    for domain in (vm, replace(vm, is_image=True)):
        kind = "images" if domain.is_image else "vms"
        found = parse({}, Snapshot(**{kind: (domain,)}))
        (listed,) = found.inventory.hosts
        assert listed not in LOCALHOST
        # Its UUID is no name that anything leads to either.
        reached = found.variables(listed).get("ansible_host", f"{listed}.invalid")
        assert reached == f"{_uuid(name, 'kvm0')}.invalid"
        assert found.inventory.get_host("localhost").implicit
        assert "maglica_name" not in found.inventory.get_host("localhost").vars


def test_two_of_one_name_of_which_no_address_is_known(parse: Parse) -> None:
    assert _reached(parse, [_vm("a", "kvm0"), _vm("a", "kvm1"), _vm("b", "kvm1")]) == {
        "a@kvm0": f"{_uuid('a', 'kvm0')}.invalid",
        "a@kvm1": f"{_uuid('a', 'kvm1')}.invalid",
        "b": None,
    }


@pytest.mark.parametrize("name", ["web1.example.jp", "Web1", "a_b", "a-1"])
def test_a_name_that_leads_elsewhere(parse: Parse, name: str) -> None:
    assert _reached(parse, [_vm(name)]) == {name: None}
    assert _reached(parse, [_vm(name, address="192.0.2.1")]) == {name: "192.0.2.1"}


def test_one_address_of_several_vms(parse: Parse) -> None:
    vms = [
        _vm("a", "kvm0", "192.168.122.5"),
        _vm("b", "kvm1", "192.168.122.5"),
        _vm("c", "kvm1", "192.168.122.6"),
    ]
    (warning,) = parse({}, Snapshot(vms=tuple(vms))).warnings
    assert warning == (
        "several vms have the address 192.168.122.5, by which Ansible reaches one of them at most:"
        " a on kvm0, b on kvm1; see the options address_networks and connection"
    )
    asked = tuple(AskedHost(name, f"qemu+tcp://{name}/system") for name in ("kvm0", "kvm1"))
    through = {"connection": "community.libvirt.libvirt_qemu"}
    assert parse(through, Snapshot(vms=tuple(vms), asked=asked)).warnings == []


def test_many_vms_of_one_address_are_one_short_warning(parse: Parse) -> None:
    vms = [_vm(f"vm{number}", "kvm0", "192.168.122.5") for number in range(1000)]
    (warning,) = parse({}, Snapshot(vms=tuple(vms))).warnings
    assert "and 992 more" in warning
    vms = [_vm(f"vm{number}", "kvm0", f"192.168.122.{number // 2}") for number in range(200)]
    warnings = parse({}, Snapshot(vms=tuple(vms))).warnings
    assert (len(warnings), warnings[-1]) == (6, "and 95 more of this kind")


def test_hosts_that_share_a_group(parse: Parse) -> None:
    found = parse({}, Snapshot(vms=(_vm("a", "kvm-0"), _vm("b", "kvm_0"), _vm("c", "kvm1"))))
    assert found.warnings == [
        "the group maglica_host_kvm_0 is that of several: host_kvm-0, host_kvm_0"
    ]
    assert {host.name for host in found.inventory.groups["maglica_host_kvm_0"].hosts} == {"a", "b"}

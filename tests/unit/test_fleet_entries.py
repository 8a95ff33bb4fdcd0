# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from maglica.config import HostEntry
from maglica.fleet_entries import entries
from maglica.fleet_values import Domain, Host, Snapshot

HOSTS = [
    HostEntry("kvm0", "qemu+tcp://kvm0/system"),
    HostEntry("kvm1", "qemu+tcp://kvm1/system", 2),
]
EVERYTHING = ("vms", "images", "hosts")


def _name(shown: dict[str, Any]) -> str:
    return str(shown["name"])


def _vm(name: str, host: str, uuid: str = "u") -> Domain:
    return Domain(name, uuid, host, "running", active=True)


def _image(name: str, host: str) -> Domain:
    return Domain(name, f"uuid-{host}", host, "stopped", active=False, made=False)


def test_names_and_groups() -> None:
    snapshot = Snapshot(
        vms=(_vm("a", "kvm0"), _vm("b", "kvm1")),
        images=(_image("i", "kvm0"), _image("i", "kvm1")),
        hosts=(Host("kvm0", "qemu+tcp://kvm0/system", 0.1, cpus=4),),
    )
    listed, warnings = entries(snapshot, HOSTS, EVERYTHING, _name)
    assert warnings == []
    assert {entry.name: entry.groups for entry in listed} == {
        "kvm0": ("hosts",),
        "kvm1": ("hosts",),
        "i": ("images", "state_stopped", "host_kvm0", "host_kvm1"),
        "a": ("vms", "state_running", "host_kvm0"),
        "b": ("vms", "state_running", "host_kvm1"),
    }
    shown = {entry.name: entry.shown for entry in listed}
    assert (shown["kvm0"]["reachable"], shown["kvm0"]["cpus"]) == (True, 4)
    assert (shown["kvm1"]["reachable"], shown["kvm1"]["weight"]) == (False, 2)
    assert [entry["kind"] for entry in shown.values()] == ["host", "host", "image", "vm", "vm"]


def test_only_what_is_included() -> None:
    snapshot = Snapshot(vms=(_vm("a", "kvm0"),), images=(_image("i", "kvm0"),))
    for kind, name in (("vms", "a"), ("images", "i")):
        listed, _other = entries(snapshot, HOSTS, (kind,), _name)
        assert [entry.name for entry in listed] == [name]


def test_shared_names_are_made_distinct() -> None:
    snapshot = Snapshot(
        vms=(
            _vm("a", "kvm0"),
            _vm("a", "kvm1"),
            _vm("b", "kvm0"),
            _vm("i", "kvm1"),
            _vm("kvm0", "kvm1"),
        ),
        images=(_image("i", "kvm0"),),
    )
    listed, warnings = entries(snapshot, HOSTS, EVERYTHING, _name)
    names = [entry.name for entry in listed]
    assert names == ["kvm0", "kvm1", "i", "a@kvm0", "a@kvm1", "b", "i@kvm1", "kvm0@kvm1"]
    assert warnings == [
        "several have the name a: vm a on kvm0, vm a on kvm1; the vms are listed as a@HOST",
        "several have the name i: image i on kvm0, vm i on kvm1; the vms are listed as i@HOST",
        "several have the name kvm0: host kvm0 on no host, vm kvm0 on kvm1;"
        " the vms are listed as kvm0@HOST",
    ]


def test_no_domain_takes_the_place_of_the_control_machine() -> None:
    snapshot = Snapshot(
        vms=(_vm("127.0.0.1", "kvm1"), _vm("localhost", "kvm0")), images=(_image("::1", "kvm0"),)
    )
    listed, warnings = entries(snapshot, HOSTS, ("vms", "images"), _name)
    assert [entry.name for entry in listed] == ["::1@kvm0", "127.0.0.1@kvm1", "localhost@kvm0"]
    assert warnings == [
        "the control machine itself has the name 127.0.0.1: vm 127.0.0.1 on kvm1;"
        " the vms are listed as 127.0.0.1@HOST",
        "the control machine itself has the name localhost: vm localhost on kvm0;"
        " the vms are listed as localhost@HOST",
    ]


def test_the_uuid_is_the_last_resort() -> None:
    snapshot = Snapshot(vms=(_vm("a", "kvm0", "u1"), _vm("b", "kvm0", "u2")))
    listed, warnings = entries(snapshot, HOSTS, ("vms",), lambda shown: "same")
    assert [entry.name for entry in listed] == ["u1", "u2"]
    assert len(warnings) == 1


def test_many_shared_names_make_few_warnings() -> None:
    vms = [_vm(f"a{number}", host) for number in range(9) for host in ("kvm0", "kvm1")]
    listed, warnings = entries(Snapshot(vms=tuple(vms)), HOSTS, ("vms",), _name)
    assert len({entry.name for entry in listed}) == 18
    assert len(warnings) == 6
    assert warnings[-1].endswith("NAME@HOST: a5, a6, a7, a8")

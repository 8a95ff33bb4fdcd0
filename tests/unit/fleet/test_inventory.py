# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet.inventory import (
    InventoryEntry,
    Naming,
    distinct,
    entries,
    is_plain,
    leads_elsewhere,
)
from maglica.fleet.snapshot import AskedHost, Snapshot
from maglica.libvirtd.hosts import Host
from maglica.model.vm import Domain

HOSTS = (
    AskedHost("kvm0", "qemu+tcp://kvm0/system"),
    AskedHost("kvm1", "qemu+tcp://kvm1/system", 2),
)
EVERYTHING = ("vms", "images", "hosts")


def _name(shown: dict[str, Any]) -> str:
    return str(shown["name"])


def _listed(
    snapshot: Snapshot,
    include: Collection[str] = EVERYTHING,
    naming: Naming = _name,
    groups: Collection[str] = (),
) -> tuple[list[InventoryEntry], list[str]]:
    return distinct(entries(replace(snapshot, asked=HOSTS), include, naming), groups)


def _vm(name: str, host: str, uuid: str = "u") -> Domain:
    return Domain(name, uuid, host, "running", active=True)


def _image(name: str, host: str) -> Domain:
    return Domain(name, f"uuid-{host}", host, "stopped", active=False, made=False, is_image=True)


def test_names_and_groups() -> None:
    snapshot = Snapshot(
        vms=(replace(_vm("a", "kvm0"), adopted=True), _vm("b", "kvm1")),
        images=(_image("i", "kvm0"), _image("i", "kvm1")),
        hosts=(Host("kvm0", "qemu+tcp://kvm0/system", 0.1, cpus=4),),
    )
    listed, warnings = _listed(snapshot)
    assert warnings == []
    assert {entry.name: entry.groups for entry in listed} == {
        "kvm0": ("listed_hosts",),
        "kvm1": ("listed_hosts",),
        "i": ("images", "state_stopped", "host_kvm0", "host_kvm1"),
        "a": ("vms", "state_running", "host_kvm0", "adopted"),
        "b": ("vms", "state_running", "host_kvm1"),
    }
    shown = {entry.name: entry.shown for entry in listed}
    assert (shown["kvm0"]["reachable"], shown["kvm0"]["cpus"]) == (True, 4)
    assert (shown["kvm1"]["reachable"], shown["kvm1"]["weight"]) == (False, 2)
    assert [entry["kind"] for entry in shown.values()] == ["host", "host", "image", "vm", "vm"]


def test_only_what_is_included() -> None:
    snapshot = Snapshot(vms=(_vm("a", "kvm0"),), images=(_image("i", "kvm0"),))
    for kind, name in (("vms", "a"), ("images", "i")):
        listed, _other = _listed(snapshot, (kind,))
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
    listed, warnings = _listed(snapshot)
    names = [entry.name for entry in listed]
    assert names == ["kvm0", "kvm1", "i", "a@kvm0", "a@kvm1", "b", "i@kvm1", "kvm0@kvm1"]
    assert warnings == [
        "several have the name a: vm a on kvm0 (listed as a@kvm0), vm a on kvm1 (listed as a@kvm1)",
        "several have the name i: image i on kvm0, vm i on kvm1 (listed as i@kvm1)",
        "several have the name kvm0: host kvm0, vm kvm0 on kvm1 (listed as kvm0@kvm1)",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("127.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0X7F.1.", "010.0.0.1", "10.0.0.1"),
        *("::1", "::ffff:127.0.0.1", "root@kvm0", "web@kvm0.example.jp"),
        *("localhost", "LocalHost", "localhost.", "db.localhost", "localhost.localdomain"),
        *("ip6-localhost", "ip6-loopback", "localhost4.localdomain4"),
    ],
)
def test_a_name_by_which_ssh_would_go_elsewhere(name: str) -> None:
    assert leads_elsewhere(name)


@pytest.mark.parametrize(
    "name", ["vm0.example.jp", "web1", "1a", "127.0.0.1.example.jp", "localhosts", "0xyz", "a.1"]
)
def test_a_name_that_is_looked_up(name: str) -> None:
    assert not leads_elsewhere(name)


def test_no_domain_takes_the_place_of_the_control_machine() -> None:
    snapshot = Snapshot(
        vms=(_vm("127.0.0.1", "kvm1"), _vm("localhost", "kvm0")), images=(_image("::1", "kvm0"),)
    )
    listed, warnings = _listed(snapshot, ("vms", "images"))
    assert [entry.name for entry in listed] == ["uuid-kvm0", "127.0.0.1@kvm1", "localhost@kvm0"]
    assert warnings == [
        "the control machine itself has the name 127.0.0.1:"
        " vm 127.0.0.1 on kvm1 (listed as 127.0.0.1@kvm1)",
        "the control machine itself has the name ::1: image ::1 on kvm0 (listed as uuid-kvm0)",
        "the control machine itself has the name localhost:"
        " vm localhost on kvm0 (listed as localhost@kvm0)",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(".", "..", "../group_vars/all", "/etc/passwd", "a/b", "a\0", "", "-oProxyCommand=id"),
        *("a[0:3]", "a,b", "a:b", "!a", "&a", "~a", "*", "a?", "@hosts", "a b", "a\n", "a\u202e"),
        *("a;id", "$(id)", "`id`", "a|b", "{{ a }}", "%h", "fe80::1%eth0", "a" * 201),
    ],
)
def test_a_name_that_ansible_would_take_for_something_else(name: str) -> None:
    for make, kind in ((_vm, "vm"), (_image, "image")):
        domain = make(name, "kvm0")
        listed, warnings = _listed(Snapshot(**{f"{kind}s": (domain,)}), (f"{kind}s",))
        assert [entry.name for entry in listed] == [domain.uuid]
        assert listed[0].shown["name"] == name
        shown = name if len(name) < 200 else name[:100] + "…"
        assert warnings == [
            f"Ansible would take for something else than a name {shown}:"
            f" {kind} {shown} on kvm0 (listed as {domain.uuid})"
        ]


def test_a_name_that_has_the_file_of_another_s_variables() -> None:
    snapshot = Snapshot(vms=(_vm("a", "kvm0"), _vm("a.yml", "kvm0"), _vm("a.json", "kvm1")))
    listed, warnings = _listed(snapshot, ("vms",))
    assert [entry.name for entry in listed] == ["a", "a.yml@kvm0", "a.json@kvm1"]
    assert len(warnings) == 2


@pytest.mark.parametrize("name", ["a", "Größe_1", "a+b@c-d.example.jp", "192.0.2.1", "2001:db8::1"])
def test_plain_names(name: str) -> None:
    listed, warnings = _listed(Snapshot(vms=(_vm(name, "kvm0"),)), ("vms",))
    assert ([entry.name for entry in listed], warnings) == ([name], [])


@pytest.mark.parametrize("kind", ["vms", "images"])
def test_no_domain_takes_the_place_of_a_group(kind: str) -> None:
    make = _vm if kind == "vms" else _image
    snapshot = Snapshot(**{kind: (make("all", "kvm0"), make("db", "kvm0"), make("web", "kvm1"))})
    listed, warnings = _listed(snapshot, (kind,), groups={"all", "web", "web@kvm0"})
    assert [entry.name for entry in listed] == ["all@kvm0", "db", "web@kvm1"]
    assert warnings == [
        f"a group has the name all: {kind[:-1]} all on kvm0 (listed as all@kvm0)",
        f"a group has the name web: {kind[:-1]} web on kvm1 (listed as web@kvm1)",
    ]


def test_what_a_domain_is_called_instead_may_be_a_group_s_name_too() -> None:
    vm = _vm("a", "kvm0", "u1")
    for count, name in enumerate(("a", "a@kvm0", "u1", "u1@kvm0")):
        groups = ("a", "a@kvm0", "u1", "u1@kvm0")[:count]
        (entry,), _warnings = _listed(Snapshot(vms=(vm,)), ("vms",), groups=groups)
        assert entry.name == name
    listed, warnings = _listed(
        Snapshot(vms=(vm,)), ("vms",), groups={"a", "a@kvm0", "u1", "u1@kvm0"}
    )
    assert listed == []
    assert warnings == [
        "a group has the name a: vm a on kvm0 (not listed: its other names are taken too)"
    ]


def test_images_that_would_be_called_alike_have_their_own_names() -> None:
    images = (_image("debian", "kvm0"), _image("rocky", "kvm0"), _image("rocky", "kvm1"))
    snapshot = Snapshot(images=images)
    listed, warnings = _listed(snapshot, ("images",), lambda shown: str(shown["state"]))
    assert {entry.name: entry.shown["name"] for entry in listed} == {
        "debian": "debian",
        "rocky": "rocky",
    }
    assert warnings == [
        "several have the name stopped: image debian on kvm0 (listed as debian),"
        " image rocky on kvm0 and kvm1 (listed as rocky)"
    ]


def test_a_host_keeps_its_name_before_an_image() -> None:
    snapshot = Snapshot(images=(_image("kvm1", "kvm0"),))
    listed, warnings = _listed(snapshot, ("images", "hosts"))
    assert [entry.name for entry in listed] == ["kvm0", "kvm1", "kvm1@kvm0"]
    assert len(warnings) == 1


def test_a_vm_that_is_renamed_meets_no_other() -> None:
    image = _image("db@kvm0", "kvm1")
    vms = (_vm("db", "kvm0", "u1"), _vm("db", "kvm1", "u2"), _vm("db@kvm1", "kvm0", "u3"))
    listed, warnings = _listed(Snapshot(vms, (image,)))
    names = [entry.name for entry in listed[2:]]
    assert names == ["db@kvm0", "u1", "u2", "db@kvm1@kvm0"]
    assert [warning.partition(":")[0] for warning in warnings] == [
        "several have the name db",
        "several have the name db@kvm1",
    ]


def test_the_uuid_is_the_last_resort() -> None:
    snapshot = Snapshot(vms=(_vm("a", "kvm0", "u1"), _vm("b", "kvm0", "u2")))
    listed, warnings = _listed(snapshot, ("vms",), lambda shown: "same")
    assert [entry.name for entry in listed] == ["u1", "u2"]
    assert len(warnings) == 1


def test_many_shared_names_make_few_warnings() -> None:
    vms = [_vm(f"a{number}", host) for number in range(9) for host in ("kvm0", "kvm1")]
    listed, warnings = _listed(Snapshot(vms=tuple(vms)), ("vms",))
    assert len({entry.name for entry in listed}) == 18
    assert len(warnings) == 6
    assert warnings[-1].endswith("these names too: a5, a6, a7, a8")


def test_a_name_is_no_longer_than_a_file_s_name_that_has_it() -> None:
    """Ansible's cache of facts has a file for each host; without one it fails for all."""
    assert is_plain("x" * 200)
    assert is_plain("日" * 66)
    assert not is_plain("x" * 201)
    assert not is_plain("日" * 67)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host lets nobody destroy data of a protected vm, nor lose its protection by the way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from maglica.domain import definition
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.hardware.disks import NewDisk
from maglica.verbs.hardware.set_boot_order import BootDevice
from support.fake_host import FakeHost
from support.fake_libvirt import Domain

HOST, NAME = "kvm0.example.jp", "vm0.example.jp"


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    host.add_image()
    (made,) = host.run(host.request(NAME))
    return host.connection.lookupByUUIDString(vm_uuid(made.id))


def asked(host: FakeHost, domain: Domain, kind: str, **fields: Any) -> Request:
    spec = table.named(kind).spec(NAME, domain.UUIDString(), HOST, **fields)
    return host.asked(spec)


def done(host: FakeHost, domain: Domain, kind: str, **fields: Any) -> Request:
    request = host.next_job(asked(host, domain, kind, **fields))
    assert request.state is State.DONE, request.failure
    return request


def refused(host: FakeHost, domain: Domain, kind: str, **fields: Any) -> str:
    before = (host.volumes(), domain.xml, domain.live)
    request = host.next_job(asked(host, domain, kind, **fields))
    assert (host.volumes(), domain.xml, domain.live) == before
    assert request.failure is not None
    assert request.failure.code == "vm_protected"
    assert host.context.journal.intents(request.id) == ()
    return request.failure.text


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_its_disks_are_only_detached(
    host: FakeHost, domain: Domain, active: bool, kept: bool
) -> None:
    domain.active = active
    done(host, domain, "add_disk", disk=NewDisk("data", 64))
    done(host, domain, "set", protected=True)
    if kept:
        done(host, domain, "detach_disk", disk="data", keep=True)
    assert refused(host, domain, "detach_disk", disk="data").startswith(
        f"cannot remove disk data of {NAME} on host {HOST}: it is protected; protected=false"
    )
    # One that is gone already has nothing to lose.
    done(host, domain, "detach_disk", disk="other")
    done(host, domain, "set", protected=False)
    done(host, domain, "detach_disk", disk="data")


def test_what_had_begun_to_go_before_goes(host: FakeHost, domain: Domain) -> None:
    done(host, domain, "add_disk", disk=NewDisk("data", 64))
    everything = host.volumes()
    request = asked(host, domain, "detach_disk", disk="data")
    numbers = itertools.count(1)
    while not host.context.journal.intents(request.id):
        assert host.dies(request, next(numbers))
    assert host.volumes() == everything
    done(host, domain, "set", protected=True)
    assert host.next_job(request).state is State.DONE
    assert len(host.volumes()) == len(everything) - 1


def test_what_was_noted_while_its_state_was_saved_stays(host: FakeHost, domain: Domain) -> None:
    """libvirt starts it with the definition of then."""
    for name in ("data", "kept"):
        domain.active = False
        done(host, domain, "add_disk", disk=NewDisk(name, 64))
        before = domain.xml
        done(host, domain, "detach_disk", disk="kept", keep=True)
        done(host, domain, "set", protected=name == "kept")
        done(host, domain, "tag", tags=("a",))
        domain.active, domain.live = True, before
        for tags in (("b",), ()):
            done(host, domain, "tag", tags=tags)
        for xml in (domain.xml, domain.live):
            made = definition.describe(xml).made
            assert made.protected == (name == "kept")
            assert "data" in made.disks
            assert list(made.kept) == (["kept"] if name == "kept" else [])
    domain.live = before
    assert refused(host, domain, "remove")
    done(host, domain, "set", protected=False)
    assert not definition.describe(domain.xml).made.protected


def test_it_is_shown_with_what_was_noted_while_its_state_was_saved(
    host: FakeHost, domain: Domain
) -> None:
    before = domain.xml
    domain.active = False
    done(host, domain, "set", protected=True, description="a guest")
    done(host, domain, "tag", tags=("a",))
    done(host, domain, "set_boot_order", boot_order=(BootDevice.NETWORK,))
    domain.active, domain.live = True, before
    changed = done(host, domain, "pause").vm
    # Of this the sizes of its next start are shown, too.
    sized = done(host, domain, "resize").vm
    for vm in (changed, sized):
        said = (vm.protected, vm.description, vm.tags, vm.boot_order)
        assert said == (True, "a guest", ("a",), ("network",))
    # What says so already is noted in what it runs with, for whoever asks for that.
    done(host, domain, "set", protected=True, description="a guest")
    done(host, domain, "tag", tags=("a",))
    runs = definition.describe(domain.live)
    assert (runs.made.protected, runs.description, runs.made.tags) == (True, "a guest", ("a",))


def test_it_is_not_given_back(host: FakeHost) -> None:
    domain = host.add_image(name=NAME)
    done(host, domain, "adopt")
    done(host, domain, "set", protected=True)
    assert refused(host, domain, "disown") == (
        f"cannot disown {NAME} on host {HOST}: it is protected; protected=false, or maglica vm set"
        " --no-protected, ends that"
    )
    done(host, domain, "set", protected=False)
    done(host, domain, "disown")
    assert definition.describe(domain.xml).made is None

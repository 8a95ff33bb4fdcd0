# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions are read when they have changed, and otherwise rarely."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from unittest import mock

import libvirt
import pytest
from maglica.host_worker.daemon.definitions import REREAD, Definitions
from maglica.model.vm import vm_uuid
from support.own_libvirtd import DOMAIN, MADE


def libvirt_error(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("it is broken")
    error.err = (code, 0, "it is broken", 2, "", None, None, 0, 0)
    return error


class Handle:
    """A domain whose definition is read."""

    def __init__(self, name: str) -> None:
        self.uuid = vm_uuid(name)
        self.xml = DOMAIN.format(name=name, uuid=self.uuid, metadata=MADE)
        self.reads = 0

    def ID(self) -> int:  # noqa: N802
        return -1

    def UUIDString(self) -> str:  # noqa: N802
        return self.uuid

    def XMLDesc(self, _flags: int = 0) -> str:  # noqa: N802 - the binding's name
        self.reads += 1
        return self.xml

    def maxMemory(self) -> int:  # noqa: N802
        return 64 << 10


@pytest.fixture
def handles() -> list[Handle]:
    return [Handle(f"vm{number}") for number in range(100)]


def reads(definitions: Definitions, handles: list[Handle]) -> int:
    """Return how many definitions a report reads."""
    before = sum(handle.reads for handle in handles)
    definitions.begin()
    for handle in handles:
        assert definitions.of(handle.uuid, handle) is not None
    return sum(handle.reads for handle in handles) - before


def test_a_hundred_idle_domains_cost_few_reads(handles: list[Handle]) -> None:
    definitions = Definitions(None, deque())
    assert reads(definitions, handles) == 100
    for _turn in range(10):
        assert reads(definitions, handles) <= REREAD
    # Of which libvirt tells nothing is found in the end.
    assert min(handle.reads for handle in handles) >= 2


def test_what_has_changed_is_read_again(handles: list[Handle]) -> None:
    changed: deque[str] = deque()
    definitions = Definitions(None, changed)
    reads(definitions, handles)
    for _turn in range(100 // REREAD):
        reads(definitions, handles)
    last = handles[-1]
    last.xml = last.xml.replace("<memory unit='MiB'>64", "<memory unit='MiB'>96")
    changed.append(last.uuid)
    reads(definitions, handles)
    assert definitions[last.uuid].memory_mib == 96


def test_a_definition_that_nobody_understands_is_known_as_such() -> None:
    definitions = Definitions(None, deque())
    handle = Handle("a")
    handle.xml = "<domain>"
    known = definitions.of(handle.uuid, handle)
    assert known is not None
    assert (known.readable, known.made, known.memory_mib) == (False, False, 64)
    assert known.problem


@pytest.mark.parametrize("denied", [True, False])
def test_a_definition_that_can_not_be_read_costs_only_itself(denied: bool) -> None:
    changed: deque[str] = deque()
    definitions = Definitions(SimpleNamespace(isAlive=lambda: True), changed)
    handle = Handle("a")
    error = libvirt_error(libvirt.VIR_ERR_ACCESS_DENIED if denied else libvirt.VIR_ERR_RPC)
    handle.XMLDesc = mock.Mock(side_effect=error)  # type: ignore[method-assign]
    if denied:
        handle.maxMemory = mock.Mock(side_effect=error)  # type: ignore[method-assign]
    known = definitions.of(handle.uuid, handle)
    assert known is not None
    assert (known.readable, known.memory_mib) == (False, 0 if denied else 64)
    assert known.problem == "its definition can't be read: it is broken"
    # It is read again for each report.
    del handle.XMLDesc
    definitions.begin()
    again = definitions.of(handle.uuid, handle)
    assert again is not None
    assert (again.readable, again.problem) == (True, None)


def test_a_lost_connection_costs_the_report() -> None:
    definitions = Definitions(SimpleNamespace(isAlive=lambda: False), deque())
    handle = Handle("a")
    error = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR)
    handle.XMLDesc = mock.Mock(side_effect=error)  # type: ignore[method-assign]
    with pytest.raises(libvirt.libvirtError):
        definitions.of(handle.uuid, handle)


def test_what_makes_a_guest_worth_asking_is_known() -> None:
    definitions = Definitions(None, deque())
    handle = Handle("a")
    known = definitions.of(handle.uuid, handle)
    assert known is not None and (known.on_network, known.agent) == (True, False)
    agent = "<channel><target name='org.qemu.guest_agent.0' state='connected'/></channel>"
    handle.xml = handle.xml.replace("<disk ", f"{agent}<disk ", 1)
    definitions.keep([])
    known = definitions.of(handle.uuid, handle)
    assert known is not None and known.agent


def test_all_files_of_a_domain_are_named() -> None:
    """Also those that it has in common with others, as a medium, and of a domain of others."""
    definitions = Definitions(None, deque())
    handle = Handle("a")
    medium = (
        "<disk type='file' device='cdrom'><source file='/images/a.iso'/><target dev='sda'/></disk>"
    )
    variables = "<os><loader/><nvram>/nvram/a.fd</nvram>"
    handle.xml = handle.xml.replace("</disk>", f"</disk>{medium}").replace("<os>", variables)
    handle.xml = handle.xml.replace(MADE, "")
    known = definitions.of(handle.uuid, handle)
    assert known is not None
    assert set(known.named) == {"/images/a.img", "/images/a.iso", "/nvram/a.fd"}


def test_a_guest_is_known_by_what_was_noted_while_its_state_was_saved() -> None:
    """It runs with the definition of then."""
    definitions = Definitions(None, deque())
    handle = Handle("r")
    saved, tag = handle.xml, "<maglica:tag name='a'/></maglica:vm>"
    noted = (
        MADE.replace("/>", f" protected='yes'>{tag}") + "</metadata><description>b</description>"
    )
    now = saved.replace(f"{MADE}</metadata>", noted).replace("<os>", "<os><boot dev='network'/>")
    handle.ID = lambda: 1  # type: ignore[method-assign]
    inactive = libvirt.VIR_DOMAIN_XML_INACTIVE
    handle.XMLDesc = lambda flags=0: now if flags & inactive else saved  # type: ignore[method-assign]
    known = definitions.of(handle.uuid, handle)
    assert known is not None and known.definition is not None
    found = known.definition
    assert (found.description, found.boot_order) == ("b", ("network",))
    assert (found.made.protected, found.made.tags) == (True, ("a",))

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is removed as its user asks, and never while somebody uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job.image import remove_image, unused_bases
from maglica.host_worker.ownership import own_files
from maglica.host_worker.ownership.own_files import OwnFiles
from maglica.model.request import State, new_request_id
from maglica.model.vm import vm_uuid
from support.fake_host import DEFINITION, DISK, Killed
from support.fake_import import Imports, kill
from support.fake_libvirt import Domain


@pytest.fixture
def image(imports: Imports) -> Imports:
    assert imports.run(imports.asked()).state is State.DONE
    return imports


def test_one_that_was_just_started_goes_on_running(
    image: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain, release = image.domain(), unused_bases.release

    def started(*arguments: Any) -> int:
        domain.create()
        return release(*arguments)

    monkeypatch.setattr(unused_bases, "release", started)
    failed = image.run(image.removal())
    assert failed.state is State.FAILED
    assert failed.failure is not None and failed.failure.code == "image_running"
    assert domain.active
    assert all(path.exists() for path in image.files())


@pytest.mark.parametrize("meanwhile", ["runs", "is another's", "has a saved state"])
def test_a_removal_that_can_t_go_on_ends(
    image: Imports, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Else it would remove the image as soon as it can, which nobody expects any more."""
    request, domain = image.removal(), image.domain()
    with monkeypatch.context() as planted:
        planted.setattr(Domain, "undefineFlags", kill)
        image.killed(request)
    files = image.files()
    if meanwhile == "runs":
        domain.create()
    elif meanwhile == "has a saved state":
        domain.saved = True
    else:
        image.rename("theirs")
    assert image.run(request).state is State.FAILED
    assert image.host.context.journal.intents(request.id) == ()
    assert all(path.exists() for path in files)


def test_one_that_has_got_another_name(image: Imports) -> None:
    image.rename("trixie")
    done = image.run(image.removal("trixie"))
    assert done.state is State.DONE, done.failure
    assert (image.host.volumes(), image.host.context.journal.bases()) == ([], ())


@pytest.mark.parametrize("dies", [False, True])
def test_one_that_is_started_as_it_is_undefined_keeps_its_definition(
    image: Imports, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """libvirt says no error, lets it run, and forgets it at its end."""
    domain, before, request = image.domain(), image.domain().xml, image.removal()

    def undefine(domain: Domain, _flags: int) -> None:
        domain.active, domain.persistent = True, False
        if dies:
            raise Killed

    with monkeypatch.context() as planted:
        planted.setattr(Domain, "undefineFlags", undefine)
        if dies:
            image.killed(request)
        else:
            image.run(request)
    failed = image.run(request)
    assert failed.failure is not None and failed.failure.code == "image_running"
    assert (domain.active, domain.persistent, domain.xml) == (True, True, before)
    assert all(path.exists() for path in image.files())
    assert image.host.context.journal.intents(request.id) == ()


def test_a_disk_that_somebody_has_taken_since_keeps_what_it_builds_upon(
    image: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, (kept, own) = image.removal(), image.files()
    with monkeypatch.context() as planted:
        planted.setattr(own_files, "discard", kill)
        image.killed(request)
    disks = DISK.format(format="qcow2", path=own, target="vda")
    image.host.connection.defineXML(
        DEFINITION.format(name="mine", firmware="", nvram="", disks=disks)
    )
    assert image.run(request).state is State.DONE
    assert (own.exists(), kept.exists()) == (True, True)


def test_a_removal_that_names_its_files_in_another_order_goes_on(
    image: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As older workers announced them, that were replaced in the middle of it."""
    request, unneeded = image.removal(), remove_image._unneeded

    def as_before(*arguments: Any) -> OwnFiles:
        own = unneeded(*arguments)
        return OwnFiles(own.volumes[::-1], own.paths)

    with monkeypatch.context() as planted:
        planted.setattr(remove_image, "_unneeded", as_before)
        planted.setattr(own_files, "discard", kill)
        image.killed(request)
    assert image.run(request).state is State.DONE
    assert image.host.volumes() == []


def test_a_removal_that_dies_between_two_files_goes_on(
    image: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, (kept, own) = image.removal(), image.files()
    remove = own_files.remove

    def removed(*arguments: Any) -> None:
        remove(*arguments)
        if not own.exists():
            raise Killed

    with monkeypatch.context() as planted:
        planted.setattr(own_files, "remove", removed)
        image.killed(request)
    assert (own.exists(), kept.exists()) == (False, True)
    assert image.run(request).state is State.DONE
    assert image.host.volumes() == []


def _vm(image: Imports, path: Path, base: str = "") -> None:
    """Define a vm with a disk, and where it has a ``base`` the metadata of one of Maglica's."""
    disks = DISK.format(format="qcow2", path=path, target="vda")
    xml = DEFINITION.format(name="vm0", firmware="", nvram="", disks=disks)
    if base:
        request = new_request_id()
        volume = f'target="vda" pool="{path.parent.name}" name="{path.name}" path="{path}"'
        metadata = (
            f'<uuid>{vm_uuid(request)}</uuid><metadata><m:vm xmlns:m="{VM_NAMESPACE}"'
            f' request="{request}" image="gone" base="{base}"><m:volume {volume}/></m:vm>'
            "</metadata>"
        )
        xml = xml.replace("</name>", f"</name>{metadata}")
    image.host.connection.defineXML(xml)


@pytest.mark.parametrize("how", ["its pool is not active", "its pool is not mounted"])
def test_one_that_a_vm_may_need_whose_disk_can_not_be_seen_stays(image: Imports, how: str) -> None:
    """With the journal lost, only the vm's disk would show what it builds upon."""
    pool = image.host.connection.add_pool("away", image.host.folder / "away")
    disk = pool.path / "vm0.vda.qcow2"
    pool.active = how == "its pool is not mounted"
    _vm(image, disk, "0a1b2c3d" if pool.active else "")
    failed = image.run(image.removal())
    assert failed.failure is not None and failed.failure.code == "not_own"
    assert "the domain vm0 has" in failed.failure.text
    assert str(disk) in failed.failure.text
    assert all(path.exists() for path in image.files())
    assert image.host.context.journal.intents(failed.id) == ()
    # As soon as it can be seen that it builds upon something else, nothing is in the way.
    disk.write_bytes(b"x" * 4096)
    done = image.run(image.removal())
    assert done.state is State.DONE, done.failure


def test_an_old_version_that_a_vm_may_need_stays(image: Imports) -> None:
    old, _own = image.files()
    pool = image.host.connection.add_pool("away", image.host.folder / "away")
    pool.active = False
    _vm(image, pool.path / "vm0.vda.qcow2")
    assert image.run(image.asked(b"b")).state is State.DONE
    assert old.exists()
    image.host.connection.domains = [image.domain()]
    assert image.run(image.asked(b"c")).state is State.DONE
    assert not old.exists()

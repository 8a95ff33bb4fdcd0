# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that is there: the same file again, another one, and the end of it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from maglica.domain.image_metadata import ImageRecord
from maglica.guest.cloud_init.way import Chosen
from maglica.host_worker.job.image import made, ways
from maglica.host_worker.job.vm import remove
from maglica.libvirtd.local import inactive_xml
from maglica.model.errors import ImageRunning, MaglicaError, NoRoom
from maglica.model.request import Request, State
from support import qemu_libvirtd
from support.import_host import NAME, ImportHost, raw_disk, sha256
from support.web_server import Site

OLD, NEW = raw_disk(b"o"), raw_disk(b"n")


@pytest.fixture
def old(host: ImportHost, public: Path) -> ImportHost:
    """A host with an image of the file ``disk.img``."""
    assert add(host, public, OLD, interfaces=()).state is State.DONE
    return host


def add(host: ImportHost, public: Path, data: bytes, **fields: Any) -> Request:
    (public / "disk.img").write_bytes(data)
    return host.add(path=str(public / "disk.img"), **fields)


def record(host: ImportHost) -> ImageRecord:
    found = host.image().image
    assert found is not None
    return found


def failure(ended: Request) -> str:
    assert (ended.state, ended.failure is not None) == (State.FAILED, True)
    return ended.failure.text if ended.failure else ""


def vm_upon(host: ImportHost, path: Path, name: str = "web1") -> Path:
    """Define a vm whose disk is an overlay of a file."""
    disk = host.pool / f"{name}.qcow2"
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(path), str(disk)]
    subprocess.run(words, check=True)
    host.connection.defineXML(qemu_libvirtd.definition(name, {"vda": ("qcow2", disk)}))
    return disk


def remove_vm(host: ImportHost, disk: Path, name: str = "web1") -> None:
    domain = host.connection.lookupByName(name)
    remove.undefine(domain, inactive_xml(domain))
    disk.unlink()


@pytest.mark.parametrize("failure_of_base", [NoRoom, ImageRunning])
def test_nothing_is_undone_that_somebody_has_written_to(
    host: ImportHost,
    public: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure_of_base: type[MaglicaError],
) -> None:
    """The image can be started as soon as it is defined, while its base is made."""

    def started(*_arguments: object) -> Chosen:
        path = record(host).versions[-1].volumes[-1].path
        words = ["qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", path]
        subprocess.run(words, check=True)
        raise failure_of_base("it can't be")

    monkeypatch.setattr(ways, "chosen", started)
    ended = add(host, public, NEW)
    assert (ended.state is State.DONE) == (failure_of_base is ImageRunning)
    assert host.domains() == [NAME]
    volumes = record(host).volumes
    assert volumes and all(Path(volume.path).exists() for volume in volumes)


def test_tidying_forgets_no_version_that_came_meanwhile(
    old: ImportHost, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = vm_upon(old, old.kept())
    assert add(old, public, NEW).state is State.DONE
    listed = made._with_old_versions(old.context)
    remove_vm(old, disk)
    third = add(old, public, raw_disk(b"t"))
    monkeypatch.setattr(made, "_with_old_versions", lambda _context: listed)
    made.tidy(old.context)
    assert [version.what.request for version in record(old).versions] == [third.id]


def test_the_same_again_does_nothing(host: ImportHost, site: Site) -> None:
    site.files |= {"/a.img": OLD}
    said = {"url": f"{site.url}/a.img", "checksum": sha256(OLD)}
    first = host.add(**said)
    before = (host.files(), host.image(), len(site.requests))
    begun = time.monotonic()
    again = host.add(**said)
    assert time.monotonic() - begun < 5
    assert (again.state, again.phases) == (State.DONE, ())
    assert (host.files(), host.image(), len(site.requests)) == before
    assert record(host).request == first.id
    # With a file of sums only that is fetched.
    site.files |= {"/SUMS": f"{sha256(OLD).partition(':')[2]}  a.img\n".encode()}
    again = host.add(url=said["url"], checksum=f"{site.url}/SUMS")
    assert host.phases(again) == ["sums"]
    assert [path for path, _headers in site.requests].count("/a.img") == 1


def test_the_same_path_again_is_only_read(old: ImportHost, public: Path) -> None:
    before = (old.files(), old.image())
    again = add(old, public, OLD)
    assert (again.state, old.phases(again)) == (State.DONE, ["sums"])
    assert (old.files(), old.image()) == before


def test_an_image_that_has_lost_its_file_is_made_anew(old: ImportHost, public: Path) -> None:
    old.kept().unlink()
    again = add(old, public, OLD)
    assert again.state is State.DONE
    assert old.content(old.kept()) == OLD


def test_a_new_version_keeps_what_vms_of_the_old_one_need(old: ImportHost, public: Path) -> None:
    uuid, kept = old.image().uuid, old.kept()
    disk = vm_upon(old, kept)
    done = add(old, public, NEW)
    assert done.state is State.DONE
    assert (old.image().uuid, len(record(old).versions)) == (uuid, 2)
    assert record(old).newest.checksum == sha256(NEW)
    assert old.content(old.kept()) == NEW
    assert old.content(disk) == OLD
    # The old one goes as soon as nobody needs it.
    remove_vm(old, disk)
    made.tidy(old.context)
    assert not kept.exists()
    assert [each.what.checksum for each in record(old).versions] == [sha256(NEW)]
    assert [name for name in old.files() if name.startswith(NAME)] == [
        Path(record(old).volumes[-1].path).name
    ]


def test_an_old_version_that_nobody_needs_goes_at_once(old: ImportHost, public: Path) -> None:
    kept = old.kept()
    add(old, public, NEW)
    assert not kept.exists()
    assert len(record(old).versions) == 1


def test_what_somebody_wrote_is_not_thrown_away(old: ImportHost, public: Path) -> None:
    own = record(old).volumes[-1].path
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 512", own], check=True)
    before = (old.files(), old.image())
    assert "its disk written to since it was made" in failure(add(old, public, NEW))
    assert (old.files(), old.image()) == before


def test_an_image_that_runs_gets_no_new_version(old: ImportHost, public: Path) -> None:
    domain = old.connection.lookupByName(NAME)
    domain.create()
    before = old.files()
    assert "it is running: shut it down" in failure(add(old, public, NEW))
    assert "it is running: shut it down to remove it" in failure(old.remove())
    domain.destroy()
    assert old.files() == before


def test_it_is_removed_with_all_that_is_its_own(old: ImportHost, public: Path) -> None:
    uuid = old.image().uuid
    done = old.remove()
    assert (done.state, done.failure) == (State.DONE, None)
    assert old.phases(done) == ["undefine", "volumes"]
    assert old.is_empty()
    # Once more: there is nothing to do.
    assert old.phases(old.remove(uuid)) == ["volumes"]
    assert add(old, public, OLD).state is State.DONE


def test_it_is_not_removed_while_vms_need_it(old: ImportHost) -> None:
    disks = [vm_upon(old, old.kept(), name) for name in ("web1", "web2")]
    said = failure(old.remove())
    assert said == (
        f"cannot remove image {NAME} on host kvm0.example.jp: it is needed by the domain web1, the"
        " domain web2: remove what needs it first"
    )
    assert NAME in old.domains()
    for name, disk in zip(("web1", "web2"), disks):
        remove_vm(old, disk, name)
    assert old.remove().state is State.DONE
    assert old.is_empty()


def test_one_that_maglica_did_not_make_is_left_alone(host: ImportHost) -> None:
    disk = host.pool / "theirs.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    theirs = host.connection.defineXML(qemu_libvirtd.definition("theirs", {"vda": ("qcow2", disk)}))
    said = failure(host.remove(theirs.UUIDString(), "theirs"))
    assert "Maglica did not make it" in said
    assert (host.files(), host.domains()) == (["theirs.qcow2"], ["theirs"])


def test_a_removal_goes_on_when_its_job_was_killed(
    old: ImportHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    uuid = old.image().uuid
    with monkeypatch.context() as broken, pytest.raises(Killed):
        broken.setattr("maglica.host_worker.ownership.own_files.discard", killed)
        old.remove(uuid)
    assert (old.domains(), old.is_empty()) == ([], False)
    (entry,) = old.journal.open()
    assert old.end(entry.request).state is State.DONE
    assert old.is_empty()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms of others, taken over and given back by jobs, and removed with their files only where that is
asked for; with a libvirtd that runs QEMU.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostWorker
from maglica.domain import definition
from maglica.host_worker.daemon.report import Inspector
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, State, new_request_id
from maglica.verbs import table
from support import qemu_libvirtd

HOST = "kvm0.example.jp"
# Whatever libvirt takes.
NAME = "Old db: 1 & <2>"
UUID = "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11"
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
ISO = "<disk type='file' device='cdrom'><source file='{}'/><target dev='hda'/><readonly/></disk>"


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="mgl-") as folder,
        qemu_libvirtd.running(Path(folder)) as found,
    ):
        yield found


class Rig:
    """A job's context upon that libvirtd, a pool, and a domain of others with a disk in it."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.settings = HostWorker(HOST, folder / "key", uri, folder)
        self.context = JobContext(Journal(folder), self.settings, lambda _line: None)
        self.connection: Any = self.context.connect()
        self.images = folder / "images"
        self.images.mkdir()
        self.pool = self.connection.storagePoolDefineXML(
            f"<pool type='dir'><name>p</name><target><path>{self.images}</path></target></pool>"
        )
        self.pool.create()
        self.disk = self.new_disk("old.qcow2")
        self.vm = self.define(NAME, {"vda": ("qcow2", self.disk)}, UUID)

    def new_disk(self, name: str, *options: str) -> Path:
        path = self.images / name
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "1M"], check=True
        )
        self.pool.refresh()
        return path

    def define(
        self, name: str, disks: dict[str, tuple[str, Path]], identity: str, devices: str = ""
    ) -> Any:
        escaped = name.replace("&", "&amp;").replace("<", "&lt;")
        return self.connection.defineXML(
            qemu_libvirtd.definition(
                escaped, disks, identity=f"<uuid>{identity}</uuid>", devices=devices
            )
        )

    def ask(self, kind: str, vm: Any = None, **fields: Any) -> Request:
        about = vm or self.vm
        pinned = {"name": about.name(), "uuid": about.UUIDString(), "host": HOST}
        request = Request(
            new_request_id(), table.named(kind).spec(**pinned, **fields), host=HOST, who="alice"
        )
        self.context.journal.accept([request])
        return self.run(request)

    def run(self, request: Request) -> Request:
        main.run([request.id], self.context)
        assert self.context.journal.intents(request.id) == ()
        return self.context.journal.entry(request.id).request

    def refused(self, kind: str, vm: Any = None, **fields: Any) -> str:
        before = [(each.XMLDesc(), each.XMLDesc(INACTIVE)) for each in self.domains]
        ended = self.ask(kind, vm, **fields)
        assert ended.state is State.FAILED
        assert before == [(each.XMLDesc(), each.XMLDesc(INACTIVE)) for each in self.domains]
        return f"{ended.failure.code}: {ended.failure.text}"

    @property
    def domains(self) -> list[Any]:
        return list(self.connection.listAllDomains())

    def close(self) -> None:
        for domain in self.domains:
            is_defined = domain.isPersistent()
            if domain.isActive():
                domain.destroy()
            if is_defined:
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        self.pool.destroy()
        self.pool.undefine()
        self.context.journal.close()


@pytest.fixture
def rig(tmp_path: Path, uri: str) -> Iterator[Rig]:
    made = Rig(tmp_path, uri)
    yield made
    made.close()


def done(request: Request) -> Any:
    assert request.state is State.DONE, request.failure
    return request.vm


@pytest.mark.parametrize("runs", [False, True])
def test_taken_over_and_given_back_as_it_was(rig: Rig, runs: bool) -> None:
    if runs:
        rig.vm.create()
    before = (rig.vm.XMLDesc(), rig.vm.XMLDesc(INACTIVE))
    vm = done(rig.ask("adopt"))
    assert (vm.adopted, vm.made, vm.who, vm.active) == (True, False, "alice", runs)
    assert vm.foreign_disks == (str(rig.disk),)
    for xml in (rig.vm.XMLDesc(), rig.vm.XMLDesc(INACTIVE)):
        assert definition.describe(xml).is_adopted
    # Again it finds nothing to do.
    again = rig.ask("adopt")
    assert (again.phases, again.vm.request) == ((), vm.request)
    assert done(rig.ask("tag", tags=("db",))).tags == ("db",)
    back = done(rig.ask("disown"))
    assert (back.adopted, back.tags, back.is_image) == (False, (), not runs)
    # libvirt leaves the element that is empty now.
    now = (rig.vm.XMLDesc(), rig.vm.XMLDesc(INACTIVE))
    assert tuple(re.sub(r"\s*<metadata(/>|>\s*</metadata>)", "", xml) for xml in now) == before
    assert rig.ask("disown").phases == ()


def test_then_it_is_run_and_changed_like_any_vm(rig: Rig) -> None:
    assert "it is an original image" in rig.refused("start")
    done(rig.ask("adopt"))
    assert done(rig.ask("resize", memory_mib=96)).memory_mib == 96
    assert done(rig.ask("start")).state == "running"
    assert done(rig.ask("restart", force=True, stop_timeout=0)).adopted
    assert done(rig.ask("stop", force=True, stop_timeout=0)).state == "stopped"
    assert "its disks are not Maglica's to change" in rig.refused("flatten")


def test_a_copy_is_not_taken_for_it(rig: Rig) -> None:
    done(rig.ask("adopt"))
    # As virt-clone makes one.
    xml = rig.vm.XMLDesc(INACTIVE).replace(f"<uuid>{UUID}", f"<uuid>{uuid.uuid4()}")
    copy = rig.connection.defineXML(xml.replace("Old db", "Copy of db"))
    assert "adopted" in copy.XMLDesc()
    assert "vm_unknown" in rig.refused("remove", copy, remove_foreign_disks=True)
    own = done(rig.ask("adopt", copy))
    assert own.uuid == copy.UUIDString()
    assert definition.describe(rig.vm.XMLDesc()).is_adopted


def test_an_adopted_domain_is_no_image_any_more(rig: Rig) -> None:
    def reported() -> tuple[bool, bool]:
        inspector = Inspector(rig.connection, rig.context.journal, rig.settings)
        (summary,) = inspector.report().domains
        (shown,) = inspector.shown
        assert shown.is_image == summary.is_image
        return summary.is_image, shown.adopted

    assert reported() == (True, False)
    done(rig.ask("adopt"))
    assert reported() == (False, True)
    done(rig.ask("disown"))
    assert reported() == (True, False)


def test_what_can_not_be_taken_over(rig: Rig) -> None:
    transient = rig.connection.createXML(qemu_libvirtd.definition("passing", {}))
    assert "it is transient" in rig.refused("adopt", transient)
    rig.vm.create()
    rig.vm.managedSave()
    assert "its state is saved (virsh managedsave)" in rig.refused("adopt")
    rig.vm.managedSaveRemove()
    rig.new_disk("upon.qcow2", "-b", str(rig.disk), "-F", "qcow2")
    text = rig.refused("adopt")
    assert f"its disk {rig.disk} is what the file {rig.images}/upon.qcow2 builds upon" in text
    wrong = replace(table.named("adopt").spec(NAME, UUID, HOST), name="other")
    request = Request(new_request_id(), wrong, host=HOST, who="alice")
    rig.context.journal.accept([request])
    assert rig.run(request).failure.code == "vm_unknown"


def test_a_host_may_allow_no_adoption(rig: Rig) -> None:
    rig.context.settings = replace(rig.settings, adopt=False)
    assert rig.refused("adopt") == (
        f"not_own: cannot adopt {NAME} on host {HOST}: it lets no vm of others be adopted (adopt"
        " of [host_worker] in its configuration, host_worker_adopt of the role)"
    )
    rig.context.settings = rig.settings
    done(rig.ask("adopt"))
    # What is adopted stays so.
    rig.context.settings = replace(rig.settings, adopt=False)
    assert done(rig.ask("adopt")).adopted
    assert done(rig.ask("resize", memory_mib=96)).adopted


def test_its_disks_go_only_where_that_is_said(rig: Rig) -> None:
    beside = rig.folder / "elsewhere"
    beside.mkdir()
    plain, iso = beside / "plain.raw", beside / "cd.iso"
    for path in (plain, iso):
        path.write_bytes(b"\0" * 4096)
    shared = rig.new_disk("shared.qcow2")
    below = rig.new_disk("below.qcow2")
    top = rig.new_disk("top.qcow2", "-b", str(below), "-F", "qcow2")
    link = rig.images / "link.qcow2"
    link.symlink_to(rig.new_disk("behind.qcow2"))
    disks = {"vda": rig.disk, "vdb": shared, "vdc": top, "vdd": link}
    rig.vm.undefine()
    rig.vm = rig.define(
        NAME,
        {"vde": ("raw", plain), **{target: ("qcow2", path) for target, path in disks.items()}},
        UUID,
        ISO.format(iso),
    )
    rig.define("other", {"vda": ("qcow2", shared)}, str(uuid.uuid4()))
    rig.new_disk("upon.qcow2", "-b", str(rig.disk), "-F", "qcow2").unlink()
    done(rig.ask("adopt"))
    text = rig.refused("remove")
    assert text.startswith(f"not_own: cannot remove {NAME} on host {HOST}: it was adopted")
    assert str(plain) in text and str(iso) not in text
    gone = done(rig.ask("remove", remove_foreign_disks=True))
    assert gone.state == "absent"
    assert set(gone.foreign_disks) == {str(rig.disk), str(top), str(plain)}
    left = {*rig.images.iterdir(), *beside.iterdir()}
    assert left == {shared, below, link, rig.images / "behind.qcow2", iso}
    assert [each.name() for each in rig.domains] == ["other"]


def test_a_file_that_another_one_builds_upon_stays(rig: Rig) -> None:
    done(rig.ask("adopt"))
    upon = rig.new_disk("upon.qcow2", "-b", str(rig.disk), "-F", "qcow2")
    gone = done(rig.ask("remove", remove_foreign_disks=True))
    assert gone.foreign_disks == ()
    assert {rig.disk, upon} <= set(rig.images.iterdir())


def test_what_is_in_the_making_by_maglica_stays(rig: Rig) -> None:
    done(rig.ask("adopt"))
    rig.context.journal.intend(new_request_id(), Effect.VOLUME, {"path": str(rig.disk)})
    assert done(rig.ask("remove", remove_foreign_disks=True)).foreign_disks == ()
    assert rig.disk.exists()


def test_the_files_that_a_killed_job_has_left_go_with_the_next(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_anything: object) -> None:
        raise Killed

    done(rig.ask("adopt"))
    with monkeypatch.context() as patch:
        patch.setattr("maglica.host_worker.job.vm.remove.own_files.discard", die)
        with pytest.raises(Killed):
            rig.ask("remove", remove_foreign_disks=True)
    assert rig.domains == [] and rig.disk.exists()
    (entry,) = rig.context.journal.open()
    assert done(rig.run(entry.request)).foreign_disks == (str(rig.disk),)
    assert not rig.disk.exists()

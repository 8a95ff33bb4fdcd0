# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with real disks, appliances and processes; nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from maglica.disk import chain, mounts, pools, qemu_img
from maglica.disk.room import Room
from maglica.guest.appliance import watch
from maglica.guest.appliance.appliance import Drive
from maglica.guest.customize import Guest, customize
from maglica.guest.edits import Write
from maglica.guest.facts import GuestFacts, Mount
from maglica.guest.filesystem import ApplianceDied
from maglica.guest.prepare import Prepared
from maglica.host_worker.daemon import job_folders
from maglica.host_worker.job import undo
from maglica.host_worker.job.image import look
from maglica.model.errors import GuestUnreadable
from maglica.model.request import Customize, Request, State
from support import guest as debian
from support.fake_host import SEEN
from support.guest import Disk

from .conftest import IMAGE, Host

pytestmark = pytest.mark.timeout(600)

FACTS = GuestFacts((Mount("/", "/dev/sda"),), "debian", "12", "ifupdown", "i", "", shared=True)
PREPARED = Prepared(SEEN, Customize.OFFLINE, FACTS)
JOB = """
import sys
from pathlib import Path
from maglica.config.config import HostWorker
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.job.vm import clone
from maglica.host_worker.journal.journal import Journal
uri, state_dir, request_id = sys.argv[1:]
settings = HostWorker("kvm0.example.jp", Path("/key"), uri=uri, state_dir=Path(state_dir))
context = JobContext(Journal(state_dir), settings, lambda line: print(line, flush=True))
clone.run([context.journal.entry(request_id).request], context)
"""


def assert_nothing_is_left(host: Host, request: Request, pool: str = "pool") -> None:
    assert host.files(pool) == []
    assert host.context.journal.bases() == ()
    assert host.context.journal.intents(request.id) == ()
    names = [domain.name() for domain in host.connection.listAllDomains()]
    assert request.name not in names


def appliances(folder: Path) -> list[int]:
    """Return the appliances that have disks in ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"guestfsd.sock" in command and str(folder).encode() in command:
            found.append(int(process.name))
    return found


# --- guests in one appliance


class Deadly(tuple):
    """Edits that end the appliance when they are about to be made; ``folder`` has its disks."""

    folder: Path

    def __iter__(self) -> Iterator[Write]:
        for pid in appliances(self.folder):
            os.kill(pid, signal.SIGKILL)
        return super().__iter__()


@pytest.fixture(scope="module")
def overlays(folder: Path) -> list[Path]:
    """Four overlays of one guest; the second one's file system is destroyed."""
    raw = debian.make_disk(folder / "base.raw", debian.make_tree(folder / "base.tree"))
    made = [folder / f"overlay{number}.qcow2" for number in range(4)]
    for path in made:
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(raw), "-F", "raw"]
        subprocess.run([*command, str(path)], check=True)
    destroy = ["qemu-io", "-f", "qcow2", "-c", "write -P 0 0 1M", str(made[1])]
    subprocess.run(destroy, check=True, capture_output=True)
    return made


def test_each_guest_s_failure_is_its_own(overlays: list[Path], folder: Path) -> None:
    edits = (Write("/etc/hostname", b"new\n"),)
    guests = [Guest(path.name, (Drive(str(path), "qcow2"),), edits) for path in overlays]
    deadly = Deadly(edits)
    deadly.folder = folder
    guests[2] = Guest(overlays[2].name, guests[2].drives, deadly)
    results = customize(guests, FACTS, use_kvm=False)
    kinds = {name: type(error) for name, error in results.items() if error is not None}
    assert kinds == {"overlay1.qcow2": GuestUnreadable, "overlay2.qcow2": ApplianceDied}
    assert "mount its file systems" in str(results["overlay1.qcow2"])
    for number in (0, 3):
        disk = Disk(str(overlays[number]), folder / f"look{number}")
        assert disk.text("/etc/hostname") == "new\n"
        assert disk.problems() == ""
    assert appliances(folder) == []


# --- images that can't be cloned


def test_a_disk_without_a_system_is_refused_before_the_copy_and_then_at_once(
    host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[object] = []
    monkeypatch.setattr(qemu_img, "copy", lambda *asked: copied.append(asked))
    empty = folder / "empty"
    empty.mkdir()
    host.add_image(debian.make_disk(folder / "empty.raw", empty), "empty.original")
    request = host.request("vm0.example.jp", image="empty.original")
    (failed,) = host.run(request)
    assert failed.failure.code == "guest_unreadable"
    assert failed.failure.text == (
        "cannot clone empty.original as vm0.example.jp on host kvm0.example.jp:"
        " libguestfs finds no operating system on its disks; customize: none clones it as it is"
        " inside"
    )
    assert_nothing_is_left(host, request)
    monkeypatch.setattr(look, "prepare_base", lambda *_asked: PREPARED)
    (again,) = host.run(host.request("vm1.example.jp", image="empty.original"))
    assert "finds no operating system on its disks; customize" in again.failure.text
    assert " clones it as it is inside (found " in again.failure.text
    assert copied == []


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (["-b", "/etc/hostname", "-F", "raw"], "has a backing file outside the storage pools"),
        (["-o", "data_file={}/data,data_file_raw=on"], "keeps its data in another file"),
    ],
)
def test_crafted_disks(host: Host, folder: Path, header: list[str], problem: str) -> None:
    disk = folder / "evil.qcow2"
    options = [word.format(folder) for word in header]
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(disk), "1M"]
    subprocess.run(command, check=True)
    host.add_image(disk, "evil.original", "qcow2")
    request = host.request("vm0.example.jp", image="evil.original")
    (failed,) = host.run(request)
    assert failed.failure.code == "image_unsupported"
    assert problem in failed.failure.text
    assert_nothing_is_left(host, request)
    host.connection.lookupByName("evil.original").undefine()


def test_a_qcow2_header_in_a_raw_disk_is_data(folder: Path) -> None:
    """The copy must have the header's bytes, and not the file that they name."""
    disk, target, back = (folder / f"trojan.{kind}" for kind in ("raw", "qcow2", "back"))
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    subprocess.run([*create, "-b", "/etc/hostname", "-F", "raw", str(disk), "1M"], check=True)
    subprocess.run([*create, str(target), str(disk.stat().st_size)], check=True)
    qemu_img.copy(chain.inspect(str(disk), "raw", []), str(target), lambda: None)
    convert = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(target), str(back)]
    subprocess.run(convert, check=True)
    size = disk.stat().st_size
    assert back.read_bytes()[:size] == disk.read_bytes()


def test_a_running_image(host: Host) -> None:
    image = host.connection.lookupByName(IMAGE)
    image.create()
    try:
        (failed,) = host.run(host.request("vm0.example.jp"))
    finally:
        image.destroy()
    assert failed.failure.code == "image_running"


# --- a disk that is full


@pytest.fixture
def full(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small pool, with nobody who looks before whether there is room."""
    monkeypatch.setattr(pools, "choose", lambda known, needed, named=None: known[0])
    host.use_pool("small")
    yield host.folder / "small"
    host.use_pool("default")


def test_no_room_is_noticed_before_anything_is_made(host: Host) -> None:
    host.use_pool("small")
    request = host.request("vm0.example.jp")
    (failed,) = host.run(request)
    host.use_pool("default")
    assert failed.failure.code == "no_room"
    assert "pool small has 0.0 GiB free, 0.1 GiB needed" in failed.failure.text
    assert_nothing_is_left(host, request, "small")


def test_a_disk_that_fills_up_during_the_copy(
    host: Host, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "room", lambda path: Room(1 << 40, 1 << 40))
    monkeypatch.setattr(look, "prepare_base", lambda *_asked: PREPARED)
    noise = host.folder / "noise.raw"
    noise.write_bytes(os.urandom(8 << 20))
    host.add_image(noise, "noise.original")
    request = host.request("vm0.example.jp", image="noise.original")
    (failed,) = host.run(request)
    assert failed.failure.code == "no_room", failed.failure
    assert "noise.raw (0.0 GiB) can't be copied to" in failed.failure.text
    assert "No space left on device" in failed.failure.text
    assert_nothing_is_left(host, request, "small")


def test_a_disk_that_fills_up_under_the_appliance_is_found_at_once(
    host: Host, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = full / "ballast"
    prepare_base = look.prepare_base
    launched: list[float] = []

    def fill_and_prepare(
        drives: Sequence[Drive], asked: Customize | None, use_kvm: bool, _alive: object
    ) -> Prepared:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        return prepare_base(drives, asked, use_kvm, lambda: launched.append(time.monotonic()))

    monkeypatch.setattr(look, "prepare_base", fill_and_prepare)
    request = host.request("vm0.example.jp")
    (failed,) = host.run(request)
    ballast.unlink()
    assert failed.failure.code == "no_room", failed.failure
    assert "pool small has 0.0 GiB free: " in failed.failure.text
    assert failed.failure.text.endswith("can't be written: No space left on device")
    # At once: one that is given up since it hangs fails with another text.
    assert launched
    assert_nothing_is_left(host, request, "small")


# --- an appliance that hangs


def test_a_launch_that_hangs_is_ended(
    folder: Path, overlays: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hypervisor = folder / "hanging-qemu"
    hypervisor.write_text(
        '#!/bin/sh\ncase "$*" in *guestfsd.sock*) exec sleep 987;; esac\n'
        f'exec {shutil.which("qemu-system-x86_64")} "$@"\n'
    )
    hypervisor.chmod(0o755)
    monkeypatch.setenv("LIBGUESTFS_HV", str(hypervisor))
    monkeypatch.setattr(watch, "LAUNCH_SECONDS", 3)
    guests = [Guest("a", (Drive(str(overlays[0]), "qcow2"),), (Write("/etc/hostname", b"late\n"),))]
    (error,) = customize(guests, FACTS, use_kvm=False).values()
    assert isinstance(error, GuestUnreadable)
    assert "can't start its appliance, after " in str(error)
    assert [path for path in Path("/proc").glob("[0-9]*") if is_child_of_ours(path)] == []


def is_child_of_ours(process: Path) -> bool:
    try:
        return (process / "cmdline").read_bytes() == b"sleep\x00987\x00"
    except OSError:
        return False


# --- a job that is killed


@pytest.mark.parametrize("phase", ["base", "customize"])
def test_a_job_that_is_killed_with_its_appliance(host: Host, phase: str) -> None:
    # A password is what needs an appliance when all else is written into areas.
    request = host.request("killed.example.jp", root_password="$6$saltsalt$hashhashhash")
    command = [sys.executable, "-c", JOB, host.uri, str(host.settings.state_dir), request.id]
    own = job_folders.make(host.settings.state_dir)
    library = str(Path(undo.__file__).parents[3])
    job = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": library, **job_folders.environment(own)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for line in job.stdout or ():
            if line.startswith("Begun(") and f"phase='{phase}'" in line:
                break
        wait_for_appliance(host.folder)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    wait_for_no_appliance(host.folder)
    sockets = [link.readlink() for link in own.glob("appliance.*/libguestfs*")]
    job_folders.remove(own)
    assert len(sockets) == 1
    assert not sockets[0].exists()
    assert host.context.journal.intents(request.id) != ()
    undo.undo(request.id, host.context)
    undo.undo(request.id, host.context)
    assert host.context.journal.intents(request.id) == ()
    kept = [disk.name for base in host.context.journal.bases() for disk in base.disks]
    assert host.files() == kept
    assert len(kept) == (0 if phase == "base" else 1)
    if phase == "customize":
        (done,) = host.run(request)
        assert done.state is State.DONE


def wait_for_appliance(folder: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not appliances(folder):
        assert time.monotonic() < end, "the job starts no appliance"
        time.sleep(0.05)
    time.sleep(1)


def wait_for_no_appliance(folder: Path, seconds: float = 60) -> None:
    # A killed QEMU runs nothing more, but the kernel takes a while to free its memory.
    for pid in appliances(folder):
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(pid)
            assert select.select([ended], [], [], seconds)[0], f"appliance {pid} outlives its job"
            os.close(ended)
    assert appliances(folder) == []

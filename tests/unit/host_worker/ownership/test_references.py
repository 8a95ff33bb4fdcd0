# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What refers to a file, with libvirt in memory."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.ownership import references
from maglica.host_worker.ownership.references import References
from maglica.model.errors import StorageFailed
from support.fake_host import FakeHost
from support.qcow2 import header

UUID = "e295817c-2e61-58d4-94ad-b3e77aee8536"


@pytest.fixture
def disk(host: FakeHost) -> str:
    """A file of a vm of ours."""
    path = host.pool / "web1.vda.e295817c.qcow2"
    path.write_bytes(header())
    return str(path)


def define(host: FakeHost, devices: str, *, name: str = "db1", more: str = "") -> Any:
    xml = f"<domain type='qemu'><name>{name}</name>{more}<devices>{devices}</devices></domain>"
    return host.connection.defineXML(xml)


def by(host: FakeHost, path: str, **own: Any) -> str | None:
    found = references.find(host.context).to([path], **own)
    return found and found.by


def overlay(path: Path, backing: str) -> Path:
    path.write_bytes(header(backing=backing.encode()))
    return path


@pytest.mark.parametrize(
    "devices",
    [
        "<disk type='file'><source file='{path}'/></disk>",
        "<disk type='block'><source dev='{path}'/></disk>",
        "<disk type='volume'><source pool='default' volume='{name}'/></disk>",
        "<disk type='file'><source file='/x'/><backingStore type='file'><source file='{path}'/>"
        "</backingStore></disk>",
        "<disk type='file'><source file='/x'/><mirror type='file'><source file='{path}'/></mirror>"
        "</disk>",
        "<serial type='file'><source path='{path}'/></serial>",
        "<commandline><arg value='file={path},format=qcow2,if=virtio'/></commandline>",
        "<commandline><arg value='id=a,backing.file.filename={path}'/></commandline>",
        '<commandline><arg value=\'{{"driver":"file","filename":"{path}"}}\'/></commandline>',
    ],
)
def test_a_definition(host: FakeHost, disk: str, devices: str) -> None:
    assert by(host, disk) is None
    domain = define(host, devices.format(path=disk, name=Path(disk).name))
    assert by(host, disk) == "the domain db1"
    assert by(host, disk, uuid=domain.UUIDString()) is None


def test_the_path_in_another_spelling(host: FakeHost, disk: str) -> None:
    (host.folder / "link").symlink_to(host.pool)
    define(host, f"<disk type='file'><source file='{host.folder}/link/{Path(disk).name}'/></disk>")
    assert by(host, disk) == "the domain db1"


def test_a_comma_in_a_command_line(host: FakeHost) -> None:
    path = host.pool / "a,b c.vda.e295817c.qcow2"
    path.touch()
    doubled = str(path).replace(",", ",,")
    define(host, f"<commandline><arg value='if=virtio,file={doubled},format=qcow2'/></commandline>")
    assert by(host, str(path)) == "the domain db1"


def test_the_file_in_another_mount_or_under_another_name(host: FakeHost, disk: str) -> None:
    other = host.folder / "other.qcow2"
    # Path.hardlink_to is of Python 3.10.
    os.link(disk, other)
    define(host, f"<disk type='file'><source file='{other}'/></disk>")
    assert by(host, disk) == "the domain db1"


def test_the_state_that_a_domain_was_saved_in(host: FakeHost, disk: str) -> None:
    domain = define(host, "")
    saved = f"<domain><devices><disk><source file='{disk}'/></disk></devices></domain>"
    domain.managedSaveGetXMLDesc = lambda flags=0: saved
    assert by(host, disk) is None
    domain.saved = True
    assert by(host, disk) == "the domain db1"


@pytest.mark.parametrize("text", ["/" + "x" * 300, "/dev/null/x", "{folder}/loop"])
def test_a_path_that_leads_nowhere(host: FakeHost, disk: str, text: str) -> None:
    (host.folder / "loop").symlink_to(host.folder / "loop")
    define(host, f"<x>{text.format(folder=host.folder)}</x>")
    assert by(host, disk) is None


def test_what_is_no_disk_is_not_opened(host: FakeHost, disk: str) -> None:
    """To open a device may act: a watchdog starts, a tape is rewound, a pipe loses what it has."""
    leader, follower = os.openpty()
    os.mkfifo(host.folder / "pipe")
    with open(host.folder / "pipe", "r+b", buffering=0) as pipe:  # noqa: PTH123 - both ends
        pipe.write(b"theirs")
        paths = (os.ttyname(follower), str(host.folder / "pipe"))
        define(
            host, "".join(f"<serial type='dev'><source path='{path}'/></serial>" for path in paths)
        )
        assert by(host, disk) is None
        os.set_blocking(pipe.fileno(), False)
        assert pipe.read(6) == b"theirs"
    os.close(leader)
    os.close(follower)


def test_words_about_a_domain_refer_to_nothing(host: FakeHost, disk: str) -> None:
    words = f"<title>{disk}</title><description>a copy of {disk}</description>"
    define(host, "", more=words)
    assert by(host, disk) is None


def test_metadata_refers_to_nothing(host: FakeHost, disk: str) -> None:
    define(host, "", more=f"<metadata><x path='{disk}'/></metadata>")
    assert by(host, disk) is None


def test_what_a_running_domain_has_besides(host: FakeHost, disk: str) -> None:
    domain = define(host, "")
    live = domain.xml.replace("<devices", f"<x>{disk}</x><devices")
    domain.XMLDesc = lambda flags=0: domain.xml if flags else live
    assert by(host, disk) is None
    domain.active = True
    assert by(host, disk) == "the domain db1"


def test_a_snapshot_of_a_domain(host: FakeHost, disk: str) -> None:
    class Snapshot:
        def getXMLDesc(self, flags: int) -> str:  # noqa: N802
            return f"<domainsnapshot><disks><source file='{disk}'/></disks></domainsnapshot>"

    define(host, "").snapshots.append(Snapshot())
    assert by(host, disk) == "the domain db1"


@pytest.mark.parametrize(
    "name",
    [
        "{path}",
        "file:{path}",
        "web1.vda.e295817c.qcow2",
        'json:{{"driver": "qcow2", "file": {{"driver": "file", "filename": "{path}"}}}}',
        'json:{{"file.filename": "{path}"}}',
        "json:{{'driver': 'qcow2', 'file': {{'driver': 'file', 'filename': '{path}'}}}}",
        'json:{{"driver": "quorum", "children": [{{"file": {{"filename": "{path}"}}}}]}}',
    ],
)
def test_a_file_in_a_pool(host: FakeHost, disk: str, name: str) -> None:
    above = overlay(host.pool / "snap1", name.format(path=disk))
    assert by(host, disk) == f"the file {above}"
    assert by(host, disk, among=[str(above)]) is None


def test_a_file_of_the_format_qed(host: FakeHost, disk: str) -> None:
    words = ["qemu-img", "create", "-q", "-u", "-f", "qed", "-F", "qcow2", "-b", disk]
    subprocess.run([*words, str(host.pool / "snap1"), "1M"], check=True)
    assert by(host, disk) == f"the file {host.pool}/snap1"


@pytest.mark.parametrize(
    "name",
    [
        "json:",
        "json:[1",
        "json:" + "[" * 5000,
        "json:1",
        'json:{"filename": "/a\\u0000b"}',
        'json:{"filename": "/a\\ud800b"}',
    ],
)
def test_a_name_that_says_nothing(host: FakeHost, disk: str, name: str) -> None:
    overlay(host.pool / "snap1", name)
    assert by(host, disk) is None


def test_a_file_outside_the_pools_that_a_domain_has(host: FakeHost, disk: str) -> None:
    middle = overlay(host.folder / "middle", disk)
    top = overlay(host.folder / "top", str(middle))
    domain = define(host, f"<disk type='file'><source file='{top}'/></disk>")
    assert by(host, disk, uuid=domain.UUIDString()) == f"the file {middle}"


def test_a_file_behind_a_link_of_the_pool(host: FakeHost, disk: str) -> None:
    """Its relative name is taken from the link's folder."""
    real = overlay(host.folder / "real", Path(disk).name)
    (host.pool / "snap1").symlink_to(real)
    assert by(host, disk) == f"the file {host.pool}/snap1"


def test_a_pool_that_is_not_active_hides_nothing(host: FakeHost, disk: str) -> None:
    stopped = host.connection.add_pool("other", host.folder / "other")
    above = overlay(stopped.path / "snap1", disk)
    stopped.active = False
    assert by(host, disk) == f"the file {above}"


def test_the_folder_of_a_volume_group(host: FakeHost, disk: str) -> None:
    pool = host.connection.add_pool("vg", host.folder / "vg")
    pool.XMLDesc = lambda flags=0: (
        f"<pool type='logical'><target><path>{pool.path}</path></target></pool>"
    )
    device = overlay(host.folder / "dm-0", disk)
    (pool.path / "lv").symlink_to(device)
    assert by(host, disk) == f"the file {device}"


def test_a_link_of_a_pool_that_leads_in_a_circle(host: FakeHost, disk: str) -> None:
    (host.pool / "loop").symlink_to(host.pool / "loop")
    assert by(host, disk) is None


def test_a_pool_whose_folder_is_gone_has_no_files(host: FakeHost, disk: str) -> None:
    host.connection.add_pool("other", host.folder / "other").path.rmdir()
    assert by(host, disk) is None


def test_what_can_not_be_read_is_an_error(
    host: FakeHost, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(_path: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(references.os, "scandir", stale)
    with pytest.raises(StorageFailed, match=f"{host.pool} of a storage pool can't be read: Stale"):
        references.find(host.context)


def test_a_definition_that_can_not_be_read_is_an_error(host: FakeHost, disk: str) -> None:
    define(host, "").xml = "<domain>"
    with pytest.raises(StorageFailed, match="the definition of domain db1 can't be read"):
        references.find(host.context)


def test_a_long_definition_is_read(host: FakeHost, disk: str) -> None:
    source = f"<disk type='file'><source file='{disk}'/></disk>"
    define(host, source, more=f"<description>{'x' * 2_000_000}</description>")
    assert by(host, disk) == "the domain db1"


def test_what_a_vm_is_leaving(host: FakeHost, disk: str) -> None:
    host.context.journal.intend("r", Effect.PULL, {"backing": disk})
    assert by(host, disk) == "a vm that leaves it"


def test_nothing() -> None:
    assert References([], []).to(["/x"]) is None

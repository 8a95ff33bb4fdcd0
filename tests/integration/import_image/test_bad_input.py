# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't become an image: one error that names image, host and cause, and nothing is left."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from maglica.disk.files import FilePool
from maglica.disk.room import MIB, Room
from maglica.host_worker.job.image.arrival import RESERVE
from maglica.model.request import Nic, State
from support.import_host import NAME, ImportHost, qcow2_disk, raw_disk, sha256
from support.web_server import Handler, Site

PATH = "/debian-13.img"
DATA = raw_disk()


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of 8 MiB, of which 2 MiB may be taken."""
    monkeypatch.setattr(FilePool, "room", lambda self: Room(8 * MIB, RESERVE + 2 * MIB))


def refused(host: ImportHost, cause: str, **fields: Any) -> None:
    ended = host.add(**fields)
    assert ended.state is State.FAILED
    assert ended.failure is not None
    text = ended.failure.text
    assert text.startswith(f"cannot add image {NAME} on host kvm0.example.jp: ")
    assert cause in text
    assert host.is_empty(), (host.files(), host.domains(), host.journal.announced())


def half(handler: Handler) -> None:
    handler.send_file(DATA, upto=len(DATA) // 2)


def lie(handler: Handler) -> None:
    handler.begin(200, Content_Length=4096)
    handler.wfile.write(DATA)


def endless(handler: Handler) -> None:
    handler.begin(200)
    while True:
        handler.wfile.write(bytes(MIB))


def long(handler: Handler) -> None:
    handler.begin(200, Content_Length=1 << 40)
    handler.wfile.write(DATA)


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (half, "the connection ended after"),
        (lie, "is not what was wanted"),
        (endless, "bytes that pool default has room for"),
        (long, "bytes that pool default has room for"),
        (lambda handler: handler.send_error(404), "the server answers 404"),
        (lambda handler: handler.send_file(b"<html>"), "is not what was wanted"),
    ],
    ids=["stops half way", "lies", "never ends", "too long", "not there", "a page"],
)
def test_a_server(
    host: ImportHost, site: Site, answer: Callable[[Handler], None], cause: str
) -> None:
    site.answers[PATH] = answer
    refused(host, cause, url=f"{site.url}{PATH}", checksum=sha256(DATA))


def test_a_file_of_sums(host: ImportHost, site: Site) -> None:
    site.files |= {PATH: DATA, "/SUMS": f"{'a' * 64}  b\n{'c' * 64}  d\n".encode()}
    url, sums = f"{site.url}{PATH}", f"{site.url}/SUMS"
    refused(host, "has no sha512 or sha256 sum of debian-13.img", url=url, checksum=sums)
    site.files["/SUMS"] = f"{'a' * 64}  debian-13.img\n".encode()
    refused(host, "is not what was wanted", url=url, checksum=sums)


def upon(folder: Path) -> bytes:
    """A qcow2 file that builds upon another one, beside which it would lie."""
    path = folder / "upon.qcow2"
    words = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "other.qcow2", "-F", "qcow2"]
    subprocess.run([*words, str(path), "1M"], check=True)
    return path.read_bytes()


def data_elsewhere(folder: Path) -> bytes:
    path = folder / "data.qcow2"
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={folder}/data.raw"]
    subprocess.run([*words, str(path), "1M"], check=True)
    return path.read_bytes()


def large(folder: Path) -> bytes:
    path = folder / "large.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G"], check=True)
    return path.read_bytes()


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (upon, "builds upon another file"),
        (data_elsewhere, "keeps its data in another file"),
        (large, "its disk has 1.0 GiB, more than pool default has in all"),
        (lambda folder: qcow2_disk(folder)[:-70000], "it is cut off"),
        (lambda folder: lzma.compress(bytes(64 * MIB)), "can't be unpacked: it has more than"),
        (lambda folder: lzma.compress(DATA)[:-50], "can't be unpacked"),
        (lambda folder: lzma.compress(lzma.compress(DATA)), "it is packed twice"),
        (lambda folder: bytes(MIB), "its disk shows no boot loader"),
        (lambda folder: b"KDMV" + DATA, "it is a VMDK: taken are qcow2 and raw disks"),
        (lambda folder: b"", "its disk is empty"),
        (lambda folder: raw_disk(size=4 * MIB), "more than the"),
    ],
    ids=[
        *("backing file", "external data", "larger than the pool", "cut off", "a bomb", "half"),
        *("packed twice", "no boot loader", "another format", "empty", "no room"),
    ],
)
def test_a_file(host: ImportHost, public: Path, make: Callable[[Path], bytes], cause: str) -> None:
    path = public / "disk.img"
    path.write_bytes(make(public))
    refused(host, cause, path=str(path))


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"checksum": f"sha256:{'a' * 64}"}, "is not what was wanted: it has sha256:"),
        ({"format": "qcow2"}, "its disk is raw, not qcow2 as format says"),
        ({"firmware": "uefi"}, "its disk has no EFI system partition"),
        ({"firmware": "bios", "secure_boot": True}, "secure boot is UEFI's"),
        ({"pool": "other"}, "it has no active storage pool other"),
        ({"interfaces": (Nic("default", addresses=("192.0.2.7/24",)),)}, "has an address"),
        (
            {"xml": "<domain><memory>65536</memory><os/><devices/></domain>", "vcpus": 2},
            "xml says vcpus itself",
        ),
        ({"xml": "<domain><devices/>"}, "xml can't be taken"),
    ],
)
def test_what_is_asked_for(
    host: ImportHost, public: Path, fields: dict[str, Any], cause: str
) -> None:
    path = public / "disk.img"
    path.write_bytes(DATA)
    refused(host, cause, path=str(path), **fields)


def test_what_not_everybody_may_read_is_not_read(host: ImportHost, public: Path) -> None:
    """By an image nobody shall read what is not his to read on the host."""
    path = public / "disk.img"
    refused(host, f"{path} can't be read: No such file", path=str(path))
    path.write_bytes(DATA)
    path.chmod(0o640)
    refused(host, "is not for everybody on this host to read", path=str(path))
    path.chmod(0o644)
    public.chmod(0o750)
    refused(host, f"({public} has the mode 0750)", path=str(path))
    public.chmod(0o755)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(host, "is not a file", path=str(path))


def test_a_name_that_a_domain_of_others_has(host: ImportHost, public: Path) -> None:
    path = public / "disk.img"
    path.write_bytes(DATA)
    xml = (
        f"<domain type='qemu'><name>{NAME}</name><memory>65536</memory><os>"
        "<type arch='x86_64'>hvm</type></os></domain>"
    )
    theirs = host.connection.defineXML(xml)
    ended = host.add(path=str(path))
    assert ended.failure is not None
    assert "a domain of that name is there already, and Maglica did not make it" in (
        ended.failure.text
    )
    assert (host.files(), host.domains()) == ([], [NAME])
    theirs.undefine()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made of files, by a host with a real libvirtd."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest
from maglica.disk import chain, qemu_img
from maglica.model.image import image_uuid
from maglica.model.request import Nic, State
from support import qemu_libvirtd
from support.import_host import NAME, SIZE, ImportHost, qcow2_disk, raw_disk, sha256
from support.web_server import Site

PATH = "/images/debian-13.qcow2"
CLUSTER = 1 << 16


def test_from_a_url(host: ImportHost, site: Site, tmp_path: Path) -> None:
    data = qcow2_disk(tmp_path)
    site.files[f"{PATH}?token=secret"] = data
    url = f"http://me:secret@{site.url.removeprefix('http://')}{PATH}?token=secret"
    done = host.add(url=url, checksum=sha256(data))
    assert (done.state, done.failure) == (State.DONE, None)
    assert host.phases(done) == ["fetch", "check", "write", "define", "base"]
    image = host.image()
    assert (image.uuid, image.vcpus, image.memory_mib) == (image_uuid(done.id), 2, 2048)
    record = image.image
    assert record is not None
    assert (record.request, record.who, len(record.versions)) == (done.id, "alice", 1)
    what = record.newest
    assert (what.checksum, what.origin, what.format) == (sha256(data), site.url + PATH, "qcow2")
    assert (what.size_bytes, what.request) == (SIZE, done.id)
    kept, own = (Path(volume.path) for volume in record.versions[0].volumes)
    # What came is kept as it came, and nothing writes to it.
    assert kept.read_bytes() == data
    assert kept.stat().st_mode & 0o777 == 0o400
    (disk,) = image.copied_disks
    assert disk.source == str(own)
    layers = chain.inspect(str(own), "qcow2", [str(host.pool)])
    assert [layer.path for layer in layers] == [str(own), str(kept)]
    assert chain.is_untouched(str(own))
    assert {kept.name, own.name} <= set(host.files())
    assert not [name for name in host.files() if "fetch" in name or "unpacked" in name]
    assert "secret" not in host.connection.lookupByName(NAME).XMLDesc()


@pytest.mark.parametrize(
    ("data", "phases"),
    [
        (raw_disk(), ["fetch", "check", "write", "define", "base"]),
        (lzma.compress(raw_disk()), ["fetch", "unpack", "check", "write", "define", "base"]),
    ],
    ids=["raw", "packed"],
)
def test_from_a_path(host: ImportHost, data: bytes, phases: list[str], public: Path) -> None:
    path = public / "disk.img"
    path.write_bytes(data)
    done = host.add(path=str(path))
    assert (done.state, done.failure) == (State.DONE, None)
    assert host.phases(done) == phases
    record = host.image().image
    assert record is not None
    assert (record.newest.checksum, record.newest.origin) == (sha256(data), str(path))
    assert host.content(host.kept()) == raw_disk()
    assert path.read_bytes() == data


@pytest.mark.parametrize("options", [("-c",), ("-o", "cluster_size=4k"), ("-o", "compat=0.10")])
def test_what_is_kept_is_as_quick_as_what_this_host_makes(
    host: ImportHost, public: Path, options: tuple[str, ...]
) -> None:
    """What was made to be small, or long ago, is converted."""
    path = public / "disk.qcow2"
    path.write_bytes(qcow2_disk(public, *options))
    assert not chain.is_plain(chain.inspect(str(path), "qcow2", ())[0])
    done = host.add(path=str(path), format="qcow2")
    assert (done.state, done.failure) == (State.DONE, None)
    kept = host.kept()
    assert chain.is_plain(chain.inspect(str(kept), "qcow2", ())[0])
    assert host.content(kept) == raw_disk()


def test_what_counts_its_clusters_wrongly_is_converted(host: ImportHost, public: Path) -> None:
    """A vm with all of it for its own would write over what counts as free, and is not."""
    data = bytearray(qcow2_disk(public))
    (table,) = struct.unpack_from(">Q", data, 48)
    (counts,) = struct.unpack_from(">Q", data, table)
    last = len(data) // CLUSTER - 1
    struct.pack_into(">H", data, counts + 2 * last, 0)
    path = public / "disk.qcow2"
    path.write_bytes(data)
    assert chain.is_plain(chain.inspect(str(path), "qcow2", ())[0])
    done = host.add(path=str(path))
    assert (done.state, done.failure) == (State.DONE, None)
    assert qemu_img.is_sound(str(host.kept()))
    assert host.content(host.kept()) == raw_disk()


def test_by_uefi(host: ImportHost, public: Path) -> None:
    path = public / "disk.img"
    path.write_bytes(raw_disk(uefi=True))
    done = host.add(path=str(path))
    assert (done.state, done.failure) == (State.DONE, None)
    image = host.image()
    assert image.image is not None
    variables = f"debian-13.{image.uuid[:8]}_VARS.fd"
    assert image.nvram == image.image.nvram
    assert image.nvram is not None
    assert Path(image.nvram).name == variables
    assert host.remove().state is State.DONE
    assert host.is_empty()


def test_as_it_is_asked_for(host: ImportHost, public: Path) -> None:
    path = public / "disk.img"
    path.write_bytes(raw_disk())
    nics = (Nic(bridge="br0"), Nic(network="lab", mac="52:54:00:00:00:07"))
    done = host.add(path=str(path), vcpus=3, memory_mib=300, interfaces=nics, pool="default")
    assert (done.state, done.failure) == (State.DONE, None)
    image = host.image()
    assert (image.vcpus, image.memory_mib) == (3, 300)
    assert [nic.network for nic in image.interfaces] == ["br0", "lab"]
    host.remove()
    xml = host.connection.defineXML(
        qemu_libvirtd.definition("theirs", {"sda": ("qcow2", public / "x")}, memory_mib=200)
    ).XMLDesc()
    host.connection.lookupByName("theirs").undefine()
    done = host.add(path=str(path), xml=xml)
    assert (done.state, done.failure) == (State.DONE, None)
    image = host.image()
    assert (image.name, image.memory_mib, image.copied_disks[0].target) == (NAME, 200, "sda")

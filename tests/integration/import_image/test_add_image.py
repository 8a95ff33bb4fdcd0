# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made of files, by a host with a real libvirtd."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from maglica.disk import chain
from maglica.model.image import image_uuid
from maglica.model.request import State
from support.import_host import NAME, SIZE, ImportHost, qcow2_disk, raw_disk, sha256
from support.web_server import Site

PATH = "/images/debian-13.qcow2"


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

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is an image's own that Maglica made: shown by its metadata, kept while anything needs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from maglica.disk import volumes
from maglica.domain.definition import describe
from maglica.domain.image_metadata import ImageRecord, OwnVersion
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.ownership import own_files
from maglica.model.errors import NotOwn
from maglica.model.image import image_uuid
from support import made_image
from support.fake_host import FakeHost
from support.qcow2 import header

NEWER = "b1b1f0f0-55aa-4d0e-9f7c-0a0b0c0d0e0f"


class Image:
    """An image with two versions, each kept as it came and with an overlay that is its disk."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        versions = tuple(map(self._version, (made_image.REQUEST, NEWER)))
        self.record = ImageRecord(made_image.REQUEST, "alice", versions)
        self.kept, self.disk, *_newer = (Path(each.path) for each in self.record.volumes)

    def _version(self, request: str) -> OwnVersion:
        what = replace(made_image.VERSION, request=request)
        uuid = image_uuid(request)
        kept = self._volume(volumes.of_image(what.checksum or "", uuid, "vda"))
        disk = self._volume(volumes.of_vm("debian-13", "vda", uuid), backing=kept.path)
        return OwnVersion(what, (kept, disk))

    def _volume(self, stem: str, backing: str | None = None) -> OwnVolume:
        name = f"{stem}.qcow2"
        path = self.host.pool / name
        path.write_bytes(header() if backing is None else header(backing=backing.encode()))
        return OwnVolume("vda", "default", name, str(path))

    def check(self) -> None:
        own_files.check_image_names(self.record, made_image.UUID)
        own_files.check(own_files.of_image(self.record), self.host.context, made_image.UUID)


@pytest.fixture
def image(host: FakeHost) -> Image:
    return Image(host)


def test_all_versions_volumes_are_its_own(image: Image) -> None:
    image.check()
    said = made_image.metadata(image.record.volumes, "/nvram/x_VARS.fd")
    domain = image.host.add_image(uuid=made_image.UUID, metadata=said)
    own = own_files.of_domain(describe(domain.xml))
    assert own.volumes == image.record.volumes
    assert own.paths == ("/nvram/x_VARS.fd",)
    # Its own definition does not keep it.
    disk = f"<disk type='file'><source file='{image.disk}'/><target dev='vdb'/></disk>"
    domain.xml = domain.xml.replace("</devices>", f"{disk}</devices>")
    image.check()
    copied = domain.xml.replace(made_image.UUID, image_uuid("copy"))
    assert own_files.of_domain(describe(copied)) == own_files.OwnFiles()


@pytest.mark.parametrize("what", ["a base upon it", "another definition", "another with its disk"])
def test_what_something_refers_to_stays(image: Image, what: str) -> None:
    if what == "a base upon it":
        user = image.host.pool / "maglica-base.0123456789ab.e295817c.vda.qcow2"
        user.write_bytes(header(backing=str(image.kept).encode()))
        by = f"the file {user}"
    else:
        path = image.kept if what == "another definition" else image.disk
        image.host.connection.defineXML(
            f"<domain type='qemu'><name>other</name><devices><disk type='file'>"
            f"<source file='{path}'/></disk></devices></domain>"
        )
        by = "the domain other"
    with pytest.raises(NotOwn, match=f"is in use by {by}"):
        image.check()


@pytest.mark.parametrize(
    "name",
    [
        "debian-13.qcow2",
        "debian-13.vda.00000000.qcow2",
        "maglica-image.9d9d9d9d9d9d.00000000.vda.qcow2",
        f"maglica-base.9d9d9d9d9d9d.{image_uuid(NEWER)[:8]}.vda.qcow2",
        # Of another version than that under which it is named.
        f"maglica-image.9d9d9d9d9d9d.{made_image.UUID[:8]}.vda.qcow2",
    ],
)
def test_a_name_that_maglica_does_not_give(image: Image, name: str) -> None:
    first, second = image.record.versions
    odd = OwnVolume("vda", "default", name, str(image.host.pool / name))
    record = replace(image.record, versions=(first, replace(second, volumes=(odd,))))
    with pytest.raises(NotOwn, match="by no name that Maglica gives"):
        own_files.check_image_names(record, made_image.UUID)


def test_variables_that_are_not_its_own(image: Image) -> None:
    own = f"/nvram/debian-13.{made_image.UUID[:8]}_VARS.fd"
    own_files.check_image_names(replace(image.record, nvram=own), made_image.UUID)
    with pytest.raises(NotOwn, match="/etc/shadow is named"):
        own_files.check_image_names(replace(image.record, nvram="/etc/shadow"), made_image.UUID)


def test_a_volume_that_lies_elsewhere_than_its_name_says(image: Image) -> None:
    first = image.record.versions[0]
    odd = replace(first.volumes[0], name="debian.qcow2")
    record = replace(image.record, versions=(replace(first, volumes=(odd,)),))
    with pytest.raises(NotOwn, match=r"volume debian\.qcow2 is named by its metadata as"):
        own_files.check_image_names(record, made_image.UUID)

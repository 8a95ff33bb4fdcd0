# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from maglica.domain import image_metadata
from maglica.domain.definition import describe, parse
from maglica.domain.image_metadata import (
    MAX_SHOWN,
    ImageRecord,
    OwnVersion,
    with_version,
    without_versions,
)
from maglica.domain.metadata import IMAGE_NAMESPACE, VM_NAMESPACE, OwnVolume
from maglica.model.image import ImageVersion, image_uuid, may_be_made_image
from maglica.model.moment import Moment
from maglica.model.vm import vm_uuid
from support.domains import domain

REQUEST = "00000000-0000-4000-8000-000000000002"
UUID = image_uuid(REQUEST)
FIRST = OwnVersion(
    ImageVersion(
        checksum=f"sha256:{'0a' * 32}",
        origin="https://images.example.jp/debian-13.qcow2",
        format="qcow2",
        size_bytes=2 << 30,
        request=REQUEST,
        created=Moment(1795500000),
    ),
    (OwnVolume("vda", "default", "a & b", "/pool/a & b"), OwnVolume("vda", "fast", "c", "/f/c")),
)
SECOND = OwnVersion(ImageVersion(checksum=f"sha512:{'1b' * 64}", request="r2"))
RECORD = ImageRecord(REQUEST, "alice <a@example.jp>", (FIRST, SECOND), "/nvram/debian_VARS.fd")


def written(record: ImageRecord, uuid: str = UUID, outside: str = "") -> str:
    root = parse(domain(outside=outside, uuid=uuid))
    image_metadata.write(root, record)
    return ET.tostring(root, encoding="unicode")


def by_hand(element: str, uuid: str = UUID) -> ImageRecord | None:
    metadata = f"<metadata xmlns:m='{IMAGE_NAMESPACE}'>{element}</metadata>"
    return describe(domain(outside=metadata, uuid=uuid)).image


def test_what_is_written_is_read() -> None:
    found = describe(written(RECORD))
    assert found.image == RECORD
    assert (found.is_made_image, found.made) == (True, None)
    assert RECORD.newest == SECOND.what
    assert RECORD.volumes == FIRST.volumes


def test_what_was_written_before_is_replaced_and_that_of_others_stays() -> None:
    others = "<plain xmlns='http://example.com/plain'/>"
    old = f"<x:image xmlns:x='{IMAGE_NAMESPACE}' checksum='sha256:{'0' * 64}'/>"
    xml = written(RECORD, outside=f"<metadata>{old}{others}</metadata>")
    assert xml.count(IMAGE_NAMESPACE) == 1
    assert "http://example.com/plain" in xml
    assert describe(xml).image == RECORD


def test_versions_come_and_go() -> None:
    third = OwnVersion(ImageVersion(request="r3"))
    grown = with_version(RECORD, third)
    assert grown.newest == third.what
    assert without_versions(grown, ["r2", "r3"]) == replace(RECORD, versions=(FIRST,))
    empty = without_versions(RECORD, [REQUEST, "r2"])
    assert describe(written(empty)).image == empty
    assert empty.newest == ImageVersion()


def test_one_form_for_what_is_recorded_by_hand() -> None:
    what = "checksum='sha256:{}' origin='https://example.jp/x.raw'".format("0a" * 32)
    found = by_hand(f"<m:image {what}/>")
    version = ImageVersion(f"sha256:{'0a' * 32}", "https://example.jp/x.raw")
    assert found == ImageRecord(versions=(OwnVersion(version),))
    assert not found.made
    assert by_hand(f"<m:image><m:version {what}/></m:image>") == found
    assert by_hand("<m:image/>") == ImageRecord()
    assert by_hand("") is None


def test_a_copy_of_a_definition_is_not_maglicas() -> None:
    other = "11111111-2222-4333-8444-0000000000fe"
    found = describe(written(RECORD, uuid=other))
    assert not found.is_made_image
    assert found.image is not None
    assert found.image.volumes == ()
    assert found.image.nvram is None
    assert found.image.newest.checksum == SECOND.what.checksum
    # Nor is a vm that says that it is an image.
    assert not describe(written(RECORD, uuid=vm_uuid(REQUEST))).is_made_image


def test_an_image_is_no_vm_by_its_uuid() -> None:
    assert uuid.UUID(UUID).version == 8
    assert uuid.UUID(UUID).variant == uuid.RFC_4122
    assert may_be_made_image(UUID)
    assert not may_be_made_image(vm_uuid(REQUEST))
    assert not may_be_made_image(str(uuid.uuid4()))
    metadata = f"<metadata><m:vm xmlns:m='{VM_NAMESPACE}' request='{REQUEST}'/></metadata>"
    assert describe(domain(outside=metadata, uuid=UUID)).made is None


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("checksum", "sha256:{{ x }}"),
        ("checksum", "0a" * 32),
        ("origin", "https://example.jp/\x9b2J"),
        ("origin", "x" * 1001),
        ("origin", ""),
        ("format", "qcow2 "),
        ("format", "q" * 17),
        ("size", "-1"),
        ("size", "9" * 5000),
        ("size", "\N{SUPERSCRIPT TWO}"),
        ("created", "99999999999"),
        ("created", "soon"),
        ("request", "../../etc"),
        ("request", "x" * 65),
    ],
)
def test_what_has_not_the_right_form_is_not_known(attribute: str, value: str) -> None:
    said = f"<m:image request='{REQUEST}'><m:version {attribute}='{value}'/></m:image>"
    found = by_hand(said)
    assert found is not None
    assert found.versions == (OwnVersion(ImageVersion()),)


def test_who_is_shown_only_in_a_line() -> None:
    assert by_hand(f"<m:image request='{REQUEST}' who='a&#10;b'/>") == ImageRecord(REQUEST)
    assert by_hand(f"<m:image request='{REQUEST}' who='{'a' * 201}'/>") == ImageRecord(REQUEST)


def test_of_very_many_versions_the_newest_are_shown_and_all_are_its_own() -> None:
    volumes = tuple(OwnVolume("vda", "p", f"v{n}", f"/p/v{n}") for n in range(MAX_SHOWN + 1))
    many = tuple(
        OwnVersion(ImageVersion(request=f"r{n}"), (volume,)) for n, volume in enumerate(volumes)
    )
    found = describe(written(replace(RECORD, versions=many))).image
    assert found is not None
    assert [version.request for version in found.shown][::99] == ["r1", f"r{MAX_SHOWN}"]
    assert found.volumes == volumes


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        ("https://alice:secret@example.jp/b?token=secret#secret", "https://example.jp/b"),
        ("/images/a?b#c@d.qcow2", "/images/a?b#c@d.qcow2"),
    ],
)
def test_credentials_are_not_kept(origin: str, kept: str) -> None:
    version = replace(FIRST, what=replace(FIRST.what, origin=origin))
    xml = written(replace(RECORD, versions=(version,)))
    assert "secret" not in xml
    found = describe(xml).image
    assert found is not None
    assert found.newest.origin == kept
    (shown,) = by_hand(f"<m:image origin='{origin}'/>").versions
    assert shown.what.origin == kept

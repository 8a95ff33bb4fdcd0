# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.image.checksum import Checksum, SumsFile
from maglica.image.origin import Origin
from maglica.model.errors import NameInvalid

SUM = Checksum("sha256", "a" * 64)
SUMS = SumsFile("https://example.com/SHA256SUMS")
URL = "https://user:secret@example.com/images/a.qcow2?token=secret"


def test_a_url() -> None:
    origin = Origin(url=URL, checksum=SUMS, format="qcow2")
    assert origin.shown == "https://example.com/images/a.qcow2"
    assert origin.file_name == "a.qcow2"


def test_a_path_needs_no_checksum() -> None:
    origin = Origin(path="/srv/images/a b.raw")
    assert (origin.shown, origin.file_name) == ("/srv/images/a b.raw", "a b.raw")
    assert Origin(path="/srv/a.img", checksum=SUM).checksum == SUM


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "give one of them"),
        ({"url": URL, "path": "/a", "checksum": SUM}, "give one of them"),
        ({"url": "file:///etc/passwd", "checksum": SUM}, "is not a web address"),
        ({"url": URL}, r"^https://example.com/images/a.qcow2 needs a checksum"),
        ({"url": "https://example.com/images/", "checksum": SUMS}, "names no file"),
        ({"path": "a.qcow2"}, "'a.qcow2' is not an absolute path"),
        ({"path": ""}, "is not an absolute path"),
        ({"path": "/"}, "is not an absolute path"),
        ({"path": "/srv/../etc/shadow"}, "is not an absolute path"),
        ({"path": "/srv/a\nb"}, "is not an absolute path"),
        ({"path": "/" + "a" * 5000}, "is not an absolute path"),
        ({"path": "/a", "format": "vmdk"}, "'vmdk' is none of qcow2, raw"),
    ],
)
def test_what_is_none(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(NameInvalid, match=problem):
        Origin(**fields)  # type: ignore[arg-type]

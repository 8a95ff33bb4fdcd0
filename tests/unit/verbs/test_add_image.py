# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spec of a new image: where it comes from is checked where it is made, and secrets stay in."""

from __future__ import annotations

import pytest
from maglica.image.checksum import Checksum, SumsFile
from maglica.model.errors import MessageInvalid
from maglica.verbs.add_image import ADD_IMAGE, AddImageSpec

SUM = f"sha256:{'a' * 64}"
URL = "https://me:secret@example.com/a.img?token=secret"
SUMS = "sha256:https://me:secret@example.com/SUMS?token=secret"


def test_where_it_comes_from_is_read() -> None:
    spec = ADD_IMAGE.record({"image": "a", "host": "h", "url": URL, "checksum": SUM}, "spec")
    assert spec == AddImageSpec("a", "h", url=URL, checksum=SUM)
    assert spec.origin.checksum == Checksum("sha256", "a" * 64)
    sums = AddImageSpec("a", "h", url=URL, checksum=SUMS).origin.checksum
    assert sums == SumsFile("https://me:secret@example.com/SUMS?token=secret", "sha256")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ({}, "from a url or from a path"),
        ({"url": URL, "path": "/a", "checksum": SUM}, "from a url or from a path"),
        ({"url": URL}, "needs a checksum"),
        ({"path": "a"}, "not an absolute path"),
        ({"path": "/a", "checksum": "md5:a"}, "not a checksum"),
        ({"path": "/a", "format": "vmdk"}, "not one of qcow2, raw"),
        ({"path": "/a", "xml": "x" * 65537}, "at most 65536 characters"),
        ({"path": "/a", "xml": "<domain>\x1b[2J</domain>"}, r"^spec\.xml: has a control character"),
        ({"path": "/a", "xml": "<domain>\x9b2J</domain>"}, r"^spec\.xml: has a control character"),
        ({"path": "/a", "xml": "<domain>\udc80</domain>"}, r"^spec\.xml: has a control character"),
    ],
)
def test_what_can_not_be_is_refused(said: dict[str, str], cause: str) -> None:
    with pytest.raises(MessageInvalid, match=cause) as error:
        ADD_IMAGE.record({"image": "a", "host": "h", **said}, "spec")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["ü", "a\u3000b", "a\xa0b", "a\xadb", "\U0001f468\u200d\U0001f4bb", "\u202eb", "\u0378"]
)
@pytest.mark.parametrize("begins", ["", "\ufeff"])
def test_a_definition_may_be_written_as_its_editor_likes(begins: str, text: str) -> None:
    xml = f"{begins}<domain>\r\n\t<title>{text}</title>\r\n</domain>\n"
    spec = ADD_IMAGE.record({"image": "a", "host": "h", "path": "/a", "xml": xml}, "spec")
    assert spec.xml == xml


def test_secrets_are_not_shown() -> None:
    xml = "<domain><graphics type='vnc' passwd='se\"cret' passwdValidTo=\"x\"/></domain>"
    spec = AddImageSpec("a", "h", url=URL, checksum=SUMS, xml=xml)
    assert "secret" not in repr(spec)
    shown = spec.without_secrets()
    assert shown.url == "https://example.com/a.img"
    assert shown.checksum == "sha256:https://example.com/SUMS"
    assert shown.xml == xml.replace("'se\"cret'", "''")
    assert shown.without_secrets() == shown
    plain = AddImageSpec("a", "h", url="https://example.com/a.img", checksum=SUM)
    assert plain.without_secrets() == plain

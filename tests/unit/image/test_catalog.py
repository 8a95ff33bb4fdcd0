# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.image import catalog
from maglica.image.catalog import CATALOG, Entry
from maglica.image.checksum import SumsFile
from maglica.model import names, urls
from maglica.model.errors import ImageUnknown, NameInvalid

OWN = Entry("golden", "https://example.com/golden.raw.xz", SumsFile("https://example.com/sums"))
ALL = (
    *("almalinux-10", "almalinux-9", "alpine-3.24", "arch", "debian-12", "debian-13", "fedora-44"),
    *("opensuse-leap-16.0", "rocky-10", "rocky-9", "ubuntu-22.04", "ubuntu-24.04"),
)


def test_what_is_in_it() -> None:
    assert tuple(entry.name for entry in catalog.entries()) == ALL


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_an_entry(entry: Entry) -> None:
    assert names.object_name(entry.name)
    origin = entry.origin()
    assert entry.url.startswith("https://")
    assert "x86_64" in entry.url or "amd64" in entry.url
    assert isinstance(origin.checksum, SumsFile)
    # A server that has one of them has the other.
    assert origin.checksum.url.startswith(entry.url[: -len(urls.file_name(entry.url))])
    assert entry.seen
    assert entry.notes.isprintable()
    assert catalog.find(entry.name) is entry


def test_a_user_s_own() -> None:
    assert catalog.find("golden", [OWN]) is OWN
    assert len(catalog.entries([OWN])) == len(CATALOG) + 1
    mirrored = Entry("debian-13", OWN.url, OWN.checksum)
    assert catalog.find("debian-13", [mirrored]) is mirrored
    assert len(catalog.entries([mirrored])) == len(CATALOG)


def test_one_that_is_not_there() -> None:
    with pytest.raises(ImageUnknown, match=r"no image debian-14: it has alma.*, and 5 more"):
        catalog.find("debian-14", [OWN])


def test_what_is_no_entry() -> None:
    with pytest.raises(NameInvalid, match="is not a web address"):
        Entry("a", "golden.raw.xz", OWN.checksum)

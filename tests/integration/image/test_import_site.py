# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of the fault tests' imports cuts and lies as it says; else it would prove nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.import_site import CUTS, KINDS, LIES, PAUSE, Images, Source
from maglica.image import checksum, sums
from maglica.image.checksum import SumsFile
from maglica.model.errors import ChecksumDiffers
from maglica.model.urls import file_name
from maglica.system import download, unpack
from support.fetched import HURRY, MOST
from support.web_server import served


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    with served() as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr("faults.import_site.PAUSE", PAUSE / 100)
        folder = tmp_path_factory.mktemp("images")
        yield Images(site, folder, random.Random(1))  # noqa: S311 - to be repeated


def fetch(source: Source, path: Path) -> None:
    expected = checksum.parse(source.checksum)
    if isinstance(expected, SumsFile):
        listed = download.read(expected.url, sums.MAX_BYTES, HURRY)
        expected = sums.find(listed, file_name(source.url), expected.url)
    algorithm, digest = expected.algorithm, expected.digest
    download.fetch(
        *(source.url, path),
        algorithm=algorithm,
        digest=digest,
        most=MOST,
        progress=lambda _done, _total: None,
        patience=HURRY,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_comes_whole(kind: str, images: Images, tmp_path: Path) -> None:
    source = images.source(cuts=3, kind=kind)
    source.cuts[:] = CUTS
    before = images.cut.copy()
    path = tmp_path / "part"
    fetch(source, path)
    assert images.cut - before == dict.fromkeys(CUTS, 1)
    assert path.read_bytes() == source.file.data
    packed = unpack.packing(path)
    assert (packed is not None) == ("." in kind)


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_is_taken(lie: str, images: Images, tmp_path: Path) -> None:
    with pytest.raises(ChecksumDiffers):
        fetch(images.source(lie), tmp_path / "part")

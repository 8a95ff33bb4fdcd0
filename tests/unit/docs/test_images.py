# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/images.md against the code: the catalog, the example, the numbers."""

from __future__ import annotations

import re
from pathlib import Path

from maglica.cli import text
from maglica.config import config
from maglica.guest.cloud_init.way import way
from maglica.image import catalog
from maglica.image.catalog import Entry
from maglica.image.checksum import SumsFile
from maglica.model.request import Customize
from maglica.model.urls import file_name
from maglica.system import download, unpack, web
from support.protocol_document import rows

MARKS = re.MULTILINE | re.DOTALL
CHECKOUT = Path(__file__).resolve().parents[3]
DOCUMENT = (CHECKOUT / "docs" / "images.md").read_text()


def link(url: str) -> str:
    return f"[{file_name(url)}]({url})"


def row(entry: Entry) -> tuple[str, ...]:
    assert isinstance(entry.checksum, SumsFile)
    firmware = entry.firmware.value if entry.firmware else "by its disk"
    files = link(entry.url), link(entry.checksum.url)
    return (f"`{entry.name}`", *files, firmware, entry.user or "", entry.notes)


def test_the_catalog_is_there() -> None:
    written = rows(DOCUMENT, "name", "file", "checksums", "firmware", "user", "notes")
    assert [tuple(each) for each in written] == [row(entry) for entry in catalog.entries()]


def test_the_example_is_one() -> None:
    example = re.search(r"```ini\n(.*?)```", DOCUMENT, re.DOTALL)
    assert example
    read = config.parse(example[1], Path("/etc/maglica/maglica.conf"))
    assert [entry.name for entry in read.images] == ["golden"]


def test_the_numbers_are_those_of_the_code() -> None:
    assert (web.MAX_REDIRECTIONS, download.USUAL.tries) == (10, 6)
    assert (download.USUAL.silence, download.STEP) == (60, 4096)
    xz = next(each for each in unpack.PACKINGS if each.name == "xz")
    assert "--memlimit-decompress=256MiB" in xz.words


def test_tables_are_as_the_command_shows_them() -> None:
    shown = dict(re.findall(r"^\$ maglica image (list|inspect golden)\n(.*?)^```", DOCUMENT, MARKS))
    nothing = dict.fromkeys(("way", "checksum", "origin", "reason", "customizable"))
    golden = {
        "way": "cloud-init",
        "checksum": f"sha256:9d2e5cbe2ed9{'0' * 52}",
        "origin": "https://images.example.jp/golden.qcow2",
    }
    hand_made = {"name": "debian12.original", "host": "kvm0.example.jp", "way": "offline"}
    images = [
        {**nothing, **hand_made},
        {**nothing, "name": "golden", "host": "kvm0.example.jp", **golden},
    ]
    assert shown["list"] == text.image_table(images)
    look = {
        "host": "kvm0.example.jp",
        "way": "cloud-init",
        "distro": "debian",
        "release": "13",
        "stack": "netplan",
        "layout": "ext4",
        "reason": way(Customize.AUTO, None, None).reason,
    }
    assert shown["inspect golden"] == text.look_table([look])

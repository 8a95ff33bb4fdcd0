# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's disks are what its definition and their headers both say."""

from __future__ import annotations

import pytest
from maglica.host_worker.job.image import original
from maglica.model.errors import ImageUnsupported
from support.fake_host import IMAGE, FakeHost
from support.qcow2 import BACKING_FORMAT, header

LAYER = (
    "<backingStore type='file'><format type='{kind}'/><source file='{path}'/>{rest}</backingStore>"
)
END = "<backingStore/>"


def add_image(host: FakeHost, stated: str, backing: bool = True) -> None:
    """Add an image whose disk is qcow2 upon ``bottom``, and whose definition says ``stated``."""
    (host.folder / "bottom").write_bytes(b"x" * 512)
    (host.folder / "other").write_bytes(b"y" * 512)
    (host.folder / "link").symlink_to(host.folder / "bottom")
    domain = host.add_image()
    extensions = [(BACKING_FORMAT, b"raw")]
    data = header(extensions=extensions, backing=b"bottom") if backing else header()
    (host.folder / f"{IMAGE}.vda.img").write_bytes(data)
    xml = domain.xml.replace('type="raw"', 'type="qcow2"', 1)
    domain.xml = xml.replace("<target ", f"{stated}<target ")


def layer(host: FakeHost, name: str = "bottom", kind: str = "raw", rest: str = "") -> str:
    return LAYER.format(path=host.folder / name, kind=kind, rest=rest)


def test_what_the_definition_says_of_backing_files_may_be_what_the_header_says(
    host: FakeHost,
) -> None:
    add_image(host, layer(host, "link", rest=END))
    assert len(original.read(IMAGE, host.context).chains["vda"]) == 2


@pytest.mark.parametrize("number", range(2))
def test_or_less_of_it(host: FakeHost, number: int) -> None:
    add_image(host, ("", layer(host))[number])
    assert len(original.read(IMAGE, host.context).chains["vda"]) == 2


@pytest.mark.parametrize("number", range(5))
def test_other_backing_files_are_refused(host: FakeHost, number: int) -> None:
    """libvirt starts the image with those of the definition."""
    stated = (
        END,
        layer(host, "other"),
        layer(host, kind="qcow2"),
        layer(host, rest=layer(host, "other")),
        "<backingStore type='network'><format type='raw'/><source protocol='nbd' name='x'/>"
        "</backingStore>",
    )[number]
    add_image(host, stated)
    with pytest.raises(ImageUnsupported, match="has other backing files by the definition"):
        original.read(IMAGE, host.context)


def test_a_backing_file_that_only_the_definition_knows_is_refused(host: FakeHost) -> None:
    add_image(host, layer(host), backing=False)
    with pytest.raises(ImageUnsupported, match=r"bottom', 'raw'\) than by its header \(none\)"):
        original.read(IMAGE, host.context)


def test_another_format_is_another_version(host: FakeHost) -> None:
    add_image(host, "", backing=False)
    domain = host.connection.lookupByName(IMAGE)
    before = original.read(IMAGE, host.context)
    domain.xml = domain.xml.replace('type="qcow2"', 'type="raw"', 1)
    now = original.read(IMAGE, host.context)
    assert now.chains["vda"][0].identity == before.chains["vda"][0].identity
    assert now.version != before.version

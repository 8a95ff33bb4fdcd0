# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bases of an image that Maglica made: nothing of it is copied while it is as it came."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.disk import chain
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.facts import Seen
from maglica.host_worker.job import undo
from maglica.host_worker.job.image import base, original, unused_bases, ways
from maglica.host_worker.job.vm import clone_steps
from maglica.host_worker.journal.bases import READY, Base, BaseDisk
from maglica.host_worker.ownership import references
from maglica.model.errors import GuestUnsupported, ImageRunning, ImageUnsupported
from maglica.model.request import Customize
from support.fake_host import FakeHost
from support.made_image import NAME, OnHost

SEED = SeedFacts(("ed25519",), "debian")
CLEAN = Seen("debian", "13", "netplan", "ext4", seed=SEED, is_clean=True)
LEFT = replace(CLEAN, is_clean=False)


@pytest.fixture(params=["qcow2", "raw"])
def image(host: FakeHost, request: pytest.FixtureRequest) -> OnHost:
    host.seen = LEFT
    return OnHost(host, request.param)


@contextmanager
def held(image: OnHost, way: Customize) -> Iterator[Base]:
    context = image.host.context
    with base.held(image.read(), context, image.host.request().id, way) as found:
        yield found


def files(image: OnHost) -> set[str]:
    return {path.name for path in image.host.pool.iterdir()}


@pytest.mark.parametrize("way", [Customize.OFFLINE, Customize.CLOUD_INIT])
def test_what_must_change_is_an_overlay_of_what_keeps_it(image: OnHost, way: Customize) -> None:
    before = files(image)
    with held(image, way) as found:
        assert (found.way, found.owns) == (way, True)
        assert found.seed == (SEED if way is Customize.CLOUD_INIT else None)
        assert (found.facts is None) is (way is Customize.CLOUD_INIT)
    (disk,) = found.disks
    (made,) = files(image) - before
    assert made == disk.name
    assert chain.backings_of(disk.path) == (str(image.kept),)
    layers = chain.inspect(disk.path, disk.format, ())
    assert [layer.path for layer in layers] == [disk.path, str(image.kept)]
    # Nothing was copied: the appliance worked in the base itself, which has less than a cluster.
    assert (image.host.copied, image.host.prepared) == ([], [[disk.path]])
    assert Path(disk.path).stat().st_size < 1 << 16
    assert Path(disk.path).stat().st_mode & 0o777 == 0o400


def is_kept_itself(image: OnHost, found: Base) -> bool:
    (disk,) = found.disks
    form = "qcow2" if image.kept.read_bytes()[:3] == b"QFI" else "raw"
    return (found.owns, disk.path, disk.format) == (False, str(image.kept), form)


def test_where_nothing_is_to_change_what_keeps_it_is_the_base(image: OnHost) -> None:
    image.host.seen = CLEAN
    before = files(image)
    with held(image, Customize.CLOUD_INIT) as found:
        assert is_kept_itself(image, found)
        assert found.seed == SEED
    assert files(image) == before
    with held(image, Customize.CLOUD_INIT) as again:
        assert again == found
    assert (image.host.copied, len(image.host.prepared)) == ([], 1)


def test_none_takes_what_keeps_it_without_a_look(image: OnHost) -> None:
    before = files(image)
    with held(image, Customize.NONE) as found:
        assert is_kept_itself(image, found)
    assert (files(image), image.host.copied, image.host.prepared) == (before, [], [])


def test_a_base_that_owns_nothing_goes_without_a_file(image: OnHost) -> None:
    before = files(image)
    for way in (Customize.NONE, Customize.OFFLINE):
        with held(image, way):
            pass
    assert unused_bases.release(NAME, image.host.context) == 2
    assert (files(image), image.host.context.journal.bases()) == (before, ())


@pytest.mark.parametrize("way", [Customize.OFFLINE, Customize.NONE])
def test_nothing_builds_upon_a_version_that_was_taken_back(image: OnHost, way: Customize) -> None:
    """Its files may be there still, and would then stay with nothing that names them."""
    read, before, context = image.read(), files(image), image.host.context
    read.domain.xml = read.domain.xml.replace(image.kept.name, "other")
    with pytest.raises(ImageRunning, match="was taken back"):
        base.new_base.make(read, way, image.host.request().id, context)
    image.host.connection.domains.remove(read.domain)
    with pytest.raises(ImageRunning, match="was taken back"):
        base.new_base.make(read, way, image.host.request().id, context)
    assert (files(image), context.journal.bases()) == (before, ())


def test_what_was_written_to_is_copied_as_a_new_version(image: OnHost) -> None:
    with held(image, Customize.NONE) as first:
        pass
    image.write()
    with held(image, Customize.NONE) as second:
        assert second.owns
    assert first.version != second.version
    assert image.host.copied == [str(image.disk)]
    assert second.disks[0].path != str(image.kept)


def test_a_snapshot_inside_is_a_change(image: OnHost) -> None:
    data = bytearray(image.disk.read_bytes())
    data[60:64] = (1).to_bytes(4, "big")
    image.disk.write_bytes(data)
    assert original.kept(image.read()) is None


def test_a_disk_that_is_cut_off_is_told(image: OnHost) -> None:
    os.truncate(image.disk, 3 << 16)
    with pytest.raises(ImageUnsupported, match="cut off"):
        original.kept(image.read())


def test_an_overlay_that_was_made_larger_is_a_change(image: OnHost) -> None:
    data = bytearray(image.disk.read_bytes())
    data[24:32] = (128 << 20).to_bytes(8, "big")
    image.disk.write_bytes(data)
    assert original.kept(image.read()) is None


def test_a_file_that_libvirt_lends_to_guests_is_no_new_version(image: OnHost) -> None:
    before = image.read().version
    image.kept.chmod(0o440)
    assert image.read().version == before
    os.utime(image.kept)
    assert image.read().version != before


def test_a_way_that_can_not_be_gone_leaves_nothing(image: OnHost) -> None:
    image.host.seen = replace(LEFT, offline="netplan is not known")
    before = files(image)
    request = image.host.request()
    with pytest.raises(GuestUnsupported, match="offline: netplan is not known"):
        ways.chosen(image.read(), Customize.OFFLINE, request.id, image.host.context)
    undo.undo(request.id, image.host.context)
    assert (files(image), image.host.context.journal.bases()) == (before, ())


def test_what_keeps_it_is_needed_as_long_as_a_base_names_it(image: OnHost) -> None:
    image.host.connection.domains.clear()
    image.disk.unlink()
    path = str(image.kept)
    assert references.find(image.host.context).to([path]) is None
    base_id = "0a1b2c3d"
    named = Base(base_id, NAME, "uuid", "v", READY, "default", owns=False)
    disk = BaseDisk("vda", image.kept.name, path, "qcow2")
    image.host.context.journal.add_base(replace(named, disks=(disk,)))
    found = references.find(image.host.context).to([path])
    assert found is not None
    assert found.by == f"a base of the image {NAME}"
    image.host.context.journal.remove_base(base_id)
    assert references.find(image.host.context).to([path]) is None


def test_what_keeps_it_is_needed_by_a_base_upon_it(image: OnHost) -> None:
    with held(image, Customize.OFFLINE) as found:
        pass
    image.host.connection.domains.clear()
    image.disk.unlink()
    used = references.find(image.host.context).to([str(image.kept)])
    assert used is not None
    assert used.by == f"the file {found.disks[0].path}"


def test_the_newest_version_keeps_its_bases_for_all_ways(image: OnHost) -> None:
    for way in (Customize.NONE, Customize.OFFLINE):
        with held(image, way):
            pass
    image.write()
    for way in (Customize.CLOUD_INIT, Customize.OFFLINE):
        with held(image, way) as newest:
            pass
    unused_bases.collect(image.host.context)
    left = image.host.context.journal.bases()
    assert {each.version for each in left} == {newest.version}
    assert {each.way for each in left} == {Customize.CLOUD_INIT, Customize.OFFLINE}


def test_a_full_copy_takes_all_that_is_below_its_base(image: OnHost) -> None:
    image.kept.write_bytes(image.kept.read_bytes().ljust(1 << 20, b"x"))
    with held(image, Customize.OFFLINE) as found:
        source = clone_steps.source(found, image.host.context)
    assert source.allocated >= 1 << 19

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases over the versions of an image, on a host in memory, and which of them go."""

from __future__ import annotations

import errno

import pytest
from maglica.disk import volumes
from maglica.host_worker.job.vm import clone
from maglica.host_worker.ownership import references
from maglica.model.errors import StorageFailed
from maglica.model.request import CloneMode, State
from maglica.model.vm import vm_uuid
from support.fake_host import DEFINITION, DISK, IMAGE, NAMES, FakeHost
from support.qcow2 import BACKING_FORMAT, header


def change(host: FakeHost) -> None:
    (host.folder / f"{IMAGE}.vda.img").write_bytes(b"another version")


def test_a_new_version_has_a_new_base_and_the_old_one_serves_on(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    change(host)
    host.run(host.request(NAMES[1]))
    assert len(host.bases()) == 2
    assert len({base.version for base in host.context.journal.bases()}) == 2


def test_an_old_base_that_nothing_uses_goes(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0], clone_mode=CloneMode.FULL))
    old = host.bases()
    change(host)
    host.run(host.request(NAMES[1]))
    assert len(host.bases()) == 1
    assert host.bases() != old


def test_the_newest_base_stays_without_clones(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    clone.unused_bases.collect(host.context)
    assert len(host.bases()) == 1


def test_the_base_of_an_image_that_is_gone_goes(host: FakeHost) -> None:
    image = host.add_image()
    linked = host.request(NAMES[0])
    host.run(linked)
    host.connection.domains.remove(image)
    clone.unused_bases.collect(host.context)
    assert len(host.bases()) == 1
    (host.pool / f"{volumes.of_vm(NAMES[0], 'vda', vm_uuid(linked.id))}.qcow2").unlink()
    host.connection.domains.clear()
    clone.unused_bases.collect(host.context)
    assert host.bases() == []
    assert host.context.journal.bases() == ()


def test_a_base_below_an_overlay_outside_the_pools_stays(host: FakeHost) -> None:
    image = host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    (name,) = host.bases()
    backing = str(host.pool / name).encode()
    overlay = host.folder / "elsewhere.qcow2"
    overlay.write_bytes(header(backing=backing, extensions=[(BACKING_FORMAT, b"qcow2")]))
    disks = DISK.format(format="qcow2", path=overlay, target="vda")
    host.connection.defineXML(DEFINITION.format(name="theirs", disks=disks, nvram="", firmware=""))
    host.connection.domains.remove(image)
    clone.unused_bases.collect(host.context)
    assert host.bases() == [name]


def old_base_in_use(host: FakeHost) -> str:
    """Make a vm of an image that changes afterwards; return the name of the base below the vm."""
    host.add_image()
    host.run(host.request(NAMES[0]))
    (name,) = host.bases()
    change(host)
    host.run(host.request(NAMES[1], clone_mode=CloneMode.FULL))
    return name


def test_a_pool_behind_a_link_hides_no_use(host: FakeHost) -> None:
    real = host.pool.with_name("real")
    host.pool.rename(real)
    host.pool.symlink_to(real)
    name = old_base_in_use(host)
    clone.unused_bases.collect(host.context)
    assert name in host.bases()
    assert clone.unused_bases.release(IMAGE, host.context) == 1
    assert host.bases() == [name]


def test_a_base_that_a_vm_says_it_needs_stays_without_its_disk(host: FakeHost) -> None:
    name = old_base_in_use(host)
    for path in host.pool.glob(f"{NAMES[0]}.*"):
        path.unlink()
    clone.unused_bases.collect(host.context)
    assert name in host.bases()


def test_what_can_not_be_read_is_not_taken_for_unused(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = old_base_in_use(host)

    def stale(_path: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(references.os, "scandir", stale)
    with pytest.raises(StorageFailed, match=f"{host.pool} of a storage pool can't be read: Stale"):
        clone.unused_bases.collect(host.context)
    # Work that is done does not fail for it.
    clone.unused_bases.tidy(host.context)
    assert name in host.bases()


def test_releasing_one_image_counts_its_own_bases(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    assert clone.unused_bases.release("other.original", host.context) == 0
    assert clone.unused_bases.release(IMAGE, host.context) == 1
    assert host.bases() == []


def test_what_a_lost_journal_knew_stays(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    change(host)
    host.run(host.request(NAMES[1], clone_mode=CloneMode.FULL))
    both = host.bases()
    assert len(both) == 2
    host.context.journal.close()
    for path in host.state_dir.glob("host_worker.sqlite*"):
        path.unlink()
    host.context = host.new_context()
    clone.unused_bases.collect(host.context)
    assert host.bases() == both


def test_a_base_whose_pool_is_elsewhere_now_stays(host: FakeHost) -> None:
    """Its folder was renamed, and the pool defined anew: nothing there is shown to be Maglica's."""
    host.add_image()
    host.run(host.request(NAMES[0]))
    (name,) = host.bases()
    (pool,) = host.connection.pools
    moved = host.pool.rename(host.folder / "moved")
    pool.path = moved
    pool.refresh()
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    clone.unused_bases.collect(host.context)
    assert clone.unused_bases.release(IMAGE, host.context) == 0
    assert (moved / name).exists()


def test_a_base_of_two_disks_of_which_one_is_away_stays(host: FakeHost) -> None:
    host.add_image(["vda", "vdb"])
    host.run(host.request(NAMES[0]))
    first, second = host.bases()
    away = (host.pool / first).rename(host.folder / "away")
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    away.rename(host.pool / first)
    assert {first, second} < set(host.bases())
    assert len(host.bases()) == 4


def test_a_base_whose_file_is_gone_is_made_anew(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0], clone_mode=CloneMode.FULL))
    (host.pool / host.bases()[0]).unlink()
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    assert len(host.context.journal.bases()) == 1


def test_a_base_can_not_be_written_to(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request())
    assert (host.pool / host.bases()[0]).stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("of", ["others", "Maglica, with a long definition"])
def test_a_base_that_a_domain_may_need_stays_whose_disk_can_not_be_seen(
    host: FakeHost, of: str
) -> None:
    """As that of a copy of a linked vm, which another tool has made in a pool of its own."""
    name = old_base_in_use(host)
    away = host.connection.add_pool("away", host.folder / "away")
    away.active = False
    domains = host.connection.domains
    (vm,) = [domain for domain in domains if domain.name() == NAMES[0]]
    if of == "others":
        domains.remove(vm)
        disks = DISK.format(format="qcow2", path=away.path / "copy.qcow2", target="vda")
        host.connection.defineXML(
            DEFINITION.format(name="copy", disks=disks, nvram="", firmware="")
        )
    else:
        long = f"<description>{'x' * (1 << 20)}</description>"
        host.connection.defineXML(vm.XMLDesc(2).replace("<devices>", f"{long}<devices>", 1))
    for path in host.pool.glob(f"{NAMES[0]}.*"):
        path.unlink()
    clone.unused_bases.collect(host.context)
    assert name in host.bases()

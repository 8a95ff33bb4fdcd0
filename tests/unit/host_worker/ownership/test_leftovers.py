# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files look like Maglica's, and which of them something names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from maglica.disk.files import FilePool
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.journal.bases import MAKING, Base, BaseDisk
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import Journal
from maglica.host_worker.ownership import leftovers, references
from maglica.host_worker.ownership.own_files import OwnFiles
from maglica.model.errors import StorageFailed
from support import qcow2


def listed(folder: Path, *named: str) -> list[str]:
    found = leftovers.look_alikes([FilePool("default", str(folder), 0)], ())
    return [Path(leftover.path).name for leftover in leftovers.unnamed(found, named)]


@pytest.mark.parametrize(
    ("name", "looks_alike"),
    [
        ("vm0.example.jp.vda.e295817c.qcow2", True),
        ("vm0-before-upgrade.vda.e295817c.qcow2", True),
        ("maglica-base.0123456789ab.e295817c.vda.qcow2", True),
        ("vm0.example.jp.e295817c_VARS.fd", True),
        ("vm0.example.jp.e295817c_VARS.qcow2", True),
        ("vm0.example.jp.vda.e295817c.raw", False),
        ("vm0.example.jp.qcow2", False),
        ("debian_VARS.fd", False),
        (".vda.e295817c.qcow2", False),
    ],
)
def test_names(tmp_path: Path, name: str, looks_alike: bool) -> None:
    (tmp_path / name).write_bytes(b"x" * 4096)
    assert listed(tmp_path) == [name] * looks_alike
    assert listed(tmp_path, str(tmp_path / name)) == []


def test_only_files(tmp_path: Path) -> None:
    (tmp_path / "a.vda.e295817c.qcow2").mkdir()
    (tmp_path / "b.vda.e295817c.qcow2").symlink_to(tmp_path)
    assert listed(tmp_path) == []
    assert listed(tmp_path / "nothing") == []


def test_a_pool_behind_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    (real / "a.vda.e295817c.qcow2").touch()
    assert listed(link, str(real / "a.vda.e295817c.qcow2")) == []
    both = leftovers.look_alikes([FilePool("one", str(real), 0), FilePool("two", str(link), 0)], ())
    assert [leftover.pool for leftover in both] == ["one"]


def test_what_has_gone_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.vda.e295817c.qcow2"
    path.touch()
    found = leftovers.look_alikes((), [str(tmp_path)])
    path.unlink()
    assert leftovers.unnamed(found, ()) == ()


def test_what_goes_while_the_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an overlay of a look does, whenever it ends."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.vda.e295817c.qcow2").touch()
    real = os.scandir

    @contextmanager
    def scandir(folder: str) -> Iterator[list[os.DirEntry[str]]]:
        with real(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        (tmp_path / "a.vda.e295817c.qcow2").unlink()
        yield found

    monkeypatch.setattr(os, "scandir", scandir)
    assert listed(tmp_path) == ["b.vda.e295817c.qcow2"]


def test_a_base_that_a_vm_says_it_needs(tmp_path: Path) -> None:
    for name in ("01234567", "e295817c"):
        (tmp_path / f"maglica-base.0123456789ab.{name}.vda.qcow2").touch()
    found = leftovers.look_alikes((), [str(tmp_path)])
    (left,) = leftovers.unnamed(found, (), {"e295817c"})
    assert ".01234567." in left.path


def built_upon(path: Path, below: Path | None = None) -> Path:
    """Make a qcow2 file that builds upon another one."""
    path.write_bytes(qcow2.header(backing=None if below is None else str(below).encode()))
    return path


def test_what_others_build_upon(tmp_path: Path) -> None:
    """As vms do upon what an image came as, whose domain somebody has undefined by hand: told how
    to remove it, he would do so.
    """
    kept = built_upon(tmp_path / "maglica-image.0123456789ab.01234567.vda.qcow2")
    vm = built_upon(tmp_path / "vm0.vda.e295817c.qcow2", kept)
    assert listed(tmp_path, str(vm)) == []
    # Not even where that one is a leftover itself: it goes first.
    assert listed(tmp_path) == [vm.name]
    # Nor by way of files that have other names, and lie elsewhere.
    vm.unlink()
    (tmp_path / "elsewhere").mkdir()
    between = built_upon(tmp_path / "elsewhere" / "between", kept)
    snapshot = built_upon(tmp_path / "elsewhere" / "vm0.snapshot", between)
    assert listed(tmp_path, str(snapshot)) == []
    snapshot.unlink()
    assert listed(tmp_path) == [kept.name]


def test_one_that_can_not_be_read_may_build_upon_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: str) -> tuple[str, ...]:
        raise StorageFailed("it can't be read")

    built_upon(tmp_path / "vm0.vda.e295817c.qcow2")
    monkeypatch.setattr(references.chain, "backings_of", broken)
    assert listed(tmp_path) == []


def test_what_the_journal_names(tmp_path: Path) -> None:
    going = OwnFiles((OwnVolume("vda", "p", "n", "/p/going"),), ("/nvram/going",))
    with closing(Journal(tmp_path)) as journal:
        journal.intend("r", Effect.VOLUME, asdict(OwnVolume("vda", "p", "n", "/p/made")))
        journal.intend("r", Effect.FILE, {"path": "/nvram/made"})
        journal.intend("r", Effect.DOMAIN, {"uuid": "u", "name": "n"})
        journal.intend("s", Effect.REMOVAL, going.to_json())
        disks = (BaseDisk("vda", "n", "/p/base", "qcow2"),)
        journal.add_base(Base("b", "i", "u", "v", MAKING, "p", disks))
        named = leftovers.announced(journal)
    assert set(filter(None, named)) == {
        "/p/made",
        "/nvram/made",
        "/p/going",
        "/nvram/going",
        "/p/base",
    }

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the client worker, and what is put back of them."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker import learning
from maglica.client_worker.backup import archive, main, put_back
from maglica.client_worker.journal import Journal
from maglica.model.errors import ConfigInvalid
from maglica.model.request import Request, State
from maglica.system.locks import Lock
from maglica.wire import keys
from support.reports import clone

from ..conftest import Cell
from .conftest import Machine


def opened(machine: Machine) -> Cell:
    return Cell(machine.journal)


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def open_requests(cell: Cell) -> list[Request]:
    return list(cell.context.requests.open.values())


def test_it_is_for_its_owner_only_and_says_what_it_has(
    machine: Machine, cell: Cell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.ca.mkdir()
    (machine.ca / "ca.key").write_text("secret")
    cell.clone("vm0")
    # Its write-ahead log has it, and not the file.
    assert (tmp_path / "old" / "journal.sqlite-wal").stat().st_size > 0
    target = tmp_path / "backup.tar.gz"
    assert machine.make(target) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    manifest = said(capsys)
    assert (manifest["requests"], manifest["open"]) == (1, 1)
    assert manifest["address"] == "cloud.example.jp"
    assert sorted(manifest["files"]) == [
        *("access", "access.d/host-kvm0", "ca/ca.key", "client_worker.conf", "client_worker.key"),
        *("client_worker.pub", "journal.sqlite"),
    ]
    assert main.main(["look", str(target)]) == 0
    assert said(capsys) == manifest
    # Nothing of it is left, and the worker goes on.
    assert not [path for path in machine.files() if "backup" in path]
    cell.clone("vm1")


def test_files_that_somebody_else_has_left_keep_no_backup_from_being_made(
    machine: Machine, cell: Cell, other: Machine, tmp_path: Path
) -> None:
    """Those beside the keys are in the access file, too, so that it is the same afterwards."""
    machine.ca.mkdir()
    left = {
        "access.d/host-kvm0~",
        "access.d/#host-kvm0#",
        "access.d/M\udcfc ller",
        "pki/index.txt~",
    }
    for name in left:
        (machine.folder / name).write_text(f"observer x {'x' * 40}\n")
    (machine.folder / "access.d" / "old").mkdir()
    (machine.folder / "access.d" / "old" / "host-kvm1").touch()
    assert machine.make(tmp_path / "backup.tar.gz") == 0
    assert other.restore(tmp_path / "backup.tar.gz") == 0
    assert left <= other.files().keys()
    assert not (other.folder / "access.d" / "old").exists()


def test_the_authority_is_copied_while_it_does_nothing(
    machine: Machine, cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.ca.mkdir()
    (machine.ca / "lock").touch()
    write = archive.write

    def looking(*arguments: Any, **facts: Any) -> archive.Manifest:
        with pytest.raises(BlockingIOError):
            Lock(machine.ca / "lock", wait=False)
        return write(*arguments, **facts)

    monkeypatch.setattr(archive, "write", looking)
    assert machine.make(tmp_path / "backup.tar.gz") == 0
    Lock(machine.ca / "lock", wait=False).close()


def test_without_a_target_nothing_is_made(machine: Machine, cell: Cell, tmp_path: Path) -> None:
    before = machine.files()
    config = str(machine.folder / "client_worker.conf")
    assert main.main(["make", "--config", config, "--ca", str(machine.ca)]) == 0
    assert machine.files() == before


def test_a_journal_that_is_missing_is_none(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.make(tmp_path / "backup.tar.gz") == 1
    assert f"cannot read the journal {machine.journal}: No such file" in capsys.readouterr().err
    assert not machine.journal.exists()
    assert not (tmp_path / "backup.tar.gz").exists()


def test_a_full_disk_leaves_nothing(
    machine: Machine,
    cell: Cell,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    before = machine.files()
    assert machine.make(tmp_path / "backup.tar.gz") == 1
    assert "has 1.0 MiB free, and a backup of" in capsys.readouterr().err
    assert machine.files() == before


def test_on_another_machine_all_is_back_and_the_journal_is_learning(
    backup: Path, cell: Cell, machine: Machine, other: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    (request,) = open_requests(cell)
    assert other.restore(backup) == 0
    done = said(capsys)
    assert (done["keys_added"], done["kept"], done["key_changed"]) == (["host-kvm0"], None, False)
    assert done["public_key"] == (machine.folder / "client_worker.pub").read_text().strip()
    for name in ("client_worker.key", "client_worker.pub", "access.d/host-kvm0", "access"):
        assert other.files()[name] == machine.files()[name]
    assert (other.folder / "client_worker.key").stat().st_mode & 0o777 == 0o600
    there = opened(other)
    assert open_requests(there) == [request]
    assert there.journal.is_learning()
    assert there.journal.id != cell.journal.id
    # Whoever follows the changes misses none of those to come.
    assert there.journal.revision > cell.journal.revision + 1000000
    there.journal.close()


def test_a_copy_waits_for_every_host(backup: Path, other: Machine) -> None:
    other.restore(backup)
    there = opened(other)
    there.configured = frozenset({"kvm0", "kvm1"})
    there.reopen()
    there.hello("kvm0")
    there.now += 500.0
    there.hello("kvm0")
    assert there.ask("submit", **clone("vm1"))[1]["code"] == "not_ready"
    there.hello("kvm1")
    assert there.clone("vm1").state is State.QUEUED
    assert not there.journal.is_learning()
    there.journal.close()


def test_an_old_copy_does_nothing_that_may_be_done(
    backup: Path, other: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.restore(backup)
    monkeypatch.setattr(learning, "HOSTS_REMEMBER_SECONDS", -1e12)
    there = opened(other)
    assert open_requests(there) == []
    (request,) = there.ask("list")[1]["requests"]
    assert request.state is State.FAILED
    assert "it can't be told whether it was done" in request.failure.text
    there.journal.close()


def test_what_is_in_it_is_written_beside_it_only(
    backup: Path, machine: Machine, other: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder of the journal its owner could put links in the way of root."""
    extract, places = archive.extract, []

    def seen(source: Path, folder: Path) -> archive.Manifest:
        places.append(folder.parent)
        return extract(source, folder)

    monkeypatch.setattr(archive, "extract", seen)
    (tmp_path / "to").mkdir()
    assert machine.make(tmp_path / "to" / "backup.tar.gz") == 0
    assert other.restore(backup) == 0
    assert places == [tmp_path / "to", tmp_path]


def test_one_that_was_cut_off_is_done_again(
    backup: Path, other: Machine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install, done = put_back._install, []

    def cut(source: Path, *arguments: Any) -> None:
        if source.name == "whole":
            raise OSError(28, "No space left on device")
        done.append(install(source, *arguments))

    with monkeypatch.context() as short:
        short.setattr(put_back, "_install", cut)
        assert other.restore(backup) == 1
    assert not (other.folder / "access").exists()
    assert other.restore(backup) == 0
    assert other.files()["access"] == machine.files()["access"]


def test_what_is_newer_is_kept_unless_it_is_asked_for(
    backup: Path, cell: Cell, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.now += 100.0
    newer = cell.clone("vm1")
    cell.journal.close()
    before = machine.files()
    assert machine.restore(backup) == 1
    assert "that is there has requests of 1970-01-01T00:18:20" in capsys.readouterr().err
    assert machine.files() == before
    assert machine.restore(backup, "--force", "--check") == 0
    assert machine.files() == before
    assert machine.restore(backup, "--force") == 0
    kept = Path(said(capsys)["kept"])
    with_newer = Cell(kept)
    assert newer.id in {each.id for each in open_requests(with_newer)}
    with_newer.journal.close()
    cell.open()
    assert [each.name for each in open_requests(cell)] == ["vm0"]


def test_one_that_runs_is_not_touched(
    backup: Path, cell: Cell, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    before = machine.files()
    assert machine.restore(backup, "--check") == 0
    assert machine.restore(backup) == 1
    assert "the client worker runs" in capsys.readouterr().err
    assert machine.files().keys() == before.keys()


def test_a_machine_at_work_keeps_its_keys(
    backup: Path, cell: Cell, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.register("client-bob", "client bob " + "b" * 40)
    (machine.folder / "access.d" / "host-kvm0").unlink()
    cell.journal.close()
    assert machine.restore(backup) == 0
    assert said(capsys)["keys_left"] == ["host-kvm0"]
    assert machine.registered() == ["client-bob"]
    keys.make(machine.folder / "other.key")
    (machine.folder / "other.pub").replace(machine.folder / "client_worker.pub")
    assert machine.restore(backup) == 1
    assert "is another key than the backup's" in capsys.readouterr().err
    cell.open()


def test_a_new_machine_gets_the_keys_that_it_lacks(
    backup: Path, other: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    other.install()
    # The same key by another name: no key may stand in the access file twice.
    (other.folder / "access.d" / "host-kvm0").rename(other.folder / "access.d" / "host-kvm9")
    Journal.open(other.journal).close()
    assert other.restore(backup) == 0
    assert (said(capsys)["key_changed"], other.registered()) == (True, ["host-kvm9"])


def test_a_key_that_nobody_knows_is_no_matter(
    backup: Path, other: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a machine where the client worker was just installed."""
    keys.make(other.folder / "client_worker.key")
    assert other.restore(backup) == 0
    assert not said(capsys)["key_changed"]


def test_an_authority_that_is_there_stays(
    machine: Machine, cell: Cell, other: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for each, text in ((machine, "old"), (other, "new")):
        each.ca.mkdir()
        (each.ca / "cacert.pem").write_text(text)
        (each.ca / "cakey.pem").write_text(text)
        (each.ca / "cakey.pem").chmod(0o600)
    backup = tmp_path / "backup.tar.gz"
    machine.make(backup)
    told = []
    for _time in range(3):
        other.restore(backup)
        done = said(capsys)
        told.append((done["ca"], done["ca_left"], (other.ca / "cakey.pem").read_text()))
        if done["ca_left"]:
            shutil.rmtree(other.ca)
    # The third time it is the backup's own.
    assert told == [(False, True, "new"), (True, False, "old"), (False, False, "old")]
    assert (other.ca / "cakey.pem").stat().st_mode & 0o777 == 0o600


def test_half_a_backup_is_none(backup: Path, other: Machine, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    cuts = [whole[: len(whole) * part // 8] for part in range(8)]
    for number, content in enumerate([*cuts, bytes(damaged)]):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(content)
        assert other.restore(path) == 1
        assert main.main(["look", str(path)]) == 1
    assert other.files().keys() == {"client_worker.conf"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("../escaped", "does not belong there"),
        ("/etc/passwd", "does not belong there"),
        ("ca/../../escaped", "does not belong there"),
        ("access.d/.hidden", "does not belong there"),
    ],
)
def test_nothing_is_written_elsewhere(tmp_path: Path, name: str, text: str) -> None:
    content = tmp_path / "content"
    content.write_text("x")
    facts: dict[str, Any] = {"made": "", "machine": "", "address": ""}
    facts.update(requests=0, open=0, newest=0.0)
    archive.write(tmp_path / "a.tar.gz", [("journal.sqlite", content), (name, content)], **facts)
    (tmp_path / "to").mkdir()
    with pytest.raises(ConfigInvalid, match=text):
        archive.extract(tmp_path / "a.tar.gz", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_link_is_no_file(tmp_path: Path, backup: Path) -> None:
    link = tarfile.TarInfo("journal.sqlite")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(link)
    (tmp_path / "to").mkdir()
    with pytest.raises(ConfigInvalid, match="is no file"):
        archive.extract(tmp_path / "a.tar.gz", tmp_path / "to")

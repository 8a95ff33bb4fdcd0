# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts back what is in a backup, on the same machine or on another one. The client worker is off.

What is newer there than the backup stays, unless ``force`` says otherwise; and then it is kept
beside it. The journal comes last: cut off before that, it can be done again, and until then the one
that was there is in its place. What is in the folder of the journal is its owner's, who may put
anything there: it is touched as that owner.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from ...model.errors import ConfigInvalid, JournalFailed
from ...model.moment import Moment
from ...system.database import lock_path
from ...system.locks import Lock
from . import journal_copy
from .archive import JOURNAL, Manifest
from .journal_copy import as_owner

KEY, PUBLIC = "client_worker.key", "client_worker.pub"
ACCESS = "access.d"
CA, CERTIFICATE = "ca", "cacert.pem"
REPLACED = ".replaced"


@dataclass(frozen=True)
class Places:
    """Where a client worker's files are. Whose the journal's folder is, it runs as."""

    journal: Path
    key: Path
    access: Path
    ca: Path

    @property
    def public(self) -> Path:
        return self.key.with_suffix(".pub")

    @property
    def registered(self) -> Path:
        return self.access.with_name(ACCESS)


def put_back(
    folder: Path, manifest: Manifest, places: Places, *, force: bool, check: bool
) -> dict[str, Any]:
    """Put back what ``archive.extract`` has written to ``folder``; return what was done.

    With ``check`` nothing is changed, and the client worker may run. Raises ConfigInvalid and
    JournalFailed, with nothing changed, where something that is there is newer.
    """
    journal_copy.check(folder / JOURNAL)
    lock = None if check else _lock(places.journal)
    try:
        is_used = _compare(manifest, places.journal, force)
        key_changed = _compare_keys(folder, places, is_used and not force)
        # Who has registered there knows the key that is there.
        is_known = is_used or bool(_files(places.registered))
        added, left = _access(folder, places.registered, is_used)
        has_ca = (folder / CA).is_dir() and not _has_files(places.ca)
        done: dict[str, Any] = {
            "key_changed": key_changed and is_known,
            "keys_added": added,
            "keys_left": left,
            "public_key": (folder / PUBLIC).read_text().strip(),
            "ca": has_ca,
            "ca_left": not has_ca and _is_other_ca(folder / CA, places.ca),
            "kept": str(_beside(places.journal)) if is_used else None,
        }
        if not check:
            _put(folder, places, added, has_ca=has_ca, is_used=is_used)
        return done
    finally:
        if lock is not None:
            _clear(places)
            lock.close()


def _lock(journal: Path) -> Lock:
    try:
        with as_owner(journal):
            return Lock(lock_path(journal), wait=False)
    except BlockingIOError as error:
        raise JournalFailed(f"the client worker runs, with {journal}: stop it first") from error


def _compare(manifest: Manifest, journal: Path, force: bool) -> bool:
    """Tell whether the journal that is there has known requests. Raises if some are newer."""
    if not journal.exists():
        return False
    try:
        with as_owner(journal):
            there = journal_copy.summary(journal)
    except sqlite3.Error as error:
        if force:
            return True
        raise JournalFailed(
            f"cannot read the journal {journal} that is there: {error}; to put the backup's in its"
            f" place all the same (it is kept as {_beside(journal).name}), set restore_force"
        ) from error
    if there.is_used and there.newest > manifest.newest and not force:
        raise JournalFailed(
            f"the journal {journal} that is there has requests of {Moment(there.newest).iso}, and"
            f" the backup's newest are of {Moment(manifest.newest).iso}; to put the backup's in its"
            f" place all the same (it is kept as {_beside(journal).name}), set restore_force"
        )
    return there.is_used


def _compare_keys(folder: Path, places: Places, must_be_same: bool) -> bool:
    """Tell whether the client worker will have another key than now."""
    try:
        is_other = places.public.read_text() != (folder / PUBLIC).read_text()
    except FileNotFoundError:
        return False
    if is_other and must_be_same:
        raise ConfigInvalid(
            f"{places.public} is another key than the backup's, and hosts and users of"
            " this client worker know it; to put the backup's in its place all the same, set"
            " restore_force, and run maglica.cloud.deploy then"
        )
    return is_other


def _is_other_ca(there: Path, here: Path) -> bool:
    """Tell whether the backup has another certificate authority than the machine."""
    try:
        return (there / CERTIFICATE).read_bytes() != (here / CERTIFICATE).read_bytes()
    except FileNotFoundError:
        return False


def _access(folder: Path, registered: Path, is_used: bool) -> tuple[list[str], list[str]]:
    """Return which registered keys are put back, and which are not.

    Those that are there stay. Of a machine that is at work nobody's key is added: it may have been
    taken away since.
    """
    there = {path.name: path.read_text() for path in _files(registered)}
    known = {word for text in there.values() for word in text.split()[2:3]}
    added: list[str] = []
    left: list[str] = []
    for path in _files(folder / ACCESS):
        if path.name in there or set(path.read_text().split()[2:3]) & known:
            continue
        (left if is_used and there else added).append(path.name)
    return added, left


def _clear(places: Places) -> None:
    """Remove what this run, or one before it that was killed, had on its way: copies of secrets."""
    for path in (places.key, places.public, places.access):
        _part(path).unlink(missing_ok=True)
    shutil.rmtree(_part(places.ca), ignore_errors=True)
    with as_owner(places.journal):
        _part(places.journal).unlink(missing_ok=True)


def _put(folder: Path, places: Places, added: list[str], *, has_ca: bool, is_used: bool) -> None:
    places.registered.mkdir(mode=0o755, exist_ok=True)
    for name in added:
        _install(folder / ACCESS / name, places.registered / name, 0o644)
    registered = _files(places.registered)
    # Also by a run that has nothing to add any more: the one before it may have been cut off.
    if registered:
        whole = folder / "whole"
        # A line that somebody has written by hand may have no end.
        lines = (line for path in registered for line in path.read_bytes().splitlines())
        whole.write_bytes(b"".join(line + b"\n" for line in lines))
        _install(whole, places.access, 0o644)
    if has_ca:
        _copy_tree(folder / CA, places.ca)
    with (folder / JOURNAL).open("rb") as content, as_owner(places.journal):
        draft = _draft(content, places.journal)
    _install(folder / KEY, places.key, 0o600, places.journal.parent.stat())
    _install(folder / PUBLIC, places.public, 0o644)
    with as_owner(places.journal):
        _replace(places.journal, draft, is_used=is_used)


def _replace(journal: Path, draft: Path, *, is_used: bool) -> None:
    """Let the draft take the journal's place, with the one that was there kept beside it."""
    if is_used:
        _keep(journal)
    for end in ("-wal", "-shm"):
        journal.with_name(f"{journal.name}{end}").unlink(missing_ok=True)
    draft.replace(journal)


def _keep(journal: Path) -> None:
    """Give the journal that is there another name as well, with all that its log has."""
    kept = sorted(journal.parent.glob(f"{journal.name}{REPLACED}*"))
    # By a run that was cut off.
    before = [each for each in kept if each.samefile(journal)]
    beside = before[0] if before else _beside(journal)
    log, kept_log = (path.with_name(f"{path.name}-wal") for path in (journal, beside))
    has_log = log.exists()
    if has_log:
        kept_log.unlink(missing_ok=True)
        os.link(log, kept_log, follow_symlinks=False)
    if _is_checkpointed(journal) and has_log:
        kept_log.unlink()
    if not before:
        os.link(journal, beside, follow_symlinks=False)


def _is_checkpointed(journal: Path) -> bool:
    """Bring what a journal's log has into the journal; one that can't be read stays as it is."""
    try:
        with closing(sqlite3.connect(journal)) as database:
            ((is_busy, _pages, _moved),) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        return False
    return not is_busy


def _beside(journal: Path) -> Path:
    """Return where the journal is kept: in the place of none that was kept before."""
    names = (f"{journal.name}{REPLACED}{f'-{number}' if number else ''}" for number in count())
    return next(path for path in map(journal.with_name, names) if not path.exists())


def _install(source: Path, target: Path, mode: int, owner: os.stat_result | None = None) -> None:
    """Copy a file so that it is there whole, with its owner, or not at all."""
    with source.open("rb") as content:
        _draft(content, target, mode, owner).replace(target)


def _draft(
    content: IO[bytes], target: Path, mode: int = 0o600, owner: os.stat_result | None = None
) -> Path:
    """Write what is to take the place of ``target``, and return it; it is on the disk."""
    draft = _part(target)
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(content, file)
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _copy_tree(source: Path, target: Path) -> None:
    """Copy the authority's folder, with the rights that it had, as root's: whole or not at all."""
    draft = _part(target)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    for path in sorted(source.rglob("*")):
        to = draft / path.relative_to(source)
        if path.is_dir():
            to.mkdir(mode=0o700, exist_ok=True)
        else:
            _install(path, to, path.stat().st_mode & 0o755)
    # In the place of an empty one at most.
    draft.replace(target)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())

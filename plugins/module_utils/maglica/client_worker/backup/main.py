# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the client worker: ``run.py maglica.client_worker.backup.main make|look|restore``.

The playbooks maglica.cloud.backup and maglica.cloud.restore run it, as root. What it did, it says
as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...config import config
from ...model.errors import ConfigInvalid, JournalFailed, MaglicaError
from ...model.moment import Moment
from ...system import locks
from . import archive, journal_copy
from .put_back import ACCESS, CA, KEY, PUBLIC, Places, put_back

# Folders with copies, of one who was killed: removed by the next one after this many seconds.
_PREFIX = ".backup-"
_OLD_SECONDS = 86400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    options = _parser().parse_args(arguments)
    # None of it is for anybody else.
    before = os.umask(0o077)
    try:
        done = options.act(options)
    except MaglicaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or ''}: {error.strerror}\n")
        return 1
    finally:
        os.umask(before)
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py maglica.client_worker.backup.main",
        description="Back up what makes the client worker, while it runs, and put it back.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    make = verbs.add_parser("make", help="write a backup; it has secrets")
    make.set_defaults(act=_make)
    make.add_argument("--to", type=Path, help="the file to write; without it nothing is made")
    look = verbs.add_parser("look", help="check a backup, and say what is in it")
    look.set_defaults(act=_look)
    restore = verbs.add_parser("restore", help="put back what is in a backup")
    restore.set_defaults(act=_restore)
    for each in (look, restore):
        each.add_argument("file", type=Path)
    for each in (make, restore):
        each.add_argument("--config", type=Path, required=True, help="client_worker.conf")
        each.add_argument("--ca", type=Path, required=True, help="folder of the authority, if any")
    restore.add_argument("--force", action="store_true", help="also in the place of what is newer")
    restore.add_argument("--check", action="store_true", help="only say what would be done")
    return parser


def _make(options: argparse.Namespace) -> dict[str, Any]:
    settings = config.load(options.config)
    service = settings.need_client_worker_service()
    if not service.journal.exists():
        raise JournalFailed(f"cannot read the journal {service.journal}: No such file or directory")
    if options.to is None:
        with journal_copy.as_owner(service.journal):
            return asdict(journal_copy.check(service.journal))
    key = service.secret_key_file
    files = [(KEY, key), (PUBLIC, key.with_suffix(".pub")), ("client_worker.conf", options.config)]
    files.append(("access", service.access_file))
    registered = service.access_file.with_name(ACCESS)
    # Of what is in folders there nothing is in the access file.
    keys = (path for path in _files(registered) if path.parent == registered)
    files += [(f"{ACCESS}/{path.name}", path) for path in keys]
    with _copied(service.journal) as (summary, copy), _still(options.ca):
        files += [(f"{CA}/{path.relative_to(options.ca)}", path) for path in _files(options.ca)]
        manifest = archive.write(
            options.to,
            [(archive.JOURNAL, copy), *files],
            made=Moment(time.time()).iso,
            machine=os.uname().nodename,
            address=settings.need_client_worker().address,
            requests=summary.requests,
            open=summary.open,
            newest=summary.newest,
        )
    # Read again, as whoever restores it does.
    with _beside(options.to) as place:
        if archive.extract(options.to, place) != manifest:
            raise ConfigInvalid(f"{options.to} is not read as it was written")
    return asdict(manifest)


def _look(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="maglica-backup-") as place:
        manifest = archive.extract(options.file, Path(place))
        journal_copy.check(Path(place) / archive.JOURNAL)
    return asdict(manifest)


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    service = config.load(options.config).need_client_worker_service()
    places = Places(service.journal, service.secret_key_file, service.access_file, options.ca)
    with _beside(options.file) as place:
        manifest = archive.extract(options.file, place)
        done = put_back(place, manifest, places, force=options.force, check=options.check)
    facts = asdict(manifest)
    del facts["files"]
    return {**facts, **done}


def _still(authority: Path) -> AbstractContextManager[object]:
    """Keep the authority, if there is one, as it is: by the lock of the role certificates."""
    lock = authority / "lock"
    return locks.held(lock) if lock.exists() else nullcontext()


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder, but those that somebody is writing or has left."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    shown = (path for path in found if "/." not in f"/{path.relative_to(folder)}")
    return sorted(shown)


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Make a folder beside the archive for what is in it, and remove it then.

    Not beside the journal: whose that folder is may put a link in the place of what is root's.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=file.absolute().parent) as place:
        yield Path(place)


@contextmanager
def _copied(journal: Path) -> Iterator[tuple[journal_copy.Summary, Path]]:
    """Copy the journal as its owner does, beside it, and remove the copy then."""
    with journal_copy.as_owner(journal):
        folder = _folder(journal.parent)
    try:
        with journal_copy.as_owner(journal):
            summary = journal_copy.copy(journal, folder / archive.JOURNAL)
            # What its owner can't read is not opened, whatever lies there by now.
            file = (folder / archive.JOURNAL).open("rb")
        with file:
            yield summary, Path(f"/proc/self/fd/{file.fileno()}")
    finally:
        with journal_copy.as_owner(journal):
            shutil.rmtree(folder)


def _folder(parent: Path) -> Path:
    """Make a folder for a copy, and remove those of whoever was killed before."""
    for left in parent.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))


if __name__ == "__main__":
    raise SystemExit(main())

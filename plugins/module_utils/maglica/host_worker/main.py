# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host worker's command line: ``run.py maglica.host_worker.main``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config import config
from ..model.errors import ConfigInvalid, MaglicaError
from ..system import log
from ..wire import keys
from .daemon.service import Service
from .journal.journal import Journal

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker until it is told to stop; return the exit status."""
    options = _parser().parse_args(arguments)
    log.start("maglica-host-worker", logging.DEBUG if options.verbose else logging.INFO)
    try:
        settings, pair = _load(Path(options.config))
        if options.check:
            sys.stdout.write(f"{settings.path}: ok\n")
            return 0
        if options.remains:
            sys.stdout.write(f"{json.dumps(_remains(settings.need_host_worker().state_dir))}\n")
            return 0
        Service(settings, pair).run()
    except MaglicaError as error:
        _log.error("%s", error)
        return 1
    return 0


def _load(path: Path) -> tuple[config.Config, keys.KeyPair | None]:
    """Return what the file says and this host's key, after everything is checked."""
    loaded = config.load(path)
    own = loaded.need_host_worker()
    pair = None if loaded.need_client_worker().insecure else keys.read(own.secret_key_file)
    if not own.state_dir.is_dir() or not os.access(own.state_dir, os.W_OK):
        raise ConfigInvalid(
            f"{path}: [host_worker] state_dir: {own.state_dir} is not a folder that can be"
            " written to"
        )
    return loaded, pair


def _remains(state_dir: Path) -> dict[str, list[str]]:
    """Return what only the journal knows: what has not ended, and which volumes are bases."""
    journal = Journal(state_dir)
    try:
        return {
            "requests": journal.open_ids(),
            "bases": [disk.path for base in journal.bases() if base.owns for disk in base.disks],
        }
    finally:
        journal.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py maglica.host_worker.main",
        description="Do what the client worker asks of this host: clone, start, stop, resize and"
        " remove vms through the local libvirtd. Runs in the foreground; SIGTERM ends it after the"
        " jobs that run, or after half a minute, and the next start takes up what was left.",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=config.default_path(),
        help="maglica.conf with the sections [client_worker] and [host_worker]"
        " (default: $MAGLICA_CONFIG, else %(default)s)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check the configuration, the key and the state folder, and do nothing else",
    )
    parser.add_argument(
        "--remains",
        action="store_true",
        help="print what nobody will know when the journal is gone (JSON: requests that have not"
        " ended, files of bases), and do nothing else",
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

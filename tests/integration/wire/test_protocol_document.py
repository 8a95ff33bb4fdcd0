# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers written from docs/protocol.md alone get on with the client worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import foreign_peer
from support.client_worker import Worker


def test_peers_written_from_the_document_alone(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    worker = Worker(tmp_path / "worker")
    (tmp_path / "peers").mkdir()
    # -I: neither the environment nor the script's folder makes the library importable.
    command = [sys.executable, "-I", foreign_peer.__file__, str(tmp_path / "peers")]
    ports = [str(port) for port in worker.ports]
    try:
        worker.start()
        with subprocess.Popen(
            [*command, *ports, worker.keys.public.decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as peers:
            assert peers.stdout is not None
            lines = list(iter(peers.stdout.readline, "ready\n"))
            for role, name, key in map(str.split, lines):
                worker.access[key] = f"{role} {name}"
            worker.write_access()
            output, errors = peers.communicate("\n", timeout=240)
        assert (peers.returncode, output) == (0, "all is as the page says\n"), errors
    finally:
        worker.close()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shell is offered of names, by a real question to a client worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.model.moment import Moment
from maglica.model.plain import plain
from maglica.wire.frames import Message
from support.cli_runs import HOST0, HOST1, completing, domain, host
from support.client_worker import environment
from support.wire_server import WireServer

HOSTILE = host("host2.example.jp", domain("$(reboot)", made=True), domain("a b", made=True))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WireServer]:
    hosts = [plain(replace(status, seen=Moment(1))) for status in (HOST0, HOST1, HOSTILE)]
    made = WireServer(tmp_path, lambda _message: Message("hosts", {"hosts": hosts}))
    made.start()
    yield made
    made.stop()


def completed(server: WireServer, folder: Path, line: str, seconds: float) -> set[str]:
    """Return what a shell is offered for the end of a command line, which may take so long."""
    written = folder / "maglica.conf"
    config = server.config()
    written.write_text(
        f"[client_worker]\naddress = 127.0.0.1\nrequest_port = {server.port}\n"
        f"public_key = {server.keys.public.decode()}\n"
        f"[library]\nsecret_key_file = {config.need_library().secret_key_file}\n"
    )
    found = folder / "found"
    asked = completing(line.replace("CONFIG", str(written)), found)
    patient = (
        "from maglica.cli import completion, main\n"
        f"completion.SECONDS = {seconds}\n"
        "raise SystemExit(main.main())"
    )
    subprocess.run([sys.executable, "-c", patient], check=True, env=environment(**asked))
    return set(filter(None, found.read_text().split("\n")))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vm stop ", {"vm1.example.jp", "old"}),
        ("vm show o", {"old"}),
        ("vm clone --image SL6.0", {"SL6.0-x86_64.original"}),
        ("vm list --host host1", {"host1.example.jp"}),
        ("image prepare SL", {"SL6.0-x86_64.original", "SL6.1-x86_64.original"}),
        ("vm add-disk vm1.example.jp data --pool ", {"default"}),
        ("vm clone --network d", {"default"}),
        ("vm prune --tag shop --keep vm", {"vm1.example.jp"}),
        ("request list --name vm", {"vm1.example.jp"}),
    ],
)
def test_names_are_those_that_the_client_worker_knows(
    server: WireServer, tmp_path: Path, line: str, words: set[str]
) -> None:
    offered = completed(server, tmp_path, f"maglica --config CONFIG {line}", 60)
    assert {word for word in offered if not word.startswith("-")} == words
    assert [message.type for message in server.heard] == ["hosts"]


def test_a_silent_client_worker_offers_nothing(server: WireServer, tmp_path: Path) -> None:
    server.answer = lambda _message: None
    assert not completed(server, tmp_path, "maglica --config CONFIG vm show v", 0.5)

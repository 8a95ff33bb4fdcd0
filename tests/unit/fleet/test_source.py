# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which source is asked, by what is configured and what this machine has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from maglica import _deps
from maglica.config.config import ClientWorker, Config, HostEntry
from maglica.fleet.by_libvirt import LibvirtFleet
from maglica.fleet.by_reports import ReportedFleet
from maglica.fleet.source import Access, Source
from maglica.model.errors import ConfigInvalid
from maglica.wire import client
from support.reported import FakeReports

HOSTS = (HostEntry("kvm0", "qemu:///system"),)
PEER = ClientWorker("127.0.0.1", insecure=True)
NOTHING = Config(Path("maglica.conf"))
ONLY_HOSTS = Config(Path("maglica.conf"), hosts=HOSTS)
ONLY_PEER = Config(Path("maglica.conf"), client_worker=PEER)
BOTH = Config(Path("maglica.conf"), client_worker=PEER, hosts=HOSTS)


@pytest.mark.parametrize(
    ("config", "has_libvirt", "chosen"),
    [
        (BOTH, True, Source.LIBVIRT),
        (BOTH, False, Source.CLIENT_WORKER),
        (ONLY_PEER, True, Source.CLIENT_WORKER),
        # What is lacking is told when it is read.
        (ONLY_HOSTS, False, Source.LIBVIRT),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, config: Config, has_libvirt: bool, chosen: Source
) -> None:
    monkeypatch.setattr(_deps, "has", lambda name: has_libvirt and name == "libvirt")
    assert Access(config).chosen() is chosen
    kind = LibvirtFleet if chosen is Source.LIBVIRT else ReportedFleet
    assert isinstance(Access(config).fleet(FakeReports(())), kind)


@pytest.mark.parametrize(
    ("config", "asked", "why"),
    [
        (NOTHING, Source.AUTO, r"is missing; nor is there a section \[host NAME\]"),
        (ONLY_PEER, Source.LIBVIRT, r"section \[host NAME\] is missing"),
        (ONLY_HOSTS, Source.CLIENT_WORKER, r"section \[client_worker\] is missing"),
    ],
)
def test_what_is_not_configured(config: Config, asked: Source, why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        Access(config, asked).chosen()


def test_the_source_that_is_named_is_asked() -> None:
    assert Access(BOTH, Source.CLIENT_WORKER).chosen() is Source.CLIENT_WORKER
    access = Access(BOTH, Source.LIBVIRT, timeout=3.0, auth_file="/auth", parallel=2)
    with access.opened() as fleet:
        assert fleet == LibvirtFleet(HOSTS, 3.0, "/auth", 2)


def test_a_way_to_the_client_worker_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Client(FakeReports):
        def __init__(self, config: Config, reply_timeout: float) -> None:
            super().__init__(())
            said.append(f"{config is ONLY_PEER} {reply_timeout}")

        def __enter__(self) -> FakeReports:
            said.append("opened")
            return self

        def __exit__(self, *_error: object) -> None:
            said.append("closed")

    monkeypatch.setattr(client, "Client", Client)
    with Access(ONLY_PEER, reply_timeout=2.5).opened() as fleet:
        assert fleet.names == ()
    assert said == ["True 2.5", "opened", "closed"]


def test_who_asks_libvirt_does_not_import_the_protocol() -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; import maglica.fleet.source;"
        " print(*(name for name in sys.modules if name.startswith('maglica.wire')))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout == b"\n"

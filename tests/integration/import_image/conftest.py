# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from maglica.guest.cloud_init.way import Chosen
from maglica.host_worker.job.image import ways
from maglica.model.request import Customize
from maglica.system import download
from support import qemu_libvirtd
from support.fetched import HURRY
from support.import_host import ImportHost
from support.web_server import Site, served


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[str]:
    # A short path: sockets lie in it.
    folder = Path(tempfile.mkdtemp(prefix="maglica-import-"))
    with qemu_libvirtd.running(folder) as uri:
        yield uri
    shutil.rmtree(folder)


@pytest.fixture
def host(libvirtd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportHost]:
    """A host whose images nobody looks into: their guests can't be customized but by nothing."""
    chosen = Chosen(Customize.NONE, "the test says so")
    monkeypatch.setattr(ways, "chosen", lambda *_arguments, **_named: chosen)
    connection = libvirt.open(libvirtd)
    made = ImportHost(tmp_path, libvirtd, connection)
    yield made
    made.close()
    connection.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server, and no proxy before it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(download.fetch.__kwdefaults__, "patience", HURRY)
    with served() as site:
        yield site


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may read."""
    folder = Path(tempfile.mkdtemp(prefix="maglica-public-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a libvirtd and a network of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import qemu_libvirtd
from support.hosting_host import HostingHost
from support.netns import Star


@pytest.fixture(scope="module")
def running_host() -> Iterator[HostingHost]:
    folder = Path(tempfile.mkdtemp(prefix="maglica-h"))
    star = Star(1)
    try:
        star.open()
        with qemu_libvirtd.running(folder / "d", within=star.command(1, [])) as uri:
            (folder / "d" / "lib" / "images").mkdir()
            host = HostingHost(folder, star, uri)
            yield host
            host.clear()
            host.connection.close()
    finally:
        star.close()
        shutil.rmtree(folder)


@pytest.fixture
def host(running_host: HostingHost) -> Iterator[HostingHost]:
    yield running_host
    running_host.clear()

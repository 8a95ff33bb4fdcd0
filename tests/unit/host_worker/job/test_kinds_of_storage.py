# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs leave to a pool's kind of storage how its volumes are named, made and written of."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from maglica.disk import pools, volumes
from maglica.disk.chain import Chain
from maglica.disk.files import FilePool
from maglica.domain import definition
from maglica.domain.clone import DiskSource
from maglica.domain.metadata import OwnVolume
from maglica.model.request import State
from support.fake_host import FakeHost


@dataclass(frozen=True)
class RawPool(FilePool):
    """A kind of storage that differs in all that can differ where volumes are files."""

    FORMAT: ClassVar[str] = "raw"
    SUFFIX: ClassVar[str] = ".raw"
    overlays: ClassVar[list[str]] = []

    def overlay(self, connection: Any, volume: OwnVolume, base: Chain) -> None:
        self.overlays.append(volume.name)
        self.create(connection, volume, base[0].size)

    def source(self, volume: OwnVolume) -> DiskSource:
        return replace(super().source(volume), path=f"/elsewhere/{volume.name}")


def test_a_clone_in_a_pool_of_another_kind(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    xml = f"<pool type='other'><target><path>{host.pool}</path></target></pool>"
    monkeypatch.setattr(host.connection.pools[0], "XMLDesc", lambda _flags=0: xml)
    monkeypatch.setattr(pools, "KINDS", {"other": RawPool})
    host.add_image()
    (done,) = host.run(host.request(start=False))
    assert done.state is State.DONE, done.failure
    (base, vm) = host.volumes()
    assert re.fullmatch(r"maglica-base\..*\.raw", base)
    assert RawPool.overlays == [vm] == [f"{volumes.of_vm(done.name, 'vda', done.vm.uuid)}.raw"]
    (domain,) = [each for each in host.connection.domains if each.name() == done.name]
    (disk,) = definition.describe(domain.xml).disks
    assert (disk.format, disk.source) == ("raw", f"/elsewhere/{vm}")

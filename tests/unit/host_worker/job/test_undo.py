# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal announces is taken back only as far as it still is so."""

from __future__ import annotations

import pytest
from maglica.disk import qemu_img
from maglica.host_worker.job import undo
from maglica.host_worker.journal.intents import Effect
from maglica.model.vm import vm_uuid
from support.fake_host import FakeHost
from support.qcow2 import header

NAME = "vm0.example.jp"


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_disk_that_was_made_independent_is_laid_upon_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, is_linked: bool
) -> None:
    """A backup of the journal says that the copy is under way, long after it has ended."""
    host.add_image()
    (made,) = host.run(host.request(NAME, start=False))
    (disk,) = [host.pool / name for name in host.volumes() if name.startswith(NAME)]
    (base,) = host.bases()
    disk.write_bytes(header())
    (domain,) = [each for each in host.connection.domains if each.name() == NAME]
    if not is_linked:
        domain.xml = domain.xml.replace(" base=", " was=")
    data = {"uuid": vm_uuid(made.id), "target": "vda", "path": str(disk)}
    below = {"backing": str(host.pool / base), "format": "qcow2"}
    laid: list[str] = []
    monkeypatch.setattr(qemu_img, "lay_upon", lambda path, *_below: laid.append(path))
    request = host.request("vm1.example.jp")
    host.context.journal.intend(request.id, Effect.PULL, {**data, **below})
    undo.undo(request.id, host.context)
    assert laid == [str(disk)] * is_linked

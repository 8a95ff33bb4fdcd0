# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images whose guests have cloud-init, unless a test says something else of them: none is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.facts import Seen
from maglica.guest.prepare import Prepared
from maglica.host_worker.job.image import look
from maglica.model.request import Customize

from .fake_host import FakeHost, prepared

FACTS = SeedFacts(("ed25519",), "debian", root_device="/dev/sda1", root_kind="ext4")


@dataclass
class Guests:
    """What looks find: why cloud-init would not obey, why nothing can be written, and the rest."""

    cloud_init: str | None = None
    offline: str | None = None
    facts: SeedFacts = field(default_factory=lambda: FACTS)

    @property
    def seen(self) -> Seen:
        seed = self.facts if self.cloud_init is None else None
        return Seen(cloud_init=self.cloud_init, offline=self.offline, seed=seed)


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    found = Guests()

    def prepare(*asked: Any) -> Prepared:
        host.seen = found.seen
        return host.prepare(*asked)

    monkeypatch.setattr(look, "prepare_base", prepare)
    return found


def look_at(found: Guests, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Let looks at all images find this, from now on."""

    def prepare(_drives: Any, asked: Customize | None, *_rest: Any) -> Prepared:
        return prepared(found.seen, asked)

    monkeypatch.setattr(look, "prepare_base", prepare)
    return found

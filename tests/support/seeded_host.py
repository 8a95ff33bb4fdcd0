# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images whose guests have cloud-init, unless a test says something else of them: none is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.cloud_init.way import Chosen, way
from maglica.host_worker.job.image import base as bases
from maglica.host_worker.job.image import ways
from maglica.host_worker.journal.bases import Base
from maglica.model.request import Customize

from .fake_host import FakeHost

FACTS = SeedFacts(("ed25519",), "debian", root_device="/dev/sda1", root_kind="ext4")


@dataclass
class Guests:
    """What looks find: why cloud-init would not obey, why nothing can be written, and the rest."""

    cloud_init: str | None = None
    offline: str | None = None
    facts: SeedFacts = field(default_factory=lambda: FACTS)


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    return look_at(Guests(), monkeypatch)


def look_at(found: Guests, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Let looks at all images find this, from now on."""
    real = bases.held

    def chosen(image: Any, asked: Customize, *_more: Any) -> Chosen:
        return way(asked, found.cloud_init, found.offline)

    @contextmanager
    def held(
        image: Any, context: Any, request_id: str, asked: Customize, *more: Any
    ) -> Iterator[Base]:
        with real(image, context, request_id, asked, *more) as base:
            yield replace(base, seed=found.facts) if asked is Customize.CLOUD_INIT else base

    monkeypatch.setattr(ways, "chosen", chosen)
    monkeypatch.setattr(bases, "held", held)
    return found

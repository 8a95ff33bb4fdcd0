# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers as a test decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.model.plain import plain
from maglica.model.request import Request
from maglica.verbs.clone import CloneSpec
from maglica.wire.frames import Message
from support.wire_server import WireServer

SPEC = CloneSpec(name="vm0.example.jp", image="debian12.original")
REQUEST = Request(id="0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e", spec=SPEC, who="me")


def reply(request: Request) -> Message:
    return Message("requests", {"requests": [plain(request)]})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WireServer]:
    made = WireServer(tmp_path, lambda message: reply(REQUEST))
    made.start()
    yield made
    made.stop()

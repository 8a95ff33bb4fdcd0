# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on the real hosts that `make cloud` brought up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.cloud import IMAGE, Cloud, Result


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Return the running cloud."""
    running = Cloud.load()
    yield running
    running.close()


@pytest.fixture(scope="module")
def clone(cloud: Cloud) -> Iterator[Callable[..., Result]]:
    """Return a function that clones a vm from the original image; all are removed in the end."""
    names = []

    def make(name: str, *options: str, **arguments) -> Result:
        names.append(name)
        result = cloud.vm(name, *options, image=IMAGE, **arguments)
        assert result.status in ("CHANGED", "SUCCESS"), result.output
        return result

    yield make
    for name in names:
        removed = cloud.vm(name, state="absent")
        assert removed.status in ("CHANGED", "SUCCESS"), removed.output


@pytest.fixture
def nothing_left(cloud: Cloud) -> Iterator[None]:
    """Check that a test leaves no domain and no volume on any host, but one base of the image."""

    def there() -> dict[str, tuple[set[str], set[str]]]:
        return {host: (cloud.domains(host), cloud.volumes(host)) for host in cloud.hosts}

    before = there()
    yield
    for host, (domains, volumes) in there().items():
        bases, kept = (
            {v for v in one if v.startswith("maglica-base.")} for one in (volumes, before[host][1])
        )
        assert len(bases - kept) <= 1
        assert (domains, volumes - bases) == (before[host][0], before[host][1] - kept)

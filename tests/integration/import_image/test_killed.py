# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An import whose process is killed at each point, and what the next one does or undoes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from maglica.host_worker.job.image import add_image
from maglica.host_worker.journal.intents import Effect, Intents
from maglica.model.errors import HostDown
from maglica.model.request import Request, State
from maglica.verbs.add_image import AddImageSpec
from support.import_host import HOST, NAME, ImportHost, raw_disk, sha256
from support.web_server import Handler, Site

OLD, NEW = raw_disk(b"o"), raw_disk(b"n")


class Killed(BaseException):
    """The process is gone here."""


@contextmanager
def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Effect]]:
    """Kill what runs in the block at the ``number``-th point: before and after each effect is
    announced; yield the effects that were.
    """
    announced: list[Effect] = []
    points = 0
    real = Intents.intend

    def point() -> None:
        nonlocal points
        points += 1
        if points == number:
            raise Killed

    def intend(self: Intents, request_id: str, kind: Effect, data: dict[str, Any]) -> None:
        point()
        announced.append(kind)
        real(self, request_id, kind, data)
        point()

    with monkeypatch.context() as planted:
        planted.setattr(Intents, "intend", intend)
        yield announced


def asked(host: ImportHost, site: Site, data: bytes) -> Request:
    site.files["/a.img"] = data
    url = f"{site.url}/a.img"
    return host.request(AddImageSpec(NAME, HOST, url=url, checksum=sha256(data), interfaces=()))


def cancel(host: ImportHost, request: Request) -> Request:
    """End a request whose job is gone, as the worker does when it is cancelled."""
    host.journal.cancel(request.id)
    return host.end(request)


def points_of(host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many points an import has."""
    with killed_at(0, monkeypatch) as announced:
        host.run(asked(host, site, OLD))
    host.remove()
    assert host.is_empty()
    # The file, its two volumes, the domain; then what its base is made of.
    assert announced[:4] == [Effect.FETCH, Effect.VOLUME, Effect.VOLUME, Effect.IMAGE]
    return 2 * len(announced)


def test_killed_at_every_point(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try makes it, once; cancelled, nothing of it is left."""
    for number in range(1, points_of(host, site, monkeypatch) + 1):
        for is_cancelled in (False, True):
            request = asked(host, site, OLD)
            with killed_at(number, monkeypatch), pytest.raises(Killed):
                host.run(request)
            if is_cancelled:
                assert cancel(host, request).state is State.CANCELLED, number
            else:
                assert host.end(request).state is State.DONE, number
                # What tells that something was done.
                assert "define" in host.phases(request), number
                assert host.content(host.kept()) == OLD
                host.remove()
            assert host.is_empty(), (number, host.files(), host.domains())


def test_a_new_version_that_is_killed_leaves_the_old_one(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(asked(host, site, OLD))
    image, kept = host.image(), host.kept()
    for number in range(1, 9):
        request = asked(host, site, NEW)
        with killed_at(number, monkeypatch), pytest.raises(Killed):
            host.run(request)
        assert cancel(host, request).state is State.CANCELLED
        assert (host.image(), host.kept()) == (image, kept), number
        assert host.content(kept) == OLD
        assert host.journal.announced() == ()
        assert [path for path in host.files() if "fetch" in path] == []
    host.run(asked(host, site, NEW))
    assert host.content(host.kept()) == NEW
    assert not kept.exists()


def test_what_can_not_be_undone_any_more_is_done_also_when_it_is_cancelled(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: Any) -> None:
        raise Killed

    host.run(asked(host, site, OLD))
    request = asked(host, site, NEW)
    with monkeypatch.context() as planted, pytest.raises(Killed):
        planted.setattr(add_image.made, "tidy", killed)
        host.run(request)
    site.requests.clear()
    assert cancel(host, request).state is State.DONE
    assert host.content(host.kept()) == NEW
    assert site.requests == []
    # As other requests do at their end.
    add_image.made.tidy(host.context)
    assert len(host.image().image.versions) == 1


def test_nothing_is_undone_while_libvirtd_is_away(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = host.context.connect

    def away() -> None:
        # For a moment only.
        host.context.connect = connect  # type: ignore[method-assign]
        raise HostDown("libvirtd does not answer")

    last = points_of(host, site, monkeypatch)
    request = asked(host, site, OLD)
    with killed_at(last, monkeypatch), pytest.raises(Killed):
        host.run(request)
    before = (host.files(), host.image())
    with monkeypatch.context() as broken, pytest.raises(HostDown):
        broken.setattr(host.context, "connect", away)
        host.run(request)
    assert (host.files(), host.image()) == before
    site.requests.clear()
    assert host.end(request).state is State.DONE
    assert site.requests == []


def test_a_cut_download_goes_on_where_it_ended(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = len(OLD) // 2
    request = asked(host, site, OLD)

    def cut(handler: Handler) -> None:
        handler.send_file(OLD, upto=half)
        # While this connection is open the job waits, and is killed.
        raise_in_job.append(True)

    raise_in_job: list[bool] = []
    site.answers["/a.img"] = cut

    def alive(*_arguments: Any) -> None:
        if raise_in_job:
            raise Killed

    with monkeypatch.context() as planted, pytest.raises(Killed):
        planted.setattr(host.context, "counted", alive)
        host.run(request)
    (part,) = (host.pool / name for name in host.files())
    assert part.stat().st_size == half
    del site.answers["/a.img"]
    site.requests.clear()
    assert host.end(request).state is State.DONE
    assert site.asked() == [f"bytes={half}-"]
    assert host.content(host.kept()) == OLD
    assert not part.exists()


def test_what_is_left_of_a_cut_download_goes_with_its_request(
    host: ImportHost, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(host, site, OLD)
    with killed_at(3, monkeypatch), pytest.raises(Killed):
        host.run(request)
    (part,) = (host.pool / name for name in host.files())
    assert Path(part).read_bytes() == OLD
    assert cancel(host, request).state is State.CANCELLED
    assert host.is_empty()

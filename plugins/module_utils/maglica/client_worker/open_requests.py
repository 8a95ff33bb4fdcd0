# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The open requests, in memory as in the journal: a change is in both or, rolled back, in none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..model.errors import EntryUnreadable
from ..model.moment import Moment
from ..model.request import Request, State
from ..verbs import table
from .journal import Journal, digest


class OpenRequests:
    """Finds requests and changes them; changes come between ``begin`` and ``commit``.

    ``open`` has the open requests by id; ``added`` has what the transaction under way has added,
    ``changed`` what it, or the last one, has added or changed.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self.open: dict[str, Request] = {}
        self.added: dict[str, Request] = {}
        self.changed: dict[str, Request] = {}
        self._by_host: dict[str, dict[str, None]] = {}
        self._clones: dict[str, str] = {}
        self._about_images: dict[str, None] = {}
        self._undo: list[tuple[Request | None, Request]] = []

    def load(self) -> None:
        """Read the open requests from the journal, once at the start."""
        for request in self._journal.open_requests():
            self._swap(None, request)

    def begin(self) -> None:
        self._undo.clear()
        self.added.clear()
        self.changed.clear()
        self._journal.begin()

    def commit(self) -> None:
        """Make all changes durable, then only may anybody be told of them."""
        self._journal.commit()
        self._undo.clear()
        self.added.clear()

    def rollback(self) -> None:
        """Take back all changes since ``begin``."""
        for before, after in reversed(self._undo):
            self._swap(after, before)
        self._undo.clear()
        self._journal.rollback()

    def get(self, request_id: str) -> Request | None:
        """Return the request that ``request_id`` stands for: its own id, or one that joined it.

        Raises EntryUnreadable.
        """
        if request_id in self.open:
            return self.open[request_id]
        found = self._journal.find(request_id)
        return self._known(found[0]) if found else None

    def standing(self, request_id: str) -> tuple[str, str | None, str] | None:
        """Return id, host and state of the request that ``request_id`` stands for, or None.

        Unlike ``get`` it takes no longer where a request is long, or can't be read.
        """
        return self._journal.standing(request_id)

    def repeated(self, asked: Request) -> tuple[Request, bool] | None:
        """Return the request that was submitted with this id, and whether it asks for the same."""
        found = self._journal.find(asked.id)
        if found is None:
            return None
        request = self._known(found[0])
        content = _digest(asked)
        same = (content, _CLAIMED + content, _TOLD + _digest(_wiped(asked)))
        return (request, found[1] in same) if request else None

    def is_whole(self, request: Request) -> bool:
        """Tell whether an ended request is as it was submitted: no secret of it was wiped."""
        found = self._journal.find(request.id)
        content = _digest(request)
        return found is not None and found[1] in (content, _CLAIMED + content)

    def is_claimed(self, request: Request) -> bool:
        """Tell whether a request is its host's by the word of that host alone."""
        found = self._journal.find(request.id)
        return found is not None and found[1].startswith((_CLAIMED, _TOLD))

    def clone_named(self, name: str) -> Request | None:
        """Return the open clone request for a vm of that name, or None.

        Raises EntryUnreadable where there is an open request of that name that can't be read: it
        may make that vm.
        """
        if name in self._journal.unreadable:
            raise EntryUnreadable(self._journal.unreadable[name])
        return self.open[self._clones[name]] if name in self._clones else None

    def about_images(self) -> list[Request]:
        """Return the open requests about images, the oldest first."""
        return [self.open[request_id] for request_id in self._about_images]

    def of_host(self, host: str) -> list[Request]:
        """Return the open requests of a host, the oldest first."""
        return [self.open[request_id] for request_id in self._by_host.get(host, ())]

    def newest(
        self, states: Iterable[State], limit: int, name: str | None, before: str | None = None
    ) -> Iterator[Request]:
        """Yield at most ``limit`` requests in ``states`` and about vm ``name``, newest first.

        ``before``: only those that are older than the request of this id.
        """
        return self._journal.newest(states, limit, name, before)

    def complaints(self) -> list[str]:
        """Return what is wrong with open requests that can't be read."""
        return list(self._journal.unreadable.values())

    @property
    def journal_id(self) -> str:
        """What hosts know the journal by."""
        return self._journal.id

    def learnt(self) -> None:
        """Note that the journal knows what the hosts know."""
        if self._journal.is_learning():
            self._journal.learnt()

    @property
    def revision(self) -> int:
        """The number of the last change of a request."""
        return self._journal.revision

    def changed_since(
        self, revision: int, states: Iterable[State], limit: int, name: str | None
    ) -> Iterator[tuple[int, Request]]:
        """Yield at most ``limit`` requests in ``states`` and about vm ``name`` that have changed
        since ``revision``, the first change first.
        """
        return self._journal.changed_since(revision, states, limit, name)

    def add(self, request: Request, *, claimed: bool = False) -> Request:
        """Accept a new request; return it with its times. ``claimed``: see ``is_claimed``."""
        now = Moment(self._clock())
        request = replace(request, created=now, updated=now)
        self._journal.add(request, (_CLAIMED if claimed else "") + _digest(request))
        self.added[request.id] = request
        self._note(None, request)
        return request

    def adopt(self, request: Request) -> Request:
        """Take in a request, as it is, that only its host has known; return it."""
        # What it had of secrets is not known any more of one that has ended. And what may have some
        # may be for any host, with keys that the host has made up: nobody is to try it again.
        is_whole = request.spec.without_secrets() is request.spec
        content = _CLAIMED + _digest(request) if is_whole else _TOLD + _digest(_wiped(request))
        self._journal.add(request, content)
        self.added[request.id] = request
        self._note(None, request)
        return request

    def join(self, asked: Request, request: Request) -> None:
        """Let the id of what was ``asked`` stand for the open ``request``."""
        self._journal.add_alias(asked.id, _digest(asked), request.id)

    def change(self, request: Request, **fields: Any) -> Request:
        """Change fields of an open request; return it as it is then, its secrets wiped if ended."""
        new = replace(request, version=request.version + 1, updated=Moment(self._clock()), **fields)
        if new.state.ended:
            new = replace(new, spec=new.spec.without_secrets())
        self._journal.update(new)
        self._note(request, new)
        return new

    def _known(self, request_id: str) -> Request | None:
        return self.open.get(request_id) or self._journal.get(request_id)

    def _note(self, old: Request | None, new: Request) -> None:
        self._undo.append((old, new))
        self.changed[new.id] = new
        self._swap(old, new)

    def _swap(self, old: Request | None, new: Request | None) -> None:
        if old is not None and not old.state.ended:
            del self.open[old.id]
            if new is None or new.state.ended:
                self._index(old, present=False)
        if new is not None and not new.state.ended:
            self.open[new.id] = new
            if old is None or old.state.ended:
                self._index(new, present=True)

    def _index(self, request: Request, present: bool) -> None:
        mine = self._by_host.setdefault(request.host or "", {})
        if present:
            mine[request.id] = None
        else:
            mine.pop(request.id, None)
        if table.of(request).about == "image":
            if present:
                self._about_images[request.id] = None
            else:
                self._about_images.pop(request.id, None)
        if table.of(request).makes_vm:
            if present:
                self._clones[request.name] = request.id
            else:
                self._clones.pop(request.name, None)


# Before the digest of a request that a host has said to be its own, and before that without secrets
# of one that it has told wholly.
_CLAIMED = "claimed:"
_TOLD = "told:"


def _wiped(request: Request) -> Request:
    return replace(request, spec=request.spec.without_secrets())


def _digest(request: Request) -> str:
    return digest(request.spec, request.parent, request.peer)

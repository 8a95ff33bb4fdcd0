# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client has handed in and waits for, to be handed in again if the client worker loses it.

A journal that was lost takes with it what no host had yet. What hosts have they tell its successor;
until then that knows nothing of it either, and takes no clone (not_ready).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..model.errors import HostDown, MaglicaError, RequestUnknown
from ..model.request import Request


class HandedIn:
    """The submissions of one client, by the ids of the requests that they became."""

    def __init__(self, submit: Callable[[dict[str, Any]], Request]) -> None:
        self._submit = submit
        self._submissions: dict[str, dict[str, Any]] = {}
        self._tried: set[str] = set()

    def keep(self, submissions: Sequence[dict[str, Any]], accepted: Sequence[Request]) -> None:
        for submission, request in zip(submissions, accepted):
            self._submissions.setdefault(request.id, submission)

    def over(self, request: Request) -> None:
        """Forget one that has ended: its submission may have secrets."""
        self._submissions.pop(request.id, None)

    def again(self, entries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
        """Hand in again those of which the errors ``entries`` say that they are unknown.

        Returns by the ids of the entries the ids that they have now, and the errors that stay.
        Those that are in neither can't be handed in yet.
        """
        found: dict[str, str] = {}
        refused: dict[str, Any] = {}
        for entry in entries:
            submission = self._submissions.get(entry["id"])
            if entry["code"] != RequestUnknown.code or submission is None:
                refused[entry["id"]] = entry
                continue
            try:
                request = self._submit(submission)
            except HostDown:
                # Its host, or the client worker itself, is not ready.
                break
            except MaglicaError as error:
                # Once more: it may just have been told of it.
                if entry["id"] in self._tried:
                    refused[entry["id"]] = {**entry, "code": error.code, "text": str(error)}
                self._tried.add(entry["id"])
                continue
            found[entry["id"]] = request.id
            self._submissions[request.id] = submission
        return found, refused

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about one request as most tests write them, {"id": …}, and as they are said: in lists.

A test that is about lists says lists; these pass unchanged.
"""

from __future__ import annotations

from typing import Any


def is_one(kind: str, body: dict[str, Any]) -> bool:
    """Tell whether this is a client's message about one request."""
    return kind in ("submit", "status", "wait", "cancel") and "id" in body


def listed(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with a list of one in the place of one."""
    if not is_one(kind, body):
        return body
    if kind == "submit":
        return {"requests": [body]}
    if kind == "wait":
        watched = {"id": body["id"], "version": body["version"]}
        return {"requests": [watched], "wait_s": body["wait_s"]}
    return {"ids": [body["id"]]}


def alone(kind: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the answer to a list of one as one about one request."""
    if kind != "requests":
        return kind, body
    for error in body.get("errors", ()):
        return "error", {"code": error["code"], "text": error["text"]}
    if not body["requests"]:
        return kind, body
    (request,) = body["requests"]
    return "request", {"request": request}


def each(kind: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what was published as messages about one request each."""
    if kind == "cancel":
        return [(kind, {"id": request_id}) for request_id in body["ids"]]
    return [("request", {"request": request}) for request in body["requests"]]

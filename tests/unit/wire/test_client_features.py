# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client hands in to a client worker that may be older."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maglica.config.config import ClientWorker, Config
from maglica.model.errors import VersionTooOld
from maglica.model.request import Placement, new_request_id
from maglica.verbs import table
from maglica.verbs.clone import CLONE, CloneSpec
from maglica.verbs.tag import TAG, TagSpec
from maglica.wire.client import Client

CLONE_SPEC = CloneSpec("vm0", "sl6")
TAG_SPEC = TagSpec("vm0", new_request_id(), "kvm0", ("web",))


class Asked(Client):
    """A client, and what its client worker, which knows these features, is asked."""

    def __init__(self, *known: str) -> None:
        config = Config(Path("/nonexistent"), client_worker=ClientWorker("192.0.2.1"))
        super().__init__(config)
        self.known = frozenset(known)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, kind: str, body: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        self.asked.append((kind, body))
        self.features = self.known
        return {"requests": (), "placements": (Placement("kvm0", 0.5),)}


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the verb tag, and the tags of a clone, have come with a feature."""
    monkeypatch.setitem(table._BY_NAME, "tag", replace(TAG, feature="later"))
    monkeypatch.setitem(table._BY_NAME, "clone", replace(CLONE, later={"tags": "later"}))


@pytest.mark.parametrize("spec", [TAG_SPEC, replace(CLONE_SPEC, tags=("web",))])
def test_what_it_does_not_know_is_not_handed_in(spec: TagSpec | CloneSpec) -> None:
    client = Asked("progress_counts")
    with pytest.raises(VersionTooOld) as refused:
        client.plan_all([CLONE_SPEC, spec])
    assert str(refused.value) == (
        f"cannot {spec.verb} vm0: the client worker at tcp://192.0.2.1:5556 is too old: it does not"
        " know of later; run maglica.cloud.deploy again"
    )
    # What it knows was not said yet, so that it was asked.
    assert client.asked == [("list", {"limit": 1})]


def test_what_says_nothing_new_is_handed_in_as_ever() -> None:
    client = Asked()
    client.plan_all([CLONE_SPEC])
    ((kind, body),) = client.asked
    assert kind == "submit"
    assert "tags" not in body["requests"][0]["spec"]


def test_what_it_knows_is_handed_in() -> None:
    client = Asked("later")
    client.plan_all([replace(CLONE_SPEC, tags=("web",))])
    client.plan_all([TAG_SPEC])
    assert [kind for kind, _body in client.asked] == ["list", "submit", "submit"]
    assert [body["requests"][0]["spec"]["tags"] for _kind, body in client.asked[1:]] == [
        ["web"]
    ] * 2

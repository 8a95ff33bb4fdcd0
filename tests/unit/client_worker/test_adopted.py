# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms of others that are adopted, as the client worker sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maglica.model.request import DomainSummary, new_request_id
from maglica.model.vm import Domain
from maglica.verbs import table
from maglica.wire import features
from support.reports import clone, image, report

from .conftest import Cell

UUID = "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11"
KNOWN = list(features.OWN)
THEIRS = DomainSummary("old_db", UUID, False, True, False, 1, 512)
LEFT = Domain("old_db", UUID, "kvm0", "stopped", False, made=False, adopted=True)


def hello(cell: Cell, host: str, *domains: DomainSummary) -> None:
    told = {"host": host, "report": report(image(), *domains), "requests": []}
    assert cell.ask("hello", **told, features=KNOWN)[0] == "welcome"


def ask(cell: Cell, kind: str, name: str = "old_db", **fields: Any) -> tuple[str, dict[str, Any]]:
    spec = table.named(kind).spec(name, UUID, "kvm0", **fields)
    entry = {"id": new_request_id(), "kind": kind, "spec": spec}
    return cell.ask("submit", requests=[entry], features=KNOWN)


def done(cell: Cell, kind: str, vm: Domain) -> None:
    request = ask(cell, kind)[1]["requests"][0]
    body = {"host": "kvm0", "id": request.id, "state": "done", "vm": vm}
    assert cell.ask("result", **body) == ("ok", {})


def images(cell: Cell) -> list[str]:
    (host,) = cell.ask("hosts", features=KNOWN)[1]["hosts"]
    return sorted(each.name for each in host.report.domains if each.is_image)


def test_an_adopted_domain_is_no_image_any_more_at_once(cell: Cell) -> None:
    hello(cell, "kvm0", THEIRS)
    before = images(cell)
    assert "old_db" in before
    done(cell, "adopt", LEFT)
    assert images(cell) == [each for each in before if each != "old_db"]
    (shown,) = cell.ask("domains", features=KNOWN)[1]["domains"]
    assert (shown.adopted, shown.is_image) == (True, False)
    # Who does not know of it is told what it knew before.
    (shown,) = cell.ask("domains")[1]["domains"]
    assert not shown.adopted
    done(cell, "disown", replace(LEFT, adopted=False, is_image=True))
    assert images(cell) == before


def test_nothing_is_cloned_from_it_before_a_report_says_so(cell: Cell) -> None:
    hello(cell, "kvm0", THEIRS)
    done(cell, "adopt", LEFT)
    # One that was made before the result, and comes after it, too.
    for _again in range(2):
        kind, error = cell.ask("submit", **clone("vm0.example.jp", image="old_db"))
        assert (kind, error.get("code")) == ("error", "image_unknown")
        hello(cell, "kvm0", THEIRS)
    done(cell, "disown", replace(LEFT, adopted=False, is_image=True))
    assert cell.ask("submit", **clone("vm0.example.jp", image="old_db"))[0] != "error"


def test_of_two_with_one_uuid_none_is_adopted(cell: Cell) -> None:
    hello(cell, "kvm0", THEIRS)
    hello(cell, "kvm1", replace(THEIRS, name="renamed"))
    kind, error = ask(cell, "adopt")
    assert (kind, error["code"]) == ("error", "uuid_twice")
    assert error["text"].startswith("cannot adopt old_db: hosts kvm0 and kvm1 each have a domain")
    assert ask(cell, "disown")[0] == "requests"


def test_of_two_with_one_uuid_none_loses_a_disk(cell: Cell) -> None:
    hello(cell, "kvm0", THEIRS)
    hello(cell, "kvm1", THEIRS)
    kind, error = ask(cell, "detach_disk", disk="data")
    assert (kind, error["code"]) == ("error", "uuid_twice")


def test_an_older_host_worker_is_not_asked_for_foreign_disks(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), THEIRS))
    kind, error = ask(cell, "remove", remove_foreign_disks=True)
    assert (kind, error["code"]) == ("error", "version_too_old")
    # What it has known always it is asked for as ever.
    assert ask(cell, "remove")[0] == "requests"

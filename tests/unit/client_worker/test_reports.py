# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of what hosts tell: what there is room for, and nothing of a refused hello."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.known import reports as module
from maglica.client_worker.known.reports import FIRST, Reports
from maglica.host_worker.daemon.teller import Teller
from maglica.model.errors import MessageInvalid
from maglica.model.names import domain_name
from maglica.model.reported import ReportedDomain
from maglica.model.request import HostReport
from maglica.model.vm import Disk, vm_uuid
from maglica.wire import messages
from maglica.wire.records import MAX_DOMAINS
from support.reports import image, report

if TYPE_CHECKING:
    from .conftest import Cell

HOST = "kvm0"
DISKS = tuple(Disk(f"vd{n}", source="/" + "s" * 200) for n in range(4))


def uuids(first: int, end: int) -> list[str]:
    return [vm_uuid(str(number)) for number in range(first, end)]


def hello(told: list[str], shown: list[str] | None = None, **body: Any) -> dict[str, Any]:
    """One that tells of those domains, and shows those, or else the same."""
    return {
        "report": {"domains": tuple(image(name=each, uuid=each) for each in told)},
        "shown": tuple(
            ReportedDomain(each, each, HOST, "running", True, disks=DISKS)
            for each in (told if shown is None else shown)
        ),
        **body,
    }


def kept(reports: Reports) -> list[str]:
    found = [uuid for (uuid, host), _name, _text in reports.after(FIRST, {}) if host == HOST]
    assert found == sorted(found)
    assert all(reports.domain(HOST, uuid) for uuid in found)
    return found


def size(reports: Reports) -> int:
    return sum(len(text) for _place, _name, text in reports.after(FIRST, {}))


def test_only_domains_of_the_report_are_kept() -> None:
    reports = Reports()
    reports.take(HOST, hello(uuids(0, 3), digest="0"))
    for turn in range(3):
        strays = uuids(100 * (turn + 1), 100 * (turn + 2))
        reports.take(HOST, hello([], strays, since=str(turn), digest=str(turn + 1)))
    assert kept(reports) == sorted(uuids(0, 3))
    reports.forget(HOST)
    assert kept(reports) == []


def test_reports_that_begin_anew_again_and_again_leave_no_more_than_one() -> None:
    reports = Reports()
    for turn in range(5):
        reports.take(HOST, hello(uuids(1500 * turn, 1500 * turn + 1500), digest="a", more=True))
        assert len(kept(reports)) <= MAX_DOMAINS
    assert set(uuids(6000, 7500)) <= set(kept(reports))
    reports.take(HOST, hello(uuids(0, 1), since="a", digest="b"))
    assert kept(reports) == sorted([*uuids(6000, 7500), *uuids(0, 1)])


def test_what_was_known_is_shown_until_all_is_told_anew() -> None:
    reports = Reports()
    reports.take(HOST, hello(uuids(0, 4), digest="a"))
    reports.take(HOST, hello(uuids(0, 1), digest="b", more=True))
    assert kept(reports) == sorted(uuids(0, 4))
    reports.take(HOST, hello(uuids(2, 3), since="b", digest="c"))
    assert kept(reports) == sorted([*uuids(0, 1), *uuids(2, 3)])


@pytest.mark.parametrize("begin", [{"since": "a"}, {}])
def test_a_hello_that_is_refused_changes_nothing(begin: dict[str, str]) -> None:
    reports = Reports()
    reports.take(HOST, hello(uuids(0, 2500), uuids(0, 3), digest="a"))
    before = list(reports.after(FIRST, {}))
    end = 4100 if begin else 7000
    said = hello(uuids(2500, end), uuids(2500, 2510), digest="b", gone=uuids(0, 1), **begin)
    with pytest.raises(MessageInvalid, match="more than 4000 in all"):
        reports.take(HOST, said)
    assert list(reports.after(FIRST, {})) == before
    same = reports.take(HOST, {"report": {}, "since": "a", "digest": "c"})
    assert isinstance(same, HostReport) and len(same.domains) == 2500


def test_the_bytes_of_a_host_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    reports = Reports()
    reports.take(HOST, hello(uuids(0, 30), digest="a"))
    # What has no room is kept without its disks.
    assert len(kept(reports)) == 30 and 8_000 < size(reports) <= 20_000
    whole = [each for each in uuids(0, 30) if (found := reports.domain(HOST, each)) and found.disks]
    assert 5 < len(whole) < 15
    before = list(reports.after(FIRST, {}))
    with pytest.raises(MessageInvalid, match="more than 20000 bytes in all"):
        reports.take(HOST, hello(uuids(30, 200), since="a", digest="b"))
    assert list(reports.after(FIRST, {})) == before
    # Told again it is no more than it was.
    for turn in range(5):
        reports.take(HOST, hello(uuids(0, 30), digest=str(turn), more=True))
        assert len(kept(reports)) == 30 and size(reports) <= 20_000


def test_a_name_that_only_other_pythons_know_arrives_as_it_is() -> None:
    """The control side takes it for a vm's name, and looks for that."""
    name, (uuid,) = domain_name("vm-\u0378"), uuids(0, 1)
    vm = ReportedDomain(name, uuid, HOST, "running", True)
    said = Teller(HOST).hello(HostReport(domains=(image(name=name, uuid=uuid),)), (vm,), ())
    reports = Reports()
    told = reports.take(HOST, messages.asked("hello", said.body))
    assert told is not None and [each.name for each in told.domains] == [name]
    assert [shown for _place, shown, _text in reports.after(FIRST, {})] == [name]


def test_a_report_is_put_into_words_once_however_often_it_is_asked_for(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HostReport] = []
    real = module.fitting

    def fitting(report: HostReport, room: int) -> HostReport:
        made.append(report)
        return real(report, room)

    monkeypatch.setattr(module, "fitting", fitting)
    many = [image(name=f"vm{each:04}", uuid=vm_uuid(str(each))) for each in range(MAX_DOMAINS - 1)]
    for said in (report(image()), report(image(), *many), report(image())):
        cell.hello(HOST, said)
        made.clear()
        for _turn in range(3):
            # That it was heard again is no other report.
            cell.now += 1.0
            _kind, body = cell.ask("hosts")
            assert body["hosts"][0].report.domains == said.domains
            cell.hello(HOST, said)
        assert len(made) == 1
    cell.context.hosts.reports.forget(HOST)
    assert cell.context.hosts.reports._texts == {}

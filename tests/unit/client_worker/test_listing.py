# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client worker shows of the hosts and domains that were reported to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from maglica.model.moment import Moment
from maglica.model.reported import PoolState, ReportedDomain, ReportedHost, ReportedInterface
from maglica.model.request import new_request_id
from maglica.model.vm import Disk, Domain, Interface, vm_uuid
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.tag import TagSpec
from maglica.wire.frames import encode
from support.reports import image, made, report, showing

if TYPE_CHECKING:
    from .conftest import Cell

MAC = "52:54:00:12:34:56"
Answer = tuple[tuple[ReportedHost, ...], list[ReportedDomain]]


def say(cell: Cell, host: str, *shown: ReportedDomain, **body: Any) -> dict[str, Any]:
    said = body.pop("report", None)
    said = said if isinstance(said, dict) else showing(said or report(), shown)
    told = {"report": said, "requests": [], "shown": shown, **body}
    kind, welcome = cell.ask("hello", host=host, **told)
    assert kind == "welcome", welcome
    return welcome


def pages(cell: Cell, **asked: Any) -> list[dict[str, Any]]:
    """Ask until there is no more."""
    found: list[dict[str, Any]] = []
    end = None
    while end is not None or not found:
        kind, body = cell.ask("domains", **asked, **({} if end is None else {"after": end}))
        assert kind == "domains", body
        found.append(body)
        end = body.get("next")
    return found


def all_of(cell: Cell, **asked: Any) -> Answer:
    answers = pages(cell, **asked)
    hosts = tuple(host for page in answers for host in page["hosts"])
    return hosts, [domain for page in answers for domain in page["domains"]]


def domain(name: str, host: str = "kvm0", **fields: Any) -> ReportedDomain:
    uuid = fields.pop("uuid", None) or vm_uuid(name)
    return ReportedDomain(name, uuid, host, "running", True, True, **fields)


def test_hosts_are_shown_with_their_age(cell: Cell) -> None:
    pools = (PoolState("default", True, 2, 1),)
    facts = {"uri": "qemu:///system", "hostname": "kvm0.example.jp", "libvirt_version": "9.0.0"}
    said = report(pool_states=pools, problems=("p",), libvirt_error="libvirtd is silent", **facts)
    say(cell, "kvm0", report=said)
    cell.now += 2.5
    cell.engine.admit(frozenset({"kvm0", "kvm1"}))
    (kvm0, kvm1), _domains = all_of(cell)
    assert kvm0 == ReportedHost(
        "kvm0",
        alive=True,
        age_s=2.5,
        libvirt_error="libvirtd is silent",
        uri="qemu:///system",
        hostname="kvm0.example.jp",
        cpus=8,
        memory_total_mib=16384,
        memory_free_mib=16384,
        libvirt_version="9.0.0",
        pools=pools,
        networks=("default",),
        problems=("p",),
    )
    assert kvm1 == ReportedHost("kvm1", alive=False)
    cell.now += 20
    cell.engine.tick()
    (kvm0, _kvm1), _domains = all_of(cell)
    assert (kvm0.alive, kvm0.age_s) == (False, 22.5)


def test_a_host_that_has_told_nothing_since_the_start_is_not_alive(cell: Cell) -> None:
    say(cell, "kvm0", domain("vm0"))
    cell.engine.tick()
    cell.reopen()
    assert cell.context.hosts.alive("kvm0")
    (kvm0,), domains = all_of(cell)
    assert (kvm0.alive, kvm0.age_s, domains) == (False, None, [])
    # What it goes on from is lost.
    assert say(cell, "kvm0", since="a", digest="b")["everything"] is True
    assert say(cell, "kvm0", domain("vm0"), digest="b").get("everything") is None
    (kvm0,), domains = all_of(cell)
    assert (kvm0.alive, kvm0.age_s, domains) == (True, 0.0, [domain("vm0")])


def test_many_domains_come_in_pages_each_once(cell: Cell) -> None:
    for host in ("kvm0", "kvm1"):
        say(cell, host, *(domain(f"{host}-{n}", host, who="w" * 150) for n in range(300)))
    answers = pages(cell)
    assert len(answers) > 2
    _hosts, found = all_of(cell)
    assert len(found) == 600
    assert [each.uuid for each in found] == sorted({each.uuid for each in found})
    assert all(not page["hosts"] for page in answers[1:])


def test_many_hosts_come_in_pages(cell: Cell) -> None:
    names = [f"kvm{number:02}" for number in range(30)]
    problems = tuple("p" * 500 for _turn in range(20))
    for name in names:
        say(cell, name, domain(name, name), report=report(problems=problems))
    assert len(pages(cell)) > 3
    hosts, domains = all_of(cell)
    assert [host.name for host in hosts] == names
    assert {each.name for each in domains} == set(names)


def test_a_host_with_endless_names_does_not_hide_the_others(cell: Cell) -> None:
    wide = "\U0001f600"
    state = PoolState(wide * 200, True, 2, 1)
    said = report(
        networks=(wide * 200,) * 256, pool_states=(state,) * 256, problems=(wide * 600,) * 32
    )
    cell.context.hosts.hear("kvm0", said, cell.now, cell.now)
    say(cell, "kvm1", domain("vm1", "kvm1"))
    [(_peer, answer)] = cell.send("domains").replies
    assert encode(answer)
    hosts, domains = all_of(cell)
    assert [host.name for host in hosts] == ["kvm0", "kvm1"]
    assert len(hosts[0].problems) == 32
    assert [each.name for each in domains] == ["vm1"]


def test_only_the_hosts_and_names_that_are_asked_for_are_shown(cell: Cell) -> None:
    for host in ("kvm0", "kvm1"):
        say(cell, host, domain(f"a-{host}", host), domain(f"b-{host}", host))
    hosts, found = all_of(cell, hosts=["kvm1"])
    assert [host.name for host in hosts] == ["kvm1"]
    assert {each.name for each in found} == {"a-kvm1", "b-kvm1"}
    hosts, found = all_of(cell, names=["a-kvm0", "nothing"])
    assert [host.name for host in hosts] == ["kvm0", "kvm1"]
    assert [each.name for each in found] == ["a-kvm0"]
    assert all_of(cell, hosts=["kvm1"], names=["a-kvm0"])[1] == []


def test_a_domain_that_moves_between_two_pages_is_shown(cell: Cell) -> None:
    """Its place is that of its UUID, wherever it is."""
    many = [domain(f"vm{n}", who="w" * 150) for n in range(300)]
    say(cell, "kvm0", *many, digest="a")
    first = cell.ask("domains")[1]
    last = max(many, key=lambda each: each.uuid)
    say(cell, "kvm0", gone=[last.uuid], since="a", digest="b", report={})
    say(cell, "kvm1", replace(last, host="kvm1"))
    rest: list[ReportedDomain] = []
    answer = first
    while "next" in answer:
        answer = cell.ask("domains", after=answer["next"])[1]
        rest += answer["domains"]
    assert rest[-1] == replace(last, host="kvm1")
    assert len(first["domains"]) + len(rest) == len(many)


@pytest.mark.parametrize("after", ["x", "host", "host a b", "domain a", "domain a b c", " "])
def test_an_end_of_a_page_that_is_none_is_refused(cell: Cell, after: str) -> None:
    assert cell.ask("domains", after=after)[1]["code"] == "message_invalid"


def test_a_host_that_is_forgotten_takes_its_domains_with_it(cell: Cell) -> None:
    say(cell, "kvm0", domain("vm0"))
    say(cell, "kvm1", domain("vm1", "kvm1"))
    cell.engine.admit(frozenset({"kvm1"}))
    cell.now += 3600
    cell.engine.tick()
    assert [each.name for each in all_of(cell)[1]] == ["vm1"]


def clone_of(cell: Cell, **fields: Any) -> tuple[Domain, str]:
    """Have a vm made on kvm0; return it as its result says, and the request's id."""
    request = cell.clone("vm0", host="kvm0")
    uuid = vm_uuid(request.id)
    vm = Domain("vm0", uuid, "kvm0", "running", True, made=True, image="debian12.original")
    vm = replace(vm, **fields)
    cell.result(request, state="done", vm=vm, ended=Moment(11))
    return vm, request.id


def test_a_vm_is_shown_before_its_host_reports_it(cell: Cell) -> None:
    say(cell, "kvm0", report=report(taken=Moment(10)))
    disk = Disk("vda", source="/images/vm0", capacity_bytes=1 << 30)
    interface = Interface(MAC, "default", ("192.0.2.7",))
    vm, request_id = clone_of(cell, tags=("a",), disks=(disk,), interfaces=(interface,))
    (shown,) = all_of(cell)[1]
    assert (shown.name, shown.uuid, shown.state, shown.tags) == ("vm0", vm.uuid, "running", ("a",))
    assert shown.disks == (disk,)
    assert shown.interfaces == (ReportedInterface(MAC, "default", {"recorded": ("192.0.2.7",)}),)
    assert all_of(cell, names=["other"])[1] == all_of(cell, hosts=["kvm1"])[1] == []
    # A report that was begun before knows nothing of it; a later one says how it is.
    say(cell, "kvm0", report=report(taken=Moment(10.9)))
    assert all_of(cell)[1] == [shown]
    later = domain("vm0", uuid=vm.uuid, disks=(replace(disk, allocation_bytes=5),))
    found = report(image(), made(cell.context.requests.get(request_id)), taken=Moment(11.1))
    say(cell, "kvm0", later, report=found)
    assert all_of(cell)[1] == [later]


def test_of_a_vm_with_an_endless_definition_its_result_keeps_what_it_is(cell: Cell) -> None:
    """However many results a host tells, and no report, they take little memory."""
    say(cell, "kvm0", report=report(taken=Moment(10)))
    crowded = (Interface(MAC, "n" * 200, ("a" * 60,) * 64),) * 64
    vm, _request_id = clone_of(cell, interfaces=crowded, who="alice")
    (kept,) = cell.context.hosts.news().values()
    assert kept is not None
    assert (kept.name, kept.who, kept.interfaces) == (vm.name, "alice", ())


def test_what_was_done_to_a_vm_is_shown_before_its_host_reports_it(cell: Cell) -> None:
    say(cell, "kvm0", report=report(taken=Moment(10)))
    vm, request_id = clone_of(cell, interfaces=(Interface(MAC),))
    has = {
        "interfaces": (ReportedInterface(MAC, None, {"lease": ("192.0.2.8",)}),),
        "disks": (Disk("vda", capacity_bytes=7, allocation_bytes=5),),
    }
    reported = domain("vm0", uuid=vm.uuid, **has)
    summary = made(cell.context.requests.get(request_id))
    said = report(image(), summary, taken=Moment(20))
    say(cell, "kvm0", reported, report=said)
    spec = TagSpec("vm0", vm.uuid, "kvm0", tags=("new",))
    tag = cell.ask("submit", id=new_request_id(), kind="tag", spec=spec)[1]["request"]
    tagged = replace(vm, tags=("new",), disks=(Disk("vda"),))
    cell.result(tag, state="done", vm=tagged, ended=Moment(21))
    (shown,) = all_of(cell)[1]
    assert shown.tags == ("new",)
    # Of what the result does not know, what was known is shown.
    assert (shown.interfaces, shown.disks) == (has["interfaces"], has["disks"])
    # The summary is the same, but it is older.
    say(cell, "kvm0", reported, report=replace(said, taken=Moment(20.5)))
    assert all_of(cell)[1] == [shown]
    spec = RemoveSpec("vm0", vm.uuid, "kvm0")
    remove = cell.ask("submit", id=new_request_id(), kind="remove", spec=spec)[1]["request"]
    cell.result(remove, state="done", ended=Moment(22))
    assert all_of(cell)[1] == []
    say(cell, "kvm0", reported, report=replace(said, taken=Moment(21.5)))
    assert all_of(cell)[1] == []
    # Somebody has made it again.
    say(cell, "kvm0", reported, report=replace(said, taken=Moment(22.5)))
    assert all_of(cell)[1] == [reported]


def test_domains_of_one_uuid_are_on_one_page(cell: Cell) -> None:
    """So who reads two pages knows that one which is on both has moved."""
    uuids = [vm_uuid(str(number)) for number in range(150)]
    hosts = [f"kvm{number}" for number in range(4)]
    for host in hosts:
        say(cell, host, *(domain("vm", host, uuid=uuid, who="w" * 150) for uuid in uuids))
    answers = pages(cell)
    assert len(answers) > 2
    found = [{each.uuid for each in page["domains"]} for page in answers]
    assert sum(map(len, found)) == len(uuids)
    assert sum(len(page["domains"]) for page in answers) == len(uuids) * len(hosts)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hellos of a host tell, and what a client worker makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.client_worker.known.reports import Reports
from maglica.host_worker.daemon.teller import Teller
from maglica.model.moment import Moment
from maglica.model.reported import PoolState, ReportedInterface
from maglica.model.request import (
    DomainSummary,
    HostReport,
    ImageSummary,
    Leftover,
    LookSummary,
    PoolSummary,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import Disk, Graphics, SerialConsole
from maglica.verbs.clone import CloneSpec
from maglica.wire import features, frames, records
from maglica.wire import messages as schema
from support.reports import base
from support.telling import GIB, HOST, Pair, crowd, seen, summary

REQUEST = Request(new_request_id(), CloneSpec("vm0.example.jp", "sl6"), State.RUNNING)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_all_of_a_report_arrives(pair: Pair) -> None:
    report = HostReport(
        8,
        16384,
        1024,
        (summary("sl6", disk_bytes=GIB),),
        (PoolSummary("default", 1 << 40, 1 << 39),),
        ("default",),
        (base("sl6"),),
        "libvirtd is slow",
        leftovers=(Leftover("/images/x", "default", 1),),
        looks=(LookSummary("sl6", "0" * 64, True, None, True),),
        images=(ImageSummary("sl6", new_request_id(), False, None, None, 1),),
        problems=("cannot read the pools",),
    )
    shown = (seen(report.domains[0]),)
    assert pair.say(report, shown) == report
    assert pair.shown() == list(shown)
    body = pair.hear(pair.teller.hello(report, shown, [REQUEST]))
    assert body["requests"] == ({"id": REQUEST.id, "state": State.RUNNING},)


def test_a_quiet_hello_of_many_domains_is_short(pair: Pair) -> None:
    report, shown = crowd(100)
    pair.say(report, shown)
    later = replace(report, memory_free_mib=1300, taken=Moment(1_764_000_005.5))
    assert pair.say(later, tuple(replace(each) for each in shown)) == later
    assert max(pair.sizes) < 600


def test_one_change_is_told_alone(pair: Pair) -> None:
    report, shown = crowd(100)
    pair.say(report, shown)
    domains = (replace(report.domains[0], active=False), *report.domains[1:])
    off = replace(shown[0], state="stopped", active=False)
    after = replace(report, domains=domains, memory_free_mib=3000)
    assert pair.say(after, (off, *shown[1:])) == after
    assert len(pair.sizes) == 1 and pair.sizes[0] < 3 << 10
    assert pair.reports.domain(HOST, off.uuid) == off
    rest = replace(after, domains=domains[1:])
    assert pair.say(rest, shown[1:]) == rest
    assert pair.reports.domain(HOST, off.uuid) is None
    assert len(pair.shown()) == 99 and pair.sizes[0] < 600


def test_a_client_worker_that_was_started_anew_is_told_everything(pair: Pair) -> None:
    report, shown = crowd(3)
    pair.say(report, shown)
    pair.reports = Reports()
    assert pair.say(report, shown) == report
    assert len(pair.shown()) == len(shown) and len(pair.sizes) == 2
    # Its answer to a hello that it took in has been lost.
    changed = replace(report, memory_free_mib=1)
    body = schema.asked(
        "hello", frames.decode(frames.encode(pair.teller.hello(changed, shown, []))).body
    )
    pair.reports.take(HOST, body)
    assert pair.say(report, shown) == report


def test_a_hello_that_is_refused_is_told_again(pair: Pair) -> None:
    report, shown = crowd(2)
    pair.teller.hello(report, shown, [])
    pair.teller.answered(False, False)
    assert not pair.teller.has_more
    assert pair.say(report, shown) == report


def test_what_does_not_fit_in_a_message_comes_with_the_next(pair: Pair) -> None:
    domains = [summary("\U0001f4bb" * 400) for _turn in range(437)]
    report = HostReport(
        domains=tuple(sorted(domains, key=lambda each: each.name)),
        bases=(base("b" * 200),) * 1000,
        leftovers=(Leftover("/" + "x" * 4000, None, 1),) * 50,
    )
    shown = tuple(map(seen, domains))
    told = pair.say(report, shown, (REQUEST,) * schema.MAX_LISTED)
    assert set(told.domains) == set(domains)
    assert told.bases == report.bases
    assert {each.uuid for each in pair.shown()} == {each.uuid for each in domains}
    assert len(pair.sizes) > 2 and max(pair.sizes) < frames.MAX_FRAME


def test_nothing_counts_before_all_is_there(pair: Pair) -> None:
    domains = [summary("\U0001f4bb" * 400) for _turn in range(437)]
    report = HostReport(domains=tuple(domains))
    body = pair.hear(pair.teller.hello(report, (), []))
    assert body["more"] is True
    # What has changed meanwhile is told after that.
    assert pair.say(replace(report, cpus=3)).cpus == 0
    assert pair.say(replace(report, cpus=3)).cpus == 3


def test_domains_that_vanish_while_all_is_told_anew_are_dropped(pair: Pair) -> None:
    report, shown = crowd(3)
    pair.say(report, shown)
    pair.teller = Teller(HOST)
    less = replace(report, domains=report.domains[1:])
    assert pair.say(less, shown[1:]) == less
    assert [each.uuid for each in pair.shown()] == sorted(each.uuid for each in shown[1:])


def test_a_domain_of_which_nothing_can_be_shown_any_more_stays_in_the_report(pair: Pair) -> None:
    report, shown = crowd(1)
    pair.say(report, shown)
    assert pair.say(report) == report
    assert pair.shown() == []
    assert pair.say(report) == report


def test_any_names_on_the_host_get_through(pair: Pair) -> None:
    domain = summary("a\nb\x1b")
    long = summary("n" * 900)
    image = ImageSummary("i\t", new_request_id(), True, None, None, 1 << 30)
    report = HostReport(
        domains=(domain, long),
        pools=(PoolSummary("p\t", 1, 1),) * 300,
        pool_states=(PoolState("p\t", True, 1 << 80, 1),) * 300,
        networks=("n\0",) * 300,
        problem="x\n" * 3000,
        problems=("x\n" * 3000,) * 50,
        hostname="h\x1b" * 300,
        libvirt_error="e\x1b" * 3000,
        looks=(LookSummary("i\t", "0" * 64, False, "r\x1b", True),) * 1001,
        images=(replace(image, origin="o" * 2000), *[image] * 1000),
    )
    told = pair.say(report)
    assert [each.name for each in told.domains] == ["a\\nb\\x1b", "n" * 400]
    assert (len(told.pools), told.pools[0].name) == (256, "p\\t")
    assert set(told.networks) == {"n\\x00"}
    assert len(told.problem or "") == 2000
    assert (len(told.looks), told.looks[0].image) == (1000, "i\\t")
    assert told.looks[0].reason == "r\\x1b"
    assert (len(told.images), told.images[0].name) == (1000, "i\\t")
    assert (len(told.images[0].origin or ""), told.images[0].versions) == (1000, 1 << 20)


def test_any_sizes_on_the_host_get_through(pair: Pair) -> None:
    vast = 1 << 64
    report = HostReport(
        vast,
        vast,
        vast,
        (DomainSummary("sl6", new_request_id(), False, True, False, vast, vast, vast),),
        (PoolSummary("bucket", vast, vast, "fuse." + "s" * 50),),
        bases=(replace(base("sl6"), allocated_bytes=vast, vms=vast),),
        leftovers=(Leftover("/images/x", "bucket", vast),),
    )
    told = pair.say(report)
    assert (told.cpus, told.memory_total_mib) == (1 << 20, 1 << 60)
    assert (told.domains[0].vcpus, told.domains[0].disk_bytes) == (1 << 20, 1 << 60)
    assert (told.pools[0].free_bytes, len(told.pools[0].shared or "")) == (1 << 60, 40)
    assert (told.bases[0].vms, told.leftovers[0].allocated_bytes) == (1 << 20, 1 << 60)


def test_of_too_many_domains_the_images_are_told(pair: Pair) -> None:
    image = summary("sl6", active=False, made=False)
    domains = (*[summary("vm") for _turn in range(records.MAX_DOMAINS)], image)
    told = pair.say(HostReport(domains=domains)).domains
    assert len(told) == records.MAX_DOMAINS
    assert image in told
    assert max(pair.sizes) < frames.MAX_FRAME


def test_what_is_invalid_of_a_domain_costs_only_itself(pair: Pair) -> None:
    domain, other = summary("a"), summary("b")
    good = Disk("vda", source="/images/a")
    vnc = Graphics("vnc", "127.0.0.1", 5900)
    bad = seen(
        domain,
        name="a\x1b",
        image="\x1b",
        vcpus=1 << 40,
        state="\x1b",
        disks=(Disk("vdb", source="x" * 5000), good),
        interfaces=(
            ReportedInterface("52:54:00:12:34:56", None, {"agent": ("\x1b",)}),
            ReportedInterface("52:54:00:12:34:57", None, {"agent": ("192.0.2.9",)}),
        ),
        graphics=(Graphics("\x1b"), Graphics("vnc", port=1 << 16), vnc),
        console=SerialConsole("pty", "/" * 5000),
        tags=tuple(f"t{number}" for number in range(1000)),
        ssh_host_keys=("nonsense",),
    )
    pair.teller.known = frozenset({features.SCREENS})
    pair.say(HostReport(domains=(domain, other)), (bad, seen(other)))
    told = pair.reports.domain(HOST, domain.uuid)
    assert told is not None
    assert (told.name, told.image, told.vcpus, told.state) == ("a\\x1b", None, None, "unknown")
    assert told.disks == (good,)
    assert (told.graphics, told.console) == ((vnc,), None)
    assert [each.mac for each in told.interfaces] == ["52:54:00:12:34:57"]
    assert (len(told.tags), told.ssh_host_keys) == (64, ())


def test_a_domain_that_is_too_long_is_told_without_what_makes_it_so(pair: Pair) -> None:
    domain, other = summary("a"), summary("b")
    disks = tuple(Disk(f"vd{number}", source="\u00fc" * 1000) for number in range(64))
    plain = seen(other)
    pair.say(HostReport(domains=(domain, other)), (seen(domain, disks=disks), plain))
    told = pair.reports.domain(HOST, domain.uuid)
    assert told is not None and told.disks == () and told.image == "debian12.original"
    assert pair.reports.domain(HOST, other.uuid) == plain


def test_what_a_guest_writes_is_told_when_it_is_much(pair: Pair) -> None:
    report, shown = crowd(1)
    pair.say(report, shown)

    def grown(bytes_more: int) -> int | None:
        disk = replace(shown[0].disks[0], allocation_bytes=GIB + bytes_more)
        pair.say(report, (replace(shown[0], disks=(disk,)),))
        (told,) = pair.shown()
        return told.disks[0].allocation_bytes

    assert grown(GIB // 20) == GIB
    assert grown(GIB // 10) == GIB + GIB // 10
    # What nobody was told does not add up unseen.
    assert grown(GIB // 10 + GIB // 20) == GIB + GIB // 10


def test_a_domain_of_another_host_is_refused(pair: Pair) -> None:
    domain = summary("a")
    message = pair.teller.hello(HostReport(domains=(domain,)), (seen(domain, host="kvm1"),), [])
    body = schema.asked("hello", frames.decode(frames.encode(message)).body)
    with pytest.raises(Exception, match="another host than"):
        pair.reports.take(HOST, body)


def test_what_a_client_worker_does_not_know_of_a_domain_is_told_once_it_does(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(features._OF_DOMAIN, "later", ("tags",))
    report = HostReport(domains=(summary("vm0"),))
    shown = (replace(seen(report.domains[0]), tags=("web",)),)
    pair.say(report, shown)
    assert [each.tags for each in pair.shown()] == [()]
    pair.teller.known = frozenset({"later"})
    pair.say(report, shown)
    assert [each.tags for each in pair.shown()] == [("web",)]
    pair.teller.known = frozenset()
    pair.say(report, shown)
    assert [each.tags for each in pair.shown()] == [()]

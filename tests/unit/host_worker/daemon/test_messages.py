# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that a host sends is one that the schema accepts."""

from __future__ import annotations

from dataclasses import replace

from maglica.host_worker.daemon import messages
from maglica.model.request import (
    DomainSummary,
    Failure,
    HostReport,
    ImageSummary,
    Leftover,
    LookSummary,
    Phase,
    PoolSummary,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec
from maglica.wire import frames
from maglica.wire import messages as schema
from support.reports import base

HOST = "kvm0.example.jp"
REQUEST = Request(new_request_id(), CloneSpec("vm0.example.jp", "sl6"), State.RUNNING)
VM = Domain("vm0.example.jp", new_request_id(), HOST, "running", active=True, image="sl6")


def asked(made: frames.Message) -> dict:
    """The body as the client worker gets it."""
    received = frames.decode(frames.encode(made))
    return schema.asked(received.type, received.body)


def test_hello() -> None:
    report = HostReport(
        8,
        16384,
        1024,
        (DomainSummary("sl6", new_request_id(), False, True, False, 1, 512, 1 << 30),),
        (PoolSummary("default", 1 << 40, 1 << 39),),
        ("default",),
        (base("sl6"),),
        "libvirtd is slow",
    )
    body = asked(messages.hello(HOST, report, [REQUEST]))
    assert body["report"] == report
    assert body["requests"] == ({"id": REQUEST.id, "state": State.RUNNING},)


def test_hello_lists_as_many_requests_as_a_message_may() -> None:
    held = [replace(REQUEST, id=new_request_id()) for _turn in range(schema.MAX_LISTED + 5)]
    assert len(asked(messages.hello(HOST, HostReport(), held))["requests"]) == schema.MAX_LISTED


def test_hello_gets_through_with_any_names_on_the_host() -> None:
    domain = DomainSummary("a\nb\x1b", new_request_id(), True, True, False, 1, 512)
    long = replace(domain, name="n" * 900)
    image = ImageSummary("i\t", new_request_id(), True, None, None, 1 << 30)
    report = HostReport(
        domains=(domain, long),
        pools=(PoolSummary("p\t", 1, 1),) * 300,
        networks=("n\0",) * 300,
        problem="x\n" * 3000,
        looks=(LookSummary("i\t", "0" * 64, False, "r\x1b", True),) * 1001,
        images=(replace(image, origin="o" * 2000), *[image] * 1000),
    )
    told = asked(messages.hello(HOST, report, []))["report"]
    assert [each.name for each in told.domains] == ["a\\nb\\x1b", "n" * 400]
    assert (len(told.pools), told.pools[0].name) == (256, "p\\t")
    assert set(told.networks) == {"n\\x00"}
    assert len(told.problem) == 2000
    assert (len(told.looks), told.looks[0].image) == (1000, "i\\t")
    assert told.looks[0].reason == "r\\x1b"
    assert (len(told.images), told.images[0].name) == (1000, "i\\t")
    assert (len(told.images[0].origin or ""), told.images[0].versions) == (1000, 1 << 20)


def test_hello_gets_through_with_any_sizes_on_the_host() -> None:
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
    told = asked(messages.hello(HOST, report, []))["report"]
    assert (told.cpus, told.memory_total_mib) == (1 << 20, 1 << 60)
    assert (told.domains[0].vcpus, told.domains[0].disk_bytes) == (1 << 20, 1 << 60)
    assert (told.pools[0].free_bytes, len(told.pools[0].shared)) == (1 << 60, 40)
    assert (told.bases[0].vms, told.leftovers[0].allocated_bytes) == (1 << 20, 1 << 60)


def test_hello_of_too_many_domains_has_the_images() -> None:
    vm = DomainSummary("vm", new_request_id(), True, True, True, 1, 512)
    image = DomainSummary("sl6", new_request_id(), False, True, False, 1, 512)
    domains = (*[vm] * messages.MAX_DOMAINS, image)
    made = messages.hello(HOST, HostReport(domains=domains), [])
    told = asked(made)["report"].domains
    assert len(told) == messages.MAX_DOMAINS
    assert image in told
    assert len(frames.encode(made)[-1]) < frames.MAX_FRAME


def test_hello_of_a_host_whose_names_are_long_when_escaped() -> None:
    """Names that are no ASCII take up to twelve bytes a character: 437 domains are too many."""
    wide = "\U0001f4bb"
    vm = DomainSummary(wide * 400, new_request_id(), True, True, True, 1, 512)
    image = DomainSummary("sl6", new_request_id(), False, True, False, 1, 512)
    report = HostReport(
        domains=(*[vm] * 437, image),
        pools=(PoolSummary("default", 1, 1),),
        bases=(base(wide * 200, pool=wide * 200),) * 1000,
    )
    told = asked(messages.hello(HOST, report, [REQUEST] * schema.MAX_LISTED))["report"]
    assert told.domains[0] == image
    assert 100 < len(told.domains) < 437
    assert told.pools == report.pools
    few = replace(report, domains=(vm, image))
    told = asked(messages.hello(HOST, few, []))["report"]
    assert told.domains == (image, vm)
    assert 100 < len(told.bases) < 1000


def test_hello_of_many_domains_and_bases_keeps_the_domains() -> None:
    vm = DomainSummary("n" * 40, new_request_id(), True, True, True, 1, 512)
    report = HostReport(domains=(vm,) * messages.MAX_DOMAINS, bases=(base("b" * 200),) * 1000)
    told = asked(messages.hello(HOST, report, []))["report"]
    assert len(told.domains) == messages.MAX_DOMAINS
    assert 0 < len(told.bases) < 1000


def test_hello_of_many_images_that_are_refused_keeps_the_rest() -> None:
    domains = tuple(
        DomainSummary(f"{n}.original", new_request_id(), False, True, False, 1, 512)
        for n in range(1000)
    )
    look = LookSummary("n.original", "0" * 64, False, "r" * 2000, True)
    report = HostReport(domains=domains, bases=(base("b"),), looks=(look,) * 1000)
    told = asked(messages.hello(HOST, report, []))["report"]
    assert (len(told.domains), len(told.bases)) == (1000, 1)
    assert 0 < len(told.looks) < 1000


def test_ack_and_progress() -> None:
    assert asked(messages.ack(HOST, REQUEST.id)) == {"host": HOST, "id": REQUEST.id}
    phases = tuple(Phase(f"p{number}", 1.0) for number in range(100))
    body = asked(messages.progress(HOST, REQUEST.id, "copy", phases))
    assert body["phases"] == phases[-messages.MAX_PHASES :]


def test_results() -> None:
    done = replace(REQUEST, state=State.DONE, vm=VM, phases=(Phase("copy", 0.5),))
    assert asked(messages.result(HOST, done))["vm"] == VM
    failed = replace(REQUEST, state=State.FAILED, failure=Failure("no_room", "full"))
    assert asked(messages.result(HOST, failed))["failure"] == Failure("no_room", "full")


def test_a_refused_result_is_told_as_a_failure_without_its_vm() -> None:
    done = replace(REQUEST, state=State.DONE, vm=VM, phases=(Phase("copy", 0.5),))
    body = asked(messages.refused(HOST, done))
    assert (body["state"], body["vm"]) == (State.FAILED, None)
    assert body["failure"].text == (
        "clone vm0.example.jp on host kvm0.example.jp is done, but the client worker refuses its"
        " result; the host worker's log says why"
    )
    failed = replace(REQUEST, state=State.FAILED, failure=Failure("no_room", "full"), vm=VM)
    body = asked(messages.refused(HOST, failed))
    assert (body["state"], body["failure"]) == (State.FAILED, failed.failure)
    assert body["vm"] is None

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to be wrong with a cloud, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet import health
from maglica.fleet.health import Trouble
from maglica.model.moment import Moment
from maglica.model.reported import PoolState
from maglica.model.request import HostStatus, ImageSummary, Leftover, PoolSummary, Request
from maglica.model.worker import ClientWorkerStatus
from maglica.verbs.clone import CloneSpec
from support.reports import GIB, IMAGE, image, report

NOW = 100_000.0
VERSION = "0.2.0+0123456789ab"
OLD = "0.1.0+ba9876543210"
ID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
SILENT = "is of a version that does not tell which one it is"
SOUND = ClientWorkerStatus(VERSION)


def host(name: str = "kvm0", **changes: Any) -> HostStatus:
    facts = {"alive": True, "seen": Moment(NOW - 3), "weight": 1.0, "worker_version": VERSION}
    facts["report"] = report(**changes.pop("said", {}))
    return HostStatus(name, **{**facts, **changes})


def found(
    *hosts: HostStatus,
    client_worker: ClientWorkerStatus | None = SOUND,
    requests: Sequence[Request] = (),
) -> list[Trouble]:
    return health.troubles(hosts, client_worker, requests, NOW)


def pool(free: float) -> PoolSummary:
    return PoolSummary("default", 100 * GIB, round(free * GIB))


def request(age: float, **changes: Any) -> Request:
    made = Request(ID, CloneSpec("vm0", IMAGE), host="kvm0", created=Moment(NOW - age))
    return replace(made, **changes)


def golden(*hosts: str) -> list[HostStatus]:
    """Three hosts, of which these have an image that Maglica made."""
    made = ImageSummary("golden", ID, True, None, None, 1)
    has = report(image(), image(name="golden"), images=(made,))
    return [
        host(name, report=has) if name in hosts else host(name) for name in ("kvm0", "kvm1", "kvm2")
    ]


def test_nothing_is_wrong() -> None:
    assert found(host(), host("kvm1")) == []
    assert found(host(said={"pools": (pool(5.0),)}), requests=[request(3599)]) == []
    assert found(*golden("kvm0", "kvm1", "kvm2")) == []


def test_a_share_that_is_full_is_only_to_be_known() -> None:
    share = replace(pool(0.0), shared="nfs4")
    (trouble,) = found(host(said={"pools": (pool(50.0), share)}))
    assert (trouble.code, trouble.wrong) == ("pool_full", False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"pools": ()}, "it has no storage pool"),
        (
            {
                "pools": (replace(pool(50.0), name="b", shared="nfs4"),),
                "pool_states": tuple(
                    PoolState(name, active, GIB, GIB)
                    for name, active in (("c", True), ("b", True), ("a\n", False))
                ),
            },
            "its pool a\\n is not active; its pool b is on nfs4, which other hosts may see too;"
            " its pool c is not one of files, or host_worker_pools leaves it out",
        ),
    ],
)
def test_a_host_without_a_pool_for_vms(said: dict[str, Any], reason: str) -> None:
    (trouble,) = found(host(said=said))
    assert (trouble.code, trouble.host, trouble.wrong) == ("no_pool", "kvm0", True)
    assert trouble.text == f"no vm can be made on it: {reason}"
    assert "virsh pool-start POOL" in trouble.todo


def test_a_host_that_does_not_know_its_pools_is_not_said_to_have_none() -> None:
    for said in ({"problem": "has just started"}, {"libvirt_error": "no socket"}):
        assert "no_pool" not in {each.code for each in found(host(said={"pools": (), **said}))}


@pytest.mark.parametrize(
    ("hosts", "more", "expected"),
    [
        ([], {}, ("no_host", None, "the client worker knows no host", "maglica.cloud.deploy")),
        (
            [host(alive=False, seen=Moment(NOW - 3700), said={"problem": "of old"})],
            {},
            (
                *("host_silent", "kvm0", "nothing was heard of it for 1 h 1 min"),
                "journalctl -u maglica-host-worker -n 50",
            ),
        ),
        (
            [host(alive=False, seen=None, worker_version=None)],
            {},
            (
                "host_silent",
                "kvm0",
                "nothing was heard of it since the client worker knows it",
                "reaches the client worker",
            ),
        ),
        (
            [host(said={"problem": "journal is\nfull"})],
            {},
            ("host_problem", "kvm0", "it can't work: journal is\\nfull", "put that right"),
        ),
        (
            [host(said={"libvirt_error": "no socket"})],
            {},
            ("libvirt", "kvm0", "its libvirtd is silent: no socket", "journalctl -u libvirtd"),
        ),
        (
            [host(said={"pools": (pool(4.9),)})],
            {},
            (
                *("pool_full", "kvm0"),
                "its pool default is nearly full: 4.9 GiB of 100 GiB are free",
                "maglica image release",
            ),
        ),
        (
            [host(worker_version=OLD), host("kvm1")],
            {},
            (
                *("version", "kvm0"),
                f"its host worker has version {OLD}, the client worker has version {VERSION}",
                "maglica.cloud.upgrade",
            ),
        ),
        (
            [host(worker_version=None)],
            {},
            (
                *("version", "kvm0"),
                f"its host worker {SILENT}, the client worker has version {VERSION}",
                "maglica.cloud.upgrade",
            ),
        ),
        (
            [host(worker_version=None)],
            {"client_worker": None},
            ("version", None, f"the client worker {SILENT}", "maglica.cloud.upgrade"),
        ),
        (
            [host()],
            {"client_worker": ClientWorkerStatus(VERSION, ("/etc/maglica/access:3: no key",))},
            (
                *("client_worker", None, "/etc/maglica/access:3: no key"),
                "journalctl -u maglica-client-worker -n 50",
            ),
        ),
        (
            [host()],
            {"requests": [request(7260, phase="copy"), request(59)]},
            (
                *("request_open", "kvm0"),
                f"request {ID} (clone vm0) is open for 2 h 1 min, in its phase copy",
                f"maglica request cancel {ID}",
            ),
        ),
    ],
)
def test_what_is_wrong(
    hosts: list[HostStatus], more: dict[str, Any], expected: tuple[str, str | None, str, str]
) -> None:
    (trouble,) = found(*hosts, **more)
    assert (trouble.code, trouble.host, trouble.text) == expected[:3]
    assert expected[3] in trouble.todo
    assert trouble.wrong


def test_what_is_only_to_be_known_comes_last_and_is_not_wrong() -> None:
    left = (Leftover("/pool/a", None, 1),)
    told = found(host(said={"leftovers": left, "problems": ("vm9: unreadable",)}), golden()[1])
    assert [(each.code, each.wrong) for each in told] == [("unread", False), ("leftovers", False)]
    assert told[1].text == "1 file looks like Maglica's, and nothing shows it to be so"
    told = found(*golden("kvm1"), requests=[request(4000)])
    assert [(each.code, each.wrong) for each in told] == [
        ("request_open", True),
        ("image_missing", False),
    ]
    assert told[1].text == "image golden is not on kvm0, kvm2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3661, "1 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_how_long_something_lasts(seconds: float, text: str) -> None:
    assert health.lasting(seconds) == text

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bases the module returns, with a client worker and hosts in memory."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils import _ansible
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import errors, request
from ansible_collections.maglica.cloud.plugins.modules import maglica_image_info

HERE, GONE = "debian12.original", "debian11.original"
Run = Callable[..., dict[str, Any]]


class FakeClient:
    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def __call__(self, _config: object, **options: Any) -> FakeClient:
        self.made.append(options)
        return self

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    def hosts(self) -> tuple[request.HostStatus, ...]:
        bases = tuple(
            request.BaseSummary(name[6:8], name, "0123456789ab", "default", 1, 1.0, True, True, 0)
            for name in (HERE, GONE)
        )
        looks = (request.LookSummary(HERE, "0123456789ab", False, "no ifupdown", True),)
        report = request.HostReport(bases=bases, looks=looks)
        return (request.HostStatus("kvm0", True, 1.0, 1.0, report),)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(maglica_image_info, "Client", fake)
    seen = {"images": [{"name": HERE}], "unreachable_hosts": [], "problems": []}
    monkeypatch.setattr(maglica_image_info.info, "images", lambda *_asked: dict(seen))
    return fake


@pytest.fixture
def run(run_module: Run, client: FakeClient) -> Run:
    return functools.partial(run_module, maglica_image_info)


def test_bases_also_of_images_that_are_not_listed(run: Run, client: FakeClient) -> None:
    result = run(bases=True, client_worker_timeout=3)
    assert [base["id"] for base in result["images"][0]["bases"]] == ["12"]
    assert result["other_bases"].keys() == {GONE}
    assert [base["id"] for base in result["other_bases"][GONE]] == ["11"]
    documented = yaml.safe_load(maglica_image_info.RETURN)
    shown = documented["images"]["contains"]["bases"]["contains"].keys()
    assert result["other_bases"][GONE][0].keys() == shown
    assert client.made == [{"reply_timeout": 3, "attempts": 1}]


def test_what_is_known_of_a_guest(run: Run) -> None:
    (image,) = run(bases=True)["images"]
    (look,) = image["looks"]
    assert (look["host"], look["customizable"], look["reason"]) == ("kvm0", False, "no ifupdown")
    documented = yaml.safe_load(maglica_image_info.RETURN)
    assert look.keys() == documented["images"]["contains"]["looks"]["contains"].keys()


@pytest.mark.parametrize("option", ["hosts", "host"])
def test_what_is_told_of_the_hosts_that_are_asked(
    run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (status,) = client.hosts()
    left = (request.Leftover("/pool/x.vda.0123abcd.qcow2", "default", 4096),)
    other = replace(status, host="kvm1", report=replace(status.report, leftovers=left))
    monkeypatch.setattr(client, "hosts", lambda: (status, other))
    result = run(bases=True, **{option: ["kvm0"]})
    (image,) = result["images"]
    told = [*image["bases"], *image["looks"], *result["other_bases"][GONE]]
    assert ({each["host"] for each in told}, result["leftovers"]) == ({"kvm0"}, [])


def test_leftovers(run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    (status,) = client.hosts()
    found = request.Leftover("/pool/a b.vda.0123abcd.qcow2", "default", 4096)
    report = replace(status.report, leftovers=(found,))
    monkeypatch.setattr(client, "hosts", lambda: (replace(status, report=report),))
    (shown,) = run(bases=True)["leftovers"]
    assert shown == {
        "host": "kvm0",
        "path": "/pool/a b.vda.0123abcd.qcow2",
        "pool": "default",
        "allocated_bytes": 4096,
        "command": "virsh vol-delete --pool default --vol 'a b.vda.0123abcd.qcow2'",
    }
    documented = yaml.safe_load(maglica_image_info.RETURN)["leftovers"]["contains"]
    assert shown.keys() == documented.keys()


@pytest.mark.parametrize(
    ("names", "others"),
    [([HERE], set()), (["debian*"], {GONE}), (["~.*11.*"], {GONE}), (["~debian"], set())],
)
def test_other_bases_are_those_of_the_names(run: Run, names: list[str], others: set[str]) -> None:
    assert run(bases=True, name=names)["other_bases"].keys() == others


def test_without_bases_nobody_is_asked(run: Run, client: FakeClient) -> None:
    assert "other_bases" not in run()
    assert client.made == []


def test_the_configuration_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    load = _ansible.load_config
    monkeypatch.setattr(_ansible, "load_config", lambda given: reads.append(given) or load(given))
    run(bases=True)
    assert len(reads) == 1


def test_hosts_look_first(run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    (status,) = client.hosts()
    dead = replace(status, host="kvm1", alive=False)
    monkeypatch.setattr(client, "hosts", lambda: (status, dead))
    seen = {
        "images": [{"name": HERE, "hosts": ["kvm0", "kvm1"]}],
        "unreachable_hosts": [],
        "problems": [],
    }
    monkeypatch.setattr(maglica_image_info.info, "images", lambda *_asked: dict(seen))

    def inspect(_client: object, where: Any, timeout: float) -> Any:
        asked.append((list(where), timeout))
        return (status,), [errors.GuestUnreadable("cannot inspect image x")]

    monkeypatch.setattr(maglica_image_info.inspection, "inspect", inspect)
    warned: list[str] = []
    monkeypatch.setattr(
        maglica_image_info.AnsibleModule, "warn", lambda _self, text: warned.append(text)
    )
    result = run(inspect=True, wait_timeout=7)
    assert asked == [([("kvm0", HERE)], 7)]
    assert [look["host"] for look in result["images"][0]["looks"]] == ["kvm0"]
    assert (warned, "bases" in result["images"][0], "leftovers" in result) == (
        ["cannot inspect image x"],
        False,
        False,
    )

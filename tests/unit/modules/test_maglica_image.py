# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's main function with a client worker in memory."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import images
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import errors
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import request as model
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.prepare import PrepareSpec
from ansible_collections.maglica.cloud.plugins.modules import maglica_image

IMAGE = "debian12.original"
HOSTS = ("kvm0.example.jp", "kvm1.example.jp", "kvm2.example.jp")
Run = Callable[..., dict[str, Any]]


class FakeClient:
    """Three hosts with the image; the last one has its base. ``ends``: how requests there end."""

    def __init__(self) -> None:
        self.ends: dict[str, dict[str, Any]] = {}
        self.asked: list[model.Request] = []
        self.waits: list[float] = []

    def __call__(self, _config: object, reply_timeout: float) -> FakeClient:
        self.reply_timeout = reply_timeout
        return self

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    def hosts(self) -> tuple[model.HostStatus, ...]:
        base = model.BaseSummary(
            "0a1b2c3d", IMAGE, "0123456789ab", "default", 1, 1.0, True, True, 0
        )
        image = model.DomainSummary(IMAGE, "u", False, True, False, 1, 512, 1)
        return tuple(
            model.HostStatus(
                name,
                True,
                1.0,
                1.0,
                model.HostReport(domains=(image,), bases=(base,) if name == HOSTS[2] else ()),
            )
            for name in HOSTS
        )

    def submit_all(self, requests: tuple[model.Request, ...]) -> tuple[model.Request, ...]:
        self.asked += requests
        return tuple(replace(each, host=each.spec.host) for each in requests)

    def wait_all(
        self, _ids: object, timeout: float, _tell: object = None
    ) -> dict[str, model.Request]:
        self.waits.append(timeout)
        return {
            each.id: replace(
                each, host=each.spec.host, **self.ends.get(each.spec.host, self._done(each))
            )
            for each in self.asked
        }

    def _done(self, request: model.Request) -> dict[str, Any]:
        is_base = request.kind == "prepare"
        has_to = (request.spec.host == HOSTS[2]) is not is_base
        phases = (model.Phase("base" if is_base else "volumes", 1.5), model.Phase("x", 0.25))
        return {"state": model.State.DONE, "phases": phases if has_to else ()}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(maglica_image, "Client", fake)
    return fake


@pytest.fixture
def run(run_module: Run, client: FakeClient) -> Run:
    return functools.partial(run_module, maglica_image, name=IMAGE)


def test_what_lacks_is_prepared(run: Run, client: FakeClient) -> None:
    result = run(wait_timeout=9, client_worker_timeout=2)
    assert result["changed"]
    assert [(place["host"], place["changed"]) for place in result["hosts"]] == [
        *((host, True) for host in HOSTS[:2]),
        (HOSTS[2], False),
    ]
    assert [place.get("seconds") for place in result["hosts"]] == [1.75, 1.75, 0]
    assert [place.get("request") for place in result["hosts"]] == [
        request.id for request in client.asked
    ]
    assert (client.waits, client.reply_timeout) == ([9], 2)
    assert result["diff"] == {
        "before": dict.fromkeys(HOSTS[:2], "not prepared"),
        "after": dict.fromkeys(HOSTS[:2], "prepared"),
    }


def test_nothing_to_do(run: Run, client: FakeClient) -> None:
    result = run(hosts=[HOSTS[2]])
    assert (result["changed"], [each.spec.host for each in client.asked]) == (False, [HOSTS[2]])
    assert result["diff"] == {"before": {}, "after": {}}


def test_released(run: Run, client: FakeClient) -> None:
    result = run(state="released")
    assert [request.kind for request in client.asked] == ["release"] * 3
    assert result["diff"] == {
        "before": {HOSTS[2]: "prepared"},
        "after": {HOSTS[2]: "not prepared"},
    }


def test_check_mode_asks_for_nothing(run: Run, client: FakeClient) -> None:
    result = run(_ansible_check_mode=True)
    assert result["changed"]
    assert client.asked == []
    result = run(_ansible_check_mode=True, hosts=[HOSTS[2], "kvm9.example.jp"])
    assert (result["failed"], result["code"]) == (True, "host_unknown")


def test_nobody_waits(run: Run, client: FakeClient) -> None:
    result = run(wait=False, hosts=[HOSTS[0], HOSTS[0]])
    assert client.waits == []
    (request,) = client.asked
    assert result["hosts"] == [{"host": HOSTS[0], "changed": True, "request": request.id}]


def test_no_time_to_wait_is_not_the_same_as_not_to_wait(run: Run, client: FakeClient) -> None:
    client.ends = {host: {"state": model.State.RUNNING} for host in HOSTS}
    result = run(wait_timeout=0)
    assert (client.waits, result["failed"], result["code"]) == ([0], True, "request_timeout")


def test_the_failed_hosts_are_named_and_the_others_returned(run: Run, client: FakeClient) -> None:
    failure = model.Failure("no_room", f"cannot prepare {IMAGE} on host {HOSTS[1]}: pool is full")
    client.ends = {HOSTS[1]: {"state": model.State.FAILED, "failure": failure}}
    result = run()
    assert (result["failed"], result["changed"], result["code"]) == (True, True, "no_room")
    assert result["msg"] == f"cannot prepare {IMAGE} on host {HOSTS[1]}: pool is full"
    assert [place["changed"] for place in result["hosts"]] == [True, False, False]
    lost = result["hosts"][1]
    assert (lost["failed"], lost["msg"], lost["code"]) == (True, result["msg"], "no_room")
    assert lost["seconds"] == 0


def test_hosts_that_go_on_or_were_cancelled(run: Run, client: FakeClient) -> None:
    client.ends = {
        HOSTS[0]: {"state": model.State.RUNNING, "phase": "base"},
        HOSTS[1]: {"state": model.State.CANCELLED},
    }
    result = run(wait_timeout=3)
    late, cancelled = result["hosts"][:2]
    assert result["code"] == late["code"] == "request_timeout"
    assert "seconds" not in late
    assert f"longer for image {IMAGE}: request" in late["msg"]
    assert f"in phase base on host {HOSTS[0]} after 3 s; it goes on" in late["msg"]
    assert cancelled["msg"].startswith(f"prepare of {IMAGE} on host {HOSTS[1]} was cancelled")


def test_the_options_are_documented() -> None:
    documented = yaml.safe_load(maglica_image.DOCUMENTATION)["options"]
    spec = maglica_image.argument_spec()
    shared = maglica_image.connection_spec()
    assert documented.keys() == spec.keys() - shared.keys()
    for name, option in documented.items():
        assert {key: option[key] for key in option.keys() - {"description"}} == spec[name], name


def test_what_is_returned_is_documented() -> None:
    documented = yaml.safe_load(maglica_image.RETURN)
    assert documented.keys() == {"hosts", "code"}
    spec = PrepareSpec(IMAGE, HOSTS[0])
    request = model.Request("r", spec, state=model.State.FAILED)
    place = images.Place(HOSTS[0], True, request, errors.NoRoom("full"))
    assert documented["hosts"]["contains"].keys() == maglica_image.shown(place).keys()


@pytest.mark.parametrize("task", yaml.safe_load(maglica_image.EXAMPLES), ids=lambda t: t["name"])
def test_the_examples_run(run: Run, client: FakeClient, task: dict[str, Any]) -> None:
    assert run(**task["maglica.cloud.maglica_image"])["changed"]

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's main function with a client worker in memory."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.config.config import (
    ClientWorker,
    Config,
    Library,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import images
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.image_plan import Place
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import errors
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import request as model
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs import table
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.prepare import PrepareSpec
from ansible_collections.maglica.cloud.plugins.modules import maglica_image

IMAGE = "debian12.original"
UUID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
NEW, OLD = (f"sha256:{digits * 32}" for digits in ("0b", "0a"))
URL = "https://images.example.jp/golden.qcow2"
HOSTS = ("kvm0.example.jp", "kvm1.example.jp", "kvm2.example.jp")
KEY = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
Run = Callable[..., dict[str, Any]]


class FakeClient:
    """Three hosts with the image; the last one has its base. ``ends``: how requests there end.

    ``made`` are images of the last one that Maglica made.
    """

    def __init__(self) -> None:
        self.made: tuple[model.ImageSummary, ...] = ()
        self.ends: dict[str, dict[str, Any]] = {}
        self.asked: list[model.Request] = []
        self.waits: list[float] = []

    def __call__(self, config: Config, reply_timeout: float) -> FakeClient:
        self.config = config
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
        image = model.DomainSummary(IMAGE, UUID, False, True, False, 1, 512, 1)
        made = tuple(replace(image, name=each.name) for each in self.made)
        return tuple(
            model.HostStatus(
                name,
                True,
                1.0,
                1.0,
                model.HostReport(domains=(image, *made), bases=(base,), images=self.made)
                if name == HOSTS[2]
                else model.HostReport(domains=(image,)),
            )
            for name in HOSTS
        )

    def submit_all(self, requests: tuple[model.Request, ...]) -> tuple[model.Request, ...]:
        self.asked += requests
        return tuple(replace(each, host=each.spec.host) for each in requests)

    def wait_all(
        self, _ids: object, timeout: float, _tell: object = None, _quiet: object = None
    ) -> dict[str, model.Request]:
        self.waits.append(timeout)
        return {
            each.id: replace(
                each, host=each.spec.host, **self.ends.get(each.spec.host, self._done(each))
            )
            for each in self.asked
        }

    def _done(self, request: model.Request) -> dict[str, Any]:
        has_to = (request.spec.host == HOSTS[2]) is (request.kind in ("release", "remove_image"))
        phases = (model.Phase(table.of(request).acting_phase, 1.5), model.Phase("x", 0.25))
        return {"state": model.State.DONE, "phases": phases if has_to else ()}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(maglica_image, "Client", fake)
    return fake


@pytest.fixture
def run(run_module: Run, client: FakeClient) -> Run:
    prepare = {"name": IMAGE, "state": "prepared", "_ansible_diff": True}
    return functools.partial(run_module, maglica_image, **prepare)


@pytest.fixture
def add(run_module: Run, client: FakeClient) -> Run:
    """An image golden that shall be there; the last host has one of Maglica's, of another file."""
    client.made = (model.ImageSummary("golden", UUID, True, OLD, URL, 1),)
    return functools.partial(run_module, maglica_image, name="golden", _ansible_diff=True)


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


@pytest.mark.parametrize("option", ["hosts", "host"])
def test_nothing_to_do(run: Run, client: FakeClient, option: str) -> None:
    result = run(**{option: [HOSTS[2]]})
    assert (result["changed"], [each.spec.host for each in client.asked]) == (False, [HOSTS[2]])
    assert "diff" not in result


def test_the_difference_is_returned_if_it_is_asked_for(run: Run) -> None:
    assert "diff" not in run(_ansible_diff=False)


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
    assert f"(prepare of image {IMAGE}) is still running on host {HOSTS[0]}" in late["msg"]
    assert "in phase base after 3 s; it goes on" in late["msg"]
    assert cancelled["msg"].startswith(f"prepare of {IMAGE} on host {HOSTS[1]} was cancelled")


def test_what_is_returned_is_documented() -> None:
    documented = yaml.safe_load(maglica_image.RETURN)
    assert documented.keys() == {"hosts", "code"}
    spec = PrepareSpec(IMAGE, HOSTS[0])
    request = model.Request("r", spec, state=model.State.FAILED)
    error = errors.NoRoom("full")
    place = Place(HOSTS[0], True, None, None, spec, request=request, error=error)
    assert documented["hosts"]["contains"].keys() == images.shown(place).keys()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warns of. How Ansible shows it depends on what the process has loaded."""
    texts: list[str] = []
    monkeypatch.setattr(maglica_image.AnsibleModule, "warn", lambda _self, text: texts.append(text))
    return texts


def test_the_image_is_made_where_it_is_not(add: Run, client: FakeClient, warned: list[str]) -> None:
    told = {"url": URL, "checksum": NEW, "memory": "4GiB", "interfaces": [{"bridge": "br0"}]}
    result = add(**told, vcpus=4, firmware="uefi", secure_boot=True, pool="fast")
    assert result["changed"]
    assert [request.spec.host for request in client.asked] == list(HOSTS)
    spec = client.asked[0].spec
    assert (spec.url, spec.checksum, spec.memory_mib, spec.vcpus) == (URL, NEW, 4096, 4)
    assert (spec.firmware.value, spec.secure_boot, spec.pool) == ("uefi", True, "fast")
    assert [nic.bridge for nic in spec.interfaces] == ["br0"]
    # The last host has found that it has this file already, whatever it reported.
    assert [place["changed"] for place in result["hosts"]] == [True, True, False]
    nothing = {"checksum": None, "origin": None}
    assert result["diff"] == {
        "before": dict.fromkeys(HOSTS[:2], nothing),
        "after": {host: {"checksum": NEW, "origin": URL} for host in HOSTS[:2]},
    }
    assert warned == []


def test_check_mode_of_a_known_file(add: Run, client: FakeClient, warned: list[str]) -> None:
    result = add(url=URL, checksum=NEW, hosts=[HOSTS[2]], _ansible_check_mode=True)
    assert (result["changed"], client.asked) == (True, [])
    assert result["diff"]["before"] == {HOSTS[2]: {"checksum": OLD, "origin": URL}}
    result = add(url=URL, checksum=OLD, hosts=[HOSTS[2]], _ansible_check_mode=True)
    assert (result["changed"], "diff" in result) == (False, False)
    assert warned == []


def test_check_mode_says_what_only_a_host_can_tell(add: Run, warned: list[str]) -> None:
    sums = "https://images.example.jp/SHA256SUMS"
    result = add(url=URL, checksum=sums, _ansible_check_mode=True)
    assert [place["changed"] for place in result["hosts"]] == [True, True, False]
    assert result["diff"]["after"][HOSTS[0]] == {"checksum": sums, "origin": URL}
    (warning,) = warned
    assert f"a new version of the image on {HOSTS[2]} can't be told" in warning


def test_an_image_of_the_catalog_or_of_the_configuration(
    run_module: Run, client: FakeClient, config: Path
) -> None:
    for _time in range(2):
        run_module(maglica_image, name="debian-13", hosts=[HOSTS[0]])
        config.write_text(f"{config.read_text()}[image debian-13]\nurl = {URL}\nchecksum = {NEW}\n")
    official, own = (request.spec for request in client.asked)
    assert official.url.startswith("https://cloud.debian.org/")
    assert (own.url, own.checksum) == (URL, NEW)


def test_a_name_that_nobody_knows(add: Run) -> None:
    result = add()
    assert result["code"] == "image_unknown"
    assert "the catalog has no image golden: it has almalinux-10," in result["msg"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": URL}, "needs a checksum"),
        ({"url": URL, "checksum": NEW, "path": "/a"}, "from a url or from a path"),
        ({"url": URL, "checksum": "md5:1"}, "is not a checksum"),
        ({"path": "/a", "memory": "4GB"}, "memory: 4GB says GB, which "),
        ({"path": "/a", "memory": "4"}, "memory: "),
        ({"path": "/a", "xml": "<domain/>", "vcpus": 1}, "xml says vcpus itself"),
    ],
)
def test_what_can_not_be_meant(
    add: Run, client: FakeClient, options: dict[str, Any], text: str
) -> None:
    result = add(**options)
    assert (result["code"], text in result["msg"], client.asked) == ("name_invalid", True, [])


def test_what_an_address_has_of_secrets_is_not_returned(add: Run, client: FakeClient) -> None:
    url = "https://user:hush@images.example.jp/golden.qcow2?token=hush"
    result = add(url=url, checksum=f"sha256:{url}", state="present", _ansible_check_mode=False)
    assert client.asked[0].spec.url == url
    assert "hush" not in str(result)
    assert "images.example.jp" in str(result["invocation"])


def test_an_image_is_removed_where_maglica_made_it(add: Run, client: FakeClient) -> None:
    result = add(state="absent")
    (request,) = client.asked
    assert (request.kind, request.spec.host, request.spec.uuid) == ("remove_image", HOSTS[2], UUID)
    assert result["hosts"] == [
        {"host": HOSTS[2], "changed": True, "request": request.id, "seconds": 1.75}
    ]
    assert result["diff"] == {
        "before": {HOSTS[2]: {"checksum": OLD, "origin": URL}},
        "after": {HOSTS[2]: {"checksum": None, "origin": None}},
    }


def test_nothing_to_remove(add: Run, client: FakeClient) -> None:
    result = add(state="absent", hosts=[HOSTS[0]])
    assert (result["changed"], client.asked) == (False, [])
    assert result["hosts"] == [{"host": HOSTS[0], "changed": False}]
    client.made = ()
    assert add(state="absent")["hosts"] == []


@pytest.mark.parametrize("task", yaml.safe_load(maglica_image.EXAMPLES), ids=lambda t: t["name"])
def test_the_examples_run(run_module: Run, client: FakeClient, task: dict[str, Any]) -> None:
    client.made = (model.ImageSummary("debian-12", UUID, True, OLD, URL, 1),)
    options = task["maglica.cloud.maglica_image"]
    # A template that only Ansible would expand.
    if "{{" in options.get("checksum", ""):
        options["checksum"] = f"sha512:{'0123456789abcdef' * 8}"
    assert run_module(maglica_image, **options)["changed"]


def test_no_file_is_needed(run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("MAGLICA_CLIENT_WORKER_KEY", KEY)
    result = run(state="prepared", config=None, client_worker="client.example.jp", key=SECRET)
    assert client.config.client_worker == ClientWorker("client.example.jp", public_key=KEY)
    assert client.config.library == Library(None, SECRET)
    assert SECRET not in str(result)


def test_no_libvirt_is_needed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    assert run()["changed"]

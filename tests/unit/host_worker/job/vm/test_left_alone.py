# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No verb touches a domain that Maglica did not make: an original image, or a vm of others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from maglica.domain.definition import MAX_SIZE
from maglica.host_worker.job import main
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.verb import Verb
from support import made_image
from support.fake_host import IMAGE, FakeHost
from support.fake_libvirt import Domain
from support.vm_verbs import ALSO, ON_A_VM

HOST = "kvm0.example.jp"
each_verb = pytest.mark.parametrize("verb", ON_A_VM, ids=lambda verb: verb.name)


def run(host: FakeHost, verb: Verb, domain: Domain) -> Request:
    """Run a job for such a request about a domain, as any client's key may submit it."""
    also = ALSO.get(verb.name, {})
    spec = verb.spec(name=domain.name(), uuid=domain.UUIDString(), host=HOST, **also)
    request = Request(new_request_id(), spec, host=HOST, who="mallory")
    host.context.journal.accept([request])
    host.connection.calls.clear()
    main.run([request.id], host.context)
    assert host.context.journal.intents(request.id) == ()
    return host.now(request)


def left_alone(host: FakeHost, verb: Verb, domain: Domain) -> str:
    """Tell why a request failed; nothing was done but to look."""
    before = (domain.xml, domain.active)
    ended = run(host, verb, domain)
    assert (domain.xml, domain.active) == before
    assert set(host.connection.calls) == {"lookupByUUIDString"}
    assert (ended.state, ended.failure.code) == (State.FAILED, "vm_unknown")
    assert ended.phases == ()
    return ended.failure.text


def test_there_are_such_verbs() -> None:
    assert {"start", "stop", "restart", "resize", "remove"} <= {verb.name for verb in ON_A_VM}


def act(verb: Verb) -> str:
    return verb.act or verb.name


@each_verb
def test_an_original_image(host: FakeHost, verb: Verb) -> None:
    assert left_alone(host, verb, host.add_image()) == (
        f"cannot {act(verb)} {IMAGE} on host {HOST}: Maglica did not make it; it is an original"
        " image, which is only cloned"
    )


@each_verb
@pytest.mark.parametrize("active", [False, True])
def test_an_image_that_maglica_made(host: FakeHost, verb: Verb, active: bool) -> None:
    """Whatever its name is, and also while it runs."""
    domain = host.add_image(uuid=made_image.UUID, metadata=made_image.metadata())
    domain.active = active
    host.settings = replace(host.settings, image_pattern=re.compile("golden.*"))
    host.context = host.new_context()
    assert left_alone(host, verb, domain) == (
        f"cannot {act(verb)} {IMAGE} on host {HOST}: it is an original image that Maglica made,"
        " which is only cloned"
    )


@each_verb
@pytest.mark.parametrize("what", ["runs", "transient", "excluded by image_pattern"])
def test_a_vm_of_others(host: FakeHost, verb: Verb, what: str) -> None:
    domain = host.add_image()
    domain.active = what != "excluded by image_pattern"
    domain.persistent = what != "transient"
    if not domain.active:
        host.settings = replace(host.settings, image_pattern=re.compile("golden.*"))
        host.context = host.new_context()
    assert left_alone(host, verb, domain) == (
        f"cannot {act(verb)} {IMAGE} on host {HOST}: Maglica did not make it; it is left alone,"
        " unless it is adopted first"
    )


@each_verb
def test_one_whose_definition_can_not_be_read(host: FakeHost, verb: Verb) -> None:
    domain = host.add_image()
    domain.xml += " " * MAX_SIZE
    ended = run(host, verb, domain)
    assert ended.failure.text.startswith(f"cannot {act(verb)} {IMAGE} on host {HOST}: the definit")
    assert set(host.connection.calls) == {"lookupByUUIDString"}

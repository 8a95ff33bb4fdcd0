# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of which host for an image, by what the hosts reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from maglica.manage.image_wanted import ImageState, WantedImage, want
from maglica.manage.images import bring, failure, foresee
from maglica.model.errors import (
    HostDown,
    HostUnknown,
    ImageRunning,
    ImageUnknown,
    LimitExceeded,
    PeerSilent,
)
from maglica.model.request import (
    BaseSummary,
    Customize,
    DomainSummary,
    Failure,
    HostReport,
    HostStatus,
    LookSummary,
    Phase,
    Request,
    State,
)
from support.reports import IMAGE, base, image

PREPARED = want(IMAGE, ImageState.PREPARED)
MACHINE = "<memory>65536</memory><os><type arch='x86_64'>hvm</type></os><devices/>"
RELEASED = want(IMAGE, ImageState.RELEASED)


def status(
    host: str,
    *bases: BaseSummary,
    domains: tuple[DomainSummary, ...] = (image(),),
    alive: bool = True,
) -> HostStatus:
    return HostStatus(host, alive, 1.0, 1.0, HostReport(domains=domains, bases=bases))


class Client:
    """A client worker whose hosts do all at once; ``fails`` are those where it fails."""

    def __init__(
        self, *hosts: HostStatus, fails: tuple[str, ...] = (), phase: str = "base"
    ) -> None:
        self._hosts = hosts
        self._fails = fails
        self._phase = phase
        self.asked: list[Request] = []

    def hosts(self) -> tuple[HostStatus, ...]:
        return self._hosts

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        self.asked += requests
        return tuple(replace(each, host=each.spec.host) for each in requests)

    def wait_all(self, ids: Sequence[str], _timeout: float, *_told: object) -> dict:
        return {each.id: self._ended(each) for each in self.asked if each.id in ids}

    def _ended(self, request: Request) -> Request:
        if request.spec.host in self._fails:
            return replace(request, state=State.FAILED, failure=Failure("no_room", "full"))
        return replace(request, state=State.DONE, phases=(Phase(self._phase, 1.0),))


def to_do(wanted: WantedImage, *hosts: HostStatus) -> dict[str, bool]:
    return {place.host: place.changed for place in foresee(Client(*hosts), wanted)}


def test_prepare_where_the_image_is_and_no_base_of_its_version() -> None:
    old = base(current=False)
    hosts = (status("a"), status("b", base()), status("c", old), status("d", domains=()))
    assert to_do(PREPARED, *hosts) == {"a": True, "b": False, "c": True}


def test_a_host_that_is_down_is_left_out_unless_it_is_named() -> None:
    hosts = (status("a"), status("b", alive=False))
    assert to_do(PREPARED, *hosts) == {"a": True}
    with pytest.raises(HostDown, match=f"cannot prepare image {IMAGE} on host b: its host worker"):
        to_do(replace(PREPARED, hosts=("b",)), *hosts)
    with pytest.raises(HostUnknown, match=f"cannot prepare image {IMAGE} on host z: the client"):
        to_do(replace(PREPARED, hosts=("z",)), *hosts)


def test_a_named_host_must_have_the_image_to_prepare() -> None:
    hosts = (status("a"), status("b", domains=()), status("c", domains=(image(active=True),)))
    with pytest.raises(ImageUnknown, match=f"image {IMAGE} on host b: it has no such image"):
        to_do(replace(PREPARED, hosts=("a", "b")), *hosts)
    with pytest.raises(ImageRunning, match=f"image {IMAGE} on host c: it is running: shut it down"):
        to_do(replace(PREPARED, hosts=("c",)), *hosts)
    assert to_do(replace(RELEASED, hosts=("b", "c")), *hosts) == {"b": False, "c": False}


def test_a_host_that_is_named_twice_is_asked_once() -> None:
    client = Client(status("a"), status("b"))
    wanted = want(IMAGE, ImageState.PREPARED, ("a", "b", "a"))
    assert len(bring(client, wanted, 10)) == 2
    assert [each.spec.host for each in client.asked] == ["a", "b"]


def test_an_image_that_nobody_has() -> None:
    with pytest.raises(ImageUnknown, match="no host that is up has it"):
        to_do(PREPARED, status("a", domains=()))
    with pytest.raises(ImageRunning, match="it is running on a: shut it down"):
        to_do(PREPARED, status("a", domains=(image(active=True),)))


def looked_at(host: str, customizable: bool) -> HostStatus:
    look = LookSummary(IMAGE, "0123456789ab", customizable, None, True)
    return replace(status(host), report=HostReport(domains=(image(),), looks=(look,)))


def test_release_where_something_is_known_of_the_image() -> None:
    hosts = (looked_at("a", False), looked_at("b", True), status("c"))
    assert to_do(RELEASED, *hosts) == {"a": True, "b": True, "c": False}


def test_prepare_where_the_base_is_for_another_way() -> None:
    look = LookSummary(IMAGE, "0123456789ab", True, None, True, Customize.CLOUD_INIT)
    hosts = [
        replace(status(host), report=HostReport(domains=(image(),), looks=(look,), bases=(made,)))
        for host, made in (("a", base()), ("b", base(way=Customize.CLOUD_INIT)))
    ]
    assert to_do(PREPARED, *hosts) == {"a": True, "b": False}


def test_release_where_a_base_is_not_used() -> None:
    gone = status("d", base(), domains=())
    hosts = (status("a", base(vms=2)), status("b", base()), status("c"), gone)
    assert to_do(RELEASED, *hosts) == {"a": False, "b": True, "c": False, "d": True}


def test_all_is_handed_in_together() -> None:
    client = Client(status("a"), status("b", base()), status("c"), fails=("c",))
    places = {place.host: place for place in bring(client, PREPARED, 10)}
    assert [(each.kind, each.spec.host) for each in client.asked] == [
        ("prepare", "a"),
        ("prepare", "b"),
        ("prepare", "c"),
    ]
    assert (places["a"].changed, places["a"].error) == (True, None)
    assert str(places["c"].error) == "full"


def test_the_host_knows_better_than_its_last_report() -> None:
    # The image was changed after the report which shows its base as current.
    (place,) = bring(Client(status("a", base())), PREPARED, 10)
    assert place.changed
    (place,) = bring(Client(status("a", base(vms=1)), phase="volumes"), RELEASED, 10)
    assert place.changed


def test_a_host_that_found_all_done_has_not_changed() -> None:
    (place,) = bring(Client(status("a"), phase="other"), PREPARED, 10)
    assert not place.changed


def test_nobody_waits() -> None:
    (place,) = bring(Client(status("a")), PREPARED, None)
    assert place.changed
    assert not place.request.state.ended


def test_what_was_handed_in_is_told_also_when_nobody_answers_any_more() -> None:
    client = Client(status("a"), status("b"))

    def silent(*_asked: Any) -> dict:
        raise PeerSilent("the client worker does not answer")

    client.wait_all = silent
    places = bring(client, PREPARED, 10)
    assert [place.request and place.request.id for place in places] == [
        request.id for request in client.asked
    ]
    assert [(place.changed, type(place.error)) for place in places] == [(False, PeerSilent)] * 2
    assert str(failure(places)) == "the client worker does not answer"


@pytest.mark.parametrize("act", [foresee, lambda *asked: bring(*asked, 10)])
def test_a_definition_that_is_too_long_for_so_many_hosts(act: Any) -> None:
    hosts = [status(f"kvm{number}", domains=()) for number in range(9)]
    long = f"<domain><description>{60_000 * 'x'}</description>{MACHINE}</domain>"
    wanted = want("golden", path="/srv/golden.img", xml=long)
    client = Client(*hosts)
    with pytest.raises(LimitExceeded, match="xml for 9 hosts has 541053 bytes together"):
        act(client, wanted)
    assert client.asked == []
    assert len(act(Client(*hosts[:8]), wanted)) == 8

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image is to be made or removed, by what the hosts reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.manage import images
from maglica.manage.image_plan import Place, plan
from maglica.manage.image_wanted import ImageState, want
from maglica.model.errors import (
    GuestUnsupported,
    HostDown,
    HostUnknown,
    ImageRunning,
    NameTaken,
    NotOwn,
)
from maglica.model.request import HostReport, HostStatus, ImageSummary, LookSummary
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.remove_image import RemoveImageSpec
from support import reports
from support.reports import IMAGE, base, image, look

OLD, NEW = (f"sha256:{digits * 32}" for digits in ("0a", "0b"))
URL = "https://example.com/a.qcow2"
UUID = image().uuid
SUMS = "https://example.com/SHA256SUMS"


def status(host: str, *, alive: bool = True, **facts: Any) -> HostStatus:
    """A host without images, unless ``facts`` of its report say so."""
    report = replace(reports.report(), **{"domains": (), **facts})
    return HostStatus(host, alive, 1.0, 1.0, report)


def having(host: str, checksum: str | None = OLD, origin: str | None = URL) -> HostStatus:
    """A host with an image that Maglica made."""
    summary = ImageSummary(IMAGE, UUID, True, checksum, origin, 1)
    return status(host, domains=(image(),), images=(summary,))


def of_others(host: str) -> HostStatus:
    """A host with an image of that name that was made by hand, where a checksum is recorded."""
    summary = ImageSummary(IMAGE, UUID, False, NEW, URL, 1)
    return status(host, domains=(image(),), images=(summary,))


def planned(checksum: str, *hosts: HostStatus, **said: Any) -> list[Place]:
    return plan(hosts, want(IMAGE, url=said.pop("url", URL), checksum=checksum, **said))


def test_present_on_all_hosts_that_are_up() -> None:
    hosts = (status("a"), having("b"), having("c", NEW), status("d", alive=False))
    places = planned(NEW, *hosts)
    assert [(place.host, place.changed, place.is_guess) for place in places] == [
        ("a", True, False),
        ("b", True, False),
        ("c", False, False),
    ]
    # A host looks for itself, also where nothing seems to be to do.
    specs = [AddImageSpec(IMAGE, host, url=URL, checksum=NEW) for host in ("a", "b", "c")]
    assert [place.spec for place in places] == specs
    assert images.diff(places) == {
        "before": {
            "a": {"checksum": None, "origin": None},
            "b": {"checksum": OLD, "origin": URL},
        },
        "after": {host: {"checksum": NEW, "origin": URL} for host in ("a", "b")},
    }


def test_present_on_named_hosts() -> None:
    hosts = (status("a"), status("b"), status("c", alive=False))
    (place,) = planned(NEW, *hosts, hosts=("b",))
    assert place.host == "b"
    with pytest.raises(HostDown, match=f"^cannot add image {IMAGE} on host c: its host worker"):
        planned(NEW, *hosts, hosts=("b", "c"))
    with pytest.raises(HostUnknown, match=f"^cannot add image {IMAGE} on host z: the client"):
        planned(NEW, *hosts, hosts=("z",))
    with pytest.raises(HostDown, match=f"^cannot add image {IMAGE}: no host is up"):
        planned(NEW, hosts[2])


def test_the_same_file_from_another_place_is_no_change() -> None:
    (place,) = planned(OLD, having("a"), url="https://mirror.example.com/a.qcow2")
    assert not place.changed


@pytest.mark.parametrize("checksum", [SUMS, f"sha512:{'0' * 128}"])
def test_a_checksum_that_can_not_be_compared_is_guessed_by_the_origin(checksum: str) -> None:
    hosts = (having("a"), having("b", origin="https://example.com/old.qcow2"), status("c"))
    places = planned(checksum, *hosts)
    assert [(place.changed, place.is_guess) for place in places] == [
        (False, True),
        (True, True),
        (True, False),
    ]
    assert places[1].after == {"checksum": checksum, "origin": URL}
    assert "a new version of the image on a, b can't be told" in (images.doubt(places) or "")


def test_a_file_of_the_host_may_have_changed_since() -> None:
    places = plan([having("a", origin="/srv/a.raw"), status("b")], want(IMAGE, path="/srv/a.raw"))
    assert [(place.changed, place.is_guess) for place in places] == [(False, True), (True, False)]
    assert places[1].after == {"checksum": "that of /srv/a.raw", "origin": "/srv/a.raw"}


@pytest.mark.parametrize(
    ("vms", "looks", "changed", "is_guess"),
    [(0, (), True, True), (0, (look(),), True, False), (1, (), False, False)],
)
def test_whether_something_else_builds_upon_a_base_only_its_host_can_tell(
    vms: int, looks: tuple[LookSummary, ...], changed: bool, is_guess: bool
) -> None:
    hosts = [status("a", bases=(base(vms=vms),), looks=looks)]
    places = plan(hosts, want(IMAGE, ImageState.RELEASED))
    assert [(place.changed, place.is_guess) for place in places] == [(changed, is_guess)]
    told = images.doubt(places) or ""
    assert ("whether a base of the image on a will be removed can't be told" in told) is is_guess


def test_no_secret_is_shown() -> None:
    url = "https://user:secret@example.com/a.qcow2?token=secret"
    (place,) = planned(
        "sha256:https://user:secret@example.com/SUMS?token=secret", status("a"), url=url
    )
    assert place.after == {"checksum": "sha256:https://example.com/SUMS", "origin": URL}
    (place,) = planned(SUMS, having("a"), url=url)
    assert not place.changed
    assert images.doubt([]) is None


@pytest.mark.parametrize(
    "taken",
    [
        of_others("b"),
        status("b", domains=(image(),)),
        status("b", domains=(image(active=True),)),
        status("b", domains=(image(made=True),)),
    ],
)
def test_a_domain_of_others_stands_in_the_way(taken: HostStatus) -> None:
    with pytest.raises(NameTaken, match=f"^cannot add image {IMAGE} on host b: it has a domain"):
        planned(NEW, status("a"), taken)
    assert [place.host for place in planned(NEW, status("a"), taken, hosts=("a",))] == ["a"]


def absent(*hosts: HostStatus, named: tuple[str, ...] = ()) -> list[Place]:
    return plan(hosts, want(IMAGE, ImageState.ABSENT, named))


def test_absent_where_it_is() -> None:
    running = having("d")
    running = replace(running, report=replace(running.report, domains=(image(active=True),)))
    hosts = (status("a"), having("b"), replace(having("c"), alive=False), running)
    places = absent(*hosts)
    assert [(place.host, place.changed) for place in places] == [("b", True), ("d", True)]
    assert places[0].spec == RemoveImageSpec(IMAGE, "b", UUID)
    assert images.diff(places)["after"]["b"] == {"checksum": None, "origin": None}
    assert absent(status("a")) == []


def test_absent_on_named_hosts() -> None:
    there, other = absent(having("a"), status("b"), named=("a", "b"))
    assert (there.changed, other.changed, other.spec) == (True, False, None)
    with pytest.raises(HostDown):
        absent(having("a"), status("b", alive=False), named=("a", "b"))


@pytest.mark.parametrize("made", [of_others("b"), status("b", domains=(image(),))])
def test_what_others_made_is_not_removed(made: HostStatus) -> None:
    with pytest.raises(NotOwn, match=f"^cannot remove image {IMAGE} on host b: Maglica did not"):
        absent(having("a"), made)
    assert [place.host for place in absent(having("a"), made, named=("a",))] == ["a"]
    assert absent(status("b", domains=(image(made=True),))) == []


class Reports:
    """A client worker that is only asked for its hosts."""

    def __init__(self, *hosts: HostStatus) -> None:
        self._hosts = hosts

    def hosts(self) -> tuple[HostStatus, ...]:
        return self._hosts


def test_an_image_that_vms_need_is_foreseen_to_stay() -> None:
    used = having("a")
    bases = (base(vms=2), base(vms=1, current=False), base("other", vms=7))
    used = replace(used, report=replace(used.report, bases=bases))
    client: Any = Reports(used, having("b"))
    kept, gone = images.foresee(client, want(IMAGE, ImageState.ABSENT))
    assert (kept.changed, type(kept.error)) == (False, NotOwn)
    assert str(kept.error) == f"cannot remove image {IMAGE} on host a: 3 vms there build upon it"
    assert (gone.changed, gone.error) == (True, None)


def test_an_image_that_runs_is_foreseen_to_stay() -> None:
    runs = having("a")
    runs = replace(runs, report=replace(runs.report, domains=(image(active=True),)))
    client: Any = Reports(runs, having("b"))
    newer = want(IMAGE, url=URL, checksum=NEW)
    for wanted, act in ((newer, "add"), (want(IMAGE, ImageState.ABSENT), "remove")):
        kept, other = images.foresee(client, wanted)
        assert (kept.changed, type(kept.error)) == (False, ImageRunning)
        assert str(kept.error).startswith(f"cannot {act} image {IMAGE} on host a: it is running")
        assert (other.changed, other.error) == (True, None)
    # What is there already is no new version, and of what only the host can tell nothing is said.
    (kept, _other) = images.foresee(client, want(IMAGE, url=URL, checksum=OLD))
    assert kept.error is None
    (kept, _other) = images.foresee(client, want(IMAGE, path="/srv/other.img"))
    assert kept.error is None


def test_an_image_that_can_not_be_prepared_is_foreseen_to_fail() -> None:
    look = LookSummary(IMAGE, "v", False, "no family is known", True)
    told = HostReport(domains=(image(),), looks=(look,))
    client: Any = Reports(HostStatus("a", True, None, 1.0, told))
    (place,) = images.foresee(client, want(IMAGE, ImageState.PREPARED))
    assert (place.changed, type(place.error)) == (False, GuestUnsupported)
    assert str(place.error) == f"cannot prepare image {IMAGE} on host a: no family is known"
    client = Reports(
        HostStatus("a", True, None, 1.0, replace(told, looks=(replace(look, current=None),)))
    )
    (place,) = images.foresee(client, want(IMAGE, ImageState.PREPARED))
    assert (place.changed, place.error) == (True, None)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an image tells how its clones are customized, whatever is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.disk import chain
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.facts import Seen
from maglica.host_worker.job import main
from maglica.host_worker.job.image import base, original, ways
from maglica.host_worker.journal.bases import READY
from maglica.model.errors import GuestUnreadable, GuestUnsupported
from maglica.model.request import Customize, Request, State, new_request_id
from maglica.verbs import table
from support.fake_host import IMAGE, FakeHost

SEED = SeedFacts(("ed25519",), "debian")
FOR_CLOUDS = Seen("debian", "13", "netplan", "ext4", None, "netplan is not known", SEED)
NOTHING = Seen(cloud_init="is disabled by x", offline="netplan is not known")


def chosen(host: FakeHost, asked: Customize) -> Customize:
    request = host.request()
    return ways.chosen(original.read(IMAGE, host.context), asked, request.id, host.context).way


def ask(host: FakeHost, verb: str) -> Request:
    spec = table.named(verb).spec(IMAGE, "kvm0.example.jp")
    request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
    host.context.journal.accept([request])
    main.run([request.id], host.context)
    return host.now(request)


def made(host: FakeHost) -> list[Customize]:
    return [each.way for each in host.context.journal.bases() if each.state == READY]


def test_the_look_that_finds_the_way_makes_its_base(host: FakeHost) -> None:
    host.add_image()
    host.seen = FOR_CLOUDS
    assert chosen(host, Customize.AUTO) is Customize.CLOUD_INIT
    assert made(host) == [Customize.CLOUD_INIT]
    image = original.read(IMAGE, host.context)
    with base.held(image, host.context, host.request().id, Customize.CLOUD_INIT) as found:
        assert (found.seed, found.facts, found.owns) == (SEED, None, True)
    assert len(host.prepared) == 1


def test_what_is_known_needs_no_second_look_whatever_is_asked(host: FakeHost) -> None:
    host.add_image()
    host.seen = replace(FOR_CLOUDS, offline=None)
    for asked in Customize:
        expected = Customize.CLOUD_INIT if asked is Customize.AUTO else asked
        assert chosen(host, asked) is expected
    assert len(host.prepared) == 1


def test_none_needs_no_look(host: FakeHost) -> None:
    host.add_image()
    image = original.read(IMAGE, host.context)
    assert chosen(host, Customize.NONE) is Customize.NONE
    with base.held(image, host.context, host.request().id, Customize.NONE) as found:
        assert (found.facts, found.seed, found.way) == (None, None, Customize.NONE)
    assert host.prepared == []
    # An image by hand may be written to by its owner: what clones build upon is a copy.
    assert len(host.copied) == len(host.bases()) == 1


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Customize.AUTO, "is disabled by x, .* netplan is not known; customize: none clones it"),
        (Customize.CLOUD_INIT, "its cloud-init is disabled by x"),
        (Customize.OFFLINE, "can't be customized offline: netplan"),
    ],
)
def test_what_can_not_be_done(host: FakeHost, asked: Customize, problem: str) -> None:
    host.add_image()
    host.seen = NOTHING
    with pytest.raises(GuestUnsupported, match=problem):
        chosen(host, asked)
    with pytest.raises(GuestUnsupported, match=rf"{problem}.* \(found 2.*image release"):
        chosen(host, asked)
    assert (len(host.prepared), host.volumes(), made(host)) == (1, [], [])
    assert chosen(host, Customize.NONE) is Customize.NONE


def test_an_image_of_which_nothing_can_be_told_can_be_cloned_by_none(host: FakeHost) -> None:
    host.add_image()
    host.broken["prepare"] = GuestUnreadable("it has no operating system")
    with pytest.raises(GuestUnreadable, match="customize: none clones it as it is inside"):
        chosen(host, Customize.CLOUD_INIT)
    assert chosen(host, Customize.NONE) is Customize.NONE


def test_a_way_that_came_to_nothing_while_its_base_was_made(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look finds both ways good, and then that by cloud-init can't be gone."""
    host.add_image()
    host.seen = replace(FOR_CLOUDS, cloud_init="would leave something", offline=None)
    prepare = host.prepare

    def found(*asked: Any) -> Any:
        return replace(prepare(*asked), way=None, facts=None)

    monkeypatch.setattr("maglica.host_worker.job.image.look.prepare_base", found)
    assert chosen(host, Customize.AUTO) is Customize.OFFLINE
    assert (made(host), host.volumes()) == ([], [])


def test_prepare_makes_the_base_that_a_clone_will_want(host: FakeHost) -> None:
    host.add_image()
    host.seen = FOR_CLOUDS
    first = ask(host, "prepare")
    assert (first.state, [phase.name for phase in first.phases]) == (State.DONE, ["base"])
    assert made(host) == [Customize.CLOUD_INIT]
    assert ask(host, "prepare").phases == ()
    assert len(host.prepared) == 1


def test_a_base_that_is_there_is_not_made_again_by_a_new_look(host: FakeHost) -> None:
    host.add_image()
    host.seen = FOR_CLOUDS
    ask(host, "prepare")
    host.context.journal.looks.forget(IMAGE)
    assert chosen(host, Customize.AUTO) is Customize.CLOUD_INIT
    assert (len(host.prepared), len(host.bases())) == (2, 1)


def test_a_look_alone_makes_nothing(host: FakeHost) -> None:
    host.add_image()
    host.seen = FOR_CLOUDS
    first = ask(host, "inspect")
    assert (first.state, [phase.name for phase in first.phases]) == (State.DONE, ["look"])
    assert (host.volumes(), made(host)) == ([], [])
    (look,) = host.context.journal.looks.all()
    assert look.seen == FOR_CLOUDS
    assert ask(host, "inspect").phases == ()
    assert chosen(host, Customize.AUTO) is Customize.CLOUD_INIT
    assert len(host.prepared) == 1


def test_that_an_image_can_not_be_customized_is_an_answer(host: FakeHost) -> None:
    host.add_image()
    host.broken["prepare"] = GuestUnreadable("it has no operating system")
    assert ask(host, "inspect").state is State.DONE
    (look,) = host.context.journal.looks.all()
    assert (look.code, look.reason) == ("guest_unreadable", "it has no operating system")


def test_an_image_whose_states_can_not_be_told_apart(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a block device: what was found is good for what was read then, and no longer."""
    host.add_image()
    host.seen = FOR_CLOUDS
    monkeypatch.setattr(chain, "version", lambda *_asked: None)
    image = original.read(IMAGE, host.context)
    request = host.request()
    asked = (image, Customize.AUTO, request.id, host.context)
    assert ways.chosen(*asked).way is ways.chosen(*asked).way is Customize.CLOUD_INIT
    for _turn in range(2):
        with base.held(image, host.context, request.id, Customize.CLOUD_INIT):
            assert len(host.prepared) == 1
    chosen(host, Customize.AUTO)
    assert len(host.prepared) == 2

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that can't be customized is refused before any copy, and the next time at once."""

from __future__ import annotations

import pytest
from maglica.disk import chain, qemu_img
from maglica.guest.filesystem import ApplianceDied, NoVerdict
from maglica.host_worker.job import main, undo
from maglica.host_worker.job.image import look
from maglica.host_worker.journal.intents import Effect
from maglica.model.errors import (
    GuestUnreadable,
    GuestUnsupported,
    MaglicaError,
    NoRoom,
    StorageFailed,
)
from maglica.model.request import Request, State, new_request_id
from maglica.verbs import table
from support.fake_host import IMAGE, FakeHost
from support.qcow2 import header

NETPLAN = GuestUnsupported("the guest's network is configured by netplan")


def clone(host: FakeHost) -> Request:
    (ended,) = host.run(host.request())
    return ended


def about_image(host: FakeHost, kind: str, name: str = IMAGE) -> Request:
    spec = table.named(kind).spec(name, "kvm0.example.jp")
    request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
    host.context.journal.accept([request])
    main.run([request.id], host.context)
    return host.now(request)


@pytest.mark.parametrize("error", [NETPLAN, GuestUnreadable("it has no operating system")])
def test_a_refusal_costs_no_copy_and_is_kept(host: FakeHost, error: MaglicaError) -> None:
    host.add_image(["vda", "vdb"])
    host.broken["prepare"] = error
    first = clone(host)
    assert (first.failure.code, first.state) == (error.code, State.FAILED)
    assert first.failure.text.endswith(f"{error}; customize: none clones it as it is inside")
    assert (host.copied, host.volumes()) == ([], [])
    assert host.context.journal.intents(first.id) == ()
    again = clone(host)
    assert len(host.prepared) == 1
    assert again.failure.code == error.code
    assert f": {error}; customize: none clones it as it is inside (found " in again.failure.text
    assert f"to have it looked at anew: maglica image release {IMAGE})" in again.failure.text
    prepared = about_image(host, "prepare")
    assert (prepared.state, len(host.prepared)) == (State.FAILED, 1)


def test_the_appliance_gets_overlays_and_the_base_what_came_of_them(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image(["vda", "vdb"])
    copied: list[tuple[str, str]] = []

    def copy(layers: chain.Chain, _target: str, _alive: object, overlay: chain.Layer) -> None:
        copied.append((layers[0].path, overlay.path))

    monkeypatch.setattr(qemu_img, "copy", copy)
    assert clone(host).state is State.DONE
    (overlays,) = host.prepared
    assert [each.startswith(f"{host.pool}/maglica-look.") for each in overlays] == [True, True]
    disks = [str(host.folder / f"{IMAGE}.{target}.img") for target in ("vda", "vdb")]
    assert copied == list(zip(disks, overlays))
    assert not [name for name in host.volumes() if "look" in name]


def test_an_image_that_has_changed_is_looked_at_again(host: FakeHost) -> None:
    host.add_image()
    host.broken["prepare"] = NETPLAN
    clone(host)
    (host.folder / f"{IMAGE}.vda.img").write_bytes(b"y" * 8192)
    del host.broken["prepare"]
    assert clone(host).state is State.DONE
    assert [kept.code for kept in host.context.journal.looks.all()] == [None]


def test_other_rules_look_again(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add_image()
    host.broken["prepare"] = NETPLAN
    clone(host)
    monkeypatch.setattr(look, "INSPECTION", look.INSPECTION + 1)
    del host.broken["prepare"]
    assert clone(host).state is State.DONE


def test_a_released_image_is_looked_at_again_also_under_another_name(host: FakeHost) -> None:
    image = host.add_image()
    host.broken["prepare"] = NETPLAN
    clone(host)
    renamed = image.xml.replace(f"<name>{IMAGE}<", "<name>renamed.original<")
    host.connection.domains.remove(image)
    host.connection.defineXML(renamed)
    about_image(host, "prepare", "renamed.original")
    assert len(host.prepared) == 1
    released = about_image(host, "release", "renamed.original")
    # A phase says that something was to do.
    assert [phase.name for phase in released.phases] == ["volumes"]
    about_image(host, "prepare", "renamed.original")
    assert len(host.prepared) == 2


def test_what_was_found_before_an_image_got_its_name_is_released(host: FakeHost) -> None:
    """A report has it under the present name, so that check mode foresees a change."""
    image = host.add_image()
    about_image(host, "prepare")
    image._name, image.xml = "renamed", image.xml.replace(f"<name>{IMAGE}<", "<name>renamed<")
    released = about_image(host, "release", "renamed")
    assert [phase.name for phase in released.phases] == ["volumes"]
    journal = host.context.journal
    assert (journal.looks.all(), journal.bases()) == ((), ())
    assert about_image(host, "release", "renamed").phases == ()
    assert about_image(host, "release", "gone").phases == ()


@pytest.mark.parametrize(
    "error",
    [
        ApplianceDied("cannot mount: the appliance ended"),
        NoVerdict("cannot mount: Input/output error"),
        NoRoom("full"),
        StorageFailed("can't be written: Input/output error"),
    ],
)
def test_what_is_no_verdict_is_not_kept(host: FakeHost, error: MaglicaError) -> None:
    host.add_image()
    host.broken["prepare"] = error
    assert clone(host).failure.code == error.code
    assert host.context.journal.looks.all() == ()
    clone(host)
    assert len(host.prepared) == 2
    assert host.volumes() == []


def test_a_verdict_on_an_image_that_was_changed_meanwhile_is_none(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = host.add_image()

    def started(*_asked: object) -> None:
        image.active = True
        raise NETPLAN

    monkeypatch.setattr(look, "prepare_base", started)
    assert clone(host).failure.code == "image_running"
    assert host.context.journal.looks.all() == ()
    assert host.volumes() == []


def test_an_image_without_a_version_is_looked_at_each_time(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    monkeypatch.setattr(chain, "version", lambda *_asked: None)
    host.broken["prepare"] = NETPLAN
    for _turn in range(2):
        assert clone(host).failure.code == NETPLAN.code
    assert len(host.prepared) == 2


def test_answers_of_images_that_are_gone_are_forgotten(host: FakeHost) -> None:
    gone = host.context.journal.looks
    gone.keep(look.Look("uuid", "gone.original", "v", look.INSPECTION, 1.0), ["uuid"])
    host.add_image()
    clone(host)
    assert [kept.image for kept in gone.all()] == [IMAGE]


def test_overlays_of_a_job_that_was_killed_are_removed(host: FakeHost) -> None:
    host.add_image()
    request = host.request()
    paths = [host.pool / f"maglica-look.0a1b2c3d.{target}.qcow2" for target in ("vda", "vdb")]
    host.context.journal.intend(request.id, Effect.LOOK, {"paths": list(map(str, paths))})
    paths[0].touch()
    for _turn in range(2):
        undo.undo(request.id, host.context)
    assert host.volumes() == []


def test_an_overlay_that_somebody_builds_upon_stays(host: FakeHost) -> None:
    request = host.request()
    left, used = (host.pool / f"maglica-look.0123abcd.{target}.qcow2" for target in ("vda", "vdb"))
    for path in (left, used):
        path.write_bytes(header())
    host.context.journal.intend(request.id, Effect.LOOK, {"paths": [str(left), str(used)]})
    above = host.pool / "theirs"
    above.write_bytes(header(backing=str(used).encode()))
    undo.undo(request.id, host.context)
    assert host.volumes() == sorted([used.name, "theirs"])

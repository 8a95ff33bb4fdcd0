# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options of a vm that is there are named, since they change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.target import Target, warnings
from maglica.manage.wanted import want
from maglica.model.request import CloneMode, Nic, Request, State, User
from maglica.model.vm import Domain, Interface
from maglica.verbs.clone import CloneSpec, marks

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
THERE = Domain(
    *(NAME, "u", HOST, "running", True, True),
    image=IMAGE,
    clone_mode="linked",
    interfaces=tuple(Interface(f"52:54:00:00:00:0{index}", "lab") for index in range(2)),
)


def _plan(*there: Domain, **asked: object) -> Plan:
    return decide(want(NAME, image=IMAGE, **asked), Found(there), None)


KEY, OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5BBBB me"
HASH = "$6$salt$hashhash"
ASKED = {
    "hostname": "vm0",
    "pool": "fast",
    "interfaces": (Nic("lab", addresses=("192.0.2.7/24",)), Nic()),
    "user": User("admin", ("adm",), ssh_authorized_keys=(KEY,)),
    "ssh_authorized_keys": (KEY,),
}
DIFFERENT = {
    "hostname": "vm1",
    "pool": "slow",
    "interfaces": (Nic(), Nic("lab", addresses=("192.0.2.7/24",))),
    "user": User("admin", ("adm",), ssh_authorized_keys=(OTHER,)),
    "ssh_authorized_keys": (KEY, OTHER),
}


def _made(**asked: object) -> Domain:
    words = marks(CloneSpec(NAME, IMAGE, **asked)).values()
    return replace(THERE, asked=tuple(words))


def test_the_same_again_is_not_named_and_what_differs_is() -> None:
    made = _made(**ASKED)
    assert _plan(made, **ASKED).kept == ()
    assert _plan(made).kept == ()
    for option, value in DIFFERENT.items():
        assert _plan(made, **{**ASKED, option: value}).kept == (option,)
    assert _plan(made, **DIFFERENT).kept == tuple(DIFFERENT)
    # One of which nothing is recorded.
    assert _plan(THERE, **ASKED).kept == tuple(ASKED)
    assert _plan(_made(), hostname=NAME).kept == ()


def test_another_way_of_customizing() -> None:
    made = replace(THERE, customize="cloud-init")
    kept = [_plan(made, customize=way).kept for way in ("auto", "cloud-init", "offline")]
    assert kept == [(), (), ("customize",)]


def test_of_a_secret_only_that_it_is_another_one_is_told() -> None:
    text = "#cloud-config\npackages: [nginx]\n"
    secret = {"user": User("admin", password=HASH), "root_password": HASH, "user_data": text}
    other = f"{HASH}2"
    different = {
        "root_password": other,
        "user.password": User("admin", password=other),
        "user_data": text.replace("nginx", "apache2"),
    }
    made = _made(**secret)
    assert _plan(made, **secret).kept == ()
    for option, value in different.items():
        assert _plan(made, **{**secret, option.partition(".")[0]: value}).kept == (option,)
    assert _plan(_made(), **secret).kept == ("user", *different)
    # Three digits are no help to who guesses what a text has in it.
    words = {word.partition(":")[0]: word.partition(":")[2] for word in made.asked}
    assert len(words["user_data"]) == 3
    assert HASH not in str(made.asked)


def test_of_a_vm_that_is_just_being_made_the_first_secret_stands() -> None:
    wanted = want(NAME, image=IMAGE, root_password=HASH, **ASKED)
    pending = Request("r", wanted.clone.without_secrets(), State.RUNNING, HOST)
    joining, fresh = Target(wanted), Target(wanted)
    joining.take(decide(wanted, Found(()), pending))
    fresh.take(decide(wanted, Found(()), None))
    assert warnings([joining, fresh]) == [
        f"{NAME}: not changed on a vm that is just being made, where what was said first stands:"
        " root_password"
    ]
    # What it has become is no other than what was asked for.
    for target in (joining, fresh):
        target.take(decide(wanted, Found((_made(**ASKED),)), None))
    assert (joining.kept, fresh.kept) == (("root_password",), ())


def test_vms_that_keep_the_same_are_named_together() -> None:
    targets = [Target(want(name, image=IMAGE), kept=("pool",)) for name in ("a", "b", "c")]
    targets.append(Target(want("d"), kept=("pool", "user")))
    assert warnings([*targets, Target(want("e"))]) == [
        "a, b, c: not changed on a vm that is there: pool",
        "d: not changed on a vm that is there: pool, user",
    ]


@pytest.mark.parametrize(
    ("there", "asked", "kept"),
    [
        ("full", CloneMode.LINKED, ("clone_mode",)),
        ("full", CloneMode.FULL, ()),
        ("full", None, ()),
        ("linked", CloneMode.FULL, ()),
        ("linked", CloneMode.LINKED, ()),
        ("linked", None, ()),
    ],
)
def test_a_full_vm_stays_so_and_that_is_said(
    there: str, asked: CloneMode | None, kept: tuple[str, ...]
) -> None:
    assert _plan(replace(THERE, clone_mode=there), clone_mode=asked).kept == kept
    (made,) = _plan(clone_mode=asked).steps
    assert made.clone_mode is (asked or CloneMode.LINKED)

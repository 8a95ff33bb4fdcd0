# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vms a pattern and a number stand for, as tables."""

from __future__ import annotations

import pytest
from maglica.manage.group import MAX_NUMBER, MAX_VMS, Group, Pattern, check, choose
from maglica.manage.wanted import want
from maglica.model.errors import NameInvalid
from maglica.model.request import Nic
from maglica.verbs.table import Presence

IMAGE = "debian12.original"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web%02d.example.jp", {1: "web01.example.jp", 99: "web99.example.jp", 100: "web100.exa"}),
        ("%d", {0: "0", 7: "7"}),
        ("Web_%02d (ü)", {3: "Web_03 (ü)"}),
        ("vm%d", {0: "vm0", 7: "vm7", 10: "vm10"}),
        ("a-%03d.b", {7: "a-007.b", 1000: "a-1000.b"}),
        ("web%06d", {1: "web000001", 99999: "web099999"}),
        ("web%09d", {1: "web000000001"}),
    ],
)
def test_names_and_numbers(text: str, names: dict[int, str]) -> None:
    pattern = Pattern.parse(text)
    for number, name in names.items():
        assert pattern.name(number).startswith(name)
        assert pattern.number(pattern.name(number)) == number


@pytest.mark.parametrize(
    "name",
    [
        *("web1.example.jp", "web001.example.jp", "web.example.jp", "web01.example.com", "web01"),
        *(
            "xweb01.example.jp",
            "web-1.example.jp",
            "web+1.example.jp",
            "web\u0661\u0662.example.jp",
        ),
        *("web0123456.example.jp", "web100000.example.jp"),
        *("web01.example.jp.example.jp", "", "web%02d.example.jp"),
    ],
)
def test_other_names_have_no_number(name: str) -> None:
    assert Pattern.parse("web%02d.example.jp").number(name) is None


@pytest.mark.parametrize(
    "text",
    [
        *("web.example.jp", "web%d%d.example.jp", "web%s.example.jp", "web%x", "web%02d%", "%%d"),
        *("web%2d.example.jp", "web%00d", "web%-2d", "web%(x)d", "web%010d", "web{n}", ""),
        *("web%d/..", "web%d\n", "a" * 196 + "%d"),
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(NameInvalid):
        Pattern.parse(text)


def group(count: int = 0, **fields: object) -> Group:
    wanted = {name: fields.pop(name) for name in ("state", "interfaces") if name in fields}
    return Group(Pattern.parse("w%d"), want("w1", image=IMAGE, **wanted), count, **fields)


@pytest.mark.parametrize(
    ("asked", "made", "taken", "wanted", "absent"),
    [
        (group(3), "", "", "w1 w2 w3", ""),
        (group(3), "w2", "", "w1 w2 w3", ""),
        (group(3), "w2 w7 w9", "", "w2 w7 w9", ""),
        (group(3), "w2 w7", "", "w1 w2 w7", ""),
        (group(3), "w1 w2 w3 w4 w10", "", "w1 w2 w3", ""),
        (group(3, exact=True), "w1 w2 w3 w4 w10", "", "w1 w2 w3", "w4 w10"),
        (group(0, exact=True), "w1 w2", "", "", "w1 w2"),
        (group(0), "w1 w2", "", "", ""),
        (group(2), "", "w1 w3", "w2 w4", ""),
        (group(2, first=0), "", "", "w0 w1", ""),
        (group(2, first=5), "w2", "", "w2 w5", ""),
        (group(2), "other x w w01", "", "w1 w2", ""),
        (group(state=Presence.ABSENT), "w3 w1 other", "w2", "", "w1 w3"),
    ],
)
def test_who_is_wanted(asked: Group, made: str, taken: str, wanted: str, absent: str) -> None:
    chosen = choose(asked, made.split(), taken.split())
    gone = [each for each in chosen if each.state is Presence.ABSENT]
    assert [each.name for each in chosen if each not in gone] == wanted.split()
    assert [each.name for each in gone] == absent.split()
    # One that goes is one of the image, too: any other of that name is somebody else's.
    assert all(each.image == IMAGE for each in chosen)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (group(10**9), "w%d: 1000000000 vms are more than 1000"),
        (group(MAX_VMS + 1), "w%d: 1001 vms are more than 1000"),
        (group(2, first=MAX_NUMBER), "w%d: number 100000 is above 99999"),
        (group(1, first=10**30), "is above 99999"),
        (group(2, interfaces=(Nic(mac="52:54:00:00:00:01"),)), "all 2 vms w%d .* same MAC "),
        (
            group(2, interfaces=(Nic(), Nic(addresses=("10.0.0.2/24",)))),
            r"interfaces\[1\]: .*addres",
        ),
    ],
)
def test_a_group_has_an_end_and_no_address_twice(asked: Group, text: str) -> None:
    with pytest.raises(NameInvalid, match=text):
        choose(asked, (), ())


def test_one_vm_of_a_group_may_have_an_address() -> None:
    nics = (Nic(mac="52:54:00:00:00:01", addresses=("10.0.0.2/24",)),)
    assert [each.clone.interfaces for each in choose(group(1, interfaces=nics), (), ())] == [nics]
    assert choose(group(10**9, state=Presence.ABSENT, interfaces=nics), ["w1"], ())
    assert choose(group(1, first=MAX_NUMBER), (), ())


def test_a_list_has_an_end_and_no_name_twice() -> None:
    check([want(f"vm{number}") for number in range(MAX_VMS)])
    with pytest.raises(NameInvalid, match="1001 vms are more than 1000"):
        check([want(f"vm{number}") for number in range(MAX_VMS + 1)])
    with pytest.raises(NameInvalid, match="vm a is listed twice"):
        check([want("a"), want("b"), want("a")])


@pytest.mark.parametrize("text", ["Web%d", "-%d", "a" * 62 + "%d", "web_%d", "%d"])
def test_names_that_are_no_host_names_have_these_beside_them(text: str) -> None:
    names, hosts = Pattern.parse(text), Pattern.parse("w%03d.example.jp")
    model = want(names.name(1), image=IMAGE, hostname="w001.example.jp")
    chosen = choose(Group(names, model, 2, first=7, hostnames=hosts), (names.name(8),), ())
    assert [(each.name, each.clone.guest_name) for each in chosen] == [
        (names.name(7), "w007.example.jp"),
        (names.name(8), "w008.example.jp"),
    ]
    with pytest.raises(NameInvalid, match="is not a valid host name"):
        choose(Group(names, model, 1), (), ())
    without = want(names.name(1), image=IMAGE, customize="none")
    assert [each.name for each in choose(Group(names, without, 1), (), ())] == [names.name(1)]
    gone = Group(names, want(names.name(1), Presence.ABSENT))
    assert [each.name for each in choose(gone, (names.name(4),), ())] == [names.name(4)]

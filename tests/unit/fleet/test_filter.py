# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet.filter import Filters, Rule, image_names, rule
from maglica.libvirtd.hosts import Known
from maglica.model.errors import ConfigInvalid
from maglica.model.image import image_uuid
from maglica.model.vm import Domain, vm_uuid

UNREAD = Domain("vm0", "u", "kvm0", "running", active=True)
VM = replace(UNREAD, made=True, image="debian", who="alice", tags=("a", "web"))
IMAGE = Domain("debian", "u", "kvm1", "stopped", active=False, made=False, is_image=True)


@pytest.mark.parametrize(
    ("options", "unread", "vm", "image"),
    [
        ({"name": ["vm*"]}, True, True, False),
        ({"name": ["~vm"]}, False, False, False),
        ({"name": ["~vm[0-9]"]}, True, True, False),
        ({"name": ["x", "debian"]}, False, False, True),
        ({"state": ["running"], "host": ["kvm0"]}, True, True, False),
        ({"state": ["running"], "host": ["kvm1"]}, False, False, False),
        ({"image": ["deb*"]}, None, True, False),
        ({"image": ["deb*"], "name": ["x"]}, False, False, False),
        ({"kind": ["image"]}, False, False, True),
        ({"kind": ["vm"], "who": ["alice"]}, None, True, False),
        ({"who": ["bob"]}, None, False, False),
        ({"image": [""]}, None, False, True),
        ({"name": []}, False, False, False),
        ({"tag": ["w*"]}, None, True, False),
        ({"tag": ["db", "a"]}, None, True, False),
        ({"tag": ["db"], "state": ["running"]}, None, False, False),
        ({"tag": ["w*"], "name": ["x"]}, False, False, False),
    ],
)
def test_rule(options: dict[str, Any], unread: bool | None, vm: bool, image: bool) -> None:
    def never(expression: str, domain: Domain, known: Known) -> bool:
        raise AssertionError

    found = rule(options)
    assert found.holds(UNREAD, "vm", Known.LISTED, never) is unread
    assert found.holds(VM, "vm", Known.ALL, never) is vm
    assert found.holds(IMAGE, "image", Known.ALL, never) is image


def test_an_expression_may_be_early_or_late() -> None:
    def evaluate(expression: str, domain: Domain, known: Known) -> bool | None:
        return domain.image == "debian" if known else None

    late = rule({"expression": "image == 'debian'", "name": ["vm*"]})
    assert late.holds(UNREAD, None, Known.LISTED, evaluate) is None
    assert late.holds(VM, "vm", Known.ALL, evaluate) is True
    assert late.holds(replace(VM, image=None), "vm", Known.ALL, evaluate) is False


@pytest.mark.parametrize(
    ("include", "exclude", "may", "want"),
    [
        ([], [], True, True),
        ([{"name": ["vm0"]}], [], True, True),
        ([{"name": ["x"]}], [], False, False),
        ([{"name": ["x"]}, {"image": ["debian"]}], [], True, True),
        ([{"image": ["x"]}], [], True, False),
        ([], [{"name": ["vm0"]}], False, False),
        ([], [{"image": ["debian"]}], True, False),
        ([], [{"image": ["x"]}], True, True),
        ([{"name": ["vm0"]}], [{"state": ["running"]}], False, False),
    ],
)
def test_filters(
    include: list[dict[str, Any]], exclude: list[dict[str, Any]], may: bool, want: bool
) -> None:
    filters = Filters(tuple(map(rule, include)), tuple(map(rule, exclude)))
    assert (filters.wants(UNREAD, Known.LISTED) is not False) is may
    assert filters.want(VM) is want


@pytest.mark.parametrize(
    ("domain", "known", "vm"),
    [
        (UNREAD, Known.LISTED, True),
        # It may have been adopted.
        (IMAGE, Known.LISTED, None),
        (IMAGE, Known.DEFINED, False),
        (replace(IMAGE, is_image=False), Known.DEFINED, True),
        (replace(IMAGE, made=None, is_image=False), Known.LISTED, None),
        # It runs, and may be an image that Maglica made.
        (replace(UNREAD, uuid=image_uuid("r")), Known.LISTED, None),
        (replace(UNREAD, uuid=vm_uuid("r")), Known.LISTED, True),
        # Nothing can be read in its definition.
        (replace(IMAGE, made=None, is_image=False), Known.ALL, True),
    ],
)
def test_the_kind_is_as_the_images_pattern_has_it(
    domain: Domain, known: Known, vm: bool | None
) -> None:
    assert Filters((rule({"kind": "vm"}),)).wants(domain, known) is vm


def test_which_names_an_image_may_have() -> None:
    assert image_names(None)("debian")
    assert image_names("deb.*")("debian")
    # All of the name must match.
    assert not image_names("deb")("debian")
    with pytest.raises(ConfigInvalid, match="image_pattern"):
        image_names("(")


def test_hosts_that_need_not_be_asked() -> None:
    assert Filters().may_want_host("kvm0")
    filters = Filters((Rule({"host": ("kvm1*",)}), Rule({"host": ("kvm2",), "name": ("x",)})))
    asked = [host for host in ("kvm0", "kvm1", "kvm10", "kvm2") if filters.may_want_host(host)]
    assert asked == ["kvm1", "kvm10", "kvm2"]
    assert Filters((Rule({"host": ("kvm1",)}), Rule({"name": ("x",)}))).may_want_host("kvm0")
    excluding = Filters(
        exclude=(
            Rule({"host": ("kvm1",)}),
            Rule({"host": ("kvm2",), "name": ("x",)}),
            Rule({"host": ("kvm3",)}, "true"),
            Rule({"name": ("*",)}),
        )
    )
    asked = [host for host in ("kvm0", "kvm1", "kvm2", "kvm3") if excluding.may_want_host(host)]
    assert asked == ["kvm0", "kvm2", "kvm3"]


@pytest.mark.parametrize(
    ("options", "patterns"),
    [
        ({"name": "web*"}, {"name": ("web*",)}),
        ({"tag": 7, "who": ["alice", 8]}, {"tag": ("7",), "who": ("alice", "8")}),
        ({"name": None, "state": []}, {"state": ()}),
    ],
)
def test_one_text_is_a_list_of_one(
    options: dict[str, Any], patterns: dict[str, tuple[str, ...]]
) -> None:
    assert rule(options) == Rule(patterns)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "no condition$"),
        ({"name": ["~["]}, "not a regular expression"),
        ({"name": "~["}, "not a regular expression"),
        ({"nmae": ["x"], "state": ["running"]}, "no condition 'nmae'"),
        ({"name": [["x"]]}, r"name \['x'\] is not text"),
        ({"name": {"x": "y"}}, "is not text"),
        ({"expression": True}, "expression True is not text"),
        ("name", "'name' is not a dictionary"),
    ],
)
def test_no_rule(options: object, text: str) -> None:
    with pytest.raises(ConfigInvalid, match=text):
        rule(options)

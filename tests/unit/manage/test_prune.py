# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vms go where a list is the whole truth about a tag."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.group import Whole
from maglica.manage.wanted import want
from maglica.model.errors import NameTaken
from maglica.model.request import Request, new_request_id
from maglica.model.vm import Domain
from maglica.verbs.table import Presence
from maglica.verbs.tag import TagSpec

UUID, OTHER = "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11", "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e12"
WEB = Domain("web", UUID, "kvm0", "running", True, made=True, image="debian", tags=("shop",))


@pytest.mark.parametrize(
    ("uuid", "tags", "goes"),
    [(UUID, (), []), (UUID, ("a", "shop"), ["web"]), (OTHER, (), ["web"])],
)
def test_one_that_is_about_to_lose_the_tag_stays(
    uuid: str, tags: tuple[str, ...], goes: list[str]
) -> None:
    pending = Request(new_request_id(), TagSpec("web", uuid, "kvm0", tags))
    wanted = Whole("shop", []).among({"web": pending}, Found((WEB,), ()), [pending])
    assert [each.name for each in wanted] == goes
    assert all(each.state is Presence.ABSENT for each in wanted)


def test_one_of_a_listed_name_on_another_host_is_not_passed_over() -> None:
    both = Found((WEB, replace(WEB, uuid=OTHER, host="kvm1")), ())
    with pytest.raises(NameTaken, match=r"several hosts have a vm web .*: kvm0 and kvm1; remove"):
        Whole("shop", [want("web", host="kvm0")]).among({}, both)
    alone = Found((WEB, replace(WEB, uuid=OTHER, host="kvm1", tags=())), ())
    assert len(Whole("shop", [want("web", host="kvm0")]).among({}, alone)) == 1

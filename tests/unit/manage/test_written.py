# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diff shows of what will be written into a guest."""

from __future__ import annotations

from dataclasses import replace

from maglica.fleet.snapshot import Found
from maglica.manage import written
from maglica.manage.plan import decide
from maglica.manage.shown import of_domain, planned
from maglica.manage.wanted import want
from maglica.model.moment import Moment
from maglica.model.request import (
    BaseSummary,
    Customize,
    HostReport,
    HostStatus,
    LookSummary,
    Nic,
    User,
)
from maglica.model.vm import Domain, Interface

NAME, IMAGE = "vm0.example.jp", "debian12.original"
KEY, SECRET = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me", "$6$salt$confidential"


def after(**fields: object) -> dict[str, object]:
    return decide(want(NAME, image=IMAGE, **fields), Found(()), None).after


def test_all_that_is_said_is_shown_and_no_secret() -> None:
    shown = after(
        interfaces=(Nic("default"), Nic(bridge="br0", addresses=("192.0.2.7/24",))),
        ssh_authorized_keys=(KEY,),
        root_password=SECRET,
        user=User("admin", ("adm",), ssh_authorized_keys=(KEY,), password=SECRET),
        user_data="#!/bin/sh\necho confidential\n",
    )
    assert "confidential" not in repr(shown)
    assert {key: shown[key] for key in list(shown)[3:]} == {
        "customize": "auto",
        "hostname": NAME,
        "interfaces": [{"network": "default"}, {"bridge": "br0", "addresses": ["192.0.2.7/24"]}],
        "ssh_authorized_keys": [KEY],
        "root_password": "(hidden)",
        "user": {
            "name": "admin",
            "groups": ["adm"],
            "ssh_authorized_keys": [KEY],
            "password": "(hidden)",
        },
        "user_data": "(hidden)",
    }


def test_what_is_not_said_is_not_shown() -> None:
    assert {"customize", "hostname"} == after().keys() - {"state", "image", "clone_mode"}
    assert after(interfaces=())["interfaces"] == []


def test_nothing_is_written_with_none() -> None:
    assert {"customize"} == after(customize="none").keys() - {"state", "image", "clone_mode"}
    shown = after(customize="none", interfaces=(Nic("lab"),), pool="fast")
    assert (shown["interfaces"], shown["pool"]) == ([{"network": "lab"}], "fast")


def test_how_it_would_be_customized_is_what_the_host_has_reported() -> None:
    spec = want(NAME, image=IMAGE).clone
    unknown = {
        "customize_reason": f"nobody has looked at image {IMAGE} on host kvm0 yet:"
        " maglica_image_info with inspect: true does"
    }
    assert written.way(spec, "kvm0", None) == unknown
    look = LookSummary(IMAGE, "v", True, "its cloud-init is enabled", True, Customize.CLOUD_INIT)
    status = HostStatus("kvm0", True, None, 1.0, HostReport(looks=(look,)))
    assert written.way(spec, "kvm0", status) == {
        "customize": "cloud-init",
        "customize_reason": "its cloud-init is enabled",
    }
    none = replace(look, customizable=False, way=None, reason="its network is unknown")
    can_not = replace(status, report=HostReport(looks=(none,)))
    assert written.way(spec, "kvm0", can_not) == {"customize_reason": "its network is unknown"}
    old = replace(status, report=HostReport(looks=(replace(look, current=False),)))
    assert written.way(spec, "kvm0", old) == unknown


def test_a_base_of_another_way_is_none_for_a_clone() -> None:
    base = BaseSummary("a", IMAGE, "v", "default", 1, Moment(1), True, False, 0, Customize.OFFLINE)
    look = LookSummary(IMAGE, "v", True, "", True, Customize.CLOUD_INIT)
    report = HostReport(bases=(base,))
    assert report.base_of(IMAGE, Customize.OFFLINE) == report.base_of(IMAGE) == base
    assert report.base_of(IMAGE, Customize.NONE) is None
    assert replace(report, looks=(look,)).base_of(IMAGE) is None


def test_what_a_host_would_have_against_a_clone() -> None:
    look = LookSummary(IMAGE, "v", False, "no family is known", True)
    by_files = replace(
        look, customizable=True, way=Customize.OFFLINE, reason="its cloud-init is off"
    )

    def told(look: LookSummary, **asked: object) -> str | None:
        status = HostStatus("kvm0", True, None, 1.0, HostReport(looks=(look,)))
        found = written.against(want(NAME, image=IMAGE, **asked).clone, "kvm0", status)
        begins = f"cannot clone {NAME} from {IMAGE} on host kvm0: "
        return None if found is None else str(found).removeprefix(begins)

    for way in ("auto", "offline", "cloud-init"):
        assert told(look, customize=way) == "no family is known"
    assert told(look, customize="none") is None
    assert told(replace(look, current=None)) is None
    assert told(by_files) is told(by_files, customize="offline") is None
    by_cloud_init = "it can't be customized by cloud-init: its cloud-init is off"
    assert told(by_files, customize="cloud-init") == by_cloud_init
    in_vain = (
        "user_data is for cloud-init, and it is customized offline, since its cloud-init is off"
    )
    assert told(by_files, user_data="#!/bin/sh\n") == in_vain
    by_cloud = replace(by_files, way=Customize.CLOUD_INIT)
    assert told(by_cloud, user_data="#!/bin/sh\n") is None
    root = User("root", ("adm",), None, "/bin/sh")
    in_vain = "cloud-init changes no groups and no shell of a user that is there, as root is"
    assert str(told(by_cloud, user=root)).startswith(in_vain)
    assert told(by_cloud, user=root, customize="offline") is told(by_files, user=root) is None
    assert told(by_cloud, user=replace(root, name="admin")) is told(by_cloud, user=User()) is None


def test_planned_interfaces_have_the_form_of_those_that_are_there() -> None:
    static = Nic(bridge="br0", mac="52:54:00:00:00:01", addresses=("192.0.2.7/24",))
    shown = planned(after(interfaces=(Nic("default"), static)))["interfaces"]
    card = {**dict.fromkeys(("model", "link", "filter", "virtualport")), "vlan": []}
    known = {"mac": "52:54:00:00:00:01"}
    assert shown == [
        {**card, "mac": None, "network": "default", "addresses": [], "bridge": None},
        {**card, **known, "network": "br0", "addresses": ["192.0.2.7"], "bridge": "br0"},
    ]
    there = Interface("52:54:00:00:00:01", "br0", ("192.0.2.7",), "br0")
    domain = Domain(NAME, "", "kvm0", "running", True, interfaces=(there,))
    assert of_domain(domain)["interfaces"] == shown[1:]

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task wants of a vm: which input is refused, and the one form that it has."""

from __future__ import annotations

import pytest
from maglica.manage.wanted import Wanted, check_host, want
from maglica.model import errors
from maglica.model.plain import plain
from maglica.model.request import Nic, User
from maglica.verbs.table import Presence

KEY, HASH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me", "$6$salt$hashhash"
NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"


def _wanted(**fields: object) -> Wanted:
    return want(**{"name": NAME, "image": IMAGE, **fields})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": ""}, "not a valid name for a vm"),
        (
            {"name": "UPPER"},
            "^hostname: needed, since 'UPPER' is not a valid host name: use lower-case",
        ),
        ({"name": "a/../b", "hostname": "a"}, "not a valid name for a vm"),
        ({"name": "-x"}, "^hostname: needed, "),
        ({"name": "<name/>"}, "not a valid name for a vm"),
        ({"name": "a\n", "hostname": "a"}, "not a valid name for a vm"),
        ({"name": "1.2.3.4"}, "number"),
        ({"hostname": "Web_1"}, "^hostname: 'Web_1' is not a valid host name"),
        (
            {"hostname": "localhost"},
            "^hostname: 'localhost' is not a valid host name for a vm: every mach",
        ),
        ({"hostname": "a", "customize": "none"}, "^hostname: customize none writes nothing"),
        ({"image": "../etc"}, "image: "),
        ({"host": "--help"}, "host: "),
        ({"pool": ""}, "pool: "),
        ({"name": "same", "image": "same"}, "name of the original image"),
        ({"interfaces": (Nic(network="a", bridge="b"),)}, r"interfaces\[0\]: names both"),
        ({"interfaces": (Nic(), Nic(mac="x"))}, r"^interfaces\[1\]\.mac: 'x'"),
        ({"interfaces": (Nic(addresses=("192.0.2.7",)),)}, "prefix length"),
        ({"interfaces": (Nic(gateways=("192.0.2.1",)),)}, r"^interfaces\[0\]: .* need an address"),
        (
            {
                "interfaces": (
                    Nic(addresses=("192.0.2.7/24",), gateways=("192.0.2.1", "192.0.2.2")),
                )
            },
            r"^interfaces\[0\]\.gateways: more than one for IPv4",
        ),
        (
            {"interfaces": (Nic(addresses=("192.0.2.7/24",), gateways=("192.0.2.1", "fe80::1")),)},
            r"^interfaces\[0\]\.gateways: one for IPv6, of which there is no address",
        ),
        ({"vcpus": 0}, "^vcpus: not a whole number from 1 to 1024: 0"),
        ({"memory_mib": 1}, "^memory: not a whole number from 16"),
        ({"disk_size_mib": 0}, "^disk_size: not a whole number from 1 to 67108864: 0"),
        ({"disk_size_mib": 1 << 27}, "^disk_size: not a whole number"),
        ({"ssh_authorized_keys": ("x",)}, "not a public SSH key"),
        ({"root_password": "in clear"}, "must be a crypt"),
        ({"user": {"name": "Admin"}}, r"^user\.name: 'Admin' is not a valid name of a user"),
        (
            {"user": {"groups": ["a,b"]}},
            r"^user\.groups\[0\]: 'a,b' is not a valid name of a user or group",
        ),
        (
            {"user": {"sudo": "ALL=(ALL) ALL\nroot"}},
            r"^user\.sudo: .* is not a rule of sudoers\(5\)",
        ),
        ({"user": {"sudo": "ALL"}}, r"^user\.sudo: 'ALL' is not a rule of sudoers\(5\)"),
        ({"user": {"shell": "bash"}}, r"^user\.shell: 'bash' is not the path of a shell"),
        ({"user": {"password": "in clear"}}, r"^user\.password: must be a crypt"),
        ({"user": {"name": "root"}, "ssh_authorized_keys": [KEY]}, "^user: it is root, whose keys"),
        ({"user": {"name": "root"}, "root_password": HASH}, "^user: it is root, whose keys"),
        (
            {"user": {"name": "root", "shell": "/bin/sh"}, "customize": "cloud-init"},
            "^user: cloud-init changes no shell of a user that is there, as root is",
        ),
        ({"customize": "seed"}, "^customize: not one of auto, cloud-init, offline, none"),
        ({"user_data": "packages: [vim]"}, "^user_data: user_data begins with"),
        ({"user_data": "#!" + 65536 * "x"}, "^user_data: user_data is longer than 65536 bytes"),
        (
            {"user_data": "#!/bin/sh", "customize": "offline"},
            "^user_data: only cloud-init reads it",
        ),
        ({"user_data": "#!/bin/sh", "customize": "none"}, "^user_data: only cloud-init reads it"),
        ({"user": {}, "customize": "none"}, "^user: customize none writes nothing into the guest"),
        ({"root_password": HASH, "customize": "none"}, "^root_password: customize none writes"),
        (
            {"ssh_authorized_keys": [KEY], "customize": "none"},
            "^ssh_authorized_keys: customize none",
        ),
        (
            {"interfaces": (Nic(addresses=("192.0.2.7/24",)),), "customize": "none"},
            r"^interfaces\[0\]\.addresses: customize none writes nothing",
        ),
        ({"stop_timeout": -1}, "^stop_timeout: not a whole number from 0 to 86400"),
    ],
)
def test_bad_input(fields: dict[str, object], text: str) -> None:
    with pytest.raises(errors.MaglicaError, match=text) as caught:
        (_wanted(**fields))
    assert "in clear" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_wanted_has_one_form() -> None:
    nic = Nic(
        mac="52:54:00:AA:BB:CC",
        addresses=("192.0.2.7/24", "2001:DB8:0::7/64"),
        nameservers=("2001:0db8::1",),
    )
    wanted = _wanted(interfaces=(nic,), tags=("b", "a", "b"))
    assert wanted.clone.interfaces == (
        Nic(
            mac="52:54:00:aa:bb:cc",
            addresses=("192.0.2.7/24", "2001:db8::7/64"),
            nameservers=("2001:db8::1",),
        ),
    )
    assert wanted.tags == wanted.clone.tags == ("a", "b")
    assert _wanted(interfaces=[plain(nic)], tags=["b", "a"]) == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": "web-1.example.jp"},
        {"customize": "none"},
        {"image": None},
        {"image": None, "customize": "none"},
        {"state": Presence.ABSENT},
        {"state": Presence.ABSENT, "hostname": "web-1"},
    ],
)
def test_a_host_name_is_needed_only_where_it_is_written(fields: dict[str, object]) -> None:
    clone = _wanted(name="Web_1 (ü)", **fields).clone
    assert (clone.name, clone.hostname) == ("Web_1 (ü)", fields.get("hostname"))


def test_hosts_of_the_configuration() -> None:
    check_host(_wanted(host=HOST), (HOST,))
    check_host(_wanted(), ())
    with pytest.raises(errors.HostUnknown, match="kvm9"):
        check_host(_wanted(host="kvm9"), (HOST,))


def test_a_secret_is_in_no_representation() -> None:
    assert "hashhash" not in repr(_wanted(root_password=HASH, user={"password": HASH}))
    assert "hashhash" not in repr(_wanted(user_data="#!/bin/sh\nhashhash"))


def test_a_user_has_the_fields_that_are_said() -> None:
    wanted = _wanted(user={"name": "admin", "groups": ["docker"], "sudo": None})
    assert wanted.clone.user == User("admin", groups=("docker",))
    assert _wanted().clone.user is None

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds against golden files (--regenerate writes them), and single decisions."""

from __future__ import annotations

import email
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.guest.cloud_init.network_config import network_config
from maglica.guest.cloud_init.seed import Seed, files
from maglica.guest.cloud_init.user_data import MERGE_TYPE
from maglica.guest.identity import HostKey, Identity, NicIdentity
from maglica.model.errors import GuestUnsupported, NameInvalid
from maglica.model.request import User

GOLDEN = Path(__file__).parent / "golden"
UUID = "e295817c-2e61-58d4-94ad-b3e77aee8536"
KEYS = (
    HostKey("ecdsa", b"-----BEGIN KEY-----\necdsa\n-----END KEY-----\n", "ecdsa-sha2-nistp256 AA"),
    HostKey("ed25519", b"-----BEGIN KEY-----\ned\n-----END KEY-----\n", "ssh-ed25519 AA root@web1"),
)
SSH = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin",)
HASH = "$y$j9T$abcdefgh$0123456789"
DHCP = NicIdentity("52:54:00:00:00:01")
STATIC = NicIdentity(
    "52:54:00:00:00:02",
    ("192.0.2.7/24", "2001:db8::7/64"),
    ("192.0.2.1", "2001:db8::1"),
    ("192.0.2.53", "2001:db8::53"),
    ("example.jp", "lab.example.jp"),
)
FAR = NicIdentity(
    "52:54:00:00:00:03", ("198.51.100.7/32", "2001:db8:1::7/128"), ("203.0.113.1", "fe80::1")
)
BOBS = {"groups": ["bob"], "primary_group": "bob"}
CONFIG = """\
#cloud-config
packages: [nginx]
users:
  - {name: carol, ssh_authorized_keys: [ssh-ed25519 CCCC]}
write_files:
  - {path: /etc/motd, content: "新 motd\\n"}
"""
PLAIN = Seed(UUID, Identity("web1", "", (DHCP,), KEYS))
SEEDS = {
    "plain": PLAIN,
    "nothing": Seed(UUID, Identity("web1", "")),
    "keys": replace(PLAIN, user=User(ssh_authorized_keys=SSH)),
    "default": replace(
        PLAIN,
        user=User(groups=("wheel",), ssh_authorized_keys=SSH, password=HASH),
        default_user="debian",
    ),
    "named": replace(
        PLAIN,
        user=User("bob", ("adm", "docker"), "ALL=(ALL) NOPASSWD:ALL", "/bin/bash", SSH, HASH),
        default_user="debian",
    ),
    "root": replace(PLAIN, user=User("root", ssh_authorized_keys=SSH)),
    "root-and-default": replace(
        PLAIN,
        identity=replace(PLAIN.identity, authorized_keys=SSH, root_password=HASH),
        user=User(ssh_authorized_keys=SSH),
        default_user="debian",
    ),
    "networks": replace(PLAIN, identity=Identity("web1.example.jp", "", (DHCP, STATIC, FAR), KEYS)),
    "user-data": replace(PLAIN, user=User(ssh_authorized_keys=SSH), user_data=CONFIG),
    "script": replace(PLAIN, user_data="#!/bin/sh\ntouch /etc/made\n"),
}


@pytest.mark.parametrize("name", SEEDS)
def test_seeds(name: str, pytestconfig: pytest.Config) -> None:
    made = files(SEEDS[name])
    text = "".join(f"==> {file} <==\n{content.decode()}" for file, content in made.items())
    path = GOLDEN / f"{name}.txt"
    if pytestconfig.getoption("--regenerate"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SEEDS)
def test_all_of_it_is_yaml_that_says_what_json_says(name: str) -> None:
    made = files(SEEDS[name])
    texts = [made["meta-data"], made["network-config"]]
    texts += [part for part in _parts(made["user-data"]) if part.startswith(b"#cloud-config\n{")]
    for content in texts:
        text = content.decode()
        assert yaml.safe_load(text) == json.loads(text.removeprefix("#cloud-config\n"))


def _parts(data: bytes) -> list[bytes]:
    """Return the content of each part, as cloud-init comes to it."""
    if not data.startswith(b"MIME-Version"):
        return [data]
    leaves = (part for part in email.message_from_bytes(data).walk() if not part.is_multipart())
    return [part.get_payload(decode=True) for part in leaves]  # type: ignore[misc]


def _config(seed: Seed) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(files(seed)["user-data"])
    return config


def test_ours_come_first_and_proposals_last() -> None:
    data = files(replace(SEEDS["default"], user_data=CONFIG))["user-data"]
    message = email.message_from_bytes(data)
    first, theirs, last = message.get_payload()
    assert [part["Merge-Type"] for part in (first, theirs, last)] == [None, MERGE_TYPE, MERGE_TYPE]
    own, proposed = (yaml.safe_load(part.get_payload(decode=True)) for part in (first, last))
    assert theirs.get_payload(decode=True).decode() == CONFIG
    assert {"hostname", "ssh_keys", "users", "user"} <= own.keys()
    assert proposed == {"locale": "false", "ssh_pwauth": False}


@pytest.mark.parametrize("text", ["a\x7fb", "a\x85b", "\U0001f600", "\u2028", "é", '"\\', "\t"])
def test_no_text_leaves_its_place(text: str) -> None:
    seed = replace(PLAIN, user=User("bob", (), None, f"/bin/{text}"))
    bob = _config(seed)["users"][1]
    assert (bob["name"], bob["shell"]) == ("bob", f"/bin/{text}")


def test_a_user_that_is_the_images_own_keeps_what_is_not_said() -> None:
    seed = replace(PLAIN, user=User("debian", (), None, "/bin/sh"), default_user="debian")
    config = _config(seed)
    assert config["users"] == ["default"]
    assert config["user"] == {"name": "debian", "shell": "/bin/sh"}


def test_a_new_user_is_in_the_group_of_its_name_also_where_that_is_there() -> None:
    # Else useradd(8) fails, and neither this user nor the image's own is made.
    for groups in ((), ("bob",)):
        assert _config(replace(PLAIN, user=User("bob", groups)))["users"][1] == {
            "name": "bob",
            **BOBS,
        }
    own = _config(replace(PLAIN, user=User("debian", ("adm",)), default_user="debian"))["user"]
    assert own == {"name": "debian", "groups": ["adm"]}


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        (User("root", ("adm",)), "changes no groups of a user that is there"),
        (User("root", ("adm",), None, "/bin/sh"), "changes no groups and no shell"),
    ],
)
def test_what_cloud_init_does_not_change_of_root(user: User, problem: str) -> None:
    with pytest.raises(GuestUnsupported, match=problem):
        files(replace(PLAIN, user=user))


def test_an_image_without_a_user_of_its_own() -> None:
    with pytest.raises(GuestUnsupported, match="set the user's name"):
        files(replace(PLAIN, user=User(password=HASH)))
    assert "ssh_authorized_keys" in _config(replace(PLAIN, user=User(ssh_authorized_keys=SSH)))


def test_a_user_named_as_cloud_init_calls_the_image_s_own() -> None:
    with pytest.raises(GuestUnsupported, match="choose another name"):
        files(replace(PLAIN, default_user="debian", user=User("default", password=HASH)))


def test_sshd_stays_as_it_is_where_nobody_gets_a_password() -> None:
    assert "ssh_pwauth" not in _config(PLAIN)
    assert _config(SEEDS["named"])["ssh_pwauth"] is False
    without_sshd = replace(SEEDS["named"], identity=Identity("web1", ""))
    assert "ssh_pwauth" not in _config(without_sshd)


def test_secrets_are_in_no_repr() -> None:
    seed = replace(SEEDS["default"], user_data="#!/bin/sh\nsecret\n")
    assert HASH not in repr(seed)
    assert "BEGIN" not in repr(seed)
    assert "secret" not in repr(seed)


def test_gateways() -> None:
    ethernets = network_config((STATIC, FAR))["ethernets"]
    near, far = (ethernets[name]["routes"] for name in sorted(ethernets))
    assert near == [
        {"to": "0.0.0.0/0", "via": "192.0.2.1"},
        {"to": "::/0", "via": "2001:db8::1"},
    ]
    assert far == [
        {"to": "0.0.0.0/0", "via": "203.0.113.1", "on-link": True},
        {"to": "::/0", "via": "fe80::1"},
    ]


def test_an_old_cloud_init_is_told_of_ipv6_gateways_by_another_word() -> None:
    ethernets = network_config((STATIC, FAR), loses_routes6=True)["ethernets"]
    near, far = (ethernets[name] for name in sorted(ethernets))
    assert near["routes"] == [{"to": "0.0.0.0/0", "via": "192.0.2.1"}]
    assert near["gateway6"] == "2001:db8::1"
    assert far["gateway6"] == "fe80::1"


def test_interfaces_keep_their_order_and_come_before_those_of_images() -> None:
    names = list(network_config([DHCP] * 16)["ethernets"])
    assert names == sorted(names)
    assert names[-1] < "all-en"


def test_keys_of_root_stand_beside_those_of_others() -> None:
    root = replace(PLAIN, identity=replace(PLAIN.identity, authorized_keys=SSH))
    users = {"name": "root", "ssh_authorized_keys": list(SSH)}
    config = _config(root)
    assert (config["users"], config["disable_root"]) == (["default", users], False)
    assert config == _config(SEEDS["root"])
    config = _config(replace(root, user=User("bob")))
    assert config["users"] == ["default", users, {"name": "bob", **BOBS}]
    # Beside such keys those of nobody would be root's as well.
    named = _config(SEEDS["root-and-default"])
    assert "ssh_authorized_keys" not in named
    assert named["user"] == {"name": "debian", "ssh_authorized_keys": list(SSH)}
    assert named["users"][1]["hashed_passwd"] == HASH
    assert named["ssh_pwauth"] is False
    with pytest.raises(GuestUnsupported, match="names no default user"):
        files(replace(root, user=User(ssh_authorized_keys=SSH)))


def test_bad_user_data_makes_no_seed() -> None:
    with pytest.raises(NameInvalid, match="hostname"):
        files(replace(PLAIN, user_data="#cloud-config\nhostname: other\n"))

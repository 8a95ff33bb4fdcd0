# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written into a clone, from facts and an identity."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from maglica.guest.clone_plan import hosts, plan
from maglica.guest.edits import MakeDirectory, SetPassword, SetUser, Write
from maglica.guest.facts import GuestFacts, GuestInterface, Mount
from maglica.guest.identity import HostKey, Identity, NicIdentity
from maglica.model.errors import GuestUnsupported
from maglica.model.request import User

FACTS = GuestFacts(
    mounts=(Mount("/", "/dev/sda1"),),
    distro="debian",
    version="12",
    network="ifupdown",
    hostname="image",
    hosts="127.0.0.1\tlocalhost\n127.0.1.1\timage.example.jp image\n",
    shared=True,
    interfaces=(GuestInterface("eth0"),),
    random_seed="/var/lib/systemd/random-seed",
    authorized_keys="ssh-ed25519 AAAAOLD admin\n",
)
IDENTITY = Identity(
    hostname="vm0.example.jp",
    machine_id="0" * 31 + "1",
    nics=(NicIdentity("52:54:00:00:00:01"),),
    host_keys=(HostKey("ed25519", b"PRIVATE", "ssh-ed25519 AAAA root@vm0"),),
    random_seed=b"seed",
)


def written(facts: GuestFacts = FACTS, identity: Identity = IDENTITY) -> dict[str, Write]:
    return {edit.path: edit for edit in plan(facts, identity) if isinstance(edit, Write)}


@pytest.mark.parametrize(
    ("path", "content", "mode"),
    [
        ("/etc/hostname", b"vm0.example.jp\n", 0o644),
        ("/etc/machine-id", b"00000000000000000000000000000001\n", 0o444),
        ("/etc/ssh/ssh_host_ed25519_key", b"PRIVATE", 0o600),
        ("/etc/ssh/ssh_host_ed25519_key.pub", b"ssh-ed25519 AAAA root@vm0\n", 0o644),
        ("/var/lib/systemd/random-seed", b"seed", 0o600),
    ],
)
def test_files(path: str, content: bytes, mode: int) -> None:
    assert written()[path] == Write(path, content, mode)


def test_nothing_is_written_that_was_not_asked_for() -> None:
    assert set(written(replace(FACTS, random_seed=None), replace(IDENTITY, host_keys=()))) == {
        "/etc/hostname",
        "/etc/hosts",
        "/etc/machine-id",
        "/etc/network/interfaces",
        "/etc/udev/rules.d/70-maglica-net.rules",
    }


def test_authorized_keys_are_added_to_those_of_the_image_once() -> None:
    keys = ("ssh-ed25519 AAAANEW me", "ssh-ed25519 AAAAOLD admin")
    edits = plan(FACTS, replace(IDENTITY, authorized_keys=keys))
    expected = b"ssh-ed25519 AAAAOLD admin\nssh-ed25519 AAAANEW me\n"
    place = edits.index(MakeDirectory("/root/.ssh", 0o700))
    assert edits[place + 1] == Write("/root/.ssh/authorized_keys", expected, 0o600)


def test_root_password() -> None:
    edits = plan(FACTS, replace(IDENTITY, root_password="$6$s$h", day=20000))
    assert edits[-1] == SetPassword("root", "$6$s$h", 20000)


def test_unknown_network() -> None:
    with pytest.raises(GuestUnsupported, match="'morse'"):
        plan(replace(FACTS, network="morse"), IDENTITY)


@pytest.mark.parametrize(
    ("hostname", "old", "addresses", "new"),
    [
        pytest.param(
            "image",
            "127.0.0.1\tlocalhost\n127.0.1.1\timage.example.jp image\n::1 localhost\n",
            (),
            "127.0.0.1\tlocalhost\n127.0.1.1\tvm0.example.jp vm0\n::1 localhost\n",
            id="debian",
        ),
        pytest.param(
            "image.example.jp",
            "127.0.0.1 localhost image image.example.jp # mine\n192.0.2.9 other\n",
            (),
            "127.0.0.1\tlocalhost # mine\n127.0.1.1\tvm0.example.jp vm0\n192.0.2.9 other\n",
            id="on the line of localhost",
        ),
        pytest.param(
            "image",
            "127.0.0.1 localhost\n192.0.2.10 image db\n192.0.2.11 image-b image\n",
            ("192.0.2.10",),
            "127.0.0.1 localhost\n127.0.1.1\tvm0.example.jp vm0\n192.0.2.10\tdb\n"
            "192.0.2.11 image-b image\n",
            id="a static address of its own, and another's",
        ),
        pytest.param(
            "image",
            "# image\n\n127.0.0.1 localhost\n127.0.1.1 image # comment\nbad line\n",
            (),
            "# image\n\n127.0.0.1 localhost\n127.0.1.1\tvm0.example.jp vm0\nbad line\n",
            id="comments and rubbish",
        ),
        pytest.param(
            "localhost",
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
            (),
            "127.0.0.1 localhost\n127.0.1.1\tvm0.example.jp vm0\n::1 localhost ip6-localhost\n",
            id="an image without a name",
        ),
        pytest.param("", "", (), "127.0.1.1\tvm0.example.jp vm0\n", id="empty"),
        pytest.param(
            "image",
            "127.0.1.1 vm0.example.jp vm0 image\n",
            (),
            "127.0.1.1\tvm0.example.jp vm0\n",
            id="the clone's own name is there",
        ),
        pytest.param(
            "image",
            "192.0.2.1 caf\udce9\n",
            (),
            "127.0.1.1\tvm0.example.jp vm0\n192.0.2.1 caf\udce9\n",
            id="bytes that are no UTF-8",
        ),
    ],
)
def test_hosts(hostname: str, old: str, addresses: tuple[str, ...], new: str) -> None:
    facts = replace(FACTS, hostname=hostname, hosts=old, addresses=addresses)
    assert hosts(facts, "vm0.example.jp") == new
    assert written(facts)["/etc/hosts"].content == new.encode("utf-8", "surrogateescape")


def test_no_name_takes_localhost_away() -> None:
    text = hosts(FACTS, "localhost.example.jp")
    assert "127.0.0.1 localhost\n" in text or "127.0.0.1\tlocalhost\n" in text
    assert "127.0.1.1\tlocalhost.example.jp\n" in text


def test_only_the_end_of_a_line_ends_it() -> None:
    odd = "192.0.2.1 a # \x0b \x0c \x1c \x85 \u2028 \r\n"
    assert odd in hosts(replace(FACTS, hosts=odd), "vm0")
    key = "ssh-ed25519 AAAA a\x0cb\u2028c"
    facts = replace(FACTS, authorized_keys=f"{key}\n")
    edits = plan(facts, Identity("vm0", "0" * 32, authorized_keys=("ssh-ed25519 BBBB",)))
    (file,) = [edit for edit in edits if getattr(edit, "path", "") == "/root/.ssh/authorized_keys"]
    assert file.content.decode() == f"{key}\nssh-ed25519 BBBB\n"


def test_a_name_without_domain_stands_once() -> None:
    assert "127.0.1.1\tvm0\n" in hosts(FACTS, "vm0")


def test_keys_and_password_of_root_need_no_more_than_before() -> None:
    """Whoever has no name is root, without cloud-init."""
    one, two = "ssh-ed25519 AAAAONE a", "ssh-ed25519 AAAATWO b"
    asked = replace(IDENTITY, authorized_keys=(one, two), root_password="$6$s$h", day=20000)
    for name in (None, "root"):
        user = User(name, ssh_authorized_keys=(two,), password="$6$s$h")
        given = replace(IDENTITY, authorized_keys=(one,), user=user, day=20000)
        assert plan(FACTS, given) == plan(FACTS, asked)


def test_what_else_root_gets_is_for_its_account() -> None:
    user = User(None, ("adm",), ssh_authorized_keys=("ssh-ed25519 AAAA a",), password="$6$s$h")
    edits = plan(FACTS, replace(IDENTITY, user=user, day=7))
    assert edits[-2:] == (
        SetPassword("root", "$6$s$h", 7),
        SetUser(User("root", ("adm",)), 7),
    )


def test_another_user_beside_root() -> None:
    user = User("alice", ("sudo",), None, "/bin/sh", ("ssh-ed25519 AAAA a",), "$6$s$h")
    identity = replace(IDENTITY, root_password="$6$r$r", user=user, day=7)
    assert plan(FACTS, identity)[-2:] == (SetPassword("root", "$6$r$r", 7), SetUser(user, 7))
    # Its keys are its own.
    assert "/root/.ssh/authorized_keys" not in written(identity=identity)


def test_facts_survive_json() -> None:
    facts = replace(
        FACTS,
        interfaces=(GuestInterface("eth0", True, "auto", ("mtu 1400",)),),
        loopback=GuestInterface("lo", options=("up true",)),
        laid_out=("/etc/hostname",),
        user_mounts=(Mount("/home", "/dev/sda2"),),
        hosts="\udce9",
    )
    assert GuestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts

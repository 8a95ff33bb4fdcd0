# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user is made, or changed, in a guest that anybody may have laid out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from maglica.guest.edits import SetUser, apply
from maglica.guest.filesystem import Kind
from maglica.guest.users import SUDO_RULE
from maglica.model.errors import GuestUnsupported
from maglica.model.request import User
from support.fake_filesystem import FakeFilesystem

KEY = "ssh-ed25519 AAAANEW alice"
HASH = "$6$salt$hash"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nold:x:1000:1000:Old:/home/old:/bin/sh\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:30::\n",
    "etc/group": "root:x:0:\nsudo:x:27:old\nold:x:1000:\nstaff:x:1001:",
    "etc/gshadow": "root:*::\nsudo:*::old\nold:!::\n",
    "etc/sudoers": "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
    "etc/skel/.bashrc": "# bash\n",
    "etc/skel/.config/app/settings": "x\n",
    "usr/bin/bash": "",
    "usr/bin/zsh": "",
}
FULL = User("alice", ("sudo", "dev"), "ALL=(ALL) NOPASSWD:ALL", "/bin/zsh", (KEY,), HASH)


@pytest.fixture
def guest() -> FakeFilesystem:
    made = FakeFilesystem(FILES)
    made.add_link("/bin", "usr/bin")
    made.add_file("/etc/shadow", FILES["etc/shadow"], 0o640)
    made.add_file("/etc/skel/run.sh", "#!/bin/sh\n", 0o755)
    made.add_link("/etc/skel/link", "/etc/shadow")
    return made


def give(guest: FakeFilesystem, user: User) -> None:
    apply([SetUser(user, 20000)], guest)


def owners(guest: FakeFilesystem, *paths: str) -> set[tuple[int, int]]:
    return {guest.nodes[path].owner for path in paths}


def test_a_user_that_is_not_there_is_made(guest: FakeFilesystem) -> None:
    give(guest, FULL)
    assert guest.text("/etc/passwd") == (
        FILES["etc/passwd"] + "alice:x:1002:1002::/home/alice:/bin/zsh\n"
    )
    assert guest.text("/etc/shadow") == (f"{FILES['etc/shadow']}alice:{HASH}:20000:0:99999:7:::\n")
    assert guest.text("/etc/group") == (
        "root:x:0:\nsudo:x:27:old,alice\nold:x:1000:\nstaff:x:1001:\n"
        "alice:x:1002:\ndev:x:1003:alice\n"
    )
    assert guest.text("/etc/gshadow") == (
        "root:*::\nsudo:*::old,alice\nold:!::\nalice:!::\ndev:!::alice\n"
    )
    assert guest.mode("/etc/shadow") == 0o640
    assert guest.text(SUDO_RULE) == "alice ALL=(ALL) NOPASSWD:ALL\n"
    assert (guest.mode(SUDO_RULE), guest.mode("/etc/sudoers.d")) == (0o440, 0o750)
    assert owners(guest, SUDO_RULE, "/etc/sudoers.d", "/home") == {(0, 0)}


def test_its_home_is_its_own(guest: FakeFilesystem) -> None:
    give(guest, FULL)
    home = "/home/alice"
    modes = {path: guest.mode(path) for path in guest.nodes if path.startswith(home)}
    assert modes == {
        home: 0o700,
        f"{home}/.bashrc": 0o644,
        f"{home}/.config": 0o755,
        f"{home}/.config/app": 0o755,
        f"{home}/.config/app/settings": 0o644,
        f"{home}/run.sh": 0o755,
        f"{home}/.ssh": 0o700,
        f"{home}/.ssh/authorized_keys": 0o600,
    }
    assert owners(guest, *modes) == {(1002, 1002)}
    assert guest.text(f"{home}/.ssh/authorized_keys") == f"{KEY}\n"
    assert guest.text(f"{home}/.config/app/settings") == "x\n"


def test_a_user_of_whom_only_the_name_is_said(guest: FakeFilesystem) -> None:
    give(guest, User("alice"))
    assert guest.text("/etc/passwd").endswith("\nalice:x:1002:1002::/home/alice:/bin/bash\n")
    # Not locked, which sshd without PAM would mind for keys too; but no password fits.
    assert guest.text("/etc/shadow").endswith("\nalice:*:20000:0:99999:7:::\n")
    assert guest.kind("/home/alice/.ssh") is Kind.ABSENT
    assert guest.kind(SUDO_RULE) is Kind.ABSENT


def test_a_user_that_is_there_is_changed_where_that_is_asked(guest: FakeFilesystem) -> None:
    guest.add_directory("/home/old", 0o755)
    guest.add_file("/home/old/.ssh/authorized_keys", "ssh-rsa AAAA image\n")
    before = guest.text("/etc/group")
    give(guest, User("old", (), None, "/bin/zsh", (KEY,), HASH))
    assert guest.text("/etc/passwd") == FILES["etc/passwd"].replace("/bin/sh", "/bin/zsh")
    assert f"\nold:{HASH}:20000:0:99999:7:30::\n" in guest.text("/etc/shadow")
    assert guest.text("/etc/group") == before
    assert guest.text("/home/old/.ssh/authorized_keys") == f"ssh-rsa AAAA image\n{KEY}\n"
    assert guest.mode("/home/old") == 0o755
    assert owners(guest, "/home/old/.ssh/authorized_keys") == {(1000, 1000)}
    assert guest.kind("/home/old/.bashrc") is Kind.ABSENT


def test_nothing_asked_changes_nothing(guest: FakeFilesystem) -> None:
    before = {path: node.content for path, node in guest.nodes.items()}
    give(guest, User("old"))
    assert {path: node.content for path, node in guest.nodes.items()} == before


def test_a_home_that_is_missing_is_made_for_keys(guest: FakeFilesystem) -> None:
    give(guest, User("old", ssh_authorized_keys=(KEY, KEY)))
    assert guest.text("/home/old/.ssh/authorized_keys") == f"{KEY}\n"
    assert guest.text("/home/old/.bashrc") == "# bash\n"
    assert owners(guest, "/home/old", "/home/old/.bashrc") == {(1000, 1000)}


def test_what_a_user_of_that_name_has_left_is_not_lost(guest: FakeFilesystem) -> None:
    guest.add_file("/home/alice/data", "kept")
    guest.add_file("/etc/shadow", f"alice:$old:1::::::\n{FILES['etc/shadow']}")
    guest.add_file("/etc/group", "root:x:0:\nalice:x:1007:\n")
    give(guest, User("alice"))
    assert guest.text("/home/alice/data") == "kept"
    assert owners(guest, "/home/alice") == {(1001, 1007)}
    assert guest.text("/etc/shadow").count("alice:") == 1
    assert guest.text("/etc/passwd").endswith("alice:x:1001:1007::/home/alice:/bin/bash\n")
    assert guest.text("/etc/group").count("alice") == 1


def test_a_guest_without_bash_and_gshadow(guest: FakeFilesystem) -> None:
    guest.remove("/bin/bash")
    guest.remove("/etc/gshadow")
    give(guest, User("alice", ("dev",)))
    assert guest.text("/etc/passwd").endswith(":/bin/sh\n")
    assert guest.kind("/etc/gshadow") is Kind.ABSENT


def test_a_password_that_stands_in_passwd_goes_where_it_belongs(guest: FakeFilesystem) -> None:
    guest.add_file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nold:$1$old:5:5::/home/old:/bin/sh\n")
    guest.add_file("/etc/shadow", "root:*:19000:0:99999:7:::")
    give(guest, User("old", password=HASH))
    assert "\nold:x:5:5::" in guest.text("/etc/passwd")
    assert guest.text("/etc/shadow").endswith(f":::\nold:{HASH}:20000:0:99999:7:::\n")


def test_root_gets_what_only_files_of_accounts_have(guest: FakeFilesystem) -> None:
    give(guest, User(None, ("sudo",), None, "/bin/zsh"))
    assert guest.text("/etc/passwd").startswith("root:x:0:0:root:/root:/bin/zsh\n")
    assert "sudo:x:27:old,root\n" in guest.text("/etc/group")


def test_bytes_that_are_no_text_and_lines_that_are_no_entries_stay(guest: FakeFilesystem) -> None:
    odd = b"caf\xe9:x\nalice\n::\n\x85:x:1:1:::\nbad:x:x:99999999999999999999:::\n"
    for path in ("/etc/passwd", "/etc/group"):
        guest.add_file(path, guest.nodes[path].content + b"\n" + odd)
    give(guest, User("alice", ("staff",)))
    assert odd + b"alice:x:1002:1002:" in guest.nodes["/etc/passwd"].content
    assert odd + b"alice:x:1002:\n" in guest.nodes["/etc/group"].content
    assert b"staff:x:1001:alice\n" in guest.nodes["/etc/group"].content


def no_such_shell(guest: FakeFilesystem) -> User:
    return User("alice", (), None, "/bin/nothing")


def without_sudo(guest: FakeFilesystem) -> User:
    guest.remove("/etc/sudoers")
    return FULL


def sudo_that_reads_no_folder(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/sudoers", "## includedir /etc/sudoers.d\n")
    return FULL


def link_for_shadow(guest: FakeFilesystem) -> User:
    guest.add_link("/etc/shadow", "passwd")
    return FULL


def pipe_for_gshadow(guest: FakeFilesystem) -> User:
    guest.add_other("/etc/gshadow")
    return FULL


def endless_passwd(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/passwd", "x" * (1 << 20) + "x")
    return FULL


def without_passwd(guest: FakeFilesystem) -> User:
    guest.remove("/etc/passwd")
    return FULL


def link_for_a_home(guest: FakeFilesystem) -> User:
    guest.add_link("/home/alice", "/etc")
    return FULL


def link_for_ssh(guest: FakeFilesystem) -> User:
    guest.add_link("/home/old/.ssh", "/etc")
    return User("old", ssh_authorized_keys=(KEY,))


def link_for_keys(guest: FakeFilesystem) -> User:
    """Its target would be copied to a file that the user can read."""
    guest.add_link("/home/old/.ssh/authorized_keys", "/etc/shadow")
    return User("old", ssh_authorized_keys=(KEY,))


def link_for_rules(guest: FakeFilesystem) -> User:
    guest.add_link("/etc/sudoers.d", "/tmp")
    return FULL


def home_that_is_none(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/passwd", "old:x:1000:1000::/home/../proc/1:/bin/sh\n")
    return User("old", ssh_authorized_keys=(KEY,))


def ids_that_are_none(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/passwd", "old:x:-1:1000::/home/old:/bin/sh\n")
    return User("old", ssh_authorized_keys=(KEY,))


def ids_that_are_too_long(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/group", "alice:x:2147483648:\n")
    return FULL


def crowded_skeleton(guest: FakeFilesystem) -> User:
    for number in range(201):
        guest.add_file(f"/etc/skel/{number}")
    return FULL


def big_skeleton(guest: FakeFilesystem) -> User:
    for number in range(3):
        guest.add_file(f"/etc/skel/{number}", "x" * (1 << 19))
    return FULL


def no_ids_left(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/group", "".join(f"g{n}:x:{n}:\n" for n in range(1000, 60000)))
    return FULL


def broken_shadow(guest: FakeFilesystem) -> User:
    guest.add_file("/etc/shadow", "old:*\n")
    return User("old", password=HASH)


@pytest.mark.parametrize(
    ("scene", "problem"),
    [
        (no_such_shell, "the guest has no /bin/nothing, the shell of alice"),
        (without_sudo, "the guest has no sudo: there is no /etc/sudoers"),
        (sudo_that_reads_no_folder, "/etc/sudoers in the guest does not include /etc/sudoers.d"),
        (link_for_shadow, "/etc/shadow in the guest is not a plain file"),
        (pipe_for_gshadow, "/etc/gshadow in the guest is not a plain file"),
        (endless_passwd, "/etc/passwd in the guest is longer than"),
        (without_passwd, "/etc/passwd in the guest is not a plain file"),
        (link_for_a_home, "/home/alice in the guest is not a directory"),
        (link_for_ssh, "/home/old/.ssh in the guest is not a directory"),
        (link_for_keys, "/home/old/.ssh/authorized_keys in the guest is not a plain file"),
        (link_for_rules, "/etc/sudoers.d in the guest is not a directory"),
        (home_that_is_none, "the home of old in the guest is '/proc/1'"),
        (ids_that_are_none, "/etc/passwd in the guest has no ids for old"),
        (ids_that_are_too_long, "/etc/passwd in the guest has no ids for alice that can be used"),
        (crowded_skeleton, "/etc/skel in the guest has more than 200 files"),
        (big_skeleton, "/etc/skel/1 in the guest is longer than"),
        (no_ids_left, "all ids from 1000 to 59999 are taken"),
        (broken_shadow, "/etc/shadow in the guest has no entry for old"),
    ],
)
def test_refused(
    guest: FakeFilesystem, scene: Callable[[FakeFilesystem], User], problem: str
) -> None:
    user = scene(guest)
    with pytest.raises(GuestUnsupported, match=problem):
        give(guest, user)


def test_root_that_is_not_there(guest: FakeFilesystem) -> None:
    guest.add_file("/etc/passwd", "")
    with pytest.raises(GuestUnsupported, match="no entry for root"):
        give(guest, User(None, (), None, "/bin/zsh"))


def test_no_secret_is_shown() -> None:
    assert HASH not in repr(SetUser(FULL, 1))

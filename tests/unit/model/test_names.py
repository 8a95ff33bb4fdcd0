# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maglica.model import names
from maglica.model.errors import NameInvalid

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2w"
ACCEPTED: list[tuple[Callable[[str], str], str]] = [
    *[
        (names.guest_name, name)
        for name in ("a", "vm0", "vm0.example.jp", "a-b", "0a.b", "x" * 63, "a." * 30 + "abcd")
    ],
    *[
        (names.object_name, name)
        for name in ("a", "SL6.1-x86_64.original", "_x", "9", "a:b@c+d", "A" * 200)
    ],
    *[(names.mac, mac) for mac in ("52:54:00:12:34:56", "02:00:00:00:00:00", "fe:ff:ff:ff:ff:ff")],
    *[(names.interface_address, text) for text in ("192.0.2.7/24", "2001:db8::1/64", "0.0.0.0/0")],
    *[(names.address, text) for text in ("192.0.2.7", "2001:db8::1")],
    *[
        (names.password_hash, text)
        for text in ("$6$salt$0123456789", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317")
    ],
    *[
        (names.ssh_key, text)
        for text in (
            SSH,
            f"{SSH} me@client.example.jp",
            "sk-ssh-ed25519@openssh.com AAAAC3NzaC1lZDI1NTE5==",
        )
    ],
]
# What no name may be, whatever it names.
HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "-rf",
    "--help",
    "a b",
    "a\n",
    "\na",
    "a\0",
    "a\0b",
    "a\tb",
    "\x1b[2J",
    "a;b",
    "a&b",
    "a|b",
    "$(id)",
    "`id`",
    "a'b",
    'a"b',
    "<a>",
    "]]>",
    "&amp;",
    "{{ 7 * 7 }}",
    "%s",
    "a*",
    "a?",
    "ä",
    "а",  # noqa: RUF001 - Cyrillic, which looks like a Latin letter
    "a\u202eb",
    "a\u2028b",
    "\ud800",
    "A" * 201,
    "a=b",
    "a,b",
    "~root",
    "#a",
]
REFUSED: list[tuple[Callable[[str], str], str]] = [
    *[(names.guest_name, name) for name in HOSTILE],
    *[
        (names.guest_name, name)
        for name in (
            "VM0",
            "a_b",
            "-a",
            "a-",
            "a..b",
            ".a",
            "a.",
            "x" * 64,
            "a." * 31 + "abcd",
            "10.0.0.1",
            "vm0.1",
            "a:b",
            "localhost",
        )
    ],
    *[(names.object_name, name) for name in HOSTILE],
    *[(names.object_name, name) for name in (".a", "-a", "+a", "@a", ":a")],
    *[
        (names.mac, text)
        for text in (
            *HOSTILE,
            "52:54:00:12:34",
            "52:54:00:12:34:5G",
            "53:54:00:12:34:56",
            "52-54-00-12-34-56",
            "52:54:00:12:34:56\n",
        )
    ],
    *[
        (names.interface_address, text)
        for text in (*HOSTILE, "192.0.2.7", "192.0.2.7/33", "192.0.2/24", "fe80::1%eth0/64")
    ],
    *[
        (names.address, text)
        for text in (*HOSTILE, "192.0.2.7/24", "192.0.2.256", "fe80::1%eth0", "1", "192.0.2.07")
    ],
    *[
        (names.password_hash, text)
        for text in (
            *HOSTILE,
            "secret",
            "$6$",
            "$6$a:b$012345678",
            "$6$salt$0123456789\n",
            "!",
            "*",
        )
    ],
    *[
        (names.ssh_key, text)
        for text in (
            *HOSTILE,
            "ssh-ed25519",
            "ssh-dss AAAAC3NzaC1lZDI1NTE5AAAA",
            f'command="id" {SSH}',
            f"{SSH} a\n{SSH}",
            f"{SSH}\n",
            f"{SSH} \x1b",
            SSH.replace(" ", "\t"),
        )
    ],
]


def shown(value: Callable[[str], str] | str) -> str:
    """Name a case by the check and the text in it."""
    return ascii(value) if isinstance(value, str) else value.__name__


@pytest.mark.parametrize(("check", "text"), ACCEPTED, ids=shown)
def test_accepted_as_it_is(check: Callable[[str], str], text: str) -> None:
    assert check(text) == text


@pytest.mark.parametrize(("check", "text"), REFUSED, ids=shown)
def test_refused(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(NameInvalid) as error:
        check(text)
    assert str(error.value).isprintable()


def test_an_address_comes_out_in_its_usual_form() -> None:
    assert names.interface_address("2001:DB8:0::1/64") == "2001:db8::1/64"
    assert names.address("2001:DB8:0::1") == "2001:db8::1"
    assert names.mac("52:54:00:12:34:AB") == "52:54:00:12:34:ab"


@pytest.mark.parametrize("name", ["vm0", "My VM_1 (ü)", "-rf", "..", "a'b\"<c>&", "x" * 200])
def test_a_vm_may_have_any_name_that_libvirt_takes_and_a_line_shows(name: str) -> None:
    assert names.domain_name(name) == name
    stem = names.file_stem(name)
    assert len(stem) == len(name)
    assert stem[0] not in "-."
    assert set(stem) <= set(ascii_letters + digits + "_.-")


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a/b", "a\nb", "a\tb", "a\0", "\u202ea", "\ud800", "ü" * 101]
)
def test_other_names_are_none_for_a_vm(name: str) -> None:
    with pytest.raises(NameInvalid):
        names.domain_name(name)


def test_a_host_name_is_a_stem_as_it_is() -> None:
    assert names.file_stem("vm-0.example.jp") == "vm-0.example.jp"


def test_a_password_hash_is_never_shown() -> None:
    with pytest.raises(NameInvalid) as error:
        names.password_hash("my secret")
    assert "my secret" not in str(error.value)


@given(st.text(max_size=300))
def test_no_name_of_any_kind_can_be_a_path_an_option_or_markup(text: str) -> None:
    for check in (names.guest_name, names.object_name):
        try:
            name = check(text)
        except NameInvalid:
            continue
        assert name == text
        assert not set(name) & set("/\\<>&'\"`$;| \0\n\r\t{}%*?~")
        assert name not in (".", "..")
        assert not name.startswith("-")
        assert name.isascii()
        assert name.isprintable()

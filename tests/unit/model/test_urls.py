# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maglica.model import urls
from maglica.model.errors import NameInvalid


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.qcow2",
        "https://example.com:8443/images/a%20b.img?version=3",
        "https://user:secret@example.com/a",
        "http://[2001:db8::1]/a",
        "https://192.0.2.1/",
    ],
)
def test_addresses_of_the_web(url: str) -> None:
    assert urls.web_address(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "debian-13",
        "/srv/a.qcow2",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "https:///a",
        "https://:80/a",
        "https://example.com:0/a",
        "https://example.com:99999/a",
        "https://example.com:x/a",
        "https://[2001:db8::1/a",
        "https://[v1.a]/a",
        # Without its user there is no address left.
        "https://user[::1]@]example.com/a",
        "https://[:@v1.x]/a",
        "https://[::1]@[example.com/a",
        "https://example.com/a b",
        "https://example.com/a\nHost: b",
        "https://example.com/ü",
        "https://example.com/a#b",
        "https://example.com/" + "a" * urls.MAX_LENGTH,
    ],
)
def test_what_is_no_address_of_the_web(text: str) -> None:
    with pytest.raises(NameInvalid, match="is not a web address"):
        urls.web_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://user:secret@example.com/a",
        "https://user:se/cret@example.com/a",
        "https://user:secret@example.com:x/",
        "https://user:secret@example.com/a b",
        "https://user:secret?x@example.com/a",
        "https://user:se//cret@example.com:x/a",
        "user:secret@example.com/a",
        "https://user:se\ncret@example.com/a",
        "https://example.com:x/a?token=secret",
    ],
)
def test_an_error_shows_no_secret(text: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        urls.web_address(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("https://example.com/a/b.qcow2", "https://example.com/a/b.qcow2"),
        (
            "https://user:secret@example.com:8443/a/b.img?token=secret",
            "https://example.com:8443/a/b.img",
        ),
        ("https://user:se@cret@example.com/b", "https://example.com/b"),
        ("https://example.com/b@c?token=secret#secret", "https://example.com/b@c"),
        ("https://:secret@[2001:db8::1]:8080", "https://[2001:db8::1]:8080"),
        # What others wrote into a definition may be of any scheme, and no address at all.
        ("sftp://user:secret@example.com/b", "sftp://example.com/b"),
        ("HTTPS://token@example.com\n/x", "HTTPS://example.com\n/x"),
        ("https://token@[", "https://["),
        ("/images/a?b#c@d.qcow2", "/images/a?b#c@d.qcow2"),
    ],
)
def test_neither_user_nor_query_is_shown(origin: str, shown: str) -> None:
    assert urls.shown(origin) == shown


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b.img?c/d", "b.img"),
        ("/a%20b.img", "a b.img"),
        ("/a%2Fb", "a/b"),
        ("/a/", ""),
        ("", ""),
        ("/%ff", "\ufffd"),
    ],
)
def test_the_name_of_the_file(path: str, name: str) -> None:
    assert urls.file_name(f"https://example.com{path}") == name


@given(st.text())
def test_any_text_is_an_address_or_not(text: str) -> None:
    try:
        urls.web_address(text)
    except NameInvalid:
        return
    assert urls.shown(text).isprintable()


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://user:hush@example.com/a.img?token=b", {"user:hush@", "?token=b"}),
        ("sha512:https://user:hush@example.com/SUMS", {"user:hush@"}),
        ("https://example.com/a@b/c.img", set()),
        ("sha256:0a", set()),
        # No addresses: nobody knows where the password ends.
        ("https://user:hu/sh@example.com/a.img", {"user:hu/sh@"}),
        ("https://user:hu?sh@example.com/a.img", {"user:hu?sh@"}),
        ("user:hush@example.com/a.img", {"user:hush@"}),
    ],
)
def test_what_is_not_shown_of_an_address(text: str, hidden: set[str]) -> None:
    assert urls.secrets(text) == hidden

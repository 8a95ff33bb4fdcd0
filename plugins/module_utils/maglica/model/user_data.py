# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of what a user has cloud-init do in a guest, as far as it is seen without YAML.

What a client can send is held to this everywhere; guest/cloud_init/user_data.py reads on.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import NameInvalid
from .request import User

# In bytes. OpenStack allows as much; a message has room for it beside all else of a request.
MAX_USER_DATA = 64 * 1024
_BEGINNING = re.compile(
    r"#cloud-config[ \t]*\r?(?:\n|$)|#!|#cloud-boothook[ \t]*\r?\n|## template: jinja[ \t]*\r?\n"
    r"|(?:[Cc]ontent-[Tt]ype|(?:MIME|Mime|mime)-[Vv]ersion):"
)
_COMMENT = re.compile(r"#[A-Za-z-]{1,30}")
# cloud-init's YAML reader takes none of these, and a script has no use for them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# The same for JSON Schema, which counts characters.
FORM: dict[str, Any] = {
    "maxLength": MAX_USER_DATA,
    "pattern": f"^(?:{_BEGINNING.pattern})",
    "not": {"pattern": r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f]"},
}


def user_data(text: str) -> str:
    """Check the form of user data: what kind it is must be seen from how it begins."""
    if _CONTROL.search(text):
        raise NameInvalid("user_data has a control character, which cloud-init would not take")
    if len(text.encode()) > MAX_USER_DATA:
        raise NameInvalid(f"user_data is longer than {MAX_USER_DATA} bytes")
    if not _BEGINNING.match(text):
        raise NameInvalid(
            f"user_data begins with {beginning(text)}none of #cloud-config, #! (a script),"
            " #cloud-boothook, '## template: jinja' (each on a line of its own) and the headers of"
            " a MIME message (Content-Type: multipart/mixed; …)"
        )
    return text


def beginning(text: str) -> str:
    """Return how user data begins as an error may say it, to go before "none of": no more of it
    than the word of a comment, for all else may be a secret.
    """
    if not text or text[0].isspace():
        return "a blank, which is " if text else "nothing, which is "
    word = _COMMENT.match(text)
    return f"{word[0]!r}, which is " if word else ""


def problem_of(user: User | None) -> str | None:
    """Return why cloud-init would not make a user as asked for, as far as its name tells."""
    if user is None or user.name != "root":
        return None
    told = [name for name in ("groups", "shell") if getattr(user, name)]
    if not told:
        return None
    return (
        f"cloud-init changes no {' and no '.join(told)} of a user that is there, as root is:"
        " have a command of user_data do it (usermod in runcmd)"
    )

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own user data, read for two questions: would cloud-init take it, and would it undo what
makes the clone a guest of its own.

cloud-init only logs what it does not take, in a guest that nobody may be able to enter then. The
owner of a vm may do with it what he likes, so this finds mistakes; it is no protection.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from ...model import user_data as form
from ...model.errors import NameInvalid
from ...model.text import some
from . import yaml_text

CLOUD_CONFIG = "text/cloud-config"
_JINJA = "text/jinja2"
_SCRIPT = "text/x-shellscript"
_BOOTHOOK = "text/cloud-boothook"
# What a part of a message may be by its own header.
_TYPES = frozenset(
    {CLOUD_CONFIG, _JINJA, _SCRIPT, _BOOTHOOK}
    | {f"{_SCRIPT}-per-{when}" for when in ("boot", "instance", "once")}
)
# Of a part with such a header its first line tells, as it does where there is no message.
_UNTOLD = frozenset({"text/plain", "text/x-not-multipart"})
_BEGINNINGS = (
    ("## template: jinja", _JINJA),
    ("#cloud-boothook", _BOOTHOOK),
    ("#cloud-config\n", CLOUD_CONFIG),
    ("#!", _SCRIPT),
)
_MAX_PARTS = 64
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# cloud-init's cloudinit/mergers: ours stay, lists of both are joined, mappings are gone into.
MERGE_TYPE = "dict(no_replace,recurse_list)+list(append)+str()"
# What undoes ours, or is said in vain since ours stands, and what to do instead.
_OURS = {
    "hostname": "set the option hostname",
    "fqdn": "set the option hostname",
    "prefer_fqdn_over_hostname": "the guest's host name is the whole of it",
    "preserve_hostname": "the guest would keep the image's name",
    "manage_etc_hosts": "the guest would not find itself by its name",
    "ssh_keys": "the announced SSH host keys would not be the guest's",
    "ssh_deletekeys": "the announced SSH host keys would not be the only ones",
    "create_hostname_file": "the guest would lose its name",
    "cloud_init_modules": "the guest's host name, keys and users might not be set",
    "datasource": "the guest would look elsewhere when it starts again",
    "datasource_list": "the guest would look elsewhere when it starts again",
    "network": "cloud-init does not look for it here; set the option interfaces",
    "user": "set the option user, or add to the list users",
}
# What ours are added to, which goes wrong in silence where theirs is of another type.
_LISTS = ("users", "ssh_authorized_keys")
# What theirs may add to, but not replace.
_SHARED = (*_LISTS, "disable_root")
_MERGER = re.compile(r"(dict|list|str)\((.*)\)")
_Mergers = list[tuple[str, list[str]]]
_REPLACE = "replace"
_ADVISED = "let it be dict(no_replace, recurse_list) + list(append)"
_INTO_LISTS = ("recurse_list", "recurse_array")
_KEY = r"^[\"']?({})[\"']?[ \t]*:"
_OURS_IN_TEMPLATE = re.compile(_KEY.format("|".join(_OURS)), re.MULTILINE)
_SHARED_IN_TEMPLATE = re.compile(_KEY.format("|".join(_SHARED)), re.MULTILINE)
# With the lines that belong to it.
_MERGE_IN_TEMPLATE = re.compile(
    _KEY.format("merge_how|merge_type") + r".*(?:\n(?:[ \t]+\S|-[ \t]).*)*", re.MULTILINE
)
_JINJA_MARK = re.compile(r"\{[{%#]")


@dataclass(frozen=True)
class Part:
    """A part of the message that a guest gets; ``merge``: how it is joined with those before."""

    type: str
    content: bytes = field(repr=False)
    name: str
    merge: str | None = MERGE_TYPE


def parts(text: str) -> tuple[Part, ...]:
    """Return the parts of user data; none if it is empty.

    Raises NameInvalid with what is wrong, or DependencyMissing where there is no PyYAML.
    """
    if not text:
        return ()
    form.user_data(text)
    try:
        found = tuple(_parts(text))
    except RecursionError:
        raise NameInvalid("user_data is a message in a message, too deep to be read") from None
    for part in found:
        _check(part)
    return found


def _parts(text: str) -> Iterator[Part]:
    if text.startswith("#"):
        yield Part(_type_of(text), text.encode(), "user-data")
        return
    # Of a text, and not bytes, it would write out each character of a part that comes as 8bit.
    message = email.message_from_bytes(text.encode())
    if not message.is_multipart():
        raise NameInvalid(
            "user_data is a MIME message without parts: it needs Content-Type: multipart/mixed;"
            " boundary=…, and that boundary in its body"
        )
    for number, each in enumerate(_leaves(message), 1):
        if number > _MAX_PARTS:
            raise NameInvalid(f"user_data has more than {_MAX_PARTS} parts")
        yield _part(each, number)


def _leaves(message: Message) -> Iterator[Message]:
    return (each for each in message.walk() if not each.is_multipart())


def _part(message: Message, number: int) -> Part:
    content = message.get_payload(decode=True)
    payload = content if isinstance(content, bytes) else b""
    try:
        text = payload.decode(message.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        raise NameInvalid(f"part {number} of user_data is not text in its own charset") from None
    kind = message.get_content_type()
    if kind in _UNTOLD or kind == _SCRIPT:
        # cloud-init looks at what is called a script, too; one without "#!" it can't run.
        kind = _type_of(text, f"part {number} of user_data")
    if kind not in _TYPES:
        raise NameInvalid(
            f"part {number} of user_data is {kind[:60]!r}; Maglica takes"
            f" {', '.join(sorted(_TYPES))}"
        )
    name = message.get_filename("")
    merge = str(message.get("Merge-Type") or message.get("X-Merge-Type") or MERGE_TYPE)
    return Part(
        kind,
        text.encode(),
        name if _FILE_NAME.fullmatch(name) else f"user-data-{number:02}",
        merge,
    )


def _type_of(text: str, what: str = "user_data") -> str:
    # cloud-init passes over blanks before it, and does not mind capitals.
    lines = text.lstrip().replace("\r", "").lower().split("\n", 1)
    first = f"{lines[0].rstrip()}\n"
    for beginning, kind in _BEGINNINGS:
        if first.startswith(beginning):
            return kind
    raise NameInvalid(
        f"{what} begins with {form.beginning(first)}none of #cloud-config, #! (a script),"
        " #cloud-boothook and '## template: jinja'"
    )


def _check(part: Part) -> None:
    text = part.content.decode()
    header = _mergers(part.merge or "", part)
    if part.type == _JINJA:
        _check_template(text, part, header)
    if part.type != CLOUD_CONFIG:
        return
    try:
        config = yaml_text.read(text, strict=True)
    except yaml_text.YamlInvalid as error:
        raise NameInvalid(f"{_called(part)} is not YAML that cloud-init takes: {error}") from None
    if not isinstance(config, dict):
        raise NameInvalid(f"{_called(part)} is not a mapping: cloud-init would take nothing of it")
    _refuse_ours([key for key in config if isinstance(key, str) and key in _OURS])
    for key in _LISTS:
        if key in config and not isinstance(config[key], list):
            raise NameInvalid(
                f"{_called(part)} has {key}, which is not a list: ours could not be joined with it"
            )
    told = config.get("merge_how")
    own = _mergers(config.get("merge_type") if told is None else told, part)
    shared = {key: config[key] for key in config if key in _SHARED}
    _need_ours_kept(own + header, list(shared), None in shared.values(), part)


def _need_ours_kept(mergers: _Mergers, shared: list[Any], deletes: bool, part: Part) -> None:
    """Refuse a part that is lost by how it is joined, or by which ours are lost that it has, too.

    ``deletes``: it may say nothing for one of these, which can mean to delete ours.
    """
    # Of two ways for one type the first one counts.
    ways = dict(reversed(mergers))
    if "dict" not in ways:
        raise NameInvalid(
            f"{_called(part)} has a merge_how without dict(…): cloud-init would take nothing of it"
        )
    if shared and (_replaces(ways) or (deletes and "allow_delete" in ways["dict"])):
        raise NameInvalid(
            f"{_called(part)} has {some(shared)}, and would replace ours by its merge_how"
            f" or Merge-Type: take that out, or {_ADVISED}"
        )


def _replaces(ways: Mapping[str, list[str]]) -> bool:
    """Tell whether theirs, or entries of their lists, would stand in the place of ours."""
    if _REPLACE in ways["dict"]:
        return True
    # By default entries take the places of those that have the same number.
    known = ("append", "prepend", _REPLACE, "no_replace")
    way = next((each for each in known if each in ways.get("list", ())), _REPLACE)
    goes_into = any(each in ways["dict"] for each in _INTO_LISTS)
    return goes_into and "list" in ways and way == _REPLACE


def _check_template(text: str, part: Part, header: _Mergers) -> None:
    """Look for what undoes ours in a text that becomes YAML only in the guest."""
    is_told = text.lstrip().lower().startswith(_BEGINNINGS[0][0])
    rest = (text.lstrip().partition("\n")[2] if is_told else text).lstrip()
    if not rest.startswith("{"):
        kind = _type_of(rest, f"the template in {_called(part)}")
        if kind != CLOUD_CONFIG:
            return
    _refuse_ours(_OURS_IN_TEMPLATE.findall(text))
    shared = _SHARED_IN_TEMPLATE.findall(text)
    # Which of several counts, and whether any does, is seen only in the guest.
    said = [match[0] for match in _MERGE_IN_TEMPLATE.finditer(text)]
    for own in [[], *(_mergers_in_template(each, part) for each in said)]:
        if own is not None:
            _need_ours_kept(own + header, shared, True, part)
        elif shared:
            raise NameInvalid(
                f"{_called(part)} has {some(shared)}, and a merge_how that can be read only in the"
                f" guest: {_ADVISED}"
            )


def _mergers_in_template(said: str, part: Part) -> _Mergers | None:
    """Return what lines of a template say as ``_mergers`` does; None if that is not seen yet."""
    if _JINJA_MARK.search(said):
        return None
    try:
        config = yaml_text.read(said)
    except yaml_text.YamlInvalid:
        return None
    told = next(iter(config.values())) if isinstance(config, dict) else None
    return None if told is None else _mergers(told, part)


def _mergers(told: Any, part: Part) -> _Mergers:
    """Return by what a part is joined with those before: names, each with its options.

    cloud-init loses all of a part where it can't make sense of that. Raises NameInvalid.
    """
    if told is None:
        return []
    try:
        if isinstance(told, str):
            read = [_merger_of(each.strip()) for each in told.split("+") if each.strip()]
        else:
            read = [_merger(each) for each in told]
        return [(_known(name), [str(each).strip() for each in options]) for name, options in read]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise NameInvalid(
            f"{_called(part)} has a merge_how that cloud-init does not take: it is to be such as"
            f" {MERGE_TYPE}"
        ) from None


def _merger_of(text: str) -> tuple[str, list[Any]]:
    match = _MERGER.fullmatch(text.lower())
    return (match[1], match[2].split(",")) if match else ("", [])


def _merger(told: Any) -> tuple[str, list[Any]]:
    name, options = (
        (told["name"], told["settings"]) if isinstance(told, dict) else (told[0], told[1:])
    )
    if not isinstance(options, list):
        raise TypeError(options)
    return name, options


def _known(name: str) -> str:
    if name.strip() not in ("dict", "list", "str"):
        raise ValueError(name)
    return name.strip()


def _refuse_ours(keys: list[Any]) -> None:
    if keys:
        told = [f"{key} ({_OURS[key]})" for key in dict.fromkeys(keys)]
        raise NameInvalid(
            f"user_data has what Maglica sets itself, so that each vm is its own guest:"
            f" {some(told)}; take it out"
        )


def _called(part: Part) -> str:
    return "user_data" if part.name == "user-data" else f"part {part.name} of user_data"

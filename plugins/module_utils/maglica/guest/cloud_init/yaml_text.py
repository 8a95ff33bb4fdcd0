# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads YAML that strangers wrote, without ever making more of it than they wrote.

PyYAML's own loaders call themselves for each level, and merge keys (``<<``) let a few lines become
gigabytes. So its parser's events are read here: with a limit on levels, on what merge keys add, and
with aliases that lead to one and the same value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..._deps import need

MAX_DEPTH = 64
# Entries that merge keys may add in all.
MAX_MERGED = 10_000
_TAGS = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(
    {"binary", "bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str"}
    | {"timestamp"}
)
_KINDS = {True: "seq", False: "map"}
# What stands in a text in which libyaml may pass over what PyYAML's own parser refuses.
_OTHERWISE = re.compile(r"[\t?&\ufeff]|[|>][-+0-9]*#")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}


class YamlInvalid(ValueError):
    """A text is no YAML that cloud-init takes; the words don't quote its content."""


@dataclass
class _Open:
    """A list or a mapping whose end has not come yet."""

    value: Any
    anchor: str | None
    merged: list[Any] = field(default_factory=list)
    key: Any = None
    has_key: bool = False


def read(text: str, strict: bool = False) -> Any:
    """Return what a text says: mappings, lists, texts, true, false and None.

    Numbers and times stay texts. ``strict``: it is refused where cloud-init would take nothing of
    it, since one value is not what it looks like (a date in February, ``=``), one anchor stands
    twice, or for a tab or another mark that libyaml passes over. Raises YamlInvalid, or
    DependencyMissing.
    """
    yaml = need("yaml")
    # Its own parser, which is cloud-init's, takes thirty times as long: it is asked where the text
    # has what the two read otherwise.
    is_own = strict and _OTHERWISE.search(text) is not None
    loader = yaml.SafeLoader if is_own else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(yaml, strict).read(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise YamlInvalid(f"{place}{problem or 'it can not be read'}"[:200]) from None


class _Reader:
    def __init__(self, yaml: Any, strict: bool = False) -> None:
        self._yaml = yaml
        self._maker: Any = yaml.SafeLoader("") if strict else None
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}
        self._anchored: set[str] = set()
        self._documents = 0
        self._merged = 0
        self._result: Any = None

    def read(self, events: Iterable[Any]) -> Any:
        yaml = self._yaml
        for event in events:
            if self._maker is not None:
                self._need_new_anchor(event)
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise YamlInvalid("it has more than one document")
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self._anchors:
                    raise YamlInvalid(f"{_line(event)}an alias without what it stands for")
                self._add(self._anchors[event.anchor], event)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._start(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end(event)
        return self._result

    def _need_new_anchor(self, event: Any) -> None:
        """Raise YamlInvalid for what only PyYAML's composer refuses, and no parser."""
        anchor = getattr(event, "anchor", None)
        if anchor is None or isinstance(event, self._yaml.AliasEvent):
            return
        if anchor in self._anchored:
            raise YamlInvalid(f"{_line(event)}an anchor (&) that stands there twice")
        self._anchored.add(anchor)

    def _scalar(self, event: Any) -> None:
        _check_tag(event)
        if self._maker is not None:
            self._need_value(event)
        is_plain = event.tag is None and event.implicit[0]
        value = _WORDS.get(event.value, event.value) if is_plain else event.value
        if event.anchor:
            self._anchors[event.anchor] = value
        self._add(value, event, is_merge=is_plain and event.value == "<<")

    def _need_value(self, event: Any) -> None:
        """Raise YamlInvalid for what can't be made a value of the type that it is of."""
        tag = event.tag
        if tag in (None, "!"):
            tag = self._maker.resolve(self._yaml.ScalarNode, event.value, event.implicit)
        if self._awaits_key and tag in (f"{_TAGS}merge", f"{_TAGS}value"):
            return
        try:
            self._maker.construct_object(self._yaml.ScalarNode(tag, event.value), deep=True)
        except (ArithmeticError, AttributeError, LookupError, ValueError, self._yaml.YAMLError):
            kind = tag.removeprefix(_TAGS)
            raise YamlInvalid(
                f"{_line(event)}a value that is read as {kind}, and is none: put it in quotes"
            ) from None

    @property
    def _awaits_key(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and not self._open[-1].has_key
        )

    def _start(self, event: Any) -> None:
        _check_tag(event)
        if len(self._open) >= MAX_DEPTH:
            raise YamlInvalid(f"{_line(event)}nested more than {MAX_DEPTH} deep")
        is_list = isinstance(event, self._yaml.SequenceStartEvent)
        if self._maker is not None and event.tag not in (None, "!", f"{_TAGS}{_KINDS[is_list]}"):
            raise YamlInvalid(f"{_line(event)}a tag of a list or mapping: leave it out")
        self._open.append(_Open([] if is_list else {}, event.anchor))

    def _end(self, event: Any) -> None:
        ended = self._open.pop()
        for merged in ended.merged:
            for each in merged if isinstance(merged, list) else [merged]:
                if not isinstance(each, dict):
                    raise YamlInvalid(f"{_line(event)}a merge key (<<) of what is not a mapping")
                self._merged += len(each)
                if self._merged > MAX_MERGED:
                    raise YamlInvalid(f"merge keys (<<) add more than {MAX_MERGED} entries")
                for key, value in each.items():
                    ended.value.setdefault(key, value)
        if ended.anchor:
            self._anchors[ended.anchor] = ended.value
        self._add(ended.value, event)

    def _add(self, value: Any, event: Any, is_merge: bool = False) -> None:
        if not self._open:
            self._result = value
            return
        into = self._open[-1]
        if isinstance(into.value, list):
            into.value.append(value)
        elif not into.has_key:
            if isinstance(value, (dict, list)):
                raise YamlInvalid(f"{_line(event)}a key that is not text")
            into.key, into.has_key = (_MERGE if is_merge else value), True
        else:
            into.has_key = False
            if into.key is _MERGE:
                into.merged.append(value)
            else:
                into.value[into.key] = value


_MERGE = object()


def _check_tag(event: Any) -> None:
    tag = event.tag
    if tag is not None and tag != "!" and tag.removeprefix(_TAGS) not in _KNOWN_TAGS:
        raise YamlInvalid(f"{_line(event)}a tag that cloud-init does not know")


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}: "

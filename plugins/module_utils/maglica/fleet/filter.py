# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains are wanted; pure.

A filter may ask for what is known of a domain only after its definition has been read, or its
addresses looked up. So each question has three answers, and a domain is left out early only when
it is certain that it goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Union

from ..libvirtd.hosts import Known
from ..model.errors import ConfigInvalid
from ..model.image import may_be_made_image
from ..model.text import short
from ..model.vm import Domain

# Evaluates an expression on a domain; None when that is too early.
Evaluate = Callable[[str, Domain, Known], Union[bool, None]]
KEYS = ("name", "host", "state", "kind", "image", "request", "who", "clone_mode", "uuid", "tag")
EARLY_KEYS = ("name", "host", "state", "uuid")
# What an expression can ask for that no definition says.
LATE_KEYS = ("address", "interfaces", "autostart")
_REGEX = "~"
# What re.compile raises, also for what is too large for it.
_NO_REGEX = (re.error, OverflowError, RecursionError)


@dataclass(frozen=True)
class Rule:
    """All of its conditions must hold: for each key one of the patterns, and the expression.

    A pattern is a shell glob, or after a tilde a regular expression for the whole text.
    """

    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expression: str | None = None

    def holds(
        self, domain: Domain, kind: str | None, known: Known, evaluate: Evaluate
    ) -> bool | None:
        """Say whether the rule holds for the domain; None when that is not known yet.

        ``kind`` is image or vm, None when that is not known yet.
        """
        answers = [self._matches(key, domain, kind, known) for key in self.patterns]
        if False in answers:
            return False
        if self.expression is not None:
            answers.append(evaluate(self.expression, domain, known))
        if False in answers:
            return False
        return None if None in answers else True

    def _matches(self, key: str, domain: Domain, kind: str | None, known: Known) -> bool | None:
        is_late = kind is None if key == "kind" else key not in EARLY_KEYS
        if is_late and known is Known.LISTED:
            return None
        texts = (kind,) if key == "kind" and kind else _texts(key, domain)
        return any(matches(pattern, text) for pattern in self.patterns[key] for text in texts)

    def may_hold_on(self, host: str) -> bool:
        """Say whether the rule can hold for any domain of ``host``."""
        patterns = self.patterns.get("host")
        return patterns is None or any(matches(pattern, host) for pattern in patterns)

    def holds_on_all(self, host: str) -> bool:
        """Say whether the rule holds for each domain of ``host``, whatever it is."""
        is_about_hosts = self.patterns.keys() == {"host"} and self.expression is None
        return is_about_hosts and self.may_hold_on(host)


@dataclass(frozen=True)
class Filters:
    """A domain is wanted when one of ``include`` holds (or there is none) and none of ``exclude``.

    ``evaluate`` is what knows expressions.
    """

    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    evaluate: Evaluate = lambda expression, domain, known: None

    def want(self, domain: Domain) -> bool:
        """Say whether a domain of which all is known is wanted."""
        return self.wants(domain, Known.ALL) is True

    def may_want_host(self, host: str) -> bool:
        """Say whether any domain of ``host`` may be wanted."""
        if any(rule.holds_on_all(host) for rule in self.exclude):
            return False
        return not self.include or any(rule.may_hold_on(host) for rule in self.include)

    def wants(self, domain: Domain, known: Known) -> bool | None:
        """Say whether a domain is wanted; None when that is not certain yet."""
        included = self._any(self.include, domain, known) if self.include else True
        excluded = self._any(self.exclude, domain, known)
        if included is False or excluded is True:
            return False
        return None if included is None or excluded is None else True

    def _any(self, rules: Sequence[Rule], domain: Domain, known: Known) -> bool | None:
        kind = self._kind(domain, known)
        answers = [rule.holds(domain, kind, known, self.evaluate) for rule in rules]
        if True in answers:
            return True
        return None if None in answers else False

    def _kind(self, domain: Domain, known: Known) -> str | None:
        # One that is off may have been adopted.
        is_open = not domain.active or (domain.made is None and may_be_made_image(domain.uuid))
        if known is Known.LISTED and is_open:
            return None
        return "image" if domain.is_image else "vm"


def rule(options: object) -> Rule:
    """Return the rule that a filter's options state: one text or a list of texts for each key.

    Raises ConfigInvalid.
    """
    if not isinstance(options, Mapping):
        raise ConfigInvalid(f"the filter {options!r} is not a dictionary of conditions")
    unknown = [key for key in options if key not in (*KEYS, "expression")]
    if unknown:
        raise ConfigInvalid(f"a filter has no condition {unknown[0]!r}")
    patterns = {key: _patterns(key, options[key]) for key in KEYS if options.get(key) is not None}
    expression = options.get("expression")
    if not isinstance(expression, (str, type(None))):
        raise ConfigInvalid(f"the filter's expression {expression!r} is not text")
    if not patterns and expression is None:
        raise ConfigInvalid("a filter has no condition")
    return Rule(patterns, expression)


def _patterns(key: str, value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, (list, tuple)) else [value]
    for entry in entries:
        if not isinstance(entry, (str, int, float)):
            raise ConfigInvalid(f"the filter's {key} {entry!r} is not text")
        _check(str(entry), repr(entry))
    return tuple(map(str, entries))


def _check(pattern: str, shown: str) -> None:
    try:
        re.compile(pattern[len(_REGEX) :] if pattern.startswith(_REGEX) else "")
    except _NO_REGEX as error:
        raise ConfigInvalid(
            f"the filter's {short(shown)} is not a regular expression: {error}"
        ) from None


def image_names(pattern: str | None) -> Callable[[str], bool]:
    """Return what says whether a name is one that an image may have: all of it must match.

    Raises ConfigInvalid when ``pattern`` is no regular expression.
    """
    if pattern is None:
        return lambda name: True
    try:
        is_match = re.compile(pattern).fullmatch
    except _NO_REGEX as error:
        raise ConfigInvalid(
            f"image_pattern {short(pattern)!r} is not a regular expression: {error}"
        ) from None
    return lambda name: is_match(name) is not None


def matches(pattern: str, text: str) -> bool:
    """Say whether a pattern of a Rule is one of this text."""
    if pattern.startswith(_REGEX):
        return re.fullmatch(pattern[len(_REGEX) :], text) is not None
    return fnmatchcase(text, pattern)


def _texts(key: str, domain: Domain) -> tuple[str, ...]:
    if key == "tag":
        return domain.tags
    return (str(getattr(domain, key) or ""),)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where something stands in an INI file, to say what is wrong there."""

from __future__ import annotations

import configparser
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.errors import ConfigInvalid, NameInvalid
from . import values

_SECTION_LINE = re.compile(r"\[([^\]]+)\]")
_OPTION_LINE = re.compile(r"([^\s#;=\[][^=]*?)\s*=")


@dataclass(frozen=True)
class Place:
    """A section of a file, to say where something is wrong."""

    path: Path
    lines: Mapping[tuple[str, str], int]
    section: str

    def error(self, option: str, problem: object) -> ConfigInvalid:
        line = self.lines.get((self.section, option)) or self.lines.get((self.section, ""), 0)
        subject = f"[{self.section}] {option}".rstrip()
        return ConfigInvalid(f"{self.path}:{line}: {subject}: {problem}")

    def name(self, kind: str, others: Container[str]) -> str:
        """Return the name in the title of a section that there may be several of."""
        name: str = self.read("", values.word, self.section[len(kind) :].strip())
        if name in others:
            raise self.error("", "twice")
        return name

    def read(self, option: str, reader: values.Reader, text: str) -> Any:
        try:
            return reader(text, self.path.parent)
        except (ValueError, NameInvalid) as error:
            raise self.error(option, error) from None


def lines_of(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each section (option "") and of each option in it."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _SECTION_LINE.match(line):
            section = header[1]
            lines.setdefault((section, ""), number)
        elif option := _OPTION_LINE.match(line):
            lines.setdefault((section, option[1].lower()), number)
    return lines


def syntax_error(error: configparser.Error, path: Path) -> ConfigInvalid:
    if isinstance(error, configparser.DuplicateOptionError):
        return ConfigInvalid(f"{path}:{error.lineno}: [{error.section}] {error.option}: twice")
    if isinstance(error, configparser.DuplicateSectionError):
        return ConfigInvalid(f"{path}:{error.lineno}: [{error.section}]: twice")
    if isinstance(error, configparser.MissingSectionHeaderError):
        return ConfigInvalid(f"{path}:{error.lineno}: stands before the first [section]")
    errors = getattr(error, "errors", None)
    line = errors[0][0] if errors else getattr(error, "lineno", 0)
    return ConfigInvalid(f"{path}:{line}: neither a [section] nor an 'option = value'")

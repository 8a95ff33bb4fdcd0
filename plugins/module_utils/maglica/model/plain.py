# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as JSON can hold them."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from .moment import Moment

_ATOMS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Turn values (dataclasses, enums, tuples) into what JSON can hold.

    A field whose metadata says that it is not ``told`` is left out.
    """
    cls = type(value)
    if cls in _ATOMS:
        return value
    if isinstance(value, (enum.Enum, Moment)):
        return value.iso if isinstance(value, Moment) else value.value
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if dataclasses.is_dataclass(cls):
        # The fields as dataclasses.fields would give them, without its cost at each value.
        return {
            name: plain(getattr(value, name))
            for name, field in cls.__dataclass_fields__.items()
            if field.metadata.get("told", True)
        }
    return value


def lean(value: Any) -> Any:
    """Turn values into what JSON can hold, as ``plain`` does, without the fields at their defaults.

    What reads them back, ``checks.record``, takes those for said.
    """
    cls = type(value)
    if isinstance(value, (list, tuple)):
        return [lean(entry) for entry in value]
    if not dataclasses.is_dataclass(cls):
        return plain(value)
    return {
        name: lean(entry)
        for name, field in cls.__dataclass_fields__.items()
        if field.metadata.get("told", True) and (entry := getattr(value, name)) != field.default
    }

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends: with an error of the library, or with what differs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .maglica.model.errors import DependencyMissing, MaglicaError
from .maglica.model.text import one_line


@contextmanager
def errors_as_failure(module: Any, seen: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Let an error of the library that leaves the block end the module.

    The failure has the error's text as ``msg``, its code as ``code``, and what ``seen`` returns.
    """
    try:
        yield
    except DependencyMissing as error:
        module.fail_json(
            msg=f"{error}; it is {sys.executable}: install the package for it, or set"
            " ansible_python_interpreter to a Python that has it",
            code=error.code,
            **seen(),
        )
    except MaglicaError as error:
        module.fail_json(msg=one_line(str(error)), code=error.code, **seen())


def with_diff(module: Any, result: dict[str, Any], diff: Mapping[str, Any]) -> dict[str, Any]:
    """Return a module's result, with the difference if that is asked for and there is one."""
    if result["changed"] and module._diff:  # pylint: disable=protected-access
        result["diff"] = dict(diff)
    return result

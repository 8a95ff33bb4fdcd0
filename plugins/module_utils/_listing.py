# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the info modules: their options, the question that these state, and their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ._ansible import access, source_option, where_spec
from ._ending import errors_as_failure
from .maglica.fleet import info
from .maglica.model.text import one_line


def listing_spec() -> dict[str, dict[str, Any]]:
    """Return the options of the fragments maglica.cloud.where, .listing and .listing.images."""
    return {
        **where_spec(),
        "source": source_option(),
        "hosts": {"type": "list", "elements": "str", "aliases": ["host"], "default": []},
        "image_pattern": {"type": "str"},
        "client_worker_timeout": {"type": "float", "default": 5.0},
        "host_timeout": {"type": "float", "default": 10.0},
        "parallel": {"type": "int", "default": 0},
        "auth_file": {"type": "path"},
        "on_host_error": {"type": "str", "choices": ["warn", "fail"], "default": "warn"},
    }


def question(parameters: Mapping[str, Any]) -> info.Question:
    """Return the question that a module's options of ``listing_spec`` state."""
    return info.Question(
        access=access(parameters),
        names=tuple(parameters["name"]) if "name" in parameters else (),
        on_hosts=tuple(parameters["hosts"]),
        image_pattern=parameters["image_pattern"],
        fail=parameters["on_host_error"] == "fail",
    )


def answer(
    module: Any, ask: Callable[[info.Question, Mapping[str, Any]], dict[str, Any]]
) -> NoReturn:
    """Run an info module to its end: ``ask`` what its options state, and warn of what is missing.

    ``ask`` gets the question, and all of the module's parameters.
    """
    with errors_as_failure(module, dict):
        answered = ask(question(module.params), module.params)
    for missing in answered["unreachable_hosts"]:
        module.warn(one_line(f"host {missing['host']} is left out: {missing['text']}"))
    for problem in answered.pop("problems"):
        module.warn(one_line(problem))
    module.exit_json(changed=False, **answered)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints each result as a line of JSON, so that tests read what a task returned."""

from __future__ import annotations

import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: stdout
short_description: Each result as a line of JSON
description: For tests only.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "results"

    def _show(self, result: object) -> None:
        shown = json.dumps([result.host.get_name(), result.result], default=str)
        self._display.display(f"RESULT {shown}")

    def v2_runner_on_ok(self, result: object) -> None:
        self._show(result)

    def v2_runner_on_failed(self, result: object, ignore_errors: bool = False) -> None:
        self._show(result)

    def v2_runner_on_unreachable(self, result: object) -> None:
        self._show(result)

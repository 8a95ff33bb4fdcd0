# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module that may change something, and notes when it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.errors import (
    PeerSilent,
    RequestTimeout,
)

# The codes of failures after which a request may go on.
_OPEN_ENDS = (PeerSilent.code, RequestTimeout.code)


class ChangingAction(ActionBase):
    """Runs the module of the task; what it changed makes the inventory's cache stale."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict:
        """Run the module once.

        One that failed may have changed much before, as when a vm was made whose address did not
        come in time. What was begun stays noted where its end is not known: with async, without
        waiting, and when somebody ends this process.
        """
        result = super().run(tmp, task_vars)
        begun = None if self._task.check_mode else changes.begin()
        executed = self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        if begun is not None:
            if executed.get("changed") or executed.get("failed"):
                changes.note()
            if not self._goes_on(executed):
                changes.end(begun)
        return {**result, **executed}

    def _goes_on(self, executed: Mapping[str, Any]) -> bool:
        """Say whether what the module has asked for may still be under way."""
        if self._task.async_val or executed.get("code") in _OPEN_ENDS:
            return True
        is_waited_for = boolean(self._task.args.get("wait", True), strict=False)
        return bool(executed.get("changed")) and not is_waited_for

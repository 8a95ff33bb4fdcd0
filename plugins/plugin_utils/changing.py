# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module that may change something, and notes when it has."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes


class ChangingAction(ActionBase):
    """Runs the module of the task; what it changed makes the inventory's cache stale."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict:
        """Run the module once.

        One that failed may have changed much before, as when a vm was made whose address did not
        come in time. With async, a change is noted when the module has been started.
        """
        result = super().run(tmp, task_vars)
        executed = self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        if (executed.get("changed") or executed.get("failed")) and not self._task.check_mode:
            changes.note()
        return {**result, **executed}

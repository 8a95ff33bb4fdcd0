# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes


class ConfiguredAction(ActionBase):
    """Runs the module of the task with the configuration file that the inventory names."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True
    # Whether the module can change anything on a host.
    MAY_CHANGE = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict:
        """Run the module once; its option ``config`` defaults to the variable maglica_config.

        What it changed makes the inventory's cache stale. One that failed may have changed much
        before, as when a vm was made whose address did not come in time. With async, that is noted
        when the module has been started.
        """
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        if arguments.get("config") is None and "maglica_config" in variables:
            arguments["config"] = self._templar.template(variables["maglica_config"])
        executed = self._execute_module(
            module_name=self._task.action,
            module_args=arguments,
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )
        may_have_changed = self.MAY_CHANGE and (executed.get("changed") or executed.get("failed"))
        if may_have_changed and not self._task.check_mode:
            changes.note()
        return {**result, **executed}

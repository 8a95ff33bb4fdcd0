# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module maglica_image."""

from __future__ import annotations

from ansible_collections.maglica.cloud.plugins.plugin_utils.progress import ProgressAction


class ActionModule(ProgressAction):
    """Runs the module, and prints the progress of its requests."""

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module maglica_image_info."""

from __future__ import annotations

from ansible_collections.maglica.cloud.plugins.plugin_utils.configured import ConfiguredAction


class ActionModule(ConfiguredAction):
    """Runs the module with the configuration file that the inventory names."""

    MAY_CHANGE = False

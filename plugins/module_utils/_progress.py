# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module and its action plugin both know; in a file of its own, since the plugin needs no
more of all that a module needs, and what it needs not, it would load with each task.
"""

from __future__ import annotations

# Where the action plugin listens, if there is one and it is on this machine.
PROGRESS_VARIABLE = "MAGLICA_PROGRESS_SOCKET"

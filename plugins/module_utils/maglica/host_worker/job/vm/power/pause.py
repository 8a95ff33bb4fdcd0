# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a vm stand still."""

from __future__ import annotations

from .....domain.power import Power
from .....model.request import Request
from .....model.vm import Domain
from ...context import JobContext
from . import steps


def pause(request: Request, context: JobContext) -> Domain:
    """Have a vm stand still, in memory: start one that is off without letting it run, wake one that
    is suspended first, end one that has crashed and start it anew.
    """
    return steps.bring(Power.PAUSED, request, context)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a vm run."""

from __future__ import annotations

from ....domain.power import Power
from ....model.request import Request
from ....model.vm import Domain
from ..context import JobContext
from .power import steps


def start(request: Request, context: JobContext) -> Domain:
    """Let a vm run: start one that is off, resume one that is paused, wake one that is suspended,
    end one that has crashed and start it again.
    """
    return steps.bring(Power.RUNNING, request, context)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells others of a look at an image, by what they would ask for."""

from __future__ import annotations

from ...guest.cloud_init.way import way
from ...guest.facts import Seen
from ...model.errors import GuestUnsupported
from ...model.request import Customize, LookSummary
from ...model.text import told
from ..journal.looks import Look


def summary(look: Look, image: str, current: bool | None) -> LookSummary:
    """Return what is told of a look at ``image``, which is called so now."""
    seen = look.seen or Seen()
    chosen, reason = None, look.reason
    if look.seen is not None:
        try:
            found = way(Customize.AUTO, seen.cloud_init, seen.offline)
            chosen, reason = found.way, found.reason
        except GuestUnsupported as error:
            reason = told(error)
    return LookSummary(
        image=image,
        version=look.version,
        customizable=chosen is not None,
        reason=reason,
        current=current,
        way=chosen,
        distro=seen.distro,
        release=seen.release,
        stack=seen.stack,
        layout=seen.layout,
    )

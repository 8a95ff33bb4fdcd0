# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks prepared as the base of clones that are customized offline, by a real appliance."""

from __future__ import annotations

from collections.abc import Sequence

from maglica.guest.appliance.appliance import Drive
from maglica.guest.facts import GuestFacts
from maglica.guest.prepare import prepare_base
from maglica.model.errors import GuestUnsupported
from maglica.model.request import Customize


def prepare_offline(drives: Sequence[Drive]) -> GuestFacts:
    """Return what clones need to know. Raises GuestUnsupported with what was found against it."""
    made = prepare_base(drives, Customize.OFFLINE, use_kvm=False)
    if made.facts is None:
        raise GuestUnsupported(made.seen.offline)
    return made.facts

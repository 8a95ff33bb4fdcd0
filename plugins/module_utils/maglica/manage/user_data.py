# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data of vms that are wanted, read before anything is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..guest.cloud_init import user_data
from ..model.errors import DependencyMissing
from .wanted import Wanted


def check(asked: Sequence[Wanted]) -> None:
    """Raise NameInvalid for user data that cloud-init would not take, or that undoes ours.

    Its host looks at it, too, before anything is made; so this may be left out without PyYAML.
    """
    for text in {wanted.clone.user_data for wanted in asked}:
        with suppress(DependencyMissing):
            user_data.parts(text or "")

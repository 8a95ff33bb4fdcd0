# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides how the clones of an image are customized. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.errors import GuestUnsupported
from ...model.request import Customize


@dataclass(frozen=True)
class Chosen:
    """One of the ways but ``auto``, and why it is that one."""

    way: Customize
    reason: str


def way(asked: Customize, cloud_init_problem: str | None, offline_problem: str | None) -> Chosen:
    """Return how, where ``asked`` is wanted.

    ``cloud_init_problem``: why the image's cloud-init would not obey, to follow "its cloud-init";
    ``offline_problem``: why it can't be customized offline, a sentence. None: it can.
    Raises GuestUnsupported when it can't be done as asked.
    """
    if asked is Customize.NONE:
        return Chosen(asked, "asked for: each clone keeps what it finds inside")
    if asked is Customize.CLOUD_INIT and cloud_init_problem is not None:
        raise GuestUnsupported(
            f"it can't be customized by cloud-init: its cloud-init {cloud_init_problem}"
        )
    if asked is Customize.OFFLINE and offline_problem is not None:
        raise GuestUnsupported(f"it can't be customized offline: {offline_problem}")
    if asked is not Customize.AUTO:
        return Chosen(asked, "asked for")
    if cloud_init_problem is None:
        return Chosen(Customize.CLOUD_INIT, "its cloud-init is enabled and asks NoCloud")
    if offline_problem is None:
        return Chosen(Customize.OFFLINE, f"its cloud-init {cloud_init_problem}")
    raise GuestUnsupported(
        f"its cloud-init {cloud_init_problem}, and offline it can't be customized either:"
        f" {offline_problem}; customize: none clones it as it is inside"
    )

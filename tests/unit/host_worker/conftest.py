# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for what runs on a host."""

from __future__ import annotations

from support.fake_host import host, own_libvirt
from support.seeded_host import guests

__all__ = ["guests", "host", "own_libvirt"]

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for disks."""

from __future__ import annotations

from support.fake_host import host, own_libvirt
from support.noting_programs import programs

__all__ = ["host", "own_libvirt", "programs"]

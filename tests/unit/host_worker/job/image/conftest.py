# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for what is done about images."""

from __future__ import annotations

from support.fake_import import imports

__all__ = ["imports"]

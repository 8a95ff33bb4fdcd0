# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system in memory keeps the contract."""

from __future__ import annotations

import pytest
from support.fake_filesystem import FakeFilesystem
from support.filesystem_contract import FILES, LINKS, PIPE, FilesystemContract


class TestFakeFilesystem(FilesystemContract):
    @pytest.fixture
    def filesystem(self) -> FakeFilesystem:
        made = FakeFilesystem(FILES)
        for path, target in LINKS.items():
            made.add_link(f"/{path}", target)
        made.add_other(f"/{PIPE}")
        return made

    def owner(self, filesystem: FakeFilesystem, path: str) -> tuple[int, int]:
        return filesystem.nodes[path].owner

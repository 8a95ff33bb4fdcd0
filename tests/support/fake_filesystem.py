# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's file system in memory, held to the same contract as the one of libguestfs."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from maglica.guest.filesystem import ROOT, Kind, Owner, few
from maglica.model.errors import GuestUnreadable, GuestUnsupported

_MAX_LINKS = 40


@dataclass
class Node:
    """One entry: a file's content, or a symbolic link's target."""

    kind: Kind
    content: bytes = b""
    mode: int = 0o755
    target: str = ""
    owner: Owner = ROOT


class FakeFilesystem:
    """Implements ``filesystem.Filesystem``; ``nodes`` is all that is there, by path."""

    def __init__(self, files: Mapping[str, str | bytes] | None = None) -> None:
        self.nodes: dict[str, Node] = {"/": Node(Kind.DIRECTORY)}
        for path, content in (files or {}).items():
            self.add_file(f"/{path.lstrip('/')}", content)

    # --- to set the scene

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        if path not in self.nodes:
            self.add_directory(posixpath.dirname(path))
            self.nodes[path] = Node(Kind.DIRECTORY, mode=mode)

    def add_file(self, path: str, content: str | bytes = b"", mode: int = 0o644) -> None:
        self.add_directory(posixpath.dirname(path))
        data = content.encode() if isinstance(content, str) else content
        self.nodes[path] = Node(Kind.FILE, data, mode)

    def add_link(self, path: str, target: str) -> None:
        self.add_directory(posixpath.dirname(path))
        self.nodes[path] = Node(Kind.SYMLINK, target=target)

    def add_other(self, path: str) -> None:
        """Add a pipe or a device."""
        self.add_directory(posixpath.dirname(path))
        self.nodes[path] = Node(Kind.OTHER)

    # --- to look at the result

    def text(self, path: str) -> str:
        return self.nodes[path].content.decode()

    # --- the interface

    def kind(self, path: str) -> Kind:
        node = self.nodes.get(self._resolved(path, last=False))
        return Kind.ABSENT if node is None else node.kind

    def read(self, path: str, limit: int) -> bytes | None:
        node = self.nodes.get(self._resolved(path))
        if node is None:
            return None
        if node.kind is not Kind.FILE:
            raise GuestUnsupported(f"{path} in the guest is not a plain file")
        if len(node.content) > limit:
            raise GuestUnsupported(f"{path} in the guest is longer than {limit} bytes")
        return node.content

    def mode(self, path: str) -> int:
        return self.nodes[self._resolved(path, last=False)].mode

    def create(self, path: str, content: bytes, mode: int, owner: Owner = ROOT) -> None:
        if self.kind(path) in (Kind.DIRECTORY, Kind.OTHER):
            raise GuestUnsupported(f"{path} in the guest is not a plain file")
        place = self._resolved(path, last=False)
        if self.kind(posixpath.dirname(place)) is not Kind.DIRECTORY:
            raise GuestUnreadable(f"cannot write {path} in the guest")
        self.nodes[place] = Node(Kind.FILE, content, mode, owner=owner)

    def fill(self, path: str, content: bytes) -> None:
        node = self.nodes.get(self._resolved(path))
        if node is None or node.kind is not Kind.FILE:
            raise GuestUnreadable(f"cannot write {path} in the guest")
        node.content = content

    def make_directory(self, path: str, mode: int, owner: Owner = ROOT) -> None:
        place = self._resolved(path)
        if place in self.nodes and self.nodes[place].kind is not Kind.DIRECTORY:
            raise GuestUnreadable(f"cannot make {path} in the guest")
        self.add_directory(place)
        self.nodes[place].mode = mode
        if owner != ROOT:
            self.nodes[place].owner = owner

    def remove(self, path: str) -> None:
        kind = self.kind(path)
        if kind is Kind.DIRECTORY:
            raise GuestUnsupported(f"{path} in the guest is a directory")
        if kind is not Kind.ABSENT:
            del self.nodes[self._resolved(path, last=False)]

    def glob(self, pattern: str) -> tuple[str, ...]:
        choice = re.search(r"(?<!\\)\{([^{}]*)(?<!\\)\}", pattern)
        if choice:
            before, after = pattern[: choice.start()], pattern[choice.end() :]
            found_by = (self.glob(before + each + after) for each in choice[1].split(","))
            return few(pattern, set(itertools.chain.from_iterable(found_by)))
        # What has a backslash before it is meant as it is.
        folder, name = posixpath.split(re.sub(r"\\(.)", r"[\1]", pattern))
        if re.search(r"[*?[]", folder):
            folders = self.glob(folder)
            inside = (self.glob(posixpath.join(each, name)) for each in folders)
            return few(pattern, itertools.chain.from_iterable(inside))
        place = self._resolved(folder)
        self._resolved(posixpath.join(folder, name), last=False)
        found = (
            posixpath.basename(path) for path in self.nodes if posixpath.dirname(path) == place
        )
        is_hidden = name.startswith(".")
        return few(
            pattern,
            (
                posixpath.join(folder, base)
                for base in found
                if base and fnmatch.fnmatchcase(base, name) and base.startswith(".") == is_hidden
            ),
        )

    def _resolved(self, path: str, last: bool = True) -> str:
        """Follow symbolic links as in a changed root; the last part only if ``last``."""
        if "\0" in path:
            raise GuestUnsupported(f"cannot look at {path!r}: no file can have that name")
        for _turn in range(_MAX_LINKS):
            replaced = self._follow_one(path, last)
            if replaced is None:
                return path
            path = replaced
        raise GuestUnreadable(f"too many symbolic links in {path}")

    def _follow_one(self, path: str, last: bool) -> str | None:
        parts = path.split("/")[1:]
        for length in range(1, len(parts) + (1 if last else 0)):
            head = "/" + "/".join(parts[:length])
            node = self.nodes.get(head)
            if node is not None and node.kind is Kind.SYMLINK:
                target = posixpath.join(posixpath.dirname(head), node.target)
                # Above the root is the root.
                rest = posixpath.join(target, *parts[length:])
                return "/" + posixpath.normpath(rest).lstrip("/")
        return None

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from ..model import urls
from ..model.errors import NameInvalid
from ..model.text import can_be_shown, one_line
from .checksum import Expected, SumsFile

# Of the disk, unpacked. Nothing else is taken from strangers.
FORMATS = ("qcow2", "raw")


@dataclass(frozen=True)
class Origin:
    """Either ``url``, with a checksum, or ``path``: a file that is on the host already.

    ``format`` None is as the file itself begins. Raises NameInvalid.
    """

    url: str | None = None
    path: str | None = None
    checksum: Expected | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.path is None):
            raise NameInvalid("an image comes from a url or from a path: give one of them")
        if self.url is not None:
            urls.web_address(self.url)
            if self.checksum is None:
                raise NameInvalid(f"{self.shown} needs a checksum: sha256:…, or a file of sums")
            if isinstance(self.checksum, SumsFile) and not self.file_name:
                raise NameInvalid(f"{self.shown} names no file that a file of sums could list")
        elif not is_path(self.path or ""):
            raise NameInvalid(f"{(self.path or '')[:100]!r} is not an absolute path of a file")
        if self.format is not None and self.format not in FORMATS:
            raise NameInvalid(f"{self.format[:20]!r} is none of {', '.join(FORMATS)}")

    @property
    def shown(self) -> str:
        """Where it comes from, as anybody may see it."""
        return one_line(self.path or "") if self.url is None else urls.shown(self.url)

    @property
    def file_name(self) -> str:
        """The name by which a file of sums lists it."""
        if self.url is None:
            return PurePosixPath(self.path or "").name
        return urls.file_name(self.url)


def is_path(text: str) -> bool:
    """Tell whether a text is an absolute path of a file."""
    path = PurePosixPath(text)
    is_plain = path.is_absolute() and bool(path.name) and ".." not in path.parts
    return is_plain and can_be_shown(text) and len(text.encode()) < 4096

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.model.errors import ImageUnsupported, NoRoom, StorageFailed
from maglica.system import local_file

MOST = 1 << 30


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may read."""
    with tempfile.TemporaryDirectory(prefix="maglica-public-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def digest(path: Path | str) -> str:
    return local_file.digest(str(path), "sha256", MOST, lambda done, total: None)


def made(path: Path, data: bytes = b"secret") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o644)
    return path


def test_a_folder_that_is_exchanged_meanwhile_opens_nothing(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(public / "open" / "disk", b"disk")
    made(public / "private" / "inner" / "disk")
    (public / "private").chmod(0o700)
    assert digest(path) == hashlib.sha256(b"disk").hexdigest()
    plain = os.open

    def exchanged(name: Any, *arguments: Any) -> int:
        if name == os.fspath(path) and not path.parent.is_symlink():
            path.parent.rename(public / "old")
            path.parent.symlink_to(public / "private" / "inner")
        return plain(name, *arguments)

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(ImageUnsupported, match="private has the mode 0700"):
        digest(path)


def test_what_is_no_file_is_not_opened(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open a device may be to start it."""
    pipe = public / "pipe"
    os.mkfifo(pipe, 0o644)
    plain, flags = os.open, []

    def noted(name: Any, how: int, *arguments: Any) -> int:
        flags.append(how)
        return plain(name, how, *arguments)

    monkeypatch.setattr(os, "open", noted)
    for path in ("/dev/null", pipe, public):
        with pytest.raises(ImageUnsupported, match="is not a file"):
            digest(path)
    assert all(how & os.O_PATH for how in flags)


def test_a_file_that_grows_ends(public: Path) -> None:
    path = made(public / "disk", bytes(local_file.CHUNK))
    seen: list[int] = []

    def growing(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) < 9:
            with path.open("ab") as file:
                file.write(bytes(local_file.CHUNK))

    with pytest.raises(StorageFailed, match="was changed while it was read"):
        local_file.digest(str(path), "sha256", MOST, growing)
    assert len(seen) == 2


def test_a_file_of_holes_without_an_end_is_not_read(public: Path) -> None:
    path = made(public / "disk")
    os.truncate(path, MOST + 1)
    with pytest.raises(NoRoom, match=f"has {MOST + 1} bytes"):
        digest(path)


def test_what_is_in_no_folder_of_this_host_is_not_read(public: Path) -> None:
    """By /proc one is led to files that a service has for itself alone."""
    path = made(public / "disk")
    with path.open("rb") as file:
        led = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        assert digest(led) == digest(path)
        path.unlink()
        for _turn in range(2):
            with pytest.raises(ImageUnsupported, match="not a file that everybody"):
                digest(led)
            # Now one that only has the name.
            made(Path(f"{path} (deleted)"), b"another")

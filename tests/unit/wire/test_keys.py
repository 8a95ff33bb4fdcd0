# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq
from maglica.config.config import Library
from maglica.model.errors import ConfigInvalid
from maglica.wire import keys


def test_make_makes_both_files_and_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "library.key"
    pair = keys.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "library.pub").stat().st_mode) == 0o644
    assert (tmp_path / "library.pub").read_bytes() == pair.public + b"\n"
    assert zmq.curve_public(pair.secret) == pair.public
    assert keys.make(path) == pair
    assert keys.read(path) == pair
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["library.key", "library.pub"]


def test_the_umask_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        pair = keys.make(tmp_path / "library.key")
    finally:
        os.umask(before)
    assert keys.read(tmp_path / "library.key") == pair


def test_a_lost_public_file_is_made_again(tmp_path: Path) -> None:
    pair = keys.make(tmp_path / "library.key")
    (tmp_path / "library.pub").unlink()
    assert keys.make(tmp_path / "library.key") == pair
    assert (tmp_path / "library.pub").read_bytes() == pair.public + b"\n"


def test_a_lost_secret_file_is_told_each_time(tmp_path: Path) -> None:
    path = tmp_path / "library.key"
    keys.make(path)
    path.unlink()
    for _turn in range(2):
        with pytest.raises(ConfigInvalid, match=r"library.pub is there without its secret half"):
            keys.make(path)
        assert not path.exists()


def test_two_at_once_make_one_pair(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pairs = set(pool.map(lambda _other: keys.make(tmp_path / "library.key"), range(8)))
    assert len(pairs) == 1


def test_a_public_file_of_another_key_is_told(tmp_path: Path) -> None:
    keys.make(tmp_path / "library.key")
    other = keys.make(tmp_path / "other.key")
    (tmp_path / "library.pub").write_bytes(other.public)
    with pytest.raises(ConfigInvalid, match=r"library.pub is not the public half of .*library.key"):
        keys.make(tmp_path / "library.key")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o610, 0o602, 0o601, 0o644])
def test_a_secret_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "library.key"
    keys.make(path)
    path.chmod(mode)
    with pytest.raises(ConfigInvalid, match=rf"library.key has mode {mode:04o}"):
        keys.read(path)


def test_the_key_of_a_user(tmp_path: Path) -> None:
    pair = keys.make(tmp_path / "library.key")
    assert keys.of(Library(tmp_path / "library.key")) == pair
    assert keys.of(Library(None, pair.secret.decode())) == pair
    (tmp_path / "library.key").chmod(0o640)
    with pytest.raises(ConfigInvalid, match="mode 0640"):
        keys.of(Library(tmp_path / "library.key"))
    with pytest.raises(ConfigInvalid, match="the key that is given holds no secret key"):
        keys.of(Library(None, "x"))


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"x" * 39, b"x" * 41, b"x" * 1000, b"~" * 40, b"\xff" * 40, b"#" * 40],
    ids=["empty", "newline", "short", "long", "very long", "alphabet", "no ASCII", "overflow"],
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "library.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(
        ConfigInvalid, match=r"library.key holds no secret key of 40 Z85 characters"
    ):
        keys.read(path)


def test_a_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"cannot read secret key .*library.key: No such file"):
        keys.read(tmp_path / "library.key")
    with pytest.raises(ConfigInvalid, match=r"cannot make key .*library.key: No such file"):
        keys.make(tmp_path / "none" / "library.key")


def test_the_name_must_end_in_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"ends in .key"):
        keys.make(tmp_path / "library.pub")
    assert list(tmp_path.iterdir()) == []


def test_the_secret_half_is_in_no_repr(tmp_path: Path) -> None:
    pair = keys.make(tmp_path / "library.key")
    assert pair.secret.decode() not in repr(pair)
    assert pair.public.decode() in repr(pair)


def test_the_command_prints_public_halves_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / "a.key"), str(tmp_path / "b.key")]
    assert keys.main(paths) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [(tmp_path / f"{name}.pub").read_text().strip() for name in "ab"]
    assert keys.main(paths) == 0
    assert capsys.readouterr().out.split() == printed


def test_the_command_tells_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys.main([str(tmp_path / "none" / "a.key")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


# --- replacing a key


def following(path: Path) -> keys.KeyPair:
    return keys.make(path.with_suffix(".next.key"))


def halves(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_key_that_follows_takes_the_place_of_the_one_in_use(tmp_path: Path) -> None:
    path = tmp_path / "library.key"
    old, new = keys.make(path), following(path)
    assert old != new
    assert keys.switch(path) == new == keys.read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert halves(tmp_path) == ["library.key", "library.pub"]
    # Said again it does nothing.
    assert keys.switch(path) == new
    assert halves(tmp_path) == ["library.key", "library.pub"]


@pytest.mark.parametrize("steps", range(3))
def test_a_switch_that_is_cut_off_is_finished_by_the_next(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.key"
    keys.make(path)
    new = following(path)
    if steps == 2:
        # Cut off while the new key was made.
        path.with_suffix(".next.pub").unlink()
    done: list[Path] = []
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if len(done) == min(steps, 1):
            raise KeyboardInterrupt
        done.append(self)
        return replace(self, target)

    with monkeypatch.context() as cut_off, pytest.raises(KeyboardInterrupt):
        cut_off.setattr(Path, "replace", killed)
        keys.switch(path)
    assert keys.switch(path) == new
    assert halves(tmp_path) == ["library.key", "library.pub"]


def test_a_key_that_belongs_to_no_other_half_switches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "library.key"
    with pytest.raises(ConfigInvalid, match="cannot read secret key"):
        keys.switch(path)
    assert halves(tmp_path) == []
    pair = keys.make(path)
    path.with_suffix(".next.pub").write_text("x" * 40)
    assert keys.main(["--switch", str(path)]) == 1
    assert "library.next.pub is there without its secret half" in capsys.readouterr().err
    assert keys.read(path) == pair
    path.with_suffix(".next.pub").unlink()
    new = following(path)
    assert keys.main(["--switch", str(path)]) == 0
    assert capsys.readouterr().out == f"{new.public.decode()}\n"

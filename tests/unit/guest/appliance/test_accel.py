# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether KVM works: by a QEMU that is a script here, and a /dev/kvm that is a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from maglica.guest.appliance import accel
from maglica.guest.appliance.accel import kvm_works


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the QEMU to be found; each run of it adds a line to ``runs`` beside it."""
    made = tmp_path / "bin" / "qemu-kvm"
    made.parent.mkdir()
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setenv("PATH", str(made.parent))
    monkeypatch.setattr(accel, "KVM", str(device))
    monkeypatch.setattr(accel, "ROOT", tmp_path)
    return made


def script(path: Path, status: int) -> None:
    path.write_text(f"#!/bin/sh\necho run >> {path.parent}/runs\nexit {status}\n")
    path.chmod(0o755)


def runs(qemu: Path) -> int:
    log = qemu.parent / "runs"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.parametrize(("setting", "expected"), [("kvm", True), ("tcg", False)])
def test_a_setting_is_not_tried(qemu: Path, tmp_path: Path, setting: str, expected: bool) -> None:
    script(qemu, 1)
    assert kvm_works(setting, tmp_path) is expected
    assert runs(qemu) == 0


@pytest.mark.parametrize(("status", "expected"), [(0, True), (1, False)])
def test_auto_tries_once(qemu: Path, tmp_path: Path, status: int, expected: bool) -> None:
    script(qemu, status)
    assert [kvm_works("auto", tmp_path) for _turn in range(2)] == [expected] * 2
    assert runs(qemu) == 1


def test_another_qemu_is_tried_again(qemu: Path, tmp_path: Path) -> None:
    script(qemu, 1)
    assert not kvm_works("auto", tmp_path)
    script(qemu, 0)
    os.utime(qemu, (1, 1))
    assert kvm_works("auto", tmp_path)


@pytest.mark.parametrize("rubbish", ["", "[]", '{"x": 1}', "\0"])
def test_a_damaged_cache_is_made_anew(qemu: Path, tmp_path: Path, rubbish: str) -> None:
    script(qemu, 0)
    (tmp_path / "kvm.json").write_text(rubbish)
    assert kvm_works("auto", tmp_path)
    assert kvm_works("auto", tmp_path)
    assert runs(qemu) == 1


def test_no_qemu(qemu: Path, tmp_path: Path) -> None:
    assert not kvm_works("auto", tmp_path)


def test_no_device(qemu: Path, tmp_path: Path) -> None:
    script(qemu, 0)
    Path(accel.KVM).unlink()
    assert not kvm_works("auto", tmp_path)
    assert runs(qemu) == 0


def test_a_folder_that_can_not_be_written_to(qemu: Path, tmp_path: Path) -> None:
    script(qemu, 0)
    assert kvm_works("auto", tmp_path / "missing")


@pytest.mark.parametrize(("ending", "expected"), [("exit 0", True), ("exec sleep 60", False)])
def test_a_kernel_is_run_to_its_end(
    qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, expected: bool
) -> None:
    """A guest may stand still although a paused one was started."""
    (tmp_path / "boot").mkdir()
    kernel = tmp_path / "boot" / "vmlinuz-6.1"
    kernel.touch()
    monkeypatch.setattr(accel, "_KERNEL_SECONDS", 60 if expected else 0.5)
    monkeypatch.setenv("PATH", f"{qemu.parent}:/usr/bin:/bin")
    monkeypatch.setattr(accel, "_qemu", lambda: str(qemu))
    qemu.write_text(
        f"#!/bin/sh\necho run >> {qemu.parent}/runs\n"
        f'case "$*" in *"-kernel {kernel} "*) {ending};; esac\n'
    )
    qemu.chmod(0o755)
    assert [kvm_works("auto", tmp_path) for _turn in range(2)] == [expected] * 2
    # The kernel that does not end may be stopped before it has said that it runs.
    assert runs(qemu) == 2 if expected else runs(qemu) in (1, 2)


def test_the_kernel_that_runs_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "ROOT", tmp_path)
    assert accel._kernel() is None
    monkeypatch.setattr(accel.platform, "release", lambda: "6.1.0-2")
    for name in ("boot/vmlinuz-6.1.0-2", "boot/vmlinuz-6.1.0-9", "lib/modules/6.2/vmlinuz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert accel._kernel() == tmp_path / "boot/vmlinuz-6.1.0-2"

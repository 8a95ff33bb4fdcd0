# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests and make use to keep to the checkout, and to remove nothing else."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from support.client_worker import eventually


def test_a_tree_is_removed_without_what_is_mounted_below_it(checkout: Path, tmp_path: Path) -> None:
    mine, tree = tmp_path / "mine", tmp_path / "a tree"
    (tree / "root/proc").mkdir(parents=True)
    (tree / "root/file").touch()
    (mine / "deep").mkdir(parents=True)
    (mine / "file").touch()
    (tree / "link").symlink_to(mine)
    for source, *options in ((mine, "--bind"), ("tmpfs", "-t", "tmpfs")):
        # As a killed mmdebstrap leaves them; the second one covers a folder of the first.
        target = tree / "root/proc" / ("" if source == mine else "deep")
        subprocess.run(["mount", *options, str(source), str(target)], check=True)
    other = tmp_path / "a tree of others"
    other.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(other)], check=True)

    subprocess.run([checkout / "tests/tools/remove-tree", tree, tmp_path / "nosuch"], check=True)

    assert not tree.exists()
    assert (mine / "file").exists()
    assert other.is_mount()
    subprocess.run(["umount", str(other)], check=True)


def test_a_tree_on_which_somebody_is_at_work_stays_whole(checkout: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "mount").mkdir(parents=True)
    (tree / "file").touch()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tree / "mount")], check=True)
    with (tree / "mount/open").open("w"):
        command = [checkout / "tests/tools/remove-tree", tree]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    subprocess.run(["umount", str(tree / "mount")], check=True)
    assert done.returncode != 0
    assert f"{tree}/mount: target is busy" in done.stderr
    assert (tree / "file").exists()


def test_what_a_killed_command_has_in_tmp_is_removed(checkout: Path) -> None:
    script = "mkdir /tmp/mounted; mount -t tmpfs tmpfs /tmp/mounted; touch /tmp/mounted/file; "
    script += "findmnt --noheadings --output FSROOT /tmp; kill -9 $$"
    done = subprocess.run(
        [checkout / "tests/tools/own-tmp", "bash", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert not Path("/tmp/mounted").exists()
    # Where these tests themselves run so, theirs is below it.
    *_theirs, place = done.stdout.split()
    folder = checkout / "build/tmp" / Path(place).name
    assert folder.parent.is_dir()
    eventually(lambda: not folder.exists())

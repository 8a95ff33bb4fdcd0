# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the way back to the version before, and remove the versions that nobody goes back to.

``keep FOLDER VERSION CHECK FILE ...`` copies these files, with which the workers of this machine
run, to the folder ``ran-with`` of the version that FOLDER/current names, unless that is VERSION:
from there they are put back by whoever goes back.

``prune FOLDER CHECK UNIT_FOLDER`` removes the folders of versions but the one that FOLDER/current
names, those that a unit of Maglica's workers names, and of the others the one that was in use last
where there would be fewer than two. What is not a version's folder stays.

CHECK is ``check`` where nothing may be changed. Prints what is, or would be, made or removed, one a
line.
"""

import pathlib
import re
import shutil
import sys

VERSION = re.compile("[0-9a-f]{12}")
KEPT = 2
RAN_WITH = "ran-with"


def current(folder):
    """Return the version that the link names, or None."""
    try:
        return (folder / "current").readlink().name
    except OSError:
        return None


def keep(folder, version, check, files):
    """Copy the files that are there; return the copies that are other than they were."""
    before = current(folder)
    if before in (None, version) or not is_version(folder / before):
        return []
    changed = []
    for file in map(pathlib.Path, files):
        copy = folder / before / RAN_WITH / file.name
        if not file.is_file() or (copy.is_file() and copy.read_bytes() == file.read_bytes()):
            continue
        changed.append(copy)
        if not check:
            copy.parent.mkdir(mode=0o755, exist_ok=True)
            shutil.copy2(file, copy)
    return changed


def prune(folder, check, units):
    """Remove what nobody goes back to; return the folders."""
    versions = [path for path in folder.glob("*") if is_version(path)]
    texts = [path.read_text(errors="replace") for path in units.glob("maglica-*-worker.service")]
    used = {
        path
        for path in versions
        if path.name == current(folder) or any(f"{path}/" in text for text in texts)
    }
    others = sorted(set(versions) - used, key=last_used, reverse=True)
    gone = others[max(0, KEPT - len(used)) :]
    for path in [] if check else gone:
        shutil.rmtree(path)
    return gone


def last_used(path):
    """Return when a version was left, or else made."""
    ran_with = path / RAN_WITH
    return (ran_with if ran_with.is_dir() else path).stat().st_mtime


def is_version(path):
    is_named = VERSION.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    return bool(is_named) and (path / "maglica" / "run.py").is_file()


def main():
    act, folder, *rest = sys.argv[1:]
    if act == "keep":
        version, check, *files = rest
        done = keep(pathlib.Path(folder), version, check == "check", files)
    else:
        check, units = rest
        done = prune(pathlib.Path(folder), check == "check", pathlib.Path(units))
    print("\n".join(map(str, done)))


if __name__ == "__main__":
    main()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a folder what the archive on standard input (a .tar.gz in base64, see pack.py) has.

Arguments: the folder, and ``check`` where nothing may be changed. What is there and right stays as
it is; so this completes what was cut off, and mends modes and owners. Prints ``changed`` where
something is or would be changed. Everybody may read all of it, whatever the umask.
"""

import base64
import io
import os
import pathlib
import stat
import sys
import tarfile


def wrong(path, mode, content=None):
    """Tell whether ``path`` is not what it has to be: a folder where no ``content`` is given."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return (
        stat.S_IMODE(found.st_mode) != mode
        or (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid())
        or stat.S_ISDIR(found.st_mode) != (content is None)
        or (content is not None and path.read_bytes() != content)
    )


def make(path, mode, content=None):
    """Put a folder, or a file, there; never half of a file."""
    if content is None:
        path.mkdir(exist_ok=True)
    else:
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(content)
        new.replace(path)
    os.chown(path, os.geteuid(), os.getegid())
    path.chmod(mode)


def main():
    folder, check = pathlib.Path(sys.argv[1]), sys.argv[2:] == ["check"]
    wanted = {folder: (0o755, None)}
    archive = io.BytesIO(base64.b64decode(sys.stdin.read()))
    with tarfile.open(fileobj=archive) as packed:
        for member in packed:
            path = folder / member.name
            inner = path.parents[: len(path.parents) - len(folder.parents)]
            wanted.update((each, (0o755, None)) for each in reversed(inner))
            wanted[path] = (0o644, packed.extractfile(member).read())
    changed = False
    for path, (mode, content) in wanted.items():
        if wrong(path, mode, content):
            changed = True
            if not check:
                make(path, mode, content)
    print("changed" if changed else "")


if __name__ == "__main__":
    main()

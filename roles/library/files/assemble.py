# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the access file from the registered keys: assemble.py FOLDER FILE make|check.

One play at a time: the module ansible.builtin.assemble could read the keys before another play
takes one away, and write it back after that. What begins with a dot was left by one that was cut
off.
Prints whether the file is, or would be, another one, and its size, as JSON.
"""

import fcntl
import json
import os
import pathlib
import sys


def registered(folder):
    """Return the lines of all keys, of one file after the other."""
    shown = sorted(path for path in folder.glob("[!.]*") if path.is_file())
    texts = (path.read_text() for path in shown)
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts if text)


def replace(file, text):
    """Write the file as a whole, or not at all."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w") as draft:
        os.fchmod(draft.fileno(), 0o644)
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
    new.replace(file)


def assemble(folder, file, check):
    """Bring the file up to date; return whether it was not, and how many bytes it has."""
    if not folder.is_dir():
        # Not made yet, or taken away already by a removal that was cut off.
        return {"changed": check, "size": 0}
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = registered(folder)
        changed = not file.exists() or file.read_text() != text
        if changed and not check:
            replace(file, text)
    finally:
        os.close(lock)
    return {"changed": changed, "size": len(text)}


if __name__ == "__main__":
    found = assemble(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "check")
    print(json.dumps(found))

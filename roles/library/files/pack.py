# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the library's folder; the digest of its content is its version.

Argument: the folder ``maglica``. Prints a JSON object with ``version`` (12 hex digits) and
``archive`` (a .tar.gz in base64), and leaves no file behind. The same files give the same version
on every machine.
"""

import base64
import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile


def members(source):
    """Yield (name in the archive, bytes) of every Python file, in a fixed order."""
    for path in sorted(source.rglob("*.py")):
        name = pathlib.PurePosixPath("maglica") / path.relative_to(source).as_posix()
        yield name.as_posix(), path.read_bytes()


def pack(source):
    """Return (version, bytes of the archive)."""
    digest = hashlib.sha256()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members(source):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return digest.hexdigest()[:12], gzip.compress(plain.getvalue(), mtime=0)


def main():
    version, archive = pack(pathlib.Path(sys.argv[1]).resolve(strict=True))
    print(json.dumps({"version": version, "archive": base64.b64encode(archive).decode()}))


if __name__ == "__main__":
    main()

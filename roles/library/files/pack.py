# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the library's folder into an archive whose name is the digest of its content.

Argument: the folder ``maglica``. Prints a JSON object with ``version`` (12 hex digits) and
``archive`` (path of a .tar.gz in the temporary folder, of this user only). The same files give the
same version on every machine. The file ``maglica/complete`` comes last in the archive: where it is,
unpacking was not cut off.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile
import tempfile


def members(source):
    """Yield (name in the archive, bytes) of every Python file, in a fixed order."""
    for path in sorted(source.rglob("*.py")):
        yield f"maglica/{path.relative_to(source).as_posix()}", path.read_bytes()
    yield "maglica/complete", b""


def pack(source):
    """Return (version, bytes of the archive)."""
    digest = hashlib.sha256()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members(source):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(content))
    return digest.hexdigest()[:12], gzip.compress(plain.getvalue(), mtime=0)


def main():
    version, archive = pack(pathlib.Path(sys.argv[1]).resolve(strict=True))
    folder = tempfile.mkdtemp(prefix="maglica-")
    path = pathlib.Path(folder, f"{version}.tar.gz")
    path.write_bytes(archive)
    print(json.dumps({"version": version, "archive": str(path)}))


if __name__ == "__main__":
    main()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the library's folder into an archive whose name is the digest of its content.

Argument: the folder ``maglica``. Prints a JSON object with ``version`` (12 hex digits) and
``archive`` (path of a .tar.gz in the temporary folder, of this user only). The same files give the
same version on every machine. Folders are in it too, so that no umask decides who may enter them.
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
    """Yield (name in the archive, bytes) of every Python file, in a fixed order.

    Before the files of a folder comes the folder, with None for its bytes.
    """
    entered = set()
    for path in sorted(source.rglob("*.py")):
        for inner in (*reversed(path.relative_to(source).parents), path.relative_to(source)):
            if inner not in entered:
                entered.add(inner)
                content = path.read_bytes() if source / inner == path else None
                yield (pathlib.PurePosixPath("maglica") / inner).as_posix(), content


def pack(source):
    """Return (version, bytes of the archive)."""
    digest = hashlib.sha256()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members(source):
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            info.size, info.mode = len(content), 0o644
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

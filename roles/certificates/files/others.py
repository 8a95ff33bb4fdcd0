# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the files that are not Maglica's where a key and its certificate are: others.py FOLDER END.

END is what the names of key and certificate begin with. What our authority has made says whose it
is; a key says nothing, and is its certificate's, or of one that is not there yet, the authority's.
Prints the paths as JSON.
"""

import base64
import json
import pathlib
import re
import sys

# The organization in a name of X.520, as DER has it, in whichever kind of string.
OURS = re.compile(rb"\x06\x03\x55\x04\x0a.\x07Maglica", re.DOTALL)


def is_there(file):
    return file.is_symlink() or file.exists()


def is_ours(file):
    try:
        lines = file.read_text().splitlines()
        text = base64.b64decode("".join(line for line in lines if "-----" not in line))
    except (OSError, ValueError):
        return False
    return OURS.search(text) is not None


def main():
    folder, end = pathlib.Path(sys.argv[1]), sys.argv[2]
    authority, certificate = folder / "cacert.pem", folder / f"{end}cert.pem"
    others = [
        file
        for file in (authority, folder / "cacrl.pem", certificate)
        if is_there(file) and not is_ours(file)
    ]
    key = folder / f"{end}key.pem"
    if is_there(key) and not is_ours(certificate if is_there(certificate) else authority):
        others.append(key)
    json.dump([str(file) for file in others], sys.stdout)


if __name__ == "__main__":
    main()

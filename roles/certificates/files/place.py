# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what the authority has said where its owner has it: place.py FOLDER END KEY make|check.

Standard input is the authority's answer (authority.py), and with ``held`` the certificate that
was there when it was asked; END is what the names of key and
certificate begin with, and KEY the file of the key that was signed: the one in use, or one that
is to take its place. One play at a time; another one may have put something newer there since
the authority was asked, which stays.
Prints `changed` where something was, or would be, another one.
"""

import fcntl
import json
import os
import pathlib
import subprocess
import sys


def openssl(*arguments, text=""):
    """Return what OpenSSL says, or "" where it can't."""
    done = subprocess.run(
        ["openssl", *arguments], input=text, capture_output=True, text=True, check=False
    )
    return "" if done.returncode else done.stdout


def read(file):
    return file.read_text() if file.exists() else ""


def is_newer(held, given):
    """Tell whether of two lists of what was taken back by one authority the first is newer."""
    (issuer, number), (other_issuer, other_number) = (
        openssl("crl", "-noout", "-issuer", "-crlnumber", text=text).splitlines() or ["", ""]
        for text in (held, given)
    )
    if issuer != other_issuer or not issuer:
        return False
    return int(number.partition("=")[2], 16) > int(other_number.partition("=")[2], 16)


def fits(key, certificate):
    return openssl("pkey", "-in", str(key), "-pubout") == openssl(
        "x509", "-noout", "-pubkey", text=certificate
    )


def draft(file, text):
    new = file.with_name(f"{file.name}.new")
    with new.open("w") as content:
        os.fchmod(content.fileno(), 0o644)
        content.write(text)
        content.flush()
        os.fsync(content.fileno())
    return new


def place(folder, end, key, said, check):
    """Tell whether anything was, or would be, another one."""
    in_use, certificate = folder / f"{end}key.pem", folder / f"{end}cert.pem"
    wanted = {folder / "cacert.pem": said["authority"]}
    if not is_newer(read(folder / "cacrl.pem"), said["revoked"]):
        wanted[folder / "cacrl.pem"] = said["revoked"]
    held = read(certificate)
    # What another play has had signed for this key meanwhile may be the newer one.
    if key == in_use and held not in ("", said["held"], said["certificate"]) and fits(key, held):
        pass
    # What was signed for a key that is no longer in use is of no use.
    elif said["certificate"] and (check or fits(key, said["certificate"])):
        wanted[certificate] = said["certificate"]
    elif key != in_use:
        raise SystemExit(f"Another play has made another {key} meanwhile. Run this again.")
    changed = [file for file, text in wanted.items() if text and read(file) != text]
    if not check:
        drafts = [(draft(file, wanted[file]), file) for file in changed]
        if key != in_use:
            # Just before its certificate, the last one.
            drafts.insert(-1, (key, in_use))
        for new, file in drafts:
            new.replace(file)
    return bool(changed)


def main():
    folder, end, key = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    said, check = json.load(sys.stdin), sys.argv[4] == "check"
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if place(folder, end, key, said, check):
        sys.stdout.write("changed")


if __name__ == "__main__":
    main()

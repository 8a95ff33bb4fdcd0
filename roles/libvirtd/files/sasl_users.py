# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the users of the realm maglica in a database of SASL, with these passwords, and no others.

``sasl_users.py FOLDER MODE``, with an object of names and passwords (JSON) at its standard input.
MODE is ``check`` where nothing may be changed. Prints, as JSON, the names that are, or would be,
set or removed (``changed``), and who else is in the database (``others``).

FOLDER/passwd.db has of each password what SCRAM checks it with, and not the password itself.
FOLDER/known tells which passwords that was made from, by hashes, and the digest of the database
then: what was changed since, or by a run that was cut off, is set again. Who is in another realm is
somebody else's. To have no users SASL's programs need not be there any more: then it also tells who
else was in the database.
"""

import hashlib
import hmac
import json
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile

REALM = "maglica"
LISTING = pathlib.Path("/usr/sbin/sasldblistusers2")
# Without the plugin passwords would also go where other installed ones keep them, as SQL or LDAP.
SETTINGS = "mech_list: scram-sha-256\nauxprop_plugin: sasldb\nscram_secret_generate: yes\n"
NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
# Libvirt's client reads it from a line of a file, without blanks at its ends.
PASSWORD = re.compile("[!-~]([ -~]{0,254}[!-~])?")


def refuse(wanted):
    """End this where a user or a password can't be one; without showing the password."""
    for name, password in wanted.items():
        if not NAME.fullmatch(name):
            raise SystemExit(f"{name!r} can't be a user: a name has letters, digits and _ . - only")
        if not isinstance(password, str) or not PASSWORD.fullmatch(password):
            raise SystemExit(
                f"the password of {name} can't be used: it has to be a text of 1 to 256 printable "
                "characters of ASCII, without a blank at its ends"
            )


def tell(*command, given=""):
    """Run a program and return what it prints; end this where it fails."""
    # With settings of its own, whatever libvirt's are by now: a mechanism that is not in use is
    # not told that a user is gone.
    with tempfile.TemporaryDirectory() as settings:
        (pathlib.Path(settings) / "libvirt.conf").write_text(SETTINGS)
        return run(command, given, {"SASL_CONF_PATH": settings})


def run(command, given, environment):
    """Run a program in this environment."""
    try:
        done = subprocess.run(
            command, input=given, env=environment, text=True, capture_output=True, check=False
        )
    except OSError as error:
        raise SystemExit(f"can't run {command[0]}: {error.strerror}") from None
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def listed(database):
    """Return who is in the database, as NAME@REALM."""
    if not database.exists():
        return set()
    shown = tell(LISTING, "-f", database)
    return {line.rpartition(": ")[0] for line in shown.splitlines() if ": " in line}


def digest(database):
    """Return what tells a database from what it was before; None where there is none."""
    return hashlib.sha256(database.read_bytes()).hexdigest() if database.exists() else None


def hashed(password, salt):
    """Return what tells this password from others."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), 100_000).hex()


def noted(folder):
    """Return what is known of the database, where nobody has changed it since."""
    try:
        known = json.loads((folder / "known").read_text())
    except (OSError, ValueError):
        return {}
    return known if known["database"] == digest(folder / "passwd.db") else {}


def known_users(folder):
    """Return the users whose passwords are known to be in the database, with their hashes."""
    return noted(folder).get("users", {})


def unseen(folder):
    """Return who else is in the database, which can't be looked into."""
    if not (folder / "passwd.db").exists():
        return []
    return noted(folder).get("others", [f"whoever {LISTING} would show"])


def changes(folder, wanted, ours):
    """Return the names to set, and those to remove."""
    known = known_users(folder)
    right = {
        name
        for name, password in wanted.items()
        if name in ours
        and name in known
        and hmac.compare_digest(known[name]["hash"], hashed(password, known[name]["salt"]))
    }
    return sorted(wanted.keys() - right), sorted(ours - wanted.keys())


def make(folder, wanted, setting, removing):
    """Set and remove users, and note it."""
    database = folder / "passwd.db"
    command = ("/usr/sbin/saslpasswd2", "-a", "libvirt", "-u", REALM, "-f", database)
    for name in removing:
        tell(*command, "-d", name)
    for name in setting:
        # Without -n the password itself would be kept, too.
        tell(*command, "-p", "-c", "-n", name, given=wanted[name])
    there = listed(database)
    others = sorted(user for user in there if not user.endswith(f"@{REALM}"))
    wrong = (there - set(others)) ^ {f"{name}@{REALM}" for name in wanted}
    if wrong:
        names = ", ".join(sorted(wrong))
        raise SystemExit(f"{database} is not as it was asked to be, see {names}")
    users = {}
    for name, password in wanted.items():
        salt = secrets.token_hex(16)
        users[name] = {"salt": salt, "hash": hashed(password, salt)}
    part = folder / "known.part"
    part.touch(mode=0o600)
    part.write_text(json.dumps({"database": digest(database), "users": users, "others": others}))
    part.replace(folder / "known")


def main(folder, mode):
    """Compare, and change what differs."""
    wanted = json.load(sys.stdin)
    refuse(wanted)
    if not wanted and not LISTING.exists():
        json.dump({"changed": [], "others": unseen(folder)}, sys.stdout)
        return
    there = listed(folder / "passwd.db")
    ours = {user.rpartition("@")[0] for user in there if user.endswith(f"@{REALM}")}
    setting, removing = changes(folder, wanted, ours)
    if mode != "check" and (setting or removing):
        make(folder, wanted, setting, removing)
    others = there - {f"{name}@{REALM}" for name in ours}
    json.dump({"changed": [*setting, *removing], "others": sorted(others)}, sys.stdout)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])

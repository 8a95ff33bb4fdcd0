# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small certificate authority: a folder of root's, and what OpenSSL's command does in it.

Arguments: the folder; ``prepare``, ``issue`` or ``revoke``; and ``check`` where nothing may be
changed. Standard input is a JSON object: always ``days`` and ``ca_days``, how long certificates
and the authority last; for ``issue`` and ``revoke`` whose they are, ``kind`` (host or client) and
``name``; for ``issue`` also ``names`` (names and addresses of the host), ``renew_days`` (what
has less left is made anew), ``request`` and ``certificate`` (PEM; what the owner has now, or "").
Nothing is signed for a key that was taken back: with ``new_key``, where the key is in use and its
owner would make another one, the certificate is "" then.
``revoke`` takes back all of an owner, or what a certificate has replaced: with ``before`` (PEM).

Prints a JSON object: ``changed``, ``why``, the files ``authority`` and ``revoked``, for ``issue``
also ``certificate`` and whether it has ``replaced`` one that is not taken back yet, and ``hosts``:
the hosts that have a certificate.

Of a request nothing is taken but its key, whose owner has shown that the secret half is his. What
the certificate says is what this is told by the play, which takes it from the inventory.
"""

import base64
import contextlib
import datetime
import fcntl
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ORGANIZATION = "Maglica"
# So long before now a certificate begins, for machines whose clock is behind.
SKEW = datetime.timedelta(days=1)
# Why a certificate was taken back, in the index, where its key is as good as before.
SUPERSEDED = ",superseded"
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,199}$"
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
DNS_NAME = rf"(?=.{{1,253}}$){_LABEL}([.]{_LABEL})*$"
# Purposes are critical: libvirt holds a peer to those only.
CONFIGURATION = """
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = issued
certificate = cacert.pem
private_key = cakey.pem
crlnumber = crlnumber
crl_extensions = revocations
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = none
policy = policy
[policy]
organizationName = supplied
organizationalUnitName = optional
commonName = optional
name = optional
[self]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[host]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = critical,serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
{names}
[client]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = critical,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[revocations]
authorityKeyIdentifier = keyid:always
[req]
distinguished_name = nothing
[nothing]
"""


def openssl(*arguments, text="", names=""):
    """Run OpenSSL in the current folder, with our configuration; return what it prints."""
    # In memory, where nothing is left of it.
    with open(os.memfd_create("openssl.cnf"), "w") as file:  # noqa: PTH123 - it has no path
        file.write(CONFIGURATION.format(names=names))
        file.flush()
        done = subprocess.run(
            ["openssl", *arguments],
            env={**os.environ, "OPENSSL_CONF": f"/proc/self/fd/{file.fileno()}"},
            pass_fds=[file.fileno()],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"openssl {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout


def moment(days):
    """Return the time in so many days, as OpenSSL takes it."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


def validity(days):
    return ["-startdate", moment(-SKEW.days), "-enddate", moment(days)]


def keep(*names):
    """Have files and folders outlast a power cut."""
    for name in names:
        file = os.open(name, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def put(name, text):
    """Write a file as a whole, or not at all."""
    new = pathlib.Path(f"{name}.new")
    new.write_text(text)
    keep(new)
    new.replace(name)
    keep(".")


def prepare(asked):
    """Make the authority, or finish what was begun. Tell whether anything was to be done."""
    key, certificate, index = map(pathlib.Path, ("cakey.pem", "cacert.pem", "index.txt"))
    unfinished = pathlib.Path("index.txt.new")
    if certificate.exists():
        if not index.exists() and unfinished.exists():
            unfinished.replace(index)
        for path in (key, index):
            if not path.exists():
                raise SystemExit(
                    f"{path.absolute()} is lost. Restore it from a backup; or move the folder away,"
                    " and deploy to all machines anew, which makes another authority."
                )
        return False
    pathlib.Path("issued").mkdir(exist_ok=True)
    put(index, "")
    if not key.exists():
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        put(key, openssl("genpkey", *curve))
    subject = f"/O={ORGANIZATION}/CN=authority {os.urandom(4).hex()}"
    put("request.pem", openssl("req", "-new", "-key", str(key), "-subj", subject))
    signing = ["-selfsign", "-in", "request.pem", "-extensions", "self"]
    made = openssl("ca", "-batch", "-notext", *signing, *validity(asked["ca_days"]))
    put(index, "")
    pathlib.Path("request.pem").unlink()
    # What an authority before it took back, where only its certificate is lost.
    pathlib.Path("cacrl.pem").unlink(missing_ok=True)
    put(certificate, made)
    return True


def read(name):
    path = pathlib.Path(name)
    return path.read_text() if path.exists() else ""


def entries(name="index.txt"):
    """Return the lines of the index, as lists of fields, the oldest certificate first."""
    return [line.split("\t") for line in read(name).splitlines()]


def good(whose):
    """Return the serial numbers of an owner's certificates that were not taken back."""
    return [fields[3] for fields in entries() if (fields[0], owner(fields)) == ("V", whose)]


def owner(fields):
    # OpenSSL puts a backslash before a plus sign there.
    return fields[5].replace("\\", "")


def issued(serial):
    """Return a certificate, or "" where its file is lost."""
    return read(f"issued/{serial}.pem")


def has_key(certificate, key):
    """Tell whether a certificate is for a key. It has it as it is."""
    certificate, key = (
        base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
        for pem in (certificate, key)
    )
    return key in certificate


def is_void(key, in_use):
    """Tell whether a certificate for a key was taken back, and not only for another one's sake.

    Where the file of one is lost it may have been for any key that is in use, but for one with a
    certificate that is good.
    """
    taken = [fields for fields in entries() if fields[0] == "R"]
    texts = [issued(fields[3]) for fields in taken if not fields[2].endswith(SUPERSEDED)]
    if any(has_key(text, key) for text in texts):
        return True
    held = (issued(fields[3]) for fields in entries() if fields[0] == "V")
    return in_use and "" in texts and not any(has_key(text, key) for text in held)


def days_left(certificate):
    ends = openssl("x509", "-noout", "-enddate", "-dateopt", "iso_8601", text=certificate)
    end = datetime.datetime.fromisoformat(ends.strip().partition("=")[2].replace("Z", "+00:00"))
    return (end - datetime.datetime.now(datetime.timezone.utc)).days


def subject(kind, name):
    """Return the subject that is this owner's alone. A common name has 64 characters at most."""
    if kind not in ("host", "client") or not re.match(NAME, name):
        raise SystemExit(f"{name!r} can't be the name of a {kind} in a certificate")
    return f"/O={ORGANIZATION}/OU={kind}/name={name}"


def address(text):
    """Return an address, or None where it is none that can be in a certificate."""
    with contextlib.suppress(ValueError):
        return None if "%" in text else ipaddress.ip_address(text)
    return None


def wanted_names(texts):
    """Return the names for a certificate; those that are no names of machines are left out."""
    fit = (text for text in texts if address(text) or re.match(DNS_NAME, text))
    return {str(address(text) or text) for text in fit}


def names_in(certificate):
    shown = openssl("x509", "-noout", "-ext", "subjectAltName", text=certificate)
    found = re.findall(r"(?:DNS|IP Address):([^,\s]+)", shown)
    return {str(address(text) or text) for text in found}


def lacking(asked):
    """Return why the owner needs another certificate, or None."""
    held = asked["certificate"].strip()
    if not held:
        return "there is none"
    if held not in [issued(serial).strip() for serial in good(asked["subject"])]:
        return "it is not one that this authority gave, and that is good still"
    if not has_key(held, asked["key"]):
        return "it is for another key"
    if asked["kind"] == "host" and names_in(held) != asked["names"]:
        return "the names have changed"
    left = days_left(held)
    return f"it ends in {left} days" if left < asked["renew_days"] else None


def refuse(asked):
    """Return no certificate to whoever would make another key, and else say what to do."""
    if not asked.get("new_key"):
        raise SystemExit(
            f"The key of {asked['name']} was taken back, and nothing is signed for it any more."
            " Remove it, and run maglica.cloud.deploy, which makes another one."
        )
    return ""


def issue(asked):
    """Sign; return the certificate."""
    left = days_left(read("cacert.pem"))
    if left < asked["renew_days"]:
        raise SystemExit(
            f"The authority itself ends in {left} days. Move {pathlib.Path.cwd()} away and deploy"
            " to all machines anew, which makes another authority and certificates of it."
        )
    put("request.pem", asked["request"])
    text = ",".join(f"{'IP' if address(name) else 'DNS'}:{name}" for name in sorted(asked["names"]))
    escaped = asked["subject"].replace("+", "\\+")
    arguments = ["-in", "request.pem", "-subj", escaped, "-extensions", asked["kind"]]
    made = openssl(
        *("ca", "-batch", "-notext", *arguments, *validity(min(asked["days"], left))),
        names=f"subjectAltName = {text}" if text else "",
    )
    pathlib.Path("request.pem").unlink()
    # OpenSSL leaves that to the system.
    keep("index.txt", f"issued/{entries()[-1][3]}.pem", "issued", ".")
    return made


def replaced(whose, certificate):
    """Return what an owner had before this certificate, and why it is void: by serial number.

    That is what was for another key, or for other names. What was signed after it may be on its
    way to its owner still.
    """
    before = good(whose)
    texts = [issued(serial).strip() for serial in before]
    if not certificate or certificate.strip() not in texts:
        return {}
    key, names = openssl("x509", "-noout", "-pubkey", text=certificate), names_in(certificate)
    found = {}
    for serial, text in list(zip(before, texts))[: texts.index(certificate.strip())]:
        if not has_key(text, key):
            found[serial] = ""
        elif names_in(text) != names:
            found[serial] = SUPERSEDED
    return found


def revoke(reasons):
    """Note certificates as taken back, by their serial numbers, each with the index's reason.

    ``openssl ca -revoke`` wants their files, but the index is all that the list is made of.
    """
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%y%m%d%H%M%SZ")
    lines = entries()
    for fields in lines:
        if fields[3] in reasons:
            fields[0], fields[2] = "R", now + reasons[fields[3]]
    put("index.txt", "".join("\t".join(fields) + "\n" for fields in lines))


def taken_back():
    """Return the serial numbers of what the index says was taken back."""
    return {fields[3] for fields in entries() if fields[0] == "R"}


def listed():
    """Return the serial numbers in the list of what was taken back, or None without such a list.

    An index that has not all of them is an old one, or damaged: with it they would be good again.
    What it has not of OpenSSL's copy of the one before could not be taken back.
    """
    path = pathlib.Path("cacrl.pem")
    known, before = ({fields[3] for fields in entries(f"index.txt{end}")} for end in ("", ".old"))
    if before - known:
        raise SystemExit(
            f"{pathlib.Path('index.txt').absolute()} has not all that index.txt.old has, as after a"
            " power cut. Put index.txt.old in its place; or move the folder away, and deploy to all"
            " machines anew, which makes another authority."
        )
    if not path.exists():
        return None
    shown = openssl("crl", "-noout", "-text", text=path.read_text())
    found = set(re.findall(r"Serial Number: ([0-9A-F]+)", shown))
    if found - taken_back():
        raise SystemExit(
            f"{pathlib.Path('index.txt').absolute()} does not say of all that cacrl.pem lists that"
            " it was taken back, so that it would be good again. Put back one that does (perhaps"
            " index.txt.old); or move the folder away, and deploy to all machines anew, which makes"
            " another authority."
        )
    return found


def list_revoked(before):
    """Bring the list of what was taken back up to date, also where a run was cut off before it."""
    path, number = pathlib.Path("cacrl.pem"), pathlib.Path("crlnumber")
    if before == taken_back():
        return False
    # By the clock, so that it grows also where it was lost, or is that of a backup: hosts and users
    # keep the list with the greater one.
    least = max(int(read(number).strip() or "0", 16), time.time_ns() // 1_000_000)
    put(number, f"{least:012X}\n")
    # It ends with the authority: who is not told of a new one must not shut everybody out.
    end = moment(days_left(read("cacert.pem")))
    dates = ["-crl_lastupdate", moment(-SKEW.days), "-crl_nextupdate", end]
    put(path, openssl("ca", "-gencrl", *dates))
    return True


def act(verb, asked, check):
    """Do what is asked; return whether anything changed or would change, why, and a certificate."""
    changed, why, made = prepare(asked), "", ""
    # First, for nothing is to be signed by an index that lacks something.
    before = listed()
    if verb == "issue":
        asked["names"] = wanted_names(asked.get("names", []))
        # Apart, since OpenSSL 3.5 says on stdout, 3.0 on stderr, that it has verified it.
        openssl("req", "-noout", "-verify", text=asked["request"])
        asked["key"] = openssl("req", "-noout", "-pubkey", text=asked["request"])
        if asked["kind"] == "host" and not asked["names"]:
            raise SystemExit(f"{asked['name']} has neither a name nor an address to be reached by")
        why, made = lacking(asked), asked["certificate"]
        if why and is_void(asked["key"], asked.get("new_key")):
            made = refuse(asked)
        elif why and not check:
            made = issue(asked)
        changed = changed or bool(why)
    elif verb == "revoke":
        whose, held = asked["subject"], asked.get("before")
        taken = dict.fromkeys(good(whose), "") if held is None else replaced(whose, held)
        if taken and not check:
            revoke(taken)
        changed = changed or bool(taken)
    if not check:
        changed = list_revoked(before) or changed
    return changed, why, made


def main():
    folder, verb, check = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["check"]
    asked = json.load(sys.stdin)
    if verb != "prepare":
        asked["subject"] = subject(asked["kind"], asked["name"])
    answer = {"why": "there is no authority", "certificate": "", "hosts": []}
    answer |= {"changed": verb != "revoke", "authority": "", "revoked": ""}
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if there and not there & {"issued", "lock"}:
        raise SystemExit(f"{folder} is somebody's: set certificates_ca_dir to a folder of its own")
    if (folder / "cacert.pem").exists() or (not check and verb != "revoke"):
        os.umask(0o077)
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        with open("lock", "w") as lock:  # noqa: PTH123 - as all of this: in the current folder
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer["changed"], answer["why"], answer["certificate"] = act(verb, asked, check)
            if verb == "issue":
                answer["replaced"] = bool(replaced(asked["subject"], answer["certificate"]))
            start = subject("host", "x")[:-1]
            owners = {owner(fields) for fields in entries() if fields[0] == "V"}
            answer["hosts"] = sorted(o[len(start) :] for o in owners if o.startswith(start))
        answer["authority"], answer["revoked"] = read("cacert.pem"), read("cacrl.pem")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of the role certificates, in a folder, and what it gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "certificates" / "files" / "authority.py"
LASTING = {"days": 365, "ca_days": 3650, "renew_days": 121}
# Of a host on this machine.
PLACE = {"kind": "host", "name": "kvm0", "names": ["127.0.0.1"]}


def openssl(*arguments: str, text: str = "") -> str:
    command = ["openssl", *arguments]
    return subprocess.check_output(command, input=text, text=True, stderr=subprocess.PIPE)


def new_key() -> str:
    return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def request(key: str | None = None) -> str:
    """Return the request of a key, a new one by default, which says of itself what it likes."""
    named = ("-subj", "/CN=root", "-addext", "subjectAltName=DNS:everybody")
    return openssl("req", "-new", "-key", "/dev/stdin", *named, text=key or new_key())


class Authority:
    """Does what it is asked to, as the role asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def try_to(self, verb: str, *mode: str, **asked: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-Ic", SCRIPT.read_text(), self.folder, verb, *mode]
        given = json.dumps({**LASTING, **asked})
        return subprocess.run(command, input=given, text=True, capture_output=True, check=False)

    def do(self, verb: str, *mode: str, **asked: Any) -> dict[str, Any]:
        done = self.try_to(verb, *mode, **asked)
        assert not done.returncode, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def is_good(self, certificate: str) -> bool:
        """Tell whether whoever knows this authority, and what it took back, takes a certificate."""
        known = self.folder / "known.pem"
        known.write_text((self.folder / "cacert.pem").read_text())
        known.write_text(known.read_text() + (self.folder / "cacrl.pem").read_text())
        command = ["openssl", "verify", "-crl_check", "-CAfile", known]
        done = subprocess.run(
            command, input=certificate, text=True, capture_output=True, check=False
        )
        return done.returncode == 0


class Cloud:
    """An authority, and folders with what a host or a user has of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ca")

    def give(self, where: str, end: str, days: float = 365, **whose: object) -> Path:
        """Make a key and a certificate, as the role does, in a folder of this name."""
        folder = self.folder / where
        folder.mkdir()
        key = new_key()
        made = self.authority.do("issue", request=request(key), certificate="", days=days, **whose)
        files = {"cert": made["certificate"], "key": key}
        for file, text in files.items():
            (folder / f"{end}{file}.pem").write_text(text)
        (folder / "cacert.pem").write_text(made["authority"])
        (folder / "cacrl.pem").write_text(made["revoked"])
        return folder

    def user(self, name: str, days: float = 365) -> Path:
        return self.give(name, "client", days=days, kind="client", name=name)


def serving(server: Path, port: int) -> dict[str, str | int]:
    """Return libvirtd's settings for the certificate of a folder, as the role has them."""
    (server / "serverkey.pem").chmod(0o644)
    return {
        "listen_tls": 1,
        "tls_port": str(port),
        "key_file": f"{server}/serverkey.pem",
        "cert_file": f"{server}/servercert.pem",
        "ca_file": f"{server}/cacert.pem",
        "crl_file": f"{server}/cacrl.pem",
        "tls_no_sanity_certificate": 1,
    }

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of the role certificates, in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "certificates" / "files" / "authority.py"
LASTING = {"days": 365, "ca_days": 3650, "renew_days": 121}


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

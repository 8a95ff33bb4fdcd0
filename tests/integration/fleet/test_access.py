# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that ask who is there: by SASL, TLS and ssh."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.config.config import HostEntry
from maglica.libvirtd.hosts import Gather
from maglica.model.errors import ConfigInvalid
from support import testdriver
from support.ports import free_port
from support.reading import snapshot

_AUTH = """
[credentials-reader]
authname={user}
password={password}

[auth-libvirt-default]
credentials=reader
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that libvirtd, which runs as nobody, can read."""
    with tempfile.TemporaryDirectory(prefix="maglica-access-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _reasons(uri: str, auth_file: Path | None) -> list[str]:
    file = str(auth_file) if auth_file else None
    seen = snapshot([HostEntry("kvm0", uri)], gather=Gather.MINIMAL, auth_file=file)
    return [entry.text for entry in seen.unreachable]


def test_sasl(shared: Path) -> None:
    # Without TLS, libvirt wants a mechanism that encrypts.
    (shared / "libvirt.conf").write_text(
        f"mech_list: digest-md5\nsasldb_path: {shared}/passwd.db\n"
    )
    subprocess.run(
        ["saslpasswd2", "-p", "-a", "libvirt", "-u", "lab", "-f", shared / "passwd.db", "reader"],
        input=b"correct horse",
        check=True,
    )
    os.chown(shared / "passwd.db", 65534, 65534)
    auth = shared / "auth.conf"
    with testdriver.running({"auth_tcp": "sasl"}, SASL_CONF_PATH=str(shared)) as libvirtd:
        auth.write_text(_AUTH.format(user="reader@lab", password="correct horse"))
        assert _reasons(libvirtd.uri(), auth) == []
        assert _reasons(f"{libvirtd.uri()}?authfile={auth}", None) == []
        auth.write_text(_AUTH.format(user="reader@lab", password="battery"))
        (reason,) = _reasons(libvirtd.uri(), auth)
        assert reason.startswith("authentication failed: authentication failed: the host does not")
        (reason,) = _reasons(libvirtd.uri(), None)
        assert "Failed to collect auth credentials" in reason
    with pytest.raises(ConfigInvalid, match=r"cannot read .*/nothing: No such file"):
        _reasons(libvirtd.uri(), shared / "nothing")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _certificate(folder: Path, name: str, subject: str) -> None:
    """Make NAMEkey.pem and NAMEcert.pem, signed by the authority in the folder."""
    new = ("-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}")
    _openssl(folder, "req", *new, "-keyout", f"{name}key.pem", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{subject}\n")
    signing = ("-CA", "cacert.pem", "-CAkey", "cakey.pem", "-days", "2")
    files = ("-in", f"{name}.csr", "-out", f"{name}cert.pem", "-extfile", f"{name}.ext")
    _openssl(folder, "x509", "-req", *files, *signing)


def test_tls(shared: Path) -> None:
    authority = ("-newkey", "rsa:2048", "-nodes", "-subj", "/CN=authority", "-days", "2")
    _openssl(shared, "req", "-x509", *authority, "-keyout", "cakey.pem", "-out", "cacert.pem")
    _certificate(shared, "server", "localhost")
    _certificate(shared, "client", "reader")
    for name in ("serverkey.pem", "clientkey.pem"):
        (shared / name).chmod(0o644)
    port = free_port()
    settings = {
        "listen_tls": 1,
        "tls_port": str(port),
        "key_file": f"{shared}/serverkey.pem",
        "cert_file": f"{shared}/servercert.pem",
        "ca_file": f"{shared}/cacert.pem",
    }
    with testdriver.running(settings):
        uri = f"test+tls://localhost:{port}/default"
        assert _reasons(f"{uri}?pkipath={shared}", None) == []
        # The certificate is not for this name.
        (reason,) = _reasons(f"test+tls://127.0.0.1:{port}/default?pkipath={shared}", None)
        assert "Failed to verify peer's certificate" in reason
        # No certificate of one's own.
        (shared / "clientcert.pem").unlink()
        (shared / "clientkey.pem").unlink()
        assert _reasons(f"{uri}?pkipath={shared}", None) != []


_SSH = """#!/usr/bin/python3
# Stands for ssh: what it is asked to run on the other side would connect to this socket.
import json, os, select, socket, sys
with open({log!r}, "w") as log:
    json.dump(sys.argv[1:], log)
far = socket.socket(socket.AF_UNIX)
far.connect({socket!r})
while True:
    for ready in select.select([0, far], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else far.recv(65536)
        if not data:
            sys.exit()
        far.sendall(data) if ready == 0 else os.write(1, data)
"""


def test_ssh(shared: Path) -> None:
    with testdriver.running() as libvirtd:
        program, log = shared / "ssh", shared / "arguments"
        socket = f"{libvirtd.folder}/run/libvirt/libvirt-sock"
        program.write_text(_SSH.format(log=str(log), socket=socket))
        program.chmod(0o755)
        uri = f"test+ssh://root@kvm0.example.jp/default?command={program}"
        assert _reasons(uri, None) == []
        arguments = json.loads(log.read_text())
        assert arguments[arguments.index("-l") + 1] == "root"
        assert "kvm0.example.jp" in arguments
        # It must never ask: nobody may be there, and the others wait for it.
        assert "BatchMode=yes" in arguments

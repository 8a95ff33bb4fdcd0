# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd that asks for a password besides the certificate, set up as the role has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from maglica.config.config import HostEntry
from maglica.libvirtd.hosts import Gather
from support import testdriver
from support.authority import PLACE, Cloud, serving
from support.ports import free_port
from support.reading import snapshot
from support.role_templates import ROLES, render

ROLE = ROLES / "libvirtd"
# All that a line of a file, XML or a shell might take for something else.
PASSWORD = "#[a]= b;'\"\\%{{x}}"
REFUSED = "authentication failed: authentication failed"
DEFAULT = "# As the package has it.\nmech_list: gssapi\nkeytab: /etc/libvirt/krb5.tab\n"


class Passwords:
    """A folder that has what the role writes, for a libvirtd that runs as nobody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sasl"
        self.folder.mkdir()
        (task,) = (
            each["ansible.builtin.blockinfile"]
            for each in yaml.safe_load((ROLE / "tasks/listen.yml").read_text())
            if each.get("ansible.builtin.blockinfile", {}).get("path") == "{{ libvirtd_sasl_file }}"
        )
        assert (task["insertbefore"], task["block"]) == ("BOF", "{{ libvirtd_sasl_asks }}")
        variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
        block = jinja2.Template(variables["libvirtd_sasl_asks"])
        text = block.render(maglica_config_dir=folder) + "\n" + DEFAULT
        (self.folder / "libvirt.conf").write_text(text)

    def have(self, mode: str = "make", **users: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-I", ROLE / "files/sasl_users.py", self.folder, mode],
            input=json.dumps(users),
            text=True,
            capture_output=True,
            check=False,
        )
        assert not done.returncode, done.stderr
        if (self.folder / "passwd.db").exists():
            os.chown(self.folder / "passwd.db", 65534, 65534)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def auth_file(self, user: str, password: str) -> Path:
        """Write what the role gives a user of the control machine."""
        given = {"library_sasl_user": user, "library_sasl_password": password}
        file = self.folder / "library.auth"
        file.write_text(render("library", "library.auth.j2", ansible_managed="by a role", **given))
        return file


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's folder, which is root's alone.
    with tempfile.TemporaryDirectory(prefix="maglica-sasl-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


def reasons(uri: str, auth_file: Path | None) -> list[str]:
    file = str(auth_file) if auth_file else None
    seen = snapshot([HostEntry("kvm0", uri)], gather=Gather.MINIMAL, auth_file=file)
    return [entry.text for entry in seen.unreachable]


def test_only_a_user_with_the_password_is_let_in(folder: Path, port: int) -> None:
    cloud, passwords = Cloud(folder), Passwords(folder)
    alice = cloud.user("alice")
    settings = serving(cloud.give("server", "server", **PLACE), port)
    asking = {**settings, "auth_tls": "sasl", "auth_tcp": "sasl"}
    uri = f"test+tls://127.0.0.1:{port}/default?pkipath={alice}"
    assert passwords.have(reader=PASSWORD, other="x")["changed"] == ["other", "reader"]
    with testdriver.running(asking, SASL_CONF_PATH=str(passwords.folder)) as libvirtd:
        right = passwords.auth_file("reader", PASSWORD)
        assert reasons(uri, right) == []
        # As maglica.conf has it.
        assert reasons(f"{uri}&authfile={right}", None) == []
        (reason,) = reasons(uri, None)
        assert "Failed to collect auth credentials: the host asks for a user" in reason
        # It encrypts nothing, so without TLS it is not taken.
        (reason,) = reasons(libvirtd.uri(), right)
        assert "authentication failed" in reason

        refused = [f"{REFUSED}: the host does not take this user with this password"]
        for user, password in (("reader", "x"), ("other", PASSWORD), ("nobody", PASSWORD)):
            assert reasons(uri, passwords.auth_file(user, password)) == refused
        # Another certificate is no better with the password.
        (alice / "clientcert.pem").unlink()
        assert reasons(uri, passwords.auth_file("reader", PASSWORD)) != []
        cloud.authority.do("revoke", kind="client", name="alice")

    (folder / "alice").rename(folder / "before")
    alice = cloud.user("alice")
    with testdriver.running(asking, SASL_CONF_PATH=str(passwords.folder)):
        assert passwords.have(reader="another", third="y")["changed"] == [
            "reader",
            "third",
            "other",
        ]
        assert reasons(uri, passwords.auth_file("reader", PASSWORD)) == refused
        assert reasons(uri, passwords.auth_file("other", "x")) == refused
        assert reasons(uri, passwords.auth_file("reader", "another")) == []


def test_passwords_are_set_once_and_kept_nowhere(folder: Path) -> None:
    passwords = Passwords(folder)
    database = passwords.folder / "passwd.db"
    assert passwords.have("check", reader=PASSWORD)["changed"] == ["reader"]
    assert not database.exists()
    passwords.have(reader=PASSWORD)
    before = database.read_bytes()
    assert passwords.have(reader=PASSWORD) == {"changed": [], "others": []}
    assert database.read_bytes() == before
    kept = [path.read_bytes() for path in passwords.folder.iterdir()]
    assert not [text for text in kept if PASSWORD.encode() in text]
    assert {path.stat().st_mode & 0o007 for path in (database, passwords.folder / "known")} == {0}


def test_what_somebody_else_has_changed_is_put_right_and_others_users_stay(folder: Path) -> None:
    passwords = Passwords(folder)
    database = passwords.folder / "passwd.db"
    passwords.have(reader=PASSWORD)

    def by_hand(realm: str, name: str) -> None:
        command = ["/usr/sbin/saslpasswd2", "-p", "-c", "-f", database, "-u", realm, name]
        subprocess.run(command, input=b"by hand", check=True)

    by_hand("maglica", "reader")
    by_hand("elsewhere", "bob")
    others = {"others": ["bob@elsewhere"]}
    assert passwords.have(reader=PASSWORD) == {"changed": ["reader"], **others}
    assert passwords.have(reader=PASSWORD) == {"changed": [], **others}
    assert passwords.have() == {"changed": ["reader"], **others}
    assert passwords.have() == {"changed": [], **others}

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the role has libvirt ask for passwords, and where it leaves all as it is."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...support.role_runs import CHECKOUT, Deployment, include

TASKS = CHECKOUT / "roles" / "libvirtd" / "tasks"
DEFAULT = "# A comment.\n\nmech_list: gssapi\n#mech_list: x\nkeytab: /etc/libvirt/krb5.tab\n"
OURS = "# BEGIN maglica.cloud\nmech_list: scram-sha-256\nauth_tls = 1\n# END maglica.cloud\n"


def task(file: str, name: str) -> dict[str, Any]:
    found = (each for each in yaml.safe_load((TASKS / file).read_text()) if each["name"] == name)
    return dict(next(found))


def refused(tmp_path: Path, asked: dict[str, Any], cases: dict[str, dict[str, Any]]) -> set[str]:
    """Run a task with the variables of each case; return the cases in which it stops."""
    tasks = [
        {
            "block": [asked | {"vars": {**asked.get("vars", {}), **variables}}],
            # As it stands in no file, of which errors show a part.
            "rescue": [{"ansible.builtin.debug": {"msg": f"{{{{ 'refu' ~ 'sed {case}.' }}}}"}}],
        }
        for case, variables in cases.items()
    ]
    _went_well, output = Deployment(tmp_path).run(tasks)
    assert "undefined" not in output
    return {case for case in cases if f"refused {case}." in output}


def test_what_somebody_else_has_set_up_is_left_alone(tmp_path: Path) -> None:
    def found(sasl: str = DEFAULT, libvirtd: str = "", keytab: bool = False) -> dict[str, Any]:
        return {
            "libvirtd_sasl_conf": {"content": base64.b64encode(sasl.encode()).decode()},
            "libvirtd_conf": {"content": base64.b64encode(libvirtd.encode()).decode()},
            "libvirtd_keytab": {"stat": {"exists": keytab}},
        }

    good = {
        "package": found(),
        "commented": found("# mine\n", '#auth_tls = "none"\n'),
        "ours": found(OURS + DEFAULT, "a = 1\n" + OURS),
    }
    bad = {
        "mechanism": found(DEFAULT + "mech_list: scram-sha-256\n"),
        "database": found(OURS + DEFAULT + "sasldb_path: /etc/libvirt/passwd.db\n"),
        "kerberos": found(keytab=True),
        "auth": found(libvirtd='auth_tls = "none"\n' + OURS),
        "names": found(libvirtd=OURS + 'sasl_allowed_username_list = ["x"]\n'),
    }
    asked = task("sasl.yml", "Stop if it is set up by somebody else")
    assert refused(tmp_path, asked, {**good, **bad}) == set(bad)


def test_passwords_are_asked_for_by_tls_only(tmp_path: Path) -> None:
    users = [{"name": "reader", "password": "x"}]
    asked = task("set_up.yml", "Stop if libvirtd can't ask for passwords where it listens")
    cases = {
        "tls": {"libvirtd_listen": ["tls"], "libvirtd_sasl_users": users},
        "tcp": {"libvirtd_listen": ["tcp"], "libvirtd_sasl_users": users},
        "both": {"libvirtd_listen": ["tls", "tcp"], "libvirtd_sasl_users": users},
        "ssh": {"libvirtd_listen": [], "libvirtd_sasl_users": users},
        "nobody": {"libvirtd_listen": ["tcp"], "libvirtd_sasl_users": []},
    }
    assert refused(tmp_path, asked, cases) == {"tcp", "both", "ssh"}


def test_a_password_that_a_file_can_t_hold_is_refused_unseen(tmp_path: Path) -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/library/tasks/auth.yml").read_text())
    cases = {
        word: {"library_sasl_user": user, "library_sasl_password": password}
        for word, user, password in (
            ("good", "reader", "#a ='b"),
            ("nobody", "", ""),
            ("empty", "reader", ""),
            ("lines", "reader", "secret\npassword"),
            ("blank", "reader", "secret "),
            ("line", "reader", "secret\n"),
            ("name", "a b", "secret"),
        )
    }
    assert refused(tmp_path, tasks[0], cases) == {"empty", "lines", "blank", "line", "name"}


def test_a_file_with_a_password_that_the_role_has_not_written_stays(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    removing = []
    for tasks in ("auth", "client_remove"):
        for text in ("[credentials-mine]", "# By the role maglica.cloud.library."):
            folder = tmp_path / f"{tasks}{len(removing)}"
            folder.mkdir()
            (folder / "library.auth").write_text(f"{text}\n")
            removing.append(include(tasks, library_user_dir=str(folder)))
    machine.deploy(removing)
    left = [path.read_text() for path in sorted(tmp_path.glob("*/library.auth"))]
    assert left == ["[credentials-mine]\n"] * 2
    given = {"library_sasl_user": "reader", "library_sasl_password": "secret"}
    writing = include("auth", library_user_dir=str(tmp_path / "auth0"), **given)
    went_well, output = machine.run([writing], "--diff")
    assert "auth0/library.auth on localhost was not written by Maglica" in " ".join(output.split())
    assert not went_well
    assert (tmp_path / "auth0/library.auth").read_text() == "[credentials-mine]\n"


def test_nobody_else_can_read_the_file_of_the_password_at_any_time(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    given = {"library_sasl_user": "reader", "library_sasl_password": "secret"}
    machine.variables.update(given)
    folder = CHECKOUT / "roles/library/tasks"
    written = (folder / "auth.yml").read_text().replace("own_files.yml", f"{folder}/own_files.yml")
    tasks = yaml.safe_load(written)
    before = [task["name"] for task in tasks].index("Write user and password")
    machine.deploy(tasks[:before], umask=0)
    auth = tmp_path / "library.auth"
    assert auth.stat().st_mode & 0o777 == 0o600
    # A run that is cut off here is known to have written it.
    assert auth.read_text() == "# By the role maglica.cloud.library.\n"
    assert machine.deploy([include("auth", library_sasl_user="")])
    assert not auth.exists()
    assert machine.deploy([include("auth")], umask=0)
    assert "password=secret" in auth.read_text()
    assert auth.stat().st_mode & 0o777 == 0o600
    went_well, output = machine.run([include("auth")], "--diff", "-vvv")
    assert went_well
    assert "changed=0" in output
    assert "password=secret" not in output


@pytest.mark.parametrize(
    ("known", "stays"),
    [
        ({"users": {"reader": {}}, "others": []}, []),
        ({"users": {}, "others": ["alice@example.jp"]}, ["alice@example.jp"]),
        # It was changed since, or nothing is noted.
        ({"users": {}, "others": [], "database": ""}, ["whoever /nowhere would show"]),
        ({"users": {}}, ["whoever /nowhere would show"]),
        (None, ["whoever /nowhere would show"]),
    ],
)
def test_users_are_removed_also_where_sasl_s_programs_have_gone(
    tmp_path: Path, known: dict[str, Any] | None, stays: list[str]
) -> None:
    """The file of theirs goes if nobody else is in it for sure."""
    (tmp_path / "passwd.db").write_bytes(b"database")
    if known is not None:
        noted = {"database": hashlib.sha256(b"database").hexdigest(), **known}
        (tmp_path / "known").write_text(json.dumps(noted))
    script = (CHECKOUT / "roles/libvirtd/files/sasl_users.py").read_text()
    script = script.replace("/usr/sbin/sasldblistusers2", "/nowhere")
    for mode in ("check", "make"):
        command = [sys.executable, "-Ic", script, tmp_path, mode]
        told = subprocess.check_output(command, input="{}", text=True)
        assert json.loads(told) == {"changed": [], "others": stays}

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What closes libvirt's sockets and takes certificates away ends also after a run was cut off."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ...support.role_runs import CHECKOUT, Deployment

TASKS = CHECKOUT / "roles" / "libvirtd" / "tasks"
TLS = "libvirtd-tls.socket"
LOCAL = "libvirtd.socket"
# What a certificate of the role's authority has in it.
OURS = b"\x06\x03\x55\x04\x0a\x0c\x07Maglica"
SYSTEMCTL = """\
#!/bin/sh
echo $* >> {folder}/told
case $1 in list-units) printf '{sockets}' ;; start) test $# -gt 1 ;; esac
"""


def task(file: str, name: str) -> dict[str, Any]:
    found = (each for each in yaml.safe_load((TASKS / file).read_text()) if each["name"] == name)
    return dict(next(found))


def test_certificates_and_folders_that_are_gone_are_no_hindrance(tmp_path: Path) -> None:
    pki, kept, empty = (tmp_path / name for name in ("pki", "kept", "empty"))
    for folder in (pki, kept, empty):
        folder.mkdir()
    (kept / "theirs").touch()
    (pki / "folders").write_text(f"{kept}\n{empty}\n{tmp_path / 'gone'}\n")
    taking = task("no_tls.yml", "Take the folders away that were made for them, if they are empty")
    places = (str(pki), str(tmp_path / "no pki"))
    Deployment(tmp_path).deploy([taking | {"vars": {"libvirtd_pki": each}} for each in places])
    assert (kept.exists(), empty.exists(), (pki / "folders").exists()) == (True, False, False)


def test_check_mode_needs_no_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    making = task("tls.yml", "Make the folders of libvirtd's places, and note which")
    making["vars"] = {"libvirtd_pki": str(tmp_path / "pki")}
    assert not Deployment(tmp_path).deploy([making], "--check")


def test_libvirtd_is_told_again_of_what_another_play_puts_there_meanwhile(tmp_path: Path) -> None:
    files = ("cacert.pem", "cacrl.pem", "servercert.pem", "serverkey.pem")
    for file in files:
        (tmp_path / file).write_text("early")
    admin = tmp_path / "virt-admin"
    admin.write_text(
        "#!/bin/sh\necho $3 $5 >> told\ncase $3 in client-list) echo 1 tls; echo 2 unix;;"
        " server-update-tls) cat next > cacrl.pem;; esac\n"
    )
    admin.chmod(0o755)
    name = "Have it read them, and end the connections of who may no longer be let in"
    text = task("served.yml", name)["ansible.builtin.shell"]["cmd"]
    command = jinja2.Template(text, trim_blocks=True).render(
        libvirtd_server="libvirtd", libvirtd_served={"stdout": ""}
    )
    paths = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def tell(following: str) -> tuple[bool, list[str]]:
        """Return whether it counts as told of all, and what it was told."""
        (tmp_path / "next").write_text(following)
        (tmp_path / "told").unlink(missing_ok=True)
        subprocess.run(["/bin/bash", "-c", command], env=paths, cwd=tmp_path, check=True)
        check = ["sha256sum", "--check", "--status", "served"]
        done = subprocess.run(check, cwd=tmp_path, check=False)
        return done.returncode == 0, (tmp_path / "told").read_text().splitlines()

    ending = ["server-update-tls", "client-list", "client-disconnect 1"]
    assert tell("late") == (False, ending)
    assert tell("late") == (True, ending)
    assert tell("late") == (True, ["server-update-tls"])


def test_certificates_are_taken_away_also_where_it_was_not_written_that_they_are_used(
    tmp_path: Path,
) -> None:
    """A deployment was cut off between the two. What is somebody's own stays."""
    cloud, pki, places = Deployment(tmp_path), tmp_path / "pki", tmp_path / "places"
    certificates = []
    for file in ("cacert.pem", "cacrl.pem", "servercert.pem", "serverkey.pem"):
        for folder in (pki, places):
            folder.mkdir(exist_ok=True)
        (pki / file).write_bytes(base64.b64encode(OURS))
        (places / file).symlink_to(pki / file)
        certificates.append({"place": str(places / file), "ours": str(pki / file)})
    for file, put in (("cacert.pem", "symlink_to"), ("cacrl.pem", "hardlink_to")):
        (places / file).unlink()
        getattr(places / file, put)(tmp_path / "client_worker.pub")
    (pki / "folders").write_text(f"{places}\n")
    role = {"name": "maglica.cloud.libvirtd", "tasks_from": "remove.yml"}
    places_here = {"libvirtd_certificates": certificates, "maglica_config_dir": str(tmp_path)}
    cloud.variables["certificates_ca_dir"] = str(tmp_path / "ca")
    removing = {"ansible.builtin.include_role": role, "vars": places_here}
    assert cloud.deploy([removing])
    assert sorted(each.name for each in places.iterdir()) == ["cacert.pem", "cacrl.pem"]
    assert not pki.exists()
    assert not cloud.deploy([removing])


def test_where_libvirt_is_not_installed_any_more_its_configuration_is_as_it_was(
    tmp_path: Path,
) -> None:
    cloud, conf = Deployment(tmp_path), tmp_path / "gone.conf"
    conf.write_text(
        "# theirs\n# BEGIN maglica.cloud\n# Maglica has it listen on: tls\n# END maglica.cloud\n"
    )
    cloud.variables["certificates_ca_dir"] = str(tmp_path / "ca")
    daemons = {"configuration": str(conf), "service": "gone.service"}
    role = {"name": "maglica.cloud.libvirtd", "tasks_from": "remove.yml"}
    here = {"libvirtd_certificates": [], "maglica_config_dir": str(tmp_path / "etc")}
    removing = {"ansible.builtin.include_role": role, "vars": here}
    assert cloud.deploy([removing], "-e", json.dumps({"libvirtd_configured": [daemons]}))
    assert conf.read_text() == "# theirs\n"


def alone(folder: Path) -> Deployment:
    """A host in an inventory that has nothing else."""
    machine = Deployment(folder)
    del machine.variables["maglica_client_worker"]
    (folder / "libvirtd.conf").touch()
    daemons = {"configuration": f"{folder}/libvirtd.conf", "service": "libvirtd.service"}
    machine.of_play = {"maglica_config_dir": str(folder), "libvirtd_daemons": daemons}
    machine.of_play["libvirtd_sasl"] = False
    return machine


def closed(folder: Path) -> tuple[str, str]:
    """Return options by which nothing is noted in /run."""
    return "-e", f"libvirtd_closed={folder}/closed"


def test_a_host_alone_listens_on_nothing_but_has_no_certificates(tmp_path: Path) -> None:
    machine = alone(tmp_path)
    defaults = {"name": "maglica.cloud.library", "tasks_from": "root.yml", "public": True}
    role = {"name": "maglica.cloud.libvirtd", "tasks_from": "listen.yml"}
    listening = {"ansible.builtin.include_role": role}
    tasks: list[dict[str, Any]] = [{"ansible.builtin.include_role": defaults}, listening]
    machine.of_play["libvirtd_wanted"] = []
    assert not machine.deploy(tasks)
    machine.of_play["libvirtd_wanted"] = ["tls"]
    went_well, output = machine.run(tasks)
    assert not went_well
    told = (
        "libvirtd_listen of localhost has tls, and the inventory names no machine that could sign"
    )
    assert told in " ".join(output.split())


def test_libvirtd_is_restarted_by_a_later_run_where_it_was_not_by_the_one_that_wrote_sasl(
    tmp_path: Path,
) -> None:
    machine = alone(tmp_path)
    program = tmp_path / "systemctl"
    defaults = {"name": "maglica.cloud.library", "tasks_from": "root.yml", "public": True}
    role = {"name": "maglica.cloud.libvirtd", "tasks_from": "listen.yml"}
    tasks = [{"ansible.builtin.include_role": each} for each in (defaults, role)]
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    machine.of_play["libvirtd_wanted"] = []

    def run(at_stop: str) -> tuple[bool, int]:
        """Return whether it went well, and how often libvirtd was stopped."""
        program.write_text(
            f'#!/bin/sh\ntest "$1" != stop || {{ echo >> {tmp_path}/told; {at_stop}; }}\n'
        )
        program.chmod(0o755)
        (tmp_path / "told").write_text("")
        playing = [{"block": tasks, "environment": paths}]
        went_well, output = machine.run(playing, *closed(tmp_path))
        assert went_well or "Open and close sockets" in output
        return went_well, len((tmp_path / "told").read_text().splitlines())

    asking = '# BEGIN maglica.cloud\n# Beside a certificate, a password.\nauth_tls = "sasl"\n'
    (tmp_path / "libvirtd.conf").write_text(f"a = 1\n{asking}# END maglica.cloud\n")
    assert run("false") == (False, 1)
    assert "auth_tls" not in (tmp_path / "libvirtd.conf").read_text()
    assert run("true") == (True, 1)
    assert run("true") == (True, 0)
    assert (tmp_path / "libvirtd.conf").read_text() == "a = 1\n"


def test_libvirtd_is_restarted_by_a_later_run_where_only_how_sasl_asks_was_another(
    tmp_path: Path,
) -> None:
    machine = alone(tmp_path)
    sasl = tmp_path / "libvirt.conf"
    sasl.write_text("mech_list: gssapi\n")
    machine.of_play |= {"libvirtd_wanted": [], "libvirtd_sasl": True, "libvirtd_sasl_users": []}
    # As variables of the role, which win over those of a play.
    given = ("-e", f"libvirtd_sasl_file={sasl}", *closed(tmp_path))
    defaults = {"name": "maglica.cloud.library", "tasks_from": "root.yml", "public": True}
    role = {"name": "maglica.cloud.libvirtd", "tasks_from": "listen.yml"}
    tasks = [{"ansible.builtin.include_role": each} for each in (defaults, role)]
    program = tmp_path / "systemctl"
    playing = [{"block": tasks, "environment": {"PATH": f"{tmp_path}:{os.environ['PATH']}"}}]

    def run(at_stop: str = "true") -> tuple[bool, int]:
        """Return whether it went well, and how often libvirtd was stopped."""
        program.write_text(
            f'#!/bin/sh\ntest "$1" != stop || {{ echo >> {tmp_path}/told; {at_stop}; }}\n'
        )
        program.chmod(0o755)
        (tmp_path / "told").write_text("")
        went_well, output = machine.run(playing, *given)
        assert went_well or "Open and close sockets" in output
        return went_well, len((tmp_path / "told").read_text().splitlines())

    assert run() == (True, 1)
    asking = sasl.read_text()
    assert "scram-sha-256" in asking
    sasl.write_text(asking.replace("scram-sha-256", "scram-sha-1"))
    assert run("false") == (False, 1)
    assert sasl.read_text() == asking
    assert run() == (True, 1)
    assert run() == (True, 0)
    assert sasl.read_text() == asking


def test_what_is_written_for_either_daemon_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("libvirtd", "virtproxyd")
    configured = [{"configuration": f"/etc/{name}.conf", "service": name} for name in names]
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stand_ins: dict[str, dict[str, Any]] = {
        "ours": {"ansible.builtin.set_fact": {"libvirtd_configured": configured}},
        "no_sasl": {"ansible.builtin.meta": "noop"},
        "listen": {"ansible.builtin.debug": {"msg": "of {{ libvirtd_daemons.configuration }}"}},
    }
    for name, stand_in in stand_ins.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump([stand_in]))
    shutil.copy(TASKS / "remove.yml", tmp_path)
    removing = {"ansible.builtin.include_tasks": f"{tmp_path}/remove.yml"}
    went_well, output = Deployment(tmp_path).run([removing])
    assert went_well, output
    assert ["of " + each["configuration"] in output for each in configured] == [True, True]


@pytest.mark.parametrize(
    ("active", "wanted", "unwanted", "started"),
    [
        ([], [], ["tls"], []),
        ([], ["tls"], [], [f"start {TLS}"]),
        ([LOCAL, TLS], [], ["tls"], [f"start {LOCAL}"]),
        ([LOCAL], ["tls"], [], [f"start {LOCAL} {TLS}"]),
    ],
)
def test_sockets_are_opened_and_closed_also_where_libvirt_does_not_run(
    tmp_path: Path, active: list[str], wanted: list[str], unwanted: list[str], started: list[str]
) -> None:
    sockets = "".join(f"{name} loaded active\\n" for name in active)
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL.format(folder=tmp_path, sockets=sockets))
    program.chmod(0o755)
    text = task("listen.yml", "Open and close sockets")["ansible.builtin.shell"]["cmd"]
    # Blocks as Ansible has them.
    command = jinja2.Template(text, trim_blocks=True).render(
        libvirtd_server="libvirtd",
        libvirtd_daemons={"service": "libvirtd.service"},
        libvirtd_wanted=wanted,
        libvirtd_unwanted=unwanted,
        libvirtd_closed=f"{tmp_path}/closed",
    )
    paths = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def told() -> list[str]:
        lines = (tmp_path / "told").read_text().splitlines()
        (tmp_path / "told").unlink()
        return [line for line in lines if line.startswith("start")]

    subprocess.run(["/bin/bash", "-c", command], env=paths, check=True)
    assert told() == started
    # Another one is killed when all are closed, twice.
    killing = SYSTEMCTL.replace("case $1 in", "case $1 in stop) kill -KILL $PPID ;;")
    for listed in (sockets, ""):
        program.write_text(killing.format(folder=tmp_path, sockets=listed))
        done = subprocess.run(["/bin/bash", "-c", command], env=paths, check=False)
        assert (done.returncode, told()) == (-9, [])
    program.write_text(SYSTEMCTL.format(folder=tmp_path, sockets=""))
    subprocess.run(["/bin/bash", "-c", command], env=paths, check=True)
    assert told() == started
    assert not (tmp_path / "closed").exists()

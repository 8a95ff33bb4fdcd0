# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of a machine or user, as the role certificates has them made."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.authority import Authority, new_key, openssl
from support.role_runs import CHECKOUT, Deployment

MADE = {"cacert.pem", "cacrl.pem", "clientcert.pem", "clientkey.pem"}
# Notes what libvirtd is told, and what the authority has taken back then.
ADMIN = """\
#!/bin/sh
case $3 in client-list) ;;
*) echo $3 $(cut -c 1 ca/index.txt) >> told ;; esac
"""


class Owner:
    """Somebody on a machine that is all there is of a cloud."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ca")
        self.pki = folder / "pki"
        self.cloud = Deployment(folder)
        self.cloud.variables["certificates_ca_dir"] = str(self.authority.folder)

    def do(self, tasks: str, role: str = "certificates", **variables: Any) -> dict[str, Any]:
        given = {"certificates_name": "alice", "certificates_folder": str(self.pki)}
        named = {"name": f"maglica.cloud.{role}", "tasks_from": f"{tasks}.yml"}
        return {"ansible.builtin.include_role": named, "vars": {**given, **variables}}

    def removing(self, **variables: Any) -> dict[str, Any]:
        ends = {"certificates_end": "client", "certificates_other_end": "server"}
        return self.do("remove_leaf", certificates_python=sys.executable, **ends, **variables)

    def keep(self, name: str) -> dict[str, Any]:
        return {"ansible.builtin.command": f"cp -r {self.pki} {self.folder}/{name}"}


@pytest.fixture
def alice(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def test_a_key_is_made_once_and_signed_once(alice: Owner) -> None:
    make = [alice.do("client")]
    assert alice.cloud.deploy(make, "--check")
    assert not alice.pki.exists()
    assert alice.cloud.deploy(make)
    assert {file.name for file in alice.pki.iterdir()} == MADE
    assert (alice.pki / "clientkey.pem").stat().st_mode & 0o777 == 0o600
    assert not alice.cloud.deploy(make)


def test_a_key_that_is_lost_or_was_taken_back_or_shall_be_another_is_replaced(
    alice: Owner,
) -> None:
    make, lost = alice.do("client"), {"ansible.builtin.command": f"rm {alice.pki}/clientkey.pem"}
    again = alice.do("client", certificates_new_key=True)
    steps = [make, lost, make, alice.do("revoke", certificates_kind="client"), make, again]
    kept = [alice.keep(f"after{number}") for number in range(len(steps))]
    assert alice.cloud.deploy([each for step in zip(steps, kept) for each in step])
    places = [alice.folder / f"after{number}" for number in (0, 2, 4, 5)]
    certificates = [(place / "clientcert.pem").read_text() for place in places]
    assert [alice.authority.is_good(each) for each in certificates] == [False, False, False, True]
    assert len({(place / "clientkey.pem").read_text() for place in places}) == len(places)
    assert {file.name for file in alice.pki.iterdir()} == MADE


def put_theirs(pki: Path, *names: str) -> dict[str, str]:
    """Put files there that another authority has to do with; return the texts of all by name."""
    pki.mkdir(exist_ok=True)
    key = new_key()
    subject = ("-subj", "/O=Maglica Ltd/CN=Maglica")
    certificate = openssl("req", "-new", "-x509", "-key", "/dev/stdin", *subject, text=key)
    for name in names:
        (pki / name).write_text(key if name.endswith("key.pem") else certificate)
    return texts(pki)


def texts(pki: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in pki.iterdir()}


@pytest.mark.parametrize("mode", [(), ("--check",)])
def test_what_somebody_else_has_put_there_stays(alice: Owner, mode: tuple[str, ...]) -> None:
    both = ("clientcert.pem", "clientkey.pem")
    cases = [("cacert.pem", *both), ("cacert.pem",), ("cacrl.pem",), ("clientkey.pem",)]
    folders = [alice.folder / f"pki{number}" for number in range(len(cases))]
    before = [put_theirs(folder, *names) for folder, names in zip(folders, cases)]
    told = {"ansible.builtin.debug": {"msg": "Refused: {{ ansible_failed_result.msg }}"}}
    tasks = [
        {"block": [alice.do("client", certificates_folder=str(folder))], "rescue": [told]}
        for folder in folders
    ]
    tasks += [alice.removing(certificates_folder=str(folder)) for folder in folders]
    went_well, output = alice.cloud.run(tasks, *mode)
    assert went_well, output
    said = " ".join(output.split())
    for folder, names in zip(folders, cases):
        named = ", ".join(f"{folder}/{name}" for name in sorted(names))
        assert f"Refused: {named} on localhost was not made by Maglica, and stays as it" in said
    assert [texts(folder) for folder in folders] == before


def test_a_certificate_of_somebody_else_s_stays_with_its_key_where_ours_go(alice: Owner) -> None:
    assert alice.cloud.deploy([alice.do("client")])
    put_theirs(alice.pki, "clientcert.pem", "clientkey.pem")
    alice.cloud.deploy([alice.removing()])
    assert {file.name for file in alice.pki.iterdir()} == {"clientcert.pem", "clientkey.pem"}


def test_a_key_whose_certificate_a_cut_has_left_out_is_our_own(alice: Owner) -> None:
    cut = {"ansible.builtin.command": f"rm {alice.pki}/clientcert.pem"}
    again = [alice.keep("before"), cut, alice.do("client"), alice.keep("after")]
    went_well, output = alice.cloud.run([alice.do("client"), *again, cut, alice.removing()])
    assert went_well, output
    before, after = (alice.folder / name / "clientkey.pem" for name in ("before", "after"))
    assert before.read_text() == after.read_text()
    assert not alice.pki.exists()
    # Nor does a removal that is cut off leave a key of which nothing tells whose it is.
    went = [Path(path).name for path in re.findall(r"changed: .*\(item=(.*)\)", output)]
    assert went == ["clientkey.pem", "cacrl.pem", "cacert.pem"]


def plays(playbook: str) -> list[dict[str, Any]]:
    text = (CHECKOUT / "playbooks" / f"{playbook}.yml").read_text()
    found: list[dict[str, Any]] = yaml.safe_load(text)
    return found


def telling(file: Path) -> dict[str, Any]:
    """Return a task that makes a file where a deployment would tell the hosts now."""
    (last,) = plays("replaced")
    making = {"path": str(file), "state": "touch"}
    return {"ansible.builtin.file": making, "when": last["tasks"][0]["when"]}


def test_a_deployment_or_upgrade_tells_the_hosts_when_a_user_s_key_was_replaced(
    alice: Owner,
) -> None:
    for name in ("deploy", "upgrade"):
        assert plays(name)[-1]["ansible.builtin.import_playbook"] == "replaced.yml"
    last, rotate = (plays(name)[-1] for name in ("replaced", "rotate_keys"))
    assert last["hosts"] == "maglica_hosts"
    roles = [each["tasks"][0]["ansible.builtin.include_role"] for each in (last, rotate)]
    assert roles[0] == roles[1]
    files = [alice.folder / name for name in ("early", "late")]
    make = alice.do("client")
    lose = {"ansible.builtin.command": f"rm {alice.pki}/clientkey.pem"}
    alice.cloud.deploy([make, telling(files[0]), lose, make, telling(files[1])])
    assert [file.exists() for file in files] == [False, True]
    # The user has heard of it as well.
    assert not alice.cloud.deploy([make])


def test_a_deployment_tells_all_hosts_when_the_key_of_one_was_replaced(alice: Owner) -> None:
    hosts = ["kvm0", "kvm1"]
    alice.cloud.groups["maglica_hosts"] = hosts
    replaced = {"ansible.builtin.set_fact": {"certificates_replaced": True}}
    told = telling(alice.folder / "{{ inventory_hostname }}")
    tasks = [{**replaced, "when": "inventory_hostname == 'kvm1'"}, told]
    python = {"ansible_python_interpreter": sys.executable}
    play = {"hosts": "maglica_hosts", "gather_facts": False, "vars": python, "tasks": tasks}
    playbook = alice.folder / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    went_well, output = alice.cloud.play(playbook)
    assert went_well, output
    assert [(alice.folder / host).exists() for host in hosts] == [True, True]


def test_libvirtd_has_the_new_key_of_its_host_before_the_old_one_is_void(alice: Owner) -> None:
    alice.cloud.variables |= {"maglica_config_dir": str(alice.folder), "certificates_packages": []}
    (alice.folder / "virt-admin").write_text(f"#!/bin/sh\ncd {alice.folder}\n{ADMIN}")
    (alice.folder / "virt-admin").chmod(0o755)
    other = alice.do("revoked", "libvirtd", certificates_new_key=True)
    paths = {"PATH": f"{alice.folder}:{os.environ['PATH']}"}
    steps = {"block": [alice.do("host"), other], "environment": paths}
    daemons = {"service": "libvirtd.service"}
    listens = {"libvirtd_configured": [daemons], "libvirtd_daemons": daemons}
    # All hosts are to refuse the old one by the same deployment, and not only by the next.
    files = [alice.folder / name for name in ("early", "late")]
    tasks = [telling(files[0]), steps, telling(files[1])]
    assert alice.cloud.deploy(tasks, "-e", json.dumps(listens))
    assert [file.exists() for file in files] == [False, True]
    (told,) = (alice.folder / "told").read_text().splitlines()
    assert told == "server-update-tls V V"
    assert alice.authority.is_good((alice.pki / "servercert.pem").read_text())
    lines = (alice.folder / "ca" / "index.txt").read_text().splitlines()
    assert [line[0] for line in lines] == ["R", "V"]

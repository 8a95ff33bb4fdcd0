# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that somebody has registered by hand, in files of any name, are seen as others are."""

from __future__ import annotations

from pathlib import Path

from maglica.wire import keys
from support.role_runs import LIBRARY, OTHER_KEY, Deployment, include


def test_a_key_that_is_in_another_file_is_not_said_to_be_taken_away(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    machine.variables["certificates_ca_dir"] = str(tmp_path / "ca")
    machine.know(f"client bob@one {OTHER_KEY}")
    (tmp_path / "access.d" / "those who look").write_text(f"observer bob@one {'y' * 40}\n")
    for role in ("client", "observer"):
        revoking = include("revoke", library_role=role, library_name="bob@one")
        went_well, output = machine.run([revoking])
        assert went_well == (role == "client")
    told = f"{tmp_path}/access.d/those who look of localhost was not written by Maglica"
    assert told in " ".join(output.split())
    assert machine.registered == [f"observer bob@one {'y' * 40}"]


def test_the_key_of_one_is_taken_out_of_a_file_and_those_of_others_stay_in_it(
    tmp_path: Path,
) -> None:
    machine = Deployment(tmp_path)
    own = keys.make(tmp_path / "my.key").public.decode()
    file = tmp_path / "access.d" / "those who look"
    file.write_text(f"observer bob@one {OTHER_KEY}\nobserver root@one\t{own}")
    machine.deploy([machine.making, machine.registering("client", "root@one", False)])
    assert machine.registered == [f"client root@one {own}", f"observer bob@one {OTHER_KEY}"]


def test_who_is_registered_in_another_file_may_not_know_the_next_key_but_whoever_runs_it_does(
    tmp_path: Path,
) -> None:
    machine = Deployment(tmp_path)
    machine.variables |= {"maglica_config_dir": str(tmp_path), "library_user_name": "root@one"}
    machine.variables["library_knows_next_key"] = True
    machine.groups = {"maglica_hosts": ["localhost"]}
    machine.know(f"client root@one {OTHER_KEY}")
    (tmp_path / "client_worker.pub").unlink()
    keys.make(tmp_path / "client_worker.key")
    # It is said of the control machine, and not of the client worker's.
    given = {"library_key_library": str(LIBRARY), "library_user_name": "somebody"}
    switching = include("switch_client_worker_key", **given)
    looking = tmp_path / "access.d" / "those who look"
    looking.write_text(f"observer bob@one {'y' * 40}\n")
    went_well, output = machine.run([switching])
    assert not went_well
    told = "whoever runs this know the client worker's next key. those who look may not"
    assert told in " ".join(output.split())
    looking.unlink()
    machine.deploy([switching])

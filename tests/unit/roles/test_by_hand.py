# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that somebody has registered by hand, in files of any name, are seen as others are."""

from __future__ import annotations

from pathlib import Path

from support.role_runs import OTHER_KEY, Deployment, include


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

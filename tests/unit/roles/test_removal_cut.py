# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal is finished also where the client worker goes meanwhile, or is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ...support.role_runs import CHECKOUT, OTHER_KEY, Deployment


@pytest.mark.parametrize("left", ["its key", "other keys", "no folder of keys"])
def test_a_host_that_has_left_leaves_a_client_worker_that_answers_no_more(
    tmp_path: Path, left: str
) -> None:
    machine = Deployment(tmp_path)
    (tmp_path / "ca").mkdir()
    # As it is removed: the certificate of the authority first.
    for file in ("ca/cakey.pem", "ca/lock"):
        (tmp_path / file).touch()
    if left == "no folder of keys":
        (tmp_path / "access.d").rmdir()
    else:
        machine.know(f"host {'localhost' if left == 'its key' else 'other'} {OTHER_KEY}")
    tasks = yaml.safe_load((CHECKOUT / "roles/host_worker/tasks/leave.yml").read_text())
    leaving = next(task for task in tasks if "block" in task)["block"]
    machine.variables |= {"host_worker_remove_force": False, "maglica_config_dir": str(tmp_path)}
    machine.variables["library_source"] = str(CHECKOUT / "plugins/module_utils/maglica")
    went_well, output = machine.run(leaving)
    assert went_well == (left != "its key"), output
    assert ("can't be found out" in output) != went_well


@pytest.mark.parametrize("lost", [False, True])
def test_a_client_worker_that_is_lost_is_not_asked_to_take_certificates_back(
    tmp_path: Path, lost: bool
) -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/host_worker/tasks/remove.yml").read_text())
    name = "Have libvirtd listen no more, and take its certificates away"
    removing = next(task for task in tasks if task["name"] == name)
    machine = Deployment(tmp_path)
    removing.setdefault("vars", {}).update(
        host_worker_client_worker={"unreachable": lost},
        libvirtd_certificates=[],
        maglica_config_dir=str(tmp_path),
    )
    machine.variables["certificates_ca_dir"] = str(tmp_path / "ca")
    went_well, output = machine.run([removing])
    assert went_well, output
    assert ("Ask the authority: revoke" in output) != lost

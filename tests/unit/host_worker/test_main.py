# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from maglica.host_worker import main
from maglica.host_worker.journal.bases import READY, Base, BaseDisk
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.clone import CloneSpec

CONFIG = """\
[client_worker]
address = 127.0.0.1
insecure = yes
[host_worker]
name = kvm0
secret_key_file = none.key
state_dir = {}
"""


def base(pool: Path, name: str, *, owns: bool) -> Base:
    disk = BaseDisk("vda", name, str(pool / name), "qcow2")
    return Base(name, "debian-12", new_request_id(), "v", READY, "default", (disk,), owns=owns)


def test_what_remains_is_what_only_the_journal_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A base that names an image's own disks is the image's, whose metadata says so."""
    config = tmp_path / "host_worker.conf"
    config.write_text(CONFIG.format(tmp_path))
    journal = Journal(tmp_path)
    ended, going_on = (
        Request(new_request_id(), CloneSpec(name, "debian-12"), State.SENT, host="kvm0", who="a")
        for name in ("vm0", "vm1")
    )
    journal.accept([ended, going_on])
    journal.end(ended.id, State.DONE)
    journal.add_base(base(tmp_path, "own", owns=True))
    journal.add_base(base(tmp_path, "of-an-image", owns=False))
    journal.close()
    assert main.main(["--config", str(config), "--remains"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "requests": [going_on.id],
        "bases": [f"{tmp_path}/own"],
    }

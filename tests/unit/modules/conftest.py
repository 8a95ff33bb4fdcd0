# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module's main function: arguments in, the JSON that it prints out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible.module_utils.testing import patch_module_args

CONFIG = """
[client_worker]
address = 127.0.0.1
insecure = yes
[host kvm0.example.jp]
uri = test:///default
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "maglica.conf"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def run_module(config: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return what runs a module with arguments, and ``config``, and returns its result."""

    def run(module: Any, **arguments: object) -> dict[str, Any]:
        given = {"config": str(config), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) is bool(result.get("failed"))
        return result

    return run

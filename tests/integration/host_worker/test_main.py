# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host worker's command line, and what systemd is told."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from support.client_worker import environment
from support.host_worker import HOST, Cell, HostWorker


def run(host: HostWorker, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maglica.host_worker.main", *arguments]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=20, check=False
    )


def test_check_of_a_good_configuration(host: HostWorker) -> None:
    path = str(host.write_config())
    result = run(host, "--config", path, "--check")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{path}: ok\n", "")


def misspell(host: HostWorker) -> str:
    host.options["helo_interval"] = 5
    return "maglica.conf:12: [host_worker] helo_interval: there is no such option"


def lose_key(host: HostWorker) -> str:
    (host.folder / "host_worker.key").unlink()
    return "host_worker.key: No such file or directory"


def open_key(host: HostWorker) -> str:
    (host.folder / "host_worker.key").chmod(0o644)
    return "has mode 0644: group and others may have no access"


def lose_state(host: HostWorker) -> str:
    host.options["state_dir"] = "nowhere"
    return "[host_worker] state_dir: " + str(host.folder / "nowhere") + " is not a folder"


@pytest.mark.parametrize("spoil", [misspell, lose_key, open_key, lose_state])
@pytest.mark.parametrize("arguments", [["--check"], []])
def test_a_bad_configuration_is_refused_with_its_cause(
    host: HostWorker, spoil: object, arguments: list[str]
) -> None:
    text = spoil(host)
    result = run(host, "--config", str(host.write_config()), *arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("ERROR ")
    assert text in line


def test_help_names_the_options(host: HostWorker) -> None:
    text = run(host, "--help").stdout
    assert all(option in text for option in ("--config", "--check", "--verbose"))


def test_systemd_is_told_of_start_and_stop_and_kept_awake(cell: Cell) -> None:
    path = cell.host.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        cell.host.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        cell.start()
        assert manager.recv(100) == f"READY=1\nSTATUS=host {HOST}".encode()
        assert {manager.recv(100) for _turn in range(3)} == {b"WATCHDOG=1"}
        assert cell.host.stop() == 0
        told = []
        while told[-1:] != [b"STOPPING=1"]:
            told.append(manager.recv(100))

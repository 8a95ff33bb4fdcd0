# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a process against a real client worker, with a host that a test plays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import libvirt
import pytest
from support import testdriver
from support.client_worker import Host, Worker, environment, eventually
from support.reports import IMAGE

HOST = "kvm0.example.jp"
CLONE = ("vm", "clone", f"--image={IMAGE}", "vm0.example.jp")


class Shell:
    """Runs command lines with a key of their own, for one host."""

    def __init__(self, worker: Worker, uri: str) -> None:
        worker.grant("client", "admin")
        (key,) = worker.folder.glob("client.admin.*.key")
        self.uri = uri
        self.path = worker.folder / "library.conf"
        self.path.write_text(
            f"[client_worker]\naddress = {worker.where.address}\n"
            f"publish_port = {worker.ports[0]}\nrequest_port = {worker.ports[1]}\n"
            f"public_key = {worker.keys.public.decode()}\n[library]\nsecret_key_file = {key}\n"
            f"[host {HOST}]\nuri = {uri}\n"
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "maglica.cli.main", *words]

    def environment(self, **more: str) -> dict[str, str]:
        return environment(**{"MAGLICA_CONFIG": str(self.path), **more})

    def start(
        self,
        *words: str,
        out: int | IO[str] = subprocess.PIPE,
        err: int | IO[str] = subprocess.PIPE,
        **more: str,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment(**more),
            stdout=out,
            stderr=err,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    # Its host says hello once, and must not count as down meanwhile.
    worker = Worker(tmp_path, host_timeout=3600)
    try:
        worker.start()
        yield worker
    finally:
        worker.close()


@pytest.fixture
def kvm0(worker: Worker) -> Host:
    host = worker.host(HOST)
    host.listen()
    host.hello()
    return host


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[testdriver.Libvirtd]:
    """The host's libvirtd, with the original image."""
    with testdriver.running() as running:
        # The test driver forgets all when its last connection closes.
        connection = libvirt.open(running.uri())
        for domain in connection.listAllDomains():
            domain.destroy()
            domain.undefine()
        connection.defineXML(testdriver.domain(IMAGE, 1))
        yield running
        connection.close()


@pytest.fixture
def shell(worker: Worker, libvirtd: testdriver.Libvirtd) -> Shell:
    return Shell(worker, libvirtd.uri())


def test_images_are_listed(shell: Shell, kvm0: Host) -> None:
    status, out, err = shell.run("image", "list")
    assert (status, err) == (0, "")
    assert out.splitlines()[2].split() == [IMAGE, HOST]


def test_no_file_is_needed_for_what_only_the_client_worker_is_asked(
    shell: Shell, worker: Worker, kvm0: Host, tmp_path: Path
) -> None:
    (key,) = worker.folder.glob("client.admin.*.key")
    said = {
        "MAGLICA_CONFIG": "",
        "HOME": str(tmp_path / "home"),
        "MAGLICA_CLIENT_WORKER_KEY": worker.keys.public.decode(),
        "MAGLICA_KEY": key.read_text().strip(),
    }
    where = f"--client-worker={worker.where.address}:{worker.ports[1]}"
    with shell.start("host", "list", where, **said) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert HOST in out
    with shell.start("vm", "list", "--source=libvirt", where, **said) as process:
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"there is no {tmp_path}/home/.config/maglica/maglica.conf and no /etc/" in err


def test_a_clone_is_followed_to_its_end(shell: Shell, kvm0: Host) -> None:
    def play() -> None:
        request = kvm0.heard_request()
        kvm0.tell("ack", request)
        kvm0.tell("progress", request, phase="copy", phases=[])
        kvm0.done(request)

    player = threading.Thread(target=play)
    player.start()
    status, out, err = shell.run(*CLONE)
    player.join()
    assert (status, out.split(" (")[0]) == (0, f"vm0.example.jp is running on {HOST}")
    assert err.startswith(f"clone vm0.example.jp on {HOST}: request ")
    status, out, _other = shell.run("request", "list", "--state", "done")
    assert out.splitlines()[2].split()[1:4] == ["clone", "vm0.example.jp", HOST]


def test_an_image_is_followed_by_a_bar_on_a_terminal(shell: Shell, kvm0: Host) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "w") as err:
        process = shell.start("image", "add", "golden", "--path=/srv/golden.raw", err=err)
        err.close()
        seen = ""

        def read_until(text: str) -> None:
            nonlocal seen
            while text not in seen:
                seen += terminal.read(4096).decode()

        with process:
            request = kvm0.heard_request()
            kvm0.tell("ack", request)
            for done, drawn in ((100, "[#####"), (300, "[###############")):
                counts = {"done": done << 20, "total": 400 << 20}
                kvm0.tell("progress", request, phase="write", phases=[], **counts)
                read_until(f"golden: write  {drawn}.")
                read_until(f"{done} MiB of 400 MiB")
            kvm0.tell("result", request, state="done", phases=[{"name": "define", "seconds": 1}])
            out, _none = process.communicate(timeout=60)
            seen += terminal.read(4096).decode()
    assert (process.returncode, out.split()[-1]) == (0, "added")
    # It was one line all the time, which is gone.
    assert ("\n" in seen, seen.split("\x1b[K")[-1]) == (False, "")


def test_an_interrupted_clone_goes_on(shell: Shell, kvm0: Host) -> None:
    # What a shell runs in the background ignores this signal, and hands that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with shell.start(*CLONE) as process:
        request = kvm0.heard_request()
        kvm0.tell("ack", request)
        assert process.stderr is not None
        assert process.stderr.readline().endswith(f": request {request.id}\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"request {request.id} goes on" in err
    assert "Traceback" not in err
    assert shell.run("request", "cancel", "--no-wait", request.id)[0] == 0
    assert eventually(lambda: (kvm0.hear() or ("",))[0] == "cancel")


def test_errors_have_their_status(shell: Shell, worker: Worker, kvm0: Host) -> None:
    status, out, err = shell.run("vm", "clone", "--image=none", "vm0.example.jp")
    assert (status, out) == (3, "")
    assert err.count("\n") == 1
    assert "none" in err
    worker.access.clear()
    worker.grant("observer", "somebody")
    status, out, err = shell.run("image", "list")
    assert (status, out) == (4, "")
    assert "refuses the public key" in err
    assert err.count("\n") == 1


def test_results_that_can_not_be_written(shell: Shell, kvm0: Host) -> None:
    with Path("/dev/full").open("w") as full, shell.start("image", "list", out=full) as process:
        _out, err = process.communicate(timeout=60)
    assert err == "maglica: cannot write the results: No space left on device\n"
    assert process.returncode == 1
    closed = shell.command("image", "list")
    ran = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *closed],
        env=shell.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_name_that_the_user_can_not_read(shell: Shell, kvm0: Host) -> None:
    with contextlib.closing(libvirt.open(shell.uri)) as connection:
        connection.defineXML(testdriver.domain("b\u00fcro.original", 3))
        try:
            with shell.start("image", "list", PYTHONIOENCODING="ascii") as process:
                out, err = process.communicate(timeout=60)
        finally:
            connection.lookupByName("b\u00fcro.original").undefine()
    assert (process.returncode, err) == (0, "")
    assert "b\\xfcro.original" in out


def test_a_reader_that_has_enough_is_no_error(shell: Shell, kvm0: Host) -> None:
    with shell.start("image", "list") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""

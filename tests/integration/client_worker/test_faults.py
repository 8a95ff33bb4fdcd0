# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills, a full disk, a bad start: nothing accepted is lost, and what is wrong is said."""

from __future__ import annotations

import resource
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from maglica.client_worker.journal import Journal
from maglica.model.plain import plain
from maglica.model.request import State, new_request_id
from maglica.verbs.start import StartSpec
from maglica.wire import keys
from support.client_worker import Host, Peer, Worker, environment, eventually
from support.reports import image, report

SECRET = "$6$saltsaltsalt$0123456789abcdef"


def test_kill_in_the_middle_keeps_what_was_accepted(worker: Worker, kvm0: Host) -> None:
    kvm0.hello(report(image(memory_mib=16, disk_bytes=0)))
    clients = [worker.peer("client", "admin") for _turn in range(4)]
    accepted: list[str] = []
    over = threading.Event()

    def submit(client: Peer) -> None:
        while not over.is_set():
            request_id = new_request_id()
            spec = StartSpec("vm0", new_request_id(), kvm0.name)
            client.send("submit", {"id": request_id, "kind": "start", "spec": spec})
            try:
                kind, _other = client.receive(1)
            except TimeoutError:
                continue
            if kind == "request":
                accepted.append(request_id)

    threads = [threading.Thread(target=submit, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _turn in range(3):
            count = len(accepted)
            eventually(lambda: len(accepted) > count + 50)  # noqa: B023 - called at once
            worker.restart(signal.SIGKILL)
            kvm0.disconnect()
            kvm0.hello()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    worker.stop(signal.SIGKILL)
    journal = Journal.open(worker.folder / "journal.sqlite")
    known = [request.id for request in journal.open_requests()]
    journal.close()
    assert set(accepted) <= set(known)
    assert len(known) == len(set(known))


def test_a_full_disk_refuses_and_recovers(worker: Worker, client: Peer, kvm0: Host) -> None:
    """A limit on a file's size stands for the disk's: the journal can't grow."""
    kvm0.hello(report(image(memory_mib=16, disk_bytes=0)))
    assert worker.process is not None
    pid = worker.process.pid
    first = client.clone("first")
    kvm0.heard_request()
    _other, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    refused = client.clone_error("vm0")
    assert refused.startswith(
        f"journal_failed: cannot write the journal {worker.folder}/journal.sqlite: "
    )
    assert client.request("status", id=first.id).id == first.id
    assert "journal_failed" in kvm0.error("ack", host=kvm0.name, id=first.id)
    # The first one may come again, as long as it is not acknowledged.
    assert {request.id for request in kvm0.drained()} <= {first.id}
    assert client.ask("hosts")[1]["hosts"][0].alive
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    # Nothing of what was refused is left: neither the name nor its memory is taken.
    assert client.clone("vm0").host == kvm0.name
    assert kvm0.tell("ack", first)[0] == "ok"
    assert {request.name for request in client.ask("list")[1]["requests"]} == {"first", "vm0"}
    while (heard := kvm0.heard_request()).id == first.id:
        pass
    assert heard.name == "vm0"


def test_secrets_are_in_no_reply_log_or_journal_afterwards(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    request = client.clone("vm0.example.jp", root_password=SECRET)
    assert SECRET in str(plain(kvm0.heard_request()))
    assert SECRET in str(plain(kvm0.hello()))
    conflict = client.clone_error("vm0.example.jp", root_password=SECRET[:-1] + "0")
    invalid = client.clone_error("vm1", root_password="secret" + SECRET)
    seen = [client.ask("list"), client.ask("status", id=request.id), conflict, invalid]
    kvm0.done(request)
    seen += [client.ask("list"), client.ask("wait", id=request.id, version=0, wait_s=1)]
    assert SECRET not in str(plain(seen))
    assert SECRET[3:] not in worker.log
    worker.stop()
    for file in worker.folder.glob("journal.sqlite*"):
        assert SECRET.encode() not in file.read_bytes()


def test_ended_requests_are_forgotten_after_the_retention(tmp_path: Path) -> None:
    worker = Worker(tmp_path, retention="1")
    try:
        worker.start()
        client, host = worker.peer("client", "admin"), worker.host("kvm0")
        host.hello()
        ended, still_open = client.clone("vm0"), client.clone("vm1")
        host.tell("result", ended, state="cancelled")
        worker.stop()
        eventually(lambda: True)
        threading.Event().wait(1.1)
        worker.start()
        client.disconnect()
        eventually(lambda: client.ask("status", id=ended.id)[0] == "error")
        assert client.request("status", id=still_open.id).state is State.SENT
    finally:
        worker.close()


def test_a_second_worker_on_the_same_files_is_refused(worker: Worker) -> None:
    done = run(worker)
    assert done.returncode == 1
    assert "journal.sqlite: another process has it open" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_line(worker: Worker, tmp_path: Path) -> None:
    text = worker.config_file.read_text().replace("journal.sqlite", "other.sqlite")
    worker.config_file.write_text(text)
    done = run(worker)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot bind tcp://127.0.0.1:" in done.stderr
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("bind = ", "binds = "), "maglica.conf:6: [client_worker_service] binds: there is no"),
        (("bind = 127.0.0.1", "bind = all"), "maglica.conf:6: [client_worker_service] bind: "),
        (("[client_worker_service]", "[library]"), "maglica.conf:6: [library] bind: "),
        (("access_file = access", "access_file = none"), "cannot read "),
        (("client_worker.key", "none.key"), "cannot read secret key "),
    ],
)
def test_a_bad_configuration_is_refused_in_one_line(
    tmp_path: Path, change: tuple[str, str], text: str
) -> None:
    worker = Worker(tmp_path)
    worker.config_file.write_text(worker.config_file.read_text().replace(*change))
    for arguments in ((), ("--check",)):
        done = run(worker, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    worker.close()


def test_check_of_a_good_configuration_changes_nothing(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = run(worker, "--check")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert sorted(tmp_path.iterdir()) == before
    worker.write_config("[host kvm0.example.jp]", "uri = qemu:///system", "wait = 1")
    assert "[host kvm0.example.jp] wait: there is no such option" in run(worker, "--check").stderr
    worker.close()


def test_check_knows_the_wrong_public_key(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    other = keys.make(tmp_path / "other.key").public.decode()
    text = worker.config_file.read_text()
    worker.config_file.write_text(text.replace("address =", f"public_key = {other}\naddress ="))
    assert "public_key: does not belong to" in run(worker, "--check").stderr
    worker.close()


def test_help(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    done = run(worker, "--help")
    assert done.returncode == 0
    assert "--check" in done.stdout
    assert "SIGUSR1" in done.stdout
    worker.close()


def test_sigterm_ends_it_at_once_and_clean(worker: Worker, client: Peer, kvm0: Host) -> None:
    client.send("wait", {"id": client.clone("vm0").id, "version": 99, "wait_s": 60})
    assert worker.stop(signal.SIGTERM) == 0
    assert worker.log.splitlines()[-1] == "INFO SIGTERM: stopping" or "rejected" in worker.log


def test_a_log_line_is_one_line(worker: Worker, kvm0: Host) -> None:
    assert kvm0.listener is not None
    kvm0.listener.subscribe(b"x\nERROR forged\x1b[31m")
    eventually(lambda: "refused a subscription" in worker.log)
    assert "\x1b" not in worker.log
    assert not [line for line in worker.log.splitlines() if line.startswith("ERROR forged")]


def run(worker: Worker, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        worker.command(*arguments),
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are replaced and taken away by the role's tasks, at a real client worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.model.errors import AccessDenied
from maglica.wire import keys, sockets
from support.authority import Authority
from support.client_worker import LOOPBACK, Host, Peer, Worker, eventually
from support.reports import report
from support.role_runs import LIBRARY, OTHER_KEY, Deployment, include

USER, HOST = "alice@control", "kvm0.example.jp"


class Cloud(Deployment):
    """A client worker whose access file the role's tasks assemble; a user, and a host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "client_worker.pub").unlink()
        self.worker = Worker(folder)
        self.user = keys.make(folder / "library.key")
        self.host = keys.make(folder / "host_worker.key")
        self.know(f"client {USER} {self.user.public.decode()}")
        self.know(f"host {HOST} {self.host.public.decode()}")
        self.variables |= {"library_user_name": USER, "library_source": str(LIBRARY)}
        files = sorted((folder / "access.d").iterdir())
        (folder / "access").write_text("".join(each.read_text() for each in files))
        lines = ["[client_worker]", f"address = {LOOPBACK}"]
        lines += [f"publish_port = {self.worker.ports[0]}"]
        lines += [f"request_port = {self.worker.ports[1]}"]
        lines += [f"public_key = {self.worker.keys.public.decode()}"]
        lines += ["[library]", "secret_key_file = library.key", ""]
        # The client worker's own is maglica.conf of the same folder.
        self.home = folder / "home"
        self.home.mkdir()
        for name in ("library.key", "library.pub"):
            (folder / name).rename(self.home / name)
        (self.home / "maglica.conf").write_text("\n".join(lines))
        self.variables["library_user_dir"] = str(self.home)

    def peer(self) -> Peer:
        """Return the user with the key that is in use."""
        return Peer(self.worker, keys.read(self.home / "library.key"))

    def begun(self, tasks: str) -> dict[str, Any]:
        """Return the task that does a part of what is done to the user's key."""
        given = {"library_role": "client", "library_name": USER}
        given |= {"library_rotated_key": f"{self.home}/library.key"}
        return include(tasks, **given, library_key_library=str(LIBRARY))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path)
    try:
        cloud.worker.start()
        yield cloud
    finally:
        cloud.worker.close()


def is_refused(peer: Peer) -> bool:
    link = sockets.connect_requests(peer.worker.context, peer.keys, peer.worker.where)
    try:
        eventually(lambda: _checked(link))
    except AccessDenied:
        return True
    finally:
        link.close()
    return False


def _checked(link: sockets.Link) -> bool:
    link.check()
    return link.connected


@pytest.mark.parametrize(
    ("parts", "made"),
    [
        ((), "library.pub"),
        (("next_key",), "library.next.pub"),
        (("next_key", "switch_key"), "library.pub"),
    ],
)
def test_a_user_gets_a_new_key_wherever_an_earlier_run_was_cut_off(
    cloud: Cloud, parts: tuple[str, ...], made: str
) -> None:
    before = cloud.peer()
    assert before.ask("hosts")[0] == "hosts"
    keep = {"ansible.builtin.command": f"cp {cloud.home}/{made} {cloud.folder}/made"}
    sign = {"name": "maglica.cloud.certificates", "tasks_from": "client.yml"}
    given = {"certificates_name": USER, "certificates_folder": f"{cloud.home}/pki"}
    signed = {"ansible.builtin.include_role": sign, "vars": given}
    hold = {"ansible.builtin.command": f"cp -r {cloud.home}/pki {cloud.folder}/pki"}
    assert cloud.deploy([*map(cloud.begun, parts), keep, signed, hold, include("rotate_user")])
    after = cloud.peer()
    assert after.keys is not None and after.keys.public != cloud.user.public
    if parts:
        # What was begun is what is in use: there is no third one.
        assert (cloud.folder / "made").read_bytes().strip() == after.keys.public
    assert cloud.registered == [
        f"client {USER} {after.keys.public.decode()}",
        f"host {HOST} {cloud.host.public.decode()}",
    ]
    assert sorted(path.name for path in cloud.home.iterdir()) == [
        "library.key",
        "library.pub",
        "maglica.conf",
        "pki",
    ]
    held = [folder / "pki" for folder in (cloud.folder, cloud.home)]
    assert len({(folder / "clientkey.pem").read_text() for folder in held}) == 2
    authority = Authority(cloud.folder / "ca")
    good = [authority.is_good((folder / "clientcert.pem").read_text()) for folder in held]
    assert good == [False, True]
    assert after.ask("hosts")[0] == "hosts"
    # The old one is refused, also on its open connection.
    eventually(lambda: before.ask("hosts")[1].get("code") == "access_denied")
    assert is_refused(Peer(cloud.worker, cloud.user))


def test_check_mode_says_what_would_be_replaced(cloud: Cloud) -> None:
    went_well, output = cloud.run([include("rotate_user")], "--check")
    assert went_well, output
    assert f"library.key of client {USER} would be replaced" in " ".join(output.split())
    assert cloud.peer().keys == cloud.user


def test_a_key_is_taken_away_at_once(cloud: Cloud) -> None:
    user, host = cloud.peer(), Host(cloud.worker, HOST, cloud.host)
    host.listen()
    host.hello()
    request = user.clone("vm0.example.jp")
    assert host.heard_request().id == request.id
    (cloud.folder / "access.d" / f"new-host-{HOST}").write_text(f"host {HOST} {OTHER_KEY}\n")
    revoked = {"library_role": "host", "library_name": HOST}
    assert cloud.deploy([include("revoke", **revoked)])
    assert cloud.registered == [f"client {USER} {cloud.user.public.decode()}"]
    hello = {"host": HOST, "report": report(), "requests": []}
    eventually(lambda: host.ask("hello", **hello)[1].get("code") == "access_denied")
    # What is open is still told of, and why nothing becomes of it.
    assert user.request("status", id=request.id).state.value == "sent"
    (status,) = user.ask("hosts")[1]["hosts"]
    assert not status.alive
    assert "has no key in the access file any more" in status.report.problem
    assert user.request("cancel", id=request.id).state.value == "cancelled"
    assert not cloud.deploy([include("revoke", **revoked)])


def test_a_copy_of_a_host_does_not_take_its_key_away(cloud: Cloud) -> None:
    cloud.groups = {"maglica_hosts": [HOST, "kvm1.example.jp"]}
    key = {"library_public_key": cloud.host.public.decode()}
    register = {"library_role": "host", "library_replace": True, **key}
    tasks = [include("register", library_name="kvm1.example.jp", **register)]
    went_well, output = cloud.run(tasks)
    assert not went_well
    assert f"kvm1.example.jp has the key of {HOST}, as a copy" in " ".join(output.split())
    assert f"host {HOST} {cloud.host.public.decode()}" in cloud.registered
    # One that has a new name in the inventory keeps its key.
    cloud.groups = {"maglica_hosts": ["kvm1.example.jp"]}
    assert cloud.deploy(tasks)
    assert f"host kvm1.example.jp {cloud.host.public.decode()}" in cloud.registered


def test_the_client_worker_goes_over_to_another_key_when_all_know_it(cloud: Cloud) -> None:
    cloud.variables["maglica_config_dir"] = str(cloud.folder)
    cloud.groups = {"maglica_hosts": ["localhost"]}
    given = {"library_key_library": str(LIBRARY)}
    making = include("next_client_worker_key", **given)
    switch = include("switch_client_worker_key", **given)
    went_well, output = cloud.run([making, switch])
    assert not went_well
    assert "localhost may not know the client worker's next key" in " ".join(output.split())
    following = keys.read(cloud.folder / "client_worker.next.key")

    known = {"ansible.builtin.set_fact": {"library_knows_next_key": True}}
    cloud.know(f"client bob@other {OTHER_KEY}")
    went_well, output = cloud.run([making, known, switch])
    assert not went_well
    assert "client-bob@other may not, and would not find it" in " ".join(output.split())
    assert keys.read(cloud.folder / "client_worker.key") == cloud.worker.keys

    # What was made is what is taken: there is no third one.
    assert cloud.deploy([making, known, switch], "-e", "library_users_know=true")
    assert keys.read(cloud.folder / "client_worker.key") == following
    assert not list(cloud.folder.glob("client_worker.next.*"))

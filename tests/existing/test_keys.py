# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All keys are replaced, or taken away, while the cloud runs."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
from maglica.config import config
from support.cloud import IMAGE, STATE, Cloud
from support.playbooks import play
from support.reading import reasons

VM = "keys0.example.jp"


class Keys:
    """The keys of all hosts and of this user, as others see them."""

    def __init__(self, cloud: Cloud) -> None:
        lines = cloud.ssh(cloud.client, "cat /etc/maglica/access").splitlines()
        self.curve = sorted(line for line in lines if line and not line.startswith("#"))
        self.served = [
            ssl.get_server_certificate((host["address"], 16514))
            for host in cloud.description["hosts"]
        ]
        self.own = (STATE / "library.key").read_bytes(), (STATE / "pki/clientkey.pem").read_bytes()

    def same(self, other: Keys) -> set[str]:
        """Return what is in both."""
        names = {line.split()[-1] for line in set(self.curve) & set(other.curve)}
        return names | set(self.served) & set(other.served)


def works(cloud: Cloud) -> None:
    """Make a vm and remove it, as whoever uses the cloud; list the hosts by libvirt."""
    for host in cloud.hosts:
        cloud.wait_alive(host, alive=True)
    made = cloud.vm(VM, image=IMAGE, customize="none", ssh_authorized_keys=[], state="stopped")
    assert made.status == "CHANGED", made.output
    listed = cloud.inventory()["_meta"]["hostvars"]
    assert VM in listed and set(listed[IMAGE]["maglica_hosts"]) == set(cloud.hosts)
    assert cloud.vm(VM, state="absent").status == "CHANGED"
    assert play(cloud, "deploy")[0] == 0


@pytest.fixture
def before(cloud: Cloud) -> Keys:
    # They know what others have taken back since they were deployed.
    play(cloud, "deploy")
    return Keys(cloud)


def test_all_have_other_keys_and_the_old_ones_are_refused(
    cloud: Cloud, before: Keys, tmp_path: Path
) -> None:
    pki = Path(shutil.copytree(STATE / "pki", tmp_path / "pki"))
    address = cloud.description["hosts"][0]["address"]
    assert reasons(address, pki) == []
    assert play(cloud, "rotate_keys", "--check")[0]
    assert vars(Keys(cloud)) == vars(before)

    play(cloud, "rotate_keys")
    after = Keys(cloud)
    assert after.same(before) == set()
    assert not set(after.own) & set(before.own)
    assert [line.split()[:2] for line in after.curve] == [line.split()[:2] for line in before.curve]
    (reason,) = reasons(address, pki)
    assert "it was taken back" in reason
    works(cloud)


def test_the_client_worker_has_another_key_which_all_know(cloud: Cloud, before: Keys) -> None:
    def known() -> set[str]:
        """Return the keys by which hosts and this user know the client worker."""
        look = "sed -n 's/^public_key = //p' /etc/maglica/host_worker.conf"
        user = config.load(STATE / "maglica.conf").client_worker.public_key
        return {user, *(cloud.ssh(host, look) for host in cloud.hosts)}

    (old,) = known()
    assert play(cloud, "rotate_client_worker_key", "--check")[0]
    assert known() == {old}
    play(cloud, "rotate_client_worker_key")
    (new,) = known()
    assert new != old
    assert Keys(cloud).curve == before.curve
    works(cloud)


def test_a_host_whose_key_is_taken_away_is_out_until_it_is_deployed_again(
    cloud: Cloud, before: Keys
) -> None:
    host = cloud.hosts[-1]
    play(cloud, "revoke", "-e", "revoke_role=host", "-e", f"revoke_name={host}")
    cloud.wait_alive(host, alive=False)
    assert not [line for line in Keys(cloud).curve if f"host {host} " in line]
    # It ends with an error where something is wrong.
    playbook = ("ansible-playbook", "-i", str(STATE / "hosts.yml"), "maglica.cloud.status")
    assert f"{host} down" in " ".join(cloud.run(*playbook, check=False).split())
    play(cloud, "deploy")
    assert Keys(cloud).served[0] == before.served[0]
    assert Keys(cloud).served[-1] != before.served[-1]
    works(cloud)

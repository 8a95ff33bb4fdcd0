# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Original images by module and command, on a real client worker with simulated hosts."""

from __future__ import annotations

from maglica.image import catalog
from support.ansible_runs import Ansible
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, KVM0

from .conftest import Command

MODULE = "maglica_image"
NAME = "golden"
URL = "https://user:hush@images.example.jp/golden.qcow2"
SHOWN = "https://images.example.jp/golden.qcow2"
OLD, NEW = (f"sha256:{digits * 32}" for digits in ("0a", "0b"))


def test_an_image_is_made_again_and_anew_and_removed(ansible: Ansible, cell: SimulatedCell) -> None:
    asked = {"name": NAME, "url": URL, "checksum": OLD}
    foreseen = ansible.ad_hoc(MODULE, "--check", "--diff", **asked).result()
    assert cell.client.list() == ()
    made = ansible.ad_hoc(MODULE, "--diff", **asked)
    result = made.result()
    assert (made.code, result["changed"]) == (0, True), made.output
    assert [place["host"] for place in result["hosts"]] == list(HOSTS)
    assert result["diff"] == foreseen["diff"]
    assert all(NAME in cell.defined(host) for host in HOSTS)
    # How many are seen is a matter of speed, but never more than each tenth.
    begins = f"{NAME}: add_image on {KVM0}: fetch"
    shown = [line for line in made.errors.splitlines() if line.startswith(begins)]
    assert len(shown) == len(set(shown)) <= 11
    assert "hush" not in made.output + made.errors

    again = ansible.ad_hoc(MODULE, "--diff", **asked).result()
    assert (again["changed"], "diff" in again) == (False, False)
    asked |= {"checksum": NEW, "hosts": [KVM0]}
    newer = ansible.ad_hoc(MODULE, "--diff", **asked).result()
    assert newer["diff"] == {
        "before": {KVM0: {"checksum": OLD, "origin": SHOWN}},
        "after": {KVM0: {"checksum": NEW, "origin": SHOWN}},
    }
    gone = ansible.ad_hoc(MODULE, name=NAME, state="absent").result()
    assert (gone["changed"], [place["host"] for place in gone["hosts"]]) == (True, list(HOSTS))
    assert not any(NAME in cell.defined(host) for host in HOSTS)


def test_a_host_where_it_fails(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.by_name[KVM0].failure = {"code": "download_failed", "text": f"{SHOWN}: no answer"}
    run = ansible.ad_hoc(MODULE, name=NAME, url=URL, checksum=NEW)
    result = run.result()
    assert (run.code, result["code"], result["msg"]) == (
        2,
        "download_failed",
        f"{SHOWN}: no answer",
    )
    failed, done = result["hosts"]
    assert (failed["host"], failed["failed"], failed["changed"]) == (KVM0, True, False)
    assert (done["changed"], "failed" in done) == (True, False)


def test_the_command(cell: SimulatedCell, command: Command) -> None:
    words = ("image", "add", NAME, "--url", URL, "--checksum", OLD)
    added = command(*words)
    assert added.status == 0, added.err
    assert [line.split()[1] for line in added.out.splitlines()[2:]] == ["added", "added"]
    assert f"\n  {KVM0}: fetch 0.0 s, define 0.0 s\n" in added.err
    assert "hush" not in added.err
    again = command(*words)
    assert again.out.count("nothing to do") == len(HOSTS)
    assert command("image", "remove", NAME, "--host", KVM0).out.split()[-1] == "removed"
    assert NAME not in cell.defined(KVM0)
    known = command("image", "catalog")
    assert known.out.count("\n") == len(catalog.CATALOG) + 2

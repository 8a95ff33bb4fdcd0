# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is prepared on all hosts ahead of a clone; a vm that runs leaves its base."""

from __future__ import annotations

import json

from maglica.config import config
from maglica.wire.client import Client
from support.client_worker import eventually
from support.cloud import IMAGE, STATE, Cloud


def bases(cloud: Cloud) -> list[dict]:
    """The bases of the image, as the hosts have reported them."""
    (image,) = cloud.module("maglica_image_info", name=[IMAGE], bases=True)["images"]
    return image["bases"]


def prepared_hosts(cloud: Cloud) -> set[str]:
    """The hosts that have a base of the image's present version."""
    return {base["host"] for base in bases(cloud) if base["current"]}


def prepare_requests(host: str) -> set[str]:
    """The ids of all requests to prepare something on a host that the client worker knows."""
    with Client(config.load(str(STATE / "maglica.conf"))) as client:
        return {each.id for each in client.list() if each.kind == "prepare" and each.host == host}


def told_by_qemu(cloud: Cloud, host: str, disk: dict) -> dict:
    """What qemu-img says of a disk on a host."""
    return json.loads(cloud.ssh(host, f"qemu-img info -U --output=json {disk['source']}"))


def test_prepared_ahead_and_flattened(cloud: Cloud, clone) -> None:
    foreseen = cloud.module("maglica_image", "--check", name=IMAGE, state="prepared")
    prepared = cloud.module("maglica_image", name=IMAGE, state="prepared")
    assert {place["host"] for place in prepared["hosts"]} == set(cloud.hosts)
    assert [place["changed"] for place in foreseen["hosts"]] == [
        place["changed"] for place in prepared["hosts"]
    ]
    eventually(lambda: prepared_hosts(cloud) == {*cloud.hosts})
    again = cloud.module("maglica_image", name=IMAGE, state="prepared")
    assert again.status == "SUCCESS"

    made = clone("own0.example.jp", wait_for="running")
    phases = made["request"]["phases"]
    # No appliance was launched, so this took no time to speak of.
    assert sum(phase["seconds"] for phase in phases if phase["name"] != "start") < 5, phases
    (base,) = [base for base in bases(cloud) if base["id"] == made["vm"]["base"]]
    assert base["areas"]
    assert base["host"] == made["vm"]["host"]

    flat = cloud.vm("own0.example.jp", clone_mode="full")
    assert flat.status == "CHANGED"
    assert (flat["vm"]["clone_mode"], flat["vm"]["base"]) == ("full", None)
    (disk,) = [disk["source"] for disk in flat["vm"]["disks"]]
    told = cloud.ssh(made["vm"]["host"], f"qemu-img info -U --output=json {disk}")
    assert "backing-filename" not in told
    assert cloud.vm("own0.example.jp", clone_mode="full").status == "SUCCESS"


def test_sizes_of_disks(cloud: Cloud, clone) -> None:
    host = clone("sized0.example.jp", wait_for="running")["vm"]["host"]

    def shown() -> dict:
        (vm,) = cloud.module("maglica_vm_info", name=["sized0.example.jp"])["vms"]
        (disk,) = vm["disks"]
        return disk

    # The guest boots meanwhile, and writes.
    before = told_by_qemu(cloud, host, shown())
    disk = shown()
    after = told_by_qemu(cloud, host, disk)
    assert disk["capacity_bytes"] == before["virtual-size"]
    assert before["actual-size"] <= disk["allocation_bytes"] <= after["actual-size"]

    (image,) = cloud.module("maglica_image_info", name=[IMAGE])["images"]
    (disk,) = image["disks"]
    told = told_by_qemu(cloud, image["hosts"][0], disk)
    sizes = (disk["capacity_bytes"], disk["allocation_bytes"])
    assert sizes == (told["virtual-size"], told["actual-size"])
    assert {copy["size_bytes"] for copy in image["copies"]} == {image["size_bytes"]}
    assert image["size_bytes"] == told["virtual-size"]


def test_the_checksum_that_was_recorded(cloud: Cloud) -> None:
    checksum = f"sha256:{'9d' * 32}"
    metadata = f"virsh metadata {IMAGE} https://maglica.cloud/xmlns/image/1.0 --config"
    element = f"'<image checksum=\"{checksum}\"/>'"
    cloud.ssh(cloud.hosts[1], f"{metadata} --key maglica --set {element}")
    try:
        (image,) = cloud.module("maglica_image_info", name=[IMAGE])["images"]
    finally:
        cloud.ssh(cloud.hosts[1], f"{metadata} --remove")
    assert {copy["host"]: copy["checksum"] for copy in image["copies"]} == {
        host: checksum if host == cloud.hosts[1] else None for host in cloud.hosts
    }


def test_a_host_prepares_by_itself_what_its_configuration_names(cloud: Cloud) -> None:
    host = cloud.hosts[0]
    conf, unit = "/etc/maglica/host_worker.conf", "maglica-host-worker.service"
    # A new version, which has no base: one that has vms would stay when it is released.
    (image,) = cloud.module("maglica_image_info", name=[IMAGE])["images"]
    cloud.ssh(host, f"touch {image['disks'][0]['source']}")
    eventually(lambda: host not in prepared_hosts(cloud), 60)
    begun = cloud.ssh(host, "date +%s")
    asked = prepare_requests(host)
    change = f"sed -i 's/^prepare =.*/prepare = {IMAGE}/' {conf}"
    cloud.ssh(host, f"cp -p {conf} /root/kept.conf && grep -q '^prepare =' {conf} && {change}")
    try:
        cloud.ssh(host, f"systemctl restart {unit}")
        eventually(lambda: host in prepared_hosts(cloud), 120)
        journal = cloud.ssh(host, f"journalctl -u {unit} --since=@{begun} -o cat")
        assert f"base made: image={IMAGE}" in journal
        # Nobody asked the client worker for it.
        assert prepare_requests(host) <= asked
    finally:
        cloud.ssh(host, f"cp -p /root/kept.conf {conf}; systemctl restart {unit}")
        cloud.wait_alive(host, alive=True)

# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is prepared on all hosts ahead of a clone; a vm that runs leaves its base."""

from __future__ import annotations

from support.client_worker import eventually
from support.cloud import IMAGE, Cloud


def bases(cloud: Cloud) -> list[dict]:
    """The bases of the image, as the hosts have reported them."""
    (image,) = cloud.module("maglica_image_info", name=[IMAGE], bases=True)["images"]
    return image["bases"]


def test_prepared_ahead_and_flattened(cloud: Cloud, clone) -> None:
    foreseen = cloud.module("maglica_image", "--check", name=IMAGE)
    prepared = cloud.module("maglica_image", name=IMAGE)
    assert {place["host"] for place in prepared["hosts"]} == set(cloud.hosts)
    assert [place["changed"] for place in foreseen["hosts"]] == [
        place["changed"] for place in prepared["hosts"]
    ]
    eventually(lambda: {base["host"] for base in bases(cloud) if base["current"]} == {*cloud.hosts})
    assert cloud.module("maglica_image", name=IMAGE).status == "SUCCESS"

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


def test_a_host_prepares_by_itself_what_its_configuration_names(cloud: Cloud) -> None:
    host = cloud.hosts[0]
    conf, unit = "/etc/maglica/host_worker.conf", "maglica-host-worker.service"
    cloud.module("maglica_image", name=IMAGE, state="released", hosts=[host])
    eventually(lambda: host not in {base["host"] for base in bases(cloud) if not base["vms"]})
    cloud.ssh(
        host, f"cp -p {conf} /root/kept.conf; sed -i 's/^prepare =.*/prepare = {IMAGE}/' {conf}"
    )
    try:
        cloud.ssh(host, f"systemctl restart {unit}")
        eventually(lambda: host in {base["host"] for base in bases(cloud) if base["current"]}, 120)
        # Nobody asked the client worker for it.
        journal = cloud.ssh(host, f"journalctl -u {unit} -b --since=-5min -o cat")
        assert f"base made: image={IMAGE}" in journal
    finally:
        cloud.ssh(host, f"cp -p /root/kept.conf {conf}; systemctl restart {unit}")
        cloud.wait_alive(host, alive=True)
